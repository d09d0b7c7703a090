//! Drawing a token for each row of logits.
//!
//! A token is drawn by inverting the cumulative distribution at one number of `[0, 1)`. One pass over the logits finds
//! the maximum, the sum and the entropy of every stretch of the vocabulary; a second one looks at a single stretch.

use pulp::{Simd, WithSimd};

use crate::exp::exp;
use crate::rows::{LANES, Rows};
use crate::team::Team;

/// What was drawn for a row; log-probability and entropy in nats, of the distribution at the temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// The token.
    pub id: u32,
    /// Its log-probability.
    pub logp: f32,
    /// The entropy of the distribution.
    pub entropy: f32,
}

/// How a token is chosen.
#[derive(Clone, Copy, Debug)]
pub enum Choice<'a> {
    /// The likeliest, the first of equals.
    Likeliest,
    /// By a number of `[0, 1)` for each row.
    Uniform(&'a [f64]),
}

/// Tokens of a stretch.
const STRETCH: usize = 256;

/// Draws a token for each row of logits, after division by the temperature.
///
/// # Panics
///
/// If there is not a number for each row.
pub fn draw(team: &Team, logits: &Rows, temperature: f32, choice: Choice<'_>) -> Vec<Draw> {
    if let Choice::Uniform(uniform) = choice {
        assert_eq!(uniform.len(), logits.n_rows(), "a number for each row");
    }
    let n_stretches = logits.n_features().div_ceil(STRETCH);
    let summaries = summarise(team, logits, temperature);
    let mut drawn = vec![Draw { id: 0, logp: 0.0, entropy: 0.0 }; logits.n_rows()];
    team.for_each(drawn.iter_mut().enumerate(), |(row, drawn)| {
        let (block, lane) = (row / LANES, row % LANES);
        let summaries = &summaries[block * n_stretches..][..n_stretches];
        let row_logits = Column { logits: &logits.blocks[block], lane, scale: 1.0 / temperature };
        *drawn = row_logits.draw(
            summaries,
            match choice {
                Choice::Likeliest => None,
                Choice::Uniform(uniform) => Some(uniform[row]),
            },
        );
    });
    drawn
}

/// What turns the logits of a row into log-probabilities.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normaliser {
    /// The largest `z`, `z = logit / temperature`.
    max: f64,
    /// `ln Σ exp(z − max)`.
    log_total: f64,
    /// The entropy, in nats.
    pub entropy: f32,
}

impl Normaliser {
    /// Returns the log-probability of a token by its `z`.
    pub(crate) fn logp(&self, z: f32) -> f32 {
        (f64::from(z) - self.max - self.log_total) as f32
    }

    /// Returns `ln Σ exp(z)`.
    pub(crate) fn lse(&self) -> f32 {
        (self.max + self.log_total) as f32
    }
}

/// Computes what normalises each row of logits after division by the temperature.
pub(crate) fn normalisers(team: &Team, logits: &Rows, temperature: f32) -> Vec<Normaliser> {
    let n_stretches = logits.n_features().div_ceil(STRETCH);
    let summaries = summarise(team, logits, temperature);
    let row = |row: usize| normaliser(&summaries[row / LANES * n_stretches..][..n_stretches], row % LANES);
    (0..logits.n_rows()).map(row).collect()
}

/// Summarises every stretch of every sixteen rows, rows first.
fn summarise(team: &Team, logits: &Rows, temperature: f32) -> Vec<Summary> {
    let arch = team.arch();
    let n_stretches = logits.n_features().div_ceil(STRETCH);
    let mut summaries = vec![Summary::default(); n_stretches * logits.blocks.len()];
    let stretches = logits.blocks.iter().flat_map(|block| block.chunks(STRETCH * LANES));
    team.for_each(stretches.zip(&mut summaries), |(logits, summary)| {
        *summary = arch.dispatch(Summarise { logits, scale: 1.0 / temperature });
    });
    summaries
}

/// Joins the stretches of one row.
fn normaliser(summaries: &[Summary], lane: usize) -> Normaliser {
    let of = |summary: &Summary| {
        let [max, sum, product] = [summary.max, summary.sum, summary.product].map(|x| f64::from(x[lane]));
        (max, sum, product)
    };
    let max = summaries.iter().map(|summary| of(summary).0).fold(f64::NEG_INFINITY, f64::max);
    let (mut total, mut product) = (0.0, 0.0); // Σ exp(z − max), Σ exp(z − max) (z − max)
    for (own_max, sum, own_product) in summaries.iter().map(of) {
        let scale = (own_max - max).exp();
        total += scale * sum;
        product += scale * (own_product + sum * (own_max - max));
    }
    Normaliser { max, log_total: total.ln(), entropy: (total.ln() - product / total) as f32 }
}

/// A stretch of the vocabulary, for sixteen rows.
#[derive(Clone, Copy, Debug, Default)]
struct Summary {
    /// The largest `z`, `z = logit / temperature`.
    max: [f32; LANES],
    /// `Σ exp(z − max)`.
    sum: [f32; LANES],
    /// `Σ exp(z − max) · (z − max)`.
    product: [f32; LANES],
}

struct Summarise<'a> {
    logits: &'a [f32],
    scale: f32,
}

impl WithSimd for Summarise<'_> {
    type Output = Summary;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Summary {
        let vectors = LANES / S::F32_LANES;
        let logits = S::as_simd_f32s(self.logits).0;
        let scale = simd.splat_f32s(self.scale);
        let mut summary = Summary::default();
        for v in 0..vectors {
            let column = || logits.iter().skip(v).step_by(vectors);
            let mut max = simd.splat_f32s(f32::NEG_INFINITY);
            for &logit in column() {
                max = simd.max_f32s(max, simd.mul_f32s(logit, scale));
            }
            let (mut sum, mut product) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            for &logit in column() {
                let z = simd.mul_f32s(logit, scale);
                let below = simd.max_f32s(simd.sub_f32s(z, max), simd.splat_f32s(-87.0)); // as `exp` takes it
                let weight = exp(simd, below);
                sum = simd.add_f32s(sum, weight);
                product = simd.mul_add_f32s(weight, below, product);
            }
            S::as_mut_simd_f32s(&mut summary.max).0[v] = max;
            S::as_mut_simd_f32s(&mut summary.sum).0[v] = sum;
            S::as_mut_simd_f32s(&mut summary.product).0[v] = product;
        }
        summary
    }
}

/// The logits of one row.
struct Column<'a> {
    logits: &'a [f32],
    lane: usize,
    scale: f32,
}

impl Column<'_> {
    fn z(&self, id: usize) -> f64 {
        f64::from(self.logits[id * LANES + self.lane] * self.scale)
    }

    fn ids(&self, stretch: usize) -> std::ops::Range<usize> {
        stretch * STRETCH..((stretch + 1) * STRETCH).min(self.logits.len() / LANES)
    }

    fn draw(&self, summaries: &[Summary], uniform: Option<f64>) -> Draw {
        let normaliser = normaliser(summaries, self.lane);
        let max = normaliser.max;
        let id = match uniform {
            None => self.likeliest(summaries, max),
            Some(uniform) => {
                // Weights of the stretches relative to the likeliest token.
                let weight = |summary: &Summary| {
                    f64::from(summary.sum[self.lane]) * (f64::from(summary.max[self.lane]) - max).exp()
                };
                let total: f64 = summaries.iter().map(weight).sum();
                self.invert(summaries.iter().map(weight), max, uniform * total)
            }
        };
        let logp = self.z(id) - max - normaliser.log_total;
        Draw { id: id as u32, logp: logp as f32, entropy: normaliser.entropy }
    }

    fn likeliest(&self, summaries: &[Summary], max: f64) -> usize {
        let stretch = summaries.iter().position(|summary| f64::from(summary.max[self.lane]) == max).unwrap_or(0);
        self.ids(stretch).find(|&id| self.z(id) == max).unwrap_or(0)
    }

    /// Finds the first token at which the cumulated weight exceeds the target; where rounding lets the target escape
    /// upwards, the likeliest of the last stretch looked at.
    fn invert(&self, weights: impl Iterator<Item = f64>, max: f64, target: f64) -> usize {
        let mut before = 0.0;
        let mut last = 0;
        for (stretch, weight) in weights.enumerate() {
            if weight > 0.0 {
                last = stretch;
            }
            let found = (before + weight > target).then(|| self.invert_within(stretch, max, target - before));
            if let Some(Some(id)) = found {
                return id;
            }
            before += weight;
        }
        self.ids(last).max_by(|&a, &b| self.z(a).total_cmp(&self.z(b))).unwrap_or(0)
    }

    fn invert_within(&self, stretch: usize, max: f64, target: f64) -> Option<usize> {
        let mut cumulated = 0.0;
        self.ids(stretch).find(|&id| {
            cumulated += (self.z(id) - max).exp();
            cumulated > target
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rows of 700 logits, in three stretches.
    fn logits() -> (Vec<Vec<f32>>, Rows) {
        let value = |row: usize, id: usize| ((row * 97 + id * 31) % 211) as f32 / 40.0 - (id % 7) as f32;
        let plain: Vec<Vec<f32>> = (0..3).map(|row| (0..700).map(|id| value(row, id)).collect()).collect();
        let rows = Rows::of(plain.iter().map(Vec::as_slice), 700);
        (plain, rows)
    }

    /// Log-probabilities in float64.
    fn log_softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
        let z: Vec<f64> = logits.iter().map(|&z| f64::from(z) / temperature).collect();
        let max = z.iter().copied().fold(f64::MIN, f64::max);
        let total: f64 = z.iter().map(|z| (z - max).exp()).sum();
        z.iter().map(|z| z - max - total.ln()).collect()
    }

    #[test]
    fn tokens_are_those_of_the_inverted_distribution() {
        let (plain, rows) = logits();
        let team = Team::new(2);
        for temperature in [1.0, 0.7] {
            for uniform in [0.0, 1e-9, 0.123, 0.5, 0.77, 0.999_999] {
                let drawn = draw(&team, &rows, temperature as f32, Choice::Uniform(&[uniform; 3]));
                for (logits, drawn) in plain.iter().zip(drawn) {
                    let logp = log_softmax(logits, temperature);
                    let mut cumulated = 0.0;
                    let expected = logp.iter().position(|logp| {
                        cumulated += logp.exp();
                        cumulated > uniform
                    });
                    assert_eq!(Some(drawn.id as usize), expected, "{uniform}");
                    assert!((f64::from(drawn.logp) - logp[drawn.id as usize]).abs() < 1e-5);
                    let entropy: f64 = -logp.iter().map(|logp| logp.exp() * logp).sum::<f64>();
                    assert!((f64::from(drawn.entropy) - entropy).abs() < 1e-5, "{} for {entropy}", drawn.entropy);
                }
            }
        }
    }

    #[test]
    fn the_likeliest_is_the_first_of_equals() {
        let (mut plain, _) = logits();
        plain[1][300] = 9.0;
        plain[1][650] = 9.0;
        let rows = Rows::of(plain.iter().map(Vec::as_slice), 700);
        assert_eq!(draw(&Team::new(1), &rows, 1.0, Choice::Likeliest)[1].id, 300);
    }

    #[test]
    fn a_certain_token_has_no_entropy() {
        let mut one = vec![-1e30_f32; 600];
        one[599] = 1e4;
        let rows = Rows::of(std::iter::once(one.as_slice()), 600);
        let drawn = draw(&Team::new(1), &rows, 1.0, Choice::Uniform(&[0.999_999_999]));
        assert_eq!((drawn[0].id, drawn[0].logp), (599, 0.0));
        assert!(drawn[0].entropy.abs() < 1e-30, "{}", drawn[0].entropy);
    }
}

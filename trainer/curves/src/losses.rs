//! Losses over model size and data: L(N, D) = E + A / N^α + B / D^β.
//!
//! Hoffmann et al. 2022 (arXiv:2203.15556, eq. 10 and appendix D.3): the sum of Huber losses of log residuals, with the
//! prediction as a log-sum-exp of a − α ln N, b − β ln D and e, by L-BFGS from a grid of starts. As Besiroglu et al. 2024
//! (arXiv:2404.10102) found, the *sum* matters: with the mean the optimiser stops early. Gradients are analytic.

use serde::Serialize;

use crate::random::Random;
use crate::solve::lbfgs::{Smooth, minimise};

/// A trained model: its size, its data, its loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// Parameters N.
    pub params: f64,
    /// Training tokens D.
    pub tokens: f64,
    /// Loss on held-out text, nats.
    pub loss: f64,
}

impl Trained {
    /// Takes D = C / (6 N) from training compute in FLOPs.
    pub fn of_compute(params: f64, compute: f64, loss: f64) -> Self {
        Self { params, tokens: compute / (6.0 * params), loss }
    }
}

/// The parameters of the law.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SizeAndData {
    /// A.
    #[serde(rename = "A")]
    pub a: f64,
    /// B.
    #[serde(rename = "B")]
    pub b: f64,
    /// E, the loss with endless size and data.
    #[serde(rename = "E")]
    pub e: f64,
    /// α.
    pub alpha: f64,
    /// β.
    pub beta: f64,
    /// The sum of Huber losses.
    pub huber_sum: f64,
}

impl SizeAndData {
    fn of(found: &[f64], huber_sum: f64) -> Self {
        let &[a, b, e, alpha, beta] = found else { unreachable!("five parameters") };
        Self { a: a.exp(), b: b.exp(), e: e.exp(), alpha, beta, huber_sum }
    }

    fn logs(&self) -> [f64; 5] {
        [self.a.ln(), self.b.ln(), self.e.ln(), self.alpha, self.beta]
    }

    /// The predicted loss.
    pub fn predict(&self, params: f64, tokens: f64) -> f64 {
        self.e + self.a * params.powf(-self.alpha) + self.b * tokens.powf(-self.beta)
    }

    /// How the best size grows with compute: N ∝ C^a with a = β / (α + β).
    pub fn size_exponent(&self) -> f64 {
        self.beta / (self.alpha + self.beta)
    }
}

/// Where Huber's loss turns from squares to distances, in log loss.
const DELTA: f64 = 1e-3;
/// Fewest models for five parameters.
const FEWEST: usize = 6;

/// Fits the law from 4 500 starts; none below six models, or if a number is not positive.
pub fn size_and_data(models: &[Trained]) -> Option<SizeAndData> {
    let is_positive = |m: &Trained| [m.params, m.tokens, m.loss].iter().all(|x| x.is_finite() && *x > 0.0);
    if models.len() < FEWEST || !models.iter().all(is_positive) {
        return None;
    }
    let objective = Objective::of(models);
    // A short walk from every start tells which of them are worth a long one.
    let mut ends: Vec<(Vec<f64>, f64)> = starts().map(|start| minimise(&objective, &start, 40)).collect();
    ends.retain(|(_, value)| value.is_finite());
    ends.sort_by(|a, b| a.1.total_cmp(&b.1));
    let polished = ends.into_iter().take(20).map(|(start, _)| minimise(&objective, &start, 5000));
    polished.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(found, value)| SizeAndData::of(&found, value))
}

/// The grid of Hoffmann et al., appendix D.3: a, b, e, α, β.
fn starts() -> impl Iterator<Item = [f64; 5]> {
    (0..4500_u32).map(|i| {
        let step = |of: u32, n: u32| f64::from(i / of % n);
        [5.0 * step(1, 6), 5.0 * step(6, 6), 0.5 * step(36, 5) - 1.0, 0.5 * step(180, 5), 0.5 * step(900, 5)]
    })
}

/// Standard errors by drawing models with replacement, fitted again from the law that was found: A, B, E, α, β, a.
pub fn bootstrap_errors(models: &[Trained], law: &SizeAndData, draws: usize, seed: u64) -> [f64; 6] {
    let mut random = Random::keyed(seed);
    let mut values: Vec<[f64; 6]> = vec![];
    for _ in 0..draws {
        let drawn: Vec<Trained> = models.iter().map(|_| models[random.below(models.len())]).collect();
        let (found, value) = minimise(&Objective::of(&drawn), &law.logs(), 2000);
        let again = SizeAndData::of(&found, value);
        values.push([again.a, again.b, again.e, again.alpha, again.beta, again.size_exponent()]);
    }
    std::array::from_fn(|i| {
        let mean = values.iter().map(|v| v[i]).sum::<f64>() / draws as f64;
        (values.iter().map(|v| (v[i] - mean).powi(2)).sum::<f64>() / (draws as f64 - 1.0)).sqrt()
    })
}

/// ln N, ln D and ln L of each model.
struct Objective(Vec<[f64; 3]>);

impl Objective {
    fn of(models: &[Trained]) -> Self {
        Self(models.iter().map(|m| [m.params.ln(), m.tokens.ln(), m.loss.ln()]).collect())
    }
}

impl Smooth for Objective {
    fn evaluate(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        let mut sum = 0.0;
        for &[log_n, log_d, log_loss] in &self.0 {
            let terms = [x[0] - x[3] * log_n, x[1] - x[4] * log_d, x[2]];
            let most = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers = terms.map(|term| (term - most).exp());
            let total: f64 = powers.iter().sum();
            let residual = most + total.ln() - log_loss;
            let slope = residual.clamp(-DELTA, DELTA);
            sum += if residual.abs() <= DELTA {
                0.5 * residual * residual
            } else {
                DELTA * (residual.abs() - 0.5 * DELTA)
            };
            let shares = powers.map(|power| slope * power / total);
            gradient[0] += shares[0];
            gradient[1] += shares[1];
            gradient[2] += shares[2];
            gradient[3] -= shares[0] * log_n;
            gradient[4] -= shares[1] * log_d;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: SizeAndData = SizeAndData { a: 480.0, b: 2100.0, e: 1.82, alpha: 0.35, beta: 0.37, huber_sum: 0.0 };

    fn models() -> Vec<Trained> {
        let sizes = (0..8).map(|i| 7e7 * 2.0_f64.powi(i));
        let all = sizes.flat_map(|n| (0..7).map(move |j| (n, 4e9 * 2.5_f64.powi(j))));
        all.map(|(params, tokens)| Trained { params, tokens, loss: TRUTH.predict(params, tokens) }).collect()
    }

    #[test]
    fn gradients_agree_with_differences() {
        let objective = Objective::of(&models());
        let x = [6.0, 7.5, 0.55, 0.34, 0.36];
        let mut gradient = [0.0; 5];
        objective.evaluate(&x, &mut gradient);
        for i in 0..5 {
            let at = |by: f64| {
                let mut moved = x;
                moved[i] += by;
                objective.evaluate(&moved, &mut [0.0; 5])
            };
            let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((gradient[i] - difference).abs() < 1e-6 * (1.0 + difference.abs()), "{i}");
        }
    }

    #[test]
    fn a_law_without_noise_is_recovered() {
        let found = size_and_data(&models()).unwrap();
        for (found, truth) in [(found.e, TRUTH.e), (found.alpha, TRUTH.alpha), (found.beta, TRUTH.beta)] {
            assert!((found / truth - 1.0).abs() < 1e-3, "{found} is not {truth}");
        }
        assert!((found.size_exponent() - 0.37 / 0.72).abs() < 1e-3);
    }

    #[test]
    fn too_few_models_or_impossible_ones_give_no_law() {
        let mut models = models();
        assert_eq!(size_and_data(&models[..5]), None);
        models[0].loss = 0.0;
        assert_eq!(size_and_data(&models), None);
    }
}

//! Drawing tokens from logits.
//!
//! A token is drawn by inverting the cumulative distribution at one uniform number. That number depends on the rollout
//! and the position alone, so that rounding of the logits, which depends on the batch, changes a token only where the
//! number falls into the rounding itself.

use rlvr_policy::decoding::{Draw, Draws};
use rlvr_policy::logprob::{entropy_of, log_softmax};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::error::RolloutError;

/// How tokens are chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f64,
    /// Draw from the k likeliest tokens only; 0 is off.
    pub top_k: usize,
    /// Draw from the fewest tokens whose probabilities reach this sum; 1 is off.
    pub top_p: f64,
    /// Draw from tokens at least this share as likely as the likeliest; 0 is off.
    pub min_p: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }
}

impl Sampling {
    /// Takes the likeliest token, always.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// Names the setting and its range.
    pub fn check(&self) -> Result<(), RolloutError> {
        let refuse = |why: String| Err(RolloutError::Sampling(why));
        if !self.temperature.is_finite() || self.temperature < 0.0 {
            return refuse(format!("`temperature` is {}, but must be 0 or more", self.temperature));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return refuse(format!("`top_p` is {}, but must be above 0 and at most 1", self.top_p));
        }
        if !(0.0..1.0).contains(&self.min_p) {
            return refuse(format!("`min_p` is {}, but must be at least 0 and below 1", self.min_p));
        }
        Ok(())
    }

    /// Whether tokens are drawn from the policy's own distribution, which training needs.
    pub fn is_uncut(&self) -> bool {
        self.temperature > 0.0 && self.top_k == 0 && self.top_p >= 1.0 && self.min_p <= 0.0
    }

    /// Returns the temperature of the log-probabilities: greedy ones are those of the plain softmax.
    pub fn score_temperature(&self) -> f64 {
        if self.temperature == 0.0 { 1.0 } else { self.temperature }
    }
}

/// A token for each row; log-probability and entropy are those before any cut.
#[derive(Debug)]
pub struct Drawn {
    /// The ids.
    pub ids: Vec<u32>,
    /// Their log-probabilities, in nats.
    pub logp: Vec<f32>,
    /// The entropies of the distributions that they were drawn from, in nats.
    pub entropy: Vec<f32>,
}

/// Draws a token for each row of `logits`, `[n, V]`, given a uniform number of `[0, 1)` for each.
pub fn draw(logits: &Tensor, sampling: &Sampling, uniform: &[f64]) -> Drawn {
    let _span = tracing::info_span!("draw", rows = uniform.len()).entered();
    Drawn::of(&sampling.draw(logits, &Tensor::from_slice(uniform).to_device(logits.device())))
}

impl Draw for Sampling {
    fn draw(&self, logits: &Tensor, uniform: &Tensor) -> Draws {
        let _guard = tch::no_grad_guard();
        let all = log_softmax(logits, self.score_temperature()); // [n, V]
        let ids = if self.temperature == 0.0 {
            all.argmax(-1, false)
        } else if self.is_uncut() {
            invert(&all.exp(), uniform)
        } else {
            invert(&cut(&all, self), uniform)
        };
        let logp = all.gather(-1, &ids.unsqueeze(-1), false).squeeze_dim(-1);
        Draws { ids, logp, entropy: entropy_of(&all) }
    }

    /// Sorting, for cuts, may wait.
    fn can_be_recorded(&self) -> bool {
        self.temperature == 0.0 || self.is_uncut()
    }
}

impl Drawn {
    /// Fetches tokens from the device, in the order of memory.
    pub(crate) fn of(draws: &Draws) -> Self {
        let ids = Vec::<i64>::try_from(draws.ids.reshape([-1])).expect("ids are integers");
        let floats = |tensor: &Tensor| Vec::<f32>::try_from(tensor.reshape([-1])).expect("they are floats");
        Self {
            ids: ids.into_iter().map(|id| id as u32).collect(),
            logp: floats(&draws.logp),
            entropy: floats(&draws.entropy),
        }
    }
}

/// Tokens summed at a time by [`invert`].
const BLOCK: i64 = 256;

/// Finds for each row of weights `[n, V]` the first token whose cumulated weight exceeds `uniform` times the total.
///
/// Two levels: sums of blocks are cumulated in float64, then the tokens of one block. So the tail of a large vocabulary
/// is not lost to rounding, and most of the work is a plain sum.
fn invert(weights: &Tensor, uniform: &Tensor) -> Tensor {
    let (rows, vocabulary) = weights.size2().expect("weights are a matrix");
    let n_blocks = (vocabulary + BLOCK - 1) / BLOCK;
    let padded = weights.constant_pad_nd([0, n_blocks * BLOCK - vocabulary]).view([rows, n_blocks, BLOCK]);
    let sums = padded.sum_dim_intlist([-1].as_slice(), false, Kind::Double); // [n, blocks]
    let cumulated = sums.cumsum(-1, Kind::Double);
    let total = cumulated.narrow(-1, n_blocks - 1, 1);
    let target = total * uniform.unsqueeze(-1); // [n, 1]

    let block = first_above(&cumulated, &target, &sums);
    let before = (&cumulated - &sums).gather(-1, &block, false);
    let index = block.unsqueeze(-1).expand([rows, 1, BLOCK], false);
    let inside = padded.gather(1, &index, false).squeeze_dim(1).to_kind(Kind::Double); // [n, BLOCK]
    let token = first_above(&(inside.cumsum(-1, Kind::Double) + before), &target, &inside);
    (block * BLOCK + token).squeeze_dim(-1)
}

/// Returns for each row the first place where the cumulated weights exceed the target, and never one of weight 0: where
/// rounding lets the target escape upwards, the last place that has weight.
fn first_above(cumulated: &Tensor, target: &Tensor, weights: &Tensor) -> Tensor {
    let exceeds = cumulated.gt_tensor(target).logical_and(&weights.gt(0.0));
    let first = exceeds.to_kind(Kind::Int8).argmax(-1, true); // the first of the equals
    let has_weight = weights.gt(0.0).to_kind(Kind::Int8);
    let last = has_weight.flip([-1]).argmax(-1, true).neg() + (weights.size()[1] - 1);
    let none = exceeds.any_dim(-1, true).logical_not();
    first.where_self(&none.logical_not(), &last)
}

/// Sets the probabilities of tokens that the settings exclude to 0; top-k, top-p and min-p in this order, each on what
/// the one before left, as transformers does.
fn cut(all: &Tensor, sampling: &Sampling) -> Tensor {
    let vocabulary = all.size()[1];
    let mut probabilities = all.exp();
    if sampling.top_k > 0 && (sampling.top_k as i64) < vocabulary {
        let (largest, _) = probabilities.topk(sampling.top_k as i64, -1, true, true);
        let least = largest.narrow(-1, sampling.top_k as i64 - 1, 1);
        probabilities = probabilities.masked_fill(&probabilities.lt_tensor(&least), 0.0);
    }
    if sampling.top_p < 1.0 {
        let (sorted, order) = probabilities.sort(-1, true);
        let total = sorted.sum_dim_intlist([-1].as_slice(), true, Kind::Double);
        let before = sorted.cumsum(-1, Kind::Double) - &sorted;
        let beyond = before.ge_tensor(&(total * sampling.top_p));
        let beyond = beyond.zeros_like().scatter(-1, &order, &beyond);
        probabilities = probabilities.masked_fill(&beyond, 0.0);
    }
    if sampling.min_p > 0.0 {
        let least = probabilities.amax([-1].as_slice(), true) * sampling.min_p;
        probabilities = probabilities.masked_fill(&probabilities.lt_tensor(&least), 0.0);
    }
    probabilities
}

#[cfg(test)]
mod tests {
    use rlvr_verifiers::random::Random;
    use tch::Device;

    use super::*;

    fn logits(probabilities: &[f32]) -> Tensor {
        Tensor::from_slice(probabilities).log().unsqueeze(0)
    }

    #[track_caller]
    fn check(sampling: &Sampling, probabilities: &[f32], uniform: f64, expected: u32) {
        let drawn = draw(&logits(probabilities), sampling, &[uniform]);
        assert_eq!(drawn.ids, [expected], "{sampling:?} at {uniform}");
        let logp = probabilities[expected as usize].ln();
        if sampling.temperature == 1.0 {
            assert!((drawn.logp[0] - logp).abs() < 1e-5, "the log-probability is that before any cut");
        }
    }

    #[test]
    fn a_uniform_number_picks_its_token() {
        let plain = Sampling::default();
        let p = [0.5, 0.0, 0.25, 0.25];
        for (uniform, expected) in [(0.0, 0), (0.49, 0), (0.51, 2), (0.74, 2), (0.76, 3), (0.999_999, 3)] {
            check(&plain, &p, uniform, expected);
        }
    }

    #[test]
    fn tokens_without_probability_are_never_drawn() {
        let p: Vec<f32> = (0..600).map(|i| if i == 300 { 1.0 } else { 0.0 }).collect();
        for uniform in [0.0, 0.5, 1.0 - f64::EPSILON] {
            check(&Sampling::default(), &p, uniform, 300);
        }
    }

    #[test]
    fn cuts() {
        let p = [0.1, 0.4, 0.3, 0.2];
        let top_k = Sampling { top_k: 2, ..Sampling::default() };
        check(&top_k, &p, 0.0, 1);
        check(&top_k, &p, 0.56, 1); // 4/7 = 0.571
        check(&top_k, &p, 0.58, 2);
        let top_p = Sampling { top_p: 0.65, ..Sampling::default() };
        check(&top_p, &p, 0.99, 2); // 0.4 + 0.3 reach it
        let top_p = Sampling { top_p: 0.75, ..Sampling::default() };
        check(&top_p, &p, 0.99, 3);
        check(&top_p, &p, 0.0, 1);
        let min_p = Sampling { min_p: 0.6, ..Sampling::default() };
        check(&min_p, &p, 0.99, 2);
        let cold = Sampling { temperature: 0.1, ..Sampling::default() };
        check(&cold, &p, 0.9, 1); // odds 0.4¹⁰ : 0.3¹⁰ = 18 : 1
        check(&Sampling::greedy(), &p, 0.99, 1);
    }

    #[test]
    fn top_k_then_top_p_as_transformers_does() {
        // After top-k 2 the shares are 4/7 and 3/7: top-p 0.5 keeps the first alone.
        let both = Sampling { top_k: 2, top_p: 0.5, ..Sampling::default() };
        check(&both, &[0.1, 0.4, 0.3, 0.2], 0.99, 1);
    }

    /// χ² of 20 000 draws against the softmax, 600 tokens in 20 bins; false alarm 1 in 1 000 at 43.8 (19 degrees).
    #[test]
    fn draws_follow_the_softmax() {
        let vocabulary = 600_i64;
        let logits = (Tensor::arange(vocabulary, (Kind::Float, Device::Cpu)) * 0.37).sin() * 3.0;
        let temperature = 0.8;
        let expected = Vec::<f64>::try_from((&logits / temperature).softmax(-1, Kind::Double)).unwrap();
        let n = 20_000;
        let mut random = Random::keyed([5, 0, 0, 0]);
        let uniform: Vec<f64> = (0..n).map(|_| random.unit()).collect();
        let rows = logits.unsqueeze(0).expand([n, vocabulary], false);
        let drawn = draw(&rows, &Sampling { temperature, ..Sampling::default() }, &uniform);
        let (mut seen, mut wanted) = ([0.0; 20], [0.0; 20]);
        for id in drawn.ids {
            seen[id as usize % 20] += 1.0;
        }
        for (id, p) in expected.iter().enumerate() {
            wanted[id % 20] += p * n as f64;
        }
        let chi2: f64 = seen.iter().zip(&wanted).map(|(s, w)| (s - w) * (s - w) / w).sum();
        assert!(chi2 < 43.8, "χ² is {chi2}");
    }

    #[test]
    fn refusals() {
        let check = |sampling: Sampling, expected: &str| {
            assert_eq!(sampling.check().unwrap_err().to_string(), expected);
        };
        check(
            Sampling { temperature: -1.0, ..Sampling::default() },
            "sampling: `temperature` is -1, but must be 0 or more",
        );
        check(
            Sampling { top_p: 0.0, ..Sampling::default() },
            "sampling: `top_p` is 0, but must be above 0 and at most 1",
        );
        check(
            Sampling { min_p: 1.0, ..Sampling::default() },
            "sampling: `min_p` is 1, but must be at least 0 and below 1",
        );
    }
}

//! From losses of tokens to the loss of a step: what one token weighs.
//!
//! All counts are of the whole optimiser step and are taken before the first micro-batch runs. Whatever way the step is
//! cut into micro-batches, the sum of weighted losses is then the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How losses of tokens are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// The mean over rollouts of each rollout's mean: `1 / (M n_i)` (GRPO, arXiv:2402.03300).
    SequenceMean,
    /// The mean over all tokens: `1 / N` (DAPO, arXiv:2503.14476).
    TokenMean,
    /// The mean over prompts of each prompt's mean over tokens: `1 / (P N_p)` (ScaleRL, arXiv:2510.13786).
    PromptMean,
    /// The sum over tokens divided by rollouts times the token limit: `1 / (M T_max)` (Dr. GRPO, arXiv:2503.20783).
    Constant,
    /// The mean over rollouts of each rollout's sum: `1 / M` (LUSPO, arXiv:2602.05261).
    SequenceSum,
}

/// The completion tokens of a step, by rollout and prompt.
#[derive(Clone, Debug)]
pub struct StepCounts {
    /// Completion tokens of the rollouts of each prompt that are trained on; a rollout may have none.
    pub n_tokens: Vec<Vec<usize>>,
    /// The configured limit of a completion.
    pub max_new_tokens: usize,
}

impl Aggregation {
    /// Returns the weight of a token of each rollout, in the order of `counts`.
    ///
    /// # Examples
    ///
    /// ```
    /// use rlvr::aggregate::{Aggregation, StepCounts};
    ///
    /// let counts = StepCounts { n_tokens: vec![vec![1, 3], vec![4]], max_new_tokens: 10 };
    /// assert_eq!(Aggregation::TokenMean.token_weights(&counts), [vec![0.125, 0.125], vec![0.125]]);
    /// assert_eq!(Aggregation::PromptMean.token_weights(&counts), [vec![0.125, 0.125], vec![0.125]]);
    /// assert_eq!(Aggregation::SequenceMean.token_weights(&counts)[0], [1.0 / 3.0, 1.0 / 9.0]);
    /// ```
    pub fn token_weights(self, counts: &StepCounts) -> Vec<Vec<f64>> {
        let n_prompts = counts.n_tokens.len() as f64;
        let n_rollouts = counts.n_tokens.iter().map(Vec::len).sum::<usize>() as f64;
        let total = counts.n_tokens.iter().flatten().sum::<usize>() as f64;
        let weigh = |prompt: &Vec<usize>| -> Vec<f64> {
            let of_prompt = prompt.iter().sum::<usize>() as f64;
            let weight = |&n: &usize| match self {
                Self::SequenceMean => 1.0 / (n_rollouts * n as f64),
                Self::TokenMean => 1.0 / total,
                Self::PromptMean => 1.0 / (n_prompts * of_prompt),
                Self::Constant => 1.0 / (n_rollouts * counts.max_new_tokens as f64),
                Self::SequenceSum => 1.0 / n_rollouts,
            };
            // A rollout without tokens has nothing to weigh.
            prompt.iter().map(|n| if *n == 0 { 0.0 } else { weight(n) }).collect()
        };
        counts.n_tokens.iter().map(weigh).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_without_tokens_counts_but_weighs_nothing() {
        let counts = StepCounts { n_tokens: vec![vec![2, 0]], max_new_tokens: 4 };
        assert_eq!(Aggregation::SequenceMean.token_weights(&counts), [vec![0.25, 0.0]]);
        assert_eq!(Aggregation::Constant.token_weights(&counts), [vec![0.125, 0.0]]);
        assert_eq!(Aggregation::SequenceSum.token_weights(&counts), [vec![0.5, 0.0]]);
        assert_eq!(Aggregation::TokenMean.token_weights(&counts), [vec![0.5, 0.0]]);
    }

    #[test]
    fn means_weigh_one_in_all() {
        let counts = StepCounts { n_tokens: vec![vec![1, 3], vec![4, 2, 2]], max_new_tokens: 8 };
        for aggregation in [Aggregation::SequenceMean, Aggregation::TokenMean, Aggregation::PromptMean] {
            let weights = aggregation.token_weights(&counts);
            let sum: f64 = weights
                .iter()
                .zip(&counts.n_tokens)
                .flat_map(|(w, n)| w.iter().zip(n).map(|(w, &n)| w * n as f64))
                .sum();
            assert!((sum - 1.0).abs() < 1e-12, "{aggregation:?}");
        }
    }
}

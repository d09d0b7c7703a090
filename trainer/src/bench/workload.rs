//! What is measured: prompts, and completions of wanted lengths.

use std::collections::{BTreeMap, VecDeque};

use rlvr_policy::Architecture;
use rlvr_rollouts::Tokenizer;
use rlvr_verifiers::Task;
use rlvr_verifiers::random::Random;
use serde::Serialize;

use super::{BenchError, BenchSettings};

/// How long completions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lengths {
    /// All as long as the settings say.
    Equal,
    /// Geometric, with the settings' length for the mean and [`LONGEST`] times it for the limit.
    Geometric,
    /// As the model ends them, with the settings' length for the limit; training alone, which samples nothing, takes the
    /// limit.
    Natural,
}

/// The longest geometric completion, in means.
pub const LONGEST: usize = 8;

/// Sets the random numbers of this module apart from others.
const KEY: u64 = 0x0062_656e_6368;

/// What the prompts came to.
#[derive(Clone, Debug, Serialize)]
pub struct PromptFacts {
    /// How many.
    pub prompts: usize,
    /// Whether they are those of tasks; else their tokens are random.
    pub of_tasks: bool,
    /// Their tokens on average.
    pub tokens_mean: f64,
    /// The tokens of the longest.
    pub tokens_max: usize,
}

/// Prompts and the lengths of their completions.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    /// The ids of each prompt.
    pub prompts: Vec<Vec<u32>>,
    /// For each prompt the tokens of each completion.
    pub lengths: Vec<Vec<usize>>,
}

impl BenchSettings {
    /// Checks that there is something to do.
    pub(super) fn check(&self) -> Result<(), BenchError> {
        let sizes = [
            ("--rows", self.rows),
            ("--prompts", self.prompts),
            ("--group-size", self.group_size),
            ("--prompt-tokens", self.prompt_tokens),
            ("--new-tokens", self.new_tokens),
            ("--repeat", self.repeats),
            ("--tokens-per-micro-batch", self.tokens_per_micro_batch),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(BenchError::Settings(format!("{name} is 0, but must be at least 1")));
        }
        let completions = self.prompts.saturating_mul(self.group_size);
        if self.rows > completions {
            return Err(BenchError::Settings(format!(
                "--rows is {}, but there are only {completions} completions, --prompts × --group-size; raise these",
                self.rows
            )));
        }
        Ok(())
    }

    /// The most tokens of a completion.
    pub(super) fn longest(&self) -> usize {
        match self.lengths {
            Lengths::Equal | Lengths::Natural => self.new_tokens,
            Lengths::Geometric => self.new_tokens.saturating_mul(LONGEST),
        }
    }

    /// Renders the prompts of tasks, or makes some up, and makes up lengths; the same ones each time.
    pub(super) fn workload(
        &self,
        architecture: &Architecture,
        tokenizer: &Tokenizer,
        tasks: &[Task],
    ) -> Result<Workload, BenchError> {
        let prompts = if tasks.is_empty() {
            (0..self.prompts).map(|i| random_ids(&[0, i as u64, 0], self.prompt_tokens, architecture)).collect()
        } else if tasks.len() < self.prompts {
            let (prompts, n) = (self.prompts, tasks.len());
            return Err(BenchError::Settings(format!(
                "--prompts is {prompts}, but there are only {n} tasks; lower it"
            )));
        } else {
            tasks[..self.prompts].iter().map(|task| tokenizer.prompt(task)).collect::<Result<_, _>>()?
        };
        let lengths = |prompt: usize| (0..self.group_size).map(|i| self.length(prompt, i)).collect();
        let workload = Workload { prompts, lengths: (0..self.prompts).map(lengths).collect() };
        let (longest, context) = (workload.longest_prompt(), architecture.max_positions as usize);
        if longest.saturating_add(self.longest()) > context {
            return Err(BenchError::Settings(format!(
                "prompts of {longest} tokens with completions of up to {} do not fit into the model's context of \
                 {context}; lower --prompt-tokens or --new-tokens",
                self.longest()
            )));
        }
        Ok(workload)
    }

    fn length(&self, prompt: usize, index: usize) -> usize {
        match self.lengths {
            Lengths::Equal | Lengths::Natural => self.new_tokens,
            Lengths::Geometric => {
                let u = Random::keyed([KEY, 1, prompt as u64, index as u64]).unit();
                geometric(u, self.new_tokens as f64).min(self.longest())
            }
        }
    }
}

fn random_ids(&[a, b, c]: &[u64; 3], n: usize, architecture: &Architecture) -> Vec<u32> {
    let mut random = Random::keyed([KEY, a, b, c]);
    (0..n).map(|_| random.below(architecture.vocab_size as u64) as u32).collect()
}

/// The quantile `u` of the geometric distribution over 1, 2, … with a mean.
fn geometric(u: f64, mean: f64) -> usize {
    if mean <= 1.0 {
        return 1;
    }
    1 + ((-u).ln_1p() / (-mean.recip()).ln_1p()).floor() as usize
}

impl Workload {
    /// The same prompts with completions of other lengths.
    pub(super) fn with_lengths(&self, lengths: Vec<Vec<usize>>) -> Self {
        Self { prompts: self.prompts.clone(), lengths }
    }

    /// The same prompts and as many completions of `n` tokens each.
    pub(super) fn with_length(&self, n: usize) -> Self {
        self.with_lengths(self.lengths.iter().map(|lengths| vec![n; lengths.len()]).collect())
    }

    pub(super) fn facts(&self, of_tasks: bool) -> PromptFacts {
        let prompts = self.prompts.len();
        let tokens_mean = self.n_prompt_tokens() as f64 / prompts as f64;
        PromptFacts { prompts, of_tasks, tokens_mean, tokens_max: self.longest_prompt() }
    }

    pub(super) fn n_completions(&self) -> usize {
        self.lengths.iter().map(Vec::len).sum()
    }

    /// Completion tokens in all.
    pub(super) fn n_tokens(&self) -> usize {
        self.lengths.iter().flatten().sum()
    }

    /// Prompt tokens in all.
    pub(super) fn n_prompt_tokens(&self) -> usize {
        self.prompts.iter().map(Vec::len).sum()
    }

    fn longest_prompt(&self) -> usize {
        self.prompts.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Model FLOPs of prefill; the head is needed once a prompt.
    pub(super) fn prefill_flops(&self, architecture: &Architecture) -> f64 {
        let head = 2.0 * (architecture.vocab_size * architecture.hidden_size) as f64;
        let of_prompt = |n: usize| architecture.forward_flops(n) - head * (n - 1) as f64;
        self.prompts.iter().map(|prompt| of_prompt(prompt.len())).sum()
    }

    /// Model FLOPs of decoding: of all completion tokens but the last ones, which are drawn and never forwarded.
    pub(super) fn decode_flops(&self, architecture: &Architecture) -> f64 {
        let of_group = |(prompt, lengths): (&Vec<u32>, &Vec<usize>)| {
            let decoded = lengths.iter().map(|n| n - 1);
            architecture.group_flops(prompt.len(), decoded) - architecture.forward_flops(prompt.len())
        };
        self.prompts.iter().zip(&self.lengths).map(of_group).sum()
    }

    /// Tokens whose keys and values decoding reads, each time that it reads them, as if no prompt were shared.
    pub(super) fn tokens_read(&self) -> f64 {
        let of_one = |prompt: usize, n: usize| (1..n).map(|i| (prompt + i) as f64).sum::<f64>();
        let groups = self.prompts.iter().zip(&self.lengths);
        groups.map(|(prompt, all)| all.iter().map(|&n| of_one(prompt.len(), n)).sum::<f64>()).sum()
    }

    /// How often how many rows are decoded, if a waiting completion takes the place of each that ends.
    pub(super) fn decoded_rows(&self, max_rows: usize) -> BTreeMap<usize, usize> {
        let mut waiting: VecDeque<usize> = self.lengths.iter().flatten().map(|n| n - 1).filter(|&n| n > 0).collect();
        let (mut left, mut counts): (Vec<usize>, _) = (vec![], BTreeMap::new());
        loop {
            let n_free = max_rows.saturating_sub(left.len()).min(waiting.len());
            left.extend(waiting.drain(..n_free));
            if left.is_empty() {
                return counts;
            }
            *counts.entry(left.len()).or_default() += 1;
            left.iter_mut().for_each(|n| *n -= 1);
            left.retain(|&n| n > 0);
        }
    }

    /// Makes up a completion.
    pub(super) fn completion(&self, prompt: usize, index: usize, architecture: &Architecture) -> Vec<u32> {
        random_ids(&[2, prompt as u64, index as u64], self.lengths[prompt][index], architecture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometric_lengths_have_their_mean() {
        let n = 100_000;
        let lengths = (0..n).map(|i| geometric((f64::from(i) + 0.5) / f64::from(n), 64.0));
        let mean = lengths.sum::<usize>() as f64 / f64::from(n);
        assert!((mean - 64.0).abs() < 0.1, "{mean}");
        // Half of them end within ln 2 / -ln(1 - 1/64) tokens.
        assert_eq!((geometric(0.0, 64.0), geometric(0.5, 64.0), geometric(0.9, 1.0)), (1, 45, 1));
    }

    #[test]
    fn rows_are_filled_as_they_get_free() {
        let check = |lengths: &[usize], max_rows: usize, expected: &[(usize, usize)]| {
            let workload = Workload { prompts: vec![vec![0]], lengths: vec![lengths.to_vec()] };
            assert_eq!(workload.decoded_rows(max_rows), expected.iter().copied().collect(), "{lengths:?}");
        };
        check(&[4, 4], 2, &[(2, 3)]);
        check(&[4, 4], 1, &[(1, 6)]);
        check(&[2, 4, 3], 2, &[(2, 3)]);
        check(&[1, 1], 2, &[]);
        check(&[5, 2], 8, &[(1, 3), (2, 1)]);
    }

    #[test]
    fn each_decoded_token_reads_what_stands_before_it() {
        let workload = Workload { prompts: vec![vec![0; 10]], lengths: vec![vec![3, 1]] };
        assert!((workload.tokens_read() - 23.0).abs() < 1e-9, "11 and 12, and nothing for a completion of one");
    }
}

//! Parts of a reward that depend on how long a completion is, in tokens.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The length of a completion, for the parts that depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Tokens of the completion.
    pub n_tokens: usize,
    /// The most it could have had.
    pub limit: usize,
    /// Whether the limit cut it off.
    pub truncated: bool,
}

/// The soft overlong punishment: 0 up to `limit - buffer` tokens, then linear down to -1 at the limit.
///
/// Yu et al. 2025, *DAPO* (arXiv:2503.14476), eq. 13.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overlong {
    /// Weight of the penalty.
    pub weight: f64,
    /// Tokens before the limit from which the penalty grows.
    pub buffer: usize,
}

/// A formula that values a completion by its length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LengthShape {
    /// Between two values along half a cosine.
    Cosine(Cosine),
    /// Relative to the shortest and the longest of the group: `λ = 1/2 - (n - min) / (max - min)` for a right answer,
    /// `min(0, λ)` for a wrong one, and 0 where all are equally long. Kimi Team 2025, *Kimi k1.5* (arXiv:2501.12599),
    /// §2.3.3.
    GroupRelative,
}

/// From `right[0]` for an empty completion to `right[1]` at the token limit, and likewise for wrong answers; `exceeded`
/// where the limit cut it off.
///
/// Yeo et al. 2025, *Demystifying Long Chain-of-Thought Reasoning in LLMs* (arXiv:2502.03373), §3.1: `b + (a - b)
/// (1 + cos(π n / L)) / 2`. Beyond the limit the cosine would rise again, so `n / L` is held at 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cosine {
    /// The values of a right answer, shortest and longest.
    pub right: [f64; 2],
    /// The values of a wrong answer, shortest and longest. A rise teaches stalling: the longest of wrong answers are
    /// paid best.
    pub wrong: [f64; 2],
    /// The value of a completion that the limit cut off.
    pub exceeded: f64,
}

impl Overlong {
    /// Returns the penalty before weighting, 0 to -1.
    pub fn value(&self, length: Length) -> f64 {
        let from = length.limit.saturating_sub(self.buffer);
        if length.truncated || length.n_tokens > length.limit {
            -1.0
        } else if length.n_tokens <= from {
            0.0
        } else {
            -((length.n_tokens - from) as f64) / self.buffer as f64
        }
    }
}

impl LengthShape {
    /// Returns the value of a completion, given the lengths of its group.
    pub fn value(&self, length: Length, group_lengths: &[usize], is_right: bool) -> f64 {
        match self {
            Self::Cosine(cosine) => cosine.value(length, is_right),
            Self::GroupRelative => group_relative(length.n_tokens, group_lengths, is_right),
        }
    }

    /// Checks that the numbers make sense.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Cosine(Cosine { right, wrong, exceeded }) => {
                let all = [right[0], right[1], wrong[0], wrong[1], *exceeded];
                if all.iter().all(|value| value.is_finite()) { Ok(()) } else { Err("the values must be finite".into()) }
            }
            Self::GroupRelative => Ok(()),
        }
    }
}

impl Cosine {
    fn value(&self, length: Length, is_right: bool) -> f64 {
        if length.truncated {
            return self.exceeded;
        }
        let [a, b] = if is_right { self.right } else { self.wrong };
        let t = (length.n_tokens as f64 / length.limit.max(1) as f64).min(1.0);
        b + 0.5 * (a - b) * (1.0 + (PI * t).cos())
    }
}

fn group_relative(n_tokens: usize, group_lengths: &[usize], is_right: bool) -> f64 {
    let shortest = group_lengths.iter().copied().min().unwrap_or(n_tokens);
    let longest = group_lengths.iter().copied().max().unwrap_or(n_tokens);
    if shortest == longest {
        return 0.0;
    }
    let lambda = 0.5 - (n_tokens - shortest) as f64 / (longest - shortest) as f64;
    if is_right { lambda } else { lambda.min(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-12, "{value} is not {expected}");
    }

    fn of(n_tokens: usize, truncated: bool) -> Length {
        Length { n_tokens, limit: 100, truncated }
    }

    #[test]
    fn the_overlong_penalty_is_linear_in_the_buffer() {
        let overlong = Overlong { weight: 1.0, buffer: 20 };
        for (length, expected) in
            [(of(80, false), 0.0), (of(90, false), -0.5), (of(100, false), -1.0), (of(100, true), -1.0)]
        {
            near(overlong.value(length), expected);
        }
    }

    #[test]
    fn the_cosine_goes_from_one_value_to_the_other() {
        let shape = LengthShape::Cosine(Cosine { right: [2.0, 1.0], wrong: [-10.0, 0.0], exceeded: -12.0 });
        near(shape.value(of(0, false), &[], true), 2.0);
        near(shape.value(of(50, false), &[], true), 1.5);
        near(shape.value(of(100, false), &[], true), 1.0);
        near(shape.value(of(150, false), &[], true), 1.0);
        near(shape.value(of(50, false), &[], false), -5.0);
        near(shape.value(of(100, true), &[], true), -12.0);
    }

    #[test]
    fn short_right_answers_gain_and_long_ones_lose() {
        let value = |n, is_right| LengthShape::GroupRelative.value(of(n, false), &[10, 20, 30], is_right);
        near(value(10, true), 0.5);
        near(value(20, true), 0.0);
        near(value(30, true), -0.5);
        near(value(10, false), 0.0);
        near(value(30, false), -0.5);
        near(LengthShape::GroupRelative.value(of(7, false), &[7, 7], true), 0.0);
    }
}

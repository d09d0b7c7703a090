//! From verdicts to rewards.
//!
//! A reward is a weighted sum of parts, some of which count only under a [`Condition`]. The outcome, the score of the
//! task's own verifier, is kept beside it: filters and evaluation read the outcome, the advantage alone reads the sum.
//! Filtering on the shaped sum has destroyed policies, since a length penalty gives an all-right group a variance that
//! says nothing about being right (verl-recipe #125).

mod length;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::task::Task;
use crate::verifier::Verdict;

pub use length::{Cosine, Length, LengthShape, Overlong};

/// The parts of a reward and their weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewardConfig {
    /// Weight of the score by the task's own verifier.
    pub correct: f64,
    /// When the score counts. `well_formed` pays for right answers in the right form only.
    pub correct_when: Condition,
    /// Weight of stating an answer in the form that the verifier reads, right or wrong. Keep it small.
    pub format: f64,
    /// When the form counts.
    pub format_when: Condition,
    /// Scores of further verifiers, each with a weight of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartConfig>,
    /// Shaping by length, off by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<LengthConfig>,
    /// Penalty for completions close to the token limit, off by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlong: Option<Overlong>,
}

/// When a part of a reward counts; where it does not, its value is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// For every rollout.
    #[default]
    Always,
    /// If the task's own verifier gave the full score.
    Correct,
    /// If it gave less.
    Wrong,
    /// If an answer was stated in the form that the verifier reads.
    WellFormed,
    /// If the policy ended the completion by itself.
    Finished,
}

/// `[[reward.parts]]`: what another verifier says of every rollout, whatever its task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartConfig {
    /// The verifier, such as `regex` or `trl:rewards.py:brevity`.
    pub verifier: String,
    /// The name of the part in records; that of the verifier by default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The weight of its score.
    pub weight: f64,
    /// When it counts.
    #[serde(default)]
    pub when: Condition,
    /// What the verifier reads as the `spec` of every task. With it, the verifier does not see the task's own `spec` and
    /// `reference`, which belong to the task's own verifier; without it, it sees them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub spec: Option<toml::Table>,
}

/// `[reward.length]`: shaping by the length of a completion, in tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LengthConfig {
    /// The weight of the shape's value.
    pub weight: f64,
    /// The formula.
    pub shape: LengthShape,
    /// When it counts.
    #[serde(default)]
    pub when: Condition,
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self {
            correct: 1.0,
            correct_when: Condition::Always,
            format: 0.0,
            format_when: Condition::Always,
            parts: vec![],
            length: None,
            overlong: None,
        }
    }
}

impl PartConfig {
    /// Returns the name of the part in records.
    pub fn label(&self) -> &str {
        if self.name.is_empty() { &self.verifier } else { &self.name }
    }

    /// Returns the task as the verifier of the part sees it.
    pub fn view<'a>(&self, task: &'a Task) -> Cow<'a, Task> {
        let Some(spec) = &self.spec else { return Cow::Borrowed(task) };
        let spec = serde_json::to_value(spec).expect("a table of TOML is JSON, but for dates, which become texts");
        Cow::Owned(Task { spec, reference: None, ..task.clone() })
    }
}

impl RewardConfig {
    /// Returns the verifiers that judge every rollout besides the one of its task.
    pub fn verifiers(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.verifier.as_str())
    }

    /// Checks what the types do not: numbers, names, and that the sum rewards being right.
    ///
    /// # Errors
    ///
    /// Names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let weights = self.parts.iter().enumerate().map(|(i, part)| (format!("reward.parts[{i}].weight"), part.weight));
        let fixed = [
            ("reward.correct", Some(self.correct)),
            ("reward.format", Some(self.format)),
            ("reward.length.weight", self.length.as_ref().map(|length| length.weight)),
            ("reward.overlong.weight", self.overlong.as_ref().map(|overlong| overlong.weight)),
        ];
        let fixed = fixed.into_iter().filter_map(|(key, weight)| Some((key.to_owned(), weight?)));
        for (key, weight) in fixed.chain(weights) {
            if !weight.is_finite() {
                return Err(format!("`{key}` is {weight}, but must be a finite number"));
            }
        }
        if self.format != 0.0 && self.format_when == Condition::Always && self.format >= self.correct {
            return Err(format!(
                "`reward.format` is {}, but must be less than `reward.correct` ({}), or the form alone pays as much as \
                 a right answer; or set `reward.format_when = \"correct\"`",
                self.format, self.correct
            ));
        }
        let mut names = vec!["correct", "format", "length", "overlong"];
        for (i, part) in self.parts.iter().enumerate() {
            if names.contains(&part.label()) {
                return Err(format!(
                    "`reward.parts[{i}]` is called `{}` like another part; give it a `name`",
                    part.label()
                ));
            }
            names.push(part.label());
        }
        if let Some(length) = &self.length {
            length.shape.check().map_err(|why| format!("`reward.length.shape`: {why}"))?;
        }
        match &self.overlong {
            Some(overlong) if overlong.buffer == 0 => {
                Err("`reward.overlong.buffer` is 0, but must be at least 1".into())
            }
            _ => Ok(()),
        }
    }
}

/// What is known of a rollout when it is paid.
#[derive(Clone, Copy, Debug)]
pub struct Findings<'a> {
    /// What the task's own verifier found.
    pub verdict: &'a Verdict,
    /// What the verifiers of [`RewardConfig::parts`] found, in their order.
    pub parts: &'a [Verdict],
    /// How long it is.
    pub length: Length,
}

/// What a rollout is paid.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reward {
    /// The weighted sum.
    pub total: f64,
    /// The score of the task's own verifier, 0 wrong to 1 right.
    pub outcome: f64,
    /// The parts that apply, by name.
    pub parts: Vec<Part>,
}

/// One summand of a reward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// `correct`, `format`, `length`, `overlong`, or the name of one of [`RewardConfig::parts`].
    pub name: String,
    /// Its weight.
    pub weight: f64,
    /// Its value before weighting.
    pub value: f64,
}

impl Reward {
    /// Computes the rewards of the rollouts of one prompt.
    ///
    /// A rollout has none if its own verifier did not judge it, or if that of a part could not: what is missing is never
    /// the same as 0. A verifier that abstains leaves its part out.
    ///
    /// # Panics
    ///
    /// If a rollout does not bring a verdict for each part, which is a mistake of the caller.
    pub fn of_group(group: &[Findings<'_>], config: &RewardConfig) -> Vec<Option<Self>> {
        let lengths: Vec<usize> = group.iter().map(|findings| findings.length.n_tokens).collect();
        group.iter().map(|findings| Self::of(findings, &lengths, config)).collect()
    }

    fn of(findings: &Findings<'_>, group_lengths: &[usize], config: &RewardConfig) -> Option<Self> {
        let outcome = f64::from(findings.verdict.score()?);
        let mut parts = vec![];
        let mut add = |name: &str, weight, when: Condition, value| {
            let value = if when.holds(findings) { value } else { 0.0 };
            parts.push(Part { name: name.to_owned(), weight, value });
        };
        add("correct", config.correct, config.correct_when, outcome);
        if config.format != 0.0 {
            let well_formed = findings.verdict.is_well_formed().unwrap_or(false);
            add("format", config.format, config.format_when, f64::from(u8::from(well_formed)));
        }
        assert_eq!(findings.parts.len(), config.parts.len(), "there is a verdict for every part");
        for (part, verdict) in config.parts.iter().zip(findings.parts) {
            match verdict {
                Verdict::Judged { score, .. } => add(part.label(), part.weight, part.when, f64::from(*score)),
                Verdict::Abstained => {}
                Verdict::Unjudged { .. } => return None,
            }
        }
        if let Some(LengthConfig { weight, shape, when }) = &config.length {
            add("length", *weight, *when, shape.value(findings.length, group_lengths, outcome >= 1.0));
        }
        if let Some(overlong) = &config.overlong {
            add("overlong", overlong.weight, Condition::Always, overlong.value(findings.length));
        }
        let total = parts.iter().map(|part| part.weight * part.value).sum();
        Some(Self { total, outcome, parts })
    }
}

impl Condition {
    fn holds(self, findings: &Findings<'_>) -> bool {
        let is_right = findings.verdict.score().is_some_and(|score| score >= 1.0);
        match self {
            Self::Always => true,
            Self::Correct => is_right,
            Self::Wrong => !is_right,
            Self::WellFormed => findings.verdict.is_well_formed().unwrap_or(false),
            Self::Finished => !findings.length.truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Length = Length { n_tokens: 5, limit: 100, truncated: false };

    /// The reward of a single rollout: its total, its outcome and its parts.
    #[track_caller]
    fn check(verdict: &Verdict, parts: &[Verdict], length: Length, config: &RewardConfig, total: f64) -> Reward {
        config.check().unwrap();
        let rewards = Reward::of_group(&[Findings { verdict, parts, length }], config);
        let reward = rewards.into_iter().next().flatten().expect("a reward");
        assert!((reward.total - total).abs() < 1e-12, "{reward:?}");
        reward
    }

    fn part(weight: f64, when: Condition) -> PartConfig {
        PartConfig { verifier: "regex".to_owned(), name: String::new(), weight, when, spec: None }
    }

    #[test]
    fn parts_are_weighted_and_the_outcome_stays_apart() {
        let config = RewardConfig { format: 0.1, ..RewardConfig::default() };
        assert!((check(&Verdict::correct(), &[], SHORT, &config, 1.1).outcome - 1.0).abs() < 1e-12);
        assert!(check(&Verdict::wrong("wrong_value"), &[], SHORT, &config, 0.1).outcome.abs() < 1e-12);
        check(&Verdict::wrong("no_answer"), &[], SHORT, &config, 0.0);
        check(&Verdict::judged(0.25, "partial"), &[], SHORT, &RewardConfig::default(), 0.25);
    }

    #[test]
    fn gates_open_for_those_they_name() {
        let only_if = |when| RewardConfig { format: 0.5, format_when: when, ..RewardConfig::default() };
        let (right, wrong) = (Verdict::correct(), Verdict::wrong("wrong_value"));
        check(&right, &[], SHORT, &only_if(Condition::Correct), 1.5);
        check(&wrong, &[], SHORT, &only_if(Condition::Correct), 0.0);
        check(&right, &[], SHORT, &only_if(Condition::Wrong), 1.0);
        check(&wrong, &[], SHORT, &only_if(Condition::Wrong), 0.5);
        let cut = Length { truncated: true, ..SHORT };
        check(&right, &[], cut, &only_if(Condition::Finished), 1.0);
        check(&right, &[], SHORT, &only_if(Condition::Finished), 1.5);

        let product = RewardConfig { correct_when: Condition::WellFormed, ..RewardConfig::default() };
        check(&Verdict::judged(0.5, "unparsable"), &[], SHORT, &product, 0.0);
        check(&Verdict::judged(0.5, "partial"), &[], SHORT, &product, 0.5);
    }

    #[test]
    fn further_verifiers_pay_abstain_or_withhold_the_reward() {
        let config = RewardConfig { parts: vec![part(0.2, Condition::Always)], ..RewardConfig::default() };
        let reward = check(&Verdict::correct(), &[Verdict::judged(0.5, "half")], SHORT, &config, 1.1);
        assert_eq!(reward.parts[1], Part { name: "regex".to_owned(), weight: 0.2, value: 0.5 });
        assert_eq!(check(&Verdict::correct(), &[Verdict::Abstained], SHORT, &config, 1.0).parts.len(), 1);
        let verdict = Verdict::correct();
        let down = [Verdict::unjudged("down")];
        assert_eq!(Reward::of_group(&[Findings { verdict: &verdict, parts: &down, length: SHORT }], &config), [None]);
        let gated = RewardConfig { parts: vec![part(0.2, Condition::Correct)], ..RewardConfig::default() };
        check(&Verdict::wrong("wrong_value"), &[Verdict::correct()], SHORT, &gated, 0.0);
    }

    #[test]
    fn unjudged_is_no_reward() {
        for verdict in [Verdict::unjudged("down"), Verdict::Abstained] {
            let findings = Findings { verdict: &verdict, parts: &[], length: SHORT };
            assert_eq!(Reward::of_group(&[findings], &RewardConfig::default()), [None]);
        }
    }

    #[test]
    fn refusals() {
        let check = |config: RewardConfig, expected: &str| assert_eq!(config.check(), Err(expected.to_owned()));
        check(
            RewardConfig { correct: f64::NAN, ..RewardConfig::default() },
            "`reward.correct` is NaN, but must be a finite number",
        );
        check(
            RewardConfig { format: 1.0, ..RewardConfig::default() },
            "`reward.format` is 1, but must be less than `reward.correct` (1), or the form alone pays as much as a right \
             answer; or set `reward.format_when = \"correct\"`",
        );
        let twice = vec![part(0.1, Condition::Always), part(0.2, Condition::Always)];
        check(
            RewardConfig { parts: twice, ..RewardConfig::default() },
            "`reward.parts[1]` is called `regex` like another part; give it a `name`",
        );
        let zero = Some(Overlong { weight: 1.0, buffer: 0 });
        check(
            RewardConfig { overlong: zero, ..RewardConfig::default() },
            "`reward.overlong.buffer` is 0, but must be at least 1",
        );
    }
}

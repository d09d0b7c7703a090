//! One sample of an evaluation, and the problems that samples make.

use std::collections::BTreeMap;

use rlvr_curves::estimate::Votes;
use rlvr_curves::evaluation::Problem;
use rlvr_policy::Architecture;
use rlvr_rollouts::{Group, Rollout, Stop, Thinking};
use rlvr_verifiers::{Task, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One sample of an evaluation, a line of `evals/step_NNNNNN.jsonl` or of `NAME.samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalSample {
    /// The set, which is the source of the task.
    pub set: String,
    /// The task.
    pub task_id: String,
    /// How thinking was bounded; empty if it was not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Which sample of the task.
    pub sample: usize,
    /// What was asked; with the first sample of a task alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The reference answer, where the task has one; with the first sample alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What the policy wrote.
    pub completion: String,
    /// Tokens of the prompt.
    #[serde(default)]
    pub n_prompt: usize,
    /// Tokens of the completion.
    pub n_tokens: usize,
    /// Why it ended.
    pub stop: Stop,
    /// The verifier's score; none if nothing was judged.
    pub score: Option<f32>,
    /// The score by the strict extractors, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<f64>,
    /// The score by the lenient extractors, where there is one.
    pub lenient: Option<f64>,
    /// The finding.
    pub finding: String,
    /// The answer as it was found, where the verifier says.
    pub answer: Option<String>,
    /// The answer that this one is equal to by the verifier's own judgement, if it is not the first of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// The scores of verifiers that pick; none where one could not judge.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, Option<f32>>,
    /// Operations of the prompt, which the samples of a problem share.
    #[serde(default)]
    pub flops_prompt: f64,
    /// Operations of the completion after it.
    #[serde(default)]
    pub flops: f64,
    /// What became of its thinking, if that was bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
}

impl EvalSample {
    /// Whether the verifier's own judgement is full marks.
    pub fn is_right(&self) -> bool {
        self.score.is_some_and(|score| score >= 1.0)
    }

    /// The answer that it votes for.
    pub fn vote(&self) -> Option<&str> {
        self.same_as.as_deref().or(self.answer.as_deref())
    }
}

/// Writes down the samples of a group.
pub fn of_group(group: &Group, architecture: &Architecture) -> Vec<EvalSample> {
    let prompt = group.prompt.len();
    let flops_prompt = architecture.forward_flops(prompt);
    let sample = |(index, rollout): (usize, &Rollout)| EvalSample {
        n_prompt: prompt,
        flops_prompt,
        flops: architecture.forward_flops(prompt + rollout.completion.ids.len()) - flops_prompt,
        ..of_rollout(&group.task, index, rollout)
    };
    group.rollouts.iter().enumerate().map(sample).collect()
}

fn of_rollout(task: &Task, index: usize, rollout: &Rollout) -> EvalSample {
    let detail = |key: &str| match &rollout.verdict {
        Verdict::Judged { detail, .. } => detail.get(key).cloned(),
        Verdict::Unjudged { .. } | Verdict::Abstained => None,
    };
    let scores = rollout.part_verdicts.iter().map(|(name, verdict)| (name.clone(), verdict.score()));
    EvalSample {
        set: if task.source.is_empty() { "tasks".to_owned() } else { task.source.clone() },
        task_id: task.id.clone(),
        variant: String::new(),
        sample: index,
        prompt: (index == 0).then(|| task.prompt.to_plain_text()),
        reference: task.reference.clone().filter(|_| index == 0),
        completion: rollout.completion.text.clone(),
        n_prompt: 0,
        n_tokens: rollout.completion.ids.len(),
        stop: rollout.completion.stop,
        score: rollout.verdict.score(),
        strict: detail("strict").as_ref().and_then(Value::as_f64),
        lenient: detail("lenient").as_ref().and_then(Value::as_f64),
        finding: rollout.verdict.finding().to_owned(),
        answer: detail("answer").as_ref().and_then(Value::as_str).map(str::to_owned),
        same_as: None,
        scores: scores.collect(),
        flops_prompt: 0.0,
        flops: 0.0,
        thinking: None,
    }
}

/// Gathers samples, those of a problem one after another, into problems.
pub fn problems(samples: &[EvalSample]) -> Vec<Problem> {
    let is_same = |a: &EvalSample, b: &EvalSample| {
        (&a.variant, &a.set, &a.task_id) == (&b.variant, &b.set, &b.task_id) && a.sample < b.sample
    };
    samples.chunk_by(is_same).map(problem).collect()
}

fn problem(samples: &[EvalSample]) -> Problem {
    let judged: Vec<&EvalSample> = samples.iter().filter(|sample| sample.score.is_some()).collect();
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
    // A mean over some samples only would say something else.
    let mean_of_all = |of: &dyn Fn(&EvalSample) -> Option<f64>| {
        let values: Option<Vec<f64>> = judged.iter().map(|sample| of(sample)).collect();
        values.filter(|values| !values.is_empty()).map(mean)
    };
    let score_by = |name: &String| -> Vec<f64> {
        let score = |sample: &&EvalSample| sample.scores.get(name).copied().flatten().map_or(-1.0, f64::from);
        judged.iter().map(score).collect()
    };
    let first = &samples[0];
    Problem {
        set: first.set.clone(),
        task_id: first.task_id.clone(),
        variant: first.variant.clone(),
        n_unjudged: (samples.len() - judged.len()) as u64,
        right: judged.iter().map(|sample| sample.is_right()).collect(),
        score: mean(judged.iter().filter_map(|sample| sample.score).map(f64::from).collect()),
        strict: mean_of_all(&|sample| sample.strict),
        lenient: mean_of_all(&|sample| sample.lenient),
        votes: Votes::count(judged.iter().map(|sample| (sample.vote(), sample.is_right()))),
        scores: first.scores.keys().map(|name| (name.clone(), score_by(name))).collect(),
        n_prompt: first.n_prompt as u64,
        n_tokens: judged.iter().map(|sample| sample.n_tokens as u64).sum(),
        n_truncated: judged.iter().filter(|sample| sample.stop == Stop::Length).count() as u64,
        n_forced: judged.iter().filter(|sample| sample.thinking.is_some_and(|t| t.forced)).count() as u64,
        flops_prompt: first.flops_prompt,
        flops_samples: judged.iter().map(|sample| sample.flops).sum(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A judged sample of four tokens.
    pub(in crate::evaluate) fn sample(task: &str, index: usize, score: Option<f32>, answer: &str) -> EvalSample {
        EvalSample {
            set: "s".to_owned(),
            task_id: task.to_owned(),
            variant: String::new(),
            sample: index,
            prompt: None,
            reference: None,
            completion: String::new(),
            n_prompt: 3,
            n_tokens: 4,
            stop: Stop::Eos,
            score,
            strict: None,
            lenient: Some(1.0),
            finding: String::new(),
            answer: Some(answer.to_owned()),
            same_as: None,
            scores: BTreeMap::new(),
            flops_prompt: 10.0,
            flops: 7.0,
            thinking: None,
        }
    }

    #[test]
    fn samples_make_problems() {
        let mut samples = vec![
            sample("a", 0, Some(1.0), "1"),
            sample("a", 1, Some(0.0), "2"),
            sample("a", 2, None, "?"),
            sample("b", 0, Some(0.0), "0.5"),
            sample("b", 1, Some(0.0), "1/2"),
        ];
        samples[4].same_as = Some("0.5".to_owned());
        samples[3].scores.insert("judge".to_owned(), None);
        samples[4].scores.insert("judge".to_owned(), Some(0.5));
        let found = problems(&samples);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].right.as_slice(), found[0].n_unjudged, found[0].score), (&[true, false][..], 1, 0.5));
        assert_eq!((found[0].n_tokens, found[0].flops_prompt, found[0].flops_samples), (8, 10.0, 14.0));
        assert_eq!(found[1].votes, Votes { right: 0, wrong: vec![2], abstentions: 0 });
        assert_eq!(found[1].scores["judge"], [-1.0, 0.5]);
        assert_eq!((found[1].lenient, found[1].strict), (Some(1.0), None));
    }

    #[test]
    fn a_sample_survives_being_written_down() {
        let mut before = sample("a", 0, Some(0.1), "1");
        before.flops = 0.1 + 0.2;
        before.thinking = Some(Thinking { n_tokens: 5, forced: true, ..Thinking::default() });
        let after: EvalSample = serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
        assert_eq!(before, after);
    }
}

//! Supervised training: learning to continue prompts with given completions.
//!
//! The loss is the mean negative log-probability over the completion tokens of a step. It is used before reinforcement
//! learning, so that some rollouts are right, and by itself.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rlvr_policy::logprob::ScoreGradient;
use rlvr_policy::{Batch, PromptGroup};
use rlvr_rollouts::Tokenizer;
use rlvr_rollouts::tokenizer::SpecialTokens;
use rlvr_verifiers::random::Random;
use rlvr_verifiers::{Message, Prompt, Task};
use serde::Deserialize;

use crate::learner::Learner;
use crate::micro_batch::{GroupLengths, micro_batches};
use crate::optimizer::{AdamW, OptimizerConfig, UpdateStats};

/// A prompt with the completion to be learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The ids of the prompt.
    pub prompt: Vec<u32>,
    /// The ids to be learnt, the end token last.
    pub completion: Vec<u32>,
}

/// Makes the examples of tasks with worked answers.
///
/// # Errors
///
/// If a task has no worked answer, or its prompt cannot be rendered.
pub fn of_tasks(tasks: &[Task], tokenizer: &Tokenizer) -> anyhow::Result<Vec<Example>> {
    let example = |task: &Task| -> anyhow::Result<Example> {
        let solution = task.solution.as_ref().with_context(|| {
            format!(
                "task `{}` has no `solution` to learn from; name `solution_field`, or list `[[warm_start.data]]`",
                task.id
            )
        })?;
        Ok(Example { prompt: tokenizer.prompt(task)?, completion: ending(solution, tokenizer) })
    };
    tasks.iter().map(example).collect()
}

/// Encodes what is to be said, with the end token.
fn ending(text: &str, tokenizer: &Tokenizer) -> Vec<u32> {
    let mut ids = tokenizer.encode(text, SpecialTokens::Omit);
    ids.extend(tokenizer.end_id());
    ids
}

/// A line of a file of chats.
#[derive(Deserialize)]
struct ChatLine {
    messages: Vec<Message>,
}

/// Makes the examples of a file of chats: one for everything that the assistant says.
///
/// # Errors
///
/// Names the line that holds no chat, or one without an assistant.
pub fn of_chats(path: &Path, tokenizer: &Tokenizer) -> anyhow::Result<Vec<Example>> {
    let mut examples = vec![];
    for (line, number) in lines(path)?.iter().zip(1..) {
        let place = || format!("chats `{}`, line {number}", path.display());
        let chat: ChatLine = serde_json::from_str(line)
            .with_context(|| format!("{}: expected an object with a list of `messages`", place()))?;
        let before = examples.len();
        for (i, message) in chat.messages.iter().enumerate().filter(|(_, message)| message.role == "assistant") {
            let task = Task::new(place(), Prompt::Chat(chat.messages[..i].to_vec()), "");
            examples
                .push(Example { prompt: tokenizer.prompt(&task)?, completion: ending(&message.content, tokenizer) });
        }
        if examples.len() == before {
            bail!("{}: nobody has the role `assistant`, so there is nothing to learn", place());
        }
    }
    Ok(examples)
}

/// The parts of a recorded rollout that are learnt from.
#[derive(Deserialize)]
struct RolloutLine {
    prompt_ids: Vec<u32>,
    ids: Vec<u32>,
    outcome: Option<f64>,
}

/// Makes the examples of a run's rollouts: those that were right.
///
/// # Errors
///
/// If the folder holds no rollouts, or none that was right.
pub fn of_run(run: &Path) -> anyhow::Result<Vec<Example>> {
    let folder = run.join("rollouts");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("`{}` cannot be read; name a run folder", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    paths.sort();
    let mut examples = vec![];
    for path in paths {
        for (line, number) in lines(&path)?.iter().zip(1..) {
            let rollout: RolloutLine = serde_json::from_str(line)
                .with_context(|| format!("rollouts `{}`, line {number}: not a rollout", path.display()))?;
            if rollout.outcome.is_some_and(|outcome| outcome >= 1.0) {
                examples.push(Example { prompt: rollout.prompt_ids, completion: rollout.ids });
            }
        }
    }
    if examples.is_empty() {
        bail!("run `{}`: no recorded rollout is right, so there is nothing to learn", run.display());
    }
    Ok(examples)
}

fn lines(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
}

/// Sets the stream of example orders apart from all others of a run.
const STREAM: u64 = 0x7366_7400;

/// Returns the examples of a step, counted from 1: passes through all of them, each in a random order of its own.
pub fn batch(seed: u64, step: u64, n: usize, total: usize) -> Vec<usize> {
    let first = (step - 1) * n as u64;
    let mut order: Vec<usize> = vec![];
    let mut epoch = None;
    (first..first + n as u64)
        .map(|position| {
            let now = position / total as u64;
            if epoch != Some(now) {
                order = (0..total).collect();
                Random::keyed([seed, STREAM, now, 0]).shuffle(&mut order);
                epoch = Some(now);
            }
            order[(position % total as u64) as usize]
        })
        .collect()
}

/// What a step of supervised training did.
#[derive(Clone, Copy, Debug)]
pub struct SftOutcome {
    /// Mean negative log-probability of the completion tokens, in nats.
    pub loss: f64,
    /// The update; none if it was left out because a gradient was not finite.
    pub update: Option<UpdateStats>,
    /// Operations of the forward and backward passes.
    pub flops: f64,
    /// Completion tokens.
    pub n_tokens: u64,
}

/// Updates the weights once by the examples.
pub fn update(
    learner: &Learner,
    optimizer: &mut AdamW,
    examples: &[&Example],
    config: &OptimizerConfig,
    lr: f64,
) -> SftOutcome {
    let lengths: Vec<GroupLengths> = examples
        .iter()
        .map(|example| GroupLengths { prompt: example.prompt.len(), completions: vec![example.completion.len()] })
        .collect();
    let n_tokens: usize = examples.iter().map(|example| example.completion.len()).sum();
    let weight = 1.0 / n_tokens as f64;
    let mut loss = 0.0;
    optimizer.zero_gradients();
    for slices in micro_batches(&lengths, config.tokens_per_micro_batch) {
        let groups: Vec<PromptGroup<'_>> = slices
            .iter()
            .map(|slice| {
                let example = examples[slice.group];
                PromptGroup { prompt: &example.prompt, completions: vec![&example.completion] }
            })
            .collect();
        let trainee = learner.trainee(config.activations());
        let batch = Batch::new(&groups, trainee.device());
        let scored = trainee.score_for_training(&batch, 1.0);
        loss -= scored.scores.logp.sum(tch::Kind::Double).double_value(&[]) * weight;
        let gradient = scored.scores.logp.ones_like() * -weight;
        scored.backward(&ScoreGradient { logp: gradient, entropy: None });
    }
    let architecture = learner.architecture();
    let flops = lengths.iter().map(|g| 3.0 * architecture.forward_flops(g.prompt + g.completions[0])).sum();
    SftOutcome { loss, update: optimizer.step(config, lr), flops, n_tokens: n_tokens as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pass_sees_every_example_once() {
        let seen: Vec<usize> = (1..=5).flat_map(|step| batch(7, step, 4, 10)).collect();
        for pass in seen.chunks(10) {
            let mut pass = pass.to_vec();
            pass.sort_unstable();
            assert_eq!(pass, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(seen[..10], seen[10..]);
    }

    #[test]
    fn a_worked_answer_ends_in_the_end_token() {
        let tokenizer = Tokenizer::characters("0123456789+").unwrap();
        let mut task = Task::new("t", "1+1", "exact");
        assert!(of_tasks(std::slice::from_ref(&task), &tokenizer).is_err());
        task.solution = Some("2".to_owned());
        let example = &of_tasks(&[task], &tokenizer).unwrap()[0];
        assert_eq!(tokenizer.decode(&example.completion), "2");
        assert_eq!(example.completion.last().copied(), tokenizer.end_id());
    }

    #[test]
    fn refused_chats_name_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        std::fs::write(&path, "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n").unwrap();
        let error = of_chats(&path, &Tokenizer::bytes()).unwrap_err().to_string();
        assert!(error.ends_with("line 1: nobody has the role `assistant`, so there is nothing to learn"), "{error}");
    }
}

//! From tasks to judged groups: prompts, completions, verdicts, rewards.
//!
//! Training and evaluation both collect; they differ in settings only.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use rlvr_policy::Transformer;
use rlvr_verifiers::panel::Question;
use rlvr_verifiers::reward::{Findings, Length};
use rlvr_verifiers::{Attempt, Interventions, Judged, Panel, Reward, RewardConfig, Task, Verdict};
use tracing::{Dispatch, dispatcher};

use crate::budget::{ThinkBudget, Thinker, Thinking};
use crate::engine::{Engine, GenerationLimits, Request};
use crate::error::RolloutError;
use crate::noise::Noise;
use crate::rollout::{Completion, Group, Rollout, Stop};
use crate::sampler::Sampling;
use crate::tokenizer::Tokenizer;

/// What it takes to collect.
#[derive(Clone, Copy, Debug)]
pub struct Collector<'a> {
    /// Who answers.
    pub transformer: &'a Transformer,
    /// Text to ids and back.
    pub tokenizer: &'a Tokenizer,
    /// Who judges.
    pub panel: &'a Panel,
    /// What is paid.
    pub reward: &'a RewardConfig,
    /// How tokens are drawn.
    pub sampling: &'a Sampling,
    /// When completions end.
    pub limits: &'a GenerationLimits,
}

/// Groups, with the seconds that they took.
#[derive(Debug)]
pub struct Collected {
    /// A group for each task, in order.
    pub groups: Vec<Group>,
    /// Seconds spent on prompts and completions.
    pub generate_s: f64,
    /// Seconds spent waiting for verdicts.
    pub verify_s: f64,
    /// How often verifiers had to help themselves meanwhile.
    pub interventions: BTreeMap<String, Interventions>,
}

impl Collector<'_> {
    /// Samples `n` completions of every task and has them judged.
    ///
    /// `progress` is told how many tokens were added, time and again.
    ///
    /// # Errors
    ///
    /// If a prompt cannot be rendered or does not fit.
    pub fn collect(
        &self,
        tasks: &[&Task],
        n: usize,
        noise: Noise,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Collected, RolloutError> {
        let start = Instant::now();
        let prompts = tasks.iter().map(|task| self.tokenizer.prompt(task)).collect::<Result<Vec<_>, _>>()?;
        let requests: Vec<Request<'_>> =
            tasks.iter().zip(&prompts).map(|(task, prompt)| Request { id: &task.id, prompt, n }).collect();
        let engine = Engine::new(self.transformer, self.tokenizer, self.sampling, self.limits)?;
        let before = self.panel.interventions();
        // A group is judged as soon as it is there, while others are still being sampled.
        let (generate_s, judged) = std::thread::scope(|scope| {
            let (finished, arriving) = mpsc::channel();
            let judge = self.judge();
            let tracer = dispatcher::get_default(Dispatch::clone); // who is told of spans is a matter of each thread
            let judging = scope.spawn(move || dispatcher::with_default(&tracer, || judge.arriving(tasks, &arriving)));
            let generated = engine.generate_each(&requests, noise, progress, &mut |task, completions| {
                // Where the judge has ended, it has panicked, which joining it tells.
                let _ = finished.send((task, completions));
            });
            drop(finished);
            let generate_s = start.elapsed().as_secs_f64();
            let judged = judging.join().unwrap_or_else(|panic| resume_unwind(panic));
            generated.map(|()| (generate_s, judged))
        })?;
        let verify_s = start.elapsed().as_secs_f64() - generate_s;
        let interventions = since(&before, &self.panel.interventions());
        Ok(Collected { groups: groups(tasks, prompts, judged), generate_s, verify_s, interventions })
    }

    /// The same with bounded thinking: groups, and what became of the thinking of each completion.
    ///
    /// # Errors
    ///
    /// If a prompt cannot be rendered, or leaves no room for thinking and answer.
    pub fn collect_thinking(
        &self,
        tasks: &[&Task],
        n: usize,
        (noise, budget): (Noise, &ThinkBudget),
        progress: &mut dyn FnMut(usize),
    ) -> Result<(Collected, Vec<Vec<Thinking>>), RolloutError> {
        let start = Instant::now();
        let Self { transformer, tokenizer, sampling, limits, .. } = *self;
        let prompts = tasks.iter().map(|task| tokenizer.prompt(task)).collect::<Result<Vec<_>, _>>()?;
        let requests: Vec<Request<'_>> =
            tasks.iter().zip(&prompts).map(|(task, prompt)| Request { id: &task.id, prompt, n }).collect();
        let thinker = Thinker { transformer, tokenizer, sampling, limits, budget };
        let thoughts = thinker.generate(&requests, noise, progress)?;
        let generate_s = start.elapsed().as_secs_f64();
        let (completions, thinking): (Vec<Vec<Completion>>, Vec<Vec<Thinking>>) = thoughts
            .into_iter()
            .map(|group| group.into_iter().map(|thought| (thought.completion, thought.thinking)).unzip())
            .unzip();
        let (groups, verify_s, interventions) = self.judged(tasks, prompts, completions);
        Ok((Collected { groups, generate_s, verify_s, interventions }, thinking))
    }

    fn judge(&self) -> Judge<'_> {
        Judge { panel: self.panel, reward: self.reward, max_new_tokens: self.limits.max_new_tokens }
    }

    /// Has completions judged and makes groups of them; returns the seconds and the interventions too.
    fn judged(
        &self,
        tasks: &[&Task],
        prompts: Vec<Vec<u32>>,
        completions: Vec<Vec<Completion>>,
    ) -> (Vec<Group>, f64, BTreeMap<String, Interventions>) {
        let start = Instant::now();
        let before = self.panel.interventions();
        let rollouts = self.judge().rollouts(tasks, completions);
        let interventions = since(&before, &self.panel.interventions());
        (groups(tasks, prompts, rollouts), start.elapsed().as_secs_f64(), interventions)
    }
}

/// Who judges completions, on any thread.
#[derive(Clone, Copy)]
struct Judge<'a> {
    panel: &'a Panel,
    reward: &'a RewardConfig,
    max_new_tokens: usize,
}

impl Judge<'_> {
    /// Judges groups until no more arrive; returns the rollouts of each task.
    ///
    /// Whatever has arrived meanwhile is judged together.
    fn arriving(&self, tasks: &[&Task], groups: &Receiver<(usize, Vec<Completion>)>) -> Vec<Vec<Rollout>> {
        let mut all: Vec<Vec<Rollout>> = tasks.iter().map(|_| vec![]).collect();
        while let Ok(first) = groups.recv() {
            let (indices, completions): (Vec<usize>, Vec<Vec<Completion>>) =
                std::iter::once(first).chain(groups.try_iter()).unzip();
            let of_batch: Vec<&Task> = indices.iter().map(|&i| tasks[i]).collect();
            let rollouts = self.rollouts(&of_batch, completions);
            indices.into_iter().zip(rollouts).for_each(|(i, rollouts)| all[i] = rollouts);
        }
        all
    }

    /// Has the completions of each task judged.
    fn rollouts(&self, tasks: &[&Task], completions: Vec<Vec<Completion>>) -> Vec<Vec<Rollout>> {
        let n_completions = completions.iter().map(Vec::len).sum::<usize>();
        let _span = tracing::info_span!("verify", completions = n_completions).entered();
        let mut judged = self.judge(tasks, &completions).into_iter();
        let of_task = |completions: Vec<Completion>| {
            let judged = judged.by_ref().take(completions.len()).collect();
            self.pay(completions, judged)
        };
        completions.into_iter().map(of_task).collect()
    }

    /// Has every completion judged by its task's verifier and by those of further parts, in this order.
    fn judge(&self, tasks: &[&Task], completions: &[Vec<Completion>]) -> Vec<Vec<Judged>> {
        let views: Vec<Vec<Cow<'_, Task>>> =
            tasks.iter().map(|task| self.reward.parts.iter().map(|part| part.view(task)).collect()).collect();
        let mut questions: Vec<Question<'_>> = vec![];
        for ((task, views), completions) in tasks.iter().zip(&views).zip(completions) {
            for completion in completions {
                let attempt = Attempt { task, completion: &completion.text, finished: completion.stop != Stop::Length };
                questions.push((&task.verifier, attempt));
                for (part, view) in self.reward.parts.iter().zip(views) {
                    questions.push((&part.verifier, Attempt { task: view, ..attempt }));
                }
            }
        }
        self.panel.answer(&questions).chunks(1 + self.reward.parts.len()).map(<[Judged]>::to_vec).collect()
    }

    /// Makes the rollouts of one prompt out of completions and verdicts.
    fn pay(&self, completions: Vec<Completion>, judged: Vec<Vec<Judged>>) -> Vec<Rollout> {
        let verdicts: Vec<Vec<Verdict>> =
            judged.iter().map(|judged| judged.iter().map(|judged| judged.verdict.clone()).collect()).collect();
        let findings: Vec<Findings<'_>> = completions
            .iter()
            .zip(&verdicts)
            .map(|(completion, verdicts)| Findings {
                verdict: &verdicts[0],
                parts: &verdicts[1..],
                length: Length {
                    n_tokens: completion.ids.len(),
                    limit: self.max_new_tokens,
                    truncated: completion.stop == Stop::Length,
                },
            })
            .collect();
        let rewards = Reward::of_group(&findings, self.reward);
        let names = || self.reward.parts.iter().map(|part| part.label().to_owned());
        let rollout = |((completion, judged), reward): ((Completion, Vec<Judged>), Option<Reward>)| {
            let verify_s = judged.iter().map(|judged| judged.verify_s).sum();
            let is_repeat = judged.iter().all(|judged| judged.is_repeat);
            let mut verdicts = judged.into_iter().map(|judged| judged.verdict);
            let verdict = verdicts.next().expect("the task's own verifier comes first");
            Rollout { completion, verdict, part_verdicts: names().zip(verdicts).collect(), reward, verify_s, is_repeat }
        };
        completions.into_iter().zip(judged).zip(rewards).map(rollout).collect()
    }
}

/// Joins tasks with their prompts and rollouts.
fn groups(tasks: &[&Task], prompts: Vec<Vec<u32>>, rollouts: Vec<Vec<Rollout>>) -> Vec<Group> {
    let parts = tasks.iter().zip(prompts).zip(rollouts);
    parts.map(|((task, prompt), rollouts)| Group { task: (*task).clone(), prompt, rollouts }).collect()
}

/// What happened between two counts.
fn since(
    before: &BTreeMap<&str, Interventions>,
    after: &BTreeMap<&str, Interventions>,
) -> BTreeMap<String, Interventions> {
    let difference = |(&name, after): (&&str, &Interventions)| {
        let before = before.get(name).copied().unwrap_or_default();
        let interventions =
            Interventions { restarts: after.restarts - before.restarts, killed: after.killed - before.killed };
        (name.to_owned(), interventions)
    };
    after.iter().map(difference).collect()
}

//! From tasks to judged groups: prompts, completions, verdicts, rewards.
//!
//! Training and evaluation both collect; they differ in settings only.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

use rlvr_policy::Transformer;
use rlvr_verifiers::panel::Question;
use rlvr_verifiers::reward::{Findings, Length};
use rlvr_verifiers::{Attempt, Interventions, Judged, Panel, Reward, RewardConfig, Task, Verdict};

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
        let completions = engine.generate(&requests, noise, progress)?;
        let generate_s = start.elapsed().as_secs_f64();

        let (groups, verify_s, interventions) = self.judged(tasks, prompts, completions);
        Ok(Collected { groups, generate_s, verify_s, interventions })
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

    /// Has completions judged and makes groups of them; returns the seconds and the interventions too.
    fn judged(
        &self,
        tasks: &[&Task],
        prompts: Vec<Vec<u32>>,
        completions: Vec<Vec<Completion>>,
    ) -> (Vec<Group>, f64, BTreeMap<String, Interventions>) {
        let start = Instant::now();
        let before = self.panel.interventions();
        let span = tracing::info_span!("verify", completions = completions.iter().map(Vec::len).sum::<usize>());
        let mut judged = span.in_scope(|| self.judge(tasks, &completions)).into_iter();
        let interventions = since(&before, &self.panel.interventions());
        let verify_s = start.elapsed().as_secs_f64();
        let groups = tasks.iter().zip(prompts).zip(completions).map(|((task, prompt), completions)| {
            let judged = judged.by_ref().take(completions.len()).collect();
            Group { task: (*task).clone(), prompt, rollouts: self.pay(completions, judged) }
        });
        (groups.collect(), verify_s, interventions)
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
                    limit: self.limits.max_new_tokens,
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

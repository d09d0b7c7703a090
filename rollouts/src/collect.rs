//! From tasks to judged groups: prompts, completions, verdicts, rewards.
//!
//! Training and evaluation both collect; they differ in settings only.

use std::time::Instant;

use rlvr_policy::Transformer;
use rlvr_verifiers::reward::Length;
use rlvr_verifiers::{Attempt, Judged, Panel, Reward, RewardConfig, Task};

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

        let start = Instant::now();
        let judged = self.judge(tasks, &completions);
        let verify_s = start.elapsed().as_secs_f64();

        let mut judged = judged.into_iter();
        let groups = tasks.iter().zip(prompts).zip(completions).map(|((task, prompt), completions)| {
            let rollouts = completions.into_iter().map(|completion| {
                let judged = judged.next().expect("there is a verdict for every completion");
                self.rollout(completion, judged)
            });
            Group { task: (*task).clone(), prompt, rollouts: rollouts.collect() }
        });
        Ok(Collected { groups: groups.collect(), generate_s, verify_s })
    }

    fn judge(&self, tasks: &[&Task], completions: &[Vec<Completion>]) -> Vec<Judged> {
        let attempts: Vec<Attempt<'_>> = tasks
            .iter()
            .zip(completions)
            .flat_map(|(task, completions)| {
                completions.iter().map(|completion| Attempt {
                    task,
                    completion: &completion.text,
                    finished: completion.stop != Stop::Length,
                })
            })
            .collect();
        self.panel.judge(&attempts)
    }

    fn rollout(&self, completion: Completion, judged: Judged) -> Rollout {
        let length = Length {
            n_tokens: completion.ids.len(),
            limit: self.limits.max_new_tokens,
            truncated: completion.stop == Stop::Length,
        };
        let reward = Reward::of(&judged.verdict, length, self.reward);
        Rollout { completion, verdict: judged.verdict, reward, verify_s: judged.verify_s }
    }
}

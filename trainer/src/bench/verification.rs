//! Judgements a second, by verifier.

use std::collections::BTreeMap;

use rlvr_verifiers::registry::RegistryError;
use rlvr_verifiers::verifier::Cost;
use rlvr_verifiers::{Attempt, Panel, Registry, Task};
use serde::Serialize;

use super::measure::{Timing, measured};
use super::samples::{Answered, answered, names};
use super::{Bench, BenchError};

/// Speed of a verifier, as a panel asks it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum VerifyFigures {
    /// It was asked.
    Measured(Judging),
    /// It does not run on this machine.
    Absent {
        /// Why.
        why: String,
    },
}

/// What judging came to.
#[derive(Clone, Debug, Serialize)]
pub struct Judging {
    /// Completions, each of a task of its own.
    pub judgements: usize,
    /// Right ones among them.
    pub correct: usize,
    /// Those that could not be judged; 0 unless something is wrong.
    pub unjudged: usize,
    /// Seconds.
    #[serde(flatten)]
    pub timing: Timing,
    /// Judgements a second on all threads.
    pub judgements_per_s: f64,
    /// The largest memory of the process, without those that it starts.
    pub peak_memory_bytes: Option<u64>,
}

/// Completions judged in a round by verifiers that compute here, and by those that start programs.
const N_COMPUTED: usize = 2000;
const N_RUN: usize = 48;

impl Bench<'_> {
    pub(super) fn verify(&self) -> Result<BTreeMap<String, VerifyFigures>, BenchError> {
        let registry = Registry::default();
        names(&registry).into_iter().map(|name| Ok((name.clone(), self.verify_one(&registry, &name)?))).collect()
    }

    fn verify_one(&self, registry: &Registry, name: &str) -> Result<VerifyFigures, BenchError> {
        let verifier = match registry.build(name, &toml::Table::new()) {
            Ok(verifier) => verifier,
            Err(RegistryError::Options { why, .. }) => return Ok(VerifyFigures::Absent { why }),
            Err(error) => return Err(error.into()),
        };
        let n = if verifier.cost() == Cost::Cpu { N_COMPUTED } else { N_RUN };
        let Some(answered) = answered(name, &*verifier, n) else {
            return Ok(VerifyFigures::Absent { why: "there is nothing to ask it".to_owned() });
        };
        drop(verifier);
        let tasks: Vec<Task> = answered.iter().map(|(task, _)| task.clone()).collect();
        let panel = Panel::new(registry, &BTreeMap::new(), &tasks)?;
        Ok(VerifyFigures::Measured(self.judging(&panel, &answered)))
    }

    fn judging(&self, panel: &Panel, answered: &[Answered]) -> Judging {
        let attempts: Vec<Attempt<'_>> =
            answered.iter().map(|(task, completion)| Attempt { task, completion, finished: true }).collect();
        panel.judge(&attempts[..attempts.len().min(16)]); // workers start, specs are parsed
        let (mut rounds_s, mut scores, mut memory) = (vec![], vec![], None);
        for _ in 0..self.settings.repeats {
            let done = measured(self.device, || panel.judge(&attempts));
            scores = done.value.iter().map(|judged| judged.verdict.score()).collect();
            rounds_s.push(done.wall_s);
            memory = memory.max(done.peak_memory_bytes);
        }
        let timing = Timing::of(rounds_s);
        Judging {
            judgements: attempts.len(),
            correct: scores.iter().filter(|&&score| score == Some(1.0)).count(),
            unjudged: scores.iter().filter(|score| score.is_none()).count(),
            judgements_per_s: attempts.len() as f64 / timing.wall_s,
            timing,
            peak_memory_bytes: memory,
        }
    }
}

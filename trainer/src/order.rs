//! Which tasks a step draws.
//!
//! Each epoch is a random order of all tasks, which depends on the seed and the epoch alone. The place in it, and how
//! often each task has been solved, are the whole state.

use std::collections::BTreeMap;

use rlvr_verifiers::random::Random;
use serde::{Deserialize, Serialize};

/// The order of tasks and the place in it.
#[derive(Debug)]
pub struct TaskOrder {
    seed: u64,
    ids: Vec<String>,
    retire_at: Option<f64>,
    order: Vec<usize>,
    state: OrderState,
}

/// What a checkpoint holds of the order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderState {
    /// The pass through all tasks, from 0.
    pub epoch: u64,
    /// Tasks of it that have been drawn.
    pub cursor: usize,
    /// For each task drawn, the sum of its outcomes and their number.
    pub history: BTreeMap<String, (f64, u64)>,
}

/// Sets the stream of task orders apart from all others of a run.
const STREAM: u64 = 0x6f72_6465_7200;

impl TaskOrder {
    /// Makes the order of the tasks with these ids, at the place that `state` says.
    pub fn new(seed: u64, ids: Vec<String>, retire_at: Option<f64>, state: OrderState) -> Self {
        let order = permutation(seed, state.epoch, ids.len());
        Self { seed, ids, retire_at, order, state }
    }

    /// Returns the state for a checkpoint.
    pub fn state(&self) -> &OrderState {
        &self.state
    }

    /// Draws the next `n` tasks, all different and none of `except`; fewer if no more are left.
    pub fn next(&mut self, n: usize, except: &[usize]) -> Vec<usize> {
        let mut drawn: Vec<usize> = vec![];
        let mut looked_at = 0;
        // Two passes see every task once more, wherever the first begins.
        while drawn.len() < n && looked_at < 2 * self.ids.len() {
            if self.state.cursor == self.order.len() {
                self.state.epoch += 1;
                self.state.cursor = 0;
                self.order = permutation(self.seed, self.state.epoch, self.ids.len());
            }
            let task = self.order[self.state.cursor];
            self.state.cursor += 1;
            looked_at += 1;
            if !drawn.contains(&task) && !except.contains(&task) && !self.is_retired(task) {
                drawn.push(task);
            }
        }
        drawn
    }

    /// Notes the outcomes of a task.
    pub fn note(&mut self, id: &str, outcomes: impl Iterator<Item = f64>) {
        let entry = self.state.history.entry(id.to_owned()).or_default();
        for outcome in outcomes {
            entry.0 += outcome;
            entry.1 += 1;
        }
    }

    /// Returns how many tasks are solved so often that they are no longer drawn.
    pub fn n_retired(&self) -> usize {
        (0..self.ids.len()).filter(|&task| self.is_retired(task)).count()
    }

    fn is_retired(&self, task: usize) -> bool {
        let (Some(limit), Some((sum, n))) = (self.retire_at, self.state.history.get(&self.ids[task])) else {
            return false;
        };
        *n > 0 && sum / *n as f64 >= limit
    }
}

fn permutation(seed: u64, epoch: u64, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    Random::keyed([seed, STREAM, epoch, 0]).shuffle(&mut order);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(n: usize, retire_at: Option<f64>) -> TaskOrder {
        TaskOrder::new(3, (0..n).map(|i| i.to_string()).collect(), retire_at, OrderState::default())
    }

    #[test]
    fn an_epoch_draws_every_task_once() {
        let mut order = order(10, None);
        let mut drawn: Vec<usize> = (0..5).flat_map(|_| order.next(2, &[])).collect();
        drawn.sort_unstable();
        assert_eq!(drawn, (0..10).collect::<Vec<_>>());
        assert_eq!((order.state.epoch, order.state.cursor), (0, 10));
    }

    #[test]
    fn a_step_never_draws_a_task_twice() {
        let mut order = order(5, None);
        for _ in 0..20 {
            let mut step = order.next(4, &[]);
            step.extend(order.next(1, &step.clone()));
            step.sort_unstable();
            assert_eq!(step, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn going_on_from_a_state_is_going_straight_on() {
        let mut straight = order(7, Some(0.9));
        straight.next(3, &[]);
        straight.note("2", [1.0, 1.0].into_iter());
        let mut resumed = TaskOrder::new(3, straight.ids.clone(), straight.retire_at, straight.state.clone());
        for _ in 0..10 {
            assert_eq!(straight.next(3, &[]), resumed.next(3, &[]));
        }
    }

    #[test]
    fn solved_tasks_are_retired() {
        let mut order = order(3, Some(0.9));
        order.note("1", [1.0; 10].into_iter());
        order.note("2", [1.0, 0.0].into_iter());
        assert_eq!(order.n_retired(), 1);
        let mut drawn: Vec<usize> = order.next(3, &[]);
        drawn.sort_unstable();
        assert_eq!(drawn, [0, 2]);
    }
}

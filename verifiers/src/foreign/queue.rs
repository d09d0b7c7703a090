//! The attempts of a batch that wait for a judge, and their verdicts.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::verifier::Verdict;

/// Attempts that are judged in one call.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// Their places in the batch.
    pub(super) rows: Vec<usize>,
    /// Whether nothing else may be in the judge's hands meanwhile, because it failed while this was among others.
    pub(super) alone: bool,
    /// How often the judge failed on it alone.
    pub(super) n_failures: u32,
}

impl Unit {
    /// Makes a unit that has not been tried.
    pub(super) fn new(rows: Vec<usize>) -> Self {
        Self { rows, alone: false, n_failures: 0 }
    }
}

/// A batch, shared by those who work it off.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: VecDeque<Unit>,
    n_held: usize,
    verdicts: Vec<Option<Verdict>>,
}

impl Queue {
    /// Queues the units of a batch of `n_rows` attempts.
    pub(super) fn new(units: Vec<Unit>, n_rows: usize) -> Self {
        let state = State { waiting: units.into(), n_held: 0, verdicts: vec![None; n_rows] };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next unit for somebody who holds some already, one of `n_takers`.
    ///
    /// A unit that must be alone goes to free hands only. So does any other as soon as there are few: what is taken
    /// ahead may have to wait for a slow attempt while others have nothing to do.
    pub(super) fn take(&self, n_in_hand: usize, n_takers: usize) -> Option<Unit> {
        let mut state = self.lock();
        let is_share = n_in_hand < state.waiting.len() / n_takers;
        let fits = state.waiting.front().is_some_and(|unit| n_in_hand == 0 || (is_share && !unit.alone));
        let unit = if fits { state.waiting.pop_front() } else { None };
        state.n_held += usize::from(unit.is_some());
        unit
    }

    /// Waits until there is a unit to take; returns false when all are judged.
    pub(super) fn wait(&self) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() && state.n_held > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.waiting.is_empty()
    }

    /// Enters the verdicts of a unit that was taken.
    pub(super) fn settle(&self, unit: &Unit, verdicts: impl IntoIterator<Item = Verdict>) {
        let mut state = self.lock();
        for (&row, verdict) in unit.rows.iter().zip(verdicts) {
            state.verdicts[row] = Some(verdict);
        }
        state.n_held -= 1;
        self.changed.notify_all();
    }

    /// Puts a unit that was taken back, perhaps in parts, behind all others.
    pub(super) fn put_back(&self, units: impl IntoIterator<Item = Unit>) {
        let mut state = self.lock();
        state.waiting.extend(units);
        state.n_held -= 1;
        self.changed.notify_all();
    }

    /// Leaves unjudged whatever nobody has in hand.
    pub(super) fn abandon(&self, why: &str) {
        let mut state = self.lock();
        let State { waiting, verdicts, .. } = &mut *state;
        for row in waiting.drain(..).flat_map(|unit| unit.rows) {
            verdicts[row] = Some(Verdict::unjudged(why));
        }
        self.changed.notify_all();
    }

    /// Returns the verdicts, in the order of the batch.
    pub(super) fn into_verdicts(self) -> Vec<Verdict> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let missing = || Verdict::unjudged("the attempt was lost; this is a bug");
        state.verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(missing)).collect()
    }
}

/// Counts failures of a judge in a row, to stop before all of a batch is wasted on one that is broken.
#[derive(Debug, Default)]
pub(super) struct Patience {
    state: Mutex<Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    points: u32,
    has_answered: bool,
}

/// How a judge failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It never got as far as an attempt.
    Start,
    /// It said nothing for its whole time.
    Silence,
    /// On an attempt.
    Other,
}

/// Failures in a row after which a judge counts as broken.
const PATIENCE: u32 = 16;
/// What one counts by which more than an attempt is lost.
const HEAVY: u32 = 4;

impl Patience {
    fn lock(&self) -> MutexGuard<'_, Spent> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a batch. A judge that was broken before has one failure to show that it still is.
    pub(super) fn begin(&self) {
        let mut spent = self.lock();
        spent.points = spent.points.min(PATIENCE - 1);
    }

    /// Counts an answer.
    pub(super) fn answered(&self) {
        *self.lock() = Spent { points: 0, has_answered: true };
    }

    /// Counts a failure; returns whether the judge counts as broken. A silence says little about a judge that has
    /// answered before: some attempt took too long.
    pub(super) fn failed(&self, failure: Failure) -> bool {
        let mut spent = self.lock();
        spent.points += match failure {
            Failure::Start => HEAVY,
            Failure::Silence if !spent.has_answered => HEAVY,
            Failure::Silence | Failure::Other => 1,
        };
        spent.points >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_taken_put_back_and_settled() {
        let queue = Queue::new(vec![Unit::new(vec![0, 2]), Unit::new(vec![1])], 3);
        let first = queue.take(0, 1).unwrap();
        let second = queue.take(0, 1).unwrap();
        assert_eq!((first.rows.as_slice(), second.rows.as_slice()), ([0, 2].as_slice(), [1].as_slice()));
        queue.settle(&second, [Verdict::correct()]);
        queue.put_back(first.rows.iter().map(|&row| Unit { alone: true, ..Unit::new(vec![row]) }));
        assert!(queue.take(1, 1).is_none());
        let zero = queue.take(0, 1).unwrap();
        queue.abandon("broken");
        queue.settle(&zero, [Verdict::wrong("wrong")]);
        assert!(!queue.wait());
        assert_eq!(queue.into_verdicts(), [Verdict::wrong("wrong"), Verdict::correct(), Verdict::unjudged("broken")]);
    }

    #[test]
    fn nobody_takes_more_ahead_than_a_share() {
        let queue = Queue::new((0..10).map(|row| Unit::new(vec![row])).collect(), 10);
        let taken: Vec<usize> = (0..5).take_while(|&n_in_hand| queue.take(n_in_hand, 3).is_some()).collect();
        assert_eq!(taken, [0, 1]); // of 10 and of 9; then 2 is no less than a third of 8
    }

    #[test]
    fn patience_ends_and_returns() {
        let patience = Patience::default();
        assert_eq!([Failure::Silence; 4].map(|failure| patience.failed(failure)), [false, false, false, true]);
        patience.begin();
        assert!(patience.failed(Failure::Other));
        patience.answered();
        assert_eq!((0..16).map(|_| patience.failed(Failure::Silence)).position(|broken| broken), Some(15));
    }
}

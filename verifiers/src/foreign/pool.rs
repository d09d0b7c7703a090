//! A pool of workers that share the attempts of a batch.
//!
//! Each worker is led by one thread as long as it has attempts in hand. A limit counts from the moment when a worker
//! can begin on an attempt: when it was handed over, or when the answer before it came. Whatever goes wrong while a
//! worker has several attempts in hand accuses none of them: each is tried again alone, behind all others. Only a
//! worker that fails on an attempt alone leaves it unjudged; therefore company never decides a verdict.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::launch::Launch;
use super::options::{self, Range, WorkerOptions};
use super::protocol::{Answer, Answers, Message, One, Several, to_line};
use super::queue::{Failure, Patience, Queue, Unit};
use super::worker::{Fault, Worker};
use crate::verifier::{Attempt, Interventions, Verdict};

/// Tracebacks that are remembered as shown.
const MOST_TRACEBACKS: usize = 1000;
/// How long workers may take to end when the pool does.
const FAREWELL: Duration = Duration::from_millis(500);

/// How attempts are put into requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// One attempt a request; so many requests are sent ahead.
    One {
        /// Requests without an answer, at most.
        ahead: usize,
    },
    /// So many attempts a request, those of a task together.
    Several {
        /// Attempts in a request.
        most: usize,
        /// Whether the attempts at a task may never be parted, even where they are more.
        together: bool,
    },
}

impl Calls {
    fn ahead(self) -> usize {
        match self {
            Self::One { ahead } => ahead,
            Self::Several { .. } => 1,
        }
    }

    /// Splits a batch into calls, at least one for each worker if there are as many attempts.
    pub(super) fn units(self, attempts: &[Attempt<'_>], n_workers: usize) -> Vec<Unit> {
        match self {
            Self::One { .. } => (0..attempts.len()).map(|row| Unit::new(vec![row])).collect(),
            Self::Several { most, together } => {
                let enough = most.min(attempts.len().div_ceil(n_workers));
                let groups = groups(attempts, 0..attempts.len());
                let longest = if together { attempts.len() } else { most };
                let mut units: Vec<Unit> = vec![];
                for part in groups.iter().flat_map(|group| group.chunks(longest)) {
                    match units.last_mut() {
                        Some(unit) if unit.rows.len() + part.len() <= enough => unit.rows.extend(part),
                        _ => units.push(Unit::new(part.to_vec())),
                    }
                }
                units
            }
        }
    }

    /// Splits a unit on which a judge failed into the parts to be tried alone.
    fn parts(self, unit: &Unit, attempts: &[Attempt<'_>]) -> Vec<Unit> {
        let rows = unit.rows.iter().copied();
        let parts = match self {
            Self::Several { together: true, .. } => groups(attempts, rows),
            Self::One { .. } | Self::Several { together: false, .. } => rows.map(|row| vec![row]).collect(),
        };
        parts.into_iter().map(|rows| Unit { rows, alone: true, n_failures: 0 }).collect()
    }
}

/// Groups rows by task, in the order in which tasks first come.
fn groups(attempts: &[Attempt<'_>], rows: impl Iterator<Item = usize>) -> Vec<Vec<usize>> {
    let mut place = std::collections::HashMap::new();
    let mut groups: Vec<Vec<usize>> = vec![];
    for row in rows {
        let group = *place.entry(attempts[row].task.id.as_str()).or_insert_with(|| {
            groups.push(vec![]);
            groups.len() - 1
        });
        groups[group].push(row);
    }
    groups
}

/// Workers of one kind.
pub struct Pool {
    launch: Launch,
    calls: Calls,
    ready: Option<Duration>,
    limit: Duration,
    range: Range,
    longest_line: usize,
    most_workers: usize,
    staff: Mutex<Staff>,
    changed: Condvar,
    patience: Patience,
    restarts: AtomicU64,
    killed: AtomicU64,
    shown: Mutex<HashSet<String>>,
}

#[derive(Default)]
struct Staff {
    idle: Vec<Worker>,
    n_workers: usize,
}

impl Pool {
    /// Makes a pool, and starts its first worker to see that it can be started.
    pub(super) fn new(
        launch: Launch,
        calls: Calls,
        ready_s: Option<f64>,
        options: &WorkerOptions,
    ) -> Result<Self, String> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = Self {
            launch,
            calls,
            ready: ready_s.map(|s| options::seconds("ready_s", s)).transpose()?,
            limit: options::seconds("timeout_s", options.timeout_s)?,
            range: options.range,
            longest_line: options::megabytes("max_reply_mb", options.max_reply_mb)?,
            most_workers: options::positive("workers", options.workers.unwrap_or(cores.min(8)))?,
            staff: Mutex::default(),
            changed: Condvar::new(),
            patience: Patience::default(),
            restarts: AtomicU64::new(0),
            killed: AtomicU64::new(0),
            shown: Mutex::default(),
        };
        let first = pool.hire()?;
        pool.check_in(first);
        Ok(pool)
    }

    /// Judges a batch.
    pub(super) fn judge(&self, attempts: &[Attempt<'_>]) -> Vec<Verdict> {
        let units = self.calls.units(attempts, self.most_workers);
        let n_leaders = self.most_workers.min(units.len());
        let queue = Queue::new(units, attempts.len());
        self.patience.begin();
        let lead = || {
            while queue.wait() {
                match self.hire() {
                    Ok(worker) => self.lead(worker, &queue, attempts),
                    Err(why) => self.lose_patience(&queue, &why, Failure::Start),
                }
            }
        };
        match n_leaders {
            0 | 1 => lead(),
            n => std::thread::scope(|scope| (0..n).for_each(|_| drop(scope.spawn(lead)))),
        }
        queue.into_verdicts()
    }

    /// Returns how often workers were replaced and killed.
    pub(super) fn interventions(&self) -> Interventions {
        Interventions { restarts: self.restarts.load(Ordering::Relaxed), killed: self.killed.load(Ordering::Relaxed) }
    }

    fn staff(&self) -> MutexGuard<'_, Staff> {
        self.staff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an idle worker, or starts one, or waits for one.
    fn hire(&self) -> Result<Worker, String> {
        let mut staff = self.staff();
        loop {
            while let Some(worker) = staff.idle.pop() {
                if worker.is_alive() {
                    return Ok(worker);
                }
                staff.n_workers -= 1;
                self.restarts.fetch_add(1, Ordering::Relaxed);
            }
            if staff.n_workers < self.most_workers {
                staff.n_workers += 1;
                drop(staff);
                return Worker::start(&self.launch, self.ready, self.longest_line).inspect_err(|_| self.discharge());
            }
            staff = self.changed.wait(staff).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn check_in(&self, worker: Worker) {
        self.staff().idle.push(worker);
        self.changed.notify_one();
    }

    /// Makes room for another worker.
    fn discharge(&self) {
        self.staff().n_workers -= 1;
        self.changed.notify_one();
    }

    /// Leads a worker until the queue is empty or the worker fails.
    fn lead(&self, mut worker: Worker, queue: &Queue, attempts: &[Attempt<'_>]) {
        let mut sent: VecDeque<(String, Unit)> = VecDeque::new();
        let mut since = Instant::now();
        let mut has_greeted = false; // a worker that greets for ever has no more time than others
        loop {
            let n_before = sent.len();
            self.hand_over(&mut worker, &mut sent, queue, attempts);
            if sent.is_empty() {
                return self.check_in(worker);
            }
            if n_before == 0 {
                since = Instant::now();
            }
            let fault = match worker.next_message(since + self.limit) {
                Ok(Message::Ready) if !has_greeted => {
                    has_greeted = true;
                    since = Instant::now();
                    continue;
                }
                Ok(Message::Ready) => continue,
                Ok(Message::Reply { id, answers }) => match sent.iter().position(|(other, _)| *other == id) {
                    Some(place) => {
                        let (_, unit) = sent.remove(place).expect("the place was found in it");
                        worker.note_answer();
                        self.patience.answered();
                        self.settle(&unit, answers, queue, attempts);
                        since = Instant::now();
                        continue;
                    }
                    None if worker.has_issued(&id) => continue, // said twice
                    None => Fault::Nonsense(format!("an answer has the `id` {id:?}, which no request had")),
                },
                Err(fault) => fault,
            };
            return self.dismiss(worker, &fault, sent, queue, attempts);
        }
    }

    /// Sends requests ahead, as far as that is allowed.
    fn hand_over(
        &self,
        worker: &mut Worker,
        sent: &mut VecDeque<(String, Unit)>,
        queue: &Queue,
        attempts: &[Attempt<'_>],
    ) {
        while sent.len() < self.calls.ahead() && !sent.front().is_some_and(|(_, unit)| unit.alone) {
            let Some(unit) = queue.take(sent.len(), self.most_workers) else { return };
            let id = worker.next_id();
            let line = match (self.calls, unit.rows.as_slice()) {
                (Calls::One { .. }, &[row]) => to_line(&One { id: &id, row: attempts[row].into() }),
                (_, rows) => {
                    to_line(&Several { id: &id, attempts: rows.iter().map(|&row| attempts[row].into()).collect() })
                }
            };
            worker.send(&line);
            sent.push_back((id, unit));
        }
    }

    /// Enters the answers to a unit, or has it tried again in parts where the call failed as a whole.
    fn settle(&self, unit: &Unit, answers: Answers, queue: &Queue, attempts: &[Attempt<'_>]) {
        match answers {
            Answers::Each(each) if each.len() == unit.rows.len() => {
                let verdicts: Vec<Verdict> = each.into_iter().map(|answer| self.verdict(answer)).collect();
                queue.settle(unit, verdicts);
            }
            Answers::Each(each) => {
                let why = format!("the reply has {} verdicts for {} attempts", each.len(), unit.rows.len());
                queue.settle(unit, unit.rows.iter().map(|_| Verdict::unjudged(why.as_str())));
            }
            Answers::One(answer) => match self.calls.parts(unit, attempts) {
                parts if parts.len() > 1 => queue.put_back(parts),
                _ => {
                    let verdict = self.verdict(answer);
                    queue.settle(unit, unit.rows.iter().map(|_| verdict.clone()));
                }
            },
        }
    }

    /// Returns the verdict that an answer is. A traceback is shown in full once, and later by its last line.
    fn verdict(&self, answer: Answer) -> Verdict {
        let refusal = match answer.and_then(|grade| grade.into_verdict(self.range)) {
            Ok(verdict) => return verdict,
            Err(refusal) => refusal,
        };
        let Some(traceback) = refusal.traceback else { return Verdict::unjudged(refusal.why) };
        let place = traceback.rsplit_once('\n').map_or("", |(frames, _)| frames).to_owned();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.len() < MOST_TRACEBACKS && shown.insert(place) {
            Verdict::unjudged(format!("{}\n{traceback}", refusal.why))
        } else {
            Verdict::unjudged(refusal.why)
        }
    }

    /// Ends a worker that failed, and decides what becomes of the attempts that it had in hand.
    fn dismiss(
        &self,
        mut worker: Worker,
        fault: &Fault,
        sent: VecDeque<(String, Unit)>,
        queue: &Queue,
        attempts: &[Attempt<'_>],
    ) {
        let why = worker.describe(fault, self.limit) + &worker.last_words();
        let was_fresh = worker.is_fresh();
        self.killed.fetch_add(u64::from(worker.is_alive()), Ordering::Relaxed);
        self.restarts.fetch_add(1, Ordering::Relaxed);
        drop(worker);
        self.discharge();
        let among_others = sent.len() > 1;
        for (_, unit) in sent {
            let parts = self.calls.parts(&unit, attempts);
            let failures = unit.n_failures + u32::from(!among_others);
            if among_others || parts.len() > 1 {
                queue.put_back(parts);
            } else if *fault == Fault::Silent || was_fresh || failures > 1 {
                queue.settle(&unit, unit.rows.iter().map(|_| Verdict::unjudged(why.as_str())));
            } else {
                // What came before may have spoilt the worker, so a second one decides.
                queue.put_back([Unit { alone: true, n_failures: failures, ..unit }]);
            }
        }
        let failure = if *fault == Fault::Silent { Failure::Silence } else { Failure::Other };
        self.lose_patience(queue, &why, failure);
    }

    fn lose_patience(&self, queue: &Queue, why: &str, failure: Failure) {
        if self.patience.failed(failure) {
            queue.abandon(&format!("the judge failed many times in a row and is not asked any more; last: {why}"));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let idle = std::mem::take(&mut self.staff().idle);
        let mut leaving: Vec<Worker> = idle;
        leaving.iter_mut().for_each(Worker::close_stdin);
        let deadline = Instant::now() + FAREWELL;
        while leaving.iter().any(Worker::is_alive) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("launch", &self.launch).field("most_workers", &self.most_workers).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Task;

    #[track_caller]
    fn check(calls: Calls, n_workers: usize, expected: &[&[usize]]) {
        let tasks = ["a", "b", "c"].map(|id| Task::new(id, "?", "v"));
        let attempts: Vec<Attempt<'_>> = [0, 1, 0, 1, 0, 2]
            .iter()
            .map(|&i: &usize| Attempt { task: &tasks[i], completion: "", finished: true })
            .collect();
        let units = calls.units(&attempts, n_workers);
        assert_eq!(units.iter().map(|unit| unit.rows.as_slice()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn attempts_at_a_task_stay_together() {
        let several = |most, together| Calls::Several { most, together };
        check(several(64, false), 1, &[&[0, 2, 4, 1, 3, 5]]);
        check(several(64, false), 2, &[&[0, 2, 4], &[1, 3, 5]]);
        check(several(2, false), 1, &[&[0, 2], &[4], &[1, 3], &[5]]);
        check(several(2, true), 1, &[&[0, 2, 4], &[1, 3], &[5]]);
        check(several(1, false), 1, &[&[0], &[2], &[4], &[1], &[3], &[5]]);
        check(Calls::One { ahead: 3 }, 2, &[&[0], &[1], &[2], &[3], &[4], &[5]]);
    }
}

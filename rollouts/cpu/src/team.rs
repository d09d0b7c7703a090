//! Threads that share out the pieces of one job at a time.
//!
//! A decoded token is some hundred short jobs one after another, 10 to 500 µs each. Threads that fall asleep between
//! two of them cost more than the work, so a member of a team waits awake for a moment before it sleeps. Members take
//! pieces as they come: one that the system has put aside delays its own piece only.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pulp::Arch;

/// How long a member waits awake for the next job.
const AWAKE: Duration = Duration::from_micros(300);

/// Threads, the calling one among them.
pub struct Team {
    shared: Arc<Shared>,
    members: Vec<JoinHandle<()>>,
    /// One job at a time, whoever calls.
    turn: Mutex<()>,
    arch: Arch,
}

type Job = dyn Fn(usize) + Sync;

struct Shared {
    /// Pieces that nobody has taken yet. Whoever takes one may look at the job until the piece is counted as done.
    left: AtomicUsize,
    done: AtomicUsize,
    panicked: AtomicBool,
    job: UnsafeCell<Option<(*const Job, usize)>>,
    n_asleep: AtomicUsize,
    asleep: Mutex<()>,
    wake: Condvar,
    ends: AtomicBool,
}

#[expect(unsafe_code, reason = "the job is written only while no piece is left, and read only by holders of a piece")]
// SAFETY: see the reason; the pointer is to a `Sync` closure, so that any thread may call it.
unsafe impl Sync for Shared {}
#[expect(unsafe_code, reason = "as for `Sync`")]
// SAFETY: as for `Sync`.
unsafe impl Send for Shared {}

impl std::fmt::Debug for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Team").field("n_threads", &self.n_threads()).finish()
    }
}

impl Team {
    /// Makes a team of so many threads, at least one.
    pub fn new(n_threads: usize) -> Self {
        let shared = Arc::new(Shared {
            left: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            job: UnsafeCell::new(None),
            n_asleep: AtomicUsize::new(0),
            asleep: Mutex::new(()),
            wake: Condvar::new(),
            ends: AtomicBool::new(false),
        });
        let start = |i: usize| {
            let shared = Arc::clone(&shared);
            // Where the system gives no more threads, the work is done by those that are there.
            std::thread::Builder::new().name(format!("decode-{i}")).spawn(move || shared.serve()).ok()
        };
        let members = (1..n_threads).filter_map(start).collect();
        Self { shared, members, turn: Mutex::new(()), arch: Arch::new() }
    }

    /// Works with vectors of a given kind, such as those of an older processor.
    #[cfg(test)]
    pub(crate) fn with_arch(mut self, arch: Arch) -> Self {
        self.arch = arch;
        self
    }

    /// Returns the kind of vectors to work with: the widest that the processor has.
    pub(crate) fn arch(&self) -> Arch {
        self.arch
    }

    /// Returns the number of threads, the calling one included.
    pub fn n_threads(&self) -> usize {
        self.members.len() + 1
    }

    /// Calls `f` once for each item; returns when all calls have returned.
    ///
    /// # Panics
    ///
    /// If a call panics.
    pub fn for_each<T: Send>(&self, items: impl IntoIterator<Item = T>, f: impl Fn(T) + Sync) {
        let items: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
        if items.len() < 2 || self.members.is_empty() {
            items.into_iter().filter_map(|item| item.into_inner().ok().flatten()).for_each(f);
            return;
        }
        self.run(items.len(), &|i| {
            if let Some(item) = items[i].lock().ok().and_then(|mut item| item.take()) {
                f(item);
            }
        });
    }

    #[expect(unsafe_code, reason = "the lifetime of the closure ends after the last piece is done, which is awaited")]
    fn run(&self, n: usize, job: &(dyn Fn(usize) + Sync)) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &*self.shared;
        // SAFETY: only the lifetime is changed. `job` is called by holders of a piece alone, and this function does not
        // return before all pieces are done; no piece is left from the job before, so nobody reads the cell meanwhile.
        unsafe {
            *shared.job.get() = Some((std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const Job>(job), n));
        }
        shared.panicked.store(false, Ordering::Relaxed);
        shared.done.store(0, Ordering::Relaxed);
        shared.left.store(n, Ordering::SeqCst);
        if shared.n_asleep.load(Ordering::SeqCst) > 0 {
            let _guard = shared.asleep.lock().unwrap_or_else(PoisonError::into_inner);
            shared.wake.notify_all();
        }
        while shared.take_piece() {}
        let mut patience = 0_u32;
        while shared.done.load(Ordering::Acquire) < n {
            patience += 1;
            // Where others want the processor, the last piece may be one of a thread that waits for it.
            if patience.is_multiple_of(4096) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        if shared.panicked.load(Ordering::Relaxed) {
            resume_unwind(Box::new("a piece of a job panicked"));
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        {
            let _guard = self.shared.asleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.wake.notify_all();
        }
        for member in self.members.drain(..) {
            let _ = member.join();
        }
    }
}

impl Shared {
    /// Takes one piece and does it; says whether there was one.
    #[expect(unsafe_code, reason = "calls the job through its pointer")]
    fn take_piece(&self) -> bool {
        let take = |left: usize| left.checked_sub(1);
        let Ok(left) = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, take) else { return false };
        // SAFETY: a piece is held, so that the job is the current one and is not replaced until it is done.
        let outcome = unsafe {
            let (job, n) = (*self.job.get()).expect("a job with pieces");
            catch_unwind(AssertUnwindSafe(|| (*job)(n - left)))
        };
        if outcome.is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
        self.done.fetch_add(1, Ordering::AcqRel);
        true
    }

    fn serve(&self) {
        while !self.ends.load(Ordering::Acquire) {
            if self.take_piece() {
                continue;
            }
            let since = Instant::now();
            while self.left.load(Ordering::Acquire) == 0 && since.elapsed() < AWAKE {
                for _ in 0..64 {
                    std::hint::spin_loop();
                }
            }
            if self.left.load(Ordering::Acquire) == 0 {
                self.sleep();
            }
        }
    }

    fn sleep(&self) {
        let mut guard = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.n_asleep.fetch_add(1, Ordering::SeqCst);
        while self.left.load(Ordering::SeqCst) == 0 && !self.ends.load(Ordering::SeqCst) {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.n_asleep.fetch_sub(1, Ordering::SeqCst);
        drop(guard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_in_jobs_of_any_size() {
        let team = Team::new(3);
        for n in (0..40).chain([1000]) {
            let mut counts = vec![0_u32; n];
            team.for_each(counts.iter_mut().enumerate(), |(i, count)| *count += 1 + i as u32);
            assert!(counts.iter().enumerate().all(|(i, &count)| count == 1 + i as u32), "{n}: {counts:?}");
        }
    }

    #[test]
    fn sleepers_wake() {
        let team = Team::new(2);
        for _ in 0..20 {
            std::thread::sleep(AWAKE * 2);
            let sum = AtomicUsize::new(0);
            team.for_each(0..10_usize, |i| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 45);
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_lives_on() {
        let team = Team::new(2);
        let outcome = catch_unwind(AssertUnwindSafe(|| team.for_each(0..8, |i| assert!(i != 3, "three"))));
        assert!(outcome.is_err());
        let sum = AtomicUsize::new(0);
        team.for_each(0..4_usize, |i| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 6);
    }
}

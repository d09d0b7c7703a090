//! The workers, and the threads that own them.
//!
//! A thread owns one worker for as long as the pool lives: the kernel ends a worker with the thread that started it.
//! Jobs wait in one queue, so that a slow one holds up no other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::judge::Job;
use super::options::CodeOptions;
use super::sandbox::Sandbox;
use super::sandbox::worker::Worker;
use crate::verifier::Verdict;

/// How many jobs wait before whoever brings more has to wait too.
const QUEUE: usize = 1024;
/// How often a job is tried whose sandbox did not start.
const TRIES: usize = 3;

struct Queued {
    job: Job,
    number: usize,
    reply: Sender<(usize, Verdict)>,
}

/// Judges jobs side by side.
#[derive(Debug)]
pub(crate) struct Pool {
    queue: Option<SyncSender<Queued>>,
    threads: Vec<JoinHandle<()>>,
    pub(crate) sandbox: Arc<Sandbox>,
}

impl Pool {
    /// Finds out what sandbox there can be, and starts the workers in it.
    pub(crate) fn start(options: &CodeOptions) -> Result<Self, String> {
        let (queue, jobs) = sync_channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        let (tell, told) = channel();
        let first = {
            let (options, jobs) = (options.clone(), Arc::clone(&jobs));
            spawn(move || match Sandbox::open(&options) {
                Ok((sandbox, worker)) => {
                    let sandbox = Arc::new(sandbox);
                    if tell.send(Ok(Arc::clone(&sandbox))).is_ok() {
                        Bay { sandbox, index: 0, worker: Some(worker) }.serve(&jobs);
                    }
                }
                Err(why) => {
                    let _ = tell.send(Err(why));
                }
            })?
        };
        let sandbox = told.recv().map_err(|_| "the sandbox could not be tried".to_owned())??;
        let mut threads = vec![first];
        for index in 1..options.n_workers() {
            let (sandbox, jobs) = (Arc::clone(&sandbox), Arc::clone(&jobs));
            threads.push(spawn(move || {
                let worker = sandbox.worker(index).ok();
                Bay { sandbox, index, worker }.serve(&jobs);
            })?);
        }
        Ok(Self { queue: Some(queue), threads, sandbox })
    }

    /// Judges jobs and returns the verdicts in their order.
    pub(crate) fn judge(&self, jobs: Vec<Job>) -> Vec<Verdict> {
        let n = jobs.len();
        let (reply, replies) = channel();
        for (number, job) in jobs.into_iter().enumerate() {
            let queue = self.queue.as_ref().expect("it is there until the pool is dropped");
            if queue.send(Queued { job, number, reply: reply.clone() }).is_err() {
                break;
            }
        }
        drop(reply);
        let mut verdicts = vec![Verdict::unjudged("the sandbox pool has gone"); n];
        for (number, verdict) in replies {
            verdicts[number] = verdict;
        }
        verdicts
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue = None; // the threads see the end of the queue
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    let builder = std::thread::Builder::new().name("rlvr-sandbox".to_owned());
    builder.spawn(work).map_err(|error| format!("no thread: {error}"))
}

/// The place of one worker.
struct Bay {
    sandbox: Arc<Sandbox>,
    index: usize,
    worker: Option<Worker>,
}

impl Bay {
    fn serve(mut self, jobs: &Mutex<Receiver<Queued>>) {
        loop {
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Queued { job, number, reply }) = next else { return };
            let verdict = catch_unwind(AssertUnwindSafe(|| self.judge(&job))).unwrap_or_else(|_| {
                self.worker = None;
                Verdict::unjudged("the judge panicked")
            });
            let _ = reply.send((number, verdict));
        }
    }

    /// Judges a job, with another worker if this one does not get the sandbox ready.
    fn judge(&mut self, job: &Job) -> Verdict {
        let mut why = String::new();
        for _ in 0..TRIES {
            let worker = match self.worker.take() {
                Some(worker) => Ok(worker),
                None => self.sandbox.restart(self.index),
            };
            let tried = worker.and_then(|mut worker| {
                let verdict = job.judge(&self.sandbox, &mut worker)?;
                self.worker = Some(worker);
                Ok(verdict)
            });
            match tried {
                Ok(verdict) => return verdict,
                Err(error) => why = error,
            }
        }
        Verdict::unjudged(why)
    }
}

//! An evaluation in pieces: it can be killed at any moment and goes on where it was, to the same result bit for bit.
//!
//! Tasks are sampled in chunks of a fixed size, since rounding depends on what is decoded together. A chunk is written
//! down when it is whole; what was written of an unfinished one is dropped, and the chunk is sampled again.

use std::fs::OpenOptions;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use rlvr_curves::store::LineWriter;
use rlvr_rollouts::collect::Collector;
use rlvr_rollouts::{Noise, ThinkBudget};
use rlvr_verifiers::Task;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sample::{EvalSample, of_group};
use super::votes::mark_equal;
use crate::stop;

/// One way to think: without bounds, or with a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variant {
    /// Its name in records; empty without a budget.
    pub name: String,
    /// The bounds.
    pub budget: Option<ThinkBudget>,
}

/// What is asked of whom.
#[derive(Clone, Copy, Debug)]
pub struct Examination<'a> {
    /// Who answers, and who judges.
    pub collector: Collector<'a>,
    /// What is asked.
    pub tasks: &'a [Task],
    /// Samples a task.
    pub n: usize,
    /// The luck.
    pub noise: Noise,
    /// Each task is sampled under each of them.
    pub variants: &'a [Variant],
}

/// Seconds that a chunk took, a line of `NAME.times.jsonl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChunkTimes {
    /// Which chunk.
    pub chunk: usize,
    /// Seconds of prompts and completions.
    pub generate_s: f64,
    /// Seconds of CPU time spent in verifiers.
    pub verify_cpu_s: f64,
    /// Seconds in all.
    pub wall_s: f64,
}

/// Where samples are kept while the evaluation goes on.
#[derive(Debug)]
pub struct SampleFiles {
    samples: PathBuf,
    times: PathBuf,
}

/// What an examination came to.
#[derive(Debug)]
pub struct Examined {
    /// The samples, by variant, task and number.
    pub samples: Vec<EvalSample>,
    /// What each chunk took, those of earlier attempts included.
    pub times: Vec<ChunkTimes>,
    /// Whether all was asked; false after Ctrl-C.
    pub is_complete: bool,
}

/// Rows of the engine that a chunk fills: so often does its end, where rows run empty, come.
const FILLS: usize = 4;

impl Examination<'_> {
    /// Asks everything that is not in the files yet.
    ///
    /// `progress` is told after each chunk how many of how many are done.
    ///
    /// # Errors
    ///
    /// If a prompt cannot be used, or if the files cannot be written or hold something else.
    pub fn run(&self, files: Option<&SampleFiles>, progress: &mut dyn FnMut(usize, usize)) -> anyhow::Result<Examined> {
        let chunks = self.chunks();
        let (mut samples, mut times) = match files {
            Some(files) => (self.found(&chunks, files)?, files.read_times()?),
            None => (vec![], vec![]),
        };
        let done = self.n_done(&chunks, samples.len());
        for (i, (variant, range)) in chunks.iter().enumerate().skip(done) {
            if stop::is_asked() {
                return Ok(Examined { samples, times, is_complete: false });
            }
            let (found, took) = self.ask(variant, range.clone())?;
            let took = ChunkTimes { chunk: i, ..took };
            if let Some(files) = files {
                files.append(&found, took)?;
            }
            samples.extend(found);
            times.push(took);
            progress(i + 1, chunks.len());
        }
        Ok(Examined { samples, times, is_complete: true })
    }

    /// Fixed pieces of the work; nothing but the settings decides them.
    fn chunks(&self) -> Vec<(&Variant, Range<usize>)> {
        let n_tasks = (FILLS * self.collector.limits.max_rows / self.n.max(1)).max(1);
        let of_variant = |variant| {
            let starts = (0..self.tasks.len()).step_by(n_tasks);
            starts.map(move |start| (variant, start..(start + n_tasks).min(self.tasks.len())))
        };
        self.variants.iter().flat_map(of_variant).collect()
    }

    fn ask(&self, variant: &Variant, range: Range<usize>) -> anyhow::Result<(Vec<EvalSample>, ChunkTimes)> {
        let start = Instant::now();
        let tasks: Vec<&Task> = self.tasks[range].iter().collect();
        let (collected, thinking) = match &variant.budget {
            None => (self.collector.collect(&tasks, self.n, self.noise, &mut |_| {})?, None),
            Some(budget) => {
                let (noise, n) = (self.noise, self.n);
                let (collected, thinking) = self.collector.collect_thinking(&tasks, n, (noise, budget), &mut |_| {})?;
                (collected, Some(thinking))
            }
        };
        let architecture = self.collector.transformer.architecture();
        let mut samples = vec![];
        for (i, group) in collected.groups.iter().enumerate() {
            let mut of_task = of_group(group, architecture);
            for (j, sample) in of_task.iter_mut().enumerate() {
                sample.variant.clone_from(&variant.name);
                sample.thinking = thinking.as_ref().map(|thinking| thinking[i][j]);
            }
            mark_equal(self.collector.panel, &group.task, &mut of_task);
            samples.extend(of_task);
        }
        let verify_cpu_s = collected.groups.iter().flat_map(|group| &group.rollouts).map(|r| r.verify_s).sum();
        let wall_s = start.elapsed().as_secs_f64();
        Ok((samples, ChunkTimes { chunk: 0, generate_s: collected.generate_s, verify_cpu_s, wall_s }))
    }

    /// The samples of whole chunks that are there already; the rest of the file is dropped.
    fn found(&self, chunks: &[(&Variant, Range<usize>)], files: &SampleFiles) -> anyhow::Result<Vec<EvalSample>> {
        let mut samples = files.read()?;
        let done = self.n_done(chunks, samples.len());
        samples.truncate(chunks[..done].iter().map(|(_, range)| range.len() * self.n).sum());
        let asked = chunks[..done].iter().flat_map(|(variant, range)| {
            range.clone().flat_map(move |task| (0..self.n).map(move |i| (&variant.name, &self.tasks[task].id, i)))
        });
        for (line, (sample, asked)) in samples.iter().zip(asked).enumerate() {
            if (&sample.variant, &sample.task_id, sample.sample) != asked {
                bail!(
                    "samples `{}`, line {}: sample {} of task `{}` stands where sample {} of task `{}` belongs; the file was \
                     changed: remove it, or start anew with --restart",
                    files.samples.display(),
                    line + 1,
                    sample.sample,
                    sample.task_id,
                    asked.2,
                    asked.1
                );
            }
        }
        files.keep(&samples)?;
        Ok(samples)
    }

    fn n_done(&self, chunks: &[(&Variant, Range<usize>)], n_samples: usize) -> usize {
        let sums = chunks.iter().scan(0, |sum, (_, range)| {
            *sum += range.len() * self.n;
            Some(*sum)
        });
        sums.take_while(|&sum| sum <= n_samples).count()
    }
}

impl SampleFiles {
    /// Opens the files beside the result `out`, for an evaluation with these settings.
    ///
    /// # Errors
    ///
    /// If they hold an evaluation with other settings, naming what differs.
    pub fn open(out: &Path, settings: &Value, restart: Restart) -> anyhow::Result<Self> {
        let files = Self { samples: out.with_extension("samples.jsonl"), times: out.with_extension("times.jsonl") };
        let path = out.with_extension("settings.json");
        let text = format!("{settings:#}\n");
        match std::fs::read_to_string(&path) {
            Ok(before) if restart == Restart::GoOn && files.samples.exists() => {
                if before != text {
                    bail!(
                        "`{}`: there is an evaluation with other settings ({}); name another --out, or start anew with \
                         --restart",
                        files.samples.display(),
                        differences(&before, settings)
                    );
                }
                return Ok(files);
            }
            Ok(_) | Err(_) => {}
        }
        for old in [&files.samples, &files.times] {
            if old.exists() {
                std::fs::remove_file(old).with_context(|| format!("`{}` cannot be removed", old.display()))?;
            }
        }
        std::fs::write(&path, text).with_context(|| format!("`{}` cannot be written", path.display()))?;
        Ok(files)
    }

    fn read(&self) -> anyhow::Result<Vec<EvalSample>> {
        lines(&self.samples)
    }

    fn read_times(&self) -> anyhow::Result<Vec<ChunkTimes>> {
        lines(&self.times)
    }

    /// Cuts the file down to the first samples.
    fn keep(&self, samples: &[EvalSample]) -> anyhow::Result<()> {
        let Ok(text) = std::fs::read_to_string(&self.samples) else { return Ok(()) };
        let length: usize = text.split_inclusive('\n').take(samples.len()).map(str::len).sum();
        let file = OpenOptions::new().write(true).open(&self.samples);
        file.and_then(|file| file.set_len(length as u64))
            .with_context(|| format!("`{}` cannot be written", self.samples.display()))
    }

    fn append(&self, samples: &[EvalSample], took: ChunkTimes) -> anyhow::Result<()> {
        let mut writer = LineWriter::append(&self.samples)?;
        for sample in samples {
            writer.write(sample)?;
        }
        Ok(LineWriter::append(&self.times)?.write(&took)?)
    }
}

/// Whether an evaluation that is there goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It does.
    GoOn,
    /// It is thrown away.
    Anew,
}

/// The whole lines of a file; none if there is no file.
fn lines<T: for<'a> Deserialize<'a>>(path: &Path) -> anyhow::Result<Vec<T>> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(vec![]) };
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let parse = |(i, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| {
            format!("`{}`, line {}: the file was changed; start anew with --restart", path.display(), i + 1)
        })
    };
    whole.enumerate().map(parse).collect()
}

/// Names the settings that differ.
fn differences(before: &str, now: &Value) -> String {
    let before: Value = serde_json::from_str(before).unwrap_or(Value::Null);
    let (Some(before), Some(now)) = (before.as_object(), now.as_object()) else { return "unreadable".to_owned() };
    let names = now.keys().chain(before.keys().filter(|key| !now.contains_key(*key)));
    let changed: Vec<String> =
        names.filter(|key| now.get(*key) != before.get(*key)).map(|key| format!("`{key}`")).collect();
    changed.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample::tests::sample;
    use super::*;

    #[test]
    fn other_settings_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a.json");
        let files = SampleFiles::open(&out, &json!({"n": 1, "seed": 2}), Restart::GoOn).unwrap();
        files.append(&[sample("a", 0, Some(1.0), "1")], ChunkTimes::default()).unwrap();
        assert!(SampleFiles::open(&out, &json!({"n": 1, "seed": 2}), Restart::GoOn).is_ok());
        let error = SampleFiles::open(&out, &json!({"n": 1, "seed": 3}), Restart::GoOn).unwrap_err().to_string();
        assert!(error.contains("other settings (`seed`); name another --out"), "{error}");
        let files = SampleFiles::open(&out, &json!({"n": 1, "seed": 3}), Restart::Anew).unwrap();
        assert!(files.read().unwrap().is_empty());
    }

    #[test]
    fn torn_lines_are_left_out_and_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let files = SampleFiles::open(&folder.path().join("a.json"), &json!({}), Restart::GoOn).unwrap();
        let samples = [sample("a", 0, Some(1.0), "1"), sample("a", 1, None, "2")];
        files.append(&samples, ChunkTimes::default()).unwrap();
        let mut torn = std::fs::read(&files.samples).unwrap();
        torn.extend(b"{\"set\":\"s\",\"tas");
        std::fs::write(&files.samples, torn).unwrap();
        assert_eq!(files.read().unwrap(), samples);
        files.keep(&samples[..1]).unwrap();
        assert_eq!(files.read().unwrap(), samples[..1]);
    }
}

//! `rlvr eval`: how good a model is, with intervals, and what inference compute buys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use rlvr::config::{self, RunConfig};
use rlvr::console::Console;
use rlvr::evaluate;
use rlvr::evaluate::contamination::{NGRAM, overlap};
use rlvr::evaluate::examination::{ChunkTimes, Examination, Examined, Restart, SampleFiles, Variant};
use rlvr::evaluate::fingerprint;
use rlvr::evaluate::result::{Findings, findings, picker};
use rlvr::progress::{Progress, duration};
use rlvr::{device, setup, stop};
use rlvr_curves::evaluation::{self, Picker, Plan, Problem, compare, to_csv};
use rlvr_curves::record::Metrics;
use rlvr_rollouts::collect::Collector;
use rlvr_rollouts::engine::DEFAULT_MAX_ROWS;
use rlvr_rollouts::{GenerationLimits, Sampling, ThinkBudget};
use rlvr_verifiers::dataset;
use rlvr_verifiers::generators::Split;
use rlvr_verifiers::reward::{Condition, PartConfig};
use rlvr_verifiers::{Panel, Registry, RewardConfig, Task};
use serde_json::{Map, Value, json};

use super::model::ModelArgs;
use super::output::{print, say};
use super::sample::SamplingArgs;
use super::{WrongUse, task_spec};

/// Arguments of `rlvr eval`.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    tasks: TaskArgs,
    /// Samples a task.
    #[arg(long, default_value_t = 1)]
    samples: usize,
    /// For which k to estimate pass@k, maj@k and best-of-k; all powers of two by default.
    #[arg(long, value_delimiter = ',', value_name = "K,…")]
    k: Vec<usize>,
    /// Pick the best of k by this verifier, or by the truth with errors as in `noisy:t=0.9,f=0.05`; may be given several times.
    #[arg(long, value_name = "VERIFIER")]
    best_of: Vec<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// The most new tokens of a completion; that of the config, or 256, by default.
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// End at this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    #[command(flatten)]
    thinking: ThinkingArgs,
    /// Where the randomness comes from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The most completions decoded at a time.
    #[arg(long, default_value_t = DEFAULT_MAX_ROWS)]
    max_rows: usize,
    /// Write the result here instead of to stdout, and beside it NAME.samples.jsonl, NAME.problems.jsonl and
    /// NAME.inference.csv. An evaluation that was interrupted goes on.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Start anew, whatever is there.
    #[arg(long, requires = "out")]
    restart: bool,
    /// Compare with an earlier evaluation of the same tasks, pair by pair: its NAME.problems.jsonl.
    #[arg(long, value_name = "PROBLEMS")]
    compare: Option<PathBuf>,
}

/// What is asked.
#[derive(Debug, Args)]
struct TaskArgs {
    /// A task file, `gsm8k:FILE`, `humaneval:FILE`, `mbpp:FILE`, or a generator as in `arithmetic:n=200,level=2`; may be given several times.
    #[arg(long, value_name = "SPEC")]
    tasks: Vec<String>,
    /// Ask the held-out tasks of this config, by its verifiers; that of the run by default if the model is a checkpoint.
    #[arg(long, value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// The verifier of tasks that name none.
    #[arg(long, value_name = "NAME")]
    verifier: Option<String>,
    /// The prompt, with `{prompt}` and the task's other columns put in.
    #[arg(long, value_name = "TEXT")]
    prompt_template: Option<String>,
    /// Report which prompts are among these tasks; those of the config by default. May be given several times.
    #[arg(long, value_name = "SPEC")]
    train_tasks: Vec<String>,
    /// Words and signs in a row that two prompts must share to be reported.
    #[arg(long, default_value_t = NGRAM)]
    ngram: usize,
}

/// How thinking is bounded.
#[derive(Debug, Args)]
struct ThinkingArgs {
    /// Sample each task with these budgets of thinking too, in tokens; an answer is forced when one is used up.
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    think_budget: Vec<usize>,
    /// How often to take the end of thinking back, within the budget.
    #[arg(long, value_delimiter = ',', value_name = "N,…", default_value = "0", requires = "think_budget")]
    think_extend: Vec<usize>,
    /// The text that ends thinking, such as `</think>`; without one thinking ends with the completion.
    #[arg(long, value_name = "TEXT", requires = "think_budget")]
    think_end: Option<String>,
    /// What is put in when the budget is used up.
    #[arg(long, value_name = "TEXT", default_value = "\n\nFinal answer: ")]
    think_closing: String,
    /// What is put in when the end of thinking is taken back.
    #[arg(long, value_name = "TEXT", default_value = "\nWait")]
    think_extension: String,
    /// The most tokens of the answer after thinking.
    #[arg(long, value_name = "N", default_value_t = 64)]
    answer_tokens: usize,
}

impl ThinkingArgs {
    /// Without bounds first, so that budgets can be compared with more samples.
    fn variants(&self) -> Vec<Variant> {
        let plain = Variant { name: String::new(), budget: None };
        let bounded = self.think_budget.iter().flat_map(|&n_tokens| {
            self.think_extend.iter().map(move |&n_extensions| Variant {
                name: match n_extensions {
                    0 => format!("budget {n_tokens}"),
                    n => format!("budget {n_tokens}, extended {n}"),
                },
                budget: Some(ThinkBudget {
                    n_tokens,
                    closing: self.think_closing.clone(),
                    n_answer_tokens: self.answer_tokens,
                    end: self.think_end.clone(),
                    n_extensions,
                    extension: self.think_extension.clone(),
                }),
            })
        });
        std::iter::once(plain).chain(bounded).collect()
    }
}

/// New tokens if nothing else is said.
const DEFAULT_NEW_TOKENS: usize = 256;

pub(super) fn run(args: &EvalArgs) -> anyhow::Result<()> {
    let sampling = args.sampling.sampling();
    let plan = args.plan(&sampling)?;
    let earlier = args.compare.as_deref().map(evaluation::read).transpose()?;
    let config = args.tasks.config(&args.model.model)?;
    let (tasks, panel) = args.tasks.load(config.as_ref(), &plan)?;
    let contamination = args.tasks.contamination(config.as_ref(), &tasks)?;
    let (transformer, tokenizer) = args.model.load()?;
    let limits = args.limits(config.as_ref());
    let reward = picks(&plan);
    let variants = args.thinking.variants();
    let collector = Collector {
        transformer: &transformer,
        tokenizer: &tokenizer,
        panel: &panel,
        reward: &reward,
        sampling: &sampling,
        limits: &limits,
    };
    let noise = evaluate::noise(args.seed);
    let examination = Examination { collector, tasks: &tasks, n: args.samples, noise, variants: &variants };
    let files = args.out.as_deref().map(|out| {
        let settings = args.all_settings(&examination, &plan)?;
        SampleFiles::open(out, &settings, if args.restart { Restart::Anew } else { Restart::GoOn })
    });
    let files = files.transpose()?;
    let Some(examined) = examine(&examination, files.as_ref())? else { return Ok(()) };

    let Findings { problems, ladder, json } = findings(&examined.samples, &variants, &plan);
    let mut result = args.settings(&collector);
    result.extend(json);
    if let Some(contamination) = contamination {
        result.insert("contamination".to_owned(), contamination);
    }
    if let Some(earlier) = earlier {
        let comparisons = compare(&earlier, &problems, args.seed)?;
        comparisons.iter().for_each(|comparison| say(&comparison.sentence));
        result.insert("comparison".to_owned(), json!(comparisons));
    }
    let text = format!("{:#}\n", Value::Object(result));
    let Some(out) = &args.out else { return print(&text) };
    write(out, &text)?;
    write(&out.with_extension("problems.jsonl"), &lines(&problems)?)?;
    write(&out.with_extension("inference.csv"), &to_csv(&ladder))
}

/// Asks, and says what it took; none if it was interrupted.
fn examine(examination: &Examination<'_>, files: Option<&SampleFiles>) -> anyhow::Result<Option<Examined>> {
    stop::listen().context("Ctrl-C cannot be listened for")?;
    let console = Arc::new(Console::unkept());
    let mut bar: Option<Progress> = None;
    let examined = examination.run(files, &mut |done, total| {
        let bar = bar.get_or_insert_with(|| Progress::new(&console, total as u64, done as u64 - 1));
        bar.step(done as u64, "a piece of the evaluation is done", &Metrics::default());
    })?;
    bar.iter().for_each(Progress::finish);
    let sum = |of: fn(&ChunkTimes) -> f64| examined.times.iter().map(of).sum::<f64>();
    say(&format!(
        "{} samples took {}, of which {} generating; verifiers: {:.1} s of CPU time",
        examined.samples.len(),
        duration(sum(|times| times.wall_s)),
        duration(sum(|times| times.generate_s)),
        sum(|times| times.verify_cpu_s)
    ));
    if examined.is_complete {
        return Ok(Some(examined));
    }
    say(match files {
        Some(_) => "stopped as asked; the same command goes on",
        None => "stopped as asked; with --out an evaluation can go on",
    });
    Ok(None)
}

impl EvalArgs {
    fn plan(&self, sampling: &Sampling) -> anyhow::Result<Plan> {
        let refuse = |why: String| -> anyhow::Result<Plan> { Err(WrongUse(why).into()) };
        if self.samples == 0 {
            return refuse("--samples is 0, but must be at least 1".to_owned());
        }
        if self.samples > 1 && sampling.temperature == 0.0 {
            let text = "greedy samples are all alike; set --temperature";
            return refuse(format!("--samples is {}, but {text}", self.samples));
        }
        if let Some(k) = self.k.iter().find(|&&k| k == 0 || k > self.samples) {
            return refuse(format!("--k names {k}, but {} samples allow 1 to {}", self.samples, self.samples));
        }
        if self.tasks.ngram == 0 {
            return refuse("--ngram is 0, but must be at least 1".to_owned());
        }
        if self.stop.iter().any(String::is_empty) || self.thinking.think_end.as_deref() == Some("") {
            return refuse(
                "--stop and --think-end must not be empty, a text that every completion contains".to_owned(),
            );
        }
        let pickers: Result<Vec<Picker>, String> = self.best_of.iter().map(|text| picker(text)).collect();
        let pickers = pickers.map_err(|why| WrongUse(format!("--best-of {why}")))?;
        let powers = || std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|&k| k <= self.samples);
        let ks: Vec<usize> = if self.k.is_empty() { powers().collect() } else { self.k.clone() };
        let ks = ks.into_iter().map(|k| k as u64).collect();
        Ok(Plan { n: self.samples as u64, ks, pickers, seed: self.seed })
    }

    fn limits(&self, config: Option<&RunConfig>) -> GenerationLimits {
        let configured = config.map(RunConfig::eval_max_new_tokens);
        let stop_strings = match config {
            Some(config) if self.stop.is_empty() => config.rollouts.stop.clone(),
            _ => self.stop.clone(),
        };
        GenerationLimits {
            max_new_tokens: self.max_new_tokens.or(configured).unwrap_or(DEFAULT_NEW_TOKENS),
            stop_strings,
            ignore_stop_ids: false,
            max_rows: self.max_rows,
        }
    }

    /// What a reader of the result wants to know of how it was made.
    fn settings(&self, collector: &Collector<'_>) -> Map<String, Value> {
        let settings = json!({
            "model": self.model.model,
            "samples": self.samples,
            "temperature": collector.sampling.temperature,
            "sampling": collector.sampling,
            "max_new_tokens": collector.limits.max_new_tokens,
            "stop": collector.limits.stop_strings,
            "seed": self.seed,
        });
        let Value::Object(settings) = settings else { unreachable!("it is written as an object") };
        settings
    }

    /// Everything that the samples depend on, to the last bit.
    fn all_settings(&self, examination: &Examination<'_>, plan: &Plan) -> anyhow::Result<Value> {
        let mut all = self.settings(&examination.collector);
        let pickers: Vec<&str> = plan.pickers.iter().map(Picker::name).collect();
        let more = [
            ("weights", json!(fingerprint::of_model(&self.model.model)?)),
            ("tasks", setup::fingerprint(examination.tasks)),
            ("variants", json!(examination.variants)),
            ("best_of", json!(pickers)),
            ("max_rows", json!(self.max_rows)),
            ("deterministic", json!(self.model.deterministic)),
            ("threads", json!(tch::get_num_threads())),
            ("device", json!(device::name(examination.collector.transformer.device()))),
        ];
        all.extend(more.map(|(name, value)| (name.to_owned(), value)));
        Ok(Value::Object(all))
    }
}

impl TaskArgs {
    /// The config that tasks are taken from: the one named, or that of the run whose checkpoint the model is.
    fn config(&self, model: &Path) -> anyhow::Result<Option<RunConfig>> {
        if let Some(path) = &self.config {
            return Ok(Some(config::load(path, &[])?));
        }
        let of_run = model.parent().and_then(Path::parent).map(|run| run.join("config.toml"));
        let path = of_run.filter(|path| path.exists() && model.join("state.json").exists());
        if self.tasks.is_empty() && path.is_none() {
            let why =
                "name --tasks, or a --config with held-out tasks (a checkpoint within its run folder brings its own)";
            return Err(WrongUse(why.to_owned()).into());
        }
        Ok(path.map(|path| config::load(&path, &[])).transpose()?)
    }

    /// The tasks that can be judged, and who judges them.
    fn load(&self, config: Option<&RunConfig>, plan: &Plan) -> anyhow::Result<(Vec<Task>, Panel)> {
        let tasks = match config.filter(|_| self.tasks.is_empty()) {
            Some(config) => {
                let load = |source| dataset::load(source, Path::new(""), Split::Eval);
                config.eval.tasks.iter().map(load).collect::<Result<Vec<_>, _>>()?.concat()
            }
            None => self.of_specs(&self.tasks, Split::Eval)?,
        };
        let options = config.map(|config| config.verifiers.clone()).unwrap_or_default();
        let registry = Registry::default();
        let mut panel = Panel::new(&registry, &options, &tasks)?;
        for picker in &plan.pickers {
            if let Picker::Scored { name } = picker {
                panel.add(&registry, &options, name).context("--best-of")?;
            }
        }
        panel.exposed().iter().for_each(|warning| say(&format!("warning: {warning}")));
        let (tasks, faults) = panel.validate(tasks);
        if let Some(first) = faults.first() {
            say(&format!("warning: {} tasks are left out; the first: {first}", faults.len()));
        }
        if tasks.is_empty() {
            anyhow::bail!("there is no task that can be judged");
        }
        Ok((tasks, panel))
    }

    fn of_specs(&self, specs: &[String], split: Split) -> anyhow::Result<Vec<Task>> {
        let mut all = vec![];
        for spec in specs {
            let mut source = task_spec::parse(spec)?;
            source.verifier = self.verifier.clone().or(source.verifier);
            source.prompt_template.clone_from(&self.prompt_template);
            all.extend(dataset::load(&source, Path::new(""), split)?);
        }
        Ok(all)
    }

    /// Which prompts are among the training tasks; none if no training tasks are known.
    fn contamination(&self, config: Option<&RunConfig>, tasks: &[Task]) -> anyhow::Result<Option<Value>> {
        let train = match config.filter(|_| self.train_tasks.is_empty()) {
            Some(config) => {
                let load = |source| dataset::load(source, Path::new(""), Split::Train);
                config.tasks.iter().map(load).collect::<Result<Vec<_>, _>>()?.concat()
            }
            None => self.of_specs(&self.train_tasks, Split::Train)?,
        };
        if train.is_empty() {
            return Ok(None);
        }
        let found = overlap(&train, tasks, self.ngram);
        found.sentence().iter().for_each(|sentence| say(&format!("warning: {sentence}")));
        Ok(Some(json!(found)))
    }
}

/// Has the verifiers that pick judge every sample, as parts of a reward that nobody is paid.
fn picks(plan: &Plan) -> RewardConfig {
    let part = |picker: &Picker| match picker {
        Picker::Scored { name } => Some(PartConfig {
            verifier: name.clone(),
            name: String::new(),
            weight: 0.0,
            when: Condition::Always,
            spec: None,
        }),
        Picker::Noisy { .. } => None,
    };
    RewardConfig { parts: plan.pickers.iter().filter_map(part).collect(), ..RewardConfig::default() }
}

fn lines(problems: &[Problem]) -> anyhow::Result<String> {
    let lines: Result<Vec<String>, _> = problems.iter().map(serde_json::to_string).collect();
    Ok(lines?.join("\n") + "\n")
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("`{}` cannot be written", path.display()))
}

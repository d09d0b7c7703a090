//! `rlvr eval`: how good a model is, with intervals.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use rlvr::evaluate::{self, EvalSample, evaluate};
use rlvr_curves::estimate::{Interval, Votes, bootstrap_mean, majority_at_k, pass_at_k, wilson};
use rlvr_curves::record::Compute;
use rlvr_rollouts::collect::Collector;
use rlvr_rollouts::engine::DEFAULT_MAX_ROWS;
use rlvr_rollouts::{GenerationLimits, Stop};
use rlvr_verifiers::dataset;
use rlvr_verifiers::generators::Split;
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
    /// A task file, `gsm8k:FILE`, `humaneval:FILE`, `mbpp:FILE`, or a generator as in `arithmetic:n=200,level=2`; may be given several times.
    #[arg(long, required = true, value_name = "SPEC")]
    tasks: Vec<String>,
    /// The verifier of tasks that name none.
    #[arg(long, value_name = "NAME")]
    verifier: Option<String>,
    /// The prompt, with `{prompt}` and the task's other columns put in.
    #[arg(long, value_name = "TEXT")]
    prompt_template: Option<String>,
    /// Samples a task.
    #[arg(long, default_value_t = 1)]
    samples: usize,
    /// For which k to estimate pass@k and maj@k.
    #[arg(long, value_delimiter = ',', value_name = "K,…")]
    k: Vec<usize>,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// The most new tokens of a completion.
    #[arg(long, default_value_t = 256)]
    max_new_tokens: usize,
    /// End at this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Where the randomness comes from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The most completions decoded at a time.
    #[arg(long, default_value_t = DEFAULT_MAX_ROWS)]
    max_rows: usize,
    /// Write the result here instead of to stdout, and every sample to the same name with `.samples.jsonl`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &EvalArgs) -> anyhow::Result<()> {
    let sampling = args.sampling.sampling();
    check(args, sampling.temperature)?;
    let tasks = load(args)?;
    let panel = Panel::new(&Registry::default(), &std::collections::BTreeMap::new(), &tasks)?;
    let (tasks, faults) = panel.validate(tasks);
    if let Some(first) = faults.first() {
        say(&format!("warning: {} tasks are left out; the first: {first}", faults.len()));
    }
    if tasks.is_empty() {
        anyhow::bail!("no task can be judged");
    }
    let (transformer, tokenizer) = args.model.load()?;
    let limits = GenerationLimits {
        max_new_tokens: args.max_new_tokens,
        stop_strings: args.stop.clone(),
        ignore_stop_ids: false,
        max_rows: args.max_rows,
    };
    let reward = RewardConfig::default();
    let collector = Collector {
        transformer: &transformer,
        tokenizer: &tokenizer,
        panel: &panel,
        reward: &reward,
        sampling: &sampling,
        limits: &limits,
    };
    let mut compute = Compute::default();
    let noise = evaluate::noise(args.seed);
    let evaluation = evaluate(&collector, &tasks, args.samples, noise, (&mut compute, &mut |_| {}))?;

    let mut sets: Vec<&str> = evaluation.samples.iter().map(|sample| sample.set.as_str()).collect();
    sets.sort_unstable();
    sets.dedup();
    let of_set = |set: &&str| {
        let samples: Vec<&EvalSample> = evaluation.samples.iter().filter(|sample| sample.set == **set).collect();
        ((*set).to_owned(), summary(&samples, args))
    };
    let result = json!({
        "model": args.model.model,
        "samples": args.samples,
        "temperature": sampling.temperature,
        "sets": sets.iter().map(of_set).collect::<Map<String, Value>>(),
        "tokens": compute.eval_tokens,
        "flops": compute.eval_flops,
        "wall_s": compute.eval_wall_s,
    });
    let text = format!("{result:#}\n");
    let Some(path) = &args.out else { return print(&text) };
    std::fs::write(path, text).with_context(|| format!("`{}` cannot be written", path.display()))?;
    let lines: Result<Vec<String>, _> = evaluation.samples.iter().map(serde_json::to_string).collect();
    let path = path.with_extension("samples.jsonl");
    std::fs::write(&path, lines?.join("\n") + "\n").with_context(|| format!("`{}` cannot be written", path.display()))
}

fn check(args: &EvalArgs, temperature: f64) -> anyhow::Result<()> {
    let refuse = |why: String| Err(WrongUse(why).into());
    if args.samples == 0 {
        return refuse("--samples is 0, but must be at least 1".to_owned());
    }
    if args.samples > 1 && temperature == 0.0 {
        return refuse(format!("--samples is {}, but greedy samples are all alike; set --temperature", args.samples));
    }
    if let Some(k) = args.k.iter().find(|&&k| k == 0 || k > args.samples) {
        return refuse(format!("--k names {k}, but {} samples allow 1 to {}", args.samples, args.samples));
    }
    Ok(())
}

fn load(args: &EvalArgs) -> anyhow::Result<Vec<Task>> {
    let mut all = vec![];
    for spec in &args.tasks {
        let mut source = task_spec::parse(spec)?;
        source.verifier = args.verifier.clone().or(source.verifier);
        source.prompt_template.clone_from(&args.prompt_template);
        all.extend(dataset::load(&source, Path::new(""), Split::Eval)?);
    }
    Ok(all)
}

/// The estimates of one set with their intervals.
fn summary(samples: &[&EvalSample], args: &EvalArgs) -> Value {
    let judged: Vec<&EvalSample> = samples.iter().copied().filter(|sample| sample.score.is_some()).collect();
    let mut problems: Vec<Vec<&EvalSample>> = vec![];
    for sample in &judged {
        match problems.last_mut() {
            Some(problem) if problem[0].task_id == sample.task_id => problem.push(sample),
            _ => problems.push(vec![sample]),
        }
    }
    let is_right = |sample: &&EvalSample| sample.score.is_some_and(|score| score >= 1.0);
    let mut result = Map::new();
    result.insert("n_problems".to_owned(), problems.len().into());
    result.insert("n_samples".to_owned(), judged.len().into());
    result.insert("n_unjudged".to_owned(), (samples.len() - judged.len()).into());
    let mut estimate = |name: String, of_problem: &dyn Fn(&[&EvalSample]) -> Option<f64>| {
        // A problem with too few judged samples for k says nothing about k.
        let values: Vec<f64> = problems.iter().filter_map(|problem| of_problem(problem)).collect();
        result.insert(name, with_interval(&values, args));
    };
    let score = |sample: &EvalSample| f64::from(sample.score.unwrap_or(0.0));
    estimate(format!("mean@{}", args.samples), &|p| Some(p.iter().map(|s| score(s)).sum::<f64>() / p.len() as f64));
    if judged.iter().all(|sample| sample.strict.is_some()) {
        estimate("strict".to_owned(), &|p| Some(p.iter().filter_map(|s| s.strict).sum::<f64>() / p.len() as f64));
    }
    if judged.iter().all(|sample| sample.lenient.is_some()) {
        estimate("lenient".to_owned(), &|p| Some(p.iter().filter_map(|s| s.lenient).sum::<f64>() / p.len() as f64));
    }
    let powers = || std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|&k| k <= args.samples);
    let ks: Vec<usize> = if args.k.is_empty() { powers().collect() } else { args.k.clone() };
    for k in ks {
        estimate(format!("pass@{k}"), &|p| {
            pass_at_k(p.len() as u64, p.iter().filter(|s| is_right(s)).count() as u64, k as u64)
        });
        let votes = |p: &[&EvalSample]| Votes::count(p.iter().map(|s| (s.answer.as_deref(), is_right(s))));
        estimate(format!("maj@{k}"), &|p| majority_at_k(&votes(p), k as u64));
    }
    estimate("length".to_owned(), &|p| Some(p.iter().map(|s| s.n_tokens as f64).sum::<f64>() / p.len() as f64));
    estimate("truncated".to_owned(), &|p| {
        Some(p.iter().filter(|s| s.stop == Stop::Length).count() as f64 / p.len() as f64)
    });
    Value::Object(result)
}

/// A mean over problems: Wilson's interval for a single greedy sample each, the bootstrap over problems otherwise.
fn with_interval(values: &[f64], args: &EvalArgs) -> Value {
    if values.is_empty() {
        return Value::Null;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let is_binary = values.iter().all(|&value| value == 0.0 || value == 1.0);
    let (Interval { low, high }, kind) = if args.samples == 1 && is_binary {
        (wilson(values.iter().sum(), values.len() as f64), "wilson")
    } else {
        (bootstrap_mean(values, args.seed), "bootstrap over problems")
    };
    json!({"value": mean, "low": low, "high": high, "interval": kind})
}

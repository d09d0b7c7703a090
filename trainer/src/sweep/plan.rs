//! From a sweep file to the runs of a sweep.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::config::{self, RunConfig};

/// A sweep, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepFile {
    /// The name of its folder under `runs/`; that of the file by default.
    name: Option<String>,
    /// Runs at a time.
    #[serde(default = "one")]
    jobs: usize,
    /// What is varied: every value of an axis with every value of the others. An axis with several keys varies them
    /// together: first values with first values, and so on.
    #[serde(default)]
    axes: Vec<Table>,
    /// Runs by name with settings of their own, each crossed with the axes.
    #[serde(default)]
    runs: Vec<ListedRun>,
    /// What is drawn of the final checkpoints.
    inference: Option<Inference>,
    /// The config of all runs: a table as in a config file, or the path of one.
    config: Value,
}

fn one() -> usize {
    1
}

/// `[[runs]]`: a run with settings of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedRun {
    name: String,
    #[serde(default)]
    set: Table,
}

/// `[inference]`: what is drawn of the final checkpoints on their held-out tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inference {
    /// Samples a task.
    pub samples: usize,
    /// The temperature.
    #[serde(default = "plain")]
    pub temperature: f64,
    /// For which k to estimate.
    #[serde(default)]
    pub k: Vec<usize>,
    /// What picks among samples.
    #[serde(default)]
    pub best_of: Vec<String>,
    /// Budgets of thinking, in tokens.
    #[serde(default)]
    pub think_budget: Vec<usize>,
}

fn plain() -> f64 {
    1.0
}

/// A sweep, worked out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Runs at a time.
    pub jobs: usize,
    /// The runs in order.
    pub runs: Vec<PlannedRun>,
    /// What is drawn of the final checkpoints.
    pub inference: Option<Inference>,
}

/// One run of a sweep.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// The name, and that of its folder.
    pub name: String,
    /// The name without the seed: runs of one group are seeds of the same thing.
    pub group: String,
    /// What sets it apart, as for `--set`.
    pub settings: Vec<String>,
    /// The complete config.
    pub config: RunConfig,
}

/// The key whose values make runs seeds of the same thing.
const SEED: &str = "run.seed";

/// The most runs of a sweep: more are a slip of the pen.
const MOST: usize = 10_000;

/// Reads a sweep file and works out its runs, all of them checked.
///
/// # Errors
///
/// Names the file, the key and what would be right.
pub fn load(path: &Path) -> anyhow::Result<Plan> {
    let place = || format!("sweep `{}`", path.display());
    if !path.exists() {
        bail!("{}: there is no such file; give a sweep, such as `configs/scaling/arithmetic.toml`", place());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", place()))?;
    let file: SweepFile = toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}:\n{error}", place()))?;
    if file.jobs == 0 {
        bail!("{}: `jobs` is 0, but must be at least 1", place());
    }
    let base = Base::of(&file.config, path)?;
    let settings = combinations(&file).map_err(|why| anyhow::anyhow!("{}: {why}", place()))?;
    let stem = path.file_stem().map_or_else(|| "sweep".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let mut runs = vec![];
    for Combination { name, group, settings } in settings {
        let of_run = || format!("{}, run `{name}`", place());
        let mut config = config::parse(&base.text, &settings, &base.origin)
            .and_then(|file| file.resolve(&base.folder, &name))
            .with_context(of_run)?;
        config.run.name.clone_from(&name);
        runs.push(PlannedRun { name, group, settings, config });
    }
    Ok(Plan { name: file.name.unwrap_or(stem), jobs: file.jobs, runs, inference: file.inference })
}

/// The config that all runs share.
struct Base {
    text: String,
    origin: String,
    /// Where relative paths start.
    folder: PathBuf,
}

impl Base {
    fn of(config: &Value, sweep: &Path) -> anyhow::Result<Self> {
        let folder = sweep.parent().unwrap_or(Path::new(".")).to_owned();
        match config {
            Value::Table(table) => Ok(Self {
                text: toml::to_string(table).context("the table `config` cannot be written as TOML")?,
                origin: format!("`{}`, table `config`", sweep.display()),
                folder,
            }),
            Value::String(path) => {
                let path = folder.join(path);
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("config `{}` cannot be read", path.display()))?;
                let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
                Ok(Self { text, origin: format!("`{}`", path.display()), folder })
            }
            other => bail!(
                "sweep `{}`: `config` is of type {}, but must be a table or the path of a config",
                sweep.display(),
                other.type_str()
            ),
        }
    }
}

/// The settings of one run.
#[derive(Clone, Debug, Default)]
struct Combination {
    name: String,
    group: String,
    settings: Vec<String>,
}

impl Combination {
    /// Adds a setting, and its short form to the name.
    fn with(mut self, key: &str, value: &Value) -> Self {
        let shown = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let short = format!("{}-{}", key.rsplit('.').next().unwrap_or(key), plain_name(&shown));
        push_name(&mut self.name, &short);
        if key != SEED {
            push_name(&mut self.group, &short);
        }
        self.settings.push(format!("{key}={value}"));
        self
    }
}

fn push_name(name: &mut String, part: &str) {
    if !name.is_empty() {
        name.push('_');
    }
    name.push_str(part);
}

/// A value with only what belongs into a folder's name.
fn plain_name(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || "-.+".contains(c) { c } else { '-' }).collect()
}

/// Every listed run with every combination of the axes.
fn combinations(file: &SweepFile) -> Result<Vec<Combination>, String> {
    let mut all: Vec<Combination> =
        if file.runs.is_empty() { vec![Combination::default()] } else { file.runs.iter().map(listed).collect() };
    for axis in &file.axes {
        let values = axis_values(axis)?;
        if all.len().saturating_mul(values.len()) > MOST {
            return Err(format!("the axes make more than {MOST} runs"));
        }
        let with_all = |combination: &Combination| {
            let with = |step: &Vec<(&String, &Value)>| {
                step.iter().fold(combination.clone(), |combination, (key, value)| combination.with(key, value))
            };
            values.iter().map(with).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with_all).collect();
    }
    for combination in &mut all {
        for name in [&mut combination.name, &mut combination.group] {
            if name.is_empty() {
                "run".clone_into(name);
            }
        }
    }
    let mut names = BTreeSet::new();
    match all.iter().find(|combination| !names.insert(&combination.name)) {
        Some(twice) => Err(format!("two runs are called `{}`; list each value and each name once", twice.name)),
        None => Ok(all),
    }
}

fn listed(run: &ListedRun) -> Combination {
    let settings = run.set.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let is_seed_alone = run.set.len() == 1 && run.set.contains_key(SEED);
    let group = if is_seed_alone { String::new() } else { run.name.clone() };
    Combination { name: run.name.clone(), group, settings }
}

/// The steps along an axis: the values of its keys at each.
fn axis_values(axis: &Table) -> Result<Vec<Vec<(&String, &Value)>>, String> {
    let lists: Result<Vec<(&String, &Vec<Value>)>, String> = axis
        .iter()
        .map(|(key, value)| match value {
            Value::Array(values) if !values.is_empty() => Ok((key, values)),
            other => {
                Err(format!("axis `{key}` is `{other}`, but must be a list of values, as in `\"{key}\" = [1, 2]`"))
            }
        })
        .collect();
    let lists = lists?;
    let Some(&(first, values)) = lists.first() else { return Err("an axis of `axes` is empty".to_owned()) };
    if let Some((key, other)) = lists.iter().find(|(_, other)| other.len() != values.len()) {
        return Err(format!(
            "axis `{first}` has {} values and `{key}`, which is varied with it, {}; give each an axis of its own, or as many \
             values",
            values.len(),
            other.len()
        ));
    }
    Ok((0..values.len()).map(|i| lists.iter().map(|(key, values)| (*key, &values[i])).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[config.run]\nsteps = 3\n[config.policy]\npreset = \"tiny\"\n[[config.tasks]]\ngenerator = \"sorting\"\nn = 50\n";

    fn plan(text: &str) -> Result<Plan, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        std::fs::write(&path, format!("{text}\n{CONFIG}")).unwrap();
        load(&path).map_err(|error| format!("{error:#}").replace(&*folder.path().to_string_lossy(), ""))
    }

    #[test]
    fn axes_are_crossed_and_keys_of_one_axis_go_together() {
        let plan = plan(
            "jobs = 2\n[[axes]]\n\"policy.sizes.hidden_size\" = [32, 64]\n\"optimizer.lr\" = [1e-3, 5e-4]\n[[axes]]\n\"run.seed\" = [0, 1, 2]",
        )
        .unwrap();
        assert_eq!((plan.name.as_str(), plan.jobs, plan.runs.len()), ("s", 2, 6));
        let run = &plan.runs[4];
        assert_eq!(
            (run.group.as_str(), run.config.run.seed),
            ("lr-0.0005_hidden-size-64".replace("hidden-size", "hidden_size").as_str(), 1)
        );
        assert_eq!(run.name, format!("{}_seed-1", run.group));
        assert_eq!(run.config.policy.sizes.as_ref().unwrap().hidden_size, 64);
        assert!((run.config.optimizer.lr - 5e-4).abs() < 1e-12);
        assert_eq!(run.config.run.name, run.name);
    }

    #[test]
    fn listed_runs_have_settings_of_their_own() {
        let plan = plan(
            "[[runs]]\nname = \"small\"\nset = { \"run.steps\" = 5 }\n[[runs]]\nname = \"large\"\n[[axes]]\n\"run.seed\" = [3]",
        )
        .unwrap();
        let found: Vec<(&str, &str, u64)> =
            plan.runs.iter().map(|run| (run.name.as_str(), run.group.as_str(), run.config.run.steps)).collect();
        assert_eq!(found, [("small_seed-3", "small", 5), ("large_seed-3", "large", 3)]);
    }

    #[test]
    fn slips_are_named() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let error = plan(text).unwrap_err();
            assert!(error.contains(expected), "{error}\ndoes not contain {expected}");
        }
        check("jobs = 0", "sweep `/s.toml`: `jobs` is 0, but must be at least 1");
        check(
            "[[axes]]\n\"run.seed\" = 3",
            "axis `run.seed` is `3`, but must be a list of values, as in `\"run.seed\" = [1, 2]`",
        );
        check(
            "[[axes]]\n\"run.seed\" = [1]\n\"run.steps\" = [1, 2]",
            "axis `run.seed` has 1 values and `run.steps`, which is varied with it, 2",
        );
        check("[[axes]]\n\"run.seed\" = [1, 1]", "two runs are called `seed-1`");
        check("[[axes]]\n\"run.sede\" = [1]", "did you mean `seed`?");
        check("[[axes]]\n\"rollouts.group_size\" = [1]", "run `group_size-1`: config: `rollouts.group_size` is 1");
        check("axis = 1", "unknown field `axis`");
    }
}

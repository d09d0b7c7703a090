//! How the configs of runs differ.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::page::Page;
use crate::runs::Run;

/// The keys in which configs differ, with the value of each run.
pub(super) fn differences(configs: &[Table]) -> Vec<(String, Vec<Option<String>>)> {
    let flat: Vec<BTreeMap<String, String>> = configs
        .iter()
        .map(|config| {
            let mut all = BTreeMap::new();
            flatten("", &Value::Table(config.clone()), &mut all);
            all
        })
        .collect();
    let mut keys: Vec<&String> = flat.iter().flat_map(BTreeMap::keys).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .map(|key| (key.clone(), flat.iter().map(|all| all.get(key).cloned()).collect::<Vec<_>>()))
        .filter(|(_, values)| values.windows(2).any(|pair| pair[0] != pair[1]))
        .collect()
}

fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let name = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| flatten(&name(key), value, into)),
        Value::Array(all) if all.iter().any(Value::is_table) => {
            all.iter().enumerate().for_each(|(i, value)| flatten(&format!("{prefix}[{i}]"), value, into));
        }
        value => {
            into.insert(prefix.to_owned(), value.to_string());
        }
    }
}

/// The configs that can be read; the checklist and the page say which cannot.
pub(crate) fn parsed(runs: &[&Run]) -> Option<Vec<Table>> {
    runs.iter().map(|run| run.config.as_ref()?.parse().ok()).collect()
}

/// Keys that tell runs apart without making them different.
pub(super) fn is_label(key: &str) -> bool {
    ["run.name", "run.seed", "run.device", "run.threads"].contains(&key)
}

/// The settings in which runs differ, names and seeds aside; none if a config cannot be read.
pub(super) fn settings_apart(runs: &[&Run]) -> Option<Vec<String>> {
    let keys = differences(&parsed(runs)?).into_iter().map(|(key, _)| key);
    Some(keys.filter(|key| !is_label(key)).collect())
}

/// Runs of equal settings, names and seeds aside, by their places, under the settings that set them apart: seeds of one
/// run. All runs are one group if a config cannot be read.
pub(crate) fn groups(runs: &[&Run]) -> Vec<(String, Vec<usize>)> {
    /// Settings that are named before the rest is left to the table of configs.
    const NAMED: usize = 3;
    let apart: Vec<_> = match parsed(runs) {
        Some(configs) => differences(&configs).into_iter().filter(|(key, _)| !is_label(key)).collect(),
        None => vec![],
    };
    let mut groups: Vec<(String, Vec<usize>)> = vec![];
    for i in 0..runs.len() {
        let values = |of: usize| apart.iter().map(move |(_, values)| &values[of]);
        match groups.iter_mut().find(|(_, members)| values(members[0]).eq(values(i))) {
            Some((_, members)) => members.push(i),
            None => {
                let named = apart
                    .iter()
                    .take(NAMED)
                    .filter_map(|(key, values)| values[i].as_ref().map(|value| format!("{key} = {value}")));
                groups.push((named.collect::<Vec<_>>().join(", "), vec![i]));
            }
        }
    }
    groups
}

/// Whether a run's learning rate falls by its config.
pub(crate) fn decays(run: &Run) -> bool {
    schedule(run).is_some_and(|schedule| schedule != "constant")
}

/// The schedule of the learning rate by the config.
pub(crate) fn schedule(run: &Run) -> Option<String> {
    let config: Table = run.config.as_ref()?.parse().ok()?;
    Some(config.get("optimizer")?.get("schedule")?.as_str()?.to_owned())
}

pub(super) fn write(page: &mut Page, runs: &[&Run]) {
    page.heading("Configs");
    let Some(configs) = parsed(runs) else {
        page.text("Not every run has a `config.toml` that can be read, so that their differences are not known.");
        return;
    };
    let differences = differences(&configs);
    if runs.len() > 1 && differences.is_empty() {
        page.warning("The configs are equal, seeds included: these runs are no independent repetitions.");
    } else if runs.len() > 1 {
        let mut header = vec!["key"];
        header.extend(runs.iter().map(|run| run.name.as_str()));
        let cell = |value: &Option<String>| value.clone().unwrap_or_else(|| "(not set)".to_owned());
        let row = |(key, values): &(String, Vec<Option<String>>)| {
            std::iter::once(key.clone()).chain(values.iter().map(cell)).collect()
        };
        page.table(&header, &differences.iter().map(row).collect::<Vec<Vec<String>>>());
        if differences.iter().all(|(key, _)| is_label(key)) {
            page.text("The runs differ in nothing but name and seed.");
        }
    }
    for run in runs {
        if let Some(config) = &run.config {
            page.folded(&format!("config.toml of {}", run.name), |page| page.code(config));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let configs: Vec<Table> = [
            "[run]\nseed = 0\n[optimizer]\nlr = 1e-6\n[[tasks]]\nn = 5\n",
            "[run]\nseed = 1\n[optimizer]\nlr = 1e-6\n[[tasks]]\nn = 5\n[[tasks]]\nn = 6\n",
        ]
        .map(|text| text.parse().unwrap())
        .to_vec();
        let shown = |text: &str| Some(text.to_owned());
        assert_eq!(
            differences(&configs),
            [("run.seed".to_owned(), vec![shown("0"), shown("1")]), ("tasks[1].n".to_owned(), vec![None, shown("6")])]
        );
        assert!(is_label("run.seed") && !is_label("tasks[1].n"));
    }
}

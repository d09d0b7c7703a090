//! What a run folder says of its run: `run.json` and `config.toml`.

use std::path::Path;

use rlvr_curves::store::StoreError;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Entry, RunReader};

/// What a run is, as far as trackers show it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// The identity of the run in trackers: eight characters of `0-9a-z`, the same after a resume.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it began, in seconds since 1970.
    pub started_s: f64,
    /// The machine.
    pub host: String,
    /// The commit of the source that it was made with.
    pub commit: String,
    /// All of `run.json`.
    pub header: Map<String, Value>,
    /// The config as JSON, without what may hold secrets.
    pub config: Map<String, Value>,
}

/// Tables of the config whose values are withheld, since people put passwords there.
const SECRET: [&str; 2] = ["headers", "env"];

impl Description {
    /// Reads the description of a run; a run of an earlier version gets its identity from its name and beginning.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn read(folder: &Path) -> Result<Self, StoreError> {
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let header: Map<String, Value> = serde_json::from_str(&text("run.json")).unwrap_or_default();
        let config: toml::Table = text("config.toml").parse().unwrap_or_default();
        let word = |key: &str| header.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let folder_name = || folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let name = Some(word("name")).filter(|name| !name.is_empty()).unwrap_or_else(folder_name);
        let started_s = match header.get("started_s").and_then(Value::as_f64) {
            Some(started_s) => started_s,
            None => first_time_s(folder)?,
        };
        let id = Some(word("id")).filter(|id| is_id(id)).unwrap_or_else(|| new_id(&format!("{name} {started_s}")));
        let Value::Object(config) = withheld(Value::from_iter(config.iter().map(|(k, v)| (k.clone(), json(v))))) else {
            unreachable!("a table is an object");
        };
        Ok(Self { id, name, started_s, host: word("host"), commit: word("commit"), header, config })
    }

    /// Returns the settings of the config by their dotted names; texts, numbers and truth values alone.
    pub fn settings(&self) -> Vec<(String, Value)> {
        let mut settings = vec![];
        for (key, value) in &self.config {
            flatten(key, value, &mut settings);
        }
        settings
    }
}

/// Makes the identity of a run out of what no other run has: eight characters of `0-9a-z`.
///
/// # Examples
///
/// ```
/// assert_eq!(rlvr_track::replay::new_id("quickstart 1700000000").len(), 8);
/// ```
pub fn new_id(unique: &str) -> String {
    let digest = Sha256::digest(unique.as_bytes());
    digest
        .iter()
        .take(8)
        .map(|&byte| char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[usize::from(byte) % 36]))
        .collect()
}

/// Whether an identity can be part of a file's name and of an address.
fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn first_time_s(folder: &Path) -> Result<f64, StoreError> {
    Ok(match RunReader::new(folder).next_entry()? {
        Some(Entry::Record { record, .. }) => record.time_s,
        Some(Entry::Console { .. }) | None => 0.0,
    })
}

/// TOML as JSON; dates become texts, and numbers that JSON lacks too.
fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) if number.is_finite() => Value::from(*number),
        toml::Value::Float(number) => Value::from(number.to_string()),
        toml::Value::Boolean(truth) => Value::from(*truth),
        toml::Value::Datetime(date) => Value::from(date.to_string()),
        toml::Value::Array(values) => values.iter().map(json).collect(),
        toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
    }
}

fn withheld(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let of = |(key, value)| match SECRET.contains(&String::as_str(&key)) {
                true => (key, Value::from("withheld")),
                false => (key, withheld(value)),
            };
            object.into_iter().map(of).collect()
        }
        Value::Array(values) => values.into_iter().map(withheld).collect(),
        other => other,
    }
}

fn flatten(name: &str, value: &Value, settings: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| flatten(&format!("{name}.{key}"), value, settings));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(i, value)| flatten(&format!("{name}.{i}"), value, settings));
        }
        Value::Null => {}
        other => settings.push((name.to_owned(), other.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_described_by_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let header = json!({"id": "abcd1234", "name": "r", "host": "h", "commit": "c", "started_s": 12.5});
        std::fs::write(folder.path().join("run.json"), header.to_string()).unwrap();
        let config = "recipe = 'grpo'\n[run]\nsteps = 3\n[verifiers.'http:x']\nheaders = {Authorization = 'Bearer s'}\n\
                      [[tasks]]\nn = 5\np = inf\n";
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let found = Description::read(folder.path()).unwrap();
        assert_eq!((found.id.as_str(), found.name.as_str(), found.started_s), ("abcd1234", "r", 12.5));
        let settings: Vec<String> = found.settings().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = [
            "recipe=\"grpo\"",
            "run.steps=3",
            "tasks.0.n=5",
            "tasks.0.p=\"inf\"",
            "verifiers.http:x.headers=\"withheld\"",
        ];
        let mut sorted = settings.clone();
        sorted.sort();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn a_run_of_an_earlier_version_has_an_identity_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("run.json"), "{\"name\":\"r\"}").unwrap();
        let record = "{\"kind\":\"eval\",\"schema\":1,\"step\":0,\"time_s\":7}\n";
        std::fs::write(folder.path().join("metrics.jsonl"), record).unwrap();
        let found = Description::read(folder.path()).unwrap();
        assert_eq!((found.started_s, found.id.clone()), (7.0, new_id("r 7")));
        assert_eq!(Description::read(folder.path()).unwrap().id, found.id);
        assert_ne!(new_id("r 7"), new_id("r 8"));
    }

    #[test]
    fn an_identity_that_leads_elsewhere_is_not_used() {
        for (id, expected) in [("ab-9_Z", true), ("", false), ("../x", false), ("a b", false)] {
            assert_eq!(is_id(id), expected, "{id}");
        }
    }
}

//! From a file's text, and `--set`, to a [`RunConfig`].

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use super::{RunConfig, RunFile};

/// Why a config cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("config `{}` cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A `--set` is not of the form `a.b=value`, or leads nowhere.
    #[error("--set `{argument}`: {why}")]
    Set {
        /// The argument.
        argument: String,
        /// What is wrong and what would be right.
        why: String,
    },
    /// The text is not TOML, or has a key or a value that does not belong.
    #[error("config {origin}:\n{text}")]
    Text {
        /// The file, and the settings of the command line.
        origin: String,
        /// The place, the line and what is wrong with it.
        text: String,
    },
    /// A value is out of range or contradicts another.
    #[error("config: {0}")]
    Value(String),
}

/// Reads a config file, applies `a.b=value` settings to it, and works out what it means.
///
/// # Errors
///
/// Names the file, the line and the key, with the nearest known name for an unknown one.
pub fn load(path: &Path, settings: &[String]) -> Result<RunConfig, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let stem = path.file_stem().map_or_else(|| "run".to_owned(), |stem| stem.to_string_lossy().into_owned());
    parse(&text, settings, &format!("`{}`", path.display()))?.resolve(folder, &stem)
}

/// Parses the text of a config after applying settings to it; `origin` is named in errors.
///
/// # Errors
///
/// As [`load`].
pub fn parse(text: &str, settings: &[String], origin: &str) -> Result<RunFile, ConfigError> {
    let changed = if settings.is_empty() { text.to_owned() } else { apply(text, settings, origin)? };
    toml::from_str(&changed).map_err(|error| {
        let origin = if settings.is_empty() {
            origin.to_owned()
        } else {
            format!("{origin} with --set {}", settings.join(" --set "))
        };
        ConfigError::Text { origin, text: with_suggestion(&error) }
    })
}

/// Applies the settings to the text, so that errors keep their lines.
fn apply(text: &str, settings: &[String], origin: &str) -> Result<String, ConfigError> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| ConfigError::Text {
        origin: origin.to_owned(),
        text: error.to_string(),
    })?;
    for argument in settings {
        let refuse = |why: String| ConfigError::Set { argument: argument.clone(), why };
        let (path, value) =
            argument.split_once('=').ok_or_else(|| refuse("expected `section.key=value`".to_owned()))?;
        let value: Value = value.trim().parse().unwrap_or_else(|_| Value::from(value.trim()));
        let keys: Vec<&str> = path.trim().split('.').collect();
        insert(document.as_table_mut(), &keys, value).map_err(refuse)?;
    }
    Ok(document.to_string())
}

/// Sets the value at a path of keys; sections on the way are made, entries of a list of sections are reached by number.
fn insert(table: &mut dyn TableLike, keys: &[&str], value: Value) -> Result<(), String> {
    match keys {
        [] | [""] => Err("the key is empty".to_owned()),
        [last] => {
            table.insert(last, Item::Value(value));
            Ok(())
        }
        [key, rest @ ..] => {
            if !table.contains_key(key) {
                table.insert(key, Item::Table(Table::new()));
            }
            match table.get_mut(key).expect("it was just made") {
                Item::ArrayOfTables(tables) => {
                    let n = tables.len();
                    let (index, rest) = rest.split_first().expect("a path has more keys here");
                    let entry = index.parse().ok().and_then(|index: usize| tables.get_mut(index));
                    let entry =
                        entry.ok_or_else(|| format!("`{key}` is a list of {n}; name one by its number, from 0"))?;
                    insert(entry, rest, value)
                }
                item => match item.as_table_like_mut() {
                    Some(table) => insert(table, rest, value),
                    None => Err(format!("`{key}` is a value, not a section")),
                },
            }
        }
    }
}

/// The parser's message, with the nearest known name for an unknown field or variant.
fn with_suggestion(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let names: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    let is_unknown = error.message().starts_with("unknown field") || error.message().starts_with("unknown variant");
    match names.split_first() {
        Some((wrong, known)) if is_unknown => {
            let nearest = known
                .iter()
                .map(|name| (strsim::jaro_winkler(wrong, name), name))
                .filter(|(likeness, _)| *likeness > 0.75)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            nearest.map_or(text.clone(), |(_, name)| format!("{}\ndid you mean `{name}`?", text.trim_end()))
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "[run]\nsteps = 3\n[policy]\npreset = \"tiny\"\n[[tasks]]\ngenerator = \"sorting\"\nn = 5\n";

    fn parse_with(text: &str, settings: &[&str]) -> Result<RunFile, String> {
        let settings: Vec<String> = settings.iter().map(|&s| s.to_owned()).collect();
        parse(text, &settings, "`c.toml`").map_err(|error| error.to_string())
    }

    #[test]
    fn settings_reach_sections_lists_and_new_keys() {
        let file = parse_with(BASE, &["run.steps=7", "tasks.0.n = 9", "optimizer.lr=1e-3", "run.name=x y"]).unwrap();
        assert_eq!((file.run.steps, file.tasks[0].n, file.run.name.as_str()), (7, Some(9), "x y"));
        assert!((file.optimizer.lr - 1e-3).abs() < 1e-12);
        let file = parse_with(BASE, &["loss.bound={clip={low=0.1,high=0.3}}"]).unwrap();
        assert!(file.loss.bound.is_some());
    }

    #[test]
    fn bad_settings_say_why() {
        #[track_caller]
        fn check(setting: &str, expected: &str) {
            assert_eq!(parse_with(BASE, &[setting]).unwrap_err(), expected);
        }
        check("run.steps", "--set `run.steps`: expected `section.key=value`");
        check("run.=1", "--set `run.=1`: the key is empty");
        check("run.steps.x=1", "--set `run.steps.x=1`: `steps` is a value, not a section");
        check("tasks.3.n=1", "--set `tasks.3.n=1`: `tasks` is a list of 1; name one by its number, from 0");
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest_known_one() {
        #[track_caller]
        fn check(line: &str, expected: &[&str]) {
            let error = parse_with(&format!("{BASE}{line}\n"), &[]).unwrap_err();
            for part in expected {
                assert!(error.contains(part), "{error}\ndoes not contain {part}");
            }
        }
        check(
            "[rollouts]\ngrup_size = 4",
            &["c.toml", "line 9", "unknown field `grup_size`", "did you mean `group_size`?"],
        );
        check("[optimiser]\nlr = 1", &["unknown field `optimiser`", "did you mean `optimizer`?"]);
        check(
            "[loss]\nbound = { clipp = { low = 0.2 } }",
            &["line 9", "unknown variant `clipp`", "did you mean `clip`?"],
        );
        check("[loss]\nbound = { cispo = { cap = 5, flor = 1 } }", &["unknown field `flor`", "did you mean `floor`?"]);
        check("[loss]\naggregation = \"token_meen\"", &["did you mean `token_mean`?"]);
        check("[eval]\nevery = \"often\"", &["line 9", "invalid type: string"]);
        check("[policy.tokenizer]\nbytes = { x = 1 }", &["unexpected keys in table: x"]);
        let error = parse_with(BASE, &["run.sede=1"]).unwrap_err();
        assert!(error.contains("with --set run.sede=1") && error.contains("did you mean `seed`?"), "{error}");
    }
}

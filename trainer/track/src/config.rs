//! `[track]`: where a run is shown besides its folder.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[track]`: where a run is shown besides its folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrackConfig {
    /// Whether event files for TensorBoard are written into `tensorboard/` of the run folder while it runs.
    pub tensorboard: bool,
    /// Weights & Biases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wandb: Option<WandbConfig>,
}

/// `[track.wandb]`: Weights & Biases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WandbConfig {
    /// Whether the run is sent at once, or written into `wandb/` of the run folder for `wandb sync` alone.
    pub mode: WandbMode,
    /// The project.
    pub project: String,
    /// The user or team; the default of the account if empty.
    pub entity: String,
    /// The name shown; that of the run if empty.
    pub name: String,
    /// Runs of the same group are shown together, such as the seeds of an experiment.
    pub group: String,
    /// Words to find the run by.
    pub tags: Vec<String>,
    /// A table of rollouts every so many steps, and of the first step; 0 is none.
    pub table_every: u64,
}

impl Default for WandbConfig {
    fn default() -> Self {
        Self {
            mode: WandbMode::Offline,
            project: "rlvr".to_owned(),
            entity: String::new(),
            name: String::new(),
            group: String::new(),
            tags: vec![],
            table_every: 10,
        }
    }
}

/// How a run is tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WandbMode {
    /// Written into the run folder, for `wandb sync` or `wandb beta sync --live`.
    #[default]
    Offline,
    /// Written into the run folder and sent to the server while it runs.
    Online,
    /// Not at all.
    Off,
}

/// Longest name that the server takes.
const LONGEST_NAME: usize = 128;
const LONGEST_TAG: usize = 64;

impl TrackConfig {
    /// Returns the section of Weights & Biases, unless it is switched off.
    pub fn active_wandb(&self) -> Option<&WandbConfig> {
        self.wandb.as_ref().filter(|wandb| wandb.mode != WandbMode::Off)
    }

    /// Checks what the server would refuse, hours later.
    ///
    /// # Errors
    ///
    /// Names the key, and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let Some(wandb) = &self.wandb else { return Ok(()) };
        if wandb.project.is_empty() {
            return Err("`track.wandb.project` is empty; name a project, or leave the key out for `rlvr`".to_owned());
        }
        for (key, value) in [("project", &wandb.project), ("entity", &wandb.entity)] {
            check_name(key, value)?;
            if let Some(c) = value.chars().find(|c| "/\\#?%:".contains(*c) || c.is_whitespace() && key == "entity") {
                return Err(format!("`track.wandb.{key}` is `{value}`, but must not contain `{c}`"));
            }
        }
        for (key, value) in [("name", &wandb.name), ("group", &wandb.group)] {
            check_name(key, value)?;
        }
        match wandb.tags.iter().find(|tag| !(1..=LONGEST_TAG).contains(&tag.chars().count())) {
            Some(tag) => Err(format!("`track.wandb.tags` has `{tag}`, but a tag is 1 to {LONGEST_TAG} characters")),
            None => Ok(()),
        }
    }
}

fn check_name(key: &str, value: &str) -> Result<(), String> {
    if value.chars().count() > LONGEST_NAME || value.chars().any(char::is_control) {
        return Err(format!("`track.wandb.{key}` must be one line of at most {LONGEST_NAME} characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), &str>) {
        let config: TrackConfig = toml::from_str(text).unwrap();
        assert_eq!(config.check(), expected.map_err(str::to_owned));
    }

    #[test]
    fn what_the_server_would_refuse_is_refused_first() {
        check("", Ok(()));
        check("[wandb]\nproject = 'my runs'\nentity = 'team-1'\ntags = ['a']", Ok(()));
        check("[wandb]\nproject = 'a/b'", Err("`track.wandb.project` is `a/b`, but must not contain `/`"));
        check("[wandb]\nentity = 'a b'", Err("`track.wandb.entity` is `a b`, but must not contain ` `"));
        check("[wandb]\ntags = ['']", Err("`track.wandb.tags` has ``, but a tag is 1 to 64 characters"));
        check(
            "[wandb]\nproject = ''",
            Err("`track.wandb.project` is empty; name a project, or leave the key out for `rlvr`"),
        );
        check(
            &format!("[wandb]\nname = '{}'", "x".repeat(129)),
            Err("`track.wandb.name` must be one line of at most 128 characters"),
        );
    }

    #[test]
    fn a_section_by_itself_writes_offline_and_off_is_off() {
        let config: TrackConfig = toml::from_str("[wandb]").unwrap();
        assert_eq!(config.active_wandb(), Some(&WandbConfig::default()));
        assert_eq!(config.active_wandb().unwrap().mode, WandbMode::Offline);
        let config: TrackConfig = toml::from_str("[wandb]\nmode = 'off'").unwrap();
        assert_eq!(config.active_wandb(), None);
        let error = toml::from_str::<TrackConfig>("[wandb]\nprojekt = 'x'").unwrap_err().to_string();
        assert!(error.contains("unknown field `projekt`"), "{error}");
    }
}

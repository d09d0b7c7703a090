//! The options of the verifier `math`, and what a task may change about them.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::policy::Policy;
use crate::extract::{Extractor, SeveralBoxes};

/// How answers are found, read and compared: the table `[verifiers.math]`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct MathOptions {
    /// Where an answer that counts may stand.
    pub extract: Vec<Extractor>,
    /// Where an answer may stand for the strict score, which is recorded beside the one that counts: the forms that
    /// prompts ask for.
    pub extract_strict: Vec<Extractor>,
    /// Where an answer may stand for the lenient score, which is recorded too.
    pub extract_lenient: Vec<Extractor>,
    /// What counts if there are several boxes that differ and are no list.
    pub several_boxes: SeveralBoxes,
    /// The marker that ends the reasoning, such as `</think>`; only what follows it is looked at.
    pub reasoning_end: Option<String>,
    /// How answers are read and compared. Its keys stand in the same table.
    #[serde(flatten)]
    pub policy: Policy,
}

impl Default for MathOptions {
    fn default() -> Self {
        use Extractor::{Anchor, Boxed, LastMath, LastNumber};
        let all = vec![Boxed, Anchor, LastMath, LastNumber];
        Self {
            extract: all.clone(),
            extract_strict: vec![Boxed, Anchor],
            extract_lenient: all,
            several_boxes: SeveralBoxes::Reject,
            reasoning_end: None,
            policy: Policy::default(),
        }
    }
}

/// The keys that are not the policy's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Places {
    extract: Option<Vec<Extractor>>,
    extract_strict: Option<Vec<Extractor>>,
    extract_lenient: Option<Vec<Extractor>>,
    several_boxes: Option<SeveralBoxes>,
    reasoning_end: Option<String>,
}

const PLACES: [&str; 5] = ["extract", "extract_strict", "extract_lenient", "several_boxes", "reasoning_end"];

impl<'de> Deserialize<'de> for MathOptions {
    /// Reads one flat table. Serde cannot refuse unknown keys of a flattened structure, so that is done here.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut places = Map::deserialize(deserializer)?;
        let policy_keys: Vec<String> = places.keys().filter(|key| !PLACES.contains(&key.as_str())).cloned().collect();
        let changes = policy_keys.into_iter().filter_map(|key| places.remove_entry(&key)).collect();
        let policy = changed(&Policy::default(), &changes, &PLACES).map_err(D::Error::custom)?;
        let places: Places = serde_json::from_value(Value::Object(places)).map_err(D::Error::custom)?;
        let default = Self::default();
        let options = Self {
            // Who names what counts asks for that form.
            extract_strict: places.extract_strict.or_else(|| places.extract.clone()).unwrap_or(default.extract_strict),
            extract: places.extract.unwrap_or(default.extract),
            extract_lenient: places.extract_lenient.unwrap_or(default.extract_lenient),
            several_boxes: places.several_boxes.unwrap_or_default(),
            reasoning_end: places.reasoning_end,
            policy,
        };
        if [&options.extract, &options.extract_strict, &options.extract_lenient].iter().any(|list| list.is_empty()) {
            let why =
                "`extract`, `extract_strict` and `extract_lenient` must name at least one extractor, such as \"boxed\"";
            return Err(D::Error::custom(why));
        }
        if options.reasoning_end.as_ref().is_some_and(String::is_empty) {
            return Err(D::Error::custom("`reasoning_end` is empty, but must be a marker such as \"</think>\""));
        }
        Ok(options)
    }
}

/// Returns a policy with some of its keys changed, as the `spec` of a task does.
///
/// # Errors
///
/// Names the key that is unknown, listing the known ones after `others`, or whose value is out of range.
pub(super) fn changed(policy: &Policy, changes: &Map<String, Value>, others: &[&str]) -> Result<Policy, String> {
    let Ok(Value::Object(mut table)) = serde_json::to_value(policy) else {
        return Err("the policy is no table".to_owned());
    };
    for (key, value) in changes {
        match table.get_mut(key) {
            Some(place) => place.clone_from(value),
            None => {
                let known = others.iter().copied().chain(table.keys().map(String::as_str));
                let known: Vec<String> = known.map(|key| format!("`{key}`")).collect();
                return Err(format!("unknown field `{key}`, expected one of {}", known.join(", ")));
            }
        }
    }
    // One key at a time, so that the message can name the one whose value does not fit.
    for (key, value) in changes {
        let alone = Value::Object(Map::from_iter([(key.clone(), value.clone())]));
        serde_json::from_value::<Policy>(alone).map_err(|error| format!("`{key}`: {error}"))?;
    }
    let changed: Policy = serde_json::from_value(Value::Object(table)).map_err(|error| error.to_string())?;
    if let Some(rtol) = changed.rtol.filter(|rtol| !(0.0..1.0).contains(rtol)) {
        return Err(format!("`rtol` is {rtol}, but a relative distance lies in 0..1, such as 1e-6"));
    }
    if let Some(decimals) = changed.decimals.filter(|&decimals| decimals > 1000) {
        return Err(format!("`decimals` is {decimals}, but must be at most 1000"));
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(options: &str, expected: Result<MathOptions, &str>) {
        let read = toml::from_str::<MathOptions>(options).map_err(|error| error.message().to_owned());
        assert_eq!(read, expected.map_err(str::to_owned), "{options}");
    }

    #[test]
    fn one_flat_table() {
        check("", Ok(MathOptions::default()));
        let policy = Policy { decimals: Some(2), ..Policy::default() };
        check("decimals = 2", Ok(MathOptions { policy, ..MathOptions::default() }));
        let several_boxes = SeveralBoxes::Last;
        check("several_boxes = 'last'", Ok(MathOptions { several_boxes, ..MathOptions::default() }));
        let options =
            MathOptions { policy: Policy { rtol: Some(1e-3), ..Policy::default() }, ..MathOptions::default() };
        check(&toml::to_string(&options).unwrap(), Ok(options));
    }

    #[test]
    fn refusals() {
        let error = toml::from_str::<MathOptions>("tolerance = 2").unwrap_err();
        assert!(error.message().starts_with("unknown field `tolerance`, expected one of `extract`, "), "{error}");
        check(
            "extract = []",
            Err(
                "`extract`, `extract_strict` and `extract_lenient` must name at least one extractor, such as \"boxed\"",
            ),
        );
        check("reasoning_end = ''", Err("`reasoning_end` is empty, but must be a marker such as \"</think>\""));
        check("rtol = -1.0", Err("`rtol` is -1, but a relative distance lies in 0..1, such as 1e-6"));
        check("decimals = 'two'", Err("`decimals`: invalid type: string \"two\", expected u32"));
    }
}

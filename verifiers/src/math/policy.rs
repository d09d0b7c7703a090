//! The questions on which sound checkers differ, each a switch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an answer is read and compared.
///
/// The defaults suit competition mathematics in English. A tolerance applies only if a task asks for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Which mark parts the decimals and which the thousands.
    pub locale: Locale,
    /// Accepts a number that equals the reference when both are rounded to this many decimals.
    pub decimals: Option<u32>,
    /// Accepts a number within this relative distance of the reference.
    pub rtol: Option<f64>,
    /// What answers a reference in percent.
    pub percent: Percent,
    /// What a unit on one side only means.
    pub units: Units,
    /// Whether the order of a bare list matters: `1, 2` and `2, 1`.
    pub list_order: ListOrder,
    /// Whether `x = 5` answers `5`, and back.
    pub labels: Labels,
    /// Whether `(1, 3)` may be both a pair and an interval.
    pub intervals: Intervals,
    /// Whether `f(y)` answers `f(x)`.
    pub variables: Variables,
}

/// Which mark parts the decimals and which the thousands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Locale {
    /// `1,234.5`.
    #[default]
    Us,
    /// `1 234,5` and `1.234,5`.
    Eu,
}

/// What answers a reference in percent, such as `28%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Percent {
    /// `28%`, `28` and `0.28`. A reference of `0.28` or `28` is not affected.
    #[default]
    Either,
    /// `28%` and `0.28`, its value.
    Value,
}

/// What a unit on one side only means; on both sides it must be the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    /// Nothing: `5` answers `5 cm`.
    #[default]
    Optional,
    /// A difference.
    Required,
}

/// Whether the order of a bare list matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListOrder {
    /// `1, 2` equals `2, 1`.
    #[default]
    Ignored,
    /// It does not.
    Kept,
}

/// Whether `x = 5` answers `5`, and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// It does.
    #[default]
    Optional,
    /// It does not.
    Required,
}

/// Whether `(1, 3)` may be both a pair and an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Intervals {
    /// It is what the reference is.
    #[default]
    OrPair,
    /// A pair equals a pair only, an interval an interval only.
    Distinct,
}

/// Whether the names of variables matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Variables {
    /// `y + 1` does not answer `x + 1`.
    #[default]
    Named,
    /// In an answer of one variable the name is free.
    Free,
}

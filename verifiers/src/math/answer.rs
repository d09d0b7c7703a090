//! One answer, read once and compared many times.

use std::fmt;

use super::number::{Number, NumberError};
use super::policy::Policy;

/// An answer as a value, apart from how it was written.
#[derive(Clone, Debug)]
pub struct Answer {
    number: Number,
}

/// Why a text is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The text has no reading.
    #[error("{0}")]
    Unparsable(String),
    /// Reading it would take more than an answer may; the limit is named.
    #[error("the answer exceeds the limit of {0}")]
    Refused(&'static str),
}

/// Which rung of the ladder decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// The texts are equal once spelling is set aside.
    Text,
    /// Exact values.
    Exact,
    /// The parts of tuples, sets, intervals, matrices and texts.
    Structure,
    /// Equations and inequalities.
    Relation,
    /// Identity of expressions, by evaluation.
    Identity,
    /// Closeness, because the task asks for no more.
    Tolerance,
}

/// Whether two answers are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// They are.
    Equal {
        /// What decided.
        rung: Rung,
    },
    /// They are not.
    Different {
        /// What decided.
        rung: Rung,
    },
    /// The fuel was spent, or no test could decide; the limit is named.
    Refused(&'static str),
}

impl Rung {
    /// The word for records, such as `exact`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Exact => "exact",
            Self::Structure => "structure",
            Self::Relation => "relation",
            Self::Identity => "identity",
            Self::Tolerance => "tolerance",
        }
    }
}

impl Answer {
    /// Reads the text of one answer.
    ///
    /// # Errors
    ///
    /// If it has no reading, or exceeds a limit.
    pub fn read(text: &str, _policy: &Policy) -> Result<Self, ReadError> {
        text.parse().map(|number| Self { number }).map_err(|error| match error {
            NumberError::Form => ReadError::Unparsable(error.to_string()),
            NumberError::TooLong => ReadError::Refused("digits"),
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.value().fmt(f)
    }
}

/// Compares an answer with the reference.
///
/// Random points are drawn from `seed` alone, so that equal arguments give equal results everywhere.
pub fn compare(reference: &Answer, answer: &Answer, _policy: &Policy, _seed: u64) -> Comparison {
    let rung = Rung::Exact;
    if answer.number.answers(&reference.number) { Comparison::Equal { rung } } else { Comparison::Different { rung } }
}

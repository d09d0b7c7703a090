//! The fuel of reading and comparing.
//!
//! Every limit counts something of the text or of the values, never time, so that a verdict is the same on any machine
//! under any load.

/// Bytes of one answer.
pub(super) const LENGTH: usize = 256 * 1024;
/// Brackets, fractions, roots and exponents inside each other.
pub(super) const DEPTH: usize = 200;
/// Levels of nesting up to which the stack of any thread suffices; deeper texts are read on a stack of their own.
pub(super) const SHALLOW: usize = 32;
/// Bytes of that stack. Unoptimised code needs about 20 kB a level.
pub(super) const STACK: usize = 16 << 20;
/// Tuples, sets and lists inside each other.
pub(super) const FORMS: usize = 24;
/// Nodes of all expressions of one answer.
pub(super) const NODES: usize = 10_000;
/// Nodes that are made while an answer is read, most of them folded at once.
pub(super) const MADE: usize = 300_000;
/// Digits of one number.
pub(super) const DIGITS: usize = 6_000;
/// Bits of a numerator or denominator; `2006!` needs 19,137.
pub(super) const BITS: u64 = 32_768;
/// Members of a list, a set, a tuple or a matrix.
pub(super) const ITEMS: usize = 1_000;
/// Independent signs `±` in one member.
pub(super) const SIGNS: u8 = 4;
/// Terms of a sum or product over a range.
pub(super) const TERMS: i64 = 2_000;
/// Steps on numbers that do not fit a machine word, each about a nanosecond.
pub(super) const WORK: u64 = 8_000_000;
/// Parts of a union.
pub(super) const PARTS: usize = 100;
/// Comparisons of one member with another within one comparison of answers.
pub(super) const PAIRS: usize = 20_000;

/// Why reading stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The text has no reading; the word says what is wrong.
    Unreadable(&'static str),
    /// A limit of this module.
    Limit(&'static str),
}

pub(super) type Reading<T> = Result<T, Fault>;

//! What an answer is: a number, a tuple, a set, an equation, a text.

use super::expression::{Arena, Id};
use super::rational::Rational;

/// The shape of an answer, with its expressions in an [`Arena`].
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// A number or an expression, also `∞` and `−∞`.
    Expression(Id),
    /// A number with its unit in one spelling; `whole` is the product of both, where that is a number, too.
    Quantity {
        value: Id,
        unit: Box<str>,
        whole: Option<Id>,
    },
    /// Members in round or square brackets; two of them may be an interval.
    Tuple {
        members: Vec<Self>,
        opens: Edge,
        closes: Edge,
    },
    /// Members in braces.
    Set(Vec<Self>),
    /// Members between commas, or joined by `and`.
    List(Vec<Self>),
    /// Members joined by `or`, or by `±`: all are meant.
    Either(Vec<Self>),
    /// A union, intersection or difference.
    Combined(Combine, Vec<Self>),
    Space(Space),
    Matrix(Matrix),
    /// Components in angle brackets.
    Vector(Vec<Id>),
    Relation(Box<Relation>),
    /// `3:4` or `1:2:3`.
    Ratio(Vec<Id>),
    /// `12:05 p.m.`, with its two-digit parts.
    Time(Vec<i64>, Option<Half>),
    /// Digits in a base, which is part of the answer.
    Based(Rational, u32),
    /// A value up to multiples of a modulus.
    Modulo(Box<Self>, Id),
    /// `{x | …}`: the member, then its conditions.
    Builder(Vec<Self>),
    /// The rows of a definition by cases.
    Cases(Vec<Vec<Self>>),
    /// A letter of a choice with what it stands for.
    Choice(char, Box<Self>),
    /// Words, in one spelling.
    Text(Box<str>),
}

/// Half a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Morning,
    Evening,
}

/// Whether an end of an interval belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// A round bracket.
    Open,
    /// A square bracket.
    Closed,
}

/// How sets are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combine {
    Union,
    Intersection,
    Difference,
}

/// Sets with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Empty,
    Naturals,
    Integers,
    Rationals,
    Reals,
    Complexes,
    Primes,
}

/// A rectangle of expressions, row by row.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub(super) n_columns: usize,
    pub(super) entries: Vec<Id>,
}

/// Sides with relations between them.
#[derive(Clone, Debug, Default)]
pub(super) struct Relation {
    pub(super) sides: Vec<Form>,
    /// One fewer than sides.
    pub(super) signs: Vec<Sign>,
    /// The left side minus the right side for each sign, where both are expressions.
    pub(super) differences: Vec<Option<Id>>,
}

/// What is said of two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Equal,
    About,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
    Subset,
    Congruent,
    Implies,
    Similar,
    Parallel,
    Perpendicular,
}

impl Sign {
    /// The sign with its sides exchanged.
    pub(super) fn flipped(self) -> Option<Self> {
        Some(match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            Self::In | Self::NotIn | Self::Subset | Self::Implies => return None,
            same => same,
        })
    }

    pub(super) fn is_order(self) -> bool {
        matches!(self, Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual)
    }
}

impl Form {
    /// The expression, if the form is one.
    pub(super) fn expression(&self) -> Option<Id> {
        match self {
            Self::Expression(id) => Some(*id),
            _ => None,
        }
    }

    /// A name that is no value by itself: a variable, an unknown function, a tuple of such, words.
    pub(super) fn is_label(&self, arena: &Arena) -> bool {
        use super::expression::Node;
        match self {
            Self::Expression(id) => match arena.node(*id) {
                Node::Symbol(_) => true,
                // P(A), f(x), |AB| or m ∠A name something, too.
                Node::Apply(..) => true,
                Node::Mul(a, b) | Node::Div(a, b) => [a, b].iter().all(|id| is_name(arena, **id)),
                Node::Call(super::expression::Function::Abs, a) => is_name(arena, *a),
                _ => false,
            },
            Self::Tuple { members, .. } | Self::List(members) => members.iter().all(|member| member.is_label(arena)),
            Self::Ratio(parts) => parts.iter().all(|&id| is_name(arena, id)),
            Self::Text(_) => true,
            _ => false,
        }
    }

    /// How many forms stand inside each other.
    pub(super) fn depth(&self) -> usize {
        let deepest = |members: &[Self]| 1 + members.iter().map(Self::depth).max().unwrap_or(0);
        match self {
            Self::Tuple { members, .. }
            | Self::Set(members)
            | Self::List(members)
            | Self::Either(members)
            | Self::Combined(_, members)
            | Self::Builder(members) => deepest(members),
            Self::Relation(relation) => deepest(&relation.sides),
            Self::Cases(rows) => 1 + rows.iter().map(|row| deepest(row)).max().unwrap_or(0),
            Self::Modulo(inner, _) | Self::Choice(_, inner) => 1 + inner.depth(),
            _ => 1,
        }
    }

    /// The members, if they stand side by side.
    pub(super) fn members(&self) -> Option<&[Self]> {
        match self {
            Self::Set(members) | Self::List(members) | Self::Either(members) => Some(members),
            _ => None,
        }
    }
}

/// A variable in capitals, or a product of such: the name of a segment or an area.
fn is_name(arena: &Arena, id: Id) -> bool {
    arena.reachable(id).iter().all(|&id| match arena.node(id) {
        super::expression::Node::Symbol(name) => arena.names[*name as usize].starts_with(|c: char| c.is_uppercase()),
        super::expression::Node::Mul(..) => true,
        _ => false,
    })
}

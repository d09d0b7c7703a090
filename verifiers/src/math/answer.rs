//! One answer, read once and compared many times.

use std::fmt;

use super::equal::Comparer;
use super::expression::{Arena, Function, Node};
use super::form::Form;
use super::identity::Same;
use super::limits::{DEPTH, FORMS, Fault, LENGTH, SHALLOW, STACK};
use super::parser::Parser;
use super::policy::Policy;
use super::{spelling, words};

/// An answer as a value, apart from how it was written.
#[derive(Clone, Debug)]
pub struct Answer {
    arena: Arena,
    form: Form,
    /// What was read, without what stood around it; long texts are left out.
    text: Box<str>,
    /// The words, if it is nothing else.
    words: Option<Box<str>>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// Bytes of an answer that are kept for display and for the comparison of texts.
const KEPT: usize = 1_000;

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
    pub fn read(text: &str, policy: &Policy) -> Result<Self, ReadError> {
        if text.len() > LENGTH {
            return Err(ReadError::Refused("length"));
        }
        let plain = spelling::plain(text);
        let plain = words::unescaped(&plain);
        let body = words::undress(&plain);
        if body.is_empty() {
            return Err(ReadError::Unparsable("there is nothing to read".to_owned()));
        }
        let letters = if body.len() <= KEPT { words::words(body) } else { None };
        let is_set_as_text = body.starts_with("\\text") || body.starts_with("\\mbox");
        if let Some(letters) = &letters
            && words::choice(body).is_none()
            && words::is_prose(letters, is_set_as_text)
        {
            return Ok(Self::of_words(body, letters));
        }
        match formula(body, policy) {
            Ok((arena, form)) => {
                let words = letters.map(|letters| words::folded(&letters).into());
                Ok(Self { arena, form, text: kept(body), words })
            }
            Err(Fault::Limit(limit)) => Err(ReadError::Refused(limit)),
            Err(Fault::Unreadable(why)) => match letters {
                Some(letters) if letters.chars().any(char::is_alphabetic) => Ok(Self::of_words(body, &letters)),
                _ => Err(ReadError::Unparsable(why.to_owned())),
            },
        }
    }

    fn of_words(body: &str, letters: &str) -> Self {
        Self {
            arena: Arena::default(),
            form: Form::Text(letters.into()),
            text: kept(body),
            words: Some(words::folded(letters).into()),
        }
    }

    /// Whether the expressions have a value everywhere, so that equal texts are equal answers.
    fn is_total(&self) -> bool {
        let number = |id| self.arena.number(id);
        self.arena.nodes.iter().all(|node| match node {
            Node::Div(_, b) => number(*b).is_some_and(|value| !value.is_zero()),
            Node::Pow(a, b) => {
                number(*b).is_some_and(|value| value.is_integer() && !value.is_negative() && !value.is_zero())
                    || number(*a).is_some_and(|value| !value.is_negative() && !value.is_zero())
            }
            Node::Root(a, _) => number(*a).is_some(),
            Node::Call(Function::Factorial, a) => number(*a).is_some(),
            Node::Call(function, _) => matches!(
                function,
                Function::Exp
                    | Function::Sin
                    | Function::Cos
                    | Function::Arctan
                    | Function::Abs
                    | Function::Floor
                    | Function::Ceiling
            ),
            Node::Call2(..) => false,
            _ => true,
        })
    }
}

/// The text of a kept answer, or nothing where it is long.
fn kept(body: &str) -> Box<str> {
    if body.len() <= KEPT { body.into() } else { "".into() }
}

fn formula(body: &str, policy: &Policy) -> Result<(Arena, Form), Fault> {
    if let Some((letter, rest)) = words::choice(body) {
        let inner = match words::words(rest) {
            Some(letters) if words::is_prose(&letters, false) => (Arena::default(), Form::Text(letters.into())),
            _ => parse(words::undress(rest), policy)?,
        };
        return Ok((inner.0, Form::Choice(letter, Box::new(inner.1))));
    }
    parse(body, policy)
}

/// Reads a formula, on a larger stack if it is deeply nested.
fn parse(body: &str, policy: &Policy) -> Result<(Arena, Form), Fault> {
    if bracket_depth(body) > DEPTH {
        return Err(Fault::Limit("nesting"));
    }
    let shallow = parse_to_depth(body, policy, SHALLOW);
    if shallow.as_ref().err() != Some(&Fault::Limit("nesting")) {
        return shallow;
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let deep = thread.spawn_scoped(scope, || parse_to_depth(body, policy, DEPTH));
        deep.ok().and_then(|deep| deep.join().ok()).unwrap_or(Err(Fault::Limit("nesting")))
    })
}

/// How many brackets are open at most; each takes a level of the parser.
fn bracket_depth(body: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in body.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn parse_to_depth(body: &str, policy: &Policy, max_depth: usize) -> Result<(Arena, Form), Fault> {
    let mut parser = Parser::new(body, policy.locale, max_depth);
    let form = parser.answer()?;
    let form = match form {
        // `Area: 5` is 5, whatever the words are.
        Form::Relation(mut relation)
            if matches!(relation.sides[0], Form::Text(_)) && relation.signs == [super::form::Sign::Equal] =>
        {
            relation.sides.swap_remove(1)
        }
        form => form,
    };
    if form.depth() > FORMS {
        return Err(Fault::Limit("nesting"));
    }
    Ok((parser.arena, form))
}

impl fmt::Display for Answer {
    /// Writes a number in lowest terms, and anything else as it was written, up to 200 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Form::Expression(id) = &self.form
            && let Some(value) = self.arena.number(*id).filter(|value| value.bits() < 600)
        {
            return value.fmt(f);
        }
        if self.text.is_empty() {
            return f.write_str("…");
        }
        let end = self.text.char_indices().nth(200).map_or(self.text.len(), |(at, _)| at);
        f.write_str(&self.text[..end])?;
        if end < self.text.len() { f.write_str("…") } else { Ok(()) }
    }
}

/// Compares an answer with the reference.
///
/// Random points are drawn from `seed` alone, so that equal arguments give equal results everywhere.
pub fn compare(reference: &Answer, answer: &Answer, policy: &Policy, seed: u64) -> Comparison {
    let (gold, given) = (&reference.form, &answer.form);
    if let (Form::Expression(a), Form::Expression(b)) = (gold, given)
        && let (Some(a), Some(b)) = (reference.arena.number(*a), answer.arena.number(*b))
        && a == b
    {
        return Comparison::Equal { rung: Rung::Exact };
    }
    let is_same_text = !reference.text.is_empty() && reference.text == answer.text;
    if is_same_text && reference.is_total() {
        return Comparison::Equal { rung: Rung::Text };
    }
    let is_text = |form: &Form| matches!(form, Form::Text(_));
    if (is_text(gold) || is_text(given))
        && let (Some(a), Some(b)) = (&reference.words, &answer.words)
        && !a.is_empty()
        && a == b
    {
        return Comparison::Equal { rung: Rung::Structure };
    }
    let mut comparer = Comparer::new(policy, seed, &reference.arena, &answer.arena);
    match comparer.forms(gold, given) {
        Same::Yes => Comparison::Equal { rung: comparer.rung },
        // A tautology, `1 = e^0`, equals no equation but itself.
        Same::No if is_same_text => Comparison::Equal { rung: Rung::Text },
        Same::No => Comparison::Different { rung: comparer.rung },
        Same::Unknown(limit) => Comparison::Refused(limit),
    }
}

//! Letters and words in formulas: variables, names of functions, accents, notes.

use super::atom::NO_OPERAND;
use super::expression::{Constant, Id, Node};
use super::form::{Form, Space};
use super::lexer::{Lexer, Token};
use super::limits::{Fault, Reading};
use super::names;
use super::parser::Parser;
use super::units;

/// Nodes of an expression that is looked through for variables.
const MANY: usize = 100;

impl<'a> Parser<'a> {
    pub(super) fn word(&mut self, word: &'a str) -> Reading<Form> {
        if let Some(form) = self.named(word)? {
            return Ok(form);
        }
        let first = word.chars().next().map_or(1, char::len_utf8);
        let is_letters = word.chars().count() < 4 || self.is_call_at_end(word);
        let length = if is_letters { first } else { word.len() };
        let start = self.ahead.start;
        let is_member_start = start == self.member_start;
        self.jump(start + length);
        let name = &word[..length];
        let form = match name {
            "e" => Form::Expression(self.arena.push(Node::Constant(Constant::E))?),
            "i" => Form::Expression(self.arena.push(Node::Constant(Constant::I))?),
            name => Form::Expression(self.arena.variable(name)?),
        };
        self.called(form, name, is_member_start)
    }

    /// `xcos(x)`: letters before a function.
    fn is_call_at_end(&self, word: &str) -> bool {
        (1..word.len().min(4)).any(|at| {
            word.get(at..).is_some_and(|rest| {
                names::function(rest).is_some()
                    || names::reciprocal(rest).is_some()
                    || matches!(rest, "sqrt" | "log" | "pi")
            })
        })
    }

    /// A function of which only the name is known, with its arguments, such as `f(x)`.
    pub(super) fn called(&mut self, form: Form, name: &str, is_member_start: bool) -> Reading<Form> {
        let mut form = self.name_marks(form)?;
        if matches!(name, "f" | "g" | "h") && self.lexer.text[self.ahead.start..].starts_with("^{-1}(") {
            self.jump(self.ahead.start + "^{-1}".len());
            form = self.rename(&form, |name| format!("inverse {name}"))?;
        }
        if self.token() != Token::Sign(b'(') || self.ahead.is_spaced {
            return Ok(form);
        }
        let is_function = matches!(name, "f" | "g" | "h" | "F" | "G" | "H") || (is_member_start && self.is_head());
        if !is_function {
            return Ok(form);
        }
        let Some(symbol) = form.expression().and_then(|id| self.arena.symbol(id)).map(str::to_owned) else {
            return Ok(form);
        };
        self.arguments(&symbol)
    }

    /// Indices and primes, which are part of a name.
    fn name_marks(&mut self, mut form: Form) -> Reading<Form> {
        loop {
            form = match self.token() {
                Token::Sign(b'_') => self.index(&form)?,
                Token::Sign(b'\'') => {
                    self.advance();
                    self.rename(&form, |name| format!("{name}'"))?
                }
                _ => return Ok(form),
            };
        }
    }

    /// Whether the bracket ahead is followed by an equals sign, as in `P(x) = …`.
    fn is_head(&self) -> bool {
        let mut depth = 0_usize;
        for (at, byte) in self.lexer.text[self.ahead.start..].bytes().enumerate().take(200) {
            match byte {
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        let after = Lexer { text: self.lexer.text, at: self.ahead.start + at + 1 }.next();
                        return after.token == Token::Sign(b'=');
                    }
                }
                _ => {}
            }
        }
        false
    }

    fn arguments(&mut self, name: &str) -> Reading<Form> {
        let arguments = match self.bracket()? {
            Form::Expression(id) => vec![id],
            Form::Tuple { members, .. } => members
                .iter()
                .map(|member| member.expression().ok_or(Fault::Unreadable("a function of what is no number")))
                .collect::<Reading<Vec<Id>>>()?,
            _ => return Err(Fault::Unreadable("a function of what is no number")),
        };
        let mut all = arguments[0];
        for &argument in &arguments[1..] {
            all = self.arena.push(Node::Pair(all, argument))?;
        }
        let name = self.arena.name(name)?;
        self.arena.push(Node::Apply(name, all)).map(Form::Expression)
    }

    /// A word with a meaning: a function, a constant.
    fn named(&mut self, word: &'a str) -> Reading<Option<Form>> {
        if let Some(constant) = names::constant(word) {
            self.advance();
            return Ok(Some(Form::Expression(self.arena.push(Node::Constant(constant))?)));
        }
        let is_function = names::function(word).is_some()
            || names::reciprocal(word).is_some()
            || names::combining(word).is_some()
            || matches!(word, "sqrt" | "cbrt" | "log" | "lg" | "binom" | "det");
        if is_function {
            self.advance();
            return self.function(word).map(Some);
        }
        Ok(match word {
            "emptyset" => {
                self.advance();
                Some(Form::Space(Space::Empty))
            }
            _ => None,
        })
    }

    /// Whether a word goes on with a product, rather than names a unit or joins members.
    pub(super) fn is_factor_word(&self, word: &str, left: &Form) -> bool {
        if matches!(word, "and" | "or" | "if" | "for" | "where" | "when" | "is" | "to" | "only") {
            return false;
        }
        let is_number = left.expression().is_some_and(|id| self.is_constant(id));
        let is_named = names::function(word).is_some()
            || names::reciprocal(word).is_some()
            || names::constant(word).is_some()
            || names::combining(word).is_some()
            || matches!(word, "sqrt" | "cbrt" | "log" | "lg");
        if is_named || self.is_call_at_end(word) {
            return true;
        }
        let n_letters = word.chars().count();
        if is_number && units::is_unit(word) && (n_letters > 1 || (self.ahead.is_spaced && self.is_plain)) {
            return false;
        }
        let is_noun = n_letters == 3 && is_number && self.is_plain && self.ahead.is_spaced;
        n_letters < 4 && !is_noun
    }

    /// Whether an expression has no variables; a long one, before which no unit would stand, counts as having some.
    pub(super) fn is_constant(&self, id: Id) -> bool {
        let mut open = vec![id];
        let mut n_seen = 0;
        while let Some(id) = open.pop() {
            n_seen += 1;
            let node = self.arena.node(id);
            if matches!(node, Node::Symbol(_) | Node::Apply(..)) || n_seen > MANY {
                return false;
            }
            node.children(|child| open.push(child));
        }
        true
    }

    /// Whether the bracket ahead holds words, as in `9 (apples)`.
    pub(super) fn is_note(&self) -> bool {
        let inner = &self.lexer.text[self.ahead.end..];
        let Some(end) = inner.find(')') else { return false };
        let inner = inner[..end].trim();
        let inner = inner.strip_prefix("\\text{").and_then(|t| t.strip_suffix('}')).unwrap_or(inner);
        let is_words = inner.chars().all(|c| c.is_alphabetic() || matches!(c, ' ' | '-' | '\'' | '.' | '/'));
        is_words
            && inner
                .split(|c: char| !c.is_alphabetic())
                .any(|word| word.chars().count() >= 3 && names::function(word).is_none())
            || (is_words && units::is_unit(inner) && inner.len() > 1)
    }

    /// Words in a formula: a name, or a formula after all.
    pub(super) fn text(&mut self) -> Reading<Form> {
        let (text, end) = self.lexer.group(self.ahead.start)?;
        let inner = text.trim();
        let n_letters = inner.chars().filter(|c| c.is_alphabetic()).count();
        if n_letters < 2 || inner.bytes().any(|b| b.is_ascii_digit() || b == b'\\') {
            return self.braces();
        }
        self.jump(end);
        if names::function(inner).is_some() || names::combining(inner).is_some() {
            return self.function(inner);
        }
        if names::constant(inner) == Some(Constant::Infinity) {
            return self.arena.push(Node::Constant(Constant::Infinity)).map(Form::Expression);
        }
        Ok(Form::Text(inner.into()))
    }

    pub(super) fn operator_name(&mut self) -> Reading<Form> {
        self.takes(Token::Sign(b'*'));
        let (name, end) = self.lexer.group(self.ahead.start)?;
        self.jump(end);
        self.function(name.trim())
    }

    /// A letter i, j or k in bold, which names a direction.
    pub(super) fn basis_ahead(&self) -> Option<&'a str> {
        let (text, _) = self.lexer.group(self.ahead.start).ok()?;
        Some(text.trim()).filter(|text| matches!(*text, "i" | "j" | "k" | "\\imath" | "\\jmath"))
    }

    /// A letter with an accent: another name, where directions are the same in bold and under a hat.
    pub(super) fn accent(&mut self, name: &str) -> Reading<Form> {
        if let Some(direction) = self.basis_ahead() {
            let (_, end) = self.lexer.group(self.ahead.start)?;
            self.jump(end);
            let letter = direction.trim_start_matches('\\').chars().next().unwrap_or('i');
            return self.arena.variable(&format!("direction {letter}")).map(Form::Expression);
        }
        let (inner, end) = match self.lexer.group(self.ahead.start) {
            Ok(group) => group,
            Err(_) => (&self.lexer.text[self.ahead.start..self.ahead.end], self.ahead.end),
        };
        let inner: String = inner.chars().filter(|c| !c.is_whitespace() && *c != '\\').collect();
        self.jump(end);
        if inner.is_empty() {
            return Err(NO_OPERAND);
        }
        let line = if matches!(name, "bar" | "overline") { "bar" } else { name };
        self.arena.variable(&format!("{line} {inner}")).map(Form::Expression)
    }
}

//! The smallest parts of formulas: numerals, letters, fractions, roots, brackets, functions.

use super::expression::{Binary, Constant, Function, Id, Node};
use super::form::{Edge, Form, Space};
use super::lexer::{Side, Token};
use super::limits::{Fault, Reading};
use super::members::Enclosure;
use super::names;
use super::parser::{Level, Parser};

pub(super) const NO_OPERAND: Fault = Fault::Unreadable("a number or name is missing");

impl<'a> Parser<'a> {
    pub(super) fn atom(&mut self) -> Reading<Form> {
        match self.token() {
            Token::Digit => self.numeral(),
            Token::Word(word) => self.word(word),
            Token::Command(name) => self.command(name),
            Token::Sign(b'(' | b'[') => self.bracket(),
            Token::Sign(b'{') => self.braces(),
            Token::Sign(b'|') if self.ahead.side != Side::Right => self.bars(Token::Sign(b'|')),
            Token::End | Token::Sign(_) => Err(NO_OPERAND),
        }
    }

    pub(super) fn is_factor_command(&self, name: &str) -> bool {
        if names::is_text(name) {
            // A letter in roman type, such as the e of exponentials.
            return self
                .lexer
                .group(self.ahead.end)
                .is_ok_and(|(text, _)| text.trim().chars().count() == 1 && matches!(text.trim(), "e" | "i" | "d"));
        }
        names::function(name).is_some()
            || names::reciprocal(name).is_some()
            || names::constant(name).is_some()
            || names::combining(name).is_some()
            || names::is_variable(name)
            || names::is_frame(name)
            || names::is_accent(name)
            || matches!(
                name,
                "frac"
                    | "dfrac"
                    | "tfrac"
                    | "sfrac"
                    | "nicefrac"
                    | "cfrac"
                    | "sqrt"
                    | "log"
                    | "lg"
                    | "binom"
                    | "dbinom"
                    | "tbinom"
                    | "lfloor"
                    | "lceil"
                    | "llcorner"
                    | "ulcorner"
                    | "begin"
                    | "sum"
                    | "prod"
                    | "operatorname"
                    | "lvert"
                    | "angle"
                    | "lgroup"
                    | "lbrace"
                    | "lbrack"
                    | "det"
                    | "langle"
            )
            || (matches!(name, "vert" | "|" | "Vert" | "lVert") && self.n_bars == 0 && self.ahead.side != Side::Right)
    }

    fn command(&mut self, name: &'a str) -> Reading<Form> {
        self.advance();
        match name {
            "frac" | "dfrac" | "tfrac" | "cfrac" | "sfrac" | "nicefrac" => {
                let above = self.argument()?;
                let below = self.argument()?;
                self.arena.div(above, below).map(Form::Expression)
            }
            "binom" | "dbinom" | "tbinom" => {
                let above = self.argument()?;
                let below = self.argument()?;
                self.arena.call2(Binary::Binomial, above, below).map(Form::Expression)
            }
            "lfloor" | "llcorner" => self.enclosed(Function::Floor, &["rfloor", "lrcorner"]),
            "lceil" | "ulcorner" => self.enclosed(Function::Ceiling, &["rceil", "urcorner"]),
            "lvert" => self.enclosed(Function::Abs, &["rvert"]),
            "vert" => self.bars_after(Token::Command("vert")),
            "|" => self.bars_after(Token::Command("|")),
            "Vert" => self.bars_after(Token::Command("Vert")),
            "lVert" => self.bars_after(Token::Command("rVert")),
            "lgroup" => self.inside(&[Token::Command("rgroup")]),
            "lbrack" => self.inside(&[Token::Command("rbrack")]),
            "{" | "lbrace" => self.set(),
            "langle" => self.vector(),
            "emptyset" | "varnothing" => Ok(Form::Space(Space::Empty)),
            "mathbb" | "mathbf" | "boldsymbol" | "bm" | "Bbb" if self.space_ahead().is_some() => {
                let (space, end) = self.space_ahead().expect("it was there");
                self.jump(end);
                Ok(Form::Space(space))
            }
            "R" | "N" | "Z" | "Q" | "C" => Ok(Form::Space(space(name).expect("all five are spaces"))),
            "begin" => self.environment(),
            "sum" | "prod" => self.range(name),
            "operatorname" => self.operator_name(),
            "angle" => self.power(),
            "$" | "pounds" | "euro" => self.power(),
            "#" | "S" => Err(NO_OPERAND),
            _ => self.named_command(name),
        }
    }

    fn named_command(&mut self, name: &'a str) -> Reading<Form> {
        if let Some(constant) = names::constant(name) {
            return self.arena.push(Node::Constant(constant)).map(Form::Expression);
        }
        if names::is_variable(name) {
            let form = Form::Expression(self.arena.variable(name)?);
            return self.called(form, name, false);
        }
        if names::is_accent(name) || (names::is_frame(name) && self.basis_ahead().is_some()) {
            return self.accent(name);
        }
        if names::is_frame(name) {
            return self.framed();
        }
        if names::is_text(name) {
            return self.text();
        }
        self.function(name)
    }

    /// The braces of `\boxed{…}` and the like, which may hold a list.
    fn framed(&mut self) -> Reading<Form> {
        if self.token() == Token::Sign(b'{') { self.braces() } else { self.power() }
    }

    /// The set whose letter stands in braces ahead.
    fn space_ahead(&self) -> Option<(Space, usize)> {
        let (text, end) = self.lexer.group(self.ahead.start).ok()?;
        space(text.trim()).map(|space| (space, end))
    }

    pub(super) fn enclosed(&mut self, function: Function, closes: &[&str]) -> Reading<Form> {
        let closes: Vec<Token<'_>> = closes.iter().map(|name| Token::Command(name)).collect();
        match self.inside(&closes)? {
            Form::Expression(a) => self.arena.call(function, a).map(Form::Expression),
            form if function == Function::Abs => self.size(form),
            _ => Err(Fault::Unreadable("an operation on what is no number")),
        }
    }

    /// What stands up to one of the closing tokens.
    fn inside(&mut self, closes: &[Token<'_>]) -> Reading<Form> {
        let n_bars = std::mem::replace(&mut self.n_bars, 0);
        let form = self.binary(Level::Relation)?;
        self.n_bars = n_bars;
        if !closes.contains(&self.token()) {
            return Err(Fault::Unreadable("a bracket that does not end"));
        }
        self.advance();
        Ok(form)
    }

    fn bars(&mut self, close: Token<'_>) -> Reading<Form> {
        self.advance();
        self.bars_after(close)
    }

    fn bars_after(&mut self, close: Token<'_>) -> Reading<Form> {
        self.n_bars += 1;
        let form = self.binary(Level::Sum)?;
        self.n_bars -= 1;
        self.expect(close)?;
        match form {
            Form::Expression(a) => self.arena.call(Function::Abs, a).map(Form::Expression),
            form => self.size(form),
        }
    }

    /// An argument of a command: braces, a digit, a letter or a command.
    pub(super) fn argument(&mut self) -> Reading<Id> {
        let form = match self.token() {
            Token::Sign(b'{') => self.braces()?,
            Token::Digit => {
                let start = self.ahead.start;
                let digit = self.lexer.text.as_bytes()[start];
                if !digit.is_ascii_digit() {
                    return Err(NO_OPERAND);
                }
                self.jump(start + 1);
                Form::Expression(self.arena.small(i64::from(digit - b'0'))?)
            }
            Token::Word(word) => {
                let length = word.chars().next().map_or(1, char::len_utf8);
                let start = self.ahead.start;
                self.jump(start + length);
                match &word[..length] {
                    "e" => Form::Expression(self.arena.push(Node::Constant(Constant::E))?),
                    "i" => Form::Expression(self.arena.push(Node::Constant(Constant::I))?),
                    name => Form::Expression(self.arena.variable(name)?),
                }
            }
            Token::Command(name) if !matches!(name, "pm" | "mp") => {
                self.deeper()?;
                let form = self.command(name)?;
                self.shallower();
                form
            }
            _ => return Err(NO_OPERAND),
        };
        form.expression().ok_or(NO_OPERAND)
    }

    /// Members in round or square brackets, or what stands in them alone.
    pub(super) fn bracket(&mut self) -> Reading<Form> {
        let edge = |token| match token {
            Token::Sign(b'(' | b')') => Some(Edge::Open),
            Token::Sign(b'[' | b']') => Some(Edge::Closed),
            _ => None,
        };
        let opens = edge(self.token()).ok_or(NO_OPERAND)?;
        self.advance();
        let (mut members, joins) = self.members(Enclosure::Brackets)?;
        let closes = edge(self.token()).ok_or(Fault::Unreadable("a bracket that does not end"))?;
        self.advance();
        if members.len() == 1 && opens == closes {
            return Ok(members.remove(0));
        }
        if members.is_empty() || members.len() == 1 {
            return Err(Fault::Unreadable("brackets that hold nothing"));
        }
        Ok(if joins.has_or { Form::Either(members) } else { Form::Tuple { members, opens, closes } })
    }

    /// Braces group one thing; several are a set.
    pub(super) fn braces(&mut self) -> Reading<Form> {
        self.advance();
        let (mut members, joins) = self.members(Enclosure::Braces)?;
        self.expect(Token::Sign(b'}'))?;
        Ok(match members.len() {
            0 => return Err(NO_OPERAND),
            1 => members.remove(0),
            _ if joins.has_or => Form::Either(members),
            _ => Form::Set(members),
        })
    }
}

fn space(name: &str) -> Option<Space> {
    Some(match name {
        "R" => Space::Reals,
        "N" => Space::Naturals,
        "Z" => Space::Integers,
        "Q" => Space::Rationals,
        "C" => Space::Complexes,
        "P" => Space::Primes,
        _ => return None,
    })
}

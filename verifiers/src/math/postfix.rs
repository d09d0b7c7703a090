//! Exponents, indices, and functions with their arguments.

use super::expression::{Binary, Function, Id, Node};
use super::form::{Form, Space};
use super::lexer::Token;
use super::limits::{Fault, Reading};
use super::names;
use super::numeral;
use super::parser::{Level, Parser};

impl<'a> Parser<'a> {
    /// `^` is ahead.
    pub(super) fn raise(&mut self, form: Form) -> Reading<Form> {
        self.advance();
        if let Form::Matrix(matrix) = form {
            return self.matrix_power(matrix);
        }
        // `x^2_3` is the square of x₃.
        let exponent = self.exponent()?;
        let form = if self.token() == Token::Sign(b'_') { self.index(&form)? } else { form };
        match form {
            Form::Expression(base) => self.arena.pow(base, exponent).map(Form::Expression),
            Form::Space(Space::Reals) => Err(Fault::Unreadable("a power of a set")),
            _ => Err(Fault::Unreadable("a power of what is no number")),
        }
    }

    /// An exponent: braces, a numeral, a letter, with a sign.
    pub(super) fn exponent(&mut self) -> Reading<Id> {
        let mut is_negative = false;
        while let Token::Sign(sign @ (b'-' | b'+')) = self.token() {
            is_negative ^= sign == b'-';
            self.advance();
        }
        let exponent = match self.token() {
            Token::Digit => {
                let numeral =
                    numeral::read(self.lexer.text, self.ahead.start, self.locale, numeral::Commas::PartMembers)?;
                self.jump(numeral.end);
                self.after_numeral = true;
                self.arena.value(numeral.value)?
            }
            Token::Sign(b'(') => {
                self.bracket()?.expression().ok_or(Fault::Unreadable("an exponent that is no number"))?
            }
            _ => self.argument()?,
        };
        // `2^3^4` is 2^(3^4).
        let exponent = if self.token() == Token::Sign(b'^') {
            self.deeper()?;
            self.advance();
            let upper = self.exponent()?;
            self.shallower();
            self.arena.pow(exponent, upper)?
        } else {
            exponent
        };
        if is_negative { self.arena.neg(exponent) } else { Ok(exponent) }
    }

    /// `_` is ahead: the index becomes part of the name.
    pub(super) fn index(&mut self, form: &Form) -> Reading<Form> {
        let start = self.ahead.end;
        let (text, end) = match self.lexer.group(start) {
            Ok(group) => group,
            Err(_) => {
                self.advance();
                let end = if self.token() == Token::Digit { self.ahead.start + 1 } else { self.ahead.end };
                (&self.lexer.text[self.ahead.start..end], end)
            }
        };
        let index: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '{' | '}')).collect();
        self.jump(end);
        self.rename(form, |name| format!("{name}_{index}"))
    }

    /// Gives a variable another name.
    pub(super) fn rename(&mut self, form: &Form, new: impl Fn(&str) -> String) -> Reading<Form> {
        let id = form.expression().ok_or(Fault::Unreadable("an index of what is no name"))?;
        let name = match self.arena.node(id) {
            Node::Symbol(name) => self.arena.names[*name as usize].to_string(),
            Node::Constant(super::expression::Constant::E) => "e".to_owned(),
            Node::Constant(super::expression::Constant::I) => "i".to_owned(),
            _ => return Err(Fault::Unreadable("an index of what is no name")),
        };
        self.arena.variable(&new(&name)).map(Form::Expression)
    }

    /// A function whose name has been passed.
    pub(super) fn function(&mut self, name: &str) -> Reading<Form> {
        match name {
            "sqrt" => return self.square_root(),
            "cbrt" => {
                let degree = self.arena.small(3)?;
                let of = self.root_argument()?;
                return self.arena.root(degree, of).map(Form::Expression);
            }
            "log" | "lg" => return self.logarithm(name),
            "binom" => return self.two_arguments(Binary::Binomial),
            "det" => {
                let form = self.function_argument(name)?;
                return self.size(form);
            }
            _ => {}
        }
        if let Some(binary) = names::combining(name) {
            return self.combine_arguments(binary);
        }
        let (function, is_reciprocal) = match (names::function(name), names::reciprocal(name)) {
            (Some(function), _) => (function, false),
            (_, Some(function)) => (function, true),
            _ => return Err(Fault::Unreadable("an unknown command")),
        };
        let exponent = if self.token() == Token::Sign(b'^') {
            self.advance();
            Some(self.exponent()?)
        } else {
            None
        };
        let argument = self.function_argument(name)?;
        let argument = match argument {
            Form::Expression(id) => id,
            form if function == Function::Abs => return self.size(form),
            _ => return Err(Fault::Unreadable("a function of what is no number")),
        };
        self.apply(function, is_reciprocal, exponent, argument).map(Form::Expression)
    }

    fn apply(&mut self, function: Function, is_reciprocal: bool, exponent: Option<Id>, argument: Id) -> Reading<Id> {
        let is_inverse = exponent.and_then(|id| self.arena.number(id)).and_then(|n| n.to_i64()) == Some(-1);
        match (exponent, names::inverse(function)) {
            (Some(_), Some(inverse)) if is_inverse && !is_reciprocal => self.arena.call(inverse, argument),
            (exponent, _) => {
                let value = self.arena.call(function, argument)?;
                let value = match exponent {
                    Some(exponent) => self.arena.pow(value, exponent)?,
                    None => value,
                };
                if !is_reciprocal {
                    return Ok(value);
                }
                let one = self.arena.small(1)?;
                self.arena.div(one, value)
            }
        }
    }

    /// The argument of a function: brackets, or factors up to the next function or sign.
    fn function_argument(&mut self, name: &str) -> Reading<Form> {
        self.deeper()?;
        let argument = match self.token() {
            Token::Sign(b'(' | b'[') | Token::Command("lgroup" | "lbrack") => self.atom()?,
            Token::Command("{") => {
                self.advance();
                let form = self.binary(Level::Relation)?;
                self.expect(Token::Command("}"))?;
                form
            }
            Token::Sign(b'{') => self.braces()?,
            _ => self.bare_argument(name)?,
        };
        self.shallower();
        Ok(argument)
    }

    fn bare_argument(&mut self, name: &str) -> Reading<Form> {
        let mut product = self.power()?;
        while self.continues_argument(&product) {
            let factor = self.power()?;
            product = self.multiply_forms(product, factor)?;
        }
        // `\sin \pi/6` is the sine of π/6.
        let is_angle = |id| matches!(self.arena.node(id), Node::Constant(super::expression::Constant::Pi));
        let ends_in_pi = product.expression().is_some_and(|id| match self.arena.node(id) {
            Node::Mul(_, b) => is_angle(*b),
            _ => is_angle(id),
        });
        let is_trigonometric = names::function(name).is_some_and(|function| names::inverse(function).is_some());
        if ends_in_pi && is_trigonometric && self.token() == Token::Sign(b'/') {
            self.advance();
            let below = self.power()?.expression().ok_or(Fault::Unreadable("an operation on what is no number"))?;
            let above = product.expression().ok_or(Fault::Unreadable("an operation on what is no number"))?;
            return self.arena.div(above, below).map(Form::Expression);
        }
        Ok(product)
    }

    fn continues_argument(&self, product: &Form) -> bool {
        match self.token() {
            Token::Digit => false,
            Token::Word(word) => {
                !self.is_function_name(word) && product.expression().is_some() && self.is_factor_word(word, product)
            }
            Token::Command(name) => {
                !self.is_function_name(name)
                    && matches!(
                        name,
                        "pi" | "frac"
                            | "dfrac"
                            | "tfrac"
                            | "sfrac"
                            | "nicefrac"
                            | "sqrt"
                            | "theta"
                            | "alpha"
                            | "beta"
                            | "phi"
                            | "omega"
                            | "gamma"
                    )
                    || names::is_variable(name)
            }
            _ => false,
        }
    }

    fn is_function_name(&self, name: &str) -> bool {
        names::function(name).is_some()
            || names::reciprocal(name).is_some()
            || names::combining(name).is_some()
            || matches!(name, "log" | "lg")
    }

    fn square_root(&mut self) -> Reading<Form> {
        let degree = if self.token() == Token::Sign(b'[') {
            self.advance();
            let degree = self.expression(Level::Sum)?;
            self.expect(Token::Sign(b']'))?;
            degree
        } else {
            self.arena.small(2)?
        };
        let of = self.root_argument()?;
        self.arena.root(degree, of).map(Form::Expression)
    }

    fn root_argument(&mut self) -> Reading<Id> {
        match self.token() {
            Token::Sign(b'(') => self.bracket()?.expression().ok_or(Fault::Unreadable("a root of what is no number")),
            Token::Digit => {
                let numeral =
                    numeral::read(self.lexer.text, self.ahead.start, self.locale, numeral::Commas::PartMembers)?;
                self.jump(numeral.end);
                self.arena.value(numeral.value)
            }
            _ => self.argument(),
        }
    }

    /// `\log_b x`; without a base the common logarithm is 10's for numbers.
    fn logarithm(&mut self, name: &str) -> Reading<Form> {
        let mut base = None;
        let mut exponent = None;
        loop {
            match self.token() {
                Token::Sign(b'_') => {
                    self.advance();
                    base = Some(self.root_argument()?);
                }
                Token::Sign(b'^') => {
                    self.advance();
                    exponent = Some(self.exponent()?);
                }
                _ => break,
            }
        }
        let of =
            self.function_argument(name)?.expression().ok_or(Fault::Unreadable("a logarithm of what is no number"))?;
        let base = match base {
            Some(base) => base,
            None => self.arena.small(10)?,
        };
        let value = self.arena.call2(Binary::Log, base, of)?;
        match exponent {
            Some(exponent) => self.arena.pow(value, exponent).map(Form::Expression),
            None => Ok(Form::Expression(value)),
        }
    }

    fn bracketed_arguments(&mut self) -> Reading<Vec<Id>> {
        const FORM: Fault = Fault::Unreadable("a function without its arguments");
        if !matches!(self.token(), Token::Sign(b'(' | b'[' | b'{') | Token::Command("{")) {
            return Err(FORM);
        }
        let members = match self.atom()? {
            Form::Tuple { members, .. } | Form::Set(members) => members,
            single => vec![single],
        };
        members.iter().map(|member| member.expression().ok_or(FORM)).collect()
    }

    fn combine_arguments(&mut self, binary: Binary) -> Reading<Form> {
        let arguments = self.bracketed_arguments()?;
        let mut value = arguments[0];
        for &argument in &arguments[1..] {
            value = self.arena.call2(binary, value, argument)?;
        }
        Ok(Form::Expression(value))
    }

    fn two_arguments(&mut self, binary: Binary) -> Reading<Form> {
        match self.bracketed_arguments()?[..] {
            [a, b] => self.arena.call2(binary, a, b).map(Form::Expression),
            _ => Err(Fault::Unreadable("a function without its arguments")),
        }
    }
}

//! Formulas by precedence: relations, ratios, unions, sums, products, powers.
//!
//! Recursion passes through [`Parser::power`], which counts its depth.

use super::expression::{Arena, Binary, Constant, Id, Node};
use super::form::{Combine, Form, Relation, Sign};
use super::lexer::{Lexeme, Lexer, Side, Token};
use super::limits::{Fault, ITEMS, Reading, SIGNS};
use super::names;
use super::numeral::Commas;
use super::policy::Locale;

/// What a text has been read into so far, and where reading stands.
pub(super) struct Parser<'a> {
    pub(super) lexer: Lexer<'a>,
    /// The token ahead.
    pub(super) ahead: Lexeme<'a>,
    pub(super) arena: Arena,
    pub(super) locale: Locale,
    pub(super) commas: Commas,
    depth: usize,
    max_depth: usize,
    /// Signs `±` of the member being read.
    pub(super) n_signs: u8,
    /// Bars `|` that are open in the innermost bracket.
    pub(super) n_bars: usize,
    /// Whether a bar or colon parts a set's members from their conditions.
    pub(super) is_builder: bool,
    /// Whether the token before the one ahead was a numeral.
    pub(super) after_numeral: bool,
    /// Where the member being read begins.
    pub(super) member_start: usize,
    /// Where the whole text has no backslash: words are words.
    pub(super) is_plain: bool,
}

/// How tightly an operator binds, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Relation,
    Ratio,
    Union,
    Intersection,
    Sum,
    /// `a mod b`, whose sides may be products.
    Remainder,
    Product,
    Factor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Relate(Sign),
    Ratio,
    Combine(Combine),
    Add,
    Subtract,
    PlusMinus,
    MinusPlus,
    Multiply,
    Divide,
    Remainder,
    /// `{n \choose k}`.
    Choose,
    /// `{a + b \over c}`.
    Over,
    /// Two factors side by side.
    Beside,
}

impl Operator {
    fn level(self) -> Level {
        match self {
            Self::Relate(_) => Level::Relation,
            Self::Ratio | Self::Choose | Self::Over => Level::Ratio,
            Self::Combine(Combine::Intersection) => Level::Intersection,
            Self::Combine(_) => Level::Union,
            Self::Add | Self::Subtract | Self::PlusMinus | Self::MinusPlus => Level::Sum,
            Self::Remainder => Level::Remainder,
            Self::Multiply | Self::Divide | Self::Beside => Level::Product,
        }
    }
}

impl Level {
    fn tighter(self) -> Self {
        match self {
            Self::Relation => Self::Ratio,
            Self::Ratio => Self::Union,
            Self::Union => Self::Intersection,
            Self::Intersection => Self::Sum,
            Self::Sum => Self::Remainder,
            Self::Remainder => Self::Product,
            Self::Product | Self::Factor => Self::Factor,
        }
    }
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, locale: Locale, max_depth: usize) -> Self {
        let lexer = Lexer { text, at: 0 };
        Self {
            lexer,
            ahead: lexer.next(),
            arena: Arena::default(),
            locale,
            commas: Commas::MarkThousands,
            depth: 0,
            max_depth,
            n_signs: 0,
            n_bars: 0,
            is_builder: false,
            after_numeral: false,
            member_start: 0,
            is_plain: !text.contains('\\'),
        }
    }

    pub(super) fn token(&self) -> Token<'a> {
        self.ahead.token
    }

    /// Goes on behind the token ahead.
    pub(super) fn advance(&mut self) {
        self.jump(self.ahead.end);
    }

    pub(super) fn jump(&mut self, at: usize) {
        self.lexer.at = at;
        self.ahead = self.lexer.next();
        self.after_numeral = false;
    }

    pub(super) fn takes(&mut self, token: Token<'_>) -> bool {
        let is_next = self.token() == token;
        if is_next {
            self.advance();
        }
        is_next
    }

    pub(super) fn expect(&mut self, token: Token<'_>) -> Reading<()> {
        if self.takes(token) { Ok(()) } else { Err(Fault::Unreadable("a bracket that does not end")) }
    }

    /// An expression, where nothing else makes sense.
    pub(super) fn expression(&mut self, level: Level) -> Reading<Id> {
        self.binary(level)?.expression().ok_or(Fault::Unreadable("an operation on what is no number"))
    }

    /// Reads operators of the level and tighter ones.
    pub(super) fn binary(&mut self, level: Level) -> Reading<Form> {
        let mut left = self.signed()?;
        let mut chain: Option<Box<Relation>> = None;
        while let Some(operator) = self.operator(&left) {
            if operator.level() < level {
                break;
            }
            if operator != Operator::Beside {
                self.advance();
            }
            if let Operator::Relate(sign) = operator {
                let right = self.binary(Level::Ratio)?;
                let side = std::mem::replace(&mut left, right);
                let chain = chain.get_or_insert_default();
                if chain.sides.len() >= ITEMS {
                    return Err(Fault::Limit("members"));
                }
                chain.sides.push(side);
                chain.signs.push(sign);
                continue;
            }
            left = self.infix(left, operator)?;
        }
        match chain {
            Some(chain) => self.close_chain(chain, left),
            None => Ok(left),
        }
    }

    fn close_chain(&mut self, mut chain: Box<Relation>, last: Form) -> Reading<Form> {
        chain.sides.push(last);
        for sides in chain.sides.windows(2) {
            let difference = match (sides[0].expression(), sides[1].expression()) {
                (Some(a), Some(b)) if !self.arena.is_infinite(a) && !self.arena.is_infinite(b) => {
                    Some(self.difference(a, b)?)
                }
                _ => None,
            };
            chain.differences.push(difference);
        }
        Ok(Form::Relation(chain))
    }

    /// `a − b` as a new node, so that neither is folded away.
    fn difference(&mut self, a: Id, b: Id) -> Reading<Id> {
        let b = self.arena.push(Node::Neg(b))?;
        self.arena.push(Node::Add(a, b))
    }

    /// Reads signs, then a factor with what binds as tightly as a product.
    fn signed(&mut self) -> Reading<Form> {
        let mut is_negative = false;
        loop {
            match self.token() {
                Token::Sign(b'-') => is_negative = !is_negative,
                Token::Sign(b'+') => {}
                Token::Command("pm" | "mp") => {
                    let sign = self.choice_sign()?;
                    let value = self.signed_product()?;
                    let value = self.arena.mul(sign, value)?;
                    return self.negated(Form::Expression(value), is_negative);
                }
                _ => break,
            }
            self.advance();
        }
        if !is_negative {
            return self.power();
        }
        let value = self.binary(Level::Product)?;
        self.negated(value, true)
    }

    fn signed_product(&mut self) -> Reading<Id> {
        self.advance();
        self.expression(Level::Product)
    }

    fn negated(&mut self, form: Form, is_negative: bool) -> Reading<Form> {
        if !is_negative {
            return Ok(form);
        }
        match form {
            Form::Expression(id) => self.arena.neg(id).map(Form::Expression),
            other => self.scale_by(other, -1),
        }
    }

    /// The node for the `±` or `∓` ahead: `±` is a new choice, `∓` the opposite of the last one.
    fn choice_sign(&mut self) -> Reading<Id> {
        if self.token() == Token::Command("mp") && self.n_signs > 0 {
            let sign = self.arena.push(Node::Sign(self.n_signs - 1))?;
            return self.arena.neg(sign);
        }
        if self.n_signs >= SIGNS {
            return Err(Fault::Limit("signs"));
        }
        self.n_signs += 1;
        self.arena.push(Node::Sign(self.n_signs - 1))
    }

    fn operator(&self, left: &Form) -> Option<Operator> {
        let operator = match self.token() {
            Token::Sign(b'+') => Operator::Add,
            Token::Sign(b'-') => Operator::Subtract,
            Token::Sign(b'*') => Operator::Multiply,
            Token::Sign(b'/') => Operator::Divide,
            Token::Sign(b'=') => Operator::Relate(Sign::Equal),
            Token::Sign(b'<') => Operator::Relate(Sign::Less),
            Token::Sign(b'>') => Operator::Relate(Sign::Greater),
            Token::Sign(b':') if !self.is_builder => Operator::Ratio,
            Token::Command("colon") if !self.is_builder => Operator::Ratio,
            Token::Command("cdot" | "times" | "ast" | "cdotp" | "bullet") => Operator::Multiply,
            Token::Command("div" | "slash") => Operator::Divide,
            Token::Command("bmod" | "mod") => Operator::Remainder,
            Token::Command("choose") => Operator::Choose,
            Token::Command("over") => Operator::Over,
            Token::Command("pm") => Operator::PlusMinus,
            Token::Command("mp") => Operator::MinusPlus,
            Token::Command("cup" | "bigcup") => Operator::Combine(Combine::Union),
            Token::Command("cap" | "bigcap") => Operator::Combine(Combine::Intersection),
            Token::Command("setminus" | "backslash" | "smallsetminus") => Operator::Combine(Combine::Difference),
            Token::Command(name) if names::relation(name).is_some() => Operator::Relate(names::relation(name)?),
            Token::Word("U") if matches!(left, Form::Tuple { .. } | Form::Combined(..)) => {
                Operator::Combine(Combine::Union)
            }
            Token::Word("in") if self.ahead.is_spaced => Operator::Relate(Sign::In),
            Token::Word("mod") => Operator::Remainder,
            Token::Word("x" | "X") if self.is_times(left) => Operator::Multiply,
            _ if self.starts_factor(left) => Operator::Beside,
            _ => return None,
        };
        Some(operator)
    }

    /// `6.02 x 10^23`: an `x` between two numerals.
    fn is_times(&self, left: &Form) -> bool {
        let after = Lexer { at: self.ahead.end, ..self.lexer }.next();
        let is_number = left.expression().is_some_and(|id| self.arena.number(id).is_some());
        is_number && self.after_numeral && self.ahead.is_spaced && after.is_spaced && after.token == Token::Digit
    }

    /// Whether what stands ahead is a factor of what stands before it.
    fn starts_factor(&self, left: &Form) -> bool {
        if !matches!(left, Form::Expression(_) | Form::Matrix(_) | Form::Vector(_)) {
            return false;
        }
        match self.token() {
            Token::Digit => true,
            Token::Word(word) => self.is_factor_word(word, left),
            Token::Sign(b'(') => !self.is_note(),
            Token::Sign(b'[' | b'{') => true,
            Token::Sign(b'|') => self.n_bars == 0 && !self.is_builder && self.ahead.side != Side::Right,
            Token::Command(name) => self.is_factor_command(name),
            Token::End | Token::Sign(_) => false,
        }
    }

    fn infix(&mut self, left: Form, operator: Operator) -> Reading<Form> {
        match operator {
            Operator::Beside if self.after_numeral && self.token() == Token::Digit => {
                return Err(Fault::Unreadable("two numbers side by side"));
            }
            Operator::PlusMinus | Operator::MinusPlus => return self.plus_minus(&left, operator),
            Operator::Add | Operator::Subtract => {
                if let (Form::Expression(a), Some(term)) = (&left, self.plain_term()) {
                    let b = self.arena.small(term)?;
                    return self.calculate(operator, *a, b).map(Form::Expression);
                }
            }
            _ => {}
        }
        let right = self.binary(operator.level().tighter())?;
        match (operator, left, right) {
            (Operator::Ratio, left, right) => self.ratio(left, right),
            (Operator::Combine(combine), left, right) => Ok(combined(combine, left, right)),
            (_, Form::Expression(a), Form::Expression(b)) => self.calculate(operator, a, b).map(Form::Expression),
            (Operator::Add, left, right) => self.add_forms(left, right),
            (Operator::Subtract, left, right) => {
                let right = self.negated(right, true)?;
                self.add_forms(left, right)
            }
            (Operator::Multiply | Operator::Beside, left, right) => self.multiply_forms(left, right),
            (Operator::Divide, left, Form::Expression(b)) => {
                let one = self.arena.small(1)?;
                let inverse = self.arena.div(one, b)?;
                self.multiply_forms(left, Form::Expression(inverse))
            }
            _ => Err(Fault::Unreadable("an operation on what is no number")),
        }
    }

    /// The digits ahead, if another sign follows right behind them: the terms of long sums are read without a detour.
    fn plain_term(&mut self) -> Option<i64> {
        if self.token() != Token::Digit {
            return None;
        }
        let bytes = &self.lexer.text.as_bytes()[self.ahead.start..];
        let n_digits = bytes.iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
        if n_digits > 9 || !matches!(bytes.get(n_digits), Some(b'+' | b'-')) {
            return None;
        }
        let term = bytes[..n_digits].iter().fold(0, |term, digit| term * 10 + i64::from(digit - b'0'));
        (n_digits > 0).then(|| {
            self.jump(self.ahead.start + n_digits);
            term
        })
    }

    fn calculate(&mut self, operator: Operator, a: Id, b: Id) -> Reading<Id> {
        match operator {
            Operator::Add => self.arena.add(a, b),
            Operator::Subtract => self.arena.sub(a, b),
            Operator::Divide => self.arena.div(a, b),
            Operator::Remainder => self.arena.call2(Binary::Mod, a, b),
            Operator::Over => self.arena.div(a, b),
            Operator::Choose => self.arena.call2(Binary::Binomial, a, b),
            _ => self.arena.mul(a, b),
        }
    }

    /// `a ± b` for the sign that was just passed.
    fn plus_minus(&mut self, left: &Form, operator: Operator) -> Reading<Form> {
        let a = left.expression().ok_or(Fault::Unreadable("an operation on what is no number"))?;
        let sign = if operator == Operator::MinusPlus && self.n_signs > 0 {
            let sign = self.arena.push(Node::Sign(self.n_signs - 1))?;
            self.arena.neg(sign)?
        } else if self.n_signs >= SIGNS {
            return Err(Fault::Limit("signs"));
        } else {
            self.n_signs += 1;
            self.arena.push(Node::Sign(self.n_signs - 1))?
        };
        let b = self.expression(Level::Product)?;
        let b = self.arena.mul(sign, b)?;
        self.arena.add(a, b).map(Form::Expression)
    }

    fn ratio(&mut self, left: Form, right: Form) -> Reading<Form> {
        let is_words = matches!(left, Form::Text(_));
        match (left, right) {
            (Form::Ratio(mut parts), Form::Expression(b)) => {
                parts.push(b);
                Ok(Form::Ratio(parts))
            }
            (Form::Expression(a), Form::Expression(b)) => Ok(Form::Ratio(vec![a, b])),
            // `Answer: 5`.
            (left, right) if is_words => {
                let chain = Relation { sides: vec![left], signs: vec![Sign::Equal], differences: vec![] };
                self.close_chain(Box::new(chain), right)
            }
            _ => Err(Fault::Unreadable("a ratio of what are no numbers")),
        }
    }

    /// Reads a factor with its exponents, factorials, percent signs and indices.
    pub(super) fn power(&mut self) -> Reading<Form> {
        self.deeper()?;
        let atom = self.atom()?;
        let form = self.postfix(atom)?;
        self.shallower();
        Ok(form)
    }

    /// Counts a level of nesting; every recursion of the parser passes through here.
    pub(super) fn deeper(&mut self) -> Reading<()> {
        self.depth += 1;
        if self.depth > self.max_depth { Err(Fault::Limit("nesting")) } else { Ok(()) }
    }

    pub(super) fn shallower(&mut self) {
        self.depth -= 1;
    }

    fn postfix(&mut self, mut form: Form) -> Reading<Form> {
        loop {
            let token = self.token();
            form = match token {
                Token::Sign(b'^') => {
                    if let Some(end) = self.degree_sign() {
                        self.jump(end);
                        self.in_degrees(&form)?
                    } else {
                        self.raise(form)?
                    }
                }
                Token::Sign(b'!') => {
                    self.advance();
                    let a = form.expression().ok_or(Fault::Unreadable("a factorial of what is no number"))?;
                    Form::Expression(self.arena.call(super::expression::Function::Factorial, a)?)
                }
                Token::Sign(b'%') | Token::Command("%") => {
                    self.advance();
                    let a = form.expression().ok_or(Fault::Unreadable("a percentage of what is no number"))?;
                    Form::Expression(self.arena.percent(a)?)
                }
                Token::Command("degree" | "degrees") => {
                    self.advance();
                    self.in_degrees(&form)?
                }
                Token::Command("$") if Lexer { at: self.ahead.end, ..self.lexer }.next().token == Token::Sign(b'=') => {
                    self.advance();
                    form
                }
                Token::Sign(b'_') => self.index(&form)?,
                Token::Sign(b'\'') => {
                    self.advance();
                    self.rename(&form, |name| format!("{name}'"))?
                }
                _ => return Ok(form),
            };
        }
    }

    fn in_degrees(&mut self, form: &Form) -> Reading<Form> {
        let a = form.expression().ok_or(Fault::Unreadable("degrees of what is no number"))?;
        let degree = self.arena.push(Node::Constant(Constant::Degree))?;
        Ok(Form::Expression(self.arena.push(Node::Mul(a, degree))?))
    }

    /// The end of `^\circ` or `^{\circ}`, if that is ahead.
    fn degree_sign(&self) -> Option<usize> {
        let rest = self.lexer.text[self.ahead.end..].trim_start();
        let is_braced = rest.starts_with('{');
        let inner = rest.strip_prefix('{').unwrap_or(rest).trim_start();
        let inner = ["\\circ", "\\degree", "\\o"].iter().find_map(|name| inner.strip_prefix(name))?;
        let inner = if is_braced { inner.trim_start().strip_prefix('}')? } else { inner };
        let is_whole = is_braced || !inner.starts_with(|c: char| c.is_ascii_alphabetic());
        is_whole.then(|| self.lexer.text.len() - inner.len())
    }
}

fn combined(combine: Combine, left: Form, right: Form) -> Form {
    match left {
        Form::Combined(same, mut members) if same == combine && combine != Combine::Difference => {
            members.push(right);
            Form::Combined(combine, members)
        }
        left => Form::Combined(combine, vec![left, right]),
    }
}

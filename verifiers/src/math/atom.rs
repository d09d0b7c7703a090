//! The smallest parts of formulas: numerals, letters, fractions, roots, brackets, functions.

use super::expression::{Binary, Constant, Function, Id, Node};
use super::form::{Edge, Form, Half, Space};
use super::lexer::{Lexer, Side, Token};
use super::limits::{Fault, Reading};
use super::members::Enclosure;
use super::names;
use super::numeral::{self, Commas};
use super::parser::{Level, Parser};
use super::rational::Rational;
use super::units;

/// Nodes of an expression that is looked through for variables.
const MANY: usize = 100;

const NO_OPERAND: Fault = Fault::Unreadable("a number or name is missing");

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

    fn numeral(&mut self) -> Reading<Form> {
        let start = self.ahead.start;
        let numeral = numeral::read(self.lexer.text, start, self.locale, self.commas)?;
        self.jump(numeral.end);
        self.after_numeral = true;
        if self.token() == Token::Sign(b'_') {
            return self.in_base(start, numeral.end);
        }
        if matches!(self.token(), Token::Word("st" | "nd" | "rd" | "th")) && !self.ahead.is_spaced {
            self.advance();
        }
        if numeral.is_plain
            && let Some((fraction, end)) = self.fraction_ahead()
        {
            self.jump(end);
            return self.arena.value(numeral.value.add(&fraction)).map(Form::Expression);
        }
        if let Some(time) = self.time_ahead(&numeral.value) {
            return Ok(time);
        }
        self.arena.value(numeral.value).map(Form::Expression)
    }

    /// The proper fraction of a mixed number such as `3\frac12` or `3 1/2`, and its end.
    fn fraction_ahead(&self) -> Option<(Rational, usize)> {
        let rest = &self.lexer.text[self.ahead.start..];
        let (above, below, end) = match self.token() {
            Token::Command("frac" | "dfrac" | "tfrac" | "cfrac") => {
                let (above, at) = small_argument(self.lexer.text, self.ahead.end)?;
                let (below, at) = small_argument(self.lexer.text, at)?;
                (above, below, at)
            }
            Token::Digit if self.ahead.is_spaced => {
                let length = rest.bytes().take_while(u8::is_ascii_digit).count();
                let after = rest[length..].trim_start().strip_prefix('/')?.trim_start();
                let below = after.bytes().take_while(u8::is_ascii_digit).count();
                let end = self.lexer.text.len() - after.len() + below;
                (rest[..length].parse().ok()?, after[..below].parse().ok()?, end)
            }
            _ => return None,
        };
        (0 < above && above < below).then_some(()).and_then(|()| {
            let value = Rational::Small(above, 1).div(&Rational::Small(below, 1))?;
            Some((value, end))
        })
    }

    /// `12:05` and `1:02:30 p.m.`: digits in pairs, the first of a pair a zero or the half of the day told.
    fn time_ahead(&mut self, first: &Rational) -> Option<Form> {
        let bytes = self.lexer.text.as_bytes();
        let mut at = self.lexer.at;
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        let mut parts = vec![first.to_i64()?];
        let digit = |at: usize| bytes.get(at).filter(|b| b.is_ascii_digit()).map(|b| i64::from(b - b'0'));
        let mut has_zero = false;
        while bytes.get(at) == Some(&b':') && digit(at + 3).is_none() {
            let (Some(tens), Some(ones)) = (digit(at + 1), digit(at + 2)) else { break };
            has_zero |= tens == 0;
            parts.push(tens * 10 + ones);
            at += 3;
        }
        let half = half_of_day(&self.lexer.text[at..]);
        if parts.len() < 2 || !(has_zero || half.is_some()) {
            return None;
        }
        self.jump(at + half.map_or(0, |(_, length)| length));
        Some(Form::Time(parts, half.map(|(half, _)| half)))
    }

    /// `204_5`: the digits in a base.
    fn in_base(&mut self, start: usize, end: usize) -> Reading<Form> {
        self.advance();
        let base = match self.token() {
            Token::Sign(b'{') => {
                let (text, end) = self.lexer.group(self.ahead.start)?;
                self.jump(end);
                text.trim().trim_matches(|c| c == '(' || c == ')').parse::<u32>().ok()
            }
            Token::Digit => {
                let numeral = numeral::read(self.lexer.text, self.ahead.start, self.locale, Commas::PartMembers)?;
                self.jump(numeral.end);
                numeral.value.to_i64().and_then(|base| u32::try_from(base).ok())
            }
            Token::Command("text" | "mathrm") => {
                let (text, end) = self.lexer.group(self.ahead.end)?;
                self.jump(end);
                number_word(text.trim())
            }
            _ => None,
        };
        let base = base.filter(|base| (2..=36).contains(base)).ok_or(Fault::Unreadable("an index that is no base"))?;
        let digits: Vec<u8> = self.lexer.text[start..end].bytes().filter(u8::is_ascii_digit).collect();
        if self.lexer.text[start..end].contains('.') {
            return Err(Fault::Unreadable("decimals in another base"));
        }
        let value =
            num_bigint::BigInt::parse_bytes(&digits, base).ok_or(Fault::Unreadable("digits above their base"))?;
        Ok(Form::Based(Rational::integer(value), base))
    }

    fn word(&mut self, word: &'a str) -> Reading<Form> {
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
    fn called(&mut self, form: Form, name: &str, is_member_start: bool) -> Reading<Form> {
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
            "frac" | "dfrac" | "tfrac" | "cfrac" => {
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

    /// Words in a formula: a name, or a formula after all.
    fn text(&mut self) -> Reading<Form> {
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

    fn operator_name(&mut self) -> Reading<Form> {
        self.takes(Token::Sign(b'*'));
        let (name, end) = self.lexer.group(self.ahead.start)?;
        self.jump(end);
        self.function(name.trim())
    }

    /// The set whose letter stands in braces ahead.
    fn space_ahead(&self) -> Option<(Space, usize)> {
        let (text, end) = self.lexer.group(self.ahead.start).ok()?;
        space(text.trim()).map(|space| (space, end))
    }

    /// A letter i, j or k in bold, which names a direction.
    fn basis_ahead(&self) -> Option<&'a str> {
        let (text, _) = self.lexer.group(self.ahead.start).ok()?;
        Some(text.trim()).filter(|text| matches!(*text, "i" | "j" | "k" | "\\imath" | "\\jmath"))
    }

    /// A letter with an accent: another name, where directions are the same in bold and under a hat.
    fn accent(&mut self, name: &str) -> Reading<Form> {
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

/// `a.m.` or `p.m.` at the beginning of a text, and its length.
fn half_of_day(text: &str) -> Option<(Half, usize)> {
    let rest = text.trim_start_matches([' ', '~', '\\', ',']);
    let is_set = rest.starts_with("text{");
    let rest = rest.strip_prefix("text{").unwrap_or(rest).trim_start();
    let mut letters = rest.char_indices().filter(|(_, c)| *c != '.');
    let half = match letters.next()?.1.to_ascii_lowercase() {
        'a' => Half::Morning,
        'p' => Half::Evening,
        _ => return None,
    };
    let (at, m) = letters.next()?;
    let after = rest[at + m.len_utf8()..].trim_start_matches('.');
    if !m.eq_ignore_ascii_case(&'m') || after.starts_with(|c: char| c.is_alphanumeric()) {
        return None;
    }
    let after = if is_set { after.trim_start().strip_prefix('}')? } else { after };
    Some((half, text.len() - after.len()))
}

/// A natural number in braces, or one digit, at a position; and its end.
fn small_argument(text: &str, at: usize) -> Option<(i64, usize)> {
    let rest = text[at..].trim_start();
    let start = text.len() - rest.len();
    if rest.starts_with(|c: char| c.is_ascii_digit()) {
        return Some((rest[..1].parse().ok()?, start + 1));
    }
    let (inner, end) = Lexer { text, at }.group(start).ok()?;
    let inner = inner.trim();
    inner.bytes().all(|b| b.is_ascii_digit()).then(|| inner.parse().ok().map(|value| (value, end)))?
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

fn number_word(word: &str) -> Option<u32> {
    const WORDS: [&str; 17] = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
        "thirteen", "fourteen", "fifteen", "sixteen",
    ];
    word.parse().ok().or_else(|| WORDS.iter().position(|name| *name == word).map(|n| n as u32))
}

//! Lists: members between commas, semicolons, `and` and `or`, and the expansion of `±`.

use super::expression::{Arena, Id, Node};
use super::form::{Form, Relation, Sign};
use super::lexer::Token;
use super::limits::{Fault, ITEMS, Reading};
use super::numeral::Commas;
use super::parser::{Level, Parser};
use super::rational::Rational;

/// What joined the members of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Joins {
    pub(super) has_or: bool,
    has_comma: bool,
    /// Semicolons or `and` between groups that have commas inside.
    has_semicolon: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    Comma,
    Semicolon,
    And,
    Or,
    Space,
}

/// What members stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enclosure {
    /// The whole answer.
    Answer,
    /// A part of the answer between semicolons.
    Group,
    /// Round or square brackets.
    Brackets,
    /// Braces that group.
    Braces,
    /// Braces of a set.
    Set,
    /// Angle brackets.
    Angle,
}

impl Enclosure {
    fn is_end(self, token: Token<'_>) -> bool {
        match self {
            Self::Answer => token == Token::End,
            Self::Group => matches!(token, Token::End | Token::Sign(b';')),
            Self::Brackets => matches!(token, Token::Sign(b')' | b']')),
            Self::Braces => token == Token::Sign(b'}'),
            Self::Set => matches!(token, Token::Command("}" | "rbrace")),
            Self::Angle => token == Token::Command("rangle"),
        }
    }

    /// Whether `±` makes two members here, rather than two of a larger member.
    fn expands_choices(self) -> bool {
        matches!(self, Self::Answer | Self::Group | Self::Set)
    }
}

impl Parser<'_> {
    /// Reads members up to the end of the enclosure, which stays ahead.
    pub(super) fn members(&mut self, enclosure: Enclosure) -> Reading<(Vec<Form>, Joins)> {
        let state = (self.n_bars, self.commas, self.is_builder);
        self.n_bars = 0;
        if matches!(enclosure, Enclosure::Brackets | Enclosure::Set | Enclosure::Angle) {
            self.commas = self.commas_ahead();
        }
        if enclosure != Enclosure::Braces {
            self.is_builder = enclosure == Enclosure::Set;
        }
        let mut members = Vec::new();
        let mut joins = Joins::default();
        let mut is_joined = true;
        while !enclosure.is_end(self.token()) {
            if let Some(join) = self.join_ahead() {
                self.skip_join();
                joins.note(join);
                is_joined = true;
                continue;
            }
            if self.is_builder && self.is_condition_bar() && !is_joined {
                break;
            }
            if !is_joined {
                return Err(Fault::Unreadable("something behind the answer"));
            }
            if members.len() >= ITEMS {
                return Err(Fault::Limit("members"));
            }
            self.member(enclosure, &mut members)?;
            is_joined = false;
        }
        (self.n_bars, self.commas, self.is_builder) = state;
        Ok((members, joins))
    }

    /// Between brackets a tight comma marks thousands only beside commas that are followed by blanks.
    fn commas_ahead(&self) -> Commas {
        let bytes = &self.lexer.text.as_bytes()[self.ahead.start..];
        let mut depth = 0_i32;
        for (at, byte) in bytes.iter().enumerate().take(4096) {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' if depth == 0 => break,
                b')' | b']' | b'}' => depth -= 1,
                b',' if depth == 0 && bytes.get(at + 1) == Some(&b' ') => return Commas::MarkThousands,
                _ => {}
            }
        }
        Commas::PartMembers
    }

    pub(super) fn is_condition_bar(&self) -> bool {
        matches!(self.token(), Token::Sign(b'|' | b':') | Token::Command("mid" | "vert" | "colon"))
    }

    /// Reads one member, which a `±` may turn into several.
    fn member(&mut self, enclosure: Enclosure, members: &mut Vec<Form>) -> Reading<()> {
        let n_outer = self.n_signs;
        if enclosure.expands_choices() {
            self.n_signs = 0;
            self.member_start = self.ahead.start;
        }
        let form = self.binary(Level::Relation)?;
        let form = self.with_unit(form)?;
        if !enclosure.expands_choices() || self.n_signs == 0 {
            members.push(form);
        } else {
            for choice in 0..1_u8 << self.n_signs {
                members.push(choose(&mut self.arena, &form, choice)?);
            }
        }
        if enclosure.expands_choices() {
            self.n_signs = n_outer;
        }
        Ok(())
    }

    fn join_ahead(&self) -> Option<Join> {
        match self.token() {
            Token::Sign(b',') => Some(Join::Comma),
            Token::Sign(b';') => Some(Join::Semicolon),
            Token::Word("and") | Token::Command("land" | "wedge" | "&") => Some(Join::And),
            Token::Word("or") | Token::Command("lor" | "vee") => Some(Join::Or),
            Token::Command("quad" | "qquad" | "\\" | "newline") => Some(Join::Space),
            Token::Command(name) if super::names::is_text(name) => {
                let (text, _) = self.lexer.group(self.ahead.end).ok()?;
                match text.trim().trim_matches(',').trim() {
                    "and" | "And" | "&" => Some(Join::And),
                    "or" | "Or" | "OR" => Some(Join::Or),
                    "" => Some(Join::Space),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn skip_join(&mut self) {
        let end = match self.token() {
            Token::Command(name) if super::names::is_text(name) => {
                self.lexer.group(self.ahead.end).map_or(self.ahead.end, |(_, end)| end)
            }
            _ => self.ahead.end,
        };
        self.jump(end);
    }

    /// Reads the whole answer.
    pub(super) fn answer(&mut self) -> Reading<Form> {
        let start = self.ahead.start;
        let (members, joins) = self.members(Enclosure::Answer)?;
        if joins.has_comma && joins.has_semicolon && !joins.has_or && !joins_are_mixed(&members) {
            self.jump(start);
            return self.groups();
        }
        gathered(members, joins, &self.arena)
    }

    /// `p=5,q=2; p=7,q=2`: groups of members.
    fn groups(&mut self) -> Reading<Form> {
        let mut groups = Vec::new();
        loop {
            let (members, joins) = self.members(Enclosure::Group)?;
            if !members.is_empty() {
                groups.push(gathered(members, joins, &self.arena)?);
            }
            if !self.takes(Token::Sign(b';')) {
                break;
            }
        }
        match groups.len() {
            0 => Err(Fault::Unreadable("nothing")),
            1 => Ok(groups.remove(0)),
            _ => Ok(Form::List(groups)),
        }
    }

    /// `{` has been passed: a set of members, or of what fulfils conditions.
    pub(super) fn set(&mut self) -> Reading<Form> {
        let (members, joins) = self.members(Enclosure::Set)?;
        if self.is_condition_bar() && members.len() == 1 {
            self.advance();
            let (conditions, _) = self.members(Enclosure::Set)?;
            self.advance();
            return Ok(Form::Builder(members.into_iter().chain(conditions).collect()));
        }
        if !Enclosure::Set.is_end(self.token()) {
            return Err(Fault::Unreadable("a bracket that does not end"));
        }
        self.advance();
        Ok(match members.len() {
            0 => Form::Space(super::form::Space::Empty),
            _ if joins.has_or => Form::Either(members),
            _ => Form::Set(members),
        })
    }

    /// `\langle` has been passed.
    pub(super) fn vector(&mut self) -> Reading<Form> {
        let (members, _) = self.members(Enclosure::Angle)?;
        self.advance();
        if members.is_empty() {
            return Err(Fault::Unreadable("brackets that hold nothing"));
        }
        members
            .iter()
            .map(|member| member.expression().ok_or(Fault::Unreadable("a component that is no number")))
            .collect::<Reading<Vec<Id>>>()
            .map(Form::Vector)
    }
}

impl Joins {
    fn note(&mut self, join: Join) {
        match join {
            Join::Comma => self.has_comma = true,
            Join::Semicolon => self.has_semicolon = true,
            Join::Or => self.has_or = true,
            Join::And | Join::Space => {}
        }
    }
}

/// Whether members are not all equations or plain values, so that semicolons do not part groups.
fn joins_are_mixed(members: &[Form]) -> bool {
    members.iter().any(|member| !matches!(member, Form::Relation(_) | Form::Expression(_)))
}

/// One member alone, or several together.
fn gathered(mut members: Vec<Form>, joins: Joins, arena: &Arena) -> Reading<Form> {
    match members.len() {
        0 => Err(Fault::Unreadable("nothing")),
        1 => Ok(members.remove(0)),
        _ if joins.has_or => Ok(Form::Either(members)),
        _ => Ok(Form::List(by_repetition(share_label(members), arena))),
    }
}

/// `p=5, q=2 and p=7, q=2` are two groups: the labels repeat.
fn by_repetition(members: Vec<Form>, arena: &Arena) -> Vec<Form> {
    let labels: Option<Vec<&str>> = members
        .iter()
        .map(|member| match member {
            Form::Relation(relation) => relation.sides[0].expression().and_then(|id| arena.symbol(id)),
            _ => None,
        })
        .collect();
    let Some(labels) = labels else { return members };
    let size = labels[1..].iter().position(|label| *label == labels[0]).map_or(labels.len(), |at| at + 1);
    let is_repeated = size > 1 && labels.len() > size && labels.len() % size == 0;
    if !is_repeated || !labels.chunks(size).all(|group| group == &labels[..size]) {
        return members;
    }
    members.chunks(size).map(|group| Form::List(group.to_vec())).collect()
}

/// `n = 2, 3, 4` is the list 2, 3, 4: a label before the first member is meant for all.
fn share_label(members: Vec<Form>) -> Vec<Form> {
    let is_plain = |form: &Form| !matches!(form, Form::Relation(_) | Form::Text(_));
    let is_labelled = matches!(&members[0], Form::Relation(relation)
        if relation.signs == [Sign::Equal] || relation.signs == [Sign::In]);
    if !is_labelled || !members[1..].iter().all(is_plain) {
        return members;
    }
    let mut members = members;
    if let Form::Relation(relation) = &mut members[0] {
        let value = relation.sides.swap_remove(1);
        members[0] = value;
    }
    members
}

/// The form with each `±` replaced by `+` or `−` by the bits of the choice.
pub(super) fn choose(arena: &mut Arena, form: &Form, choice: u8) -> Reading<Form> {
    let replace = |node: &Node| match node {
        Node::Sign(n) => Some(Node::Number(Rational::Small(if choice >> n & 1 == 0 { 1 } else { -1 }, 1))),
        _ => None,
    };
    let mut pick = |id: Id| arena.copy(id, &replace);
    Ok(match form {
        Form::Expression(id) => Form::Expression(pick(*id)?),
        Form::Quantity { value, unit, whole } => {
            let whole = whole.map(&mut pick).transpose()?;
            Form::Quantity { value: pick(*value)?, unit: unit.clone(), whole }
        }
        Form::Vector(ids) => Form::Vector(ids.iter().map(|&id| pick(id)).collect::<Reading<_>>()?),
        Form::Ratio(ids) => Form::Ratio(ids.iter().map(|&id| pick(id)).collect::<Reading<_>>()?),
        Form::Tuple { members, opens, closes } => {
            Form::Tuple { members: choose_all(arena, members, choice)?, opens: *opens, closes: *closes }
        }
        Form::Set(members) => Form::Set(choose_all(arena, members, choice)?),
        Form::List(members) => Form::List(choose_all(arena, members, choice)?),
        Form::Either(members) => Form::Either(choose_all(arena, members, choice)?),
        Form::Relation(relation) => {
            let mut differences = Vec::new();
            for difference in &relation.differences {
                differences.push(match difference {
                    Some(id) => Some(arena.copy(*id, &replace)?),
                    None => None,
                });
            }
            let sides = choose_all(arena, &relation.sides, choice)?;
            Form::Relation(Box::new(Relation { sides, signs: relation.signs.clone(), differences }))
        }
        _ => return Err(Fault::Unreadable("a choice of signs within a larger form")),
    })
}

fn choose_all(arena: &mut Arena, forms: &[Form], choice: u8) -> Reading<Vec<Form>> {
    forms.iter().map(|form| choose(arena, form, choice)).collect()
}

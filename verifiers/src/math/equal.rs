//! Whether two answers are the same, part by part.

use super::answer::Rung;
use super::expression::{Arena, Id, Node};
use super::form::{Combine, Edge, Form, Matrix, Sign};
use super::identity::{self, Same, Steps, Subject};
use super::limits::PAIRS;
use super::policy::{Intervals, ListOrder, Percent, Policy, Units, Variables};
use super::rational::Rational;
use super::region::{Reader, Region};
use super::tolerance;
use super::words::folded;

/// One comparison: both arenas, what the task asks, and the fuel that is left.
pub(super) struct Comparer<'a> {
    pub(super) policy: &'a Policy,
    pub(super) seed: u64,
    pub(super) gold: &'a Arena,
    pub(super) given: &'a Arena,
    pub(super) steps: Steps,
    n_pairs: usize,
    /// The highest rung that was needed.
    pub(super) rung: Rung,
}

impl Same {
    pub(super) fn from_bool(is_same: bool) -> Self {
        if is_same { Self::Yes } else { Self::No }
    }
}

impl<'a> Comparer<'a> {
    pub(super) fn new(policy: &'a Policy, seed: u64, gold: &'a Arena, given: &'a Arena) -> Self {
        Self { policy, seed, gold, given, steps: Steps(Steps::ALL), n_pairs: 0, rung: Rung::Exact }
    }

    pub(super) fn reach(&mut self, rung: Rung) {
        self.rung = self.rung.max(rung);
    }

    /// Compares a form of the reference with one of the answer.
    pub(super) fn forms(&mut self, gold: &Form, given: &Form) -> Same {
        self.n_pairs += 1;
        if self.n_pairs > PAIRS {
            return Same::Unknown("pairs");
        }
        if let (Form::Expression(a), Form::Expression(b)) = (gold, given) {
            return self.expressions(*a, *b);
        }
        self.reach(Rung::Structure);
        match (gold, given) {
            (Form::Choice(..), _) | (_, Form::Choice(..)) => self.choices(gold, given),
            (Form::Text(_), _) | (_, Form::Text(_)) => Same::from_bool(self.is_same_text(gold, given)),
            (Form::Relation(a), Form::Relation(b)) => self.relations(a, b),
            (Form::Relation(a), other) => self.relation_for_value(a, other),
            (other, Form::Relation(b)) => self.value_for_relation(other, b),
            (Form::Modulo(a, m), Form::Modulo(b, n)) => self.residues((a, *m), (b, *n)),
            (Form::Modulo(a, _), other) => self.forms(a, other),
            (other, Form::Modulo(b, _)) => self.forms(other, b),
            (Form::Quantity { .. }, _) | (_, Form::Quantity { .. }) => self.quantities(gold, given),
            _ if gold.members().is_some() || given.members().is_some() => self.collections(gold, given),
            _ => self.structures(gold, given),
        }
    }

    fn structures(&mut self, gold: &Form, given: &Form) -> Same {
        match (gold, given) {
            (Form::Tuple { members: a, opens: o, closes: c }, Form::Tuple { members: b, opens: p, closes: d }) => {
                let is_edged = a.len() != 2 || (o, c) == (p, d);
                if a.len() == b.len() && is_edged { self.in_order(a, b) } else { Same::No }
            }
            (Form::Vector(a), Form::Vector(b)) => self.all_expressions(a, b),
            (Form::Matrix(a), Form::Matrix(b)) if a.n_columns == b.n_columns => {
                self.all_expressions(&a.entries, &b.entries)
            }
            (Form::Vector(a), Form::Matrix(Matrix { n_columns: 1, entries: b }))
            | (Form::Matrix(Matrix { n_columns: 1, entries: a }), Form::Vector(b)) => self.all_expressions(a, b),
            (Form::Vector(a), Form::Tuple { members, .. }) => match components(members) {
                Some(b) => self.all_expressions(a, &b),
                None => Same::No,
            },
            (Form::Tuple { members, .. }, Form::Vector(b)) => match components(members) {
                Some(a) => self.all_expressions(&a, b),
                None => Same::No,
            },
            (Form::Ratio(a), Form::Ratio(b)) => self.ratios(a, b),
            (Form::Ratio(a), Form::Expression(b)) if a.len() == 2 => self.quotient(a, *b, self.gold, self.given),
            (Form::Expression(a), Form::Ratio(b)) if b.len() == 2 => self.quotient(b, *a, self.given, self.gold),
            // Half a day on one side only is like a unit.
            (Form::Time(a, h), Form::Time(b, k)) => Same::from_bool(a == b && (h == k || h.is_none() || k.is_none())),
            (Form::Based(a, b), Form::Based(c, d)) => Same::from_bool(a == c && b == d),
            (Form::Space(a), Form::Space(b)) => Same::from_bool(a == b),
            (Form::Cases(a), Form::Cases(b)) => {
                let rows = |rows: &[Vec<Form>]| rows.iter().cloned().map(Form::List).collect::<Vec<_>>();
                self.matched(&rows(a), &rows(b))
            }
            (Form::Expression(a), _) if vector_parts(given).is_some() => {
                let parts = vector_parts(given).expect("it was there");
                self.directions(&parts, *a, self.given, self.gold)
            }
            (_, Form::Expression(b)) if vector_parts(gold).is_some() => {
                let parts = vector_parts(gold).expect("it was there");
                self.directions(&parts, *b, self.gold, self.given)
            }
            _ => self.regions_or(gold, given, Self::combinations),
        }
    }

    fn combinations(&mut self, gold: &Form, given: &Form) -> Same {
        match (gold, given) {
            (Form::Combined(x, a), Form::Combined(y, b)) if x == y => match x {
                Combine::Difference => self.in_order(a, b),
                _ => self.matched(a, b),
            },
            (Form::Builder(a), Form::Builder(b)) => self.matched(a, b),
            _ => Same::No,
        }
    }

    /// Compares as sets of real numbers, or otherwise if one of the forms is none.
    pub(super) fn regions_or(
        &mut self,
        gold: &Form,
        given: &Form,
        otherwise: impl FnOnce(&mut Self, &Form, &Form) -> Same,
    ) -> Same {
        match self.regions(gold, given) {
            Some(is_same) => Same::from_bool(is_same),
            None => otherwise(self, gold, given),
        }
    }

    pub(super) fn regions(&mut self, gold: &Form, given: &Form) -> Option<bool> {
        let is_pair = |form: &Form| matches!(form, Form::Tuple { opens: Edge::Open, closes: Edge::Open, .. });
        if self.policy.intervals == Intervals::Distinct && (is_pair(gold) || is_pair(given)) {
            return None;
        }
        let a = Reader { arena: self.gold, steps: &mut self.steps }.region(gold)?;
        let b = Reader { arena: self.given, steps: &mut self.steps }.region(given)?;
        let same_variable = |a: &Region, b: &Region| match (&a.variable, &b.variable) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        let is_named = self.policy.variables == Variables::Named;
        Some((!is_named || same_variable(&a, &b)) && a.equals(&b)?)
    }

    fn choices(&mut self, gold: &Form, given: &Form) -> Same {
        let letter_of = |form: &Form, arena: &Arena| match form {
            Form::Expression(id) => arena.symbol(*id).and_then(|name| {
                let mut letters = name.chars();
                letters.next().filter(|_| letters.next().is_none())
            }),
            _ => None,
        };
        match (gold, given) {
            (Form::Choice(a, x), Form::Choice(b, y)) if a == b => self.forms(x, y),
            (Form::Choice(..), Form::Choice(..)) => Same::No,
            (Form::Choice(a, inner), other) => match letter_of(other, self.given) {
                Some(letter) if letter == *a => Same::Yes,
                _ => self.forms(inner, other),
            },
            (other, Form::Choice(b, inner)) => match letter_of(other, self.gold) {
                Some(letter) => Same::from_bool(letter == *b),
                None => self.forms(other, inner),
            },
            _ => Same::No,
        }
    }

    fn is_same_text(&self, gold: &Form, given: &Form) -> bool {
        let text = |form: &Form, arena: &Arena| match form {
            Form::Text(text) => Some(folded(text)),
            Form::Expression(id) => arena.symbol(*id).map(folded),
            _ => None,
        };
        let (a, b) = (text(gold, self.gold), text(given, self.given));
        a.is_some_and(|a| !a.is_empty() && b.is_some_and(|b| a == b))
    }

    fn residues(&mut self, gold: (&Form, Id), given: (&Form, Id)) -> Same {
        let modulus = match (self.gold.number(gold.1), self.given.number(given.1)) {
            (Some(m), Some(n)) if m == n && !m.is_zero() => m.clone(),
            _ => return Same::No,
        };
        if let (Form::Expression(a), Form::Expression(b)) = (gold.0, given.0)
            && let (Some(a), Some(b)) = (self.gold.number(*a), self.given.number(*b))
        {
            let quotient = a.sub(b).div(&modulus);
            return Same::from_bool(quotient.is_some_and(|quotient| quotient.is_integer()));
        }
        match (gold.0, given.0) {
            (Form::Relation(a), Form::Relation(b)) if a.sides.len() == 2 && b.sides.len() == 2 => {
                match self.forms(&a.sides[0], &b.sides[0]) {
                    Same::Yes => self.residues((&a.sides[1], gold.1), (&b.sides[1], given.1)),
                    other => other,
                }
            }
            (a, b) => self.forms(a, b),
        }
    }

    fn quantities(&mut self, gold: &Form, given: &Form) -> Same {
        match (gold, given) {
            (Form::Quantity { value: a, unit: u, .. }, Form::Quantity { value: b, unit: v, .. }) => {
                // A thing counted is no unit of measurement.
                let is_noun = |unit: &str| unit.starts_with('#');
                if u == v || is_noun(u) != is_noun(v) { self.expressions(*a, *b) } else { Same::No }
            }
            (Form::Quantity { value, whole, unit }, Form::Expression(b)) => {
                self.one_sided(unit, (*value, *whole), |this, id| this.expressions(id, *b))
            }
            (Form::Expression(a), Form::Quantity { value, whole, unit }) => {
                self.one_sided(unit, (*value, *whole), |this, id| this.expressions(*a, id))
            }
            (Form::Quantity { .. }, other) if other.members().is_some() => self.collections(gold, other),
            (other, Form::Quantity { .. }) if other.members().is_some() => self.collections(other, given),
            _ => Same::No,
        }
    }

    /// A unit on one side only: the values are compared, or the product with the unit where it is a number.
    fn one_sided(
        &mut self,
        unit: &str,
        (value, whole): (Id, Option<Id>),
        compare: impl Fn(&mut Self, Id) -> Same,
    ) -> Same {
        let is_noun = unit.starts_with('#');
        if self.policy.units == Units::Optional || is_noun {
            let same = compare(self, value);
            if same == Same::Yes {
                return same;
            }
        }
        match whole {
            Some(whole) => compare(self, whole),
            None => Same::No,
        }
    }

    fn in_order(&mut self, gold: &[Form], given: &[Form]) -> Same {
        if gold.len() != given.len() {
            return Same::No;
        }
        let mut all = Same::Yes;
        for (a, b) in gold.iter().zip(given) {
            match self.forms(a, b) {
                Same::Yes => {}
                Same::No => return Same::No,
                unknown @ Same::Unknown(_) => all = unknown,
            }
        }
        all
    }

    fn all_expressions(&mut self, gold: &[Id], given: &[Id]) -> Same {
        let forms = |ids: &[Id]| ids.iter().map(|&id| Form::Expression(id)).collect::<Vec<_>>();
        self.in_order(&forms(gold), &forms(given))
    }

    /// Lists, sets and alternatives.
    fn collections(&mut self, gold: &Form, given: &Form) -> Same {
        match (gold, given) {
            (Form::List(a), Form::List(b)) if self.policy.list_order == ListOrder::Kept => self.in_order(a, b),
            // A group of labelled values is a tuple without brackets.
            (Form::List(a), Form::Tuple { members: b, .. }) if are_labelled(a, self.gold) => self.in_order(a, b),
            (Form::Tuple { members: a, .. }, Form::List(b)) if are_labelled(b, self.given) => self.in_order(a, b),
            (Form::Set(a), other) if a.len() == 1 && other.members().is_none() && !is_space(other) => {
                self.regions_or(gold, other, |this, _, other| this.forms(&a[0], other))
            }
            (other, Form::Set(b)) if b.len() == 1 && other.members().is_none() && !is_space(other) => {
                self.regions_or(other, given, |this, other, _| this.forms(other, &b[0]))
            }
            (Form::List(a), Form::Combined(..)) => self.regions_or(&Form::Set(a.clone()), given, |_, _, _| Same::No),
            (Form::Combined(..), Form::List(b)) => self.regions_or(gold, &Form::Set(b.clone()), |_, _, _| Same::No),
            _ => match (gold.members(), given.members()) {
                (Some(a), Some(b)) => {
                    let (a, b) = (self.distinct(gold, a, Whose::Gold), self.distinct(given, b, Whose::Given));
                    self.matched(&a, &b)
                }
                _ => self.regions_or(gold, given, |_, _, _| Same::No),
            },
        }
    }

    /// The members without repetition, which a set does not count.
    fn distinct(&mut self, form: &Form, members: &[Form], whose: Whose) -> Vec<Form> {
        // A bare list counts its members, unless they are tuples: then it lists solutions.
        let are_tuples = members.iter().all(|member| matches!(member, Form::Tuple { .. }));
        if matches!(form, Form::List(_)) && !are_tuples {
            return members.to_vec();
        }
        let (gold, given) = (self.gold, self.given);
        let arena = if whose == Whose::Gold { gold } else { given };
        let value = |member: &Form| member.expression().and_then(|id| arena.number(id));
        if members.iter().all(|member| value(member).is_some()) {
            let mut sorted = members.to_vec();
            sorted.sort_by(|a, b| value(a).cmp(&value(b)));
            sorted.dedup_by(|a, b| value(a) == value(b));
            return sorted;
        }
        (self.gold, self.given) = (arena, arena);
        let mut distinct: Vec<Form> = Vec::new();
        for member in members {
            if !distinct.iter().any(|known| self.forms(known, member) == Same::Yes) {
                distinct.push(member.clone());
            }
        }
        (self.gold, self.given) = (gold, given);
        distinct
    }

    /// Whether each member has its own counterpart.
    pub(super) fn matched(&mut self, gold: &[Form], given: &[Form]) -> Same {
        if gold.len() != given.len() {
            return Same::No;
        }
        if let Some(is_same) = self.sorted_numbers(gold, given) {
            return Same::from_bool(is_same);
        }
        let mut is_taken = vec![false; given.len()];
        let mut unknown = None;
        for a in gold {
            let mut found = false;
            for (at, b) in given.iter().enumerate() {
                if is_taken[at] {
                    continue;
                }
                match self.forms(a, b) {
                    Same::Yes => {
                        is_taken[at] = true;
                        found = true;
                        break;
                    }
                    Same::No => {}
                    Same::Unknown(why) => unknown = Some(why),
                }
            }
            if !found {
                return unknown.map_or(Same::No, Same::Unknown);
            }
        }
        Same::Yes
    }

    /// Members that are all rational numbers, compared by order.
    fn sorted_numbers(&self, gold: &[Form], given: &[Form]) -> Option<bool> {
        if self.policy.decimals.is_some() || self.policy.rtol.is_some() {
            return None;
        }
        let numbers = |forms: &[Form], arena: &Arena| {
            let values: Option<Vec<Rational>> =
                forms.iter().map(|form| form.expression().and_then(|id| arena.number(id).cloned())).collect();
            values.map(|mut values| {
                values.sort();
                values
            })
        };
        Some(numbers(gold, self.gold)? == numbers(given, self.given)?)
    }

    /// Compares two expressions as functions, with the tolerance of the task.
    pub(super) fn expressions(&mut self, gold: Id, given: Id) -> Same {
        if let (Some(a), Some(b)) = (self.gold.number(gold), self.given.number(given)) {
            return if a == b { Same::Yes } else { self.within_tolerance(gold, given) };
        }
        if self.gold.is_infinite(gold) || self.given.is_infinite(given) {
            let both = self.gold.is_infinite(gold) && self.given.is_infinite(given);
            return Same::from_bool(both && is_negated(self.gold, gold) == is_negated(self.given, given));
        }
        if let Node::Percent(hundredfold) = *self.gold.node(gold)
            && self.policy.percent == Percent::Either
            && !matches!(self.given.node(given), Node::Percent(_))
            && self.expressions(hundredfold, given) == Same::Yes
        {
            return Same::Yes;
        }
        if let (Some(a), Some(b)) = (self.gold.known(gold), self.given.known(given)) {
            return if a == b { Same::Yes } else { self.within_tolerance(gold, given) };
        }
        match self.identity(self.gold, gold, self.given, given) {
            Same::No => self.within_tolerance(gold, given),
            same => same,
        }
    }

    fn identity(&mut self, gold: &Arena, a: Id, given: &Arena, b: Id) -> Same {
        self.reach(Rung::Identity);
        let (x, y) = (Subject::new(gold, a), Subject::new(given, b));
        let same = identity::same(&x, &y, self.seed, &mut self.steps);
        if same != Same::No || self.policy.variables == Variables::Named {
            return same;
        }
        match (x.only_variable(), y.only_variable()) {
            (Some(n), Some(m)) if n != m => {
                let mut renamed = given.clone();
                renamed.rename(&m, &n);
                identity::same(&x, &Subject::new(&renamed, b), self.seed, &mut self.steps)
            }
            _ => same,
        }
    }

    fn within_tolerance(&mut self, gold: Id, given: Id) -> Same {
        if self.policy.decimals.is_none() && self.policy.rtol.is_none() {
            return Same::No;
        }
        let a = tolerance::value(self.gold, gold, &mut self.steps);
        let b = tolerance::value(self.given, given, &mut self.steps);
        let (Some(a), Some(b)) = (a, b) else { return Same::No };
        let is_near = tolerance::is_near(&a, &b, self.policy);
        if is_near {
            self.reach(Rung::Tolerance);
        }
        Same::from_bool(is_near)
    }

    /// Ratios are the same if one is a multiple of the other.
    fn ratios(&mut self, gold: &[Id], given: &[Id]) -> Same {
        if gold.len() != given.len() {
            return Same::No;
        }
        let numbers =
            |ids: &[Id], arena: &Arena| ids.iter().map(|&id| arena.number(id).cloned()).collect::<Option<Vec<_>>>();
        match (numbers(gold, self.gold), numbers(given, self.given)) {
            (Some(a), Some(b)) => {
                let is_multiple = (0..a.len()).all(|i| (0..i).all(|j| a[i].mul(&b[j]) == a[j].mul(&b[i])));
                let is_zero = |values: &[Rational]| values.iter().all(Rational::is_zero);
                Same::from_bool(is_multiple && !is_zero(&a) && !is_zero(&b))
            }
            _ => self.all_expressions(gold, given),
        }
    }

    /// `a:b` beside the quotient `a/b`.
    fn quotient(&mut self, ratio: &[Id], other: Id, of_ratio: &Arena, of_other: &Arena) -> Same {
        let mut arena = of_ratio.clone();
        match arena.div(ratio[0], ratio[1]) {
            Ok(quotient) => self.identity(&arena, quotient, of_other, other),
            Err(_) => Same::No,
        }
    }

    /// Components beside a sum of the directions i, j, k.
    fn directions(&mut self, parts: &[Id], other: Id, of_parts: &Arena, of_other: &Arena) -> Same {
        let has_direction = |arena: &Arena| arena.names.iter().any(|name| name.starts_with("direction "));
        if parts.len() > 3 || !has_direction(of_other) {
            return Same::No;
        }
        let mut arena = of_parts.clone();
        let mut build = || {
            let mut sum = arena.small(0)?;
            for (&part, letter) in parts.iter().zip(["i", "j", "k"]) {
                let direction = arena.variable(&format!("direction {letter}"))?;
                let term = arena.mul(part, direction)?;
                sum = arena.add(sum, term)?;
            }
            Ok::<Id, super::limits::Fault>(sum)
        };
        match build() {
            Ok(sum) => self.identity(&arena, sum, of_other, other),
            Err(_) => Same::No,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Gold,
    Given,
}

fn is_negated(arena: &Arena, id: Id) -> bool {
    matches!(arena.node(id), Node::Neg(_))
}

fn are_labelled(members: &[Form], arena: &Arena) -> bool {
    members.iter().all(|member| match member {
        Form::Relation(relation) => relation.signs == [Sign::Equal] && relation.sides[0].is_label(arena),
        _ => false,
    })
}

/// The members of a tuple that are all expressions.
fn components(members: &[Form]) -> Option<Vec<Id>> {
    members.iter().map(Form::expression).collect()
}

/// The components of what may be a vector.
fn vector_parts(form: &Form) -> Option<Vec<Id>> {
    match form {
        Form::Vector(parts) => Some(parts.clone()),
        Form::Matrix(Matrix { n_columns: 1, entries }) => Some(entries.clone()),
        Form::Tuple { members, opens: Edge::Open, closes: Edge::Open } => components(members),
        _ => None,
    }
}

/// Whether a form is a set by itself, so that a set of it is another one: `{∅}` is not `∅`.
fn is_space(form: &Form) -> bool {
    matches!(form, Form::Space(_))
}

//! Equations and inequalities: as curves, as sets of solutions, and as labels of values.

use super::answer::Rung;
use super::equal::Comparer;
use super::expression::{Arena, Id, Node};
use super::form::{Form, Relation, Sign};
use super::identity::{Same, Subject, same};
use super::policy::{Labels, Variables};
use super::proportion::{Factor, proportional};
use super::tolerance;

/// Whose relation is meant, as their expressions live in different arenas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Gold,
    Given,
}

impl Comparer<'_> {
    fn arena(&self, owner: Owner) -> &Arena {
        match owner {
            Owner::Gold => self.gold,
            Owner::Given => self.given,
        }
    }

    pub(super) fn relations(&mut self, gold: &Relation, given: &Relation) -> Same {
        self.reach(Rung::Relation);
        if self.is_tautology(gold, Owner::Gold) || self.is_tautology(given, Owner::Given) {
            return Same::No;
        }
        let gold = self.shortened(gold, Owner::Gold);
        let given = self.shortened(given, Owner::Given);
        if let Some(is_same) =
            self.regions(&Form::Relation(Box::new(gold.clone())), &Form::Relation(Box::new(given.clone())))
        {
            return Same::from_bool(is_same);
        }
        let straight = self.aligned(&gold, &given);
        if straight == Same::Yes {
            return straight;
        }
        let turned = match flipped(&given) {
            Some(flipped) => self.aligned(&gold, &flipped),
            None => Same::No,
        };
        match (straight, turned) {
            (_, Same::Yes) => Same::Yes,
            (Same::Unknown(why), _) | (_, Same::Unknown(why)) => Same::Unknown(why),
            _ if self.policy.variables == Variables::Free => self.values_of(&gold, &given),
            _ => Same::No,
        }
    }

    /// Labels aside, whether the values are the same.
    fn values_of(&mut self, gold: &Relation, given: &Relation) -> Same {
        match (self.values(gold, Owner::Gold).first().cloned(), self.values(given, Owner::Given).first().cloned()) {
            (Some(a), Some(b)) => self.forms(&a, &b),
            _ => Same::No,
        }
    }

    /// Whether sign by sign the relations say the same.
    fn aligned(&mut self, gold: &Relation, given: &Relation) -> Same {
        if gold.signs.len() != given.signs.len() {
            return Same::No;
        }
        let mut all = Same::Yes;
        for at in 0..gold.signs.len() {
            match self.step(gold, given, at) {
                Same::Yes => {}
                Same::No => return Same::No,
                unknown @ Same::Unknown(_) => all = unknown,
            }
        }
        all
    }

    fn step(&mut self, gold: &Relation, given: &Relation, at: usize) -> Same {
        let (sign, other) = (loose(gold.signs[at]), loose(given.signs[at]));
        let factor = match (gold.differences[at], given.differences[at]) {
            (Some(a), Some(b)) => self.factor(a, b),
            _ => None,
        };
        let by_factor = match (sign, factor) {
            (Sign::Equal | Sign::NotEqual, Some(_)) => sign == other,
            (sign, Some(Factor::Positive)) if sign.is_order() => sign == other,
            (sign, Some(Factor::Negative)) if sign.is_order() => sign.flipped() == Some(other),
            _ => false,
        };
        if by_factor {
            return Same::Yes;
        }
        if sign != other {
            return Same::No;
        }
        match self.forms(&gold.sides[at], &given.sides[at]) {
            Same::Yes => self.forms(&gold.sides[at + 1], &given.sides[at + 1]),
            same => same,
        }
    }

    fn factor(&mut self, a: Id, b: Id) -> Option<Factor> {
        let (x, y) = (Subject::new(self.gold, a), Subject::new(self.given, b));
        proportional(&x, &y, self.seed, &mut self.steps)
    }

    /// `0 = 0` and `x = x` say nothing.
    fn is_tautology(&mut self, relation: &Relation, owner: Owner) -> bool {
        let arena = match owner {
            Owner::Gold => self.gold,
            Owner::Given => self.given,
        };
        relation.signs.iter().all(|sign| *sign == Sign::Equal)
            && relation.differences.iter().all(|difference| {
                difference.is_some_and(|id| {
                    let zero = zero();
                    let none = Subject::new(&zero, 0);
                    same(&Subject::new(arena, id), &none, self.seed, &mut self.steps) == Same::Yes
                })
            })
    }

    /// A chain of equations as one: the label, or the first side, equals the last value.
    fn shortened(&self, relation: &Relation, owner: Owner) -> Relation {
        let is_chain = relation.signs.len() > 1 && relation.signs.iter().all(|&sign| loose(sign) == Sign::Equal);
        if !is_chain || !relation.sides[0].is_label(self.arena(owner)) {
            return relation.clone();
        }
        let last = relation.sides.len() - 1;
        Relation {
            sides: vec![relation.sides[0].clone(), relation.sides[last].clone()],
            signs: vec![Sign::Equal],
            differences: vec![None],
        }
    }

    pub(super) fn relation_for_value(&mut self, gold: &Relation, given: &Form) -> Same {
        let values = self.values(gold, Owner::Gold);
        self.any_value(
            &values,
            |this, value| this.forms(value, given),
            |this| this.regions(&Form::Relation(Box::new(gold.clone())), given),
        )
    }

    pub(super) fn value_for_relation(&mut self, gold: &Form, given: &Relation) -> Same {
        let values = self.values(given, Owner::Given);
        self.any_value(
            &values,
            |this, value| this.forms(gold, value),
            |this| this.regions(gold, &Form::Relation(Box::new(given.clone()))),
        )
    }

    fn any_value(
        &mut self,
        values: &[Form],
        compare: impl Fn(&mut Self, &Form) -> Same,
        regions: impl Fn(&mut Self) -> Option<bool>,
    ) -> Same {
        self.reach(Rung::Relation);
        let mut unknown = Same::No;
        for value in values {
            match compare(self, value) {
                Same::Yes => return Same::Yes,
                Same::No => {}
                other @ Same::Unknown(_) => unknown = other,
            }
        }
        match regions(self) {
            Some(is_same) => Same::from_bool(is_same),
            None => unknown,
        }
    }

    /// The values that a relation states: what is behind a label, or at the end of a chain of equal values.
    fn values(&mut self, relation: &Relation, owner: Owner) -> Vec<Form> {
        let sides = &relation.sides;
        let last = sides.len() - 1;
        let arena = match owner {
            Owner::Gold => self.gold,
            Owner::Given => self.given,
        };
        if relation.signs.len() == 1 && matches!(relation.signs[0], Sign::In | Sign::Congruent) {
            let is_label = sides[0].is_label(arena) && self.policy.labels == Labels::Optional;
            return if is_label { vec![sides[1].clone()] } else { vec![] };
        }
        if !relation.signs.iter().all(|&sign| loose(sign) == Sign::Equal) {
            return vec![];
        }
        let is_label =
            |at: usize, value: usize| sides[at].is_label(arena) && !mentions(arena, &sides[at], &sides[value]);
        let begins_with_label = is_label(0, last);
        if begins_with_label && self.policy.labels == Labels::Required {
            return vec![];
        }
        if begins_with_label {
            return self.stated(relation, 1, arena);
        }
        if last == 1 && self.policy.labels == Labels::Optional && is_label(1, 0) && relation.signs[0] == Sign::Equal {
            return vec![sides[0].clone()];
        }
        let are_constant =
            sides.iter().all(|side| side.expression().is_some_and(|id| Subject::new(arena, id).is_constant()));
        let is_identity = || {
            relation.differences.iter().all(|difference| {
                difference.is_some_and(|id| {
                    same(&Subject::new(arena, id), &Subject::new(&zero(), 0), self.seed, &mut self.steps) == Same::Yes
                })
            })
        };
        let mut is_identity = is_identity;
        if are_constant || is_identity() { self.stated(relation, 0, arena) } else { vec![] }
    }

    /// The last exact value from a side on, and what it is about, if that is it rounded.
    fn stated(&mut self, relation: &Relation, from: usize, arena: &Arena) -> Vec<Form> {
        let sides = &relation.sides;
        let last = sides.len() - 1;
        let about = relation.signs.iter().position(|&sign| sign == Sign::About);
        match about {
            Some(at) if at >= from => {
                let mut values = vec![sides[at].clone()];
                if self.is_rounded(&sides[at], &sides[last], arena) {
                    values.push(sides[last].clone());
                }
                values
            }
            _ => vec![sides[last].clone()],
        }
    }

    /// Whether the second is the first rounded to the decimals that it has.
    fn is_rounded(&mut self, exact: &Form, about: &Form, arena: &Arena) -> bool {
        let mut value = |form: &Form| form.expression().and_then(|id| tolerance::value(arena, id, &mut self.steps));
        match (value(exact), value(about)) {
            (Some(exact), Some(about)) => tolerance::decimals(&about)
                .is_some_and(|decimals| tolerance::rounded(&exact, decimals) == tolerance::rounded(&about, decimals)),
            _ => false,
        }
    }
}

fn zero() -> Arena {
    let mut arena = Arena::default();
    arena.nodes.push(Node::Number(super::rational::Rational::ZERO));
    arena
}

/// A value that is only about equal is judged as one that is.
fn loose(sign: Sign) -> Sign {
    if sign == Sign::About { Sign::Equal } else { sign }
}

fn flipped(relation: &Relation) -> Option<Relation> {
    Some(Relation {
        sides: relation.sides.iter().rev().cloned().collect(),
        signs: relation.signs.iter().rev().map(|sign| sign.flipped()).collect::<Option<_>>()?,
        // The factor −1 of a difference is found with the sign.
        differences: relation.differences.iter().rev().map(|_| None).collect(),
    })
}

/// Whether a variable of the label occurs in the value; the arguments of a function may.
fn mentions(arena: &Arena, label: &Form, value: &Form) -> bool {
    let (Form::Expression(label), Form::Expression(value)) = (label, value) else { return false };
    let Some(name) = arena.symbol(*label) else { return false };
    arena.reachable(*value).iter().any(|&id| arena.symbol(id) == Some(name))
}

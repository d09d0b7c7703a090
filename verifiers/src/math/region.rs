//! Sets of real numbers as unions of intervals in one form.

use std::cmp::Ordering;

use super::expression::{Arena, Function, Id, Node};
use super::form::{Combine, Edge, Form, Relation, Sign, Space};
use super::identity::{SLACK, Steps, Subject};
use super::limits::PARTS;
use super::rational::Rational;
use super::real::Real;

/// A real number as the end of an interval.
#[derive(Clone, Debug)]
enum End {
    Below,
    At {
        exact: Option<Rational>,
        value: Real,
        /// The bits to which the value is known.
        precision: u64,
    },
    Above,
}

/// A place between real numbers: right before or right after one.
#[derive(Clone, Debug)]
struct Cut {
    end: End,
    is_after: bool,
}

/// Real numbers between pairs of cuts, which ascend.
#[derive(Clone, Debug)]
pub(super) struct Region {
    cuts: Vec<Cut>,
    /// The variable of an inequality.
    pub(super) variable: Option<String>,
}

/// Bits of the ends.
const PRECISION: u64 = 320;

impl End {
    fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Below, Self::Below) | (Self::Above, Self::Above) => Some(Ordering::Equal),
            (Self::Below, _) | (_, Self::Above) => Some(Ordering::Less),
            (Self::Above, _) | (_, Self::Below) => Some(Ordering::Greater),
            (Self::At { exact: Some(a), .. }, Self::At { exact: Some(b), .. }) => Some(a.cmp(b)),
            (Self::At { value: a, precision: p, .. }, Self::At { value: b, precision: q, .. }) => {
                let agreement = (p.min(q) - SLACK) as i64;
                let gap = a.sub(b, *p.max(q))?;
                if gap.is_positive() {
                    Some(Ordering::Greater)
                } else if gap.is_negative() {
                    Some(Ordering::Less)
                } else {
                    (gap.magnitude() < a.magnitude().max(b.magnitude()).max(0) - agreement).then_some(Ordering::Equal)
                }
            }
        }
    }
}

impl Cut {
    fn order(&self, other: &Self) -> Option<Ordering> {
        Some(self.end.order(&other.end)?.then(self.is_after.cmp(&other.is_after)))
    }
}

/// Reads forms as regions of one arena.
pub(super) struct Reader<'a> {
    pub(super) arena: &'a Arena,
    pub(super) steps: &'a mut Steps,
}

impl Region {
    fn empty() -> Self {
        Self { cuts: vec![], variable: None }
    }

    fn all() -> Self {
        Self {
            cuts: vec![Cut { end: End::Below, is_after: true }, Cut { end: End::Above, is_after: false }],
            variable: None,
        }
    }

    /// What lies between two cuts; nothing if they do not ascend, as that is rather a pair of numbers or a mistake.
    fn between(low: Cut, high: Cut) -> Option<Self> {
        (low.order(&high)? == Ordering::Less).then(|| Self { cuts: vec![low, high], variable: None })
    }

    fn point(end: End) -> Self {
        let cuts = vec![Cut { end: end.clone(), is_after: false }, Cut { end, is_after: true }];
        Self { cuts, variable: None }
    }

    fn complement(&self) -> Self {
        let all = Self::all().cuts;
        let mut cuts = Vec::with_capacity(self.cuts.len() + 2);
        let starts_low = self.cuts.first().is_some_and(|cut| matches!(cut.end, End::Below));
        let ends_high = self.cuts.last().is_some_and(|cut| matches!(cut.end, End::Above));
        if !starts_low {
            cuts.push(all[0].clone());
        }
        let inner = usize::from(starts_low)..self.cuts.len() - usize::from(ends_high);
        cuts.extend_from_slice(&self.cuts[inner]);
        if !ends_high {
            cuts.push(all[1].clone());
        }
        Self { cuts, variable: self.variable.clone() }
    }

    /// What lies in at least `needed` of two regions: their union for 1, their intersection for 2.
    fn combine(&self, other: &Self, needed: i32) -> Option<Self> {
        let variable = match (&self.variable, &other.variable) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        let (mut i, mut j, mut depth) = (0, 0, 0);
        let mut cuts = Vec::new();
        while i < self.cuts.len() || j < other.cuts.len() {
            let order = match (self.cuts.get(i), other.cuts.get(j)) {
                (Some(a), Some(b)) => a.order(b)?,
                (Some(_), None) => Ordering::Less,
                _ => Ordering::Greater,
            };
            let was_inside = depth >= needed;
            let cut = if order == Ordering::Greater { &other.cuts[j] } else { &self.cuts[i] };
            if order != Ordering::Greater {
                depth += if i % 2 == 0 { 1 } else { -1 };
                i += 1;
            }
            if order != Ordering::Less {
                depth += if j % 2 == 0 { 1 } else { -1 };
                j += 1;
            }
            if was_inside != (depth >= needed) {
                cuts.push(cut.clone());
            }
        }
        Some(Self { cuts, variable })
    }

    /// Whether two regions hold the same numbers; nothing if their ends cannot be told apart.
    pub(super) fn equals(&self, other: &Self) -> Option<bool> {
        if self.cuts.len() != other.cuts.len() {
            return Some(false);
        }
        for (a, b) in self.cuts.iter().zip(&other.cuts) {
            if a.order(b)? != Ordering::Equal {
                return Some(false);
            }
        }
        Some(true)
    }
}

impl Reader<'_> {
    /// The region that a form describes, if it does describe one.
    pub(super) fn region(&mut self, form: &Form) -> Option<Region> {
        match form {
            Form::Tuple { members, opens, closes } if members.len() == 2 => {
                let low = Cut { end: self.end(&members[0])?, is_after: *opens == Edge::Open };
                let high = Cut { end: self.end(&members[1])?, is_after: *closes == Edge::Closed };
                let low = if matches!(low.end, End::Below) { Region::all().cuts.swap_remove(0) } else { low };
                let high = if matches!(high.end, End::Above) { Region::all().cuts.swap_remove(1) } else { high };
                Region::between(low, high)
            }
            Form::Set(members) => self.union(members.iter().map(Member::Point)),
            Form::Combined(combine, members) => self.combined(*combine, members),
            Form::Space(Space::Empty) => Some(Region::empty()),
            Form::Space(Space::Reals) => Some(Region::all()),
            Form::Relation(relation) => self.solution(relation),
            // `x > 1, x < 3` and `x > 1 and x < 3`: both at once.
            Form::List(members) if members.iter().all(is_inequality) => {
                let (first, others) = members.split_first()?;
                let mut region = self.region(first)?;
                for member in others {
                    region = region.combine(&self.region(member)?, 2)?;
                }
                Some(region).filter(|region| !region.cuts.is_empty())
            }
            Form::Either(members) if members.iter().all(|member| matches!(member, Form::Relation(_))) => {
                self.union(members.iter().map(Member::Region))
            }
            Form::Builder(parts) => self.builder(parts),
            _ => None,
        }
    }

    fn union<'b>(&mut self, members: impl ExactSizeIterator<Item = Member<'b>>) -> Option<Region> {
        if members.len() > PARTS {
            return None;
        }
        let mut union = Region::empty();
        for member in members {
            let region = match member {
                Member::Point(form) => match self.end(form)? {
                    end @ End::At { .. } => Region::point(end),
                    _ => return None,
                },
                Member::Region(form) => self.region(form)?,
            };
            union = union.combine(&region, 1)?;
        }
        Some(union)
    }

    fn combined(&mut self, combine: Combine, members: &[Form]) -> Option<Region> {
        if members.len() > PARTS {
            return None;
        }
        let mut region = self.part(&members[0])?;
        for member in &members[1..] {
            let next = self.part(member)?;
            region = match combine {
                Combine::Union => region.combine(&next, 1)?,
                Combine::Intersection => region.combine(&next, 2)?,
                Combine::Difference => region.combine(&next.complement(), 2)?,
            };
        }
        Some(region)
    }

    /// A part of a union; `{2}` in bare braces is read as the number, and meant as a set.
    fn part(&mut self, form: &Form) -> Option<Region> {
        match form {
            Form::Expression(_) => self.union([Member::Point(form)].into_iter()),
            form => self.region(form),
        }
    }

    /// `{x | x > 5}` and `{x ∈ ℝ | x > 5}`: all conditions at once.
    fn builder(&mut self, parts: &[Form]) -> Option<Region> {
        let mut region = match &parts[0] {
            Form::Expression(id) => {
                let name = self.arena.symbol(*id)?.to_owned();
                Region { variable: Some(name), ..Region::all() }
            }
            form => self.region(form)?,
        };
        for part in &parts[1..] {
            region = region.combine(&self.region(part)?, 2)?;
        }
        region.variable = None;
        Some(region)
    }

    fn end(&mut self, form: &Form) -> Option<End> {
        self.end_of(form.expression()?)
    }

    fn end_of(&mut self, id: Id) -> Option<End> {
        if self.arena.is_infinite(id) {
            return Some(if matches!(self.arena.node(id), Node::Neg(_)) { End::Below } else { End::Above });
        }
        if let Some(value) = self.arena.number(id) {
            let real = Real::from_rational(value, PRECISION)?;
            return Some(End::At { exact: Some(value.clone()), value: real, precision: PRECISION });
        }
        let (value, precision) = Subject::new(self.arena, id).constant(PRECISION, self.steps)?;
        value.is_real().then_some(End::At { exact: None, value: value.re, precision })
    }

    /// The numbers that fulfil a chain of inequalities about one variable, or its absolute value.
    fn solution(&mut self, relation: &Relation) -> Option<Region> {
        let mut region: Option<Region> = None;
        for (sides, sign) in relation.sides.windows(2).zip(&relation.signs) {
            let next = self.pair(&sides[0], *sign, &sides[1])?;
            region = Some(match region {
                Some(region) => region.combine(&next, 2)?,
                None => next,
            });
        }
        // Nothing fulfils `5 < x < 1`, but two such chains do not say the same.
        region.filter(|region| !region.cuts.is_empty())
    }

    fn pair(&mut self, left: &Form, sign: Sign, right: &Form) -> Option<Region> {
        let subject = |form: &Form| form.expression().and_then(|id| self.subject(id));
        match (subject(left), subject(right)) {
            (Some(line), None) => self.about(&line, sign, right),
            (None, Some(line)) => self.about(&line, sign.flipped()?, left),
            _ => None,
        }
    }

    /// What an inequality is about: a variable, a line through it, or the absolute value of one.
    fn subject(&self, id: Id) -> Option<Line> {
        match self.arena.node(id) {
            Node::Call(Function::Abs, a) => Some(Line { is_size: true, ..line(self.arena, *a)? }),
            _ => line(self.arena, id),
        }
    }

    fn about(&mut self, line: &Line, sign: Sign, bound: &Form) -> Option<Region> {
        let mut region = match sign {
            Sign::In => self.region(bound)?,
            Sign::NotIn => self.region(bound)?.complement(),
            Sign::NotEqual => self.region(&Form::Set(vec![bound.clone()]))?.complement(),
            sign if sign.is_order() => {
                let end = self.end(bound)?;
                match (sign, end) {
                    (Sign::Less, end) => below(end, false)?,
                    (Sign::LessEqual, end) => below(end, true)?,
                    (Sign::Greater, end) => below(end, true)?.complement(),
                    (_, end) => below(end, false)?.complement(),
                }
            }
            _ => return None,
        };
        if line.is_size {
            region = preimage_of_size(&region)?;
        }
        let mut region = preimage_of_line(region, line)?;
        region.variable = Some(line.name.clone());
        Some(region)
    }
}

fn is_inequality(form: &Form) -> bool {
    matches!(form, Form::Relation(relation) if relation.signs.iter().all(|sign| sign.is_order()))
}

/// `slope · x + offset`, or its absolute value.
struct Line {
    name: String,
    slope: Rational,
    offset: Rational,
    is_size: bool,
}

/// Reads an expression with rational numbers as a line through one variable.
fn line(arena: &Arena, root: Id) -> Option<Line> {
    let order = arena.reachable(root);
    let low = order[0] as usize;
    let mut name = None;
    let mut lines: Vec<(Rational, Rational)> = vec![(Rational::ZERO, Rational::ZERO); root as usize + 1 - low];
    for &id in &order {
        let at = |child: Id| &lines[child as usize - low];
        let value = match arena.node(id) {
            Node::Number(value) => (Rational::ZERO, value.clone()),
            Node::Symbol(symbol) => {
                if name.is_some_and(|name| name != symbol) {
                    return None;
                }
                name = Some(symbol);
                (Rational::ONE, Rational::ZERO)
            }
            Node::Neg(a) => (at(*a).0.neg(), at(*a).1.neg()),
            Node::Add(a, b) => (at(*a).0.add(&at(*b).0), at(*a).1.add(&at(*b).1)),
            Node::Mul(a, b) if at(*a).0.is_zero() => (at(*a).1.mul(&at(*b).0), at(*a).1.mul(&at(*b).1)),
            Node::Mul(a, b) if at(*b).0.is_zero() => (at(*b).1.mul(&at(*a).0), at(*b).1.mul(&at(*a).1)),
            Node::Div(a, b) if at(*b).0.is_zero() => (at(*a).0.div(&at(*b).1)?, at(*a).1.div(&at(*b).1)?),
            _ => return None,
        };
        lines[id as usize - low] = value;
    }
    let (slope, offset) = lines.pop()?;
    let name = arena.names[*name? as usize].to_string();
    (!slope.is_zero()).then_some(Line { name, slope, offset, is_size: false })
}

/// The numbers that the line takes into the region.
fn preimage_of_line(region: Region, line: &Line) -> Option<Region> {
    if line.slope == Rational::ONE && line.offset.is_zero() {
        return Some(region);
    }
    let is_falling = line.slope.is_negative();
    let mut cuts = region.cuts.iter().map(|cut| preimage_of_cut(cut, line)).collect::<Option<Vec<_>>>()?;
    if is_falling {
        cuts.reverse();
    }
    Some(Region { cuts, variable: None })
}

fn preimage_of_cut(cut: &Cut, line: &Line) -> Option<Cut> {
    let is_falling = line.slope.is_negative();
    let end = match &cut.end {
        End::Below if is_falling => End::Above,
        End::Above if is_falling => End::Below,
        End::At { exact, value, precision } => {
            let p = *precision;
            let exact = match exact {
                Some(exact) => Some(exact.sub(&line.offset).div(&line.slope)?),
                None => None,
            };
            let (slope, offset) = (Real::from_rational(&line.slope, p)?, Real::from_rational(&line.offset, p)?);
            End::At { exact, value: value.sub(&offset, p)?.div(&slope, p)?, precision: p }
        }
        end => end.clone(),
    };
    Some(Cut { end, is_after: cut.is_after != is_falling })
}

enum Member<'a> {
    Point(&'a Form),
    Region(&'a Form),
}

/// All numbers below an end.
fn below(end: End, is_closed: bool) -> Option<Region> {
    match end {
        End::Below => Some(Region::empty()),
        End::Above => Some(Region::all()),
        end @ End::At { .. } => Region::between(Region::all().cuts.swap_remove(0), Cut { end, is_after: is_closed }),
    }
}

/// The numbers whose absolute values lie in the region.
fn preimage_of_size(region: &Region) -> Option<Region> {
    let zero = End::At { exact: Some(Rational::ZERO), value: Real::zero(), precision: PRECISION };
    let positive = below(zero, false)?.complement();
    let sizes = region.combine(&positive, 2)?;
    let mirrored = Region { cuts: sizes.cuts.iter().rev().map(mirror).collect(), variable: None };
    sizes.combine(&mirrored, 1)
}

fn mirror(cut: &Cut) -> Cut {
    let end = match &cut.end {
        End::Below => End::Above,
        End::Above => End::Below,
        End::At { exact, value, precision } => {
            End::At { exact: exact.as_ref().map(Rational::neg), value: value.neg(), precision: *precision }
        }
    };
    Cut { end, is_after: !cut.is_after }
}

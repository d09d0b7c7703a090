//! Expressions as a flat list of nodes, children before parents.
//!
//! One list serves all expressions of an answer. Nothing refers upwards and nothing owns anything, so that building,
//! evaluating and dropping are loops: no depth of an answer can exhaust the stack. What is rational is folded at once
//! if a bound on its bits says that it fits, and stays symbolic otherwise.

use super::limits::{BITS, Fault, ITEMS, MADE, NODES, Reading, WORK};
use super::rational::Rational;

/// The position of a node.
pub(super) type Id = u32;

/// Numbers that have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Constant {
    /// The ratio of a circle's circumference to its diameter.
    Pi,
    /// The base of the natural logarithm.
    E,
    /// The imaginary unit.
    I,
    /// A degree of arc, π/180.
    Degree,
    /// Positive infinity, which stands alone or with a sign.
    Infinity,
}

/// Functions of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Function {
    Exp,
    Ln,
    Sin,
    Cos,
    Tan,
    Arcsin,
    Arccos,
    Arctan,
    Sinh,
    Cosh,
    Tanh,
    Arsinh,
    Arcosh,
    Artanh,
    Abs,
    Floor,
    Ceiling,
    Sign,
    Factorial,
    Re,
    Im,
    Arg,
}

/// Functions of two arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Binary {
    /// The logarithm of the second to the base of the first.
    Log,
    /// The binomial coefficient, first over second.
    Binomial,
    Gcd,
    Lcm,
    Min,
    Max,
    /// The remainder of the first, with the sign of the second.
    Mod,
}

/// One step of an expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    Number(Rational),
    /// A variable, by the position of its name.
    Symbol(u32),
    Constant(Constant),
    /// The sign of the `±` with this number, 1 or −1.
    Sign(u8),
    Neg(Id),
    Add(Id, Id),
    Mul(Id, Id),
    Div(Id, Id),
    Pow(Id, Id),
    /// The root of the second of the degree of the first.
    Root(Id, Id),
    /// The argument divided by 100, written with `%`.
    Percent(Id),
    Call(Function, Id),
    Call2(Binary, Id, Id),
    /// A function of which nothing is known, by the position of its name; more arguments are paired up.
    Apply(u32, Id),
    /// Two arguments of an unknown function.
    Pair(Id, Id),
}

/// The expressions of one answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    pub(super) nodes: Vec<Node>,
    pub(super) names: Vec<Box<str>>,
    work: u64,
    made: usize,
}

impl Node {
    /// Calls `visit` with each child.
    pub(super) fn children(&self, mut visit: impl FnMut(Id)) {
        match *self {
            Self::Number(_) | Self::Symbol(_) | Self::Constant(_) | Self::Sign(_) => {}
            Self::Neg(a) | Self::Percent(a) | Self::Call(_, a) | Self::Apply(_, a) => visit(a),
            Self::Add(a, b)
            | Self::Mul(a, b)
            | Self::Div(a, b)
            | Self::Pow(a, b)
            | Self::Root(a, b)
            | Self::Call2(_, a, b)
            | Self::Pair(a, b) => {
                visit(a);
                visit(b);
            }
        }
    }
}

impl Arena {
    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    /// The value of a node that is a rational number.
    pub(super) fn number(&self, id: Id) -> Option<&Rational> {
        match self.node(id) {
            Node::Number(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn is_infinite(&self, id: Id) -> bool {
        match self.node(id) {
            Node::Constant(Constant::Infinity) => true,
            Node::Neg(a) => matches!(self.node(*a), Node::Constant(Constant::Infinity)),
            _ => false,
        }
    }

    /// The name of a node that is a variable.
    pub(super) fn symbol(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Symbol(name) => Some(&self.names[*name as usize]),
            _ => None,
        }
    }

    /// The nodes of an expression in ascending order, and so children first.
    pub(super) fn reachable(&self, root: Id) -> Vec<Id> {
        let mut marked = vec![false; root as usize + 1];
        marked[root as usize] = true;
        let (mut lowest, mut at) = (root, root);
        let mut found = Vec::new();
        loop {
            if marked[at as usize] {
                found.push(at);
                self.node(at).children(|child| {
                    marked[child as usize] = true;
                    lowest = lowest.min(child);
                });
            }
            if at == lowest {
                break;
            }
            at -= 1;
        }
        found.reverse();
        found
    }

    pub(super) fn push(&mut self, node: Node) -> Reading<Id> {
        self.made += 1;
        if self.nodes.len() >= NODES || self.made > MADE {
            return Err(Fault::Limit("nodes"));
        }
        self.nodes.push(node);
        Ok((self.nodes.len() - 1) as Id)
    }

    pub(super) fn value(&mut self, value: Rational) -> Reading<Id> {
        self.push(Node::Number(value))
    }

    pub(super) fn small(&mut self, value: i64) -> Reading<Id> {
        self.value(Rational::Small(value, 1))
    }

    pub(super) fn name(&mut self, name: &str) -> Reading<u32> {
        if let Some(at) = self.names.iter().position(|known| **known == *name) {
            return Ok(at as u32);
        }
        if self.names.len() >= ITEMS {
            return Err(Fault::Limit("names"));
        }
        self.names.push(name.into());
        Ok((self.names.len() - 1) as u32)
    }

    /// Gives a variable another name everywhere.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        for name in self.names.iter_mut().filter(|name| ***name == *from) {
            *name = to.into();
        }
    }

    pub(super) fn variable(&mut self, name: &str) -> Reading<Id> {
        let name = self.name(name)?;
        self.push(Node::Symbol(name))
    }

    /// Replaces up to two numbers at the end of the list by what was computed from them.
    fn fold(&mut self, first: Id, last: Id, value: Rational) -> Reading<Id> {
        if value.bits() > BITS {
            return Err(Fault::Limit("bits"));
        }
        let end = self.nodes.len() as Id;
        if last + 1 == end && (first == last || first + 1 == last) {
            self.nodes.truncate(first as usize);
        }
        self.value(value)
    }

    /// The exact value of a number or a percentage, for folding.
    pub(super) fn known(&self, id: Id) -> Option<Rational> {
        match self.node(id) {
            Node::Number(value) => Some(value.clone()),
            Node::Percent(a) => self.number(*a).and_then(|value| value.div(&Rational::Small(100, 1))),
            _ => None,
        }
    }

    fn both(&mut self, a: Id, b: Id) -> Reading<Option<(Rational, Rational)>> {
        if self.is_infinite(a) || self.is_infinite(b) {
            return Err(Fault::Unreadable("infinity is no number to calculate with"));
        }
        let (Some(x), Some(y)) = (self.known(a), self.known(b)) else { return Ok(None) };
        let bits = x.bits() + y.bits();
        if bits > 128 {
            // A common divisor takes about 0.6 divisions a bit.
            let divisions = if x.is_integer() && y.is_integer() { 1 } else { 150 * bits };
            self.charge(divisions + (x.bits() / 64 + 1) * (y.bits() / 64 + 1))?;
        }
        Ok(Some((x, y)))
    }

    /// Pays for work on big numbers.
    pub(super) fn charge(&mut self, words: u64) -> Reading<()> {
        self.work += words;
        if self.work > WORK { Err(Fault::Limit("steps")) } else { Ok(()) }
    }

    pub(super) fn neg(&mut self, a: Id) -> Reading<Id> {
        match self.node(a) {
            Node::Number(value) => {
                let value = value.neg();
                self.fold(a, a, value)
            }
            Node::Neg(b) => Ok(*b),
            _ => self.push(Node::Neg(a)),
        }
    }

    pub(super) fn add(&mut self, a: Id, b: Id) -> Reading<Id> {
        if let (Node::Number(Rational::Small(x, 1)), Node::Number(Rational::Small(y, 1))) = (self.node(a), self.node(b))
            && let Some(sum) = x.checked_add(*y).filter(|sum| *sum != i64::MIN)
        {
            return self.fold(a, b, Rational::Small(sum, 1));
        }
        match self.both(a, b)? {
            Some((x, y)) => self.fold(a, b, x.add(&y)),
            None => self.push(Node::Add(a, b)),
        }
    }

    pub(super) fn sub(&mut self, a: Id, b: Id) -> Reading<Id> {
        let b = self.neg(b)?;
        self.add(a, b)
    }

    pub(super) fn mul(&mut self, a: Id, b: Id) -> Reading<Id> {
        match self.both(a, b)? {
            Some((x, y)) if x.bits() + y.bits() <= BITS => self.fold(a, b, x.mul(&y)),
            _ => self.push(Node::Mul(a, b)),
        }
    }

    pub(super) fn div(&mut self, a: Id, b: Id) -> Reading<Id> {
        let both = self.both(a, b)?;
        if self.known(b).is_some_and(|y| y.is_zero()) {
            return Err(Fault::Unreadable("a division by zero"));
        }
        match both {
            Some((x, y)) if x.bits() + y.bits() <= 2 * BITS => {
                let value = x.div(&y).expect("the divisor is not zero");
                self.fold(a, b, value)
            }
            _ => self.push(Node::Div(a, b)),
        }
    }

    pub(super) fn pow(&mut self, a: Id, b: Id) -> Reading<Id> {
        let Some((base, exponent)) = self.both(a, b)? else { return self.push(Node::Pow(a, b)) };
        if base.is_zero() && (exponent.is_negative() || exponent.is_zero()) {
            return Err(Fault::Unreadable("a power of zero without value"));
        }
        let Some(value) = self.power(&base, &exponent)? else { return self.push(Node::Pow(a, b)) };
        self.fold(a, b, value)
    }

    /// The power, if it is rational and its bits fit.
    fn power(&mut self, base: &Rational, exponent: &Rational) -> Reading<Option<Rational>> {
        let (above, below) = match exponent {
            Rational::Small(n, d) => (*n, *d),
            Rational::Big(_) => return Ok(None),
        };
        let root = match (below, u32::try_from(below)) {
            (1, _) => Some(base.clone()),
            (_, Ok(degree)) if degree <= 64 => self.exact_root(base, degree)?,
            _ => None,
        };
        let Some(root) = root else { return Ok(None) };
        if root == Rational::ONE || root.is_zero() {
            return Ok(Some(root));
        }
        if root == Rational::Small(-1, 1) {
            return Ok(Some(if above % 2 == 0 { Rational::ONE } else { root }));
        }
        let Ok(times) = u32::try_from(above.unsigned_abs()) else { return Ok(None) };
        let bits = root.bits() * u64::from(times);
        if bits > BITS {
            return Ok(None);
        }
        self.charge(3 * (bits / 64).pow(2))?;
        let power = root.pow(times);
        Ok(if above < 0 { power.recip() } else { Some(power) })
    }

    fn exact_root(&mut self, value: &Rational, degree: u32) -> Reading<Option<Rational>> {
        let words = value.bits() / 64;
        self.charge(words * words * 100)?;
        Ok(value.root(degree))
    }

    /// The root of `b` of degree `a`.
    pub(super) fn root(&mut self, a: Id, b: Id) -> Reading<Id> {
        if self.known(a).is_some_and(|degree| degree.is_zero()) {
            return Err(Fault::Unreadable("a root of degree zero"));
        }
        if let Some((degree, value)) = self.both(a, b)?
            && let Some(degree) = degree.to_i64().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=64).contains(n))
            && let Some(value) = self.exact_root(&value, degree)?
        {
            return self.fold(a, b, value);
        }
        self.push(Node::Root(a, b))
    }

    pub(super) fn percent(&mut self, a: Id) -> Reading<Id> {
        self.push(Node::Percent(a))
    }

    /// Copies an expression, with the nodes for which `replace` has something replaced, and folds anew.
    pub(super) fn copy(&mut self, root: Id, replace: &dyn Fn(&Node) -> Option<Node>) -> Reading<Id> {
        let source = self.reachable(root);
        let low = source[0] as usize;
        let mut copied = vec![0; root as usize + 1 - low];
        for id in source {
            let node = self.node(id).clone();
            let at = |child: Id| copied[child as usize - low];
            let new = match replace(&node) {
                Some(node) => self.push(node)?,
                None => self.rebuild(&node, at)?,
            };
            copied[id as usize - low] = new;
        }
        Ok(copied[root as usize - low])
    }

    fn rebuild(&mut self, node: &Node, at: impl Fn(Id) -> Id) -> Reading<Id> {
        match *node {
            Node::Number(_) | Node::Symbol(_) | Node::Constant(_) | Node::Sign(_) => self.push(node.clone()),
            Node::Neg(a) => self.neg(at(a)),
            Node::Add(a, b) => self.add(at(a), at(b)),
            Node::Mul(a, b) => self.mul(at(a), at(b)),
            Node::Div(a, b) => self.div(at(a), at(b)),
            Node::Pow(a, b) => self.pow(at(a), at(b)),
            Node::Root(a, b) => self.root(at(a), at(b)),
            Node::Percent(a) => self.percent(at(a)),
            Node::Call(function, a) => self.call(function, at(a)),
            Node::Call2(function, a, b) => self.call2(function, at(a), at(b)),
            Node::Apply(name, a) => self.push(Node::Apply(name, at(a))),
            Node::Pair(a, b) => self.push(Node::Pair(at(a), at(b))),
        }
    }
}

//! Sums and products over a range of integers.

use super::expression::{Arena, Constant, Id, Node};
use super::limits::{Fault, Reading, TERMS};
use super::rational::Rational;

/// A body for each value of a variable.
pub(super) struct Range {
    pub(super) variable: String,
    pub(super) low: Id,
    pub(super) high: Id,
    pub(super) body: Id,
}

/// Expands the sum or product of the name, or keeps it as a function of which nothing is known.
pub(super) fn expand(arena: &mut Arena, name: &str, range: &Range) -> Reading<Id> {
    let bound = |id| arena.number(id).and_then(Rational::to_i64);
    let (Some(low), Some(high)) = (bound(range.low), bound(range.high)) else { return keep(arena, name, range) };
    if high.saturating_sub(low) >= TERMS {
        return Err(Fault::Limit("terms"));
    }
    let is_bound = |arena: &Arena, node: &Node| match node {
        Node::Symbol(name) => *arena.names[*name as usize] == *range.variable,
        Node::Constant(Constant::I) => range.variable == "i",
        _ => false,
    };
    let variables: Vec<Node> = arena.nodes.iter().filter(|node| is_bound(arena, node)).cloned().collect();
    let neutral = i64::from(name == "prod");
    let mut total = arena.small(neutral)?;
    for value in low..=high {
        let replace = |node: &Node| variables.contains(node).then_some(Node::Number(Rational::Small(value, 1)));
        let term = arena.copy(range.body, &replace)?;
        total = if name == "prod" { arena.mul(total, term)? } else { arena.add(total, term)? };
    }
    Ok(total)
}

fn keep(arena: &mut Arena, name: &str, range: &Range) -> Reading<Id> {
    let variable = arena.variable(&range.variable)?;
    let bounds = arena.push(Node::Pair(range.low, range.high))?;
    let inner = arena.push(Node::Pair(variable, range.body))?;
    let all = arena.push(Node::Pair(bounds, inner))?;
    let name = arena.name(name)?;
    arena.push(Node::Apply(name, all))
}

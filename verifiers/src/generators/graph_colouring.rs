//! Colour the vertices of a graph so that neighbours differ.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Instance, Judgement, Puzzle, integers};
use crate::random::Random;

/// Colour a graph with a few colours; any proper colouring is right.
#[derive(Debug)]
pub struct GraphColouring;

/// The knobs of [`GraphColouring`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Vertices of the graph.
    n_vertices: i64,
    /// Colours to be used.
    n_colours: i64,
    /// Share of the possible edges that are there.
    edge_share: f64,
}

/// A graph and how many colours there are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    n_vertices: usize,
    n_colours: i64,
    edges: Vec<(usize, usize)>,
}

impl Puzzle for GraphColouring {
    const NAME: &'static str = "graph_colouring";
    type Params = Params;
    type Spec = Spec;

    fn params(level: u32) -> Params {
        let level = i64::from(level.max(1));
        Params { n_vertices: (4 + level).min(30), n_colours: if level < 8 { 3 } else { 4 }, edge_share: 0.6 }
    }

    fn check(params: &Params) -> Result<(), String> {
        let Params { n_vertices, n_colours, edge_share } = params;
        if !(3..=100).contains(n_vertices) {
            return Err(format!("`n_vertices` is {n_vertices}, but must lie between 3 and 100"));
        }
        if !(2..=9).contains(n_colours) {
            return Err(format!("`n_colours` is {n_colours}, but must lie between 2 and 9"));
        }
        if !(0.05..=1.0).contains(edge_share) {
            return Err(format!("`edge_share` is {edge_share}, but must lie between 0.05 and 1"));
        }
        Ok(())
    }

    /// Draws a colouring first and joins vertices of different colours, so that every instance can be solved.
    fn draw(params: &Params, random: &mut Random) -> Instance<Spec> {
        let n = params.n_vertices as usize;
        let (colours, edges) = loop {
            let colours: Vec<i64> = (0..n).map(|_| random.range(1, params.n_colours)).collect();
            let pairs = (1..=n).flat_map(|a| (a + 1..=n).map(move |b| (a, b)));
            let differing = pairs.filter(|(a, b)| colours[a - 1] != colours[b - 1]);
            let edges: BTreeSet<(usize, usize)> = differing.filter(|_| random.unit() < params.edge_share).collect();
            if !edges.is_empty() {
                break (colours, edges);
            }
        };
        let listed: Vec<String> = edges.iter().map(|(a, b)| format!("{a}-{b}")).collect();
        let answer = colours.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let problem = format!("{n} vertices, {} colours, {}", params.n_colours, listed.join(" "));
        Instance {
            prompt: format!(
                "Colour the vertices 1 to {n} of a graph with the colours 1 to {} so that no edge joins two vertices of \
                 the same colour. The edges: {}. Answer with the colours of the vertices from 1 to {n}, separated by \
                 commas.",
                params.n_colours,
                listed.join(", ")
            ),
            identity: problem.clone(),
            solution: answer.clone(),
            problem,
            answer,
            spec: Spec { n_vertices: n, n_colours: params.n_colours, edges: edges.into_iter().collect() },
        }
    }

    fn judge(spec: &Spec, answer: &str) -> Judgement {
        let Some(colours) = integers(answer).filter(|colours| !colours.is_empty()) else {
            return Judgement::Unreadable;
        };
        let known = colours.iter().all(|colour| (1..=spec.n_colours).contains(colour));
        let colour = |vertex: usize| vertex.checked_sub(1).and_then(|i| colours.get(i));
        let proper =
            spec.edges.iter().all(|&(a, b)| colour(a).is_some() && colour(b).is_some() && colour(a) != colour(b));
        (colours.len() == spec.n_vertices && known && proper).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_proper_colouring_is_right() {
        #[track_caller]
        fn check(answer: &str, expected: Judgement) {
            let spec = Spec { n_vertices: 4, n_colours: 3, edges: vec![(1, 2), (2, 3), (1, 3), (3, 4)] };
            assert_eq!(GraphColouring::judge(&spec, answer), expected, "{answer}");
        }
        check("1, 2, 3, 1", Judgement::Right);
        check("3, 1, 2, 3", Judgement::Right);
        check("(2 3 1 2).", Judgement::Right);
        check("1, 2, 1, 3", Judgement::Wrong);
        check("1, 2, 3, 3", Judgement::Wrong);
        check("1, 2, 3", Judgement::Wrong);
        check("1, 2, 3, 4", Judgement::Wrong); // there are three colours
        check("red, green, blue, red", Judgement::Unreadable);
        check("", Judgement::Unreadable);
    }
}

//! Knights, who always tell the truth, and knaves, who always lie (Smullyan 1978, *What Is the Name of This Book?*).

use serde::{Deserialize, Serialize};

use super::{Instance, Judgement, Puzzle};
use crate::random::Random;

/// Tell knights from knaves by what they say; there is exactly one way.
#[derive(Debug)]
pub struct KnightsKnaves;

/// The knobs of [`KnightsKnaves`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How many people.
    n_people: i64,
}

/// What the people say, in their order; people are counted from 0.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    names: Vec<String>,
    statements: Vec<Statement>,
}

/// What somebody says about people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Statement {
    /// This one is a knight.
    Knight(usize),
    /// This one is a knave.
    Knave(usize),
    /// The two are of the same kind.
    Same(usize, usize),
    /// The two are of different kinds.
    Different(usize, usize),
    /// Both are knights.
    BothKnights(usize, usize),
    /// At least one is a knave.
    SomeKnave(usize, usize),
}

const NAMES: [&str; 12] = ["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gil", "Hana", "Ivo", "Jun", "Kim", "Lea"];

impl Statement {
    /// Whether it is true where `knights` says who is one; about somebody who is not there, nothing is.
    fn is_true(self, knights: &[bool]) -> bool {
        let pair = |a: usize, b: usize| Some((*knights.get(a)?, *knights.get(b)?));
        match self {
            Self::Knight(a) => knights.get(a) == Some(&true),
            Self::Knave(a) => knights.get(a) == Some(&false),
            Self::Same(a, b) => pair(a, b).is_some_and(|(a, b)| a == b),
            Self::Different(a, b) => pair(a, b).is_some_and(|(a, b)| a != b),
            Self::BothKnights(a, b) => pair(a, b) == Some((true, true)),
            Self::SomeKnave(a, b) => pair(a, b).is_some_and(|(a, b)| !(a && b)),
        }
    }

    fn draw(speaker: usize, n_people: usize, random: &mut Random) -> Self {
        let others: Vec<usize> = (0..n_people).filter(|person| *person != speaker).collect();
        let a = *random.pick(&others);
        let rest: Vec<usize> = (0..n_people).filter(|person| *person != a).collect();
        let b = *random.pick(&rest);
        let (a, b) = (a.min(b), a.max(b));
        match random.below(6) {
            0 => Self::Knight(if a == speaker { b } else { a }),
            1 => Self::Knave(if a == speaker { b } else { a }),
            2 => Self::Same(a, b),
            3 => Self::Different(a, b),
            4 => Self::BothKnights(a, b),
            _ => Self::SomeKnave(a, b),
        }
    }

    fn shown(self, names: &[String]) -> String {
        match self {
            Self::Knight(a) => format!("{} is a knight", names[a]),
            Self::Knave(a) => format!("{} is a knave", names[a]),
            Self::Same(a, b) => format!("{} and {} are of the same kind", names[a], names[b]),
            Self::Different(a, b) => format!("{} and {} are of different kinds", names[a], names[b]),
            Self::BothKnights(a, b) => format!("{} and {} are both knights", names[a], names[b]),
            Self::SomeKnave(a, b) => format!("at least one of {} and {} is a knave", names[a], names[b]),
        }
    }
}

/// Whether knights tell the truth and knaves lie.
fn fits(statements: &[Statement], knights: &[bool]) -> bool {
    statements.iter().zip(knights).all(|(statement, knight)| statement.is_true(knights) == *knight)
}

/// Returns who are the knights if there is exactly one way.
fn only_way(statements: &[Statement]) -> Option<Vec<bool>> {
    let n = statements.len();
    let mut ways = (0..1_u32 << n)
        .map(|bits| (0..n).map(|person| bits >> person & 1 == 1).collect::<Vec<bool>>())
        .filter(|knights| fits(statements, knights));
    ways.next().filter(|_| ways.next().is_none())
}

impl Puzzle for KnightsKnaves {
    const NAME: &'static str = "knights_knaves";
    type Params = Params;
    type Spec = Spec;

    fn params(level: u32) -> Params {
        Params { n_people: (2 + i64::from(level.max(1))).min(10) }
    }

    fn check(params: &Params) -> Result<(), String> {
        match params.n_people {
            2..=12 => Ok(()),
            n => Err(format!("`n_people` is {n}, but must lie between 2 and 12")),
        }
    }

    /// Draws statements until exactly one way is left to tell the people apart.
    fn draw(params: &Params, random: &mut Random) -> Instance<Spec> {
        let n = params.n_people as usize;
        let (statements, knights) = loop {
            let drawn: Vec<Statement> = (0..n).map(|speaker| Statement::draw(speaker, n, random)).collect();
            if let Some(knights) = only_way(&drawn) {
                break (drawn, knights);
            }
        };
        let mut names: Vec<String> = NAMES.iter().map(|&name| name.to_owned()).collect();
        random.shuffle(&mut names);
        names.truncate(n);
        let said =
            statements.iter().zip(&names).map(|(statement, name)| format!("{name} says: {}.", statement.shown(&names)));
        let problem = said.collect::<Vec<_>>().join(" ");
        let kinds: Vec<&str> = knights.iter().map(|&knight| if knight { "knight" } else { "knave" }).collect();
        Instance {
            prompt: format!(
                "Knights always tell the truth and knaves always lie. {} are each one or the other. {problem} Who is \
                 what? Answer with the kinds in this order, separated by commas, such as: knight, knave, knight.",
                names.join(", ")
            ),
            answer: kinds.join(", "),
            solution: kinds.join(", "),
            identity: format!("{statements:?}"),
            problem,
            spec: Spec { names, statements },
        }
    }

    fn judge(spec: &Spec, answer: &str) -> Judgement {
        let answer = answer.to_lowercase().replace(" and ", ", ");
        let mut knights = vec![];
        for (place, part) in answer.split([',', ';', '\n']).filter(|part| !part.trim().is_empty()).enumerate() {
            let mut words: Vec<&str> =
                part.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
            let Some(kind) = words.pop() else { return Judgement::Unreadable };
            let name = spec.names.get(place).map(|name| name.to_lowercase());
            let named = words.iter().all(|word| ["is", "a"].contains(word) || name.as_deref() == Some(*word));
            match kind {
                "knight" if named => knights.push(true),
                "knave" if named => knights.push(false),
                _ => return Judgement::Unreadable,
            }
        }
        if knights.is_empty() {
            return Judgement::Unreadable;
        }
        (knights.len() == spec.statements.len() && fits(&spec.statements, &knights)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        #[track_caller]
        fn check(answer: &str, expected: Judgement) {
            // Ada: "At least one of us is a knave", which no knave can say. Ben: "We are of the same kind."
            let statements = vec![Statement::SomeKnave(0, 1), Statement::Same(0, 1)];
            let spec = Spec { names: vec!["Ada".to_owned(), "Ben".to_owned()], statements };
            assert_eq!(KnightsKnaves::judge(&spec, answer), expected, "{answer}");
        }
        check("knight, knave", Judgement::Right);
        check("Ada is a knight, Ben is a knave.", Judgement::Right);
        check("Ada is a knight and Ben is a knave", Judgement::Right);
        check("knave, knight", Judgement::Wrong);
        check("knight", Judgement::Wrong);
        check("knight, knave, knave", Judgement::Wrong);
        check("Ben is a knave, Ada is a knight", Judgement::Unreadable); // not in the order asked for
        check("knave or knight, knight", Judgement::Unreadable);
        check("", Judgement::Unreadable);
    }

    #[test]
    fn exactly_one_way() {
        assert_eq!(only_way(&[Statement::SomeKnave(0, 1), Statement::Same(0, 1)]), Some(vec![true, false]));
        assert_eq!(only_way(&[Statement::Knight(1), Statement::Knight(0)]), None);
        assert_eq!(only_way(&[Statement::Knave(0)]), None); // "I am a knave" can be said by nobody
    }
}

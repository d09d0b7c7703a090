//! Put numbers into ascending order.

use serde::{Deserialize, Serialize};

use super::{Instance, Judgement, Puzzle, integers};
use crate::random::Random;

/// Sort a list of integers.
#[derive(Debug)]
pub struct Sorting;

/// The knobs of [`Sorting`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Fewest numbers.
    min_items: i64,
    /// Most numbers.
    max_items: i64,
    /// Largest number; the smallest is 0.
    max_value: i64,
}

/// The numbers as given.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    numbers: Vec<i64>,
}

impl Puzzle for Sorting {
    const NAME: &'static str = "sorting";
    type Params = Params;
    type Spec = Spec;

    fn params(level: u32) -> Params {
        let level = i64::from(level.max(1));
        Params {
            min_items: 2 + level.min(8),
            max_items: 3 + 2 * level.min(30),
            max_value: if level < 3 { 99 } else { 999 },
        }
    }

    fn check(params: &Params) -> Result<(), String> {
        let Params { min_items, max_items, max_value } = params;
        if *min_items < 2 {
            return Err(format!("`min_items` is {min_items}, but a list worth sorting has at least 2"));
        }
        if max_items < min_items || *max_items > 1000 {
            return Err(format!("`max_items` is {max_items}, but must lie between `min_items`, {min_items}, and 1000"));
        }
        if *max_value < 1 {
            return Err(format!("`max_value` is {max_value}, but must be at least 1"));
        }
        Ok(())
    }

    fn draw(params: &Params, random: &mut Random) -> Instance<Spec> {
        let n_items = random.range(params.min_items, params.max_items);
        let numbers: Vec<i64> = (0..n_items).map(|_| random.range(0, params.max_value)).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        let (problem, answer) = (listed(&numbers), listed(&sorted));
        Instance {
            prompt: format!("Sort these numbers in ascending order: {problem}. Answer with the sorted list alone."),
            solution: answer.clone(),
            identity: problem.clone(),
            problem,
            answer,
            spec: Spec { numbers },
        }
    }

    fn judge(spec: &Spec, answer: &str) -> Judgement {
        let Some(answered) = integers(answer) else { return Judgement::Unreadable };
        let mut sorted = spec.numbers.clone();
        sorted.sort_unstable();
        (answered == sorted).into()
    }
}

fn listed(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let judge = |answer| Sorting::judge(&Spec { numbers: vec![5, 3, 5, 1] }, answer);
        assert_eq!(judge("1, 3, 5, 5"), Judgement::Right);
        assert_eq!(judge("[1 3 5 5]."), Judgement::Right);
        assert_eq!(judge("1, 3, 5"), Judgement::Wrong);
        assert_eq!(judge("5, 5, 3, 1"), Judgement::Wrong);
        assert_eq!(judge("one, three"), Judgement::Unreadable);
        assert_eq!(judge("1, 3, 5, 5, 99999999999999999999"), Judgement::Unreadable);
    }
}

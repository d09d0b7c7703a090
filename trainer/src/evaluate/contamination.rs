//! Which evaluation prompts were seen in training: the same prompts, and prompts that share long stretches.
//!
//! Prompts are compared as lists of words and signs, whatever their case and spacing. A shared stretch of 13 is the
//! measure of GPT-3 (Brown et al. 2020, arXiv:2005.14165, appendix C); as there, stretches that many training prompts
//! have, such as those of a prompt template, say nothing and are left out.

use std::collections::{HashMap, HashSet};

use rlvr_verifiers::Task;
use rlvr_verifiers::random::key_of;
use serde::Serialize;

/// Words and signs of a stretch.
pub const NGRAM: usize = 13;

/// Training prompts that may share a stretch before it is taken for a template, as GPT-3 had it.
const MOST_SHARED: usize = 10;

/// Prompts named in a report.
const MOST_NAMED: usize = 20;

/// How evaluation prompts overlap with training prompts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overlap {
    /// Training prompts.
    pub n_train: usize,
    /// Evaluation prompts.
    pub n_eval: usize,
    /// Evaluation prompts that are training prompts, but for case and spacing.
    pub n_exact: usize,
    /// Further evaluation prompts that share a stretch with a training prompt.
    pub n_ngram: usize,
    /// Words and signs of a stretch.
    pub ngram: usize,
    /// Evaluation prompts that are shorter than a stretch: they can be found as a whole only.
    pub n_short: usize,
    /// The first tasks found as a whole.
    pub exact: Vec<String>,
    /// The first tasks found by a stretch.
    pub shared: Vec<String>,
}

impl Overlap {
    /// Returns a warning; none if nothing was found.
    pub fn sentence(&self) -> Option<String> {
        let Self { n_eval, n_exact, n_ngram, ngram, .. } = self;
        let exact = self
            .exact
            .first()
            .map(|id| format!("{n_exact} of {n_eval} held-out prompts are training prompts too, such as `{id}`"));
        let shared = self.shared.first().map(|id| {
            format!("{n_ngram} of {n_eval} held-out prompts share {ngram} words in a row with a training prompt, such as `{id}`")
        });
        let all: Vec<String> = exact.into_iter().chain(shared).collect();
        (!all.is_empty()).then(|| format!("{}: the curve will flatter", all.join("; ")))
    }
}

/// Looks for evaluation prompts among training prompts, as a whole and by stretches of `ngram` words and signs.
///
/// # Panics
///
/// If `ngram` is 0.
pub fn overlap(train: &[Task], eval: &[Task], ngram: usize) -> Overlap {
    assert!(ngram > 0, "a stretch has at least one word");
    let mut whole: HashSet<u64> = HashSet::new();
    let mut stretches: HashMap<u64, usize> = HashMap::new();
    for task in train {
        let words = words(task);
        whole.insert(key_of(&words.join(" ")));
        let of_prompt: HashSet<u64> = words.windows(ngram).map(|stretch| key_of(&stretch.join(" "))).collect();
        for stretch in of_prompt {
            *stretches.entry(stretch).or_default() += 1;
        }
    }
    let most = (whole.len() / 2).clamp(1, MOST_SHARED);
    let is_telling = |stretch: &[String]| stretches.get(&key_of(&stretch.join(" "))).is_some_and(|&n| n <= most);
    let (mut exact, mut shared, mut n_short) = (vec![], vec![], 0);
    for task in eval {
        let words = words(task);
        n_short += usize::from(words.len() < ngram);
        if whole.contains(&key_of(&words.join(" "))) {
            exact.push(task.id.clone());
        } else if words.windows(ngram).any(is_telling) {
            shared.push(task.id.clone());
        }
    }
    let named = |ids: &[String]| ids.iter().take(MOST_NAMED).cloned().collect();
    Overlap {
        n_train: train.len(),
        n_eval: eval.len(),
        n_exact: exact.len(),
        n_ngram: shared.len(),
        ngram,
        n_short,
        exact: named(&exact),
        shared: named(&shared),
    }
}

/// The words and signs of a prompt in lower case.
fn words(task: &Task) -> Vec<String> {
    let text = task.prompt.to_plain_text().to_lowercase();
    let mut words: Vec<String> = vec![];
    let mut is_in_word = false;
    for c in text.chars() {
        let continues = is_in_word && c.is_alphanumeric();
        is_in_word = c.is_alphanumeric();
        match words.last_mut().filter(|_| continues) {
            Some(word) => word.push(c),
            None if c.is_whitespace() => {}
            None => words.push(c.to_string()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(prompts: &[&str]) -> Vec<Task> {
        prompts.iter().enumerate().map(|(i, prompt)| Task::new(format!("t{i}"), *prompt, "math")).collect()
    }

    #[track_caller]
    fn check(train: &[&str], eval: &str, ngram: usize, expected: (usize, usize)) {
        let found = overlap(&tasks(train), &tasks(&[eval]), ngram);
        assert_eq!((found.n_exact, found.n_ngram), expected, "{found:?}");
    }

    #[test]
    fn the_same_prompt_in_another_dress() {
        check(&["What is 3 + 4?"], "what is 3+4 ?", 13, (1, 0));
        check(&["What is 3 + 4?"], "What is 3 - 4?", 13, (0, 0));
        check(&["4-5+2="], "4-5+2=", 13, (1, 0));
    }

    #[test]
    fn long_stretches_in_common() {
        let told = "Ann has nine red apples and gives four of them to Bob";
        check(&[told, "x", "y"], "Yesterday Ann has nine red apples and gives four away", 8, (0, 1));
        check(&[told, "x", "y"], "Ann has nine red pears and gives four of them away", 8, (0, 0));
        check(&["a b c"], "a b d", 3, (0, 0));
    }

    #[test]
    fn templates_say_nothing() {
        let template = |question: &str| format!("{question} Think step by step and put the answer in a box.");
        let train: Vec<String> = (0..30).map(|i| template(&format!("{i} and one?"))).collect();
        let train: Vec<&str> = train.iter().map(String::as_str).collect();
        check(&train, &template("How many legs has a dog?"), 5, (0, 0));
        check(&train, &template("7 and one?"), 5, (1, 0));
    }

    #[test]
    fn a_warning_names_an_example() {
        let found = overlap(&tasks(&["a", "b"]), &tasks(&["c", "B", "a"]), NGRAM);
        let expected = "2 of 3 held-out prompts are training prompts too, such as `t1`: the curve will flatter";
        assert_eq!(found.sentence().unwrap(), expected);
        assert_eq!(found.n_short, 3);
        assert_eq!(overlap(&tasks(&["a"]), &tasks(&["b"]), NGRAM).sentence(), None);
    }
}

//! Noticing verdicts that look wrong as a whole.
//!
//! A verifier that scores everything 0 trains nothing and says nothing: for months every answer to MATH got 0 in another
//! framework, and no run stopped (verl #5635). So each batch of verdicts is counted by verifier and source, and what
//! can hardly be the policy's doing is said aloud, at the first step if it is there at the first step.

use std::collections::BTreeMap;

use crate::text::shown;
use crate::verifier::Verdict;

/// Equal verdicts in a row from which on they are suspicious.
const FEWEST: usize = 16;
/// The share of a batch that may go unjudged in silence.
const UNJUDGED: f64 = 0.05;
/// The share of equal findings that says why.
const MOST: f64 = 0.8;

/// Watches the verdicts of a run.
///
/// It warns once of each suspicion, and again only after the verdicts had looked healthy and when it has seen twice as
/// many as the last time, so that a hard task set does not fill the log.
#[derive(Debug, Default)]
pub struct Watch {
    streaks: BTreeMap<(String, String, Suspicion), Streak>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Suspicion {
    AllWrong,
    AllRight,
    Unjudged,
}

/// How long a suspicion has stood.
#[derive(Debug)]
struct Streak {
    /// Verdicts since it arose.
    n: usize,
    /// Verdicts that it takes for the next warning.
    threshold: usize,
    told: bool,
}

/// The verdicts of a verifier on tasks of one source, counted.
#[derive(Default)]
struct Tally<'a> {
    judged: usize,
    wrong: usize,
    right: usize,
    unjudged: usize,
    why: Option<&'a str>,
    findings: BTreeMap<&'a str, usize>,
}

impl Watch {
    /// Looks at the verdicts of a step, each with the verifier and the source of the task, and returns the warnings.
    pub fn look<'a>(&mut self, verdicts: impl IntoIterator<Item = (&'a str, &'a str, &'a Verdict)>) -> Vec<String> {
        let mut tallies: BTreeMap<(&str, &str), Tally<'_>> = BTreeMap::new();
        for (verifier, source, verdict) in verdicts {
            tallies.entry((verifier, source)).or_default().count(verdict);
        }
        let mut warnings = vec![];
        for ((verifier, source), tally) in &tallies {
            for (suspicion, n) in tally.suspicions() {
                if self.is_news((*verifier, *source), suspicion, n) {
                    warnings.push(tally.warning((*verifier, *source), suspicion));
                }
            }
        }
        warnings
    }

    /// Notes how many verdicts of this batch support a suspicion, none if it does not hold; says whether to warn.
    fn is_news(&mut self, (verifier, source): (&str, &str), suspicion: Suspicion, n: Option<usize>) -> bool {
        let key = (verifier.to_owned(), source.to_owned(), suspicion);
        let fewest = if suspicion == Suspicion::Unjudged { 1 } else { FEWEST };
        let streak = self.streaks.entry(key).or_insert(Streak { n: 0, threshold: fewest, told: false });
        let Some(n) = n else {
            (streak.n, streak.told) = (0, false);
            return false;
        };
        streak.n += n;
        let is_news = !streak.told && streak.n >= streak.threshold;
        if is_news {
            streak.told = true;
            streak.threshold = 2 * streak.n;
        }
        is_news
    }
}

impl<'a> Tally<'a> {
    fn count(&mut self, verdict: &'a Verdict) {
        match verdict {
            Verdict::Judged { score, finding, .. } => {
                self.judged += 1;
                self.wrong += usize::from(*score <= 0.0);
                self.right += usize::from(*score >= 1.0);
                *self.findings.entry(finding).or_default() += 1;
            }
            Verdict::Unjudged { why } => {
                self.unjudged += 1;
                self.why.get_or_insert(why);
            }
            Verdict::Abstained => {}
        }
    }

    fn suspicions(&self) -> [(Suspicion, Option<usize>); 3] {
        let n = self.judged;
        let leaks = self.unjudged as f64 > UNJUDGED * (self.judged + self.unjudged) as f64;
        [
            (Suspicion::AllWrong, (self.wrong == n).then_some(n)),
            (Suspicion::AllRight, (self.right == n).then_some(n)),
            (Suspicion::Unjudged, leaks.then_some(self.unjudged)),
        ]
    }

    fn warning(&self, (verifier, source): (&str, &str), suspicion: Suspicion) -> String {
        let of = if source.is_empty() { String::new() } else { format!(" to tasks of `{}`", shown(source)) };
        let text = match suspicion {
            Suspicion::AllWrong => {
                format!("scored all {} answers{of} 0 ({}): {}", self.judged, self.listed(), self.advice())
            }
            Suspicion::AllRight => format!(
                "gave all {} answers{of} the full score: there is nothing to learn from them, or it accepts anything",
                self.judged
            ),
            Suspicion::Unjudged => format!(
                "could not judge {} of {} answers{of}: {}",
                self.unjudged,
                self.judged + self.unjudged,
                shown(self.why.unwrap_or_default())
            ),
        };
        format!("verifier `{}` {text}", shown(verifier))
    }

    /// The findings, the most frequent first.
    fn listed(&self) -> String {
        let mut findings: Vec<(&str, usize)> = self.findings.iter().map(|(&finding, &n)| (finding, n)).collect();
        findings.sort_by_key(|&(finding, n)| (std::cmp::Reverse(n), finding));
        findings.iter().take(4).map(|(finding, n)| format!("{n} {}", shown(finding))).collect::<Vec<_>>().join(", ")
    }

    fn advice(&self) -> &'static str {
        let share = |names: &[&str]| {
            let n: usize = names.iter().filter_map(|name| self.findings.get(name)).sum();
            n as f64 / self.judged as f64
        };
        if share(&["no_answer"]) >= MOST {
            "the prompt may not ask for the form that the verifier reads, or completions are cut off before the answer"
        } else if share(&["unparsable", "refused"]) >= MOST {
            "the answers are found, but not in a form that the verifier reads"
        } else {
            "the tasks may be too hard, or the references wrong; look at some with `rlvr verify`"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(watch: &mut Watch, verdicts: &[Verdict]) -> Vec<String> {
        watch.look(verdicts.iter().map(|verdict| ("math", "gsm8k", verdict)))
    }

    fn batch(n: usize, verdict: &Verdict) -> Vec<Verdict> {
        vec![verdict.clone(); n]
    }

    #[test]
    fn zeros_everywhere_are_seen_at_the_first_step_and_told_once() {
        let (mut watch, zeros) = (Watch::default(), batch(64, &Verdict::wrong("no_answer")));
        assert_eq!(
            look(&mut watch, &zeros),
            ["verifier `math` scored all 64 answers to tasks of `gsm8k` 0 (64 no_answer): the prompt may not ask for \
              the form that the verifier reads, or completions are cut off before the answer"]
        );
        assert!(look(&mut watch, &zeros).is_empty());
        let mut healthy = zeros.clone();
        healthy[3] = Verdict::correct();
        assert!(look(&mut watch, &healthy).is_empty());
        assert!(look(&mut watch, &zeros).is_empty(), "64 more are no news");
        assert_eq!(look(&mut watch, &zeros).len(), 1, "128 in a row are");
    }

    #[test]
    fn few_verdicts_add_up_over_steps() {
        let mut watch = Watch::default();
        assert!(look(&mut watch, &batch(10, &Verdict::wrong("wrong_value"))).is_empty());
        let warnings = look(&mut watch, &batch(10, &Verdict::wrong("wrong_value")));
        assert!(warnings[0].ends_with("the references wrong; look at some with `rlvr verify`"), "{warnings:?}");
    }

    #[test]
    fn full_scores_and_leaks_are_seen() {
        let mut watch = Watch::default();
        let warnings = look(&mut watch, &batch(16, &Verdict::correct()));
        assert!(warnings[0].starts_with("verifier `math` gave all 16 answers"), "{warnings:?}");
        let mut mixed = batch(18, &Verdict::correct());
        mixed.extend(batch(9, &Verdict::wrong("wrong_value")));
        mixed.extend(batch(1, &Verdict::unjudged("down\u{1b}")));
        assert!(look(&mut watch, &mixed).is_empty(), "1 of 28 is less than 5 %");
        mixed.extend(batch(1, &Verdict::unjudged("later")));
        assert_eq!(
            look(&mut watch, &mixed),
            ["verifier `math` could not judge 2 of 29 answers to tasks of `gsm8k`: down\\u{1b}"]
        );
    }

    #[test]
    fn abstentions_are_no_verdicts() {
        assert!(look(&mut Watch::default(), &batch(100, &Verdict::Abstained)).is_empty());
    }
}

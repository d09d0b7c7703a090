//! Which rollouts are asked for, and in which order.

use super::index::Index;
use super::rows::{Row, Words};
use crate::rollouts::{FINDINGS_APART, is_right};

/// What rollouts must have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filter {
    pub(super) from: Option<u64>,
    pub(super) to: Option<u64>,
    pub(super) source: Option<String>,
    pub(super) finding: Option<String>,
    pub(super) stop: Option<String>,
    pub(super) task: Option<String>,
    pub(super) outcome: Option<Outcome>,
}

/// How rollouts were judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Right,
    Wrong,
    Unjudged,
}

impl Outcome {
    /// Reads a name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name {
            "right" => Some(Self::Right),
            "wrong" => Some(Self::Wrong),
            "unjudged" => Some(Self::Unjudged),
            _ => None,
        }
    }

    fn of_row(row: &Row) -> Self {
        match row.outcome {
            outcome if outcome.is_nan() => Self::Unjudged,
            outcome if is_right(outcome.into()) => Self::Right,
            _ => Self::Wrong,
        }
    }
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Newest,
    Oldest,
    Worst,
    Best,
    Longest,
    Shortest,
    /// The least likely under the policy that wrote it, by its mean log-probability.
    Surprising,
    /// The largest advantage, whatever its sign: what moves the policy most.
    Advantage,
    /// The largest difference between sampler and trainer.
    Mismatch,
    /// The longest to judge.
    Slowest,
}

impl Order {
    /// Reads a name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "newest" => Self::Newest,
            "oldest" => Self::Oldest,
            "worst" => Self::Worst,
            "best" => Self::Best,
            "longest" => Self::Longest,
            "shortest" => Self::Shortest,
            "surprising" => Self::Surprising,
            "advantage" => Self::Advantage,
            "mismatch" => Self::Mismatch,
            "slowest" => Self::Slowest,
            _ => return None,
        })
    }

    /// What is sorted by, the smallest first; NaN, which is not measured, comes last.
    fn key(self, step: u64, row: &Row) -> f64 {
        match self {
            Self::Newest => -(step as f64),
            Self::Oldest => step as f64,
            Self::Worst => row.reward.into(),
            Self::Best => (-row.reward).into(),
            Self::Longest => -f64::from(row.n_tokens),
            Self::Shortest => row.n_tokens.into(),
            Self::Surprising => row.logp_mean.into(),
            Self::Advantage => (-row.advantage.abs()).into(),
            Self::Mismatch => (-row.mismatch.abs()).into(),
            Self::Slowest => (-row.verify_s).into(),
        }
    }
}

/// A filter in the numbers of an index.
#[derive(Debug)]
pub(super) struct Sieve {
    steps: (u64, u64),
    source: Option<Vec<u32>>,
    findings: Option<Vec<u32>>,
    stop: Option<Vec<u32>>,
    task: Option<Vec<u32>>,
    outcome: Option<Outcome>,
}

impl Filter {
    /// Looks up the words once, before all rows are looked at. A word that no rollout has lets none pass.
    pub(super) fn sieve(&self, index: &Index) -> Sieve {
        let vocabulary = &index.vocabulary;
        let exact = |wanted: &Option<String>, words: &Words| -> Option<Vec<u32>> {
            wanted.as_ref().map(|word| words.find(word).into_iter().collect())
        };
        let findings = self.finding.as_ref().map(|finding| {
            let all = vocabulary.findings.all().iter().enumerate();
            let having = all.filter(|(_, joined)| joined.split(FINDINGS_APART).any(|one| one == finding));
            having.map(|(place, _)| place as u32).collect()
        });
        Sieve {
            steps: (self.from.unwrap_or(0), self.to.unwrap_or(u64::MAX)),
            source: exact(&self.source, &vocabulary.sources),
            findings,
            stop: exact(&self.stop, &vocabulary.stops),
            task: exact(&self.task, &vocabulary.tasks),
            outcome: self.outcome,
        }
    }
}

impl Sieve {
    /// Whether a rollout of a step passes.
    pub(super) fn lets(&self, step: u64, row: &Row) -> bool {
        let has = |wanted: &Option<Vec<u32>>, place| wanted.as_ref().is_none_or(|places| places.contains(&place));
        (self.steps.0..=self.steps.1).contains(&step)
            && has(&self.source, row.source)
            && has(&self.findings, row.findings)
            && has(&self.stop, row.stop)
            && has(&self.task, row.task)
            && self.outcome.is_none_or(|outcome| outcome == Outcome::of_row(row))
    }

    /// All rollouts that pass, with their steps, in order of steps.
    pub(super) fn rows<'a>(&'a self, index: &'a Index) -> impl Iterator<Item = (u64, &'a Row)> {
        let (from, to) = self.steps;
        let steps = (from <= to).then(|| index.steps.range(from..=to)).into_iter().flatten();
        let all = steps.flat_map(|(&step, rows)| rows.rows.iter().map(move |row| (step, row)));
        all.filter(|(step, row)| self.lets(*step, row))
    }
}

/// A part of an ordered list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

/// The rollouts of a page, and how many there are on all pages.
pub(super) fn page<'a>(index: &'a Index, sieve: &'a Sieve, order: Order, page: Page) -> (usize, Vec<(u64, &'a Row)>) {
    let mut found: Vec<(f64, u64, &Row)> =
        sieve.rows(index).map(|(step, row)| (order.key(step, row), step, row)).collect();
    let total = found.len();
    let wanted = page.offset.saturating_add(page.limit).min(total);
    let compare = |a: &(f64, u64, &Row), b: &(f64, u64, &Row)| {
        let missing = a.0.is_nan().cmp(&b.0.is_nan());
        let place = |(_, step, row): &(f64, u64, &Row)| (std::cmp::Reverse(*step), row.group, row.sample);
        missing.then(a.0.total_cmp(&b.0)).then_with(|| place(a).cmp(&place(b)))
    };
    // Only what is shown is sorted: of a million rollouts, the first fifty.
    if wanted < total {
        found.select_nth_unstable_by(wanted, compare);
        found.truncate(wanted);
    }
    found.sort_unstable_by(compare);
    (total, found.into_iter().skip(page.offset).map(|(_, step, row)| (step, row)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::index::tests::index_of;
    use super::*;
    use crate::rollouts::tests::line;

    /// The steps, groups and samples of a page over two steps of two groups of two.
    fn check(filter: &Filter, order: Order, at: Page, expected: (usize, &[(u64, u32, u32)])) {
        let step = |step: u64, rewards: [Option<f64>; 4]| {
            let lines = rewards.iter().enumerate().map(|(i, &reward)| {
                let i = i as u32;
                line(step, i / 2, i % 2, reward, &"x".repeat(step as usize * 10 + i as usize))
            });
            (step, lines.collect::<String>())
        };
        let steps =
            [step(1, [Some(0.0), Some(1.0), Some(0.5), None]), step(2, [Some(1.0), Some(0.25), None, Some(0.0)])];
        let (_folder, index) = index_of(&steps);
        let index = index.read();
        let sieve = filter.sieve(&index);
        let (total, rows) = page(&index, &sieve, order, at);
        let rows: Vec<_> = rows.iter().map(|(step, row)| (*step, row.group, row.sample)).collect();
        assert_eq!((total, rows.as_slice()), expected, "{filter:?} {order:?} {at:?}");
    }

    const ALL: Page = Page { offset: 0, limit: 100 };

    #[test]
    fn pages_follow_each_other() {
        let all = Filter::default();
        let at = |offset| Page { offset, limit: 3 };
        check(&all, Order::Newest, at(0), (8, &[(2, 0, 0), (2, 0, 1), (2, 1, 0)]));
        check(&all, Order::Newest, at(3), (8, &[(2, 1, 1), (1, 0, 0), (1, 0, 1)]));
        check(&all, Order::Newest, at(6), (8, &[(1, 1, 0), (1, 1, 1)]));
        check(&all, Order::Newest, at(usize::MAX), (8, &[]));
        check(&all, Order::Oldest, at(0), (8, &[(1, 0, 0), (1, 0, 1), (1, 1, 0)]));
    }

    #[test]
    fn what_is_not_measured_comes_last() {
        let worst = [(2, 1, 1), (1, 0, 0), (2, 0, 1), (1, 1, 0), (2, 0, 0), (1, 0, 1), (2, 1, 0), (1, 1, 1)];
        check(&Filter::default(), Order::Worst, ALL, (8, &worst));
        check(&Filter::default(), Order::Longest, Page { offset: 0, limit: 2 }, (8, &[(2, 1, 1), (2, 1, 0)]));
        check(&Filter::default(), Order::Surprising, Page { offset: 0, limit: 1 }, (8, &[(2, 0, 1)]));
        let moved = [(2, 0, 0), (2, 1, 1), (1, 0, 0), (1, 0, 1)];
        check(&Filter::default(), Order::Advantage, Page { offset: 0, limit: 4 }, (8, &moved));
    }

    #[test]
    fn filters_narrow_together() {
        let text = |text: &str| Some(text.to_owned());
        let odd = Filter { source: text("odd"), ..Filter::default() };
        check(&odd, Order::Newest, ALL, (4, &[(2, 1, 0), (2, 1, 1), (1, 1, 0), (1, 1, 1)]));
        let wrong = Filter { outcome: Some(Outcome::Wrong), ..odd.clone() };
        check(&wrong, Order::Newest, ALL, (2, &[(2, 1, 1), (1, 1, 0)]));
        let unjudged = Filter { finding: text("unjudged"), to: Some(1), ..odd };
        check(&unjudged, Order::Newest, ALL, (1, &[(1, 1, 1)]));
        let task = Filter { task: text("sums-0"), from: Some(2), ..Filter::default() };
        check(&task, Order::Newest, ALL, (2, &[(2, 0, 0), (2, 0, 1)]));
        check(&Filter { stop: text("length"), ..Filter::default() }, Order::Newest, ALL, (0, &[]));
        check(&Filter { from: Some(2), to: Some(1), ..Filter::default() }, Order::Newest, ALL, (0, &[]));
    }
}

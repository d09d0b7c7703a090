//! Rollouts in a terminal: a table of a step, or the group of one prompt in full.

use std::fmt::Write as _;

use super::{RolloutLine, by_reward, visible};

/// Whether colours are wanted: on a terminal, unless `NO_COLOR` is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Text alone.
    Plain,
    /// Right green, wrong red, not judged yellow.
    Coloured,
}

impl Look {
    fn paint(self, rollout: &RolloutLine<'_>, text: &str) -> String {
        let code = match rollout.outcome {
            None => 33,
            Some(_) if rollout.is_right() => 32,
            Some(_) => 31,
        };
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// How many characters of a completion a line of the table shows, from its end, where answers stand.
const SHOWN: usize = 60;

/// Shows rollouts one a line, in the order given.
pub fn table(rollouts: &[RolloutLine<'_>], look: Look) -> String {
    let mut text = format!(
        "{:>6} {:>5} {:>6} {:>7} {:>9} {:>6} {:<6} {:<14} completion, its end\n",
        "step", "group", "sample", "reward", "advantage", "tokens", "stop", "finding"
    );
    for rollout in rollouts {
        let line = format!(
            "{:>6} {:>5} {:>6} {} {} {:>6} {:<6} {:<14} {}",
            rollout.step,
            rollout.group,
            rollout.sample,
            number(rollout.reward, 7),
            number(rollout.advantage, 9),
            rollout.n_tokens,
            visible(&rollout.stop),
            visible(&rollout.findings()),
            end_of(&rollout.completion),
        );
        let _ = writeln!(text, "{}", look.paint(rollout, &line));
    }
    text
}

/// Shows the rollouts of one prompt in full, the best first, with how many of them are right.
pub fn group(rollouts: &[RolloutLine<'_>], look: Look) -> String {
    let Some(first) = rollouts.first() else { return String::new() };
    let mut sorted: Vec<&RolloutLine<'_>> = rollouts.iter().collect();
    sorted.sort_by(|a, b| {
        let unjudged = a.reward.is_none().cmp(&b.reward.is_none());
        unjudged.then(by_reward(b, a)).then(a.sample.cmp(&b.sample))
    });
    let n_right = rollouts.iter().filter(|rollout| rollout.is_right()).count();
    let mut text = format!(
        "step {}, group {}, task {}: {n_right} of {} right\n\nprompt:\n{}\n",
        first.step,
        first.group,
        visible(&first.task_id),
        rollouts.len(),
        visible(&first.prompt),
    );
    if let Some(reference) = &first.reference {
        let _ = writeln!(text, "\nreference: {}", visible(reference));
    }
    for rollout in sorted {
        let head = format!(
            "── sample {}: reward {}, advantage {}, {}, {} tokens, {}",
            rollout.sample,
            number(rollout.reward, 0),
            number(rollout.advantage, 0),
            visible(&rollout.findings()),
            rollout.n_tokens,
            visible(&rollout.stop),
        );
        let _ = writeln!(text, "\n{}\n{}", look.paint(rollout, &head), visible(&rollout.completion));
    }
    text
}

fn number(value: Option<f64>, width: usize) -> String {
    value.map_or_else(|| format!("{:>width$}", "–"), |value| format!("{value:>width$.3}"))
}

/// The end of a text in one line.
fn end_of(text: &str) -> String {
    let flat: Vec<char> = visible(text).replace('\n', "⏎").replace('\t', " ").chars().collect();
    match flat.len().checked_sub(SHOWN) {
        Some(from) if from > 0 => std::iter::once('…').chain(flat[from..].iter().copied()).collect(),
        _ => flat.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{parse, tests::line};
    use super::*;

    fn text() -> String {
        line(3, 2, 0, Some(0.0), "so\u{1b}[31m 5")
            + &line(3, 2, 1, Some(1.0), "4")
            + &line(3, 2, 2, None, "hm\n\u{202e}")
    }

    #[test]
    fn a_table_has_a_line_each() {
        let text = text();
        let rollouts = parse("x".as_ref(), &text).unwrap();
        let shown = table(&rollouts, Look::Plain);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1], r"     3     2      0   0.000    -0.500      9 eos    wrong_value    so\u{1b}[31m 5");
        assert!(lines[3].ends_with("eos    unjudged       hm⏎\\u{202e}"), "{}", lines[3]);
        assert!(table(&rollouts, Look::Coloured).lines().nth(2).unwrap().starts_with("\u{1b}[32m"));
    }

    #[test]
    fn a_group_is_sorted_by_reward() {
        let text = text();
        let shown = group(&parse("x".as_ref(), &text).unwrap(), Look::Plain);
        assert!(
            shown.starts_with("step 3, group 2, task sums-2: 1 of 3 right\n\nprompt:\nWhat is 2 + 1?\n"),
            "{shown}"
        );
        let at = |part: &str| shown.find(part).unwrap();
        assert!(at("sample 1: reward 1.000") < at("sample 0: reward 0.000"));
        assert!(at("sample 0: reward 0.000") < at("sample 2: reward –"));
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
    }

    #[test]
    fn long_completions_show_their_end() {
        let long = "a".repeat(100) + "end";
        let shown = end_of(&long);
        assert_eq!((shown.chars().count(), shown.ends_with("aend"), shown.starts_with('…')), (SHOWN + 1, true, true));
    }
}

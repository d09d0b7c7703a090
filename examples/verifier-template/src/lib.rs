//! A verifier for answers that are dates: a whole one, to start from.
//!
//! It uses the public interface of `rlvr-verifiers` alone, as a crate outside of its repository would.

use rlvr_verifiers::{Attempt, Registry, Task, Verdict, Verifier};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which number of `3/4/2024` is the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// It is the third of April.
    DayFirst,
    /// It is the fourth of March.
    #[default]
    MonthFirst,
}

/// The keys of `[verifiers.date]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DateOptions {
    /// How dates of three numbers with slashes are read.
    pub order: Order,
}

/// Accepts a completion whose last line names the date of the reference, which is written `2024-02-29`.
///
/// Findings: `correct`, `wrong_date`, `unparsable`, `no_answer`.
#[derive(Clone, Debug, Default)]
pub struct Date {
    options: DateOptions,
}

impl Date {
    /// Makes the verifier.
    pub fn new(options: DateOptions) -> Self {
        Self { options }
    }
}

/// Makes `date` known to a registry.
pub fn register(registry: &mut Registry) {
    registry.add("date", |table| {
        let options = table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
        Ok(Box::new(Date::new(options)))
    });
}

impl Verifier for Date {
    fn name(&self) -> &str {
        "date"
    }

    fn reference(&self, task: &Task) -> Option<String> {
        task.reference.clone() // a completion that must score 1
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        let reference = attempt.task.reference.as_deref().unwrap_or_default();
        let Some(expected) = parse(reference, self.options.order) else {
            return Verdict::unjudged(format!("the reference `{reference}` is not a date")); // our fault, never a 0
        };
        let Some(line) = attempt.completion.lines().rfind(|line| !line.trim().is_empty()) else {
            return Verdict::wrong("no_answer");
        };
        match find(line, self.options.order) {
            Some(date) if date == expected => Verdict::correct().with("answer", date.to_string()),
            Some(date) => Verdict::wrong("wrong_date").with("answer", date.to_string()),
            None => Verdict::wrong("unparsable"),
        }
    }
}

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Day {
    year: u32,
    month: u32,
    day: u32,
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Day {
    /// Makes a day, if there is one.
    fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let n_days = match month {
            2 => 28 + u32::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        ((1..=n_days).contains(&day) && (1..=9999).contains(&year)).then_some(Self { year, month, day })
    }
}

/// Returns the last date of a line, which is read a few words at a time: linear in its length.
fn find(line: &str, order: Order) -> Option<Day> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ends = (1..=words.len()).rev();
    ends.flat_map(|end| [3, 1].map(|n| words.get(end.checked_sub(n)?..end)))
        .find_map(|words| parse(&words?.join(" "), order))
}

/// Reads `2024-02-29`, `2/29/2024`, `29 February 2024` or `February 29, 2024`.
fn parse(text: &str, order: Order) -> Option<Day> {
    let parts: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let number = |text: &str| if text.len() <= 4 { text.parse().ok() } else { None };
    match parts[..] {
        [year, month, day] if year.len() == 4 => Day::new(number(year)?, number(month)?, number(day)?),
        [a, b, year] if year.len() == 4 => {
            let year = number(year)?;
            match (month_named(a), month_named(b), order) {
                (Some(month), _, _) => Day::new(year, month, number(b)?),
                (None, Some(month), _) => Day::new(year, month, number(a)?),
                (None, None, Order::DayFirst) => Day::new(year, number(b)?, number(a)?),
                (None, None, Order::MonthFirst) => Day::new(year, number(a)?, number(b)?),
            }
        }
        _ => None,
    }
}

/// Returns the month of an English name, or of its first three letters.
fn month_named(word: &str) -> Option<u32> {
    const NAMES: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.to_lowercase();
    NAMES.iter().zip(1..).find_map(|(name, month)| (*name == word || name[..3] == word).then_some(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reference: &str, completion: &str, finding: &str) {
        let task = Task::new("t", "When?", "date").with_reference(reference);
        let verdict = Date::default().verify(Attempt { task: &task, completion, finished: true });
        assert_eq!(verdict.finding(), finding, "{completion:?}");
    }

    #[test]
    fn dates() {
        check("2024-02-29", "2024-02-29", "correct");
        check("2024-02-29", "First 2023.\nSo it was on February 29, 2024.", "correct");
        check("2024-02-29", "**29 Feb 2024**", "correct");
        check("2024-02-29", "2/29/2024", "correct");
        check("2024-02-29", "28 February 2024", "wrong_date");
        check("2024-02-29", "29 February 2023", "unparsable");
        check("2024-02-29", "I do not know", "unparsable");
        check("2024-02-29", " \n", "no_answer");
        check("yesterday", "2024-02-29", "unjudged");
    }

    #[test]
    fn it_is_made_from_options() {
        let mut registry = Registry::default();
        register(&mut registry);
        let date = registry.build("date", &toml::toml! { order = "day_first" }).unwrap();
        let task = Task::new("t", "When?", "date").with_reference("2024-04-03");
        let verdict = date.verify(Attempt { task: &task, completion: "3/4/2024", finished: true });
        assert_eq!(verdict.score(), Some(1.0));
        let error = registry.build("date", &toml::toml! { ordre = 1 }).err().unwrap();
        assert_eq!(error.to_string(), "verifier `date`: unknown field `ordre`, expected `order`");
    }

    #[test]
    fn it_obeys_the_laws() {
        let tasks = [Task::new("1", "When?", "date").with_reference("2024-02-29")];
        rlvr_verifiers::conformance::check(&Date::default(), &tasks).unwrap();
    }
}

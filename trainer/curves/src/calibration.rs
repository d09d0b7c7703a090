//! How often the rules of the verdict are right: simulated runs of known truth.
//!
//! The program `calibration` among the examples measures the whole table that `docs/CALIBRATION.md` keeps; a test
//! measures a part of it.

use std::collections::BTreeMap;

use crate::fit::{Fit, Label, Options, judged};
use crate::points::{Point, Series};
use crate::random::Random;

/// A curve of known truth, in the base-ten logarithm of compute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truth {
    /// `level + slope · (x − at)`.
    Line {
        /// Accuracy at `at`.
        level: f64,
        /// Accuracy per tenfold.
        slope: f64,
        /// Where the level holds.
        at: f64,
    },
    /// Two lines that meet.
    Hinge {
        /// Accuracy at the break.
        level: f64,
        /// Slope before.
        before: f64,
        /// Slope after.
        after: f64,
        /// Where they meet.
        at: f64,
    },
    /// ScaleRL's law.
    Sigmoid {
        /// Accuracy without compute.
        start: f64,
        /// Accuracy with endless compute.
        asymptote: f64,
        /// Exponent.
        exponent: f64,
        /// Half-way compute.
        midpoint: f64,
    },
    /// `asymptote − gain · e^(−C/τ)`.
    Exponential {
        /// Accuracy with endless compute.
        asymptote: f64,
        /// What is gained in the end.
        gain: f64,
        /// log10 τ.
        log_tau: f64,
    },
    /// A line in log odds, 0 at `at`.
    LogitLine {
        /// Where accuracy is one half.
        at: f64,
    },
}

impl Truth {
    /// Returns the accuracy at a logarithm of compute.
    pub fn at(&self, x: f64) -> f64 {
        match *self {
            Self::Line { level, slope, at } => level + slope * (x - at),
            Self::Hinge { level, before, after, at } => level + before * (x - at).min(0.0) + after * (x - at).max(0.0),
            Self::Sigmoid { start, asymptote, exponent, midpoint } => {
                start + (asymptote - start) / (1.0 + 10_f64.powf(exponent * (midpoint.log10() - x)))
            }
            Self::Exponential { asymptote, gain, log_tau } => asymptote - gain * (-10_f64.powf(x - log_tau)).exp(),
            Self::LogitLine { at } => 1.0 / (1.0 + (at - x).exp()),
        }
    }

    /// Returns the asymptote, if the truth has one.
    pub fn asymptote(&self) -> Option<f64> {
        match *self {
            Self::Sigmoid { asymptote, .. } | Self::Exponential { asymptote, .. } => Some(asymptote),
            Self::Line { .. } | Self::Hinge { .. } | Self::LogitLine { .. } => None,
        }
    }
}

/// A design: a truth, looked at through points with binomial noise.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// The truth.
    pub truth: Truth,
    /// First and last logarithm of compute; points are equally spaced between.
    pub range: (f64, f64),
    /// Points.
    pub points: usize,
    /// Trials behind each.
    pub n: u64,
}

/// What was said of simulated runs of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Simulated runs.
    pub runs: usize,
    /// How many got each verdict.
    pub verdicts: BTreeMap<Label, usize>,
    /// Of the runs called saturating, in how many the interval of A covers the truth.
    pub covers_asymptote: usize,
    /// In how many the interval of the line's slope covers the truth, where the truth is a line.
    pub covers_slope: usize,
    /// Held-out biases of the line from half of the compute that are within two standard errors, where the truth is a line.
    pub unbiased: usize,
    /// In how many the late slope is below the early one by a one-sided test at 5 %.
    pub flattens: usize,
    /// In how many the slope of the line is above three standard errors.
    pub rises: usize,
    /// The asymptote of the sigmoid in each run, identified or not.
    pub asymptotes: Vec<f64>,
}

impl Tally {
    /// Returns the share of a verdict.
    pub fn share(&self, label: Label) -> f64 {
        self.verdicts.get(&label).copied().unwrap_or(0) as f64 / self.runs as f64
    }
}

impl Scenario {
    /// Draws a run.
    pub fn draw(&self, seed: u64) -> Series {
        let mut random = Random::keyed(seed);
        let step = (self.range.1 - self.range.0) / (self.points - 1) as f64;
        let mut point = |i: usize| {
            let x = self.range.0 + step * i as f64;
            let right = random.binomial(self.n, self.truth.at(x));
            let y = right as f64 / self.n as f64;
            Point { step: i as u64, compute: 10_f64.powf(x), y, lenient: None, n: Some(self.n as f64) }
        };
        Series {
            name: format!("seed {seed}"),
            set: self.name.to_owned(),
            points: (0..self.points).map(&mut point).collect(),
        }
    }

    /// Simulates runs, with seeds from `first`, and counts what is said of them.
    pub fn measure(&self, runs: usize, first: u64) -> Tally {
        let mut tally = Tally { runs, ..Tally::default() };
        for run in 0..runs {
            let (fit, _) = judged(&[self.draw(first + run as u64)], &Options::default());
            self.count(&fit, &mut tally);
        }
        tally
    }

    fn count(&self, fit: &Fit, tally: &mut Tally) {
        *tally.verdicts.entry(fit.verdict.label).or_default() += 1;
        if let Some(halves) = fit.halves {
            let z = (halves.early.value - halves.late.value) / halves.early.se.hypot(halves.late.se);
            tally.flattens += usize::from(z > 1.645);
        }
        tally.rises += usize::from(fit.slope.is_some_and(|slope| slope.z() > 3.0));
        tally.asymptotes.extend(fit.form("sigmoid").and_then(|form| form.param("A")).map(|a| a.value));
        if let (Some(truth), Some(a)) = (self.truth.asymptote(), fit.asymptote.filter(|a| a.identified)) {
            tally.covers_asymptote += usize::from((a.value - truth).abs() <= a.half_width);
        }
        if let (Truth::Line { slope, .. }, Some(found)) = (self.truth, fit.slope) {
            let (low, high) = found.interval();
            tally.covers_slope += usize::from(low <= slope && slope <= high);
            let half = fit.form("log_linear").and_then(|line| line.heldout.iter().find(|held| held.up_to == 0.5));
            tally.unbiased += usize::from(half.is_some_and(|held| held.is_unbiased()));
        }
    }
}

const LAW: Truth = Truth::Sigmoid { start: 0.25, asymptote: 0.61, exponent: 1.92, midpoint: 2542.0 };

const fn line(level: f64, slope: f64) -> Truth {
    Truth::Line { level, slope, at: 18.0 }
}

/// A scenario in which ScaleRL's law is seen up to some multiple of its midpoint.
fn law(name: &'static str, times: f64, n: u64) -> Scenario {
    let from = if times < 1.0 { 0.1 } else { 0.2 };
    let range = ((from * 2542.0_f64).log10(), (times * 2542.0).log10());
    Scenario { name, truth: LAW, range, points: 25, n }
}

/// Returns the scenarios of the table of error rates.
pub fn scenarios() -> Vec<Scenario> {
    let s = |name, truth, to, points, n| Scenario { name, truth, range: (18.0, to), points, n };
    let hinge = |level, before, after, at| Truth::Hinge { level, before, after, at };
    vec![
        s("line .06, 3 decades, 10 × 1319", line(0.30, 0.06), 21.0, 10, 1319),
        s("line .06, 3 decades, 20 × 1319", line(0.30, 0.06), 21.0, 20, 1319),
        s("line .06, 3 decades, 20 × 16000", line(0.30, 0.06), 21.0, 20, 16_000),
        s("line .06, 3 decades, 40 × 1319", line(0.30, 0.06), 21.0, 40, 1319),
        s("line .08, 4 decades, 20 × 2000", line(0.20, 0.08), 22.0, 20, 2000),
        s("line .06, 1 decade, 20 × 1319", line(0.30, 0.06), 19.0, 20, 1319),
        s("line .02, 2 decades, 20 × 1319", line(0.30, 0.02), 20.0, 20, 1319),
        s("flat .35, 3 decades, 10 × 1319", line(0.35, 0.0), 21.0, 10, 1319),
        s("flat .35, 3 decades, 20 × 1319", line(0.35, 0.0), 21.0, 20, 1319),
        s("flat .35, 3 decades, 40 × 1319", line(0.35, 0.0), 21.0, 40, 1319),
        law("law to 0.5 C_mid, 25 × 1319", 0.5, 1319),
        law("law to 1 C_mid, 25 × 1319", 1.0, 1319),
        law("law to 2 C_mid, 25 × 1319", 2.0, 1319),
        law("law to 3 C_mid, 25 × 1319", 3.0, 1319),
        law("law to 4 C_mid, 25 × 1319", 4.0, 1319),
        law("law to 6 C_mid, 25 × 1319", 6.0, 1319),
        law("law to 10 C_mid, 25 × 1319", 10.0, 1319),
        law("law to 0.5 C_mid, 25 × 16000", 0.5, 16_000),
        law("law to 1 C_mid, 25 × 16000", 1.0, 16_000),
        law("law to 2 C_mid, 25 × 16000", 2.0, 16_000),
        law("law to 3 C_mid, 25 × 16000", 3.0, 16_000),
        law("law to 4 C_mid, 25 × 16000", 4.0, 16_000),
        law("law to 6 C_mid, 25 × 16000", 6.0, 16_000),
        law("law to 10 C_mid, 25 × 16000", 10.0, 16_000),
        Scenario {
            range: (18.25, 21.75),
            ..s("plateau after .16, 24 × 2000", hinge(0.52, 0.16, 0.0, 19.75), 0.0, 24, 2000)
        },
        s("break .02 to .14, 25 × 2000", hinge(0.24, 0.02, 0.14, 20.0), 22.0, 25, 2000),
        s("break .14 to .03, 25 × 2000", hinge(0.50, 0.14, 0.03, 20.0), 22.0, 25, 2000),
        s("logit line, 4 decades, 20 × 2000", Truth::LogitLine { at: 20.0 }, 22.0, 20, 2000),
        s("decline −.03, 3 decades, 20 × 1319", line(0.50, -0.03), 21.0, 20, 1319),
        s("rise .1 then fall, 24 × 1319", hinge(0.50, 0.1, -0.1, 19.5), 21.0, 24, 1319),
        s(
            "exponential, A .55, 20 × 1319",
            Truth::Exponential { asymptote: 0.55, gain: 0.30, log_tau: 19.3 },
            21.0,
            20,
            1319,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 60 runs of a scenario. With rates of the thousand-run table the bounds fail less often than 1 in 1 000 for other
    /// seeds; these are fixed.
    #[track_caller]
    fn check(name: &str, bounds: &[(Label, f64, f64)]) -> Tally {
        let scenario = scenarios().into_iter().find(|scenario| scenario.name == name).unwrap();
        let tally = scenario.measure(60, 1);
        for &(label, low, high) in bounds {
            let share = tally.share(label);
            assert!((low..=high).contains(&share), "{name}: {} {share} in {tally:?}", label.as_str());
        }
        tally
    }

    #[test]
    fn a_true_line_is_called_so_and_its_slope_covered() {
        let tally =
            check("line .06, 3 decades, 20 × 1319", &[(Label::LogLinear, 0.8, 1.0), (Label::Saturating, 0.0, 0.07)]);
        assert!(tally.covers_slope >= 51, "{tally:?}");
    }

    #[test]
    fn nothing_is_claimed_of_a_flat_curve() {
        let claims = [Label::LogLinear, Label::Saturating, Label::Plateau, Label::Broken].map(|l| (l, 0.0, 0.034));
        check("flat .35, 3 decades, 20 × 1319", &claims);
        check("flat .35, 3 decades, 20 × 1319", &[(Label::NoEffect, 0.8, 1.0)]);
    }

    #[test]
    fn an_asymptote_is_named_when_it_has_been_seen_and_not_before() {
        check("law to 1 C_mid, 25 × 16000", &[(Label::Rising, 0.95, 1.0)]);
        let tally = check("law to 4 C_mid, 25 × 1319", &[(Label::Saturating, 0.78, 1.0), (Label::LogLinear, 0.0, 0.0)]);
        let called = tally.verdicts[&Label::Saturating];
        assert!(tally.covers_asymptote * 10 >= called * 8, "{tally:?}");
    }

    #[test]
    fn plateaus_and_declines_are_seen() {
        check("plateau after .16, 24 × 2000", &[(Label::Plateau, 0.83, 1.0), (Label::LogLinear, 0.0, 0.0)]);
        check("decline −.03, 3 decades, 20 × 1319", &[(Label::Declining, 0.95, 1.0)]);
        check("rise .1 then fall, 24 × 1319", &[(Label::Declining, 0.95, 1.0)]);
    }
}

//! What may be said of a curve.
//!
//! The rules are tried in order. With a constant and a straight line alone, a rise can be told from none and from a
//! decline, but its shape cannot: a plateau, an asymptote or a law is never claimed here.

use serde::Serialize;

use super::{Form, Samples};

/// A verdict with the numbers that led to it.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The verdict in one of the agreed words.
    pub label: Label,
    /// What it means here.
    pub text: String,
    /// Each number that decided.
    pub reasons: Vec<String>,
}

/// The words of verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Label {
    /// No change with compute was detected.
    #[serde(rename = "no effect")]
    NoEffect,
    /// Accuracy falls with compute.
    #[serde(rename = "declining")]
    Declining,
    /// The points do not say.
    #[serde(rename = "undetermined")]
    Undetermined,
    /// Accuracy rose before the first point and has been flat since.
    #[serde(rename = "plateau")]
    Plateau,
    /// Accuracy rises with compute; which curve it follows is not known.
    #[serde(rename = "rising, shape not identified")]
    Rising,
}

impl Label {
    /// Returns the word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoEffect => "no effect",
            Self::Declining => "declining",
            Self::Undetermined => "undetermined",
            Self::Plateau => "plateau",
            Self::Rising => "rising, shape not identified",
        }
    }
}

/// Fewest different values of compute for any statement.
const FEWEST: usize = 6;
/// Fewest decades for any statement.
const NARROWEST: f64 = 0.5;

pub(super) fn judge(samples: &Samples, forms: &[Form], start: Option<f64>) -> Verdict {
    let form = |name: &str| forms.iter().find(|form| form.name == name);
    let verdict = |label, text: &str, reasons| Verdict { label, text: text.to_owned(), reasons };
    let (n, decades) = (samples.n_distinct(), samples.decades());
    let mut reasons = vec![format!("{n} values of compute over {decades:.2} decades")];
    let (Some(constant), Some(line)) = (form("constant"), form("log_linear")) else {
        return verdict(Label::Undetermined, "there are too few points to say anything", reasons);
    };
    let slope = line.param("b").expect("a line has a slope");
    let z = slope.se.map_or(0.0, |se| slope.value / se);
    reasons.push(format!("slope {:.4} per tenfold, {z:.1} standard errors", slope.value));
    if n < FEWEST || decades < NARROWEST {
        reasons.push(format!("at least {FEWEST} values over {NARROWEST} decades are needed"));
        return verdict(Label::Undetermined, "there are too few points to say anything", reasons);
    }
    let flat = constant.daicc.is_some_and(|daicc| daicc <= 2.0) && z.abs() < 1.96;
    if flat {
        let m = constant.param("m").expect("a constant has a value");
        let gain = start.zip(m.se).map(|(start, se)| (m.value - start) / se);
        if let Some(gain) = gain.filter(|gain| gain.abs() >= 3.0) {
            reasons.push(format!("the mean is {gain:.1} standard errors from the accuracy before training"));
            return verdict(Label::Plateau, "the gain came before the first point; flat since", reasons);
        }
        let visible = slope.se.map_or(f64::NAN, |se| 2.8 * se * 100.0);
        reasons
            .push(format!("a slope above {visible:.1} points per tenfold would have been seen with probability 0.8"));
        return verdict(Label::NoEffect, "no effect detected", reasons);
    }
    if z < -3.0 {
        return verdict(Label::Declining, "accuracy falls with compute", reasons);
    }
    if z < 3.0 {
        return verdict(Label::Undetermined, "a change is neither shown nor excluded", reasons);
    }
    reasons.push("a constant and a straight line were fitted, which identify a rise but not its shape".to_owned());
    verdict(Label::Rising, "accuracy rises with compute; the shape of the curve is not identified", reasons)
}

pub(super) fn sentence(verdict: &Verdict, samples: &Samples, forms: &[Form], n_series: usize) -> String {
    let runs = if n_series == 1 { "one run".to_owned() } else { format!("{n_series} runs") };
    let slope = forms.iter().find(|form| form.name == "log_linear").and_then(|form| form.param("b"));
    let measured = match slope {
        Some(slope) if verdict.label == Label::Rising => {
            let half = slope.se.map_or(String::new(), |se| format!(" ± {:.1}", 1.96 * se * 100.0));
            format!(": {:.1}{half} points per tenfold by a straight line", slope.value * 100.0)
        }
        _ => String::new(),
    };
    format!("{} over {:.1} decades{measured} ({runs})", verdict.label.as_str(), samples.decades())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::fit;
    use crate::points::{Point, Series};

    /// Ten points over a decade and a half, 2 000 trials each.
    #[track_caller]
    fn check(y: impl Fn(f64) -> f64, start: Option<f64>, expected: Label) {
        let mut points: Vec<Point> = (0..10)
            .map(|i| f64::from(i) / 6.0)
            .map(|x| Point { step: 0, compute: 10_f64.powf(15.0 + x), y: y(x), lenient: None, n: Some(2000.0) })
            .collect();
        points.extend(start.map(|y| Point { step: 0, compute: 0.0, y, lenient: None, n: Some(2000.0) }));
        let fit = fit(&[Series { name: "s".to_owned(), set: "set".to_owned(), points }]);
        assert_eq!(fit.verdict.label, expected, "{:?}", fit.verdict);
    }

    #[test]
    fn verdicts() {
        let wiggle = |x: f64| 0.003 * (40.0 * x).sin();
        check(|x| 0.3 + 0.1 * x, None, Label::Rising);
        check(|x| 0.5 - 0.1 * x, None, Label::Declining);
        check(|x| 0.5 + wiggle(x), None, Label::NoEffect);
        check(|x| 0.5 + wiggle(x), Some(0.2), Label::Plateau);
    }

    #[test]
    fn five_points_are_too_few() {
        let points = (0..5)
            .map(|i| Point { step: 0, compute: 10_f64.powi(i + 1), y: 0.1 * f64::from(i), lenient: None, n: Some(1e6) })
            .collect();
        let fit = fit(&[Series { name: "s".to_owned(), set: "set".to_owned(), points }]);
        assert_eq!(fit.verdict.label, Label::Undetermined);
    }
}

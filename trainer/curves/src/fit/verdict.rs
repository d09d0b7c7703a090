//! What may be said of a curve: nine rules, tried in order, each with the numbers that decided.
//!
//! Error rates of the rules, by simulation, are in `docs/CALIBRATION.md`.

use serde::Serialize;

use super::analysis::Analysis;
use super::local::{Halves, Slope};
use super::search::Found;
use crate::estimate::Z95;

/// A verdict with the numbers that led to it.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The verdict in one of the agreed words.
    pub label: Label,
    /// What it means here.
    pub text: String,
    /// Each number that decided, in the order in which the rules asked for it.
    pub reasons: Vec<String>,
    /// The rule that decided, 0 to 8.
    pub rule: u8,
    /// What further compute, problems or seeds would settle what is left open.
    pub would_settle: Vec<String>,
}

/// The words of verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Label {
    /// No change with compute was detected.
    #[serde(rename = "no effect")]
    NoEffect,
    /// Accuracy falls with compute, at least late.
    #[serde(rename = "declining")]
    Declining,
    /// The points do not say.
    #[serde(rename = "undetermined")]
    Undetermined,
    /// Accuracy rose and has been flat since.
    #[serde(rename = "plateau")]
    Plateau,
    /// The slope changed at some compute.
    #[serde(rename = "broken")]
    Broken,
    /// Accuracy approaches an asymptote that the points identify.
    #[serde(rename = "saturating")]
    Saturating,
    /// Every tenfold of compute added the same.
    #[serde(rename = "log-linear")]
    LogLinear,
    /// Accuracy rises with compute; which curve it follows is not known.
    #[serde(rename = "rising, shape not identified")]
    Rising,
}

impl Label {
    /// All words.
    pub const ALL: [Self; 8] = [
        Self::NoEffect,
        Self::Declining,
        Self::Undetermined,
        Self::Plateau,
        Self::Broken,
        Self::Saturating,
        Self::LogLinear,
        Self::Rising,
    ];

    /// Returns the word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoEffect => "no effect",
            Self::Declining => "declining",
            Self::Undetermined => "undetermined",
            Self::Plateau => "plateau",
            Self::Broken => "broken",
            Self::Saturating => "saturating",
            Self::LogLinear => "log-linear",
            Self::Rising => "rising, shape not identified",
        }
    }
}

/// Fewest different values of compute for any statement.
pub(super) const FEWEST: usize = 6;
/// Fewest decades for any statement.
pub(super) const NARROWEST: f64 = 0.5;
/// Fewest decades for a statement about a straight line.
pub(super) const LINE_DECADES: f64 = 1.5;
/// Widest half of an asymptote's interval.
pub(super) const WIDEST_ASYMPTOTE: f64 = 0.05;
/// Smallest share of the gain that must have been seen.
pub(super) const GAIN_SEEN: f64 = 0.8;

/// The forms without a break.
pub(super) const SMOOTH: [&str; 6] = ["constant", "log_linear", "logit_linear", "power_sat", "exp_sat", "sigmoid"];
/// The forms with an asymptote.
pub(super) const SATURATING: [&str; 3] = ["sigmoid", "power_sat", "exp_sat"];

/// What a rule finds: a label with its text, or nothing and the next rule is asked.
type Finding = Option<(Label, String)>;

/// Tries the rules in order.
pub(super) fn judge(analysis: &Analysis) -> Verdict {
    let mut reasons = vec![format!(
        "{} values of compute over {:.2} decades, {} points",
        analysis.samples.n_distinct(),
        analysis.samples.decades(),
        analysis.samples.n()
    )];
    let rules: [fn(&Analysis, &mut Vec<String>) -> Finding; 9] =
        [enough, flat, falling, detected, plateau, broken, saturating, log_linear, rising];
    let (rule, (label, text)) = rules
        .iter()
        .enumerate()
        .find_map(|(i, rule)| Some((i as u8, rule(analysis, &mut reasons)?)))
        .expect("the last rule always finds");
    Verdict { label, text, reasons, rule, would_settle: vec![] }
}

/// Rule 0: enough points over enough compute.
fn enough(analysis: &Analysis, reasons: &mut Vec<String>) -> Finding {
    let (n, decades) = (analysis.samples.n_distinct(), analysis.samples.decades());
    if n >= FEWEST && decades >= NARROWEST && analysis.slope.is_some() {
        return None;
    }
    reasons.push(format!("at least {FEWEST} values of compute over {NARROWEST} decades are needed"));
    Some((Label::Undetermined, "there are too few points to say anything".to_owned()))
}

/// Rule 1: a constant is as good as anything, and the line's slope is not told from 0.
fn flat(analysis: &Analysis, reasons: &mut Vec<String>) -> Finding {
    let slope = analysis.slope?;
    reasons.push(format!("slope {:.4} ± {:.4} per tenfold (95 %), z = {:.1}", slope.value, Z95 * slope.se, slope.z()));
    let constant = analysis.form("constant")?;
    let (_, best) = analysis.best(&SMOOTH)?;
    let distance = analysis.aicc(constant)? - best;
    reasons.push(format!("constant: ΔAICc {distance:.1}"));
    if distance > 2.0 || slope.z().abs() >= Z95 {
        return None;
    }
    if let Some(start) = analysis.start {
        let mean = constant.params()[0];
        let se = analysis.error(constant, 0).unwrap_or(0.0).hypot(start.se);
        let z = (mean - start.value) / se.max(f64::MIN_POSITIVE);
        reasons.push(format!(
            "the mean {mean:.3} is {z:.1} standard errors from the accuracy before training, {:.3}",
            start.value
        ));
        if z.abs() >= 3.0 {
            let what = if z > 0.0 { "gain" } else { "loss" };
            return Some((Label::Plateau, format!("{what} before the first checkpoint, flat since")));
        }
    }
    let seen = 2.8 * slope.se * 100.0;
    let text =
        format!("no effect detected; a slope above {seen:.1} points per 10× would have been seen with probability 0.8");
    Some((Label::NoEffect, text))
}

/// Rule 2: the line falls, or its late half does.
fn falling(analysis: &Analysis, reasons: &mut Vec<String>) -> Finding {
    let slope = analysis.slope?;
    let late = analysis.halves?.late;
    reasons.push(format!("late slope {:.4} ± {:.4} per tenfold", late.value, Z95 * late.se));
    if slope.z() < -3.0 {
        return Some((Label::Declining, format!("accuracy falls with compute, {}", per_tenfold(slope))));
    }
    if late.z() < -3.0 {
        let peak = peak(analysis);
        return Some((
            Label::Declining,
            format!("accuracy falls after a peak near C = {peak:.2e}, {} late", per_tenfold(late)),
        ));
    }
    None
}

/// The compute at which a running mean of five samples is highest.
fn peak(analysis: &Analysis) -> f64 {
    let all = analysis.samples.all();
    let window = all.len().min(5);
    let mean = |part: &[super::samples::Sample], f: fn(&super::samples::Sample) -> f64| {
        part.iter().map(f).sum::<f64>() / part.len() as f64
    };
    let highest = all.windows(window).max_by(|a, b| mean(a, |s| s.y).total_cmp(&mean(b, |s| s.y)));
    highest.map_or(f64::NAN, |part| 10_f64.powf(mean(part, |s| s.x)))
}

/// Rule 3: a rise of three standard errors.
fn detected(analysis: &Analysis, reasons: &mut Vec<String>) -> Finding {
    if analysis.slope?.z() >= 3.0 {
        return None;
    }
    reasons.push("a rise is claimed from z = 3 on".to_owned());
    Some((Label::Undetermined, "a change is neither shown nor excluded".to_owned()))
}

/// Rule 4: flat late, after a rise.
fn plateau(analysis: &Analysis, reasons: &mut Vec<String>) -> Finding {
    let Halves { early, late } = analysis.halves?;
    let ((early_low, _), (late_low, late_high)) = (early.interval(), late.interval());
    reasons.push(format!("early slope {:.4} ± {:.4} per tenfold", early.value, Z95 * early.se));
    let is_flat = analysis.samples.decades() >= 1.0
        && late.decades >= 0.4
        && late.points >= 5
        && late_low <= 0.0
        && late_high >= 0.0
        && late_high <= early.value / 4.0
        && early_low > 0.0;
    is_flat.then(|| {
        let text = format!(
            "flat over the last {:.1} decades ({}), after {}",
            late.decades,
            per_tenfold(late),
            per_tenfold(early)
        );
        (Label::Plateau, text)
    })
}

/// Rule 5: a break, where it may be looked for, beats every smooth form.
fn broken(analysis: &Analysis, reasons: &mut Vec<String>) -> Finding {
    let Some(hinge) = &analysis.restricted else {
        reasons.push("no break can be looked for: 5 points and 0.4 decades on either side are needed".to_owned());
        return None;
    };
    let (_, smooth) = analysis.best(&SMOOTH)?;
    let gain = smooth - analysis.aicc(hinge)?;
    let params = hinge.params();
    let (b1, b2) = (params[1], params[2]);
    let (se1, se2) = (analysis.error(hinge, 1)?, analysis.error(hinge, 2)?);
    reasons.push(format!(
        "a break at C = {:.2e} ({b1:.4} ± {:.4}, then {b2:.4} ± {:.4}) gains ΔAICc {gain:.1} on the best smooth form; 6 is needed",
        10_f64.powf(params[3]),
        Z95 * se1,
        Z95 * se2
    ));
    if gain <= 6.0 {
        return None;
    }
    let at = 10_f64.powf(params[3]);
    let (low, high) = (b2 - Z95 * se2, b2 + Z95 * se2);
    if low <= 0.0 && high >= 0.0 && high <= b1 / 4.0 && b1 > 3.0 * se1 {
        return Some((Label::Plateau, format!("flat since C = {at:.2e}, after {:.1} points per 10×", 100.0 * b1)));
    }
    let difference = (analysis.variance_of_difference(hinge)?).sqrt();
    ((b1 - b2).abs() > Z95 * difference).then(|| {
        let text =
            format!("the slope changes at C = {at:.2e} from {:.1} to {:.1} points per 10×", 100.0 * b1, 100.0 * b2);
        (Label::Broken, text)
    })
}

/// Rule 6: an asymptote that the points identify.
fn saturating(analysis: &Analysis, reasons: &mut Vec<String>) -> Finding {
    let objections = objections_to_asymptote(analysis);
    let (best, _) = analysis.best(&SATURATING)?;
    let (value, half) = analysis.asymptote(best)?;
    let name = best.shape.name();
    let (low, high) = asymptote_range(analysis, best)?;
    if objections.is_empty() {
        let seen = 100.0 * analysis.gain_seen(best).unwrap_or(f64::NAN);
        reasons.push(format!("{name}: A = {value:.3} ± {half:.3}, {seen:.0} % of the gain seen"));
        return Some((Label::Saturating, format!("saturating, A = {value:.3} ± {half:.3} ({name})")));
    }
    reasons.push(format!("asymptote not identified ({low:.2}–{high:.2} by {name}): {}", objections.join("; ")));
    None
}

/// The 95 % range of an asymptote; up to the bound that it sits on.
pub(super) fn asymptote_range(analysis: &Analysis, found: &Found) -> Option<(f64, f64)> {
    let (value, half) = analysis.asymptote(found)?;
    Some(((value - half).max(0.0), (value + half).min(1.0)))
}

/// Every condition of rule 6 that does not hold.
pub(super) fn objections_to_asymptote(analysis: &Analysis) -> Vec<String> {
    let mut objections = vec![];
    let (Some((best, score)), Some((_, smooth))) = (analysis.best(&SATURATING), analysis.best(&SMOOTH)) else {
        return vec!["too few points for a form with an asymptote".to_owned()];
    };
    // The broken line of the form, not of rule 5: to look for objections it may break anywhere.
    let hinge = analysis.best(&["hinge"]).map_or(f64::INFINITY, |(_, aicc)| aicc);
    let of_all = smooth.min(hinge);
    if score - of_all > 2.0 {
        objections.push(format!("ΔAICc {:.1} to the best form", score - of_all));
    }
    if let Some((line, straight)) = analysis.best(&["log_linear", "logit_linear"])
        && straight - score <= 2.0
    {
        objections.push(format!("{} is as good (ΔAICc {:.1})", line.shape.name(), straight - score));
    }
    let near: Vec<&Found> = SATURATING
        .iter()
        .filter_map(|name| analysis.form(name))
        .filter(|found| analysis.aicc(found).is_some_and(|aicc| aicc - score <= 2.0))
        .collect();
    if let Some(at_bound) = near.iter().find(|found| analysis.is_asymptote_at_bound(found)) {
        objections.push(format!("A of {} is on its bound", at_bound.shape.name()));
    }
    match analysis.asymptote(best) {
        Some((_, half)) if half > WIDEST_ASYMPTOTE => {
            objections.push(format!("± {half:.3} is wider than ± {WIDEST_ASYMPTOTE}"));
        }
        Some(_) => {}
        None => objections.push("its error is not known".to_owned()),
    }
    let values: Vec<f64> = near.iter().filter_map(|found| Some(analysis.asymptote(found)?.0)).collect();
    let spread = values.iter().copied().fold(f64::MIN, f64::max) - values.iter().copied().fold(f64::MAX, f64::min);
    if values.len() > 1 && spread > 0.05 {
        objections.push(format!("forms that fit as well differ by {spread:.2}"));
    }
    let seen = analysis.gain_seen(best).unwrap_or(0.0);
    if seen < GAIN_SEEN {
        objections.push(format!("{:.0} % of the gain seen, {:.0} % are needed", 100.0 * seen, 100.0 * GAIN_SEEN));
    }
    if let Some(half) = analysis.held_out(best, 0.5).filter(|held| held.is_telling() && !held.is_unbiased()) {
        objections
            .push(format!("from half of the compute it misses the rest by {:.4} ± {:.4}", half.bias, half.bias_se));
    }
    objections
}

/// Rule 7: a straight line that nothing speaks against.
fn log_linear(analysis: &Analysis, reasons: &mut Vec<String>) -> Finding {
    let objections = objections_to_line(analysis);
    if !objections.is_empty() {
        reasons.push(format!("log-linear not identified: {}", objections.join("; ")));
        return None;
    }
    let slope = analysis.slope?;
    let line = analysis.aicc(analysis.form("log_linear")?)?;
    let ties = analysis.best(&SATURATING).filter(|(_, aicc)| aicc - line <= 3.0);
    let tie = ties.and_then(|(found, aicc)| {
        let (low, high) = asymptote_range(analysis, found)?;
        let name = found.shape.name();
        reasons.push(format!("{name} ties (ΔAICc {:.1}), A {low:.2}–{high:.2}", aicc - line));
        Some(format!("; {name} with A between {low:.2} and {high:.2} fits as well"))
    });
    let text = format!(
        "log-linear over {:.1} decades: {}{}",
        analysis.samples.decades(),
        per_tenfold(slope),
        tie.unwrap_or_default()
    );
    Some((Label::LogLinear, text))
}

/// Every condition of rule 7 that does not hold.
pub(super) fn objections_to_line(analysis: &Analysis) -> Vec<String> {
    let mut objections = vec![];
    let parts = (analysis.form("log_linear"), analysis.best(&SMOOTH), analysis.halves);
    let (Some(line), Some((best, smooth)), Some(Halves { early, late })) = parts else {
        return vec!["too few points".to_owned()];
    };
    let Some(score) = analysis.aicc(line) else { return vec!["too few points".to_owned()] };
    if score - smooth > 2.0 {
        objections.push(format!("{} is better by ΔAICc {:.1}", best.shape.name(), score - smooth));
    }
    if let Some(hinge) = analysis.restricted.as_ref().and_then(|hinge| analysis.aicc(hinge))
        && score - hinge > 6.0
    {
        objections.push(format!("a break is better by ΔAICc {:.1}", score - hinge));
    }
    if analysis.samples.decades() < LINE_DECADES {
        objections.push(format!("{:.2} decades, {LINE_DECADES} are needed", analysis.samples.decades()));
    }
    let ((early_low, early_high), (late_low, late_high)) = (early.interval(), late.interval());
    if early_high < late_low || late_high < early_low {
        objections.push(format!("early and late slope differ ({:.4} and {:.4})", early.value, late.value));
    }
    if late_low <= 0.0 {
        objections.push(format!("the late slope is not told from 0 ({:.4} ± {:.4})", late.value, Z95 * late.se));
    }
    for share in [0.25, 0.5] {
        if let Some(held) = analysis.held_out(line, share).filter(|held| held.is_telling() && !held.is_unbiased()) {
            objections.push(format!(
                "fitted on the first {:.0} % of the compute, it misses the rest by {:.4} ± {:.4}",
                100.0 * share,
                held.bias,
                held.bias_se
            ));
        }
    }
    objections
}

/// Rule 8: what is left.
fn rising(analysis: &Analysis, reasons: &mut Vec<String>) -> Finding {
    let slope = analysis.slope?;
    let best = analysis.best(&SMOOTH).map_or("no form", |(found, _)| found.shape.name());
    reasons.push(format!("best smooth form: {best}{}", if best == "logit_linear" { ", bounded growth" } else { "" }));
    let text = format!(
        "accuracy rises with compute, {} by a straight line; the shape of the curve is not identified (best form: {best})",
        per_tenfold(slope)
    );
    Some((Label::Rising, text))
}

/// "6.1 ± 0.8 points per 10×".
pub(super) fn per_tenfold(slope: Slope) -> String {
    format!("{:.1} ± {:.1} points per 10×", 100.0 * slope.value, 100.0 * Z95 * slope.se)
}

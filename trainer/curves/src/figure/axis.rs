//! Axes: from values to places on the page, and their ticks.

/// A linear or logarithmic axis.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Ends of the axis, as logarithms on a logarithmic one.
    low: f64,
    high: f64,
    /// Their places on the page.
    from: f64,
    to: f64,
    scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear,
    Logarithmic,
    /// Logarithmic with a tick at every power of two: samples a problem.
    Doubling,
}

/// A mark with its label.
#[derive(Debug)]
pub(super) struct Tick {
    pub at: f64,
    pub label: String,
}

/// More labels than this would run into each other.
const MOST_TICKS: usize = 8;

impl Axis {
    pub(super) fn linear(low: f64, high: f64, from: f64, to: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, from, to, scale: Scale::Linear }
    }

    /// A linear axis from 0 to the next round number above all values.
    pub(super) fn from_zero(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let highest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let step = round_step(highest.max(1e-9) / 4.0);
        Self::linear(0.0, step * (highest * 1.0001 / step).ceil().max(1.0), from, to)
    }

    /// A linear axis with room for all values, rounded at both ends.
    pub(super) fn around(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = ends(values);
        let span = if high > low { high - low } else { high.abs().max(1e-9) };
        let step = round_step(span / 4.0);
        let low = if low >= 0.0 && low < span { 0.0 } else { (low / step).floor() * step };
        Self::linear(low, (high / step).ceil() * step, from, to)
    }

    /// An axis with room for all values, which are above 0, and a little beyond the last.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = ends(values.map(f64::log10));
        let margin = ((high - low) * 0.06).max(0.1);
        Self { low: low - margin, high: high + 1.5 * margin, from, to, scale: Scale::Logarithmic }
    }

    /// An axis of samples a problem.
    pub(super) fn doubling(most: f64, from: f64, to: f64) -> Self {
        let high = most.max(2.0).log10();
        Self { low: -0.04 * high, high: 1.04 * high, from, to, scale: Scale::Doubling }
    }

    pub(super) fn low(&self) -> f64 {
        self.low
    }

    pub(super) fn high(&self) -> f64 {
        self.high
    }

    /// The place of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.at_log(if self.scale == Scale::Linear { value } else { value.log10() })
    }

    /// The place of a value, held within the axis.
    pub(super) fn at_held(&self, value: f64) -> f64 {
        self.at(value.clamp(self.low, self.high))
    }

    /// The place of a value given as its logarithm on a logarithmic axis.
    pub(super) fn at_log(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    pub(super) fn ticks(&self) -> Vec<Tick> {
        match self.scale {
            Scale::Linear => self.round_values(self.low, self.high, MOST_TICKS),
            Scale::Logarithmic => self.logarithmic_ticks(),
            Scale::Doubling => {
                let most = 10_f64.powf(self.high) as u32;
                let all = std::iter::successors(Some(1_u32), |k| k.checked_mul(2)).take_while(|&k| k <= most);
                all.map(|k| Tick { at: self.at(f64::from(k)), label: k.to_string() }).collect()
            }
        }
    }

    /// Powers of ten if there are enough of them, else 1, 2 and 5 of each, else round values.
    fn logarithmic_ticks(&self) -> Vec<Tick> {
        const FEWEST: usize = 3;
        let is_plain = self.low >= -2.0 && self.high <= 5.0;
        let tick = |&(digit, power): &(u32, i32)| {
            let log = f64::from(power) + f64::from(digit).log10();
            let label = if is_plain { plain(10_f64.powf(log), power.min(0)) } else { raised(digit, power) };
            Tick { at: self.at_log(log), label }
        };
        for digits in [&[1][..], &[1, 2, 5]] {
            let powers = self.low.floor() as i32..=self.high.ceil() as i32;
            let all = powers.flat_map(|power| digits.iter().map(move |&digit| (digit, power)));
            let inside: Vec<(u32, i32)> = all
                .filter(|&(digit, power)| {
                    (self.low..=self.high).contains(&(f64::from(power) + f64::from(digit).log10()))
                })
                .collect();
            if inside.len() >= FEWEST {
                return inside.iter().step_by(inside.len().div_ceil(MOST_TICKS)).map(tick).collect();
            }
        }
        self.round_values(10_f64.powf(self.low), 10_f64.powf(self.high), 6)
    }

    /// Multiples of a round step between two values.
    fn round_values(&self, low: f64, high: f64, most: usize) -> Vec<Tick> {
        let step = round_step((high - low) / most as f64 * 1.2);
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|i| i as f64 * step)
            .map(|value| Tick { at: self.at(value), label: between(value, step) })
            .collect()
    }
}

/// The least and the largest finite value; 0 and 1 if there is none.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low.is_finite() { (low, high) } else { (0.0, 1.0) }
}

/// The least of 1, 2 and 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0].into_iter().find(|digit| digit * power >= step * 0.999_999);
    digit.unwrap_or(10.0) * power
}

/// A value among others that are a step apart: `0.25`, `300` or `3.2e15`.
fn between(value: f64, step: f64) -> String {
    if value != 0.0 && (value.abs() >= 1e6 || step < 0.9e-4) {
        let digits = (value.abs().log10().floor() - step.log10().floor()).clamp(0.0, 6.0) as usize;
        return format!("{value:.digits$e}");
    }
    if value == 0.0 && step < 0.9e-4 {
        return "0".to_owned();
    }
    plain(value, step.log10().floor() as i32)
}

/// A number whose last digit stands for a power of ten.
fn plain(value: f64, power: i32) -> String {
    let digits = (-power).max(0) as usize;
    let shown = format!("{value:.digits$}");
    if shown.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
        shown.replace('-', "")
    } else {
        shown.replace('-', "−")
    }
}

/// `10¹⁵` or `2×10¹⁵`.
fn raised(digit: u32, power: i32) -> String {
    let raised: String = power
        .to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '0' => '⁰',
            digit => char::from_u32('⁴' as u32 + digit as u32 - '4' as u32).expect("superscripts follow each other"),
        })
        .collect();
    if digit == 1 { format!("10{raised}") } else { format!("{digit}×10{raised}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|tick| tick.label).collect()
    }

    #[track_caller]
    fn check(axis: &Axis, expected: &[&str]) {
        assert_eq!(labels(axis), expected);
        assert!(axis.ticks().iter().all(|tick| (-1e-6..=1.0 + 1e-6).contains(&tick.at)), "{axis:?}");
    }

    fn logarithmic(low: f64, high: f64) -> Axis {
        Axis::logarithmic([low, high].into_iter(), 0.0, 1.0)
    }

    #[test]
    fn superscripts() {
        assert_eq!(raised(1, 15), "10¹⁵");
        assert_eq!(raised(5, -4), "5×10⁻⁴");
        assert_eq!(raised(2, 9_876), "2×10⁹⁸⁷⁶");
    }

    #[test]
    fn logarithmic_axes_have_labels_that_can_be_told_apart() {
        check(&logarithmic(1e15, 1e18), &["10¹⁵", "10¹⁶", "10¹⁷", "10¹⁸"]);
        check(&logarithmic(3e15, 2e16), &["5×10¹⁵", "10¹⁶", "2×10¹⁶"]);
        check(&logarithmic(3.2e15, 3.4e15), &["3.0e15", "3.5e15", "4.0e15", "4.5e15"]);
        check(&logarithmic(3.0, 200.0), &["5", "10", "20", "50", "100", "200"]);
        check(&logarithmic(0.02, 0.3), &["0.02", "0.05", "0.1", "0.2"]);
        assert!(labels(&logarithmic(1e3, 1e40)).len() <= MOST_TICKS);
    }

    #[test]
    fn linear_axes_end_at_round_numbers() {
        check(&Axis::from_zero([0.31].into_iter(), 0.0, 1.0), &["0.0", "0.1", "0.2", "0.3", "0.4"]);
        check(
            &Axis::from_zero([0.047, f64::NAN].into_iter(), 0.0, 1.0),
            &["0.00", "0.01", "0.02", "0.03", "0.04", "0.05", "0.06"],
        );
        check(&Axis::around([-0.1, 0.1].into_iter(), 0.0, 1.0), &["−0.10", "−0.05", "0.00", "0.05", "0.10"]);
        check(&Axis::from_zero([7e-8].into_iter(), 0.0, 1.0), &["0", "2e-8", "4e-8", "6e-8", "8e-8"]);
        check(&Axis::doubling(8.0, 0.0, 1.0), &["1", "2", "4", "8"]);
        assert!(Axis::from_zero(std::iter::empty(), 0.0, 1.0).high() > 0.0);
    }

    #[test]
    fn places() {
        let axis = Axis::linear(0.0, 2.0, 100.0, 0.0);
        assert_eq!((axis.at(0.0), axis.at(1.0), axis.at(2.0), axis.at_held(9.0)), (100.0, 50.0, 0.0, 0.0));
    }
}

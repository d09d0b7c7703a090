//! Axes: from values to places on the page, and their ticks.

/// A linear or logarithmic axis.
#[derive(Debug)]
pub(super) struct Axis {
    /// Ends of the axis, as logarithms on a logarithmic one.
    low: f64,
    high: f64,
    /// Their places on the page.
    from: f64,
    to: f64,
    is_logarithmic: bool,
}

/// A mark with its label.
#[derive(Debug)]
pub(super) struct Tick {
    pub at: f64,
    pub label: String,
}

impl Axis {
    pub(super) fn linear(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self { low, high, from, to, is_logarithmic: false }
    }

    /// An axis with room for all values, which are above 0.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let logs: Vec<f64> = values.map(f64::log10).collect();
        let low = logs.iter().copied().fold(f64::INFINITY, f64::min);
        let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low.is_finite() { (low, high) } else { (0.0, 1.0) };
        let margin = ((high - low) * 0.06).max(0.1);
        Self { low: low - margin, high: high + margin, from, to, is_logarithmic: true }
    }

    pub(super) fn low(&self) -> f64 {
        self.low
    }

    pub(super) fn high(&self) -> f64 {
        self.high
    }

    /// The place of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.at_log(if self.is_logarithmic { value.log10() } else { value })
    }

    /// The place of a value given as its logarithm on a logarithmic axis.
    pub(super) fn at_log(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    pub(super) fn ticks(&self) -> Vec<Tick> {
        if !self.is_logarithmic {
            return (0..=5)
                .map(|i| f64::from(i) / 5.0)
                .map(|v| Tick { at: self.at(v), label: format!("{v:.1}") })
                .collect();
        }
        // Powers of ten alone if there are enough of them, else 1, 2 and 5 of each.
        let powers = self.low.floor() as i32..=self.high.ceil() as i32;
        let inside = |log: f64| (self.low..=self.high).contains(&log);
        let enough = powers.clone().filter(|&power| inside(f64::from(power))).count() >= 3;
        let digits: &[u32] = if enough { &[1] } else { &[1, 2, 5] };
        let mut ticks = vec![];
        for power in powers {
            for &digit in digits {
                let log = f64::from(power) + f64::from(digit).log10();
                if inside(log) {
                    ticks.push(Tick { at: self.at_log(log), label: label(digit, power) });
                }
            }
        }
        ticks
    }
}

/// `10¹⁵` or `2×10¹⁵`.
fn label(digit: u32, power: i32) -> String {
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

    #[test]
    fn labels() {
        assert_eq!(label(1, 15), "10¹⁵");
        assert_eq!(label(5, -4), "5×10⁻⁴");
        assert_eq!(label(2, 9_876), "2×10⁹⁸⁷⁶");
    }

    #[test]
    fn a_narrow_axis_has_ticks_between_the_powers() {
        let shown = |low: f64, high: f64| -> Vec<String> {
            Axis::logarithmic([low, high].into_iter(), 0.0, 1.0).ticks().into_iter().map(|tick| tick.label).collect()
        };
        assert_eq!(shown(1e15, 1e18), ["10¹⁵", "10¹⁶", "10¹⁷", "10¹⁸"]);
        assert_eq!(shown(3e15, 2e16), ["5×10¹⁵", "10¹⁶", "2×10¹⁶"]);
    }

    #[test]
    fn places() {
        let axis = Axis::linear(0.0, 2.0, 100.0, 0.0);
        assert_eq!((axis.at(0.0), axis.at(1.0), axis.at(2.0)), (100.0, 50.0, 0.0));
    }
}

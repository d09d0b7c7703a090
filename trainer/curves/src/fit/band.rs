//! How far a fitted curve could lie elsewhere: a parametric bootstrap.

use super::result::Fit;
use super::search::refit;
use crate::estimate::Interval;
use crate::random::Random;

impl Fit {
    /// Returns the 95 % band of a form at some logarithms of compute: accuracies are drawn from the fit with the noise
    /// that was found, and the form is fitted again, `draws` times. None if the form was not fitted.
    ///
    /// Equal seeds give equal bands. Beyond the last sample the band holds only if the form does.
    pub fn band(&self, form: &str, log10_compute: &[f64], draws: usize, seed: u64) -> Option<Vec<Interval>> {
        let form = self.form(form)?;
        let spread = self.phi2.sqrt() * self.widening;
        let spread = if self.samples.is_weighted() { spread } else { spread * form.rmse };
        let mut curves: Vec<Vec<f64>> = vec![vec![]; log10_compute.len()];
        for draw in 0..draws {
            let mut random = Random::keyed(seed.wrapping_mul(1_000_003).wrapping_add(draw as u64));
            let drawn = self.samples.mapped(0.0, |_, s| form.predict(s.x) + spread * s.sigma * random.normal());
            let Some(found) = refit(&form.found, &drawn) else { continue };
            for (values, &x) in curves.iter_mut().zip(log10_compute) {
                values.push(found.predict(x));
            }
        }
        curves.into_iter().map(|values| Interval::of_draws(values, 0.95)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::fit::fit;
    use crate::points::{Point, Series};

    #[test]
    fn the_band_of_a_line_is_that_of_its_errors() {
        // Thirteen points, σ = 0.011 each: the mean's standard error is 0.0031 and the band's half width 1.96 times it.
        let point = |i: i32| Point {
            step: 0,
            compute: 10_f64.powf(15.0 + f64::from(i) / 4.0),
            y: 0.5,
            lenient: None,
            n: Some(2000.0),
        };
        let series = Series { name: "s".to_owned(), set: "set".to_owned(), points: (0..13).map(point).collect() };
        let band = fit(&[series]).band("log_linear", &[16.5], 2000, 1).unwrap();
        let half = 0.5 * (band[0].high - band[0].low);
        assert!((half - 1.96 * 0.01118 / 13_f64.sqrt()).abs() < 4e-4, "{half}");
    }
}

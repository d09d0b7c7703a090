//! Random numbers for bootstraps and simulations: equal keys give equal numbers.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers under a key.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// Opens the stream of a key.
    pub fn keyed(key: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(key))
    }

    /// Draws from `[0, 1)`, in steps of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Draws from `0..n`; how far the values are from equally likely, at most n / 2⁶⁴, is never seen.
    ///
    /// # Panics
    ///
    /// If `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "there is nothing to draw from");
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// Draws from the normal distribution of mean 0 and variance 1 (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Draws the number of successes in `n` trials of probability `p`, exactly, in a time that grows with √n.
    ///
    /// The distribution function is inverted from the mode outwards, where the probabilities are largest.
    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if n == 0 || p <= 0.0 {
            return 0;
        }
        if p >= 1.0 {
            return n;
        }
        let odds = p / (1.0 - p);
        let mode = (((n + 1) as f64 * p) as u64).min(n);
        let at_mode = (ln_choose(n, mode) + mode as f64 * p.ln() + (n - mode) as f64 * (1.0 - p).ln()).exp();
        let mut left = self.unit() - at_mode;
        let (mut low, mut high) = ((mode, at_mode), (mode, at_mode));
        while left > 0.0 {
            let (before, after) = (low, high);
            if low.0 > 0 {
                low = (low.0 - 1, low.1 * low.0 as f64 / ((n - low.0 + 1) as f64 * odds));
                left -= low.1;
                if left <= 0.0 {
                    return low.0;
                }
            }
            if high.0 < n {
                high = (high.0 + 1, high.1 * (n - high.0) as f64 * odds / (high.0 + 1) as f64);
                left -= high.1;
                if left <= 0.0 {
                    return high.0;
                }
            }
            // Rounding can leave a last 1e-16 of probability that no value accounts for.
            if (low == before && high == after) || low.1.max(high.1) < 1e-300 {
                return mode;
            }
        }
        mode
    }
}

/// ln C(n, k).
pub(crate) fn ln_choose(n: u64, k: u64) -> f64 {
    ln_gamma(n as f64 + 1.0) - ln_gamma(k as f64 + 1.0) - ln_gamma((n - k) as f64 + 1.0)
}

/// ln Γ(x) for x > 0, to about 1e-13: Stirling's series after shifting x above 12.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    let mut shift = 0.0;
    let mut x = x;
    while x < 12.0 {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gamma_function_of_whole_and_half_numbers() {
        for (x, expected) in [(1.0, 0.0), (5.0, 24_f64.ln()), (0.5, std::f64::consts::PI.sqrt().ln())] {
            assert!((ln_gamma(x) - expected).abs() < 1e-12, "{x}");
        }
        assert!((ln_choose(200, 100) - 9.054_851_465_610_328e58_f64.ln()).abs() < 1e-10);
    }

    #[test]
    fn binomial_mean_and_variance() {
        // 20 000 draws: mean ± 4.5 standard errors; the variance's own standard error is 1 %.
        for (n, p) in [(1_u64, 0.3), (20, 0.05), (1319, 0.5), (16_000, 0.93)] {
            let mut random = Random::keyed(7);
            let draws: Vec<f64> = (0..20_000).map(|_| random.binomial(n, p) as f64).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            let expected = n as f64 * p * (1.0 - p);
            assert!((mean - n as f64 * p).abs() < 4.5 * (expected / 20_000.0).sqrt(), "{n} {p}: mean {mean}");
            assert!((variance / expected - 1.0).abs() < 0.05, "{n} {p}: variance {variance}");
        }
    }

    #[test]
    fn certain_outcomes() {
        let mut random = Random::keyed(1);
        assert_eq!((random.binomial(10, 0.0), random.binomial(10, 1.0), random.binomial(0, 0.5)), (0, 10, 0));
    }
}

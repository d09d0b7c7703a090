//! Random numbers that depend on their key alone.
//!
//! Every random decision of a run is drawn from a generator keyed by what it is about (seed, step, task, rollout,
//! position), so that it depends neither on the order of evaluation nor on a restart. ChaCha8 is counter-based: any
//! position of any key is reached at once.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// A stream of random numbers under a key of four words.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// Opens the stream of a key at its beginning.
    pub fn keyed(key: [u64; 4]) -> Self {
        let mut seed = [0; 32];
        for (bytes, word) in seed.chunks_exact_mut(8).zip(key) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// Moves to the number at a position, counted in 64-bit numbers from the beginning.
    pub fn seek(&mut self, position: u64) {
        self.0.set_word_pos(u128::from(position) * 2);
    }

    /// Draws 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Draws from `[0, 1)`, in steps of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Draws from `0..n`, each value equally likely (Lemire 2019, arXiv:1805.10941, without the division).
    ///
    /// # Panics
    ///
    /// If `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "there is nothing to draw from");
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.bits()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// Draws from `low..=high`.
    ///
    /// # Panics
    ///
    /// If `low` is above `high`.
    pub fn range(&mut self, low: i64, high: i64) -> i64 {
        assert!(low <= high, "the range {low}..={high} is empty");
        low + self.below(high.abs_diff(low) + 1) as i64
    }

    /// Draws one of the items.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Puts the items into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

/// Turns text into a word of a key: the first eight bytes of its SHA-256.
pub fn key_of(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_reached_from_anywhere() {
        let mut straight = Random::keyed([1, 2, 3, 4]);
        let drawn: Vec<u64> = (0..100).map(|_| straight.bits()).collect();
        let mut sought = Random::keyed([1, 2, 3, 4]);
        for position in [99, 0, 63, 64, 7] {
            sought.seek(position);
            assert_eq!(sought.bits(), drawn[position as usize]);
        }
    }

    #[test]
    fn streams_of_different_keys_differ() {
        let first = |key| Random::keyed(key).bits();
        let keys = [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]];
        for (i, &a) in keys.iter().enumerate() {
            for &b in &keys[..i] {
                assert_ne!(first(a), first(b), "{a:?} and {b:?}");
            }
        }
    }

    /// χ² of 6 000 draws of `below(6)` with a fixed seed; 5 degrees of freedom, false alarm 1 in 1 000 at 20.5.
    #[test]
    fn below_is_uniform() {
        let mut random = Random::keyed([7, 0, 0, 0]);
        let mut counts = [0_u32; 6];
        for _ in 0..6000 {
            counts[random.below(6) as usize] += 1;
        }
        let chi2: f64 = counts.iter().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi2 < 20.5, "χ² is {chi2} for {counts:?}");
    }

    #[test]
    fn a_range_reaches_both_ends() {
        let mut random = Random::keyed([8, 0, 0, 0]);
        let drawn: std::collections::BTreeSet<i64> = (0..200).map(|_| random.range(-2, 2)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [-2, -1, 0, 1, 2]);
    }
}

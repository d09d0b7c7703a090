//! The step of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101), in one pass over memory.

use pulp::{Simd, WithSimd};

use crate::rows::LANES;
use crate::team::Team;

/// Numbers handled by one piece of work; sums are added up in its order.
const PIECE: usize = 1 << 14;

/// A step for one parameter.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// The learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decay of the weight.
    pub decay: f64,
    /// What gradients are multiplied by.
    pub scale: f64,
    /// `1 − beta1ᵗ` and `1 − beta2ᵗ` at step `t`.
    pub corrections: (f64, f64),
}

/// A parameter with what the optimiser keeps of it, all of one length.
#[derive(Debug)]
pub struct Moments<'a> {
    /// The parameter.
    pub weight: &'a mut [f32],
    /// Its gradient.
    pub gradient: &'a [f32],
    /// The first moment.
    pub first: &'a mut [f32],
    /// The second moment.
    pub second: &'a mut [f32],
}

/// Sums of squares, before the step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Squares {
    /// Of the change of the weight, over `lr²`.
    pub change: f64,
    /// Of the weight.
    pub weight: f64,
}

impl AdamW {
    /// Updates a parameter and its moments.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    pub fn step(&self, team: &Team, parameter: Moments<'_>) -> Squares {
        let Moments { weight, gradient, first, second } = parameter;
        let n = weight.len();
        assert!([gradient.len(), first.len(), second.len()] == [n; 3], "a moment for each weight");
        let arch = team.arch();
        let mut squares = vec![Squares::default(); n.div_ceil(PIECE)];
        let moments = first.chunks_mut(PIECE).zip(second.chunks_mut(PIECE));
        let pieces = weight.chunks_mut(PIECE).zip(gradient.chunks(PIECE)).zip(moments).zip(&mut squares);
        team.for_each(pieces, |(((weight, gradient), (first, second)), squares)| {
            *squares = arch.dispatch(Step { adam: self, of: Moments { weight, gradient, first, second } });
        });
        squares.iter().fold(Squares::default(), |sum, piece| Squares {
            change: sum.change + piece.change,
            weight: sum.weight + piece.weight,
        })
    }
}

/// Computes the sum of squares.
pub fn square_sum(team: &Team, numbers: &[f32]) -> f64 {
    let arch = team.arch();
    let mut sums = vec![0.0; numbers.len().div_ceil(PIECE)];
    team.for_each(numbers.chunks(PIECE).zip(&mut sums), |(numbers, sum)| *sum = arch.dispatch(SquareSum(numbers)));
    sums.iter().sum()
}

struct SquareSum<'a>(&'a [f32]);

impl WithSimd for SquareSum<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let (vectors, rest) = S::as_simd_f32s(self.0);
        let mut sums = [simd.splat_f32s(0.0); 4];
        for vectors in vectors.chunks(4) {
            vectors.iter().zip(&mut sums).for_each(|(&x, sum)| *sum = simd.mul_add_f32s(x, x, *sum));
        }
        let sums = sums.map(|sum| f64::from(simd.reduce_sum_f32s(sum)));
        sums.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()
    }
}

struct Step<'a> {
    adam: &'a AdamW,
    of: Moments<'a>,
}

impl WithSimd for Step<'_> {
    type Output = Squares;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Squares {
        let Moments { weight, gradient, first, second } = self.of;
        let whole = weight.len() - weight.len() % LANES;
        let ((weight, weight_rest), (gradient, gradient_rest)) = (weight.split_at_mut(whole), gradient.split_at(whole));
        let ((first, first_rest), (second, second_rest)) = (first.split_at_mut(whole), second.split_at_mut(whole));
        let mut squares = self.adam.vectors(simd, Moments { weight, gradient, first, second });
        if !weight_rest.is_empty() {
            // The last few numbers, with zeros behind them.
            let mut filled = [[0.0; LANES]; 4];
            let rest = [&*weight_rest, gradient_rest, first_rest, second_rest];
            filled.iter_mut().zip(rest).for_each(|(to, from)| to[..from.len()].copy_from_slice(from));
            let [w, g, m, v] = &mut filled;
            let last = self.adam.vectors(simd, Moments { weight: w, gradient: g, first: m, second: v });
            squares = Squares { change: squares.change + last.change, weight: squares.weight + last.weight };
            for (to, from) in [weight_rest, first_rest, second_rest].into_iter().zip([&*w, m, v]) {
                to.copy_from_slice(&from[..to.len()]);
            }
        }
        squares
    }
}

impl AdamW {
    #[inline(always)]
    fn vectors<S: Simd>(&self, simd: S, of: Moments<'_>) -> Squares {
        let Moments { weight, gradient, first, second } = of;
        let number = |value: f64| simd.splat_f32s(value as f32);
        let (keep1, keep2) = (number(self.beta1), number(self.beta2));
        let (take1, take2) = (number((1.0 - self.beta1) * self.scale), number(1.0 - self.beta2));
        let (scale, epsilon) = (number(self.scale), number(self.epsilon));
        let (inverse1, root2) = (number(self.corrections.0.recip()), number(self.corrections.1.sqrt().recip()));
        let (decay, lr) = (number(self.decay), number(self.lr));
        let (mut change, mut size) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
        let moments = S::as_mut_simd_f32s(first).0.iter_mut().zip(S::as_mut_simd_f32s(second).0);
        let weights = S::as_mut_simd_f32s(weight).0.iter_mut().zip(S::as_simd_f32s(gradient).0);
        for ((w, &g), (m, v)) in weights.zip(moments) {
            *m = simd.mul_add_f32s(keep1, *m, simd.mul_f32s(take1, g));
            let scaled = simd.mul_f32s(g, scale);
            *v = simd.mul_add_f32s(keep2, *v, simd.mul_f32s(take2, simd.mul_f32s(scaled, scaled)));
            let root = simd.mul_add_f32s(simd.sqrt_f32s(*v), root2, epsilon);
            let step = simd.mul_add_f32s(decay, *w, simd.div_f32s(simd.mul_f32s(*m, inverse1), root));
            change = simd.mul_add_f32s(step, step, change);
            size = simd.mul_add_f32s(*w, *w, size);
            *w = simd.sub_f32s(*w, simd.mul_f32s(step, lr));
        }
        Squares { change: f64::from(simd.reduce_sum_f32s(change)), weight: f64::from(simd.reduce_sum_f32s(size)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_formula_in_float64() {
        let n = PIECE + 37;
        let number = |i: usize| (i * 2_654_435_761 % 1000) as f32 / 500.0 - 1.0;
        let start = |seed: usize| (0..n).map(|i| number(i + seed)).collect::<Vec<f32>>();
        let (mut weight, gradient, mut first) = (start(1), start(2), start(3));
        let mut second: Vec<f32> = start(4).iter().map(|x| x.abs() + 0.01).collect();
        let (w0, m0, v0) = (weight.clone(), first.clone(), second.clone());
        let adam = AdamW {
            lr: 0.01,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            decay: 0.1,
            scale: 0.5,
            corrections: (0.271, 0.142_625),
        };
        let team = Team::new(2);
        let of = Moments { weight: &mut weight, gradient: &gradient, first: &mut first, second: &mut second };
        let squares = adam.step(&team, of);
        let (mut change, mut size) = (0.0, 0.0);
        for i in 0..n {
            let [w, g, m, v] = [w0[i], gradient[i], m0[i], v0[i]].map(f64::from);
            let (m, v) = (0.9 * m + 0.1 * 0.5 * g, 0.95 * v + 0.05 * 0.25 * g * g);
            let step = m / 0.271 / ((v / 0.142_625).sqrt() + 1e-8) + 0.1 * w;
            (change, size) = (change + step * step, size + w * w);
            for (ours, expected) in [(weight[i], w - 0.01 * step), (first[i], m), (second[i], v)] {
                assert!((f64::from(ours) - expected).abs() < 1e-6, "{i}: {ours} for {expected}");
            }
        }
        assert!((squares.change / change - 1.0).abs() < 1e-5 && (squares.weight / size - 1.0).abs() < 1e-5);
        assert!((square_sum(&team, &w0) / size - 1.0).abs() < 1e-5);
    }
}

//! The exponential function of a vector.

use pulp::Simd;

/// Computes `exp(x)` to within 2 units in the last place; below −87 it is held at about 1e-38, above 88 at about 1e38.
///
/// `x = n ln 2 + r` with `|r| ≤ ln 2 / 2`; `exp(r)` by its Taylor polynomial of degree 7 (error 2⁻²⁵ at the ends), and
/// `2ⁿ` by writing `n` into the exponent. ln 2 comes in two parts so that `r` loses no bits (Cody and Waite 1980).
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let number = |value: f32| simd.splat_f32s(value);
    let x = simd.min_f32s(simd.max_f32s(x, number(-87.0)), number(88.0));
    // Adding 1.5 · 2²³ rounds to an integer, which then stands in the low bits.
    let magic = number(12_582_912.0);
    let shifted = simd.mul_add_f32s(x, number(std::f32::consts::LOG2_E), magic);
    let n = simd.sub_f32s(shifted, magic);
    let r = simd.mul_add_f32s(n, number(-0.693_359_4), x);
    let r = simd.mul_add_f32s(n, number(2.121_944_4e-4), r);
    let mut sum = number(1.0 / 5040.0);
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = simd.mul_add_f32s(sum, r, number(coefficient));
    }
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(sum), exponent))
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct All<'a>(&'a mut [f32]);

    impl WithSimd for All<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            S::as_mut_simd_f32s(self.0).0.iter_mut().for_each(|x| *x = exp(simd, *x));
        }
    }

    #[test]
    fn two_units_in_the_last_place() {
        let inputs: Vec<f32> = (0..160_000).map(|i| i as f32 * 1e-3 - 80.0).collect();
        let mut outputs = inputs.clone();
        Arch::new().dispatch(All(&mut outputs));
        for (x, y) in inputs.iter().zip(outputs) {
            let expected = f64::from(*x).exp();
            assert!((f64::from(y) / expected - 1.0).abs() < 2.4e-7, "exp({x}) is {expected}, not {y}");
        }
    }

    #[test]
    fn far_out_it_stays_finite() {
        let mut values = [f32::NEG_INFINITY, -1000.0, 0.0, 1000.0].repeat(4);
        Arch::new().dispatch(All(&mut values));
        assert!(values[0] < 2e-38 && values[1] < 2e-38 && values[2] == 1.0 && values[3].is_finite(), "{values:?}");
    }
}

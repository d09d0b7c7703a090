//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864), in the half-split layout of Hugging Face.

use tch::{Device, Kind, Tensor};

use crate::architecture::{Rope, RopeScaling};

/// The cosines and sines of some positions, for both halves of a head: `[N, 1, head_dim]` each, float32.
#[derive(Debug)]
pub(crate) struct Rotation {
    cos: Tensor,
    /// Negative for the first half, which turns towards the second.
    sin: Tensor,
}

impl Rotation {
    /// Computes the rotation at the positions `[N]`, by frequencies `[head_dim / 2]` on the same device.
    pub(crate) fn at(positions: &Tensor, frequencies: &Tensor) -> Self {
        let angles = positions.to_kind(Kind::Float).unsqueeze(-1) * frequencies; // [N, head_dim / 2]
        let angles = angles.unsqueeze(1);
        let (cos, sin) = (angles.cos(), angles.sin());
        Self { cos: Tensor::cat(&[&cos, &cos], -1), sin: Tensor::cat(&[&sin.neg(), &sin], -1) }
    }

    /// Rotates the heads `[N, H, head_dim]` of each position: pairs are (i, i + head_dim / 2).
    pub(crate) fn apply(&self, heads: &Tensor) -> Tensor {
        let half = heads.size()[2] / 2;
        // In float32, whatever the kind of the heads.
        let rotated = heads * &self.cos + heads.roll([half], [-1]) * &self.sin;
        rotated.to_kind(heads.kind())
    }
}

/// Returns the `head_dim / 2` angular frequencies, radians per position.
///
/// Each step rounds to float32 as transformers does: over thousands of positions the difference would show.
pub(crate) fn frequencies(rope: &Rope, head_dim: i64) -> Vec<f32> {
    let exponents =
        Tensor::arange_start_step(0, head_dim, 2, (Kind::Int64, Device::Cpu)).to_kind(Kind::Float) / head_dim as f64;
    let plain = Tensor::pow_scalar(rope.theta, &exponents).reciprocal();
    let mut values = vec![0.0_f32; plain.numel()];
    plain.copy_data(&mut values, plain.numel());
    for value in &mut values {
        *value = stretch(*value, &rope.scaling);
    }
    values
}

fn stretch(frequency: f32, scaling: &RopeScaling) -> f32 {
    match *scaling {
        RopeScaling::None => frequency,
        RopeScaling::Linear { factor } => frequency / factor as f32,
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => {
            let wavelength = 2.0 * std::f32::consts::PI / frequency;
            if wavelength > (original_positions / low_freq_factor) as f32 {
                frequency / factor as f32
            } else if wavelength < (original_positions / high_freq_factor) as f32 {
                frequency
            } else {
                let kept = (original_positions as f32 / wavelength - low_freq_factor as f32)
                    / (high_freq_factor - low_freq_factor) as f32;
                (1.0 - kept) * frequency / factor as f32 + kept * frequency
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_turn() {
        // With head_dim 2 the only frequency is 1 radian per position.
        let rope = Rope { theta: 10_000.0, scaling: RopeScaling::None };
        let frequencies = Tensor::from_slice(&frequencies(&rope, 2));
        let rotation = Rotation::at(&Tensor::from_slice(&[0_i64, 2]), &frequencies);
        let heads = Tensor::from_slice(&[1.0_f32, 0.0, 1.0, 0.0]).view([2, 1, 2]);
        let rotated = rotation.apply(&heads);
        let at = |row, i| rotated.double_value(&[row, 0, i]);
        assert_eq!((at(0, 0), at(0, 1)), (1.0, 0.0));
        assert!((at(1, 0) - 2.0_f64.cos()).abs() < 1e-6 && (at(1, 1) - 2.0_f64.sin()).abs() < 1e-6);
    }

    #[test]
    fn llama3_keeps_high_frequencies_and_divides_low_ones() {
        let scaling =
            RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_positions: 64.0 };
        assert_eq!(stretch(1.0, &scaling), 1.0); // wavelength 6.3, below 16
        assert_eq!(stretch(0.01, &scaling), 0.01 / 8.0); // wavelength 628, above 64
        let between = stretch(0.2, &scaling); // wavelength 31.4: 64 / 31.4 = 2.04 of the way from 1 to 4
        let kept = (64.0 / 31.415_93 - 1.0) / 3.0;
        assert!((between - (0.2 * (1.0 - kept) / 8.0 + 0.2 * kept)).abs() < 1e-6);
    }
}

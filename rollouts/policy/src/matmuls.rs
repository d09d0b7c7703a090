//! The weight matrices multiplied alone: the limit that decoding cannot pass while it multiplies in this way.

use rlvr_cpu::{Model, Rows, Team};
use tch::{Kind, Tensor};

use crate::linear::linear;
use crate::logprob::logits;
use crate::transformer::Transformer;

impl Transformer {
    /// Returns a function that multiplies every weight matrix once with as many rows as given, in the way that decoding
    /// does, and does nothing else: no attention, no norms, no sampling.
    ///
    /// The time of a call is the least that one decoded token of every row can take. On a GPU the call only asks for it.
    pub fn matmuls(&self, rows: usize) -> Box<dyn FnMut() + '_> {
        match self.decoder() {
            Some(model) => native(model, rows),
            None => Box::new(move || drop(self.matmuls_only(rows as i64))),
        }
    }

    /// Multiplies by libtorch; returns the logits of the made-up rows.
    fn matmuls_only(&self, rows: i64) -> Tensor {
        let _guard = tch::no_grad_guard();
        let architecture = self.architecture();
        let weights = self.weights();
        let input = |width: i64, kind: Kind| Tensor::ones([rows, width], (kind, self.device()));
        let kind = weights.kind();
        let residual = input(architecture.hidden_size, kind);
        let mixed = input(architecture.n_heads * architecture.head_dim, kind);
        let inner = input(architecture.intermediate_size, kind);
        for layer in &weights.layers {
            let _ = linear(&residual, &layer.attention.qkv, None);
            let _ = linear(&mixed, &layer.attention.out, None);
            let _ = linear(&residual, &layer.mlp.gate_up, None);
            let _ = linear(&inner, &layer.mlp.down, None);
        }
        logits(&residual, self.weights().head())
    }
}

/// Multiplies by `rlvr-cpu`, with threads and memory that are there before.
fn native(model: Model<'_>, rows: usize) -> Box<dyn FnMut() + '_> {
    let team = Team::new(tch::get_num_threads().max(1) as usize);
    let sizes = &model.sizes;
    let zeros = |n_features| Rows::zeros(rows, n_features);
    let (residual, mixed) = (zeros(sizes.hidden_size), zeros(sizes.n_heads * sizes.head_dim));
    let inner = zeros(sizes.intermediate_size);
    let (mut qkv, mut out) = (zeros((sizes.n_heads + 2 * sizes.n_kv_heads) * sizes.head_dim), zeros(sizes.hidden_size));
    let (mut gate_up, mut logits) = (zeros(2 * sizes.intermediate_size), zeros(model.head.n_out()));
    Box::new(move || {
        for layer in &model.layers {
            layer.attention.qkv.set(&team, &residual, &mut qkv);
            layer.attention.out.set(&team, &mixed, &mut out);
            layer.gate_up.set(&team, &residual, &mut gate_up);
            layer.down.set(&team, &inner, &mut out);
        }
        model.head.set(&team, &residual, &mut logits);
    })
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::preset::{Preset, Vocabulary};
    use crate::weights::Weights;

    #[test]
    fn the_head_comes_last() {
        let vocabulary = Vocabulary { size: 11, eos: 0, pad: 0 };
        let architecture = Preset::default().architecture(vocabulary).unwrap();
        let weights = Weights::random(&architecture, 1, Device::Cpu);
        let expected = weights.head().sum_dim_intlist(1, false, Kind::Float);
        let logits = Transformer::new(architecture, weights).matmuls_only(3);
        assert_eq!(logits.size(), [3, 11]);
        let difference = (logits - expected).abs().max().double_value(&[]);
        assert!(difference < 1e-4, "{difference}");
    }

    #[test]
    fn sizes_fit_in_both_ways() {
        let vocabulary = Vocabulary { size: 11, eos: 0, pad: 0 };
        let architecture = Preset::default().architecture(vocabulary).unwrap();
        let weights = Weights::random(&architecture, 1, Device::Cpu);
        let transformer = Transformer::new(architecture, weights);
        assert!(transformer.on_cpu().is_some());
        transformer.matmuls(3)(); // a product whose sizes do not fit panics
        assert_eq!(transformer.matmuls_only(3).size(), [3, 11]);
    }
}

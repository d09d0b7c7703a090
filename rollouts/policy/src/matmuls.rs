//! The weight matrices multiplied alone: the limit that decoding cannot pass while it multiplies in this way.

use tch::{Kind, Tensor};

use crate::linear::linear;
use crate::transformer::Transformer;

impl Transformer {
    /// Multiplies every weight matrix once with as many rows as given, through the entry that decoding uses, and does
    /// nothing else: no attention, no norms, no sampling.
    ///
    /// The time of a call is the least that one decoded token of every row can take. Returns the logits of the made-up
    /// rows, so that a device can be waited for.
    pub fn matmuls_only(&self, rows: i64) -> Tensor {
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
        self.logits(&residual)
    }
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
}

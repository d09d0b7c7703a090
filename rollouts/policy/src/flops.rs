//! What a forward pass costs, in model FLOPs.
//!
//! One forward pass over a sequence of `T` tokens takes `F(T) = 2 N T + 2 L d T²` floating-point operations: `N` matrix
//! parameters with the head and without the embedding, `L` layers, `d` = query heads × head width, attention causal (half
//! of `4 L d T²`). Grouped keys do not shrink attention. A backward pass takes twice as much. Recomputation is work of
//! the hardware, not of the model, and is not counted. Same formula as PaLM (Chowdhery et al. 2022, arXiv:2204.02311,
//! appendix B) with the causal half and without the embedding.

use crate::architecture::Architecture;

impl Architecture {
    /// Returns `N`, the parameters that take part in matrix products; a tied head counts once.
    pub fn n_matmul_parameters(&self) -> u64 {
        let (d, ff) = (self.hidden_size, self.intermediate_size);
        let attention = 2 * d * self.n_heads * self.head_dim + 2 * d * self.n_kv_heads * self.head_dim;
        (self.n_layers * (attention + 3 * d * ff) + self.vocab_size * d) as u64
    }

    /// Returns `F(T)`, the operations of a forward pass over a sequence of `n_tokens`.
    pub fn forward_flops(&self, n_tokens: usize) -> f64 {
        let tokens = n_tokens as f64;
        let attention = 2.0 * (self.n_layers * self.n_heads * self.head_dim) as f64;
        2.0 * self.n_matmul_parameters() as f64 * tokens + attention * tokens * tokens
    }

    /// Returns the operations of forwarding completions after a shared prompt: `F(P) + Σ [F(P + R) − F(P)]`.
    pub fn group_flops(&self, n_prompt: usize, completions: impl IntoIterator<Item = usize>) -> f64 {
        let prompt = self.forward_flops(n_prompt);
        completions.into_iter().fold(prompt, |sum, n| sum + self.forward_flops(n_prompt + n) - prompt)
    }
}

//! What forward passes cost, in model FLOPs: by the formula of the axis, and exactly, part by part.
//!
//! The axis of curves is the formula that other people's figures can be compared with: a forward pass over a sequence of
//! `T` tokens takes `F(T) = 2 N T + 2 L d T²` floating-point operations: `N` matrix parameters with the head and without
//! the embedding, `L` layers, `d` = query heads × head width, attention causal (half of `4 L d T²`). Grouped keys do not
//! shrink attention. A backward pass takes twice as much. Same formula as PaLM (Chowdhery et al. 2022, arXiv:2204.02311,
//! appendix B) with the causal half and without the embedding.
//!
//! The exact counts are those multiplications and additions of matrix products and attention that a pass needs: a query
//! at position `i` looks at `i + 1` keys, the head is applied only where logits are wanted, and the last token of a
//! completion is a target alone. They fall below the formula where prompts are long, since most prompt tokens need no
//! head.
//!
//! Either way recomputation and padding are work of the hardware, not of the model, and are not counted; nor are norms,
//! rotations, softmax and biases, which are no matrix products.

use crate::architecture::Architecture;

impl Architecture {
    /// Returns `N`, the parameters that take part in matrix products; a tied head counts once.
    pub fn n_matmul_parameters(&self) -> u64 {
        (self.n_layers * self.n_layer_parameters() + self.vocab_size * self.hidden_size) as u64
    }

    /// Matrix parameters of one layer.
    fn n_layer_parameters(&self) -> i64 {
        let (d, ff) = (self.hidden_size, self.intermediate_size);
        let attention = 2 * d * self.n_heads * self.head_dim + 2 * d * self.n_kv_heads * self.head_dim;
        attention + 3 * d * ff
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

    /// Returns the exact operations of prefilling a prompt: all its tokens, and the head after the last.
    pub fn prefill_flops(&self, n_prompt: usize) -> f64 {
        self.layers_flops(0, n_prompt) + self.head_flops(1)
    }

    /// Returns the exact operations of decoding a completion after its prompt. Its first token is drawn from the logits
    /// of the prefill; each further one forwards the one before.
    pub fn decode_flops(&self, n_prompt: usize, n_completion: usize) -> f64 {
        let n_forward = n_completion.saturating_sub(1);
        self.layers_flops(n_prompt, n_forward) + self.head_flops(n_forward)
    }

    /// Returns the exact operations of scoring completions after a shared prompt: the prompt once, of each completion all
    /// tokens but the last, and the head for every completion token. A backward pass takes twice as much.
    pub fn scoring_flops(&self, n_prompt: usize, completions: impl IntoIterator<Item = usize>) -> f64 {
        let of_completion = |n: usize| self.layers_flops(n_prompt, n.saturating_sub(1)) + self.head_flops(n);
        completions.into_iter().map(of_completion).sum::<f64>() + self.layers_flops(0, n_prompt)
    }

    /// `n` tokens after `before` others through all layers: 2 operations a parameter, and for each key that a query looks
    /// at 2 for the score and 2 for the value, per channel.
    fn layers_flops(&self, before: usize, n: usize) -> f64 {
        let (before, n) = (before as f64, n as f64);
        let n_keys = n * before + n * (n + 1.0) / 2.0;
        let per_key = 4.0 * (self.n_heads * self.head_dim) as f64;
        self.n_layers as f64 * (2.0 * self.n_layer_parameters() as f64 * n + per_key * n_keys)
    }

    fn head_flops(&self, n_rows: usize) -> f64 {
        2.0 * (self.vocab_size * self.hidden_size) as f64 * n_rows as f64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::preset::{Preset, Vocabulary};
    use crate::rope::{Rotation, frequencies};
    use crate::transformer::Transformer;
    use crate::weights::Weights;

    fn preset(family: &str, tied_head: bool) -> Architecture {
        let preset = Preset {
            family: family.to_owned(),
            hidden_size: 12,
            intermediate_size: 20,
            n_layers: 2,
            n_heads: 3,
            n_kv_heads: 1,
            max_positions: 32,
            tied_head,
            ..Preset::default()
        };
        preset.architecture(Vocabulary { size: 17, eos: 16, pad: 16 }).unwrap()
    }

    /// A transformer in plain loops that counts the operations of every product as it does them.
    struct Walk {
        architecture: Architecture,
        weights: BTreeMap<String, (Vec<f64>, Vec<i64>)>,
        flops: f64,
    }

    /// Keys and values of each layer, a row a position.
    type Past = Vec<(Vec<Vec<f64>>, Vec<Vec<f64>>)>;

    impl Walk {
        fn new(transformer: &Transformer) -> Self {
            let plain = |tensor: &Tensor| Vec::<f64>::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap();
            let named = transformer.weights().parameters().into_iter();
            let weights = named.map(|p| (p.name, (plain(&p.tensor), p.tensor.size()))).collect();
            Self { architecture: transformer.architecture().clone(), weights, flops: 0.0 }
        }

        /// y = W x + b, a multiplication and an addition for each weight.
        fn product(&mut self, name: &str, x: &[f64]) -> Vec<f64> {
            let (matrix, shape) = &self.weights[name];
            let mut y = vec![0.0; shape[0] as usize];
            for (row, y) in y.iter_mut().enumerate() {
                for (column, x) in x.iter().enumerate() {
                    *y += matrix[row * x_len(shape) + column] * x;
                    self.flops += 2.0;
                }
            }
            if let Some((bias, _)) = self.weights.get(&format!("{name}_bias")) {
                y.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
            y
        }

        fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
            let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
            let scale = 1.0 / (mean + self.architecture.norm_eps).sqrt();
            x.iter().zip(&self.weights[name].0).map(|(x, w)| x * scale * w).collect()
        }

        fn heads(&self, x: &[f64], norm: &str, position: usize) -> Vec<f64> {
            let d = self.architecture.head_dim as usize;
            let frequencies = frequencies(&self.architecture.rope, self.architecture.head_dim);
            let frequencies = Tensor::from_slice(&frequencies);
            let rotation = Rotation::at(&Tensor::from_slice(&[position as i64]), &frequencies);
            let normed: Vec<f64> = match self.weights.contains_key(norm) {
                true => x.chunks(d).flat_map(|head| self.norm(norm, head)).collect(),
                false => x.to_vec(),
            };
            let rotated = rotation.apply(&Tensor::from_slice(&normed).view([1, -1, d as i64]));
            Vec::<f64>::try_from(rotated.to_kind(Kind::Double).flatten(0, -1)).unwrap()
        }

        /// Forwards one token after its past; returns the last hidden state.
        fn token(&mut self, id: u32, past: &mut Past) -> Vec<f64> {
            let (d, width) = (self.architecture.head_dim as usize, self.architecture.hidden_size as usize);
            let (n_heads, n_kv) = (self.architecture.n_heads as usize, self.architecture.n_kv_heads as usize);
            let position = past[0].0.len();
            let mut x = self.weights["embedding"].0[id as usize * width..][..width].to_vec();
            for (layer, of_layer) in past.iter_mut().enumerate() {
                let name = |part: &str| format!("layers.{layer}.{part}");
                let normed = self.norm(&name("attention_norm"), &x);
                let qkv = self.product(&name("attention.qkv"), &normed);
                let (q, kv) = qkv.split_at(n_heads * d);
                let (k, v) = kv.split_at(n_kv * d);
                let q = self.heads(q, &name("attention.q_norm"), position);
                of_layer.0.push(self.heads(k, &name("attention.k_norm"), position));
                of_layer.1.push(v.to_vec());
                let mut mixed = vec![0.0; n_heads * d];
                for head in 0..n_heads {
                    let of = head / (n_heads / n_kv) * d;
                    let scores = of_layer.0.iter().map(|k| {
                        let mut score = 0.0;
                        for i in 0..d {
                            score += q[head * d + i] * k[of + i];
                            self.flops += 2.0;
                        }
                        (score / (d as f64).sqrt()).exp()
                    });
                    let scores: Vec<f64> = scores.collect();
                    let total: f64 = scores.iter().sum();
                    for (score, v) in scores.iter().zip(&of_layer.1) {
                        for i in 0..d {
                            mixed[head * d + i] += score / total * v[of + i];
                            self.flops += 2.0;
                        }
                    }
                }
                let out = self.product(&name("attention.out"), &mixed);
                x.iter_mut().zip(out).for_each(|(x, y)| *x += y);
                let normed = self.norm(&name("mlp_norm"), &x);
                let gate_up = self.product(&name("mlp.gate_up"), &normed);
                let (gate, up) = gate_up.split_at(gate_up.len() / 2);
                let inner: Vec<f64> = gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
                let down = self.product(&name("mlp.down"), &inner);
                x.iter_mut().zip(down).for_each(|(x, y)| *x += y);
            }
            self.norm("norm", &x)
        }

        fn logits(&mut self, hidden: &[f64]) -> Vec<f64> {
            let head = if self.architecture.tied_head { "embedding" } else { "head" };
            self.product(head, hidden)
        }

        fn empty(&self) -> Past {
            vec![(vec![], vec![]); self.architecture.n_layers as usize]
        }

        /// Counts what some work takes.
        fn count<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> (f64, T) {
            let before = self.flops;
            let result = work(self);
            (self.flops - before, result)
        }
    }

    fn x_len(shape: &[i64]) -> usize {
        shape[1] as usize
    }

    /// The counts are those of a walk over every multiplication and addition, and the walk is the transformer: it ends at
    /// the same logits.
    #[test]
    fn exact_counts_are_those_of_a_walk_in_loops() {
        for (family, tied) in [("llama", true), ("llama", false), ("qwen2", true), ("qwen3", false)] {
            let architecture = preset(family, tied);
            let transformer = Transformer::new(architecture.clone(), Weights::random(&architecture, 3, Device::Cpu));
            for parameter in transformer.weights().parameters() {
                let _ = parameter.tensor.detach().g_mul_scalar_(if parameter.is_inner_matrix { 12.0 } else { 1.0 });
            }
            let mut walk = Walk::new(&transformer);
            let (prompt, completions) = ([3_u32, 1, 4, 1, 5], [vec![9_u32, 2, 6], vec![5, 3], vec![8]]);

            let (prefill, (past, logits)) = walk.count(|walk| {
                let mut past = walk.empty();
                let last = prompt.iter().map(|&id| walk.token(id, &mut past)).last().unwrap();
                let logits = walk.logits(&last);
                (past, logits)
            });
            assert_eq!(architecture.prefill_flops(5), prefill, "{family}: prefill");
            let expected = transformer.prefill(&[&prompt]).1.to_kind(Kind::Double);
            for (i, logit) in logits.iter().enumerate() {
                let theirs = expected.double_value(&[0, i as i64]);
                assert!((logit - theirs).abs() < 1e-4 * (1.0 + theirs.abs()), "{family}: {logit} against {theirs}");
            }

            for completion in &completions {
                let (decode, ()) = walk.count(|walk| {
                    let mut past = past.clone();
                    for &id in &completion[..completion.len() - 1] {
                        let hidden = walk.token(id, &mut past);
                        walk.logits(&hidden);
                    }
                });
                assert_eq!(architecture.decode_flops(5, completion.len()), decode, "{family}: decode");
            }

            let (score, ()) = walk.count(|walk| {
                let mut past = walk.empty();
                let last = prompt.iter().map(|&id| walk.token(id, &mut past)).last().unwrap();
                for completion in &completions {
                    let mut past = past.clone();
                    let mut hidden = last.clone();
                    for i in 0..completion.len() {
                        walk.logits(&hidden); // predicts completion[i]
                        if i + 1 < completion.len() {
                            hidden = walk.token(completion[i], &mut past);
                        }
                    }
                }
            });
            let lengths = completions.iter().map(Vec::len);
            assert_eq!(architecture.scoring_flops(5, lengths), score, "{family}: scoring");
        }
    }

    /// The gradient of y = W x takes a product for x and one for W, each as dear as y itself; the same holds for the two
    /// products of attention.
    #[test]
    fn a_backward_pass_is_two_forward_passes() {
        let (rows, columns) = (4, 3);
        let (mut forward, mut backward) = (0, 0);
        for _ in 0..rows * columns {
            forward += 2; // y_i += W_ij x_j
            backward += 2; // dx_j += W_ij dy_i
            backward += 2; // dW_ij += dy_i x_j
        }
        assert_eq!(backward, 2 * forward);
    }

    #[test]
    fn the_formula_of_the_axis() {
        // Matrix parameters by hand: 2 layers of 12·12 (q) + 2·12·4 (k, v) + 12·12 (out) + 3·12·20, and 17·12 for the head.
        let architecture = preset("llama", true);
        assert_eq!(architecture.n_matmul_parameters(), 2 * (144 + 96 + 144 + 720) + 204);
        let n = architecture.n_matmul_parameters() as f64;
        assert_eq!(architecture.forward_flops(10), 2.0 * n * 10.0 + 2.0 * 2.0 * 12.0 * 100.0);
        // Where every token needs the head, the exact count differs from it by the diagonal of attention alone.
        let all = architecture.scoring_flops(1, [10]);
        assert_eq!(all, architecture.forward_flops(10) + 2.0 * 2.0 * 12.0 * 10.0);
    }
}

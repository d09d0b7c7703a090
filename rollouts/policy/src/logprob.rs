//! Log-probabilities of given tokens, the same for sampler and trainer.
//!
//! The head of a language model is the costliest tensor of training: `[T, V]` float32 logits of a few thousand tokens
//! would fill gigabytes. [`score`] therefore walks over chunks of rows and keeps two numbers a token, and
//! [`accumulate_gradient`] walks again, so that memory does not grow with `T · V`.

use tch::{Kind, Tensor};

use crate::cuda::with_tf32;
use crate::linear::linear;

/// Log-probability and entropy of some tokens, `[T]` each, float32, in nats.
#[derive(Debug)]
pub struct Scores {
    /// Log-probability of the given token.
    pub logp: Tensor,
    /// Entropy of the distribution that it was drawn from.
    pub entropy: Tensor,
}

/// Most logits that exist at a time.
const CHUNK: i64 = 1 << 24;

/// Computes the log-probabilities of all tokens: `log_softmax(logits / temperature)`, `[M, V]`.
pub fn log_softmax(logits: &Tensor, temperature: f64) -> Tensor {
    let scaled = if temperature == 1.0 { logits.shallow_clone() } else { logits / temperature };
    scaled.log_softmax(-1, Kind::Float)
}

/// Scores the tokens `targets` `[T]` by the hidden states `[T, D]` that predict them.
///
/// `head` is `[V, D]`. No gradient is recorded: [`accumulate_gradient`] computes it.
pub fn score(hidden: &Tensor, head: &Tensor, targets: &Tensor, temperature: f64) -> Scores {
    let _guard = tch::no_grad_guard();
    let (mut logp, mut entropy) = (vec![], vec![]);
    for (hidden, targets) in chunks(hidden, head, targets) {
        let all = log_softmax(&logits(&hidden, head), temperature);
        logp.push(all.gather(-1, &targets.unsqueeze(-1), false).squeeze_dim(-1));
        entropy.push(entropy_of(&all));
    }
    Scores { logp: Tensor::cat(&logp, 0), entropy: Tensor::cat(&entropy, 0) }
}

/// What a loss says of the [`Scores`]: its derivatives with respect to both, `[T]` each.
#[derive(Debug)]
pub struct ScoreGradient {
    /// ∂ loss / ∂ logp.
    pub logp: Tensor,
    /// ∂ loss / ∂ entropy, if the loss has an entropy term.
    pub entropy: Option<Tensor>,
}

/// Continues the backward pass through the head.
///
/// Returns ∂ loss / ∂ `hidden`, `[T, D]`, and adds ∂ loss / ∂ `head` to `head_gradient`, `[V, D]`.
///
/// With `p = softmax(z)`, `z = logits / τ`: ∂ logp_y / ∂ z_j = [j = y] − p_j, and
/// ∂ H / ∂ z_j = −p_j (log p_j + H).
pub fn accumulate_gradient(
    (hidden, head): (&Tensor, &Tensor),
    targets: &Tensor,
    temperature: f64,
    gradient: &ScoreGradient,
    head_gradient: &mut Tensor,
) -> Tensor {
    let _guard = tch::no_grad_guard();
    let mut hidden_gradient = vec![];
    let mut start = 0;
    for (hidden, targets) in chunks(hidden, head, targets) {
        let rows = targets.size()[0];
        let of_chunk = |gradient: &Tensor| gradient.narrow(0, start, rows).unsqueeze(-1) / temperature; // [rows, 1]
        let all = log_softmax(&logits(&hidden, head), temperature);
        let weight = of_chunk(&gradient.logp);
        let mut slope = all.exp() * -&weight; // [rows, V]
        if let Some(entropy) = &gradient.entropy {
            slope -= all.exp() * (&all + entropy_of(&all).unsqueeze(-1)) * of_chunk(entropy);
        }
        let slope = slope.scatter_add_(-1, &targets.unsqueeze(-1), &weight);
        rounding_with(&hidden, || {
            hidden_gradient.push(slope.matmul(head));
            let _ = head_gradient.addmm_(&slope.transpose(0, 1), &hidden.to_kind(Kind::Float));
        });
        start += rows;
    }
    Tensor::cat(&hidden_gradient, 0)
}

/// Returns the gradient of a leaf, of zeros if it has none yet.
pub(crate) fn gradient_of(leaf: &Tensor) -> Tensor {
    if !leaf.grad().defined() {
        (leaf.sum(Kind::Float) * 0.0).backward();
    }
    leaf.grad()
}

/// Computes the logits `[M, V]` in float32 from hidden states `[M, D]`.
///
/// Hidden states in bfloat16 have 8 significant bits; with them, the products of GPUs may take the 11 of TF32 for the head,
/// in an eighth of the time.
pub(crate) fn logits(hidden: &Tensor, head: &Tensor) -> Tensor {
    rounding_with(hidden, || linear(&hidden.to_kind(Kind::Float), head, None))
}

/// Multiplies as exactly as is worth it for such hidden states.
fn rounding_with<T>(hidden: &Tensor, product: impl FnOnce() -> T) -> T {
    if hidden.device().is_cuda() && hidden.kind() == Kind::BFloat16 { with_tf32(product) } else { product() }
}

/// Computes the entropy `-Σ p log p` of each row of log-probabilities, `[M, V]` to `[M]`, in nats.
pub fn entropy_of(log_probabilities: &Tensor) -> Tensor {
    // 0 · -∞ is 0 here.
    let products = log_probabilities.exp() * log_probabilities.clamp_min(f64::from(f32::MIN));
    -products.sum_dim_intlist([-1].as_slice(), false, Kind::Float)
}

/// Cuts hidden states and targets into pieces whose logits fit.
fn chunks(hidden: &Tensor, head: &Tensor, targets: &Tensor) -> impl Iterator<Item = (Tensor, Tensor)> {
    let rows = (CHUNK / head.size()[0]).max(1);
    let (hidden, targets) = (hidden.shallow_clone(), targets.shallow_clone());
    let total = targets.size()[0];
    (0..total).step_by(rows as usize).map(move |start| {
        let length = rows.min(total - start);
        (hidden.narrow(0, start, length), targets.narrow(0, start, length))
    })
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// Three tokens, width 2, vocabulary 3.
    fn example() -> (Tensor, Tensor, Tensor) {
        let hidden = Tensor::from_slice(&[0.3_f64, -0.2, 1.0, 0.5, -0.7, 0.1]).view([3, 2]);
        let head = Tensor::from_slice(&[0.5_f64, 0.1, -0.3, 0.8, 0.2, -0.6]).view([3, 2]);
        (hidden.to_kind(Kind::Float), head.to_kind(Kind::Float), Tensor::from_slice(&[0_i64, 2, 1]))
    }

    #[test]
    fn by_hand() {
        let logits = Tensor::from_slice(&[0.0_f32, 3.0_f32.ln()]).view([1, 2]); // probabilities 1/4, 3/4
        let all = log_softmax(&logits, 1.0);
        assert!((all.double_value(&[0, 1]) - 0.75_f64.ln()).abs() < 1e-6);
        let entropy = -(0.25 * 0.25_f64.ln() + 0.75 * 0.75_f64.ln());
        assert!((entropy_of(&all).double_value(&[0]) - entropy).abs() < 1e-6);
        // At temperature 2 the odds are the square root: 1 : √3.
        let cooled = log_softmax(&logits, 2.0).double_value(&[0, 1]);
        assert!((cooled - (3.0_f64.sqrt() / (1.0 + 3.0_f64.sqrt())).ln()).abs() < 1e-6);
    }

    #[test]
    fn entropy_is_finite_where_a_token_is_impossible() {
        let logits = Tensor::from_slice(&[0.0_f32, f32::NEG_INFINITY]).view([1, 2]);
        assert_eq!(entropy_of(&log_softmax(&logits, 1.0)).double_value(&[0]), 0.0);
    }

    #[test]
    fn the_gradient_is_that_of_autograd() {
        let (hidden, head, targets) = example();
        let (temperature, a, b) =
            (0.7, Tensor::from_slice(&[0.4_f32, -1.2, 0.9]), Tensor::from_slice(&[0.2_f32, 0.5, -0.3]));

        let (h, w) = (hidden.copy().set_requires_grad(true), head.copy().set_requires_grad(true));
        let all = log_softmax(&h.matmul(&w.transpose(0, 1)), temperature);
        let logp = all.gather(-1, &targets.unsqueeze(-1), false).squeeze_dim(-1);
        (logp * &a + entropy_of(&all) * &b).sum(Kind::Float).backward();

        let mut head_gradient = head.zeros_like();
        let gradient = ScoreGradient { logp: a, entropy: Some(b) };
        let hidden_gradient =
            accumulate_gradient((&hidden, &head), &targets, temperature, &gradient, &mut head_gradient);
        for (ours, theirs) in [(hidden_gradient, h.grad()), (head_gradient, w.grad())] {
            assert!((ours - theirs).abs().max().double_value(&[]) < 1e-6);
        }
    }

    #[test]
    fn chunks_cover_every_row_once() {
        let head = Tensor::zeros([CHUNK / 2, 1], (Kind::Float, Device::Cpu));
        let hidden = Tensor::zeros([5, 1], (Kind::Float, Device::Cpu));
        let targets = Tensor::arange(5, (Kind::Int64, Device::Cpu));
        let seen: Vec<i64> =
            chunks(&hidden, &head, &targets).flat_map(|(_, targets)| Vec::<i64>::try_from(targets).unwrap()).collect();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }
}

//! The head: log-probabilities and entropies of given tokens, and its backward pass.

use pulp::{Simd, WithSimd};

use super::Gradients;
use super::linear::{LinearGradient, Scratch};
use crate::draw::{Normaliser, normalisers};
use crate::exp::exp;
use crate::model::Model;
use crate::rows::{LANES, Rows};
use crate::team::Team;

/// Most logits that exist at a time: 256 MiB of them.
const CHUNK: usize = 1 << 26;

/// Log-probability and entropy of some tokens, in nats.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Log-probability of the given token, `[T]`.
    pub logp: Vec<f32>,
    /// Entropy of the distribution at the temperature, `[T]`.
    pub entropy: Vec<f32>,
}

/// The derivatives of a loss by the scores.
#[derive(Clone, Copy, Debug)]
pub struct ScoreGradient<'a> {
    /// By log-probabilities, `[T]`.
    pub logp: &'a [f32],
    /// By entropies, `[T]`, if the loss has such a term.
    pub entropy: Option<&'a [f32]>,
}

/// The tokens to be scored.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// Their ids, `[T]`.
    pub ids: &'a [u32],
    /// The rows of the hidden states that predict them, `[T]`.
    pub predictors: &'a [usize],
    /// What logits are divided by.
    pub temperature: f32,
}

impl<'a> Targets<'a> {
    /// Cuts off as many as have logits at a time.
    fn chunks(self, vocabulary: usize) -> impl Iterator<Item = Self> {
        let rows = (CHUNK / vocabulary / (4 * LANES)).max(1) * 4 * LANES;
        let chunks = self.ids.chunks(rows).zip(self.predictors.chunks(rows));
        chunks.map(move |(ids, predictors)| Targets { ids, predictors, ..self })
    }

    fn n_chunks(self, vocabulary: usize) -> usize {
        self.chunks(vocabulary).count()
    }
}

/// What the head leaves for its backward pass, and memory kept from one pass to the next.
#[derive(Debug, Default)]
pub struct HeadTape {
    /// The hidden states of the last chunk, `[D]`.
    hidden: Rows,
    /// Its logits, `[V]`: if there is one chunk alone, they are not computed again.
    logits: Rows,
    normalisers: Vec<Normaliser>,
    hidden_gradient: Rows,
    scratch: Scratch,
}

impl Model<'_> {
    /// Scores tokens by the hidden states that predict them.
    ///
    /// # Panics
    ///
    /// If an id is not below `V`.
    pub fn score(&self, team: &Team, hidden: &Rows, targets: Targets<'_>, tape: &mut HeadTape) -> Scores {
        let mut scores = Scores::default();
        tape.normalisers.clear();
        for chunk in targets.chunks(self.head.n_out()) {
            let found = self.chunk_logits(team, hidden, chunk, tape);
            scores.logp.extend(found.iter().zip(chunk.ids).enumerate().map(|(row, (normaliser, &id))| {
                let logit = tape.logits.blocks[row / LANES][id as usize * LANES + row % LANES];
                normaliser.logp(logit / chunk.temperature)
            }));
            scores.entropy.extend(found.iter().map(|normaliser| normaliser.entropy));
            tape.normalisers.extend(found);
        }
        scores
    }

    /// Computes the logits of a chunk, and what normalises them.
    fn chunk_logits(&self, team: &Team, hidden: &Rows, chunk: Targets<'_>, tape: &mut HeadTape) -> Vec<Normaliser> {
        tape.hidden = hidden.select(chunk.predictors);
        self.logits(team, &tape.hidden, &mut tape.logits);
        normalisers(team, &tape.logits, chunk.temperature)
    }

    /// Goes back through the head: returns the gradient by the hidden states `[N, D]`, and adds to that of the head.
    ///
    /// With `z = logits / τ`, `p = softmax(z)`: ∂ logp_y / ∂ z_j = [j = y] − p_j, ∂ H / ∂ z_j = −p_j (log p_j + H).
    pub fn score_backward(
        &self,
        team: &Team,
        (hidden, targets): (&Rows, Targets<'_>),
        gradient: ScoreGradient<'_>,
        tape: &mut HeadTape,
        gradients: &mut Gradients<'_>,
    ) -> Rows {
        let mut total = Rows::zeros(hidden.n_rows(), hidden.n_features());
        let head = gradients.head.as_deref_mut().unwrap_or(&mut *gradients.embedding);
        let mut head = LinearGradient { weight: head, bias: None };
        let is_kept = targets.n_chunks(self.head.n_out()) == 1;
        let mut first = 0;
        for chunk in targets.chunks(self.head.n_out()) {
            if !is_kept {
                self.chunk_logits(team, hidden, chunk, tape);
            }
            let rows = first..first + chunk.ids.len();
            let entropy = gradient.entropy.map(|entropy| &entropy[rows.clone()]);
            let gradient = ScoreGradient { logp: &gradient.logp[rows.clone()], entropy };
            let HeadTape { hidden, logits, normalisers, hidden_gradient, scratch } = &mut *tape;
            slopes(team, logits, chunk, gradient, &normalisers[rows.clone()]);
            head.add(team, logits, hidden, scratch);
            hidden_gradient.fit(chunk.ids.len(), hidden.n_features());
            self.head.input_gradient(team, logits, hidden_gradient, scratch);
            chunk.predictors.iter().enumerate().for_each(|(row, &to)| total.add_row(to, hidden_gradient, row));
            first = rows.end;
        }
        total
    }
}

/// Turns logits into the gradient of the loss by them.
fn slopes(
    team: &Team,
    logits: &mut Rows,
    targets: Targets<'_>,
    gradient: ScoreGradient<'_>,
    normalisers: &[Normaliser],
) {
    /// Tokens of the vocabulary handled by one piece of work.
    const PIECE: usize = 1024;
    let arch = team.arch();
    let scale = 1.0 / targets.temperature;
    let lanes: Vec<Lanes> = (0..logits.blocks.len()).map(|block| Lanes::of(block, gradient, normalisers)).collect();
    let pieces = logits.blocks.iter_mut().zip(&lanes);
    let pieces = pieces.flat_map(|(block, lanes)| block.chunks_mut(PIECE * LANES).map(move |logits| (logits, lanes)));
    team.for_each(pieces, |(logits, lanes)| arch.dispatch(Slopes { logits, lanes, scale }));
    for (row, (&id, slope)) in targets.ids.iter().zip(gradient.logp).enumerate() {
        logits.blocks[row / LANES][id as usize * LANES + row % LANES] += scale * slope;
    }
}

/// What is known of sixteen rows; 0 for those that fill a block up.
#[derive(Clone, Copy, Default)]
struct Lanes {
    logp: [f32; LANES],
    entropy_slope: [f32; LANES],
    lse: [f32; LANES],
    entropy: [f32; LANES],
}

impl Lanes {
    fn of(block: usize, gradient: ScoreGradient<'_>, normalisers: &[Normaliser]) -> Self {
        let mut lanes = Self::default();
        for (lane, row) in (block * LANES..normalisers.len().min((block + 1) * LANES)).enumerate() {
            lanes.logp[lane] = gradient.logp[row];
            lanes.entropy_slope[lane] = gradient.entropy.map_or(0.0, |entropy| entropy[row]);
            (lanes.lse[lane], lanes.entropy[lane]) = (normalisers[row].lse(), normalisers[row].entropy);
        }
        lanes
    }
}

struct Slopes<'a> {
    logits: &'a mut [f32],
    lanes: &'a Lanes,
    scale: f32,
}

impl WithSimd for Slopes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let vectors = LANES / S::F32_LANES;
        let of = |lanes: &'_ [f32; LANES], v: usize| S::as_simd_f32s(lanes).0[v];
        let Lanes { logp, entropy_slope, lse, entropy } = self.lanes;
        let scale = simd.splat_f32s(self.scale);
        let logits = S::as_mut_simd_f32s(self.logits).0;
        for v in 0..vectors {
            let (a, b, lse, entropy) = (of(logp, v), of(entropy_slope, v), of(lse, v), of(entropy, v));
            for z in logits.iter_mut().skip(v).step_by(vectors) {
                let log_p = simd.sub_f32s(simd.mul_f32s(*z, scale), lse);
                let weight = simd.mul_add_f32s(b, simd.add_f32s(log_p, entropy), a);
                *z = simd.neg_f32s(simd.mul_f32s(simd.mul_f32s(exp(simd, log_p), weight), scale));
            }
        }
    }
}

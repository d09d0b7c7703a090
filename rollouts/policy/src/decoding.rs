//! Decoding by libtorch: many sequences, several tokens of each before the host looks.
//!
//! Everything that a token needs is in the memory of the device (`Registers`): the ids and positions it continues, the
//! random numbers, and room for what is drawn. So the host asks for one token after another without waiting, and looks
//! for stops when a window of tokens is full. On GPUs what a token takes is recorded once for some numbers of rows and
//! done again by one call a token ([`Graph`]).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tch::{Device, Kind, Tensor};

use crate::cache::{KvCache, PromptKv};
use crate::cuda::Graph;
use crate::error::PolicyError;
use crate::transformer::Transformer;

/// The most tokens of each sequence that are decoded before the host looks.
pub const WINDOW: usize = 8;

/// Draws tokens on the device of the logits.
pub trait Draw: fmt::Debug {
    /// Draws a token for each row of logits, `[n, V]`, given a number of `[0, 1)` for each, `[n]`, float64.
    fn draw(&self, logits: &Tensor, uniform: &Tensor) -> Draws;

    /// Whether that can be recorded: it neither waits for the device nor takes numbers from the host.
    fn can_be_recorded(&self) -> bool;
}

/// Tokens drawn, with the log-probability of each and the entropy of the distribution, in nats.
#[derive(Debug)]
pub struct Draws {
    /// Int64.
    pub ids: Tensor,
    /// Float32.
    pub logp: Tensor,
    /// Float32.
    pub entropy: Tensor,
}

/// What decoding keeps from one generation to the next: the memory of keys and values, and the graphs recorded with it.
#[derive(Debug, Default)]
pub struct DecodingMemory {
    kept: Mutex<Option<Decoding>>,
    graphs: Graphs,
}

/// Whether what a token takes is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Graphs {
    /// Where the device and the way of drawing allow it.
    #[default]
    Recorded,
    /// Never.
    Off,
}

impl DecodingMemory {
    /// Makes an empty memory.
    pub fn new(graphs: Graphs) -> Self {
        Self { kept: Mutex::default(), graphs }
    }

    /// Returns what is kept, made ready for at most `max_rows` sequences of a transformer; nobody else has it meanwhile.
    pub(crate) fn ready(&self, transformer: &Transformer, max_rows: usize) -> DecodingGuard<'_> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let records =
            self.graphs == Graphs::Recorded && transformer.device().is_cuda() && !transformer.is_batch_invariant();
        let max_rows = if records { recorded_rows(max_rows) } else { max_rows };
        match kept.as_mut().filter(|decoding| decoding.suits(transformer, max_rows)) {
            Some(decoding) => decoding.begin(transformer),
            None => *kept = Some(Decoding::new(transformer, max_rows, records)),
        }
        DecodingGuard(kept)
    }
}

/// [`Decoding`] while somebody has it.
#[derive(Debug)]
pub struct DecodingGuard<'a>(MutexGuard<'a, Option<Decoding>>);

impl std::ops::Deref for DecodingGuard<'_> {
    type Target = Decoding;

    fn deref(&self) -> &Decoding {
        self.0.as_ref().expect("it is ready")
    }
}

impl std::ops::DerefMut for DecodingGuard<'_> {
    fn deref_mut(&mut self) -> &mut Decoding {
        self.0.as_mut().expect("it is ready")
    }
}

/// Sequences that are being decoded, a row each.
#[derive(Debug)]
pub struct Decoding {
    cache: KvCache,
    registers: Registers,
    records: bool,
    /// By number of rows and way of drawing.
    graphs: HashMap<(usize, String), Graph>,
    /// Where the weights were that the graphs were recorded with.
    weights: Vec<usize>,
}

impl Decoding {
    fn new(transformer: &Transformer, max_rows: usize, records: bool) -> Self {
        let (kind, device) = (transformer.weights().kind(), transformer.device());
        Self {
            cache: KvCache::new(transformer.architecture(), max_rows, kind, device),
            registers: Registers::new(max_rows as i64, device),
            records,
            graphs: HashMap::new(),
            weights: transformer.weights().addresses(),
        }
    }

    /// Whether the memory is such that a transformer can decode so many rows in it.
    fn suits(&self, transformer: &Transformer, max_rows: usize) -> bool {
        let (kind, device) = (transformer.weights().kind(), transformer.device());
        self.cache.max_rows() >= max_rows && self.cache.is_for(transformer.architecture(), kind, device)
    }

    /// Forgets all sequences, and the graphs of other weights.
    fn begin(&mut self, transformer: &Transformer) {
        self.cache.clear();
        let weights = transformer.weights().addresses();
        if weights != self.weights {
            self.graphs.clear();
            self.weights = weights;
        }
    }

    /// Returns the number of sequences.
    pub fn n_rows(&self) -> usize {
        self.cache.n_rows()
    }

    /// Adds a sequence that has its prompt so far; it becomes the last row.
    ///
    /// # Panics
    ///
    /// If no row is free.
    pub fn push(&mut self, prompt: &PromptKv) {
        if self.cache.push(prompt) {
            self.graphs.clear();
        }
    }

    /// Removes a sequence; the last row takes its place.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn swap_remove(&mut self, row: usize) {
        self.cache.swap_remove(row);
    }

    /// Appends a token to every row, the given one, and draws the next; that one is appended in turn, until there are as
    /// many new tokens of each row as there are rows in `uniform`, `[tokens][rows]`. Returns them, `[tokens, rows]`.
    ///
    /// # Errors
    ///
    /// If CUDA refuses to record.
    ///
    /// # Panics
    ///
    /// If there are not as many ids as rows, or more tokens than [`WINDOW`].
    pub fn run(
        &mut self,
        transformer: &Transformer,
        ids: &[u32],
        uniform: &[f64],
        draw: &dyn Draw,
    ) -> Result<Draws, PolicyError> {
        let _guard = tch::no_grad_guard();
        let n_rows = self.n_rows();
        assert_eq!(ids.len(), n_rows, "every row gets one token");
        let n_tokens = uniform.len() / n_rows.max(1);
        assert!(n_tokens <= WINDOW, "a window has {WINDOW} tokens");
        let longest = self.cache.lengths().iter().max().copied().unwrap_or(0);
        if self.cache.reserve(longest + n_tokens) {
            self.graphs.clear();
        }
        if self.records && draw.can_be_recorded() {
            self.replay(transformer, (ids, uniform, n_tokens), draw)?;
        } else {
            self.registers.load(ids, self.cache.lengths(), uniform);
            for token in 0..n_tokens {
                decode(transformer, &self.cache, &self.registers, (n_rows, longest + token + 1), draw);
            }
        }
        self.cache.advance(n_tokens);
        Ok(self.registers.drawn(n_tokens, n_rows))
    }

    fn replay(
        &mut self,
        transformer: &Transformer,
        (ids, uniform, n_tokens): (&[u32], &[f64], usize),
        draw: &dyn Draw,
    ) -> Result<(), PolicyError> {
        let Self { cache, registers, graphs, .. } = self;
        let key = (recorded_rows(ids.len()), format!("{draw:?}"));
        if !graphs.contains_key(&key) {
            registers.load(ids, cache.lengths(), uniform);
            let graph = Graph::record(|| decode(transformer, cache, registers, (key.0, cache.capacity()), draw))?;
            graphs.insert(key.clone(), graph);
        }
        registers.load(ids, cache.lengths(), uniform);
        let graph = graphs.get_mut(&key).expect("it was recorded");
        (0..n_tokens).try_for_each(|_| graph.replay())
    }
}

/// The numbers of rows that are recorded: few, since each recording takes time and memory, and close enough that little is
/// computed for nobody.
fn recorded_rows(n_rows: usize) -> usize {
    match n_rows {
        0..=8 => n_rows.next_power_of_two(),
        9..=64 => n_rows.next_multiple_of(8),
        65..=256 => n_rows.next_multiple_of(16),
        _ => n_rows.next_multiple_of(32),
    }
}

/// Decodes one token of the first `n_rows` rows, which hold fewer than `width` tokens: from the registers, and to them.
fn decode(
    transformer: &Transformer,
    cache: &KvCache,
    registers: &Registers,
    (n_rows, width): (usize, usize),
    draw: &dyn Draw,
) {
    let _guard = tch::no_grad_guard();
    let n_rows = n_rows as i64;
    let (ids, positions) = (registers.ids.narrow(0, 0, n_rows), registers.positions.narrow(0, 0, n_rows));
    let logits = transformer.decode(&ids, &positions, cache.attention(&positions, width));
    let uniform = registers.uniform.narrow(1, 0, n_rows).index_select(0, &registers.token).squeeze_dim(0);
    registers.store(n_rows, &draw.draw(&logits, &uniform));
}

/// What a token is computed from, and what is drawn, for at most `R` rows and a window of `W` tokens.
#[derive(Debug)]
struct Registers {
    /// The last id of each row, `[R]`.
    ids: Tensor,
    /// Its position, `[R]`.
    positions: Tensor,
    /// Which token of the window is next, `[1]`.
    token: Tensor,
    /// `[W, R]`, float64.
    uniform: Tensor,
    /// `[W, R]` each.
    drawn: Draws,
}

impl Registers {
    fn new(max_rows: i64, device: Device) -> Self {
        let window = [WINDOW as i64, max_rows];
        let integers = |size: &[i64]| Tensor::zeros(size, (Kind::Int64, device));
        let floats = |kind| Tensor::zeros(window, (kind, device));
        Self {
            ids: integers(&[max_rows]),
            positions: integers(&[max_rows]),
            token: integers(&[1]),
            uniform: floats(Kind::Double),
            drawn: Draws { ids: integers(&window), logp: floats(Kind::Float), entropy: floats(Kind::Float) },
        }
    }

    /// Writes what a window begins with. Rows that are not there begin at position 0.
    fn load(&self, ids: &[u32], lengths: &[usize], uniform: &[f64]) {
        let n_rows = ids.len() as i64;
        let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let positions: Vec<i64> = lengths.iter().map(|&length| length as i64).collect();
        let fill = |register: &Tensor, values: &Tensor| register.narrow(0, 0, values.size()[0]).copy_(values);
        let _ = self.positions.shallow_clone().zero_();
        let _ = self.token.shallow_clone().zero_();
        fill(&self.ids, &Tensor::from_slice(&ids));
        fill(&self.positions, &Tensor::from_slice(&positions));
        fill(&self.uniform.narrow(1, 0, n_rows), &Tensor::from_slice(uniform).view([-1, n_rows]));
    }

    /// Writes what was drawn, and goes on to the next token.
    fn store(&self, n_rows: i64, draws: &Draws) {
        let of_window =
            [(&self.drawn.ids, &draws.ids), (&self.drawn.logp, &draws.logp), (&self.drawn.entropy, &draws.entropy)];
        for (window, drawn) in of_window {
            let _ = window.narrow(1, 0, n_rows).index_copy_(0, &self.token, &drawn.unsqueeze(0));
        }
        self.ids.narrow(0, 0, n_rows).copy_(&draws.ids);
        let _ = self.positions.narrow(0, 0, n_rows).g_add_scalar_(1_i64);
        let _ = self.token.shallow_clone().g_add_scalar_(1_i64);
    }

    /// What the window holds.
    fn drawn(&self, n_tokens: usize, n_rows: usize) -> Draws {
        let part = |window: &Tensor| window.narrow(0, 0, n_tokens as i64).narrow(1, 0, n_rows as i64);
        let Draws { ids, logp, entropy } = &self.drawn;
        Draws { ids: part(ids), logp: part(logp), entropy: part(entropy) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::{Preset, Vocabulary};
    use crate::weights::Weights;

    #[test]
    fn few_numbers_of_rows_are_recorded_and_none_is_far() {
        let check = |n_rows: usize, expected: usize| assert_eq!(recorded_rows(n_rows), expected, "{n_rows}");
        check(1, 1);
        check(3, 4);
        check(9, 16);
        check(64, 64);
        check(65, 80);
        check(257, 288);
        let mut recorded: Vec<usize> = (1..=256).map(recorded_rows).collect();
        assert!((9..=256).all(|n| recorded_rows(n) < n + 16));
        recorded.dedup();
        assert_eq!(recorded.len(), 23);
    }

    /// Takes the first token whose cumulated probability exceeds the number.
    #[derive(Debug)]
    struct Inverse;

    impl Draw for Inverse {
        fn draw(&self, logits: &Tensor, uniform: &Tensor) -> Draws {
            let all = crate::logprob::log_softmax(logits, 1.0);
            let exceeds = all.exp().cumsum(-1, Kind::Double).gt_tensor(&uniform.unsqueeze(-1));
            let ids = exceeds.to_kind(Kind::Int8).argmax(-1, false);
            let logp = all.gather(-1, &ids.unsqueeze(-1), false).squeeze_dim(-1);
            Draws { ids, logp, entropy: crate::logprob::entropy_of(&all) }
        }

        fn can_be_recorded(&self) -> bool {
            true
        }
    }

    fn transformer() -> Transformer {
        let preset = Preset { n_layers: 2, hidden_size: 16, intermediate_size: 24, ..Preset::default() };
        let architecture = preset.architecture(Vocabulary { size: 40, eos: 1, pad: 0 }).expect("good sizes");
        let weights = Weights::random(&architecture, 7, Device::Cpu);
        for parameter in weights.parameters() {
            let _ = parameter.tensor.shallow_clone().g_mul_scalar_(4.0); // so that tokens differ
        }
        Transformer::new(architecture, weights)
    }

    const PROMPTS: [&[u32]; 3] = [&[3, 1, 4, 1, 5], &[9], &[2, 6]];
    const LAST: [u32; 3] = [7, 8, 9];

    fn uniform(n_tokens: usize) -> Vec<f64> {
        (0..3 * n_tokens).map(|i| (i as f64 * 0.618 + 0.2).fract()).collect()
    }

    fn ready(transformer: &Transformer, max_rows: usize) -> Decoding {
        let mut decoding = Decoding::new(transformer, max_rows, false);
        transformer.prefill(&PROMPTS).0.iter().for_each(|prompt| decoding.push(prompt));
        decoding
    }

    fn ids(draws: &Draws) -> Vec<i64> {
        Vec::try_from(draws.ids.reshape([-1])).unwrap()
    }

    #[test]
    fn a_window_draws_what_single_tokens_draw() {
        let transformer = transformer();
        let uniform = uniform(5);
        let window = ready(&transformer, 3).run(&transformer, &LAST, &uniform, &Inverse).unwrap();
        let mut singly = ready(&transformer, 3);
        let (mut last, mut all) = (LAST.to_vec(), vec![]);
        for uniform in uniform.chunks(3) {
            let drawn = ids(&singly.run(&transformer, &last, uniform, &Inverse).unwrap());
            last = drawn.iter().map(|&id| id as u32).collect();
            all.extend(drawn);
        }
        assert_eq!(ids(&window), all);
    }

    /// What is recorded decodes rows that are not there, looks at all of the memory, and is run once before it counts.
    #[test]
    fn rows_that_are_not_there_and_a_warm_up_leave_no_trace() {
        let transformer = transformer();
        let uniform = uniform(5);
        let expected = ready(&transformer, 3).run(&transformer, &LAST, &uniform, &Inverse).unwrap();
        let Decoding { mut cache, registers, .. } = ready(&transformer, recorded_rows(3));
        cache.reserve(5 + WINDOW);
        for n_tokens in [1, 5] {
            registers.load(&LAST, cache.lengths(), &uniform);
            for _ in 0..n_tokens {
                decode(&transformer, &cache, &registers, (recorded_rows(3), cache.capacity()), &Inverse);
            }
        }
        let found = registers.drawn(5, 3);
        assert_eq!(ids(&found), ids(&expected));
        for (a, b) in [(&found.logp, &expected.logp), (&found.entropy, &expected.entropy)] {
            assert!((a - b).abs().max().double_value(&[]) < 1e-5);
        }
    }

    #[test]
    fn memory_is_kept_for_as_many_rows_and_made_anew_for_more() {
        let transformer = transformer();
        let at = |max_rows| {
            let mut decoding = transformer.decoding(max_rows);
            transformer.prefill(&PROMPTS[1..2]).0.iter().for_each(|prompt| decoding.push(prompt));
            (decoding.n_rows(), decoding.cache.max_rows(), decoding.registers.ids.data_ptr().addr())
        };
        let first = at(2);
        assert_eq!(at(1), first);
        assert_eq!(at(3).1, 3);
    }
}

//! The generation engine: many prompts, many completions of each, continuous batching.
//!
//! Each prompt is prefilled once, whatever the number of its completions. Completions are decoded all together, a token at
//! a time or, on devices that should not be waited for, a few; one that has ended leaves the batch and a waiting one takes
//! its row. What a completion becomes depends on
//! its own noise alone, not on its company, float rounding aside (and with
//! [`Numerics::BatchInvariant`](rlvr_policy::Numerics) not even that).

use std::collections::{BTreeSet, VecDeque};

use rlvr_policy::Transformer;
use rlvr_verifiers::random::Random;

use crate::decoder::{CpuDecoder, Decoder, TorchDecoder};
use crate::error::RolloutError;
use crate::noise::Noise;
use crate::rollout::{Completion, Stop};
use crate::sampler::{Drawn, Sampling};
use crate::tokenizer::Tokenizer;

/// A prompt to be continued.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Names the noise: usually the task's id.
    pub id: &'a str,
    /// The ids of the prompt.
    pub prompt: &'a [u32],
    /// How many completions.
    pub n: usize,
}

/// When a completion ends.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationLimits {
    /// The most tokens of a completion, the end token included.
    pub max_new_tokens: usize,
    /// Texts that end a completion.
    pub stop_strings: Vec<String>,
    /// Whether end tokens are taken for ordinary ones.
    pub ignore_stop_ids: bool,
    /// The most completions decoded at a time.
    pub max_rows: usize,
}

/// Rows decoded at a time if nothing else is said; multiples of 16 suit matrix units.
pub const DEFAULT_MAX_ROWS: usize = 64;

/// Prompt tokens prefilled at a time.
const PREFILL_TOKENS: usize = 4096;

/// A model that generates.
#[derive(Debug)]
pub struct Engine<'a> {
    transformer: &'a Transformer,
    tokenizer: &'a Tokenizer,
    sampling: &'a Sampling,
    limits: &'a GenerationLimits,
    /// Where given, the length of each completion of each request.
    lengths: Option<&'a [Vec<usize>]>,
    backend: Backend,
}

/// What computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// `rlvr-cpu` where it can, else libtorch.
    #[default]
    Fastest,
    /// libtorch everywhere: the reference.
    Libtorch,
}

impl<'a> Engine<'a> {
    /// Makes an engine.
    ///
    /// # Errors
    ///
    /// If the sampling settings are out of range.
    pub fn new(
        transformer: &'a Transformer,
        tokenizer: &'a Tokenizer,
        sampling: &'a Sampling,
        limits: &'a GenerationLimits,
    ) -> Result<Self, RolloutError> {
        sampling.check()?;
        if limits.max_new_tokens == 0 || limits.max_rows == 0 {
            return Err(RolloutError::Sampling("`max_new_tokens` and `max_rows` must be at least 1".to_owned()));
        }
        Ok(Self { transformer, tokenizer, sampling, limits, lengths: None, backend: Backend::Fastest })
    }

    /// Chooses what computes.
    #[must_use]
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Gives each completion a limit of its own beside that of all: `lengths[i][j]` tokens, at least 1, for completion
    /// `j` of request `i`.
    #[must_use]
    pub fn with_lengths(mut self, lengths: &'a [Vec<usize>]) -> Self {
        self.lengths = Some(lengths);
        self
    }

    /// Generates the completions of all requests, in their order.
    ///
    /// `progress` is told after each decoded position how many tokens it added.
    ///
    /// # Errors
    ///
    /// If a prompt is empty, or does not leave room for its completion in the model's context; if a GPU refuses to record
    /// what it is asked.
    pub fn generate(
        &self,
        requests: &[Request<'_>],
        noise: Noise,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Completion>>, RolloutError> {
        let mut all: Vec<Vec<Completion>> = requests.iter().map(|_| vec![]).collect();
        self.generate_each(requests, noise, progress, &mut |request, completions| all[request] = completions)?;
        Ok(all)
    }

    /// The same, giving away the completions of each request, by its index, as soon as the last of them ends.
    ///
    /// # Errors
    ///
    /// As those of [`Engine::generate`]; what a prompt is refused for before anything is given away.
    pub fn generate_each(
        &self,
        requests: &[Request<'_>],
        noise: Noise,
        progress: &mut dyn FnMut(usize),
        finish: &mut dyn FnMut(usize, Vec<Completion>),
    ) -> Result<(), RolloutError> {
        let _span = tracing::info_span!("generate", requests = requests.len()).entered();
        for request in requests {
            self.check_fits(request)?;
        }
        let model = self.transformer.decoder().filter(|_| self.backend == Backend::Fastest);
        match model {
            Some(model) => Run::new(self, CpuDecoder::new(model), requests, noise).complete(progress, finish),
            None => {
                let n_rows = requests.iter().map(|request| request.n).sum::<usize>().clamp(1, self.limits.max_rows);
                let decoder = TorchDecoder::new(self.transformer, n_rows);
                Run::new(self, decoder, requests, noise).complete(progress, finish)
            }
        }
    }

    /// The most tokens of a completion.
    fn length_of(&self, request: usize, index: usize) -> usize {
        let limit = self.limits.max_new_tokens;
        self.lengths.map_or(limit, |lengths| lengths[request][index].min(limit))
    }

    fn check_fits(&self, request: &Request<'_>) -> Result<(), RolloutError> {
        let refuse = |why: String| Err(RolloutError::Prompt { task: request.id.to_owned(), why });
        let (length, context) = (request.prompt.len(), self.transformer.architecture().max_positions as usize);
        if length == 0 {
            return refuse("the prompt is empty; a policy needs at least one token to continue".to_owned());
        }
        if length.saturating_add(self.limits.max_new_tokens) > context {
            return refuse(format!(
                "the prompt has {length} tokens and may be continued by {}, but the model's context is {context}; shorten \
                 the prompt or lower `max_new_tokens`",
                self.limits.max_new_tokens
            ));
        }
        Ok(())
    }
}

/// A completion in the making.
struct Row<'a> {
    request: usize,
    index: usize,
    noise: Random,
    completion: Completion,
    stop_finder: Option<StopFinder<'a>>,
    done: bool,
}

/// One call of [`Engine::generate`].
struct Run<'a, D: Decoder> {
    engine: &'a Engine<'a>,
    requests: &'a [Request<'a>],
    noise: Noise,
    /// Completions that have not begun: (request, index).
    waiting: VecDeque<(usize, usize)>,
    /// Prompts whose completions have not all begun.
    prefilled: Vec<Option<D::Prompt>>,
    decoder: D,
    /// The completions being decoded, a row of the decoder each.
    rows: Vec<Row<'a>>,
    finished: Vec<Vec<Option<Completion>>>,
    /// Requests of which a completion has ended since they were last looked at.
    ended: BTreeSet<usize>,
}

impl<'a, D: Decoder> Run<'a, D> {
    fn new(engine: &'a Engine<'a>, decoder: D, requests: &'a [Request<'a>], noise: Noise) -> Self {
        Self {
            engine,
            requests,
            noise,
            waiting: requests.iter().enumerate().flat_map(|(i, r)| (0..r.n).map(move |j| (i, j))).collect(),
            prefilled: requests.iter().map(|_| None).collect(),
            decoder,
            rows: vec![],
            finished: requests.iter().map(|request| vec![None; request.n]).collect(),
            ended: BTreeSet::new(),
        }
    }

    fn complete(
        mut self,
        progress: &mut dyn FnMut(usize),
        finish: &mut dyn FnMut(usize, Vec<Completion>),
    ) -> Result<(), RolloutError> {
        while self.admit(progress) {
            progress(self.decode()?);
            self.release();
            self.give_away(finish);
        }
        self.give_away(finish); // completions of a single token never had a row
        Ok(())
    }

    /// Gives away the requests whose last completion has ended.
    fn give_away(&mut self, finish: &mut dyn FnMut(usize, Vec<Completion>)) {
        for request in std::mem::take(&mut self.ended) {
            if self.finished[request].iter().all(Option::is_some) {
                let completions = std::mem::take(&mut self.finished[request]);
                finish(request, completions.into_iter().flatten().collect());
            }
        }
    }

    /// Fills free rows with waiting completions; says whether there is anything to decode.
    fn admit(&mut self, progress: &mut dyn FnMut(usize)) -> bool {
        while self.rows.len() < self.engine.limits.max_rows && !self.waiting.is_empty() {
            let n = (self.engine.limits.max_rows - self.rows.len()).min(self.waiting.len());
            let entering: Vec<(usize, usize)> = self.waiting.iter().take(n).copied().collect();
            let n_ready = self.prefill(&entering);
            self.waiting.drain(..n_ready);
            self.begin(&entering[..n_ready]);
            progress(n_ready);
        }
        !self.rows.is_empty()
    }

    /// Prefills the prompts of completions about to begin, up to the token budget; returns how many can begin.
    fn prefill(&mut self, entering: &[(usize, usize)]) -> usize {
        let mut prompts = vec![];
        let mut budget = PREFILL_TOKENS;
        let mut n_ready = 0;
        for &(request, _) in entering {
            if self.prefilled[request].is_none() && prompts.last() != Some(&request) {
                let length = self.requests[request].prompt.len();
                if length > budget && !prompts.is_empty() {
                    break;
                }
                budget = budget.saturating_sub(length);
                prompts.push(request);
            }
            n_ready += 1;
        }
        if !prompts.is_empty() {
            let _span = tracing::info_span!("prefill", prompts = prompts.len()).entered();
            let ids: Vec<&[u32]> = prompts.iter().map(|&request| self.requests[request].prompt).collect();
            for (request, prompt) in prompts.into_iter().zip(self.decoder.prefill(&ids)) {
                self.prefilled[request] = Some(prompt);
            }
        }
        n_ready
    }

    /// Draws the first token of each completion, and gives a row to those that go on.
    fn begin(&mut self, entering: &[(usize, usize)]) {
        let mut rows: Vec<Row<'a>> = entering.iter().map(|&(request, index)| self.row(request, index)).collect();
        let uniform = uniform(&mut rows);
        let prompts: Vec<&D::Prompt> = entering.iter().map(|&(request, _)| self.prompt(request)).collect();
        let drawn = self.decoder.draw_first(&prompts, self.engine.sampling, &uniform);
        self.extend(&mut rows, &drawn);
        for row in rows {
            if row.done {
                self.keep(row);
            } else {
                let prompt = self.prefilled[row.request].as_ref().expect("it was prefilled before it began");
                self.decoder.push(prompt);
                self.rows.push(row);
            }
        }
        // The rows of a prompt whose last completion has begun keep what they need of it.
        let next = self.waiting.front().map_or(self.requests.len(), |&(request, _)| request);
        for &(request, _) in entering.iter().filter(|(request, _)| *request < next) {
            self.prefilled[request] = None;
        }
    }

    fn prompt(&self, request: usize) -> &D::Prompt {
        self.prefilled[request].as_ref().expect("it was prefilled before it began")
    }

    fn row(&self, request: usize, index: usize) -> Row<'a> {
        let engine = self.engine;
        let wants_text = !engine.limits.stop_strings.is_empty();
        Row {
            request,
            index,
            noise: self.noise.stream(self.requests[request].id, index),
            completion: Completion {
                ids: vec![],
                logp: vec![],
                entropy: vec![],
                text: String::new(),
                stop: Stop::Length,
            },
            stop_finder: wants_text.then(|| StopFinder::new(engine.tokenizer, &engine.limits.stop_strings)),
            done: false,
        }
    }

    /// Computes and draws the next tokens of every row; returns how many tokens there are more.
    fn decode(&mut self) -> Result<usize, RolloutError> {
        let _span = tracing::info_span!("decode", rows = self.rows.len()).entered();
        let last: Vec<u32> =
            self.rows.iter().map(|row| *row.completion.ids.last().expect("a row has its first token")).collect();
        let n_tokens = self.decoder.window().min(self.most_left());
        let uniform: Vec<f64> = (0..n_tokens).flat_map(|_| uniform(&mut self.rows)).collect();
        let drawn = self.decoder.run(&last, self.engine.sampling, &uniform)?;
        let mut rows = std::mem::take(&mut self.rows);
        let n_added = self.extend(&mut rows, &drawn);
        self.rows = rows;
        Ok(n_added)
    }

    /// The tokens that the row with most to go has left.
    fn most_left(&self) -> usize {
        let left = |row: &Row<'_>| self.engine.length_of(row.request, row.index) - row.completion.ids.len();
        self.rows.iter().map(left).max().unwrap_or(0)
    }

    /// Appends what was drawn to the completions that are not done, time after time; returns how many tokens that was.
    fn extend(&self, rows: &mut [Row<'a>], drawn: &Drawn) -> usize {
        let n_rows = rows.len();
        let mut n_added = 0;
        for i in 0..drawn.ids.len() {
            let row = &mut rows[i % n_rows];
            if !row.done {
                row.completion.logp.push(drawn.logp[i]);
                row.completion.entropy.push(drawn.entropy[i]);
                self.append(row, drawn.ids[i]);
                n_added += 1;
            }
        }
        n_added
    }

    fn append(&self, row: &mut Row<'a>, id: u32) {
        let limits = self.engine.limits;
        row.completion.ids.push(id);
        if !limits.ignore_stop_ids && self.engine.tokenizer.stop_ids().contains(&id) {
            row.completion.stop = Stop::Eos;
            row.done = true;
        } else if row.stop_finder.as_mut().is_some_and(|finder| finder.push(id)) {
            row.completion.stop = Stop::Stop;
            row.done = true;
        } else if row.completion.ids.len() >= self.engine.length_of(row.request, row.index) {
            row.done = true;
        }
    }

    /// Lets finished completions go; the last row takes the place of each.
    fn release(&mut self) {
        for i in (0..self.rows.len()).rev() {
            if self.rows[i].done {
                self.decoder.swap_remove(i);
                let row = self.rows.swap_remove(i);
                self.keep(row);
            }
        }
    }

    fn keep(&mut self, row: Row<'a>) {
        let mut completion = row.completion;
        completion.text = self.engine.tokenizer.decode(&completion.ids);
        if completion.stop == Stop::Stop {
            let stops = &self.engine.limits.stop_strings;
            if let Some(at) = stops.iter().filter_map(|stop| completion.text.find(stop.as_str())).min() {
                completion.text.truncate(at);
            }
        }
        self.finished[row.request][row.index] = Some(completion);
        self.ended.insert(row.request);
    }
}

/// Takes the next number of `[0, 1)` of each row's own noise.
fn uniform(rows: &mut [Row<'_>]) -> Vec<f64> {
    rows.iter_mut().map(|row| row.noise.unit()).collect()
}

/// Finds stop strings in text that arrives token by token.
struct StopFinder<'a> {
    decode: Box<dyn FnMut(u32) -> Option<String> + 'a>,
    stops: &'a [String],
    /// The end of the text so far, as long as it may matter.
    tail: String,
}

impl<'a> StopFinder<'a> {
    fn new(tokenizer: &'a Tokenizer, stops: &'a [String]) -> Self {
        Self { decode: Box::new(tokenizer.decoder()), stops, tail: String::new() }
    }

    /// Takes a token and says whether a stop string is complete.
    fn push(&mut self, id: u32) -> bool {
        let Some(piece) = (self.decode)(id) else { return false };
        self.tail.push_str(&piece);
        if self.stops.iter().any(|stop| self.tail.contains(stop.as_str())) {
            return true;
        }
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let mut cut = self.tail.len().saturating_sub(longest);
        while !self.tail.is_char_boundary(cut) {
            cut -= 1;
        }
        self.tail.drain(..cut);
        false
    }
}

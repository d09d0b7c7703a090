//! The generation engine: many prompts, many completions of each, continuous batching.
//!
//! Each prompt is prefilled once, whatever the number of its completions. Completions are decoded a token at a time, all
//! together; one that ends leaves the batch at once and a waiting one takes its row. What a completion becomes depends on
//! its own noise alone, not on its company, float rounding aside (and with
//! [`Numerics::BatchInvariant`](rlvr_policy::Numerics) not even that).

use std::collections::VecDeque;

use rlvr_policy::{KvCache, PromptKv, Transformer};
use rlvr_verifiers::random::Random;
use tch::Tensor;

use crate::error::RolloutError;
use crate::noise::Noise;
use crate::rollout::{Completion, Stop};
use crate::sampler::{Drawn, Sampling, draw};
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
        Ok(Self { transformer, tokenizer, sampling, limits, lengths: None })
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
    /// If a prompt is empty, or does not leave room for its completion in the model's context.
    pub fn generate(
        &self,
        requests: &[Request<'_>],
        noise: Noise,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Completion>>, RolloutError> {
        let _span = tracing::info_span!("generate", requests = requests.len()).entered();
        let mut run = Run::new(self, requests, noise)?;
        while run.admit(progress) {
            run.decode();
            progress(run.rows.len());
            run.release();
        }
        Ok(run.finish())
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

/// A prompt whose completions have not all begun: its cache and the logits after it.
struct Prefilled {
    cache: PromptKv,
    logits: Tensor,
}

/// One call of [`Engine::generate`].
struct Run<'a> {
    engine: &'a Engine<'a>,
    requests: &'a [Request<'a>],
    noise: Noise,
    /// Completions that have not begun: (request, index).
    waiting: VecDeque<(usize, usize)>,
    prefilled: Vec<Option<Prefilled>>,
    cache: KvCache,
    /// The completions being decoded, a row of the cache each.
    rows: Vec<Row<'a>>,
    finished: Vec<Vec<Option<Completion>>>,
}

impl<'a> Run<'a> {
    fn new(engine: &'a Engine<'a>, requests: &'a [Request<'a>], noise: Noise) -> Result<Self, RolloutError> {
        for request in requests {
            engine.check_fits(request)?;
        }
        let total = requests.iter().map(|request| request.n).sum::<usize>();
        Ok(Self {
            engine,
            requests,
            noise,
            waiting: requests.iter().enumerate().flat_map(|(i, r)| (0..r.n).map(move |j| (i, j))).collect(),
            prefilled: requests.iter().map(|_| None).collect(),
            cache: engine.transformer.cache(engine.limits.max_rows.min(total.max(1))),
            rows: vec![],
            finished: requests.iter().map(|request| vec![None; request.n]).collect(),
        })
    }

    /// Fills free rows with waiting completions; says whether there is anything to decode.
    fn admit(&mut self, progress: &mut dyn FnMut(usize)) -> bool {
        while self.cache.n_free() > 0 && !self.waiting.is_empty() {
            let n = self.cache.n_free().min(self.waiting.len());
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
            let (caches, logits) = self.engine.transformer.prefill(&ids);
            for (row, (request, cache)) in prompts.into_iter().zip(caches).enumerate() {
                self.prefilled[request] = Some(Prefilled { cache, logits: logits.get(row as i64) });
            }
        }
        n_ready
    }

    /// Draws the first token of each completion, and gives a row to those that go on.
    fn begin(&mut self, entering: &[(usize, usize)]) {
        let logits: Vec<Tensor> =
            entering.iter().map(|&(request, _)| self.prompt(request).logits.shallow_clone()).collect();
        let mut rows: Vec<Row<'a>> = entering.iter().map(|&(request, index)| self.row(request, index)).collect();
        self.draw_into(&Tensor::stack(&logits, 0), &mut rows);
        for row in rows {
            if row.done {
                self.keep(row);
            } else {
                let prompt = self.prefilled[row.request].as_ref().expect("it was prefilled before it began");
                self.cache.push(&prompt.cache);
                self.rows.push(row);
            }
        }
        // A prompt whose last completion has begun is copied into every row that needs it.
        let next = self.waiting.front().map_or(self.requests.len(), |&(request, _)| request);
        for &(request, _) in entering.iter().filter(|(request, _)| *request < next) {
            self.prefilled[request] = None;
        }
    }

    fn prompt(&self, request: usize) -> &Prefilled {
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

    /// Computes and draws the next token of every row.
    fn decode(&mut self) {
        let _span = tracing::info_span!("decode", rows = self.rows.len()).entered();
        let last: Vec<u32> =
            self.rows.iter().map(|row| *row.completion.ids.last().expect("a row has its first token")).collect();
        let logits = self.engine.transformer.decode(&mut self.cache, &last);
        let mut rows = std::mem::take(&mut self.rows);
        self.draw_into(&logits, &mut rows);
        self.rows = rows;
    }

    fn draw_into(&self, logits: &Tensor, rows: &mut [Row<'a>]) {
        let _span = tracing::info_span!("draw", rows = rows.len()).entered();
        let uniform: Vec<f64> = rows.iter_mut().map(|row| row.noise.unit()).collect();
        let Drawn { ids, logp, entropy } = draw(logits, self.engine.sampling, &uniform);
        for (i, row) in rows.iter_mut().enumerate() {
            row.completion.logp.push(logp[i]);
            row.completion.entropy.push(entropy[i]);
            self.append(row, ids[i]);
        }
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
                self.cache.swap_remove(i);
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
    }

    fn finish(self) -> Vec<Vec<Completion>> {
        let complete = |completion: Option<Completion>| completion.expect("every completion was finished");
        self.finished.into_iter().map(|group| group.into_iter().map(complete).collect()).collect()
    }
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

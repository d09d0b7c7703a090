//! Budget forcing: thinking that is cut off at a number of tokens, or drawn out by suppressing its end.
//!
//! A completion thinks until it says so, or until its budget is used up; then a closing phrase is put into its mouth and it
//! answers. Where it would stop thinking early, the stop can be taken back and a word such as `Wait` put in its place
//! (Muennighoff et al. 2025, arXiv:2501.19393, §3.1).
//!
//! It is built from calls of [`Engine::generate`]: what was written so far, with what was put in, is the prompt of the next
//! call. The engine forwards it anew; as model FLOPs the completion costs what its tokens cost, and the tokens forwarded
//! again are counted apart.

use rlvr_policy::Transformer;
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, GenerationLimits, Request};
use crate::error::RolloutError;
use crate::noise::Noise;
use crate::rollout::{Completion, Stop};
use crate::sampler::Sampling;
use crate::tokenizer::{SpecialTokens, Tokenizer};

/// How thinking is bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThinkBudget {
    /// The most tokens of thinking, words put in included.
    pub n_tokens: usize,
    /// What is put in when they are used up, so that the answer follows.
    pub closing: String,
    /// The most tokens of the answer.
    pub n_answer_tokens: usize,
    /// The text that ends thinking, such as `</think>`; without one thinking ends with the completion.
    pub end: Option<String>,
    /// How often the end of thinking is taken back.
    pub n_extensions: usize,
    /// What is put in its place, such as `Wait`.
    pub extension: String,
}

/// What became of the thinking of a completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thinking {
    /// Tokens of thinking, words put in included.
    pub n_tokens: usize,
    /// Tokens that were put in, in thinking and to close it.
    pub n_put_in: usize,
    /// How often its end was taken back.
    pub n_extensions: usize,
    /// Whether the budget ended it.
    pub forced: bool,
    /// Tokens that were forwarded again since a call began with them.
    pub n_forwarded_again: usize,
}

/// A completion with what became of its thinking.
#[derive(Clone, Debug, PartialEq)]
pub struct Thought {
    /// The completion, words put in included; these have no log-probability and no entropy (NaN).
    pub completion: Completion,
    /// Its thinking.
    pub thinking: Thinking,
}

/// What it takes to think.
#[derive(Clone, Copy, Debug)]
pub struct Thinker<'a> {
    /// Who thinks.
    pub transformer: &'a Transformer,
    /// Text to ids and back.
    pub tokenizer: &'a Tokenizer,
    /// How tokens are drawn.
    pub sampling: &'a Sampling,
    /// Stop strings and rows; its `max_new_tokens` is not looked at.
    pub limits: &'a GenerationLimits,
    /// How thinking is bounded.
    pub budget: &'a ThinkBudget,
}

/// A completion in the making.
struct Draft {
    request: usize,
    index: usize,
    completion: Completion,
    thinking: Thinking,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Thinking,
    Answering,
    Done,
}

impl Thinker<'_> {
    /// Generates the completions of all requests, in their order.
    ///
    /// `progress` is told how many tokens were added, time and again.
    ///
    /// # Errors
    ///
    /// If a phrase has no tokens, or if a prompt leaves no room for thinking and answer.
    pub fn generate(
        &self,
        requests: &[Request<'_>],
        noise: Noise,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Thought>>, RolloutError> {
        let closing = self.phrase("closing", &self.budget.closing)?;
        let extension =
            if self.budget.n_extensions > 0 { self.phrase("extension", &self.budget.extension)? } else { vec![] };
        self.check_fits(requests, closing.len())?;
        let mut drafts = self.begin(requests, noise, progress)?;
        drafts.iter_mut().for_each(|draft| self.settle(draft, &closing, &extension));
        let mut round = 1;
        while drafts.iter().any(|draft| draft.phase == Phase::Thinking) {
            self.go_on(Phase::Thinking, requests, &mut drafts, (noise, round, progress))?;
            drafts.iter_mut().for_each(|draft| self.settle(draft, &closing, &extension));
            round += 1;
        }
        self.go_on(Phase::Answering, requests, &mut drafts, (noise, round, progress))?;
        let mut thoughts: Vec<Vec<Thought>> = requests.iter().map(|_| vec![]).collect();
        for mut draft in drafts {
            draft.completion.text = self.text(&draft.completion);
            thoughts[draft.request].push(Thought { completion: draft.completion, thinking: draft.thinking });
        }
        Ok(thoughts)
    }

    fn phrase(&self, name: &str, text: &str) -> Result<Vec<u32>, RolloutError> {
        let ids = self.tokenizer.encode(text, SpecialTokens::Omit);
        if ids.is_empty() || self.budget.n_tokens == 0 || self.budget.n_answer_tokens == 0 {
            return Err(RolloutError::Sampling(format!(
                "a thinking budget needs at least one token of thinking, of the answer and of its {name} phrase, which is `{text}`"
            )));
        }
        Ok(ids)
    }

    fn check_fits(&self, requests: &[Request<'_>], n_closing: usize) -> Result<(), RolloutError> {
        let context = self.transformer.architecture().max_positions as usize;
        let ThinkBudget { n_tokens, n_answer_tokens, .. } = *self.budget;
        let needed = n_tokens.saturating_add(n_closing).saturating_add(n_answer_tokens);
        match requests.iter().find(|request| request.prompt.len().saturating_add(needed) > context) {
            None => Ok(()),
            Some(request) => Err(RolloutError::Prompt {
                task: request.id.to_owned(),
                why: format!(
                    "the prompt has {} tokens, thinking and answer may take {needed}, but the model's context is {context}; \
                     lower the thinking budget or the tokens of the answer",
                    request.prompt.len()
                ),
            }),
        }
    }

    /// The first stretch of thinking: each prompt is prefilled once.
    fn begin(
        &self,
        requests: &[Request<'_>],
        noise: Noise,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Draft>, RolloutError> {
        let limits = self.limits_of(Phase::Thinking, self.budget.n_tokens);
        let groups = Engine::new(self.transformer, self.tokenizer, self.sampling, &limits)?
            .generate(requests, noise, progress)?;
        let drafts = groups.into_iter().enumerate().flat_map(|(request, group)| {
            group.into_iter().enumerate().map(move |(index, completion)| Draft {
                request,
                index,
                completion,
                thinking: Thinking::default(),
                phase: Phase::Thinking,
            })
        });
        Ok(drafts.collect())
    }

    /// Lets the drafts of a phase write on from where they are.
    fn go_on(
        &self,
        phase: Phase,
        requests: &[Request<'_>],
        drafts: &mut [Draft],
        (noise, round, progress): (Noise, usize, &mut dyn FnMut(usize)),
    ) -> Result<(), RolloutError> {
        let mut active: Vec<&mut Draft> = drafts.iter_mut().filter(|draft| draft.phase == phase).collect();
        if active.is_empty() {
            return Ok(());
        }
        let prompts: Vec<Vec<u32>> = active
            .iter()
            .map(|draft| [requests[draft.request].prompt, draft.completion.ids.as_slice()].concat())
            .collect();
        // Each stretch has noise of its own, named by the sample and the round.
        let names: Vec<String> = active
            .iter()
            .map(|draft| format!("{}\u{0}{}\u{0}{round}", requests[draft.request].id, draft.index))
            .collect();
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let room = (self.transformer.architecture().max_positions as usize).saturating_sub(longest).max(1);
        let left = |draft: &Draft| self.budget.n_tokens - draft.completion.ids.len();
        let most = match phase {
            Phase::Thinking => active.iter().map(|draft| left(draft)).max().unwrap_or(1),
            Phase::Answering | Phase::Done => self.budget.n_answer_tokens,
        };
        let limits = self.limits_of(phase, most.min(room));
        let calls: Vec<Request<'_>> =
            names.iter().zip(&prompts).map(|(id, prompt)| Request { id, prompt, n: 1 }).collect();
        let written =
            Engine::new(self.transformer, self.tokenizer, self.sampling, &limits)?.generate(&calls, noise, progress)?;
        for ((draft, mut written), prompt) in active.iter_mut().zip(written).zip(&prompts) {
            let mut more = written.pop().expect("one completion was asked for");
            if phase == Phase::Thinking {
                // Tokens do not depend on the limit: what lies beyond this draft's own budget was never said.
                cut(&mut more, left(draft));
            }
            draft.thinking.n_forwarded_again += prompt.len();
            append(&mut draft.completion, more);
            if phase == Phase::Answering {
                draft.phase = Phase::Done;
            }
        }
        Ok(())
    }

    /// Decides what follows a stretch of thinking: nothing, the answer, or more thinking.
    fn settle(&self, draft: &mut Draft, closing: &[u32], extension: &[u32]) {
        if draft.phase != Phase::Thinking {
            return;
        }
        let said_end = self.end_of_thinking(&draft.completion);
        let ends = draft.completion.stop == Stop::Eos || said_end.is_some();
        let kept = said_end.unwrap_or(draft.completion.ids.len() - usize::from(draft.completion.stop == Stop::Eos));
        let may_extend =
            draft.thinking.n_extensions < self.budget.n_extensions && kept + extension.len() < self.budget.n_tokens;
        if ends && may_extend {
            cut(&mut draft.completion, kept);
            put_in(draft, extension);
            draft.thinking.n_extensions += 1;
        } else if said_end.is_some() {
            draft.thinking.n_tokens = draft.completion.ids.len();
            draft.phase = Phase::Answering;
        } else if draft.completion.stop != Stop::Length {
            draft.thinking.n_tokens = draft.completion.ids.len();
            draft.phase = Phase::Done;
        } else if draft.completion.ids.len() >= self.budget.n_tokens {
            draft.thinking.n_tokens = draft.completion.ids.len();
            draft.thinking.forced = true;
            put_in(draft, closing);
            draft.phase = Phase::Answering;
        }
    }

    /// Where the text that ends thinking begins, in tokens, if it was what stopped the completion.
    fn end_of_thinking(&self, completion: &Completion) -> Option<usize> {
        let end = self.budget.end.as_ref().filter(|_| completion.stop == Stop::Stop)?;
        let at = self.tokenizer.decode(&completion.ids).find(end.as_str())?;
        let is_before = |n: &usize| self.tokenizer.decode(&completion.ids[..*n]).len() <= at;
        (0..completion.ids.len()).rev().find(is_before)
    }

    fn limits_of(&self, phase: Phase, max_new_tokens: usize) -> GenerationLimits {
        let mut stop_strings = self.limits.stop_strings.clone();
        if phase == Phase::Thinking {
            stop_strings.extend(self.budget.end.clone());
        }
        GenerationLimits { max_new_tokens, stop_strings, ..self.limits.clone() }
    }

    fn text(&self, completion: &Completion) -> String {
        let mut text = self.tokenizer.decode(&completion.ids);
        if completion.stop == Stop::Stop {
            let stops = &self.limits.stop_strings;
            if let Some(at) = stops.iter().filter_map(|stop| text.rfind(stop.as_str())).max() {
                text.truncate(at);
            }
        }
        text
    }
}

/// Keeps the first `n` tokens; what was cut off was cut off by a limit.
fn cut(completion: &mut Completion, n: usize) {
    if completion.ids.len() > n {
        completion.ids.truncate(n);
        completion.logp.truncate(n);
        completion.entropy.truncate(n);
        completion.stop = Stop::Length;
    }
}

fn append(completion: &mut Completion, more: Completion) {
    completion.ids.extend(more.ids);
    completion.logp.extend(more.logp);
    completion.entropy.extend(more.entropy);
    completion.stop = more.stop;
}

fn put_in(draft: &mut Draft, ids: &[u32]) {
    let nothing = vec![f32::NAN; ids.len()];
    draft.thinking.n_put_in += ids.len();
    let more = Completion {
        ids: ids.to_vec(),
        logp: nothing.clone(),
        entropy: nothing,
        text: String::new(),
        stop: Stop::Length,
    };
    append(&mut draft.completion, more);
}

#[cfg(test)]
mod tests {
    use rlvr_policy::Preset;
    use tch::Device;

    use super::*;
    use crate::model::Model;

    const CHARACTERS: &str = "0123456789+=W#.";

    fn model() -> Model {
        let preset = Preset {
            hidden_size: 16,
            intermediate_size: 24,
            n_layers: 1,
            n_heads: 2,
            n_kv_heads: 1,
            max_positions: 64,
            ..Preset::default()
        };
        Model::random(&preset, Tokenizer::characters(CHARACTERS).unwrap(), 5, Device::Cpu).unwrap()
    }

    fn budget(n_tokens: usize, n_extensions: usize) -> ThinkBudget {
        ThinkBudget {
            n_tokens,
            closing: "=#".to_owned(),
            n_answer_tokens: 4,
            end: Some(".".to_owned()),
            n_extensions,
            extension: "W".to_owned(),
        }
    }

    fn think(budget: &ThinkBudget, max_rows: usize) -> Result<Vec<Vec<Thought>>, RolloutError> {
        let model = model();
        let prompt = model.tokenizer.encode("1+2", SpecialTokens::Omit);
        let limits = GenerationLimits { max_new_tokens: 1, stop_strings: vec![], ignore_stop_ids: false, max_rows };
        let sampling = Sampling::default();
        let thinker = Thinker {
            transformer: &model.transformer.with_numerics(rlvr_policy::Numerics::BatchInvariant),
            tokenizer: &model.tokenizer,
            sampling: &sampling,
            limits: &limits,
            budget,
        };
        let requests = [Request { id: "a", prompt: &prompt, n: 20 }, Request { id: "b", prompt: &prompt, n: 20 }];
        thinker.generate(&requests, Noise { seed: 1, step: 0 }, &mut |_| {})
    }

    /// A random model ends a token in seventeen with the end token and one with the end of thinking.
    #[test]
    fn thinking_keeps_to_its_budget() {
        let budget = budget(12, 2);
        let thoughts = think(&budget, 64).unwrap();
        let all: Vec<&Thought> = thoughts.iter().flatten().collect();
        assert_eq!(all.len(), 40);
        for thought in &all {
            let Thought { completion, thinking } = thought;
            assert!(thinking.n_tokens <= 12, "{thinking:?}");
            let n_closing = if thinking.forced { 2 } else { 0 };
            assert!(completion.ids.len() <= thinking.n_tokens + n_closing + 4, "{thought:?}");
            assert_eq!(completion.logp.len(), completion.ids.len());
            assert_eq!(completion.logp.iter().filter(|logp| logp.is_nan()).count(), thinking.n_put_in);
            assert_eq!(thinking.n_put_in, n_closing + thinking.n_extensions);
            if thinking.forced {
                assert_eq!(thinking.n_tokens, 12);
                let closing = Tokenizer::characters(CHARACTERS).unwrap().encode("=#", SpecialTokens::Omit);
                assert_eq!(completion.ids[12..14], closing, "{}", completion.text);
            }
        }
        assert!(all.iter().any(|t| t.thinking.forced) && all.iter().any(|t| !t.thinking.forced));
        assert!(all.iter().any(|t| t.thinking.n_extensions == 2));
        let of_closed = all.iter().filter(|t| !t.thinking.forced && t.completion.text.contains('.'));
        assert!(of_closed.clone().count() > 0, "some end by themselves and answer");
    }

    #[test]
    fn nobody_feels_the_others() {
        let budget = budget(12, 1);
        let (many, few) = (think(&budget, 64).unwrap(), think(&budget, 3).unwrap());
        let ids = |thoughts: Vec<Vec<Thought>>| -> Vec<Vec<u32>> {
            thoughts.into_iter().flatten().map(|thought| thought.completion.ids).collect()
        };
        assert_eq!(ids(many), ids(few));
    }

    #[test]
    fn extensions_only_lengthen() {
        let (plain, longer) = (think(&budget(12, 0), 64).unwrap(), think(&budget(12, 3), 64).unwrap());
        for (plain, longer) in plain.iter().flatten().zip(longer.iter().flatten()) {
            assert_eq!(plain.thinking.n_extensions, 0);
            assert!(longer.thinking.n_tokens >= plain.thinking.n_tokens.saturating_sub(1), "{plain:?} {longer:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let error = think(&budget(60, 0), 64).unwrap_err().to_string();
        assert!(error.starts_with("task `a`: the prompt has 3 tokens, thinking and answer may take 66"), "{error}");
        let error = think(&ThinkBudget { closing: String::new(), ..budget(5, 0) }, 64).unwrap_err().to_string();
        assert!(error.contains("closing phrase"), "{error}");
    }
}

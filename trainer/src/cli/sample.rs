//! `rlvr sample`: continue prompts.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use rlvr_rollouts::engine::{DEFAULT_MAX_ROWS, Request};
use rlvr_rollouts::tokenizer::SpecialTokens;
use rlvr_rollouts::{Engine, GenerationLimits, Noise, Sampling, Tokenizer};
use rlvr_verifiers::text::shown;
use serde_json::json;

use super::WrongUse;
use super::model::{ModelArgs, read_ids};
use super::output::{JsonLines, print, read_text};
use super::render::Chat;

/// Arguments of `rlvr sample`.
#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// The most new tokens; what the context leaves, but at most 256, by default.
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// Take end tokens for ordinary ones.
    #[arg(long)]
    ignore_stop: bool,
    /// End at this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Completions of each prompt.
    #[arg(long, default_value_t = 1)]
    n: usize,
    /// Where the randomness comes from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The most completions decoded at a time.
    #[arg(long, default_value_t = DEFAULT_MAX_ROWS)]
    max_rows: usize,
    /// One `{"ids": […], "text": …, "stop": …}` a line, with log-probabilities.
    #[arg(long)]
    json: bool,
}

/// What is to be continued.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct PromptArgs {
    /// A text.
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// A JSON list of messages, or an object as for `rlvr render`; `-` reads stdin.
    #[arg(long, value_name = "FILE")]
    chat: Option<PathBuf>,
    /// Sequences, one `{"ids": […]}` a line; `-` reads stdin.
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
}

/// How tokens are drawn.
#[derive(Debug, Args)]
pub(super) struct SamplingArgs {
    /// Divides the logits; 0 takes the likeliest token.
    #[arg(long, default_value_t = 0.0)]
    temperature: f64,
    /// Draw from the k likeliest tokens only; 0 is off.
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Draw from the fewest tokens whose probabilities reach this sum.
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Draw from tokens at least this share as likely as the likeliest.
    #[arg(long, default_value_t = 0.0)]
    min_p: f64,
}

impl SamplingArgs {
    pub(super) fn sampling(&self) -> Sampling {
        Sampling { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p, min_p: self.min_p }
    }
}

/// New tokens if nothing else is said.
const DEFAULT_NEW_TOKENS: usize = 256;

impl PromptArgs {
    fn ids(&self, tokenizer: &Tokenizer, vocab_size: i64) -> anyhow::Result<Vec<Vec<u32>>> {
        if let Some(text) = &self.prompt {
            return Ok(vec![tokenizer.encode(text, SpecialTokens::Add)]);
        }
        if let Some(path) = &self.chat {
            let chat = Chat::parse(&read_text(path)?, true).with_context(|| format!("chat `{}`", path.display()))?;
            return Ok(vec![chat.render(tokenizer).with_context(|| format!("chat `{}`", path.display()))?.1]);
        }
        let path = self.ids.as_ref().context("name a --prompt, a --chat or --ids")?;
        read_ids(path, vocab_size)
    }
}

pub(super) fn run(args: SampleArgs) -> anyhow::Result<()> {
    if args.n == 0 {
        return Err(WrongUse("--n is 0, but must be at least 1".to_owned()).into());
    }
    if args.stop.iter().any(String::is_empty) {
        return Err(WrongUse("--stop is empty, a text that every completion contains".to_owned()).into());
    }
    let (transformer, tokenizer) = args.model.load()?;
    let architecture = transformer.architecture();
    let prompts = args.prompt.ids(&tokenizer, architecture.vocab_size)?;
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    let room = (architecture.max_positions as usize).saturating_sub(longest);
    let limits = GenerationLimits {
        max_new_tokens: args.max_new_tokens.unwrap_or(DEFAULT_NEW_TOKENS.min(room.max(1))),
        stop_strings: args.stop,
        ignore_stop_ids: args.ignore_stop,
        max_rows: args.max_rows,
    };
    let names: Vec<String> = (0..prompts.len()).map(|i| format!("prompt {}", i + 1)).collect();
    let requests: Vec<Request<'_>> =
        prompts.iter().zip(&names).map(|(prompt, id)| Request { id, prompt, n: args.n }).collect();
    let sampling = args.sampling.sampling();
    let engine = Engine::new(&transformer, &tokenizer, &sampling, &limits)?;
    let noise = Noise { seed: args.seed, step: 0 };
    let completions = engine.generate(&requests, noise, &mut |_| {})?;

    let mut out = JsonLines::new();
    for completion in completions.iter().flatten() {
        if args.json {
            let logprobs = &completion.logp;
            out.write(
                &json!({"ids": completion.ids, "text": completion.text, "stop": completion.stop, "logprobs": logprobs}),
            )?;
        } else {
            print(&format!("{}\n", shown(&completion.text)))?;
        }
    }
    out.flush()
}

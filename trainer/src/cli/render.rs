//! `rlvr render`: what the chat template makes of messages.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use rlvr_rollouts::Tokenizer;
use rlvr_rollouts::tokenizer::SpecialTokens;
use serde_json::{Map, Value, json};

use super::output::{JsonLines, read_text};

/// Arguments of `rlvr render`.
#[derive(Debug, Args)]
pub(super) struct RenderArgs {
    /// A Hugging Face model folder; only its tokenizer is read.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// A JSON list of messages, or `{"messages": […], "add_generation_prompt": true, "variables": {…}}`; `-` reads stdin.
    #[arg(long, value_name = "FILE")]
    chat: PathBuf,
}

/// Messages with what else a template may want.
pub(super) struct Chat {
    pub messages: Value,
    pub add_generation_prompt: bool,
    pub variables: Map<String, Value>,
}

impl Chat {
    /// Parses either spelling; `add_generation_prompt` is what a plain list means.
    pub(super) fn parse(text: &str, add_generation_prompt: bool) -> anyhow::Result<Self> {
        let object = match serde_json::from_str(text).context("not JSON")? {
            messages @ Value::Array(_) => {
                return Ok(Self { messages, add_generation_prompt, variables: Map::new() });
            }
            Value::Object(object) => object,
            _ => bail!("expected a list of messages, or an object with `messages`"),
        };
        let mut chat = Self { messages: Value::Null, add_generation_prompt, variables: Map::new() };
        for (key, value) in object {
            match (key.as_str(), value) {
                ("messages", value @ Value::Array(_)) => chat.messages = value,
                ("add_generation_prompt", Value::Bool(value)) => chat.add_generation_prompt = value,
                ("variables", Value::Object(variables)) => chat.variables = variables,
                _ => bail!(
                    "`{key}` is not understood; the keys are `messages` (a list), `add_generation_prompt` (true or false) \
                     and `variables` (an object)"
                ),
            }
        }
        if chat.messages.is_null() {
            bail!("there is no list of `messages`");
        }
        Ok(chat)
    }

    /// Renders the chat and encodes it.
    pub(super) fn render(&self, tokenizer: &Tokenizer) -> anyhow::Result<(String, Vec<u32>)> {
        let template = tokenizer.template().context("the model has no chat template")?;
        let text = template.render(&self.messages, self.add_generation_prompt, &self.variables)?;
        let ids = tokenizer.encode(&text, SpecialTokens::Omit);
        Ok((text, ids))
    }
}

pub(super) fn run(args: &RenderArgs) -> anyhow::Result<()> {
    let tokenizer = Tokenizer::read(&args.model)?;
    let chat =
        Chat::parse(&read_text(&args.chat)?, false).with_context(|| format!("chat `{}`", args.chat.display()))?;
    let (text, ids) = chat.render(&tokenizer).with_context(|| format!("chat `{}`", args.chat.display()))?;
    let mut out = JsonLines::new();
    out.write(&json!({"text": text, "ids": ids}))?;
    out.flush()
}

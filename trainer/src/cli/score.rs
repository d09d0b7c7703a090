//! `rlvr score`: log-probabilities of given tokens.

use std::path::PathBuf;

use clap::Args;
use rlvr::step::score;
use serde_json::json;

use super::model::{ModelArgs, read_ids};
use super::output::JsonLines;

/// Arguments of `rlvr score`.
#[derive(Debug, Args)]
pub(super) struct ScoreArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Sequences, one `{"ids": […]}` a line; `-` reads stdin. The answer has a log-probability for all ids but the first.
    #[arg(long, value_name = "FILE")]
    ids: PathBuf,
    /// Divides the logits.
    #[arg(long, default_value_t = 1.0)]
    temperature: f64,
    /// Tokens computed at a time.
    #[arg(long, default_value_t = 4096)]
    tokens_per_batch: usize,
}

pub(super) fn run(args: &ScoreArgs) -> anyhow::Result<()> {
    if !(args.temperature.is_finite() && args.temperature > 0.0) {
        return Err(super::WrongUse(format!("--temperature is {}, but must be above 0", args.temperature)).into());
    }
    let (transformer, _) = args.model.load()?;
    let architecture = transformer.architecture();
    let sequences = read_ids(&args.ids, architecture.vocab_size)?;
    if let Some(i) = sequences.iter().position(|ids| ids.len() as i64 > architecture.max_positions) {
        anyhow::bail!(
            "`{}`: sequence {} has {} tokens, but the model's context is {}",
            args.ids.display(),
            i + 1,
            sequences[i].len(),
            architecture.max_positions
        );
    }
    let groups: Vec<(&[u32], Vec<&[u32]>)> = sequences.iter().map(|ids| (&ids[..1], vec![&ids[1..]])).collect();
    let (scores, _) = score(&transformer, &groups, args.temperature, args.tokens_per_batch);
    let mut out = JsonLines::new();
    for group in scores {
        out.write(&json!({"logprobs": group[0]}))?;
    }
    out.flush()
}

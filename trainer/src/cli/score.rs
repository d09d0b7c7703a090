//! `rlvr score`: log-probabilities of given tokens.

use std::path::PathBuf;

use clap::Args;
use rlvr::step::score;
use serde_json::json;

use super::WrongUse;
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
        return Err(WrongUse(format!("--temperature is {}, but must be above 0", args.temperature)).into());
    }
    if args.tokens_per_batch == 0 {
        return Err(WrongUse("--tokens-per-batch is 0, but must be at least 1".to_owned()).into());
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
    // A single id has no past, hence no log-probability.
    let longer: Vec<&Vec<u32>> = sequences.iter().filter(|ids| ids.len() > 1).collect();
    let groups: Vec<(&[u32], Vec<&[u32]>)> = longer.iter().map(|ids| (&ids[..1], vec![&ids[1..]])).collect();
    let (scores, _) = score(&transformer, &groups, args.temperature, args.tokens_per_batch);
    let mut scores = scores.into_iter();
    let mut out = JsonLines::new();
    for ids in &sequences {
        let logprobs = if ids.len() > 1 { scores.next().map(|mut group| group.remove(0)) } else { None };
        out.write(&json!({"logprobs": logprobs.unwrap_or_default()}))?;
    }
    out.flush()
}

//! A report for people.

use super::{DecodeFigures, Phase, PrefillFigures, Report, StepFigures, TrainFigures, VerifyFigures};

/// Writes a report as lines of text.
pub fn table(report: &Report) -> String {
    let mut lines = vec![machine(report), model(report)];
    lines.extend(report.prefill.as_ref().map(prefill));
    lines.extend(report.decode.as_ref().map(decode));
    lines.extend(report.verify.iter().flatten().map(|(name, figures)| verify(name, figures)));
    lines.extend(report.train.as_ref().map(train));
    lines.extend(report.step.iter().flat_map(step));
    lines.join("\n")
}

fn machine(report: &Report) -> String {
    let machine = &report.machine;
    format!(
        "{}, {} threads, libtorch {}: {:.0} GFLOP/s in {} matrix products, {:.1} GB/s from memory",
        machine.device,
        machine.threads,
        machine.libtorch,
        machine.matmul_flops_per_s / 1e9,
        machine.kind,
        machine.memory_bytes_per_s / 1e9
    )
}

fn model(report: &Report) -> String {
    let (model, prompts) = (&report.model, &report.prompts);
    format!(
        "{}, {}: {:.1} M parameters, {:.1} M in matrix products; {} prompts of {:.1} tokens",
        model.name,
        model.family,
        model.parameters as f64 / 1e6,
        model.matmul_parameters as f64 / 1e6,
        prompts.prompts,
        prompts.tokens_mean
    )
}

fn prefill(figures: &PrefillFigures) -> String {
    format!(
        "prefill  {:>9.1} tokens/s, {} of the matrix peak, {}",
        figures.tokens_per_s,
        percent(Some(figures.share_of_matmul_peak)),
        memory(figures.peak_memory_bytes)
    )
}

fn decode(figures: &DecodeFigures) -> String {
    let equal = figures.equal_lengths.map_or(String::new(), |equal| {
        format!("\n         {} of the {:.1} tokens/s of equal lengths", percent(Some(equal.ratio)), equal.tokens_per_s)
    });
    format!(
        "decode   {:>9.1} tokens/s (± {}); after the first tokens {} of what the weights alone allow, {} of the matrix \
         peak, {} of the bandwidth, {}{equal}",
        figures.tokens_per_s,
        percent(Some(figures.timing.spread / 2.0)),
        percent(figures.share_of_matmul_limit),
        percent(figures.share_of_matmul_peak),
        percent(figures.share_of_memory_bandwidth),
        memory(figures.peak_memory_bytes)
    )
}

fn verify(name: &str, figures: &VerifyFigures) -> String {
    match figures {
        VerifyFigures::Measured(judging) => {
            format!("verify   {:>9.0} judgements/s by `{name}`", judging.judgements_per_s)
        }
        VerifyFigures::Absent { why } => format!("verify           ? by `{name}`: {why}"),
    }
}

fn train(figures: &TrainFigures) -> String {
    format!(
        "train    {:>9.1} tokens/s (± {}), {} of the matrix peak ({} without the head at prompt tokens), {}",
        figures.tokens_per_s,
        percent(Some(figures.timing.spread / 2.0)),
        percent(Some(figures.share_of_matmul_peak)),
        percent(Some(figures.share_of_matmul_peak_without_prompt_head)),
        memory(figures.peak_memory_bytes)
    )
}

fn step(figures: &StepFigures) -> Vec<String> {
    let phases = &figures.phases;
    let named = [
        ("generate", Some(phases.generate)),
        ("verify", Some(phases.verify)),
        ("score", phases.score),
        ("update", Some(phases.update)),
    ];
    let mut lines = vec![format!(
        "step     {:>9.2} s (± {}), {:.1} tokens/s, {}",
        figures.timing.wall_s,
        percent(Some(figures.timing.spread / 2.0)),
        figures.tokens_per_s,
        memory(figures.peak_memory_bytes)
    )];
    lines.extend(named.iter().filter_map(|(name, phase)| phase.map(|phase| phase_line(name, phase))));
    lines
}

fn phase_line(name: &str, phase: Phase) -> String {
    format!("         {:>9.2} s  {name}, {}", phase.wall_s, memory(phase.peak_memory_bytes))
}

fn percent(share: Option<f64>) -> String {
    share.map_or("?".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn memory(bytes: Option<u64>) -> String {
    bytes.map_or("memory not measured".to_owned(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9))
}

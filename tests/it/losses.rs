//! Losses and their gradients are those of TRL, verl and ScaleRL, to float64 rounding.

use rlvr::aggregate::{Aggregation, StepCounts};
use rlvr::loss::bound::{Cispo, Clip, Sapo, Vespo};
use rlvr::loss::correction::Limits;
use rlvr::loss::{Anchor, Bound, Correction, Divergence, KlConfig, Loss, LossConfig, LossTokens, RatioLevel, loss};
use serde_json::Value;
use tch::{Kind, Tensor};

const CASES: &str = include_str!("../fixtures/losses.json");

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

/// `[B][T]`, where it is given.
fn table(value: &Value) -> Option<Vec<Vec<f64>>> {
    serde_json::from_value(value.clone()).expect("a table of numbers, or null")
}

/// The configuration that a case's parameters mean.
fn config(params: &Value) -> LossConfig {
    let of = |key: &str| number(&params[key]);
    let text = |key: &str| params[key].as_str().unwrap_or_default();
    let clip = || {
        let low = of("epsilon").expect("a bound");
        Bound::Clip(Clip { low, high: of("epsilon_high").unwrap_or(low), dual: of("delta") })
    };
    let verl_clip = || (of("clip_ratio_low").expect("a bound"), of("clip_ratio_high").expect("a bound"));
    let bound = match text("loss_type") {
        "grpo" | "bnpo" | "dr_grpo" | "dapo" | "luspo" => clip(),
        "cispo" => Bound::Cispo(Cispo { cap: of("epsilon_high").expect("a cap"), floor: None }),
        "sapo" => Bound::Sapo(Sapo {
            tau_positive: of("sapo_temperature_pos").expect("τ"),
            tau_negative: of("sapo_temperature_neg").expect("τ"),
        }),
        "vespo" => Bound::Vespo(Vespo {
            k_positive: of("vespo_k_pos").expect("k"),
            lambda_positive: of("vespo_lambda_pos").expect("λ"),
            k_negative: of("vespo_k_neg").expect("k"),
            lambda_negative: of("vespo_lambda_neg").expect("λ"),
        }),
        "scalerl" => Bound::Cispo(Cispo { cap: of("ratio_cap").expect("a cap"), floor: None }),
        "verl_vanilla" => {
            let (low, high) = verl_clip();
            Bound::Clip(Clip { low, high, dual: of("clip_ratio_c") })
        }
        "verl_cispo" => {
            let (low, high) = verl_clip();
            Bound::Cispo(Cispo { cap: 1.0 + high, floor: Some(1.0 - low) })
        }
        other => panic!("an unknown loss, {other}"),
    };
    let aggregation = match (text("loss_type"), text("loss_agg_mode")) {
        ("grpo" | "sapo", _) | (_, "seq-mean-token-mean") => Aggregation::SequenceMean,
        ("dr_grpo", _) | (_, "seq-mean-token-sum-norm") => Aggregation::Constant,
        ("luspo", _) | (_, "seq-mean-token-sum") => Aggregation::SequenceSum,
        ("scalerl", _) => Aggregation::PromptMean,
        _ => Aggregation::TokenMean,
    };
    let limits =
        || Limits { min: of("sampler_clip_min").unwrap_or(0.0), max: of("sampler_clip_max").expect("a limit") };
    LossConfig {
        ratio: if text("importance_sampling_level") == "sequence" { RatioLevel::Sequence } else { RatioLevel::Token },
        anchor: if text("loss_type") == "scalerl" { Anchor::Gen } else { Anchor::Old },
        bound,
        aggregation,
        correction: match text("sampler_correction") {
            "token_truncate" => Correction::TokenTruncate(limits()),
            "token_mask" => Correction::TokenMask(limits()),
            "sequence_truncate" => Correction::SequenceTruncate(limits()),
            "sequence_mask" => Correction::SequenceMask(limits()),
            _ => Correction::None,
        },
        off_policy_threshold: of("off_policy_mask_threshold"),
        kl: of("beta").filter(|&beta| beta > 0.0).map(|beta| KlConfig {
            beta,
            form: if params["use_bias_correction_kl"] == true { Divergence::WeightedK3 } else { Divergence::K3 },
        }),
        entropy: of("entropy_coef").unwrap_or(0.0),
    }
}

/// The unmasked tokens of a case, rollouts one after another, with where each stood.
struct Tokens {
    tokens: LossTokens,
    places: Vec<(usize, usize)>,
}

fn tokens(case: &Value, aggregation: Aggregation) -> Tokens {
    let inputs = &case["inputs"];
    let mask = table(&inputs["mask"]).expect("a mask");
    let places: Vec<(usize, usize)> = (0..mask.len())
        .flat_map(|row| (0..mask[row].len()).map(move |t| (row, t)))
        .filter(|&(row, t)| mask[row][t] != 0.0)
        .collect();
    let pick =
        |values: &[Vec<f64>]| Tensor::from_slice(&places.iter().map(|&(row, t)| values[row][t]).collect::<Vec<_>>());
    let of = |key: &str| table(&inputs[key]).map(|values| pick(&values));
    let group_size = inputs["group_size"].as_u64().expect("a size") as usize;
    let lengths: Vec<usize> = mask.iter().map(|row| row.iter().filter(|&&m| m != 0.0).count()).collect();
    let counts = StepCounts {
        n_tokens: lengths.chunks(group_size).map(<[usize]>::to_vec).collect(),
        max_new_tokens: case["params"]["max_completion_length"].as_u64().map_or(mask[0].len(), |n| n as usize),
    };
    let weights: Vec<f64> = aggregation.token_weights(&counts).concat();
    let advantages: Vec<f64> = serde_json::from_value(inputs["advantages"].clone()).expect("advantages");
    let spread = |values: &[f64]| Tensor::from_slice(&places.iter().map(|&(row, _)| values[row]).collect::<Vec<_>>());
    let logp = of("logp").expect("log-probabilities").set_requires_grad(true);
    let old_logp = of("old_logp").unwrap_or_else(|| logp.detach().copy());
    Tokens {
        tokens: LossTokens {
            entropy: of("entropy").unwrap_or_else(|| logp.zeros_like().detach()).set_requires_grad(true),
            sampler_logp: of("sampler_logp").unwrap_or_else(|| old_logp.shallow_clone()),
            old_logp,
            reference_logp: of("ref_logp"),
            advantage: spread(&advantages),
            weight: spread(&weights),
            rollout: Tensor::from_slice(&places.iter().map(|&(row, _)| row as i64).collect::<Vec<_>>()),
            n_rollouts: mask.len() as i64,
            entropy_weight: 1.0 / places.len() as f64,
            logp,
        },
        places,
    }
}

/// The relative error allowed: verl divides a rollout's sum by `n + 1e-8`, this project by `n`.
fn tolerance(params: &Value) -> f64 {
    if params["loss_agg_mode"] == "seq-mean-token-mean" { 1e-8 } else { 1e-9 }
}

/// A fraction that the reference averages in float32.
#[track_caller]
fn check_fraction(name: &str, metrics: &Value, key: &str, found: f64) {
    if let Some(expected) = number(&metrics[key]) {
        assert!((found - expected).abs() < 1e-6, "{name}: {key} is {found}, not {expected}");
    }
}

#[test]
fn losses_and_gradients_are_those_of_the_references() {
    let file: Value = serde_json::from_str(CASES).expect("JSON");
    let cases = file["cases"].as_array().expect("cases");
    for case in cases {
        let name = case["name"].as_str().expect("a name");
        let config = config(&case["params"]);
        let Tokens { tokens, places } = tokens(case, config.aggregation);
        let Loss { value, sums } = loss(&tokens, &config);
        let expected = &case["expected"];
        let (found, reference) = (value.double_value(&[]), number(&expected["loss"]).expect("a loss"));
        let tolerance = tolerance(&case["params"]);
        let is_close = (found - reference).abs() <= tolerance * reference.abs();
        assert!(is_close, "{name}: the loss is {found}, not {reference}");

        value.backward();
        let gradient = Vec::<f64>::try_from(tokens.logp.grad().to_kind(Kind::Double)).expect("numbers");
        let reference = table(&expected["grad_logp"]).expect("gradients");
        let scale = reference.iter().flatten().fold(0.0_f64, |most, g| most.max(g.abs()));
        for (&(row, t), found) in places.iter().zip(gradient) {
            let reference = reference[row][t];
            assert!(
                (found - reference).abs() <= tolerance * scale,
                "{name}: the gradient of token {t} of rollout {row} is {found}, not {reference}"
            );
        }

        let metrics = &expected["metrics"];
        check_fraction(name, metrics, "clip_ratio/low_mean", sums.clip_low / sums.n_units);
        check_fraction(name, metrics, "clip_ratio/high_mean", sums.clip_high / sums.n_units);
        check_fraction(name, metrics, "cispo_clip_ratio", sums.capped / sums.n_units);
        check_fraction(name, metrics, "kl", sums.kl / sums.n_tokens);
    }
    assert_eq!(cases.len(), 25);
}

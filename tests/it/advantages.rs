//! Advantages are those of TRL, verl and ScaleRL, to float64 rounding.

use rlvr::advantage::{AdvantageConfig, Baseline, PartRewards, Parts, Scale, advantages};
use serde_json::Value;

const CASES: &str = include_str!("../fixtures/advantages.json");

fn config(params: &Value) -> AdvantageConfig {
    let (baseline, scale) = match params["scale_rewards"].as_str().expect("a scale") {
        "group" | "verl_grpo" => (Baseline::Mean, Scale::Group),
        "batch" => (Baseline::Mean, Scale::BatchRaw),
        "none" | "verl_dr_grpo" => (Baseline::Mean, Scale::None),
        "verl_rloo" => (Baseline::LeaveOneOut, Scale::None),
        "scalerl" => (Baseline::Mean, Scale::BatchCentred),
        other => panic!("an unknown scale, {other}"),
    };
    let parts = match params["aggregation"].as_str() {
        Some("normalize_then_sum") => Parts::NormaliseEach,
        _ => Parts::Sum,
    };
    AdvantageConfig { baseline, scale, epsilon: params["epsilon"].as_f64().unwrap_or(0.0), parts, reward_kl: 0.0 }
}

#[test]
fn advantages_are_those_of_the_references() {
    let file: Value = serde_json::from_str(CASES).expect("JSON");
    let cases = file["cases"].as_array().expect("cases");
    for case in cases {
        let (name, params) = (case["name"].as_str().expect("a name"), &case["params"]);
        let weights: Vec<f64> = serde_json::from_value(params["reward_weights"].clone()).expect("weights");
        let rewards: Vec<Vec<Option<f64>>> =
            serde_json::from_value(case["inputs"]["rewards_per_function"].clone()).expect("rewards");
        let expected: Vec<f64> = serde_json::from_value(case["expected"]["advantages"].clone()).expect("advantages");
        let n = expected.len();
        let group_size = params["group_size"].as_u64().expect("a size") as usize;
        let parts: Vec<PartRewards> =
            weights.into_iter().zip(rewards).map(|(weight, values)| PartRewards { weight, values }).collect();
        let found = advantages(&parts, &vec![group_size; n / group_size], &vec![1; n], &config(params));
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            // The references have no word for "no advantage".
            let found = found.unwrap_or(0.0);
            let is_close = (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3);
            assert!(is_close, "{name}: the advantage of rollout {i} is {found}, not {expected}");
        }
    }
    assert_eq!(cases.len(), 52);
}

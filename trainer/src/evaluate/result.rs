//! The result of an examination as JSON: nothing but samples and settings decide it, so that it can be made again.

use std::collections::BTreeSet;

use rlvr_curves::estimate::NoisyVerifier;
use rlvr_curves::evaluation::{Picker, Plan, Problem, Rung, ladder, summary};
use serde_json::{Map, Value, json};

use super::EvalSample;
use super::examination::Variant;
use super::sample::problems;

/// What an examination found.
#[derive(Debug)]
pub struct Findings {
    /// Problem by problem.
    pub problems: Vec<Problem>,
    /// Accuracy against inference compute.
    pub ladder: Vec<Rung>,
    /// `sets`, `variants`, `inference`, `equal_compute`, `tokens`, `flops` and `flops_forwarded_again`.
    pub json: Map<String, Value>,
}

/// Makes the estimates of an examination.
pub fn findings(samples: &[EvalSample], variants: &[Variant], plan: &Plan) -> Findings {
    let problems = problems(samples);
    let mut all = vec![];
    let mut rungs: Vec<Rung> = vec![];
    for variant in variants {
        let of_variant: Vec<&Problem> = problems.iter().filter(|problem| problem.variant == variant.name).collect();
        let sets: BTreeSet<&str> = of_variant.iter().map(|problem| problem.set.as_str()).collect();
        let mut estimates = Map::new();
        for set in sets {
            let of_set: Vec<&Problem> = of_variant.iter().copied().filter(|problem| problem.set == set).collect();
            estimates.insert(set.to_owned(), summary(&of_set, plan));
            rungs.extend(ladder(&of_set, plan));
        }
        all.push((variant, estimates));
    }
    let mut json = Map::new();
    json.insert("sets".to_owned(), all.first().map_or(Value::Null, |(_, sets)| Value::Object(sets.clone())));
    if all.len() > 1 {
        let of_variant = |(variant, sets): &(&Variant, Map<String, Value>)| json!({"variant": variant.name, "budget": variant.budget, "sets": sets});
        json.insert("variants".to_owned(), all.iter().map(of_variant).collect());
        json.insert("equal_compute".to_owned(), equal_compute(&rungs));
    }
    json.insert("inference".to_owned(), json!(rungs));
    json.insert("tokens".to_owned(), samples.iter().map(|sample| sample.n_tokens).sum::<usize>().into());
    let flops: f64 = problems.iter().map(|problem| problem.flops_prompt).sum::<f64>()
        + samples.iter().map(|sample| sample.flops).sum::<f64>();
    json.insert("flops".to_owned(), flops.into());
    let again = samples.iter().filter_map(|sample| sample.thinking).map(|thinking| thinking.n_forwarded_again);
    json.insert("tokens_forwarded_again".to_owned(), again.sum::<usize>().into());
    Findings { problems, ladder: rungs, json }
}

/// For every budget of thinking: what the same operations would have bought as more samples without one.
///
/// Of the samples without a budget the largest k is taken that costs no more.
fn equal_compute(rungs: &[Rung]) -> Value {
    let single = rungs.iter().filter(|rung| !rung.variant.is_empty() && rung.k == 1 && rung.method == "coverage");
    let compare = |rung: &Rung| {
        let within = |method: &str| {
            let plain = rungs.iter().filter(|other| {
                other.variant.is_empty() && other.set == rung.set && other.method == method && other.flops <= rung.flops
            });
            plain.max_by_key(|other| other.k).map(|other| json!({"k": other.k, "flops": other.flops, "y": other.y}))
        };
        json!({
            "set": rung.set,
            "variant": rung.variant,
            "flops": rung.flops,
            "tokens": rung.tokens,
            "y": rung.y,
            "forced": rung.forced,
            "majority_at_equal_flops": within("majority"),
            "coverage_at_equal_flops": within("coverage"),
        })
    };
    single.map(compare).collect()
}

/// Reads what picks among samples: a verifier's name, or `noisy:t=0.9,f=0.05`, the truth with errors.
///
/// # Errors
///
/// Says what is wrong with the rates.
pub fn picker(text: &str) -> Result<Picker, String> {
    let Some(rates) = text.strip_prefix("noisy:") else { return Ok(Picker::Scored { name: text.to_owned() }) };
    let refuse = || {
        format!(
            "`{text}`: a noisy verifier is named as `noisy:t=0.9,f=0.05`, where t is the share of right and f that of wrong \
             samples that it accepts, each from 0 to 1"
        )
    };
    let mut verifier = NoisyVerifier { accepts_right: f64::NAN, accepts_wrong: f64::NAN };
    for rate in rates.split(',') {
        let (name, value) = rate.split_once('=').ok_or_else(refuse)?;
        let value = value.parse::<f64>().ok().filter(|value| (0.0..=1.0).contains(value)).ok_or_else(refuse)?;
        match name.trim() {
            "t" => verifier.accepts_right = value,
            "f" => verifier.accepts_wrong = value,
            _ => return Err(refuse()),
        }
    }
    if verifier.accepts_right.is_nan() || verifier.accepts_wrong.is_nan() {
        return Err(refuse());
    }
    Ok(Picker::Noisy { name: text.to_owned(), verifier })
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::sample;
    use super::*;

    #[test]
    fn noisy_verifiers_are_named_by_their_rates() {
        let expected = NoisyVerifier { accepts_right: 0.9, accepts_wrong: 0.05 };
        let name = "noisy:t=0.9,f=0.05".to_owned();
        assert_eq!(picker(&name).unwrap(), Picker::Noisy { name, verifier: expected });
        assert_eq!(picker("math").unwrap(), Picker::Scored { name: "math".to_owned() });
        for wrong in ["noisy:", "noisy:t=0.9", "noisy:t=2,f=0", "noisy:t=1,g=0", "noisy:0.9"] {
            assert!(picker(wrong).unwrap_err().contains("is named as `noisy:t=0.9,f=0.05`"), "{wrong}");
        }
    }

    #[test]
    fn a_budget_is_compared_with_more_samples_of_the_same_operations() {
        let variants =
            [Variant { name: String::new(), budget: None }, Variant { name: "budget 8".to_owned(), budget: None }];
        let mut samples = vec![];
        for i in 0..4 {
            samples.push(sample("a", i, Some(f32::from(u8::from(i < 2))), if i < 2 { "1" } else { "2" }));
        }
        for i in 0..4 {
            let one = sample("a", i, Some(1.0), "1");
            samples.push(EvalSample { variant: "budget 8".to_owned(), flops: 15.0, ..one });
        }
        let plan = Plan { n: 4, ks: [1, 2, 4].into(), pickers: vec![], seed: 0 };
        let found = findings(&samples, &variants, &plan);
        // A sample costs 10 + 7, two cost 24, one with the budget 25.
        let equal = &found.json["equal_compute"][0];
        assert_eq!((&equal["flops"], &equal["y"]), (&json!(25.0), &json!(1.0)));
        assert_eq!(equal["coverage_at_equal_flops"]["k"], 2);
        assert!((equal["majority_at_equal_flops"]["y"].as_f64().unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(found.json["sets"]["s"]["mean@4"]["value"], 0.5);
        assert_eq!(found.json["tokens"], 32);
        assert_eq!(found.json["flops"], 10.0 + 28.0 + 10.0 + 60.0);
    }
}

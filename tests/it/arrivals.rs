//! Whatever comes together in a batch, every completion is what it would be alone.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use rlvr::step::score;
use rlvr_policy::Transformer;
use rlvr_policy::kernels::{Bfloat16, Int8, Reduced};
use rlvr_rollouts::engine::{Backend, Request};
use rlvr_rollouts::rollout::Completion;
use rlvr_rollouts::{Engine, GenerationLimits, Noise, Sampling, Tokenizer};

use crate::tiny::tiny_transformer;

/// Requests, and how they are answered.
#[derive(Clone, Debug)]
struct Case {
    /// The ids of each prompt, and how many completions it gets.
    requests: Vec<(Vec<u32>, usize)>,
    limits: GenerationLimits,
    sampling: Sampling,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let requests = prop::collection::vec((prop::collection::vec(0..28_u32, 1..40), 1..6_usize), 1..7);
    let stops = prop::sample::subsequence(vec!["e", "ab", " =", "zz"], 0..3);
    let limits = (1..25_usize, stops, any::<bool>(), 1..40_usize).prop_map(
        |(max_new_tokens, stops, ignore_stop_ids, max_rows)| GenerationLimits {
            max_new_tokens,
            stop_strings: stops.into_iter().map(str::to_owned).collect(),
            ignore_stop_ids,
            max_rows,
        },
    );
    let sampling = (prop::sample::select(vec![0.0, 0.7, 1.0]), prop::sample::select(vec![1.0, 0.9]))
        .prop_map(|(temperature, top_p)| Sampling { temperature, top_p, ..Sampling::default() });
    (requests, limits, sampling, 0..1000_u64).prop_map(|(requests, limits, sampling, seed)| Case {
        requests,
        limits,
        sampling,
        seed,
    })
}

fn answers(transformer: &Transformer, case: &Case, backend: Backend) -> Vec<Vec<Completion>> {
    let tokenizer = Tokenizer::characters("abcdefghijklmnopqrstuvwxyz =").expect("different characters");
    let engine = Engine::new(transformer, &tokenizer, &case.sampling, &case.limits).expect("good settings");
    let ids: Vec<String> = (0..case.requests.len()).map(|i| format!("task {i}")).collect();
    let requests: Vec<Request<'_>> =
        ids.iter().zip(&case.requests).map(|(id, (prompt, n))| Request { id, prompt, n: *n }).collect();
    let noise = Noise { seed: case.seed, step: 1 };
    engine.with_backend(backend).generate(&requests, noise, &mut |_| {}).expect("prompts that fit")
}

fn fixed(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(fixed(48))]

    #[test]
    fn company_changes_no_bit(case in cases()) {
        for family in ["llama", "qwen3"] {
            let transformer = tiny_transformer(family, 3);
            let alone = Case { limits: GenerationLimits { max_rows: 1, ..case.limits.clone() }, ..case.clone() };
            let (together, alone) = (
                answers(&transformer, &case, Backend::Fastest),
                answers(&transformer, &alone, Backend::Fastest),
            );
            prop_assert_eq!(together, alone);
        }
    }

    #[test]
    fn kernels_draw_what_libtorch_draws(case in cases()) {
        let transformer = tiny_transformer("qwen2", 3);
        let ours = answers(&transformer, &case, Backend::Fastest);
        let reference = answers(&transformer, &case, Backend::Libtorch);
        for (ours, reference) in ours.iter().flatten().zip(reference.iter().flatten()) {
            prop_assert_eq!((&ours.ids, ours.stop, &ours.text), (&reference.ids, reference.stop, &reference.text));
            for (ours, reference) in ours.logp.iter().zip(&reference.logp) {
                prop_assert!((ours - reference).abs() < 1e-4, "{ours} and {reference}");
            }
        }
    }
}

/// Rounding to 8 bits moves log-probabilities, but not far; company still changes no bit.
#[test]
fn fewer_bits_decode_close_to_float32_and_alike_in_any_company() {
    let bfloat16 = Bfloat16::detect().map(Reduced::Bfloat16);
    let int8 = Int8::detect().map(Reduced::Int8);
    bfloat16.into_iter().chain(int8).for_each(decodes_close_to_float32);
}

fn decodes_close_to_float32(reduced: Reduced) {
    let exact = tiny_transformer("llama", 3);
    let rounded = tiny_transformer("llama", 3).decoding_in(reduced);
    let case = Case {
        requests: vec![(vec![1, 2, 3], 5), (vec![7; 20], 3)],
        limits: GenerationLimits { max_new_tokens: 16, stop_strings: vec![], ignore_stop_ids: true, max_rows: 64 },
        sampling: Sampling::default(),
        seed: 4,
    };
    let found = answers(&rounded, &case, Backend::Fastest);
    let one = Case { limits: GenerationLimits { max_rows: 1, ..case.limits.clone() }, ..case.clone() };
    assert_eq!(found, answers(&rounded, &one, Backend::Fastest));
    let groups: Vec<(&[u32], Vec<&[u32]>)> = (case.requests.iter().zip(&found))
        .map(|((prompt, _), all)| (prompt.as_slice(), all.iter().map(|one| one.ids.as_slice()).collect()))
        .collect();
    let (scored, _) = score(&exact, &groups, 1.0, 4096);
    let sampled = found.iter().flatten().flat_map(|one| &one.logp);
    let far: Vec<f32> = sampled.zip(scored.iter().flatten().flatten()).map(|(a, b)| (a - b).abs()).collect();
    let mean = far.iter().sum::<f32>() / far.len() as f32;
    assert!(mean > 1e-5 && mean < 0.03, "{reduced:?}: {mean}");
}

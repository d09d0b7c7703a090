//! A GPU computes what the CPU computes, as far as bfloat16 goes. Without a GPU there is nothing to see here.

use rlvr::learner::Learner;
use rlvr::step::score;
use rlvr_policy::decoding::Graphs;
use rlvr_policy::logprob::ScoreGradient;
use rlvr_policy::{Activations, Architecture, Batch, Numerics, Preset, PromptGroup, Weights};
use rlvr_rollouts::engine::Request;
use rlvr_rollouts::rollout::Completion;
use rlvr_rollouts::{Engine, GenerationLimits, Noise, Sampling, Tokenizer};
use tch::{Cuda, Device, Kind, Tensor};

use crate::tiny::scaled;

/// Learners with the same weights, on the GPU and on the CPU; none without a GPU.
fn learners(family: &str, graphs: Graphs) -> Option<[Learner; 2]> {
    if !Cuda::is_available() {
        return None;
    }
    let preset = Preset {
        family: family.to_owned(),
        hidden_size: 64,
        intermediate_size: 96,
        n_layers: 3,
        n_heads: 4,
        n_kv_heads: 2,
        max_positions: 256,
        ..Preset::default()
    };
    let (architecture, on_cpu) = scaled(&preset, 3, 4.0);
    let on_gpu = Weights::random(&architecture, 3, Device::Cuda(0));
    on_gpu.copy_from(&on_cpu);
    let learner = |architecture: &Architecture, weights| {
        Learner::new(architecture.clone(), weights, Numerics::Fast).decoding_with(graphs)
    };
    Some([learner(&architecture, on_gpu), learner(&architecture, on_cpu)])
}

fn mean_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
}

fn generate(learner: &Learner, max_rows: usize) -> Vec<Vec<Completion>> {
    let tokenizer = Tokenizer::characters("abcdefghijklmnopqrstuvwxyz =").expect("different characters");
    let limits = GenerationLimits { max_new_tokens: 40, stop_strings: vec![], ignore_stop_ids: false, max_rows };
    let (sampling, sampler) = (Sampling::default(), learner.sampler());
    let engine = Engine::new(&sampler, &tokenizer, &sampling, &limits).expect("good settings");
    let prompts: [&[u32]; 3] = [&[1, 2, 3], &[7], &[4, 4, 4, 4, 9, 2, 11]];
    let requests = prompts.map(|prompt| Request { id: "task", prompt, n: 8 });
    engine.generate(&requests, Noise { seed: 5, step: 2 }, &mut |_| {}).expect("prompts that fit")
}

#[test]
fn the_engine_writes_down_what_scoring_finds() {
    for (family, graphs) in [("llama", Graphs::Recorded), ("qwen3", Graphs::Recorded), ("llama", Graphs::Off)] {
        let Some([on_gpu, on_cpu]) = learners(family, graphs) else { return };
        // Twice, since the second time finds graphs and memory; with fewer rows, since those are others.
        for max_rows in [24, 24, 5] {
            for (group, prompt) in
                generate(&on_gpu, max_rows).iter().zip([&[1, 2, 3][..], &[7], &[4, 4, 4, 4, 9, 2, 11]])
            {
                let ids: Vec<&[u32]> = group.iter().map(|completion| completion.ids.as_slice()).collect();
                let written: Vec<f32> = group.iter().flat_map(|completion| completion.logp.iter().copied()).collect();
                for (learner, tolerance) in [(&on_gpu, 0.02), (&on_cpu, 0.05)] {
                    let (found, _) = score(&learner.policy(), &[(prompt, ids.clone())], 1.0, 512);
                    let found: Vec<f32> = found.into_iter().flatten().flatten().collect();
                    let difference = mean_difference(&written, &found);
                    assert!(difference < tolerance, "{family}, {graphs:?}, {max_rows} rows: {difference} nats");
                }
            }
        }
    }
}

#[test]
fn graphs_draw_what_is_drawn_without_them() {
    let Some([recorded, _]) = learners("llama", Graphs::Recorded) else { return };
    let Some([plain, _]) = learners("llama", Graphs::Off) else { return };
    let (recorded, plain) = (generate(&recorded, 24), generate(&plain, 24));
    // Where rows have left, others are computed in their place, and rounding may turn a token.
    let pairs = || recorded.iter().flatten().zip(plain.iter().flatten());
    let n_equal = pairs().filter(|(a, b)| a.ids == b.ids).count();
    assert!(n_equal * 10 >= pairs().count() * 8, "{n_equal} of {} completions are the same", pairs().count());
    assert!(pairs().all(|(a, b)| a.ids[0] == b.ids[0]));
}

#[test]
fn gradients_point_where_those_of_the_cpu_point() {
    for (family, activations) in
        [("llama", Activations::Kept), ("qwen2", Activations::Checkpointed), ("qwen3", Activations::Kept)]
    {
        let Some(learners) = learners(family, Graphs::Off) else { return };
        let groups = [
            PromptGroup { prompt: &[3, 14, 15, 9], completions: vec![&[1, 8, 2, 8], &[11], &[18, 28, 4]] },
            PromptGroup { prompt: &[2, 7], completions: vec![&[5, 9, 0]] },
        ];
        let [on_gpu, on_cpu] = learners.map(|learner| {
            let trainee = learner.trainee(activations);
            let batch = Batch::new(&groups, trainee.device());
            let scored = trainee.score_for_training(&batch, 1.0);
            let ramp = Tensor::arange(batch.n_targets(), (Kind::Float, trainee.device()));
            scored.backward(&ScoreGradient { logp: (&ramp + 1.0).sin(), entropy: None });
            drop(trainee);
            let parameters = learner.weights().parameters();
            parameters
                .into_iter()
                .map(|p| (p.name, p.tensor.grad().to_device(Device::Cpu).view([-1])))
                .collect::<Vec<_>>()
        });
        for ((name, a), (_, b)) in on_gpu.iter().zip(&on_cpu) {
            assert_eq!(a.kind(), Kind::Float, "{family}: {name}");
            let cosine = (a.dot(b) / (a.norm() * b.norm())).double_value(&[]);
            assert!(cosine > 0.99, "{family}: {name}: the cosine of both gradients is {cosine}");
        }
    }
}

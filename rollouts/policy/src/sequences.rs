//! Attention of sequences laid end to end, without padding: what GPUs compute fastest.

use tch::{Device, Kind, Tensor};

use crate::attention::gather_rows;
use crate::batch::Packing;
use crate::cuda::flash_attention;

/// Where the queries and keys of sequences begin and end. The queries of a sequence are the last of its keys.
#[cfg_attr(not(any(cuda, test)), expect(dead_code, reason = "GPUs alone ask for the longest"))]
#[derive(Debug)]
pub(crate) struct Sequences {
    /// The first query of each sequence, and the end: `[sequences + 1]`, int32.
    pub query_starts: Tensor,
    /// The first key of each sequence, and the end: `[sequences + 1]`, int32.
    pub key_starts: Tensor,
    /// How many keys of each sequence there are, where memory behind them is unused: `[sequences]`, int32.
    pub used_keys: Option<Tensor>,
    /// The most queries of a sequence.
    pub most_queries: i64,
    /// The most keys of a sequence, unused memory included.
    pub most_keys: i64,
}

/// The sequences of a batch: the keys of a completion are those of its prompt followed by its own.
#[derive(Debug)]
pub(crate) struct PackedSequences {
    /// The packed tokens that are keys, in the order of the sequences, `[M]`; none if they are the packed tokens as they
    /// stand.
    keys: Option<Tensor>,
    sequences: Sequences,
}

/// Whether [`attend`] is the way to attend with such queries, `[N, H, head_dim]`.
pub(crate) fn suits(queries: &Tensor) -> bool {
    let head_dim = queries.size()[2];
    queries.device().is_cuda() && queries.kind() == Kind::BFloat16 && head_dim % 8 == 0 && head_dim <= 256
}

/// Attends causally within sequences.
///
/// # Shapes
///
/// | tensor         | shape                 |
/// |----------------|-----------------------|
/// | `query`        | `[N, H, head_dim]`    |
/// | `key`, `value` | `[M, H_kv, head_dim]` |
/// | result         | `[N, H · head_dim]`   |
pub(crate) fn attend(query: &Tensor, key: &Tensor, value: &Tensor, sequences: &Sequences) -> Tensor {
    let mixed = if query.device().is_cuda() {
        flash_attention(query, key, value, sequences)
    } else {
        one_by_one(query, key, value, sequences)
    };
    mixed.flatten(1, 2)
}

/// The same, a sequence at a time: what it means.
fn one_by_one(query: &Tensor, key: &Tensor, value: &Tensor, sequences: &Sequences) -> Tensor {
    let numbers = |tensor: &Tensor| Vec::<i64>::try_from(tensor.to_kind(Kind::Int64)).expect("a vector of integers");
    let (query_starts, key_starts) = (numbers(&sequences.query_starts), numbers(&sequences.key_starts));
    let used = sequences.used_keys.as_ref().map(numbers);
    let grouped = query.size()[1] != key.size()[1];
    let of_sequence = |i: usize| {
        let n_queries = query_starts[i + 1] - query_starts[i];
        let n_keys = used.as_ref().map_or(key_starts[i + 1] - key_starts[i], |used| used[i]);
        let heads = |x: &Tensor, start, length| x.narrow(0, start, length).transpose(0, 1).unsqueeze(0);
        let [k, v] = [key, value].map(|x| heads(x, key_starts[i], n_keys));
        let mask = Tensor::ones([n_queries, n_keys], (Kind::Bool, query.device())).tril(n_keys - n_queries);
        let q = heads(query, query_starts[i], n_queries);
        let mixed = Tensor::scaled_dot_product_attention(&q, &k, &v, Some(&mask), 0.0, false, None, grouped);
        mixed.squeeze_dim(0).transpose(0, 1) // [queries, H, head_dim]
    };
    Tensor::cat(&(0..query_starts.len() - 1).map(of_sequence).collect::<Vec<_>>(), 0)
}

impl PackedSequences {
    /// Attends with packed queries `[N, H, head_dim]` and keys `[N, H_kv, head_dim]`; returns `[N, H · head_dim]`.
    pub(crate) fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
        let [k, v] = [k, v].map(|x| match &self.keys {
            Some(rows) => gather_rows(&x.flatten(1, 2), rows).view([-1, x.size()[1], x.size()[2]]),
            None => x.shallow_clone(),
        });
        attend(q, &k, &v, &self.sequences)
    }
}

impl Packing {
    pub(crate) fn sequences(&self, device: Device) -> PackedSequences {
        let mut keys: Vec<i64> = vec![];
        let (mut query_starts, mut key_starts) = (vec![0], vec![0]);
        let (mut most_queries, mut most_keys) = (0, 0);
        for span in &self.spans {
            let prompt = span.prompt.map(|prompt| &self.spans[prompt]);
            let before = keys.len();
            for part in prompt.into_iter().chain([span]) {
                keys.extend((part.start..part.start + part.length).map(|row| row as i64));
            }
            most_queries = most_queries.max(span.length as i64);
            most_keys = most_keys.max((keys.len() - before) as i64);
            query_starts.push((span.start + span.length) as i32);
            key_starts.push(keys.len() as i32);
        }
        let starts = |starts: &[i32]| Tensor::from_slice(starts).to_device(device);
        let is_shared = keys.len() > self.ids.len();
        PackedSequences {
            keys: is_shared.then(|| Tensor::from_slice(&keys).to_device(device)),
            sequences: Sequences {
                query_starts: starts(&query_starts),
                key_starts: starts(&key_starts),
                used_keys: None,
                most_queries,
                most_keys,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{Attend, PackedAttention};
    use crate::batch::{Batch, PromptGroup};

    fn heads(n: i64, n_heads: i64, seed: f64) -> Tensor {
        (Tensor::arange(n * n_heads * 8, (Kind::Float, Device::Cpu)) * 0.37 + seed).sin().view([n, n_heads, 8])
    }

    #[track_caller]
    fn check(groups: &[PromptGroup<'_>], expected_keys: Option<&[i64]>, most: (i64, i64)) {
        let batch = Batch::new(groups, Device::Cpu);
        let packed = batch.packing().sequences(Device::Cpu);
        let keys = packed.keys.as_ref().map(|keys| Vec::<i64>::try_from(keys).unwrap());
        assert_eq!(keys.as_deref(), expected_keys);
        assert_eq!((packed.sequences.most_queries, packed.sequences.most_keys), most);
        let n = batch.n_forward();
        let (q, k, v) = (heads(n, 4, 0.1), heads(n, 2, 0.7), heads(n, 2, 2.9));
        let padded = PackedAttention::new(&batch).attend(0, &q, &k, &v);
        let difference = (packed.attend(&q, &k, &v) - padded).abs().max().double_value(&[]);
        assert!(difference < 1e-6, "{difference} with {groups:?}");
    }

    #[test]
    fn packed_sequences_attend_as_padded_ones_do() {
        check(&[PromptGroup::sequence(&[5, 6, 7])], None, (2, 2));
        let shared = PromptGroup { prompt: &[5, 6], completions: vec![&[1, 2, 3], &[4], &[7, 8]] };
        check(&[shared], Some(&[0, 1, 0, 1, 2, 3, 0, 1, 4]), (2, 4));
        let shared = PromptGroup { prompt: &[5, 6], completions: vec![&[1, 2, 3], &[7, 8]] };
        let alone = PromptGroup::sequence(&[1, 2, 3, 4]);
        let prompt = PromptGroup { prompt: &[9], completions: vec![] };
        check(&[alone, shared, prompt], Some(&[0, 1, 2, 3, 4, 3, 4, 5, 6, 3, 4, 7, 8]), (3, 4));
    }

    #[test]
    fn unused_memory_behind_keys_is_not_looked_at() {
        let (q, k, v) = (heads(2, 2, 0.1), heads(8, 1, 0.7), heads(8, 1, 2.9));
        let int = |values: &[i32]| Tensor::from_slice(values);
        let sequences = |used: Option<&[i32]>, starts: &[i32]| Sequences {
            query_starts: int(&[0, 1, 2]),
            key_starts: int(starts),
            used_keys: used.map(int),
            most_queries: 1,
            most_keys: 4,
        };
        let in_place = attend(&q, &k, &v, &sequences(Some(&[3, 1]), &[0, 4, 8]));
        let rows = Tensor::from_slice(&[0_i64, 1, 2, 4]);
        let [k, v] = [k, v].map(|x| x.index_select(0, &rows));
        let alone = attend(&q, &k, &v, &sequences(None, &[0, 3, 4]));
        assert!((in_place - alone).abs().max().double_value(&[]) < 1e-7);
    }

    /// With a GPU only.
    #[test]
    fn flash_attention_is_what_it_means() {
        if !tch::Cuda::is_available() {
            return;
        }
        let shared = PromptGroup { prompt: &[5, 6], completions: vec![&[1, 2, 3], &[7, 8]] };
        let device = Device::Cuda(0);
        let batch = Batch::new(&[shared, PromptGroup::sequence(&[1; 200])], device);
        let packed = batch.sequences();
        let n = batch.n_forward();
        let on_gpu = |x: Tensor| x.to_device(device).to_kind(Kind::BFloat16).set_requires_grad(true);
        let inputs = [heads(n, 4, 0.1), heads(n, 2, 0.7), heads(n, 2, 2.9)].map(on_gpu);
        let of = |attend: fn(&Tensor, &Tensor, &Tensor, &Sequences) -> Tensor| {
            let gathered = |x: &Tensor| match &packed.keys {
                Some(rows) => gather_rows(&x.flatten(1, 2), rows).view([-1, 2, 8]),
                None => x.shallow_clone(),
            };
            let mixed = attend(&inputs[0], &gathered(&inputs[1]), &gathered(&inputs[2]), &packed.sequences);
            let weights = heads(n, 4, 4.2).to_device(device).view_as(&mixed);
            let sum = (&mixed * weights).sum(Kind::Float);
            let mut all = Tensor::run_backward(&[sum], &inputs, false, false);
            all.push(mixed.detach());
            all
        };
        for (flash, meant) in of(flash_attention).iter().zip(&of(one_by_one)) {
            let scale = meant.abs().max().double_value(&[]);
            assert!((flash - meant).abs().max().double_value(&[]) < 0.02 * scale);
        }
    }
}

//! Keys and values of sequences that are still growing.

use tch::{Device, Kind, Tensor};

use crate::architecture::Architecture;
use crate::attention::Attend;
use crate::sequences::{self, Sequences};

/// The keys and values of one prefilled prompt.
#[derive(Debug)]
pub struct PromptKv {
    /// `[L, T, H_kv, head_dim]`.
    keys: Tensor,
    /// `[L, T, H_kv, head_dim]`.
    values: Tensor,
    /// Tokens of the prompt.
    pub length: usize,
}

impl PromptKv {
    /// Copies the keys and values of the tokens from `start` on out of those of each layer, `[N, H_kv, head_dim]`.
    pub(crate) fn of(layers: &[(Tensor, Tensor)], start: i64, length: usize) -> Self {
        let stack = |tensors: Vec<Tensor>| Tensor::stack(&tensors, 0);
        let of_prompt = |x: &Tensor| x.narrow(0, start, length as i64);
        Self {
            keys: stack(layers.iter().map(|(k, _)| of_prompt(k)).collect()),
            values: stack(layers.iter().map(|(_, v)| of_prompt(v)).collect()),
            length,
        }
    }
}

/// The keys and values of the sequences that are being decoded, a row each.
///
/// Rows stay dense: when one leaves, the last takes its place. Memory grows with the longest sequence present, in
/// steps.
#[derive(Debug)]
pub(crate) struct KvCache {
    /// `[L, rows, capacity, H_kv, head_dim]`.
    keys: Tensor,
    /// `[L, rows, capacity, H_kv, head_dim]`.
    values: Tensor,
    lengths: Vec<usize>,
}

/// Tokens by which the capacity grows.
const GROWTH: usize = 64;

impl KvCache {
    /// Makes an empty cache for at most `max_rows` sequences.
    pub(crate) fn new(architecture: &Architecture, max_rows: usize, kind: Kind, device: Device) -> Self {
        let size = [architecture.n_layers, max_rows as i64, 0, architecture.n_kv_heads, architecture.head_dim];
        let empty = || Tensor::zeros(size, (kind, device));
        Self { keys: empty(), values: empty(), lengths: vec![] }
    }

    /// Whether it holds what such a model remembers.
    pub(crate) fn is_for(&self, architecture: &Architecture, kind: Kind, device: Device) -> bool {
        let size = self.keys.size();
        let sizes = (architecture.n_layers, architecture.n_kv_heads, architecture.head_dim);
        (size[0], size[3], size[4]) == sizes && (self.keys.kind(), self.keys.device()) == (kind, device)
    }

    /// Returns the number of sequences.
    pub(crate) fn n_rows(&self) -> usize {
        self.lengths.len()
    }

    /// Returns the most sequences.
    pub(crate) fn max_rows(&self) -> usize {
        self.keys.size()[1] as usize
    }

    /// Returns the tokens that each row holds.
    pub(crate) fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Returns the tokens that a row has room for.
    pub(crate) fn capacity(&self) -> usize {
        self.keys.size()[2] as usize
    }

    /// Forgets all sequences.
    pub(crate) fn clear(&mut self) {
        self.lengths.clear();
    }

    /// Adds a sequence that has its prompt so far; it becomes the last row. Says whether memory has moved.
    ///
    /// # Panics
    ///
    /// If no row is free.
    pub(crate) fn push(&mut self, prompt: &PromptKv) -> bool {
        let row = self.lengths.len();
        assert!(row < self.max_rows(), "the cache is full");
        let has_moved = self.reserve(prompt.length);
        self.lengths.push(prompt.length);
        for (all, own) in [(&self.keys, &prompt.keys), (&self.values, &prompt.values)] {
            all.select(1, row as i64).narrow(1, 0, prompt.length as i64).copy_(own);
        }
        has_moved
    }

    /// Removes a sequence; the last row takes its place.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub(crate) fn swap_remove(&mut self, row: usize) {
        let last = self.lengths.len() - 1;
        self.lengths.swap_remove(row);
        if row < last {
            let length = self.lengths[row] as i64;
            for all in [&self.keys, &self.values] {
                let of_row = |row: usize| all.select(1, row as i64).narrow(1, 0, length);
                of_row(row).copy_(&of_row(last));
            }
        }
    }

    /// Makes room for sequences of so many tokens; says whether memory has moved.
    pub(crate) fn reserve(&mut self, length: usize) -> bool {
        let old = self.capacity();
        if length <= old {
            return false;
        }
        let capacity = length.next_multiple_of(GROWTH).max((old + old / 2).next_multiple_of(GROWTH));
        for tensor in [&mut self.keys, &mut self.values] {
            let mut size = tensor.size();
            size[2] = capacity as i64;
            let grown = Tensor::zeros(size.as_slice(), (tensor.kind(), tensor.device()));
            grown.narrow(2, 0, old as i64).copy_(tensor);
            *tensor = grown;
        }
        true
    }

    /// Counts tokens that every row has got.
    pub(crate) fn advance(&mut self, n_tokens: usize) {
        self.lengths.iter_mut().for_each(|length| *length += n_tokens);
    }

    /// Attention of a new token at each of the `positions`, `[n]`, of the first `n` rows; no position is `width` or above.
    ///
    /// Nothing of it waits for the device, or comes from the host but shapes.
    pub(crate) fn attention<'a>(&'a self, positions: &'a Tensor, width: usize) -> CachedAttention<'a> {
        CachedAttention::of_rows(self, 0, positions, width as i64)
    }
}

/// Attention of one new token a row to its whole sequence, for some consecutive rows of a cache.
pub(crate) struct CachedAttention<'a> {
    cache: &'a KvCache,
    first_row: i64,
    /// The position of the new token, `[n]`.
    positions: Tensor,
    /// Where its key and value go among those of all rows, `[n]`.
    slots: Tensor,
    width: i64,
    reach: Reach,
}

/// What the new tokens look at.
enum Reach {
    /// A view of the first keys of each row, and 0 where a row has a token, −∞ behind its end, `[n, 1, 1, width]`.
    Padded(Tensor),
    /// The keys of each row.
    Sequences(Sequences),
}

impl<'a> CachedAttention<'a> {
    fn of_rows(cache: &'a KvCache, first_row: i64, positions: &Tensor, width: i64) -> Self {
        let (kind, device) = (cache.keys.kind(), positions.device());
        let (n, capacity) = (positions.size()[0], cache.capacity() as i64);
        let starts = Tensor::arange_start(first_row, first_row + n + 1, (Kind::Int64, device)) * capacity;
        let slots = starts.narrow(0, 0, n) + positions;
        let reach = if sequences::suits(&cache.keys.select(0, 0).flatten(0, 1)) {
            Reach::Sequences(Sequences {
                query_starts: Tensor::arange(n + 1, (Kind::Int, device)),
                key_starts: starts.to_kind(Kind::Int),
                used_keys: Some((positions + 1).to_kind(Kind::Int)),
                most_queries: 1,
                most_keys: capacity,
            })
        } else {
            let key = Tensor::arange(width, (Kind::Int64, device));
            let unseen = key.unsqueeze(0).gt_tensor(&positions.unsqueeze(1)); // [n, width]
            let mask = Tensor::zeros([n, width], (kind, device)).masked_fill(&unseen, f64::NEG_INFINITY);
            Reach::Padded(mask.unsqueeze(1).unsqueeze(1))
        };
        Self { cache, first_row, positions: positions.shallow_clone(), slots, width, reach }
    }

    /// The attention of one of the rows alone.
    pub(crate) fn row(&self, row: i64) -> Self {
        Self::of_rows(self.cache, self.first_row + row, &self.positions.narrow(0, row, 1), self.width)
    }
}

impl Attend for CachedAttention<'_> {
    fn attend(&mut self, layer: usize, q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
        let (n_rows, heads, head_dim) = (q.size()[0], q.size()[1], q.size()[2]);
        let kv_heads = k.size()[1];
        let [keys, values] = [&self.cache.keys, &self.cache.values].map(|all| all.get(layer as i64));
        let [all_keys, all_values] = [&keys, &values].map(|rows| rows.flatten(0, 1)); // views
        let _ = all_keys.shallow_clone().index_copy_(0, &self.slots, k);
        let _ = all_values.shallow_clone().index_copy_(0, &self.slots, v);
        let mask = match &self.reach {
            Reach::Sequences(sequences) => return sequences::attend(q, &all_keys, &all_values, sequences),
            Reach::Padded(mask) => mask,
        };
        let seen = |rows: &Tensor| rows.narrow(0, self.first_row, n_rows).narrow(1, 0, self.width).transpose(1, 2);
        // The queries that share a key head go as rows of one query: no key is repeated.
        let q = q.reshape([n_rows, kv_heads, heads / kv_heads, head_dim]);
        let (keys, values) = (seen(&keys), seen(&values));
        let mixed = Tensor::scaled_dot_product_attention(&q, &keys, &values, Some(mask), 0.0, false, None, false);
        mixed.reshape([n_rows, heads * head_dim])
    }
}

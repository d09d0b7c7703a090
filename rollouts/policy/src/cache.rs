//! Keys and values of sequences that are still growing.

use tch::{Device, Kind, Tensor};

use crate::architecture::Architecture;
use crate::attention::Attend;

/// The keys and values of one prefilled prompt, `[H_kv, T, head_dim]` for each layer.
#[derive(Debug)]
pub struct PromptKv {
    pub(crate) layers: Vec<(Tensor, Tensor)>,
    /// Tokens of the prompt.
    pub length: usize,
}

/// The keys and values of the sequences that are being decoded, a row each.
///
/// Rows stay dense: when one leaves, the last takes its place. Memory grows with the longest sequence present, in
/// steps.
#[derive(Debug)]
pub struct KvCache {
    /// Keys and values of each layer, `[rows, H_kv, capacity, head_dim]`.
    layers: Vec<(Tensor, Tensor)>,
    lengths: Vec<usize>,
    max_rows: usize,
    capacity: usize,
}

/// Tokens by which the capacity grows.
const GROWTH: usize = 64;

impl KvCache {
    /// Makes an empty cache for at most `max_rows` sequences.
    pub fn new(architecture: &Architecture, max_rows: usize, kind: Kind, device: Device) -> Self {
        let size = [max_rows as i64, architecture.n_kv_heads, 0, architecture.head_dim];
        let empty = || Tensor::zeros(size, (kind, device));
        let layers = (0..architecture.n_layers).map(|_| (empty(), empty())).collect();
        Self { layers, lengths: vec![], max_rows, capacity: 0 }
    }

    /// Returns the number of sequences.
    pub fn n_rows(&self) -> usize {
        self.lengths.len()
    }

    /// Returns how many more sequences fit.
    pub fn n_free(&self) -> usize {
        self.max_rows - self.lengths.len()
    }

    /// Returns the tokens that each row holds.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Adds a sequence that has its prompt so far; it becomes the last row.
    ///
    /// # Panics
    ///
    /// If no row is free.
    pub fn push(&mut self, prompt: &PromptKv) {
        assert!(self.n_free() > 0, "the cache is full");
        let row = self.lengths.len() as i64;
        self.lengths.push(prompt.length);
        self.reserve(prompt.length);
        let length = prompt.length as i64;
        for ((keys, values), (k, v)) in self.layers.iter().zip(&prompt.layers) {
            keys.get(row).narrow(1, 0, length).copy_(k);
            values.get(row).narrow(1, 0, length).copy_(v);
        }
    }

    /// Removes a sequence; the last row takes its place.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn swap_remove(&mut self, row: usize) {
        let last = self.lengths.len() - 1;
        self.lengths.swap_remove(row);
        if row < last {
            let length = self.lengths[row] as i64;
            for tensor in self.layers.iter().flat_map(|(keys, values)| [keys, values]) {
                let source = tensor.get(last as i64).narrow(1, 0, length);
                tensor.get(row as i64).narrow(1, 0, length).copy_(&source);
            }
        }
    }

    /// Makes room for sequences of so many tokens.
    fn reserve(&mut self, length: usize) {
        if length <= self.capacity {
            return;
        }
        self.capacity = length.next_multiple_of(GROWTH).max(self.capacity + self.capacity / 2);
        for tensor in self.layers.iter_mut().flat_map(|(keys, values)| [keys, values]) {
            let mut size = tensor.size();
            let old = std::mem::replace(&mut size[2], self.capacity as i64);
            let grown = Tensor::zeros(size.as_slice(), (tensor.kind(), tensor.device()));
            grown.narrow(2, 0, old).copy_(tensor);
            *tensor = grown;
        }
    }

    /// Makes room for one more token in every row and says where it goes.
    pub(crate) fn grow(&mut self) -> CachedAttention<'_> {
        for length in &mut self.lengths {
            *length += 1;
        }
        let longest = self.lengths.iter().max().copied().unwrap_or(0);
        self.reserve(longest);
        CachedAttention::of_rows(&self.layers, 0, &self.lengths)
    }
}

/// Attention of one new token a row to its whole sequence, for some consecutive rows of a cache.
pub(crate) struct CachedAttention<'a> {
    layers: &'a [(Tensor, Tensor)],
    first_row: usize,
    /// Tokens of each row, the new one included.
    lengths: &'a [usize],
    /// The rows of the cache, `[rows]`.
    rows: Tensor,
    /// The position of the new token, `[rows]`.
    pub positions: Tensor,
    /// 0 where a row has a token, -∞ behind its end, `[rows, 1, 1, longest]`.
    mask: Tensor,
}

impl<'a> CachedAttention<'a> {
    fn of_rows(layers: &'a [(Tensor, Tensor)], first_row: usize, lengths: &'a [usize]) -> Self {
        let (kind, device) = (layers[0].0.kind(), layers[0].0.device());
        let longest = lengths.iter().max().copied().unwrap_or(0);
        let positions: Vec<i64> = lengths.iter().map(|&length| length as i64 - 1).collect();
        let positions = Tensor::from_slice(&positions).to_device(device);
        let key = Tensor::arange(longest as i64, (Kind::Int64, device));
        let unseen = key.unsqueeze(0).gt_tensor(&positions.unsqueeze(1)); // [rows, longest]
        let mask = Tensor::zeros(unseen.size(), (kind, device)).masked_fill(&unseen, f64::NEG_INFINITY);
        let rows = Tensor::arange_start(first_row as i64, (first_row + lengths.len()) as i64, (Kind::Int64, device));
        Self { layers, first_row, lengths, rows, positions, mask: mask.unsqueeze(1).unsqueeze(1) }
    }

    /// The attention of one of the rows alone.
    pub(crate) fn row(&self, row: usize) -> Self {
        Self::of_rows(self.layers, self.first_row + row, &self.lengths[row..=row])
    }
}

impl Attend for CachedAttention<'_> {
    fn attend(&mut self, layer: usize, q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
        let (keys, values) = &self.layers[layer];
        let (n_rows, heads, head_dim) = (q.size()[0], q.size()[1], q.size()[2]);
        let kv_heads = k.size()[1];
        let at = [Some(&self.rows), None, Some(&self.positions)];
        let _ = keys.shallow_clone().index_put_(&at, k, false);
        let _ = values.shallow_clone().index_put_(&at, v, false);
        let longest = *self.mask.size().last().expect("a mask has four dimensions");
        let seen = |tensor: &Tensor| tensor.narrow(0, self.first_row as i64, n_rows).narrow(2, 0, longest);
        // The queries that share a key head go as rows of one query: no key is repeated.
        let q = q.reshape([n_rows, kv_heads, heads / kv_heads, head_dim]);
        let (keys, values, mask) = (seen(keys), seen(values), Some(&self.mask));
        let mixed = Tensor::scaled_dot_product_attention(&q, &keys, &values, mask, 0.0, false, None, false);
        mixed.reshape([n_rows, heads * head_dim])
    }
}

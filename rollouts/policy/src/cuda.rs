//! What libtorch can do on NVIDIA GPUs and tch has no name for: CUDA graphs, attention of sequences laid end to end,
//! products in TF32, and the allocator.
//!
//! Where libtorch has no CUDA, nothing here can be called with success, and nothing is called.

use tch::Tensor;

use crate::error::PolicyError;
use crate::sequences::Sequences;

#[cfg_attr(cuda, path = "cuda/native.rs")]
#[cfg_attr(not(cuda), path = "cuda/absent.rs")]
mod ffi;

/// Work on a GPU that was recorded once and is done again by a single call (CUDA graphs).
///
/// It reads and writes the memory that it was recorded with, whatever lies there by then.
#[derive(Debug)]
pub struct Graph(ffi::Graph);

impl Graph {
    /// Records what `work` asks of the GPU.
    ///
    /// `work` is called twice: once for real, so that libraries set themselves up, and once to be recorded. It must not
    /// wait for the GPU, nor take numbers from the host.
    ///
    /// # Errors
    ///
    /// If CUDA refuses.
    pub fn record(mut work: impl FnMut()) -> Result<Self, PolicyError> {
        let mut graph = ffi::Graph::prepare()?;
        work();
        graph.begin()?;
        work();
        graph.end()?;
        Ok(Self(graph))
    }

    /// Does the work once more.
    ///
    /// # Errors
    ///
    /// If CUDA refuses.
    pub fn replay(&mut self) -> Result<(), PolicyError> {
        self.0.replay()
    }
}

/// Attention of sequences laid end to end by FlashAttention 2, causal: the queries of a sequence are the last of its keys.
///
/// # Shapes
///
/// | tensor         | shape                 |                                     |
/// |----------------|-----------------------|-------------------------------------|
/// | `query`        | `[N, H, head_dim]`    | bfloat16, `head_dim` divisible by 8 |
/// | `key`, `value` | `[M, H_kv, head_dim]` | of the same kind                    |
/// | result         | `[N, H, head_dim]`    |                                     |
///
/// # Panics
///
/// If libtorch refuses, as tch does.
pub(crate) fn flash_attention(query: &Tensor, key: &Tensor, value: &Tensor, sequences: &Sequences) -> Tensor {
    ffi::flash_attention(query, key, value, sequences).expect("FlashAttention takes what it is given")
}

/// Multiplies float32 matrices on GPUs with inputs rounded to 10 bits (TF32) while `work` runs.
pub(crate) fn with_tf32<T>(work: impl FnOnce() -> T) -> T {
    let before = ffi::allow_tf32(true);
    let value = work();
    ffi::allow_tf32(before);
    value
}

/// Whether this program was built with a libtorch that has CUDA.
pub fn is_built() -> bool {
    cfg!(cuda)
}

/// Prepares the allocator of the GPU for batches of ever new sizes, unless `PYTORCH_CUDA_ALLOC_CONF` says how it shall be.
pub fn calm_allocator() {
    let is_set = ["PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"].iter().any(|name| std::env::var_os(name).is_some());
    if !is_set {
        ffi::expandable_segments();
    }
}

/// Lets the mark of the largest memory of a GPU start again; says whether there is one.
pub fn reset_peak_memory(device: usize) -> bool {
    ffi::reset_peak_bytes(device)
}

/// Returns the most bytes that the tensors of a GPU have taken since then.
pub fn peak_memory(device: usize) -> Option<u64> {
    ffi::peak_bytes(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_gpu_graphs_are_refused_with_the_reason() {
        if !tch::Cuda::is_available() {
            let mut calls = 0;
            let error = Graph::record(|| calls += 1).unwrap_err();
            assert!(matches!(&error, PolicyError::Cuda(why) if !why.is_empty()), "{error}");
            assert_eq!(calls, 0);
        }
    }
}

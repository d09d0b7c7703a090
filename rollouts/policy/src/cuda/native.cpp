// What libtorch can do on NVIDIA GPUs and tch has no name for. Compiled only where libtorch has CUDA (build.rs).
//
// Every function returns null, or the text of what went wrong, which the caller frees with `free`.

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>

namespace {

template <class Work> char *errors_of(Work &&work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception &error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an error without a name");
  }
}

// Captures need a stream that is not the default one. One for all, since memory that the warm-ups leave in the cache of
// the allocator serves its own stream alone.
c10::cuda::CUDAStream side_stream() {
  static const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
  return stream;
}

// Graphs are replayed one after the other and leave nothing behind but what they write to memory of others, so that all
// may compute in the same memory.
at::cuda::MempoolId_t shared_pool() {
  static const at::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();
  return pool;
}

std::optional<at::Tensor> optional(const at::Tensor *tensor) {
  return tensor ? std::optional<at::Tensor>(*tensor) : std::nullopt;
}

} // namespace

struct RlvrGraph {
  at::cuda::CUDAGraph graph;
  // Where to turn back to from the side stream.
  std::optional<c10::cuda::CUDAStream> before;
  bool is_capturing = false;

  void turn_back() {
    if (before) {
      c10::cuda::setCurrentCUDAStream(*before);
      before.reset();
    }
  }
};

extern "C" {

// Makes a graph and turns to the side stream, for a warm-up.
char *rlvr_graph_prepare(RlvrGraph **out) {
  return errors_of([&] {
    auto graph = std::make_unique<RlvrGraph>();
    graph->before = c10::cuda::getCurrentCUDAStream();
    graph->before->synchronize();
    c10::cuda::setCurrentCUDAStream(side_stream());
    *out = graph.release();
  });
}

// From here on, work is recorded and not done.
char *rlvr_graph_begin(RlvrGraph *graph) {
  return errors_of([&] {
    side_stream().synchronize();
    // Work of other threads, such as asking for the power drawn, is none of the capture's business.
    graph->graph.capture_begin(shared_pool(), cudaStreamCaptureModeThreadLocal);
    graph->is_capturing = true;
  });
}

// Ends the recording and turns back to the stream from before.
char *rlvr_graph_end(RlvrGraph *graph) {
  return errors_of([&] {
    graph->is_capturing = false;
    graph->graph.capture_end();
    graph->turn_back();
  });
}

char *rlvr_graph_replay(RlvrGraph *graph) {
  return errors_of([&] { graph->graph.replay(); });
}

// Gives up a recording that has not ended, too.
char *rlvr_graph_free(RlvrGraph *graph) {
  char *error = errors_of([&] {
    if (graph->is_capturing) {
      graph->graph.capture_end();
    }
  });
  char *later = errors_of([&] {
    graph->turn_back();
    delete graph;
  });
  if (error) {
    free(later);
    return error;
  }
  return later;
}

// FlashAttention 2 (Dao 2023, arXiv:2307.08691) over sequences laid end to end. Queries stand at the ends of their keys.
//
// query [N, H, head_dim], key and value [M, H_kv, head_dim], all bfloat16 or float16; starts int32, one more than there
// are sequences; used_keys, if not null, int32: how many of a sequence's keys there are, the others being unused memory.
char *rlvr_flash_attention(at::Tensor **out, const at::Tensor *query, const at::Tensor *key, const at::Tensor *value,
                           const at::Tensor *query_starts, const at::Tensor *key_starts, const at::Tensor *used_keys,
                           int64_t most_queries, int64_t most_keys) {
  return errors_of([&] {
    auto outputs = at::_flash_attention_forward(
        *query, *key, *value, *query_starts, *key_starts, most_queries, most_keys, /*dropout_p=*/0.0, /*is_causal=*/true,
        /*return_debug_mask=*/false, /*scale=*/std::nullopt, /*window_size_left=*/std::nullopt,
        /*window_size_right=*/std::nullopt, optional(used_keys), /*alibi_slopes=*/std::nullopt);
    *out = new at::Tensor(std::get<0>(outputs));
  });
}

// Lets products of float32 matrices round their inputs to 10 bits (TF32), or not; tells what was so before.
char *rlvr_allow_tf32(bool allowed, bool *before) {
  using namespace at;
  return errors_of([&] {
    auto &context = globalContext();
    *before = context.float32Precision(Float32Backend::CUDA, Float32Op::MATMUL) == Float32Precision::TF32;
    context.setFloat32Precision(Float32Backend::CUDA, Float32Op::MATMUL,
                                allowed ? Float32Precision::TF32 : Float32Precision::IEEE);
  });
}

// Lets the allocator join freed pieces of neighbouring memory, so that batches of ever new sizes do not splinter it.
char *rlvr_expandable_segments() {
  return errors_of([&] { c10::CachingAllocator::setAllocatorSettings("expandable_segments:True"); });
}

// Tells the most bytes that tensors of a GPU have taken since this was last reset.
char *rlvr_peak_bytes(int8_t device, int64_t *bytes) {
  return errors_of([&] {
    auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device);
    *bytes = stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
  });
}

char *rlvr_reset_peak_bytes(int8_t device) {
  return errors_of([&] { c10::cuda::CUDACachingAllocator::resetPeakStats(device); });
}
}

//! The functions of native.cpp, which says what they take.

#![expect(unsafe_code, reason = "functions of C++")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::error::PolicyError;
use crate::sequences::Sequences;

unsafe extern "C" {
    fn rlvr_graph_prepare(out: *mut *mut c_void) -> *mut c_char;
    fn rlvr_graph_begin(graph: *mut c_void) -> *mut c_char;
    fn rlvr_graph_end(graph: *mut c_void) -> *mut c_char;
    fn rlvr_graph_replay(graph: *mut c_void) -> *mut c_char;
    fn rlvr_graph_free(graph: *mut c_void) -> *mut c_char;
    fn rlvr_flash_attention(
        out: *mut *mut C_tensor,
        query: *const C_tensor,
        key: *const C_tensor,
        value: *const C_tensor,
        query_starts: *const C_tensor,
        key_starts: *const C_tensor,
        used_keys: *const C_tensor,
        most_queries: i64,
        most_keys: i64,
    ) -> *mut c_char;
    fn rlvr_allow_tf32(allowed: bool, before: *mut bool) -> *mut c_char;
    fn rlvr_expandable_segments() -> *mut c_char;
    fn rlvr_peak_bytes(device: i8, bytes: *mut i64) -> *mut c_char;
    fn rlvr_reset_peak_bytes(device: i8) -> *mut c_char;
    fn free(pointer: *mut c_void);
}

/// Takes over the text of an error.
fn check(error: *mut c_char) -> Result<(), PolicyError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: a C string from `strdup`, ours to free.
    unsafe {
        let text = CStr::from_ptr(error).to_string_lossy().into_owned();
        free(error.cast());
        Err(PolicyError::Cuda(text))
    }
}

#[derive(Debug)]
pub(super) struct Graph(*mut c_void);

// SAFETY: nothing of a graph belongs to a thread.
unsafe impl Send for Graph {}

impl Graph {
    pub(super) fn prepare() -> Result<Self, PolicyError> {
        let mut graph = ptr::null_mut();
        // SAFETY: written where there is no error.
        check(unsafe { rlvr_graph_prepare(&raw mut graph) })?;
        Ok(Self(graph))
    }

    pub(super) fn begin(&mut self) -> Result<(), PolicyError> {
        // SAFETY: made by `prepare`.
        check(unsafe { rlvr_graph_begin(self.0) })
    }

    pub(super) fn end(&mut self) -> Result<(), PolicyError> {
        // SAFETY: made by `prepare`.
        check(unsafe { rlvr_graph_end(self.0) })
    }

    pub(super) fn replay(&mut self) -> Result<(), PolicyError> {
        // SAFETY: made by `prepare`.
        check(unsafe { rlvr_graph_replay(self.0) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made by `prepare`, and nobody else's. An error while it goes away has nobody to go to.
        let _ = check(unsafe { rlvr_graph_free(self.0) });
    }
}

pub(super) fn flash_attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    sequences: &Sequences,
) -> Result<Tensor, PolicyError> {
    let mut out = ptr::null_mut();
    let used_keys = sequences.used_keys.as_ref().map_or(ptr::null(), Tensor::as_ptr);
    // SAFETY: the tensors outlive the call, and the result is a new tensor, ours.
    unsafe {
        check(rlvr_flash_attention(
            &raw mut out,
            query.as_ptr(),
            key.as_ptr(),
            value.as_ptr(),
            sequences.query_starts.as_ptr(),
            sequences.key_starts.as_ptr(),
            used_keys,
            sequences.most_queries,
            sequences.most_keys,
        ))?;
        Ok(Tensor::from_ptr(out))
    }
}

pub(super) fn allow_tf32(allowed: bool) -> bool {
    let mut before = false;
    // SAFETY: written where there is no error.
    let outcome = check(unsafe { rlvr_allow_tf32(allowed, &raw mut before) });
    outcome.expect("libtorch knows TF32");
    before
}

pub(super) fn expandable_segments() {
    // SAFETY: takes nothing.
    check(unsafe { rlvr_expandable_segments() }).expect("the allocator knows expandable segments");
}

pub(super) fn reset_peak_bytes(device: usize) -> bool {
    // SAFETY: takes a number.
    check(unsafe { rlvr_reset_peak_bytes(device as i8) }).is_ok()
}

pub(super) fn peak_bytes(device: usize) -> Option<u64> {
    let mut bytes = 0;
    // SAFETY: written where there is no error.
    check(unsafe { rlvr_peak_bytes(device as i8, &raw mut bytes) }).ok()?;
    u64::try_from(bytes).ok()
}

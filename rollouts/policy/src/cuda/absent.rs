//! What there is of native.cpp without CUDA: refusals.

use tch::Tensor;

use crate::error::PolicyError;
use crate::sequences::Sequences;

#[derive(Debug)]
pub(super) struct Graph;

fn refuse<T>() -> Result<T, PolicyError> {
    Err(PolicyError::Cuda("this libtorch is for CPUs".to_owned()))
}

impl Graph {
    pub(super) fn prepare() -> Result<Self, PolicyError> {
        refuse()
    }

    pub(super) fn begin(&mut self) -> Result<(), PolicyError> {
        refuse()
    }

    pub(super) fn end(&mut self) -> Result<(), PolicyError> {
        refuse()
    }

    pub(super) fn replay(&mut self) -> Result<(), PolicyError> {
        refuse()
    }
}

pub(super) fn flash_attention(_: &Tensor, _: &Tensor, _: &Tensor, _: &Sequences) -> Result<Tensor, PolicyError> {
    refuse()
}

pub(super) fn allow_tf32(_: bool) -> bool {
    false
}

pub(super) fn expandable_segments() {}

pub(super) fn reset_peak_bytes(_: usize) -> bool {
    false
}

pub(super) fn peak_bytes(_: usize) -> Option<u64> {
    None
}

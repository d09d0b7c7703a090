//! Tests that cross the crates: one binary, since each links and loads libtorch.

mod agreement;

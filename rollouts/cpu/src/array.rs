//! Arrays made of a function that is always inlined: `std::array::from_fn` is not, in loops that cannot bear a call.

/// Returns `[f(0), f(1), …]`.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "adaptors of iterators are not inlined here, which is ten times slower")]
pub(crate) fn array<T: Copy, const N: usize>(f: impl Fn(usize) -> T) -> [T; N] {
    let mut all = [f(0); N];
    for i in 1..N {
        all[i] = f(i);
    }
    all
}

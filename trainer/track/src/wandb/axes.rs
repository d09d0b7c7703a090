//! Over what metrics are drawn.
//!
//! What training buys is drawn over what it cost, supervised training over its own steps, and everything else over the
//! steps of reinforcement learning. The newest clients and the server know patterns; older clients know
//! names alone, so in the log each name is defined too when it occurs first, as their own logs have it.

use std::collections::BTreeSet;

/// What rewards and evaluations are drawn over.
const FLOPS: &str = "compute/flops_total";
/// What the rest is drawn over.
const STEP: &str = "compute/step";
/// What supervised training is drawn over.
const WARM_START_STEP: &str = "sft/step";

/// Metrics that others are drawn over.
pub(super) const AXES: [&str; 3] = [FLOPS, STEP, WARM_START_STEP];

/// The beginnings of names, and what they are drawn over.
const PREFIXES: [(&str, &str); 13] = [
    ("reward/", FLOPS),
    ("outcome/", FLOPS),
    ("eval/", FLOPS),
    ("sft/", WARM_START_STEP),
    ("advantage/", STEP),
    ("group/", STEP),
    ("histogram/", STEP),
    ("length/", STEP),
    ("optim/", STEP),
    ("perf/", STEP),
    ("policy/", STEP),
    ("time/", STEP),
    ("verify/", STEP),
];

/// The patterns of names, and what they are drawn over.
pub(super) fn patterns() -> impl Iterator<Item = (String, &'static str)> {
    PREFIXES.iter().map(|(prefix, axis)| (format!("{prefix}*"), *axis))
}

/// Names that have been defined.
#[derive(Debug, Default)]
pub(super) struct Definitions(BTreeSet<String>);

impl Definitions {
    /// Returns the names that occur for the first time and are drawn over something.
    pub(super) fn new_among<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Vec<(String, &'static str)> {
        let mut new = vec![];
        for name in names.filter(|name| !AXES.contains(name)) {
            let axis = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, axis)| *axis);
            if let Some(axis) = axis.filter(|_| self.0.insert(name.to_owned())) {
                new.push((name.to_owned(), axis));
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_defined_once() {
        let mut definitions = Definitions::default();
        let names = ["reward/mean", "compute/flops_total", "sft/step", "sft/loss", "rollouts", "policy/kl_ref"];
        let found = definitions.new_among(names.into_iter());
        let expected = [("reward/mean", FLOPS), ("sft/loss", WARM_START_STEP), ("policy/kl_ref", STEP)];
        assert_eq!(found, expected.map(|(name, axis)| (name.to_owned(), axis)));
        assert_eq!(definitions.new_among(["reward/mean", "eval/s/pass@1"].into_iter()).len(), 1);
    }
}

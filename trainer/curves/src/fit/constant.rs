//! y = m.

use super::{Estimate, Method, Samples};

pub(super) const METHOD: Method = Method { name: "constant", needs: 1, fit, predict: |params, _| params[0].value };

fn fit(samples: &Samples) -> Vec<Estimate> {
    let weight = samples.sum(|_| 1.0);
    vec![Estimate { name: "m", value: samples.sum(|s| s.y) / weight, se: weight.sqrt().recip() }]
}

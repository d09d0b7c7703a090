//! The scaling figure and its verdict, fitted again when an evaluation has been added.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rlvr_curves::Series;
use rlvr_curves::figure::ScalingFigure;
use rlvr_curves::fit::fit;
use serde_json::{Value, json};

/// What is said of an evaluation set over some runs.
#[derive(Debug)]
pub(super) struct Scaling {
    /// The fit as `rlvr fit` writes it, with what it was made of.
    pub(super) json: Value,
    /// The figure.
    pub(super) svg: String,
}

/// Fits that have been made, since one takes up to seconds.
#[derive(Debug, Default)]
pub(super) struct Fits(Mutex<HashMap<Asked, Made>>);

/// Which runs, and which evaluation set.
type Asked = (Vec<usize>, String);
/// The last fit, and what it was made of.
type Made = (Vec<Series>, Arc<Scaling>);

impl Fits {
    /// The fit over series of one set, made again when they have changed.
    pub(super) fn of(&self, runs: &[usize], set: &str, series: &[Series]) -> Arc<Scaling> {
        let key = (runs.to_vec(), set.to_owned());
        // Held while fitting, so that two requests do not do the same work.
        let mut fits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match fits.get(&key) {
            Some((of, known)) if of == series => Arc::clone(known),
            _ => {
                let made = Arc::new(scaling(set, series));
                fits.insert(key, (series.to_vec(), Arc::clone(&made)));
                made
            }
        }
    }
}

fn scaling(set: &str, series: &[Series]) -> Scaling {
    let fit = fit(series);
    let title = format!("{set}: held-out accuracy against training compute");
    let svg = ScalingFigure { series, fit: &fit, title: &title }.to_svg();
    let points: Vec<Value> = series
        .iter()
        .map(|one| {
            let rows = one.points.iter().map(|p| json!({"step": p.step, "compute": p.compute, "y": p.y, "n": p.n}));
            json!({"name": one.name, "points": rows.collect::<Vec<_>>()})
        })
        .collect();
    let says = json!({
        "sentence": fit.sentence, "reasons": fit.verdict.reasons, "would_settle": fit.verdict.would_settle,
        "horizon": fit.horizon.as_ref().map(|horizon| &horizon.sentence), "notes": fit.notes,
    });
    Scaling { json: json!({"set": set, "says": says, "series": points, "fit": fit.to_json()}), svg }
}

#[cfg(test)]
mod tests {
    use rlvr_curves::Point;

    use super::*;

    #[test]
    fn a_fit_is_made_again_when_a_point_is_added() {
        let point = |i: i32| {
            let x = f64::from(i) / 4.0;
            Point { step: 0, compute: 10_f64.powf(15.0 + x), y: 0.2 + 0.06 * x, lenient: None, n: Some(2000.0) }
        };
        let series = |n| [Series { name: "r".into(), set: "sums".into(), points: (0..n).map(point).collect() }];
        let fits = Fits::default();
        let first = fits.of(&[0], "sums", &series(5));
        assert!(Arc::ptr_eq(&first, &fits.of(&[0], "sums", &series(5))));
        let second = fits.of(&[0], "sums", &series(6));
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(second.json["series"][0]["points"][5]["y"], 0.2 + 0.06 * 1.25);
        assert!(second.svg.starts_with("<svg") && !second.json["says"]["sentence"].as_str().unwrap().is_empty());
    }
}

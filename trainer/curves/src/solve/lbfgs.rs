//! L-BFGS with a line search by the strong Wolfe conditions (Nocedal and Wright 2006, algorithms 7.4, 7.5, 3.5, 3.6).

/// A function with its gradient.
pub(crate) trait Smooth {
    /// Returns the value and writes the gradient.
    fn evaluate(&self, x: &[f64], gradient: &mut [f64]) -> f64;
}

const MEMORY: usize = 10;

/// A point with what is known there.
#[derive(Clone)]
struct Place {
    x: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

impl Place {
    fn at(f: &dyn Smooth, x: Vec<f64>) -> Self {
        let mut gradient = vec![0.0; x.len()];
        let value = f.evaluate(&x, &mut gradient);
        Self { x, value, gradient }
    }

    fn moved(&self, f: &dyn Smooth, direction: &[f64], step: f64) -> Self {
        Self::at(f, self.x.iter().zip(direction).map(|(x, d)| x + step * d).collect())
    }
}

/// Walks downhill for at most `max_steps`, or until the value no longer falls; returns the place and its value.
pub(crate) fn minimise(f: &dyn Smooth, start: &[f64], max_steps: usize) -> (Vec<f64>, f64) {
    let mut here = Place::at(f, start.to_vec());
    let mut history: Vec<(Vec<f64>, Vec<f64>)> = vec![];
    for _ in 0..max_steps {
        let mut direction = two_loops(&here.gradient, &history);
        let mut slope = dot(&direction, &here.gradient);
        if slope >= 0.0 || !slope.is_finite() {
            history.clear();
            direction = here.gradient.iter().map(|g| -g).collect();
            slope = dot(&direction, &here.gradient);
        }
        if slope > -1e-300 {
            break;
        }
        let first = if history.is_empty() { 1.0_f64.min(1.0 / norm(&here.gradient)) } else { 1.0 };
        let Some(next) = search(f, &here, &direction, slope, first) else {
            if history.is_empty() {
                break;
            }
            history.clear(); // the model of the curvature may be stale
            continue;
        };
        let s: Vec<f64> = next.x.iter().zip(&here.x).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = next.gradient.iter().zip(&here.gradient).map(|(a, b)| a - b).collect();
        let gained = here.value - next.value;
        if dot(&s, &y) > 1e-16 * norm(&s) * norm(&y) {
            history.push((s, y));
            if history.len() > MEMORY {
                history.remove(0);
            }
        }
        here = next;
        if gained <= 1e-15 * here.value.abs() && norm(&here.gradient) <= 1e-12 {
            break;
        }
    }
    (here.x, here.value)
}

/// Applies the remembered inverse Hessian to −g.
fn two_loops(gradient: &[f64], history: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = vec![];
    for (s, y) in history.iter().rev() {
        let alpha = dot(s, &q) / dot(s, y);
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((s, y)) = history.last() {
        let scale = dot(s, y) / dot(y, y);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y), alpha) in history.iter().zip(alphas.iter().rev()) {
        let beta = dot(y, &q) / dot(s, y);
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q
}

/// Brackets and then bisects until the value has fallen enough and the slope is flat enough.
fn search(f: &dyn Smooth, here: &Place, direction: &[f64], slope: f64, first: f64) -> Option<Place> {
    const ENOUGH: f64 = 1e-4;
    const FLAT: f64 = 0.9;
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut step = first;
    let mut best: Option<Place> = None;
    for _ in 0..50 {
        let next = here.moved(f, direction, step);
        let falls = next.value.is_finite() && next.value <= here.value + ENOUGH * step * slope;
        if falls {
            let slope_there = dot(&next.gradient, direction);
            if slope_there.abs() <= FLAT * slope.abs() {
                return Some(next);
            }
            if slope_there < 0.0 {
                low = step;
            } else {
                high = step;
            }
            if best.as_ref().is_none_or(|best| next.value < best.value) {
                best = Some(next);
            }
        } else {
            high = step;
        }
        step = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * step };
    }
    best.filter(|best| best.value < here.value)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Valley;

    impl Smooth for Valley {
        fn evaluate(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            gradient[0] = -2.0 * a - 400.0 * x[0] * b;
            gradient[1] = 200.0 * b;
            a * a + 100.0 * b * b
        }
    }

    #[test]
    fn the_valley_is_followed_to_its_end() {
        let (x, value) = minimise(&Valley, &[-1.2, 1.0], 500);
        assert!((x[0] - 1.0).abs() < 1e-8 && (x[1] - 1.0).abs() < 1e-8 && value < 1e-15, "{x:?} {value}");
    }
}

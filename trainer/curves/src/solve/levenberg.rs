//! Levenberg–Marquardt within bounds.
//!
//! Levenberg 1944, Marquardt 1963, with Nielsen's rule for the damping (1999, IMM-REP-1999-05). Parameters that sit on a
//! bound and would leave it are held; the others step, and steps are cut at the bounds.

use super::linear::Bound;
use super::symmetric::Symmetric;

/// A sum of squares to be made small.
pub(crate) trait Residuals {
    /// Returns Σ r², and adds to `normal` Σ J Jᵀ and to `gradient` Σ J r, where J is the derivative of r.
    fn linearise(&self, params: &[f64], normal: &mut Symmetric, gradient: &mut [f64]) -> f64;

    /// Returns Σ r².
    fn misfit(&self, params: &[f64]) -> f64;
}

const MAX_STEPS: usize = 400;
const TOLERANCE: f64 = 1e-14;

/// Improves parameters until neither they nor the misfit change; returns them with the misfit.
pub(crate) fn minimise(residuals: &dyn Residuals, start: &[f64], bounds: &[Bound]) -> (Vec<f64>, f64) {
    let n = start.len();
    let mut params = start.to_vec();
    let (mut damping, mut growth) = (1e-3, 2.0);
    let mut normal = Symmetric::zeros(n);
    let mut gradient = vec![0.0; n];
    let mut misfit = residuals.linearise(&params, &mut normal, &mut gradient);
    for _ in 0..MAX_STEPS {
        let free = free_params(&params, &gradient, bounds);
        if free.is_empty() || !misfit.is_finite() {
            break;
        }
        let Some(step) = damped_step(&normal, &gradient, &free, damping) else {
            damping *= growth;
            growth *= 2.0;
            continue;
        };
        let next: Vec<f64> =
            params.iter().zip(&step).zip(bounds).map(|((p, s), b)| (p + s).max(b.0).min(b.1)).collect();
        let is_small =
            next.iter().zip(&params).all(|(new, old)| (new - old).abs() <= TOLERANCE * (old.abs() + TOLERANCE));
        let found = residuals.misfit(&next);
        if found <= misfit {
            let gained = misfit - found;
            let promised: f64 =
                free.iter().map(|&i| step[i] * (damping * diagonal(&normal, i) * step[i] - gradient[i])).sum();
            let quality = if promised > 0.0 { gained / promised } else { 1.0 };
            damping = (damping * (1.0 - (2.0 * quality - 1.0).powi(3)).max(1.0 / 3.0)).max(1e-15);
            growth = 2.0;
            params = next;
            normal = Symmetric::zeros(n);
            gradient.fill(0.0);
            misfit = residuals.linearise(&params, &mut normal, &mut gradient);
            // With little damping the step was Newton's, so that a tiny gain means the bottom, not a timid step.
            if is_small || (gained <= TOLERANCE * found && damping < 1e-2) {
                break;
            }
        } else {
            if is_small {
                break;
            }
            damping *= growth;
            growth *= 2.0;
        }
        if damping > 1e20 {
            break;
        }
    }
    (params, misfit)
}

fn diagonal(normal: &Symmetric, i: usize) -> f64 {
    normal.get(i, i).max(1e-300)
}

/// Parameters that are inside their bounds, or on one that the gradient leads away from.
fn free_params(params: &[f64], gradient: &[f64], bounds: &[Bound]) -> Vec<usize> {
    (0..params.len())
        .filter(|&i| {
            let held_low = params[i] <= bounds[i].0 && gradient[i] >= 0.0;
            let held_high = params[i] >= bounds[i].1 && gradient[i] <= 0.0;
            !held_low && !held_high
        })
        .collect()
}

/// Solves (N + λ diag N) s = −g over the free parameters, by Cholesky; none if it fails.
fn damped_step(normal: &Symmetric, gradient: &[f64], free: &[usize], damping: f64) -> Option<Vec<f64>> {
    let m = free.len();
    // Scaled to a unit diagonal, so that units do not matter.
    let scale: Vec<f64> = free.iter().map(|&i| diagonal(normal, i).sqrt().recip()).collect();
    let mut lower = vec![0.0; m * m];
    for i in 0..m {
        for j in 0..=i {
            let mut sum = normal.get(free[i], free[j]) * scale[i] * scale[j];
            if i == j {
                sum += damping;
            }
            for k in 0..j {
                sum -= lower[i * m + k] * lower[j * m + k];
            }
            if i == j {
                if sum.is_nan() || sum <= 0.0 {
                    return None;
                }
                lower[i * m + i] = sum.sqrt();
            } else {
                lower[i * m + j] = sum / lower[j * m + j];
            }
        }
    }
    let mut solution = vec![0.0; m];
    for i in 0..m {
        let known: f64 = (0..i).map(|k| lower[i * m + k] * solution[k]).sum();
        solution[i] = (-gradient[free[i]] * scale[i] - known) / lower[i * m + i];
    }
    for i in (0..m).rev() {
        let known: f64 = (i + 1..m).map(|k| lower[k * m + i] * solution[k]).sum();
        solution[i] = (solution[i] - known) / lower[i * m + i];
    }
    let mut step = vec![0.0; gradient.len()];
    for i in 0..m {
        step[free[i]] = solution[i] * scale[i];
    }
    step.iter().all(|s| s.is_finite()).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rosenbrock's valley as residuals 10 (y − x²) and 1 − x.
    struct Valley;

    impl Residuals for Valley {
        fn linearise(&self, p: &[f64], normal: &mut Symmetric, gradient: &mut [f64]) -> f64 {
            let rows = [(10.0 * (p[1] - p[0] * p[0]), [-20.0 * p[0], 10.0]), (1.0 - p[0], [-1.0, 0.0])];
            for (r, j) in rows {
                normal.add_outer(&j, 1.0);
                gradient[0] += j[0] * r;
                gradient[1] += j[1] * r;
            }
            self.misfit(p)
        }

        fn misfit(&self, p: &[f64]) -> f64 {
            100.0 * (p[1] - p[0] * p[0]).powi(2) + (1.0 - p[0]).powi(2)
        }
    }

    #[test]
    fn the_valley_is_followed_to_its_end() {
        let (found, misfit) = minimise(&Valley, &[-1.2, 1.0], &[(-9.0, 9.0), (-9.0, 9.0)]);
        assert!((found[0] - 1.0).abs() < 1e-10 && (found[1] - 1.0).abs() < 1e-10 && misfit < 1e-20, "{found:?}");
    }

    #[test]
    fn bounds_hold() {
        // With x at most 1/2 the best is x = 1/2, y = 1/4.
        let (found, misfit) = minimise(&Valley, &[-1.2, 1.0], &[(-9.0, 0.5), (-9.0, 9.0)]);
        assert!((found[0] - 0.5).abs() < 1e-12 && (found[1] - 0.25).abs() < 1e-9, "{found:?}");
        assert!((misfit - 0.25).abs() < 1e-12);
    }
}

//! Least squares in two unknowns within bounds, exact.

/// The sums of a weighted regression of `y` on two columns `u` and `v`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TwoColumns {
    uu: f64,
    uv: f64,
    vv: f64,
    uy: f64,
    vy: f64,
    yy: f64,
}

/// Lower and upper bound.
pub(crate) type Bound = (f64, f64);

impl TwoColumns {
    pub(crate) fn add(&mut self, u: f64, v: f64, y: f64, weight: f64) {
        self.uu += weight * u * u;
        self.uv += weight * u * v;
        self.vv += weight * v * v;
        self.uy += weight * u * y;
        self.vy += weight * v * y;
        self.yy += weight * y * y;
    }

    /// Returns Σ w (y − a u − b v)².
    pub(crate) fn misfit(&self, a: f64, b: f64) -> f64 {
        let quadratic = a * a * self.uu + 2.0 * a * b * self.uv + b * b * self.vv;
        (self.yy - 2.0 * (a * self.uy + b * self.vy) + quadratic).max(0.0)
    }

    /// Returns the coefficients of least misfit within bounds, and the misfit.
    ///
    /// The misfit is convex, so if the free optimum lies outside, the bounded one lies on an edge: each edge is a
    /// problem in one unknown, whose clamped optimum is exact.
    pub(crate) fn solve(&self, bound_a: Bound, bound_b: Bound) -> (f64, f64, f64) {
        let determinant = self.uu * self.vv - self.uv * self.uv;
        if determinant > 1e-12 * self.uu * self.vv {
            let a = (self.uy * self.vv - self.vy * self.uv) / determinant;
            let b = (self.vy * self.uu - self.uy * self.uv) / determinant;
            if within(a, bound_a) && within(b, bound_b) {
                return (a, b, self.misfit(a, b));
            }
        }
        let best_a = |b: f64| clamp(ratio(self.uy - b * self.uv, self.uu), bound_a);
        let best_b = |a: f64| clamp(ratio(self.vy - a * self.uv, self.vv), bound_b);
        let on_edges = [
            (finite(bound_a.0), best_b(finite(bound_a.0))),
            (finite(bound_a.1), best_b(finite(bound_a.1))),
            (best_a(finite(bound_b.0)), finite(bound_b.0)),
            (best_a(finite(bound_b.1)), finite(bound_b.1)),
        ];
        let with_misfit = on_edges.map(|(a, b)| (a, b, self.misfit(a, b)));
        with_misfit.into_iter().min_by(|x, y| x.2.total_cmp(&y.2)).expect("four edges")
    }
}

/// An edge at infinity is no edge; 0 stands for it where the columns say nothing.
fn finite(edge: f64) -> f64 {
    if edge.is_finite() { edge } else { 0.0 }
}

fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

fn within(x: f64, (low, high): Bound) -> bool {
    low <= x && x <= high
}

fn clamp(x: f64, (low, high): Bound) -> f64 {
    x.max(low).min(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(points: &[(f64, f64, f64)]) -> TwoColumns {
        let mut sums = TwoColumns::default();
        for &(u, v, y) in points {
            sums.add(u, v, y, 1.0);
        }
        sums
    }

    const FREE: Bound = (f64::NEG_INFINITY, f64::INFINITY);

    #[test]
    fn free_and_bounded_optima_by_hand() {
        // y = 2 u + 3 v, exactly.
        let exact = sums(&[(1.0, 0.0, 2.0), (0.0, 1.0, 3.0), (1.0, 1.0, 5.0)]);
        let (a, b, misfit) = exact.solve(FREE, FREE);
        assert!((a - 2.0).abs() < 1e-12 && (b - 3.0).abs() < 1e-12 && misfit < 1e-12);
        // With a at most 1, the residuals 1 − δ at v = 1 twice are least for b = 3.5.
        let (a, b, misfit) = exact.solve((0.0, 1.0), FREE);
        assert!((a - 1.0).abs() < 1e-12 && (b - 3.5).abs() < 1e-12 && (misfit - 1.5).abs() < 1e-12);
    }
}

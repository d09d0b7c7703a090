//! Fewer points for the same picture.

/// Points of a line in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line {
    /// Where.
    pub(super) x: Vec<f64>,
    /// How much.
    pub(super) y: Vec<f64>,
    /// Points left out since they are not finite.
    pub(super) n_not_finite: usize,
    /// Finite points before thinning.
    pub(super) n: usize,
}

/// Keeps the lowest and the highest point of each of `most / 2` stretches, and the first and the last of all.
///
/// So no peak is lost, as it would be by taking every n-th point or means.
pub(super) fn decimate(points: impl Iterator<Item = (f64, f64)>, most: usize) -> Line {
    let (finite, other): (Vec<_>, Vec<_>) = points.partition(|(x, y)| x.is_finite() && y.is_finite());
    let n = finite.len();
    let mut line = Line { n_not_finite: other.len(), n, ..Line::default() };
    let most = most.max(4);
    let kept: Vec<usize> = if n <= most { (0..n).collect() } else { extremes(&finite, most / 2 - 1) };
    for at in kept {
        line.x.push(finite[at].0);
        line.y.push(finite[at].1);
    }
    line
}

/// The places of the extremes of each of `n_stretches`, with both ends.
fn extremes(points: &[(f64, f64)], n_stretches: usize) -> Vec<usize> {
    let n = points.len();
    let mut kept = vec![0];
    for stretch in 0..n_stretches {
        let (from, to) = (stretch * n / n_stretches, (stretch + 1) * n / n_stretches);
        let by_height = |&a: &usize, &b: &usize| points[a].1.total_cmp(&points[b].1);
        kept.extend((from..to).min_by(by_height));
        kept.extend((from..to).max_by(by_height));
    }
    kept.push(n - 1);
    kept.sort_unstable();
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_points_stay_as_they_are() {
        let line = decimate([(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)].into_iter(), 100);
        assert_eq!(line, Line { x: vec![0.0, 2.0], y: vec![1.0, 3.0], n_not_finite: 1, n: 2 });
    }

    #[test]
    fn no_peak_is_lost() {
        let height = |i: usize| {
            if i == 6_543 {
                9.0
            } else if i == 17 {
                -9.0
            } else {
                (i % 7) as f64 / 7.0
            }
        };
        let line = decimate((0..10_000).map(|i| (i as f64, height(i))), 400);
        assert!(line.x.len() <= 400, "{}", line.x.len());
        assert_eq!((line.x[0], *line.x.last().unwrap(), line.n), (0.0, 9999.0, 10_000));
        assert!(line.x.is_sorted());
        let at = |x: f64| line.y[line.x.iter().position(|&other| other == x).unwrap()];
        assert_eq!((at(6543.0), at(17.0)), (9.0, -9.0));
    }
}

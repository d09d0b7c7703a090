//! Symmetric matrices of a few rows: eigenvalues, condition numbers, inverses that survive a direction without data.

/// A symmetric matrix, row after row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Symmetric {
    n: usize,
    cells: Vec<f64>,
}

impl Symmetric {
    pub(crate) fn zeros(n: usize) -> Self {
        Self { n, cells: vec![0.0; n * n] }
    }

    pub(crate) fn size(&self) -> usize {
        self.n
    }

    pub(crate) fn get(&self, i: usize, j: usize) -> f64 {
        self.cells[i * self.n + j]
    }

    pub(crate) fn set(&mut self, i: usize, j: usize, value: f64) {
        self.cells[i * self.n + j] = value;
        self.cells[j * self.n + i] = value;
    }

    /// Adds `weight · v vᵀ`.
    pub(crate) fn add_outer(&mut self, v: &[f64], weight: f64) {
        for i in 0..self.n {
            for j in 0..self.n {
                self.cells[i * self.n + j] += weight * v[i] * v[j];
            }
        }
    }

    /// Returns `vᵀ M v`.
    pub(crate) fn quadratic(&self, v: &[f64]) -> f64 {
        (0..self.n).map(|i| (0..self.n).map(|j| v[i] * self.get(i, j) * v[j]).sum::<f64>()).sum()
    }

    /// Returns `T M Tᵀ` for a transformation given by its columns.
    pub(crate) fn transformed(&self, columns: &[Vec<f64>]) -> Self {
        let mut result = Self::zeros(self.n);
        for i in 0..self.n {
            for j in 0..=i {
                let mut sum = 0.0;
                for k in 0..self.n {
                    for l in 0..self.n {
                        sum += columns[k][i] * self.get(k, l) * columns[l][j];
                    }
                }
                result.set(i, j, sum);
            }
        }
        result
    }

    /// Returns eigenvalues and eigenvectors by Jacobi's rotations.
    pub(crate) fn eigen(&self) -> Vec<(f64, Vec<f64>)> {
        let n = self.n;
        let mut a = self.clone();
        let mut vectors: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        for _ in 0..60 {
            let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a.get(i, j).powi(2)).sum();
            if off == 0.0 {
                break;
            }
            for p in 0..n {
                for q in p + 1..n {
                    rotate(&mut a, &mut vectors, p, q);
                }
            }
        }
        (0..n).map(|i| (a.get(i, i), vectors.iter().map(|row| row[i]).collect())).collect()
    }

    /// Returns the ratio of the largest to the smallest eigenvalue; infinite if the matrix is singular.
    pub(crate) fn condition(&self) -> f64 {
        let values: Vec<f64> = self.eigen().into_iter().map(|(value, _)| value.abs()).collect();
        let (low, high) = values.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), &v| (l.min(v), h.max(v)));
        if low > 0.0 { high / low } else { f64::INFINITY }
    }

    /// Returns the inverse; directions of which the matrix knows nothing get 0, as in a pseudo-inverse.
    ///
    /// The matrix is scaled to a unit diagonal first, so that "nothing" does not depend on the parameters' units.
    pub(crate) fn inverse(&self) -> Self {
        const NOTHING: f64 = 1e-13;
        let n = self.n;
        let scale: Vec<f64> =
            (0..n).map(|i| self.get(i, i)).map(|d| if d > 0.0 { d.sqrt().recip() } else { 0.0 }).collect();
        let mut unit = Self::zeros(n);
        for i in 0..n {
            for j in 0..=i {
                unit.set(i, j, self.get(i, j) * scale[i] * scale[j]);
            }
        }
        let mut inverse = Self::zeros(n);
        for (value, vector) in unit.eigen() {
            if value > NOTHING {
                let scaled: Vec<f64> = vector.iter().zip(&scale).map(|(v, s)| v * s).collect();
                inverse.add_outer(&scaled, value.recip());
            }
        }
        inverse
    }
}

/// One rotation that makes the element (p, q) vanish.
fn rotate(a: &mut Symmetric, vectors: &mut [Vec<f64>], p: usize, q: usize) {
    let off = a.get(p, q);
    if off == 0.0 {
        return;
    }
    let theta = (a.get(q, q) - a.get(p, p)) / (2.0 * off);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = (t * t + 1.0).sqrt().recip();
    let s = t * c;
    let (app, aqq) = (a.get(p, p), a.get(q, q));
    a.set(p, p, app - t * off);
    a.set(q, q, aqq + t * off);
    a.set(p, q, 0.0);
    for k in (0..a.size()).filter(|&k| k != p && k != q) {
        let (akp, akq) = (a.get(k, p), a.get(k, q));
        a.set(k, p, c * akp - s * akq);
        a.set(k, q, s * akp + c * akq);
    }
    for row in vectors {
        let (vp, vq) = (row[p], row[q]);
        row[p] = c * vp - s * vq;
        row[q] = s * vp + c * vq;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: &[&[f64]]) -> Symmetric {
        Symmetric { n: rows.len(), cells: rows.concat() }
    }

    #[test]
    fn eigenvalues_and_inverse_by_hand() {
        let m = matrix(&[&[2.0, 1.0], &[1.0, 2.0]]);
        let mut values: Vec<f64> = m.eigen().into_iter().map(|(value, _)| value).collect();
        values.sort_by(f64::total_cmp);
        assert!((values[0] - 1.0).abs() < 1e-14 && (values[1] - 3.0).abs() < 1e-14);
        assert!((m.condition() - 3.0).abs() < 1e-13);
        let inverse = m.inverse();
        assert!((inverse.get(0, 0) - 2.0 / 3.0).abs() < 1e-14 && (inverse.get(0, 1) + 1.0 / 3.0).abs() < 1e-14);
    }

    #[test]
    fn a_direction_without_data_has_no_variance() {
        let inverse = matrix(&[&[4.0, 0.0], &[0.0, 0.0]]).inverse();
        assert_eq!((inverse.get(0, 0), inverse.get(1, 1)), (0.25, 0.0));
    }

    #[test]
    fn units_do_not_matter() {
        let inverse = matrix(&[&[1e12, 1.0], &[1.0, 1e-11]]).inverse();
        let determinant = 1e12 * 1e-11 - 1.0;
        assert!((inverse.get(0, 0) * determinant / 1e-11 - 1.0).abs() < 1e-12);
        assert!((inverse.get(1, 1) * determinant / 1e12 - 1.0).abs() < 1e-12);
    }
}

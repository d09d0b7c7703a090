//! Activations: one column of features for each row of the batch, sixteen rows beside each other.

/// Rows beside each other in memory: the lanes of one 512-bit vector, two 256-bit vectors, or four of 128 bits.
pub(crate) const LANES: usize = 16;

/// The features of some rows, in blocks of sixteen rows: element `(row, f)` is
/// `blocks[row / 16][f · 16 + row % 16]`.
///
/// Rows that fill the last block up are computed along and never looked at.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    n_rows: usize,
    n_features: usize,
    pub(crate) blocks: Vec<Vec<f32>>,
}

impl Rows {
    /// Makes rows of zeros.
    pub fn zeros(n_rows: usize, n_features: usize) -> Self {
        let blocks = vec![vec![0.0; n_features * LANES]; n_rows.div_ceil(LANES)];
        Self { n_rows, n_features, blocks }
    }

    /// Makes room for so many rows; what they hold is undefined.
    pub fn fit(&mut self, n_rows: usize, n_features: usize) {
        self.blocks.resize_with(n_rows.div_ceil(LANES), Vec::new);
        self.blocks.iter_mut().for_each(|block| block.resize(n_features * LANES, 0.0));
        (self.n_rows, self.n_features) = (n_rows, n_features);
    }

    /// Makes rows of the features given for each.
    ///
    /// # Panics
    ///
    /// If a row has another number of features.
    pub fn of<'a>(rows: impl ExactSizeIterator<Item = &'a [f32]>, n_features: usize) -> Self {
        let mut made = Self::zeros(rows.len(), n_features);
        for (row, features) in rows.enumerate() {
            assert_eq!(features.len(), n_features, "the features of row {row}");
            made.set(row, features);
        }
        made
    }

    /// Returns the number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Returns the number of features of a row.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Writes the features of a row.
    pub(crate) fn set(&mut self, row: usize, features: &[f32]) {
        let column = self.blocks[row / LANES].iter_mut().skip(row % LANES).step_by(LANES);
        column.zip(features).for_each(|(to, &from)| *to = from);
    }

    /// Becomes a copy.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.fit(other.n_rows, other.n_features);
        self.blocks.iter_mut().zip(&other.blocks).for_each(|(to, from)| to.copy_from_slice(from));
    }

    /// Adds a row of others to a row.
    pub(crate) fn add_row(&mut self, row: usize, others: &Self, other: usize) {
        let to = self.blocks[row / LANES].iter_mut().skip(row % LANES).step_by(LANES);
        let from = others.blocks[other / LANES].iter().skip(other % LANES).step_by(LANES);
        to.zip(from).for_each(|(to, &from)| *to += from);
    }

    /// Adds the features of a row to as many numbers.
    pub(crate) fn add_row_to(&self, row: usize, sums: &mut [f32]) {
        let features = self.blocks[row / LANES].iter().skip(row % LANES).step_by(LANES);
        sums.iter_mut().zip(features).for_each(|(sum, &feature)| *sum += feature);
    }

    /// Returns the features of a row.
    pub fn row(&self, row: usize) -> Vec<f32> {
        self.blocks[row / LANES].iter().skip(row % LANES).step_by(LANES).copied().collect()
    }

    /// Sets the rows that fill the last block up to 0.
    pub(crate) fn clear_padding(&mut self) {
        let lanes = self.n_rows % LANES;
        if let (1.., Some(block)) = (lanes, self.blocks.last_mut()) {
            block.chunks_exact_mut(LANES).for_each(|feature| feature[lanes..].fill(0.0));
        }
    }

    /// Copies some rows, in the order given.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let mut selected = Self::zeros(rows.len(), self.n_features);
        for (to, &from) in rows.iter().enumerate() {
            selected.set(to, &self.row(from));
        }
        selected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back() {
        let mut rows = Rows::zeros(18, 2);
        rows.set(1, &[1.0, 2.0]);
        rows.set(17, &[3.0, 4.0]);
        assert_eq!((rows.row(1), rows.row(17), rows.row(16)), (vec![1.0, 2.0], vec![3.0, 4.0], vec![0.0, 0.0]));
        let selected = rows.select(&[17, 1]);
        assert_eq!((selected.row(0), selected.row(1), selected.n_rows()), (vec![3.0, 4.0], vec![1.0, 2.0], 2));
    }
}

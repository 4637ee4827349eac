//! Linear algebra between small integers and field elements.

use crate::field::{CircuitField, from_i64};

/// `sum_n eq[n] * weights[n * columns + j]` for every column `j`.
///
/// `weights` is row-major with `columns` entries a row; a short table reads as padded with zeros.
pub fn combine_rows<F: CircuitField>(weights: &[i64], columns: usize, eq: &[F]) -> Vec<F> {
    let mut sums = vec![F::ZERO; columns];
    for (row, factor) in weights.chunks(columns.max(1)).zip(eq) {
        for (sum, weight) in sums.iter_mut().zip(row) {
            *sum += *factor * from_i64::<F>(*weight);
        }
    }
    sums
}

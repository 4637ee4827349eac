//! What sum-check provers do with evaluation tables.
//!
//! Tables have `2^n` entries; variables are bound from the most significant bit of the index down.

use foldnet_gadgets::CircuitField;
use foldnet_gadgets::sumcheck::eq_table;
use rayon::prelude::*;

/// Entries that one task takes at least: about 0.1 ms of work.
const GRAIN: usize = 1 << 12;

/// `table`, padded with zeros to `2^variables` entries.
pub(crate) fn padded<F: CircuitField>(table: &[F], variables: usize) -> Vec<F> {
    let mut table = table.to_vec();
    table.resize(1 << variables, F::ZERO);
    table
}

/// Binds the first variable: `table'[x] = table[0, x] + r (table[1, x] - table[0, x])`.
pub(crate) fn bind<F: CircuitField>(table: &mut Vec<F>, r: F) {
    let half = table.len() / 2;
    let (low, high) = table.split_at_mut(half);
    low.par_iter_mut()
        .with_min_len(GRAIN)
        .zip(high.par_iter())
        .for_each(|(low, high)| *low += r * (*high - *low));
    table.truncate(half);
}

/// `N` sums `sum_k terms(k)` over `k < count`.
pub(crate) fn sums<F: CircuitField, const N: usize>(
    count: usize,
    terms: impl Fn(usize) -> [F; N] + Sync,
) -> [F; N] {
    (0..count)
        .into_par_iter()
        .with_min_len(GRAIN)
        .fold(|| [F::ZERO; N], |sum, k| add(sum, terms(k)))
        .reduce(|| [F::ZERO; N], add)
}

pub(crate) fn add<F: CircuitField, const N: usize>(mut a: [F; N], b: [F; N]) -> [F; N] {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
    a
}

/// `eq(point, .)` as the outer product of two tables of about the square root of its size.
pub(crate) struct EqWeights<F> {
    high: Vec<F>,
    low: Vec<F>,
}

impl<F: CircuitField> EqWeights<F> {
    /// The weights of a point, most significant variable first.
    pub(crate) fn new(point: &[F]) -> Self {
        let (high, low) = point.split_at(point.len() / 2);
        EqWeights {
            high: eq_table(high),
            low: eq_table(low),
        }
    }

    /// `N` sums `sum_b eq(point, b) terms(b)` over the cube.
    pub(crate) fn sums<const N: usize>(&self, terms: impl Fn(usize) -> [F; N] + Sync) -> [F; N] {
        let width = self.low.len();
        self.high
            .par_iter()
            .enumerate()
            .with_min_len((GRAIN / width).max(1))
            .map(|(i, weight)| {
                let mut row = [F::ZERO; N];
                for (j, low) in self.low.iter().enumerate() {
                    row = add(row, terms(i * width + j).map(|term| term * low));
                }
                row.map(|sum| sum * weight)
            })
            .reduce(|| [F::ZERO; N], add)
    }
}

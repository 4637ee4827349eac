//! What steps cost: predicted constraints, seconds and bytes.
//!
//! Constraints follow from the shapes and are near the circuits'; seconds and bytes are fitted to
//! runs on two cores and tell minutes from hours.

use foldnet_gadgets::hash::NARROW_LIMIT;
use foldnet_layers::graph::GraphShape;

/// Constraints of the recursion in every step.
const STEP_CONSTRAINTS: usize = 19_000;
/// Constraints of a round of the claim merge, one for each variable of the weight polynomial.
const ROUND_CONSTRAINTS: usize = 360;
/// Constraints of the two permutations of Poseidon, of rates 5 and 24.
const PERMUTATION_CONSTRAINTS: [usize; 2] = [324, 780];

/// Predicted sizes and times.
#[derive(Clone, Debug, PartialEq)]
pub struct CostModel {
    /// Seconds to fold a constraint.
    pub fold_constraint: f64,
    /// Seconds to fold an entry of the weight table that a step fills.
    pub fold_weight: f64,
    /// Seconds for an entry of the accumulated weight table, filled or not.
    pub fold_entry: f64,
    /// Seconds of the final proof for a constraint of a kind.
    pub compress_constraint: f64,
    /// Seconds of the final proof for an entry of the largest polynomial that is opened.
    pub compress_entry: f64,
    /// Seconds to set up a constraint of a kind: shapes, start instances.
    pub start_constraint: f64,
    /// Bytes of a constraint of a kind: its rows in the matrices, and the witnesses.
    pub constraint_bytes: f64,
    /// Bytes of an entry of the weight table while it is folded.
    pub entry_bytes: f64,
    /// Bytes of everything else.
    pub base_bytes: f64,
}

impl Default for CostModel {
    fn default() -> Self {
        CostModel {
            fold_constraint: 4e-6,
            fold_weight: 60e-9,
            fold_entry: 30e-9,
            compress_constraint: 8e-6,
            compress_entry: 4e-6,
            start_constraint: 6e-6,
            constraint_bytes: 2_400.0,
            entry_bytes: 210.0,
            base_bytes: 20e6,
        }
    }
}

/// Predicted constraints of a kind whose weight polynomial has `2^variables` entries.
pub fn constraints(kind: &GraphShape, variables: usize) -> usize {
    step_constraints(variables) + kind.cost().constraints(hash)
}

/// Predicted constraints of a step without layers.
pub(super) fn step_constraints(variables: usize) -> usize {
    STEP_CONSTRAINTS + ROUND_CONSTRAINTS * variables
}

/// Constraints of a hash of some elements.
pub fn hash(elements: usize) -> usize {
    let [narrow, wide] = PERMUTATION_CONSTRAINTS;
    if elements <= NARROW_LIMIT {
        narrow * elements.div_ceil(5)
    } else {
        wide * elements.div_ceil(24)
    }
}

impl CostModel {
    /// Predicted seconds of one step.
    pub fn step_seconds(&self, constraints: usize, weights: usize, variables: usize) -> f64 {
        self.fold_constraint * constraints as f64
            + self.fold_weight * weights as f64
            + self.fold_entry * table_size(variables)
    }

    /// Predicted seconds of what is done once: start instances and the final proof.
    pub fn once_seconds(&self, constraints: &[usize], variables: usize) -> f64 {
        let total: usize = constraints.iter().sum();
        let largest = constraints.iter().max().copied().unwrap_or(0);
        let opened = table_size(variables).max(largest.next_power_of_two() as f64);
        (self.compress_constraint + self.start_constraint) * total as f64
            + self.compress_entry * opened
    }

    /// Predicted peak bytes of folding.
    pub fn bytes(&self, constraints: &[usize], variables: usize) -> f64 {
        let total: usize = constraints.iter().sum();
        self.base_bytes
            + self.constraint_bytes * total as f64
            + self.entry_bytes * table_size(variables)
    }
}

fn table_size(variables: usize) -> f64 {
    2f64.powi(i32::try_from(variables).unwrap_or(i32::MAX))
}

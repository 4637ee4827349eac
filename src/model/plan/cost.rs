//! What steps cost: predicted constraints, seconds and bytes.
//!
//! Constraints follow from the shapes and are near the circuits'; seconds and bytes are fitted to
//! runs on two cores and tell minutes from hours.

use foldnet_gadgets::hash::NARROW_LIMIT;
use foldnet_layers::Linear;
use foldnet_layers::graph::GraphShape;
use foldnet_layers::layer::Layer;

/// Constraints of the recursion in every step.
const STEP_CONSTRAINTS: usize = 19_000;
/// Constraints of a round of the claim merge, one for each variable of the weight polynomial.
const ROUND_CONSTRAINTS: usize = 360;
/// Constraints of the two permutations of Poseidon, of rates 5 and 24.
const PERMUTATION_CONSTRAINTS: [usize; 2] = [324, 780];

/// Predicted seconds and bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct CostModel {
    /// Seconds to fold a step, whatever its size.
    pub fold_step: f64,
    /// Seconds to fold a constraint.
    pub fold_constraint: f64,
    /// Seconds to fold a multiplication by a weight.
    pub fold_multiplication: f64,
    /// Seconds for an entry of the accumulated weight table, filled or not.
    pub fold_entry: f64,
    /// Seconds of the Spartan proof, whatever its size.
    pub compress_base: f64,
    /// Seconds of the Spartan proof for a constraint of a kind.
    pub compress_constraint: f64,
    /// Seconds of the Spartan proof for an entry of the largest polynomial that is opened.
    pub compress_entry: f64,
    /// Seconds of a Groth16 proof beyond the Spartan proof, its keys read from the cache.
    pub groth16: f64,
    /// Seconds to set up a constraint of a kind: shapes, start instances.
    pub start_constraint: f64,
    /// The memory of folding.
    pub memory: MemoryModel,
}

impl Default for CostModel {
    fn default() -> Self {
        CostModel {
            fold_step: 37e-3,
            fold_constraint: 0.5e-6,
            fold_multiplication: 59e-9,
            fold_entry: 9.5e-9,
            compress_base: 0.1,
            compress_constraint: 6e-6,
            compress_entry: 1.5e-6,
            groth16: 6.5,
            start_constraint: 6e-6,
            memory: MemoryModel::FOLDED,
        }
    }
}

/// Bytes of a run that makes one kind of proof. With `R` the constraints of all kinds together and
/// `P` the points of the commitment key (the least power of two that holds `2^ell` weights and the
/// rows of every kind), the peak is
///
/// `base + constraint R + entry 2^ell + point P`,
///
/// whatever the number of steps. A constraint is its entries in three sparse matrices, the running and
/// the last witness, error and cross term, and for small proofs the tables of the sum-checks; an entry
/// is its integer, the accumulator's element, and copies that are folded or opened; a point is an
/// affine point of the key. The constants are fitted to measured peaks (the test data below) and lie
/// a little above them. A groth16 proof also holds the decider's proving key, circuit and witness,
/// which is most of its peak and nearly constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryModel {
    /// Bytes of everything else.
    pub base: f64,
    /// Bytes of a constraint.
    pub constraint: f64,
    /// Bytes of an entry of the weight table.
    pub entry: f64,
    /// Bytes of a point of the key.
    pub point: f64,
}

impl MemoryModel {
    /// Folding alone.
    pub const FOLDED: Self = MemoryModel {
        base: 31e6,
        constraint: 3_000.0,
        entry: 120.0,
        point: 70.0,
    };
    /// With a Spartan proof.
    pub const SPARTAN: Self = MemoryModel {
        base: 46e6,
        constraint: 4_200.0,
        entry: 235.0,
        point: 70.0,
    };
    /// With a Groth16 proof and the making of its keys; when they are in the cache the base is about
    /// 0.45 GB less.
    pub const GROTH16: Self = MemoryModel {
        base: 1.6e9,
        constraint: 4_200.0,
        entry: 120.0,
        point: 70.0,
    };

    /// The predicted peak in bytes, for the constraints of every kind.
    pub fn bytes(&self, constraints: &[usize], variables: usize) -> f64 {
        let total: usize = constraints.iter().sum();
        self.base
            + self.constraint * total as f64
            + self.entry * table_size(variables)
            + self.point * points(constraints, variables)
    }
}

/// Points of the commitment key, or entries of the largest polynomial.
fn points(constraints: &[usize], variables: usize) -> f64 {
    let largest = constraints.iter().max().copied().unwrap_or(0);
    table_size(variables).max(largest.next_power_of_two() as f64)
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

/// Multiplications of a step by weights.
pub fn multiplications(kind: &GraphShape) -> usize {
    let linear = kind.layers().filter_map(Layer::linear);
    linear.map(Linear::multiplications).sum()
}

impl CostModel {
    /// Predicted seconds of one step.
    pub fn step_seconds(&self, constraints: usize, products: usize, variables: usize) -> f64 {
        self.fold_step
            + self.fold_constraint * constraints as f64
            + self.fold_multiplication * products as f64
            + self.fold_entry * table_size(variables)
    }

    /// Predicted seconds of the Spartan proof.
    pub fn compress_seconds(&self, constraints: &[usize], variables: usize) -> f64 {
        let total: usize = constraints.iter().sum();
        self.compress_base
            + self.compress_constraint * total as f64
            + self.compress_entry * points(constraints, variables)
    }

    /// Predicted seconds of what is done once: start instances and the final proof.
    pub fn once_seconds(&self, constraints: &[usize], variables: usize) -> f64 {
        let total: usize = constraints.iter().sum();
        self.start_constraint * total as f64 + self.compress_seconds(constraints, variables)
    }
}

fn table_size(variables: usize) -> f64 {
    2f64.powi(i32::try_from(variables).unwrap_or(i32::MAX))
}

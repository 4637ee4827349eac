//! What steps cost: predicted constraints, seconds and bytes.
//!
//! Constraints follow from the shapes and are near the circuits'; seconds and bytes are fitted to
//! runs on two cores and tell minutes from hours.

use foldnet_gadgets::hash::NARROW_LIMIT;
use foldnet_gadgets::msm::BLOCK;
use foldnet_layers::Linear;
use foldnet_layers::graph::GraphShape;
use foldnet_layers::layer::Layer;

/// Constraints of the recursion in every step.
const STEP_CONSTRAINTS: usize = 19_000;
/// Constraints of a round of the claim merge, one for each variable of the weight polynomial.
const ROUND_CONSTRAINTS: usize = 360;
/// Constraints of the two permutations of Poseidon, of rates 5 and 24.
const PERMUTATION_CONSTRAINTS: [usize; 2] = [324, 780];

/// What times and memory of a program depend on beside its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Predicted constraints of every kind.
    pub constraints: Vec<usize>,
    /// `ell`.
    pub variables: usize,
}

impl Sizes {
    /// Those of kinds whose weight polynomials have `2^variables` entries.
    pub fn of(kinds: &[GraphShape], variables: usize) -> Self {
        Sizes {
            constraints: kinds
                .iter()
                .map(|kind| constraints(kind, variables))
                .collect(),
            variables,
        }
    }

    /// Constraints of all kinds.
    pub fn rows(&self) -> usize {
        self.constraints.iter().sum()
    }

    /// Constraints of the largest kind.
    pub fn largest(&self) -> usize {
        self.constraints.iter().max().copied().unwrap_or(0)
    }

    /// Variables of the points of the commitment key, and of the largest polynomial that is opened: the
    /// least that hold the weight table and the rows of every kind.
    pub fn point_variables(&self) -> usize {
        let rows = self.largest().next_power_of_two().ilog2() as usize;
        self.variables.max(rows)
    }
}

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
    /// What is done once, before folding.
    pub set_up: OnceModel,
    /// Masked start instances, which small proofs start from.
    pub start: OnceModel,
    /// The Spartan proof.
    pub compress: OnceModel,
    /// Seconds of a Groth16 proof beyond the Spartan proof, its keys read from the cache.
    pub groth16: f64,
    /// The memory of folding.
    pub memory: MemoryModel,
}

/// Seconds of something that is done once for all steps: `base + constraint R + point P`, with `R` the
/// constraints of all kinds together and `P` the points of the commitment key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnceModel {
    /// Seconds whatever the sizes.
    pub base: f64,
    /// Seconds for a constraint.
    pub constraint: f64,
    /// Seconds for a point.
    pub point: f64,
}

impl OnceModel {
    /// Predicted seconds.
    pub fn seconds(&self, sizes: &Sizes) -> f64 {
        self.base
            + self.constraint * sizes.rows() as f64
            + self.point * table_size(sizes.point_variables())
    }
}

impl Default for CostModel {
    fn default() -> Self {
        CostModel {
            fold_step: 37e-3,
            fold_constraint: 0.5e-6,
            fold_multiplication: 59e-9,
            fold_entry: 9.5e-9,
            set_up: OnceModel {
                base: 0.4,
                constraint: 4.8e-6,
                point: 0.7e-6,
            },
            start: OnceModel {
                base: 0.06,
                constraint: 2.2e-6,
                point: 0.85e-6,
            },
            compress: OnceModel {
                base: 0.15,
                constraint: 1.9e-6,
                point: 1.5e-6,
            },
            groth16: 5.3,
            memory: MemoryModel::FOLDED,
        }
    }
}

/// Bytes of a run that makes one kind of proof. With `R` the constraints of all kinds together, `L` those
/// of the largest kind and `P` the points of the commitment key (the least power of two that holds `2^ell`
/// weights and the rows of every kind), the peak is
///
/// `base + constraint R + largest L + point P + block min(P, 2^18)`,
///
/// whatever the number of steps. A constraint is its rows in three sparse matrices and its part of a
/// running instance; one of the largest kind, what a step holds besides: two witnesses, cross term, tables
/// of sum-checks. A point is a point of the key, a weight and its copies that are folded or opened; a block
/// is what a sum over that many points takes. The constants are fitted to measured peaks (the test data
/// below) and lie above them. A groth16 proof also holds the decider's proving key, circuit and witness,
/// which is most of its peak and nearly constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryModel {
    /// Bytes of everything else.
    pub base: f64,
    /// Bytes of a constraint.
    pub constraint: f64,
    /// Bytes of a constraint of the largest kind.
    pub largest: f64,
    /// Bytes of a point of the key.
    pub point: f64,
    /// Bytes of a point of a block of them.
    pub block: f64,
}

impl MemoryModel {
    /// Folding alone.
    pub const FOLDED: Self = MemoryModel {
        base: 35.5e6,
        constraint: 1_230.0,
        largest: 120.0,
        point: 172.0,
        block: 0.0,
    };
    /// With a Spartan proof.
    pub const SPARTAN: Self = MemoryModel {
        base: 81e6,
        constraint: 730.0,
        largest: 814.0,
        point: 172.0,
        block: 478.0,
    };
    /// With a Groth16 proof and the making of its keys; when they are in the cache the base is about
    /// 0.45 GB less.
    pub const GROTH16: Self = MemoryModel {
        base: 1.55e9,
        constraint: 0.0,
        largest: 1_914.0,
        point: 117.0,
        block: 710.0,
    };

    /// The predicted peak in bytes.
    pub fn bytes(&self, sizes: &Sizes) -> u64 {
        let points = table_size(sizes.point_variables());
        let bytes = self.base
            + self.constraint * sizes.rows() as f64
            + self.largest * sizes.largest() as f64
            + self.point * points
            + self.block * points.min(BLOCK as f64);
        bytes as u64
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

/// Multiplications of a step by weights.
pub fn multiplications(kind: &GraphShape) -> usize {
    let linear = kind.layers().filter_map(Layer::linear);
    linear.map(Linear::multiplications).sum()
}

impl CostModel {
    /// Costs of folding alone, for proofs that are not made small.
    pub fn folding() -> Self {
        let free = OnceModel {
            base: 0.0,
            constraint: 0.0,
            point: 0.0,
        };
        CostModel {
            start: free,
            compress: free,
            groth16: 0.0,
            ..CostModel::default()
        }
    }

    /// Predicted seconds of one step.
    pub fn step_seconds(&self, constraints: usize, products: usize, variables: usize) -> f64 {
        self.fold_step
            + self.fold_constraint * constraints as f64
            + self.fold_multiplication * products as f64
            + self.fold_entry * table_size(variables)
    }

    /// Predicted seconds to fold steps of these kinds, in any order, once.
    pub fn fold_seconds(
        &self,
        kinds: &[GraphShape],
        sizes: &Sizes,
        steps: impl Iterator<Item = usize>,
    ) -> f64 {
        let step = |(kind, constraints): (&GraphShape, &usize)| {
            self.step_seconds(*constraints, multiplications(kind), sizes.variables)
        };
        let kinds: Vec<f64> = kinds.iter().zip(&sizes.constraints).map(step).collect();
        steps.filter_map(|kind| kinds.get(kind)).sum()
    }

    /// What is minimised beside the steps' seconds: start instances and the final proof.
    pub fn once_seconds(&self, sizes: &Sizes) -> f64 {
        self.start.seconds(sizes) + self.compress.seconds(sizes)
    }
}

fn table_size(variables: usize) -> f64 {
    2f64.powi(i32::try_from(variables).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::{MemoryModel, Sizes};

    /// Peaks in megabytes, measured with `prove --json` and `batch --json` on Linux: the model,
    /// constraints of every kind, variables of the weights.
    const PEAKS: &[(MemoryModel, &[usize], usize, f64)] = &[
        (MemoryModel::FOLDED, &[35_428], 18, 122.1),
        (MemoryModel::SPARTAN, &[35_428], 18, 291.3),
        (MemoryModel::FOLDED, &[33_823], 17, 86.1),
        (MemoryModel::SPARTAN, &[33_823], 17, 157.8),
        (MemoryModel::FOLDED, &[71_159], 17, 139.8),
        (MemoryModel::SPARTAN, &[71_159], 17, 215.1),
        (MemoryModel::FOLDED, &[195_659], 17, 328.7),
        (MemoryModel::SPARTAN, &[195_659], 17, 527.0),
        (MemoryModel::GROTH16, &[195_659], 17, 2035.3),
        (MemoryModel::FOLDED, &[38_136, 29_938], 16, 107.5),
        (MemoryModel::SPARTAN, &[38_136, 29_938], 16, 192.9),
        (MemoryModel::FOLDED, &[27_769, 28_332], 13, 95.3),
        (MemoryModel::SPARTAN, &[27_769, 28_332], 13, 158.4),
        (MemoryModel::FOLDED, &[32_942, 28_969], 15, 120.8),
        (MemoryModel::SPARTAN, &[32_942, 28_969], 15, 176.7),
        (MemoryModel::FOLDED, &[50_454, 30_256], 17, 128.8),
        (MemoryModel::SPARTAN, &[50_454, 30_256], 17, 207.2),
        (MemoryModel::FOLDED, &[51_534, 46_407], 19, 207.5),
        (MemoryModel::SPARTAN, &[51_534, 46_407], 19, 383.1),
        (MemoryModel::FOLDED, &[51_716, 51_981, 56_717], 19, 261.5),
        (MemoryModel::SPARTAN, &[51_716, 51_981, 56_717], 19, 437.6),
        (MemoryModel::GROTH16, &[51_716, 51_981, 56_717], 19, 1811.2),
        (MemoryModel::FOLDED, &[52_962, 45_875], 19, 190.5),
        (MemoryModel::SPARTAN, &[52_962, 45_875], 19, 372.3),
        (MemoryModel::FOLDED, &[59_659, 54_383, 50_818], 21, 547.7),
        (MemoryModel::SPARTAN, &[59_659, 54_383, 50_818], 21, 599.4),
        (MemoryModel::FOLDED, &[65_201, 54_502, 46_390], 22, 920.7),
        (MemoryModel::SPARTAN, &[65_201, 54_502, 46_390], 22, 1047.6),
        (MemoryModel::GROTH16, &[65_201, 54_502, 46_390], 22, 2235.4),
        (MemoryModel::FOLDED, &[110_991, 111_618], 9, 201.1),
        (MemoryModel::SPARTAN, &[110_991, 111_618], 9, 310.9),
        (MemoryModel::GROTH16, &[110_991, 111_618], 9, 1778.9),
        (MemoryModel::FOLDED, &[29_208], 14, 75.7),
        (MemoryModel::SPARTAN, &[29_208], 14, 110.1),
        (MemoryModel::FOLDED, &[37_173], 13, 82.2),
        (MemoryModel::SPARTAN, &[37_173], 13, 129.3),
        (MemoryModel::GROTH16, &[37_173], 13, 1625.0),
        (MemoryModel::FOLDED, &[58_852], 14, 95.9),
        (MemoryModel::SPARTAN, &[58_852], 14, 158.1),
        (MemoryModel::FOLDED, &[69_367], 12, 109.3),
        (MemoryModel::SPARTAN, &[69_367], 12, 178.0),
        (MemoryModel::FOLDED, &[121_609], 14, 158.4),
        (MemoryModel::SPARTAN, &[121_609], 14, 231.6),
        (MemoryModel::FOLDED, &[44_165], 13, 86.0),
        (MemoryModel::SPARTAN, &[44_165], 13, 145.6),
    ];

    #[test]
    fn memory_models_cover_measured_peaks() {
        let mut sum = 0.0;
        for (model, constraints, variables, measured) in PEAKS {
            let sizes = Sizes {
                constraints: constraints.to_vec(),
                variables: *variables,
            };
            let ratio = model.bytes(&sizes) as f64 / 1e6 / measured;
            assert!(
                (1.0..1.8).contains(&ratio),
                "{model:?} {constraints:?}: {ratio} of {measured}"
            );
            sum += ratio;
        }
        let mean = sum / PEAKS.len() as f64;
        assert!(mean < 1.3, "{mean}");
    }
}

//! The CycleFold circuit (eprint 2023/1192, section 3): point operations of the primary curve,
//! proven over its base field, where they are native.
//!
//! One instance proves `P'_j = P_j + r_j Q_j` for [`OPERATIONS`] operations. The first three fold
//! the two witness segments and the error of a primary instance with the folding challenge; the
//! last adds a step's weight commitment to the accumulator with the accumulation challenge. The
//! public IO is `(r, beta, P_0, Q_0, P'_0, ..., P_3, Q_3, P'_3)`, each point as `x, y`, each
//! challenge as the integer `choices + 2^64 signs`.
//!
//! * Enforced: the operations; `P_j` and `Q_j` on the curve.
//! * Assumed: whoever folds an instance constructed the IO from its own variables.
//!
//! # Layout
//!
//! Rows and variables are placed at addresses `(operation | digit | slot)` of 2, 6 and 3 bits, so
//! that the matrices repeat one block and their multilinear extensions are products of small
//! factors. A digit, in the order of processing, has slots 0 to 6; slot 7 of the first digits holds
//! what an operation has besides its digits. Other addresses are empty: zero variables without
//! constraints, and rows `0 * 0 = 0`. The layout permutes and pads; it cannot change what is proven.

use crate::fold::error::FoldError;
use crate::fold::r1cs::{Fresh, FreshWitness, Instance, Proven, Shape};
use crate::key::CommitmentKey;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use foldnet_gadgets::challenge::{Challenge, DIGITS};
use foldnet_gadgets::commitment::{Commitment, CurveEngine};
use foldnet_gadgets::cycle::{Cycle, curve_b, endomorphism};
use foldnet_gadgets::field::CircuitField;
use foldnet_gadgets::point::{MultiplierWires, PointWires, multiply_add};
use foldnet_gadgets::system::{Matrices, ShapeSystem, WitnessSystem};
use foldnet_gadgets::wire::WireSystem;
use nova_snark::traits::Engine;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};

/// Point operations of one instance.
pub const OPERATIONS: usize = 4;

/// Public inputs of one instance: two challenges and three points an operation.
pub const PUBLIC_INPUTS: usize = 2 + 6 * OPERATIONS;

/// Bits of the slot in an address.
pub const SLOT_BITS: usize = 3;

/// Rows, and variables, of the shape: all addresses.
pub const ADDRESSES: usize = (OPERATIONS * DIGITS) << SLOT_BITS;

/// Slots that a digit fills; the next one is for everything else.
const DIGIT_SLOTS: usize = 7;

/// How many rows, or variables, the circuit has in the order of synthesis.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    what: &'static str,
    /// Before the first operation.
    head: usize,
    /// In an operation, before its digits.
    before: usize,
    /// In an operation, after its digits.
    after: usize,
}

/// Constraints: two points on the curve; two aggregates, a sum, two coordinates.
const ROWS: Sizes = Sizes {
    what: "rows",
    head: 0,
    before: 6,
    after: 8,
};

/// Variables: two splits; squares and cubes of two abscissas; those of a sum.
const VARIABLES: Sizes = Sizes {
    what: "variables",
    head: 2,
    before: 4,
    after: 4,
};

impl Sizes {
    /// The address of each row, or variable, in the order of synthesis.
    fn addresses(&self, count: usize) -> Result<Vec<usize>, FoldError> {
        let address = |operation: usize, digit: usize, slot: usize| {
            (operation * DIGITS + digit) << SLOT_BITS | slot
        };
        let digits = DIGITS * DIGIT_SLOTS;
        let extras = self.before + self.after;
        let expected = self.head + OPERATIONS * (extras + digits);
        if expected != count || extras + self.head > DIGITS {
            let message = format!("CycleFold {}: expected {expected}, got {count}", self.what);
            return Err(FoldError::Shape(message));
        }
        let head = (0..self.head).map(|i| address(0, extras + i, DIGIT_SLOTS));
        let operation = |j| {
            let extra = move |i| address(j, i, DIGIT_SLOTS);
            let digit = move |i| address(j, i / DIGIT_SLOTS, i % DIGIT_SLOTS);
            let before = (0..self.before).map(extra);
            let after = (self.before..extras).map(extra);
            before.chain((0..digits).map(digit)).chain(after)
        };
        Ok(head.chain((0..OPERATIONS).flat_map(operation)).collect())
    }
}

/// Places matrices that are in the order of synthesis.
fn place<F: CircuitField>(matrices: Matrices<F>) -> Result<Matrices<F>, FoldError> {
    let rows = ROWS.addresses(matrices.rows)?;
    let variables = VARIABLES.addresses(matrices.variables)?;
    let column = |i: usize| match i.checked_sub(matrices.variables) {
        Some(input) => Some(ADDRESSES + input),
        None => variables.get(i).copied(),
    };
    let place = |entries: Vec<(usize, usize, F)>| -> Result<Vec<_>, FoldError> {
        let placed = entries
            .into_iter()
            .map(|(i, j, value)| Some((*rows.get(i)?, column(j)?, value)));
        let mut placed: Vec<_> = placed
            .collect::<Option<_>>()
            .ok_or_else(|| FoldError::Shape("a CycleFold entry outside the matrices".into()))?;
        placed.sort_by_key(|(row, column, _)| (*row, *column));
        Ok::<_, FoldError>(placed)
    };
    Ok(Matrices {
        rows: ADDRESSES,
        variables: ADDRESSES,
        inputs: matrices.inputs,
        a: place(matrices.a)?,
        b: place(matrices.b)?,
        c: place(matrices.c)?,
    })
}

/// `result = p + r * q`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Operation<E: CurveEngine> {
    /// The summand.
    pub p: Commitment<E>,
    /// The point that is multiplied.
    pub q: Commitment<E>,
    /// The result.
    pub result: Commitment<E>,
}

impl<E: CurveEngine> Operation<E> {
    /// Performs the operation.
    pub fn perform(p: Commitment<E>, q: Commitment<E>, scalar: E::Scalar) -> Self {
        Operation {
            p,
            q,
            result: p.fold(scalar, &q),
        }
    }

    /// The three points in the order of the public IO.
    pub fn points(&self) -> [Commitment<E>; 3] {
        [self.p, self.q, self.result]
    }
}

/// What one CycleFold instance proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operations<C: Cycle> {
    /// The folding challenge, used by the first three operations.
    pub fold: Challenge,
    /// The accumulation challenge, used by the last.
    pub accumulate: Challenge,
    /// The operations.
    pub operations: [Operation<C::Primary>; OPERATIONS],
}

impl<C: Cycle> Operations<C> {
    /// The public IO.
    pub fn public(&self) -> Vec<C::Q> {
        let mut io = vec![self.fold.to_field(), self.accumulate.to_field()];
        for point in self.operations.iter().flat_map(Operation::points) {
            io.extend(point.coordinates());
        }
        io
    }
}

impl<C: Cycle> Operations<C> {
    /// The operations of one primary fold, with the last one and its challenge.
    pub fn of_fold(
        fold: Challenge,
        running: &Instance<C::Primary>,
        fresh: &Fresh<C::Primary>,
        cross: &Commitment<C::Primary>,
        folded: &Instance<C::Primary>,
        (accumulate, accumulation): (Challenge, Operation<C::Primary>),
    ) -> Self {
        let p = running.segments.iter().chain([&running.error]);
        let q = fresh.segments.iter().chain([cross]);
        let results = folded.segments.iter().chain([&folded.error]);
        let mut operations = [accumulation; OPERATIONS];
        let (folds, _) = operations.split_at_mut(OPERATIONS - 1);
        for (slot, ((p, q), result)) in folds.iter_mut().zip(p.zip(q).zip(results)) {
            *slot = Operation {
                p: *p,
                q: *q,
                result: *result,
            };
        }
        Operations {
            fold,
            accumulate,
            operations,
        }
    }
}

/// Constants of the circuit.
#[derive(Clone, Copy, Debug)]
struct Curve<Q> {
    beta: Q,
    b: Q,
}

impl<Q: CircuitField> Curve<Q> {
    fn of<C: Cycle<Q = Q>>() -> Self {
        let (beta, _) = endomorphism::<C::Primary>();
        Curve {
            beta,
            b: curve_b::<<C::Primary as Engine>::GE>(),
        }
    }
}

fn synthesize<C: Cycle, CS: ConstraintSystem<C::Q>>(
    cs: &mut CS,
    operations: &Operations<C>,
) -> Result<(), SynthesisError> {
    let curve = Curve::of::<C>();
    let io = operations
        .public()
        .into_iter()
        .enumerate()
        .map(|(i, value)| cs.public_wire(|| format!("io {i}"), value))
        .collect::<Result<Vec<_>, _>>()?;
    let [fold, accumulate, points @ ..] = io.as_slice() else {
        return Err(SynthesisError::AssignmentMissing);
    };
    let split = |cs: &mut CS, name: &'static str, integer: &_, challenge| {
        MultiplierWires::from_integer(&mut cs.namespace(|| name), integer, challenge)
    };
    let fold_wires = split(cs, "fold", fold, operations.fold)?;
    let accumulate_wires = split(cs, "accumulate", accumulate, operations.accumulate)?;
    for (j, coordinates) in points.chunks_exact(6).enumerate() {
        let mut cs = cs.namespace(|| format!("operation {j}"));
        let point = |i: usize| PointWires::new(coordinates[i].clone(), coordinates[i + 1].clone());
        let (p, q, expected) = (point(0), point(2), point(4));
        p.enforce_on_curve(&mut cs.namespace(|| "p"), curve.b)?;
        q.enforce_on_curve(&mut cs.namespace(|| "q"), curve.b)?;
        let (wires, value) = if j + 1 == OPERATIONS {
            (&accumulate_wires, operations.accumulate)
        } else {
            (&fold_wires, operations.fold)
        };
        let result = multiply_add(&mut cs, &p, &q, wires, value, curve.beta)?;
        cs.enforce_equal(|| "result x", &result.x, &expected.x);
        cs.enforce_equal(|| "result y", &result.y, &expected.y);
    }
    Ok(())
}

/// The matrices in the order of synthesis.
fn synthesized<C: Cycle>() -> Result<Matrices<C::Q>, FoldError> {
    let mut system = ShapeSystem::default();
    synthesize::<C, _>(&mut system, &sample::<C>())?;
    Ok(system.into_matrices())
}

/// Numbers of constraints and of variables, without the empty addresses.
///
/// # Errors
/// Those of synthesis.
pub fn filled<C: Cycle>() -> Result<(usize, usize), FoldError> {
    let matrices = synthesized::<C>()?;
    Ok((matrices.rows, matrices.variables))
}

/// The matrices of the circuit, in the layout that the module describes: [`ADDRESSES`] rows, as
/// many variables, then `(u, X)`.
///
/// # Errors
/// Those of synthesis; [`FoldError::Shape`] when the circuit has other sizes than the layout.
pub fn matrices<C: Cycle>() -> Result<Matrices<C::Q>, FoldError> {
    place(synthesized::<C>()?)
}

/// The shape of the circuit: one segment.
///
/// # Errors
/// Those of [`matrices`].
pub fn shape<C: Cycle>() -> Result<Shape<C::Secondary>, FoldError> {
    let matrices = matrices::<C>()?;
    let segments = vec![matrices.variables];
    Shape::new(matrices, segments)
}

/// Some operations on multiples of the generator, used where there is nothing to fold.
pub fn sample<C: Cycle>() -> Operations<C> {
    let challenge = Challenge::default();
    Operations {
        fold: challenge,
        accumulate: challenge,
        operations: std::array::from_fn(|j| idle::<C>(2 * j as u64 + 1)),
    }
}

/// The operation on the constant points `[n] G` and `[n + 1] G` with the all-zero challenge.
fn idle<C: Cycle>(n: u64) -> Operation<C::Primary> {
    use nova_snark::provider::traits::DlogGroup;
    let (_, lambda) = endomorphism::<C::Primary>();
    let generator = <C::Primary as Engine>::GE::r#gen();
    let p = Commitment::new(generator * C::F::from(n));
    let q = Commitment::new(generator * C::F::from(n + 1));
    Operation::perform(p, q, idle_challenge().scalar(lambda))
}

/// The challenge of [`idle_accumulation`].
pub fn idle_challenge() -> Challenge {
    Challenge::default()
}

/// The fixed last operation of kinds without weights.
pub fn idle_accumulation<C: Cycle>() -> Operation<C::Primary> {
    idle::<C>(1)
}

/// The fresh instance and witness that prove `operations`.
///
/// # Errors
/// Those of synthesis and of the key.
pub fn prove<C: Cycle, R: RngCore + CryptoRng>(
    shape: &Shape<C::Secondary>,
    key: &CommitmentKey<C::Secondary>,
    operations: &Operations<C>,
    rng: &mut R,
) -> Result<Proven<C::Secondary>, FoldError> {
    let variables = shape.segments().iter().sum();
    let mut system = WitnessSystem::with_capacity(variables);
    synthesize::<C, _>(&mut system, operations)?;
    let blind = C::Q::random(rng);
    let values = system.into_auxiliary();
    let mut witness = vec![C::Q::ZERO; variables];
    for (address, value) in VARIABLES.addresses(values.len())?.into_iter().zip(values) {
        let slot = witness.get_mut(address).ok_or_else(|| {
            FoldError::Shape(format!(
                "CycleFold variable at address {address} of {variables}"
            ))
        })?;
        *slot = value;
    }
    let commitment = Shape::commit_segment(key, &witness, blind)?;
    let fresh = Fresh {
        segments: vec![commitment],
        x: operations.public(),
    };
    Ok((
        fresh,
        FreshWitness {
            segments: vec![witness],
            blinds: vec![blind],
        },
    ))
}

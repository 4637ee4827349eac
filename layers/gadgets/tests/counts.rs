//! Constraint counts of the gadgets, pinned in one table, and that all systems agree on them.

use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::{Challenge, ChallengeWires};
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta, cube_root};
use foldnet_gadgets::eisenstein::{
    CanonicalLimbs, EisensteinParams, ElementWires, EqualityWires, FoldWires, Form,
};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::point::{MultiplierWires, PointWires, multiply_add, multiply_add_bits};
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::system::{ShapeSystem, WitnessSystem};
use foldnet_gadgets::wire::{Wire, WireSystem};

/// `(gadget, constraints and lookups on BN254, the same on Pasta)`. Lookups cost one constraint
/// each; the table's own are not counted.
const COUNTS: [(&str, [usize; 2], [usize; 2]); 12] = [
    ("challenge from a hash", [477, 0], [396, 0]),
    ("point on the curve", [3, 0], [3, 0]),
    ("multiply and add, bits", [452, 0], [452, 0]),
    ("multiply and add, integers", [454, 0], [454, 0]),
    (
        "multiply and add, integers, both on the curve",
        [460, 0],
        [460, 0],
    ),
    ("element", [0, 32], [0, 32]),
    ("canonical value", [2, 64], [2, 64]),
    ("equality", [2, 4], [2, 4]),
    ("fold, fresh unit", [2, 34], [2, 34]),
    ("fold, fresh short", [3, 50], [3, 50]),
    ("fold, fresh integer", [3, 50], [3, 50]),
    ("fold, fresh canonical", [3, 52], [3, 52]),
];

/// One gadget on a system; returns constraints that are not its own, and lookups.
type Spent = Result<(usize, usize), SynthesisError>;

/// A system that counts.
trait Count {
    fn constraints(&self) -> usize;
}

impl<F: CircuitField> Count for MockSystem<F> {
    fn constraints(&self) -> usize {
        self.constraint_count()
    }
}

impl<F: CircuitField> Count for ShapeSystem<F> {
    fn constraints(&self) -> usize {
        self.rows()
    }
}

impl<F: CircuitField> Count for WitnessSystem<F> {
    fn constraints(&self) -> usize {
        0
    }
}

fn points<F: CircuitField, CS: ConstraintSystem<F> + Count>(cs: &mut CS, gadget: &str) -> Spent {
    // Values are those of a dummy witness: counts do not depend on them, hints must be total.
    let p = PointWires::alloc(cs, "p", (F::ZERO, F::ZERO))?;
    let q = PointWires::alloc(cs, "q", (F::ZERO, F::ZERO))?;
    let hash = cs.wire(|| "hash", F::ZERO)?;
    let beta = cube_root::<F>();
    let mut before = 0;
    if gadget == "point on the curve" {
        p.enforce_on_curve(cs, F::ONE)?;
    } else if gadget == "multiply and add, bits" {
        let r = ChallengeWires::from_hash(&mut cs.namespace(|| "r"), &hash)?;
        before = cs.constraints();
        multiply_add_bits(cs, &p, &q, &r, beta)?;
    } else {
        if gadget.ends_with("curve") {
            p.enforce_on_curve(&mut cs.namespace(|| "p"), F::ONE)?;
            q.enforce_on_curve(&mut cs.namespace(|| "q"), F::ONE)?;
        }
        let r = MultiplierWires::from_integer(cs, &hash, Challenge::default())?;
        multiply_add(cs, &p, &q, &r, Challenge::default(), beta)?;
    }
    Ok((before, 0))
}

fn non_native<C: Cycle, CS: ConstraintSystem<C::F> + Count>(cs: &mut CS, gadget: &str) -> Spent {
    let params = EisensteinParams::<C::F, C::Q>::new().expect("the bounds hold on both cycles");
    let zero = C::Q::ZERO;
    let form = match gadget {
        "fold, fresh unit" => Form::Unit,
        "fold, fresh integer" => Form::Integer,
        "fold, fresh canonical" => Form::Spread,
        _ => Form::Short,
    };
    let mut segment = FirstSegment::open(cs);
    let s = &mut segment;
    let mut elements = Vec::new();
    let mut limbs = Vec::new();
    let mut equalities = Vec::new();
    let mut folds = Vec::new();
    match gadget {
        "element" => elements.push(ElementWires::alloc(s, &params, "x", &zero)?),
        "canonical value" => limbs.push(CanonicalLimbs::alloc(s, &params, "v", &zero)?),
        "equality" => {
            let forms = (Form::Spread, Form::Short);
            equalities.push(EqualityWires::alloc(s, &params, "equality", &zero, forms)?);
        }
        _ => {
            let fresh = (&zero, form);
            let r = Challenge::default();
            folds.push(FoldWires::alloc(s, &params, "fold", &zero, fresh, r)?);
        }
    }
    let lookups = segment.close()?.len();
    let mut before = 0;
    for limbs in limbs {
        limbs.constrain(cs)?;
    }
    for equality in equalities {
        let zero = ElementWires::constant(&params, &zero);
        equality.constrain(cs, &zero, &zero)?;
    }
    for fold in folds {
        let r = ChallengeWires::from_hash(&mut cs.namespace(|| "r"), &Wire::zero())?;
        before = cs.constraints();
        let running = ElementWires::constant(&params, &zero);
        let fresh = match form {
            Form::Unit => ElementWires::unit(),
            // Any element that is no constant.
            _ => ElementWires::from_challenge(&r),
        };
        fold.constrain(cs, &running, &fresh, &r)?;
    }
    Ok((before, lookups))
}

fn run<C: Cycle, CS: ConstraintSystem<C::F> + Count>(cs: &mut CS, gadget: &str) -> [usize; 2] {
    let (before, lookups) = match gadget {
        "challenge from a hash" => {
            let hash = cs.wire(|| "hash", C::F::ZERO).unwrap();
            ChallengeWires::from_hash(cs, &hash).map(|_| (0, 0))
        }
        _ if gadget.starts_with("point") || gadget.starts_with("multiply") => {
            points::<C::F, CS>(cs, gadget)
        }
        _ => non_native::<C, CS>(cs, gadget),
    }
    .unwrap();
    [cs.constraints() - before, lookups]
}

/// Counts in the checking system and in the shape system, which must agree; so must the witness.
fn count<C: Cycle>(gadget: &str) -> [usize; 2] {
    let mut mock = MockSystem::<C::F>::new();
    let mut shape = ShapeSystem::<C::F>::default();
    let mut witness = WitnessSystem::<C::F>::default();
    let counts = run::<C, _>(&mut mock, gadget);
    assert_eq!(counts, run::<C, _>(&mut shape, gadget), "{gadget}");
    run::<C, _>(&mut witness, gadget);
    assert_eq!(mock.auxiliary_values(), witness.auxiliary(), "{gadget}");
    assert_eq!(mock.auxiliary_count(), shape.auxiliary(), "{gadget}");
    assert_eq!(mock.duplicates(), &[] as &[String], "{gadget}");
    counts
}

#[test]
fn counts_are_those_of_the_table() {
    let counts =
        COUNTS.map(|(gadget, ..)| (gadget, count::<Bn254>(gadget), count::<Pasta>(gadget)));
    for (gadget, bn254, pasta) in counts {
        println!("{gadget}: constraints and lookups {bn254:?} (bn254), {pasta:?} (pasta)");
    }
    assert_eq!(counts, COUNTS);
}

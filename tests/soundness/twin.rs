//! Native code against circuits, what is written against what is read, and encodings.

use crate::common::{Shared, tensor, toy_continue, toy_model, toy_program};
use crate::harness::*;
use ff::Field;
use foldnet::fold::prover::{Recursion, Start};
use foldnet::fold::state::{
    ALPHA, BATCH, CYCLEFOLD, FOLD, FOLD_CYCLEFOLD, INSTANCE, MODEL, MODEL_START, STATE, STEP,
    batch_start,
};
use foldnet::fold::verifier::verify;
use foldnet::visibility::Sides;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::commitment::{Commitment, CurveEngine};
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta};
use foldnet_gadgets::field::to_bytes;
use foldnet_gadgets::hash::hash;
use nova_snark::provider::traits::DlogGroup;
use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeSet;

type F = <Bn254 as Cycle>::F;

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard()).unwrap()
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let result = bincode::serde::decode_from_slice(bytes, bincode::config::standard());
    let (value, length) = result.ok()?;
    (length == bytes.len()).then_some(value)
}

/// SECURITY 28: every intermediate hash of the circuit is the native one.
fn hashes_agree_on<C: HasFixture>() {
    let fixture = C::fixture();
    let context = fixture.params.context();
    for position in [BASE, PLAIN, ENDING] {
        let at = &fixture.positions[position];
        let attempt = fixture.at(position);
        let (system, outcome) = attempt.synthesise();
        let inputs = &attempt.inputs;
        let pp = fixture.params.digest();
        let weights = inputs.weights.as_ref();
        let pairs = [
            ("base case/D0/digest", context.model_start(pp)),
            ("fold/running/digest", context.instance(&inputs.running)),
            ("fold/folded/digest", context.instance(&inputs.folded)),
            ("fold/alpha/digest", inputs.fresh.x[1]),
            ("fold/challenge hash/digest", attempt.fold_hash()),
            (
                "cyclefold/running/digest",
                context.cyclefold(&inputs.cyclefold),
            ),
            (
                "cyclefold/folded/digest",
                context.cyclefold(&at.folded.cyclefold.0),
            ),
            (
                "advance/model digest/digest",
                context.model_step(inputs.state.digest, attempt.kind, weights),
            ),
        ];
        for (path, native) in pairs {
            assert_eq!(system.get(path), Some(native), "{path} at {position}");
        }
        if position != BASE {
            assert_eq!(system.get("state in/digest"), Some(inputs.fresh.x[0]));
        }
        if position == ENDING {
            let state = inputs.state;
            let batch = context.batch_step(state.batch, state.input, outcome.digests[0]);
            assert_eq!(system.get("advance/batch/digest"), Some(batch));
        }
    }
}

#[test]
fn line_28_hashes_agree_on_bn254() {
    hashes_agree_on::<Bn254>();
}

#[test]
fn line_28_hashes_agree_on_pasta() {
    hashes_agree_on::<Pasta>();
}

/// SECURITY 6: lengths and purposes are part of every hash.
#[test]
fn line_06_hashes_bind_lengths_and_purposes() {
    let constants = &Bn254::shared().context().hash;
    let tags = [
        ALPHA,
        BATCH,
        CYCLEFOLD,
        FOLD,
        FOLD_CYCLEFOLD,
        INSTANCE,
        MODEL,
        MODEL_START,
        STATE,
        STEP,
    ];
    let digests: BTreeSet<_> = tags
        .iter()
        .map(|tag| to_bytes(&hash(constants, *tag, &[F::ONE, F::from(2)])))
        .collect();
    assert_eq!(digests.len(), tags.len());
    // Both widths of Poseidon, and the border between them.
    for length in [0, 1, 8, 9, 10, 11, 23, 24, 40] {
        let elements = vec![F::ZERO; length];
        let longer = vec![F::ZERO; length + 1];
        assert_ne!(
            hash(constants, STATE, &elements),
            hash(constants, STATE, &longer)
        );
    }
    // [1], [2, 3] and [1, 2], [3]: a list that is hashed with another has a constant length, and
    // where it has not, the whole length differs.
    let context = Bn254::shared().context();
    let fixture = Bn254::fixture();
    let mut instance = fixture.run.running[0].0.clone();
    let digest = context.instance(&instance);
    instance.x.push(F::ZERO);
    assert_ne!(digest, context.instance(&instance));
    let weights = fixture.program[0].weights.as_ref().map(|w| &w.1);
    assert_ne!(
        context.model_step(F::ONE, 1, weights),
        context.model_step(F::ONE, 1, None)
    );
    assert_ne!(batch_start::<F>(), F::ZERO);
}

/// SECURITY 6 and 11: the model id tells order, kinds and weights apart.
#[test]
fn line_11_the_model_id_binds_every_step_in_order() {
    let params = Bn254::shared();
    let id = |steps: &[(usize, &[i64])]| to_bytes(&toy_model(params, &toy_program(params, steps)));
    let (a, b): (&[i64], &[i64]) = (&[5], &[6]);
    let programs: [&[(usize, &[i64])]; 9] = [
        &[(1, a), (1, b), (2, a)],
        &[(1, b), (1, a), (2, a)],
        &[(1, a), (1, a), (2, a)],
        &[(1, a), (2, a)],
        &[(2, a)],
        &[(1, a)],
        &[(1, a), (1, b), (0, &[]), (2, a)],
        &[(1, a), (0, &[]), (1, b), (2, a)],
        &[],
    ];
    let ids: BTreeSet<_> = programs.iter().map(|steps| id(steps)).collect();
    assert_eq!(ids.len(), programs.len());
    // A commitment exactly where the kind has weights.
    let commitment = toy_program(params, &[(1, a)])[0]
        .weights
        .as_ref()
        .unwrap()
        .1;
    assert!(params.model_id(&[(0, Some(commitment))]).is_err());
    assert!(params.model_id(&[(1, None)]).is_err());
    assert!(params.model_id(&[(4, None)]).is_err());
    let zero = <Bn254 as Cycle>::F::from(0);
    let identity = Commitment::new(commitment.point() * zero);
    let error = params.model_id(&[(1, Some(identity))]).unwrap_err();
    assert!(error.to_string().contains("identity"), "{error}");
}

fn resumes_on<C: Shared>() {
    let params = C::shared();
    let program = toy_program(params, &[(1, &[5, -7]), (3, &[])]);
    let model = toy_model(params, &program);
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let start = tensor(params, 3);
    let mut run = Recursion::begin(params, model, start, Start::Masked, &mut rng).unwrap();
    let mut x = 3;
    for step in &program {
        let bytes = encode(&run);
        let mut read: Recursion<C> = decode(&bytes).unwrap();
        assert_eq!(encode(&read), bytes);
        let y = step.output(x);
        crate::common::toy_step(params, &mut read, step, (x, y), start);
        (run, x) = (read, y);
    }
    let run: Recursion<C> = decode(&encode(&run)).unwrap();
    let statement = foldnet::fold::verifier::Statement {
        model,
        sides: Sides::PUBLIC,
        inferences: vec![(start, tensor(params, x))],
    };
    verify(params, &run, &statement).unwrap();
    let (whole, same) = {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let run = Recursion::begin(params, model, start, Start::Masked, &mut rng).unwrap();
        toy_continue(params, run, &program, &[3])
    };
    assert_eq!(statement, same);
    assert_eq!(encode(&run), encode(&whole));
}

/// A run that is written and read after every step goes on as if it had not been.
#[test]
fn a_run_that_is_read_back_continues_and_verifies() {
    resumes_on::<Bn254>();
    resumes_on::<Pasta>();
}

fn commitments_are_canonical_on<E: CurveEngine>() {
    let point = E::GE::r#gen() * E::Scalar::from(5);
    let commitment = Commitment::<E>::new(point);
    let [x, y] = commitment.coordinates();
    let read = |coordinates: [[u8; 32]; 2]| decode::<Commitment<E>>(&encode(&coordinates));
    assert_eq!(read([to_bytes(&x), to_bytes(&y)]), Some(commitment));
    let shifted = |value: &E::Base| {
        let modulus = BigUint::from_bytes_le(&to_bytes(&-E::Base::ONE)) + 1u32;
        let mut bytes = [0; 32];
        let sum = (BigUint::from_bytes_le(&to_bytes(value)) + modulus).to_bytes_le();
        bytes[..sum.len()].copy_from_slice(&sum);
        bytes
    };
    let refused = [
        ("x + q", [shifted(&x), to_bytes(&y)]),
        ("y + q", [to_bytes(&x), shifted(&y)]),
        (
            "off the curve",
            [to_bytes(&(x + E::Base::ONE)), to_bytes(&y)],
        ),
        ("swapped", [to_bytes(&y), to_bytes(&x)]),
        ("the identity", [[0; 32]; 2]),
        ("the identity as (0, 1)", [[0; 32], to_bytes(&E::Base::ONE)]),
        ("all ones", [[0xff; 32]; 2]),
    ];
    for (name, coordinates) in refused {
        assert_eq!(read(coordinates), None, "{name}");
    }
    let identity = Commitment::<E>::new(point * E::Scalar::ZERO);
    assert_eq!(decode::<Commitment<E>>(&encode(&identity)), None);
    assert_eq!(decode::<Commitment<E>>(&encode(&commitment)[..63]), None);
}

/// SECURITY 12: a commitment is read only from the canonical coordinates of a point that is not
/// the identity.
#[test]
fn line_12_commitments_off_the_curve_or_not_canonical_are_not_read() {
    commitments_are_canonical_on::<<Bn254 as Cycle>::Primary>();
    commitments_are_canonical_on::<<Bn254 as Cycle>::Secondary>();
    commitments_are_canonical_on::<<Pasta as Cycle>::Primary>();
    commitments_are_canonical_on::<<Pasta as Cycle>::Secondary>();
}

/// SECURITY 12: field elements are read only from canonical bytes.
#[test]
fn line_12_scalars_that_are_not_canonical_are_not_read() {
    fn check<T: CircuitField>() {
        let honest = encode(&(-T::ONE));
        assert!(decode::<T>(&honest).is_some());
        let mut changed = honest;
        // The modulus: one more than the largest element, which is even.
        let low = changed.len() - 32;
        changed[low] += 1;
        assert!(decode::<T>(&changed).is_none());
    }
    check::<<Bn254 as Cycle>::F>();
    check::<<Bn254 as Cycle>::Q>();
    check::<<Pasta as Cycle>::F>();
    check::<<Pasta as Cycle>::Q>();
}

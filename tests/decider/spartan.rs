//! Every field of a `spartan` proof and of its statement, altered one by one.

use crate::common::{toy_params_of, toy_program, toy_run};
use crate::fixture::*;
use ff::Field;
use foldnet::decider::spartan::{Argument, Proof, Proofs, Shapes, prove, verify};
use foldnet::fold::ending::Ending;
use foldnet::fold::prover::Start;
use foldnet::fold::r1cs::Instance;
use foldnet::fold::state::Accumulator;
use foldnet::fold::verifier::Statement;
use foldnet::visibility::Visibility;
use foldnet_compress::{batch, ipa, mercury, spartan};
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta};
use std::collections::BTreeSet;

type F = <Bn254 as Cycle>::F;
type Q = <Bn254 as Cycle>::Q;

fn accepted_on<C: HasFixture>() {
    let Fixture {
        params,
        shapes,
        statement,
        proof,
        ..
    } = C::fixture();
    verify(params, shapes, statement, proof).unwrap();
    // A single step of one kind, from public start instances.
    let program = toy_program(params, &[(1, &[])]);
    for start in [Start::Public, Start::Masked] {
        let (run, statement) = toy_run(params, &program, &[8], start);
        let proof = prove(params, shapes, run, &statement, &mut rng(2)).unwrap();
        verify(params, shapes, &statement, &proof).unwrap();
    }
    let program = toy_program(params, &PROGRAM);
    let (run, statement) = toy_run(params, &program, &INPUTS, Start::Public);
    let proof = prove(params, shapes, run, &statement, &mut rng(3)).unwrap();
    verify(params, shapes, &statement, &proof).unwrap();
}

/// Control.
#[test]
fn honest_proofs_are_accepted_on_bn254() {
    accepted_on::<Bn254>();
}

/// Control.
#[test]
fn honest_proofs_are_accepted_on_pasta() {
    accepted_on::<Pasta>();
}

/// A run that has not begun has no proof.
#[test]
fn line_08_a_run_without_steps_cannot_be_ended() {
    let Fixture {
        params,
        shapes,
        run,
        statement,
        ..
    } = Bn254::fixture();
    let mut run = run.clone();
    run.last = None;
    let error = prove(params, shapes, run, statement, &mut rng(4)).unwrap_err();
    assert!(error.to_string().starts_with("the last step"), "{error}");
}

type Altered = Proof<Bn254>;

/// A field, how it is altered, and how the error begins.
struct Row {
    field: &'static str,
    alter: fn(&mut Altered),
    error: &'static str,
}

const fn row(field: &'static str, alter: fn(&mut Altered), error: &'static str) -> Row {
    Row {
        field,
        alter,
        error,
    }
}

/// The names of all fields. A field that is added to one of the types does not compile here until
/// it is named, and then [`every_field_has_a_row`] asks for a row.
fn fields(proof: &Altered) -> BTreeSet<&'static str> {
    let Proof {
        argument: Argument { ending, proofs },
        blind: _,
        opening,
    } = proof;
    let Ending {
        index: _,
        next: _,
        kind: _,
        running,
        fresh: [_, _],
        cross: _,
        cyclefold,
        cyclefold_fresh: _,
        cyclefold_cross: _,
        accumulator,
    } = ending;
    let Instance {
        segments: _,
        error: _,
        u: _,
        x: _,
    } = &running[0];
    let Instance {
        segments: _,
        error: _,
        u: _,
        x: _,
    } = cyclefold;
    let Accumulator {
        commitment: _,
        pending: _,
        challenge: _,
        point: _,
        value: _,
    } = accumulator;
    let Proofs {
        kinds,
        cyclefold,
        pair,
        batch,
    } = proofs;
    let spartan::Proof {
        outer: _,
        products: [_, _, _],
        error: _,
        inner: _,
        segments: _,
    } = &kinds[0];
    let spartan::Proof {
        outer: _,
        products: [_, _, _],
        error: _,
        inner: _,
        segments: _,
    } = cyclefold;
    let ipa::pair::Proof {
        cross: [_, _],
        opening:
            ipa::Proof {
                rounds: _,
                scalar: _,
                blind: _,
            },
    } = pair;
    let batch::Proof {
        rounds: _,
        evaluations: _,
    } = batch;
    let mercury::Opening {
        h: _,
        q: _,
        g: _,
        s: _,
        d: _,
        evaluations: [_, _, _, _, _, _],
        quotient: _,
        w: _,
        w_prime: _,
    } = opening;
    let mut names = BTreeSet::from(["blind", "kinds", "running"]);
    names.extend(["index", "next", "kind", "fresh", "cross"]);
    names.extend([
        "running.segments",
        "running.error",
        "running.u",
        "running.x",
    ]);
    names.extend(["cyclefold.segments", "cyclefold.error"]);
    names.extend(["cyclefold.u", "cyclefold.x"]);
    names.extend(["cyclefold_fresh", "cyclefold_cross"]);
    names.extend(["accumulator.commitment", "accumulator.pending"]);
    names.extend(["accumulator.challenge", "accumulator.point"]);
    names.extend(["accumulator.value"]);
    names.extend(["kinds.outer", "kinds.products", "kinds.error"]);
    names.extend(["kinds.inner", "kinds.segments"]);
    names.extend(["cyclefold proof.outer", "cyclefold proof.products"]);
    names.extend(["cyclefold proof.error", "cyclefold proof.inner"]);
    names.extend(["cyclefold proof.segments"]);
    names.extend(["pair.cross", "pair.rounds", "pair.scalar", "pair.blind"]);
    names.extend(["batch.rounds", "batch.evaluations"]);
    names.extend(["opening.h", "opening.q", "opening.g", "opening.s"]);
    names.extend(["opening.d", "opening.evaluations", "opening.quotient"]);
    names.extend(["opening.w", "opening.w_prime"]);
    names
}

/// Some other point of the primary curve.
fn other(point: &mut Commitment<<Bn254 as Cycle>::Primary>) {
    *point = point.fold(F::from(2), &point.clone());
}

fn other_secondary(point: &mut Commitment<<Bn254 as Cycle>::Secondary>) {
    *point = point.fold(Q::from(2), &point.clone());
}

fn ending(proof: &mut Altered) -> &mut Ending<Bn254> {
    &mut proof.argument.ending
}

fn proofs(proof: &mut Altered) -> &mut Proofs<Bn254> {
    &mut proof.argument.proofs
}

const OUTER: &str = "the proof is rejected: outer sum-check does not hold";
const INNER: &str = "the proof is rejected: inner sum-check does not hold";
const BATCH: &str = "the proof is rejected: batch sum-check does not hold";
const ARGUMENT: &str = "the proof is rejected: the inner product argument does not hold";
const PAIRING: &str = "the proof is rejected: the pairing equation of the opening does not hold";
const INDEX: &str = "the number of steps does not have the value";
const SEGMENTS: &str = "segments of an instance: expected length 2, got ";
const PUBLIC: &str = "public values of an instance: expected length 2, got ";
const CYCLEFOLD_SEGMENTS: &str = "segments of the CycleFold instance: expected length 1, got ";
const CYCLEFOLD_PUBLIC: &str = "public values of the CycleFold instance: expected length 26, got ";
const POINT: &str = "the accumulated point: expected length 3, got ";
const RUNNING: &str = "running instances: expected length 2, got ";
const KIND_PROOFS: &str = "the proof is rejected: proofs of kinds: expected 2, got ";
const OUTER_ROUNDS: &str = "the proof is rejected: outer rounds: expected ";
const INNER_ROUNDS: &str = "the proof is rejected: inner rounds: expected ";
const EVALUATIONS: &str = "the proof is rejected: segment evaluations: expected ";
const PAIR_ROUNDS: &str = "the proof is rejected: rounds of an opening: expected ";
const BATCH_ROUNDS: &str = "the proof is rejected: batch rounds: expected ";
const BATCH_EVALUATIONS: &str = "the proof is rejected: batch evaluations: expected 7, got ";

/// The last fold: everything is hashed, so that the first challenge already differs.
const ENDING: &[Row] = &[
    row("index", |p| ending(p).index = 0, INDEX),
    row("index", |p| ending(p).index = 1 << 32, INDEX),
    row("index", |p| ending(p).index = u64::MAX, INDEX),
    row("index", |p| ending(p).index += 1, OUTER),
    row("index", |p| ending(p).index -= 1, OUTER),
    row("next", |p| bump(&mut ending(p).next), OUTER),
    row("kind", |p| ending(p).kind = 0, OUTER),
    row(
        "kind",
        |p| ending(p).kind = 2,
        "step kind 2 of a program with 2 kinds",
    ),
    row(
        "kind",
        |p| ending(p).kind = usize::MAX,
        "step kind 18446744073709551615 of",
    ),
    row("running", |p| ending(p).running.clear(), RUNNING),
    row("running", |p| shorten(&mut ending(p).running), RUNNING),
    row(
        "running",
        |p| {
            let more = ending(p).running[0].clone();
            ending(p).running.push(more);
        },
        RUNNING,
    ),
    row("running", |p| ending(p).running.swap(0, 1), OUTER),
    row(
        "running.segments",
        |p| other(&mut ending(p).running[0].segments[0]),
        OUTER,
    ),
    row(
        "running.segments",
        |p| other(&mut ending(p).running[0].segments[1]),
        OUTER,
    ),
    row(
        "running.segments",
        |p| other(&mut ending(p).running[1].segments[0]),
        OUTER,
    ),
    row(
        "running.segments",
        |p| ending(p).running[1].segments.swap(0, 1),
        OUTER,
    ),
    row(
        "running.segments",
        |p| ending(p).running[0].segments.clear(),
        SEGMENTS,
    ),
    row(
        "running.segments",
        |p| shorten(&mut ending(p).running[1].segments),
        SEGMENTS,
    ),
    row(
        "running.error",
        |p| other(&mut ending(p).running[0].error),
        OUTER,
    ),
    row(
        "running.error",
        |p| other(&mut ending(p).running[1].error),
        OUTER,
    ),
    row("running.u", |p| bump(&mut ending(p).running[0].u), OUTER),
    row("running.u", |p| bump(&mut ending(p).running[1].u), OUTER),
    row("running.x", |p| bump(&mut ending(p).running[0].x[0]), OUTER),
    row("running.x", |p| bump(&mut ending(p).running[1].x[1]), OUTER),
    row(
        "running.x",
        |p| ending(p).running[0].x.push(F::ZERO),
        PUBLIC,
    ),
    row("running.x", |p| ending(p).running[1].x.clear(), PUBLIC),
    row("fresh", |p| other(&mut ending(p).fresh[0]), OUTER),
    row("fresh", |p| other(&mut ending(p).fresh[1]), OUTER),
    row("fresh", |p| ending(p).fresh.swap(0, 1), OUTER),
    row("cross", |p| other(&mut ending(p).cross), OUTER),
    row(
        "cross",
        |p| {
            let Ending { fresh, cross, .. } = ending(p);
            std::mem::swap(&mut fresh[1], cross);
        },
        OUTER,
    ),
    row(
        "cyclefold.segments",
        |p| other_secondary(&mut ending(p).cyclefold.segments[0]),
        OUTER,
    ),
    row(
        "cyclefold.segments",
        |p| ending(p).cyclefold.segments.clear(),
        CYCLEFOLD_SEGMENTS,
    ),
    row(
        "cyclefold.error",
        |p| other_secondary(&mut ending(p).cyclefold.error),
        OUTER,
    ),
    row("cyclefold.u", |p| bump(&mut ending(p).cyclefold.u), OUTER),
    row(
        "cyclefold.x",
        |p| bump(&mut ending(p).cyclefold.x[0]),
        OUTER,
    ),
    row(
        "cyclefold.x",
        |p| bump(&mut ending(p).cyclefold.x[25]),
        OUTER,
    ),
    row(
        "cyclefold.x",
        |p| shorten(&mut ending(p).cyclefold.x),
        CYCLEFOLD_PUBLIC,
    ),
    row(
        "cyclefold_fresh",
        |p| other_secondary(&mut ending(p).cyclefold_fresh),
        OUTER,
    ),
    row(
        "cyclefold_cross",
        |p| other_secondary(&mut ending(p).cyclefold_cross),
        OUTER,
    ),
    row(
        "cyclefold_cross",
        |p| {
            let Ending {
                cyclefold_fresh,
                cyclefold_cross,
                ..
            } = ending(p);
            std::mem::swap(cyclefold_fresh, cyclefold_cross);
        },
        OUTER,
    ),
    row(
        "accumulator.commitment",
        |p| other(&mut ending(p).accumulator.commitment),
        OUTER,
    ),
    row(
        "accumulator.pending",
        |p| other(&mut ending(p).accumulator.pending),
        OUTER,
    ),
    row(
        "accumulator.pending",
        |p| {
            let accumulator = &mut ending(p).accumulator;
            std::mem::swap(&mut accumulator.commitment, &mut accumulator.pending);
        },
        OUTER,
    ),
    row(
        "accumulator.challenge",
        |p| ending(p).accumulator.challenge = Challenge::new(1, 2),
        OUTER,
    ),
    row(
        "accumulator.point",
        |p| bump(&mut ending(p).accumulator.point[0]),
        OUTER,
    ),
    row(
        "accumulator.point",
        |p| ending(p).accumulator.point.swap(0, 1),
        OUTER,
    ),
    row(
        "accumulator.point",
        |p| shorten(&mut ending(p).accumulator.point),
        POINT,
    ),
    row(
        "accumulator.point",
        |p| ending(p).accumulator.point.push(F::ZERO),
        POINT,
    ),
    row(
        "accumulator.point",
        |p| ending(p).accumulator.point.clear(),
        POINT,
    ),
    row(
        "accumulator.value",
        |p| bump(&mut ending(p).accumulator.value),
        OUTER,
    ),
];

/// The proofs and the last opening: what is altered is rejected by the check that reads it.
const PROOFS: &[Row] = &[
    row("kinds", |p| proofs(p).kinds.clear(), KIND_PROOFS),
    row("kinds", |p| shorten(&mut proofs(p).kinds), KIND_PROOFS),
    row(
        "kinds",
        |p| {
            let more = proofs(p).kinds[0].clone();
            proofs(p).kinds.push(more);
        },
        KIND_PROOFS,
    ),
    row(
        "kinds",
        |p| proofs(p).kinds.swap(0, 1),
        "the proof is rejected: ",
    ),
    row(
        "kinds.outer",
        |p| bump(&mut proofs(p).kinds[0].outer[0][0]),
        OUTER,
    ),
    row(
        "kinds.outer",
        |p| bump(&mut proofs(p).kinds[1].outer[3][1]),
        OUTER,
    ),
    row(
        "kinds.outer",
        |p| proofs(p).kinds[0].outer.swap(1, 2),
        OUTER,
    ),
    row(
        "kinds.outer",
        |p| shorten(&mut proofs(p).kinds[0].outer),
        OUTER_ROUNDS,
    ),
    row(
        "kinds.outer",
        |p| proofs(p).kinds[1].outer.clear(),
        OUTER_ROUNDS,
    ),
    row(
        "kinds.products",
        |p| bump(&mut proofs(p).kinds[0].products[0]),
        OUTER,
    ),
    row(
        "kinds.products",
        |p| bump(&mut proofs(p).kinds[0].products[2]),
        OUTER,
    ),
    // A z and B z exchanged pass the outer check, which multiplies them.
    row(
        "kinds.products",
        |p| proofs(p).kinds[0].products.swap(0, 1),
        INNER,
    ),
    row(
        "kinds.error",
        |p| bump(&mut proofs(p).kinds[0].error),
        OUTER,
    ),
    row(
        "kinds.error",
        |p| bump(&mut proofs(p).kinds[1].error),
        OUTER,
    ),
    row(
        "kinds.inner",
        |p| bump(&mut proofs(p).kinds[0].inner[0][0]),
        INNER,
    ),
    row(
        "kinds.inner",
        |p| bump(&mut proofs(p).kinds[1].inner[5][1]),
        INNER,
    ),
    row(
        "kinds.inner",
        |p| shorten(&mut proofs(p).kinds[0].inner),
        INNER_ROUNDS,
    ),
    row(
        "kinds.inner",
        |p| proofs(p).kinds[0].inner.push([F::ZERO; 2]),
        INNER_ROUNDS,
    ),
    row(
        "kinds.segments",
        |p| bump(&mut proofs(p).kinds[0].segments[0]),
        INNER,
    ),
    row(
        "kinds.segments",
        |p| bump(&mut proofs(p).kinds[1].segments[1]),
        INNER,
    ),
    row(
        "kinds.segments",
        |p| proofs(p).kinds[0].segments.swap(0, 1),
        INNER,
    ),
    row(
        "kinds.segments",
        |p| proofs(p).kinds[0].segments.clear(),
        EVALUATIONS,
    ),
    row(
        "kinds.segments",
        |p| proofs(p).kinds[0].segments.push(F::ZERO),
        EVALUATIONS,
    ),
    row(
        "cyclefold proof.outer",
        |p| bump(&mut proofs(p).cyclefold.outer[0][1]),
        OUTER,
    ),
    row(
        "cyclefold proof.outer",
        |p| shorten(&mut proofs(p).cyclefold.outer),
        OUTER_ROUNDS,
    ),
    row(
        "cyclefold proof.products",
        |p| bump(&mut proofs(p).cyclefold.products[1]),
        OUTER,
    ),
    row(
        "cyclefold proof.error",
        |p| bump(&mut proofs(p).cyclefold.error),
        OUTER,
    ),
    row(
        "cyclefold proof.inner",
        |p| bump(&mut proofs(p).cyclefold.inner[1][0]),
        INNER,
    ),
    row(
        "cyclefold proof.inner",
        |p| proofs(p).cyclefold.inner.clear(),
        INNER_ROUNDS,
    ),
    row(
        "cyclefold proof.segments",
        |p| bump(&mut proofs(p).cyclefold.segments[0]),
        INNER,
    ),
    row(
        "cyclefold proof.segments",
        |p| proofs(p).cyclefold.segments.clear(),
        EVALUATIONS,
    ),
    row(
        "pair.cross",
        |p| bump(&mut proofs(p).pair.cross[0]),
        ARGUMENT,
    ),
    row("pair.cross", |p| proofs(p).pair.cross.swap(0, 1), ARGUMENT),
    row(
        "pair.rounds",
        |p| other_secondary(&mut proofs(p).pair.opening.rounds[0][0]),
        ARGUMENT,
    ),
    row(
        "pair.rounds",
        |p| proofs(p).pair.opening.rounds.swap(0, 1),
        ARGUMENT,
    ),
    row(
        "pair.rounds",
        |p| proofs(p).pair.opening.rounds.clear(),
        PAIR_ROUNDS,
    ),
    row(
        "pair.rounds",
        |p| shorten(&mut proofs(p).pair.opening.rounds),
        PAIR_ROUNDS,
    ),
    row(
        "pair.scalar",
        |p| bump(&mut proofs(p).pair.opening.scalar),
        ARGUMENT,
    ),
    row(
        "pair.blind",
        |p| bump(&mut proofs(p).pair.opening.blind),
        ARGUMENT,
    ),
    row(
        "batch.rounds",
        |p| bump(&mut proofs(p).batch.rounds[0][0]),
        BATCH,
    ),
    row("batch.rounds", |p| proofs(p).batch.rounds.swap(0, 1), BATCH),
    row(
        "batch.rounds",
        |p| shorten(&mut proofs(p).batch.rounds),
        BATCH_ROUNDS,
    ),
    row(
        "batch.rounds",
        |p| proofs(p).batch.rounds.clear(),
        BATCH_ROUNDS,
    ),
    row(
        "batch.evaluations",
        |p| bump(&mut proofs(p).batch.evaluations[0]),
        BATCH,
    ),
    row(
        "batch.evaluations",
        |p| bump(&mut proofs(p).batch.evaluations[6]),
        BATCH,
    ),
    row(
        "batch.evaluations",
        |p| proofs(p).batch.evaluations.swap(2, 5),
        BATCH,
    ),
    row(
        "batch.evaluations",
        |p| proofs(p).batch.evaluations.clear(),
        BATCH_EVALUATIONS,
    ),
    row(
        "batch.evaluations",
        |p| proofs(p).batch.evaluations.push(F::ZERO),
        BATCH_EVALUATIONS,
    ),
    row("blind", |p| bump(&mut p.blind), PAIRING),
    row("blind", |p| p.blind = F::ZERO, PAIRING),
    row("opening.h", |p| p.opening.h = p.opening.q, PAIRING),
    row("opening.q", |p| p.opening.q = p.opening.h, PAIRING),
    row("opening.g", |p| p.opening.g = -p.opening.g, PAIRING),
    row("opening.s", |p| p.opening.s = -p.opening.s, PAIRING),
    row("opening.d", |p| p.opening.d = -p.opening.d, PAIRING),
    row(
        "opening.evaluations",
        |p| bump(&mut p.opening.evaluations[0]),
        PAIRING,
    ),
    row(
        "opening.evaluations",
        |p| bump(&mut p.opening.evaluations[5]),
        PAIRING,
    ),
    row(
        "opening.evaluations",
        |p| p.opening.evaluations.swap(2, 3),
        PAIRING,
    ),
    row(
        "opening.quotient",
        |p| p.opening.quotient = -p.opening.quotient,
        PAIRING,
    ),
    row("opening.w", |p| p.opening.w = -p.opening.w, PAIRING),
    row(
        "opening.w_prime",
        |p| p.opening.w_prime = p.opening.w,
        PAIRING,
    ),
];

#[test]
fn every_field_has_a_row() {
    let rows: BTreeSet<_> = ENDING.iter().chain(PROOFS).map(|row| row.field).collect();
    assert_eq!(rows, fields(&Bn254::fixture().proof));
}

/// Each row is rejected with its error, as a verdict and without a panic.
fn check_rows(rows: &[Row]) {
    let fixture = Bn254::fixture();
    let mut wrong = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let mut proof = fixture.proof.clone();
        (row.alter)(&mut proof);
        assert_ne!(proof, fixture.proof, "row {i}, {}", row.field);
        let message = fixture.verdict(&fixture.statement, &proof);
        if !message.starts_with(row.error) {
            wrong.push(format!("row {i}, {}: {message}", row.field));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// SECURITY 1, 4, 8, 19, 31.
#[test]
fn line_01_every_altered_field_of_the_last_fold_is_rejected() {
    check_rows(ENDING);
}

/// SECURITY 2, 19, 38.
#[test]
fn line_19_every_altered_field_of_the_proofs_is_rejected() {
    check_rows(PROOFS);
}

/// SECURITY 2 and 19 for the opening on Pallas.
#[test]
fn line_02_every_altered_field_of_the_inner_product_opening_is_rejected() {
    type Alter = fn(&mut Proof<Pasta>);
    let fixture = Pasta::fixture();
    let ipa::Proof {
        rounds: _,
        scalar: _,
        blind: _,
    } = &fixture.proof.opening;
    let rows: [(&str, Alter); 8] = [
        (ARGUMENT, |p| {
            let round = &mut p.opening.rounds[0];
            round.swap(0, 1);
        }),
        (ARGUMENT, |p| p.opening.rounds.swap(0, 1)),
        (PAIR_ROUNDS, |p| shorten(&mut p.opening.rounds)),
        (PAIR_ROUNDS, |p| p.opening.rounds.clear()),
        (ARGUMENT, |p| bump(&mut p.opening.scalar)),
        (
            "the proof is rejected: the blind of the combined commitment",
            |p| {
                bump(&mut p.opening.blind);
            },
        ),
        (
            "the proof is rejected: the blind of the combined commitment",
            |p| bump(&mut p.blind),
        ),
        (ARGUMENT, |p| {
            bump(&mut p.blind);
            bump(&mut p.opening.blind);
        }),
    ];
    for (i, (error, alter)) in rows.into_iter().enumerate() {
        let mut proof = fixture.proof.clone();
        alter(&mut proof);
        let message = fixture.verdict(&fixture.statement, &proof);
        assert!(message.starts_with(error), "row {i}: {message}");
    }
}

fn statements_on<C: HasFixture>() {
    let fixture = C::fixture();
    type Alter<F> = fn(&mut Statement<F>);
    let rows: [(&str, Alter<C::F>); 14] = [
        (OUTER, |s| bump(&mut s.model)),
        (OUTER, |s| s.sides.input = Visibility::Private),
        (OUTER, |s| s.sides.output = Visibility::Private),
        (OUTER, |s| bump(&mut s.inferences[0].0)),
        (OUTER, |s| bump(&mut s.inferences[0].1)),
        (OUTER, |s| bump(&mut s.inferences[1].0)),
        (OUTER, |s| bump(&mut s.inferences[1].1)),
        (OUTER, |s| s.inferences.swap(0, 1)),
        (OUTER, |s| {
            let [first, second] = s.inferences.as_mut_slice() else {
                unreachable!()
            };
            std::mem::swap(&mut first.1, &mut second.1);
        }),
        (OUTER, |s| {
            let (input, output) = &mut s.inferences[0];
            std::mem::swap(input, output);
        }),
        (OUTER, |s| shorten(&mut s.inferences)),
        (OUTER, |s| {
            s.inferences.remove(0);
        }),
        (OUTER, |s| s.inferences.push(s.inferences[1])),
        ("the number of inferences does not have", |s| {
            s.inferences.clear()
        }),
    ];
    for (i, (error, alter)) in rows.into_iter().enumerate() {
        let mut statement = fixture.statement.clone();
        alter(&mut statement);
        let message = fixture.verdict(&statement, &fixture.proof);
        assert!(message.starts_with(error), "row {i}: {message}");
    }
}

/// SECURITY 30 and 34: model, inputs, outputs, their association, order and number.
#[test]
fn line_30_another_statement_is_rejected() {
    statements_on::<Bn254>();
    statements_on::<Pasta>();
}

/// SECURITY 5: parameters that differ in their description alone have other proofs; shapes of
/// another architecture are refused by their lengths.
#[test]
fn line_05_a_proof_of_other_parameters_is_rejected() {
    let fixture = Bn254::fixture();
    let params = toy_params_of::<Bn254>(&KINDS, b"toy decider 2");
    let error = verify(&params, &fixture.shapes, &fixture.statement, &fixture.proof).unwrap_err();
    assert!(
        error.is_rejection() && error.to_string().starts_with(OUTER),
        "{error}"
    );

    let single = toy_params_of::<Bn254>(&KINDS[1..], b"toy decider");
    let shapes = Shapes::new(&single).unwrap();
    let error = verify(&single, &shapes, &fixture.statement, &fixture.proof).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("running instances: expected length 1"),
        "{error}"
    );
    let error = verify(&fixture.params, &shapes, &fixture.statement, &fixture.proof).unwrap_err();
    let expected = "the proof is rejected: proofs of kinds: expected 1";
    assert!(error.to_string().starts_with(expected), "{error}");

    // The same two kinds in the other order.
    let swapped = toy_params_of::<Bn254>(&[KINDS[1], KINDS[0]], b"toy decider");
    let shapes = Shapes::new(&swapped).unwrap();
    let error = verify(&swapped, &shapes, &fixture.statement, &fixture.proof).unwrap_err();
    assert!(error.is_rejection(), "{error}");
}

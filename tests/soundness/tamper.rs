//! Every field of a run, altered one by one, with the error that rejects it.

use crate::common::{Shared, toy_program, toy_run};
use crate::harness::*;
use ff::Field;
use foldnet::error::Error;
use foldnet::fold::error::FoldError;
use foldnet::fold::prover::{LastStep, Recursion, Start};
use foldnet::fold::r1cs::{Fresh, FreshWitness, Instance, Witness};
use foldnet::fold::state::{Accumulator, State};
use foldnet::fold::verifier::{Statement, verify};
use foldnet::visibility::{Sides, Visibility};
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::{Bn254, Cycle};
use std::collections::BTreeSet;
use std::sync::LazyLock;

type F = <Bn254 as Cycle>::F;
type Q = <Bn254 as Cycle>::Q;
type Run = Recursion<Bn254>;

/// A run with little to commit to, because all that is verified is verified for each row: one
/// instance was folded, the last step is of another kind.
static RUN: LazyLock<(Run, Statement<F>)> = LazyLock::new(|| {
    let params = Bn254::shared();
    let program = toy_program(params, &[(1, &[5, -7]), (3, &[])]);
    toy_run(params, &program, &[3], Start::Public)
});

/// A field, how it is altered, and how the error begins.
struct Row {
    field: &'static str,
    alter: fn(&mut Run),
    error: &'static str,
}

const fn row(field: &'static str, alter: fn(&mut Run), error: &'static str) -> Row {
    Row {
        field,
        alter,
        error,
    }
}

/// The names of all fields. A field that is added to one of the types does not compile here until
/// it is named, and then [`every_field_has_a_row`] asks for a row.
fn fields(run: &Run) -> BTreeSet<&'static str> {
    let Recursion {
        index: _,
        start: _,
        state,
        running,
        cyclefold: (instance, witness),
        last,
        accumulator,
        table: _,
        blind: _,
    } = run;
    let State {
        model: _,
        digest: _,
        input: _,
        tensors: _,
        batch: _,
        count: _,
    } = state;
    let Instance {
        segments: _,
        error: _,
        u: _,
        x: _,
    } = instance;
    let Witness {
        segments: _,
        blinds: _,
        error: _,
        error_blind: _,
    } = witness;
    let LastStep {
        kind: _,
        instance: Fresh { segments: _, x: _ },
        witness: FreshWitness {
            segments: _,
            blinds: _,
        },
    } = last.as_ref().unwrap();
    let Accumulator {
        commitment: _,
        pending: _,
        challenge: _,
        point: _,
        value: _,
    } = accumulator;
    assert!(!running.is_empty());
    let mut names = BTreeSet::from(["index", "start", "table", "blind"]);
    names.extend([
        "state.model",
        "state.digest",
        "state.input",
        "state.tensors",
    ]);
    names.extend(["state.batch", "state.count"]);
    names.extend(["running.instance.segments", "running.instance.error"]);
    names.extend(["running.instance.u", "running.instance.x"]);
    names.extend(["running.witness.segments", "running.witness.blinds"]);
    names.extend(["running.witness.error", "running.witness.error_blind"]);
    names.extend(["cyclefold.instance.segments", "cyclefold.instance.error"]);
    names.extend(["cyclefold.instance.u", "cyclefold.instance.x"]);
    names.extend(["cyclefold.witness.segments", "cyclefold.witness.blinds"]);
    names.extend(["cyclefold.witness.error", "cyclefold.witness.error_blind"]);
    names.extend([
        "last",
        "last.kind",
        "last.instance.segments",
        "last.instance.x",
    ]);
    names.extend([
        "last.witness.segments",
        "last.witness.blinds",
        "running",
        "state",
    ]);
    names.extend([
        "accumulator.commitment",
        "accumulator.pending",
        "accumulator.challenge",
    ]);
    names.extend(["accumulator.point", "accumulator.value"]);
    names
}

/// What is verified holds witnesses, so that a statement with private sides is refused by name.
#[test]
fn a_statement_with_private_sides_is_refused() {
    let (run, honest) = &*RUN;
    verify(Bn254::shared(), run, honest).unwrap();
    let (public, private) = (Visibility::Public, Visibility::Private);
    for (input, output, name) in [
        (private, public, "input"),
        (public, private, "output"),
        (private, private, "input and output"),
    ] {
        let statement = Statement {
            sides: Sides { input, output },
            ..honest.clone()
        };
        let error = verify(Bn254::shared(), run, &statement).unwrap_err();
        let FoldError::Shows { sides } = error else {
            panic!("{error}")
        };
        assert_eq!(sides, name);
        assert!(Error::from(error).is_rejection());
    }
}

fn last(run: &mut Run) -> &mut LastStep<Bn254> {
    run.last.as_mut().unwrap()
}

/// Some other point of the primary curve.
fn other(point: &mut Commitment<<Bn254 as Cycle>::Primary>) {
    *point = point.fold(F::from(2), &point.clone());
}

fn other_secondary(point: &mut Commitment<<Bn254 as Cycle>::Secondary>) {
    *point = point.fold(Q::from(2), &point.clone());
}

/// The kind whose instance is altered: it was folded into and is not that of the last step.
const K: usize = 1;

const HASH: &str = "the state hash does not have the value";
const END: &str = "the end of the last inference does not have";
const RUNNING: &str = "a running instance is not satisfied (";
const SECONDARY: &str = "the CycleFold instance is not satisfied (";
const LAST_STEP: &str = "the last instance is not satisfied (";
const CLAIM: &str = "the accumulated claim is not satisfied (commitment)";

const MANIFEST: &[Row] = &[
    row("index", |r| r.index = 0, "the number of steps"),
    row("index", |r| r.index = 1 << 32, "the number of steps"),
    row("index", |r| r.index += 1, HASH),
    row("start", |r| r.start += F::ONE, "the first input"),
    row("state.model", |r| r.state.model += F::ONE, "the model id"),
    row("state.digest", |r| r.state.digest += F::ONE, END),
    row("state.input", |r| r.state.input += F::ONE, END),
    row("state.tensors", |r| r.state.tensors += F::ONE, END),
    row(
        "state",
        |r| {
            r.state.input += F::ONE;
            r.state.tensors += F::ONE;
        },
        HASH,
    ),
    row(
        "state.batch",
        |r| r.state.batch += F::ONE,
        "the inputs and outputs",
    ),
    row(
        "state.count",
        |r| r.state.count += 1,
        "the number of inferences",
    ),
    row(
        "state.count",
        |r| r.state.count = 0,
        "the number of inferences",
    ),
    row("running", |r| r.running.clear(), HASH),
    row("running", |r| shorten(&mut r.running), HASH),
    row("running", |r| r.running.push(r.running[0].clone()), HASH),
    row("running", |r| r.running.swap(0, 1), HASH),
    row(
        "running.instance.segments",
        |r| other(&mut r.running[K].0.segments[0]),
        HASH,
    ),
    row(
        "running.instance.segments",
        |r| other(&mut r.running[K].0.segments[1]),
        HASH,
    ),
    row(
        "running.instance.segments",
        |r| r.running[K].0.segments.swap(0, 1),
        HASH,
    ),
    row(
        "running.instance.segments",
        |r| shorten(&mut r.running[K].0.segments),
        HASH,
    ),
    row(
        "running.instance.error",
        |r| other(&mut r.running[K].0.error),
        HASH,
    ),
    row("running.instance.u", |r| r.running[K].0.u += F::ONE, HASH),
    row(
        "running.instance.x",
        |r| r.running[K].0.x[0] += F::ONE,
        HASH,
    ),
    row(
        "running.instance.x",
        |r| r.running[K].0.x[1] += F::ONE,
        HASH,
    ),
    row(
        "running.instance.x",
        |r| r.running[K].0.x.push(F::ZERO),
        HASH,
    ),
    row(
        "running.witness.segments",
        |r| r.running[K].1.segments[0][9] += F::ONE,
        RUNNING,
    ),
    row(
        "running.witness.segments",
        |r| r.running[K].1.segments[1][9] += F::ONE,
        RUNNING,
    ),
    row(
        "running.witness.segments",
        |r| shorten(&mut r.running[K].1.segments),
        "witness segments: exp",
    ),
    row(
        "running.witness.segments",
        |r| r.running[K].1.segments.push(vec![]),
        "witness segments: exp",
    ),
    row(
        "running.witness.segments",
        |r| shorten(&mut r.running[K].1.segments[1]),
        "a witness segment: expected length",
    ),
    row(
        "running.witness.segments",
        |r| r.running[K].1.segments[0].push(F::ZERO),
        "a witness segment: expected length",
    ),
    row(
        "running.witness.segments",
        |r| {
            // The same variables in the same order, divided elsewhere.
            let moved = r.running[K].1.segments[0].pop().unwrap();
            r.running[K].1.segments[1].insert(0, moved);
        },
        "a witness segment: expected length",
    ),
    row(
        "running.witness.blinds",
        |r| r.running[K].1.blinds[0] += F::ONE,
        "a running instance is not satisfied (commitment to segment 1)",
    ),
    row(
        "running.witness.blinds",
        |r| r.running[K].1.blinds[1] += F::ONE,
        "a running instance is not satisfied (commitment to segment 2)",
    ),
    row(
        "running.witness.blinds",
        |r| shorten(&mut r.running[K].1.blinds),
        "segment blinds: exp",
    ),
    row(
        "running.witness.error",
        |r| r.running[K].1.error[17] += F::ONE,
        "a running instance is not satisfied (constraint 17)",
    ),
    row(
        "running.witness.error",
        |r| r.running[K].1.error.clear(),
        "error vector: expected",
    ),
    row(
        "running.witness.error",
        |r| shorten(&mut r.running[K].1.error),
        "error vector: expected",
    ),
    row(
        "running.witness.error",
        |r| r.running[K].1.error.push(F::ZERO),
        "error vector: expected",
    ),
    row(
        "running.witness.error_blind",
        |r| r.running[K].1.error_blind += F::ONE,
        "a running instance is not satisfied (commitment to the error)",
    ),
    row(
        "cyclefold.instance.segments",
        |r| other_secondary(&mut r.cyclefold.0.segments[0]),
        HASH,
    ),
    row(
        "cyclefold.instance.segments",
        |r| r.cyclefold.0.segments.clear(),
        HASH,
    ),
    row(
        "cyclefold.instance.error",
        |r| other_secondary(&mut r.cyclefold.0.error),
        HASH,
    ),
    row("cyclefold.instance.u", |r| r.cyclefold.0.u += Q::ONE, HASH),
    row(
        "cyclefold.instance.x",
        |r| r.cyclefold.0.x[0] += Q::ONE,
        HASH,
    ),
    row(
        "cyclefold.instance.x",
        |r| r.cyclefold.0.x[25] += Q::ONE,
        HASH,
    ),
    row(
        "cyclefold.instance.x",
        |r| shorten(&mut r.cyclefold.0.x),
        HASH,
    ),
    row(
        "cyclefold.witness.segments",
        |r| r.cyclefold.1.segments[0][3] += Q::ONE,
        SECONDARY,
    ),
    row(
        "cyclefold.witness.segments",
        |r| shorten(&mut r.cyclefold.1.segments[0]),
        "a witness segment: expected length",
    ),
    row(
        "cyclefold.witness.segments",
        |r| r.cyclefold.1.segments.clear(),
        "witness segments: exp",
    ),
    row(
        "cyclefold.witness.blinds",
        |r| r.cyclefold.1.blinds[0] += Q::ONE,
        "the CycleFold instance is not satisfied (commitment to segment 1)",
    ),
    row(
        "cyclefold.witness.blinds",
        |r| r.cyclefold.1.blinds.clear(),
        "segment blinds: expected",
    ),
    row(
        "cyclefold.witness.error",
        |r| r.cyclefold.1.error[0] += Q::ONE,
        "the CycleFold instance is not satisfied (constraint 0)",
    ),
    row(
        "cyclefold.witness.error",
        |r| r.cyclefold.1.error.clear(),
        "error vector: expected",
    ),
    row(
        "cyclefold.witness.error",
        |r| shorten(&mut r.cyclefold.1.error),
        "error vector: expected",
    ),
    row(
        "cyclefold.witness.error_blind",
        |r| r.cyclefold.1.error_blind += Q::ONE,
        "the CycleFold instance is not satisfied (commitment to the error)",
    ),
    row("last", |r| r.last = None, "the last step does not have"),
    row("last.kind", |r| last(r).kind = 1, HASH),
    row(
        "last.kind",
        |r| last(r).kind = 4,
        "step kind 4 of a program with 4 kinds",
    ),
    row(
        "last.instance.segments",
        |r| other(&mut last(r).instance.segments[0]),
        "alpha does not",
    ),
    row(
        "last.instance.segments",
        |r| other(&mut last(r).instance.segments[1]),
        "the last instance is not satisfied (commitment to segment 2)",
    ),
    row(
        "last.instance.segments",
        |r| shorten(&mut last(r).instance.segments),
        "segments of the last instance: expected length 2",
    ),
    row("last.instance.x", |r| last(r).instance.x[0] += F::ONE, HASH),
    row(
        "last.instance.x",
        |r| last(r).instance.x[1] += F::ONE,
        "alpha does not have the value",
    ),
    row(
        "last.instance.x",
        |r| last(r).instance.x.push(F::ZERO),
        "public values of the last instance: expected length 2",
    ),
    row(
        "last.witness.segments",
        |r| last(r).witness.segments[0][40] += F::ONE,
        LAST_STEP,
    ),
    row(
        "last.witness.segments",
        |r| last(r).witness.segments[1][40] += F::ONE,
        LAST_STEP,
    ),
    row(
        "last.witness.segments",
        |r| last(r).witness.segments.clear(),
        "witness segments: exp",
    ),
    row(
        "last.witness.segments",
        |r| {
            let moved = last(r).witness.segments[0].pop().unwrap();
            last(r).witness.segments[1].insert(0, moved);
        },
        "a witness segment: expected length",
    ),
    row(
        "last.witness.blinds",
        |r| last(r).witness.blinds[0] += F::ONE,
        "the last instance is not satisfied (commitment to segment 1)",
    ),
    row(
        "last.witness.blinds",
        |r| last(r).witness.blinds[1] += F::ONE,
        "the last instance is not satisfied (commitment to segment 2)",
    ),
    row(
        "last.witness.blinds",
        |r| last(r).witness.blinds.clear(),
        "segment blinds: expected",
    ),
    row(
        "accumulator.commitment",
        |r| other(&mut r.accumulator.commitment),
        HASH,
    ),
    row(
        "accumulator.pending",
        |r| other(&mut r.accumulator.pending),
        HASH,
    ),
    row(
        "accumulator.challenge",
        |r| r.accumulator.challenge = Challenge::new(1, 2),
        HASH,
    ),
    row(
        "accumulator.point",
        |r| r.accumulator.point[0] += F::ONE,
        HASH,
    ),
    row(
        "accumulator.point",
        |r| shorten(&mut r.accumulator.point),
        HASH,
    ),
    row("accumulator.point", |r| r.accumulator.point.clear(), HASH),
    row("accumulator.value", |r| r.accumulator.value += F::ONE, HASH),
    row("table", |r| r.table[7] += F::ONE, CLAIM),
    row(
        "table",
        |r| r.table.push(F::ZERO),
        "the accumulated polynomial: expected length 8",
    ),
    row(
        "table",
        |r| r.table.clear(),
        "the accumulated polynomial: expected length 8",
    ),
    row("blind", |r| r.blind += F::ONE, CLAIM),
];

/// SECURITY 4, 8, 19: each row is rejected with its error; the run without alterations is not.
#[test]
fn line_19_every_altered_field_is_rejected_with_its_error() {
    let (honest, statement) = &*RUN;
    verify(Bn254::shared(), honest, statement).unwrap();
    for (
        i,
        Row {
            field,
            alter,
            error,
        },
    ) in MANIFEST.iter().enumerate()
    {
        let mut run = honest.clone();
        alter(&mut run);
        let message = verify(Bn254::shared(), &run, statement)
            .map_or_else(|e| e.to_string(), |()| "accepted".into());
        assert!(message.starts_with(error), "row {i}, {field}: {message}");
    }
}

#[test]
fn every_field_has_a_row() {
    let rows: BTreeSet<_> = MANIFEST.iter().map(|row| row.field).collect();
    assert_eq!(rows, fields(&RUN.0));
}

/// What the state hash binds is rejected also when the last instance says the hash of what is
/// altered: then the instance is false.
#[test]
fn an_altered_field_that_is_rehashed_is_rejected() {
    let (honest, statement) = &*RUN;
    let mut checked = 0;
    let hashed = |row: &&Row| row.error == HASH && row.field != "last.instance.x";
    for Row { field, alter, .. } in MANIFEST.iter().filter(hashed) {
        let mut run = honest.clone();
        alter(&mut run);
        rehash(Bn254::shared(), &mut run);
        let message = verify(Bn254::shared(), &run, statement)
            .map_or_else(|e| e.to_string(), |()| "accepted".into());
        let rejected = message.starts_with(LAST_STEP) || message.contains(": expected length");
        assert!(rejected, "{field}: {message}");
        checked += 1;
    }
    assert!(checked >= 20, "{checked}");
}

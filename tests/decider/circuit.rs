//! Forged witnesses of the Groth16 circuit, and the constraint that fails.
//!
//! The circuit is synthesised once with its names; each forgery is synthesised for its values
//! alone, which are then put into the named system.

use crate::fixture::*;
use ff::Field;
use foldnet::decider::circuit::DeciderInputs;
use foldnet::decider::spartan::{argue, check};
use foldnet::fold::augmented::Inputs;
use foldnet::fold::cyclefold::{Operation, Operations};
use foldnet::fold::r1cs::{Fresh, Instance};
use foldnet::fold::state::{Accumulator, State};
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::{Bn254, Cycle};
use foldnet_gadgets::field::power_of_two;
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::system::WitnessSystem;
use halo2curves::bn256::Fr;
use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, MutexGuard};

type Q = <Bn254 as Cycle>::Q;
type Forged = DeciderInputs<Bn254>;

/// Public inputs, in order.
const PUBLIC: [&str; 3] = [
    "public data/public p",
    "public data/public gamma",
    "public data/public f",
];

struct Named {
    inputs: Forged,
    system: Mutex<MockSystem<Fr>>,
    values: Vec<Fr>,
    public: Vec<Fr>,
}

static NAMED: LazyLock<Named> = LazyLock::new(|| {
    let networks = Networks::shared();
    let decider = networks.decider();
    let inferred = networks.infer(0, 21);
    let argued = argue(
        decider.params,
        decider.shapes,
        inferred.run.clone(),
        &inferred.digests,
        &mut rng(22),
    )
    .unwrap();
    let claimed = inferred.claimed(Fr::from(7));
    let left = check(
        decider.params,
        decider.shapes,
        &inferred.digests,
        &argued.argument,
    )
    .unwrap();
    assert_eq!(left.value, argued.left.value);
    let inputs = decider
        .inputs(argued.argument, &claimed, argued.blind, Fr::from(23))
        .unwrap();
    let mut system = MockSystem::default();
    decider.circuit(&inputs).constrain(&mut system).unwrap();
    assert_eq!(system.failures(), []);
    Named {
        values: system.auxiliary_values(),
        public: system.input_values(),
        system: Mutex::new(system),
        inputs,
    }
});

impl Named {
    fn lock(&self) -> MutexGuard<'_, MockSystem<Fr>> {
        self.system.lock().unwrap()
    }

    /// The paths of the constraints that fail with other values of all variables.
    fn failures_of(&self, values: &[Fr], public: &[Fr]) -> Vec<String> {
        let mut system = self.lock();
        assert_eq!(
            [values.len(), public.len()],
            [self.values.len(), self.public.len()]
        );
        for (i, value) in values.iter().enumerate() {
            assert!(system.set_auxiliary(i, *value));
        }
        for (path, value) in PUBLIC.iter().zip(public) {
            assert!(system.set(path, *value));
        }
        system.failures().into_iter().map(|f| f.path).collect()
    }

    /// The paths of the constraints that fail when single variables are overwritten.
    fn failures_with(&self, changes: &[(&str, Fr)]) -> Vec<String> {
        let mut values = self.values.clone();
        let mut public = self.public.clone();
        {
            let mut system = self.lock();
            for (i, value) in values.iter().enumerate() {
                assert!(system.set_auxiliary(i, *value));
            }
            for (path, value) in changes {
                assert!(system.get(path).is_some(), "no variable {path}");
                if let Some(i) = PUBLIC.iter().position(|name| name == path) {
                    public[i] = *value;
                    continue;
                }
                // The position of the variable is where the system changes.
                let old = system.get(path).unwrap();
                assert!(system.set(path, old + Fr::ONE));
                let changed = system.auxiliary_values();
                let at = changed.iter().zip(&values).position(|(a, b)| a != b);
                values[at.unwrap()] = *value;
                assert!(system.set(path, old));
            }
        }
        self.failures_of(&values, &public)
    }
}

/// Synthesises forged inputs for their values: the constraints that fail, or why there are none.
fn forge(alter: impl FnOnce(&mut Forged)) -> Vec<String> {
    let named = &*NAMED;
    let networks = Networks::shared();
    let decider = networks.decider();
    let mut inputs = named.inputs.clone();
    alter(&mut inputs);
    let mut system = WitnessSystem::default();
    match decider.circuit(&inputs).constrain(&mut system) {
        Err(error) => vec![format!("not synthesised: {error}")],
        Ok(_) => {
            let public = system.inputs().to_vec();
            named.failures_of(&system.into_auxiliary(), &public)
        }
    }
}

/// A field, how it is altered, and how the path of the first constraint that fails begins.
struct Row {
    field: &'static str,
    alter: fn(&mut Forged),
    first: &'static str,
}

const fn row(field: &'static str, alter: fn(&mut Forged), first: &'static str) -> Row {
    Row {
        field,
        alter,
        first,
    }
}

/// The names of all fields; see `every_field_has_a_row`.
fn fields(inputs: &Forged) -> BTreeSet<&'static str> {
    let DeciderInputs {
        recursion,
        running,
        statement: _,
        proofs: _,
        blind: _,
        context: _,
        gamma: _,
    } = inputs;
    let Inputs {
        pp: _,
        index: _,
        start: _,
        state,
        entries: _,
        kind: _,
        running: _,
        fresh,
        cross: _,
        folded: _,
        operations,
        cyclefold: _,
        cyclefold_fresh: _,
        cyclefold_cross: _,
        cyclefold_challenge: _,
        accumulator,
        // Not read where no step follows.
        weights: _,
        inferences: _,
        next_input: _,
    } = recursion;
    let State {
        model: _,
        digest: _,
        input: _,
        tensors: _,
        batch: _,
        count: _,
    } = state;
    let Fresh { segments: _, x: _ } = fresh;
    let Operations {
        fold: _,
        accumulate: _,
        operations,
    } = operations;
    let [
        ..,
        Operation {
            p: _,
            q: _,
            result: _,
        },
    ] = operations;
    let Accumulator {
        commitment: _,
        pending: _,
        challenge: _,
        point: _,
        value: _,
    } = accumulator;
    let Instance {
        segments: _,
        error: _,
        u: _,
        x: _,
    } = &running[0];
    let mut names = BTreeSet::from(["statement", "proofs", "blind", "context", "gamma"]);
    names.extend([
        "pp", "index", "start", "entries", "kind", "running", "cross", "folded",
    ]);
    names.extend([
        "state.model",
        "state.digest",
        "state.input",
        "state.tensors",
    ]);
    names.extend(["state.batch", "state.count", "fresh.segments", "fresh.x"]);
    names.extend([
        "operations.fold",
        "operations.accumulate",
        "operations.points",
    ]);
    names.extend([
        "cyclefold",
        "cyclefold_fresh",
        "cyclefold_cross",
        "cyclefold_challenge",
    ]);
    names.extend([
        "accumulator.commitment",
        "accumulator.pending",
        "accumulator.challenge",
    ]);
    names.extend(["accumulator.point", "accumulator.value"]);
    names.extend(["final.segments", "final.error", "final.u", "final.x"]);
    names
}

/// Some other point of the primary curve.
fn other(point: &mut Commitment<<Bn254 as Cycle>::Primary>) {
    *point = point.fold(Fr::from(2), &point.clone());
}

fn other_secondary(point: &mut Commitment<<Bn254 as Cycle>::Secondary>) {
    *point = point.fold(Q::from(2), &point.clone());
}

const RECURSION: &[Row] = &[
    row("pp", |i| bump(&mut i.recursion.pp), "state/pp"),
    row(
        "index",
        |i| i.recursion.index = 0,
        "state/at least one step",
    ),
    row(
        "index",
        |i| i.recursion.index = 1 << 32,
        "state/number of steps/bits recompose",
    ),
    row(
        "index",
        |i| i.recursion.index += 1,
        "state hash of the last instance",
    ),
    row("start", |i| bump(&mut i.recursion.start), "state/t_0"),
    row(
        "state.model",
        |i| bump(&mut i.recursion.state.model),
        "state hash of the last instance",
    ),
    row(
        "state.digest",
        |i| bump(&mut i.recursion.state.digest),
        "state/d = D0",
    ),
    row(
        "state.input",
        |i| bump(&mut i.recursion.state.input),
        "state/no open inference",
    ),
    row(
        "state.tensors",
        |i| bump(&mut i.recursion.state.tensors),
        "state/no open inference",
    ),
    row(
        "state.tensors",
        |i| {
            bump(&mut i.recursion.state.input);
            bump(&mut i.recursion.state.tensors);
        },
        "state hash of the last instance",
    ),
    row(
        "state.batch",
        |i| bump(&mut i.recursion.state.batch),
        "state/inputs and outputs",
    ),
    row(
        "state.count",
        |i| i.recursion.state.count += 1,
        "state/number of inferences",
    ),
    row(
        "entries",
        |i| bump(&mut i.recursion.entries[0]),
        "state hash of the last instance",
    ),
    row(
        "entries",
        |i| i.recursion.entries.swap(0, 1),
        "last step/entries/opened instance is its entry",
    ),
    row(
        "kind",
        |i| i.recursion.kind = 0,
        "last step/fold/alpha of the fresh instance",
    ),
    // No bit is set.
    row(
        "kind",
        |i| i.recursion.kind = 2,
        "last step/kind/exactly one bit",
    ),
    row(
        "running",
        |i| bump(&mut i.recursion.running.u),
        "last step/entries/opened instance is its entry",
    ),
    row(
        "fresh.segments",
        |i| other(&mut i.recursion.fresh.segments[0]),
        "last step/fold/alpha of the fresh instance",
    ),
    row(
        "fresh.segments",
        |i| other(&mut i.recursion.fresh.segments[1]),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "fresh.x",
        |i| bump(&mut i.recursion.fresh.x[0]),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "fresh.x",
        |i| bump(&mut i.recursion.fresh.x[1]),
        "last step/fold/alpha of the fresh instance",
    ),
    row(
        "cross",
        |i| other(&mut i.recursion.cross),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "folded",
        |i| other(&mut i.recursion.folded.segments[1]),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "operations.fold",
        |i| i.recursion.operations.fold = Challenge::new(5, 6),
        "last step/cyclefold/scalar 1/component a",
    ),
    row(
        "operations.accumulate",
        |i| i.recursion.operations.accumulate = Challenge::new(5, 6),
        "last step/cyclefold/scalar 2/component a",
    ),
    row(
        "operations.points",
        |i| other(&mut i.recursion.operations.operations[0].p),
        "last step/cyclefold/scalar 3/component a",
    ),
    row(
        "operations.points",
        |i| other(&mut i.recursion.operations.operations[3].result),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "cyclefold",
        |i| bump(&mut i.recursion.cyclefold.u),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "cyclefold",
        |i| other_secondary(&mut i.recursion.cyclefold.segments[0]),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "cyclefold_fresh",
        |i| other_secondary(&mut i.recursion.cyclefold_fresh),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "cyclefold_cross",
        |i| other_secondary(&mut i.recursion.cyclefold_cross),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "cyclefold_challenge",
        |i| i.recursion.cyclefold_challenge = Challenge::new(5, 6),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "accumulator.commitment",
        |i| other(&mut i.recursion.accumulator.commitment),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "accumulator.pending",
        |i| other(&mut i.recursion.accumulator.pending),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "accumulator.challenge",
        |i| i.recursion.accumulator.challenge = Challenge::new(5, 6),
        "last step/cyclefold/scalar 0/component a",
    ),
    row(
        "accumulator.point",
        |i| bump(&mut i.recursion.accumulator.point[0]),
        "state hash of the last instance",
    ),
    row(
        "accumulator.value",
        |i| bump(&mut i.recursion.accumulator.value),
        "state hash of the last instance",
    ),
];

const REST: &[Row] = &[
    row(
        "final.segments",
        |i| other(&mut i.running[0].segments[0]),
        "finals/final 0/final instance is its entry",
    ),
    row(
        "final.error",
        |i| other(&mut i.running[1].error),
        "finals/final 1/final instance is its entry",
    ),
    row(
        "final.u",
        |i| bump(&mut i.running[0].u),
        "finals/final 0/final instance is its entry",
    ),
    row(
        "final.x",
        |i| bump(&mut i.running[1].x[0]),
        "finals/final 1/final instance is its entry",
    ),
    row(
        "final.x",
        |i| bump(&mut i.running[0].x[1]),
        "finals/final 0/final instance is its entry",
    ),
    row(
        "final.x",
        |i| i.running.swap(0, 1),
        "finals/final 0/final instance is its entry",
    ),
    row("statement", |i| bump(&mut i.statement[0]), "state/t_0"),
    row("statement", |i| i.statement.swap(0, 1), "state/t_0"),
    // An activation beyond the length of the input, and of the output.
    row(
        "statement",
        |i| i.statement[0] += power_of_two::<Fr>(8 * WIDTH as u32),
        "state/inference 0/input/padding 0/bits recompose",
    ),
    row(
        "statement",
        |i| i.statement[1] += power_of_two::<Fr>(8 * WIDTH as u32),
        "state/inference 0/output/padding 0/bits recompose",
    ),
    row(
        "proofs",
        |i| bump(&mut i.proofs.kinds[0].outer[0][0]),
        "kind 0/outer sum-check",
    ),
    row(
        "proofs",
        |i| i.proofs.kinds[0].products.swap(0, 1),
        "kind 0/inner sum-check",
    ),
    row(
        "proofs",
        |i| bump(&mut i.proofs.kinds[0].error),
        "kind 0/outer sum-check",
    ),
    row(
        "proofs",
        |i| bump(&mut i.proofs.kinds[1].inner[2][1]),
        "kind 1/inner sum-check",
    ),
    row(
        "proofs",
        |i| bump(&mut i.proofs.kinds[0].segments[1]),
        "kind 0/inner sum-check",
    ),
    row(
        "proofs",
        |i| bump(&mut i.proofs.cyclefold.outer[1][0]),
        "cyclefold instance/outer sum-check",
    ),
    row(
        "proofs",
        |i| bump(&mut i.proofs.cyclefold.error),
        "cyclefold instance/outer sum-check",
    ),
    row(
        "proofs",
        |i| bump(&mut i.proofs.cyclefold.segments[0]),
        "cyclefold instance/inner sum-check",
    ),
    row(
        "proofs",
        |i| bump(&mut i.proofs.pair.cross[0]),
        "cyclefold instance/opening end/argument holds x",
    ),
    row(
        "proofs",
        |i| other_secondary(&mut i.proofs.pair.opening.rounds[0][1]),
        "cyclefold instance/opening end/argument holds x",
    ),
    row(
        "proofs",
        |i| bump(&mut i.proofs.pair.opening.scalar),
        "cyclefold instance/opening end/argument holds x",
    ),
    row(
        "proofs",
        |i| bump(&mut i.proofs.pair.opening.blind),
        "cyclefold instance/opening end/argument holds x",
    ),
    row(
        "proofs",
        |i| bump(&mut i.proofs.batch.rounds[0][0]),
        "batch/batch sum-check",
    ),
    row(
        "proofs",
        |i| bump(&mut i.proofs.batch.evaluations[3]),
        "batch/batch sum-check",
    ),
];

#[test]
fn every_input_has_a_row() {
    let mut rows: BTreeSet<_> = RECURSION.iter().chain(REST).map(|row| row.field).collect();
    // Shown: `line_20_the_public_inputs_are_bound`.
    rows.extend(["blind", "context", "gamma"]);
    assert_eq!(rows, fields(&NAMED.inputs));
}

fn check_rows(rows: &[Row]) {
    let mut wrong = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let failures = forge(row.alter);
        let first = failures.first().map_or("none", String::as_str);
        if !first.starts_with(row.first) {
            wrong.push(format!("row {i}, {}: {first}", row.field));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// SECURITY 1, 3, 4, 8, 10, 30, 31.
#[test]
fn line_01_every_altered_input_of_the_last_fold_fails_by_name() {
    check_rows(RECURSION);
}

/// SECURITY 2, 38.
#[test]
fn line_02_every_altered_input_of_the_argument_fails_by_name() {
    check_rows(REST);
}

/// SECURITY 31: two kinds at once, and a selector that is no bit.
#[test]
fn line_31_false_kind_selectors_fail_by_name() {
    let one = Fr::ONE;
    let cases: [(&[(&str, Fr)], &str); 3] = [
        (&[("kind bit 0", one)], "last step/kind/exactly one bit"),
        (
            &[("kind bit 1", Fr::ZERO)],
            "last step/kind/exactly one bit",
        ),
        (
            &[("kind bit 0", -one), ("kind bit 1", one.double())],
            "last step/kind/bit 0 boolean",
        ),
    ];
    for (changes, expected) in cases {
        let failures = NAMED.failures_with(changes);
        let first = failures.first().map(String::as_str);
        assert_eq!(first, Some(expected), "{changes:?}");
    }
}

/// The accumulated commitment in the public data has no components of its own: its limbs are tied to
/// those that the transcript and the CycleFold values bind.
#[test]
fn line_02_the_accumulated_commitment_that_is_shown_is_the_proven_one() {
    let named = &*NAMED;
    let shown = "final accumulated/short/x a 0";
    assert_eq!(named.lock().get(shown), None);
    for limb in ["x byte 0", "y byte 31"] {
        let path = format!("final accumulated/canonical/{limb}");
        let value = named.lock().get(&path).unwrap();
        let failures = named.failures_with(&[(&path, value + Fr::ONE)]);
        let tied = failures
            .iter()
            .any(|path| path.starts_with("public data/commitment 6/equal "));
        assert!(tied, "{failures:?}");
    }
}

/// SECURITY 20 and 39: each public input alone, and what is shown but not constrained otherwise.
#[test]
fn line_20_the_public_inputs_are_bound() {
    let public = &NAMED.public;
    let cases = [(PUBLIC[0], "public data/p"), (PUBLIC[2], "public data/f")];
    for (i, (path, expected)) in [0, 2].into_iter().zip(cases) {
        let failures = NAMED.failures_with(&[(path, public[i] + Fr::ONE)]);
        assert_eq!(failures, [expected]);
    }
    let failures = NAMED.failures_with(&[(PUBLIC[1], public[1] + Fr::ONE)]);
    assert!(
        failures
            .iter()
            .all(|path| path.starts_with("public data/fingerprint "))
    );
    assert!(!failures.is_empty());
    // Blind, context and gamma are free: they change p and f.
    type Alter = fn(&mut Forged);
    let free: [(Alter, [bool; 3]); 3] = [
        (|i| bump(&mut i.blind), [true, false, true]),
        (|i| bump(&mut i.context), [true, false, true]),
        (|i| bump(&mut i.gamma), [false, true, true]),
    ];
    for (alter, expected) in free {
        let mut inputs = NAMED.inputs.clone();
        alter(&mut inputs);
        let mut system = WitnessSystem::default();
        let networks = Networks::shared();
        networks
            .decider()
            .circuit(&inputs)
            .constrain(&mut system)
            .unwrap();
        let changed = system.inputs().iter().zip(public).map(|(a, b)| a != b);
        assert_eq!(changed.collect::<Vec<_>>(), expected);
        let honest = public.clone();
        let failures = NAMED.failures_of(&system.into_auxiliary(), &honest);
        assert!(
            failures.iter().all(|path| path.starts_with("public data/")),
            "{failures:?}"
        );
        assert!(!failures.is_empty());
    }
}

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
    row("pp", |i| bump(&mut i.recursion.pp), ""),
    row("index", |i| i.recursion.index = 0, ""),
    row("index", |i| i.recursion.index = 1 << 32, ""),
    row("index", |i| i.recursion.index += 1, ""),
    row("start", |i| bump(&mut i.recursion.start), ""),
    row("state.model", |i| bump(&mut i.recursion.state.model), ""),
    row("state.digest", |i| bump(&mut i.recursion.state.digest), ""),
    row("state.input", |i| bump(&mut i.recursion.state.input), ""),
    row(
        "state.tensors",
        |i| bump(&mut i.recursion.state.tensors),
        "",
    ),
    row(
        "state.tensors",
        |i| {
            bump(&mut i.recursion.state.input);
            bump(&mut i.recursion.state.tensors);
        },
        "",
    ),
    row("state.batch", |i| bump(&mut i.recursion.state.batch), ""),
    row("state.count", |i| i.recursion.state.count += 1, ""),
    row("entries", |i| bump(&mut i.recursion.entries[0]), ""),
    row("entries", |i| i.recursion.entries.swap(0, 1), ""),
    row("kind", |i| i.recursion.kind = 0, ""),
    // No bit is set.
    row("kind", |i| i.recursion.kind = 2, ""),
    row("running", |i| bump(&mut i.recursion.running.u), ""),
    row(
        "running",
        |i| other(&mut i.recursion.running.segments[0]),
        "",
    ),
    row(
        "fresh.segments",
        |i| other(&mut i.recursion.fresh.segments[0]),
        "",
    ),
    row(
        "fresh.segments",
        |i| other(&mut i.recursion.fresh.segments[1]),
        "",
    ),
    row("fresh.x", |i| bump(&mut i.recursion.fresh.x[0]), ""),
    row("fresh.x", |i| bump(&mut i.recursion.fresh.x[1]), ""),
    row("cross", |i| other(&mut i.recursion.cross), ""),
    row("folded", |i| other(&mut i.recursion.folded.segments[1]), ""),
    row("folded", |i| other(&mut i.recursion.folded.error), ""),
    row(
        "operations.fold",
        |i| i.recursion.operations.fold = Challenge::new(5, 6),
        "",
    ),
    row(
        "operations.accumulate",
        |i| i.recursion.operations.accumulate = Challenge::new(5, 6),
        "",
    ),
    row(
        "operations.points",
        |i| other(&mut i.recursion.operations.operations[0].p),
        "",
    ),
    row(
        "operations.points",
        |i| other(&mut i.recursion.operations.operations[3].result),
        "",
    ),
    row("cyclefold", |i| bump(&mut i.recursion.cyclefold.u), ""),
    row("cyclefold", |i| bump(&mut i.recursion.cyclefold.x[25]), ""),
    row(
        "cyclefold",
        |i| other_secondary(&mut i.recursion.cyclefold.segments[0]),
        "",
    ),
    row(
        "cyclefold",
        |i| other_secondary(&mut i.recursion.cyclefold.error),
        "",
    ),
    row(
        "cyclefold_fresh",
        |i| other_secondary(&mut i.recursion.cyclefold_fresh),
        "",
    ),
    row(
        "cyclefold_cross",
        |i| other_secondary(&mut i.recursion.cyclefold_cross),
        "",
    ),
    row(
        "cyclefold_challenge",
        |i| i.recursion.cyclefold_challenge = Challenge::new(5, 6),
        "",
    ),
    row(
        "accumulator.commitment",
        |i| other(&mut i.recursion.accumulator.commitment),
        "",
    ),
    row(
        "accumulator.pending",
        |i| other(&mut i.recursion.accumulator.pending),
        "",
    ),
    row(
        "accumulator.challenge",
        |i| i.recursion.accumulator.challenge = Challenge::new(5, 6),
        "",
    ),
    row(
        "accumulator.point",
        |i| bump(&mut i.recursion.accumulator.point[0]),
        "",
    ),
    row(
        "accumulator.value",
        |i| bump(&mut i.recursion.accumulator.value),
        "",
    ),
];

const REST: &[Row] = &[
    row(
        "final.segments",
        |i| other(&mut i.running[0].segments[0]),
        "",
    ),
    row(
        "final.segments",
        |i| other(&mut i.running[1].segments[1]),
        "",
    ),
    row("final.error", |i| other(&mut i.running[1].error), ""),
    row("final.u", |i| bump(&mut i.running[0].u), ""),
    row("final.x", |i| bump(&mut i.running[1].x[0]), ""),
    row("final.x", |i| bump(&mut i.running[0].x[1]), ""),
    row("final.x", |i| i.running.swap(0, 1), ""),
    row("statement", |i| bump(&mut i.statement[0]), ""),
    row("statement", |i| i.statement.swap(0, 1), ""),
    // An activation beyond the length of the input, and of the output.
    row(
        "statement",
        |i| i.statement[0] += power_of_two::<Fr>(8 * WIDTH as u32),
        "",
    ),
    row(
        "statement",
        |i| i.statement[1] += power_of_two::<Fr>(8 * WIDTH as u32),
        "",
    ),
    row("proofs", |i| bump(&mut i.proofs.kinds[0].outer[0][0]), ""),
    row("proofs", |i| bump(&mut i.proofs.kinds[1].products[2]), ""),
    row("proofs", |i| i.proofs.kinds[0].products.swap(0, 1), ""),
    row("proofs", |i| bump(&mut i.proofs.kinds[0].error), ""),
    row("proofs", |i| bump(&mut i.proofs.kinds[1].inner[2][1]), ""),
    row("proofs", |i| bump(&mut i.proofs.kinds[0].segments[1]), ""),
    row("proofs", |i| bump(&mut i.proofs.cyclefold.outer[1][0]), ""),
    row("proofs", |i| bump(&mut i.proofs.cyclefold.error), ""),
    row("proofs", |i| bump(&mut i.proofs.cyclefold.inner[0][0]), ""),
    row("proofs", |i| bump(&mut i.proofs.cyclefold.segments[0]), ""),
    row("proofs", |i| bump(&mut i.proofs.pair.cross[0]), ""),
    row(
        "proofs",
        |i| other_secondary(&mut i.proofs.pair.opening.rounds[0][1]),
        "",
    ),
    row("proofs", |i| bump(&mut i.proofs.pair.opening.scalar), ""),
    row("proofs", |i| bump(&mut i.proofs.pair.opening.blind), ""),
    row("proofs", |i| bump(&mut i.proofs.batch.rounds[0][0]), ""),
    row("proofs", |i| bump(&mut i.proofs.batch.evaluations[3]), ""),
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
        let clock = std::time::Instant::now();
        let failures = forge(row.alter);
        let first = failures.first().map_or("none", String::as_str);
        println!(
            "{i} {} {} {:?} {:?}",
            row.field,
            failures.len(),
            &failures[..failures.len().min(4)],
            clock.elapsed()
        );
        if !first.starts_with(row.first) || first == "none" {
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
        assert_eq!(failures.first().map(String::as_str), Some(expected));
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

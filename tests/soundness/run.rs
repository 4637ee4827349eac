//! Forged runs, and the verifier's error.

use crate::common::{Shared, tensor, toy_continue, toy_model, toy_params_of, toy_program, toy_run};
use crate::harness::*;
use ff::Field;
use foldnet::fold::error::FoldError;
use foldnet::fold::prover::{Recursion, Start};
use foldnet::fold::r1cs::Witness;
use foldnet::fold::verifier::{Statement, verify};
use foldnet::visibility::Sides;
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

type F = <Bn254 as Cycle>::F;
type PrimaryWitness = Witness<<Bn254 as Cycle>::Primary>;

/// The message of the error that a run is rejected with.
fn rejection(run: &Recursion<Bn254>, statement: &Statement<F>) -> String {
    verify(Bn254::shared(), run, statement)
        .unwrap_err()
        .to_string()
}

fn assert_rejected(run: &Recursion<Bn254>, statement: &Statement<F>, expected: &str) {
    let message = rejection(run, statement);
    assert!(message.starts_with(expected), "{message}");
}

fn honest() -> (Recursion<Bn254>, Statement<F>) {
    let fixture = Bn254::fixture();
    (fixture.run.clone(), fixture.statement.clone())
}

/// Control.
#[test]
fn honest_runs_are_accepted() {
    let (run, statement) = honest();
    verify(Bn254::shared(), &run, &statement).unwrap();
    let fixture = Pasta::fixture();
    verify(Pasta::shared(), &fixture.run, &fixture.statement).unwrap();
}

/// SECURITY 1: the running instance, the fresh instance, `cmT` and `r` of a fold are those that
/// were hashed: a commitment exchanged with everything in the circuit consistent leaves an instance
/// that nobody has a witness for.
#[test]
fn line_01_exchanged_commitments_leave_false_instances() {
    let fixture = Bn254::fixture();
    let params = fixture.params;
    let other = Commitment::new(params.key().commit(&[F::from(3)], F::from(5)).unwrap());
    type Forge = fn(&mut Attempt<'_, Bn254>, Commitment<<Bn254 as Cycle>::Primary>);
    let cases: [(&str, Forge); 3] = [
        (
            "a running instance is not satisfied (commitment to the error)",
            |a, other| {
                a.inputs.cross = other;
            },
        ),
        (
            "a running instance is not satisfied (commitment to segment 2)",
            |a, other| {
                a.inputs.fresh.segments[1] = other;
            },
        ),
        ("a running instance is not satisfied (constraint", |a, _| {
            a.inputs.accumulator.value += F::ONE;
            a.table[0] += F::ONE;
            a.inputs.accumulator.value = evaluation(a);
            // The received h is replaced by that of the forged state.
            a.inputs.fresh.x[0] = incoming_hash(a);
        }),
    ];
    for (expected, alter) in cases {
        let mut attempt = fixture.at(LAST);
        alter(&mut attempt, other);
        attempt.recompute();
        assert_eq!(attempt.failures(), [""; 0], "{expected}");
        let run = prove_forged(LAST, &attempt);
        let message = rejection(&run, &fixture.statement);
        assert!(message.starts_with(expected), "{message}");
    }
}

fn evaluation(attempt: &Attempt<'_, Bn254>) -> F {
    foldnet_gadgets::sumcheck::evaluate(&attempt.table, &attempt.inputs.accumulator.point)
}

/// The state hash that the circuit computes from its inputs.
fn incoming_hash(attempt: &Attempt<'_, Bn254>) -> F {
    let (system, _) = attempt.synthesise();
    system.get("state in/digest").unwrap()
}

/// The run that goes on with forged inputs and whatever witnesses the prover has.
fn prove_forged(position: usize, attempt: &Attempt<'_, Bn254>) -> Recursion<Bn254> {
    let fixture = Bn254::fixture();
    let inputs = &attempt.inputs;
    let mut run = fixture.positions[position].folded.clone();
    run.accumulator = inputs.accumulator.clone();
    run.table = attempt.table.clone();
    let honest = &fixture.positions[position];
    let lambda = fixture.params.context().lambda;
    let challenges = [fixture.at(position).fold_hash(), attempt.fold_hash()];
    let [before, now] = challenges.map(|hash| Challenge::from_hash(&hash).scalar(lambda));
    let (instance, witness) = &mut run.running[inputs.kind];
    *instance = inputs.folded.clone();
    let start = &honest.before.running[inputs.kind].1;
    *witness = refold(start, witness, now * before.invert().unwrap());
    let fresh = foldnet::fold::r1cs::Fresh {
        segments: vec![inputs.cyclefold_fresh],
        x: inputs.operations.public(),
    };
    let lambda = fixture.params.context().secondary.1;
    let r = inputs.cyclefold_challenge.scalar(lambda);
    run.cyclefold.0 = inputs.cyclefold.fold(r, &fresh, &inputs.cyclefold_cross);
    let step = &fixture.program[position % fixture.program.len()];
    let step = foldnet::fold::prover::Step {
        kind: step.kind,
        trace: &attempt.trace,
        weights: step.weights(),
        inputs: &[],
        next_input: fixture.positions[position].next_input,
    };
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    run.prove(fixture.params, &step, inputs, &mut rng).unwrap();
    run
}

/// `start + factor (folded - start)`: the fold with another challenge.
fn refold(start: &PrimaryWitness, folded: &PrimaryWitness, factor: F) -> PrimaryWitness {
    let scalar = |from: &F, to: &F| *from + factor * (*to - from);
    let vector = |from: &[F], to: &[F]| -> Vec<F> {
        from.iter()
            .zip(to)
            .map(|(from, to)| scalar(from, to))
            .collect()
    };
    let segments = start.segments.iter().zip(&folded.segments);
    PrimaryWitness {
        segments: segments.map(|(from, to)| vector(from, to)).collect(),
        blinds: vector(&start.blinds, &folded.blinds),
        error: vector(&start.error, &folded.error),
        error_blind: scalar(&start.error_blind, &folded.error_blind),
    }
}

/// SECURITY 3: a CycleFold instance that is not satisfied is folded, and found at the end.
#[test]
fn line_03_a_false_cyclefold_instance_is_found_at_the_end() {
    let fixture = Bn254::fixture();
    // A cross term that is not that of the two instances, hashed honestly.
    let mut attempt = fixture.at(LAST);
    attempt.inputs.cyclefold_cross = attempt.inputs.cyclefold_fresh;
    attempt.recompute();
    assert_eq!(attempt.failures(), [""; 0]);
    let run = prove_forged(LAST, &attempt);
    let expected = "the CycleFold instance is not satisfied (";
    assert_rejected(&run, &fixture.statement, expected);
    // A result that is not P + r Q, in both the primary and the CycleFold instance.
    let mut attempt = fixture.at(LAST);
    let stranger = attempt.inputs.operations.operations[1].p;
    attempt.inputs.folded.segments[0] = stranger;
    attempt.inputs.operations.operations[0].result = stranger;
    attempt.rebind();
    assert_eq!(attempt.failures(), [""; 0]);
    let run = prove_forged(LAST, &attempt);
    let message = rejection(&run, &fixture.statement);
    assert!(message.contains("is not satisfied ("), "{message}");
}

/// SECURITY 4: halves of two runs of one statement cannot be mixed.
#[test]
fn line_04_halves_of_two_runs_cannot_be_mixed() {
    let params = Bn254::shared();
    let program = toy_program(params, &[(1, &[5, -7, 9]), (3, &[])]);
    let model = toy_model(params, &program);
    let make = |seed: u64| {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let start = tensor(params, 3);
        let run = Recursion::begin(params, model, start, Start::Masked, &mut rng).unwrap();
        toy_continue(params, run, &program, &[3])
    };
    let ((first, statement), (second, same)) = (make(1), make(2));
    assert_eq!(statement, same);
    verify(params, &first, &statement).unwrap();
    verify(params, &second, &statement).unwrap();
    type Mix = fn(&mut Recursion<Bn254>, Recursion<Bn254>);
    let mixtures: [(&str, Mix); 5] = [
        ("running", |run, other| run.running = other.running),
        ("one running", |run, mut other| {
            run.running[1] = other.running.remove(1)
        }),
        ("cyclefold", |run, other| run.cyclefold = other.cyclefold),
        ("last", |run, other| run.last = other.last),
        ("accumulator", |run, other| {
            run.accumulator = other.accumulator;
            run.table = other.table;
            run.blind = other.blind;
        }),
    ];
    for (name, mix) in mixtures {
        let mut run = first.clone();
        mix(&mut run, second.clone());
        let message = rejection(&run, &statement);
        assert!(
            message.starts_with("the state hash does not"),
            "{name}: {message}"
        );
        // With the public values that the mixture has, the last instance is false.
        rehash(params, &mut run);
        let message = rejection(&run, &statement);
        let expected = "the last instance is not satisfied (constraint";
        assert!(message.starts_with(expected), "{name}: {message}");
    }
}

/// SECURITY 5: parameters with another digest reject the run.
#[test]
fn line_05_other_parameters_reject_the_run() {
    let program = [(3usize, &[] as &[i64])];
    let params = Bn254::shared();
    let (run, statement) = toy_run(params, &toy_program(params, &program), &[3], Start::Public);
    verify(params, &run, &statement).unwrap();
    let kinds = [(false, false), (true, false), (true, true), (false, true)];
    let other = toy_params_of::<Bn254>(&kinds, b"another description");
    assert_ne!(params.digest(), other.digest());
    let error = verify(&other, &run, &statement).unwrap_err().to_string();
    assert!(
        error.starts_with("the end of the last inference"),
        "{error}"
    );
    // The model id of the same program differs too, as every digest starts with pp.
    let model = other.model_id(&[(3, None)]).unwrap();
    assert_ne!(model, statement.model);
}

/// SECURITY 8 and 30: the verifier fixes `z_0` and bounds the number of steps.
#[test]
fn line_08_the_number_of_steps_is_bounded() {
    let (honest, statement) = honest();
    for index in [0, 1 << 32, u64::MAX] {
        let mut run = honest.clone();
        run.index = index;
        assert_rejected(&run, &statement, "the number of steps");
    }
    // No step at all, with a statement of no inference.
    let params = Bn254::shared();
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let start = tensor(params, 3);
    let mut run =
        Recursion::begin(params, statement.model, start, Start::Public, &mut rng).unwrap();
    let empty = Statement {
        model: statement.model,
        sides: Sides::PUBLIC,
        inferences: vec![],
    };
    assert_rejected(&run, &empty, "the number of steps");
    assert_rejected(&run, &statement, "the number of steps");
    run.index = 1;
    assert_rejected(&run, &empty, "the number of inferences");
}

/// SECURITY 11: the steps are the model's, each once and in order, with the model's weights.
#[test]
fn line_11_steps_skipped_repeated_reordered_or_exchanged() {
    let params = Bn254::shared();
    let (a, b, end): (&[i64], &[i64], &[i64]) = (&[5, -7, 9], &[-2, 1], &[100]);
    let model = toy_model(params, &toy_program(params, &[(1, a), (1, b), (2, end)]));
    type Steps<'a> = &'a [(usize, &'a [i64])];
    let cases: [(&str, Steps<'_>); 6] = [
        ("skipped", &[(1, a), (2, end)]),
        ("repeated", &[(1, a), (1, a), (1, b), (2, end)]),
        ("reordered", &[(1, b), (1, a), (2, end)]),
        ("other weights", &[(1, a), (1, &[-3, 1]), (2, end)]),
        ("another kind", &[(1, a), (0, &[]), (2, end)]),
        ("another end", &[(3, &[])]),
    ];
    for (name, steps) in cases {
        let program = toy_program(params, steps);
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let start = tensor(params, 3);
        let run = Recursion::begin(params, model, start, Start::Public, &mut rng).unwrap();
        let (run, statement) = toy_continue(params, run, &program, &[3]);
        let message = rejection(&run, &statement);
        let expected = "the last instance is not satisfied (constraint";
        assert!(message.starts_with(expected), "{name}: {message}");
        // It is a true run of another model, which the statement must name.
        let other = Statement {
            model: toy_model(params, &program),
            sides: Sides::PUBLIC,
            ..statement
        };
        assert_rejected(&run, &other, "the model id");
    }
}

/// SECURITY 11: a false step that is not the last is found in the running instance of its kind.
#[test]
fn line_11_a_false_step_in_the_middle_is_found_at_the_end() {
    let params = Bn254::shared();
    let program = toy_program(params, &[(1, &[5]), (3, &[])]);
    let model = toy_model(params, &program);
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let start = tensor(params, 3);
    let mut run = Recursion::begin(params, model, start, Start::Public, &mut rng).unwrap();
    let next = tensor(params, 3);
    // The weight is 5, the trace says 6.
    crate::common::toy_step(params, &mut run, &program[0], (3, 9), next);
    crate::common::toy_step(params, &mut run, &program[1], (9, 10), next);
    let statement = Statement {
        model,
        sides: Sides::PUBLIC,
        inferences: vec![(start, tensor(params, 10))],
    };
    assert_rejected(
        &run,
        &statement,
        "a running instance is not satisfied (constraint",
    );
}

/// SECURITY 30: the statement's model, first input, inputs and outputs are those of the run.
#[test]
fn line_30_another_statement_is_rejected() {
    let (run, honest) = honest();
    let one = F::ONE;
    type Forge = fn(&mut Statement<F>, F);
    let forgeries: [(&str, Forge); 9] = [
        ("the model id", |s, one| s.model += one),
        ("the first input", |s, one| s.inferences[0].0 += one),
        ("the inputs and outputs", |s, one| s.inferences[0].1 += one),
        ("the inputs and outputs", |s, one| s.inferences[1].0 += one),
        ("the inputs and outputs", |s, one| s.inferences[1].1 += one),
        ("the number of inferences", |s, _| {
            shorten(&mut s.inferences)
        }),
        ("the number of inferences", |s, _| s.inferences.clear()),
        ("the number of inferences", |s, _| {
            s.inferences.push(s.inferences[0])
        }),
        ("the first input", |s, _| s.inferences.reverse()),
    ];
    for (i, (expected, alter)) in forgeries.into_iter().enumerate() {
        let mut statement = honest.clone();
        alter(&mut statement, one);
        let message = rejection(&run, &statement);
        assert!(message.starts_with(expected), "{i}: {message}");
    }
}

/// SECURITY 34: in a batch each output belongs to its input, each inference counts once and none is
/// left open.
#[test]
fn line_34_batches_are_bound() {
    let (run, honest) = honest();
    let mut statement = honest.clone();
    let (first, second) = (statement.inferences[0], statement.inferences[1]);
    statement.inferences = vec![(first.0, second.1), (second.0, first.1)];
    assert_rejected(&run, &statement, "the inputs and outputs");
    // The first inference alone, after the second has begun.
    let fixture = Bn254::fixture();
    statement.inferences = vec![first];
    for position in [NEXT + 1, NEXT + 2, LAST] {
        let open = &fixture.positions[position].before;
        assert_rejected(open, &statement, "the end of the last inference");
    }
    // Where it ends, it is a complete run of one inference.
    verify(Bn254::shared(), &fixture.positions[NEXT].before, &statement).unwrap();
    // Within the first, nothing has been computed.
    let open = &fixture.positions[ENDING].before;
    assert_rejected(open, &statement, "the number of inferences");
}

/// SECURITY 34: the next inference starts with the input that it says.
#[test]
fn line_34_inputs_of_a_batch_cannot_be_exchanged() {
    let params = Bn254::shared();
    let program = toy_program(params, &[(3, &[])]);
    let model = toy_model(params, &program);
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let start = tensor(params, 3);
    let mut run = Recursion::begin(params, model, start, Start::Public, &mut rng).unwrap();
    // Announces 50 and computes on 60.
    crate::common::toy_step(params, &mut run, &program[0], (3, 4), tensor(params, 50));
    crate::common::toy_step(params, &mut run, &program[0], (60, 61), tensor(params, 3));
    let pair = |x: i64| (tensor(params, x), tensor(params, x + 1));
    for second in [(tensor(params, 50), tensor(params, 61)), pair(60), pair(50)] {
        let statement = Statement {
            model,
            sides: Sides::PUBLIC,
            inferences: vec![pair(3), second],
        };
        let expected = if second.0 == tensor(params, 50) && second.1 == tensor(params, 61) {
            "the last instance is not satisfied (constraint"
        } else {
            "the inputs and outputs"
        };
        assert_rejected(&run, &statement, expected);
    }
}

/// SECURITY 17 and 35: a lookup that is forged after `alpha` is known satisfies the circuit, and is
/// rejected because `cm1`, and with it `alpha`, no longer belong to the witness.
#[test]
fn line_35_values_changed_after_alpha_are_rejected() {
    let fixture = Bn254::fixture();
    let params = fixture.params;
    let mut attempt = fixture.at(LAST);
    attempt.alpha = fixture.positions[LAST].public[1];
    let (mut system, _) = attempt.synthesise();
    // A limb of 256 and more, its neighbour one less: same integer.
    add(&mut system, "running/cm1/x a 0", F::from(256));
    add(&mut system, "running/cm1/x a 1", -F::ONE);
    assert_eq!(repair_lookups(&mut system), 2);
    // A multiplicity that makes the sums agree at this one challenge.
    let failure = system.failures().remove(0);
    assert_eq!(failure.path, "lookups/sums agree");
    add(&mut system, "lookups/row 0 use", failure.a);
    let challenge = system.get("lookup challenge/squeeze 1/digest").unwrap();
    add(&mut system, "multiplicity 0", failure.a * challenge);
    assert_eq!(
        paths(&system),
        [""; 0],
        "alpha alone binds the first segment"
    );

    let (honest, statement) = honest();
    let mut first = system.auxiliary_values();
    let last = honest.last.as_ref().unwrap();
    let second = first.split_off(last.witness.segments[0].len());
    let mut forged = honest.clone();
    let slot = forged.last.as_mut().unwrap();
    let difference: Vec<F> = first
        .iter()
        .zip(&slot.witness.segments[0])
        .map(|(forged, honest)| *forged - honest)
        .collect();
    assert!(difference.iter().any(|value| *value != F::ZERO));
    slot.witness.segments = vec![first, second];
    let blinds = slot.witness.blinds.clone();
    let commit = |values: &[F], blind| Commitment::new(params.key().commit(values, blind).unwrap());
    slot.instance.segments[1] = commit(&slot.witness.segments[1], blinds[1]);
    // cm1 as it was when alpha was computed.
    let expected = "the last instance is not satisfied (commitment to segment 1)";
    assert_rejected(&forged, &statement, expected);
    // The difference smuggled into cm2, so that cm1 + cm2 is that of the forged witness.
    let mut smuggled = forged.clone();
    let slot = smuggled.last.as_mut().unwrap();
    let moved = commit(&difference, F::ZERO);
    slot.instance.segments[1] = slot.instance.segments[1].fold(F::ONE, &moved);
    assert_rejected(&smuggled, &statement, expected);
    // cm1 of the forged segment, with the old alpha and with its own.
    let slot = forged.last.as_mut().unwrap();
    slot.instance.segments[0] = commit(&slot.witness.segments[0], blinds[0]);
    assert_rejected(&forged, &statement, "alpha does not");
    rehash(params, &mut forged);
    let expected = "the last instance is not satisfied (constraint";
    assert_rejected(&forged, &statement, expected);
}

/// SECURITY 31: the last instance is checked as what its kind says.
#[test]
fn line_31_the_last_instance_is_of_its_kind() {
    let (honest, statement) = honest();
    let params = Bn254::shared();
    for kind in [0, 1, 3] {
        let mut run = honest.clone();
        run.last.as_mut().unwrap().kind = kind;
        assert_rejected(&run, &statement, "the state hash");
        rehash(params, &mut run);
        let message = rejection(&run, &statement);
        let rejected = message.starts_with("the last instance is not satisfied")
            || message.starts_with("a witness segment: expected length");
        assert!(rejected, "{kind}: {message}");
    }
    let mut run = honest;
    run.last.as_mut().unwrap().kind = 4;
    let error = verify(params, &run, &statement).unwrap_err();
    assert!(
        matches!(error, FoldError::Kind { got: 4, kinds: 4 }),
        "{error}"
    );
}

/// SECURITY 32: a first accumulator whose claim is false survives kinds without weights, and is
/// found at the end.
#[test]
fn line_32_a_false_first_accumulator_is_found_at_the_end() {
    let params = Bn254::shared();
    let program = toy_program(params, &[(3, &[])]);
    let model = toy_model(params, &program);
    type Forge = fn(&mut Recursion<Bn254>);
    let forgeries: [(&str, Forge); 3] = [
        ("the accumulated claim is not satisfied (value)", |run| {
            run.accumulator.value += F::ONE;
        }),
        ("the accumulated claim is not satisfied (value)", |run| {
            run.accumulator.point[0] += F::ONE;
        }),
        (
            "the accumulated claim is not satisfied (commitment)",
            |run| {
                run.table[1] += F::ONE;
            },
        ),
    ];
    for (expected, forge) in forgeries {
        let mut rng = ChaCha20Rng::seed_from_u64(8);
        let start = tensor(params, 3);
        let mut run = Recursion::begin(params, model, start, Start::Masked, &mut rng).unwrap();
        forge(&mut run);
        let (run, statement) = toy_continue(params, run, &program, &[3]);
        assert_rejected(&run, &statement, expected);
    }
}

/// SECURITY 32: a start instance that is not satisfied is found at the end, opened or not.
#[test]
fn line_32_a_false_start_instance_is_found_at_the_end() {
    let params = Bn254::shared();
    let program = toy_program(params, &[(1, &[5]), (3, &[])]);
    let model = toy_model(params, &program);
    for kind in [0, 1] {
        let mut rng = ChaCha20Rng::seed_from_u64(8);
        let start = tensor(params, 3);
        let mut run = Recursion::begin(params, model, start, Start::Masked, &mut rng).unwrap();
        run.running[kind].0.u += F::ONE;
        let (run, statement) = toy_continue(params, run, &program, &[3]);
        assert_rejected(
            &run,
            &statement,
            "a running instance is not satisfied (constraint",
        );
    }
}

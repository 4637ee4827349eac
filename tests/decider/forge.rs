//! A prover that cheats where published systems could be cheated.
//!
//! The attempts that matter pass every check but the one that is named: the control is that the
//! same forgery gets through all checks before it.

use crate::common::{tensor, toy_model, toy_program, toy_run, toy_step};
use crate::fixture::*;
use ff::Field;
use foldnet::decider::spartan::{
    Argued, Batched, Left, Proof, argue_ended, check, check_instances, open, verify,
};
use foldnet::fold::ending::{Ending, RemainingWitness};
use foldnet::fold::prover::{LastStep, Recursion, Start, Step};
use foldnet::fold::r1cs::{Fresh, FreshWitness, Instance, Witness};
use foldnet::fold::state::batch_start;
use foldnet::fold::verifier::Statement;
use foldnet::visibility::Sides;
use foldnet_compress::arithmetic::{NativePrimary, Oracle};
use foldnet_compress::batch;
use foldnet_compress::shape::Shape;
use foldnet_gadgets::commitment::{Commitment, CurveEngine};
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta};
use foldnet_gadgets::sumcheck::{eq_table, evaluate};
use foldnet_gadgets::system::WitnessSystem;

const OUTER: &str = "the proof is rejected: outer sum-check does not hold";
const BATCH: &str = "the proof is rejected: batch sum-check does not hold";
const ARGUMENT: &str = "the proof is rejected: the inner product argument does not hold";

type Ended<C> = (Ending<C>, RemainingWitness<C>);

/// The kind of the last step.
const LAST: usize = 1;

/// The verdict on the proof that an honest prover makes from a forged end.
fn attempt<C: HasFixture>(statement: &Statement<C::F>, ended: Ended<C>) -> String {
    let Fixture { params, shapes, .. } = C::fixture();
    match argue_ended(params, shapes, ended, statement) {
        Ok(argued) => finish(statement, argued),
        Err(error) => format!("not made: {error}"),
    }
}

/// The verdict on what a forged argument is opened to.
fn finish<C: HasFixture>(statement: &Statement<C::F>, argued: Argued<C>) -> String {
    let fixture = C::fixture();
    let (argument, blind) = (argued.argument.clone(), argued.blind);
    // Our prover refuses to open a false claim on BN254; a foreign opening takes its place.
    let proof = open(&fixture.params, argued).unwrap_or_else(|_| Proof {
        argument,
        blind,
        opening: fixture.proof.opening.clone(),
    });
    fixture.verdict(statement, &proof)
}

fn assert_rejected(expected: &str, verdict: &str) {
    assert!(
        verdict.starts_with(expected),
        "expected {expected}: {verdict}"
    );
}

/// A statement with a false output, and the end of a run that hashes it.
fn false_end<C: HasFixture>() -> (Statement<C::F>, Ended<C>) {
    let fixture = C::fixture();
    let context = fixture.params.context();
    let mut statement = fixture.statement.clone();
    bump(&mut statement.inferences[1].1);
    let mut run = fixture.run.clone();
    let inferences = statement.inferences.iter();
    run.state.batch = inferences.fold(batch_start(), |batch, (input, output)| {
        context.batch_step(batch, *input, *output)
    });
    rehash(&fixture.params, &mut run);
    let ended = run.end(&fixture.params, &mut rng(11)).unwrap();
    (statement, ended)
}

/// The error vector with which these segments satisfy an instance.
fn satisfying<E: CurveEngine>(
    shape: &Shape<E::Scalar>,
    instance: &Instance<E>,
    segments: &[Vec<E::Scalar>],
) -> Vec<E::Scalar> {
    let segments: Vec<&[E::Scalar]> = segments.iter().map(Vec::as_slice).collect();
    let z = shape
        .dimensions()
        .assemble(&segments, instance.u, &instance.x)
        .unwrap();
    let [a, b, c] = shape.multiply(&z).unwrap();
    let rows = a.iter().zip(&b).zip(&c);
    rows.map(|((a, b), c)| *a * b - instance.u * c).collect()
}

/// All tables of the batch, in its order.
fn tables<C: Cycle>(witness: &RemainingWitness<C>) -> Vec<&[C::F]> {
    let instances = witness.running.iter();
    instances
        .flat_map(|w| w.segments.iter().chain([&w.error]))
        .chain([&witness.table])
        .map(Vec::as_slice)
        .collect()
}

/// `sum_i rho^i blind_i`.
fn combined_blind<C: Cycle>(witness: &RemainingWitness<C>, rho: C::F) -> C::F {
    let instances = witness.running.iter();
    let blinds: Vec<C::F> = instances
        .flat_map(|w| w.blinds.iter().chain([&w.error_blind]))
        .chain([&witness.blind])
        .copied()
        .collect();
    let blinds = blinds.iter().rev();
    blinds.fold(C::F::ZERO, |sum, blind| sum * rho + blind)
}

/// Batches the claims of an argument about some tables, and opens these.
fn rebatched<C: HasFixture>(
    statement: &Statement<C::F>,
    mut argued: Argued<C>,
    witness: &RemainingWitness<C>,
) -> String {
    let Fixture { params, shapes, .. } = C::fixture();
    let Batched {
        claims,
        mut transcript,
        ..
    } = check_instances(params, shapes, statement, &argued.argument).unwrap();
    let mut oracle = NativePrimary::new(&mut transcript);
    let (proof, combined) = batch::prove(&tables(witness), &claims, &mut oracle).unwrap();
    argued.argument.proofs.batch = proof;
    argued.left = Left {
        commitments: argued.left.commitments,
        combination: combined.rho,
        point: combined.point,
        value: combined.value,
        transcript,
    };
    argued.table = batch::combine(&tables(witness), combined.rho);
    argued.blind = combined_blind(witness, combined.rho);
    finish(statement, argued)
}

fn chosen_witnesses_on<C: HasFixture>() {
    let Fixture { params, shapes, .. } = C::fixture();
    let (statement, (ending, witness)) = false_end::<C>();
    let remaining = ending.verify(params, &statement).unwrap();
    // What the commitments hold does not satisfy the instance.
    let verdict = attempt::<C>(&statement, (ending.clone(), witness.clone()));
    assert_rejected(OUTER, &verdict);

    // Error vectors, and whole witnesses, that satisfy it are not in the commitments.
    let (shape, instance) = (&shapes.kinds[LAST], &remaining.running[LAST]);
    let mut chosen_error = witness.clone();
    let forged = &mut chosen_error.running[LAST];
    forged.error = satisfying(shape, instance, &forged.segments);
    let mut chosen_witness = witness.clone();
    let forged = &mut chosen_witness.running[LAST];
    for entry in forged.segments.iter_mut().flatten() {
        *entry = C::F::from(3);
    }
    forged.error = satisfying(shape, instance, &forged.segments);
    for forged in [&chosen_error, &chosen_witness] {
        let verdict = attempt::<C>(&statement, (ending.clone(), forged.clone()));
        assert_rejected(C::OPENING, &verdict);
    }

    // With claims that only the chosen error has, the tables in the commitments are batched.
    let argue = || {
        argue_ended(
            params,
            shapes,
            (ending.clone(), chosen_error.clone()),
            &statement,
        )
    };
    let verdict = rebatched(&statement, argue().unwrap(), &witness);
    assert_rejected(BATCH, &verdict);

    // The table in the commitment is changed in one entry, after the evaluation point is known, so
    // that it has the claimed value there.
    let argued = argue().unwrap();
    let left = check_instances(params, shapes, &statement, &argued.argument).unwrap();
    let claim = &left.claims[3 * LAST + 2];
    let mut agreeing = witness.clone();
    let error = &mut agreeing.running[LAST].error;
    let mut padded = error.clone();
    padded.resize(1 << claim.point.len(), C::F::ZERO);
    let missing = claim.value - evaluate(&padded, &claim.point);
    assert_ne!(missing, C::F::ZERO);
    error[0] += missing * eq_table(&claim.point)[0].invert().unwrap();
    padded[0] = error[0];
    assert_eq!(evaluate(&padded, &claim.point), claim.value);
    let verdict = rebatched(&statement, argued, &agreeing);
    assert_rejected(C::OPENING, &verdict);
}

/// SECURITY 2: W and E that agree with every claim at the evaluation points, but are not what the
/// commitments hold.
#[test]
fn line_02_witnesses_chosen_after_the_evaluation_point_are_rejected() {
    chosen_witnesses_on::<Bn254>();
    chosen_witnesses_on::<Pasta>();
}

/// `before + factor (after - before)`.
fn refold<E: CurveEngine>(
    before: &Witness<E>,
    after: &Witness<E>,
    factor: E::Scalar,
) -> Witness<E> {
    let scalar = |from: &E::Scalar, to: &E::Scalar| *from + factor * (*to - from);
    let vector = |from: &[E::Scalar], to: &[E::Scalar]| {
        assert_eq!(from.len(), to.len());
        from.iter()
            .zip(to)
            .map(|(from, to)| scalar(from, to))
            .collect()
    };
    let segments = before.segments.iter().zip(&after.segments);
    Witness {
        segments: segments.map(|(from, to)| vector(from, to)).collect(),
        blinds: vector(&before.blinds, &after.blinds),
        error: vector(&before.error, &after.error),
        error_blind: scalar(&before.error_blind, &after.error_blind),
    }
}

fn late_cross_terms_on<C: HasFixture>() {
    let fixture = C::fixture();
    let Fixture { params, shapes, .. } = fixture;
    let (statement, (mut ending, mut witness)) = false_end::<C>();
    let folded = &ending.verify(params, &statement).unwrap().running[LAST];
    let before = ending.running[LAST].clone();
    let r = folded.u - before.u;
    // The cross term that makes the fold with this r satisfied.
    let forged = &mut witness.running[LAST];
    let needed = satisfying(&shapes.kinds[LAST], folded, &forged.segments);
    let inverse = r.invert().unwrap();
    let missing = needed.iter().zip(&forged.error);
    let missing: Vec<C::F> = missing.map(|(n, e)| (*n - e) * inverse).collect();
    let commit = |vector: &[C::F], blind| {
        Commitment::<C::Primary>::new(params.key().commit(vector, blind).unwrap())
    };
    ending.cross = ending.cross.fold(C::F::ONE, &commit(&missing, C::F::ZERO));
    forged.error = needed;
    // Control: were r not bound to the cross term, everything would hold.
    let error = before.error.fold(r, &ending.cross);
    assert_eq!(error, commit(&forged.error, forged.error_blind));
    let verdict = attempt::<C>(&statement, (ending.clone(), witness.clone()));
    assert_rejected(OUTER, &verdict);

    // The fold with the r that follows: not satisfied.
    let remaining = ending.verify(params, &statement).unwrap();
    let next = remaining.running[LAST].u - before.u;
    assert_ne!(r, next);
    let start = &fixture.run.running[LAST].1;
    let refolded = refold(start, &witness.running[LAST], next * inverse);
    witness.running[LAST] = refolded;
    let verdict = attempt::<C>(&statement, (ending.clone(), witness.clone()));
    assert_rejected(OUTER, &verdict);

    // Error vectors that satisfy both instances: the first opening is that of CycleFold.
    let forged = &mut witness.running[LAST];
    forged.error = satisfying(
        &shapes.kinds[LAST],
        &remaining.running[LAST],
        &forged.segments,
    );
    let verdict = attempt::<C>(&statement, (ending.clone(), witness.clone()));
    assert_rejected(OUTER, &verdict);
    let forged = &mut witness.cyclefold;
    forged.error = satisfying(&shapes.cyclefold, &remaining.cyclefold, &forged.segments);
    let verdict = attempt::<C>(&statement, (ending, witness));
    assert_rejected(ARGUMENT, &verdict);
}

/// SECURITY 1 and 7: `cmT` chosen after `r`.
#[test]
fn line_01_a_cross_term_chosen_after_the_challenge_is_rejected() {
    late_cross_terms_on::<Bn254>();
    late_cross_terms_on::<Pasta>();
}

/// SECURITY 1 and 4: parts of the ends of two honest runs.
#[test]
fn line_01_line_04_parts_of_two_runs_cannot_be_mixed() {
    let Fixture {
        params, program, ..
    } = Bn254::fixture();
    let end = |first| {
        let (run, statement) = toy_run(params, program, &[first, 50], Start::Masked);
        (statement, run.end(params, &mut rng(12)).unwrap())
    };
    let (statement, ended) = end(3);
    let (_, (ending, witness)) = end(4);
    assert_eq!(attempt::<Bn254>(&statement, ended.clone()), "accepted");
    type Mix = fn(&mut Ended<Bn254>, &Ended<Bn254>);
    let mixtures: [Mix; 6] = [
        |(ending, _), (other, _)| ending.fresh = other.fresh,
        |(ending, _), (other, _)| {
            ending.fresh = other.fresh;
            ending.cross = other.cross;
        },
        |(ending, witness), (other, others)| {
            ending.fresh = other.fresh;
            ending.cross = other.cross;
            ending.running[LAST] = other.running[LAST].clone();
            witness.running[LAST] = others.running[LAST].clone();
        },
        |(ending, witness), (other, others)| {
            ending.running[0] = other.running[0].clone();
            witness.running[0] = others.running[0].clone();
        },
        |(ending, witness), (other, others)| {
            ending.cyclefold = other.cyclefold.clone();
            ending.cyclefold_fresh = other.cyclefold_fresh;
            ending.cyclefold_cross = other.cyclefold_cross;
            witness.cyclefold = others.cyclefold.clone();
        },
        |(ending, witness), (other, others)| {
            ending.accumulator = other.accumulator.clone();
            witness.table = others.table.clone();
            witness.blind = others.blind;
        },
    ];
    for mix in mixtures {
        let mut mixed = ended.clone();
        mix(&mut mixed, &(ending.clone(), witness.clone()));
        assert_rejected(OUTER, &attempt::<Bn254>(&statement, mixed));
    }
}

/// SECURITY 2: an accumulated table that is not in its commitment but has the claimed value, and
/// the committed table with a false value.
#[test]
fn line_02_a_false_accumulated_claim_is_rejected() {
    let Fixture {
        params,
        run,
        statement,
        ..
    } = Bn254::fixture();
    let (ending, honest) = run.clone().end(params, &mut rng(13)).unwrap();
    let point = &ending.accumulator.point;
    let weights = eq_table(point);
    let mut witness = honest.clone();
    bump(&mut witness.table[0]);
    let verdict = attempt::<Bn254>(statement, (ending.clone(), witness.clone()));
    assert_rejected(BATCH, &verdict);
    witness.table[1] -= weights[0] * weights[1].invert().unwrap();
    assert_eq!(evaluate(&witness.table, point), ending.accumulator.value);
    let verdict = attempt::<Bn254>(statement, (ending.clone(), witness));
    assert_rejected(Bn254::OPENING, &verdict);
    // Another value, hashed.
    let mut run = run.clone();
    bump(&mut run.accumulator.value);
    rehash(params, &mut run);
    let ended = run.end(params, &mut rng(13)).unwrap();
    assert_rejected(OUTER, &attempt::<Bn254>(statement, ended));
}

fn moved_entries_on<C: HasFixture>() {
    let Fixture { params, .. } = C::fixture();
    let program = toy_program(params, &[(0, &[5, -7]), (1, &[])]);
    let model = toy_model(params, &program);
    let input = tensor(params, 3);
    let mut run = Recursion::begin(params, model, input, Start::Masked, &mut rng(14)).unwrap();
    toy_step(params, &mut run, &program[0], (3, 8), input);
    let trace = (8, 9);
    let step = Step {
        kind: LAST,
        trace: &trace,
        weights: None,
        inputs: &[],
        next_input: input,
    };
    let inputs = run.fold(params, &step, &mut rng(15)).unwrap();
    run.prove(params, &step, &inputs, &mut rng(15)).unwrap();
    let statement = Statement {
        model,
        sides: Sides::PUBLIC,
        inferences: vec![(input, tensor(params, 9))],
    };
    let LastStep {
        instance, witness, ..
    } = run.last.clone().unwrap();

    // An entry of W1 leaves cm1 and joins cm2: the sum of both is unchanged. `alpha` is that of
    // what is left, and the second segment is built for it.
    let first = witness.segments[0].clone();
    let at = first
        .iter()
        .rposition(|value| *value != C::F::ZERO)
        .unwrap();
    let mut entry = vec![C::F::ZERO; at + 1];
    entry[at] = first[at];
    let commit = |vector: &[C::F], blind| {
        Commitment::<C::Primary>::new(params.key().commit(vector, blind).unwrap())
    };
    let moved = commit(&entry, C::F::ZERO);
    let left = instance.segments[0].fold(-C::F::ONE, &moved);
    let alpha = params.context().alpha(params.digest(), LAST, &left);
    let circuit = params.circuit(LAST).unwrap();
    let mut system = WitnessSystem::with_capacity(0);
    let closed = circuit.commit(&mut system, &inputs, &trace).unwrap();
    assert_eq!(system.auxiliary(), first);
    let outcome = circuit
        .constrain(&mut system, &closed, alpha, None)
        .unwrap();
    assert_eq!(outcome.hash, instance.x[0]);
    let second = system.into_auxiliary().split_off(first.len());
    let joined = commit(&second, witness.blinds[1]).fold(C::F::ONE, &moved);
    run.last = Some(LastStep {
        kind: LAST,
        instance: Fresh {
            segments: vec![left, joined],
            x: vec![outcome.hash, alpha],
        },
        witness: FreshWitness {
            segments: vec![first, second],
            blinds: witness.blinds,
        },
    });
    let (ending, witness) = run.end(params, &mut rng(16)).unwrap();
    // The witness satisfies everything, and only the openings tell where its entries are.
    let verdict = attempt::<C>(&statement, (ending.clone(), witness.clone()));
    assert_rejected(C::OPENING, &verdict);
    // What the two commitments hold.
    let folded = ending.verify(params, &statement).unwrap();
    let r = folded.running[LAST].u - ending.running[LAST].u;
    let mut held = witness;
    held.running[LAST].segments[0][at] -= r * entry[at];
    held.running[LAST].segments[1][at] += r * entry[at];
    let verdict = attempt::<C>(&statement, (ending, held));
    assert_rejected(OUTER, &verdict);
}

/// SECURITY 35: entries of W1 that are committed in `cm2`, after `alpha` is known.
#[test]
fn line_35_entries_moved_between_segments_are_rejected() {
    moved_entries_on::<Bn254>();
    moved_entries_on::<Pasta>();
}

/// `eq(x, y)`.
fn equality<F: Field>(x: &[F], y: &[F]) -> F {
    assert_eq!(x.len(), y.len());
    let factors = x.iter().zip(y);
    factors.fold(F::ONE, |product, (x, y)| {
        product * (*x * y + (F::ONE - x) * (F::ONE - y))
    })
}

fn shifted_evaluations_on<C: HasFixture>() {
    let Fixture {
        params,
        shapes,
        run,
        statement,
        ..
    } = C::fixture();
    let (ending, witness) = run.clone().end(params, &mut rng(17)).unwrap();
    let ended = (ending, witness.clone());
    let honest = argue_ended(params, shapes, ended, statement).unwrap();
    let Batched {
        claims,
        mut transcript,
        ..
    } = check_instances(params, shapes, statement, &honest.argument).unwrap();
    let mut oracle = NativePrimary::new(&mut transcript);
    for claim in &claims {
        oracle.absorb(&claim.point);
        oracle.absorb(&[claim.value]);
    }
    let g = oracle.challenge();
    let rounds = honest.argument.proofs.batch.rounds.iter();
    let r: Vec<C::F> = rounds
        .map(|round| {
            oracle.absorb(round);
            oracle.challenge()
        })
        .collect();
    // The factor of evaluation i in the last check of the sum-check.
    let factor = |i: usize| {
        let point = &claims[i].point;
        let (high, low) = r.split_at(r.len() - point.len());
        let padding = equality(high, &vec![C::F::ZERO; high.len()]);
        g.pow([i as u64]) * padding.square() * equality(point, low)
    };
    for (i, j) in [(0, 1), (2, 5), (0, 6)] {
        let mut argument = honest.argument.clone();
        let evaluations = &mut argument.proofs.batch.evaluations;
        evaluations[i] += factor(j);
        evaluations[j] -= factor(i);
        // The sum-check cannot tell.
        let left = check(params, shapes, statement, &argument).unwrap();
        let mut forged = Proof {
            opening: C::fixture().proof.opening.clone(),
            blind: honest.blind,
            argument: argument.clone(),
        };
        // An opening for the honest value in the same transcript.
        let table = batch::combine(&tables(&witness), left.combination);
        let blind = combined_blind(&witness, left.combination);
        let value = evaluate_padded(&table, &left.point);
        assert_ne!(value, left.value);
        let opened = open(
            params,
            Argued {
                argument,
                left: Left { value, ..left },
                table,
                blind,
            },
        )
        .unwrap();
        forged.opening = opened.opening;
        forged.blind = opened.blind;
        let error = verify(params, shapes, statement, &forged).unwrap_err();
        assert_rejected(C::OPENING, &error.to_string());
    }
}

/// The polynomial of a table, read as padded with zeros, at a point.
fn evaluate_padded<F: foldnet_gadgets::CircuitField>(table: &[F], point: &[F]) -> F {
    let mut padded = table.to_vec();
    padded.resize(1 << point.len(), F::ZERO);
    evaluate(&padded, point)
}

/// SECURITY 38: evaluations that are altered after the batching challenge, so that their sum stays,
/// are caught by the combination challenge, which is drawn after them.
#[test]
fn line_38_evaluations_shifted_after_the_batching_challenge_are_rejected() {
    shifted_evaluations_on::<Bn254>();
    shifted_evaluations_on::<Pasta>();
}

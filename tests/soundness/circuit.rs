//! Forged inputs of the augmented circuit, and the constraint that rejects each.
//!
//! Wherever it is possible everything else is made consistent with the forgery, so that only what
//! really stops it fails.

use crate::common::{Shared, Toy, ToyCommitted, ToyTrace, tensor};
use crate::harness::*;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use foldnet::fold::cyclefold::Operation;
use foldnet::fold::params::Params;
use foldnet::progress::Silent;
use foldnet_gadgets::challenge::{Challenge, DIGITS};
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta};
use foldnet_gadgets::eisenstein::Eisenstein;
use foldnet_gadgets::field::{from_i64, power_of_two, to_bytes};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::step::{StepCircuit, StepOutput, WeightTable};
use foldnet_gadgets::transcript::TranscriptCircuit;
use num_bigint::BigUint;
use std::collections::BTreeSet;

type F = <Bn254 as Cycle>::F;
type Q = <Bn254 as Cycle>::Q;

/// Some commitment that occurs nowhere in the fixture.
fn stranger() -> Commitment<<Bn254 as Cycle>::Primary> {
    Commitment::new(
        Bn254::shared()
            .key()
            .commit(&[F::from(42)], F::from(7))
            .unwrap(),
    )
}

fn honest_on<C: HasFixture>(positions: &[usize]) {
    for position in positions {
        let fixture = C::fixture();
        let mut attempt = fixture.at(*position);
        let public = &fixture.positions[*position].public;
        attempt.alpha = public[1];
        let (system, outcome) = attempt.synthesise();
        assert!(system.duplicates().is_empty(), "{:?}", system.duplicates());
        assert_eq!(paths(&system), [""; 0], "position {position}");
        assert_eq!(outcome.hash, public[0], "position {position}");
        let challenge = attempt.inputs.cyclefold_challenge;
        attempt.recompute();
        assert_eq!(attempt.inputs.cyclefold_challenge, challenge);
        assert_eq!(attempt.inputs.folded, fixture.at(*position).inputs.folded);
    }
}

/// Control: what is forged below is accepted when it is not forged, at every step.
#[test]
fn honest_steps_satisfy_the_circuit_on_bn254() {
    honest_on::<Bn254>(&[0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn honest_steps_satisfy_the_circuit_on_pasta() {
    honest_on::<Pasta>(&[BASE, PLAIN, ENDING]);
}

/// SECURITY 3: the points that CycleFold works on are those that this circuit holds.
#[test]
fn line_03_cyclefold_instances_for_other_points_are_rejected() {
    let fixture = Bn254::fixture();
    let lambda = fixture.params.context().lambda;
    for j in 0..4 {
        for (operand, scalar) in [("p", 3 + 6 * j), ("q", 5 + 6 * j)] {
            let mut attempt = fixture.at(ENDING);
            let operations = &mut attempt.inputs.operations;
            let challenge = if j < 3 {
                operations.fold
            } else {
                operations.accumulate
            };
            let slot = &mut operations.operations[j];
            let (p, q) = match operand {
                "p" => (stranger(), slot.q),
                _ => (slot.p, stranger()),
            };
            *slot = Operation::perform(p, q, challenge.scalar(lambda));
            let result = slot.result;
            match j {
                2 => attempt.inputs.folded.error = result,
                3 => {}
                j => attempt.inputs.folded.segments[j] = result,
            }
            attempt.rebind();
            assert_eq!(
                attempt.failures(),
                components(&[scalar, scalar + 1]),
                "{operand} {j}"
            );
        }
    }
}

fn components(scalars: &[usize]) -> Vec<String> {
    scalars
        .iter()
        .flat_map(|i| ["a", "b"].map(|c| format!("cyclefold/scalar {i}/component {c}")))
        .collect()
}

/// SECURITY 3: the results of CycleFold are the new commitments.
#[test]
fn line_03_a_folded_instance_other_than_the_result_is_rejected() {
    for j in 0..3 {
        let mut attempt = Bn254::fixture().at(ENDING);
        match j {
            2 => attempt.inputs.folded.error = stranger(),
            j => attempt.inputs.folded.segments[j] = stranger(),
        }
        attempt.rebind();
        assert_eq!(
            attempt.failures(),
            components(&[7 + 6 * j, 8 + 6 * j]),
            "{j}"
        );
    }
}

/// SECURITY 3: one challenge for the three commitments and for the scalars.
#[test]
fn line_03_cyclefold_instances_with_another_r_or_beta_are_rejected() {
    let fixture = Bn254::fixture();
    let lambda = fixture.params.context().lambda;
    let other = Challenge::new(0x1234_5678, 0xfeed);

    let mut attempt = fixture.at(ENDING);
    attempt.inputs.operations.fold = other;
    for slot in attempt.inputs.operations.operations.iter_mut().take(3) {
        *slot = Operation::perform(slot.p, slot.q, other.scalar(lambda));
    }
    let [first, second, error, _] = attempt.inputs.operations.operations.map(|o| o.result);
    attempt.inputs.folded.segments = vec![first, second];
    attempt.inputs.folded.error = error;
    attempt.rebind();
    assert_eq!(attempt.failures(), components(&[1]));

    let mut attempt = fixture.at(ENDING);
    attempt.inputs.operations.accumulate = other;
    let slot = &mut attempt.inputs.operations.operations[3];
    *slot = Operation::perform(slot.p, slot.q, other.scalar(lambda));
    attempt.rebind();
    assert_eq!(attempt.failures(), components(&[2]));
}

/// SECURITY 3 and 37: a kind without weights performs the fixed operation.
#[test]
fn line_03_a_kind_without_weights_cannot_use_the_last_operation() {
    let fixture = Bn254::fixture();
    let mut attempt = fixture.at(PLAIN);
    let accumulator = attempt.inputs.accumulator.clone();
    let beta = accumulator
        .challenge
        .scalar(fixture.params.context().lambda);
    attempt.inputs.operations.accumulate = accumulator.challenge;
    attempt.inputs.operations.operations[3] =
        Operation::perform(accumulator.commitment, accumulator.pending, beta);
    attempt.rebind();
    let failed = attempt.failures();
    assert_eq!(failed, components(&[2, 21, 22, 23, 24, 25, 26]));
}

/// SECURITY 7: the CycleFold challenge is the hash of what it binds; a cross term chosen after it
/// is a stale challenge.
#[test]
fn line_07_a_cyclefold_cross_term_chosen_after_the_challenge_is_rejected() {
    for forge in [
        |attempt: &mut Attempt<'_, Bn254>| {
            attempt.inputs.cyclefold_cross = attempt.inputs.cyclefold_fresh;
        },
        |attempt: &mut Attempt<'_, Bn254>| {
            attempt.inputs.cyclefold_fresh = attempt.inputs.cyclefold_cross;
        },
    ] {
        let mut attempt = Bn254::fixture().at(ENDING);
        forge(&mut attempt);
        let failed = attempt.failures();
        let expected: Vec<usize> = (0..27).collect();
        assert_eq!(failed, components(&expected));
    }
}

/// SECURITY 4: both running instances are in the state hash that is received.
#[test]
fn line_04_other_running_instances_than_the_hashed_ones_are_rejected() {
    let state_hash = ["state hash unless base case"];
    // The opened primary instance, first against its entry, then with the entry changed too.
    let alter = |attempt: &mut Attempt<'_, Bn254>, what: usize| {
        let running = &mut attempt.inputs.running;
        match what {
            0 => running.u += F::ONE,
            1 => running.x[0] += F::ONE,
            2 => running.x[1] += F::ONE,
            3 => running.error = stranger(),
            j => running.segments[j - 4] = stranger(),
        }
    };
    for what in 0..6 {
        let failed = forge::<Bn254>(ENDING, |attempt| alter(attempt, what));
        assert_eq!(failed, ["entries/opened instance is its entry"], "{what}");
        let failed = forge::<Bn254>(ENDING, |attempt| {
            alter(attempt, what);
            let digest = attempt.params.context().instance(&attempt.inputs.running);
            attempt.inputs.entries[attempt.inputs.kind] = digest;
        });
        assert_eq!(failed, state_hash, "{what}");
    }
    // An entry that is not opened.
    let failed = forge::<Bn254>(ENDING, |attempt| attempt.inputs.entries[3] += F::ONE);
    assert_eq!(failed, state_hash);
    // The CycleFold instance.
    let fixture = Bn254::fixture();
    let start = &fixture.positions[BASE].inputs.cyclefold;
    let forgeries: [fn(&mut Attempt<'_, Bn254>); 4] = [
        |attempt| attempt.inputs.cyclefold.u += Q::ONE,
        |attempt| attempt.inputs.cyclefold.x[25] += Q::ONE,
        |attempt| attempt.inputs.cyclefold.error = attempt.inputs.cyclefold_fresh,
        |attempt| attempt.inputs.cyclefold.segments[0] = attempt.inputs.cyclefold_fresh,
    ];
    for alter in forgeries {
        assert_eq!(forge::<Bn254>(ENDING, alter), state_hash);
    }
    let failed = forge::<Bn254>(ENDING, |attempt| attempt.inputs.cyclefold = start.clone());
    assert_eq!(failed, state_hash);
}

/// SECURITY 7: every challenge depends on everything that it binds, and folding challenges have
/// 128 bits.
#[test]
fn line_07_challenges_depend_on_all_that_they_bind() {
    assert_eq!(2 * DIGITS, 128);
    let fixture = Bn254::fixture();
    let challenge = |position: usize, path: &str, alter: &dyn Fn(&mut Attempt<'_, Bn254>)| {
        let mut attempt = fixture.at(position);
        alter(&mut attempt);
        let (system, _) = attempt.synthesise();
        system
            .get(path)
            .unwrap_or_else(|| panic!("no variable {path}"))
    };
    type Alter = (&'static str, fn(&mut Attempt<'_, Bn254>));
    let check = |position, path, alterations: &[Alter]| {
        let honest = challenge(position, path, &|_| {});
        let mut seen = BTreeSet::from([to_bytes(&honest)]);
        for (name, alter) in alterations {
            let altered = challenge(position, path, alter);
            assert!(
                seen.insert(to_bytes(&altered)),
                "{path} does not bind {name}"
            );
        }
    };
    let fold: [Alter; 12] = [
        ("pp", |a| a.inputs.pp += F::ONE),
        ("kind", |a| a.inputs.kind = 2),
        ("running cm1", |a| a.inputs.running.segments[0] = stranger()),
        ("running cm2", |a| a.inputs.running.segments[1] = stranger()),
        ("running cmE", |a| a.inputs.running.error = stranger()),
        ("running u", |a| a.inputs.running.u += F::ONE),
        ("running h", |a| a.inputs.running.x[0] += F::ONE),
        ("fresh cm1", |a| a.inputs.fresh.segments[0] = stranger()),
        ("fresh cm2", |a| a.inputs.fresh.segments[1] = stranger()),
        ("fresh h", |a| a.inputs.fresh.x[0] += F::ONE),
        ("fresh alpha", |a| a.inputs.fresh.x[1] += F::ONE),
        ("cmT", |a| a.inputs.cross = stranger()),
    ];
    check(ENDING, "fold/challenge hash/digest", &fold);
    let cyclefold: [Alter; 12] = [
        ("fold hash", |a| a.inputs.cross = stranger()),
        ("folded cm1", |a| a.inputs.folded.segments[0] = stranger()),
        ("folded cm2", |a| a.inputs.folded.segments[1] = stranger()),
        ("folded cmE", |a| a.inputs.folded.error = stranger()),
        ("C_acc", |a| a.inputs.accumulator.commitment = stranger()),
        ("pending", |a| a.inputs.accumulator.pending = stranger()),
        ("beta", |a| {
            a.inputs.accumulator.challenge = Challenge::new(1, 2)
        }),
        ("C_acc'", |a| {
            a.inputs.operations.operations[3].result = stranger()
        }),
        ("cm_cf", |a| {
            a.inputs.cyclefold_fresh = a.inputs.cyclefold.error
        }),
        ("cmT_cf", |a| {
            a.inputs.cyclefold_cross = a.inputs.cyclefold.error
        }),
        ("U_cf.u", |a| a.inputs.cyclefold.u += Q::ONE),
        ("U_cf.x", |a| a.inputs.cyclefold.x[0] += Q::ONE),
    ];
    check(ENDING, "cyclefold/challenge hash/digest", &cyclefold);
    let lookup: [Alter; 14] = [
        ("alpha", |a| a.alpha += F::ONE),
        ("i", |a| a.inputs.index += 1),
        ("m", |a| a.inputs.state.model += F::ONE),
        ("t_0", |a| a.inputs.start += F::ONE),
        ("d", |a| a.inputs.state.digest += F::ONE),
        ("t_in", |a| a.inputs.state.input += F::ONE),
        ("t", |a| a.inputs.state.tensors += F::ONE),
        ("b", |a| a.inputs.state.batch += F::ONE),
        ("c", |a| a.inputs.state.count += 1),
        ("an entry", |a| a.inputs.entries[0] += F::ONE),
        ("C_acc", |a| a.inputs.accumulator.commitment = stranger()),
        ("rho", |a| a.inputs.accumulator.point[0] += F::ONE),
        ("a", |a| a.inputs.accumulator.value += F::ONE),
        ("C_step", |a| a.inputs.weights = Some(stranger())),
    ];
    // Also in step 0, where nothing compares the state hash with a received one (SECURITY 29).
    for position in [BASE, ENDING] {
        check(position, "lookup challenge/squeeze 1/digest", &lookup);
    }
    let path = "accumulator/merge/combine/squeeze 2/digest";
    check(ENDING, path, &[("v", |a| a.trace.1 += 1)]);
    let beta: [Alter; 2] = [
        ("the rounds", |a| a.table[5] += F::ONE),
        ("the accumulated polynomial", |a| a.table[0] += F::ONE),
    ];
    check(ENDING, "accumulator/merge/beta/squeeze 6/digest", &beta);
}

/// SECURITY 8: at `i = 0` the state is `z_0` in every part.
#[test]
fn line_08_another_first_state_is_rejected() {
    type Case = (&'static [&'static str], fn(&mut Attempt<'_, Bn254>));
    let cases: [Case; 5] = [
        (&["base case/d = D0"], |a| a.inputs.state.digest += F::ONE),
        (&["base case/t_in = t_0"], |a| {
            a.inputs.state.input += F::ONE
        }),
        (&["base case/t = t_0", "tensors opened"], |a| {
            a.inputs.state.tensors += F::ONE;
        }),
        (&["base case/b = B0"], |a| a.inputs.state.batch += F::ONE),
        (&["base case/c = 0"], |a| a.inputs.state.count = 1),
    ];
    for (expected, alter) in cases {
        assert_eq!(forge::<Bn254>(BASE, alter), expected);
    }
    // Another input digest throughout is a base case, but not of this trace.
    let failed = forge::<Bn254>(BASE, |attempt| {
        let other = tensor(attempt.params, 4);
        attempt.inputs.start = other;
        attempt.inputs.state.input = other;
        attempt.inputs.state.tensors = other;
    });
    assert_eq!(failed, ["tensors opened"]);
}

/// SECURITY 8: nobody can pretend to be, or not to be, at step 0.
#[test]
fn line_08_the_base_case_is_decided_by_the_index() {
    // A later step that claims to be the first is not at z_0 and not at the fixed CycleFold start.
    let failed = forge::<Bn254>(ENDING, |attempt| attempt.inputs.index = 0);
    for name in [
        "base case/d = D0",
        "base case/t = t_0",
        "cyclefold/start/value 0",
    ] {
        assert!(
            failed.iter().any(|path| path == name),
            "{name} in {failed:?}"
        );
    }
    // Step 0 that claims not to be has no instance whose h is the hash of z_0.
    let failed = forge::<Bn254>(BASE, |attempt| attempt.inputs.index = 1);
    assert_eq!(failed, ["state hash unless base case"]);
    // The bit itself.
    for (position, bit, name) in [
        (BASE, F::ZERO, "base case/index non-zero"),
        (ENDING, F::ONE, "base case/index zero"),
    ] {
        let (mut system, _) = Bn254::fixture().at(position).synthesise();
        assert!(system.set("base case/index bit", bit));
        assert!(paths(&system).iter().any(|path| path == name));
    }
    // The index that is hashed is one more.
    let failed = forge::<Bn254>(ENDING, |attempt| attempt.inputs.index += 1);
    assert_eq!(failed, ["state hash unless base case"]);
}

/// SECURITY 8: the CycleFold running instance of step 0 is the fixed one, in every component.
#[test]
fn line_08_another_cyclefold_start_is_rejected() {
    let context = Bn254::shared().context();
    let lambda = context.eisenstein.recompose(&Eisenstein::new(0, 1));
    let failed = forge::<Bn254>(BASE, |attempt| {
        let instance = &mut attempt.inputs.cyclefold;
        // Both components of each value, which are zero at the start.
        for x in [&mut instance.u].into_iter().chain(&mut instance.x) {
            *x += Q::from(3) + Q::from(2) * lambda;
        }
    });
    let expected: Vec<_> = (4..4 + 2 * 27)
        .map(|i| format!("cyclefold/start/value {i}"))
        .collect();
    assert_eq!(failed, expected);
    let failed = forge::<Bn254>(BASE, |attempt| attempt.inputs.cyclefold.x[7] += Q::ONE);
    assert_eq!(failed, ["cyclefold/start/value 20"]);
    let failed = forge::<Bn254>(BASE, |attempt| {
        attempt.inputs.cyclefold.segments[0] = attempt.inputs.cyclefold_fresh;
    });
    assert_eq!(
        failed,
        ["cyclefold/start/value 0", "cyclefold/start/value 1"]
    );
    let failed = forge::<Bn254>(BASE, |attempt| {
        attempt.inputs.cyclefold.error = attempt.inputs.cyclefold_fresh;
    });
    assert_eq!(
        failed,
        ["cyclefold/start/value 2", "cyclefold/start/value 3"]
    );
}

/// SECURITY 9: the fold takes `u = 1` and `cmE = 0` of the fresh instance, for it has no such
/// fields: `u' = u + r`, `cmE' = cmE + r cmT`.
#[test]
fn line_09_the_fresh_instance_has_no_error_and_u_of_one() {
    let fixture = Bn254::fixture();
    let attempt = fixture.at(ENDING);
    let (system, _) = attempt.synthesise();
    let hash = system.get("fold/challenge hash/digest").unwrap();
    let r = Challenge::from_hash(&hash).scalar(fixture.params.context().lambda);
    assert_eq!(attempt.inputs.folded.u, attempt.inputs.running.u + r);
    let digest = fixture.params.context().instance(&attempt.inputs.folded);
    assert_eq!(system.get("fold/folded/digest"), Some(digest));
    // An error term of the fresh instance, r^2 of it, is not what CycleFold computes.
    let mut attempt = fixture.at(ENDING);
    attempt.inputs.folded.error = attempt.inputs.folded.error.fold(r.square(), &stranger());
    attempt.rebind();
    assert_eq!(attempt.failures(), components(&[19, 20]));
}

/// SECURITY 10: whoever consumes an instance recomputes `alpha` from its `cm1`.
#[test]
fn line_10_an_alpha_that_is_not_of_cm1_is_rejected() {
    for position in [BASE, PLAIN, ENDING] {
        let failed = forge::<Bn254>(position, |a| a.inputs.fresh.x[1] += F::ONE);
        assert_eq!(failed, ["fold/alpha of the fresh instance"]);
        let failed = forge::<Bn254>(position, |a| a.inputs.fresh.segments[0] = stranger());
        assert_eq!(failed, ["fold/alpha of the fresh instance"]);
        // Another cm2 changes no alpha; it is bound by the challenge, and its witness fails at the
        // end (`run::line_01_...`).
        let failed = forge::<Bn254>(position, |a| a.inputs.fresh.segments[1] = stranger());
        assert_eq!(failed, [""; 0]);
    }
}

/// SECURITY 8 and 11: every part of the state is the one that was hashed.
#[test]
fn line_11_another_state_than_the_hashed_one_is_rejected() {
    type Case = (&'static str, fn(&mut Attempt<'_, Bn254>));
    let cases: [Case; 13] = [
        ("h", |a| a.inputs.fresh.x[0] += F::ONE),
        ("t_0", |a| a.inputs.start += F::ONE),
        ("d", |a| a.inputs.state.digest += F::ONE),
        ("t_in", |a| a.inputs.state.input += F::ONE),
        ("b", |a| a.inputs.state.batch += F::ONE),
        ("c", |a| a.inputs.state.count += 1),
        ("m", |a| a.inputs.state.model += F::ONE),
        ("C_acc", |a| a.inputs.accumulator.commitment = stranger()),
        ("pending", |a| a.inputs.accumulator.pending = stranger()),
        ("beta", |a| {
            a.inputs.accumulator.challenge = Challenge::new(1, 2)
        }),
        ("rho", |a| {
            // A point at which the polynomial is known is consistent by itself.
            a.inputs.accumulator.point[1] += F::ONE;
            let point = &a.inputs.accumulator.point;
            a.inputs.accumulator.value = foldnet_gadgets::sumcheck::evaluate(&a.table, point);
        }),
        ("a", |a| {
            a.table[0] += F::ONE;
            let point = &a.inputs.accumulator.point;
            a.inputs.accumulator.value = foldnet_gadgets::sumcheck::evaluate(&a.table, point);
        }),
        ("pp", |a| {
            let context = a.params.context();
            a.inputs.pp += F::ONE;
            let first = &a.inputs.fresh.segments[0];
            a.inputs.fresh.x[1] = context.alpha(a.inputs.pp, a.inputs.kind, first);
        }),
    ];
    // At a step that does not end an inference, where the digest is not compared with the model.
    for (name, alter) in cases {
        let failed = forge::<Bn254>(WEIGHTED, alter);
        assert_eq!(failed, ["state hash unless base case"], "{name}");
    }
    // The live tensors are opened too.
    let failed = forge::<Bn254>(WEIGHTED, |a| a.inputs.state.tensors += F::ONE);
    assert_eq!(failed, ["state hash unless base case", "tensors opened"]);
    let failed = forge::<Bn254>(NEXT, |a| a.trace = (a.trace.0 + 1, a.trace.1 + 1));
    assert_eq!(failed, ["tensors opened"]);
}

/// SECURITY 11 and 30: an inference ends with the digest of exactly the model's steps.
#[test]
fn line_11_an_inference_ends_only_with_the_digest_of_the_model() {
    let name = "advance/model digest is the model id";
    // Other weights than the model's in the last step.
    let mut attempt = Bn254::fixture().at(ENDING);
    attempt.inputs.weights = Some(stranger());
    attempt.recompute();
    assert_eq!(attempt.failures(), [name]);
    // Another digest of the steps before, or another model id.
    let failed = forge::<Bn254>(ENDING, |a| a.inputs.state.digest += F::ONE);
    assert_eq!(failed, ["state hash unless base case", name]);
    let failed = forge::<Bn254>(ENDING, |a| a.inputs.state.model += F::ONE);
    assert_eq!(failed, ["state hash unless base case", name]);
}

/// SECURITY 12 and 32: every integer of limbs has each limb range-checked; `(l_0 + 256, l_1 - 1)`
/// is the same integer and nothing else notices. Running instance and accumulator are among them,
/// at every step, also the first.
#[test]
fn line_12_limbs_out_of_range_are_rejected() {
    for position in [BASE, PLAIN, ENDING] {
        let (system, _) = Bn254::fixture().at(position).synthesise();
        let groups = limb_groups(&system);
        for name in expected_groups(position != PLAIN) {
            assert!(groups.contains(&name), "{name} is no list of limbs");
        }
        let mut forged = system.clone();
        for group in &groups {
            shift_limbs(&mut forged, group);
        }
        assert_eq!(repair_lookups(&mut forged), 2 * groups.len());
        assert_eq!(paths(&forged), ["lookups/sums agree"]);
    }
    let (system, _) = Bn254::fixture().at(ENDING).synthesise();
    for group in [
        "running/cm1/x a",
        "accumulator/y b",
        "pending challenge",
        "fresh cm2/y a",
    ] {
        let mut forged = system.clone();
        shift_limbs(&mut forged, group);
        assert_eq!(repair_lookups(&mut forged), 2, "{group}");
        assert_eq!(paths(&forged), ["lookups/sums agree"], "{group}");
    }
}

/// Moves one unit of the second limb into the first.
fn shift_limbs(system: &mut MockSystem<F>, group: &str) {
    add(system, &format!("{group} 0"), F::from(256));
    add(system, &format!("{group} 1"), -F::ONE);
}

/// All names of limb lists: variables of the first segment that are numbered, except those lists
/// that are no integers.
fn limb_groups(system: &MockSystem<F>) -> BTreeSet<String> {
    let lists = ["kind bit", "entry", "rho", "multiplicity"];
    let paths = system.auxiliary_paths();
    let first = paths
        .iter()
        .take_while(|path| !path.starts_with("multiplicity"));
    first
        .filter_map(|path| path.strip_suffix(" 0"))
        .filter(|group| !lists.contains(group))
        .filter(|group| system.get(&format!("{group} 1")).is_some())
        .map(String::from)
        .collect()
}

fn expected_groups(weights: bool) -> Vec<String> {
    let mut points: Vec<String> = Vec::new();
    for instance in ["running", "folded"] {
        points.extend(["cm1", "cm2", "cmE"].map(|point| format!("{instance}/{point}")));
    }
    points.extend(["fresh cm2", "cross", "accumulator", "pending"].map(String::from));
    points.push("accumulated".into());
    let mut canonical = vec!["fresh cm1"];
    if weights {
        points.push("weights/short".into());
        canonical.push("weights/canonical");
    }
    let mut groups = vec!["pending challenge".to_string()];
    for point in points {
        groups.extend(["x a", "x b", "y a", "y b"].map(|part| format!("{point}/{part}")));
    }
    for point in canonical {
        for x in ["x", "y"] {
            let parts = ["byte", "complement low", "complement high"];
            groups.extend(parts.map(|part| format!("{point}/{x} {part}")));
        }
    }
    for i in 0..27 {
        groups.extend(["a", "b"].map(|c| format!("cyclefold/scalar {i}/fold result {c}")));
    }
    groups
}

/// The limbs of the canonical value of `value + modulus`, least significant first.
fn shifted_bytes(value: &Q) -> [u8; 32] {
    let integer = BigUint::from_bytes_le(&to_bytes(value));
    let modulus = BigUint::from_bytes_le(&to_bytes(&-Q::ONE)) + 1u32;
    let mut bytes = [0; 32];
    let sum = (integer + modulus).to_bytes_le();
    bytes[..sum.len()].copy_from_slice(&sum);
    bytes
}

/// SECURITY 12 and 39: a coordinate that is hashed has one encoding. Adding the modulus leaves the
/// congruences of CycleFold true and changes `alpha`, or the model digest.
#[test]
fn line_12_coordinates_that_are_not_canonical_are_rejected() {
    let attempt = Bn254::fixture().at(ENDING);
    let (honest, _) = attempt.synthesise();
    let points = [
        (
            "fresh cm1",
            "fold/fresh cm1",
            attempt.inputs.fresh.segments[0],
        ),
        (
            "weights/canonical",
            "weights",
            attempt.inputs.weights.unwrap(),
        ),
    ];
    for (variables, constraints, point) in points {
        for (axis, value) in ["x", "y"].into_iter().zip(point.coordinates()) {
            let mut system = honest.clone();
            let bytes = shifted_bytes(&value);
            for (i, byte) in bytes.into_iter().enumerate() {
                let path = format!("{variables}/{axis} byte {i}");
                assert!(system.set(&path, F::from(u64::from(byte))));
            }
            let value_name = format!("{constraints}/{axis}/canonical value");
            let borrow_name = format!("{constraints}/{axis}/canonical borrow");
            let failed = paths(&system);
            assert!(failed.contains(&value_name) || failed.contains(&borrow_name));
            // A negative complement makes both lines true, and is no list of bytes.
            let half = |name: &str, from: usize| {
                let names = (0..16).map(|i| format!("{variables}/{axis} {name} {}", from + i));
                names.rev().fold(F::ZERO, |sum, path| {
                    sum * F::from(256) + honest.get(&path).unwrap_or_else(|| panic!("{path}"))
                })
            };
            let (low, high) = bytes.split_at(16);
            let number = |bytes: &[u8]| {
                bytes.iter().rev().fold(F::ZERO, |sum, byte| {
                    sum * F::from(256) + F::from(u64::from(*byte))
                })
            };
            let change = |name: &str, half_before: F, now: F| {
                (
                    format!("{variables}/{axis} complement {name} 0"),
                    half_before - now,
                )
            };
            let changes = [
                change("low", half("byte", 0), number(low)),
                change("high", half("byte", 16), number(high)),
            ];
            for (path, difference) in changes {
                add(&mut system, &path, difference);
            }
            let failed = paths(&system);
            assert!(!failed.contains(&value_name) && !failed.contains(&borrow_name));
            assert!(repair_lookups(&mut system) >= 1);
            assert!(
                paths(&system)
                    .iter()
                    .any(|path| path == "lookups/sums agree")
            );
        }
    }
}

/// SECURITY 12: `C_step` in the model digest is the point that is accumulated.
#[test]
fn line_12_the_two_forms_of_weights_are_one_point() {
    let (mut system, _) = Bn254::fixture().at(ENDING).synthesise();
    add(&mut system, "weights/short/x a 0", F::ONE);
    let failed = paths(&system);
    assert!(
        failed
            .iter()
            .any(|path| path == "weights/equal x/equal component a")
    );
    let (mut system, _) = Bn254::fixture().at(ENDING).synthesise();
    add(&mut system, "weights/short/y b 3", F::ONE);
    let failed = paths(&system);
    assert!(
        failed
            .iter()
            .any(|path| path == "weights/equal y/equal component b")
    );
}

/// SECURITY 13: lists of the wrong length are errors, not shorter circuits.
#[test]
fn line_13_inputs_of_the_wrong_length_are_errors() {
    let forgeries: [fn(&mut Attempt<'_, Bn254>); 7] = [
        |a| shorten(&mut a.inputs.running.segments),
        |a| shorten(&mut a.inputs.running.x),
        |a| shorten(&mut a.inputs.fresh.segments),
        |a| a.inputs.fresh.x.push(F::ONE),
        |a| shorten(&mut a.inputs.cyclefold.x),
        |a| shorten(&mut a.inputs.cyclefold.segments),
        |a| a.inputs.weights = None,
    ];
    for (i, alter) in forgeries.into_iter().enumerate() {
        let mut attempt = Bn254::fixture().at(ENDING);
        alter(&mut attempt);
        let circuit = attempt.params.circuit(attempt.kind).unwrap();
        let mut system = MockSystem::<F>::default();
        let result = circuit.commit(&mut system, &attempt.inputs, &attempt.trace);
        assert!(result.is_err(), "{i}");
    }
}

/// SECURITY 17: a value outside the table is rejected, whatever its multiplicity, and so is a
/// denominator of zero.
#[test]
fn line_17_a_value_outside_the_table_is_rejected() {
    let (honest, _) = Bn254::fixture().at(PLAIN).synthesise();
    let path = "accumulated/x a 0";
    for value in [F::from(256), -F::ONE, power_of_two(200)] {
        // `accumulated` is used by no other constraint in a kind without weights.
        let mut system = honest.clone();
        assert!(system.set(path, value));
        assert_eq!(repair_lookups(&mut system), 1);
        assert_eq!(paths(&system), ["lookups/sums agree"]);
    }
    // A value inside the table with stale multiplicities.
    let mut system = honest.clone();
    let value = honest.get(path).unwrap();
    let other = if value == F::from(9) {
        F::from(10)
    } else {
        F::from(9)
    };
    assert!(system.set(path, other));
    repair_lookups(&mut system);
    assert_eq!(paths(&system), ["lookups/sums agree"]);
    // A denominator of zero has no inverse.
    let mut system = honest.clone();
    let challenge = system.get("lookup challenge/squeeze 1/digest").unwrap();
    assert!(system.set(path, -challenge));
    let failed = system.failures();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].path.starts_with("lookups/value ") && failed[0].a == F::ZERO);
    // Multiplicities are used.
    let mut system = honest;
    add(&mut system, "multiplicity 17", F::ONE);
    assert_eq!(paths(&system), ["lookups/row 17 use"]);
}

/// SECURITY 29: a false weight claim is rejected in step 0 as in any other, and so is a false claim
/// of the first accumulator.
#[test]
fn line_29_a_false_weight_claim_is_rejected_from_step_0_on() {
    for position in [BASE, WEIGHTED, ENDING] {
        let failed = forge::<Bn254>(position, |attempt| attempt.trace.1 += 1);
        assert_eq!(failed, ["accumulator/merge/last claim"], "{position}");
    }
    let failed = forge::<Bn254>(BASE, |attempt| attempt.inputs.accumulator.value += F::ONE);
    assert_eq!(failed, ["accumulator/merge/last claim"]);
    let failed = forge::<Bn254>(BASE, |attempt| attempt.table[3] += F::ONE);
    assert_eq!(failed, ["accumulator/merge/last claim"]);
}

/// SECURITY 29: in step 0 the received `h` is ignored and the recomputed state hash takes its
/// place in the transcript.
#[test]
fn line_29_the_transcript_of_step_0_absorbs_the_recomputed_hash() {
    let squeeze = |forge: fn(&mut Attempt<'_, Bn254>)| {
        let mut attempt = Bn254::fixture().at(BASE);
        forge(&mut attempt);
        attempt.recompute();
        let (system, _) = attempt.synthesise();
        system.get("lookup challenge/squeeze 1/digest")
    };
    let honest = squeeze(|_| {});
    assert!(honest.is_some());
    assert_eq!(
        honest,
        squeeze(|attempt| attempt.inputs.fresh.x[0] += F::ONE)
    );
    let altered = squeeze(|attempt| attempt.inputs.accumulator.point[0] += F::ONE);
    assert_ne!(honest, altered);
}

/// SECURITY 29: step 0 folds its CycleFold instance like any other, and passes the entries on.
#[test]
fn line_29_step_0_folds_cyclefold_and_keeps_the_entries() {
    let fixture = Bn254::fixture();
    let mut attempt = fixture.at(BASE);
    attempt.inputs.operations.operations[0].p = stranger();
    attempt.rebind();
    assert_eq!(attempt.failures(), components(&[3, 4]));
    let entries = |position: usize| fixture.positions[position].inputs.entries.clone();
    assert_eq!(entries(BASE), entries(PLAIN));
    let (before, after) = (entries(PLAIN), entries(WEIGHTED));
    let changed: Vec<_> = (0..4).filter(|j| before[*j] != after[*j]).collect();
    assert_eq!(changed, [1]);
}

/// SECURITY 30: a first digest that covers a prefix of the layers already is rejected.
#[test]
fn line_30_a_first_digest_of_a_prefix_is_rejected() {
    let failed = forge::<Bn254>(BASE, |attempt| {
        let context = attempt.params.context();
        let digest = attempt.inputs.state.digest;
        let commitment = attempt.inputs.weights.as_ref();
        attempt.inputs.state.digest = context.model_step(digest, 1, commitment);
    });
    assert_eq!(failed, ["base case/d = D0"]);
}

/// SECURITY 31: the selector of the incoming kind has exactly one bit.
#[test]
fn line_31_selectors_that_are_not_one_hot_are_rejected() {
    let fixture = Bn254::fixture();
    // All zero: the instance would be dropped. Everything else is consistent with kind 0, which
    // the instance folded at position 2 has.
    let mut attempt = fixture.at(WEIGHTED);
    assert_eq!(attempt.inputs.kind, 0);
    attempt.inputs.kind = 99;
    let failed = attempt.failures();
    assert_eq!(
        failed,
        [
            "kind/exactly one bit",
            "entries/opened instance is its entry"
        ]
    );
    let (honest, _) = fixture.at(ENDING).synthesise();
    let forged = |bits: [i64; 4]| {
        let mut system = honest.clone();
        for (j, bit) in bits.into_iter().enumerate() {
            assert!(system.set(&format!("kind bit {j}"), from_i64(bit)));
        }
        paths(&system)
    };
    let contains = |bits: [i64; 4], name: &str| {
        let failed = forged(bits);
        assert!(
            failed.iter().any(|path| path == name),
            "{name} in {failed:?}"
        );
    };
    assert_eq!(forged([0, 1, 0, 0]), [""; 0]);
    contains([0, 1, 1, 0], "kind/exactly one bit");
    contains([1, 1, 0, 0], "kind/exactly one bit");
    contains([0, 0, 0, 0], "kind/exactly one bit");
    // Sums to one, and says kind 1.
    contains([1, -1, 1, 0], "kind/bit 1 boolean");
    contains([2, -2, 1, 0], "kind/bit 0 boolean");
}

/// SECURITY 31: a fresh instance is folded into the running instance of its own kind.
#[test]
fn line_31_an_instance_of_another_kind_is_rejected() {
    // Into kind 2 with that kind's running instance and a fresh alpha for kind 2.
    let fixture = Bn254::fixture();
    let failed = forge::<Bn254>(ENDING, |attempt| {
        let context = attempt.params.context();
        attempt.inputs.kind = 2;
        attempt.inputs.running = fixture.positions[BASE].before.running[2].0.clone();
        let first = &attempt.inputs.fresh.segments[0];
        attempt.inputs.fresh.x[1] = context.alpha(attempt.inputs.pp, 2, first);
    });
    assert_eq!(failed, ["state hash unless base case"]);
    // Without the alpha of that kind, alpha fails too.
    let failed = forge::<Bn254>(ENDING, |attempt| {
        attempt.inputs.kind = 2;
        attempt.inputs.running = fixture.positions[BASE].before.running[2].0.clone();
    });
    assert_eq!(
        failed,
        [
            "fold/alpha of the fresh instance",
            "state hash unless base case"
        ]
    );
    // With the running instance of another kind only.
    let failed = forge::<Bn254>(ENDING, |attempt| {
        attempt.inputs.running = fixture.positions[BASE].before.running[2].0.clone();
    });
    assert_eq!(failed, ["entries/opened instance is its entry"]);
}

/// SECURITY 34: an inference cannot be ended early.
#[test]
fn line_34_an_inference_cannot_be_ended_early() {
    let fixture = Bn254::fixture();
    // The last step's circuit at every earlier position that has weights, with their trace.
    for position in [BASE, WEIGHTED] {
        let mut attempt = fixture.at(position);
        attempt.kind = 2;
        assert_eq!(attempt.failures(), ["advance/model digest is the model id"]);
    }
    let mut attempt = fixture.at(PLAIN);
    attempt.kind = 3;
    assert_eq!(attempt.failures(), ["advance/model digest is the model id"]);
    // The next inference starts at D0 with its own input, whatever the prover says.
    let before = &fixture.positions[NEXT].inputs.state;
    let context = fixture.params.context();
    assert_eq!(before.digest, context.model_start(fixture.params.digest()));
    assert_eq!(before.input, before.tensors);
    assert_eq!(before.count, 1);
}

/// SECURITY 37: weights are a constant of the kind.
#[test]
fn line_37_the_accumulator_cannot_be_skipped() {
    let fixture = Bn254::fixture();
    for (position, weights) in [(ENDING, None), (PLAIN, Some(stranger()))] {
        let mut attempt = fixture.at(position);
        attempt.inputs.weights = weights;
        let circuit = attempt.params.circuit(attempt.kind).unwrap();
        let mut system = MockSystem::<F>::default();
        let result = circuit.commit(&mut system, &attempt.inputs, &attempt.trace);
        assert!(result.is_err(), "{position}");
    }
    // Performing the fixed operation instead of adding the pending commitment.
    let mut attempt = fixture.at(ENDING);
    let idle = foldnet::fold::cyclefold::idle_accumulation::<Bn254>();
    attempt.inputs.operations.accumulate = foldnet::fold::cyclefold::idle_challenge();
    attempt.inputs.operations.operations[3] = idle;
    attempt.rebind();
    assert_eq!(attempt.failures(), components(&[2, 21, 22, 23, 24]));
    // Leaving the commitment as it is, with a CycleFold instance that is true.
    let mut attempt = fixture.at(ENDING);
    let commitment = attempt.inputs.accumulator.commitment;
    let slot = &mut attempt.inputs.operations.operations[3];
    slot.result = commitment;
    slot.p = commitment.fold(
        -attempt
            .inputs
            .accumulator
            .challenge
            .scalar(attempt.params.context().lambda),
        &slot.q,
    );
    attempt.rebind();
    assert_eq!(attempt.failures(), components(&[21, 22]));
}

/// A step that makes claims, and says that it has no weights.
struct Unclaimed(Toy<F>);

impl StepCircuit<F> for Unclaimed {
    type Trace = ToyTrace;
    type Committed = ToyCommitted<F>;

    fn name(&self) -> String {
        "unclaimed".into()
    }

    fn weight_variables(&self) -> Option<usize> {
        None
    }

    fn ends_inference(&self) -> bool {
        true
    }

    fn dummy_trace(&self) -> ToyTrace {
        self.0.dummy_trace()
    }

    fn commit<CS: ConstraintSystem<F>>(
        &self,
        trace: &ToyTrace,
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<ToyCommitted<F>, SynthesisError> {
        self.0.commit(trace, segment)
    }

    fn constrain<CS: ConstraintSystem<F>>(
        &self,
        committed: &ToyCommitted<F>,
        weights: Option<&WeightTable>,
        transcript: &mut TranscriptCircuit<F>,
        cs: &mut CS,
    ) -> Result<StepOutput<F>, SynthesisError> {
        self.0.constrain(committed, weights, transcript, cs)
    }
}

/// SECURITY 37: claims that nobody would merge make no parameters.
#[test]
fn line_37_claims_of_a_kind_without_weights_are_refused() {
    let toy = Toy::new(true, true, &Bn254::shared().context().hash);
    let params = Params::<Bn254, _>::new(vec![Unclaimed(toy)], 3, b"", None, &mut Silent);
    let error = params.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(
        error.contains("a kind has claims exactly when it has weights"),
        "{error}"
    );
}

/// Every witness value is pinned by its neighbours, except hints that may be anything and the next
/// input of a kind that reads none.
#[test]
fn every_witness_value_is_pinned() {
    for position in [BASE, PLAIN, ENDING] {
        let (mut system, _) = Bn254::fixture().at(position).synthesise();
        let free = system.unpinned();
        let is_zero_hint = |path: &str| {
            // `x * hint = 1 - bit` with x = 0: any hint will do, and nothing else reads it.
            let Some(name) = path.strip_suffix(" hint") else {
                return false;
            };
            system.get(&format!("{name} bit")) == Some(F::ONE)
        };
        let expected = |path: &&String| {
            is_zero_hint(path) || (path.as_str() == "next input" && position != ENDING)
        };
        let unexpected: Vec<_> = free.iter().filter(|path| !expected(path)).collect();
        assert_eq!(unexpected, [""; 0], "position {position}");
        assert_eq!(
            free.iter().any(|path| path == "next input"),
            position != ENDING
        );
        let base = free.iter().any(|path| path == "base case/index hint");
        assert_eq!(base, position == BASE);
        let hints = free.iter().filter(|path| path.contains("canonical run"));
        println!(
            "position {position}: {} free, of these {} in challenges",
            free.len(),
            hints.count()
        );
    }
}

//! Altered commitments and openings, reused salts, and statements that show something else.

use crate::fixture::*;
use foldnet::decider::spartan::domain;
use foldnet::opening::{Opened, Opening};
use foldnet::session::Inference;
use foldnet::visibility::{Shown, Side, Visibility};
use foldnet_gadgets::field::to_bytes;
use halo2curves::bn256::Fr;
use std::sync::LazyLock;

/// A proof of two inferences with private inputs and outputs.
static PROVEN: LazyLock<Proven> = LazyLock::new(|| {
    let inputs = [input(30), input(31)];
    Fixture::shared().prove(BOTH, Visibility::Public, &inputs, 32)
});

/// The verdict on altered inferences.
fn altered(alter: impl FnOnce(&mut Vec<Inference>)) -> String {
    let (fixture, proven) = (Fixture::shared(), &*PROVEN);
    let mut inferences = proven.inferences.clone();
    alter(&mut inferences);
    rejection(fixture.verify(BOTH, (proven.model, &inferences), &proven.proof))
}

fn bytes(shown: &mut Shown) -> &mut [u8; 32] {
    match shown {
        Shown::Commitment(bytes) => bytes,
        Shown::Values(_) => panic!("a commitment"),
    }
}

/// SECURITY 34: commitments of a statement are bound, in their places and in their encoding.
#[test]
fn line_34_altered_commitments_are_rejected() {
    Fixture::shared().accepts(&PROVEN).unwrap();
    // The first check that hashes the statement: the sum-check of the first kind's instance.
    let first = "the proof is rejected";
    for (name, message) in [
        ("an input", altered(|i| bytes(&mut i[0].input)[0] ^= 1)),
        ("an output", altered(|i| bytes(&mut i[1].output)[0] ^= 1)),
        ("inferences exchanged", altered(|i| i.swap(0, 1))),
        (
            "outputs exchanged",
            altered(|i| {
                let (first, second) = i.split_at_mut(1);
                std::mem::swap(&mut first[0].output, &mut second[0].output);
            }),
        ),
        (
            "sides exchanged",
            altered(|i| {
                let Inference { input, output } = &mut i[0];
                std::mem::swap(input, output);
            }),
        ),
        (
            "one left out",
            altered(|i| {
                i.pop();
            }),
        ),
    ] {
        assert!(message.starts_with(first), "{name}: {message}");
    }
    let message = altered(|i| *bytes(&mut i[0].input) = [0xff; 32]);
    assert!(
        message.starts_with("a commitment of the statement"),
        "{message}"
    );
    // The same element with the modulus added.
    let message = altered(|i| {
        let modulus = to_bytes(&-Fr::one());
        let mut carry = 1u16;
        for (byte, add) in bytes(&mut i[0].input).iter_mut().zip(modulus) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
    });
    assert!(
        message.starts_with("a commitment of the statement"),
        "{message}"
    );
}

/// SECURITY 24: a commitment where values are required is refused, and values where a commitment is.
/// Neither can be passed off as the other: a proof about values is none about their digest.
#[test]
fn line_24_values_and_commitments_are_told_apart() {
    let (fixture, public) = (Fixture::shared(), Visibility::Public);
    let inputs = [input(33)];
    let shows = fixture.prove(ALL[0], public, &inputs, 34);
    let hides = fixture.prove(INPUT, public, &inputs, 35);
    let of = |proven: &Proven, inferences: &[Inference], sides| {
        rejection(fixture.verify(sides, (proven.model, inferences), &proven.proof))
    };
    let message = of(&hides, &hides.inferences, ALL[0]);
    assert!(
        message.starts_with("an input, a commitment in place of values"),
        "{message}"
    );
    let message = of(&shows, &shows.inferences, INPUT);
    assert!(
        message.starts_with("an input, values in place of a commitment"),
        "{message}"
    );
    // The true values in place of the commitment.
    let message = of(&hides, &shows.inferences, ALL[0]);
    assert!(message.starts_with("the proof is rejected"), "{message}");
    // The true digest of the values, which is no salted one, in place of the values: only the
    // transcript's domain tells it from a commitment with the salt zero.
    let zero = Opening {
        side: Side::Input,
        tensors: vec![Opened::new(inputs[0].clone(), &Fr::zero())],
    };
    let statement = fixture.session.statement(shows.model, &shows.inferences);
    let digest = statement.unwrap().inferences[0].0;
    let relabelled = [Inference {
        input: Shown::commitment(&digest),
        output: shows.inferences[0].output.clone(),
    }];
    fixture.session.check_opening(&relabelled, &zero).unwrap();
    let message = of(&shows, &relabelled, INPUT);
    assert!(message.starts_with("the proof is rejected"), "{message}");
    let tags = ALL.map(|sides| to_bytes(&domain(sides).element::<Fr>()));
    let distinct: std::collections::BTreeSet<_> = tags.iter().collect();
    assert_eq!(distinct.len(), 4);
}

/// An opening of anything else is rejected, and says of what it is none.
#[test]
fn wrong_openings_are_rejected() {
    let (fixture, proven) = (Fixture::shared(), &*PROVEN);
    let check = |alter: &dyn Fn(&mut Opening)| {
        let mut opening = proven.openings[0].clone();
        assert_eq!(opening.side, Side::Input);
        fixture
            .session
            .check_opening(&proven.inferences, &opening)
            .unwrap();
        alter(&mut opening);
        rejection(fixture.session.check_opening(&proven.inferences, &opening))
    };
    let first = "the opening does not open the commitment to the input of inference 0";
    let second = "the opening does not open the commitment to the input of inference 1";
    for (name, expected, message) in [
        ("a value", first, check(&|o| o.tensors[0].values[3] ^= 1)),
        (
            "the second",
            second,
            check(&|o| o.tensors[1].values[0] ^= 1),
        ),
        ("a salt", first, check(&|o| o.tensors[0].salt[31] ^= 1)),
        (
            "salt plus r",
            first,
            check(&|o| o.tensors[0].salt = [0xff; 32]),
        ),
        ("exchanged", first, check(&|o| o.tensors.swap(0, 1))),
        // 256 of the first slot are one of the second: the same packed element.
        (
            "another packing",
            first,
            check(&|o| {
                o.tensors[0].values[0] += 256;
                o.tensors[0].values[1] -= 1;
            }),
        ),
        ("longer", first, check(&|o| o.tensors[0].values.push(0))),
        (
            "shorter",
            first,
            check(&|o| {
                o.tensors[0].values.pop();
            }),
        ),
        (
            "one inference",
            "the opening does not open the commitment to the input;",
            check(&|o| {
                o.tensors.pop();
            }),
        ),
        (
            "of the other side",
            "the opening does not open the commitment to the output of inference 0",
            check(&|o| o.side = Side::Output),
        ),
    ] {
        assert!(message.starts_with(expected), "{name}: {message}");
    }
    // An opening of a side that is shown opens nothing.
    let shown = fixture.run(OUTPUT, Visibility::Public, &[input(30), input(31)], 36);
    let opening = &proven.openings[0];
    let verdict = fixture.session.check_opening(&shown.inferences, opening);
    assert!(rejection(verdict).starts_with(first));
}

/// Two runs never have a salt in common: the same input has two commitments, and so have equal inputs
/// of one run.
#[test]
fn salts_are_not_used_twice() {
    let fixture = Fixture::shared();
    let mut rng = rand_core::OsRng;
    let inputs = vec![input(37); 2];
    let (session, model) = (&fixture.session, fixture.public.model);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let state =
            foldnet::run::RunState::begin_hiding(session, model, &inputs, BOTH, &mut rng).unwrap();
        // Nothing is finished, so that there is an opening of the inputs of none.
        assert!(state.openings(&inputs).unwrap()[0].tensors.is_empty());
        assert!(seen.insert(to_bytes(&state.recursion.start)));
    }
    for seed in [38, 39] {
        let run = fixture.run(BOTH, Visibility::Public, &inputs, seed);
        for opening in &run.openings {
            for opened in &opening.tensors {
                assert!(seen.insert(opened.salt));
            }
        }
        for inference in &run.inferences {
            for side in Side::ALL {
                let Shown::Commitment(bytes) = inference.side(side) else {
                    panic!("a commitment")
                };
                assert!(seen.insert(*bytes), "{side:?}");
            }
        }
    }
    assert_eq!(seen.len(), 2 + 2 * 8);
}

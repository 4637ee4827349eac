//! Honest proofs of all choices, blinds, and openings.

use crate::fixture::*;
use foldnet::blinds::{BlindsError, WeightBlinds};
use foldnet::error::Error;
use foldnet::fold::prover::Start;
use foldnet::model::plan::PlanOptions;
use foldnet::opening::Opening;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::visibility::{Side, Visibility};
use std::fs;
use std::path::Path;

/// Two inferences in one run, all eight choices: accepted as what they are, and as nothing else.
#[test]
fn all_choices_of_what_is_private_are_proven() {
    let fixture = Fixture::shared();
    let inputs = [input(10), input(11)];
    let known = fixture.run(ALL[0], Visibility::Public, &inputs, 1);
    for model in [Visibility::Public, Visibility::Private] {
        for (i, sides) in ALL.into_iter().enumerate() {
            let proven = fixture.prove(sides, model, &inputs, 20 + i as u64);
            fixture.accepts(&proven).unwrap();
            let claimed = proven.inferences.as_slice();
            for other in ALL.into_iter().filter(|other| *other != sides) {
                let verdict = fixture.verify(other, (proven.model, claimed), &proven.proof);
                let message = rejection(verdict);
                assert!(message.contains("in place of"), "{message}");
            }
            let foreign = match model {
                Visibility::Public => fixture.private.model,
                Visibility::Private => fixture.public.model,
            };
            rejection(fixture.verify(sides, (foreign, claimed), &proven.proof));
            // What is shown is what is true, and what is hidden opens to it.
            for (side, truth) in [
                (Side::Input, inputs.to_vec()),
                (Side::Output, known.state.outputs.clone()),
            ] {
                let opening = proven.openings.iter().find(|opening| opening.side == side);
                assert_eq!(opening.is_some(), sides.of(side).is_private());
                let shown: Vec<Vec<i64>> = match opening {
                    Some(opening) => {
                        fixture.session.check_opening(claimed, opening).unwrap();
                        opening.tensors.iter().map(|o| o.values.clone()).collect()
                    }
                    None => claimed
                        .iter()
                        .map(|i| i.side(side).values().unwrap().to_vec())
                        .collect(),
                };
                assert_eq!(shown, truth, "{sides:?} {side:?}");
            }
        }
    }
}

/// Nothing private is folded into start instances that hide nothing.
#[test]
fn a_private_model_is_proven_from_masked_instances_only() {
    let fixture = Fixture::shared();
    let result = fixture.session.prove(
        &fixture.program,
        &fixture.private,
        (&[input(1)], Start::Public),
        &mut Silent,
        &mut rng(1),
    );
    assert!(matches!(result, Err(Error::Unmasked)));
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// SECURITY 25: blinds are drawn once, kept for their owner alone, and never replaced; the id that
/// they make is the same every time, and no other blinds make it.
#[test]
fn line_25_blinds_are_drawn_once_and_kept_private() {
    let fixture = Fixture::shared();
    let (session, program) = (&fixture.session, &fixture.program);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.blinds");
    let publish = |path: &Path, seed| session.publish(program, path, &mut Silent, &mut rng(seed));
    let published = publish(&path, 2).unwrap();
    assert!(published.blinds.is_private());
    assert_eq!(mode(&path), 0o600);
    assert_ne!(published.model, fixture.public.model);
    // The commitments have nothing in common with those of the public model.
    let both = published
        .commitments
        .iter()
        .zip(&fixture.public.commitments);
    assert!(both.into_iter().all(|(private, public)| private != public));

    let bytes = fs::read(&path).unwrap();
    let refused = publish(&path, 3).unwrap_err();
    assert!(refused.to_string().contains("exists"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let again = session.commit_private(program, &path, &mut Silent).unwrap();
    assert_eq!(again.model, published.model);
    let cache = Some(folder.path());
    for _ in 0..2 {
        let cached = session.commit_private_cached(program, &path, cache, &mut Silent, &mut rng(4));
        assert_eq!(cached.unwrap().model, published.model);
    }
    // The cache of commitments is not taken for those with other blinds, and holds no blind.
    let other = folder.path().join("other.blinds");
    let second = publish(&other, 5).unwrap();
    assert_ne!(second.model, published.model);
    let cached = session.commit_private_cached(program, &other, cache, &mut Silent, &mut rng(6));
    assert_eq!(cached.unwrap().model, second.model);
    let WeightBlinds::Private(blinds) = &published.blinds else {
        panic!("private blinds")
    };
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap().path();
        let bytes = fs::read(&entry).unwrap();
        let holds = blinds.iter().any(|blind| {
            let blind = foldnet_gadgets::field::to_bytes(blind);
            bytes.windows(32).any(|window| window == blind)
        });
        assert_eq!(holds, entry == path, "{}", entry.display());
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
    }
    let shown = format!("{published:?}");
    assert!(shown.contains("Private(3 steps)"), "{shown}");
}

/// Blinds of another model are refused, and the error names both ids.
#[test]
fn blinds_of_another_model_are_refused_by_both_ids() {
    let fixture = Fixture::shared();
    let session = &fixture.session;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.blinds");
    let published = session
        .publish(&fixture.program, &path, &mut Silent, &mut rng(7))
        .unwrap();
    let options = PlanOptions {
        max_weight_variables: 9,
        ..PlanOptions::default()
    };
    let mut network = network();
    network.nodes[1].weights.as_mut().unwrap().0[[0, 0]] ^= 1;
    let altered = Program::new("test", &network, &options).unwrap();
    let error = session
        .commit_private(&altered, &path, &mut Silent)
        .unwrap_err();
    let Error::Blinds(error) = error else {
        panic!("an error about blinds, got {error}")
    };
    let message = error.to_string();
    let BlindsError::Another {
        published: named,
        found,
        ..
    } = *error
    else {
        panic!("blinds of another model, got {error:?}")
    };
    assert_eq!(named, foldnet::artefact::show_model_id(&published.model));
    assert_ne!(named, found);
    assert!(message.contains(&named) && message.contains(&found));
    // Another number of steps.
    network.nodes.insert(0, network.nodes[0].clone());
    for (i, node) in network.nodes.iter_mut().enumerate() {
        node.operands = vec![i];
    }
    network.output = network.nodes.len();
    let deeper = Program::new("test", &network, &options).unwrap();
    let error = session
        .commit_private(&deeper, &path, &mut Silent)
        .unwrap_err();
    assert!(
        matches!(&error, Error::Blinds(e) if matches!(**e, BlindsError::Steps { expected: 3, got: 4, .. })),
        "{error}"
    );
    let few = WeightBlinds::draw(2, &mut rng(8));
    let error = session
        .commit_with(&fixture.program, &few, &mut Silent)
        .unwrap_err();
    assert!(error.to_string().starts_with("weight blinds"), "{error}");
}

/// SECURITY 25: openings are written for their owner alone, one file a side.
#[test]
fn line_25_openings_are_kept_private() {
    let fixture = Fixture::shared();
    let run = fixture.run(BOTH, Visibility::Public, &[input(3)], 4);
    let folder = tempfile::tempdir().unwrap();
    let proof = folder.path().join("a.proof");
    for opening in &run.openings {
        let path = Opening::path(&proof, opening.side);
        opening.write(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(Opening::read(&path).unwrap(), *opening);
        let shown = format!("{opening:?} {:?}", opening.tensors);
        assert_eq!(
            shown,
            format!(
                "Opening({} of 1 inferences) [Opened({WIDTH} values)]",
                opening.side.name()
            )
        );
        let mut bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            assert!(Opening::decode(&bytes[..length]).is_err());
        }
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        assert!(Opening::decode(&bytes[..]).is_err());
    }
    let shown = format!("{:?} {:?}", run.state, run.state.salts);
    assert_eq!(
        shown,
        "RunState(3 steps, 1 outputs) Salts(1 of inputs, 1 of outputs)"
    );
}

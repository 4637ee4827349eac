//! A private input, up to the contract.

use crate::alike::{Parts, alike, found, secrets};
use crate::fixture::*;
use foldnet::decider::groth16::Claimed;
use foldnet::decider::keys::Groth16Cache;
use foldnet::decider::spartan::argue;
use foldnet::opening::Opening;
use foldnet::visibility::{Side, Visibility};
use foldnet_compress::evm::{Machine, Parameters, Refusal, calldata, verify_public};
use foldnet_compress::groth16::ProvingKey;
use foldnet_compress::mercury::words::{Word, scalar_word};
use foldnet_gadgets::mock::MockSystem;
use halo2curves::bn256::Fr;
use std::collections::BTreeSet;
use std::path::Path;

/// A proof as it is sent to a contract.
struct Sent {
    words: Vec<Word>,
    bytes: Vec<u8>,
    openings: Vec<Opening>,
    live: Vec<Vec<i64>>,
}

/// The verdict of the contract's code, which is that of its native twin.
fn verdict(parameters: &Parameters, words: &[Word], bytes: &[u8]) -> Result<(), Refusal> {
    let native = verify_public(parameters, words, bytes);
    let mut machine = Machine::deploy(parameters).unwrap();
    let called = machine.call(&calldata(words, bytes)).unwrap().verdict;
    assert_eq!(called, native);
    native
}

/// Two private inputs with one output are proven under one key. The commitment is bound, nothing else
/// can be put in its place, and the proofs look alike.
#[test]
fn line_20_a_private_input_is_proven_to_the_contract() {
    let fixture = Fixture::shared();
    let decider = fixture.decider(INPUT);
    let shape = decider.shape().unwrap();
    let key = ProvingKey::development(&shape, &mut rng(70)).unwrap();
    let send = |input: Vec<i64>, seed| {
        let run = fixture.run(INPUT, Visibility::Public, &[input], seed);
        let model = fixture.public.model;
        let digests = fixture
            .session
            .statement_showing(INPUT, model, &run.inferences)
            .unwrap();
        let elements = decider.statement.pack::<Fr>(&run.inferences).unwrap();
        let claimed = Claimed {
            digests: &digests,
            elements: &elements,
            context: Fr::from(9),
        };
        let recursion = run.state.recursion;
        let proof = decider.prove((&key, &shape), recursion, &claimed, &mut rng(seed));
        let context = [Fr::from(9)];
        Sent {
            words: context.iter().chain(&elements).map(scalar_word).collect(),
            bytes: proof.unwrap().to_bytes(),
            openings: run.openings,
            live: run.live,
        }
    };
    let first = send(input(72), 73);
    let second = send(sibling(&input(72)), 74);
    let parameters = decider
        .parameters(key.verifying_key(), fixture.public.model)
        .unwrap();
    let verdict = |words: &[Word], bytes: &[u8]| verdict(&parameters, words, bytes);
    assert_eq!(verdict(&first.words, &first.bytes), Ok(()));
    assert_eq!(verdict(&second.words, &second.bytes), Ok(()));
    // One element for the commitment, and the same output.
    assert_eq!(first.words.len(), 3);
    assert_ne!(first.words[1], second.words[1]);
    assert_eq!(first.words[2], second.words[2]);

    let invalid = Err(Refusal::ProofInvalid);
    let put = |element: Word| {
        let mut words = first.words.clone();
        words[1] = element;
        verdict(&words, &first.bytes)
    };
    assert_eq!(put(second.words[1]), invalid);
    let mut altered = first.words[1];
    altered[31] ^= 1;
    assert_eq!(put(altered), invalid);
    // The packed values, and their digest without a salt, are no commitment.
    let public = fixture.decider(ALL[0]).statement;
    let opened = &first.openings[0];
    assert_eq!(opened.side, Side::Input);
    let values = &opened.tensors[0].values;
    let packed = public.input.pack::<Fr>("input", values).unwrap();
    assert_eq!(packed.len(), 1);
    assert_eq!(put(scalar_word(&packed[0])), invalid);
    assert_eq!(
        put([0xff; 32]),
        Err(Refusal::StatementOutOfRange { index: 1 })
    );

    let parts = [&first, &second].map(|sent| {
        let mut parts = Parts::default();
        parts.add_words("proof", &sent.bytes);
        parts
    });
    alike(&parts[0], &parts[1], &[]);
    assert_eq!(first.bytes.len(), second.bytes.len());
    for sent in [&first, &second] {
        let data = calldata(&sent.words, &sent.bytes);
        let secrets = secrets(&sent.openings, &sent.live);
        assert_eq!(found(&secrets, &data), Vec::<&str>::new());
    }
}

/// Which sides are private is part of the circuit and of what names its keys.
#[test]
fn line_05_visibility_is_a_constant_of_the_circuit() {
    let fixture = Fixture::shared();
    let (mut circuits, mut names) = (Vec::new(), Vec::new());
    for sides in ALL {
        let decider = fixture.decider(sides);
        let cache = Groth16Cache::new(&decider, Some(Path::new("keys")));
        names.push(cache.path("circuit").unwrap().display().to_string());
        circuits.push(decider.shape().unwrap().digest().to_string());
    }
    for list in [names, circuits] {
        let distinct: BTreeSet<_> = list.iter().collect();
        assert_eq!(distinct.len(), ALL.len(), "{list:?}");
    }
}

/// SECURITY 34: the circuit binds the commitment to the run's own digests.
#[test]
fn line_34_an_altered_commitment_fails_by_name() {
    let fixture = Fixture::shared();
    for (sides, element, first) in [
        (INPUT, 0, "state/t_0"),
        (OUTPUT, 1, "state/inputs and outputs"),
    ] {
        let decider = fixture.decider(sides);
        let run = fixture.run(sides, Visibility::Public, &[input(75)], 76);
        let digests = fixture
            .session
            .statement_showing(sides, fixture.public.model, &run.inferences)
            .unwrap();
        let elements = decider.statement.pack::<Fr>(&run.inferences).unwrap();
        let claimed = Claimed {
            digests: &digests,
            elements: &elements,
            context: Fr::zero(),
        };
        let recursion = run.state.recursion;
        let (params, shapes) = (decider.params, decider.shapes);
        let argued = argue(params, shapes, recursion, &digests, &mut rng(77)).unwrap();
        let inputs = decider.inputs(argued.argument, &claimed, argued.blind, Fr::from(78));
        let mut inputs = inputs.unwrap();
        let failures = |inputs: &_| {
            let mut system = MockSystem::default();
            decider.circuit(inputs).constrain(&mut system).unwrap();
            let failures = system.failures().into_iter().map(|f| f.path);
            failures.collect::<Vec<String>>()
        };
        assert_eq!(failures(&inputs), Vec::<String>::new());
        inputs.statement[element] += Fr::one();
        let failures = failures(&inputs);
        assert_eq!(failures.first().map(String::as_str), Some(first));
    }
}

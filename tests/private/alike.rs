//! Two proofs of different private inputs with equal outputs look alike in every public field.
//!
//! A proof's file is taken apart into its elements: field elements, coordinates, words. Compared are
//! the number and place of all of them, which are zero or small, which are equal to each other inside
//! one proof, and which are equal in two proofs. Secrets are searched for in the bytes.

use crate::fixture::*;
use foldnet::blinds::WeightBlinds;
use foldnet::decider::spartan;
use foldnet::files::encode_value;
use foldnet::fold::prover::Start;
use foldnet::opening::Opening;
use foldnet::progress::Silent;
use foldnet::proof::{About, SpartanProof};
use foldnet::visibility::{Sides, Visibility};
use foldnet_gadgets::field::{from_bytes, to_bytes};
use foldnet_gadgets::hash::HashConstants;
use foldnet_layers::tensor;
use halo2curves::bn256::Fr;
use serde_json::Value;
use std::collections::BTreeMap;

/// Bytes that are zero at one end of a small element. A uniform one has so many with probability
/// 2^-63.
const SMALL: usize = 8;

/// Elements by their places, and everything else.
#[derive(Debug, Default)]
pub struct Parts {
    pub elements: BTreeMap<String, [u8; 32]>,
    /// Numbers and texts that are no elements.
    pub rest: BTreeMap<String, String>,
}

/// Bytes, if it is a list of numbers below 256.
fn bytes_of(list: &[Value]) -> Option<Vec<u8>> {
    let byte = |value: &Value| value.as_u64().and_then(|n| u8::try_from(n).ok());
    list.iter().map(byte).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

impl Parts {
    fn add(&mut self, place: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.add(&format!("{place}.{name}"), value);
                }
            }
            Value::Array(list) => {
                let whole = list.len() >= 32 && list.len() % 32 == 0;
                if let Some(bytes) = bytes_of(list).filter(|_| whole) {
                    self.add_words(place, &bytes);
                    return;
                }
                for (i, value) in list.iter().enumerate() {
                    self.add(&format!("{place}[{i}]"), value);
                }
            }
            Value::String(text) if from_hex(text).is_some() => {
                self.elements
                    .extend(from_hex(text).map(|e| (place.into(), e)));
            }
            other => {
                self.rest.insert(place.into(), other.to_string());
            }
        }
    }

    /// Bytes that are elements one after the other.
    pub fn add_words(&mut self, place: &str, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<32>();
        assert!(rest.is_empty(), "{place}");
        for (i, word) in words.iter().enumerate() {
            self.elements.insert(format!("{place}/{i}"), *word);
        }
    }

    fn of(file: &SpartanProof) -> Self {
        let mut parts = Parts::default();
        // What the statement shows, and the architecture, are compared as they are.
        parts.add("proof", &serde_json::to_value(&file.proof).unwrap());
        parts
    }

    /// The places of zero and small elements.
    fn small(&self) -> Vec<&str> {
        let zeros = |bytes: &mut dyn Iterator<Item = &u8>| bytes.take_while(|b| **b == 0).count();
        let is_small = |element: &[u8; 32]| {
            zeros(&mut element.iter()) >= SMALL || zeros(&mut element.iter().rev()) >= SMALL
        };
        let small = self.elements.iter().filter(|(_, e)| is_small(e));
        small.map(|(place, _)| place.as_str()).collect()
    }

    /// The places of elements that are equal to each other, group by group.
    fn repeated(&self) -> Vec<Vec<&str>> {
        let mut places: BTreeMap<[u8; 32], Vec<&str>> = BTreeMap::new();
        for (place, element) in &self.elements {
            places.entry(*element).or_default().push(place);
        }
        let mut groups: Vec<_> = places.into_values().filter(|g| g.len() > 1).collect();
        groups.sort();
        groups
    }

    /// The places of elements that two proofs have in common.
    fn common<'a>(&'a self, other: &Parts) -> Vec<&'a str> {
        let equal =
            |(place, element): &(&String, &[u8; 32])| other.elements.get(*place) == Some(*element);
        let common = self.elements.iter().filter(equal);
        common.map(|(place, _)| place.as_str()).collect()
    }
}

/// The challenge of the pending accumulation: digits that are drawn, not shown by anything else.
const DIGITS: [&str; 2] = [
    "proof.argument.ending.accumulator.challenge.choices",
    "proof.argument.ending.accumulator.challenge.signs",
];

/// Two proofs tell nothing apart but what is drawn; `common` is what all proofs of the model share.
pub fn alike(first: &Parts, second: &Parts, common: &[&str]) {
    let places = |parts: &Parts| parts.elements.keys().cloned().collect::<Vec<_>>();
    assert_eq!(places(first), places(second));
    let others = |parts: &Parts| parts.rest.keys().cloned().collect::<Vec<_>>();
    assert_eq!(others(first), others(second));
    for (place, text) in &first.rest {
        if !DIGITS.contains(&place.as_str()) {
            assert_eq!(second.rest.get(place), Some(text), "{place}");
        }
    }
    for parts in [first, second] {
        assert_eq!(parts.small(), Vec::<&str>::new());
    }
    assert_eq!(first.repeated(), second.repeated());
    assert_eq!(first.common(second), common);
}

/// What must not occur in the bytes of a proof, with its name: what openings hold, the live tensors
/// between steps, and blinds.
pub fn secrets(openings: &[Opening], live: &[Vec<i64>]) -> Vec<(String, Vec<u8>)> {
    let constants = HashConstants::<Fr>::default();
    let mut elements: Vec<(String, Fr)> = Vec::new();
    let mut secrets = Vec::new();
    let mut tensor = |name: String, values: &[i64]| {
        for (i, element) in tensor::pack::<Fr>(values, 8).into_iter().enumerate() {
            elements.push((format!("{name} packed {i}"), element));
        }
        let digest = tensor::digest(&constants, values, 8, Fr::zero());
        elements.push((format!("{name}, digest without a salt"), digest));
        secrets.push((name.clone(), encode_value(&values.to_vec()).unwrap()));
        let words: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        secrets.push((format!("{name} in words"), words));
        let bytes = values.iter().map(|v| v.to_le_bytes()[0]).collect();
        secrets.push((format!("{name} in bytes"), bytes));
    };
    for (i, live) in live.iter().enumerate() {
        tensor(format!("cut {i}"), live);
    }
    for opening in openings {
        for opened in &opening.tensors {
            tensor(opening.side.name().into(), &opened.values);
        }
    }
    for opening in openings {
        for opened in &opening.tensors {
            let salt = from_bytes::<Fr>(&opened.salt).unwrap();
            elements.push((format!("salt of the {}", opening.side.name()), salt));
        }
    }
    if let WeightBlinds::Private(blinds) = &Fixture::shared().private.blinds {
        let blinds = blinds.iter().enumerate();
        elements.extend(blinds.map(|(i, blind)| (format!("blind {i}"), *blind)));
    }
    for (name, element) in elements {
        let mut bytes = to_bytes(&element).to_vec();
        secrets.push((name.clone(), bytes.clone()));
        bytes.reverse();
        secrets.push((format!("{name}, reversed"), bytes));
    }
    secrets
}

/// The names of secrets that occur in some bytes.
pub fn found<'a>(secrets: &'a [(String, Vec<u8>)], bytes: &[u8]) -> Vec<&'a str> {
    let occurs = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    let found = secrets.iter().filter(|(_, secret)| occurs(secret));
    found.map(|(name, _)| name.as_str()).collect()
}

/// The commitment to the weights of the last step, which the last fold takes in: it is in the model id.
const PENDING: [&str; 2] = [
    "proof.argument.ending.accumulator.pending[0]/0",
    "proof.argument.ending.accumulator.pending[1]/0",
];

/// Proofs of one input, of the same again, and of another one with the same output.
fn three(sides: Sides, model: Visibility, other: Vec<i64>) -> [Proven; 3] {
    let fixture = Fixture::shared();
    let inputs = [input(50), input(50), other];
    let mut seeds = 60..;
    inputs.map(|input| fixture.prove(sides, model, &[input], seeds.next().unwrap()))
}

fn compare(proofs: &[Proven; 3]) {
    let fixture = Fixture::shared();
    let files = proofs.each_ref().map(|proven| fixture.file(proven));
    let parts = files.each_ref().map(Parts::of);
    let total = parts[0].elements.len();
    assert!(total > 300, "{total} elements");
    for (i, j) in [(0, 1), (0, 2), (1, 2)] {
        alike(&parts[i], &parts[j], &PENDING);
        let bytes = [i, j].map(|k| files[k].encode().unwrap().len());
        assert_eq!(files[i].about.architecture, files[j].about.architecture);
        // Integers have encodings of different lengths: these are equal, and everything else is long.
        let slack = 4 * DIGITS.len();
        assert!(bytes[0].abs_diff(bytes[1]) <= slack, "{bytes:?}");
    }
    for (proven, file) in proofs.iter().zip(&files) {
        let secrets = secrets(&proven.openings, &proven.live);
        assert!(secrets.len() > 20, "{} secrets", secrets.len());
        let bytes = file.encode().unwrap();
        assert_eq!(found(&secrets, &bytes), Vec::<&str>::new());
        fixture.accepts(proven).unwrap();
    }
}

/// SECURITY 25: different private inputs with equal outputs.
#[test]
fn line_25_private_inputs_with_equal_outputs_look_alike() {
    let other = sibling(&input(50));
    for model in [Visibility::Public, Visibility::Private] {
        let proofs = three(INPUT, model, other.clone());
        let outputs = proofs.each_ref().map(|p| p.inferences[0].output.clone());
        assert_eq!(outputs[0], outputs[2]);
        let inputs = proofs.each_ref().map(|p| p.inferences[0].input.clone());
        assert!(inputs[0] != inputs[1] && inputs[0] != inputs[2]);
        compare(&proofs);
    }
}

/// SECURITY 25: with private outputs, inputs with different outputs look alike, too.
#[test]
fn line_25_private_outputs_look_alike() {
    let proofs = three(BOTH, Visibility::Private, input(51));
    let outputs = proofs.each_ref().map(|p| &p.openings[1].tensors[0].values);
    assert_ne!(outputs[0], outputs[2]);
    compare(&proofs);
}

/// Controls: the search finds what a public proof shows, and the comparison sees what start instances
/// that are not masked leave.
#[test]
fn what_is_not_hidden_is_found() {
    let fixture = Fixture::shared();
    let inputs = [input(50)];
    let hides = fixture.prove(INPUT, Visibility::Public, &inputs, 60);
    let shows = fixture.prove(ALL[0], Visibility::Public, &inputs, 61);
    let bytes = fixture.file(&shows).encode().unwrap();
    let secrets = secrets(&hides.openings, &hides.live);
    let found = found(&secrets, &bytes);
    assert!(
        found.contains(&"input") && found.contains(&"input, digest without a salt"),
        "{found:?}"
    );

    let mut rng = rng(62);
    let (run, inferences, _) = fixture
        .session
        .prove(
            &fixture.program,
            &fixture.public,
            (&inputs, Start::Public),
            &mut Silent,
            &mut rng,
        )
        .unwrap();
    let (model, session) = (fixture.public.model, &fixture.session);
    let statement = session.statement(model, &inferences).unwrap();
    let (params, shapes) = (session.params(), &fixture.shapes);
    let proof = spartan::prove(params, shapes, run, &statement, &mut rng).unwrap();
    let architecture = session.architecture().clone();
    let file = SpartanProof {
        about: About {
            architecture,
            inferences,
        },
        proof,
    };
    let parts = Parts::of(&file);
    let small = parts.small();
    assert!(
        small.contains(&"proof.argument.ending.running[1].u"),
        "{small:?}"
    );
}

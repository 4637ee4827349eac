//! The contract and its native twin: what they accept, what they refuse and with which error, and
//! what it costs. Every case runs both and compares their verdicts.

mod fixture;

use ff::{Field, PrimeField};
use fixture::{Fixture, Shape, g1, g2};
use foldnet_compress::evm::{
    CONTRACT, EvmError, Groth16Key, Groth16Proof, Machine, Parameters, PublicInputs, Refusal,
    calldata, public_data, public_inputs, verify_public,
};
use foldnet_compress::mercury::words::{
    Word, decode_scalar, g2_words, point_words, scalar_word, word,
};
use foldnet_compress::mercury::{Challenges, OPENING_WORDS, Opening};
use halo2curves::CurveAffine;
use halo2curves::bn256::{Fq, Fq2, Fr, G1Affine, G2Affine};
use num_bigint::BigUint;
use std::path::{Path, PathBuf};
use std::process::Command;

const SMALL: Shape = Shape {
    statement: 4,
    commitments: 3,
    variables: 7,
};

/// A digits network with two kinds of steps.
const DIGITS: Shape = Shape {
    statement: 7,
    commitments: 7,
    variables: 20,
};

#[test]
fn true_proofs_are_accepted() {
    for variables in [2, 3, 6, 7] {
        for commitments in [1, 2, 7] {
            let fixture = Fixture::honest(Shape {
                statement: commitments,
                commitments,
                variables,
            });
            let mut machine = fixture.machine();
            let bytes = fixture.proof.to_bytes();
            let execution = fixture.verdict(&mut machine, &fixture.statement, &bytes);
            assert_eq!(execution.verdict, Ok(()), "{variables} variables");
        }
    }
}

/// Gas and bytes of a digits network; the ceilings are those of the design.
#[test]
fn gas_of_a_digits_network() {
    for variables in [18, 19, 20] {
        let fixture = Fixture::simulated(Shape {
            variables,
            ..DIGITS
        });
        let mut machine = fixture.machine();
        let bytes = fixture.proof.to_bytes();
        let execution = fixture.verdict(&mut machine, &fixture.statement, &bytes);
        assert_eq!(execution.verdict, Ok(()));
        let calldata = calldata(&fixture.statement, &bytes);
        println!(
            "{variables} variables, {} bytes: {:?}",
            calldata.len(),
            execution.gas
        );
        println!("deployment: {}", machine.deployment_gas());
        assert!(calldata.len() <= 2_600);
        assert!(execution.gas.total <= 480_000);
        assert_eq!(execution.gas.multiplications.0, 22);
        assert_eq!(execution.gas.pairings, (1, 215_000));
    }
}

/// What one more commitment and one more variable cost.
#[test]
fn gas_by_part() {
    let gas = |shape: Shape| {
        let fixture = Fixture::simulated(shape);
        let bytes = fixture.proof.to_bytes();
        let execution = fixture.verdict(&mut fixture.machine(), &fixture.statement, &bytes);
        execution.gas
    };
    for commitments in [1, 4, 7, 10] {
        println!(
            "{commitments} commitments: {:?}",
            gas(Shape {
                commitments,
                ..DIGITS
            })
        );
    }
    for statement in [4, 5, 6, 7, 20] {
        println!(
            "{statement} elements: {:?}",
            gas(Shape {
                statement,
                ..DIGITS
            })
        );
    }
}

/// What a word of the proof is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Scalar,
    Point,
    Groth16,
}

fn kinds(parameters: &Parameters) -> Vec<Kind> {
    let mut kinds = vec![Kind::Scalar];
    kinds.extend(vec![Kind::Point; 2 * parameters.commitments]);
    kinds.extend(vec![Kind::Scalar; 3 + parameters.variables]);
    kinds.extend([Kind::Point; 10]);
    kinds.extend([Kind::Scalar; 6]);
    kinds.extend([Kind::Point; 6]);
    kinds.extend([Kind::Groth16; 8]);
    kinds
}

fn modulus(text: &str) -> BigUint {
    BigUint::parse_bytes(text.trim_start_matches("0x").as_bytes(), 16).expect("hexadecimal")
}

fn plus(word: &Word, summand: &BigUint) -> Word {
    let sum = (BigUint::from_bytes_be(word) + summand).to_bytes_be();
    let mut bytes = [0; 32];
    bytes[32 - sum.len()..].copy_from_slice(&sum);
    bytes
}

#[test]
fn every_word_of_the_proof_is_bound() {
    let fixture = Fixture::honest(SMALL);
    let mut machine = fixture.machine();
    let words = fixture.proof.words();
    let kinds = kinds(&fixture.parameters);
    assert_eq!(kinds.len(), words.len());
    for (i, kind) in kinds.into_iter().enumerate() {
        let mut wrong = words.clone();
        wrong[i] = plus(&wrong[i], &BigUint::from(1u32));
        let expected = match kind {
            Kind::Scalar => Refusal::ProofInvalid,
            Kind::Point => Refusal::PointNotOnCurve,
            Kind::Groth16 => Refusal::PairingInputInvalid,
        };
        fixture.expect(&mut machine, &wrong, &expected, &format!("word {i}"));
    }
}

#[test]
fn every_word_of_the_proof_has_one_representation() {
    let fixture = Fixture::honest(SMALL);
    let mut machine = fixture.machine();
    let words = fixture.proof.words();
    for (i, kind) in kinds(&fixture.parameters).into_iter().enumerate() {
        let word = i as u64;
        let (modulus, expected) = match kind {
            Kind::Scalar => (modulus(Fr::MODULUS), Refusal::ScalarOutOfRange { word }),
            _ => (modulus(Fq::MODULUS), Refusal::CoordinateOutOfRange { word }),
        };
        for value in [
            plus(&words[i], &modulus),
            plus(&[0; 32], &modulus),
            [0xff; 32],
        ] {
            let mut wrong = words.clone();
            wrong[i] = value;
            fixture.expect(&mut machine, &wrong, &expected, &format!("word {i}"));
        }
    }
}

/// First words of the points of G1 in a proof.
fn points(parameters: &Parameters) -> Vec<usize> {
    let opening = 4 + 2 * parameters.commitments + parameters.variables;
    let commitments = (0..parameters.commitments).map(|i| 1 + 2 * i);
    let opening_points = [0, 2, 4, 6, 8, 16, 18, 20].map(|i| opening + i);
    let groth16 = [0, 6].map(|i| opening + OPENING_WORDS + i);
    commitments.chain(opening_points).chain(groth16).collect()
}

#[test]
fn every_point_is_bound() {
    let fixture = Fixture::honest(SMALL);
    let mut machine = fixture.machine();
    let words = fixture.proof.words();
    for i in points(&fixture.parameters) {
        let mut wrong = words.clone();
        wrong[i..i + 2].copy_from_slice(&point_words(&g1(Fr::from(77))));
        fixture.expect(
            &mut machine,
            &wrong,
            &Refusal::ProofInvalid,
            "another point",
        );
        // The negative of a point differs in y only.
        let mut negated = words.clone();
        let y = modulus(Fq::MODULUS) - BigUint::from_bytes_be(&words[i + 1]);
        negated[i + 1] = plus(&[0; 32], &y);
        fixture.expect(&mut machine, &negated, &Refusal::ProofInvalid, "negative");
        let mut identity = words.clone();
        identity[i..i + 2].copy_from_slice(&[[0; 32]; 2]);
        let expected = Refusal::PointAtInfinity { word: i as u64 };
        fixture.expect(&mut machine, &identity, &expected, "identity");
        let mut off = words.clone();
        off[i..i + 2].copy_from_slice(&[word(1), word(1)]);
        let groth16 = i >= words.len() - 8;
        let expected = if groth16 {
            Refusal::PairingInputInvalid
        } else {
            Refusal::PointNotOnCurve
        };
        fixture.expect(&mut machine, &off, &expected, "off the curve");
        // y = 0 is on no curve point; the contract negates the y of A.
        off[i + 1] = word(0);
        fixture.expect(&mut machine, &off, &expected, "y = 0");
    }
}

/// A point of the twist that is not in the group of order r.
fn outside_subgroup() -> [Word; 4] {
    let point = (1u64..)
        .filter_map(|x| {
            let x = Fq2::from(x);
            let y = (x.square() * x + G2Affine::b()).sqrt();
            let point = Option::from(y).map(|y| G2Affine { x, y })?;
            let words = g2_words(&point);
            foldnet_compress::mercury::words::decode_g2(&words)
                .is_none()
                .then_some(words)
        })
        .next();
    point.expect("most points of the twist")
}

#[test]
fn b_is_in_the_group_of_order_r() {
    let fixture = Fixture::honest(SMALL);
    let mut machine = fixture.machine();
    let words = fixture.proof.words();
    let b = words.len() - 6;
    let cases = [
        (outside_subgroup(), Refusal::PairingInputInvalid),
        (g2_words(&g2(Fr::from(5))), Refusal::ProofInvalid),
        ([[0; 32]; 4], Refusal::PointAtInfinity { word: b as u64 }),
        ([word(1); 4], Refusal::PairingInputInvalid),
    ];
    for (point, expected) in cases {
        let mut wrong = words.clone();
        wrong[b..b + 4].copy_from_slice(&point);
        fixture.expect(&mut machine, &wrong, &expected, "B");
    }
    // Real and imaginary parts swapped.
    let mut swapped = words.clone();
    swapped.swap(b, b + 1);
    swapped.swap(b + 2, b + 3);
    fixture.expect(
        &mut machine,
        &swapped,
        &Refusal::PairingInputInvalid,
        "swapped",
    );
}

#[test]
fn parts_cannot_be_exchanged() {
    let fixture = Fixture::honest(SMALL);
    let mut machine = fixture.machine();
    let words = fixture.proof.words();
    let first = points(&fixture.parameters);
    for pair in first.windows(2) {
        let mut swapped = words.clone();
        swapped.swap(pair[0], pair[1]);
        swapped.swap(pair[0] + 1, pair[1] + 1);
        fixture.expect(&mut machine, &swapped, &Refusal::ProofInvalid, "points");
    }
    let scalars = kinds(&fixture.parameters);
    let scalars: Vec<usize> = (0..words.len())
        .filter(|i| scalars[*i] == Kind::Scalar)
        .collect();
    for pair in scalars.windows(2) {
        let mut swapped = words.clone();
        swapped.swap(pair[0], pair[1]);
        fixture.expect(&mut machine, &swapped, &Refusal::ProofInvalid, "scalars");
    }
}

/// Halves of two valid proofs for the same key.
#[test]
fn halves_of_two_proofs_do_not_mix() {
    let fixture = Fixture::simulated(SMALL);
    let mut machine = fixture.machine();
    let mut proof = fixture.proof.clone();
    let data = public_data(
        &fixture.parameters.model,
        fixture.parameters.count,
        &[Fr::ONE; 4],
        &proof.claim,
    );
    let (_, inputs) = public_inputs(&data, proof.p);
    let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(9);
    proof.groth16 = fixture.trapdoor.groth16(&inputs, &mut rng);
    fixture.expect(
        &mut machine,
        &proof.words(),
        &Refusal::ProofInvalid,
        "Groth16",
    );
}

#[test]
fn the_statement_is_bound() {
    let fixture = Fixture::honest(SMALL);
    let mut machine = fixture.machine();
    let bytes = fixture.proof.to_bytes();
    for i in 0..SMALL.statement {
        let mut other = fixture.statement.clone();
        other[i] = plus(&other[i], &BigUint::from(1u32));
        let execution = fixture.verdict(&mut machine, &other, &bytes);
        assert_eq!(execution.verdict, Err(Refusal::ProofInvalid), "element {i}");
        let mut shifted = fixture.statement.clone();
        shifted[i] = plus(&shifted[i], &modulus(Fr::MODULUS));
        let execution = fixture.verdict(&mut machine, &shifted, &bytes);
        let expected = Refusal::StatementOutOfRange { index: i as u64 };
        assert_eq!(execution.verdict, Err(expected), "element {i} + r");
    }
}

#[test]
fn lengths_are_exact() {
    let fixture = Fixture::honest(SMALL);
    let mut machine = fixture.machine();
    let bytes = fixture.proof.to_bytes();
    let whole = bytes.len() as u64;
    for got in [0, 1, whole - 32, whole - 1, whole + 1, whole + 32] {
        let mut other = bytes.clone();
        other.resize(got as usize, 0);
        let execution = fixture.verdict(&mut machine, &fixture.statement, &other);
        let expected = Refusal::ProofLength {
            expected: whole,
            got,
        };
        assert_eq!(execution.verdict, Err(expected));
    }
    for got in [0, 1, 3, 5] {
        let mut other = fixture.statement.clone();
        other.resize(got, [0; 32]);
        let execution = fixture.verdict(&mut machine, &other, &bytes);
        let expected = Refusal::StatementLength {
            expected: 4,
            got: got as u64,
        };
        assert_eq!(execution.verdict, Err(expected));
    }
}

#[test]
fn calldata_has_one_encoding() {
    let fixture = Fixture::honest(SMALL);
    let mut machine = fixture.machine();
    let good = calldata(&fixture.statement, &fixture.proof.to_bytes());
    let mut call = |data: &[u8]| machine.call(data).expect("the gas suffices").verdict;
    assert_eq!(call(&good), Ok(()));
    for length in [0, 3, 4, 67, 100, good.len() - 32, good.len() - 1] {
        assert_eq!(
            call(&good[..length]),
            Err(Refusal::Undecodable),
            "{length} bytes"
        );
    }
    for extra in [1, 32] {
        let longer = [good.as_slice(), &vec![0; extra]].concat();
        assert_eq!(call(&longer), Err(Refusal::CalldataLayout));
    }
    // The same arrays with a gap in between.
    let mut gap = good.clone();
    let proof = 4 + 3 * 32 + 32 * SMALL.statement;
    gap.splice(proof..proof, [0; 32]);
    gap[4 + 32..4 + 64].copy_from_slice(&word((proof + 32 - 4) as u64));
    assert_eq!(call(&gap), Err(Refusal::CalldataLayout));
    let other_selector = [&[1, 2, 3, 4], &good[4..]].concat();
    assert_eq!(call(&other_selector), Err(Refusal::Undecodable));
}

#[test]
fn every_parameter_is_bound() {
    let fixture = Fixture::honest(SMALL);
    let bytes = fixture.proof.to_bytes();
    let other = || g1(Fr::from(5));
    let spoil: [&dyn Fn(&mut Parameters); 11] = [
        &|p| p.groth16.alpha = other(),
        &|p| p.groth16.beta = g2(Fr::from(5)),
        &|p| p.groth16.delta = g2(Fr::from(5)),
        &|p| p.groth16.inputs[0] = other(),
        &|p| p.groth16.inputs[1] = other(),
        &|p| p.groth16.inputs[2] = other(),
        &|p| p.groth16.inputs[3] = other(),
        &|p| p.tau_h = g2(Fr::from(5)),
        &|p| p.blind_generator = other(),
        &|p| p.model += Fr::ONE,
        &|p| p.count += 1,
    ];
    for (i, spoil) in spoil.into_iter().enumerate() {
        let mut parameters = fixture.parameters.clone();
        spoil(&mut parameters);
        let mut machine = Machine::deploy(&parameters).expect("still a key");
        let execution = machine
            .call(&calldata(&fixture.statement, &bytes))
            .expect("the gas suffices");
        assert_eq!(
            execution.verdict,
            Err(Refusal::ProofInvalid),
            "parameter {i}"
        );
        let native = verify_public(&parameters, &fixture.statement, &bytes);
        assert_eq!(native, Err(Refusal::ProofInvalid), "parameter {i}");
    }
}

/// Sizes that leave all lengths as they are, and a proof for the other sizes.
#[test]
fn sizes_are_bound() {
    let fixture = Fixture::simulated(SMALL);
    let bytes = fixture.proof.to_bytes();
    let mut parameters = fixture.parameters.clone();
    parameters.commitments -= 1;
    parameters.variables += 2;
    let mut machine = Machine::deploy(&parameters).expect("still a key");
    let data = calldata(&fixture.statement, &bytes);
    let contract = machine.call(&data).expect("the gas suffices").verdict;
    let native = verify_public(&parameters, &fixture.statement, &bytes);
    assert_eq!(contract, native);
    assert!(contract.is_err());
}

#[test]
fn the_constructor_refuses_what_is_no_key() {
    let fixture = Fixture::honest(SMALL);
    let words = fixture.parameters.words();
    assert_eq!(words.len(), 29);
    let refused = |words: &[Word]| {
        matches!(
            Machine::deploy_words(words),
            Err(EvmError::Deployment(Refusal::ParameterInvalid))
        )
    };
    for i in 0..24 {
        let mut wrong = words.clone();
        wrong[i] = plus(&wrong[i], &BigUint::from(1u32));
        assert!(refused(&wrong), "coordinate {i}");
    }
    let first = [
        (0, 2),
        (2, 4),
        (6, 4),
        (10, 2),
        (12, 2),
        (14, 2),
        (16, 2),
        (18, 4),
        (22, 2),
    ];
    for (i, length) in first {
        let mut wrong = words.clone();
        wrong[i..i + length].fill([0; 32]);
        assert!(refused(&wrong), "identity at {i}");
    }
    let modulus = plus(&[0; 32], &modulus(Fr::MODULUS));
    let wrong_numbers = [
        (24, modulus),
        (25, modulus),
        (26, word(0)),
        (26, word(1025)),
        (27, word(0)),
        (27, word(257)),
        (28, word(1)),
        (28, word(65)),
    ];
    for (i, value) in wrong_numbers {
        let mut wrong = words.clone();
        wrong[i] = value;
        assert!(refused(&wrong), "word {i}");
    }
}

mod arkworks {
    //! A Groth16 proof by arkworks' own prover.

    use super::*;
    use ark_bn254::{Bn254, Fr as ArkFr, G1Affine as ArkG1, G2Affine as ArkG2};
    use ark_ec::AffineRepr;
    use ark_ff::{BigInteger, PrimeField as ArkPrimeField};
    use ark_groth16::Groth16;
    use ark_relations::gr1cs::{
        ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError,
    };

    /// Three public inputs and one constraint that has nothing to do with them.
    #[derive(Clone, Copy)]
    struct Toy([ArkFr; 3]);

    impl ConstraintSynthesizer<ArkFr> for Toy {
        fn generate_constraints(
            self,
            cs: ConstraintSystemRef<ArkFr>,
        ) -> Result<(), SynthesisError> {
            for input in self.0 {
                let input = cs.new_input_variable(|| Ok(input))?;
                let copy = LinearCombination::from(input);
                let one = LinearCombination::from(ark_relations::gr1cs::Variable::One);
                let (a, b) = (copy.clone(), copy);
                cs.enforce_r1cs_constraint(|| a, || one, || b)?;
            }
            let a = cs.new_witness_variable(|| Ok(ArkFr::from(3u64)))?;
            let b = cs.new_witness_variable(|| Ok(ArkFr::from(9u64)))?;
            let (left, right) = (LinearCombination::from(a), LinearCombination::from(a));
            cs.enforce_r1cs_constraint(|| left, || right, || LinearCombination::from(b))
        }
    }

    fn scalar(x: &Fr) -> ArkFr {
        ArkFr::from_be_bytes_mod_order(&scalar_word(x))
    }

    fn coordinate(x: impl ArkPrimeField) -> Fq {
        let mut repr = [0; 32];
        repr.copy_from_slice(&x.into_bigint().to_bytes_le());
        Option::from(Fq::from_repr(repr.into())).expect("canonical")
    }

    fn first(point: &ArkG1) -> G1Affine {
        let (x, y) = point.xy().expect("not the identity");
        Option::from(G1Affine::from_xy(coordinate(x), coordinate(y))).expect("on the curve")
    }

    fn second(point: &ArkG2) -> G2Affine {
        let (x, y) = point.xy().expect("not the identity");
        let pair = |c: ark_bn254::Fq2| Fq2::new(coordinate(c.c0), coordinate(c.c1));
        Option::from(G2Affine::from_xy(pair(x), pair(y))).expect("on the curve")
    }

    #[test]
    fn a_proof_by_arkworks_is_accepted() {
        let mut fixture = Fixture::honest(SMALL);
        let statement: Vec<Fr> = fixture.statement.iter().filter_map(decode_scalar).collect();
        let parameters = &fixture.parameters;
        let data = public_data(
            &parameters.model,
            parameters.count,
            &statement,
            &fixture.proof.claim,
        );
        let (_, PublicInputs { p, gamma, f }) = public_inputs(&data, fixture.proof.p);
        let circuit = Toy([p, gamma, f].each_ref().map(scalar));
        let mut rng = ark_std::test_rng();
        let [alpha, beta, delta] = [11u64, 12, 13].map(ArkFr::from);
        let key = Groth16::<Bn254>::generate_parameters_with_qap(
            circuit,
            alpha,
            beta,
            ArkFr::from(1u64),
            delta,
            ArkG1::generator().into_group(),
            ArkG2::generator().into_group(),
            &mut rng,
        )
        .expect("a key");
        let proof = Groth16::<Bn254>::create_random_proof_with_reduction(circuit, &key, &mut rng)
            .expect("a proof");
        let inputs: Vec<G1Affine> = key.vk.gamma_abc_g1.iter().map(first).collect();
        fixture.parameters.groth16 = Groth16Key {
            alpha: first(&key.vk.alpha_g1),
            beta: second(&key.vk.beta_g2),
            delta: second(&key.vk.delta_g2),
            inputs: inputs.try_into().expect("three inputs"),
        };
        fixture.proof.groth16 = Groth16Proof {
            a: first(&proof.a),
            b: second(&proof.b),
            c: first(&proof.c),
        };
        let mut machine = fixture.machine();
        let bytes = fixture.proof.to_bytes();
        let execution = fixture.verdict(&mut machine, &fixture.statement, &bytes);
        assert_eq!(execution.verdict, Ok(()));
    }
}

fn directory(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The committed build output is what the pinned compiler makes of the committed source.
#[test]
fn the_build_output_is_reproducible() {
    let contracts = directory("../contracts");
    if !contracts.join("node_modules/solc").exists() {
        let installed = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(&contracts)
            .status()
            .expect("this test needs Node.js with npm; install it");
        assert!(installed.success(), "npm ci failed in contracts/");
    }
    let output = tempfile::NamedTempFile::new().expect("a temporary file");
    let built = Command::new("node")
        .arg("build.mjs")
        .arg(output.path())
        .current_dir(&contracts)
        .status()
        .expect("this test needs Node.js; install it");
    assert!(built.success(), "the contract does not compile");
    let fresh = std::fs::read_to_string(output.path()).expect("the build output");
    assert!(
        fresh == CONTRACT,
        "run `node build.mjs` in contracts/ and commit the result"
    );
}

#[test]
fn the_contract_is_small_enough_to_deploy() {
    let build: serde_json::Value = serde_json::from_str(CONTRACT).expect("JSON");
    let size = build["deployedBytes"].as_u64().expect("a number");
    println!("{size} bytes");
    assert!(size < 24_576);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that native code, contract and circuit hash or encode, for one proof.
fn vectors() -> serde_json::Value {
    let fixture = Fixture::honest(Shape {
        statement: 3,
        commitments: 2,
        variables: 5,
    });
    let statement: Vec<Fr> = fixture.statement.iter().filter_map(decode_scalar).collect();
    let (parameters, proof) = (&fixture.parameters, &fixture.proof);
    let data = public_data(
        &parameters.model,
        parameters.count,
        &statement,
        &proof.claim,
    );
    let (digest, inputs) = public_inputs(&data, proof.p);
    let combined = proof.claim.combined(&parameters.blind_generator);
    let challenges = Challenges::derive(
        &digest,
        &combined,
        &proof.claim.point,
        &proof.claim.value,
        &proof.opening,
    );
    let words = |words: &[Word]| words.iter().map(|word| hex(word)).collect::<Vec<_>>();
    serde_json::json!({
        "parameters": words(&parameters.words()),
        "statement": words(&fixture.statement),
        "data": words(&data),
        "p": hex(&scalar_word(&inputs.p)),
        "digest": hex(&digest),
        "gamma": hex(&scalar_word(&inputs.gamma)),
        "f": hex(&scalar_word(&inputs.f)),
        "combined": words(&point_words(&combined)),
        "challenges": {
            "alpha": hex(&scalar_word(&challenges.alpha)),
            "gamma": hex(&scalar_word(&challenges.gamma)),
            "zeta": hex(&scalar_word(&challenges.zeta)),
            "beta": hex(&scalar_word(&challenges.beta)),
            "z": hex(&scalar_word(&challenges.z)),
            "delta": hex(&scalar_word(&challenges.delta)),
        },
        "calldata": hex(&calldata(&fixture.statement, &proof.to_bytes())),
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn words_of(value: &serde_json::Value) -> Vec<Word> {
    let words = value.as_array().expect("a list").iter();
    words
        .map(|word| {
            unhex(word.as_str().expect("text"))
                .try_into()
                .expect("32 bytes")
        })
        .collect()
}

/// The contract accepts the calldata of the file only if its own digest, gamma, f and challenges
/// are those that the native code computes, which are those of the file.
#[test]
fn native_code_and_contract_agree_with_the_vectors() {
    let path = directory("tests/vectors/opening.json");
    let text = std::fs::read_to_string(path).expect("the vector file");
    let file: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(file, vectors());
    let parameters = words_of(&file["parameters"]);
    let mut machine = Machine::deploy_words(&parameters).expect("a key");
    let calldata = unhex(file["calldata"].as_str().expect("text"));
    let execution = machine.call(&calldata).expect("the gas suffices");
    assert_eq!(execution.verdict, Ok(()));
}

/// Writes the vector file.
#[test]
#[ignore = "rewrites the vector file"]
fn write_vectors() {
    let text = serde_json::to_string_pretty(&vectors()).expect("JSON") + "\n";
    std::fs::write(directory("tests/vectors/opening.json"), text).expect("written");
}

#[test]
fn openings_decode_from_proofs() {
    let fixture = Fixture::honest(SMALL);
    let bytes = fixture.proof.to_bytes();
    let start = 32 * (4 + 2 * SMALL.commitments + SMALL.variables);
    let opening = Opening::decode(&bytes[start..start + 32 * OPENING_WORDS]);
    assert_eq!(opening, Ok(fixture.proof.opening));
}

//! Native and circuit twins of the core gadgets agree, and forged witnesses fail by name.

use bellpepper_core::ConstraintSystem;
use ff::{Field, PrimeField};
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::hash::{HashConstants, Tag, hash, hash_circuit};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::sumcheck::{self, RoundProver};
use foldnet_gadgets::system::{ShapeSystem, WitnessSystem};
use foldnet_gadgets::transcript::{Transcript, TranscriptCircuit};
use foldnet_gadgets::wire::{Wire, WireSystem, bits};
use halo2curves::bn256::Fr;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const TAG: Tag = Tag::new("test");

fn wires(cs: &mut MockSystem<Fr>, count: usize) -> Vec<Wire<Fr>> {
    (0..count)
        .map(|i| {
            cs.wire(|| format!("input {i}"), from_i64(i as i64 * 7 - 3))
                .unwrap()
        })
        .collect()
}

fn paths(cs: &MockSystem<Fr>) -> Vec<String> {
    cs.failures()
        .into_iter()
        .map(|failure| failure.path)
        .collect()
}

#[test]
fn hash_circuit_equals_native_at_every_length() {
    let constants = HashConstants::default();
    for length in [0, 1, 4, 5, 9, 10, 23, 24, 60] {
        let mut cs = MockSystem::new();
        let inputs = wires(&mut cs, length);
        // Sums with constants, not only variables, must hash right.
        let inputs: Vec<_> = inputs
            .iter()
            .zip(inputs.iter().rev())
            .map(|(x, y)| x.scale(Fr::from(3)).add(y).add_constant(Fr::from(11)))
            .collect();
        let values: Vec<Fr> = inputs.iter().map(Wire::value).collect();
        let digest = hash_circuit(&mut cs, &constants, TAG, &inputs).unwrap();
        assert_eq!(
            digest.value(),
            hash(&constants, TAG, &values),
            "length {length}"
        );
        assert_eq!(cs.failures(), vec![], "length {length}");
    }
}

#[test]
fn hash_binds_tag_and_length() {
    let constants = HashConstants::<Fr>::default();
    let zero = [Fr::ZERO; 3];
    assert_ne!(
        hash(&constants, TAG, &zero[..2]),
        hash(&constants, TAG, &zero)
    );
    assert_ne!(
        hash(&constants, TAG, &zero),
        hash(&constants, Tag::new("other"), &zero)
    );
}

#[test]
fn every_hash_witness_is_pinned() {
    let constants = HashConstants::default();
    let mut cs = MockSystem::new();
    let inputs = wires(&mut cs, 6);
    hash_circuit(&mut cs, &constants, TAG, &inputs).unwrap();
    assert_eq!(cs.unpinned(), Vec::<String>::new());
}

#[test]
fn witness_system_allocates_what_the_mock_system_does() {
    let constants = HashConstants::default();
    let mut mock = MockSystem::<Fr>::new();
    let mut witness = WitnessSystem::<Fr>::default();
    let mut shape = ShapeSystem::<Fr>::default();
    fn body<CS: ConstraintSystem<Fr>>(cs: &mut CS, constants: &HashConstants<Fr>) {
        let x: Vec<_> = (0..13)
            .map(|i| cs.wire(|| format!("x {i}"), Fr::from(i)).unwrap())
            .collect();
        let digest = hash_circuit(cs, constants, TAG, &x).unwrap();
        bits(cs, &digest, Fr::NUM_BITS as usize).unwrap();
    }
    body(&mut mock, &constants);
    body(&mut witness, &constants);
    body(&mut shape, &constants);
    assert_eq!(mock.auxiliary_values(), witness.auxiliary());
    assert_eq!(mock.constraint_count(), shape.rows());
    assert_eq!(mock.auxiliary_count(), shape.auxiliary());
    assert_eq!(paths(&mock), Vec::<String>::new());
}

#[test]
fn transcripts_agree_at_every_squeeze() {
    let constants = HashConstants::default();
    let mut cs = MockSystem::new();
    let inputs = wires(&mut cs, 30);
    let mut native = Transcript::new(&constants, TAG);
    let mut circuit = TranscriptCircuit::new(&constants, TAG);
    for chunk in [0..1, 1..3, 3..3, 3..30] {
        let values: Vec<Fr> = inputs[chunk.clone()].iter().map(Wire::value).collect();
        native.absorb(&values);
        circuit.absorb(&inputs[chunk]);
        assert_eq!(native.squeeze(), circuit.squeeze(&mut cs).unwrap().value());
    }
    assert_eq!(cs.failures(), vec![]);
}

#[test]
fn canonical_bits_reject_the_value_plus_modulus() {
    // 5 and 5 + r have different bits that recompose to the same element; only the first is
    // below the modulus.
    let mut cs = MockSystem::<Fr>::new();
    let x = cs.wire(|| "x", Fr::from(5)).unwrap();
    bits(&mut cs, &x, Fr::NUM_BITS as usize).unwrap();
    assert_eq!(cs.failures(), vec![]);
    let modulus_minus_one = (-Fr::ONE).to_repr();
    let mut carry = 6u16;
    let shifted: Vec<u8> = modulus_minus_one
        .as_ref()
        .iter()
        .map(|byte| {
            let sum = u16::from(*byte) + carry;
            carry = sum >> 8;
            sum as u8
        })
        .collect();
    for i in 0..Fr::NUM_BITS as usize {
        let bit = u64::from(shifted[i / 8] >> (i % 8) & 1);
        assert!(cs.set(&format!("bit {i}"), Fr::from(bit)));
    }
    let failed = paths(&cs);
    assert!(!failed.contains(&"bits recompose".to_string()));
    assert!(
        failed.iter().any(|path| path.contains("canonical")),
        "{failed:?}"
    );
}

/// Proves `sum_b f(b) g(b)` from two full tables.
struct Product {
    f: Vec<Fr>,
    g: Vec<Fr>,
}

impl RoundProver<Fr> for Product {
    fn message(&mut self, _: Fr) -> [Fr; 2] {
        let half = self.f.len() / 2;
        let mut message = [Fr::ZERO; 2];
        for i in 0..half {
            message[0] += self.f[i] * self.g[i];
            message[1] += (self.f[i + half] - self.f[i]) * (self.g[i + half] - self.g[i]);
        }
        message
    }

    fn bind(&mut self, r: Fr) {
        for table in [&mut self.f, &mut self.g] {
            let half = table.len() / 2;
            for i in 0..half {
                table[i] = table[i] + r * (table[i + half] - table[i]);
            }
            table.truncate(half);
        }
    }
}

#[test]
fn sumcheck_reduces_to_the_evaluation() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let f: Vec<Fr> = (0..16).map(|_| Fr::random(&mut rng)).collect();
    let g: Vec<Fr> = (0..16).map(|_| Fr::random(&mut rng)).collect();
    let claim = f.iter().zip(&g).map(|(f, g)| f * g).sum();
    let constants = HashConstants::default();
    let prover = || Product {
        f: f.clone(),
        g: g.clone(),
    };

    let (point, last) = sumcheck::run(
        &mut Transcript::new(&constants, TAG),
        claim,
        4,
        &mut prover(),
    );
    assert_eq!(
        last,
        sumcheck::evaluate(&f, &point) * sumcheck::evaluate(&g, &point)
    );

    let mut cs = MockSystem::new();
    let wire = cs.wire(|| "claim", claim).unwrap();
    let mut transcript = TranscriptCircuit::new(&constants, TAG);
    let (circuit_point, circuit_last) =
        sumcheck::run_circuit(&mut cs, &mut transcript, &wire, 4, &mut prover()).unwrap();
    assert_eq!(
        point,
        circuit_point.iter().map(Wire::value).collect::<Vec<_>>()
    );
    assert_eq!(last, circuit_last.value());
    assert_eq!(cs.failures(), vec![]);
}

#[test]
fn eq_tables_and_evaluations_agree() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let point: Vec<Fr> = (0..4).map(|_| Fr::random(&mut rng)).collect();
    let other: Vec<Fr> = (0..4).map(|_| Fr::random(&mut rng)).collect();
    let mut cs = MockSystem::new();
    let mut alloc = |name: &str, values: &[Fr]| -> Vec<Wire<Fr>> {
        let name = |i: usize| format!("{name} {i}");
        values
            .iter()
            .enumerate()
            .map(|(i, v)| cs.wire(|| name(i), *v).unwrap())
            .collect()
    };
    let (x, y) = (alloc("x", &point), alloc("y", &other));
    for count in [1, 5, 11, 16] {
        let mut cs = cs.namespace(|| format!("table {count}"));
        let table = sumcheck::eq_table_circuit(&mut cs, &x, count).unwrap();
        let values: Vec<Fr> = table.iter().map(Wire::value).collect();
        assert_eq!(values, sumcheck::eq_table(&point)[..count]);
    }
    let value = sumcheck::eq_eval_circuit(&mut cs, &x, &y).unwrap().value();
    assert_eq!(value, sumcheck::eq_eval(&point, &other));
    assert_eq!(
        value,
        sumcheck::evaluate(&sumcheck::eq_table(&point), &other)
    );
    assert_eq!(cs.failures(), vec![]);
}

#[test]
fn the_endomorphism_matches_its_scalar_on_all_four_curves() {
    use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta, curve_b, endomorphism};
    use nova_snark::provider::traits::{DlogGroup, DlogGroupExt};
    use nova_snark::traits::Engine;
    fn check<E: Engine<GE: DlogGroupExt>>()
    where
        E::Base: foldnet_gadgets::CircuitField,
        E::Scalar: foldnet_gadgets::CircuitField,
    {
        let (beta, lambda) = endomorphism::<E>();
        let point = E::GE::r#gen() * E::Scalar::from(5);
        let (x, y, _) = point.to_coordinates();
        assert_eq!((point * lambda).to_coordinates(), (x * beta, y, false));
        assert_eq!(y * y, x * x * x + curve_b::<E::GE>());
        assert_eq!(lambda * lambda + lambda + E::Scalar::ONE, E::Scalar::ZERO);
    }
    check::<<Bn254 as Cycle>::Primary>();
    check::<<Bn254 as Cycle>::Secondary>();
    check::<<Pasta as Cycle>::Primary>();
    check::<<Pasta as Cycle>::Secondary>();
}

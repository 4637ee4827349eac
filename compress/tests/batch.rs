//! Batching: many claims become one, every altered part fails by name.

use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use foldnet_compress::arithmetic::{CircuitPrimary, NativePrimary};
use foldnet_compress::batch::{self, BatchError, Combined, Proof};
use foldnet_compress::error::Rejected;
use foldnet_compress::spartan::Claim;
use foldnet_gadgets::hash::{HashConstants, Tag};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::sumcheck;
use foldnet_gadgets::system::WitnessSystem;
use foldnet_gadgets::transcript::{Transcript, TranscriptCircuit};
use foldnet_gadgets::wire::{Wire, WireSystem};
use halo2curves::bn256::Fr;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::LazyLock;

const TAG: Tag = Tag::new("test");

static CONSTANTS: LazyLock<HashConstants<Fr>> = LazyLock::new(HashConstants::default);

/// Tables with true claims about them; a table may be shorter than its point asks for.
#[derive(Clone)]
struct Batch {
    tables: Vec<Vec<Fr>>,
    claims: Vec<Claim<Fr>>,
}

/// Tables of the given `(length, variables)`.
fn random(sizes: &[(usize, usize)]) -> Batch {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let mut vector = |n| (0..n).map(|_| Fr::random(&mut rng)).collect::<Vec<_>>();
    let tables: Vec<Vec<Fr>> = sizes.iter().map(|(length, _)| vector(*length)).collect();
    let claims = tables.iter().zip(sizes).map(|(table, (_, variables))| {
        let point = vector(*variables);
        let value = sumcheck::evaluate(table, &point);
        Claim { point, value }
    });
    let claims = claims.collect();
    Batch { tables, claims }
}

/// Different sizes, a short table and a constant.
fn honest() -> Batch {
    random(&[(8, 3), (13, 4), (64, 6), (1, 0), (40, 6)])
}

impl Batch {
    fn tables(&self) -> Vec<&[Fr]> {
        self.tables.iter().map(Vec::as_slice).collect()
    }

    fn prove(&self) -> Result<(Proof<Fr>, Combined<Fr>), BatchError> {
        let mut transcript = Transcript::new(&CONSTANTS, TAG);
        let mut oracle = NativePrimary::new(&mut transcript);
        batch::prove(&self.tables(), &self.claims, &mut oracle)
    }

    fn verify(&self, proof: &Proof<Fr>) -> Result<Combined<Fr>, Rejected> {
        let mut transcript = Transcript::new(&CONSTANTS, TAG);
        let mut arithmetic = NativePrimary::new(&mut transcript);
        batch::verify(&mut arithmetic, &self.claims, proof)
    }

    fn circuit<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        proof: &Proof<Fr>,
    ) -> Result<Combined<Wire<Fr>>, SynthesisError> {
        let mut claims = Vec::new();
        for (i, claim) in self.claims.iter().enumerate() {
            let mut cs = cs.namespace(|| format!("claim {i}"));
            let point = claim.point.iter().enumerate();
            let point = point.map(|(k, r)| cs.wire(|| format!("point {k}"), *r));
            let point = point.collect::<Result<_, _>>()?;
            let value = cs.wire(|| "value", claim.value)?;
            claims.push(Claim { point, value });
        }
        let mut transcript = TranscriptCircuit::new(&CONSTANTS, TAG);
        let mut arithmetic = CircuitPrimary::new(cs, &mut transcript);
        batch::verify(&mut arithmetic, &claims, proof)
    }

    fn failing(&self, proof: &Proof<Fr>) -> Vec<String> {
        let mut cs = MockSystem::new();
        self.circuit(&mut cs, proof).unwrap();
        let failures = cs.failures().into_iter();
        failures
            .map(|failure| {
                failure
                    .path
                    .split(" [")
                    .next()
                    .unwrap_or_default()
                    .to_string()
            })
            .collect()
    }

    /// Whether the combined claim is true of the combined table.
    fn opens(&self, combined: &Combined<Fr>) -> bool {
        let table = batch::combine(&self.tables(), combined.rho);
        sumcheck::evaluate(&table, &combined.point) == combined.value
    }
}

const REJECTED: Rejected = Rejected::Check {
    check: "batch sum-check",
};

#[test]
fn honest_batches_are_accepted_and_the_combined_claim_is_true() {
    let sizes: [&[(usize, usize)]; 5] = [
        &[(8, 3), (13, 4), (64, 6), (1, 0), (40, 6)],
        &[(1, 0)],
        &[(0, 0), (0, 2)],
        &[(32, 5)],
        &[(2, 1), (2, 1), (3, 2)],
    ];
    for sizes in sizes {
        let batch = random(sizes);
        let (proof, combined) = batch.prove().unwrap();
        assert!(batch.opens(&combined));
        assert_eq!(batch.verify(&proof), Ok(combined.clone()));
        let mut cs = MockSystem::new();
        let wires = batch.circuit(&mut cs, &proof).unwrap();
        assert_eq!(cs.failures(), vec![]);
        assert_eq!(wires.value.value(), combined.value);
        assert_eq!(wires.rho.value(), combined.rho);
        let point: Vec<Fr> = wires.point.iter().map(Wire::value).collect();
        assert_eq!(point, combined.point);
        let mut witness = WitnessSystem::default();
        batch.circuit(&mut witness, &proof).unwrap();
        assert_eq!(witness.auxiliary(), cs.auxiliary_values());
    }
}

#[test]
fn every_altered_field_is_rejected_by_name() {
    let batch = honest();
    let (honest, _) = batch.prove().unwrap();
    let reject = |proof: &Proof<Fr>| {
        assert_eq!(batch.verify(proof), Err(REJECTED));
        assert_eq!(batch.failing(proof), ["batch sum-check"]);
    };
    for round in 0..honest.rounds.len() {
        for k in 0..2 {
            let mut proof = honest.clone();
            proof.rounds[round][k] += Fr::ONE;
            reject(&proof);
        }
    }
    for i in 0..honest.evaluations.len() {
        let mut proof = honest.clone();
        proof.evaluations[i] += Fr::ONE;
        reject(&proof);
    }
}

#[test]
fn a_false_claim_is_rejected() {
    let honest = honest();
    let (proof, _) = honest.prove().unwrap();
    for i in 0..honest.claims.len() {
        let mut batch = honest.clone();
        batch.claims[i].value += Fr::ONE;
        assert_eq!(batch.verify(&proof), Err(REJECTED));
        assert_eq!(batch.failing(&proof), ["batch sum-check"]);
        // The prover's best: to run on the false claim itself.
        let (proof, _) = batch.prove().unwrap();
        assert_eq!(batch.verify(&proof), Err(REJECTED));
        if let Some(r) = honest.claims[i].point.first() {
            let mut batch = honest.clone();
            batch.claims[i].point[0] = *r + Fr::ONE;
            assert_eq!(batch.verify(&proof), Err(REJECTED));
        }
    }
}

/// SECURITY 38: claims chosen after the batching challenge, so that their sum under it is the same.
#[test]
fn claims_altered_after_the_batching_challenge_are_rejected() {
    let honest = honest();
    let (proof, _) = honest.prove().unwrap();
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    for claim in &honest.claims {
        transcript.absorb(&claim.point);
        transcript.absorb(&[claim.value]);
    }
    let g = transcript.squeeze();
    let mut batch = honest.clone();
    batch.claims[0].value += g;
    batch.claims[1].value -= Fr::ONE;
    assert_eq!(batch.verify(&proof), Err(REJECTED));
    assert_eq!(batch.failing(&proof), ["batch sum-check"]);
}

/// Evaluations chosen after the combination challenge: the sum-check still ends well, but the
/// challenge changes with them, so that the combined claim is false.
#[test]
fn evaluations_altered_after_the_combination_challenge_change_it() {
    let batch = random(&[(8, 3), (8, 3), (8, 3)]);
    let (honest, combined) = batch.prove().unwrap();
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    for claim in &batch.claims {
        transcript.absorb(&claim.point);
        transcript.absorb(&[claim.value]);
    }
    let g = transcript.squeeze();
    let eq: Vec<Fr> = batch
        .claims
        .iter()
        .map(|claim| sumcheck::eq_eval(&claim.point, &combined.point))
        .collect();
    // The changes (d0, d1, d2) keep sum_i g^i eq_i d_i = 0 and sum_i rho^i d_i = 0.
    let (a, b) = (
        [eq[0], g * eq[1], g * g * eq[2]],
        [Fr::ONE, combined.rho, combined.rho.square()],
    );
    let mut proof = honest.clone();
    for i in 0..3 {
        let (j, k) = ((i + 1) % 3, (i + 2) % 3);
        proof.evaluations[i] += a[j] * b[k] - a[k] * b[j];
    }
    assert_ne!(proof, honest);
    let forged = batch.verify(&proof).unwrap();
    assert_eq!(forged.point, combined.point);
    assert_ne!(forged.rho, combined.rho);
    assert!(!batch.opens(&forged));
}

#[test]
fn wrong_lengths_are_errors() {
    let batch = honest();
    let (honest, _) = batch.prove().unwrap();
    let check = |what, expected, got, change: &dyn Fn(&mut Proof<Fr>)| {
        let mut proof = honest.clone();
        change(&mut proof);
        let rejected = Rejected::Length {
            what,
            expected,
            got,
        };
        assert_eq!(batch.verify(&proof), Err(rejected));
        assert!(batch.circuit(&mut MockSystem::new(), &proof).is_err());
    };
    check("batch rounds", 6, 5, &|p| p.rounds.truncate(5));
    check("batch rounds", 6, 7, &|p| p.rounds.push([Fr::ZERO; 2]));
    check("batch evaluations", 5, 4, &|p| p.evaluations.truncate(4));
    check("batch evaluations", 5, 0, &|p| p.evaluations.clear());

    let mut none = batch.clone();
    (none.tables, none.claims) = (Vec::new(), Vec::new());
    let rejected = Rejected::Length {
        what: "claims in a batch",
        expected: 1,
        got: 0,
    };
    assert_eq!(none.verify(&honest), Err(rejected));
    let count = BatchError::Count {
        claims: 0,
        tables: 0,
    };
    assert_eq!(none.prove().err(), Some(count));
    let mut long = batch.clone();
    long.tables[0].push(Fr::ZERO);
    let table = BatchError::Table {
        index: 0,
        variables: 3,
        got: 9,
    };
    assert_eq!(long.prove().err(), Some(table));
}

#[test]
fn every_witness_value_is_pinned() {
    let batch = honest();
    let (proof, _) = batch.prove().unwrap();
    let mut cs = MockSystem::new();
    let combined = batch.circuit(&mut cs, &proof).unwrap();
    // The caller opens the combined claim; here it is compared with constants.
    let ends = combined
        .point
        .iter()
        .chain([&combined.rho, &combined.value]);
    for (i, wire) in ends.enumerate() {
        let value = Wire::constant(wire.value());
        cs.enforce_equal(|| format!("end {i}"), wire, &value);
    }
    assert_eq!(cs.failures(), vec![]);
    assert_eq!(cs.unpinned(), [""; 0]);
}

/// Constraints of the batch of two kinds: six polynomials of 2^16 entries and one of 2^20.
#[test]
fn constraints_are_counted() {
    let sizes: Vec<(usize, usize)> = [16, 16, 16, 16, 16, 16, 20].map(|n| (1, n)).to_vec();
    let batch = random(&sizes);
    let variables: Vec<usize> = sizes.iter().map(|(_, n)| *n).collect();
    let mut cs = MockSystem::new();
    batch.circuit(&mut cs, &Proof::zero(&variables)).unwrap();
    assert_eq!(cs.constraint_count(), 11_854);
}

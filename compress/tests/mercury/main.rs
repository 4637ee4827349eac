//! Openings: completeness, agreement with nova-snark's prover and verifier, and every way to spoil
//! one.

mod nova;

use ff::{Field, PrimeField};
use foldnet_compress::error::Rejected;
use foldnet_compress::mercury::words::{scalar_word, word};
use foldnet_compress::mercury::{
    OPENING_WORDS, Opening, OpeningError, OpeningKey, OpeningTranscript, keccak, open,
};
use foldnet_gadgets::sumcheck;
use halo2curves::bn256::{Fr, G1, G1Affine, G2, G2Affine};
use halo2curves::group::{Curve, Group};
use nova_snark::provider::msm::msm;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;

const SEED: [u8; 32] = [7; 32];

#[derive(Clone)]
struct Setup {
    powers: Vec<G1Affine>,
    tau_h: G2Affine,
}

/// Powers of a tau that everybody can read here.
fn setup(variables: usize) -> Setup {
    let tau = Fr::from(0x1234_5678_9abc_def1);
    let powers: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |power| Some(*power * tau))
        .take(1 << variables)
        .collect();
    let powers: Vec<G1> = powers
        .par_iter()
        .map(|power| G1::generator() * power)
        .collect();
    let mut affine = vec![G1Affine::default(); powers.len()];
    G1::batch_normalize(&powers, &mut affine);
    Setup {
        powers: affine,
        tau_h: (G2::generator() * tau).to_affine(),
    }
}

struct Claim {
    setup: Setup,
    table: Vec<Fr>,
    commitment: G1Affine,
    point: Vec<Fr>,
    value: Fr,
}

fn claim(variables: usize) -> Claim {
    let mut rng = ChaCha20Rng::seed_from_u64(variables as u64);
    let setup = setup(variables);
    let table: Vec<Fr> = (0..1usize << variables)
        .map(|_| Fr::random(&mut rng))
        .collect();
    let point: Vec<Fr> = (0..variables).map(|_| Fr::random(&mut rng)).collect();
    Claim {
        commitment: msm(&table, &setup.powers).to_affine(),
        value: sumcheck::evaluate(&table, &point),
        setup,
        table,
        point,
    }
}

impl Claim {
    fn key(&self) -> OpeningKey<'_> {
        OpeningKey {
            powers: &self.setup.powers,
            tau_h: self.setup.tau_h,
        }
    }

    fn open(&self) -> Opening {
        self.attempt().expect("a true claim opens")
    }

    fn verify(&self, opening: &Opening) -> Result<(), Rejected> {
        opening.verify(
            &self.setup.tau_h,
            &SEED,
            &self.commitment,
            &self.point,
            self.value,
        )
    }

    fn statement(&self) -> nova::Statement<'_> {
        nova::Statement {
            seed: &SEED,
            commitment: self.commitment,
            point: &self.point,
            value: self.value,
        }
    }

    fn nova_accepts(&self, opening: &Opening) -> bool {
        let key = nova::key(&self.setup.powers, self.setup.tau_h);
        nova::accepts(&key, &self.statement(), opening)
    }

    fn nova_proves(&self) -> Opening {
        let mut table = self.table.clone();
        table.resize(1 << self.point.len(), Fr::ZERO);
        let key = nova::key(&self.setup.powers, self.setup.tau_h);
        nova::prove(&key, &self.statement(), &table)
    }

    /// The same set-up with another table, true at another point.
    fn with(&self, table: Vec<Fr>, point: Vec<Fr>) -> Claim {
        let powers = &self.setup.powers;
        Claim {
            commitment: msm(&table, &powers[..table.len()]).to_affine(),
            value: sumcheck::evaluate(&table, &point),
            setup: self.setup.clone(),
            table,
            point,
        }
    }

    fn attempt(&self) -> Result<Opening, OpeningError> {
        open(
            &self.key(),
            &SEED,
            &self.commitment,
            &self.table,
            &self.point,
            self.value,
        )
    }
}

/// A debug build of nova-snark's verifier panics on wrong proofs.
fn nova_agrees(claim: &Claim, opening: &Opening, accepted: bool) {
    if accepted || !cfg!(debug_assertions) {
        assert_eq!(claim.nova_accepts(opening), accepted);
    }
}

const PAIRING: Rejected = Rejected::Check {
    check: "the pairing equation of the opening",
};

#[test]
fn openings_of_any_parity_verify() {
    for variables in 2..=9 {
        let claim = claim(variables);
        let opening = claim.open();
        assert_eq!(claim.verify(&opening), Ok(()), "{variables} variables");
        nova_agrees(&claim, &opening, true);
    }
}

#[test]
fn the_proof_is_that_of_nova() {
    for variables in (2..=8).chain([11]) {
        let claim = claim(variables);
        let expected = claim.nova_proves().to_bytes();
        assert_eq!(claim.open().to_bytes(), expected, "{variables} variables");
    }
}

#[test]
fn a_short_table_is_padded_with_zeros() {
    let full = claim(7);
    for length in [17, 32, 77, 127] {
        let claim = full.with(full.table[..length].to_vec(), full.point.clone());
        let opening = claim.open();
        assert_eq!(claim.verify(&opening), Ok(()), "{length} entries");
        assert_eq!(opening, claim.nova_proves(), "{length} entries");
    }
}

/// A table in the first row is its own remainder: nothing is left to divide.
#[test]
fn a_table_of_one_row_is_not_opened() {
    let full = claim(7);
    for length in [0, 1, 15, 16] {
        let claim = full.with(full.table[..length].to_vec(), full.point.clone());
        assert_eq!(claim.attempt(), Err(OpeningError::Identity), "{length}");
    }
}

/// Points with structure, and the random one.
fn special_points(random: &[Fr]) -> Vec<Vec<Fr>> {
    let n = random.len();
    let one_zero = |i: usize| {
        if i.is_multiple_of(2) {
            Fr::ONE
        } else {
            Fr::ZERO
        }
    };
    vec![
        vec![Fr::ZERO; n],
        vec![Fr::ONE; n],
        (0..n).map(one_zero).collect(),
        vec![random[0]; n],
        vec![Fr::TWO_INV; n],
        vec![-Fr::ONE; n],
        random.to_vec(),
    ]
}

/// Every table at every point either opens as with nova-snark, or a commitment vanishes.
#[test]
fn structured_claims_open_or_are_refused() {
    for variables in [2, 3, 6, 7] {
        let full = claim(variables);
        let entries = 1 << variables;
        let one_hot = |at: usize| {
            let entry = |i| if i == at { Fr::ONE } else { Fr::ZERO };
            (0..entries).map(entry).collect::<Vec<_>>()
        };
        let hot = [0, 1, entries / 2, entries - 2, entries - 1];
        let mut tables: Vec<Vec<Fr>> = hot.map(one_hot).to_vec();
        tables.extend([
            vec![Fr::ONE; entries],
            vec![-Fr::ONE; entries],
            vec![full.table[0]; entries],
            (0..entries as u64).map(Fr::from).collect(),
            full.table.clone(),
        ]);
        for point in special_points(&full.point) {
            for table in &tables {
                let claim = full.with(table.clone(), point.clone());
                match claim.attempt() {
                    Ok(opening) => assert_eq!(opening, claim.nova_proves()),
                    Err(error) => assert_eq!(error, OpeningError::Identity),
                }
            }
        }
    }
}

/// From about 2^13 terms on, the sums over the key take another path.
#[test]
fn large_structured_claims_open_or_are_refused() {
    let full = claim(14);
    let entries = full.table.len();
    let (mut first, mut last) = (vec![Fr::ZERO; entries], vec![Fr::ZERO; entries]);
    first[0] = Fr::ONE;
    last[entries - 1] = full.table[0];
    let constant = vec![full.table[0]; entries];
    let ones = vec![Fr::ONE; entries];
    for table in [first, last, constant, ones] {
        for point in special_points(&full.point) {
            let claim = full.with(table.clone(), point);
            match claim.attempt() {
                Ok(opening) => assert_eq!(claim.verify(&opening), Ok(())),
                Err(error) => assert_eq!(error, OpeningError::Identity),
            }
        }
    }
}

#[test]
fn a_corner_with_its_only_entry_is_not_opened() {
    let full = claim(6);
    let corner = [1, 0, 1, 1, 0, 1].map(Fr::from).to_vec();
    let mut table = vec![Fr::ZERO; 64];
    table[0b101101] = Fr::ONE;
    let claim = full.with(table, corner);
    assert_eq!(claim.value, Fr::ONE);
    assert_eq!(claim.attempt(), Err(OpeningError::Identity));
}

/// Random tables open at any point, as nova-snark opens them.
#[test]
fn a_random_table_opens_at_special_points() {
    for variables in [6, 7] {
        let full = claim(variables);
        for point in special_points(&full.point) {
            let claim = full.with(full.table.clone(), point);
            let opening = claim.open();
            assert_eq!(claim.verify(&opening), Ok(()));
            assert_eq!(opening, claim.nova_proves());
        }
    }
}

#[test]
fn a_key_off_the_curve_is_refused() {
    let mut off_curve = claim(4);
    off_curve.setup.powers[9].x += halo2curves::bn256::Fq::ONE;
    assert_eq!(off_curve.attempt(), Err(OpeningError::Power(9)));
    let mut identity = claim(4);
    identity.setup.powers[3] = G1::identity().to_affine();
    assert_eq!(identity.attempt(), Err(OpeningError::Power(3)));
}

#[test]
fn a_commitment_or_key_of_another_table_is_refused() {
    let refused = Err(OpeningError::Rejected(PAIRING));
    let mut commitment = claim(5);
    commitment.commitment = commitment.setup.powers[1];
    assert_eq!(commitment.attempt(), refused);
    let mut no_commitment = claim(5);
    no_commitment.commitment = G1::identity().to_affine();
    assert_eq!(no_commitment.attempt(), refused);
    let mut powers = claim(5);
    powers.setup.powers.swap(2, 3);
    assert_eq!(powers.attempt(), refused);
    let mut tau = claim(5);
    tau.setup.tau_h = G2Affine::generator();
    assert_eq!(tau.attempt(), refused);
}

#[test]
fn the_encoding_is_strict() {
    let claim = claim(4);
    let opening = claim.open();
    let bytes = opening.to_bytes();
    assert_eq!(bytes.len(), 32 * OPENING_WORDS);
    assert_eq!(Opening::decode(&bytes), Ok(opening));
    for length in [0, 31, bytes.len() - 32, bytes.len() - 1] {
        let decoded = Opening::decode(&bytes[..length]);
        assert!(matches!(decoded, Err(Rejected::Length { .. })), "{length}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(
        Opening::decode(&longer),
        Err(Rejected::Length { .. })
    ));
}

#[test]
fn every_word_has_one_representation() {
    let bytes = claim(4).open().to_bytes();
    let scalar = |i: usize| (10..16).contains(&i);
    for i in 0..OPENING_WORDS {
        let modulus = if scalar(i) {
            halo2curves::bn256::Fr::MODULUS
        } else {
            halo2curves::bn256::Fq::MODULUS
        };
        let shifted = add_integer(&bytes[32 * i..32 * (i + 1)], modulus);
        let mut wrong = bytes.clone();
        wrong[32 * i..32 * (i + 1)].copy_from_slice(&shifted);
        let check = if scalar(i) {
            "an evaluation of the opening is below r"
        } else {
            "a point of the opening is on the curve and not the identity"
        };
        assert_eq!(
            Opening::decode(&wrong),
            Err(Rejected::Check { check }),
            "word {i}"
        );
    }
}

/// `word + modulus` as integers, the modulus in hexadecimal.
fn add_integer(word: &[u8], modulus: &str) -> [u8; 32] {
    use num_bigint::BigUint;
    let modulus = modulus.trim_start_matches("0x");
    let modulus = BigUint::parse_bytes(modulus.as_bytes(), 16).expect("hexadecimal");
    let sum = (BigUint::from_bytes_be(word) + modulus).to_bytes_be();
    let mut bytes = [0; 32];
    bytes[32 - sum.len()..].copy_from_slice(&sum);
    bytes
}

#[test]
fn identities_and_points_off_the_curve_are_refused() {
    let bytes = claim(4).open().to_bytes();
    let points = (0..10).step_by(2).chain((16..22).step_by(2));
    for i in points {
        for [x, y] in [[0, 0], [1, 1]] {
            let mut wrong = bytes.clone();
            wrong[32 * i..32 * (i + 1)].copy_from_slice(&word(x));
            wrong[32 * (i + 1)..32 * (i + 2)].copy_from_slice(&word(y));
            assert!(Opening::decode(&wrong).is_err(), "point at word {i}");
        }
    }
}

/// Every point replaced by another one and every scalar by another one.
fn spoilt(opening: &Opening) -> Vec<Opening> {
    let other = |point: &G1Affine| (G1::from(*point) + G1::generator()).to_affine();
    let mut all = Vec::new();
    let fields: [fn(&mut Opening) -> &mut G1Affine; 8] = [
        |o| &mut o.h,
        |o| &mut o.q,
        |o| &mut o.g,
        |o| &mut o.s,
        |o| &mut o.d,
        |o| &mut o.quotient,
        |o| &mut o.w,
        |o| &mut o.w_prime,
    ];
    for field in fields {
        let mut wrong = *opening;
        let point = field(&mut wrong);
        *point = other(point);
        all.push(wrong);
    }
    for i in 0..6 {
        let mut wrong = *opening;
        wrong.evaluations[i] += Fr::ONE;
        all.push(wrong);
    }
    all
}

#[test]
fn every_field_is_bound() {
    for variables in [5, 6] {
        let claim = claim(variables);
        let opening = claim.open();
        for wrong in spoilt(&opening) {
            assert_eq!(claim.verify(&wrong), Err(PAIRING));
            nova_agrees(&claim, &wrong, false);
        }
        let mut swapped = opening;
        std::mem::swap(&mut swapped.w, &mut swapped.w_prime);
        assert_eq!(claim.verify(&swapped), Err(PAIRING));
    }
}

#[test]
fn the_claim_is_bound() {
    let opening = claim(6).open();
    let spoil: [fn(&mut Claim); 5] = [
        |c| c.value += Fr::ONE,
        |c| c.point[0] += Fr::ONE,
        |c| c.point[5] += Fr::ONE,
        |c| c.commitment = (G1::from(c.commitment) + G1::generator()).to_affine(),
        |c| c.setup.tau_h = (G2::from(c.setup.tau_h) + G2::generator()).to_affine(),
    ];
    for spoil in spoil {
        let mut claim = claim(6);
        spoil(&mut claim);
        assert_eq!(claim.verify(&opening), Err(PAIRING));
        nova_agrees(&claim, &opening, false);
    }
    let claim = claim(6);
    let other_seed = opening.verify(
        &claim.setup.tau_h,
        &[8; 32],
        &claim.commitment,
        &claim.point,
        claim.value,
    );
    assert_eq!(other_seed, Err(PAIRING));
}

#[test]
fn a_leading_zero_variable_is_another_point() {
    let claim = claim(5);
    let opening = claim.open();
    let padded = [&[Fr::ZERO], claim.point.as_slice()].concat();
    let verdict = opening.verify(
        &claim.setup.tau_h,
        &SEED,
        &claim.commitment,
        &padded,
        claim.value,
    );
    assert_eq!(verdict, Err(PAIRING));
}

#[test]
fn too_few_variables_are_refused() {
    let claim = claim(2);
    let opening = claim.open();
    let verdict = opening.verify(
        &claim.setup.tau_h,
        &SEED,
        &claim.commitment,
        &claim.point[..1],
        claim.value,
    );
    assert!(matches!(verdict, Err(Rejected::Length { .. })));
}

#[test]
fn the_prover_refuses_what_it_cannot_prove() {
    let claim = claim(4);
    let attempt = |powers: &[G1Affine], table: &[Fr], point: &[Fr], value: Fr| {
        let key = OpeningKey {
            powers,
            tau_h: claim.setup.tau_h,
        };
        open(&key, &SEED, &claim.commitment, table, point, value).expect_err("not provable")
    };
    let (powers, table, point) = (&claim.setup.powers, &claim.table, &claim.point);
    let value = claim.value;
    let short_key = OpeningError::Key {
        expected: 16,
        got: 15,
    };
    assert_eq!(attempt(&powers[..15], table, point, value), short_key);
    assert_eq!(
        attempt(powers, table, &point[..1], value),
        OpeningError::Variables(1)
    );
    let long_table = OpeningError::Table {
        expected: 8,
        got: 16,
    };
    assert_eq!(attempt(powers, table, &point[..3], value), long_table);
    assert_eq!(
        attempt(powers, table, point, value + Fr::ONE),
        OpeningError::Value
    );
    let zeros = [Fr::ZERO; 16];
    assert_eq!(
        attempt(powers, &zeros, point, Fr::ZERO),
        OpeningError::Identity
    );
}

/// `state_0 = keccak256(tag || seed)`, then `keccak256(state || big-endian words)`.
#[test]
fn the_transcript_hashes_big_endian_words() {
    let mut transcript = OpeningTranscript::seeded(&SEED);
    transcript.absorb_words(&[word(1), scalar_word(&-Fr::ONE)]);
    let challenge = transcript.challenge();
    let tag = b"foldnet mercury opening v1\0\0\0\0\0\0";
    let state = keccak(&[tag, &SEED]);
    let state = keccak(&[&state, &word(1), &scalar_word(&-Fr::ONE)]);
    let expected = num_bigint::BigUint::from_bytes_be(&state)
        % (num_bigint::BigUint::from_bytes_be(&scalar_word(&-Fr::ONE)) + 1u32);
    assert_eq!(
        num_bigint::BigUint::from_bytes_be(&scalar_word(&challenge)),
        expected
    );
    let again = transcript.challenge();
    assert_eq!(
        again,
        foldnet_compress::mercury::words::reduce(&keccak(&[&state]))
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..800)) {
        let _ = Opening::decode(&bytes);
    }
}

/// Run with `--ignored --nocapture` for timings at the largest size.
#[test]
#[ignore = "a timing"]
fn timing() {
    for variables in [18, 20] {
        let claim = claim(variables);
        let start = std::time::Instant::now();
        let opening = claim.open();
        println!("open 2^{variables}: {:?}", start.elapsed());
        let start = std::time::Instant::now();
        claim.verify(&opening).expect("a true claim");
        println!("verify 2^{variables}: {:?}", start.elapsed());
    }
}

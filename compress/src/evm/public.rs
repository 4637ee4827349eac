//! What the contract verifies, natively: the public data D, its three Groth16 inputs, the layout
//! of a proof, and a verifier with the same verdict.

use super::refusal::Refusal;
use crate::mercury::words::{
    Word, decode_coordinate, decode_g2, decode_point, decode_scalar, g2_words, point_words, reduce,
    scalar_word, split, word,
};
use crate::mercury::{OPENING_WORDS, Opening, keccak};
use ff::Field;
use halo2curves::bn256::{Bn256, Fr, G1, G1Affine, G2Affine};
use halo2curves::group::{Curve, Group};
use halo2curves::pairing::{MillerLoopResult, MultiMillerLoop};

/// Words of a Groth16 proof.
pub const GROTH16_WORDS: usize = 8;

/// A Groth16 verifying key with three public inputs. Its gamma is the generator H of G2, as in
/// every key that comes from a ceremony (2017/1050, section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groth16Key {
    /// alpha in G1.
    pub alpha: G1Affine,
    /// beta in G2.
    pub beta: G2Affine,
    /// delta in G2.
    pub delta: G2Affine,
    /// `K_0 .. K_3`: of the constant one, p, gamma and f.
    pub inputs: [G1Affine; 4],
}

impl Groth16Key {
    /// Checks `e(A, B) = e(alpha, beta) e(K_0 + sum_s x_s K_s, H) e(C, delta)`.
    pub fn holds(&self, inputs: &PublicInputs, proof: &Groth16Proof) -> bool {
        let [constant, p, gamma, f] = self.inputs;
        let sum = p * inputs.p + gamma * inputs.gamma + f * inputs.f + constant;
        let terms = [
            (&-proof.a, &proof.b),
            (&self.alpha, &self.beta),
            (&sum.to_affine(), &G2Affine::generator()),
            (&proof.c, &self.delta),
        ];
        let product = Bn256::multi_miller_loop(&terms).final_exponentiation();
        bool::from(product.is_identity())
    }
}

/// A Groth16 proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groth16Proof {
    /// A in G1.
    pub a: G1Affine,
    /// B in G2.
    pub b: G2Affine,
    /// C in G1.
    pub c: G1Affine,
}

/// What is fixed when the contract is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The Groth16 key of the architecture.
    pub groth16: Groth16Key,
    /// `tau H` of the powers of tau.
    pub tau_h: G2Affine,
    /// The blind generator of commitments.
    pub blind_generator: G1Affine,
    /// The model id.
    pub model: Fr,
    /// Inferences of a statement.
    pub count: u64,
    /// Elements of a statement, with the context.
    pub statement_length: usize,
    /// M: commitments that are combined.
    pub commitments: usize,
    /// n: variables of the opened polynomial.
    pub variables: usize,
}

impl Parameters {
    /// The constructor's arguments: alpha, beta, delta, `K_0 .. K_3`, `tau H`, blind generator,
    /// model, count, statement length, M, n.
    pub fn words(&self) -> Vec<Word> {
        let key = &self.groth16;
        let mut words = point_words(&key.alpha).to_vec();
        words.extend(g2_words(&key.beta));
        words.extend(g2_words(&key.delta));
        words.extend(key.inputs.iter().flat_map(point_words));
        words.extend(g2_words(&self.tau_h));
        words.extend(point_words(&self.blind_generator));
        words.push(scalar_word(&self.model));
        words.push(word(self.count));
        let lengths = [self.statement_length, self.commitments, self.variables];
        words.extend(lengths.map(|length| word(length as u64)));
        words
    }

    /// Words of a proof: `1 + 2 M + 3 + n + 22 + 8`.
    pub fn proof_words(&self) -> usize {
        4 + 2 * self.commitments + self.variables + OPENING_WORDS + GROTH16_WORDS
    }
}

/// The claim that is left for the contract: `sum_i rho^i C_i - blind * H` opens at `point` to
/// `value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningClaim {
    /// `C_0 .. C_(M-1)`.
    pub commitments: Vec<G1Affine>,
    /// Combines the commitments.
    pub rho: Fr,
    /// The combined blind.
    pub blind: Fr,
    /// The point, most significant variable first.
    pub point: Vec<Fr>,
    /// The value.
    pub value: Fr,
}

impl OpeningClaim {
    /// `sum_i rho^i C_i - blind * H`.
    pub fn combined(&self, blind_generator: &G1Affine) -> G1Affine {
        let horner = |sum: G1, commitment: &G1Affine| sum * self.rho + commitment;
        let sum = self.commitments.iter().rev().fold(G1::identity(), horner);
        (sum - *blind_generator * self.blind).to_affine()
    }

    /// The words of D that come from the claim: `x_lo, x_hi, y_lo, y_hi` of each commitment
    /// (canonical coordinates, limbs of 128 bits), rho, blind, point, value.
    fn data(&self) -> impl Iterator<Item = Word> + '_ {
        let coordinates = self.commitments.iter().flat_map(point_words);
        let limbs = coordinates.flat_map(|coordinate| limbs(&coordinate));
        let scalars = [&self.rho, &self.blind].into_iter().chain(&self.point);
        limbs.chain(scalars.chain([&self.value]).map(scalar_word))
    }
}

/// Low and high 128 bits.
fn limbs(coordinate: &Word) -> [Word; 2] {
    let (high, low) = coordinate.split_at(16);
    [low, high].map(|limb| {
        let mut word = [0; 32];
        word[16..].copy_from_slice(limb);
        word
    })
}

/// The public data `D = (context, model, count, statement.., commitments.., rho, blind, point..,
/// value)`, where the first element of `statement` is the context; empty if there is none.
pub fn public_data(model: &Fr, count: u64, statement: &[Fr], claim: &OpeningClaim) -> Vec<Word> {
    let Some((context, elements)) = statement.split_first() else {
        return Vec::new();
    };
    let head = [scalar_word(context), scalar_word(model), word(count)];
    let elements = elements.iter().map(scalar_word);
    head.into_iter()
        .chain(elements)
        .chain(claim.data())
        .collect()
}

/// The three public inputs of Groth16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicInputs {
    /// `Poseidon(D)`, which only the circuit computes.
    pub p: Fr,
    /// The digest modulo r.
    pub gamma: Fr,
    /// `sum_j D_j gamma^j`.
    pub f: Fr,
}

/// `(keccak256(D || p), inputs)`: the digest is also the seed of the opening's transcript.
pub fn public_inputs(data: &[Word], p: Fr) -> (Word, PublicInputs) {
    let digest = keccak(&[data.as_flattened(), &scalar_word(&p)]);
    let gamma = reduce(&digest);
    let horner = |sum: Fr, element: &Word| sum * gamma + reduce(element);
    let f = data.iter().rev().fold(Fr::ZERO, horner);
    (digest, PublicInputs { p, gamma, f })
}

/// A proof as the contract takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractProof {
    /// `Poseidon(D)`.
    pub p: Fr,
    /// The claim that the circuit leaves.
    pub claim: OpeningClaim,
    /// Its opening.
    pub opening: Opening,
    /// The proof of the circuit.
    pub groth16: Groth16Proof,
}

impl ContractProof {
    /// The words: p, commitments, rho, blind, point, value, opening, A, B, C.
    pub fn words(&self) -> Vec<Word> {
        let mut words = vec![scalar_word(&self.p)];
        words.extend(self.claim.commitments.iter().flat_map(point_words));
        words.extend([&self.claim.rho, &self.claim.blind].map(scalar_word));
        words.extend(self.claim.point.iter().map(scalar_word));
        words.push(scalar_word(&self.claim.value));
        words.extend(self.opening.words());
        words.extend(point_words(&self.groth16.a));
        words.extend(g2_words(&self.groth16.b));
        words.extend(point_words(&self.groth16.c));
        words
    }

    /// The encoding: the words, one after another.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.words().concat()
    }

    /// The inverse of [`ContractProof::to_bytes`], with the checks of the contract in its order.
    ///
    /// # Errors
    /// The error that the contract would revert with.
    pub fn decode(parameters: &Parameters, bytes: &[u8]) -> Result<Self, Refusal> {
        let expected = parameters.proof_words();
        let words = split("proof", bytes, expected).map_err(|_| Refusal::ProofLength {
            expected: 32 * expected as u64,
            got: bytes.len() as u64,
        })?;
        check_words(parameters, &words)?;
        let mut reader = Reader { words: &words };
        let p = reader.scalar()?;
        let claim = reader.claim(parameters)?;
        let opening = Opening::decode(reader.take(OPENING_WORDS)?.as_flattened())
            .map_err(|_| Refusal::PointNotOnCurve)?;
        let groth16 = reader.groth16().ok_or(Refusal::PairingInputInvalid)?;
        Ok(ContractProof {
            p,
            claim,
            opening,
            groth16,
        })
    }
}

/// What a range of words has to be.
enum Kind {
    Scalars,
    Points,
    PointOfG2,
}

/// Every scalar is below r, every coordinate below q, no point the identity.
fn check_words(parameters: &Parameters, words: &[Word]) -> Result<(), Refusal> {
    let parts = [
        (Kind::Scalars, 1),
        (Kind::Points, 2 * parameters.commitments),
        (Kind::Scalars, 3 + parameters.variables),
        (Kind::Points, 10),
        (Kind::Scalars, 6),
        (Kind::Points, 8),
        (Kind::PointOfG2, 4),
        (Kind::Points, 2),
    ];
    let mut rest = words;
    let mut first = 0;
    for (kind, length) in parts {
        let (part, tail) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        match kind {
            Kind::Scalars => check_scalars(first, part)?,
            Kind::Points => check_points(first, part, 2)?,
            Kind::PointOfG2 => check_points(first, part, 4)?,
        }
        first += length as u64;
        rest = tail;
    }
    Ok(())
}

fn check_scalars(first: u64, words: &[Word]) -> Result<(), Refusal> {
    let mut numbered = (first..).zip(words);
    match numbered.find(|(_, word)| decode_scalar(word).is_none()) {
        Some((word, _)) => Err(Refusal::ScalarOutOfRange { word }),
        None => Ok(()),
    }
}

fn check_points(first: u64, words: &[Word], words_of_a_point: usize) -> Result<(), Refusal> {
    for (word, point) in (first..)
        .step_by(words_of_a_point)
        .zip(words.chunks(words_of_a_point))
    {
        let mut numbered = (word..).zip(point);
        if let Some((word, _)) = numbered.find(|(_, x)| decode_coordinate(x).is_none()) {
            return Err(Refusal::CoordinateOutOfRange { word });
        }
        if point.as_flattened().iter().all(|byte| *byte == 0) {
            return Err(Refusal::PointAtInfinity { word });
        }
    }
    Ok(())
}

/// Reads words whose ranges and number are checked already; the errors repeat those checks.
struct Reader<'a> {
    words: &'a [Word],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [Word], Refusal> {
        let (taken, rest) = self
            .words
            .split_at_checked(length)
            .ok_or(Refusal::ProofLength {
                expected: 32 * length as u64,
                got: 32 * self.words.len() as u64,
            })?;
        self.words = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[Word; N]> {
        self.take(N).ok()?.try_into().ok()
    }

    fn scalar(&mut self) -> Result<Fr, Refusal> {
        let word = self.array::<1>();
        word.and_then(|[word]| decode_scalar(&word))
            .ok_or(Refusal::ScalarOutOfRange { word: 0 })
    }

    fn scalars(&mut self, number: usize) -> Result<Vec<Fr>, Refusal> {
        (0..number).map(|_| self.scalar()).collect()
    }

    fn point(&mut self) -> Option<G1Affine> {
        decode_point(&self.array()?)
    }

    fn claim(&mut self, parameters: &Parameters) -> Result<OpeningClaim, Refusal> {
        let commitments = (0..parameters.commitments)
            .map(|_| self.point().ok_or(Refusal::PointNotOnCurve))
            .collect::<Result<_, _>>()?;
        Ok(OpeningClaim {
            commitments,
            rho: self.scalar()?,
            blind: self.scalar()?,
            point: self.scalars(parameters.variables)?,
            value: self.scalar()?,
        })
    }

    fn groth16(&mut self) -> Option<Groth16Proof> {
        Some(Groth16Proof {
            a: self.point()?,
            b: decode_g2(&self.array()?)?,
            c: self.point()?,
        })
    }
}

fn decode_statement(parameters: &Parameters, statement: &[Word]) -> Result<Vec<Fr>, Refusal> {
    if statement.len() != parameters.statement_length {
        return Err(Refusal::StatementLength {
            expected: parameters.statement_length as u64,
            got: statement.len() as u64,
        });
    }
    let numbered = (0..).zip(statement);
    numbered
        .map(|(index, word)| decode_scalar(word).ok_or(Refusal::StatementOutOfRange { index }))
        .collect()
}

/// The native twin of the contract: the same checks in the same order, the two pairing equations
/// one by one instead of merged.
///
/// # Errors
/// The error that the contract reverts with.
pub fn verify_public(
    parameters: &Parameters,
    statement: &[Word],
    proof: &[u8],
) -> Result<(), Refusal> {
    let expected = 32 * parameters.proof_words();
    if statement.len() == parameters.statement_length && proof.len() != expected {
        return Err(Refusal::ProofLength {
            expected: expected as u64,
            got: proof.len() as u64,
        });
    }
    let statement = decode_statement(parameters, statement)?;
    let proof = ContractProof::decode(parameters, proof)?;
    let data = public_data(
        &parameters.model,
        parameters.count,
        &statement,
        &proof.claim,
    );
    let (digest, inputs) = public_inputs(&data, proof.p);
    let commitment = proof.claim.combined(&parameters.blind_generator);
    let points = proof
        .opening
        .pairing_points(&digest, &commitment, &proof.claim.point, proof.claim.value)
        .map_err(|_| Refusal::ChallengeDegenerate)?;
    let groth16 = parameters.groth16.holds(&inputs, &proof.groth16);
    if groth16 && points.check(&parameters.tau_h).is_ok() {
        Ok(())
    } else {
        Err(Refusal::ProofInvalid)
    }
}

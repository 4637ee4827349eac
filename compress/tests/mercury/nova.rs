//! nova-snark's Mercury with our transcript, as a reference.

use foldnet_compress::mercury::{Opening, OpeningTranscript, keccak};
use halo2curves::bn256::{Fq, Fr, G1, G1Affine, G2Affine};
use halo2curves::group::Curve;
use nova_snark::errors::NovaError;
use nova_snark::provider::bn256_grumpkin::bn256;
use nova_snark::provider::hyperkzg::{Commitment, CommitmentEngine, CommitmentKey};
use nova_snark::provider::mercury::{EvaluationArgument, EvaluationEngine};
use nova_snark::provider::poseidon::{PoseidonRO, PoseidonROCircuit};
use nova_snark::traits::evaluation::EvaluationEngineTrait;
use nova_snark::traits::{Engine, TranscriptEngineTrait, TranscriptReprTrait};
use serde::{Deserialize, Serialize};

/// BN254 with powers of tau, as nova-snark's `Bn256EngineKZG`, and with our transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MercuryEngine;

impl Engine for MercuryEngine {
    type Base = Fq;
    type Scalar = Fr;
    type GE = bn256::Point;
    type RO = PoseidonRO<Fq>;
    type ROCircuit = PoseidonROCircuit<Fq>;
    type RO2 = PoseidonRO<Fr>;
    type RO2Circuit = PoseidonROCircuit<Fr>;
    type TE = NovaTranscript;
    type CE = CommitmentEngine<Self>;
}

/// Our transcript behind nova-snark's interface.
#[derive(Debug)]
pub struct NovaTranscript(pub OpeningTranscript);

/// Length of nova-snark's representation of a commitment: two coordinates and a flag.
const COMMITMENT_REPR: usize = 65;

/// nova-snark represents scalars and coordinates as 32 little-endian bytes and appends to a
/// commitment the flag of the identity, whose coordinates are zeros; a scalar list never has the
/// length of a commitment.
impl TranscriptEngineTrait<MercuryEngine> for NovaTranscript {
    fn new(label: &'static [u8]) -> Self {
        NovaTranscript(OpeningTranscript::seeded(&keccak(&[label])))
    }

    fn squeeze(&mut self, _label: &'static [u8]) -> Result<Fr, NovaError> {
        Ok(self.0.challenge())
    }

    fn squeeze_bits(
        &mut self,
        _label: &'static [u8],
        _num_bits: usize,
        _start_with_one: bool,
    ) -> Result<Fr, NovaError> {
        Err(NovaError::InternalTranscriptError)
    }

    fn absorb<T: TranscriptReprTrait<bn256::Point>>(&mut self, _label: &'static [u8], o: &T) {
        let mut repr = o.to_transcript_bytes();
        if repr.len() == COMMITMENT_REPR {
            repr.pop();
        }
        let (words, rest) = repr.as_chunks::<32>();
        assert!(rest.is_empty(), "nova-snark absorbs whole words");
        for word in words {
            let mut big_endian = *word;
            big_endian.reverse();
            self.0.absorb_words(&[big_endian]);
        }
    }

    fn dom_sep(&mut self, _bytes: &'static [u8]) {
        panic!("not used by Mercury");
    }
}

/// The fields of nova-snark's proof, which are private there and come out by serialising.
#[derive(Deserialize)]
struct NovaArgument {
    comm_h: NovaCommitment,
    comm_g: NovaCommitment,
    comm_q: NovaCommitment,
    comm_s: NovaCommitment,
    comm_d: NovaCommitment,
    comm_quot_f: NovaCommitment,
    comm_w: NovaCommitment,
    comm_w_prime: NovaCommitment,
    g_zeta: Fr,
    g_zeta_inv: Fr,
    h_zeta: Fr,
    h_zeta_inv: Fr,
    s_zeta: Fr,
    s_zeta_inv: Fr,
}

#[derive(Deserialize)]
struct NovaCommitment {
    comm: G1,
}

impl From<NovaArgument> for Opening {
    fn from(argument: NovaArgument) -> Self {
        let affine = |commitment: NovaCommitment| commitment.comm.to_affine();
        Opening {
            h: affine(argument.comm_h),
            q: affine(argument.comm_q),
            g: affine(argument.comm_g),
            s: affine(argument.comm_s),
            d: affine(argument.comm_d),
            evaluations: [
                argument.g_zeta,
                argument.g_zeta_inv,
                argument.h_zeta,
                argument.h_zeta_inv,
                argument.s_zeta,
                argument.s_zeta_inv,
            ],
            quotient: affine(argument.comm_quot_f),
            w: affine(argument.comm_w),
            w_prime: affine(argument.comm_w_prime),
        }
    }
}

fn to_nova(opening: &Opening) -> EvaluationArgument<MercuryEngine> {
    let commitment = |point: &G1Affine| Commitment::new(G1::from(*point));
    let [gz, gy, hz, hy, sz, sy] = opening.evaluations;
    EvaluationArgument::new(
        commitment(&opening.h),
        commitment(&opening.g),
        commitment(&opening.q),
        commitment(&opening.s),
        commitment(&opening.d),
        commitment(&opening.quotient),
        commitment(&opening.w),
        commitment(&opening.w_prime),
        gz,
        gy,
        hz,
        hy,
        sz,
        sy,
    )
}

/// A claim that a commitment opens at a point to a value.
#[derive(Debug)]
pub struct Statement<'a> {
    pub seed: &'a [u8; 32],
    pub commitment: G1Affine,
    pub point: &'a [Fr],
    pub value: Fr,
}

impl Statement<'_> {
    fn transcript(&self) -> NovaTranscript {
        NovaTranscript(OpeningTranscript::seeded(self.seed))
    }

    fn commitment(&self) -> Commitment<MercuryEngine> {
        Commitment::new(G1::from(self.commitment))
    }
}

/// nova-snark's key; its blind generator is not used by openings.
pub fn key(powers: &[G1Affine], tau_h: G2Affine) -> CommitmentKey<MercuryEngine> {
    CommitmentKey::new(powers.to_vec(), G1Affine::generator(), tau_h).expect("a key")
}

/// The proof of nova-snark's prover.
pub fn prove(
    key: &CommitmentKey<MercuryEngine>,
    statement: &Statement<'_>,
    table: &[Fr],
) -> Opening {
    let (prover_key, _) = EvaluationEngine::<MercuryEngine>::setup(key).expect("a set-up");
    let argument = EvaluationEngine::prove(
        key,
        &prover_key,
        &mut statement.transcript(),
        &statement.commitment(),
        table,
        statement.point,
        &statement.value,
    )
    .expect("a true claim");
    let fields = serde_json::to_value(&argument).expect("a serialised proof");
    let fields: NovaArgument = serde_json::from_value(fields).expect("the fields of a proof");
    fields.into()
}

/// The verdict of nova-snark's verifier.
pub fn accepts(
    key: &CommitmentKey<MercuryEngine>,
    statement: &Statement<'_>,
    opening: &Opening,
) -> bool {
    let (_, verifier_key) = EvaluationEngine::<MercuryEngine>::setup(key).expect("a set-up");
    EvaluationEngine::verify(
        &verifier_key,
        &mut statement.transcript(),
        &statement.commitment(),
        statement.point,
        &statement.value,
        &to_nova(opening),
    )
    .is_ok()
}

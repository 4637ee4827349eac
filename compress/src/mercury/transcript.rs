//! The Keccak transcript of an opening, which a contract repeats cheaply, and nova-snark's engine
//! with it.

use super::words::{Word, reduce};
use halo2curves::bn256::{Fq, Fr};
use nova_snark::errors::NovaError;
use nova_snark::provider::bn256_grumpkin::bn256;
use nova_snark::provider::hyperkzg::CommitmentEngine;
use nova_snark::provider::poseidon::{PoseidonRO, PoseidonROCircuit};
use nova_snark::traits::{Engine, TranscriptEngineTrait, TranscriptReprTrait};
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

/// Domain tag of the first state, padded with zeros to a word.
const TAG: &[u8; 32] = b"foldnet mercury opening v1\0\0\0\0\0\0";

/// BN254 with powers of tau, as nova-snark's `Bn256EngineKZG`, and with [`OpeningTranscript`].
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
    type TE = OpeningTranscript;
    type CE = CommitmentEngine<Self>;
}

/// `state = keccak256(state || absorbed bytes)`; a challenge is the new state modulo r.
///
/// The first state is `keccak256(tag || seed)`, where the tag is the 32 bytes of
/// `"foldnet mercury opening v1"` padded with zeros. Scalars are absorbed as one big-endian word,
/// points as the two words of their affine coordinates (zeros for the identity, which is not on
/// the curve otherwise). There are no labels: every part has a fixed length and place.
#[derive(Clone, Debug)]
pub struct OpeningTranscript {
    state: Word,
    absorbed: Vec<u8>,
}

impl OpeningTranscript {
    /// The transcript that is bound to `seed`, a digest of all that came before.
    pub fn seeded(seed: &Word) -> Self {
        OpeningTranscript {
            state: keccak(&[TAG, seed]),
            absorbed: Vec::new(),
        }
    }

    /// Absorbs words.
    pub fn absorb_words(&mut self, words: &[Word]) {
        self.absorbed.extend_from_slice(words.as_flattened());
    }

    /// The challenge that binds everything absorbed so far.
    pub fn challenge(&mut self) -> Fr {
        self.state = keccak(&[&self.state, &self.absorbed]);
        self.absorbed.clear();
        reduce(&self.state)
    }
}

/// Keccak-256 of the concatenation.
pub fn keccak(parts: &[&[u8]]) -> Word {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Length of nova-snark's representation of a commitment: two coordinates and a flag.
const COMMITMENT_REPR: usize = 65;

/// nova-snark represents scalars and coordinates as 32 little-endian bytes and appends to a
/// commitment the flag of the identity, whose coordinates are zeros; a scalar list never has the
/// length of a commitment.
impl TranscriptEngineTrait<MercuryEngine> for OpeningTranscript {
    fn new(label: &'static [u8]) -> Self {
        OpeningTranscript::seeded(&keccak(&[label]))
    }

    fn squeeze(&mut self, _label: &'static [u8]) -> Result<Fr, NovaError> {
        Ok(self.challenge())
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
        for little_endian in repr.chunks(32) {
            self.absorbed.extend(little_endian.iter().rev());
        }
    }

    fn dom_sep(&mut self, bytes: &'static [u8]) {
        self.absorbed.extend_from_slice(bytes);
    }
}

//! The Keccak transcript of an opening, which a contract repeats cheaply.

use super::words::{Word, reduce};
use halo2curves::bn256::Fr;
use sha3::{Digest, Keccak256};

/// Domain tag of the first state, padded with zeros to a word.
const TAG: &[u8; 32] = b"foldnet mercury opening v1\0\0\0\0\0\0";

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

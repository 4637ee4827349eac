//! The last opening: Mercury on BN254, the inner product argument on Pallas.

use crate::decider::error::DeciderError;
use crate::key::CommitmentKey;
use crate::key::source::KeySource;
use ff::PrimeField;
use foldnet_compress::arithmetic::NativePrimary;
use foldnet_compress::error::Rejected;
use foldnet_compress::{ipa, mercury};
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::{Affine, Bn254, Cycle, Pasta};
use foldnet_gadgets::transcript::Transcript;
use halo2curves::bn256::{Fr, G1Affine};
use halo2curves::group::Curve;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// The one claim about a committed polynomial: the commitment is hiding, its blind known.
#[derive(Clone, Debug)]
pub struct Claim<C: Cycle> {
    /// The combined commitment.
    pub commitment: Commitment<C::Primary>,
    /// Its blind.
    pub blind: C::F,
    /// The point.
    pub point: Vec<C::F>,
    /// The value.
    pub value: C::F,
}

/// A cycle whose primary curve has an opening argument.
pub trait FinalOpening: KeySource {
    /// A proof of one opening.
    type Opening: Clone + Debug + PartialEq + Eq + Serialize + DeserializeOwned + Send + Sync;

    /// Opens the polynomial with this table.
    ///
    /// # Errors
    /// [`DeciderError`] when key and table do not fit, or the claim is false.
    fn open(
        key: &CommitmentKey<Self::Primary>,
        transcript: &mut Transcript<Self::F>,
        claim: &Claim<Self>,
        table: &[Self::F],
    ) -> Result<Self::Opening, DeciderError>;

    /// Verifies an opening.
    ///
    /// # Errors
    /// [`DeciderError::Rejected`] when it is false.
    fn verify(
        key: &CommitmentKey<Self::Primary>,
        transcript: &mut Transcript<Self::F>,
        claim: &Claim<Self>,
        opening: &Self::Opening,
    ) -> Result<(), DeciderError>;
}

/// The commitment without its blind, which Mercury opens.
pub(crate) fn derandomized(
    key: &CommitmentKey<<Bn254 as Cycle>::Primary>,
    commitment: &Commitment<<Bn254 as Cycle>::Primary>,
    blind: Fr,
) -> G1Affine {
    (commitment.point() - *key.blind_generator() * blind).to_affine()
}

/// The seed of Mercury's transcript: what binds everything before, in big-endian.
pub(crate) fn seed(transcript: &mut Transcript<Fr>) -> [u8; 32] {
    let mut bytes = transcript.squeeze().to_repr();
    bytes.as_mut().reverse();
    let mut seed = [0; 32];
    seed.copy_from_slice(bytes.as_ref());
    seed
}

pub(crate) fn opening_key(
    key: &CommitmentKey<<Bn254 as Cycle>::Primary>,
) -> Result<mercury::OpeningKey<'_>, DeciderError> {
    Ok(mercury::OpeningKey {
        powers: key.bases(),
        tau_h: *key.tau_h().ok_or(DeciderError::NoOpeningKey)?,
    })
}

impl FinalOpening for Bn254 {
    type Opening = mercury::Opening;

    fn open(
        key: &CommitmentKey<Self::Primary>,
        transcript: &mut Transcript<Fr>,
        claim: &Claim<Self>,
        table: &[Fr],
    ) -> Result<Self::Opening, DeciderError> {
        let commitment = derandomized(key, &claim.commitment, claim.blind);
        let seed = seed(transcript);
        let key = opening_key(key)?;
        mercury::open(&key, &seed, &commitment, table, &claim.point, claim.value)
            .map_err(|error| prove_error("opening", error))
    }

    fn verify(
        key: &CommitmentKey<Self::Primary>,
        transcript: &mut Transcript<Fr>,
        claim: &Claim<Self>,
        opening: &Self::Opening,
    ) -> Result<(), DeciderError> {
        let commitment = derandomized(key, &claim.commitment, claim.blind);
        let seed = seed(transcript);
        let tau_h = opening_key(key)?.tau_h;
        Ok(opening.verify(&tau_h, &seed, &commitment, &claim.point, claim.value)?)
    }
}

impl FinalOpening for Pasta {
    type Opening = ipa::Proof<<Pasta as Cycle>::Primary>;

    fn open(
        key: &CommitmentKey<Self::Primary>,
        transcript: &mut Transcript<Self::F>,
        claim: &Claim<Self>,
        table: &[Self::F],
    ) -> Result<Self::Opening, DeciderError> {
        let key = inner_product_key(key, claim).map_err(|error| prove_error("opening", error))?;
        let mut oracle = NativePrimary::new(transcript);
        ipa::prove(&key, &mut oracle, &statement(claim), table, claim.blind)
            .map_err(|error| prove_error("opening", error))
    }

    fn verify(
        key: &CommitmentKey<Self::Primary>,
        transcript: &mut Transcript<Self::F>,
        claim: &Claim<Self>,
        opening: &Self::Opening,
    ) -> Result<(), DeciderError> {
        if opening.blind != claim.blind {
            let check = "the blind of the combined commitment";
            return Err(Rejected::Check { check }.into());
        }
        let key = inner_product_key(key, claim).map_err(|error| prove_error("opening", error))?;
        let mut oracle = NativePrimary::new(transcript);
        Ok(ipa::verify(&key, &mut oracle, &statement(claim), opening)?)
    }
}

pub(crate) fn prove_error(part: &'static str, error: impl ToString) -> DeciderError {
    DeciderError::Prove {
        part,
        reason: error.to_string(),
    }
}

fn inner_product_key<'k>(
    key: &'k CommitmentKey<<Pasta as Cycle>::Primary>,
    claim: &Claim<Pasta>,
) -> Result<ipa::Key<'k, <Pasta as Cycle>::Primary>, ipa::IpaError> {
    let bases: &[Affine<<Pasta as Cycle>::Primary>] = key.bases();
    ipa::Key::new(claim.point.len(), bases, key.blind_generator())
}

fn statement(claim: &Claim<Pasta>) -> ipa::Statement<<Pasta as Cycle>::Primary> {
    ipa::Statement {
        commitment: claim.commitment,
        claims: vec![(<Pasta as Cycle>::F::from(1), claim.point.clone())],
        value: claim.value,
    }
}

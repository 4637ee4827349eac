//! What a statement shows of its inputs and outputs: values, or hiding commitments.
//!
//! * A public side shows the integers. Its digest has the salt zero, and verifiers compute it.
//! * A private side shows its salted digest, `t = Poseidon(tag, length and width, x, salt)` with a
//!   uniform `salt` of the whole field ([`foldnet_layers::tensor`]). It hides `x` as long as Poseidon
//!   behaves like a random oracle on inputs with 250 unknown bits, and binds it as long as Poseidon
//!   has no collisions. Whoever knows `x` and `salt` can show `x` later ([`crate::opening`]).
//!
//! Enforced for a private side: that *some* activations of the right number and width with this digest
//! went through the network. Slots beyond the tensor's length are part of them; they are checked to
//! be zero when the commitment is opened.
//!
//! A salt is drawn for each inference and side when the run begins, and kept in its state, so that a
//! resumed run shows the same commitments. Digests at the cuts between two steps have the salt zero
//! also then: they occur in state hashes only, which the masked start instances hide. The argument is
//! in `docs/decisions/011-salts-at-the-edges.md`.
//!
//! A verifier says which sides may be private ([`Sides`]): a commitment where values are required is
//! refused, and the other way round.

use crate::error::Error;
use crate::fold::error::FoldError;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::{from_bytes, to_bytes};
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether something is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visibility {
    /// The values are shown.
    #[default]
    Public,
    /// A hiding commitment is shown.
    Private,
}

impl Visibility {
    /// Whether it is [`Visibility::Private`].
    pub fn is_private(self) -> bool {
        self == Visibility::Private
    }
}

/// A side of an inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// What goes in.
    Input,
    /// What comes out.
    Output,
}

impl Side {
    /// Both.
    pub const ALL: [Side; 2] = [Side::Input, Side::Output];

    /// The name, as options and files have it.
    pub fn name(self) -> &'static str {
        match self {
            Side::Input => "input",
            Side::Output => "output",
        }
    }
}

/// What a statement shows of every inference's input and output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides {
    /// Of the input.
    pub input: Visibility,
    /// Of the output.
    pub output: Visibility,
}

impl Sides {
    /// Values on both sides.
    pub const PUBLIC: Sides = Sides {
        input: Visibility::Public,
        output: Visibility::Public,
    };

    /// Of one side.
    pub fn of(self, side: Side) -> Visibility {
        match side {
            Side::Input => self.input,
            Side::Output => self.output,
        }
    }

    /// The private sides.
    pub fn private(self) -> impl Iterator<Item = Side> {
        let private = move |side: &Side| self.of(*side).is_private();
        Side::ALL.into_iter().filter(private)
    }

    /// The private sides in words.
    pub fn name(self) -> &'static str {
        match (self.input, self.output) {
            (Visibility::Public, Visibility::Public) => "none",
            (Visibility::Private, Visibility::Public) => "input",
            (Visibility::Public, Visibility::Private) => "output",
            (Visibility::Private, Visibility::Private) => "input and output",
        }
    }
}

/// A tensor as a statement shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// Its activations.
    Values(Vec<i64>),
    /// The canonical little-endian bytes of its salted digest.
    Commitment([u8; 32]),
}

impl Shown {
    /// A commitment.
    pub fn commitment<F: CircuitField>(digest: &F) -> Self {
        Shown::Commitment(to_bytes(digest))
    }

    /// The activations, if they are shown.
    pub fn values(&self) -> Option<&[i64]> {
        match self {
            Shown::Values(values) => Some(values),
            Shown::Commitment(_) => None,
        }
    }

    /// The activations, to be changed.
    pub fn values_mut(&mut self) -> Option<&mut Vec<i64>> {
        match self {
            Shown::Values(values) => Some(values),
            Shown::Commitment(_) => None,
        }
    }

    /// The visibility.
    pub fn visibility(&self) -> Visibility {
        match self {
            Shown::Values(_) => Visibility::Public,
            Shown::Commitment(_) => Visibility::Private,
        }
    }

    /// What is committed to, of a private side.
    ///
    /// # Errors
    /// [`FoldError::Statement`] for bytes that are not below the modulus: a commitment has one
    /// encoding.
    pub(crate) fn element<F: CircuitField>(bytes: &[u8; 32]) -> Result<F, Error> {
        let what = "a commitment of the statement";
        Ok(from_bytes(bytes).ok_or(FoldError::Statement { what })?)
    }
}

impl From<Vec<i64>> for Shown {
    fn from(values: Vec<i64>) -> Self {
        Shown::Values(values)
    }
}

/// A commitment equals no values, not even those committed to.
impl PartialEq<Vec<i64>> for Shown {
    fn eq(&self, other: &Vec<i64>) -> bool {
        self.values() == Some(other.as_slice())
    }
}

/// A commitment equals no values, not even those committed to.
impl PartialEq<[i64]> for Shown {
    fn eq(&self, other: &[i64]) -> bool {
        self.values() == Some(other)
    }
}

/// A commitment equals no values, not even those committed to.
impl PartialEq<&[i64]> for Shown {
    fn eq(&self, other: &&[i64]) -> bool {
        self.values() == Some(*other)
    }
}

/// What a verifier asked for on a side, and what a statement shows there.
///
/// # Errors
/// [`FoldError::Statement`], naming the side, when they differ.
pub(crate) fn expect(side: Side, asked: Visibility, shown: &Shown) -> Result<(), Error> {
    let what = match (side, asked) {
        _ if shown.visibility() == asked => return Ok(()),
        (Side::Input, Visibility::Public) => "an input, a commitment in place of values,",
        (Side::Output, Visibility::Public) => "an output, a commitment in place of values,",
        (Side::Input, Visibility::Private) => "an input, values in place of a commitment,",
        (Side::Output, Visibility::Private) => "an output, values in place of a commitment,",
    };
    Err(FoldError::Statement { what }.into())
}

/// The salts of a run's private sides: one an inference. They are secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "F: CircuitField")]
pub struct Salts<F> {
    input: Option<Vec<F>>,
    output: Option<Vec<F>>,
}

/// The debug form shows no salt.
impl<F> fmt::Debug for Salts<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |salts: &Option<Vec<F>>| salts.as_ref().map_or(0, Vec::len);
        let (input, output) = (count(&self.input), count(&self.output));
        write!(f, "Salts({input} of inputs, {output} of outputs)")
    }
}

impl<F: CircuitField> Salts<F> {
    /// Those of a run whose sides are public: none.
    pub fn public() -> Self {
        Salts {
            input: None,
            output: None,
        }
    }

    /// Fresh uniform salts for a run of some inferences.
    pub fn draw<R: RngCore + CryptoRng>(sides: Sides, inferences: usize, rng: &mut R) -> Self {
        let mut draw = |visibility: Visibility| {
            let salts = || (0..inferences).map(|_| F::random(&mut *rng)).collect();
            visibility.is_private().then(salts)
        };
        Salts {
            input: draw(sides.input),
            output: draw(sides.output),
        }
    }

    fn side(&self, side: Side) -> Option<&[F]> {
        match side {
            Side::Input => self.input.as_deref(),
            Side::Output => self.output.as_deref(),
        }
    }

    /// Which sides have salts.
    pub fn sides(&self) -> Sides {
        let visibility = |side| match self.side(side) {
            None => Visibility::Public,
            Some(_) => Visibility::Private,
        };
        Sides {
            input: visibility(Side::Input),
            output: visibility(Side::Output),
        }
    }

    /// Whether there is one for every inference.
    pub(crate) fn fit(&self, inferences: usize) -> bool {
        let mut salts = Side::ALL.iter().filter_map(|side| self.side(*side));
        salts.all(|salts| salts.len() == inferences)
    }

    /// The salt of an inference: zero on a public side.
    ///
    /// # Errors
    /// [`Error::Length`] for an inference that the run does not have.
    pub(crate) fn of(&self, side: Side, inference: usize) -> Result<F, Error> {
        match self.side(side) {
            None => Ok(F::ZERO),
            Some(salts) => salts.get(inference).copied().ok_or(Error::Length {
                what: "salts",
                expected: inference + 1,
                got: salts.len(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halo2curves::bn256::Fr;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    const INPUT: Sides = Sides {
        input: Visibility::Private,
        output: Visibility::Public,
    };

    #[test]
    fn salts_are_fresh_full_and_never_shown() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let salts = Salts::<Fr>::draw(INPUT, 3, &mut rng);
        let other = Salts::<Fr>::draw(INPUT, 3, &mut rng);
        let mut all: Vec<[u8; 32]> = Vec::new();
        for (salts, inference) in [&salts, &other]
            .into_iter()
            .flat_map(|s| (0..3).map(move |i| (s, i)))
        {
            all.push(to_bytes(&salts.of(Side::Input, inference).unwrap()));
            assert_eq!(salts.of(Side::Output, inference).unwrap(), Fr::zero());
        }
        // Every salt has a top byte of its own or another, and none is small.
        assert!(all.iter().all(|salt| salt[16..].iter().any(|b| *b != 0)));
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 6);
        assert!(salts.of(Side::Input, 3).is_err());
        assert!(salts.fit(3) && !salts.fit(2) && Salts::<Fr>::public().fit(2));
        assert_eq!(
            format!("{salts:?}"),
            "Salts(3 of inputs, 0 of outputs)",
            "the debug form shows a secret"
        );
    }

    #[test]
    fn a_side_shows_what_was_asked_for() {
        let values = Shown::from(vec![1, 2]);
        let commitment = Shown::commitment(&Fr::from(5));
        expect(Side::Input, Visibility::Public, &values).unwrap();
        expect(Side::Output, Visibility::Private, &commitment).unwrap();
        for (side, asked, shown, part) in [
            (
                Side::Input,
                Visibility::Public,
                &commitment,
                "an input, a commitment",
            ),
            (
                Side::Output,
                Visibility::Public,
                &commitment,
                "an output, a commitment",
            ),
            (
                Side::Input,
                Visibility::Private,
                &values,
                "an input, values",
            ),
            (
                Side::Output,
                Visibility::Private,
                &values,
                "an output, values",
            ),
        ] {
            let error = expect(side, asked, shown).unwrap_err();
            assert!(error.is_rejection());
            assert!(error.to_string().starts_with(part), "{error}");
        }
    }

    #[test]
    fn a_commitment_has_one_encoding() {
        let Shown::Commitment(bytes) = Shown::commitment(&-Fr::one()) else {
            panic!("a commitment");
        };
        assert_eq!(Shown::element::<Fr>(&bytes).unwrap(), -Fr::one());
        let error = Shown::element::<Fr>(&[0xff; 32]).unwrap_err();
        assert!(error.is_rejection(), "{error}");
    }

    #[test]
    fn private_sides_are_named() {
        assert_eq!(Sides::PUBLIC.private().count(), 0);
        assert_eq!(INPUT.private().collect::<Vec<_>>(), [Side::Input]);
        assert_eq!((INPUT.name(), Sides::PUBLIC.name()), ("input", "none"));
    }
}

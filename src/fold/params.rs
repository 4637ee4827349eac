//! The public parameters of a program: shapes, keys and the digest that binds them.

use crate::fold::augmented::{Augmented, Inputs};
use crate::fold::cyclefold::{self, Operations};
use crate::fold::error::FoldError;
use crate::fold::r1cs::{Fresh, Instance, Running, Shape};
use crate::fold::state::{Accumulator, Context, State};
use crate::key::source::{KeyEngine, KeySource};
use crate::key::{CommitmentKey, KeyCache};
use crate::progress::{Progress, Stage};
use ff::Field;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::field::from_uniform;
use foldnet_gadgets::lookup::LIMB_BITS;
use foldnet_gadgets::step::StepCircuit;
use foldnet_gadgets::system::ShapeSystem;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha512};
use std::path::Path;

/// Most kinds a program may have.
pub const MAX_KINDS: usize = 8;

/// Most variables a weight polynomial may have.
pub const MAX_WEIGHT_VARIABLES: usize = 22;

/// Everything public that proving and verifying one architecture needs.
///
/// Parameters are rebuilt from the kinds, never read from a proof.
#[derive(Debug)]
pub struct Params<C: Cycle, S> {
    pub(crate) context: Context<C>,
    pub(crate) kinds: Vec<S>,
    pub(crate) shapes: Vec<Shape<C::Primary>>,
    pub(crate) cyclefold: Shape<C::Secondary>,
    pub(crate) start: Running<C::Secondary>,
    pub(crate) primary: CommitmentKey<C::Primary>,
    pub(crate) secondary: CommitmentKey<C::Secondary>,
    pub(crate) weight_variables: usize,
    pub(crate) pp: C::F,
}

impl<C: KeySource, S: StepCircuit<C::F>> Params<C, S> {
    /// [`Params::with_keys`] with the keys of a directory, without a limit on what is derived.
    ///
    /// # Errors
    /// Those of [`Params::with_keys`].
    pub fn new(
        kinds: Vec<S>,
        weight_variables: usize,
        description: &[u8],
        cache: Option<&Path>,
        progress: &mut dyn Progress,
    ) -> Result<Self, FoldError> {
        let keys = KeyCache::new(cache);
        Self::with_keys(kinds, weight_variables, description, keys, progress)
    }

    /// Builds shapes, and loads or derives keys. The digest also absorbs `description`: whatever
    /// else the application fixes about its programs.
    ///
    /// # Errors
    /// [`FoldError::Program`] for no kinds, too many, none that ends an inference, or weights of
    /// different sizes; those of synthesis and of the keys otherwise.
    pub fn with_keys(
        kinds: Vec<S>,
        weight_variables: usize,
        description: &[u8],
        keys: KeyCache<'_>,
        progress: &mut dyn Progress,
    ) -> Result<Self, FoldError> {
        check_kinds::<C, S>(&kinds, weight_variables)?;
        // Before shapes are built: a key that there will not be makes all work useless.
        keys.check::<C::Primary>(1 << weight_variables)?;
        let context = Context::new()?;
        let cyclefold = cyclefold::shape::<C>()?;
        let secondary = load_key::<C::Secondary>(keys, cyclefold.key_size(), progress)?;
        // A fixed seed: this instance is a public constant of the circuits, not a secret.
        let mut rng = ChaCha20Rng::from_seed(*b"foldnet cyclefold start instance");
        let start = cyclefold.start(&secondary, false, &mut rng)?;
        progress.start(Stage::Shapes, kinds.len() as u64);
        let mut shapes = Vec::with_capacity(kinds.len());
        for kind in 0..kinds.len() {
            shapes.push(shape_of::<C, S>(
                &context,
                &kinds,
                kind,
                weight_variables,
                &start.0,
            )?);
            progress.advance(kind as u64 + 1);
        }
        progress.finish();
        let largest = shapes.iter().map(Shape::key_size).max().unwrap_or(0);
        // Openings need as many generators as the padded polynomial has entries.
        let size = largest.next_power_of_two().max(1 << weight_variables);
        let primary = load_key::<C::Primary>(keys, size, progress)?;
        let circuits = (shapes.as_slice(), &cyclefold);
        let pp = digest::<C>(
            circuits,
            &primary,
            &secondary,
            weight_variables,
            description,
        );
        Ok(Params {
            context,
            kinds,
            shapes,
            cyclefold,
            start,
            primary,
            secondary,
            weight_variables,
            pp,
        })
    }
}

impl<C: Cycle, S: StepCircuit<C::F>> Params<C, S> {
    /// The parameter digest.
    pub fn digest(&self) -> C::F {
        self.pp
    }

    /// The hashing constants.
    pub fn context(&self) -> &Context<C> {
        &self.context
    }

    /// The kinds in order.
    pub fn kinds(&self) -> &[S] {
        &self.kinds
    }

    /// Variables of every weight polynomial.
    pub fn weight_variables(&self) -> usize {
        self.weight_variables
    }

    /// How many inferences a step carries: the same for all kinds.
    pub fn inferences(&self) -> usize {
        self.kinds.first().map_or(1, StepCircuit::inferences)
    }

    /// Constraints of each kind's step circuit.
    pub fn constraints(&self) -> Vec<usize> {
        self.shapes.iter().map(Shape::rows).collect()
    }

    /// Constraints and variables of the CycleFold circuit.
    pub fn cyclefold_size(&self) -> (usize, usize) {
        (
            self.cyclefold.rows(),
            self.cyclefold.segments().iter().sum(),
        )
    }

    /// Whether relations between generators are known, so that proofs prove nothing to strangers.
    pub fn insecure(&self) -> bool {
        self.primary.insecure() || self.secondary.insecure()
    }

    /// The primary key, which weights are committed with.
    pub fn key(&self) -> &CommitmentKey<C::Primary> {
        &self.primary
    }

    /// The model id of a program: the digest chain over `(kind, C_step)` of every step.
    ///
    /// # Errors
    /// [`FoldError::Kind`] for an unknown kind; [`FoldError::Program`] when a commitment is present
    /// for a kind without weights or missing for one with, or is the identity.
    pub fn model_id(
        &self,
        steps: &[(usize, Option<Commitment<C::Primary>>)],
    ) -> Result<C::F, FoldError> {
        let mut digest = self.context.model_start(self.pp);
        for (kind, commitment) in steps {
            let weights = self.kind(*kind)?.weight_variables().is_some();
            if weights != commitment.is_some() {
                let message =
                    format!("a step of kind {kind} has weights exactly when its kind does");
                return Err(FoldError::Program(message));
            }
            if commitment.is_some_and(|c| c.is_identity()) {
                let message = "a weight commitment is the identity; commit with a blind";
                return Err(FoldError::Program(message.into()));
            }
            digest = self.context.model_step(digest, *kind, commitment.as_ref());
        }
        Ok(digest)
    }

    pub(crate) fn kind(&self, kind: usize) -> Result<&S, FoldError> {
        self.kinds.get(kind).ok_or(FoldError::Kind {
            got: kind,
            kinds: self.kinds.len(),
        })
    }

    pub(crate) fn shape(&self, kind: usize) -> Result<&Shape<C::Primary>, FoldError> {
        self.shapes.get(kind).ok_or(FoldError::Kind {
            got: kind,
            kinds: self.kinds.len(),
        })
    }

    /// The step circuit of a kind.
    ///
    /// # Errors
    /// [`FoldError::Kind`] for an unknown kind.
    pub fn circuit(&self, kind: usize) -> Result<Augmented<'_, C, S>, FoldError> {
        Ok(Augmented {
            context: &self.context,
            step: self.kind(kind)?,
            kind,
            kinds: self.kinds.len(),
            start: &self.start.0,
        })
    }
}

fn load_key<E: KeyEngine>(
    keys: KeyCache<'_>,
    size: usize,
    progress: &mut dyn Progress,
) -> Result<CommitmentKey<E>, FoldError> {
    progress.start(Stage::Keys, size as u64);
    // A cache file may hold more than what is asked for; the report stays within the total.
    let mut advance = |done: u64| progress.advance(done.min(size as u64));
    let key = keys.load_or_create(size, &mut advance)?;
    progress.finish();
    Ok(key)
}

fn check_kinds<C: Cycle, S: StepCircuit<C::F>>(
    kinds: &[S],
    weight_variables: usize,
) -> Result<(), FoldError> {
    let refuse = |message: String| Err(FoldError::Program(message));
    if kinds.is_empty() || kinds.len() > MAX_KINDS {
        return refuse(format!(
            "{} step kinds, but 1 to {MAX_KINDS} are possible",
            kinds.len()
        ));
    }
    if weight_variables > MAX_WEIGHT_VARIABLES {
        return refuse(format!(
            "2^{weight_variables} weights a step, but at most 2^{MAX_WEIGHT_VARIABLES} are possible; \
             split the layer by rows"
        ));
    }
    if !kinds.iter().any(StepCircuit::ends_inference) {
        return refuse("no step kind ends an inference".into());
    }
    let carried = kinds.first().map_or(1, StepCircuit::inferences);
    if let Some(other) = kinds
        .iter()
        .map(StepCircuit::inferences)
        .find(|n| *n != carried)
    {
        return refuse(format!(
            "a kind carries {other} inferences where the first carries {carried}"
        ));
    }
    let other = kinds
        .iter()
        .filter_map(StepCircuit::weight_variables)
        .find(|n| *n != weight_variables);
    match other {
        Some(n) => refuse(format!(
            "a kind has 2^{n} weights where the program has 2^{weight_variables}"
        )),
        None => Ok(()),
    }
}

fn shape_of<C: Cycle, S: StepCircuit<C::F>>(
    context: &Context<C>,
    kinds: &[S],
    kind: usize,
    weight_variables: usize,
    start: &Instance<C::Secondary>,
) -> Result<Shape<C::Primary>, FoldError> {
    let Some(step) = kinds.get(kind) else {
        return Err(FoldError::Kind {
            got: kind,
            kinds: kinds.len(),
        });
    };
    let circuit = Augmented {
        context,
        step,
        kind,
        kinds: kinds.len(),
        start,
    };
    let mut system = ShapeSystem::default();
    let mut inputs = sample_inputs::<C>(
        kinds.len(),
        weight_variables,
        step.weight_variables().is_some(),
        start,
    );
    inputs.inferences = vec![C::F::ZERO; step.inferences()];
    let closed = circuit.commit(&mut system, &inputs, &step.dummy_trace())?;
    let first = system.auxiliary();
    circuit.constrain(&mut system, &closed, C::F::ZERO, None)?;
    let matrices = system.into_matrices();
    let second = matrices.variables - first;
    Shape::new(matrices, vec![first, second])
}

/// Inputs of the right lengths whose values are ignored.
pub(crate) fn sample_inputs<C: Cycle>(
    kinds: usize,
    weight_variables: usize,
    weights: bool,
    start: &Instance<C::Secondary>,
) -> Inputs<C> {
    let operations: Operations<C> = cyclefold::sample();
    let [operation, ..] = operations.operations;
    let (point, zero) = (operation.p, C::F::ZERO);
    let instance = Instance {
        segments: vec![point; 2],
        error: point,
        u: zero,
        x: vec![zero; 2],
    };
    let secondary = start.error;
    Inputs {
        pp: zero,
        index: 0,
        start: zero,
        state: State {
            model: zero,
            digest: zero,
            input: zero,
            tensors: zero,
            batch: zero,
            count: 0,
        },
        entries: vec![zero; kinds],
        kind: 0,
        running: instance.clone(),
        fresh: Fresh {
            segments: vec![point; 2],
            x: vec![zero; 2],
        },
        cross: point,
        folded: instance,
        operations,
        cyclefold: start.clone(),
        cyclefold_fresh: secondary,
        cyclefold_cross: secondary,
        cyclefold_challenge: cyclefold::idle_challenge(),
        accumulator: Accumulator {
            commitment: point,
            pending: point,
            challenge: cyclefold::idle_challenge(),
            point: vec![zero; weight_variables],
            value: zero,
        },
        weights: weights.then_some(point),
        inferences: Vec::new(),
        next_input: zero,
    }
}

/// `pp`: SHA-512 over curve, configuration, all shapes and keys, reduced into F.
fn digest<C: Cycle>(
    (shapes, cyclefold): (&[Shape<C::Primary>], &Shape<C::Secondary>),
    primary: &CommitmentKey<C::Primary>,
    secondary: &CommitmentKey<C::Secondary>,
    weight_variables: usize,
    description: &[u8],
) -> C::F {
    let mut hasher = Sha512::new();
    hasher.update(b"foldnet parameters v1, Poseidon rates 5 and 24, 64 endomorphism digits\0");
    hasher.update(C::NAME.as_bytes());
    for number in [
        weight_variables as u64,
        u64::from(LIMB_BITS),
        shapes.len() as u64,
    ] {
        hasher.update(number.to_le_bytes());
    }
    for shape in shapes {
        shape.absorb_into(&mut hasher);
    }
    cyclefold.absorb_into(&mut hasher);
    hasher.update(primary.digest());
    hasher.update(secondary.digest());
    hasher.update((description.len() as u64).to_le_bytes());
    hasher.update(description);
    from_uniform(&hasher.finalize().into())
}

//! Proving and verifying one program: parameters, committed weights, the run.

use crate::artefact::check_architecture;
use crate::blinds::WeightBlinds;
use crate::decider::spartan::Shapes;
use crate::error::Error;
use crate::fold::params::Params;
use crate::fold::prover::{Recursion, Start};
use crate::fold::verifier::{self, Statement};
use crate::key::KeyCache;
use crate::key::source::KeySource;
use crate::model::reading::Reading;
use crate::program::{Outline, Program, Tensor, activations};
use crate::progress::{Progress, Stage};
use crate::run::{Job, RunState};
use crate::visibility::{Shown, Side, Sides, expect};
use ff::Field;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::hash::HashConstants;
use foldnet_layers::graph::{Graph, GraphShape};
use foldnet_layers::tensor;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, Instant};

/// The architecture of a program: all that parameters are rebuilt from.
///
/// The parameter digest absorbs every field, so the model id binds also the lengths and scales of
/// input and output and how the output is read, which tell what the integers of a statement mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// The step kinds.
    pub kinds: Vec<GraphShape>,
    /// `ell`.
    pub weight_variables: usize,
    /// Width of the activations in bits.
    pub bits: u32,
    /// The input.
    pub input: Tensor,
    /// The output.
    pub output: Tensor,
    /// How the output is read.
    pub reading: Reading,
}

impl Architecture {
    /// Inferences that every step carries.
    pub fn batch(&self) -> usize {
        self.kinds.first().map_or(1, |kind| kind.batch.max(1))
    }

    /// The tensors of a proof about `tensors`: the last one is repeated until steps are full.
    pub fn fill_steps<T: Clone>(&self, mut tensors: Vec<T>) -> Vec<T> {
        if let Some(last) = tensors.last().cloned() {
            tensors.resize(tensors.len().next_multiple_of(self.batch()), last);
        }
        tensors
    }

    /// The class that the integers of an output name, if they name one.
    pub fn class(&self, output: &[i64]) -> Option<usize> {
        self.reading.class_of_integers(output, self.output.scale)
    }

    /// What the parameter digest absorbs beyond the circuits.
    fn description(&self) -> Vec<u8> {
        let mut bytes = self.bits.to_le_bytes().to_vec();
        for tensor in [&self.input, &self.output] {
            for number in [
                tensor.length as u64,
                tensor.capacity as u64,
                tensor.scale.to_bits(),
            ] {
                bytes.extend(number.to_le_bytes());
            }
        }
        bytes.extend(self.reading.tag());
        bytes
    }
}

impl From<&Outline> for Architecture {
    fn from(program: &Outline) -> Self {
        Architecture {
            kinds: program.kinds.clone(),
            weight_variables: program.weight_variables,
            bits: program.bits,
            input: program.input.clone(),
            output: program.output.clone(),
            reading: program.reading,
        }
    }
}

/// Parameters of an architecture, for any weights.
#[derive(Debug)]
pub struct Session<C: Cycle> {
    architecture: Architecture,
    params: Params<C, Graph<C::F>>,
    hash: HashConstants<C::F>,
}

/// One inference, as a statement shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inference {
    /// Input activations, or a commitment to them.
    pub input: Shown,
    /// Output activations, or a commitment to them.
    pub output: Shown,
}

impl Inference {
    /// What is shown of a side.
    pub fn side(&self, side: Side) -> &Shown {
        match side {
            Side::Input => &self.input,
            Side::Output => &self.output,
        }
    }
}

/// The weight commitments of a program and the model id that they make.
#[derive(Clone, Debug)]
pub struct Committed<C: Cycle> {
    /// One commitment a step; none where its kind has no weights.
    pub commitments: Vec<Option<Commitment<C::Primary>>>,
    /// The model id.
    pub model: C::F,
    /// What the commitments are blinded with.
    pub blinds: WeightBlinds<C::F>,
}

/// A proof was checked completely and is true under the session's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Whether relations between the keys' generators are known: then anyone can forge a proof of
    /// anything, and acceptance is worth nothing outside tests.
    pub insecure_keys: bool,
}

/// How long the parts of a run took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Evaluating the integer network.
    pub witness: Duration,
    /// Start instances.
    pub start: Duration,
    /// Folding all steps.
    pub fold: Duration,
}

impl<C: KeySource> Session<C> {
    /// [`Session::with_keys`] with the keys of a directory, without a limit on what is derived.
    ///
    /// # Errors
    /// Those of [`Session::with_keys`].
    pub fn new(
        architecture: &Architecture,
        cache: Option<&Path>,
        progress: &mut dyn Progress,
    ) -> Result<Self, Error> {
        Self::with_keys(architecture, KeyCache::new(cache), progress)
    }

    /// Builds shapes, and loads or derives keys. For an architecture of unknown origin, limit what
    /// may be derived: [`KeyCache::deriving_at_most`].
    ///
    /// # Errors
    /// [`Error::Artefact`] for an architecture beyond the limits of this release, before anything is
    /// built; [`Error::Fold`] for a program that cannot be folded and for keys that cannot be
    /// loaded.
    pub fn with_keys(
        architecture: &Architecture,
        keys: KeyCache<'_>,
        progress: &mut dyn Progress,
    ) -> Result<Self, Error> {
        check_architecture(architecture)?;
        let hash = HashConstants::default();
        let kinds = architecture
            .kinds
            .iter()
            .map(|shape| Graph::new(shape.clone(), hash.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        let description = architecture.description();
        let params = Params::with_keys(
            kinds,
            architecture.weight_variables,
            &description,
            keys,
            progress,
        )?;
        Ok(Session {
            architecture: architecture.clone(),
            params,
            hash,
        })
    }
}

impl<C: Cycle> Session<C> {
    /// The parameters.
    pub fn params(&self) -> &Params<C, Graph<C::F>> {
        &self.params
    }

    /// Commits to the weights of every step of a public model: whoever has them gets the same id.
    ///
    /// # Errors
    /// Those of the key.
    pub fn commit(
        &self,
        program: &Program,
        progress: &mut dyn Progress,
    ) -> Result<Committed<C>, Error> {
        self.commit_with(program, &WeightBlinds::Public, progress)
    }

    /// Commits to the weights of every step, with blinds.
    ///
    /// # Errors
    /// Those of the key; [`Error::Length`] when there is not one blind a step.
    pub fn commit_with(
        &self,
        program: &Program,
        blinds: &WeightBlinds<C::F>,
        progress: &mut dyn Progress,
    ) -> Result<Committed<C>, Error> {
        let steps = &program.outline().steps;
        blinds.check(steps.len())?;
        progress.start(Stage::Model, steps.len() as u64);
        let mut commitments = Vec::with_capacity(steps.len());
        for step in 0..steps.len() {
            commitments.push(self.commit_step(program, blinds, step)?);
            progress.advance(step as u64 + 1);
        }
        progress.finish();
        self.committed(program, commitments, blinds.clone())
    }

    /// Folds one inference after the other into one run about public inputs and outputs, from start
    /// instances as `start` says: succinct proofs reveal nothing about witnesses only when these are
    /// masked.
    ///
    /// # Errors
    /// Those of the reference evaluation and of folding; [`Error::Unmasked`] for a private model from
    /// start instances that hide nothing.
    pub fn prove<R: RngCore + CryptoRng>(
        &self,
        program: &Program,
        committed: &Committed<C>,
        (inputs, start): (&[Vec<i64>], Start),
        progress: &mut dyn Progress,
        rng: &mut R,
    ) -> Result<(Recursion<C>, Vec<Inference>, Timing), Error> {
        if committed.blinds.is_private() && start == Start::Public {
            return Err(Error::Unmasked);
        }
        let mut timing = Timing::default();
        let clock = Instant::now();
        let mut run = RunState::begin(self, committed.model, inputs, start, rng)?;
        timing.start = clock.elapsed();
        let job = Job {
            session: self,
            program,
            committed,
            inputs,
        };
        job.fold(&mut run, &mut timing, progress, &mut |_| {}, rng)?;
        let inferences = run.inferences(self, inputs)?;
        Ok((run.recursion, inferences, timing))
    }

    /// The digest of one side of an inference, as the step circuits compute it.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of activations, [`FoldError::Statement`] for one that no
    /// circuit would accept.
    ///
    /// [`FoldError::Statement`]: crate::fold::error::FoldError::Statement
    pub(crate) fn side_digest(
        &self,
        side: Side,
        values: &[i64],
        salt: C::F,
    ) -> Result<C::F, Error> {
        let (what, tensor) = match side {
            Side::Input => ("an input", &self.architecture.input),
            Side::Output => ("an output", &self.architecture.output),
        };
        let bits = self.architecture.bits;
        let padded = activations(what, values, (tensor.length, tensor.capacity), bits)?;
        Ok(tensor::digest(&self.hash, &padded, bits, salt))
    }

    /// The digest of the live tensors of one inference between two steps.
    pub(crate) fn tensor_digest(&self, values: &[i64]) -> C::F {
        tensor::digest(&self.hash, values, self.architecture.bits, C::F::ZERO)
    }

    /// The digest of the live tensors of a step: of every inference its slices of all tensors.
    pub(crate) fn live_digest(&self, live: &[Vec<i64>]) -> C::F {
        let batch = self.params.inferences();
        let slices = |inference: usize| {
            let slice = |tensor: &Vec<i64>| {
                let length = tensor.len() / batch;
                let values = tensor.iter().skip(inference * length).take(length);
                values.copied().collect::<Vec<i64>>()
            };
            live.iter().flat_map(slice).collect::<Vec<i64>>()
        };
        let digests = (0..batch).map(|inference| self.tensor_digest(&slices(inference)));
        self.params.context.group(&digests.collect::<Vec<_>>())
    }

    /// Accepts iff `run` proves that the model maps every input to its output. What is accepted
    /// under insecure keys proves nothing to a stranger, and the result says so.
    ///
    /// # Errors
    /// [`Error::is_rejection`] tells a false proof from data that cannot be judged.
    pub fn verify(
        &self,
        run: &Recursion<C>,
        model: C::F,
        inferences: &[Inference],
    ) -> Result<Accepted, Error> {
        let statement = self.statement(model, inferences)?;
        verifier::verify(&self.params, run, &statement)?;
        Ok(self.accepted())
    }

    /// The acceptance of a proof under this session's keys.
    fn accepted(&self) -> Accepted {
        Accepted {
            insecure_keys: self.params.insecure(),
        }
    }

    /// The architecture.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The shapes that succinct proofs are about.
    ///
    /// # Errors
    /// Those of [`Shapes::new`].
    pub fn shapes(&self) -> Result<Shapes<C>, Error> {
        Ok(Shapes::new(&self.params)?)
    }

    /// The digests of a statement about public inputs and outputs.
    ///
    /// # Errors
    /// Those of [`Self::statement_showing`].
    pub fn statement(
        &self,
        model: C::F,
        inferences: &[Inference],
    ) -> Result<Statement<C::F>, Error> {
        self.statement_showing(Sides::PUBLIC, model, inferences)
    }

    /// The digests of a statement that shows what the verifier asks for on each side: they are computed
    /// from values, and taken from commitments.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of activations; [`FoldError::Statement`] for one that no
    /// circuit would accept, for a commitment that is no field element, for a commitment where values
    /// are required, and for values where a commitment is.
    ///
    /// [`FoldError::Statement`]: crate::fold::error::FoldError::Statement
    pub fn statement_showing(
        &self,
        sides: Sides,
        model: C::F,
        inferences: &[Inference],
    ) -> Result<Statement<C::F>, Error> {
        let digest = |side: Side, inference: &Inference| {
            let shown = inference.side(side);
            expect(side, sides.of(side), shown)?;
            match shown {
                Shown::Values(values) => self.side_digest(side, values, C::F::ZERO),
                Shown::Commitment(bytes) => Shown::element(bytes),
            }
        };
        let inferences = inferences
            .iter()
            .map(|i| Ok((digest(Side::Input, i)?, digest(Side::Output, i)?)))
            .collect::<Result<_, Error>>()?;
        Ok(Statement {
            model,
            sides,
            inferences,
        })
    }
}

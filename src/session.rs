//! Proving and verifying one program: parameters, committed weights, the run.

use crate::artefact::check_architecture;
use crate::decider::spartan::Shapes;
use crate::error::Error;
use crate::fold::params::Params;
use crate::fold::prover::{Recursion, Start};
use crate::fold::verifier::{self, Statement};
use crate::key::KeyCache;
use crate::key::source::KeySource;
use crate::program::{Outline, Program, Tensor, activations};
use crate::progress::{Progress, Stage};
use crate::run::{Job, RunState};
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

/// The blind of every public weight commitment: fixed, and not zero, so that a block of zeros does
/// not commit to the identity.
pub(crate) const PUBLIC_BLIND: u64 = 1;

/// The architecture of a program: all that parameters are rebuilt from.
///
/// The parameter digest absorbs every field, so the model id binds also the lengths and scales of
/// input and output, which tell what the integers of a statement mean.
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
}

impl Architecture {
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

/// One inference in integers, as a statement shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inference {
    /// Input activations.
    pub input: Vec<i64>,
    /// Output activations.
    pub output: Vec<i64>,
}

/// The weight commitments of a program and the model id that they make.
#[derive(Clone, Debug)]
pub struct Committed<C: Cycle> {
    /// One commitment a step; none where its kind has no weights.
    pub commitments: Vec<Option<Commitment<C::Primary>>>,
    /// The model id.
    pub model: C::F,
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

    /// Commits to the weights of every step.
    ///
    /// # Errors
    /// Those of the key.
    pub fn commit(
        &self,
        program: &Program,
        progress: &mut dyn Progress,
    ) -> Result<Committed<C>, Error> {
        let steps = &program.outline().steps;
        progress.start(Stage::Model, steps.len() as u64);
        let mut commitments = Vec::with_capacity(steps.len());
        for step in 0..steps.len() {
            commitments.push(self.commit_step(program, step)?);
            progress.advance(step as u64 + 1);
        }
        progress.finish();
        self.committed(program, commitments)
    }

    /// Folds one inference after the other into one run, from start instances as `start` says:
    /// succinct proofs reveal nothing about witnesses only when these are masked.
    ///
    /// # Errors
    /// Those of the reference evaluation and of folding.
    pub fn prove<R: RngCore + CryptoRng>(
        &self,
        program: &Program,
        committed: &Committed<C>,
        (inputs, start): (&[Vec<i64>], Start),
        progress: &mut dyn Progress,
        rng: &mut R,
    ) -> Result<(Recursion<C>, Vec<Inference>, Timing), Error> {
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
        let inferences = run.inferences(inputs);
        Ok((run.recursion, inferences, timing))
    }

    /// The digest of one input, as the step circuits compute it.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of activations.
    pub(crate) fn input_digest(&self, input: &[i64]) -> Result<C::F, Error> {
        let padded = self.architecture.input.pad("input", input)?;
        Ok(self.tensor_digest(&padded))
    }

    /// The digest of the live tensors of one inference.
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

    /// The digests of a statement.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of activations, [`FoldError::Statement`] for one that
    /// no circuit would accept.
    pub fn statement(
        &self,
        model: C::F,
        inferences: &[Inference],
    ) -> Result<Statement<C::F>, Error> {
        let Architecture {
            bits,
            input,
            output,
            ..
        } = &self.architecture;
        let digest = |what, tensor: &Tensor, values: &[i64]| {
            let sizes = (tensor.length, tensor.capacity);
            let padded = activations(what, values, sizes, *bits)?;
            Ok::<_, Error>(tensor::digest(&self.hash, &padded, *bits, C::F::ZERO))
        };
        let inferences = inferences
            .iter()
            .map(|i| {
                Ok((
                    digest("an input", input, &i.input)?,
                    digest("an output", output, &i.output)?,
                ))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Statement { model, inferences })
    }
}

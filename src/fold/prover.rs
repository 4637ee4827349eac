//! The prover: one step at a time, one running instance a kind.

use crate::fold::augmented::Inputs;
use crate::fold::cyclefold::{self, Operations};
use crate::fold::error::FoldError;
use crate::fold::params::Params;
use crate::fold::r1cs::{Fresh, FreshWitness, Instance, Running, Shape};
use crate::fold::state::{Accumulator, CycleFoldChallenge, State, batch_start};
use ff::Field;
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::claims::MergeInput;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::small;
use foldnet_gadgets::step::{StepCircuit, WeightTable};
use foldnet_gadgets::sumcheck;
use foldnet_gadgets::system::WitnessSystem;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};

/// The committed weights of one step.
#[derive(Clone, Copy, Debug)]
pub struct StepWeights<'a, C: Cycle> {
    /// The evaluation table.
    pub table: &'a WeightTable,
    /// `C_step`.
    pub commitment: Commitment<C::Primary>,
    /// The blind of the commitment.
    pub blind: C::F,
}

/// One step to fold.
#[derive(Debug)]
pub struct Step<'a, C: Cycle, T> {
    /// Its kind.
    pub kind: usize,
    /// The values of its execution.
    pub trace: &'a T,
    /// Its weights, if the kind has some.
    pub weights: Option<StepWeights<'a, C>>,
    /// Digests of the inputs of the inferences that the step carries; read only where several end.
    pub inputs: &'a [C::F],
    /// `t_0` of the inferences after these; read only where inferences end.
    pub next_input: C::F,
}

/// How the instances that folding starts from are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// Zero witnesses with blinded commitments: nothing about the computation is private.
    Public,
    /// Uniform witnesses and a uniform accumulator, which hide what is folded into them.
    Masked,
}

/// The state of a folding run; what a `folded` proof consists of.
///
/// It contains witnesses and holds no state of a random generator. It is a secret unless everything
/// is public.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Recursion<C: Cycle> {
    /// Number of steps folded.
    pub index: u64,
    /// `t_0`.
    pub start: C::F,
    /// The state after the last step.
    pub state: State<C::F>,
    /// One running instance a kind.
    pub running: Vec<Running<C::Primary>>,
    /// The CycleFold running instance.
    pub cyclefold: Running<C::Secondary>,
    /// Kind, instance and witness of the last step; none before the first.
    pub last: Option<LastStep<C>>,
    /// The claim accumulator.
    pub accumulator: Accumulator<C>,
    /// The evaluation table of the accumulated polynomial.
    pub table: Vec<C::F>,
    /// The blind of its commitment.
    pub blind: C::F,
}

/// The step that is not folded yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct LastStep<C: Cycle> {
    /// Its kind.
    pub kind: usize,
    /// Its instance.
    pub instance: Fresh<C::Primary>,
    /// Its witness.
    pub witness: FreshWitness<C::Primary>,
}

impl<C: Cycle> Recursion<C> {
    /// The state before the first step of a run that starts with input digest `start`.
    ///
    /// # Errors
    /// Those of the key.
    pub fn begin<S: StepCircuit<C::F>, R: RngCore + CryptoRng>(
        params: &Params<C, S>,
        model: C::F,
        start: C::F,
        mode: Start,
        rng: &mut R,
    ) -> Result<Self, FoldError> {
        let mask = mode == Start::Masked;
        let running = params
            .shapes
            .iter()
            .map(|shape| shape.start(&params.primary, mask, rng))
            .collect::<Result<_, _>>()?;
        let (accumulator, table, blind) = first_accumulator(params, mask, rng)?;
        Ok(Recursion {
            index: 0,
            start,
            state: State {
                model,
                digest: params.context.model_start(params.pp),
                input: start,
                tensors: start,
                batch: batch_start(),
                count: 0,
            },
            running,
            cyclefold: params.start.clone(),
            last: None,
            accumulator,
            table,
            blind,
        })
    }

    /// Folds the step before into its running instance and makes the instance of `step`.
    ///
    /// # Errors
    /// [`FoldError::Kind`], [`FoldError::Program`] when weights are missing or too many,
    /// [`FoldError::Step`] when the circuit refuses the trace.
    pub fn step<S: StepCircuit<C::F>, R: RngCore + CryptoRng>(
        &mut self,
        params: &Params<C, S>,
        step: &Step<'_, C, S::Trace>,
        rng: &mut R,
    ) -> Result<(), FoldError> {
        let inputs = self.fold(params, step, rng)?;
        self.prove(params, step, &inputs, rng)
    }

    /// The first half of [`Self::step`]: folds, and returns what the circuit of `step` takes.
    ///
    /// # Errors
    /// [`FoldError::Kind`], [`FoldError::Program`] when weights are missing or too many.
    pub fn fold<S: StepCircuit<C::F>, R: RngCore + CryptoRng>(
        &mut self,
        params: &Params<C, S>,
        step: &Step<'_, C, S::Trace>,
        rng: &mut R,
    ) -> Result<Inputs<C>, FoldError> {
        self.check_weights(params, step)?;
        let mut inputs = self.fold_before(params, step.weights.is_some(), rng)?;
        inputs.weights = step.weights.as_ref().map(|w| w.commitment);
        inputs.inferences = step.inputs.to_vec();
        inputs.next_input = step.next_input;
        Ok(inputs)
    }

    /// Folds the step before; with `accumulates` the pending commitment joins the accumulator. The
    /// inputs that are returned lack what belongs to the next step.
    pub(crate) fn fold_before<S: StepCircuit<C::F>, R: RngCore + CryptoRng>(
        &mut self,
        params: &Params<C, S>,
        accumulates: bool,
        rng: &mut R,
    ) -> Result<Inputs<C>, FoldError> {
        let entries = self
            .running
            .iter()
            .map(|(u, _)| params.context.instance(u))
            .collect();
        let fold = self.fold_last(params, rng)?;
        let operations = self.operations(params, accumulates, &fold);
        self.fold_cyclefold(params, entries, fold, operations, rng)
    }

    fn check_weights<S: StepCircuit<C::F>>(
        &self,
        params: &Params<C, S>,
        step: &Step<'_, C, S::Trace>,
    ) -> Result<(), FoldError> {
        let expected = params.kind(step.kind)?.weight_variables();
        let got = step.weights.as_ref().map(|w| w.table.variables());
        if expected == got {
            return Ok(());
        }
        Err(FoldError::Program(format!(
            "step {} of kind {} has weights of {got:?} variables where its kind has {expected:?}",
            self.index, step.kind
        )))
    }

    /// The fold of the last instance into its kind's running instance. Before the first step the
    /// operands are constants and the result is discarded.
    fn fold_last<S: StepCircuit<C::F>, R: RngCore + CryptoRng>(
        &mut self,
        params: &Params<C, S>,
        rng: &mut R,
    ) -> Result<PrimaryFold<C>, FoldError> {
        let kinds = self.running.len();
        let kind = self.last.as_ref().map_or(0, |last| last.kind);
        let shape = params.shape(kind)?;
        let (instance, witness) = self
            .running
            .get_mut(kind)
            .ok_or(FoldError::Kind { got: kind, kinds })?;
        let running = instance.clone();
        let context = &params.context;
        let digest = context.instance(&running);
        let Some(last) = self.last.take() else {
            let idle = cyclefold::sample::<C>().operations;
            let [first, second, cross, _] = idle.map(|operation| operation.q);
            let alpha = context.alpha(params.pp, kind, &first);
            let fresh = Fresh {
                segments: vec![first, second],
                x: vec![C::F::ZERO, alpha],
            };
            let hash = context.fold_challenge(params.pp, kind, digest, &fresh, &cross);
            let challenge = Challenge::from_hash(&hash);
            let folded = running.fold(challenge.scalar(context.lambda), &fresh, &cross);
            return Ok(PrimaryFold {
                kind,
                running,
                fresh,
                cross,
                folded,
                hash,
                challenge,
            });
        };
        let (fresh, fresh_witness) = (last.instance, last.witness);
        let cross = shape.cross_term(
            &params.primary,
            (instance, witness),
            (&fresh, &fresh_witness),
            rng,
        )?;
        let hash = context.fold_challenge(params.pp, kind, digest, &fresh, &cross.commitment);
        let challenge = Challenge::from_hash(&hash);
        let r = challenge.scalar(context.lambda);
        let folded = running.fold(r, &fresh, &cross.commitment);
        witness.fold(r, &fresh_witness, &cross);
        *instance = folded.clone();
        let cross = cross.commitment;
        Ok(PrimaryFold {
            kind,
            running,
            fresh,
            cross,
            folded,
            hash,
            challenge,
        })
    }

    /// The point operations of a step: those of the fold, and the pending accumulation.
    fn operations<S: StepCircuit<C::F>>(
        &self,
        params: &Params<C, S>,
        accumulates: bool,
        fold: &PrimaryFold<C>,
    ) -> Operations<C> {
        let last = if accumulates {
            self.accumulator.join(params.context.lambda)
        } else {
            let idle = cyclefold::idle_accumulation::<C>();
            (cyclefold::idle_challenge(), idle)
        };
        let (running, folded) = (&fold.running, &fold.folded);
        Operations::of_fold(
            fold.challenge,
            running,
            &fold.fresh,
            &fold.cross,
            folded,
            last,
        )
    }

    /// Folds the instance that proves the point operations; returns all inputs of the circuit.
    fn fold_cyclefold<S: StepCircuit<C::F>, R: RngCore + CryptoRng>(
        &mut self,
        params: &Params<C, S>,
        entries: Vec<C::F>,
        fold: PrimaryFold<C>,
        operations: Operations<C>,
        rng: &mut R,
    ) -> Result<Inputs<C>, FoldError> {
        let (fresh, fresh_witness) =
            cyclefold::prove(&params.cyclefold, &params.secondary, &operations, rng)?;
        let (instance, witness) = &mut self.cyclefold;
        let running = instance.clone();
        let cross = params.cyclefold.cross_term(
            &params.secondary,
            (instance, witness),
            (&fresh, &fresh_witness),
            rng,
        )?;
        let [fresh_commitment] = fresh.segments.as_slice() else {
            return Err(FoldError::Length {
                what: "segments of a CycleFold instance",
                expected: 1,
                got: fresh.segments.len(),
            });
        };
        let [.., accumulation] = &operations.operations;
        let hash = params.context.cyclefold_challenge(&CycleFoldChallenge {
            pp: params.pp,
            running: params.context.cyclefold(&running),
            fold_hash: fold.hash,
            folded: params.context.instance(&fold.folded),
            accumulate: operations.accumulate,
            accumulation: [&accumulation.p, &accumulation.q, &accumulation.result],
            fresh: *fresh_commitment,
            cross: cross.commitment,
        });
        let challenge = Challenge::from_hash(&hash);
        let r = challenge.scalar(params.context.secondary.1);
        *instance = running.fold(r, &fresh, &cross.commitment);
        witness.fold(r, &fresh_witness, &cross);
        Ok(Inputs {
            pp: params.pp,
            index: self.index,
            start: self.start,
            state: self.state,
            entries,
            kind: fold.kind,
            running: fold.running,
            fresh: fold.fresh,
            cross: fold.cross,
            folded: fold.folded,
            cyclefold: running,
            cyclefold_fresh: *fresh_commitment,
            cyclefold_cross: cross.commitment,
            cyclefold_challenge: challenge,
            operations,
            accumulator: self.accumulator.clone(),
            weights: None,
            inferences: Vec::new(),
            next_input: C::F::ZERO,
        })
    }

    /// The second half of [`Self::step`]: builds the witness of the circuit, whose inputs
    /// [`Self::fold`] returned, and moves the state on.
    ///
    /// # Errors
    /// [`FoldError::Step`] when the circuit refuses the trace.
    pub fn prove<S: StepCircuit<C::F>, R: RngCore + CryptoRng>(
        &mut self,
        params: &Params<C, S>,
        step: &Step<'_, C, S::Trace>,
        inputs: &Inputs<C>,
        rng: &mut R,
    ) -> Result<(), FoldError> {
        let circuit = params.circuit(step.kind)?;
        let shape = params.shape(step.kind)?;
        let index = self.index;
        let failed = |source| FoldError::Step {
            step: index,
            kind: circuit.step.name(),
            source,
        };
        let variables = shape.segments().iter().sum();
        let mut system = WitnessSystem::with_capacity(variables);
        let closed = circuit
            .commit(&mut system, inputs, step.trace)
            .map_err(failed)?;
        let first_length = system.auxiliary().len();
        let blinds = vec![C::F::random(&mut *rng), C::F::random(&mut *rng)];
        let first = Shape::commit_segment(&params.primary, system.auxiliary(), blinds[0])?;
        let alpha = params.context.alpha(params.pp, step.kind, &first);
        let merge = step.weights.as_ref().map(|weights| MergeInput {
            accumulator: &self.table,
            weights: weights.table,
        });
        let outcome = circuit
            .constrain(&mut system, &closed, alpha, merge)
            .map_err(failed)?;
        let mut first_segment = system.into_auxiliary();
        let second_segment = first_segment.split_off(first_length);
        let second = Shape::commit_segment(&params.primary, &second_segment, blinds[1])?;
        self.last = Some(LastStep {
            kind: step.kind,
            instance: Fresh {
                segments: vec![first, second],
                x: vec![outcome.hash, alpha],
            },
            witness: FreshWitness {
                segments: vec![first_segment, second_segment],
                blinds,
            },
        });
        if let Some(weights) = &step.weights {
            let scalar = outcome.challenge.scalar(params.context.lambda);
            let [.., accumulation] = &inputs.operations.operations;
            small::accumulate(&mut self.table, scalar, weights.table.entries());
            self.blind += scalar * weights.blind;
            self.accumulator = Accumulator {
                commitment: accumulation.result,
                pending: weights.commitment,
                challenge: outcome.challenge,
                point: outcome.point,
                value: outcome.value,
            };
        }
        self.advance(params, step, &outcome.digests);
        Ok(())
    }

    /// The native twin of the circuit's state transition.
    fn advance<S: StepCircuit<C::F>>(
        &mut self,
        params: &Params<C, S>,
        step: &Step<'_, C, S::Trace>,
        digests: &[C::F],
    ) {
        let context = &params.context;
        let commitment = step.weights.as_ref().map(|w| w.commitment);
        let state = &mut self.state;
        state.digest = context.model_step(state.digest, step.kind, commitment.as_ref());
        state.tensors = context.group(digests);
        if params
            .kinds
            .get(step.kind)
            .is_some_and(StepCircuit::ends_inference)
        {
            let own = [state.input];
            let inputs = if digests.len() == 1 {
                &own
            } else {
                step.inputs
            };
            for (input, output) in inputs.iter().zip(digests) {
                state.batch = context.batch_step(state.batch, *input, *output);
            }
            state.count += digests.len() as u64;
            state.digest = context.model_start(params.pp);
            state.input = step.next_input;
            state.tensors = step.next_input;
        }
        self.index += 1;
    }
}

struct PrimaryFold<C: Cycle> {
    kind: usize,
    running: Instance<C::Primary>,
    fresh: Fresh<C::Primary>,
    cross: Commitment<C::Primary>,
    folded: Instance<C::Primary>,
    hash: C::F,
    challenge: Challenge,
}

/// The first accumulator: uniform with a blind when something is private, zero with a blind
/// otherwise. Either is sound, because its claim is merged like any other.
#[allow(clippy::type_complexity)]
fn first_accumulator<C: Cycle, S: StepCircuit<C::F>, R: RngCore + CryptoRng>(
    params: &Params<C, S>,
    mask: bool,
    rng: &mut R,
) -> Result<(Accumulator<C>, Vec<C::F>, C::F), FoldError> {
    let size = 1usize << params.weight_variables;
    let mut table = vec![C::F::ZERO; size];
    let mut point = vec![C::F::ZERO; params.weight_variables];
    if mask {
        for entry in table.iter_mut().chain(&mut point) {
            *entry = C::F::random(&mut *rng);
        }
    }
    let (blind, pending_blind) = (C::F::random(&mut *rng), C::F::random(&mut *rng));
    let commit = |values: &[C::F], blind| {
        Ok::<_, FoldError>(Commitment::new(params.primary.commit(values, blind)?))
    };
    let challenge = cyclefold::idle_challenge();
    let commitment = commit(if mask { &table } else { &[] }, blind)?;
    let accumulator = Accumulator {
        commitment,
        pending: commit(&[], pending_blind)?,
        challenge,
        value: sumcheck::evaluate(&table, &point),
        point,
    };
    let blind = blind + challenge.scalar(params.context.lambda) * pending_blind;
    Ok((accumulator, table, blind))
}

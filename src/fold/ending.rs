//! The end of a run: the last fold, which succinct proofs contain.
//!
//! The last step's instance is folded like any other, its CycleFold instance too, and the pending
//! weight commitment joins the accumulator. What is left to prove is that every running instance is
//! satisfied and that the accumulated claim holds.
//!
//! [`Ending`] is the public side. A verifier recomputes `h` and `alpha` of the last instance from
//! the statement, never receives them, and folds by itself ([`Ending::verify`]).

use crate::fold::augmented::Inputs;
use crate::fold::cyclefold::{self, Operations};
use crate::fold::error::FoldError;
use crate::fold::params::Params;
use crate::fold::prover::Recursion;
use crate::fold::r1cs::{Fresh, Instance, Witness, check_length};
use crate::fold::state::{Accumulator, CycleFoldChallenge, State, StatePreimage};
use crate::fold::verifier::Statement;
use ff::Field;
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::step::StepCircuit;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything public about the last fold. It hides what the running instances hide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Ending<C: Cycle> {
    /// Number of steps.
    pub index: u64,
    /// `t` after the last inference: the input of one that was never started.
    pub next: C::F,
    /// Kind of the last step.
    pub kind: usize,
    /// The running instances before the fold, one a kind.
    pub running: Vec<Instance<C::Primary>>,
    /// Commitments to the segments of the last instance.
    pub fresh: [Commitment<C::Primary>; 2],
    /// Commitment to the cross term.
    pub cross: Commitment<C::Primary>,
    /// The CycleFold running instance before the fold.
    pub cyclefold: Instance<C::Secondary>,
    /// Commitment to the witness of the last CycleFold instance.
    pub cyclefold_fresh: Commitment<C::Secondary>,
    /// Commitment to the CycleFold cross term.
    pub cyclefold_cross: Commitment<C::Secondary>,
    /// The claim accumulator, whose last commitment is pending.
    pub accumulator: Accumulator<C>,
}

/// What remains to be proven after the last fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining<C: Cycle> {
    /// Every running instance.
    pub running: Vec<Instance<C::Primary>>,
    /// The CycleFold running instance.
    pub cyclefold: Instance<C::Secondary>,
    /// The commitment to the accumulated weights.
    pub accumulated: Commitment<C::Primary>,
    /// The point at which they are evaluated.
    pub point: Vec<C::F>,
    /// Their value there.
    pub value: C::F,
}

/// The witnesses of [`Remaining`].
#[derive(Clone)]
pub struct RemainingWitness<C: Cycle> {
    /// Of every running instance.
    pub running: Vec<Witness<C::Primary>>,
    /// Of the CycleFold instance.
    pub cyclefold: Witness<C::Secondary>,
    /// The evaluation table of the accumulated weights.
    pub table: Vec<C::F>,
    /// The blind of their commitment.
    pub blind: C::F,
}

/// Witnesses are secrets: the debug form shows lengths only.
impl<C: Cycle> fmt::Debug for RemainingWitness<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kinds, entries) = (self.running.len(), self.table.len());
        write!(f, "RemainingWitness({kinds} kinds, {entries} weights)")
    }
}

impl<C: Cycle> Recursion<C> {
    /// Folds the last step and ends the run.
    ///
    /// # Errors
    /// [`FoldError::Statement`] before the first step; those of the keys.
    pub fn end<S: StepCircuit<C::F>, R: RngCore + CryptoRng>(
        mut self,
        params: &Params<C, S>,
        rng: &mut R,
    ) -> Result<(Ending<C>, RemainingWitness<C>), FoldError> {
        if self.last.is_none() {
            return Err(FoldError::Statement {
                what: "the last step",
            });
        }
        let running: Vec<_> = self.running.iter().map(|(u, _)| u.clone()).collect();
        let inputs = self.fold_before(params, true, rng)?;
        let [first, second] = inputs.fresh.segments.as_slice() else {
            return Err(FoldError::Length {
                what: "segments of the last instance",
                expected: 2,
                got: inputs.fresh.segments.len(),
            });
        };
        let ending = Ending {
            index: inputs.index,
            next: self.state.input,
            kind: inputs.kind,
            running,
            fresh: [*first, *second],
            cross: inputs.cross,
            cyclefold: inputs.cyclefold,
            cyclefold_fresh: inputs.cyclefold_fresh,
            cyclefold_cross: inputs.cyclefold_cross,
            accumulator: inputs.accumulator,
        };
        let witness = RemainingWitness {
            running: self.running.into_iter().map(|(_, w)| w).collect(),
            cyclefold: self.cyclefold.1,
            table: self.table,
            blind: self.blind,
        };
        Ok((ending, witness))
    }
}

impl<C: Cycle> Ending<C> {
    /// Recomputes the last fold for a statement: what then remains to be proven.
    ///
    /// Enforced: the state that the last instance hashed is the end state of the statement, with
    /// `z_0` fixed; `alpha` is that of the last first segment; all challenges are derived; the
    /// CycleFold public values are those of this fold; `U_cf` lies on the curve by its encoding.
    ///
    /// # Errors
    /// [`FoldError::Statement`], [`FoldError::Kind`] or [`FoldError::Length`].
    pub fn verify<S: StepCircuit<C::F>>(
        &self,
        params: &Params<C, S>,
        statement: &Statement<C::F>,
    ) -> Result<Remaining<C>, FoldError> {
        self.remaining(params, &self.inputs(params, statement)?)
    }

    /// What remains after the fold that these inputs describe.
    pub(crate) fn remaining<S: StepCircuit<C::F>>(
        &self,
        params: &Params<C, S>,
        inputs: &Inputs<C>,
    ) -> Result<Remaining<C>, FoldError> {
        let mut running = self.running.clone();
        let kinds = running.len();
        *running.get_mut(self.kind).ok_or(FoldError::Kind {
            got: self.kind,
            kinds,
        })? = inputs.folded.clone();
        let [.., accumulation] = &inputs.operations.operations;
        let fresh = Fresh {
            segments: vec![self.cyclefold_fresh],
            x: inputs.operations.public(),
        };
        let r = inputs
            .cyclefold_challenge
            .scalar(params.context.secondary.1);
        Ok(Remaining {
            running,
            cyclefold: self.cyclefold.fold(r, &fresh, &self.cyclefold_cross),
            accumulated: accumulation.result,
            point: self.accumulator.point.clone(),
            value: self.accumulator.value,
        })
    }

    /// What the verification of the last step takes in a circuit, recomputed from the statement.
    ///
    /// # Errors
    /// [`FoldError::Statement`], [`FoldError::Kind`] or [`FoldError::Length`].
    pub(crate) fn inputs<S: StepCircuit<C::F>>(
        &self,
        params: &Params<C, S>,
        statement: &Statement<C::F>,
    ) -> Result<Inputs<C>, FoldError> {
        self.check_lengths(params)?;
        let context = &params.context;
        let state = params.end_state(statement, self.index, self.next)?;
        let running = self.running.get(self.kind).ok_or(FoldError::Kind {
            got: self.kind,
            kinds: self.running.len(),
        })?;
        let entries: Vec<_> = self.running.iter().map(|u| context.instance(u)).collect();
        let h = context.state(StatePreimage {
            pp: params.pp,
            index: C::F::from(self.index),
            model: state.model,
            start: params.first_input(statement)?,
            digest: state.digest,
            input: state.input,
            tensors: state.tensors,
            batch: state.batch,
            count: C::F::from(state.count),
            entries: entries.clone(),
            cyclefold: context.cyclefold(&self.cyclefold),
            accumulator: context.accumulator(&self.accumulator),
            kind: C::F::from(self.kind as u64),
        });
        let alpha = context.alpha(params.pp, self.kind, &self.fresh[0]);
        let fresh = Fresh {
            segments: self.fresh.to_vec(),
            x: vec![h, alpha],
        };
        let digest = context.instance(running);
        let hash = context.fold_challenge(params.pp, self.kind, digest, &fresh, &self.cross);
        let challenge = Challenge::from_hash(&hash);
        let folded = running.fold(challenge.scalar(context.lambda), &fresh, &self.cross);
        let last = self.accumulator.join(context.lambda);
        let cross = &self.cross;
        let operations = Operations::of_fold(challenge, running, &fresh, cross, &folded, last);
        let [.., accumulation] = &operations.operations;
        let cyclefold_hash = context.cyclefold_challenge(&CycleFoldChallenge {
            pp: params.pp,
            running: context.cyclefold(&self.cyclefold),
            fold_hash: hash,
            folded: context.instance(&folded),
            accumulate: operations.accumulate,
            accumulation: [&accumulation.p, &accumulation.q, &accumulation.result],
            fresh: self.cyclefold_fresh,
            cross: self.cyclefold_cross,
        });
        Ok(Inputs {
            pp: params.pp,
            index: self.index,
            start: params.first_input(statement)?,
            state,
            entries,
            kind: self.kind,
            running: running.clone(),
            fresh,
            cross: self.cross,
            folded,
            operations,
            cyclefold: self.cyclefold.clone(),
            cyclefold_fresh: self.cyclefold_fresh,
            cyclefold_cross: self.cyclefold_cross,
            cyclefold_challenge: Challenge::from_hash(&cyclefold_hash),
            accumulator: self.accumulator.clone(),
            weights: None,
            inferences: Vec::new(),
            next_input: C::F::ZERO,
        })
    }

    /// All parts have the lengths that the parameters ask for.
    fn check_lengths<S: StepCircuit<C::F>>(&self, params: &Params<C, S>) -> Result<(), FoldError> {
        check_length("running instances", params.shapes.len(), self.running.len())?;
        for instance in &self.running {
            check_length("segments of an instance", 2, instance.segments.len())?;
            check_length("public values of an instance", 2, instance.x.len())?;
        }
        check_length(
            "segments of the CycleFold instance",
            1,
            self.cyclefold.segments.len(),
        )?;
        check_length(
            "public values of the CycleFold instance",
            cyclefold::PUBLIC_INPUTS,
            self.cyclefold.x.len(),
        )?;
        let (expected, got) = (params.weight_variables, self.accumulator.point.len());
        check_length("the accumulated point", expected, got)
    }
}

impl<C: Cycle, S: StepCircuit<C::F>> Params<C, S> {
    /// `t_0` of a statement: of the inferences that the first steps carry.
    pub(crate) fn first_input(&self, statement: &Statement<C::F>) -> Result<C::F, FoldError> {
        let first = statement.inferences.get(..self.inferences());
        let first = first.ok_or(FoldError::Statement {
            what: "the number of inferences",
        })?;
        let digests: Vec<C::F> = first.iter().map(|(input, _)| *input).collect();
        Ok(self.context.group(&digests))
    }

    /// The state after the last inference of a statement, with `next` as the input of one more.
    pub(crate) fn end_state(
        &self,
        statement: &Statement<C::F>,
        index: u64,
        next: C::F,
    ) -> Result<State<C::F>, FoldError> {
        if !(1..1 << 32).contains(&index) {
            return Err(FoldError::Statement {
                what: "the number of steps",
            });
        }
        Ok(State {
            model: statement.model,
            digest: self.context.model_start(self.pp),
            input: next,
            tensors: next,
            batch: self.context.batch(&statement.inferences),
            count: statement.inferences.len() as u64,
        })
    }
}

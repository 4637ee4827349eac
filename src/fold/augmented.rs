//! The augmented step circuit: a step, and the verification of everything before it.
//!
//! Besides its own step, the circuit folds the instance of the step before into the running
//! instance of that step's kind, folds the CycleFold instance that proves the point operations of
//! this fold, adds the step before's weight commitment to the accumulator, merges this step's
//! weight claims, and hashes the state before and after (PROTOCOL of the design, sections 4, 6 and
//! 7, with decision 001: the accumulator takes a commitment in one step late).
//!
//! Everything of the recursion is known before the first segment closes, so its range checks are
//! lookups. Only the step's own sum-checks and the claim merge depend on `alpha`.

use crate::fold::cyclefold::Operations;
use crate::fold::r1cs::{Fresh, Instance};
use crate::fold::recursion::{
    ExposedPoint, RecursionCircuit, RecursionWires, unchanged_accumulator,
};
use crate::fold::state::{
    Accumulator, AccumulatorElements, BATCH, Context, GROUP, MODEL, MODEL_START, STATE, STEP,
    State, StatePreimage, batch_start, model_elements,
};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use foldnet_gadgets::challenge::{Challenge, ChallengeWires};
use foldnet_gadgets::claims::{self, MergeInput, RunningClaimWires};
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::field::CircuitField;
use foldnet_gadgets::hash::{Tag, hash_circuit};
use foldnet_gadgets::lookup::ClosedLookups;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::step::StepCircuit;
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::{Wire, WireSystem};

/// One step circuit with its place in the program.
#[derive(Debug)]
pub struct Augmented<'a, C: Cycle, S> {
    /// Shared constants.
    pub context: &'a Context<C>,
    /// The step.
    pub step: &'a S,
    /// The step's kind: a constant of the shape.
    pub kind: usize,
    /// How many kinds the program has.
    pub kinds: usize,
    /// The CycleFold running instance that step 0 starts from: a constant.
    pub start: &'a Instance<C::Secondary>,
}

/// Everything but the step's own trace that the circuit takes as witness.
#[derive(Clone, Debug)]
pub struct Inputs<C: Cycle> {
    /// Parameter digest.
    pub pp: C::F,
    /// Number of steps before this one.
    pub index: u64,
    /// `t_0`.
    pub start: C::F,
    /// State before this step.
    pub state: State<C::F>,
    /// Digest of every running instance.
    pub entries: Vec<C::F>,
    /// Kind of the step before, whose instance is folded.
    pub kind: usize,
    /// The running instance of that kind.
    pub running: Instance<C::Primary>,
    /// The instance of the step before.
    pub fresh: Fresh<C::Primary>,
    /// Commitment to the cross term of the two.
    pub cross: Commitment<C::Primary>,
    /// The fold of the two.
    pub folded: Instance<C::Primary>,
    /// The point operations of this step.
    pub operations: Operations<C>,
    /// The CycleFold running instance.
    pub cyclefold: Instance<C::Secondary>,
    /// Commitment to the witness that proves `operations`.
    pub cyclefold_fresh: Commitment<C::Secondary>,
    /// Commitment to the cross term of the two.
    pub cyclefold_cross: Commitment<C::Secondary>,
    /// The challenge of their fold.
    pub cyclefold_challenge: Challenge,
    /// The claim accumulator before this step.
    pub accumulator: Accumulator<C>,
    /// `C_step`, if the kind has weights.
    pub weights: Option<Commitment<C::Primary>>,
    /// Digests of the inputs of the step's inferences; read only where several end.
    pub inferences: Vec<C::F>,
    /// `t_0` of the inferences after these; read only where inferences end.
    pub next_input: C::F,
}

/// What the circuit computes beyond its public input.
#[derive(Clone, Debug)]
pub struct Outcome<C: Cycle> {
    /// The state hash after the step: the public output `h`.
    pub hash: C::F,
    /// Digest of the live tensors after the step for each inference, before any reset at the end.
    pub digests: Vec<C::F>,
    /// The accumulated claim after the step.
    pub point: Vec<C::F>,
    /// Its value.
    pub value: C::F,
    /// The challenge of this step's commitment.
    pub challenge: Challenge,
}

/// The first-segment wires of a step.
struct Committed<F: CircuitField, T> {
    recursion: RecursionWires<F>,
    /// Input digests of the inferences that end here, where several do.
    inferences: Vec<FirstWire<F>>,
    next_input: FirstWire<F>,
    weights: Option<ExposedPoint<F>>,
    step: T,
}

/// A first segment that is closed: what the second phase starts from.
pub struct Closed<F: CircuitField, T> {
    committed: Committed<F, T>,
    lookups: ClosedLookups<F>,
}

impl<F: CircuitField, T> std::fmt::Debug for Closed<F, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Closed({} lookups)", self.lookups.len())
    }
}

impl<C: Cycle, S: StepCircuit<C::F>> Augmented<'_, C, S> {
    /// Phase one: allocates the first segment.
    ///
    /// # Errors
    /// Those of the step and of the system.
    pub fn commit<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        inputs: &Inputs<C>,
        trace: &S::Trace,
    ) -> Result<Closed<C::F, S::Committed>, SynthesisError> {
        let mut segment = FirstSegment::open(cs);
        let step = segment.namespace("step", |segment| self.step.commit(trace, segment))?;
        let weights = match (&inputs.weights, self.step.weight_variables()) {
            (Some(commitment), Some(_)) => {
                let context = self.context;
                Some(ExposedPoint::alloc(
                    &mut segment,
                    context,
                    "weights",
                    commitment,
                )?)
            }
            (None, None) => None,
            _ => return Err(SynthesisError::AssignmentMissing),
        };
        let committed = Committed {
            recursion: self.recursion().commit(&mut segment, inputs)?,
            inferences: self.commit_inferences(&mut segment, inputs)?,
            next_input: segment.alloc("next input", inputs.next_input)?,
            weights,
            step,
        };
        Ok(Closed {
            committed,
            lookups: segment.close()?,
        })
    }

    /// The input digests of the inferences that end in the step, where there are several.
    fn commit_inferences<CS: ConstraintSystem<C::F>>(
        &self,
        segment: &mut FirstSegment<'_, C::F, CS>,
        inputs: &Inputs<C>,
    ) -> Result<Vec<FirstWire<C::F>>, SynthesisError> {
        let expected = self.step.inferences();
        if !self.step.ends_inference() || expected == 1 {
            return Ok(Vec::new());
        }
        let got = inputs.inferences.len();
        if got != expected {
            let message = format!("inputs of inferences: expected {expected}, got {got}");
            return Err(SynthesisError::IncompatibleLengthVector(message));
        }
        let digests = inputs.inferences.iter().enumerate();
        digests
            .map(|(i, digest)| segment.alloc(format!("inference {i} input"), *digest))
            .collect()
    }

    /// Phase two: enforces everything. The public inputs `(h, alpha)` are allocated here; the
    /// caller gives `h` the value that is returned.
    ///
    /// # Errors
    /// Those of the step and of the system.
    pub fn constrain<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        closed: &Closed<C::F, S::Committed>,
        alpha: C::F,
        weights: Option<MergeInput<'_, C::F>>,
    ) -> Result<Outcome<C>, SynthesisError> {
        let committed = &closed.committed;
        let public_hash = cs.public_wire(|| "h", C::F::ZERO)?;
        let alpha = cs.public_wire(|| "alpha", alpha)?;

        let recursion = &committed.recursion;

        let base = self.base_case(&mut cs.namespace(|| "base case"), recursion)?;
        let verified = self.recursion().verify(cs, recursion, Some(&base))?;
        cs.enforce_product(
            || "state hash unless base case",
            &Wire::one().sub(&base),
            &verified.hash.sub(recursion.fresh_x[0].wire()),
            &Wire::zero(),
        );

        let mut transcript = TranscriptCircuit::new(&self.context.hash, STEP);
        transcript.absorb([&alpha, &verified.hash]);
        let limbs = self.weight_limbs(&mut cs.namespace(|| "weights"), committed)?;
        transcript.absorb(&limbs);
        closed.lookups.constrain(cs, &mut transcript)?;
        let output = self.step.constrain(
            &committed.step,
            weights.as_ref().map(|input| input.weights),
            &mut transcript,
            &mut cs.namespace(|| "step"),
        )?;
        let opened = self.group(
            &mut cs.namespace(|| "tensors before"),
            &output.input_digests,
        )?;
        cs.enforce_equal(|| "tensors opened", &opened, recursion.tensors.wire());

        let accumulator = self.accumulate(
            &mut cs.namespace(|| "accumulator"),
            committed,
            &output,
            &mut transcript,
            weights,
        )?;
        let state = self.advance(
            &mut cs.namespace(|| "advance"),
            committed,
            &output.output_digests,
            limbs,
        )?;
        let outgoing = StatePreimage {
            pp: recursion.pp.wire().clone(),
            index: recursion.index.wire().add_constant(C::F::ONE),
            model: recursion.model.wire().clone(),
            start: recursion.start.wire().clone(),
            digest: state.digest,
            input: state.input,
            tensors: state.tensors,
            batch: state.batch,
            count: state.count,
            entries: verified.entries,
            cyclefold: verified.cyclefold.hash,
            accumulator: accumulator.elements.clone(),
            kind: Wire::constant(C::F::from(self.kind as u64)),
        };
        let hash = self.hash(
            &mut cs.namespace(|| "state out"),
            STATE,
            &outgoing.elements(),
        )?;
        cs.enforce_equal(|| "h", &hash, &public_hash);
        Ok(Outcome {
            hash: hash.value(),
            digests: output.output_digests.iter().map(Wire::value).collect(),
            point: accumulator.elements.point.iter().map(Wire::value).collect(),
            value: accumulator.elements.value.value(),
            challenge: accumulator.challenge,
        })
    }

    fn hash<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        tag: Tag,
        elements: &[Wire<C::F>],
    ) -> Result<Wire<C::F>, SynthesisError> {
        hash_circuit(cs, &self.context.hash, tag, elements)
    }

    /// The circuit twin of [`Context::group`].
    fn group<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        digests: &[Wire<C::F>],
    ) -> Result<Wire<C::F>, SynthesisError> {
        let (expected, got) = (self.step.inferences(), digests.len());
        if expected != got {
            let message = format!("digests of inferences: expected {expected}, got {got}");
            return Err(SynthesisError::IncompatibleLengthVector(message));
        }
        match digests {
            [digest] => Ok(digest.clone()),
            several => self.hash(cs, GROUP, several),
        }
    }

    fn recursion(&self) -> RecursionCircuit<'_, C> {
        RecursionCircuit {
            context: self.context,
            kinds: self.kinds,
            start: self.start,
            accumulates: self.step.weight_variables().is_some(),
        }
    }

    /// The bit `[i = 0]`; where it is set, `z_i = z_0 = (m, D0, t_0, t_0, B0, 0)`.
    fn base_case<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &RecursionWires<C::F>,
    ) -> Result<Wire<C::F>, SynthesisError> {
        let base = cs.is_zero("index", committed.index.wire())?;
        let start = [committed.pp.wire().clone()];
        let digest = self.hash(&mut cs.namespace(|| "D0"), MODEL_START, &start)?;
        let fixed = [
            ("d = D0", &committed.digest, digest),
            (
                "t_in = t_0",
                &committed.input,
                committed.start.wire().clone(),
            ),
            (
                "t = t_0",
                &committed.tensors,
                committed.start.wire().clone(),
            ),
            ("b = B0", &committed.batch, Wire::constant(batch_start())),
            ("c = 0", &committed.count, Wire::zero()),
        ];
        for (name, wire, value) in fixed {
            cs.enforce_product(|| name, &base, &wire.wire().sub(&value), &Wire::zero());
        }
        Ok(base)
    }

    /// The canonical limbs of `C_step`, tied to its components; none without weights.
    fn weight_limbs<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &Committed<C::F, S::Committed>,
    ) -> Result<Vec<Wire<C::F>>, SynthesisError> {
        Ok(match &committed.weights {
            Some(weights) => weights.constrain(cs)?.to_vec(),
            None => Vec::new(),
        })
    }

    /// Merges the step's claims into the accumulator; a kind without weights passes it on, and is
    /// an error when its step makes claims all the same, which nobody would check.
    fn accumulate<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &Committed<C::F, S::Committed>,
        output: &foldnet_gadgets::step::StepOutput<C::F>,
        transcript: &mut TranscriptCircuit<C::F>,
        input: Option<MergeInput<'_, C::F>>,
    ) -> Result<Accumulated<C::F>, SynthesisError> {
        let recursion = &committed.recursion;
        // Claims of a kind without weights would stay unproven, and weights without claims unused.
        if output.claims.is_empty() == committed.weights.is_some() {
            let got = output.claims.len();
            let message =
                format!("{got} claims, but a kind has claims exactly when it has weights");
            return Err(SynthesisError::IncompatibleLengthVector(message));
        }
        let Some(weights) = &committed.weights else {
            let elements = unchanged_accumulator(recursion);
            let challenge = challenge_of(&elements.challenge);
            return Ok(Accumulated {
                elements,
                challenge,
            });
        };
        let running = RunningClaimWires {
            point: recursion
                .accumulator_point
                .iter()
                .map(|w| w.wire().clone())
                .collect(),
            value: recursion.accumulator_value.wire().clone(),
        };
        let merged = claims::merge(cs, transcript, &running, output, input)?;
        let challenge = ChallengeWires::from_hash(&mut cs.namespace(|| "challenge"), &merged.beta)?;
        let beta = challenge.scalar(self.context.lambda);
        let value = cs
            .product(|| "beta Step(rho')", &beta, &merged.step)?
            .add(&merged.accumulator);
        Ok(Accumulated {
            elements: AccumulatorElements {
                commitment: recursion.accumulated.components(),
                pending: weights.elements.components(),
                challenge: challenge.integer(),
                point: merged.point,
                value,
            },
            challenge: challenge.value(),
        })
    }

    /// The state after the step; where the kind ends an inference, the model digest must be
    /// complete and the next inference starts.
    fn advance<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &Committed<C::F, S::Committed>,
        digests: &[Wire<C::F>],
        limbs: Vec<Wire<C::F>>,
    ) -> Result<NextState<C::F>, SynthesisError> {
        let recursion = &committed.recursion;
        let kind = Wire::constant(C::F::from(self.kind as u64));
        let elements = model_elements(recursion.digest.wire().clone(), kind, limbs);
        let digest = self.hash(&mut cs.namespace(|| "model digest"), MODEL, &elements)?;
        let wire = |w: &FirstWire<C::F>| w.wire().clone();
        if !self.step.ends_inference() {
            return Ok(NextState {
                digest,
                input: wire(&recursion.input),
                tensors: self.group(&mut cs.namespace(|| "tensors after"), digests)?,
                batch: wire(&recursion.batch),
                count: wire(&recursion.count),
            });
        }
        cs.enforce_equal(
            || "model digest is the model id",
            &digest,
            recursion.model.wire(),
        );
        let batch = self.finish(&mut cs.namespace(|| "batch"), committed, digests)?;
        let start = self.hash(
            &mut cs.namespace(|| "D0"),
            MODEL_START,
            &[wire(&recursion.pp)],
        )?;
        Ok(NextState {
            digest: start,
            input: wire(&committed.next_input),
            tensors: wire(&committed.next_input),
            batch,
            count: recursion
                .count
                .wire()
                .add_constant(C::F::from(digests.len() as u64)),
        })
    }

    /// The batch digest after the inferences of the step, in order: `b' = RO(b, t_in, t_out)` for
    /// each. Where there are several, their inputs are those whose digest the state has.
    fn finish<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &Committed<C::F, S::Committed>,
        digests: &[Wire<C::F>],
    ) -> Result<Wire<C::F>, SynthesisError> {
        let recursion = &committed.recursion;
        let mut batch = recursion.batch.wire().clone();
        if let [output] = digests {
            let elements = [batch, recursion.input.wire().clone(), output.clone()];
            return self.hash(cs, BATCH, &elements);
        }
        let inputs = committed
            .inferences
            .iter()
            .map(|input| input.wire().clone());
        let inputs: Vec<Wire<C::F>> = inputs.collect();
        let group = self.group(&mut cs.namespace(|| "inputs"), &inputs)?;
        cs.enforce_equal(
            || "inputs of the inferences",
            &group,
            recursion.input.wire(),
        );
        for (i, (input, output)) in inputs.into_iter().zip(digests).enumerate() {
            let cs = &mut cs.namespace(|| format!("inference {i}"));
            batch = self.hash(cs, BATCH, &[batch, input, output.clone()])?;
        }
        Ok(batch)
    }
}

struct Accumulated<F: CircuitField> {
    elements: AccumulatorElements<Wire<F>>,
    challenge: Challenge,
}

struct NextState<F: CircuitField> {
    digest: Wire<F>,
    input: Wire<F>,
    tensors: Wire<F>,
    batch: Wire<F>,
    count: Wire<F>,
}

/// The challenge whose integer a wire carries.
fn challenge_of<F: CircuitField>(integer: &Wire<F>) -> Challenge {
    Challenge::from_hash(&integer.value())
}

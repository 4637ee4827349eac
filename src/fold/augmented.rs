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

use crate::fold::cyclefold::{self, Operation, Operations, PUBLIC_INPUTS};
use crate::fold::r1cs::{Fresh, Instance};
use crate::fold::state::{
    ALPHA, Accumulator, AccumulatorElements, BATCH, CYCLEFOLD, Context, FOLD, FOLD_CYCLEFOLD,
    INSTANCE, MODEL, MODEL_START, STATE, STEP, State, StatePreimage, alpha_elements, batch_start,
    model_elements,
};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use foldnet_gadgets::challenge::{Challenge, ChallengeWires};
use foldnet_gadgets::claims::{self, MergeInput, RunningClaimWires};
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::{Cycle, curve_b};
use foldnet_gadgets::eisenstein::{
    CanonicalLimbs, CanonicalWires, ElementWires, EqualityWires, FoldWires, Form,
};
use foldnet_gadgets::field::CircuitField;
use foldnet_gadgets::hash::hash_circuit;
use foldnet_gadgets::lookup::ClosedLookups;
use foldnet_gadgets::point::{PointWires, multiply_add_bits};
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::step::StepCircuit;
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::{Wire, WireSystem};
use nova_snark::traits::Engine;

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
    /// `t_0` of the inference after this one; read only where an inference ends.
    pub next_input: C::F,
}

/// What the circuit computes beyond its public input.
#[derive(Clone, Debug)]
pub struct Outcome<C: Cycle> {
    /// The state hash after the step: the public output `h`.
    pub hash: C::F,
    /// Digest of the live tensors after the step, before any reset at the end of an inference.
    pub tensors: C::F,
    /// The accumulated claim after the step.
    pub point: Vec<C::F>,
    /// Its value.
    pub value: C::F,
    /// The challenge of this step's commitment.
    pub challenge: Challenge,
}

/// A commitment of the primary curve: the components of its coordinates, range-checked.
struct PointElements<F: CircuitField> {
    x: ElementWires<F>,
    y: ElementWires<F>,
}

impl<F: CircuitField> PointElements<F> {
    fn alloc<C: Cycle<F = F>, CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        context: &Context<C>,
        name: &str,
        commitment: &Commitment<C::Primary>,
    ) -> Result<Self, SynthesisError> {
        let [x, y] = commitment.coordinates();
        segment.namespace(name, |segment| {
            Ok(PointElements {
                x: ElementWires::alloc(segment, &context.eisenstein, "x", &x)?,
                y: ElementWires::alloc(segment, &context.eisenstein, "y", &y)?,
            })
        })
    }

    fn elements(&self) -> [ElementWires<F>; 2] {
        [self.x.clone(), self.y.clone()]
    }

    fn components(&self) -> [Wire<F>; 4] {
        let ([xa, xb], [ya, yb]) = (self.x.components(), self.y.components());
        [xa.clone(), xb.clone(), ya.clone(), yb.clone()]
    }
}

/// A commitment's canonical limbs in the first segment.
struct CanonicalPoint<F: CircuitField>([CanonicalLimbs<F>; 2]);

/// A commitment's canonical limbs, enforced.
struct CanonicalPointWires<F: CircuitField>([CanonicalWires<F>; 2]);

impl<F: CircuitField> CanonicalPoint<F> {
    fn alloc<C: Cycle<F = F>, CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        context: &Context<C>,
        name: &str,
        commitment: &Commitment<C::Primary>,
    ) -> Result<Self, SynthesisError> {
        let [x, y] = commitment.coordinates();
        segment.namespace(name, |segment| {
            Ok(CanonicalPoint([
                CanonicalLimbs::alloc(segment, &context.eisenstein, "x", &x)?,
                CanonicalLimbs::alloc(segment, &context.eisenstein, "y", &y)?,
            ]))
        })
    }

    fn constrain<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
    ) -> Result<CanonicalPointWires<F>, SynthesisError> {
        let [x, y] = &self.0;
        let x = x.constrain(&mut cs.namespace(|| "x"))?;
        let y = y.constrain(&mut cs.namespace(|| "y"))?;
        Ok(CanonicalPointWires([x, y]))
    }
}

impl<F: CircuitField> CanonicalPointWires<F> {
    fn limbs(&self) -> [Wire<F>; 4] {
        let [x, y] = &self.0;
        [x.low(), x.high(), y.low(), y.high()].map(|limb| limb.wire().clone())
    }

    fn elements(&self) -> [ElementWires<F>; 2] {
        self.0
            .each_ref()
            .map(|coordinate| coordinate.element().clone())
    }
}

/// `C_step`: short components, canonical limbs, and the quotients that tie the two.
struct WeightsCommitted<F: CircuitField> {
    elements: PointElements<F>,
    canonical: CanonicalPoint<F>,
    equality: [EqualityWires<F>; 2],
}

impl<F: CircuitField> WeightsCommitted<F> {
    fn alloc<C: Cycle<F = F>, CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        context: &Context<C>,
        commitment: &Commitment<C::Primary>,
    ) -> Result<Self, SynthesisError> {
        let forms = (Form::Spread, Form::Short);
        let [x, y] = commitment.coordinates();
        segment.namespace("weights", |segment| {
            Ok(WeightsCommitted {
                elements: PointElements::alloc(segment, context, "short", commitment)?,
                canonical: CanonicalPoint::alloc(segment, context, "canonical", commitment)?,
                equality: [
                    EqualityWires::alloc(segment, &context.eisenstein, "equal x", &x, forms)?,
                    EqualityWires::alloc(segment, &context.eisenstein, "equal y", &y, forms)?,
                ],
            })
        })
    }

    /// The canonical limbs, which are those of the components.
    fn constrain<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
    ) -> Result<[Wire<F>; 4], SynthesisError> {
        let canonical = self.canonical.constrain(cs)?;
        let [x, y] = &canonical.0;
        let [equal_x, equal_y] = &self.equality;
        x.enforce_equal_to(&mut cs.namespace(|| "equal x"), &self.elements.x, equal_x)?;
        y.enforce_equal_to(&mut cs.namespace(|| "equal y"), &self.elements.y, equal_y)?;
        Ok(canonical.limbs())
    }
}

/// A primary instance in the circuit.
struct InstanceWires<F: CircuitField> {
    segments: [PointElements<F>; 2],
    error: PointElements<F>,
}

/// The first-segment wires of the recursion.
struct Committed<F: CircuitField, T> {
    pp: FirstWire<F>,
    index: FirstWire<F>,
    model: FirstWire<F>,
    start: FirstWire<F>,
    digest: FirstWire<F>,
    input: FirstWire<F>,
    tensors: FirstWire<F>,
    batch: FirstWire<F>,
    count: FirstWire<F>,
    next_input: FirstWire<F>,
    entries: Vec<FirstWire<F>>,
    kind_bits: Vec<FirstWire<F>>,
    running: InstanceWires<F>,
    running_scalars: [FirstWire<F>; 3],
    fresh_first: CanonicalPoint<F>,
    fresh_second: PointElements<F>,
    fresh_x: [FirstWire<F>; 2],
    cross: PointElements<F>,
    folded: InstanceWires<F>,
    accumulator: [PointElements<F>; 2],
    accumulator_challenge: ElementWires<F>,
    accumulator_point: Vec<FirstWire<F>>,
    accumulator_value: FirstWire<F>,
    accumulated: PointElements<F>,
    weights: Option<WeightsCommitted<F>>,
    cyclefold: CycleFoldCommitted<F>,
    step: T,
}

/// The first-segment wires of the CycleFold fold.
struct CycleFoldCommitted<F: CircuitField> {
    running: [[FirstWire<F>; 2]; 2],
    scalars: Vec<ElementWires<F>>,
    fresh: [FirstWire<F>; 2],
    cross: [FirstWire<F>; 2],
    folds: Vec<FoldWires<F>>,
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
        let committed = self.commit_recursion(&mut segment, inputs, step)?;
        Ok(Closed {
            committed,
            lookups: segment.close()?,
        })
    }

    fn commit_recursion<CS: ConstraintSystem<C::F>>(
        &self,
        segment: &mut FirstSegment<'_, C::F, CS>,
        inputs: &Inputs<C>,
        step: S::Committed,
    ) -> Result<Committed<C::F, S::Committed>, SynthesisError> {
        let state = &inputs.state;
        let accumulator = &inputs.accumulator;
        let point = |segment: &mut FirstSegment<'_, C::F, CS>, name: &str, commitment: &_| {
            PointElements::alloc(segment, self.context, name, commitment)
        };
        let instance = |segment: &mut FirstSegment<'_, C::F, CS>, name: &str, i: &Instance<_>| {
            let [first, second] = two(&i.segments)?;
            segment.namespace(name, |segment| {
                Ok(InstanceWires {
                    segments: [
                        point(segment, "cm1", first)?,
                        point(segment, "cm2", second)?,
                    ],
                    error: point(segment, "cmE", &i.error)?,
                })
            })
        };
        let [fresh_first, fresh_second] = two(&inputs.fresh.segments)?;
        let [running_h, running_alpha] = two(&inputs.running.x)?;
        let [fresh_h, fresh_alpha] = two(&inputs.fresh.x)?;
        let [.., accumulation] = &inputs.operations.operations;
        Ok(Committed {
            pp: segment.alloc("pp", inputs.pp)?,
            index: segment.alloc("index", C::F::from(inputs.index))?,
            model: segment.alloc("model", state.model)?,
            start: segment.alloc("start", inputs.start)?,
            digest: segment.alloc("digest", state.digest)?,
            input: segment.alloc("input", state.input)?,
            tensors: segment.alloc("tensors", state.tensors)?,
            batch: segment.alloc("batch", state.batch)?,
            count: segment.alloc("count", C::F::from(state.count))?,
            next_input: segment.alloc("next input", inputs.next_input)?,
            entries: alloc_all(segment, "entry", &inputs.entries)?,
            kind_bits: (0..self.kinds)
                .map(|j| {
                    let bit = C::F::from(u64::from(j == inputs.kind));
                    segment.alloc(format!("kind bit {j}"), bit)
                })
                .collect::<Result<_, _>>()?,
            running: instance(segment, "running", &inputs.running)?,
            running_scalars: [
                segment.alloc("running u", inputs.running.u)?,
                segment.alloc("running h", *running_h)?,
                segment.alloc("running alpha", *running_alpha)?,
            ],
            fresh_first: CanonicalPoint::alloc(segment, self.context, "fresh cm1", fresh_first)?,
            fresh_second: point(segment, "fresh cm2", fresh_second)?,
            fresh_x: [
                segment.alloc("fresh h", *fresh_h)?,
                segment.alloc("fresh alpha", *fresh_alpha)?,
            ],
            cross: point(segment, "cross", &inputs.cross)?,
            folded: instance(segment, "folded", &inputs.folded)?,
            accumulator: [
                point(segment, "accumulator", &accumulator.commitment)?,
                point(segment, "pending", &accumulator.pending)?,
            ],
            accumulator_challenge: ElementWires::alloc_integer(
                segment,
                "pending challenge",
                accumulator.challenge,
            )?,
            accumulator_point: alloc_all(segment, "rho", &accumulator.point)?,
            accumulator_value: segment.alloc("a", accumulator.value)?,
            accumulated: point(segment, "accumulated", &accumulation.result)?,
            weights: match (&inputs.weights, self.step.weight_variables()) {
                (Some(commitment), Some(_)) => {
                    Some(WeightsCommitted::alloc(segment, self.context, commitment)?)
                }
                (None, None) => None,
                _ => return Err(SynthesisError::AssignmentMissing),
            },
            cyclefold: self.commit_cyclefold(segment, inputs)?,
            step,
        })
    }

    fn commit_cyclefold<CS: ConstraintSystem<C::F>>(
        &self,
        segment: &mut FirstSegment<'_, C::F, CS>,
        inputs: &Inputs<C>,
    ) -> Result<CycleFoldCommitted<C::F>, SynthesisError> {
        let params = &self.context.eisenstein;
        let running = &inputs.cyclefold;
        let witness = running
            .segments
            .first()
            .ok_or(SynthesisError::AssignmentMissing)?;
        let mut fresh = vec![C::Q::ONE];
        fresh.extend(inputs.operations.public());
        let scalars: Vec<C::Q> = [running.u]
            .into_iter()
            .chain(running.x.iter().copied())
            .collect();
        if scalars.len() != fresh.len() || scalars.len() != PUBLIC_INPUTS + 1 {
            return Err(SynthesisError::AssignmentMissing);
        }
        segment.namespace("cyclefold", |segment| {
            let mut pair = |name: &str, commitment: &Commitment<C::Secondary>| {
                let [x, y] = commitment.coordinates();
                Ok::<_, SynthesisError>([
                    segment.alloc(format!("{name} x"), x)?,
                    segment.alloc(format!("{name} y"), y)?,
                ])
            };
            let running_points = [
                pair("running witness", witness)?,
                pair("running error", &running.error)?,
            ];
            let fresh_point = pair("fresh witness", &inputs.cyclefold_fresh)?;
            let cross = pair("cross", &inputs.cyclefold_cross)?;
            let mut elements = Vec::with_capacity(scalars.len());
            let mut folds = Vec::with_capacity(scalars.len());
            let challenge = inputs.cyclefold_challenge;
            for (i, (running, fresh)) in scalars.iter().zip(&fresh).enumerate() {
                let fresh = (fresh, public_form(i));
                segment.namespace(format!("scalar {i}"), |segment| {
                    // Needs no range check of its own: see `fold_cyclefold`.
                    let element = "running";
                    let element =
                        ElementWires::alloc_proven_elsewhere(segment, params, element, running)?;
                    elements.push(element);
                    folds.push(FoldWires::alloc(
                        segment, params, "fold", running, fresh, challenge,
                    )?);
                    Ok(())
                })?;
            }
            Ok(CycleFoldCommitted {
                running: running_points,
                scalars: elements,
                fresh: fresh_point,
                cross,
                folds,
            })
        })
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

        let base = self.base_case(&mut cs.namespace(|| "base case"), committed)?;
        let kind = self.kind_selector(&mut cs.namespace(|| "kind"), committed)?;
        let folded = self.fold(&mut cs.namespace(|| "fold"), committed, &kind)?;
        let entries = self.entries(&mut cs.namespace(|| "entries"), committed, &folded, &base)?;
        let cyclefold =
            self.fold_cyclefold(&mut cs.namespace(|| "cyclefold"), committed, &folded, &base)?;

        let incoming = self.incoming(committed, &cyclefold.before, &kind);
        let hash_in = self.hash(
            &mut cs.namespace(|| "state in"),
            STATE,
            &incoming.elements(),
        )?;
        cs.enforce_product(
            || "state hash unless base case",
            &Wire::one().sub(&base),
            &hash_in.sub(committed.fresh_x[0].wire()),
            &Wire::zero(),
        );

        let mut transcript = TranscriptCircuit::new(&self.context.hash, STEP);
        transcript.absorb([&alpha, &hash_in]);
        let limbs = self.weight_limbs(&mut cs.namespace(|| "weights"), committed)?;
        transcript.absorb(&limbs);
        let lookup = transcript.squeeze(&mut cs.namespace(|| "lookup challenge"))?;
        closed
            .lookups
            .constrain(&mut cs.namespace(|| "lookups"), &lookup)?;
        let output = self.step.constrain(
            &committed.step,
            weights.as_ref().map(|input| input.weights),
            &mut transcript,
            &mut cs.namespace(|| "step"),
        )?;
        cs.enforce_equal(
            || "tensors opened",
            &output.input_digest,
            committed.tensors.wire(),
        );

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
            &output.output_digest,
            limbs,
        )?;
        let outgoing = StatePreimage {
            pp: committed.pp.wire().clone(),
            index: committed.index.wire().add_constant(C::F::ONE),
            model: committed.model.wire().clone(),
            start: committed.start.wire().clone(),
            digest: state.digest,
            input: state.input,
            tensors: state.tensors,
            batch: state.batch,
            count: state.count,
            entries,
            cyclefold: cyclefold.after,
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
            tensors: output.output_digest.value(),
            point: accumulator.elements.point.iter().map(Wire::value).collect(),
            value: accumulator.elements.value.value(),
            challenge: accumulator.challenge,
        })
    }

    fn hash<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        tag: foldnet_gadgets::hash::Tag,
        elements: &[Wire<C::F>],
    ) -> Result<Wire<C::F>, SynthesisError> {
        hash_circuit(cs, &self.context.hash, tag, elements)
    }

    /// The bit `[i = 0]`; where it is set, `z_i = z_0 = (m, D0, t_0, t_0, B0, 0)`.
    fn base_case<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &Committed<C::F, S::Committed>,
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

    /// The incoming kind from its one-hot bits.
    fn kind_selector<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &Committed<C::F, S::Committed>,
    ) -> Result<Wire<C::F>, SynthesisError> {
        let mut kind = Wire::zero();
        let mut sum = Wire::zero();
        for (j, bit) in committed.kind_bits.iter().enumerate() {
            cs.enforce_boolean(|| format!("bit {j} boolean"), bit.wire());
            kind.add_scaled(C::F::from(j as u64), bit.wire());
            sum.add_assign(bit.wire());
        }
        cs.enforce_equal(|| "exactly one bit", &sum, &Wire::one());
        Ok(kind)
    }

    /// Opens the running instance, checks the fresh one's `alpha`, and folds the two.
    fn fold<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &Committed<C::F, S::Committed>,
        kind: &Wire<C::F>,
    ) -> Result<Folded<C::F>, SynthesisError> {
        let pp = committed.pp.wire();
        let running_scalars = committed
            .running_scalars
            .each_ref()
            .map(|w| w.wire().clone());
        let elements = instance_elements(&committed.running, &running_scalars);
        let before = self.hash(&mut cs.namespace(|| "running"), INSTANCE, &elements)?;

        let first = committed
            .fresh_first
            .constrain(&mut cs.namespace(|| "fresh cm1"))?;
        let elements = alpha_elements(pp.clone(), kind.clone(), first.limbs());
        let alpha = self.hash(&mut cs.namespace(|| "alpha"), ALPHA, &elements)?;
        cs.enforce_equal(
            || "alpha of the fresh instance",
            &alpha,
            committed.fresh_x[1].wire(),
        );

        let mut elements = vec![pp.clone(), kind.clone(), before.clone()];
        elements.extend(first.limbs());
        elements.extend(committed.fresh_second.components());
        elements.extend(committed.fresh_x.iter().map(|wire| wire.wire().clone()));
        elements.extend(committed.cross.components());
        let hash = self.hash(&mut cs.namespace(|| "challenge hash"), FOLD, &elements)?;
        let challenge = ChallengeWires::from_hash(&mut cs.namespace(|| "challenge"), &hash)?;
        let r = challenge.scalar(self.context.lambda);

        let [u, h, alpha] = &running_scalars;
        let fold = |cs: &mut CS, name: &'static str, running: &Wire<C::F>, fresh: &Wire<C::F>| {
            Ok::<_, SynthesisError>(cs.product(|| name, &r, fresh)?.add(running))
        };
        let scalars = [
            u.add(&r),
            fold(cs, "fold h", h, committed.fresh_x[0].wire())?,
            fold(cs, "fold alpha", alpha, committed.fresh_x[1].wire())?,
        ];
        let elements = instance_elements(&committed.folded, &scalars);
        let after = self.hash(&mut cs.namespace(|| "folded"), INSTANCE, &elements)?;
        Ok(Folded {
            before,
            after,
            hash,
            challenge,
            first: first.elements(),
        })
    }

    /// Matches the opened instance with its entry and writes the folded one back, unless this is
    /// step 0.
    fn entries<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &Committed<C::F, S::Committed>,
        folded: &Folded<C::F>,
        base: &Wire<C::F>,
    ) -> Result<Vec<Wire<C::F>>, SynthesisError> {
        same_length(
            "entries",
            committed.kind_bits.len(),
            committed.entries.len(),
        )?;
        let mut selected = Wire::zero();
        let mut after = Vec::with_capacity(self.kinds);
        let not_base = Wire::one().sub(base);
        for (j, (bit, entry)) in committed
            .kind_bits
            .iter()
            .zip(&committed.entries)
            .enumerate()
        {
            let (bit, entry) = (bit.wire(), entry.wire());
            selected.add_assign(&cs.product(|| format!("select {j}"), bit, entry)?);
            let write = cs.product(|| format!("write {j}"), bit, &not_base)?;
            after.push(cs.select(|| format!("entry {j}"), &write, &folded.after, entry)?);
        }
        cs.enforce_equal(|| "opened instance is its entry", &selected, &folded.before);
        Ok(after)
    }

    /// Constructs the CycleFold public IO from this circuit's own wires and folds the instance.
    ///
    /// The running scalars are not range-checked, and the running points not checked on the curve.
    /// Neither is assumed from the step before; both follow here.
    ///
    /// * Scalars: the fold enforces `x = x' + k pi - r y` modulo `p` by component. Everything on the
    ///   right is range-checked in this step and the sum is below `2^209 < p / 2`, so `x` has
    ///   exactly one small signed value, which the hash fixed before `r`, and the congruence holds
    ///   for it over the integers.
    /// * Points: `A = endo(r) Q` is on the curve, as `Q` is checked, and `P + A` has a forced
    ///   inverse. `P`, `A` and the result lie on one curve `y^2 = x^3 + a x + c`. If the result is
    ///   on ours then `a (x_A - x_result) = 0`, so `P` is on ours too, or the chord is tangent at
    ///   `A`, which at most nine points `A` satisfy for a `P` fixed before `r`. The final verifier
    ///   checks the last result (its encoding admits only points of the curve), and the argument
    ///   runs backwards from there.
    fn fold_cyclefold<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &Committed<C::F, S::Committed>,
        folded: &Folded<C::F>,
        base: &Wire<C::F>,
    ) -> Result<CycleFolded<C::F>, SynthesisError> {
        let wires = &committed.cyclefold;
        let accumulation = self.accumulation(committed);
        let before = self.hash_cyclefold(
            &mut cs.namespace(|| "running"),
            &wires
                .running
                .each_ref()
                .map(|pair| pair.each_ref().map(|w| w.wire().clone())),
            &wires.scalars,
        )?;
        self.fix_start(&mut cs.namespace(|| "start"), committed, base)?;

        let mut elements = vec![
            committed.pp.wire().clone(),
            before.clone(),
            folded.hash.clone(),
            folded.after.clone(),
            accumulation.challenge.components()[0].clone(),
        ];
        let points = accumulation.points.iter().flatten();
        elements.extend(points.flat_map(|x| x.components().map(Wire::clone)));
        elements.extend(
            wires
                .fresh
                .iter()
                .chain(&wires.cross)
                .map(|w| w.wire().clone()),
        );
        let hash = self.hash(
            &mut cs.namespace(|| "challenge hash"),
            FOLD_CYCLEFOLD,
            &elements,
        )?;
        let challenge = ChallengeWires::from_hash(&mut cs.namespace(|| "challenge"), &hash)?;

        let b = curve_b::<<C::Secondary as Engine>::GE>();
        let beta = self.context.secondary.0;
        let mut results = Vec::with_capacity(2);
        for (name, running, fresh) in [
            ("witness", &wires.running[0], &wires.fresh),
            ("error", &wires.running[1], &wires.cross),
        ] {
            let mut cs = cs.namespace(|| name);
            let point = |pair: &[FirstWire<C::F>; 2]| {
                PointWires::new(pair[0].wire().clone(), pair[1].wire().clone())
            };
            let fresh = point(fresh);
            fresh.enforce_on_curve(&mut cs.namespace(|| "fresh"), b)?;
            let sum = multiply_add_bits(&mut cs, &point(running), &fresh, &challenge, beta)?;
            results.push([sum.x, sum.y]);
        }

        let io = public_io(committed, folded, &accumulation);
        same_length("CycleFold public values", wires.folds.len(), io.len())?;
        same_length("CycleFold scalars", wires.folds.len(), wires.scalars.len())?;
        let mut scalars = Vec::with_capacity(wires.folds.len());
        for (i, ((fold, running), fresh)) in
            wires.folds.iter().zip(&wires.scalars).zip(&io).enumerate()
        {
            let mut cs = cs.namespace(|| format!("scalar {i}"));
            scalars.push(fold.constrain(&mut cs, running, fresh, &challenge)?);
        }
        let points: [[Wire<C::F>; 2]; 2] = results
            .try_into()
            .map_err(|_| SynthesisError::AssignmentMissing)?;
        let after = self.hash_cyclefold(&mut cs.namespace(|| "folded"), &points, &scalars)?;
        Ok(CycleFolded { before, after })
    }

    /// At step 0 the CycleFold running instance is the fixed one.
    fn fix_start<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &Committed<C::F, S::Committed>,
        base: &Wire<C::F>,
    ) -> Result<(), SynthesisError> {
        let wires = &committed.cyclefold;
        let points = wires.running.iter().flatten().map(FirstWire::wire);
        let scalars = wires.scalars.iter().flat_map(ElementWires::components);
        let commitments = self.start.segments.iter().chain([&self.start.error]);
        let fixed_points = commitments.flat_map(Commitment::coordinates);
        let fixed_scalars = [&self.start.u].into_iter().chain(&self.start.x);
        let fixed_scalars = fixed_scalars.flat_map(|x| self.context.components(x));
        let fixed: Vec<C::F> = fixed_points.chain(fixed_scalars).collect();
        let wires: Vec<&Wire<C::F>> = points.chain(scalars).collect();
        if fixed.len() != wires.len() {
            return Err(SynthesisError::AssignmentMissing);
        }
        for (i, (wire, value)) in wires.into_iter().zip(fixed).enumerate() {
            let difference = wire.add_constant(-value);
            cs.enforce_product(|| format!("value {i}"), base, &difference, &Wire::zero());
        }
        Ok(())
    }

    fn hash_cyclefold<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        points: &[[Wire<C::F>; 2]; 2],
        scalars: &[ElementWires<C::F>],
    ) -> Result<Wire<C::F>, SynthesisError> {
        let mut elements: Vec<Wire<C::F>> = points.iter().flatten().cloned().collect();
        elements.extend(scalars.iter().flat_map(|s| s.components().map(Wire::clone)));
        self.hash(cs, CYCLEFOLD, &elements)
    }

    /// The last point operation: the pending commitment joins the accumulator, or constants where
    /// the kind has no weights.
    fn accumulation(&self, committed: &Committed<C::F, S::Committed>) -> Accumulation<C::F> {
        if committed.weights.is_some() {
            let [commitment, pending] = &committed.accumulator;
            Accumulation {
                challenge: committed.accumulator_challenge.clone(),
                points: [commitment, pending, &committed.accumulated].map(PointElements::elements),
            }
        } else {
            let Operation { p, q, result } = cyclefold::idle_accumulation::<C>();
            let params = &self.context.eisenstein;
            let constant = |c: Commitment<C::Primary>| {
                c.coordinates()
                    .map(|coordinate| ElementWires::constant(params, &coordinate))
            };
            let challenge = cyclefold::idle_challenge().to_field();
            Accumulation {
                challenge: ElementWires::constant(params, &challenge),
                points: [p, q, result].map(constant),
            }
        }
    }

    fn incoming(
        &self,
        committed: &Committed<C::F, S::Committed>,
        cyclefold: &Wire<C::F>,
        kind: &Wire<C::F>,
    ) -> StatePreimage<Wire<C::F>> {
        let wire = |w: &FirstWire<C::F>| w.wire().clone();
        StatePreimage {
            pp: wire(&committed.pp),
            index: wire(&committed.index),
            model: wire(&committed.model),
            start: wire(&committed.start),
            digest: wire(&committed.digest),
            input: wire(&committed.input),
            tensors: wire(&committed.tensors),
            batch: wire(&committed.batch),
            count: wire(&committed.count),
            entries: committed.entries.iter().map(wire).collect(),
            cyclefold: cyclefold.clone(),
            accumulator: unchanged_accumulator(committed),
            kind: kind.clone(),
        }
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
        // Claims of a kind without weights would stay unproven, and weights without claims unused.
        if output.claims.is_empty() == committed.weights.is_some() {
            let got = output.claims.len();
            let message =
                format!("{got} claims, but a kind has claims exactly when it has weights");
            return Err(SynthesisError::IncompatibleLengthVector(message));
        }
        let Some(weights) = &committed.weights else {
            let elements = unchanged_accumulator(committed);
            let challenge = challenge_of(&elements.challenge);
            return Ok(Accumulated {
                elements,
                challenge,
            });
        };
        let running = RunningClaimWires {
            point: committed
                .accumulator_point
                .iter()
                .map(|w| w.wire().clone())
                .collect(),
            value: committed.accumulator_value.wire().clone(),
        };
        let merged = claims::merge(cs, transcript, &running, output, input)?;
        let challenge = ChallengeWires::from_hash(&mut cs.namespace(|| "challenge"), &merged.beta)?;
        let beta = challenge.scalar(self.context.lambda);
        let value = cs
            .product(|| "beta Step(rho')", &beta, &merged.step)?
            .add(&merged.accumulator);
        Ok(Accumulated {
            elements: AccumulatorElements {
                commitment: committed.accumulated.components(),
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
        tensors: &Wire<C::F>,
        limbs: Vec<Wire<C::F>>,
    ) -> Result<NextState<C::F>, SynthesisError> {
        let kind = Wire::constant(C::F::from(self.kind as u64));
        let elements = model_elements(committed.digest.wire().clone(), kind, limbs);
        let digest = self.hash(&mut cs.namespace(|| "model digest"), MODEL, &elements)?;
        let wire = |w: &FirstWire<C::F>| w.wire().clone();
        if !self.step.ends_inference() {
            return Ok(NextState {
                digest,
                input: wire(&committed.input),
                tensors: tensors.clone(),
                batch: wire(&committed.batch),
                count: wire(&committed.count),
            });
        }
        cs.enforce_equal(
            || "model digest is the model id",
            &digest,
            committed.model.wire(),
        );
        let elements = [
            wire(&committed.batch),
            wire(&committed.input),
            tensors.clone(),
        ];
        let batch = self.hash(&mut cs.namespace(|| "batch"), BATCH, &elements)?;
        let start = self.hash(
            &mut cs.namespace(|| "D0"),
            MODEL_START,
            &[wire(&committed.pp)],
        )?;
        Ok(NextState {
            digest: start,
            input: wire(&committed.next_input),
            tensors: wire(&committed.next_input),
            batch,
            count: committed.count.wire().add_constant(C::F::ONE),
        })
    }
}

struct Folded<F: CircuitField> {
    before: Wire<F>,
    after: Wire<F>,
    hash: Wire<F>,
    challenge: ChallengeWires<F>,
    first: [ElementWires<F>; 2],
}

struct CycleFolded<F: CircuitField> {
    before: Wire<F>,
    after: Wire<F>,
}

struct Accumulation<F: CircuitField> {
    challenge: ElementWires<F>,
    points: [[ElementWires<F>; 2]; 3],
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

/// Lists that are walked together have the same length, so that no constraint is left out.
fn same_length(what: &str, expected: usize, got: usize) -> Result<(), SynthesisError> {
    if expected == got {
        return Ok(());
    }
    let message = format!("{what}: expected {expected}, got {got}");
    Err(SynthesisError::IncompatibleLengthVector(message))
}

/// Both elements of a list of two.
fn two<T>(list: &[T]) -> Result<[&T; 2], SynthesisError> {
    match list {
        [first, second] => Ok([first, second]),
        _ => Err(SynthesisError::AssignmentMissing),
    }
}

fn alloc_all<F: CircuitField, CS: ConstraintSystem<F>>(
    segment: &mut FirstSegment<'_, F, CS>,
    name: &str,
    values: &[F],
) -> Result<Vec<FirstWire<F>>, SynthesisError> {
    values
        .iter()
        .enumerate()
        .map(|(i, v)| segment.alloc(format!("{name} {i}"), *v))
        .collect()
}

fn instance_elements<F: CircuitField>(
    points: &InstanceWires<F>,
    scalars: &[Wire<F>; 3],
) -> Vec<Wire<F>> {
    let mut elements: Vec<Wire<F>> = points
        .segments
        .iter()
        .chain([&points.error])
        .flat_map(PointElements::components)
        .collect();
    elements.extend_from_slice(scalars);
    elements
}

fn unchanged_accumulator<F: CircuitField, T>(
    committed: &Committed<F, T>,
) -> AccumulatorElements<Wire<F>> {
    let [commitment, pending] = &committed.accumulator;
    AccumulatorElements {
        commitment: commitment.components(),
        pending: pending.components(),
        challenge: committed.accumulator_challenge.components()[0].clone(),
        point: committed
            .accumulator_point
            .iter()
            .map(|w| w.wire().clone())
            .collect(),
        value: committed.accumulator_value.wire().clone(),
    }
}

/// The challenge whose integer a wire carries.
fn challenge_of<F: CircuitField>(integer: &Wire<F>) -> Challenge {
    Challenge::from_hash(&integer.value())
}

/// The form of value `i` of `(1, r, beta, P_0, Q_0, P'_0, ...)`: the first segment of the fresh
/// instance, which is `Q_0`, comes in its canonical bytes.
fn public_form(i: usize) -> Form {
    match i {
        0 => Form::Unit,
        1 | 2 => Form::Integer,
        5 | 6 => Form::Spread,
        _ => Form::Short,
    }
}

/// `(1, r, beta, P_0, Q_0, P'_0, ...)`: what `u` and the public IO of the fresh CycleFold instance
/// must be, from this circuit's own wires.
fn public_io<F: CircuitField, T>(
    committed: &Committed<F, T>,
    folded: &Folded<F>,
    accumulation: &Accumulation<F>,
) -> Vec<ElementWires<F>> {
    let mut io = vec![
        ElementWires::unit(),
        ElementWires::from_challenge(&folded.challenge),
        accumulation.challenge.clone(),
    ];
    let running = committed
        .running
        .segments
        .iter()
        .chain([&committed.running.error]);
    let fresh = [
        folded.first.clone(),
        committed.fresh_second.elements(),
        committed.cross.elements(),
    ];
    let results = committed
        .folded
        .segments
        .iter()
        .chain([&committed.folded.error]);
    for ((p, q), result) in running.zip(fresh).zip(results) {
        io.extend(p.elements());
        io.extend(q);
        io.extend(result.elements());
    }
    io.extend(accumulation.points.iter().flatten().cloned());
    io
}

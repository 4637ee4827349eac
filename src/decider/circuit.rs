//! The circuit of a `groth16` proof: it verifies a [`spartan`](crate::decider::spartan) proof.
//!
//! In order: the last step's instance and its fold, with the CycleFold public values constructed
//! from the same wires (`src/fold/recursion.rs`); every folded instance opened against its entry;
//! the Spartan verifiers, the opening of the CycleFold instance and the batching, which are the
//! native verifier's own text; packed inputs and outputs; the public data.
//!
//! * Enforced: everything the native verifier checks but the last opening; `z_0`, the end state and
//!   the numbers of steps and inferences; the CycleFold instance's final points on the curve.
//! * Assumed: the verifier of the Groth16 proof computes `gamma` and `f` from the public data, and
//!   checks the last opening for the commitments in them.
//! * Constants of the circuit: `pp`, the shapes, the number of inferences, which sides of them are
//!   private, and the packing of the others. Weights and depth are none, so that one key serves every
//!   model of an architecture, private or not.

use crate::decider::public::{PUBLIC, PublicData};
use crate::decider::spartan::{Proofs, Shapes, domain, pair_key, pair_variables};
use crate::decider::statement::StatementShape;
use crate::fold::augmented::Inputs;
use crate::fold::params::{Params, sample_inputs};
use crate::fold::r1cs::Instance;
use crate::fold::recursion::{
    CycleFolded, ExposedPoint, RecursionCircuit, RecursionWires, Verified, instance_elements,
};
use crate::fold::state::{BATCH, GROUP, INSTANCE, batch_start};
use crate::visibility::Side;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use foldnet_compress::arithmetic::{CircuitPrimary, CircuitSecondary};
use foldnet_compress::bilinear::CircuitMatrices;
use foldnet_compress::nonnative::NonNative;
use foldnet_compress::{batch, ipa, spartan};
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::eisenstein::Form;
use foldnet_gadgets::hash::{Tag, hash_circuit};
use foldnet_gadgets::point::PointWires;
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::step::StepCircuit;
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::{Wire, WireSystem, bits};
use num_bigint::BigUint;

/// The version of the circuit, which names the files of its keys: a test pins it together with the
/// circuit's digest, so that neither changes alone.
pub const VERSION: u32 = 2;

/// Bits of the number of steps.
const INDEX_BITS: usize = 32;

/// What the circuit takes as witness.
#[derive(Clone, Debug)]
pub struct DeciderInputs<C: Cycle> {
    /// Recomputed from statement and proof.
    pub recursion: Inputs<C>,
    /// Every running instance after the last fold.
    pub running: Vec<Instance<C::Primary>>,
    /// The statement elements.
    pub statement: Vec<C::F>,
    /// The proofs that are verified.
    pub proofs: Proofs<C>,
    /// The blind of the combined commitment.
    pub blind: C::F,
    /// Against replay.
    pub context: C::F,
    /// The verifier's challenge.
    pub gamma: C::F,
}

/// The circuit of one architecture.
#[derive(Debug)]
pub struct DeciderCircuit<'a, C: Cycle, S> {
    /// Shapes, keys and constants.
    pub params: &'a Params<C, S>,
    /// The shapes in the layout of Spartan.
    pub shapes: &'a Shapes<C>,
    /// How statements are packed.
    pub statement: StatementShape,
    /// The witness; of the right lengths when only the shape is wanted.
    pub inputs: &'a DeciderInputs<C>,
}

/// A running instance after the last fold: its points for the public data, and `u`, `h`, `alpha`.
struct FinalInstance<F: foldnet_gadgets::CircuitField> {
    points: [ExposedPoint<F>; 3],
    scalars: [Wire<F>; 3],
}

/// `t_0`, and the digest of all inferences.
struct Digests<F: foldnet_gadgets::CircuitField> {
    start: Wire<F>,
    batch: Wire<F>,
}

/// Everything that is allocated before the first constraint.
struct Allocated<F: foldnet_gadgets::CircuitField> {
    recursion: RecursionWires<F>,
    running: Vec<FinalInstance<F>>,
    accumulated: ExposedPoint<F>,
    context: Wire<F>,
    statement: Vec<Wire<F>>,
    blind: Wire<F>,
}

impl<C: Cycle, S: StepCircuit<C::F>> DeciderCircuit<'_, C, S> {
    fn recursion(&self) -> RecursionCircuit<'_, C> {
        RecursionCircuit {
            context: &self.params.context,
            kinds: self.params.shapes.len(),
            start: &self.params.start.0,
            accumulates: true,
        }
    }

    /// Allocates everything that is range-checked by limbs.
    fn allocate<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
    ) -> Result<Allocated<C::F>, SynthesisError> {
        let inputs = self.inputs;
        let mut segment = FirstSegment::open(cs);
        let recursion = self.recursion().commit(&mut segment, &inputs.recursion)?;
        let mut running = Vec::with_capacity(inputs.running.len());
        for (k, instance) in inputs.running.iter().enumerate() {
            let instance = segment.namespace(format!("final {k}"), |segment| {
                self.allocate_final(segment, instance)
            })?;
            running.push(instance);
        }
        let [.., accumulation] = &inputs.recursion.operations.operations;
        // The very components that the transcript and the CycleFold values bind.
        let accumulated = ExposedPoint::expose(
            &mut segment,
            &self.params.context,
            "final accumulated",
            (&recursion.accumulated, &accumulation.result),
        )?;
        segment.close_by_bits()?;
        let statement = inputs.statement.iter().enumerate();
        Ok(Allocated {
            recursion,
            running,
            accumulated,
            context: cs.wire(|| "context", inputs.context)?,
            statement: statement
                .map(|(i, value)| cs.wire(|| format!("statement {i}"), *value))
                .collect::<Result<_, _>>()?,
            blind: cs.wire(|| "blind", inputs.blind)?,
        })
    }

    fn allocate_final<CS: ConstraintSystem<C::F>>(
        &self,
        segment: &mut FirstSegment<'_, C::F, CS>,
        instance: &Instance<C::Primary>,
    ) -> Result<FinalInstance<C::F>, SynthesisError> {
        let context = &self.params.context;
        let ([first, second], [h, alpha]) = (instance.segments.as_slice(), instance.x.as_slice())
        else {
            return Err(SynthesisError::AssignmentMissing);
        };
        let mut point = |name: &str, commitment: &Commitment<C::Primary>| {
            ExposedPoint::alloc(segment, context, name, commitment)
        };
        let points = [
            point("cm1", first)?,
            point("cm2", second)?,
            point("cmE", &instance.error)?,
        ];
        let mut scalar =
            |name: &str, value| Ok::<_, SynthesisError>(segment.alloc(name, value)?.wire().clone());
        Ok(FinalInstance {
            points,
            scalars: [
                scalar("u", instance.u)?,
                scalar("h", *h)?,
                scalar("alpha", *alpha)?,
            ],
        })
    }

    fn hash<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        tag: Tag,
        elements: &[Wire<C::F>],
    ) -> Result<Wire<C::F>, SynthesisError> {
        hash_circuit(cs, &self.params.context.hash, tag, elements)
    }

    /// The state that the last instance hashed is the end state of the statement.
    fn fix_state<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        allocated: &Allocated<C::F>,
    ) -> Result<(), SynthesisError> {
        let wires = &allocated.recursion;
        let Digests { start, batch } = self.digests(cs, &allocated.statement)?;
        let context = &self.params.context;
        let pp = self.params.pp;
        let fixed = [
            ("pp", &wires.pp, Wire::constant(pp)),
            ("t_0", &wires.start, start),
            (
                "d = D0",
                &wires.digest,
                Wire::constant(context.model_start(pp)),
            ),
            (
                "no open inference",
                &wires.tensors,
                wires.input.wire().clone(),
            ),
            ("inputs and outputs", &wires.batch, batch),
            (
                "number of inferences",
                &wires.count,
                Wire::constant(C::F::from(self.statement.inferences as u64)),
            ),
        ];
        for (name, wire, value) in fixed {
            cs.enforce_equal(|| name, wire.wire(), &value);
        }
        let index = wires.index.wire();
        bits(&mut cs.namespace(|| "number of steps"), index, INDEX_BITS)?;
        cs.inverse(|| "at least one step", index)?;
        Ok(())
    }

    /// `t_0` and the digest of all inferences.
    fn digests<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        statement: &[Wire<C::F>],
    ) -> Result<Digests<C::F>, SynthesisError> {
        let shape = self.statement;
        let hash = &self.params.context.hash;
        let per = shape.side_elements(Side::Input) + shape.side_elements(Side::Output);
        let (expected, got) = (shape.elements(), statement.len());
        if expected != got || per == 0 || shape.inferences == 0 {
            let message = format!("statement: expected {expected} elements, got {got}");
            return Err(SynthesisError::IncompatibleLengthVector(message));
        }
        let mut batch = Wire::constant(batch_start());
        let mut first_inputs = Vec::new();
        for (i, elements) in statement.chunks(per).enumerate() {
            let mut cs = cs.namespace(|| format!("inference {i}"));
            let (inputs, outputs) = elements.split_at(shape.side_elements(Side::Input));
            let mut digest = |side: Side, elements| {
                shape.digest_circuit(&mut cs.namespace(|| side.name()), hash, side, elements)
            };
            let first = digest(Side::Input, inputs)?;
            let last = digest(Side::Output, outputs)?;
            if i < self.params.inferences() {
                first_inputs.push(first.clone());
            }
            batch = self.hash(&mut cs.namespace(|| "batch"), BATCH, &[batch, first, last])?;
        }
        let start = match first_inputs.as_slice() {
            [input] => input.clone(),
            several => self.hash(&mut cs.namespace(|| "first inputs"), GROUP, several)?,
        };
        Ok(Digests { start, batch })
    }

    /// Every final instance is the one whose digest the fold left.
    fn open_finals<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        allocated: &Allocated<C::F>,
        verified: &Verified<C::F>,
    ) -> Result<(), SynthesisError> {
        if allocated.running.len() != verified.entries.len() {
            return Err(SynthesisError::AssignmentMissing);
        }
        let finals = allocated.running.iter().zip(&verified.entries);
        for (k, (instance, entry)) in finals.enumerate() {
            let points = instance.points.each_ref().map(|point| &point.elements);
            let elements = instance_elements(points, &instance.scalars);
            let mut cs = cs.namespace(|| format!("final {k}"));
            let digest = self.hash(&mut cs.namespace(|| "digest"), INSTANCE, &elements)?;
            cs.enforce_equal(|| "final instance is its entry", &digest, entry);
        }
        Ok(())
    }
}

/// What the circuit derives and shows: everything but what is allocated.
struct Derived<F: foldnet_gadgets::CircuitField> {
    combination: Wire<F>,
    point: Vec<Wire<F>>,
    value: Wire<F>,
}

impl<C: Cycle, S: StepCircuit<C::F>> DeciderCircuit<'_, C, S> {
    /// Synthesises the circuit with public inputs `(p, gamma, f)`.
    ///
    /// # Errors
    /// Those of the system, and of a witness whose parts have the wrong lengths.
    pub fn constrain<CS: ConstraintSystem<C::F>>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        let allocated = self.allocate(cs)?;
        self.fix_state(&mut cs.namespace(|| "state"), &allocated)?;
        let recursion = &allocated.recursion;
        let verified =
            self.recursion()
                .verify(&mut cs.namespace(|| "last step"), recursion, None)?;
        cs.enforce_equal(
            || "state hash of the last instance",
            &verified.hash,
            recursion.fresh_x[0].wire(),
        );
        self.open_finals(&mut cs.namespace(|| "finals"), &allocated, &verified)?;
        let derived = self.verify_argument(cs, &allocated, &verified)?;
        self.show(&mut cs.namespace(|| "public data"), &allocated, derived)
    }

    /// Binds the public data to the public inputs.
    fn show<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        allocated: &Allocated<C::F>,
        derived: Derived<C::F>,
    ) -> Result<(), SynthesisError> {
        let points = allocated.running.iter().flat_map(|u| &u.points);
        let mut commitments = Vec::with_capacity(3 * allocated.running.len() + 1);
        for (i, point) in points.chain([&allocated.accumulated]).enumerate() {
            commitments.push(point.constrain(&mut cs.namespace(|| format!("commitment {i}")))?);
        }
        let data = PublicData {
            context: allocated.context.clone(),
            model: allocated.recursion.model.wire().clone(),
            count: allocated.recursion.count.wire().clone(),
            statement: allocated.statement.clone(),
            commitments,
            combination: derived.combination,
            blind: allocated.blind.clone(),
            point: derived.point,
            value: derived.value,
        };
        let elements = data.elements();
        let digest = self.hash(&mut cs.namespace(|| "p"), PUBLIC, &elements)?;
        let public_digest = cs.public_wire(|| "public p", digest.value())?;
        cs.enforce_equal(|| "p", &digest, &public_digest);
        let gamma = cs.public_wire(|| "public gamma", self.inputs.gamma)?;
        let mut fingerprint = Wire::zero();
        for (i, element) in elements.iter().enumerate().rev() {
            fingerprint = cs
                .product(|| format!("fingerprint {i}"), &fingerprint, &gamma)?
                .add(element);
        }
        let public_fingerprint = cs.public_wire(|| "public f", fingerprint.value())?;
        cs.enforce_equal(|| "f", &fingerprint, &public_fingerprint);
        Ok(())
    }

    /// The start of the transcript: statement, folded instances, accumulator.
    fn transcript(
        &self,
        allocated: &Allocated<C::F>,
        verified: &Verified<C::F>,
    ) -> TranscriptCircuit<C::F> {
        let wires = &allocated.recursion;
        let mut transcript =
            TranscriptCircuit::new(&self.params.context.hash, domain(self.statement.sides));
        let scalars = [
            &wires.pp,
            &wires.model,
            &wires.index,
            &wires.count,
            &wires.batch,
            &wires.start,
            &wires.tensors,
        ];
        transcript.absorb(scalars.into_iter().map(|wire| wire.wire()));
        transcript.absorb(&verified.entries);
        transcript.absorb([&verified.cyclefold.hash]);
        transcript.absorb(&wires.accumulated.components());
        transcript.absorb(wires.accumulator_point.iter().map(|wire| wire.wire()));
        transcript.absorb([wires.accumulator_value.wire()]);
        transcript
    }
}

impl<C: Cycle, S: StepCircuit<C::F>> DeciderCircuit<'_, C, S> {
    /// Verifies the argument; what is left is shown.
    fn verify_argument<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        allocated: &Allocated<C::F>,
        verified: &Verified<C::F>,
    ) -> Result<Derived<C::F>, SynthesisError> {
        let mut transcript = self.transcript(allocated, verified);
        let proofs = &self.inputs.proofs;
        let kinds = self.shapes.kinds.len();
        if [proofs.kinds.len(), allocated.running.len()] != [kinds; 2] {
            return Err(SynthesisError::AssignmentMissing);
        }
        let mut claims = Vec::with_capacity(3 * kinds + 1);
        let pairs = self.shapes.kinds.iter().zip(&proofs.kinds);
        for (k, ((shape, proof), instance)) in pairs.zip(&allocated.running).enumerate() {
            let mut cs = cs.namespace(|| format!("kind {k}"));
            let mut arithmetic = CircuitPrimary::new(&mut cs, &mut transcript);
            let [u, x @ ..] = &instance.scalars;
            let matrices = CircuitMatrices::new(shape);
            let dimensions = shape.dimensions();
            let left = spartan::verify(&mut arithmetic, dimensions, u, x, proof, &matrices)?;
            claims.extend(left.segments);
            claims.push(left.error);
        }
        self.verify_cyclefold(
            &mut cs.namespace(|| "cyclefold instance"),
            &mut transcript,
            &verified.cyclefold,
        )?;
        let recursion = &allocated.recursion;
        let point = recursion.accumulator_point.iter();
        claims.push(spartan::Claim {
            point: point.map(|wire| wire.wire().clone()).collect(),
            value: recursion.accumulator_value.wire().clone(),
        });
        let mut cs = cs.namespace(|| "batch");
        let mut arithmetic = CircuitPrimary::new(&mut cs, &mut transcript);
        let combined = batch::verify(&mut arithmetic, &claims, &proofs.batch)?;
        Ok(Derived {
            combination: combined.rho,
            point: combined.point,
            value: combined.value,
        })
    }

    /// Verifies the proof of the CycleFold instance and opens its commitments. The opening enforces
    /// that they lie on the curve, which nothing before does ([`crate::fold::recursion`]).
    fn verify_cyclefold<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        transcript: &mut TranscriptCircuit<C::F>,
        instance: &CycleFolded<C::F>,
    ) -> Result<(), SynthesisError> {
        let [first, second] = instance.points.each_ref();
        let point = |[x, y]: &[Wire<C::F>; 2]| PointWires::new(x.clone(), y.clone());
        let params = &self.params.context.eisenstein;
        let nonnative = NonNative::new(params);
        let bound = BigUint::from(1u32) << Form::Short.bits();
        let scalars = instance
            .scalars
            .iter()
            .map(|scalar| nonnative.from_components(scalar.components().map(Wire::clone), &bound))
            .collect::<Result<Vec<_>, _>>()?;
        let Some((u, x)) = scalars.split_first() else {
            return Err(SynthesisError::AssignmentMissing);
        };
        let mut arithmetic = CircuitSecondary::new(cs, transcript, params);
        let shape = &self.shapes.cyclefold;
        let proof = &self.inputs.proofs.cyclefold;
        let matrices = &self.shapes.structured;
        let claims = spartan::verify(&mut arithmetic, shape.dimensions(), u, x, proof, matrices)?;
        let Some(witness) = claims.segments.into_iter().next() else {
            return Err(SynthesisError::AssignmentMissing);
        };
        let claim = |commitment, claim: spartan::Claim<_>| ipa::circuit::Claim {
            commitment: point(commitment),
            point: claim.point,
            value: claim.value,
        };
        let statement = ipa::circuit::Statement {
            first: claim(first, witness),
            second: claim(second, claims.error),
        };
        let key = pair_key(self.params).map_err(|_| SynthesisError::AssignmentMissing)?;
        let layout = ipa::circuit::Layout::cheapest(key.variables());
        let proof = &self.inputs.proofs.pair;
        ipa::circuit::verify(&mut arithmetic, &key, layout, &statement, proof)
    }
}

impl<C: Cycle> DeciderInputs<C> {
    /// Inputs of the right lengths whose values are ignored, for the shape.
    pub fn sample<S: StepCircuit<C::F>>(
        params: &Params<C, S>,
        shapes: &Shapes<C>,
        statement: &StatementShape,
    ) -> Self {
        let zero = C::F::ZERO;
        let kinds = params.shapes.len();
        let recursion = sample_inputs(kinds, params.weight_variables, false, &params.start.0);
        let dimensions = shapes.kinds.iter().map(|shape| shape.dimensions());
        let mut variables = Vec::with_capacity(3 * kinds + 1);
        for dimensions in dimensions.clone() {
            variables.extend(dimensions.segment_variables());
            variables.push(dimensions.row_variables());
        }
        variables.push(params.weight_variables);
        let cyclefold = shapes.cyclefold.dimensions();
        DeciderInputs {
            running: vec![recursion.running.clone(); kinds],
            recursion,
            statement: vec![zero; statement.elements()],
            proofs: Proofs {
                kinds: dimensions.map(spartan::Proof::zero).collect(),
                cyclefold: spartan::Proof::zero(cyclefold),
                pair: ipa::pair::Proof::sample(pair_variables(params)),
                batch: batch::Proof::zero(&variables),
            },
            blind: zero,
            context: zero,
            gamma: zero,
        }
    }
}

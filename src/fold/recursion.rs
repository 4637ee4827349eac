//! The recursion inside a circuit: the verification of everything before.
//!
//! Given the state that the last instance hashed, the circuit opens the running instance of that
//! instance's kind, folds the two, writes the result back, folds the CycleFold instance that proves
//! the point operations of the fold, and adds the pending weight commitment to the accumulator. The
//! augmented step circuit does it for the step before ([`crate::fold::augmented`]), the decider for
//! the last step.
//!
//! Everything here is known before the first segment closes, so its range checks are lookups.

use crate::fold::augmented::Inputs;
use crate::fold::cyclefold::{self, Operation, PUBLIC_INPUTS};
use crate::fold::r1cs::Instance;
use crate::fold::state::{
    ALPHA, AccumulatorElements, CYCLEFOLD, Context, FOLD, FOLD_CYCLEFOLD, INSTANCE, STATE,
    StatePreimage, alpha_elements,
};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use foldnet_gadgets::challenge::ChallengeWires;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::{Cycle, curve_b};
use foldnet_gadgets::eisenstein::{
    CanonicalLimbs, CanonicalWires, ElementWires, EqualityWires, FoldWires, Form,
};
use foldnet_gadgets::field::CircuitField;
use foldnet_gadgets::hash::{Tag, hash_circuit};
use foldnet_gadgets::point::{PointWires, multiply_add_bits};
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::wire::{Wire, WireSystem};
use nova_snark::traits::Engine;

/// The recursion of one circuit: constants of its shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecursionCircuit<'a, C: Cycle> {
    /// Shared constants.
    pub context: &'a Context<C>,
    /// How many kinds the program has.
    pub kinds: usize,
    /// The CycleFold running instance that step 0 starts from: a constant.
    pub start: &'a Instance<C::Secondary>,
    /// Whether the pending commitment joins the accumulator here.
    pub accumulates: bool,
}

/// A commitment of the primary curve: the components of its coordinates, range-checked.
#[derive(Clone, Debug)]
pub(crate) struct PointElements<F: CircuitField> {
    pub x: ElementWires<F>,
    pub y: ElementWires<F>,
}

impl<F: CircuitField> PointElements<F> {
    pub fn alloc<C: Cycle<F = F>, CS: ConstraintSystem<F>>(
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

    pub fn elements(&self) -> [ElementWires<F>; 2] {
        [self.x.clone(), self.y.clone()]
    }

    pub fn components(&self) -> [Wire<F>; 4] {
        let ([xa, xb], [ya, yb]) = (self.x.components(), self.y.components());
        [xa.clone(), xb.clone(), ya.clone(), yb.clone()]
    }
}

/// A commitment's canonical limbs in the first segment.
pub(crate) struct CanonicalPoint<F: CircuitField>([CanonicalLimbs<F>; 2]);

/// A commitment's canonical limbs, enforced.
pub(crate) struct CanonicalPointWires<F: CircuitField>([CanonicalWires<F>; 2]);

impl<F: CircuitField> CanonicalPoint<F> {
    pub fn alloc<C: Cycle<F = F>, CS: ConstraintSystem<F>>(
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

    pub fn constrain<CS: ConstraintSystem<F>>(
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
    pub fn limbs(&self) -> [Wire<F>; 4] {
        let [x, y] = &self.0;
        [x.low(), x.high(), y.low(), y.high()].map(|limb| limb.wire().clone())
    }

    pub fn elements(&self) -> [ElementWires<F>; 2] {
        self.0
            .each_ref()
            .map(|coordinate| coordinate.element().clone())
    }
}

/// A commitment with short components, canonical limbs, and the quotients that tie the two.
pub(crate) struct ExposedPoint<F: CircuitField> {
    pub elements: PointElements<F>,
    pub canonical: CanonicalPoint<F>,
    pub equality: [EqualityWires<F>; 2],
}

impl<F: CircuitField> ExposedPoint<F> {
    /// Allocates a commitment of its own.
    pub fn alloc<C: Cycle<F = F>, CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        context: &Context<C>,
        name: &str,
        commitment: &Commitment<C::Primary>,
    ) -> Result<Self, SynthesisError> {
        segment.namespace(name, |segment| {
            let elements = PointElements::alloc(segment, context, "short", commitment)?;
            Self::limbs(segment, context, elements, commitment)
        })
    }

    /// Allocates the limbs of a commitment whose components are allocated already.
    pub fn expose<C: Cycle<F = F>, CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        context: &Context<C>,
        name: &str,
        (elements, commitment): (&PointElements<F>, &Commitment<C::Primary>),
    ) -> Result<Self, SynthesisError> {
        let elements = elements.clone();
        segment.namespace(name, |segment| {
            Self::limbs(segment, context, elements, commitment)
        })
    }

    fn limbs<C: Cycle<F = F>, CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        context: &Context<C>,
        elements: PointElements<F>,
        commitment: &Commitment<C::Primary>,
    ) -> Result<Self, SynthesisError> {
        let forms = (Form::Spread, Form::Short);
        let [x, y] = commitment.coordinates();
        Ok(ExposedPoint {
            elements,
            canonical: CanonicalPoint::alloc(segment, context, "canonical", commitment)?,
            equality: [
                EqualityWires::alloc(segment, &context.eisenstein, "equal x", &x, forms)?,
                EqualityWires::alloc(segment, &context.eisenstein, "equal y", &y, forms)?,
            ],
        })
    }

    /// The canonical limbs, which are those of the components.
    pub fn constrain<CS: ConstraintSystem<F>>(
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
pub(crate) struct InstanceWires<F: CircuitField> {
    pub segments: [PointElements<F>; 2],
    pub error: PointElements<F>,
}

impl<F: CircuitField> InstanceWires<F> {
    fn points(&self) -> [&PointElements<F>; 3] {
        let [first, second] = &self.segments;
        [first, second, &self.error]
    }
}

/// The first-segment wires of the recursion.
pub(crate) struct RecursionWires<F: CircuitField> {
    pub pp: FirstWire<F>,
    pub index: FirstWire<F>,
    pub model: FirstWire<F>,
    pub start: FirstWire<F>,
    pub digest: FirstWire<F>,
    pub input: FirstWire<F>,
    pub tensors: FirstWire<F>,
    pub batch: FirstWire<F>,
    pub count: FirstWire<F>,
    pub entries: Vec<FirstWire<F>>,
    pub kind_bits: Vec<FirstWire<F>>,
    pub running: InstanceWires<F>,
    pub running_scalars: [FirstWire<F>; 3],
    pub fresh_first: CanonicalPoint<F>,
    pub fresh_second: PointElements<F>,
    pub fresh_x: [FirstWire<F>; 2],
    pub cross: PointElements<F>,
    pub folded: InstanceWires<F>,
    pub accumulator: [PointElements<F>; 2],
    pub accumulator_challenge: ElementWires<F>,
    pub accumulator_point: Vec<FirstWire<F>>,
    pub accumulator_value: FirstWire<F>,
    pub accumulated: PointElements<F>,
    pub cyclefold: CycleFoldCommitted<F>,
}

/// The first-segment wires of the CycleFold fold.
pub(crate) struct CycleFoldCommitted<F: CircuitField> {
    pub running: [[FirstWire<F>; 2]; 2],
    pub scalars: Vec<ElementWires<F>>,
    pub fresh: [FirstWire<F>; 2],
    pub cross: [FirstWire<F>; 2],
    pub folds: Vec<FoldWires<F>>,
}

impl<C: Cycle> RecursionCircuit<'_, C> {
    /// Allocates all wires of the recursion in the first segment.
    ///
    /// # Errors
    /// Those of the system, and of instances that do not have the right lengths.
    pub fn commit<CS: ConstraintSystem<C::F>>(
        &self,
        segment: &mut FirstSegment<'_, C::F, CS>,
        inputs: &Inputs<C>,
    ) -> Result<RecursionWires<C::F>, SynthesisError> {
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
        Ok(RecursionWires {
            pp: segment.alloc("pp", inputs.pp)?,
            index: segment.alloc("index", C::F::from(inputs.index))?,
            model: segment.alloc("model", state.model)?,
            start: segment.alloc("start", inputs.start)?,
            digest: segment.alloc("digest", state.digest)?,
            input: segment.alloc("input", state.input)?,
            tensors: segment.alloc("tensors", state.tensors)?,
            batch: segment.alloc("batch", state.batch)?,
            count: segment.alloc("count", C::F::from(state.count))?,
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
            cyclefold: self.commit_cyclefold(segment, inputs)?,
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

    fn hash<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        tag: Tag,
        elements: &[Wire<C::F>],
    ) -> Result<Wire<C::F>, SynthesisError> {
        hash_circuit(cs, &self.context.hash, tag, elements)
    }

    /// Verifies everything before: the incoming state's hash is returned and must be compared with
    /// the fresh instance's. `base` is the bit `[i = 0]`; the decider, which runs after at least
    /// one step, has none.
    ///
    /// # Errors
    /// Those of the system.
    pub fn verify<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        wires: &RecursionWires<C::F>,
        base: Option<&Wire<C::F>>,
    ) -> Result<Verified<C::F>, SynthesisError> {
        let kind = self.kind_selector(&mut cs.namespace(|| "kind"), wires)?;
        let folded = self.fold(&mut cs.namespace(|| "fold"), wires, &kind)?;
        let entries = self.entries(&mut cs.namespace(|| "entries"), wires, &folded, base)?;
        let cyclefold =
            self.fold_cyclefold(&mut cs.namespace(|| "cyclefold"), wires, &folded, base)?;
        let incoming = self.incoming(wires, &cyclefold.before, &kind);
        let hash = self.hash(
            &mut cs.namespace(|| "state in"),
            STATE,
            &incoming.elements(),
        )?;
        Ok(Verified {
            entries,
            cyclefold,
            hash,
        })
    }

    /// The incoming kind from its one-hot bits.
    fn kind_selector<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &RecursionWires<C::F>,
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
        committed: &RecursionWires<C::F>,
        kind: &Wire<C::F>,
    ) -> Result<Folded<C::F>, SynthesisError> {
        let pp = committed.pp.wire();
        let running_scalars = committed
            .running_scalars
            .each_ref()
            .map(|w| w.wire().clone());
        let elements = instance_elements(committed.running.points(), &running_scalars);
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
        let elements = instance_elements(committed.folded.points(), &scalars);
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
        committed: &RecursionWires<C::F>,
        folded: &Folded<C::F>,
        base: Option<&Wire<C::F>>,
    ) -> Result<Vec<Wire<C::F>>, SynthesisError> {
        same_length(
            "entries",
            committed.kind_bits.len(),
            committed.entries.len(),
        )?;
        let mut selected = Wire::zero();
        let mut after = Vec::with_capacity(self.kinds);
        let not_base = base.map_or_else(Wire::one, |base| Wire::one().sub(base));
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
        committed: &RecursionWires<C::F>,
        folded: &Folded<C::F>,
        base: Option<&Wire<C::F>>,
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
        if let Some(base) = base {
            self.fix_start(&mut cs.namespace(|| "start"), committed, base)?;
        }

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
        let hash = self.hash_cyclefold(&mut cs.namespace(|| "folded"), &points, &scalars)?;
        Ok(CycleFolded {
            before,
            points,
            scalars,
            hash,
        })
    }

    /// At step 0 the CycleFold running instance is the fixed one.
    fn fix_start<CS: ConstraintSystem<C::F>>(
        &self,
        cs: &mut CS,
        committed: &RecursionWires<C::F>,
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
    fn accumulation(&self, committed: &RecursionWires<C::F>) -> Accumulation<C::F> {
        if self.accumulates {
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
        committed: &RecursionWires<C::F>,
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
}

/// What verifying everything before yields.
pub(crate) struct Verified<F: CircuitField> {
    /// Digest of every running instance after the fold.
    pub entries: Vec<Wire<F>>,
    /// The CycleFold running instance after the fold.
    pub cyclefold: CycleFolded<F>,
    /// The incoming state hash.
    pub hash: Wire<F>,
}

pub(crate) struct Folded<F: CircuitField> {
    pub before: Wire<F>,
    pub after: Wire<F>,
    pub hash: Wire<F>,
    pub challenge: ChallengeWires<F>,
    pub first: [ElementWires<F>; 2],
}

/// The CycleFold running instance before and after the fold.
pub(crate) struct CycleFolded<F: CircuitField> {
    /// Digest before.
    pub before: Wire<F>,
    /// Commitments to witness and error after, on the curve by the argument of `fold_cyclefold` only
    /// if whoever ends the recursion checks them.
    pub points: [[Wire<F>; 2]; 2],
    /// `u` and the public values after.
    pub scalars: Vec<ElementWires<F>>,
    /// Digest after.
    pub hash: Wire<F>,
}

pub(crate) struct Accumulation<F: CircuitField> {
    pub challenge: ElementWires<F>,
    pub points: [[ElementWires<F>; 2]; 3],
}

/// Lists that are walked together have the same length, so that no constraint is left out.
pub(crate) fn same_length(what: &str, expected: usize, got: usize) -> Result<(), SynthesisError> {
    if expected == got {
        return Ok(());
    }
    let message = format!("{what}: expected {expected}, got {got}");
    Err(SynthesisError::IncompatibleLengthVector(message))
}

/// Both elements of a list of two.
pub(crate) fn two<T>(list: &[T]) -> Result<[&T; 2], SynthesisError> {
    match list {
        [first, second] => Ok([first, second]),
        _ => Err(SynthesisError::AssignmentMissing),
    }
}

pub(crate) fn alloc_all<F: CircuitField, CS: ConstraintSystem<F>>(
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

/// What the digest of a primary instance hashes: `cm1`, `cm2`, `cmE`, then `u`, `h`, `alpha`.
pub(crate) fn instance_elements<F: CircuitField>(
    points: [&PointElements<F>; 3],
    scalars: &[Wire<F>; 3],
) -> Vec<Wire<F>> {
    let mut elements: Vec<Wire<F>> = points
        .into_iter()
        .flat_map(PointElements::components)
        .collect();
    elements.extend_from_slice(scalars);
    elements
}

pub(crate) fn unchanged_accumulator<F: CircuitField>(
    committed: &RecursionWires<F>,
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
fn public_io<F: CircuitField>(
    committed: &RecursionWires<F>,
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

//! Poseidon, native and in-circuit, on nova-snark's sponge.
//!
//! One rule chooses the width from the number of elements, so that native code and circuits cannot
//! disagree: up to [`NARROW_LIMIT`] elements use the permutation of rate 5, more use rate 24. The
//! sponge binds the number of elements in its capacity; the first element is always a domain tag.

use crate::field::CircuitField;
use crate::wire::{Wire, WireSystem};
use bellpepper_core::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use generic_array::typenum::{U5, U24};
use nova_snark::frontend as nova;
use nova_snark::frontend::gadgets::poseidon::{
    Elt, IOPattern, PoseidonConstants, Simplex, Sponge, SpongeAPI, SpongeCircuit, SpongeOp,
    SpongeTrait, Strength,
};
use nova_snark::frontend::num::{AllocatedNum, Num};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Most elements hashed with the narrow permutation: two of its calls cost less than one wide.
pub const NARROW_LIMIT: usize = 10;

/// Round constants and matrices of both widths; cloning shares them.
#[derive(Clone)]
pub struct HashConstants<F: CircuitField> {
    inner: Arc<Constants<F>>,
}

struct Constants<F: CircuitField> {
    wide: PoseidonConstants<F, U24>,
    narrow: PoseidonConstants<F, U5>,
}

impl<F: CircuitField> fmt::Debug for HashConstants<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashConstants(Poseidon, rates 5 and 24)")
    }
}

impl<F: CircuitField> Default for HashConstants<F> {
    fn default() -> Self {
        let inner = Constants {
            wide: Sponge::<F, U24>::api_constants(Strength::Standard),
            narrow: Sponge::<F, U5>::api_constants(Strength::Standard),
        };
        HashConstants {
            inner: Arc::new(inner),
        }
    }
}

fn pattern(length: u32) -> IOPattern {
    IOPattern(vec![SpongeOp::Absorb(length), SpongeOp::Squeeze(1)])
}

/// Absorbs `elements` and squeezes one element, with the permutation of one rate.
macro_rules! native_sponge {
    ($rate:ty, $constants:expr, $elements:expr) => {{
        let mut sponge = Sponge::<F, $rate>::new_with_constants($constants, Simplex);
        let length = $elements.len() as u32;
        sponge.start(pattern(length), None, &mut ());
        SpongeAPI::absorb(&mut sponge, length, $elements, &mut ());
        SpongeAPI::squeeze(&mut sponge, 1, &mut ())[0]
    }};
}

macro_rules! circuit_sponge {
    ($rate:ty, $constants:expr, $elements:expr, $cs:expr) => {{
        let mut adapter = Adapter {
            cs: $cs.get_root(),
            field: PhantomData,
        };
        let elements: Vec<Elt<F>> = $elements;
        let length = elements.len() as u32;
        let mut namespace = nova::ConstraintSystem::namespace(&mut adapter, || "sponge");
        let mut sponge = SpongeCircuit::<F, $rate, _>::new_with_constants($constants, Simplex);
        sponge.start(pattern(length), None, &mut namespace);
        SpongeAPI::absorb(&mut sponge, length, &elements, &mut namespace);
        let output = SpongeAPI::squeeze(&mut sponge, 1, &mut namespace);
        output.first().cloned()
    }};
}

/// What a hash is for: the first element of every preimage.
///
/// A tag is the field element of its name's bytes, read little-endian; names are at most 31 bytes
/// long, so that different names are different elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(&'static str);

impl Tag {
    /// The tag of a name of at most 31 bytes.
    ///
    /// # Panics
    /// At compile time, when the name is longer: tags are constants.
    pub const fn new(name: &'static str) -> Self {
        assert!(name.len() <= 31, "a domain tag has at most 31 bytes");
        Tag(name)
    }

    /// The tag as a field element.
    pub fn element<F: CircuitField>(self) -> F {
        let radix = F::from(256);
        self.0
            .bytes()
            .rev()
            .fold(F::ZERO, |sum, byte| sum * radix + F::from(u64::from(byte)))
    }
}

/// `Poseidon(tag, elements)` for domain tag `tag`.
pub fn hash<F: CircuitField>(constants: &HashConstants<F>, tag: Tag, elements: &[F]) -> F {
    let mut state = Vec::with_capacity(elements.len() + 1);
    state.push(tag.element());
    state.extend_from_slice(elements);
    permute(constants, &state)
}

/// The hash of a state that starts with its tag already.
pub(crate) fn permute<F: CircuitField>(constants: &HashConstants<F>, state: &[F]) -> F {
    if state.len() <= NARROW_LIMIT {
        native_sponge!(U5, &constants.inner.narrow, state)
    } else {
        native_sponge!(U24, &constants.inner.wide, state)
    }
}

/// The circuit of [`hash`].
///
/// # Errors
/// Only those of the underlying system.
pub fn hash_circuit<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    constants: &HashConstants<F>,
    tag: Tag,
    elements: &[Wire<F>],
) -> Result<Wire<F>, SynthesisError> {
    let mut state = Vec::with_capacity(elements.len() + 1);
    state.push(Wire::constant(tag.element()));
    state.extend_from_slice(elements);
    permute_circuit(cs, constants, &state)
}

/// The circuit of the native state hash.
pub(crate) fn permute_circuit<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    constants: &HashConstants<F>,
    state: &[Wire<F>],
) -> Result<Wire<F>, SynthesisError> {
    let elements: Vec<Elt<F>> = state.iter().map(|wire| element(wire)).collect();
    let output = if state.len() <= NARROW_LIMIT {
        circuit_sponge!(U5, &constants.inner.narrow, elements, cs)
    } else {
        circuit_sponge!(U24, &constants.inner.wide, elements, cs)
    };
    let output = output.ok_or(SynthesisError::AssignmentMissing)?;
    let value = output.val().ok_or(SynthesisError::AssignmentMissing)?;
    let digest = cs.wire(|| "digest", value)?;
    if !cs.is_witness_generator() {
        let computed = from_nova(&output.lc());
        let one = CS::one();
        cs.enforce(
            || "digest",
            |_| computed,
            |lc| lc + one,
            |_| digest.linear_combination(one),
        );
    }
    Ok(digest)
}

/// A wire as an element of nova-snark's sponge.
///
/// nova-snark makes linear forms only from variables that carry a value, so the first term carries
/// what the constant leaves of the wire's value and the others carry zero. A term whose coefficient
/// is zero can carry nothing and is left out.
fn element<F: CircuitField>(wire: &Wire<F>) -> Elt<F> {
    let terms = wire.terms().iter();
    let mut terms = terms.filter(|(_, coefficient)| !bool::from(coefficient.is_zero()));
    let Some((first, coefficient)) = terms.next() else {
        return Elt::num_from_fr::<Unused<F>>(wire.value());
    };
    let share: F = Option::from(coefficient.invert()).unwrap_or(F::ZERO);
    let share = share * (wire.value() - wire.constant_term());
    let term = |variable: Variable, value: F, factor: F| {
        Num::from(AllocatedNum::from_parts(to_nova(variable), Some(value))).scale(factor)
    };
    let mut sum = term(*first, share, *coefficient);
    for (variable, factor) in terms {
        sum = sum.add(&term(*variable, F::ZERO, *factor));
    }
    Elt::Num(sum.add(&Elt::num_from_fr::<Unused<F>>(wire.constant_term()).num()))
}

/// A system that only names the constant one; nothing is ever allocated in it.
type Unused<F> = nova::util_cs::witness_cs::WitnessCS<F>;

fn to_nova(variable: Variable) -> nova::Variable {
    nova::Variable::new_unchecked(match variable.get_unchecked() {
        Index::Input(i) => nova::Index::Input(i),
        Index::Aux(i) => nova::Index::Aux(i),
    })
}

fn from_nova_variable(variable: nova::Variable) -> Variable {
    Variable::new_unchecked(match variable.get_unchecked() {
        nova::Index::Input(i) => Index::Input(i),
        nova::Index::Aux(i) => Index::Aux(i),
    })
}

fn from_nova<F: CircuitField>(lc: &nova::LinearCombination<F>) -> LinearCombination<F> {
    lc.iter()
        .fold(LinearCombination::zero(), |sum, (variable, coefficient)| {
            sum + (*coefficient, from_nova_variable(variable))
        })
}

/// Presents a bellpepper-core system as nova-snark's, for nova-snark's Poseidon circuit only.
struct Adapter<'a, F: CircuitField, CS: ConstraintSystem<F>> {
    cs: &'a mut CS,
    field: PhantomData<F>,
}

fn to_nova_error(error: SynthesisError) -> nova::SynthesisError {
    match error {
        SynthesisError::DivisionByZero => nova::SynthesisError::DivisionByZero,
        other => nova::SynthesisError::Unsatisfiable(other.to_string()),
    }
}

impl<F: CircuitField, CS: ConstraintSystem<F>> nova::ConstraintSystem<F> for Adapter<'_, F, CS> {
    type Root = Self;

    fn alloc<V, A, AR>(
        &mut self,
        annotation: A,
        value: V,
    ) -> Result<nova::Variable, nova::SynthesisError>
    where
        V: FnOnce() -> Result<F, nova::SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        let value = value()?;
        self.cs
            .alloc(annotation, || Ok(value))
            .map(to_nova)
            .map_err(to_nova_error)
    }

    fn alloc_input<V, A, AR>(
        &mut self,
        annotation: A,
        value: V,
    ) -> Result<nova::Variable, nova::SynthesisError>
    where
        V: FnOnce() -> Result<F, nova::SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        let value = value()?;
        self.cs
            .alloc_input(annotation, || Ok(value))
            .map(to_nova)
            .map_err(to_nova_error)
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, annotation: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(nova::LinearCombination<F>) -> nova::LinearCombination<F>,
        LB: FnOnce(nova::LinearCombination<F>) -> nova::LinearCombination<F>,
        LC: FnOnce(nova::LinearCombination<F>) -> nova::LinearCombination<F>,
    {
        self.cs.enforce(
            annotation,
            |_| from_nova(&a(nova::LinearCombination::zero())),
            |_| from_nova(&b(nova::LinearCombination::zero())),
            |_| from_nova(&c(nova::LinearCombination::zero())),
        );
    }

    fn push_namespace<NR, N>(&mut self, name: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
        self.cs.push_namespace(name);
    }

    fn pop_namespace(&mut self) {
        self.cs.pop_namespace();
    }

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }

    fn is_witness_generator(&self) -> bool {
        self.cs.is_witness_generator()
    }

    fn extend_inputs(&mut self, new_inputs: &[F]) {
        self.cs.extend_inputs(new_inputs);
    }

    fn extend_aux(&mut self, new_aux: &[F]) {
        self.cs.extend_aux(new_aux);
    }

    fn allocate_empty(&mut self, aux: usize, inputs: usize) -> (&mut [F], &mut [F]) {
        self.cs.allocate_empty(aux, inputs)
    }

    fn allocate_empty_inputs(&mut self, n: usize) -> &mut [F] {
        self.cs.allocate_empty_inputs(n)
    }

    fn allocate_empty_aux(&mut self, n: usize) -> &mut [F] {
        self.cs.allocate_empty_aux(n)
    }

    fn inputs_slice(&self) -> &[F] {
        self.cs.inputs_slice()
    }

    fn aux_slice(&self) -> &[F] {
        self.cs.aux_slice()
    }
}

//! Wires: linear combinations of circuit variables that carry their value.
//!
//! Addition and scaling by constants are free in R1CS, so a wire is a linear form rather than a
//! variable; only products allocate. Values are always present: shape synthesis runs on a dummy
//! witness, and witness systems keep no terms, which makes linear algebra on wires as cheap as on
//! field elements there.

use crate::field::CircuitField;
use bellpepper_core::{ConstraintSystem, LinearCombination, SynthesisError, Variable};

/// A linear form `constant + sum_i coefficient_i * variable_i` with its value.
#[derive(Clone, Debug)]
pub struct Wire<F: CircuitField> {
    terms: Vec<(Variable, F)>,
    constant: F,
    value: F,
}

impl<F: CircuitField> Wire<F> {
    /// The wire of a constant.
    pub fn constant(value: F) -> Self {
        Wire {
            terms: Vec::new(),
            constant: value,
            value,
        }
    }

    /// The constant zero.
    pub fn zero() -> Self {
        Self::constant(F::ZERO)
    }

    /// The constant one.
    pub fn one() -> Self {
        Self::constant(F::ONE)
    }

    /// The wire of one variable; `track` is false in witness systems, which keep no terms.
    pub(crate) fn from_variable(variable: Variable, value: F, track: bool) -> Self {
        let terms = if track {
            vec![(variable, F::ONE)]
        } else {
            Vec::new()
        };
        Wire {
            terms,
            constant: F::ZERO,
            value,
        }
    }

    /// The value under the current assignment.
    pub fn value(&self) -> F {
        self.value
    }

    /// The terms with their coefficients; empty in witness systems.
    pub(crate) fn terms(&self) -> &[(Variable, F)] {
        &self.terms
    }

    /// The constant term; in witness systems, whatever constants were added.
    pub(crate) fn constant_term(&self) -> F {
        self.constant
    }

    /// `self + other`.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        sum.add_assign(other);
        sum
    }

    /// `self - other`.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        let mut difference = self.clone();
        difference.add_scaled(-F::ONE, other);
        difference
    }

    /// `factor * self`.
    #[must_use]
    pub fn scale(&self, factor: F) -> Self {
        Wire {
            terms: self.terms.iter().map(|(v, c)| (*v, *c * factor)).collect(),
            constant: self.constant * factor,
            value: self.value * factor,
        }
    }

    /// `self + constant`.
    #[must_use]
    pub fn add_constant(&self, constant: F) -> Self {
        let mut sum = self.clone();
        sum.constant += constant;
        sum.value += constant;
        sum
    }

    /// `self += other`.
    pub fn add_assign(&mut self, other: &Self) {
        self.terms.extend_from_slice(&other.terms);
        self.constant += other.constant;
        self.value += other.value;
    }

    /// `self += factor * other`.
    pub fn add_scaled(&mut self, factor: F, other: &Self) {
        self.terms
            .extend(other.terms.iter().map(|(v, c)| (*v, *c * factor)));
        self.constant += factor * other.constant;
        self.value += factor * other.value;
    }

    /// `sum_i wires_i`.
    pub fn sum<'a>(wires: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut total = Self::zero();
        for wire in wires {
            total.add_assign(wire);
        }
        total
    }

    /// `sum_i factors_i * wires_i`; the shorter list decides the length.
    pub fn weighted_sum<'a>(terms: impl IntoIterator<Item = (F, &'a Self)>) -> Self {
        let mut total = Self::zero();
        for (factor, wire) in terms {
            total.add_scaled(factor, wire);
        }
        total
    }

    /// The form that bellpepper-core constraints are made of; equal variables are merged.
    pub fn linear_combination(&self, one: Variable) -> LinearCombination<F> {
        let mut lc = LinearCombination::zero();
        if !bool::from(self.constant.is_zero()) {
            lc = lc + (self.constant, one);
        }
        let mut terms = self.terms.clone();
        terms.sort_by_key(|(variable, _)| match variable.get_unchecked() {
            bellpepper_core::Index::Input(i) => (0, i),
            bellpepper_core::Index::Aux(i) => (1, i),
        });
        for (variable, coefficient) in terms {
            lc = lc + (coefficient, variable);
        }
        lc
    }
}

/// Allocation and constraints on wires, for every bellpepper-core constraint system.
pub trait WireSystem<F: CircuitField>: ConstraintSystem<F> {
    /// A new variable of the given value. Nothing is enforced about it.
    ///
    /// # Errors
    /// Only those of the underlying system.
    fn wire<N: Into<String>>(
        &mut self,
        name: impl FnOnce() -> N,
        value: F,
    ) -> Result<Wire<F>, SynthesisError> {
        let track = !self.is_witness_generator();
        let variable = self.alloc(name, || Ok(value))?;
        Ok(Wire::from_variable(variable, value, track))
    }

    /// A new public input of the given value.
    ///
    /// # Errors
    /// Only those of the underlying system.
    fn public_wire<N: Into<String>>(
        &mut self,
        name: impl FnOnce() -> N,
        value: F,
    ) -> Result<Wire<F>, SynthesisError> {
        let track = !self.is_witness_generator();
        let variable = self.alloc_input(name, || Ok(value))?;
        Ok(Wire::from_variable(variable, value, track))
    }

    /// Enforces `a * b = c`.
    fn enforce_product<N: Into<String>>(
        &mut self,
        name: impl FnOnce() -> N,
        a: &Wire<F>,
        b: &Wire<F>,
        c: &Wire<F>,
    ) {
        let one = Self::one();
        self.enforce(
            name,
            |_| a.linear_combination(one),
            |_| b.linear_combination(one),
            |_| c.linear_combination(one),
        );
    }

    /// Enforces `a = b`.
    fn enforce_equal<N: Into<String>>(
        &mut self,
        name: impl FnOnce() -> N,
        a: &Wire<F>,
        b: &Wire<F>,
    ) {
        self.enforce_product(name, &a.sub(b), &Wire::one(), &Wire::zero());
    }

    /// Allocates `a * b` and enforces it.
    ///
    /// # Errors
    /// Only those of the underlying system.
    fn product<N: Into<String>>(
        &mut self,
        name: impl Fn() -> N,
        a: &Wire<F>,
        b: &Wire<F>,
    ) -> Result<Wire<F>, SynthesisError> {
        let c = self.wire(&name, a.value() * b.value())?;
        self.enforce_product(&name, a, b, &c);
        Ok(c)
    }

    /// Allocates a bit: `x * (1 - x) = 0`.
    ///
    /// # Errors
    /// Only those of the underlying system.
    fn boolean<N: Into<String>>(
        &mut self,
        name: impl Fn() -> N,
        value: bool,
    ) -> Result<Wire<F>, SynthesisError> {
        let bit = self.wire(&name, F::from(u64::from(value)))?;
        self.enforce_boolean(&name, &bit);
        Ok(bit)
    }

    /// Enforces `x * (1 - x) = 0`.
    fn enforce_boolean<N: Into<String>>(&mut self, name: impl FnOnce() -> N, bit: &Wire<F>) {
        self.enforce_product(name, bit, &Wire::one().sub(bit), &Wire::zero());
    }

    /// Allocates the inverse of a wire and enforces `x * inverse = 1`, so that `x != 0`.
    ///
    /// # Errors
    /// Only those of the underlying system.
    fn inverse<N: Into<String>>(
        &mut self,
        name: impl Fn() -> N,
        x: &Wire<F>,
    ) -> Result<Wire<F>, SynthesisError> {
        let value: F = Option::from(x.value().invert()).unwrap_or(F::ZERO);
        let inverse = self.wire(&name, value)?;
        self.enforce_product(&name, x, &inverse, &Wire::one());
        Ok(inverse)
    }

    /// The bit `[x = 0]`: with a hint `y`, `x * y = 1 - bit` and `x * bit = 0`.
    ///
    /// # Errors
    /// Only those of the underlying system.
    fn is_zero(&mut self, name: &str, x: &Wire<F>) -> Result<Wire<F>, SynthesisError> {
        let hint: F = Option::from(x.value().invert()).unwrap_or(F::ZERO);
        let zero = bool::from(x.value().is_zero());
        let bit = self.wire(|| format!("{name} bit"), F::from(u64::from(zero)))?;
        let hint = self.wire(|| format!("{name} hint"), hint)?;
        self.enforce_product(
            || format!("{name} non-zero"),
            x,
            &hint,
            &Wire::one().sub(&bit),
        );
        self.enforce_product(|| format!("{name} zero"), x, &bit, &Wire::zero());
        Ok(bit)
    }

    /// `otherwise + bit * (then - otherwise)`; `bit` must be boolean already.
    ///
    /// # Errors
    /// Only those of the underlying system.
    fn select<N: Into<String>>(
        &mut self,
        name: impl Fn() -> N,
        bit: &Wire<F>,
        then: &Wire<F>,
        otherwise: &Wire<F>,
    ) -> Result<Wire<F>, SynthesisError> {
        Ok(self
            .product(name, bit, &then.sub(otherwise))?
            .add(otherwise))
    }
}

impl<F: CircuitField, CS: ConstraintSystem<F>> WireSystem<F> for CS {}

/// The bits of the canonical representative of a wire, least significant first.
///
/// `count` bits below the size of the field need no more than booleanity and one sum. With
/// `count = F::NUM_BITS` the bits are also enforced to be below the modulus, so that they are
/// unique.
///
/// # Errors
/// Only those of the underlying system.
pub fn bits<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    x: &Wire<F>,
    count: usize,
) -> Result<Vec<Wire<F>>, SynthesisError> {
    let value = x.value().to_le_bits();
    let mut bits = Vec::with_capacity(count);
    let mut sum = Wire::zero();
    let mut weight = F::ONE;
    for (i, bit) in value.iter().by_vals().take(count).enumerate() {
        let bit = cs.boolean(|| format!("bit {i}"), bit)?;
        sum.add_scaled(weight, &bit);
        weight = weight.double();
        bits.push(bit);
    }
    cs.enforce_equal(|| "bits recompose", &sum, x);
    if count == F::NUM_BITS as usize {
        enforce_canonical(cs, &bits)?;
    }
    Ok(bits)
}

/// Enforces that bits, least significant first, represent a number below the modulus.
///
/// Walking down from the top, `equal` is the product of the bits seen so far at the ones of
/// `p - 1`; a bit at a zero of `p - 1` may be set only if some earlier one is clear. Runs of ones
/// need one product each bit, runs of zeros one constraint in all: while `equal = 1` the sum of
/// the bits of the run must be zero.
fn enforce_canonical<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    bits: &[Wire<F>],
) -> Result<(), SynthesisError> {
    let limit = (-F::ONE).to_le_bits();
    let limit: Vec<bool> = limit.iter().by_vals().take(bits.len()).collect();
    let mut equal = Wire::one();
    let mut i = bits.len();
    while i > 0 {
        let run = limit[..i]
            .iter()
            .rev()
            .take_while(|b| **b == limit[i - 1])
            .count();
        let block = &bits[i - run..i];
        if limit[i - 1] {
            // The product of the run: `n` bits are all one iff their sum minus n is zero.
            let missing = Wire::sum(block)
                .scale(-F::ONE)
                .add_constant(F::from(run as u64));
            let all_set = if run == 1 {
                block[0].clone()
            } else {
                cs.is_zero(&format!("canonical run below {i}"), &missing)?
            };
            equal = cs.product(|| format!("canonical prefix below {i}"), &equal, &all_set)?;
        } else {
            cs.enforce_product(
                || format!("canonical zeros below {i}"),
                &equal,
                &Wire::sum(block),
                &Wire::zero(),
            );
        }
        i -= run;
    }
    Ok(())
}

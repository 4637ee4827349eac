//! The two segments of a step's witness (PROTOCOL, section 4 of the design).
//!
//! The witness is `W = (W1, W2)`. `W1` is committed first and the lookup challenge is derived from
//! its commitment, so whatever a challenge must be independent of lies in `W1`. The type
//! [`FirstWire`] makes that a rule of the compiler: it can be made only by a [`FirstSegment`] or by
//! linear algebra with constants, and only it can be looked up.
//!
//! A second-segment wire cannot be looked up:
//!
//! ```compile_fail
//! use foldnet_gadgets::{lookup::Lookups, segment::FirstSegment, wire::Wire};
//! use halo2curves::bn256::Fr;
//! let mut lookups = Lookups::<Fr>::default();
//! let second: Wire<Fr> = Wire::one();
//! lookups.push(&second); // expects a `FirstWire`
//! ```
//!
//! nor can a function table read one or give one:
//!
//! ```compile_fail
//! use foldnet_gadgets::{lookup::FunctionTable, segment::FirstSegment, wire::Wire};
//! use foldnet_gadgets::system::WitnessSystem;
//! use halo2curves::bn256::Fr;
//! let mut system = WitnessSystem::<Fr>::default();
//! let mut segment = FirstSegment::open(&mut system);
//! let table = FunctionTable { low: 0, entries: vec![1].into() };
//! let id = segment.table(&table);
//! let input = segment.alloc("input", Fr::zero()).unwrap();
//! let second: Wire<Fr> = Wire::one();
//! segment.lookup_function(id, &input, &second); // expects a `FirstWire`
//! ```
//!
//! and the segment, once closed, makes no more wires:
//!
//! ```compile_fail
//! use foldnet_gadgets::{segment::FirstSegment, system::WitnessSystem};
//! use halo2curves::bn256::Fr;
//! let mut system = WitnessSystem::<Fr>::default();
//! let mut segment = FirstSegment::open(&mut system);
//! segment.close();
//! segment.alloc("late", Fr::one()); // the segment was consumed
//! ```

use crate::field::{CircuitField, from_u128};
use crate::lookup::{FunctionTable, Lookups, TableId};
use crate::wire::{Wire, WireSystem};
use bellpepper_core::{ConstraintSystem, SynthesisError};

/// A linear form of first-segment variables with constant coefficients.
#[derive(Clone, Debug)]
pub struct FirstWire<F: CircuitField>(Wire<F>);

impl<F: CircuitField> FirstWire<F> {
    /// The same form as an ordinary wire, for constraints.
    pub fn wire(&self) -> &Wire<F> {
        &self.0
    }

    /// The value under the current assignment.
    pub fn value(&self) -> F {
        self.0.value()
    }

    /// A constant, which depends on no challenge.
    pub fn constant(value: F) -> Self {
        FirstWire(Wire::constant(value))
    }

    /// `self + other`.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        FirstWire(self.0.add(&other.0))
    }

    /// `self - other`.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        FirstWire(self.0.sub(&other.0))
    }

    /// The sum of some wires.
    pub fn sum<'a>(wires: impl IntoIterator<Item = &'a Self>) -> Self {
        FirstWire(Wire::sum(wires.into_iter().map(Self::wire)))
    }

    /// `factor * self`, with a constant factor.
    #[must_use]
    pub fn scale(&self, factor: F) -> Self {
        FirstWire(self.0.scale(factor))
    }

    /// `self + constant`.
    #[must_use]
    pub fn add_constant(&self, constant: F) -> Self {
        FirstWire(self.0.add_constant(constant))
    }
}

/// The open first segment: it allocates and enforces nothing.
///
/// It owns the list of lookups, so that a value is range-checked where it is allocated.
#[derive(Debug)]
pub struct FirstSegment<'a, F: CircuitField, CS: ConstraintSystem<F>> {
    cs: &'a mut CS,
    lookups: Lookups<F>,
}

impl<'a, F: CircuitField, CS: ConstraintSystem<F>> FirstSegment<'a, F, CS> {
    /// Opens the first segment of an empty system.
    pub fn open(cs: &'a mut CS) -> Self {
        FirstSegment {
            cs,
            lookups: Lookups::default(),
        }
    }

    /// Allocates a first-segment variable. Nothing is enforced about it.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn alloc(
        &mut self,
        name: impl Into<String>,
        value: F,
    ) -> Result<FirstWire<F>, SynthesisError> {
        Ok(FirstWire(self.cs.wire(|| name, value)?))
    }

    /// Queues `wire` for the lookup into `[0, 2^LIMB_BITS)`.
    pub fn lookup(&mut self, wire: &FirstWire<F>) {
        self.lookups.push(wire);
    }

    /// Declares a function table. Equal tables share an id, and ids follow the order of
    /// declaration, so the tables of a step are a constant of its kind.
    pub fn table(&mut self, table: &FunctionTable) -> TableId {
        self.lookups.table(table)
    }

    /// Queues `(input, output)` for the lookup among the rows of a table of this segment.
    ///
    /// # Errors
    /// [`SynthesisError::IncompatibleLengthVector`] for an id that this segment did not give.
    pub fn lookup_function(
        &mut self,
        table: TableId,
        input: &FirstWire<F>,
        output: &FirstWire<F>,
    ) -> Result<(), SynthesisError> {
        self.lookups.push_pair(table, input, output)
    }

    /// Allocates an unsigned integer below `2^(LIMB_BITS * limbs)` as limbs that are looked up, and
    /// returns `sum_i 2^(LIMB_BITS * i) * limb_i`.
    ///
    /// A value that does not fit is truncated, which the constraints that use it then reject.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn alloc_ranged(
        &mut self,
        name: &str,
        value: &[u8],
        limbs: usize,
    ) -> Result<FirstWire<F>, SynthesisError> {
        let mut total = FirstWire::constant(F::ZERO);
        let mut weight = F::ONE;
        let radix = from_u128::<F>(1 << crate::lookup::LIMB_BITS);
        for i in 0..limbs {
            let limb = F::from(u64::from(value.get(i).copied().unwrap_or(0)));
            let limb = self.numbered(name, i, limb)?;
            self.lookups.push(&limb);
            total.0.add_scaled(weight, &limb.0);
            weight *= radix;
        }
        Ok(total)
    }

    /// Allocates `name i`; the name is only formatted by systems that keep it.
    fn numbered(&mut self, name: &str, i: usize, value: F) -> Result<FirstWire<F>, SynthesisError> {
        Ok(FirstWire(self.cs.wire(|| format!("{name} {i}"), value)?))
    }

    /// A nested segment whose names start with `name`.
    pub fn namespace<T>(
        &mut self,
        name: impl Into<String>,
        body: impl FnOnce(&mut Self) -> Result<T, SynthesisError>,
    ) -> Result<T, SynthesisError> {
        self.cs.get_root().push_namespace(|| name);
        let result = body(self);
        self.cs.get_root().pop_namespace();
        result
    }

    /// Allocates the lookup multiplicities and closes the segment; the lookups are constrained in
    /// the second segment.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn close(self) -> Result<crate::lookup::ClosedLookups<F>, SynthesisError> {
        let FirstSegment { cs, lookups } = self;
        lookups.close(|name, value| Ok(FirstWire(cs.wire(|| name, value)?)))
    }

    /// Closes the segment by bits: every queued value is enforced to lie in `[0, 2^LIMB_BITS)` as a
    /// sum of `LIMB_BITS` bits. For circuits that are not committed in segments, where there is no
    /// challenge that the values could not depend on.
    ///
    /// Cost: `LIMB_BITS + 1` constraints a value.
    ///
    /// # Errors
    /// [`SynthesisError::IncompatibleLengthVector`] for a segment with function tables, which only
    /// a lookup argument enforces; those of the underlying system.
    pub fn close_by_bits(self) -> Result<(), SynthesisError> {
        let FirstSegment { cs, lookups } = self;
        for (i, value) in lookups.into_values()?.iter().enumerate() {
            let mut cs = cs.namespace(|| format!("limb {i}"));
            crate::wire::bits(&mut cs, value.wire(), crate::lookup::LIMB_BITS as usize)?;
        }
        Ok(())
    }
}

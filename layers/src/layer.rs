//! The list of layers, and what a layer is.
//!
//! A new layer is a file that implements [`IntegerLayer`], its `mod` line in `lib.rs`, and one row
//! of the list at the end of this file. The conformance tests walk over the list.

use crate::argmax::ArgMax;
use crate::average_pool::AveragePool;
use crate::combine::Combine;
use crate::error::{LayerError, Place};
use crate::gather::Gather;
use crate::linear::Linear;
use crate::matmul::MatMul;
use crate::max_pool::MaxPool;
use crate::multiply::Multiply;
use crate::normalise::Normalise;
use crate::one_hot::OneHot;
use crate::product;
use crate::requantise::{Requantise, RequantiseWires, Requantised};
use crate::softmax::Softmax;
use crate::table::Table;
use crate::window::between;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::lookup::FunctionTable;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::wire::Wire;
use serde::{Deserialize, Serialize};

/// The weights of one layer: its blocks of the step polynomial's table.
///
/// Shapes: `matrix` is (rows, columns) row-major, with the columns padded to `row_length`; `bias`
/// is (rows). Both may be short and read as padded with zeros.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// The entries of the matrix block.
    pub matrix: &'a [i64],
    /// Entries from one row to the next.
    pub row_length: usize,
    /// The entries of the bias block.
    pub bias: &'a [i64],
}

/// The values of one execution of a layer: its outputs with the parts they are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerTrace {
    /// One requantised accumulator an output, for layers that requantise.
    pub requantised: Vec<Requantised>,
    /// The outputs of a layer that does not requantise.
    pub values: Vec<i64>,
    /// Whatever else the layer's witness is made of, in an order of its own.
    pub auxiliary: Vec<i64>,
}

impl LayerTrace {
    /// A trace of outputs alone.
    pub(crate) fn of_values(values: Vec<i64>) -> Self {
        LayerTrace {
            values,
            ..LayerTrace::default()
        }
    }

    /// A trace of requantised outputs.
    pub fn requantised(requantised: Vec<Requantised>) -> Self {
        LayerTrace {
            requantised,
            ..LayerTrace::default()
        }
    }

    /// The outputs.
    pub fn outputs(&self) -> Vec<i64> {
        let quotients = self.requantised.iter().map(|parts| parts.quotient);
        quotients.chain(self.values.iter().copied()).collect()
    }
}

/// The first-segment wires of one execution of a layer.
#[derive(Clone, Debug)]
pub struct LayerWires<F: CircuitField> {
    /// One requantised accumulator an output, for layers that requantise.
    pub requantised: Vec<RequantiseWires<F>>,
    /// The outputs of a layer that does not requantise.
    pub values: Vec<FirstWire<F>>,
    /// Whatever else the layer allocated, in an order of its own.
    pub auxiliary: Vec<FirstWire<F>>,
}

impl<F: CircuitField> Default for LayerWires<F> {
    fn default() -> Self {
        LayerWires {
            requantised: Vec::new(),
            values: Vec::new(),
            auxiliary: Vec::new(),
        }
    }
}

impl<F: CircuitField> LayerWires<F> {
    /// The outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &FirstWire<F>> {
        let quotients = self.requantised.iter().map(|wires| &wires.quotient);
        quotients.chain(&self.values)
    }
}

/// Challenges that are squeezed after the first segment, the state and the weight commitment are
/// bound. Powers of one are independent of powers of the other.
#[derive(Clone, Debug)]
pub struct Challenges<F: CircuitField> {
    /// `t`, which weighs outputs.
    pub output: Wire<F>,
    /// `s`, which weighs positions.
    pub position: Wire<F>,
}

/// What a layer costs by itself; matrix products are counted by the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerCost {
    /// Values looked up, one constraint each.
    pub lookups: usize,
    /// Pairs looked up in the layer's function table, two constraints each; the table's own rows are
    /// counted by the step.
    pub pairs: usize,
    /// Other constraints.
    pub constraints: usize,
    /// Entries of the linear combinations of all these constraints: an upper bound, for operands of
    /// at most [`crate::tensor::ACTIVATION_TERMS`] entries a value, that is at most twice what they
    /// have. It bounds the time and the memory that synthesis takes, which few constraints do not.
    pub terms: usize,
}

impl LayerCost {
    /// The cost with some more constraints.
    #[must_use]
    pub fn plus(mut self, constraints: usize) -> Self {
        self.constraints = self.constraints.saturating_add(constraints);
        self
    }

    /// The cost with some more entries.
    #[must_use]
    pub(crate) fn plus_terms(mut self, terms: usize) -> Self {
        self.terms = self.terms.saturating_add(terms);
        self
    }
}

/// A layer on integer activations.
///
/// The step ties the accumulators of a [`Linear`] layer to `matrix * inputs + bias`; everything
/// else is up to the layer.
pub trait IntegerLayer: Sized {
    /// The layer's name, in messages and namespaces.
    const NAME: &'static str;

    /// Lengths of the operands.
    fn operands(&self) -> Vec<usize>;

    /// Length of the output.
    fn outputs(&self) -> usize;

    /// The layer itself, if it multiplies with weights.
    fn linear(&self) -> Option<&Linear> {
        None
    }

    /// The requantisation, of a layer that has one: its accumulator bound may be raised.
    fn requantise_mut(&mut self) -> Option<&mut Requantise> {
        None
    }

    /// The function table, if the layer looks up in one.
    fn table(&self) -> Option<FunctionTable> {
        None
    }

    /// Whether [`Self::constrain`] needs the challenges.
    fn needs_challenges(&self) -> bool {
        false
    }

    /// Checks the layer's constants for activations of `bits` bits: afterwards the number of its
    /// values is bounded and nothing else can panic.
    ///
    /// # Errors
    /// [`LayerError::Parameter`] for the first that is out of range.
    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError>;

    /// The layer on `count` inferences, whose tensors lie one after the other.
    #[must_use]
    fn repeated(&self, count: usize) -> Self;

    /// The reference evaluator; the operands have the lengths of [`Self::operands`].
    ///
    /// # Errors
    /// [`LayerError::Accumulator`] when an accumulator exceeds its bound.
    fn evaluate(
        &self,
        place: Place,
        weights: Weights<'_>,
        operands: &[&[i64]],
    ) -> Result<LayerTrace, LayerError>;

    /// A trace of the right lengths, for shape synthesis.
    fn dummy_trace(&self) -> LayerTrace;

    /// Phase one: allocates the layer's values with their range checks.
    ///
    /// # Errors
    /// Those of the underlying system, and a trace of the wrong length.
    fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        trace: &LayerTrace,
        operands: &[&[FirstWire<F>]],
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<LayerWires<F>, SynthesisError>;

    /// Phase two: the layer's constraints, without products with weights. `challenges` are there if
    /// [`Self::needs_challenges`].
    ///
    /// # Errors
    /// Those of the underlying system, and challenges that are missing.
    fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        wires: &LayerWires<F>,
        operands: &[&[FirstWire<F>]],
        challenges: Option<&Challenges<F>>,
        cs: &mut CS,
    ) -> Result<(), SynthesisError>;

    /// What [`Self::commit`] and [`Self::constrain`] cost.
    fn cost(&self) -> LayerCost;

    /// Layers that the conformance tests run, for activations of 8 bits.
    fn samples() -> Vec<Self>;
}

/// The operand at `index`, for layers that read by position.
pub(crate) fn operand<'a, T>(operands: &[&'a [T]], index: usize) -> &'a [T] {
    operands.get(index).copied().unwrap_or(&[])
}

/// The operand at `index` of exactly `length` values, for layers whose constraints read it.
pub(crate) fn whole_operand<'a, T>(
    name: &str,
    operands: &[&'a [T]],
    index: usize,
    length: usize,
) -> Result<&'a [T], SynthesisError> {
    let operand = operand(operands, index);
    if operand.len() == length {
        return Ok(operand);
    }
    Err(SynthesisError::IncompatibleLengthVector(format!(
        "{name} layer: operand {index}: expected {length} values, got {}",
        operand.len()
    )))
}

/// Refuses a layer that was made for activations of another width.
pub(crate) fn same_width(place: Place, expected: u32, got: u32) -> Result<(), LayerError> {
    let width = i64::from(expected);
    let advice = "give all layers of a step the same width";
    between(
        place,
        "bits of the layer",
        (width, width),
        i64::from(got),
        advice,
    )
}

/// Refuses a trace of the wrong length.
pub(crate) fn check_trace(name: &str, expected: usize, got: usize) -> Result<(), SynthesisError> {
    if got == expected {
        return Ok(());
    }
    Err(wrong_trace(name, expected, got))
}

/// The error of a trace of the wrong length.
pub(crate) fn wrong_trace(name: &str, expected: usize, got: usize) -> SynthesisError {
    SynthesisError::IncompatibleLengthVector(format!(
        "{name} layer: expected {expected} outputs, got {got}"
    ))
}

/// Makes the enum of all layers and the calls to the one at hand.
macro_rules! layers {
    ($($layer:ident),+ $(,)?) => {
        /// A layer: one of the list.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Layer {
            $(
                #[doc = concat!("See [`", stringify!($layer), "`].")]
                $layer($layer),
            )+
        }

        $(
            impl From<$layer> for Layer {
                fn from(layer: $layer) -> Self {
                    Layer::$layer(layer)
                }
            }
        )+

        impl Layer {
            /// The names of all layers, in the order of the list.
            pub const NAMES: &'static [&'static str] = &[$(<$layer as IntegerLayer>::NAME),+];

            /// The samples of every layer, in the order of the list.
            pub fn samples() -> Vec<(&'static str, Vec<Layer>)> {
                vec![$((
                    <$layer as IntegerLayer>::NAME,
                    <$layer as IntegerLayer>::samples().into_iter().map(Layer::from).collect(),
                )),+]
            }

            /// The layer's name.
            pub fn name(&self) -> &'static str {
                match self { $(Layer::$layer(_) => <$layer as IntegerLayer>::NAME),+ }
            }

            /// See [`IntegerLayer::operands`].
            pub fn operands(&self) -> Vec<usize> {
                match self { $(Layer::$layer(layer) => IntegerLayer::operands(layer)),+ }
            }

            /// See [`IntegerLayer::outputs`].
            pub fn outputs(&self) -> usize {
                match self { $(Layer::$layer(layer) => IntegerLayer::outputs(layer)),+ }
            }

            /// See [`IntegerLayer::linear`].
            pub fn linear(&self) -> Option<&Linear> {
                match self { $(Layer::$layer(layer) => IntegerLayer::linear(layer)),+ }
            }

            /// See [`IntegerLayer::requantise_mut`].
            pub fn requantise_mut(&mut self) -> Option<&mut Requantise> {
                match self { $(Layer::$layer(layer) => layer.requantise_mut()),+ }
            }

            /// See [`IntegerLayer::table`].
            pub fn table(&self) -> Option<FunctionTable> {
                match self { $(Layer::$layer(layer) => IntegerLayer::table(layer)),+ }
            }

            /// See [`IntegerLayer::needs_challenges`].
            pub fn needs_challenges(&self) -> bool {
                match self { $(Layer::$layer(layer) => layer.needs_challenges()),+ }
            }

            /// See [`IntegerLayer::repeated`].
            #[must_use]
            pub fn repeated(&self, count: usize) -> Layer {
                match self { $(Layer::$layer(layer) => layer.repeated(count).into()),+ }
            }

            /// See [`IntegerLayer::cost`].
            pub fn cost(&self) -> LayerCost {
                match self { $(Layer::$layer(layer) => layer.cost()),+ }
            }

            /// Entries of the linear combinations of the layer's constraints, those of its products
            /// with weights included: an upper bound by a closed formula.
            pub fn terms(&self) -> usize {
                let products = self.linear().map_or(0, product::terms);
                self.cost().terms.saturating_add(products)
            }

            /// See [`IntegerLayer::dummy_trace`].
            pub fn dummy_trace(&self) -> LayerTrace {
                match self { $(Layer::$layer(layer) => layer.dummy_trace()),+ }
            }

            /// See [`IntegerLayer::validate`].
            ///
            /// # Errors
            /// Those of the layer.
            pub fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
                match self { $(Layer::$layer(layer) => layer.validate(place, bits)),+ }
            }

            /// See [`IntegerLayer::evaluate`].
            ///
            /// # Errors
            /// Those of the layer.
            pub fn evaluate(
                &self,
                place: Place,
                weights: Weights<'_>,
                operands: &[&[i64]],
            ) -> Result<LayerTrace, LayerError> {
                match self { $(Layer::$layer(layer) => layer.evaluate(place, weights, operands)),+ }
            }

            /// See [`IntegerLayer::commit`].
            ///
            /// # Errors
            /// Those of the layer.
            pub fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
                &self,
                trace: &LayerTrace,
                operands: &[&[FirstWire<F>]],
                segment: &mut FirstSegment<'_, F, CS>,
            ) -> Result<LayerWires<F>, SynthesisError> {
                match self { $(Layer::$layer(layer) => layer.commit(trace, operands, segment)),+ }
            }

            /// See [`IntegerLayer::constrain`].
            ///
            /// # Errors
            /// Those of the layer.
            pub fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
                &self,
                wires: &LayerWires<F>,
                operands: &[&[FirstWire<F>]],
                challenges: Option<&Challenges<F>>,
                cs: &mut CS,
            ) -> Result<(), SynthesisError> {
                match self {
                    $(Layer::$layer(layer) => layer.constrain(wires, operands, challenges, cs)),+
                }
            }
        }
    };
}

layers! {
    Linear,
    Combine,
    AveragePool,
    Gather,
    MaxPool,
    Multiply,
    Table,
    MatMul,
    Softmax,
    Normalise,
    ArgMax,
    OneHot,
}

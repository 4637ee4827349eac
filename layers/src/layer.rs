//! The list of layers, and what a layer is.
//!
//! A new layer is a file that implements [`IntegerLayer`], its `mod` line in `lib.rs`, and one row
//! of the list at the end of this file. The conformance tests walk over the list.

use crate::dense::Dense;
use crate::error::{LayerError, Place};
use crate::requantise::{RequantiseWires, Requantised};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
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

/// The shape of a weight matrix before padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixShape {
    /// Outputs of the matrix product.
    pub rows: usize,
    /// Inputs of the matrix product.
    pub columns: usize,
}

/// The values of one execution of a layer: its outputs with the parts they are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerTrace {
    /// One requantised accumulator an output.
    pub requantised: Vec<Requantised>,
}

impl LayerTrace {
    /// The outputs.
    pub fn outputs(&self) -> Vec<i64> {
        self.requantised
            .iter()
            .map(|parts| parts.quotient)
            .collect()
    }
}

/// The first-segment wires of one execution of a layer.
#[derive(Clone, Debug)]
pub struct LayerWires<F: CircuitField> {
    /// One requantised accumulator an output.
    pub requantised: Vec<RequantiseWires<F>>,
}

/// What a layer costs by itself; matrix products are counted by the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerCost {
    /// Values looked up, one constraint each.
    pub lookups: usize,
    /// Other constraints.
    pub constraints: usize,
}

/// A layer on integer activations.
///
/// The chain ties the accumulators of a layer with a matrix to `matrix * inputs + bias`; everything
/// else is up to the layer.
pub trait IntegerLayer: Sized {
    /// The layer's name, in messages and namespaces.
    const NAME: &'static str;

    /// Capacity of the input vector.
    fn inputs(&self) -> usize;

    /// Capacity of the output vector.
    fn outputs(&self) -> usize;

    /// The weight matrix, if the layer has one: then `outputs` rows and `inputs` columns.
    fn matrix(&self) -> Option<MatrixShape>;

    /// Checks the layer's constants for activations of `bits` bits.
    ///
    /// # Errors
    /// [`LayerError::Parameter`] for the first that is out of range.
    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError>;

    /// The reference evaluator; `input` has the length of the capacity.
    ///
    /// # Errors
    /// [`LayerError::Accumulator`] when an accumulator exceeds its bound.
    fn evaluate(
        &self,
        place: Place,
        weights: Weights<'_>,
        input: &[i64],
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
        input: &[FirstWire<F>],
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<LayerWires<F>, SynthesisError>;

    /// Phase two: the layer's constraints, without the matrix product.
    ///
    /// # Errors
    /// Only those of the underlying system.
    fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        wires: &LayerWires<F>,
        cs: &mut CS,
    ) -> Result<(), SynthesisError>;

    /// What [`Self::commit`] and [`Self::constrain`] cost.
    fn cost(&self) -> LayerCost;

    /// Layers that the conformance tests run, for activations of 8 bits.
    fn samples() -> Vec<Self>;
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

            /// See [`IntegerLayer::inputs`].
            pub fn inputs(&self) -> usize {
                match self { $(Layer::$layer(layer) => IntegerLayer::inputs(layer)),+ }
            }

            /// See [`IntegerLayer::outputs`].
            pub fn outputs(&self) -> usize {
                match self { $(Layer::$layer(layer) => IntegerLayer::outputs(layer)),+ }
            }

            /// See [`IntegerLayer::matrix`].
            pub fn matrix(&self) -> Option<MatrixShape> {
                match self { $(Layer::$layer(layer) => layer.matrix()),+ }
            }

            /// See [`IntegerLayer::cost`].
            pub fn cost(&self) -> LayerCost {
                match self { $(Layer::$layer(layer) => layer.cost()),+ }
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
                input: &[i64],
            ) -> Result<LayerTrace, LayerError> {
                match self { $(Layer::$layer(layer) => layer.evaluate(place, weights, input)),+ }
            }

            /// See [`IntegerLayer::commit`].
            ///
            /// # Errors
            /// Those of the layer.
            pub fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
                &self,
                trace: &LayerTrace,
                input: &[FirstWire<F>],
                segment: &mut FirstSegment<'_, F, CS>,
            ) -> Result<LayerWires<F>, SynthesisError> {
                match self { $(Layer::$layer(layer) => layer.commit(trace, input, segment)),+ }
            }

            /// See [`IntegerLayer::constrain`].
            ///
            /// # Errors
            /// Those of the layer.
            pub fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
                &self,
                wires: &LayerWires<F>,
                cs: &mut CS,
            ) -> Result<(), SynthesisError> {
                match self { $(Layer::$layer(layer) => layer.constrain(wires, cs)),+ }
            }
        }
    };
}

layers! {
    Dense,
}

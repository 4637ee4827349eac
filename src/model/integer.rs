//! The integer network and its evaluator: what a proof is about (PROTOCOL, section 2 of the
//! design).
//!
//! A layer with `W` (outputs x inputs), `b` (outputs) and shift `s` maps integers `x` to
//!
//! ```text
//! y = W x + b,    q = clamp(floor((y + 2^(s-1)) / 2^s), low, high).
//! ```
//!
//! Activations are signed integers of `bits` bits. A ReLU layer has `low = 0`, a linear layer
//! `low = -2^(bits-1)`; both have `high = 2^(bits-1) - 1`. Scales and per-channel multipliers are
//! part of the integer weights, so nothing but a shift follows the product.

use super::error::ModelError;
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

/// Signed bits an accumulator may have; a sum that fits never leaves `i64`.
pub const MAX_ACCUMULATOR_BITS: u32 = 62;

/// Signed bits an integer weight may have, that is `-2^23 <= w < 2^23`.
pub const MAX_WEIGHT_BITS: u32 = 24;

/// The largest requantisation shift.
pub const MAX_SHIFT: u32 = 24;

/// The scale of an input that holds integers, such as numbers of tokens, which are taken as they are.
/// Inputs that are rounded have another one, be it by the least that floats can differ.
pub const EXACT_SCALE: f64 = 1.0;

/// Activation widths that are supported.
pub const ACTIVATION_BITS: std::ops::RangeInclusive<u32> = 2..=16;

/// A dense layer of integers followed by requantisation, see the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegerDense {
    /// The layer's name in the float model.
    pub name: String,
    /// `W`, outputs x inputs.
    #[serde(with = "matrix")]
    pub weights: Array2<i64>,
    /// `b`, one entry an output, at the scale of the accumulator.
    #[serde(with = "vector")]
    pub bias: Array1<i64>,
    /// `s`, at least 1.
    pub shift: u32,
    /// Lower clamp, at most 0.
    pub low: i64,
    /// Upper clamp, at least 0.
    pub high: i64,
}

impl IntegerDense {
    /// The accumulators `y = W x + b`.
    ///
    /// # Errors
    /// [`ModelError::LayerShape`] for a wrong length, [`ModelError::Accumulator`] on overflow,
    /// which cannot happen in a network that [`IntegerNetwork::check`] accepts.
    pub fn accumulate(&self, input: &[i64]) -> Result<Vec<i64>, ModelError> {
        expect(&self.name, "inputs", self.weights.ncols(), input.len())?;
        expect(&self.name, "biases", self.weights.nrows(), self.bias.len())?;
        let rows = self.weights.rows().into_iter().zip(&self.bias);
        let sum = rows.map(|(row, &bias)| {
            let mut terms = row.into_iter().zip(input);
            terms.try_fold(bias, |sum, (&w, &x)| sum.checked_add(w.checked_mul(x)?))
        });
        sum.collect::<Option<Vec<i64>>>()
            .ok_or_else(|| self.overflow(i64::BITS + 1))
    }

    /// `floor((y + 2^(s-1)) / 2^s)`, before the clamp. An arithmetic shift rounds towards minus
    /// infinity.
    pub fn quotient(&self, accumulator: i64) -> i64 {
        let half = 1i128 << self.shift.clamp(1, MAX_SHIFT) >> 1;
        let quotient = (i128::from(accumulator) + half) >> self.shift.clamp(1, MAX_SHIFT);
        // The shift is at least 1, so the quotient of an i64 fits in i64.
        i64::try_from(quotient).unwrap_or(i64::MAX)
    }

    /// `q`: the clamped quotient.
    pub fn requantise(&self, accumulator: i64) -> i64 {
        self.quotient(accumulator).min(self.high).max(self.low)
    }

    /// Whether the clamp cut off more than a ReLU does: above `high`, or below a negative `low`.
    pub fn saturates(&self, accumulator: i64) -> bool {
        let quotient = self.quotient(accumulator);
        quotient > self.high || (self.low < 0 && quotient < self.low)
    }

    /// The least `n` such that for all inputs in `[low, high]` every accumulator `y`, and
    /// `y + 2^(s-1)`, is a signed `n`-bit integer: `-2^(n-1) <= y` and `y + 2^(s-1) < 2^(n-1)`.
    /// Exact for independent inputs.
    ///
    /// # Errors
    /// [`ModelError::Accumulator`] above [`MAX_ACCUMULATOR_BITS`].
    pub fn accumulator_bits(&self, low: i64, high: i64) -> Result<u32, ModelError> {
        let half = 1i128 << self.shift.clamp(1, MAX_SHIFT) >> 1;
        let (mut least, mut most) = (0i128, 0i128);
        for (row, &bias) in self.weights.rows().into_iter().zip(&self.bias) {
            let ends = row.iter().map(|&w| {
                // The product of two i64 is below 2^126, a sum of 2^64 of them might not be.
                let (a, b) = (
                    i128::from(w) * i128::from(low),
                    i128::from(w) * i128::from(high),
                );
                (a.min(b), a.max(b))
            });
            let start = (i128::from(bias), i128::from(bias) + half);
            let (from, to) = ends.fold(start, |(from, to), (a, b)| {
                (from.saturating_add(a), to.saturating_add(b))
            });
            (least, most) = (least.min(from), most.max(to));
        }
        let bits = signed_bits(least).max(signed_bits(most));
        if bits > MAX_ACCUMULATOR_BITS {
            Err(self.overflow(bits))
        } else {
            Ok(bits)
        }
    }

    fn overflow(&self, got: u32) -> ModelError {
        ModelError::Accumulator {
            layer: self.name.clone(),
            got,
            most: MAX_ACCUMULATOR_BITS,
        }
    }
}

/// The least `n` with `-2^(n-1) <= value < 2^(n-1)`.
pub(super) fn signed_bits(value: i128) -> u32 {
    let magnitude = if value < 0 { !value } else { value };
    i128::BITS - magnitude.leading_zeros() + 1
}

/// An integer network: a chain of [`IntegerDense`] layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntegerNetwork {
    /// Width of the signed activations, 2 to 16.
    pub bits: u32,
    /// An input value is `input_scale` times its integer.
    pub input_scale: f64,
    /// The layers, first to last; not empty.
    pub layers: Vec<IntegerDense>,
    /// A logit is `output_scale` times its integer.
    pub output_scale: f64,
}

/// The integers an input value is rounded to, and how many were clamped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantisedInput {
    /// The integers.
    pub values: Vec<i64>,
    /// How many values lay outside the range.
    pub saturated: usize,
}

impl QuantisedInput {
    /// `clamp(round(x / scale))` of every value, halves away from zero; `range` is inclusive. With
    /// [`EXACT_SCALE`] the values are the integers themselves: nothing is rounded or clamped.
    ///
    /// # Errors
    /// [`ModelError::OutsideRange`] for a value that is not finite, or whose integer lies outside
    /// `range` when those are rejected. With [`EXACT_SCALE`], [`ModelError::InputInteger`] and
    /// [`ModelError::InputIndex`] for fractions and for integers outside of `range`.
    pub fn round(
        input: &[f32],
        scale: f64,
        range: (i64, i64),
        outside: OutOfRange,
    ) -> Result<Self, ModelError> {
        if scale == EXACT_SCALE {
            return Self::integers(input, range);
        }
        let (least, most) = (range.0 as f64, range.1 as f64);
        let mut quantised = QuantisedInput {
            values: Vec::with_capacity(input.len()),
            saturated: 0,
        };
        for (index, &value) in input.iter().enumerate() {
            let value = f64::from(value);
            let rounded = (value / scale).round();
            let inside = (least..=most).contains(&rounded);
            if !inside && (outside == OutOfRange::Reject || !rounded.is_finite()) {
                let (low, high) = (least * scale, most * scale);
                return Err(ModelError::OutsideRange {
                    index,
                    value,
                    low,
                    high,
                });
            }
            quantised.saturated += usize::from(!inside);
            // Exact: the clamped value is an integer of at most 16 bits.
            quantised.values.push(rounded.clamp(least, most) as i64);
        }
        Ok(quantised)
    }
}

impl QuantisedInput {
    /// Integers as they are.
    fn integers(input: &[f32], (low, high): (i64, i64)) -> Result<Self, ModelError> {
        check_integers(input)?;
        let mut values = Vec::with_capacity(input.len());
        for (index, &value) in input.iter().enumerate() {
            let value = f64::from(value);
            if !(low as f64..=high as f64).contains(&value) {
                return Err(ModelError::InputIndex {
                    index,
                    value,
                    low,
                    high,
                });
            }
            // Exact: an integer of at most 16 bits.
            values.push(value as i64);
        }
        Ok(QuantisedInput {
            values,
            saturated: 0,
        })
    }
}

/// Refuses values that are no integers.
pub(super) fn check_integers(input: &[f32]) -> Result<(), ModelError> {
    match input.iter().position(|value| value.fract() != 0.0) {
        None => Ok(()),
        Some(index) => Err(ModelError::InputInteger {
            index,
            value: input.get(index).copied().unwrap_or(0.0).into(),
        }),
    }
}

/// What to do with an input value outside the calibrated range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfRange {
    /// It is an error.
    Reject,
    /// It is clamped and counted.
    Saturate,
}

/// One evaluation of an integer network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The activations after every layer.
    pub layers: Vec<Vec<i64>>,
    /// How many activations of every layer were cut off, see [`IntegerDense::saturates`].
    pub saturated: Vec<usize>,
}

impl Evaluation {
    /// The activations after the last layer.
    pub fn output(&self) -> &[i64] {
        self.layers.last().map_or(&[], Vec::as_slice)
    }
}

impl IntegerNetwork {
    /// Number of values of an input.
    pub fn input_len(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.weights.ncols())
    }

    /// Number of values of an output.
    pub fn output_len(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.weights.nrows())
    }

    /// The range of an input integer: `[-2^(bits-1), 2^(bits-1) - 1]`.
    pub fn input_range(&self) -> (i64, i64) {
        full_range(self.bits)
    }

    /// Checks shapes, widths, shifts, clamps and weights, and returns the accumulator width of
    /// every layer (see [`IntegerDense::accumulator_bits`]; inputs range over the clamp of the
    /// layer before). It proves that [`IntegerNetwork::evaluate`] cannot overflow.
    ///
    /// # Errors
    /// Names the first layer that is out of bounds.
    pub fn check(&self) -> Result<Vec<u32>, ModelError> {
        if !ACTIVATION_BITS.contains(&self.bits) {
            return Err(ModelError::Bits { got: self.bits });
        }
        if self.layers.is_empty() {
            return Err(ModelError::NoLayers);
        }
        for (tensor, got) in [("input", self.input_scale), ("output", self.output_scale)] {
            if !got.is_normal() || got < 0.0 {
                return Err(ModelError::Range {
                    tensor: format!("scale of the {tensor}"),
                    got,
                });
            }
        }
        let mut inputs = self.input_len();
        let (mut low, mut high) = self.input_range();
        let mut bits = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            self.check_layer(layer, inputs)?;
            bits.push(layer.accumulator_bits(low, high)?);
            (low, high) = (layer.low, layer.high);
            inputs = layer.weights.nrows();
        }
        Ok(bits)
    }

    fn check_layer(&self, layer: &IntegerDense, inputs: usize) -> Result<(), ModelError> {
        let IntegerDense {
            name,
            shift,
            low,
            high,
            ..
        } = layer;
        let (outputs, columns) = layer.weights.dim();
        expect(name, "inputs", inputs.max(1), columns)?;
        expect(name, "outputs", outputs.max(1), outputs)?;
        expect(name, "biases", outputs, layer.bias.len())?;
        if !(1..=MAX_SHIFT).contains(shift) {
            return Err(ModelError::Shift {
                layer: name.clone(),
                got: *shift,
            });
        }
        let (least, most) = full_range(self.bits);
        if !(least..=0).contains(low) || !(0..=most).contains(high) {
            let (low, high, bits) = (*low, *high, self.bits);
            return Err(ModelError::Clamp {
                layer: name.clone(),
                low,
                high,
                bits,
            });
        }
        let got = layer
            .weights
            .iter()
            .map(|&w| signed_bits(w.into()))
            .max()
            .unwrap_or(1);
        if got > MAX_WEIGHT_BITS {
            let (layer, shift, most) = (name.clone(), *shift, MAX_WEIGHT_BITS);
            return Err(ModelError::WeightRange {
                layer,
                shift,
                got,
                most,
            });
        }
        Ok(())
    }

    /// Rounds an input to integers, `clamp(round(x / input_scale))`, halves away from zero.
    ///
    /// # Errors
    /// [`ModelError::InputLength`], and [`ModelError::OutsideRange`] for a value that is not
    /// finite, or whose integer lies outside [`IntegerNetwork::input_range`] when those are
    /// rejected.
    pub fn quantise_input(
        &self,
        input: &[f32],
        outside: OutOfRange,
    ) -> Result<QuantisedInput, ModelError> {
        let (expected, got) = (self.input_len(), input.len());
        if expected != got {
            return Err(ModelError::InputLength {
                sample: 0,
                expected,
                got,
            });
        }
        QuantisedInput::round(input, self.input_scale, self.input_range(), outside)
    }

    /// The activations after every layer. Exact; this evaluator defines what is proven.
    ///
    /// # Errors
    /// [`ModelError::InputLength`], [`ModelError::OutsideBits`], and for networks that
    /// [`IntegerNetwork::check`] refuses, [`ModelError::LayerShape`] and
    /// [`ModelError::Accumulator`].
    pub fn evaluate(&self, input: &[i64]) -> Result<Evaluation, ModelError> {
        self.check_input(input)?;
        let mut layers: Vec<Vec<i64>> = Vec::with_capacity(self.layers.len());
        let mut saturated = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let accumulators = layer.accumulate(layers.last().map_or(input, Vec::as_slice))?;
            saturated.push(accumulators.iter().filter(|&&y| layer.saturates(y)).count());
            layers.push(accumulators.iter().map(|&y| layer.requantise(y)).collect());
        }
        Ok(Evaluation { layers, saturated })
    }

    fn check_input(&self, input: &[i64]) -> Result<(), ModelError> {
        let (expected, got) = (self.input_len(), input.len());
        if expected != got {
            return Err(ModelError::InputLength {
                sample: 0,
                expected,
                got,
            });
        }
        let (low, high) = self.input_range();
        for (index, &value) in input.iter().enumerate() {
            if !(low..=high).contains(&value) {
                return Err(ModelError::OutsideBits {
                    index,
                    value,
                    low,
                    high,
                });
            }
        }
        Ok(())
    }
}

/// `[-2^(bits-1), 2^(bits-1) - 1]`; widths out of bounds are read as the nearest supported one.
pub(super) fn full_range(bits: u32) -> (i64, i64) {
    let half = 1i64 << (bits.clamp(*ACTIVATION_BITS.start(), *ACTIVATION_BITS.end()) - 1);
    (-half, half - 1)
}

/// Compares a count of a layer with the one expected.
pub(super) fn expect(
    layer: &str,
    what: &'static str,
    expected: usize,
    got: usize,
) -> Result<(), ModelError> {
    if expected == got {
        return Ok(());
    }
    Err(ModelError::LayerShape {
        layer: layer.into(),
        what,
        expected,
        got,
    })
}

/// A matrix as `(rows, columns, entries in row-major order)`.
mod matrix {
    use ndarray::Array2;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(m: &Array2<i64>, to: S) -> Result<S::Ok, S::Error> {
        let entries: Vec<i64> = m.iter().copied().collect();
        (m.nrows(), m.ncols(), entries).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Array2<i64>, D::Error> {
        let (rows, columns, entries) = <(usize, usize, Vec<i64>)>::deserialize(from)?;
        Array2::from_shape_vec((rows, columns), entries).map_err(D::Error::custom)
    }
}

/// A vector as the list of its entries.
mod vector {
    use ndarray::Array1;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(v: &Array1<i64>, to: S) -> Result<S::Ok, S::Error> {
        v.to_vec().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Array1<i64>, D::Error> {
        Vec::deserialize(from).map(Array1::from)
    }
}

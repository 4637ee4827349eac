//! The bounds that all integers of a network have, and the rounding of inputs.
//!
//! Activations are signed integers of `bits` bits. Scales and per-channel multipliers are part of the
//! integer weights, so that nothing but a shift and a clamp follows a product
//! ([`foldnet_layers::requantise`]).

use super::error::ModelError;

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

/// The least `n` with `-2^(n-1) <= value < 2^(n-1)`.
pub(super) fn signed_bits(value: i128) -> u32 {
    let magnitude = if value < 0 { !value } else { value };
    i128::BITS - magnitude.leading_zeros() + 1
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

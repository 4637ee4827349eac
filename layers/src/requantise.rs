//! Requantisation: rounding division by a power of two, then a clamp.
//!
//! * Formula: `q = clamp(v, low, high)` with `v = floor((y + h) / 2^s)`, where `h = 2^(s - 1)`, or
//!   0 when `s = 0`. ReLU is the clamp with `low = 0`. Ties, `y = (n + 1/2) 2^s`, go up, or to the even
//!   neighbour ([`Ties`]).
//! * Bounds: `|y| < 2^accumulator_bits`, `accumulator_bits <= 62`, `s <= 62`.
//! * Witness, all in the first segment: `q` with `low <= q <= high`, the remainder `r` with
//!   `0 <= r < 2^s`, and what the clamp cuts off: its magnitude `m >= 0`, and `u`, which is `m` below
//!   the clamp and 0 above it. The accumulator is no variable but the linear form
//!   `y = (q + m - 2 u) 2^s + r - h`.
//! * Enforced: the ranges of `q`, `r` and `m` by lookups; `m (q - high) + (high - low) u = 0`;
//!   `u (q - low) = 0`. Where the accumulator bound rules out one side, its part is left out: without
//!   values below, `y = (q + m) 2^s + r - h` and `m (q - high) = 0`; without values above,
//!   `y = (q - m) 2^s + r - h` and `m (q - low) = 0`.
//! * Assumed: whoever uses the accumulator ties it to the layer's inputs, and the lookups are
//!   constrained.
//!
//! Every term is far below the modulus (`s` plus the width of `v` is below 130 bits). Let `low <
//! high`. If `q` is not `low`, the second constraint makes `u = 0`, and the first `m = 0` unless
//! `q = high`; if `q = low`, the first makes `u = m`. So `u` needs no range, `e = m - 2 u` is an
//! integer, and three cases remain: `e = 0`, only at `high` also `e > 0`, only at `low` also `e < 0`.
//! The field element `y` determines the integers `v = q + e` and `r` (Euclidean division of `y + h`),
//! and each case is the clamp: `q = v` in the range, `q = high < v`, `q = low > v`. They exclude one
//! another, so all four numbers are unique.
//!
//! If `low = high`, then `q` has no variable: it is the constant `low`, which is the clamp of every
//! integer. The constraints of the clamp vanish, so `m` is any number that fits its limbs, and `u`,
//! where there is one, any field element: the parts alone allow every `y`, also beyond its bound. They
//! do not need to forbid it. The layer's own equation (`sum`, `product`, the check of a matrix product,
//! the final check of the sum-check) is enforced on this `y` as on any other, with `u` in the first
//! segment, so `y` is the accumulator of the layer's inputs, within the bound that the compiler has
//! proven; only how it splits into parts is free, and nothing else reads the parts.
//!
//! # Ties to even
//! A tie is `r = 0` with `s > 0`. Five more parts: `t`, 1 when a tie goes down, so that the accumulator is
//! `y = (q + e + t) 2^s + r - h`; the parity `b` of `q`, as `q = 2 k + b`; and `c, i, j`, which show that
//! `b = 1` only if `r != 0` or `e != 0`. Enforced: `t (t - 1) = 0`, `t r = 0`, `b (b - 1) = 0`, the range
//! `floor(low / 2) <= k <= floor(high / 2)`, `r i = c`, `m j = b - c` (`e = 0` exactly if `m = 0`; without
//! `m`, `c` is `b`).
//!
//! Again `y` determines `v = q + e + t` and `r`. For `r != 0`, `t = 0` and nothing changes. For `r = 0` let
//! `v*` be the even one of `v` and `v - 1`. If `q + e` is the other one, it is odd, and `e = 0` is
//! impossible, since `q` would be odd with `b = 1`; so `q` is an end of the clamp and `q + e` beyond it,
//! and `v*`, next to `q + e`, lies at or beyond the same end: `q` is the clamp of `v*` in every case. If
//! `q + e = v*`, the parts exist: `b = 1` needs an odd `q != v*`, hence `e != 0`.
//!
//! * Cost of one value: the lookups of the ranges, at one constraint each, and a constraint for each
//!   end of the clamp that the accumulator bound does not rule out. Ties to even cost the lookups of `k`
//!   (two for activations of 8 bits) and five constraints more, four where nothing exceeds the clamp.

use crate::error::{LayerError, Place};
use crate::layer::{LayerCost, LayerTrace, LayerWires};
use crate::{range, tensor};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::wire::{Wire, WireSystem};
use serde::{Deserialize, Serialize};

/// The largest shift and the largest bound of an accumulator.
const LARGEST_EXPONENT: i64 = 62;

/// Where a value goes that lies halfway between two integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ties {
    /// To the larger one, which costs nothing.
    #[default]
    Up,
    /// To the even one, as ONNX's `QuantizeLinear` rounds.
    Even,
}

/// The constants of a requantisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Requantise {
    /// `s`: the division is by `2^s`.
    pub shift: u32,
    /// Smallest output.
    pub low: i64,
    /// Largest output.
    pub high: i64,
    /// `|y| < 2^accumulator_bits`.
    pub accumulator_bits: u32,
    /// How ties are rounded.
    pub ties: Ties,
}

/// The parts of one accumulator: `y = (quotient + over - under + down) 2^s + remainder - h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requantised {
    /// The output `q`.
    pub quotient: i64,
    /// What the division leaves.
    pub remainder: i64,
    /// How far the rounded value lies above the clamp.
    pub over: i64,
    /// How far the rounded value lies below the clamp.
    pub under: i64,
    /// 1 for a tie that goes to the smaller, even integer.
    pub down: i64,
}

/// The wires of one requantised accumulator.
#[derive(Clone, Debug)]
pub struct RequantiseWires<F: CircuitField> {
    /// The output `q`.
    pub quotient: FirstWire<F>,
    /// The accumulator `y`, a linear form.
    pub accumulator: FirstWire<F>,
    excess: Excess<F>,
    tie: Option<TieWires<F>>,
}

/// The wires of a value whose ties go to the even neighbour.
#[derive(Clone, Debug)]
struct TieWires<F: CircuitField> {
    /// `t`.
    down: FirstWire<F>,
    /// `b`.
    parity: FirstWire<F>,
    /// `r`.
    remainder: FirstWire<F>,
    /// `c`, `i` and `j`.
    hints: [FirstWire<F>; 3],
}

/// What the clamp cuts off, on the sides that the accumulator bound does not rule out.
#[derive(Clone, Debug)]
enum Excess<F: CircuitField> {
    None,
    Over(FirstWire<F>),
    Under(FirstWire<F>),
    /// `m` and `u`.
    Both(FirstWire<F>, FirstWire<F>),
}

impl Requantise {
    /// Checks the constants against the width of activations.
    ///
    /// # Errors
    /// [`LayerError::Parameter`] for a shift or an accumulator bound above 62 bits, a clamp that
    /// leaves the width's range, and `low > high`.
    pub fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        let (smallest, largest) = tensor::range(bits);
        let check = |what, got, low, high, advice| {
            if (low..=high).contains(&got) {
                return Ok(());
            }
            Err(LayerError::Parameter {
                place,
                what,
                low,
                high,
                got,
                advice,
            })
        };
        check(
            "shift",
            i64::from(self.shift),
            0,
            LARGEST_EXPONENT,
            "scale the weights down",
        )?;
        check(
            "accumulator bits",
            i64::from(self.accumulator_bits),
            1,
            LARGEST_EXPONENT,
            "use smaller weights or fewer inputs",
        )?;
        let advice = "choose a clamp inside the range of the activations";
        check("low", self.low, smallest, largest, advice)?;
        check("high", self.high, self.low, largest, advice)
    }

    /// `h`: what is added before the division, so that it rounds to nearest, ties up.
    fn half(&self) -> i64 {
        if self.shift == 0 {
            0
        } else {
            1 << (self.shift - 1).min(61)
        }
    }

    /// Whether there are ties that go to the even neighbour.
    fn ties_to_even(&self) -> bool {
        self.ties == Ties::Even && self.shift > 0
    }

    /// `floor((y + h) / 2^s)`.
    fn rounded(&self, accumulator: i128) -> i128 {
        (accumulator + i128::from(self.half())) >> self.shift.min(126)
    }

    /// The reference: the parts of accumulator `y`, or `None` when `|y|` reaches
    /// `2^accumulator_bits`.
    pub fn evaluate(&self, accumulator: i128) -> Option<Requantised> {
        let bound = 1u128.checked_shl(self.accumulator_bits)?;
        if accumulator.unsigned_abs() >= bound {
            return None;
        }
        let value = self.rounded(accumulator);
        let remainder = accumulator + i128::from(self.half()) - (value << self.shift.min(62));
        let down = if self.ties_to_even() && remainder == 0 {
            value & 1
        } else {
            0
        };
        let value = value - down;
        let quotient = value.max(i128::from(self.low)).min(i128::from(self.high));
        let excess = value - quotient;
        Some(Requantised {
            down: i64::try_from(down).ok()?,
            quotient: i64::try_from(quotient).ok()?,
            remainder: i64::try_from(remainder).ok()?,
            over: i64::try_from(excess.max(0)).ok()?,
            under: i64::try_from(-excess.min(0)).ok()?,
        })
    }

    /// The accumulator that parts belong to.
    pub fn accumulator(&self, parts: &Requantised) -> i128 {
        let excess = i128::from(parts.over) - i128::from(parts.under);
        let value = i128::from(parts.quotient) + excess + i128::from(parts.down);
        value * (1i128 << self.shift.min(62)) + i128::from(parts.remainder)
            - i128::from(self.half())
    }

    /// Limbs of `over` and of `under`: none where the accumulator bound rules the clamp out.
    fn excess_limbs(&self) -> (usize, usize) {
        let largest = (1i128 << self.accumulator_bits.min(62)) - 1;
        let over = self.rounded(largest) - i128::from(self.high);
        let down = i128::from(self.ties_to_even());
        let under = i128::from(self.low) - (self.rounded(-largest) - down);
        let limbs = |excess: i128| range::limbs(u64::try_from(excess.max(0)).unwrap_or(u64::MAX));
        (limbs(over), limbs(under))
    }

    /// `high - low`.
    fn width(&self) -> u64 {
        self.high.abs_diff(self.low)
    }

    /// `floor(low / 2)`, and how far `floor(high / 2)` lies above it: the range of `k`.
    fn halves(&self) -> (i64, u64) {
        let (low, high) = (self.low.div_euclid(2), self.high.div_euclid(2));
        (low, high.abs_diff(low))
    }

    /// The largest remainder.
    fn largest_remainder(&self) -> u64 {
        (1 << self.shift.min(63)) - 1
    }

    /// Lookups of one value.
    pub fn lookups(&self) -> usize {
        let (over, under) = self.excess_limbs();
        let ranges = range::lookups(self.width()) + range::lookups(self.largest_remainder());
        let halves = if self.ties_to_even() {
            range::lookups(self.halves().1)
        } else {
            0
        };
        ranges + halves + over.max(under)
    }

    /// Constraints of one value, without its lookups.
    pub fn constraints(&self) -> usize {
        let (over, under) = self.excess_limbs();
        let tie = match (self.ties_to_even(), over.max(under)) {
            (false, _) => 0,
            (true, 0) => 4,
            (true, _) => 5,
        };
        usize::from(over > 0) + usize::from(under > 0) + tie
    }

    /// Entries of the form of an output.
    pub(crate) fn quotient_terms(&self) -> usize {
        range::limbs(self.width()) + 1
    }

    /// Entries of the form of an accumulator.
    pub(crate) fn accumulator_terms(&self) -> usize {
        let (over, under) = self.excess_limbs();
        let both = usize::from(over > 0 && under > 0);
        let remainder = range::limbs(self.largest_remainder());
        let down = usize::from(self.ties_to_even());
        self.quotient_terms() + over.max(under) + both + remainder + down
    }

    /// Entries of the constraints of one value, with its lookups.
    pub(crate) fn terms(&self) -> usize {
        let (over, under) = self.excess_limbs();
        let excess = over.max(under);
        let ranges = range::terms(self.width()) + range::terms(self.largest_remainder());
        // `m (q - high) = -(high - low) u` and `u (q - low) = 0`, where `u` is one variable, or
        // `m` if nothing exceeds the clamp.
        let ends = match (over, under) {
            (0, 0) => 0,
            (_, 0) | (0, _) => excess + self.quotient_terms(),
            _ => excess + 2 + 2 * self.quotient_terms(),
        };
        ranges + range::limb_terms(excess) + ends + self.tie_terms(excess)
    }

    /// Entries of the constraints about ties, with the lookups of `k`.
    fn tie_terms(&self, excess: usize) -> usize {
        if !self.ties_to_even() {
            return 0;
        }
        let (_, halves) = self.halves();
        let parity = self.quotient_terms() + range::limbs(halves) + 1;
        let remainder = range::limbs(self.largest_remainder());
        // `t (t - 1)`, `t r`, `b (b - 1)`, `r i = c`, `m j = b - c`.
        let excess = match excess {
            0 => 0,
            limbs => limbs + 1 + parity + 1,
        };
        range::terms(halves) + 3 + (1 + remainder) + (2 * parity + 1) + (remainder + 2) + excess
    }

    /// Phase one: allocates the parts of one value with their range checks.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        segment: &mut FirstSegment<'_, F, CS>,
        parts: &Requantised,
    ) -> Result<RequantiseWires<F>, SynthesisError> {
        let above_low = parts.quotient.wrapping_sub(self.low);
        let quotient = range::alloc_at_most(segment, "quotient", above_low, self.width())?
            .add_constant(from_i64(self.low));
        let remainder = range::alloc_at_most(
            segment,
            "remainder",
            parts.remainder,
            self.largest_remainder(),
        )?;
        let (mut value, excess) = self.commit_excess(segment, parts, &quotient)?;
        let mut tie = None;
        if self.ties_to_even() {
            let wires = self.commit_tie(segment, parts, (&quotient, &remainder, &excess))?;
            value = value.add(&wires.down);
            tie = Some(wires);
        }
        let accumulator = value
            .scale(F::from(1 << self.shift.min(62)))
            .add(&remainder)
            .add_constant(-from_i64::<F>(self.half()));
        Ok(RequantiseWires {
            quotient,
            accumulator,
            excess,
            tie,
        })
    }

    /// Allocates what ties to even take.
    fn commit_tie<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        segment: &mut FirstSegment<'_, F, CS>,
        parts: &Requantised,
        (quotient, remainder, excess): (&FirstWire<F>, &FirstWire<F>, &Excess<F>),
    ) -> Result<TieWires<F>, SynthesisError> {
        let (lowest, width) = self.halves();
        let half = parts.quotient.div_euclid(2);
        let above = half.wrapping_sub(lowest);
        let half_wire =
            range::alloc_at_most(segment, "half", above, width)?.add_constant(from_i64(lowest));
        let parity = quotient.sub(&half_wire.scale(F::from(2)));
        let odd = parts.quotient.rem_euclid(2);
        let inverse = |value: i64| Option::from(from_i64::<F>(value).invert()).unwrap_or(F::ZERO);
        // `b = 1` is shown by `r` where it can be, and by `m` otherwise.
        let shown = odd == 1 && (parts.remainder != 0 || matches!(excess, Excess::None));
        let by_excess = odd == 1 && !shown;
        let magnitude = parts.over.wrapping_add(parts.under);
        let hint = |shown: bool, value: i64| if shown { inverse(value) } else { F::ZERO };
        let down = segment.alloc("down", from_i64(parts.down))?;
        let by_remainder = segment.alloc("odd by remainder", hint(shown, parts.remainder))?;
        let hints = match excess {
            Excess::None => [parity.clone(), by_remainder, FirstWire::constant(F::ZERO)],
            _ => [
                segment.alloc("odd without tie", from_i64(i64::from(shown)))?,
                by_remainder,
                segment.alloc("odd by excess", hint(by_excess, magnitude))?,
            ],
        };
        Ok(TieWires {
            down,
            parity,
            remainder: remainder.clone(),
            hints,
        })
    }

    /// Allocates what the clamp cuts off; returns `v` with it.
    fn commit_excess<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        segment: &mut FirstSegment<'_, F, CS>,
        parts: &Requantised,
        quotient: &FirstWire<F>,
    ) -> Result<(FirstWire<F>, Excess<F>), SynthesisError> {
        let limbs = self.excess_limbs();
        let magnitude = match limbs {
            (_, 0) => parts.over,
            (0, _) => parts.under,
            _ => parts.over.wrapping_add(parts.under),
        };
        if limbs == (0, 0) {
            return Ok((quotient.clone(), Excess::None));
        }
        let excess = range::alloc_limbs(segment, "excess", magnitude, limbs.0.max(limbs.1))?;
        Ok(match limbs {
            (_, 0) => (quotient.add(&excess), Excess::Over(excess)),
            (0, _) => (quotient.sub(&excess), Excess::Under(excess)),
            _ => {
                let under = segment.alloc("under", from_i64(parts.under))?;
                let value = quotient.add(&excess).sub(&under.scale(F::from(2)));
                (value, Excess::Both(excess, under))
            }
        })
    }

    /// Phase two: the clamp cuts off only at its ends.
    pub fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        wires: &RequantiseWires<F>,
    ) {
        let distance = |end: i64| wires.quotient.wire().add_constant(-from_i64::<F>(end));
        let only_at_low = |cs: &mut CS, under: &FirstWire<F>| {
            let name = || "under only at low";
            cs.enforce_product(name, under.wire(), &distance(self.low), &Wire::zero());
        };
        let only_at_high = |cs: &mut CS, excess: &FirstWire<F>, rest: &Wire<F>| {
            let name = || "over only at high";
            cs.enforce_product(name, excess.wire(), &distance(self.high), rest);
        };
        match &wires.excess {
            Excess::None => {}
            Excess::Over(excess) => only_at_high(cs, excess, &Wire::zero()),
            Excess::Under(excess) => only_at_low(cs, excess),
            Excess::Both(excess, under) => {
                let width = F::from(self.width());
                only_at_high(cs, excess, &under.wire().scale(-width));
                only_at_low(cs, under);
            }
        }
        if let Some(tie) = &wires.tie {
            tie.constrain(cs, &wires.excess);
        }
    }

    /// Requantises the accumulators of a layer.
    ///
    /// # Errors
    /// [`LayerError::Accumulator`] for the first that exceeds the bound.
    pub(crate) fn trace(
        &self,
        place: Place,
        accumulators: Vec<i128>,
    ) -> Result<LayerTrace, LayerError> {
        let parts = |(index, got)| {
            let error = LayerError::Accumulator {
                place,
                index,
                bits: self.accumulator_bits,
                got,
            };
            self.evaluate(got).ok_or(error)
        };
        let requantised = accumulators.into_iter().enumerate().map(parts);
        Ok(LayerTrace::requantised(
            requantised.collect::<Result<_, _>>()?,
        ))
    }

    /// A trace of `outputs` zeros, for shape synthesis.
    pub(crate) fn dummy_trace(&self, outputs: usize) -> LayerTrace {
        let parts = self.evaluate(0).unwrap_or_default();
        LayerTrace::requantised(vec![parts; outputs])
    }

    /// [`Self::commit`] for all outputs of a layer.
    pub(crate) fn commit_all<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        segment: &mut FirstSegment<'_, F, CS>,
        trace: &LayerTrace,
    ) -> Result<LayerWires<F>, SynthesisError> {
        let commit = |(n, parts)| {
            segment.namespace(format!("output {n}"), |segment| self.commit(segment, parts))
        };
        let requantised = trace.requantised.iter().enumerate().map(commit);
        Ok(LayerWires {
            requantised: requantised.collect::<Result<_, _>>()?,
            ..LayerWires::default()
        })
    }

    /// [`Self::constrain`] for all outputs of a layer.
    pub(crate) fn constrain_all<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        wires: &LayerWires<F>,
    ) {
        for (n, wires) in wires.requantised.iter().enumerate() {
            self.constrain(&mut cs.namespace(|| format!("output {n}")), wires);
        }
    }

    /// What the outputs of a layer cost.
    pub(crate) fn cost(&self, outputs: usize) -> LayerCost {
        LayerCost {
            lookups: outputs.saturating_mul(self.lookups()),
            constraints: outputs.saturating_mul(self.constraints()),
            terms: outputs.saturating_mul(self.terms()),
            ..LayerCost::default()
        }
    }
}

impl<F: CircuitField> TieWires<F> {
    /// A tie goes down or not, and an odd output is no tie, or beyond the clamp.
    fn constrain<CS: ConstraintSystem<F>>(&self, cs: &mut CS, excess: &Excess<F>) {
        let zero = Wire::zero();
        for (name, bit) in [
            ("down is a bit", &self.down),
            ("parity is a bit", &self.parity),
        ] {
            let other = bit.wire().add_constant(-F::ONE);
            cs.enforce_product(|| name, bit.wire(), &other, &zero);
        }
        let [shown, by_remainder, by_excess] = &self.hints;
        let (down, remainder) = (self.down.wire(), self.remainder.wire());
        cs.enforce_product(|| "down only for ties", down, remainder, &zero);
        let name = || "odd output is no tie";
        cs.enforce_product(name, remainder, by_remainder.wire(), shown.wire());
        if let Excess::Over(excess) | Excess::Under(excess) | Excess::Both(excess, _) = excess {
            let rest = self.parity.wire().sub(shown.wire());
            let name = || "odd output of a tie exceeds the clamp";
            cs.enforce_product(name, excess.wire(), by_excess.wire(), &rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Requantise, Requantised, Ties};
    use crate::error::Place;

    const UP: [Requantise; 6] = [
        Requantise {
            shift: 2,
            low: -4,
            high: 3,
            accumulator_bits: 6,
            ties: Ties::Up,
        },
        Requantise {
            shift: 2,
            low: 0,
            high: 3,
            accumulator_bits: 6,
            ties: Ties::Up,
        },
        Requantise {
            shift: 0,
            low: -2,
            high: 5,
            accumulator_bits: 5,
            ties: Ties::Up,
        },
        Requantise {
            shift: 3,
            low: 1,
            high: 1,
            accumulator_bits: 6,
            ties: Ties::Up,
        },
        Requantise {
            shift: 3,
            low: -8,
            high: 7,
            accumulator_bits: 6,
            ties: Ties::Up,
        },
        Requantise {
            shift: 7,
            low: -8,
            high: 7,
            accumulator_bits: 5,
            ties: Ties::Up,
        },
    ];

    /// Small constants with both ways to round ties.
    fn small() -> impl Iterator<Item = Requantise> {
        let even = UP.map(|constants| Requantise {
            ties: Ties::Even,
            ..constants
        });
        UP.into_iter().chain(even)
    }

    /// The definition, in floating point.
    fn definition(constants: &Requantise, y: i64) -> i64 {
        let scale = f64::from(1u32 << constants.shift);
        let half = if constants.shift == 0 {
            0.0
        } else {
            scale / 2.0
        };
        let value = match constants.ties {
            Ties::Up => ((y as f64 + half) / scale).floor(),
            Ties::Even => (y as f64 / scale).round_ties_even(),
        };
        (value as i64).clamp(constants.low, constants.high)
    }

    fn bound(constants: &Requantise) -> i64 {
        1 << constants.accumulator_bits
    }

    #[test]
    fn the_reference_is_the_definition_and_its_parts_recompose() {
        for constants in small() {
            for y in 1 - bound(&constants)..bound(&constants) {
                let parts = constants.evaluate(i128::from(y)).unwrap();
                assert_eq!(
                    parts.quotient,
                    definition(&constants, y),
                    "{constants:?} {y}"
                );
                assert_eq!(constants.accumulator(&parts), i128::from(y));
                assert!((0..1 << constants.shift).contains(&parts.remainder));
            }
            for y in [bound(&constants), -bound(&constants)] {
                assert_eq!(constants.evaluate(i128::from(y)), None);
            }
        }
    }

    #[test]
    fn the_excess_always_fits_its_limbs() {
        for shift in [0, 1, 8, 16, 20, 62] {
            for accumulator_bits in [1, 2, 17, 24, 25, 33, 62] {
                for (low, high) in [(-128, 127), (0, 127), (5, 5), (-32_768, -32_768)] {
                    let constants = Requantise {
                        shift,
                        low,
                        high,
                        accumulator_bits,
                        ties: Ties::Up,
                    };
                    let largest = i128::from(bound(&constants)) - 1;
                    let (over, under) = constants.excess_limbs();
                    let fits = |excess: i64, limbs: usize| {
                        excess >= 0 && i128::from(excess) < 1i128 << (8 * limbs)
                    };
                    for y in [largest, -largest, 0] {
                        let parts = constants.evaluate(y).unwrap();
                        assert!(fits(parts.over, over), "{constants:?} {y}");
                        assert!(fits(parts.under, under), "{constants:?} {y}");
                    }
                }
            }
        }
    }

    /// Whether the constraints about ties allow the parts, over the integers.
    fn tie_allowed(constants: &Requantise, parts: &Requantised, m: i64) -> bool {
        let even = constants.ties_to_even();
        let down = parts.down == 0 || (even && parts.remainder == 0);
        down && (!even || parts.quotient % 2 == 0 || parts.remainder != 0 || m != 0)
    }

    /// Whether the constraints allow magnitude `m` and `u` at a quotient, over the integers.
    fn allowed(constants: &Requantise, quotient: i64, m: i64, u: i64) -> bool {
        let (above, below) = (quotient - constants.high, quotient - constants.low);
        match constants.excess_limbs() {
            (0, 0) => m == 0 && u == 0,
            (_, 0) => u == 0 && m * above == 0,
            (0, _) => u == m && m * below == 0,
            _ => m * above + (constants.high - constants.low) * u == 0 && u * below == 0,
        }
    }

    #[test]
    fn no_other_parts_satisfy_the_constraints() {
        // Every assignment in the ranges: those that satisfy the constraints and give the same
        // accumulator have the same quotient, and are unique unless the ends of the clamp are
        // equal.
        for constants in small() {
            let mut seen = std::collections::HashMap::new();
            let excesses = (0..24).flat_map(|m| (-24..48).map(move |u| (m, u)));
            let quotients = constants.low..=constants.high;
            for (quotient, (m, u)) in
                quotients.flat_map(|q| excesses.clone().map(move |excess| (q, excess)))
            {
                if !allowed(&constants, quotient, m, u) {
                    continue;
                }
                let rest = (0..1 << constants.shift).flat_map(|r| [(r, 0), (r, 1)]);
                for (remainder, down) in rest {
                    let parts = Requantised {
                        quotient,
                        remainder,
                        over: m - u,
                        under: u,
                        down,
                    };
                    if !tie_allowed(&constants, &parts, m) {
                        continue;
                    }
                    let y = constants.accumulator(&parts);
                    let first = seen.entry(y).or_insert(parts);
                    assert_eq!(first.quotient, quotient, "{constants:?} {y}");
                    // Beyond the clamp a tie may go either way.
                    if constants.low < constants.high && !constants.ties_to_even() {
                        assert_eq!(*first, parts, "{constants:?} {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn honest_parts_satisfy_the_constraints() {
        for constants in small() {
            for y in 1 - bound(&constants)..bound(&constants) {
                let parts = constants.evaluate(i128::from(y)).unwrap();
                let m = parts.over + parts.under;
                let all = allowed(&constants, parts.quotient, m, parts.under)
                    && tie_allowed(&constants, &parts, m);
                assert!(all, "{constants:?} {y}");
            }
        }
    }

    #[test]
    fn extreme_constants_do_not_panic() {
        let place = Place {
            index: 0,
            name: "test",
        };
        let extreme = Requantise {
            shift: u32::MAX,
            low: i64::MIN,
            high: i64::MAX,
            accumulator_bits: u32::MAX,
            ties: Ties::Up,
        };
        assert!(extreme.validate(place, 8).is_err());
        assert_eq!(extreme.evaluate(i128::MAX), None);
        assert!(extreme.lookups() > 0);
        let parts = Requantised {
            quotient: i64::MAX,
            over: i64::MAX,
            under: i64::MIN,
            remainder: 0,
            down: i64::MAX,
        };
        extreme.accumulator(&parts);
    }
}

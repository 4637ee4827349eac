//! Linear sums of fixed points: `sum_b s_b B_(a,b)` for many rows `a` and the same scalars.
//!
//! # Windows
//!
//! The bits of all scalars are cut into windows of a few bits; a window may span scalars. In row
//! `a`, each value of a window's bits stands for one point, so its coordinates are functions of the
//! bits, that is, linear forms in the *monomials* of the bits (the products of their subsets), whose
//! coefficients are the Moebius transform of the table. The monomials are allocated once and serve
//! all rows; the selected point costs nothing. Adding it costs 3 constraints:
//!
//! ```text
//! slope (x_S - x_A) = y_S - y_A        slope^2 = x' + x_A + x_S        slope (x_A - x') = y' + y_A
//! ```
//!
//! A digit of an endomorphism challenge is two bits of one window and stands for `+-2^i B` or
//! `+-2^i phi B`. A bit of a component stands for `2^i B` or `2^i phi B`, or for nothing when clear.
//! What remains, `2^64 (1 + phi) B` for a challenge and `-2^(m - 1)` of each component, is constant
//! and goes into the row's *correction*.
//!
//! # Why these additions need no inverse
//!
//! If `x_S = x_A` and `y_S = y_A` the first equation leaves the slope free, and with it the result.
//! That must not occur for *any* bits, since a prover may choose some of them. Every table entry
//! is shifted by the offset `D`, the entries of the first window by `2 D`; `D` is hashed, and no one
//! knows a relation between `D` and the bases. After `w >= 1` windows the accumulator is
//! `A = (w + 1) D + (known multiples of the bases)`, and an entry of the next is
//! `S = D + (known multiples of the bases)`. So
//!
//! * `A = +-S` is a relation in which `D` has the coefficient `w + 1 -+ 1`, from 1 to `w + 2`, which
//!   is not zero modulo the order: whoever meets it has found a relation, which is what the binding
//!   of the commitments assumes to be infeasible;
//! * likewise no entry and no accumulator is the identity;
//! * the correction has `-(W + 1) D`, so adding it is exceptional only if the row's sum itself is
//!   the identity (a relation between the bases, for one base has the coefficient 1 in each row) or
//!   if `2 (W + 1) D` plus multiples of the bases is.
//!
//! The bits that witness such a relation are in the prover's hands, so the argument is a reduction
//! and holds for bits chosen after everything else. The constant points are checked when the circuit
//! is built: tables with an exceptional case are refused.

use super::points::{Chord, Coordinates, chords, doubles, sums};
use crate::arithmetic::ScalarBits;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::{ChallengeWires, DIGITS};
use foldnet_gadgets::point::PointWires;
use foldnet_gadgets::wire::{Wire, WireSystem};
use rayon::prelude::*;

/// The multiple of the offset in the entries of the first window; the others have 1.
const FIRST_SHIFT: u64 = 2;

/// Windows whose tables are computed at a time.
const WINDOWS_PER_BLOCK: usize = 16;

/// A scalar by its bits.
#[derive(Clone, Debug)]
pub(super) enum Scalar<F: CircuitField> {
    /// An endomorphism challenge.
    Challenge(ChallengeWires<F>),
    /// Two signed components.
    Bits(ScalarBits<F>),
}

/// The sum of one row: `accumulator + correction`, which is not yet added.
#[derive(Clone, Debug)]
pub(super) struct Sum<F: CircuitField> {
    pub(super) accumulator: PointWires<F>,
    pub(super) correction: Coordinates<F>,
}

/// What one or two bits of a window stand for.
#[derive(Clone, Debug)]
enum Part<F: CircuitField> {
    /// `+-2^power B` or `+-2^power phi B`, by choice and sign.
    Digit {
        base: usize,
        power: usize,
        bits: [Wire<F>; 2],
    },
    /// `2^power B`, or `2^power phi B` for the second component, if the bit is set.
    Bit {
        base: usize,
        power: usize,
        second: bool,
        bit: Wire<F>,
    },
}

impl<F: CircuitField> Part<F> {
    fn bits(&self) -> &[Wire<F>] {
        match self {
            Part::Digit { bits, .. } => bits,
            Part::Bit { bit, .. } => std::slice::from_ref(bit),
        }
    }
}

type Window<F> = Vec<Part<F>>;

/// The parts of one scalar, lowest power first.
fn parts<F: CircuitField>(base: usize, scalar: &Scalar<F>) -> Vec<Part<F>> {
    match scalar {
        Scalar::Challenge(challenge) => {
            let digits = challenge.choices().iter().zip(challenge.signs());
            digits
                .enumerate()
                .map(|(power, (choice, sign))| Part::Digit {
                    base,
                    power,
                    bits: [choice.clone(), sign.clone()],
                })
                .collect()
        }
        Scalar::Bits(bits) => {
            let components = bits.components.iter().zip([false, true]);
            components
                .flat_map(|(component, second)| {
                    component
                        .iter()
                        .enumerate()
                        .map(move |(power, bit)| Part::Bit {
                            base,
                            power,
                            second,
                            bit: bit.clone(),
                        })
                })
                .collect()
        }
    }
}

/// Gives the top bit of each component a variable of its own: arithmetics make it a form of all
/// other bits, which every row would repeat. One constraint a component.
fn own_top_bits<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    scalars: &[Scalar<F>],
) -> Result<Vec<Scalar<F>>, SynthesisError> {
    let mut owned = scalars.to_vec();
    for (base, scalar) in owned.iter_mut().enumerate() {
        let Scalar::Bits(bits) = scalar else { continue };
        for (i, component) in bits.components.iter_mut().enumerate() {
            let Some(top) = component.last_mut() else {
                continue;
            };
            let name = || format!("scalar {base} component {i} top bit");
            let bit = cs.wire(name, top.value())?;
            cs.enforce_equal(name, &bit, top);
            *top = bit;
        }
    }
    Ok(owned)
}

/// Packs the bits of all scalars, digits of challenges first, so that single bits fill gaps.
fn windows<F: CircuitField>(scalars: &[Scalar<F>], width: usize) -> Vec<Window<F>> {
    let all = scalars.iter().enumerate();
    let (digits, bits): (Vec<_>, Vec<_>) = all
        .flat_map(|(base, scalar)| parts(base, scalar))
        .partition(|part| part.bits().len() == 2);
    let mut windows = Vec::new();
    let mut window = Vec::new();
    let mut filled = 0;
    for part in digits.into_iter().chain(bits) {
        if filled + part.bits().len() > width && filled > 0 {
            windows.push(std::mem::take(&mut window));
            filled = 0;
        }
        filled += part.bits().len();
        window.push(part);
    }
    if !window.is_empty() {
        windows.push(window);
    }
    windows
}

/// Number of windows for so many challenges and scalars of two components of `component` bits.
pub(super) fn window_count(
    challenges: usize,
    scalars: usize,
    component: usize,
    width: usize,
) -> usize {
    (2 * DIGITS * challenges + 2 * component * scalars).div_ceil(width)
}

/// `2^power B_(a,b)` as `[base][power][row]`.
type Powers<F> = Vec<Vec<Vec<Coordinates<F>>>>;

/// Fixed points of a sum, and what they are shifted by.
struct Tables<F> {
    powers: Powers<F>,
    offset: Coordinates<F>,
    rows: usize,
    beta: F,
}

/// An exceptional case among constants, or too few of them.
fn exceptional() -> SynthesisError {
    SynthesisError::DivisionByZero
}

impl<F: CircuitField> Tables<F> {
    fn new(
        scalars: &[Scalar<F>],
        bases: &[Vec<Coordinates<F>>],
        offset: Coordinates<F>,
        beta: F,
    ) -> Result<Self, SynthesisError> {
        let rows = bases.first().map_or(0, Vec::len);
        if bases.len() != scalars.len() || bases.iter().any(|column| column.len() != rows) {
            let message = format!("{} scalars and {} columns", scalars.len(), bases.len());
            return Err(SynthesisError::IncompatibleLengthVector(message));
        }
        let powers: Option<Powers<F>> = bases
            .par_iter()
            .zip(scalars)
            .map(|(column, scalar)| powers(column, top_power(scalar)))
            .collect();
        Ok(Tables {
            powers: powers.ok_or_else(exceptional)?,
            offset,
            rows,
            beta,
        })
    }

    /// `2^power B` or `2^power phi B` of every row.
    fn column(&self, base: usize, power: usize, image: bool) -> Option<Vec<Coordinates<F>>> {
        let column = self.powers.get(base)?.get(power)?;
        let factor = if image { self.beta } else { F::ONE };
        Some(column.iter().map(|(x, y)| (*x * factor, *y)).collect())
    }

    /// The points a part can stand for, by the value of its bits; `None` is the identity.
    fn choices(&self, part: &Part<F>) -> Option<Vec<Option<Vec<Coordinates<F>>>>> {
        match part {
            Part::Digit { base, power, .. } => {
                let point = self.column(*base, *power, false)?;
                let image = self.column(*base, *power, true)?;
                let (minus, minus_image) = (negatives(&point), negatives(&image));
                let choices = [point, image, minus, minus_image];
                Some(choices.into_iter().map(Some).collect())
            }
            Part::Bit {
                base,
                power,
                second,
                ..
            } => Some(vec![None, Some(self.column(*base, *power, *second)?)]),
        }
    }

    /// The shift of a window's entries.
    fn shift(&self, window: usize) -> Option<Coordinates<F>> {
        multiple(self.offset, if window == 0 { FIRST_SHIFT } else { 1 })
    }

    /// All entries of a window, `[value of the bits][row]`.
    fn entries(&self, index: usize, window: &Window<F>) -> Option<Vec<Vec<Coordinates<F>>>> {
        let mut entries = vec![vec![self.shift(index)?; self.rows]];
        for part in window {
            let mut next = Vec::with_capacity(4 * entries.len());
            for choice in self.choices(part)? {
                for entry in &entries {
                    next.push(match &choice {
                        None => entry.clone(),
                        Some(points) => sums(entry, points)?,
                    });
                }
            }
            entries = next;
        }
        Some(entries)
    }

    /// The selected entry of each row: what the values of the bits select.
    fn selected(&self, index: usize, window: &Window<F>) -> Option<Vec<Coordinates<F>>> {
        let mut selected = vec![self.shift(index)?; self.rows];
        for part in window {
            let bits = part.bits().iter().rev();
            let value = bits.fold(0, |value, bit| 2 * value + usize::from(is_set(bit)));
            if let Some(points) = self.choices(part)?.into_iter().nth(value)? {
                selected = sums(&selected, &points)?;
            }
        }
        Some(selected)
    }

    /// Everything that is constant in a row: the offsets back, and what the encodings of the
    /// scalars leave.
    fn corrections(
        &self,
        scalars: &[Scalar<F>],
        windows: usize,
        constants: Option<&[Coordinates<F>]>,
    ) -> Option<Vec<Coordinates<F>>> {
        let offsets = multiple(self.offset, windows as u64 - 1 + FIRST_SHIFT)?;
        let mut total = vec![(offsets.0, -offsets.1); self.rows];
        for (base, scalar) in scalars.iter().enumerate() {
            let mut add = |power, image, negative: bool| {
                let column = self.column(base, power, image)?;
                let column = if negative { negatives(&column) } else { column };
                total = sums(&total, &column)?;
                Some(())
            };
            match scalar {
                Scalar::Challenge(_) => {
                    add(DIGITS, false, false)?;
                    add(DIGITS, true, false)?;
                }
                Scalar::Bits(bits) => {
                    let [first, second] = &bits.components;
                    add(first.len().checked_sub(1)?, false, true)?;
                    add(second.len().checked_sub(1)?, true, true)?;
                }
            }
        }
        match constants {
            Some(constants) => sums(&total, constants),
            None => Some(total),
        }
    }
}

/// The highest power of two that a scalar's digits or its correction use.
fn top_power<F: CircuitField>(scalar: &Scalar<F>) -> usize {
    match scalar {
        Scalar::Challenge(_) => DIGITS,
        Scalar::Bits(bits) => bits.components.iter().map(Vec::len).max().unwrap_or(0),
    }
}

/// `2^0 B, ..., 2^top B` of every row.
fn powers<F: CircuitField>(
    column: &[Coordinates<F>],
    top: usize,
) -> Option<Vec<Vec<Coordinates<F>>>> {
    let mut powers = vec![column.to_vec()];
    for _ in 0..top {
        powers.push(doubles(powers.last()?)?);
    }
    Some(powers)
}

fn negatives<F: CircuitField>(points: &[Coordinates<F>]) -> Vec<Coordinates<F>> {
    points.iter().map(|(x, y)| (*x, -*y)).collect()
}

/// `count P` for `count >= 1`.
fn multiple<F: CircuitField>(point: Coordinates<F>, count: u64) -> Option<Coordinates<F>> {
    let top = count.checked_ilog2()?;
    let mut total = vec![point];
    for i in (0..top).rev() {
        total = doubles(&total)?;
        if count >> i & 1 == 1 {
            total = sums(&total, &[point])?;
        }
    }
    total.first().copied()
}

fn is_set<F: CircuitField>(bit: &Wire<F>) -> bool {
    !bool::from(bit.value().is_zero())
}

/// In place: from the values of a function of bits to its coefficients in the monomials.
fn moebius<F: CircuitField>(values: &mut [F]) {
    let mut half = 1;
    while half < values.len() {
        for block in values.chunks_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (low, high) in low.iter().zip(high) {
                *high -= low;
            }
        }
        half *= 2;
    }
}

/// The products of all non-empty subsets of a window's bits; entry `m - 1` belongs to the subset
/// with the bits of `m`. Subsets of one bit cost nothing, the others one product.
fn monomials<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    window: &Window<F>,
) -> Result<Vec<Wire<F>>, SynthesisError> {
    let mut monomials: Vec<Wire<F>> = Vec::new();
    for bit in window.iter().flat_map(Part::bits) {
        let smaller = monomials.clone();
        monomials.push(bit.clone());
        for (i, monomial) in smaller.iter().enumerate() {
            let subset = smaller.len() + i + 2;
            monomials.push(cs.product(|| format!("monomial {subset}"), monomial, bit)?);
        }
    }
    Ok(monomials)
}

/// The points of a window in every row: what is selected, and, unless only a witness is made, the
/// coefficients of both coordinates in the monomials.
struct Selection<F> {
    selected: Vec<Coordinates<F>>,
    coefficients: Option<Vec<[Vec<F>; 2]>>,
}

impl<F: CircuitField> Selection<F> {
    fn new(
        tables: &Tables<F>,
        index: usize,
        window: &Window<F>,
        track: bool,
    ) -> Result<Self, SynthesisError> {
        let selected = tables.selected(index, window).ok_or_else(exceptional)?;
        let coefficients = if track {
            let entries = tables.entries(index, window).ok_or_else(exceptional)?;
            Some(
                (0..tables.rows)
                    .map(|row| transform(&entries, row))
                    .collect(),
            )
        } else {
            None
        };
        Ok(Selection {
            selected,
            coefficients,
        })
    }

    /// The selected points as linear forms in the monomials.
    fn points(&self, monomials: &[Wire<F>]) -> Vec<PointWires<F>> {
        match &self.coefficients {
            None => self
                .selected
                .iter()
                .map(|(x, y)| PointWires::constant(*x, *y))
                .collect(),
            Some(rows) => rows
                .iter()
                .map(|[x, y]| PointWires::new(form(x, monomials), form(y, monomials)))
                .collect(),
        }
    }
}

/// The coefficients of both coordinates of one row.
fn transform<F: CircuitField>(entries: &[Vec<Coordinates<F>>], row: usize) -> [Vec<F>; 2] {
    let points = entries.iter().filter_map(|entry| entry.get(row));
    let (mut x, mut y): (Vec<F>, Vec<F>) = points.copied().unzip();
    moebius(&mut x);
    moebius(&mut y);
    [x, y]
}

/// `coefficients_0 + sum_m coefficients_m monomials_(m - 1)`.
fn form<F: CircuitField>(coefficients: &[F], monomials: &[Wire<F>]) -> Wire<F> {
    let constant = coefficients.first().copied().unwrap_or(F::ZERO);
    let terms = coefficients.iter().copied().skip(1).zip(monomials);
    Wire::weighted_sum(terms).add_constant(constant)
}

/// `A + S` without an inverse: 3 constraints. Assumed: what the module says.
fn add_fixed<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    a: &PointWires<F>,
    s: &PointWires<F>,
    chord: &Chord<F>,
) -> Result<PointWires<F>, SynthesisError> {
    let slope = cs.wire(|| "slope", chord.slope)?;
    cs.enforce_product(|| "slope", &slope, &s.x.sub(&a.x), &s.y.sub(&a.y));
    let x = cs.wire(|| "x", chord.sum.0)?;
    cs.enforce_product(|| "x", &slope, &slope, &x.add(&a.x).add(&s.x));
    let y = cs.wire(|| "y", chord.sum.1)?;
    cs.enforce_product(|| "y", &slope, &a.x.sub(&x), &y.add(&a.y));
    Ok(PointWires::new(x, y))
}

/// One addition in every row, with one inversion in all.
fn add_rows<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    name: &str,
    accumulators: &[PointWires<F>],
    points: &[PointWires<F>],
) -> Result<Vec<PointWires<F>>, SynthesisError> {
    let values =
        |points: &[PointWires<F>]| points.iter().map(PointWires::value).collect::<Vec<_>>();
    let chords = chords(&values(accumulators), &values(points)).ok_or_else(exceptional)?;
    let rows = accumulators.iter().zip(points).zip(&chords);
    rows.enumerate()
        .map(|(row, ((a, s), chord))| {
            let mut cs = cs.namespace(|| format!("row {row} {name}"));
            add_fixed(&mut cs, a, s, chord)
        })
        .collect()
}

/// `sum_b s_b B_(a,b)` plus an optional constant point, for every row `a`; `bases` is
/// `[base][row]`. The correction is not added.
///
/// # Errors
/// [`SynthesisError::DivisionByZero`] when constants meet an exceptional case,
/// [`SynthesisError::IncompatibleLengthVector`] when lengths differ; those of the system.
pub(super) fn linear_sums<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    scalars: &[Scalar<F>],
    bases: &[Vec<Coordinates<F>>],
    constants: Option<&[Coordinates<F>]>,
    (offset, beta, width): (Coordinates<F>, F, usize),
) -> Result<Vec<Sum<F>>, SynthesisError> {
    let scalars = &own_top_bits(cs, scalars)?;
    let tables = Tables::new(scalars, bases, offset, beta)?;
    let windows = windows(scalars, width);
    let track = !cs.is_witness_generator();
    let corrections = tables.corrections(scalars, windows.len(), constants);
    let corrections = corrections.ok_or_else(exceptional)?;
    let mut accumulators: Vec<PointWires<F>> = Vec::new();
    for (block, chunk) in windows.chunks(WINDOWS_PER_BLOCK).enumerate() {
        let first = block * WINDOWS_PER_BLOCK;
        let selections: Result<Vec<_>, _> = chunk
            .par_iter()
            .enumerate()
            .map(|(i, window)| Selection::new(&tables, first + i, window, track))
            .collect();
        for (i, (window, selection)) in chunk.iter().zip(selections?).enumerate() {
            let index = first + i;
            let monomials = monomials(&mut cs.namespace(|| format!("window {index}")), window)?;
            let points = selection.points(&monomials);
            accumulators = if index == 0 {
                points
            } else {
                add_rows(cs, &format!("window {index}"), &accumulators, &points)?
            };
        }
    }
    let sums = accumulators.into_iter().zip(corrections);
    Ok(sums
        .map(|(accumulator, correction)| Sum {
            accumulator,
            correction,
        })
        .collect())
}

/// Adds the corrections: 3 constraints a row.
///
/// # Errors
/// As for [`linear_sums`].
pub(super) fn corrected<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    sums: &[Sum<F>],
) -> Result<Vec<PointWires<F>>, SynthesisError> {
    let (accumulators, corrections): (Vec<_>, Vec<_>) = sums
        .iter()
        .map(|sum| {
            (
                sum.accumulator.clone(),
                super::curve::constant(sum.correction),
            )
        })
        .unzip();
    add_rows(cs, "correction", &accumulators, &corrections)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ff::Field;
    use foldnet_gadgets::cycle::{Bn254, Cycle};
    use foldnet_gadgets::mock::MockSystem;

    type F = <Bn254 as Cycle>::F;

    /// The attack that the offset excludes: when both points are equal every slope is accepted.
    #[test]
    fn equal_points_leave_the_slope_free() {
        let mut cs = MockSystem::<F>::new();
        let point = PointWires::constant(F::ONE, F::from(2));
        for slope in [3, 4] {
            let slope = F::from(slope);
            let x = slope.square() - F::from(2);
            let sum = (x, slope * (F::ONE - x) - F::from(2));
            let chord = Chord { slope, sum };
            let mut cs = cs.namespace(|| format!("{slope:?}"));
            add_fixed(&mut cs, &point, &point, &chord).unwrap();
        }
        assert!(cs.failures().is_empty());
    }

    #[test]
    fn forms_of_monomials_interpolate_every_table() {
        let values: Vec<F> = (0..8).map(|i| F::from(i * i * i + 5)).collect();
        let mut coefficients = values.clone();
        moebius(&mut coefficients);
        for (value, expected) in values.iter().enumerate() {
            let mut cs = MockSystem::<F>::new();
            let window: Window<F> = (0..3)
                .map(|i| Part::Bit {
                    base: 0,
                    power: i,
                    second: false,
                    bit: cs.boolean(|| format!("{i}"), value >> i & 1 == 1).unwrap(),
                })
                .collect();
            let monomials = monomials(&mut cs, &window).unwrap();
            assert_eq!(monomials.len(), 7);
            assert_eq!(form(&coefficients, &monomials).value(), *expected);
        }
    }
}

//! Kernels over tables of small integers and vectors of field elements.
//!
//! Weights stay 64-bit integers: no kernel turns a table into field elements. A sum
//! `sum_i w_i e_i` is linear in the canonical representative of `e_i`, so it is taken limb by limb
//! over the integers and reduced once: a weight costs four machine products. Weights of 32 bits
//! take one pass; wider ones are split in two digits and take two.

use crate::field::{CircuitField, power_of_two, to_bytes};
use crate::sumcheck::eq_table;
use rayon::prelude::*;

/// Variables of a row in [`evaluate`]: enough to spread the reductions, few enough for the cache.
const LOW_VARIABLES: usize = 8;

/// Rows summed before a reduction in [`combine_rows`].
const ROW_BLOCK: usize = 256;

/// Columns transposed together in [`combine_rows`]: two cache lines of weights.
const COLUMN_TILE: usize = 16;

/// Entries of one reduction in [`inner`]: their limbs fit the first-level cache.
const INNER_CHUNK: usize = 512;

/// Entries of one task in [`accumulate`].
const CHUNK: usize = 4096;

/// The most products that [`Wide`] can sum: each is below `2^96`.
const MAX_PRODUCTS: u64 = 1 << 32;

const _: () = assert!((ROW_BLOCK as u64) < MAX_PRODUCTS && (INNER_CHUNK as u64) < MAX_PRODUCTS);

/// The canonical representative of a field element, 64 bits a limb, least significant first.
type Limbs = [u64; 4];

fn limbs<F: CircuitField>(x: &F) -> Limbs {
    let bytes = to_bytes(x);
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut word = [0; 8];
        word.copy_from_slice(bytes);
        *limb = u64::from_le_bytes(word);
    }
    limbs
}

/// `sum_i digit_i * limbs_i`, a column of products for each limb.
///
/// A product is below `2^64 * 2^32`, so [`MAX_PRODUCTS`] of them fit; callers sum far fewer before
/// they reduce. So nothing overflows, and the wrapping operations only save the checks.
#[derive(Clone, Copy, Default)]
struct Wide([u128; 4]);

impl Wide {
    #[inline(always)]
    fn add_product(&mut self, limbs: &Limbs, digit: u32) {
        for (sum, limb) in self.0.iter_mut().zip(limbs) {
            *sum = sum.wrapping_add(u128::from(*limb).wrapping_mul(u128::from(digit)));
        }
    }

    /// The sum modulo the field: it is below `2^321`, so 31 canonical bytes and ten more.
    fn reduce<F: CircuitField>(&self, shift_248: F) -> F {
        let mut bytes = [0u8; 62];
        let mut carry = 0u128;
        for (i, sum) in self.0.iter().enumerate() {
            // The sum is at most 2^128 - 2^96, the carry below 2^64: no overflow.
            let total = carry.wrapping_add(*sum);
            bytes[8 * i..8 * i + 8].copy_from_slice(&(total as u64).to_le_bytes());
            carry = total >> 64;
        }
        bytes[32..48].copy_from_slice(&carry.to_le_bytes());
        let (low, high) = bytes.split_at(31);
        from_short_bytes::<F>(low) + from_short_bytes::<F>(high) * shift_248
    }
}

/// The element of at most 31 little-endian bytes, which are below every modulus used here.
fn from_short_bytes<F: CircuitField>(bytes: &[u8]) -> F {
    let mut repr = F::Repr::default();
    for (target, source) in repr.as_mut().iter_mut().zip(bytes) {
        *target = *source;
    }
    Option::from(F::from_repr(repr)).unwrap_or(F::ZERO)
}

/// A digit of 32 bits of a weight that is shifted to be non-negative.
#[derive(Clone, Copy)]
enum Digit {
    /// `w + 2^31`, for `-2^31 <= w < 2^31`.
    Whole,
    /// The low half of `w + 2^63`.
    Low,
    /// The high half of `w + 2^63`.
    High,
}

impl Digit {
    #[inline(always)]
    fn of(self, weight: i64) -> u32 {
        match self {
            Digit::Whole => (weight as u64).wrapping_add(1 << 31) as u32,
            Digit::Low => weight as u32,
            Digit::High => ((weight as u64 ^ 1 << 63) >> 32) as u32,
        }
    }
}

/// Whether [`Digit::Whole`] represents every weight.
fn is_narrow(weights: &[i64]) -> bool {
    let high = weights
        .iter()
        .fold(0, |high, w| high | (*w as u64).wrapping_add(1 << 31));
    high >> 32 == 0
}

/// `sum_i e_i w_i` from `sum(digit) = sum_i e_i digit(w_i)` and `total = sum_i e_i`.
fn recombine<F: CircuitField>(
    shifts: &Shifts<F>,
    narrow: bool,
    total: F,
    mut sum: impl FnMut(Digit) -> F,
) -> F {
    if narrow {
        sum(Digit::Whole) - shifts.by_31 * total
    } else {
        sum(Digit::Low) + shifts.by_32 * sum(Digit::High) - shifts.by_63 * total
    }
}

/// The powers of two that reductions need.
#[derive(Clone, Copy)]
struct Shifts<F> {
    by_31: F,
    by_32: F,
    by_63: F,
    by_248: F,
}

impl<F: CircuitField> Shifts<F> {
    fn new() -> Self {
        Shifts {
            by_31: power_of_two(31),
            by_32: power_of_two(32),
            by_63: power_of_two(63),
            by_248: power_of_two(248),
        }
    }
}

/// A vector of field elements as limbs, with its sum.
struct Multipliers<F> {
    limbs: Vec<Limbs>,
    total: F,
    shifts: Shifts<F>,
}

impl<F: CircuitField> Multipliers<F> {
    fn new(elements: &[F], shifts: Shifts<F>) -> Self {
        let limbs = elements.iter().map(limbs).collect();
        Multipliers {
            limbs,
            total: elements.iter().sum(),
            shifts,
        }
    }

    /// `sum_i e_i w_i` for as many weights as there are elements, at most [`MAX_PRODUCTS`].
    fn dot(&self, weights: &[i64]) -> F {
        recombine(&self.shifts, is_narrow(weights), self.total, |digit| {
            let mut sum = Wide::default();
            for (weight, limbs) in weights.iter().zip(&self.limbs) {
                sum.add_product(limbs, digit.of(*weight));
            }
            sum.reduce(self.shifts.by_248)
        })
    }
}

/// `sum_i eq[i] * weights[i]`; the shorter of the two is read as padded with zeros.
///
/// Exact for every `i64`; about two nanoseconds a weight below 32 bits, plus the conversion of
/// `eq`.
pub fn inner<F: CircuitField>(weights: &[i64], eq: &[F]) -> F {
    let length = weights.len().min(eq.len());
    let (weights, eq) = (&weights[..length], &eq[..length]);
    let shifts = Shifts::new();
    let chunks = weights
        .par_chunks(INNER_CHUNK)
        .zip(eq.par_chunks(INNER_CHUNK));
    chunks
        .map(|(weights, eq)| Multipliers::new(eq, shifts).dot(weights))
        .sum()
}

/// `out[h] = sum_c eq[c] * W[h][offset + c]` for every row `h` of the row-major table `W` of
/// `columns` per row that holds a stored weight; entries after the last are zero.
///
/// `offset + eq.len() <= columns`; what of `eq` reaches further is ignored. No rows when `columns`
/// is zero.
pub fn row_products<F: CircuitField>(
    weights: &[i64],
    columns: usize,
    offset: usize,
    eq: &[F],
) -> Vec<F> {
    if columns == 0 {
        return Vec::new();
    }
    let eq = &eq[..eq.len().min(columns.saturating_sub(offset))];
    let multipliers = Multipliers::new(eq, Shifts::new());
    let product = |row: &[i64]| {
        let row = row.get(offset..).unwrap_or_default();
        match row.get(..eq.len()) {
            Some(row) => multipliers.dot(row),
            None => inner(row, eq),
        }
    };
    weights.par_chunks(columns).map(product).collect()
}

/// The multilinear extension of `weights`, padded with zeros to `2^point.len()`, at `point`, most
/// significant variable first.
///
/// The equality weights are split in two halves (Thaler 2013/351), so that each weight is read once
/// and only `2^8 + 2^(ell - 8)` of them are computed. Weights after `2^ell` are ignored.
pub fn evaluate<F: CircuitField>(weights: &[i64], point: &[F]) -> F {
    let (high, low) = point.split_at(point.len().saturating_sub(LOW_VARIABLES));
    let rows = row_products(weights, 1 << low.len(), 0, &eq_table(low));
    rows.iter()
        .zip(eq_table(high))
        .map(|(row, eq)| *row * eq)
        .sum()
}

/// `out[j] = sum_n eq[n] * W[n][j]` for the row-major table `W` of `columns` per row and
/// `eq.len()` rows; a short table reads as padded with zeros, a longer one is cut.
///
/// Exact for every `i64`. Tiles of the table are transposed into digits of 32 bits, so that the
/// sums of a column stay in registers.
pub fn combine_rows<F: CircuitField>(weights: &[i64], columns: usize, eq: &[F]) -> Vec<F> {
    if columns == 0 {
        return Vec::new();
    }
    let shifts = Shifts::new();
    let length = weights.len().min(columns.saturating_mul(eq.len()));
    let blocks: Vec<_> = weights[..length]
        .chunks(columns.saturating_mul(ROW_BLOCK))
        .zip(eq.chunks(ROW_BLOCK))
        .map(|(weights, eq)| (weights, Multipliers::new(eq, shifts)))
        .collect();
    let tile = |start: usize| {
        let width = COLUMN_TILE.min(columns - start);
        let sums = blocks.par_iter().map(|(weights, multipliers)| {
            combine_tile(weights, columns, start, width, multipliers)
        });
        sums.reduce(
            || [F::ZERO; COLUMN_TILE],
            |a, b| std::array::from_fn(|i| a[i] + b[i]),
        )
    };
    let starts: Vec<usize> = (0..columns).step_by(COLUMN_TILE).collect();
    let tiles: Vec<[F; COLUMN_TILE]> = starts.into_par_iter().map(tile).collect();
    let mut out: Vec<F> = tiles.into_iter().flatten().collect();
    out.truncate(columns);
    out
}

/// [`combine_rows`] for at most [`ROW_BLOCK`] rows and the columns `start..start + width`.
fn combine_tile<F: CircuitField>(
    weights: &[i64],
    columns: usize,
    start: usize,
    width: usize,
    multipliers: &Multipliers<F>,
) -> [F; COLUMN_TILE] {
    let mut out = [F::ZERO; COLUMN_TILE];
    let rows = || {
        weights.chunks(columns).map(|row| {
            let row = row.get(start..).unwrap_or_default();
            row.get(..width).unwrap_or(row)
        })
    };
    let shifts = &multipliers.shifts;
    let mut digits = [[0u32; ROW_BLOCK]; COLUMN_TILE];
    let mut sums = |digit: Digit| -> [F; COLUMN_TILE] {
        // Missing weights are zeros, whose digits are not.
        digits = [[digit.of(0); ROW_BLOCK]; COLUMN_TILE];
        for (n, row) in rows().enumerate() {
            for (column, weight) in digits.iter_mut().zip(row) {
                column[n] = digit.of(*weight);
            }
        }
        let mut sums = [F::ZERO; COLUMN_TILE];
        for (out, digits) in sums.iter_mut().zip(&digits).take(width) {
            let mut sum = Wide::default();
            for (limbs, digit) in multipliers.limbs.iter().zip(digits) {
                sum.add_product(limbs, *digit);
            }
            *out = sum.reduce(shifts.by_248);
        }
        sums
    };
    if rows().all(is_narrow) {
        let whole = sums(Digit::Whole);
        let offset = shifts.by_31 * multipliers.total;
        for (out, whole) in out.iter_mut().zip(whole) {
            *out = whole - offset;
        }
    } else {
        let (low, high) = (sums(Digit::Low), sums(Digit::High));
        let offset = shifts.by_63 * multipliers.total;
        for (out, (low, high)) in out.iter_mut().zip(low.into_iter().zip(high)) {
            *out = low + shifts.by_32 * high - offset;
        }
    }
    out
}

/// `acc[i] += beta * weights[i]` for every weight; `acc` must be as long as `weights`, what reaches
/// further is ignored.
///
/// Exact for every `i64`. The multiples of `beta` by every byte at every position are tabulated,
/// so that a weight of 8 bits more costs one addition more and none costs a multiplication.
pub fn accumulate<F: CircuitField>(acc: &mut [F], beta: F, weights: &[i64]) {
    let magnitude = weights
        .par_chunks(CHUNK)
        .map(magnitude_bits)
        .reduce(|| 0, |a, b| a | b);
    match (u64::BITS - magnitude.leading_zeros()) / 8 {
        0 => add_multiples::<F, 1>(acc, beta, weights),
        1 => add_multiples::<F, 2>(acc, beta, weights),
        2 => add_multiples::<F, 3>(acc, beta, weights),
        3 => add_multiples::<F, 4>(acc, beta, weights),
        _ => add_multiples::<F, 8>(acc, beta, weights),
    }
}

/// The bits set in any magnitude, `-1 - w` for a negative weight.
fn magnitude_bits(weights: &[i64]) -> u64 {
    weights
        .iter()
        .fold(0, |bits, weight| bits | (*weight ^ *weight >> 63) as u64)
}

/// [`accumulate`] for weights of `8 * BYTES` bits, sign included.
fn add_multiples<F: CircuitField, const BYTES: usize>(acc: &mut [F], beta: F, weights: &[i64]) {
    let tables = multiples::<F, BYTES>(beta);
    acc.par_chunks_mut(CHUNK)
        .zip(weights.par_chunks(CHUNK))
        .for_each(|(acc, weights)| {
            for (entry, weight) in acc.iter_mut().zip(weights) {
                let bytes = weight.to_le_bytes();
                let mut multiple = tables[0][usize::from(bytes[0])];
                for (table, byte) in tables.iter().zip(bytes).skip(1) {
                    multiple += table[usize::from(byte)];
                }
                *entry += multiple;
            }
        });
}

/// `tables[k][b] = b * 2^(8k) * beta`, where the last byte is signed.
fn multiples<F: CircuitField, const BYTES: usize>(beta: F) -> Box<[[F; 256]; BYTES]> {
    let mut tables = Box::new([[F::ZERO; 256]; BYTES]);
    let mut unit = beta;
    for (k, table) in tables.iter_mut().enumerate() {
        let mut multiple = F::ZERO;
        for entry in table.iter_mut() {
            *entry = multiple;
            multiple += unit;
        }
        if k + 1 == BYTES {
            for entry in &mut table[128..] {
                *entry -= multiple;
            }
        }
        unit = multiple;
    }
    tables
}

//! Many multiples of one point: windows of precomputed multiples and affine additions that share
//! their inversions (Montgomery 1987, section 10.3.1).
//!
//! An affine addition with a shared inversion costs about six multiplications, a mixed projective
//! one eleven.

use super::Fr;
use ff::Field;
use foldnet_gadgets::field::to_bytes;
use halo2curves::bn256::{Fq, Fq2, G1, G1Affine, G2, G2Affine};
use halo2curves::group::{Curve, Group};
use rayon::prelude::*;

/// Points that are computed together and share each inversion.
const BATCH: usize = 512;

/// An affine point with visible coordinates; (0, 0) stands for infinity.
pub(super) trait Affine: Copy + Send + Sync + PartialEq {
    /// The field of the coordinates.
    type Base: Field;
    /// The projective form.
    type Projective: Group + Curve<AffineRepr = Self>;
    /// The point of the given coordinates, which nothing checks.
    fn new(x: Self::Base, y: Self::Base) -> Self;
    /// Both coordinates.
    fn coordinates(&self) -> (Self::Base, Self::Base);
    /// Adds to a projective point.
    fn add_to(&self, sum: &mut Self::Projective);
}

macro_rules! affine {
    ($affine:ident, $projective:ident, $base:ident) => {
        impl Affine for $affine {
            type Base = $base;
            type Projective = $projective;
            fn new(x: $base, y: $base) -> Self {
                $affine { x, y }
            }
            fn coordinates(&self) -> ($base, $base) {
                (self.x, self.y)
            }
            fn add_to(&self, sum: &mut $projective) {
                *sum += self;
            }
        }
    };
}

affine!(G1Affine, G1, Fq);
affine!(G2Affine, G2, Fq2);

/// Inverts all entries that are not zero with one inversion.
pub(super) fn invert_all<F: Field>(values: &mut [F]) {
    let mut product = F::ONE;
    let mut before = Vec::with_capacity(values.len());
    for value in values.iter().filter(|value| !value.is_zero_vartime()) {
        before.push(product);
        product *= value;
    }
    let mut inverse = product.invert().unwrap_or(F::ZERO);
    let nonzero = values.iter_mut().filter(|value| !value.is_zero_vartime());
    for (value, before) in nonzero.rev().zip(before.into_iter().rev()) {
        let next = inverse * *value;
        *value = inverse * before;
        inverse = next;
    }
}

/// Multiples `d 2^(w i) P` of a point, for all digits `0 < d <= 2^(w-1)` and windows i.
pub(super) struct Multiples<C: Affine> {
    window: usize,
    rows: Vec<Vec<C>>,
}

impl<C: Affine> Multiples<C> {
    /// A table for about `count` scalars.
    pub(super) fn new(base: &C::Projective, count: usize) -> Self {
        let window = (count.max(1).ilog2() as usize * 7 / 10).clamp(3, 14);
        // 254 bits and the carry out of the highest digit.
        let rows = 255usize.div_ceil(window);
        let mut starts = vec![*base];
        for _ in 1..rows {
            let last = starts[starts.len() - 1];
            starts.push((0..window).fold(last, |point, _| point.double()));
        }
        let rows = starts
            .par_iter()
            .map(|start| Self::multiples(start, 1 << (window - 1)))
            .collect();
        Multiples { window, rows }
    }

    fn multiples(start: &C::Projective, count: usize) -> Vec<C> {
        let step = start.to_affine();
        let mut sum = C::Projective::identity();
        let projective: Vec<_> = (0..count)
            .map(|_| {
                step.add_to(&mut sum);
                sum
            })
            .collect();
        let infinity = C::new(C::Base::ZERO, C::Base::ZERO);
        let mut affine = vec![infinity; count];
        C::Projective::batch_normalize(&projective, &mut affine);
        affine
    }

    /// The products of the point with all scalars.
    pub(super) fn all(&self, scalars: &[Fr]) -> Vec<C> {
        let infinity = C::new(C::Base::ZERO, C::Base::ZERO);
        let mut products = vec![infinity; scalars.len()];
        products
            .par_chunks_mut(BATCH)
            .zip(scalars.par_chunks(BATCH))
            .for_each(|(products, scalars)| self.batch(products, scalars));
        products
    }

    fn batch(&self, products: &mut [C], scalars: &[Fr]) {
        let digits: Vec<Vec<i32>> = scalars.iter().map(|scalar| self.digits(scalar)).collect();
        let mut addends = products.to_vec();
        for (window, row) in self.rows.iter().enumerate() {
            for (addend, digits) in addends.iter_mut().zip(&digits) {
                *addend = multiple(row, digits[window]);
            }
            add_all(products, &addends);
        }
    }

    /// Signed digits of a scalar, lowest first: `-2^(w-1) < d <= 2^(w-1)`.
    fn digits(&self, scalar: &Fr) -> Vec<i32> {
        let bytes = to_bytes(scalar);
        let mut carry = 0;
        (0..self.rows.len())
            .map(|i| {
                let digit = bits(&bytes, i * self.window, self.window) as i32 + carry;
                carry = i32::from(digit > 1 << (self.window - 1));
                digit - (carry << self.window)
            })
            .collect()
    }
}

/// `count <= 16` bits of a little-endian number from bit `start`; bits beyond its end are zero.
fn bits(bytes: &[u8; 32], start: usize, count: usize) -> u32 {
    let byte = |i: usize| u32::from(bytes.get(i).copied().unwrap_or(0));
    let first = start / 8;
    let word = byte(first) | byte(first + 1) << 8 | byte(first + 2) << 16;
    (word >> (start % 8)) & ((1 << count) - 1)
}

fn multiple<C: Affine>(row: &[C], digit: i32) -> C {
    if digit == 0 {
        return C::new(C::Base::ZERO, C::Base::ZERO);
    }
    let point = row[digit.unsigned_abs() as usize - 1];
    if digit > 0 {
        return point;
    }
    let (x, y) = point.coordinates();
    C::new(x, -y)
}

/// Adds two lists of points, entry by entry; all cases of the group law are handled.
fn add_all<C: Affine>(sums: &mut [C], addends: &[C]) {
    let mut numerators = Vec::with_capacity(sums.len());
    let mut denominators = Vec::with_capacity(sums.len());
    for (sum, addend) in sums.iter_mut().zip(addends) {
        let (numerator, denominator) = slope(sum, addend);
        numerators.push(numerator);
        denominators.push(denominator);
    }
    invert_all(&mut denominators);
    let slopes = numerators.into_iter().zip(denominators);
    for ((sum, addend), (numerator, inverse)) in sums.iter_mut().zip(addends).zip(slopes) {
        if inverse.is_zero_vartime() {
            continue;
        }
        let slope = numerator * inverse;
        let ((x1, y1), (x2, _)) = (sum.coordinates(), addend.coordinates());
        let x = slope.square() - x1 - x2;
        *sum = C::new(x, slope * (x1 - x) - y1);
    }
}

/// Numerator and denominator of the slope of the line through two points. A denominator of zero
/// says that the sum is already in place.
fn slope<C: Affine>(sum: &mut C, addend: &C) -> (C::Base, C::Base) {
    let zero = C::Base::ZERO;
    let infinity = C::new(zero, zero);
    if *addend == infinity {
        return (zero, zero);
    }
    if *sum == infinity {
        *sum = *addend;
        return (zero, zero);
    }
    let ((x1, y1), (x2, y2)) = (sum.coordinates(), addend.coordinates());
    if x1 != x2 {
        return (y2 - y1, x2 - x1);
    }
    if y1 != y2 {
        *sum = infinity;
        return (zero, zero);
    }
    let square = x1.square();
    (square.double() + square, y1.double())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees<C>(count: usize)
    where
        C: Affine + std::fmt::Debug,
        C::Projective: std::ops::Mul<Fr, Output = C::Projective>,
    {
        let base = C::Projective::generator().double();
        let mut scalars = vec![Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(2), Fr::from(u64::MAX)];
        scalars.extend((0..20).map(|i| Fr::from(i + 7).invert().unwrap()));
        let products = Multiples::<C>::new(&base, count).all(&scalars);
        for (scalar, product) in scalars.iter().zip(&products) {
            assert_eq!((base * *scalar).to_affine(), *product);
        }
    }

    #[test]
    fn multiples_agree_with_double_and_add() {
        for count in [1, 1000, 1 << 14, 1 << 20] {
            agrees::<G1Affine>(count);
        }
        agrees::<G2Affine>(5000);
    }

    #[test]
    fn sums_handle_equal_opposite_and_infinite_points() {
        let infinity = G1Affine::new(Fq::ZERO, Fq::ZERO);
        let point = G1::generator().to_affine();
        let double = G1::generator().double().to_affine();
        let mut sums = [point, point, infinity, infinity, point];
        add_all(&mut sums, &[point, -point, point, infinity, infinity]);
        assert_eq!(sums, [double, infinity, point, infinity, point]);
    }

    #[test]
    fn inversion_skips_zeros() {
        let mut values = [Fr::ZERO, Fr::from(2), Fr::ZERO, Fr::from(3)];
        invert_all(&mut values);
        let expected = [2u64, 3].map(|x| Fr::from(x).invert().unwrap());
        assert_eq!(values, [Fr::ZERO, expected[0], Fr::ZERO, expected[1]]);
    }
}

//! Eight point additions at a time, with the 52-bit multiply-add of AVX-512.
//!
//! Coordinates are in Montgomery form with `R = 2^260`. In memory they are below the modulus `p` and
//! take four words; in registers a vector holds one limb of 52 bits of eight coordinates. Moduli have
//! at most 255 bits, so sums of a few coordinates stay far below `2^260`.
//!
//! Every method of [`Lanes`] says how large its operands may be and its result is, in multiples of
//! `p`.
//!
//! Source: Gueron and Krasnov 2016 for the representation; Montgomery 1985 for the reduction.

use super::affine::{Arithmetic, Pair, add_exceptional, coordinates};
use super::limbs::{self, Words};
use core::arch::x86_64::__m512i;
use ff::Field;
use halo2curves::CurveAffine;
use pulp::NullaryFnOnce;
use rayon::prelude::*;

pulp::simd_type! {
    /// Proof that the processor has what this module needs.
    struct Features {
        sse: "sse",
        sse2: "sse2",
        avx: "avx",
        avx2: "avx2",
        bmi1: "bmi1",
        bmi2: "bmi2",
        avx512f: "avx512f",
        avx512dq: "avx512dq",
        avx512vl: "avx512vl",
        avx512ifma: "avx512ifma",
    }
}

/// Lanes of a vector.
const LANES: usize = 8;

/// Bits of a limb.
const LIMB_BITS: u32 = 52;

/// Limbs of a coordinate.
const LIMBS: usize = 5;

const MASK: u64 = (1 << LIMB_BITS) - 1;

/// Points that are converted in one task.
const PACK_CHUNK: usize = 1024;

/// A point: four words of `x`, four of `y`. The highest bit of `y`, which no coordinate has, says that
/// the inverse of the point is meant. The identity has a first word that is no coordinate's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub(super) struct Packed([u64; LANES]);

/// The bit that says that the inverse of a point is meant.
const SIGN: u64 = 1 << 63;

/// The identity: `x = 2^256 - 1`.
const IDENTITY: Packed = Packed([u64::MAX, u64::MAX, u64::MAX, u64::MAX, 0, 0, 0, 0]);

/// The most that the highest limb of a coordinate below `2^255` is.
const LARGEST_TOP: u64 = (1 << 47) - 1;

type Limbs = [u64; LIMBS];

/// One limb of eight coordinates in each vector.
type Coordinate = [__m512i; LIMBS];

/// The eight words of eight points, word by word.
type Columns = [__m512i; LANES];

/// The vector arithmetic of a curve.
#[derive(Clone, Copy)]
pub(super) struct Vectors<A: CurveAffine> {
    features: Features,
    modulus: Limbs,
    twice: Limbs,
    /// `-1 / p` modulo `2^52`.
    inverse: u64,
    /// `R mod p`: the Montgomery form of one.
    one: Limbs,
    /// `R^2 mod p`, which brings a canonical coordinate into Montgomery form.
    square: Limbs,
    /// `R^2` as an element.
    square_element: A::Base,
    /// `1 / R`, which undoes the Montgomery form.
    radix_inverse: A::Base,
}

impl<A: CurveAffine> Vectors<A> {
    /// The arithmetic, if the processor has it.
    pub(super) fn new() -> Option<Self> {
        let features = Features::try_new()?;
        let largest = limbs::words(&-A::Base::ONE)?;
        let modulus = limbs::add(largest, [1, 0, 0, 0]);
        let twice = limbs::add(modulus, modulus);
        let radix = A::Base::from(2).pow_vartime([u64::from(LIMB_BITS) * LIMBS as u64]);
        let square = radix.square();
        Some(Vectors {
            features,
            modulus: split(modulus),
            twice: split(twice),
            inverse: limbs::negated_inverse(modulus[0]) & MASK,
            one: split(limbs::words(&radix)?),
            square: split(limbs::words(&square)?),
            square_element: square,
            radix_inverse: Option::from(radix.invert())?,
        })
    }
}

/// Four words as five limbs.
fn split([a, b, c, d]: Words) -> Limbs {
    [
        a & MASK,
        (a >> 52 | b << 12) & MASK,
        (b >> 40 | c << 24) & MASK,
        (c >> 28 | d << 36) & MASK,
        d >> 16,
    ]
}

impl<A: CurveAffine> Arithmetic<A> for Vectors<A> {
    type Point = Packed;
    type Scratch = Vec<Step>;

    const IDENTITY: Packed = IDENTITY;

    fn pack(&self, points: &[A]) -> Vec<Packed> {
        let mut packed: Vec<Packed> = points
            .par_iter()
            .with_min_len(PACK_CHUNK)
            .map(|point| {
                let [x, y] = coordinates(point).map(|c| limbs::words(&c).unwrap_or_default());
                Packed([x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]])
            })
            .collect();
        packed.par_chunks_mut(PACK_CHUNK).for_each(|points| {
            self.features.vectorize(Convert {
                arithmetic: self,
                points,
            });
        });
        // Zeros stay zeros in Montgomery form.
        for (packed, point) in packed.iter_mut().zip(points) {
            if bool::from(point.is_identity()) {
                *packed = IDENTITY;
            }
        }
        packed
    }

    fn unpack(&self, point: &Packed) -> A {
        let Packed([x0, x1, x2, x3, y0, y1, y2, y3]) = *point;
        let value = |words| limbs::element::<A::Base>(words) * self.radix_inverse;
        if *point == IDENTITY {
            return A::identity();
        }
        let y = value([y0, y1, y2, y3 & !SIGN]);
        let y = if y3 & SIGN == 0 { y } else { -y };
        Option::from(A::from_xy(value([x0, x1, x2, x3]), y)).unwrap_or_else(A::identity)
    }

    #[inline(always)]
    fn signed(&self, point: &Packed, negative: bool) -> Packed {
        let mut signed = *point;
        let [.., top] = &mut signed.0;
        *top ^= u64::from(negative) << 63;
        signed
    }

    fn add_pairs(&self, points: &mut [Packed], pairs: &[Pair], scratch: &mut Vec<Step>) {
        self.features.vectorize(AddPairs {
            arithmetic: self,
            points,
            pairs,
            scratch,
        });
    }
}

impl<A: CurveAffine> Vectors<A> {
    /// The inverses of eight Montgomery forms; of zeros, zeros.
    fn invert(&self, values: [Words; LANES]) -> [Words; LANES] {
        // x R inverted is R^-1 / x, and R / x is asked for.
        let mut elements = values.map(limbs::element::<A::Base>);
        let mut products = [A::Base::ONE; LANES];
        let mut product = A::Base::ONE;
        for (before, element) in products.iter_mut().zip(&elements) {
            *before = product;
            product *= element;
        }
        let mut inverse = product.invert().unwrap_or(A::Base::ZERO);
        for (element, before) in elements.iter_mut().zip(products).rev() {
            let next = inverse * *element;
            *element = inverse * before * self.square_element;
            inverse = next;
        }
        elements.map(|element| limbs::words(&element).unwrap_or_default())
    }

    /// The sum of two points, one of the exceptional cases of the addition law.
    #[cold]
    fn exceptional(&self, p: &Packed, q: &Packed) -> Packed {
        let sum = add_exceptional(self.unpack(p), self.unpack(q));
        self.pack(&[sum]).first().copied().unwrap_or(IDENTITY)
    }
}

/// Brings canonical coordinates into Montgomery form.
struct Convert<'a, A: CurveAffine> {
    arithmetic: &'a Vectors<A>,
    points: &'a mut [Packed],
}

impl<A: CurveAffine> NullaryFnOnce for Convert<'_, A> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let lanes = Lanes::new(self.arithmetic);
        let square = lanes.broadcast(self.arithmetic.square);
        for points in self.points.chunks_mut(LANES) {
            let mut rows = [square[0]; LANES];
            for (row, point) in rows.iter_mut().zip(points.iter()) {
                *row = pulp::cast(point.0);
            }
            let [x, y] = lanes.load(&rows);
            let x = lanes.reduce(lanes.multiply(&x, &square));
            let y = lanes.reduce(lanes.multiply(&y, &square));
            let rows = lanes.store(&[x, y]);
            for (point, row) in points.iter_mut().zip(rows) {
                point.0 = pulp::cast(row);
            }
        }
    }
}

/// What the second pass over eight pairs needs from the first.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// The product of the differences of all groups after this one.
    product: Coordinate,
    /// Lanes whose first operand is the identity, whose second is, and whose operands have the same
    /// abscissa.
    masks: [u8; 3],
}

struct AddPairs<'a, A: CurveAffine> {
    arithmetic: &'a Vectors<A>,
    points: &'a mut [Packed],
    pairs: &'a [Pair],
    scratch: &'a mut Vec<Step>,
}

impl<A: CurveAffine> NullaryFnOnce for AddPairs<'_, A> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let AddPairs {
            arithmetic,
            points,
            pairs,
            scratch,
        } = self;
        let lanes = Lanes::new(arithmetic);
        let one = lanes.broadcast(arithmetic.one);
        scratch.clear();
        let mut product = one;
        for group in pairs.chunks(LANES).rev() {
            let [x1, _] = lanes.load(&gather(points, group, 0));
            let [x2, _] = lanes.load(&gather(points, group, 1));
            let (first, second) = (lanes.is_identity(&x1), lanes.is_identity(&x2));
            let equal = lanes.is_equal(&x1, &x2) & !(first | second);
            let masks = [first, second, equal];
            let difference = lanes.difference(&x1, &x2, masks, &one);
            scratch.push(Step { product, masks });
            product = lanes.multiply(&product, &difference);
        }
        let words = lanes.words(lanes.reduce(product));
        let mut inverse = lanes.load_words(&arithmetic.invert(words));
        for (group, step) in pairs.chunks(LANES).zip(scratch.iter().rev()) {
            let rows1 = gather(points, group, 0);
            let rows2 = gather(points, group, 1);
            let p = lanes.load(&rows1);
            let q = lanes.load(&rows2);
            let quotient = lanes.multiply(&inverse, &step.product);
            let difference = lanes.difference(&p[0], &q[0], step.masks, &one);
            inverse = lanes.multiply(&inverse, &difference);
            let sum = lanes.add_points(&p, &q, &quotient);
            let [first, second, exceptional] = step.masks;
            let sum = lanes.store(&sum);
            for (lane, (pair, row)) in group.iter().zip(sum).enumerate() {
                let bit = 1u8 << lane;
                let value = if first & bit != 0 {
                    Packed(pulp::cast(rows2[lane]))
                } else if second & bit != 0 {
                    Packed(pulp::cast(rows1[lane]))
                } else if exceptional & bit != 0 {
                    arithmetic.exceptional(
                        &Packed(pulp::cast(rows1[lane])),
                        &Packed(pulp::cast(rows2[lane])),
                    )
                } else {
                    Packed(pulp::cast(row))
                };
                points[pair.to as usize] = value;
            }
        }
    }
}

/// The operands of a group; the last pair fills what is missing.
#[inline(always)]
fn gather(points: &[Packed], group: &[Pair], side: usize) -> Columns {
    let last = group.len() - 1;
    let mut rows: Columns = pulp::cast([[0u64; LANES]; LANES]);
    for (lane, row) in rows.iter_mut().enumerate() {
        let pair = group[lane.min(last)];
        *row = pulp::cast(points[pair.from as usize + side].0);
    }
    rows
}

/// Arithmetic on vectors, inside a function compiled for the features.
#[derive(Clone, Copy)]
struct Lanes {
    features: Features,
    modulus: Coordinate,
    twice: Coordinate,
    inverse: __m512i,
    mask: __m512i,
}

impl Lanes {
    #[inline(always)]
    fn new<A: CurveAffine>(arithmetic: &Vectors<A>) -> Self {
        let features = arithmetic.features;
        let splat = |x: u64| features.avx512f._mm512_set1_epi64(x.cast_signed());
        Lanes {
            features,
            modulus: arithmetic.modulus.map(splat),
            twice: arithmetic.twice.map(splat),
            inverse: splat(arithmetic.inverse),
            mask: splat(MASK),
        }
    }

    #[inline(always)]
    fn broadcast(&self, limbs: Limbs) -> Coordinate {
        limbs.map(|limb| self.features.avx512f._mm512_set1_epi64(limb.cast_signed()))
    }

    /// Transposes eight words of eight points.
    #[inline(always)]
    fn transpose(&self, r: &Columns) -> Columns {
        let f = self.features.avx512f;
        let low = |a, b| f._mm512_unpacklo_epi64(r[a], r[b]);
        let high = |a, b| f._mm512_unpackhi_epi64(r[a], r[b]);
        let even = self.interleave([low(0, 1), low(2, 3), low(4, 5), low(6, 7)]);
        let odd = self.interleave([high(0, 1), high(2, 3), high(4, 5), high(6, 7)]);
        [
            even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3],
        ]
    }

    /// Transposes four by four pairs of words.
    #[inline(always)]
    fn interleave(&self, t: [__m512i; 4]) -> [__m512i; 4] {
        let f = self.features.avx512f;
        let a = f._mm512_shuffle_i64x2::<0x44>(t[0], t[1]);
        let b = f._mm512_shuffle_i64x2::<0xEE>(t[0], t[1]);
        let c = f._mm512_shuffle_i64x2::<0x44>(t[2], t[3]);
        let d = f._mm512_shuffle_i64x2::<0xEE>(t[2], t[3]);
        [
            f._mm512_shuffle_i64x2::<0x88>(a, c),
            f._mm512_shuffle_i64x2::<0xDD>(a, c),
            f._mm512_shuffle_i64x2::<0x88>(b, d),
            f._mm512_shuffle_i64x2::<0xDD>(b, d),
        ]
    }

    /// Four words of eight coordinates as limbs.
    #[inline(always)]
    fn split(&self, w: [__m512i; 4]) -> Coordinate {
        let f = self.features.avx512f;
        let and = |x| f._mm512_and_si512(x, self.mask);
        let or = |a, b| f._mm512_or_si512(a, b);
        [
            and(w[0]),
            and(or(
                f._mm512_srli_epi64::<52>(w[0]),
                f._mm512_slli_epi64::<12>(w[1]),
            )),
            and(or(
                f._mm512_srli_epi64::<40>(w[1]),
                f._mm512_slli_epi64::<24>(w[2]),
            )),
            and(or(
                f._mm512_srli_epi64::<28>(w[2]),
                f._mm512_slli_epi64::<36>(w[3]),
            )),
            f._mm512_srli_epi64::<16>(w[3]),
        ]
    }

    /// Limbs of eight coordinates as four words.
    #[inline(always)]
    fn join(&self, l: &Coordinate) -> [__m512i; 4] {
        let f = self.features.avx512f;
        let or = |a, b| f._mm512_or_si512(a, b);
        [
            or(l[0], f._mm512_slli_epi64::<52>(l[1])),
            or(
                f._mm512_srli_epi64::<12>(l[1]),
                f._mm512_slli_epi64::<40>(l[2]),
            ),
            or(
                f._mm512_srli_epi64::<24>(l[2]),
                f._mm512_slli_epi64::<28>(l[3]),
            ),
            or(
                f._mm512_srli_epi64::<36>(l[3]),
                f._mm512_slli_epi64::<16>(l[4]),
            ),
        ]
    }

    /// Both coordinates of eight points, with their signs; `y <= p`.
    #[inline(always)]
    fn load(&self, rows: &Columns) -> [Coordinate; 2] {
        let f = self.features.avx512f;
        let [x0, x1, x2, x3, y0, y1, y2, y3] = self.transpose(rows);
        let negative = f._mm512_cmplt_epi64_mask(y3, f._mm512_setzero_si512());
        let top = f._mm512_srli_epi64::<1>(f._mm512_slli_epi64::<1>(y3));
        let y = self.split([y0, y1, y2, top]);
        let negated = self.carry(self.minus(&self.modulus, &y));
        [
            self.split([x0, x1, x2, x3]),
            self.select(negative, &y, &negated),
        ]
    }

    /// Eight points of reduced coordinates.
    #[inline(always)]
    fn store(&self, [x, y]: &[Coordinate; 2]) -> Columns {
        let [x0, x1, x2, x3] = self.join(x);
        let [y0, y1, y2, y3] = self.join(y);
        self.transpose(&[x0, x1, x2, x3, y0, y1, y2, y3])
    }

    #[inline(always)]
    fn words(&self, x: Coordinate) -> [Words; LANES] {
        let columns: [[u64; LANES]; 4] = self.join(&x).map(pulp::cast);
        std::array::from_fn(|lane| std::array::from_fn(|i| columns[i][lane]))
    }

    #[inline(always)]
    fn load_words(&self, words: &[Words; LANES]) -> Coordinate {
        let column = |i: usize| -> __m512i {
            let column: [u64; LANES] = std::array::from_fn(|lane| words[lane][i]);
            pulp::cast(column)
        };
        self.split([column(0), column(1), column(2), column(3)])
    }

    #[inline(always)]
    fn low(&self, sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        self.features.avx512ifma._mm512_madd52lo_epu64(sum, a, b)
    }

    #[inline(always)]
    fn high(&self, sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        self.features.avx512ifma._mm512_madd52hi_epu64(sum, a, b)
    }

    /// `a b / R`, below `p + p a b / 2^260` for operands that are multiples `a`, `b` of `p`.
    #[inline(always)]
    fn multiply(&self, a: &Coordinate, b: &Coordinate) -> Coordinate {
        let f = self.features.avx512f;
        let zero = f._mm512_setzero_si512();
        let mut t = [zero; 2 * LIMBS];
        for i in 0..LIMBS {
            for j in 0..LIMBS {
                t[i + j] = self.low(t[i + j], a[i], b[j]);
                t[i + j + 1] = self.high(t[i + j + 1], a[i], b[j]);
            }
        }
        for i in 0..LIMBS {
            let m = self.low(zero, t[i], self.inverse);
            for j in 0..LIMBS {
                t[i + j] = self.low(t[i + j], m, self.modulus[j]);
                t[i + j + 1] = self.high(t[i + j + 1], m, self.modulus[j]);
            }
            let carry = f._mm512_srli_epi64::<LIMB_BITS>(t[i]);
            t[i + 1] = f._mm512_add_epi64(t[i + 1], carry);
        }
        self.carry([t[5], t[6], t[7], t[8], t[9]])
    }

    /// Carries between limbs, which may be negative; the number they make up must not be.
    #[inline(always)]
    fn carry(&self, mut t: Coordinate) -> Coordinate {
        let f = self.features.avx512f;
        for i in 0..LIMBS - 1 {
            let carry = f._mm512_srai_epi64::<LIMB_BITS>(t[i]);
            t[i + 1] = f._mm512_add_epi64(t[i + 1], carry);
            t[i] = f._mm512_and_si512(t[i], self.mask);
        }
        t
    }

    #[inline(always)]
    fn plus(&self, a: &Coordinate, b: &Coordinate) -> Coordinate {
        let f = self.features.avx512f;
        let mut r = *a;
        for i in 0..LIMBS {
            r[i] = f._mm512_add_epi64(a[i], b[i]);
        }
        r
    }

    #[inline(always)]
    fn minus(&self, a: &Coordinate, b: &Coordinate) -> Coordinate {
        let f = self.features.avx512f;
        let mut r = *a;
        for i in 0..LIMBS {
            r[i] = f._mm512_sub_epi64(a[i], b[i]);
        }
        r
    }

    /// `a - b + p` for `b <= p`.
    #[inline(always)]
    fn subtract(&self, a: &Coordinate, b: &Coordinate) -> Coordinate {
        self.carry(self.plus(&self.minus(a, b), &self.modulus))
    }

    /// `a mod p` for `a < 4 p`.
    #[inline(always)]
    fn reduce(&self, a: Coordinate) -> Coordinate {
        self.reduce_once(self.reduce_once(a, &self.twice), &self.modulus)
    }

    #[inline(always)]
    fn reduce_once(&self, a: Coordinate, modulus: &Coordinate) -> Coordinate {
        let f = self.features.avx512f;
        let less = self.carry(self.minus(&a, modulus));
        let negative = f._mm512_cmplt_epi64_mask(less[LIMBS - 1], f._mm512_setzero_si512());
        self.select(negative, &less, &a)
    }

    /// `b` in the lanes of the mask, `a` in the others.
    #[inline(always)]
    fn select(&self, mask: u8, a: &Coordinate, b: &Coordinate) -> Coordinate {
        let f = self.features.avx512f;
        let mut r = *a;
        for i in 0..LIMBS {
            r[i] = f._mm512_mask_blend_epi64(mask, a[i], b[i]);
        }
        r
    }

    /// The lanes whose abscissa is that of the identity.
    #[inline(always)]
    fn is_identity(&self, x: &Coordinate) -> u8 {
        let f = self.features.avx512f;
        let largest = f._mm512_set1_epi64(LARGEST_TOP.cast_signed());
        f._mm512_cmpgt_epi64_mask(x[LIMBS - 1], largest)
    }

    #[inline(always)]
    fn is_equal(&self, a: &Coordinate, b: &Coordinate) -> u8 {
        let f = self.features.avx512f;
        let mut different = f._mm512_setzero_si512();
        for i in 0..LIMBS {
            different = f._mm512_or_si512(different, f._mm512_xor_si512(a[i], b[i]));
        }
        f._mm512_testn_epi64_mask(different, different)
    }

    /// `b - a`, or one in the lanes of the masks, where there is no quotient to take.
    #[inline(always)]
    fn difference(
        &self,
        a: &Coordinate,
        b: &Coordinate,
        [first, second, equal]: [u8; 3],
        one: &Coordinate,
    ) -> Coordinate {
        self.select(first | second | equal, &self.subtract(b, a), one)
    }

    /// The sums of points with `quotient = 1 / (q.x - p.x)`; coordinates are reduced.
    #[inline(always)]
    fn add_points(
        &self,
        [px, py]: &[Coordinate; 2],
        [qx, qy]: &[Coordinate; 2],
        quotient: &Coordinate,
    ) -> [Coordinate; 2] {
        let slope = self.multiply(&self.subtract(qy, py), quotient);
        let square = self.multiply(&slope, &slope);
        let both = self.plus(px, qx);
        let x = self.carry(self.plus(&self.minus(&square, &both), &self.twice));
        let x = self.reduce(x);
        let y = self.multiply(&slope, &self.subtract(px, &x));
        [x, self.reduce(self.subtract(&y, py))]
    }
}

//! Multi-scalar multiplication `sum_i s_i B_i` with fixed bases.
//!
//! * Signed scalars: the smaller of `s` and `p - s` counts, with a sign (as in nova-snark).
//! * Scalars are grouped by length, so that short ones take few windows.
//! * Points of equal long scalars are added up first. The inverses of a lookup, for instance, take no
//!   more values than its table has rows.
//! * Buckets are summed in affine coordinates, many additions an inversion; on processors with the
//!   52-bit multiply-add of AVX-512, eight additions at a time.
//!
//! The time taken depends on the scalars.
//!
//! Sources: Pippenger 1976; Bernstein, Doumen, Lange, Oosterwijk 2012 (section 4) for signed windows;
//! Montgomery 1987 (section 10.3.1) for simultaneous inversion.

mod affine;
mod buckets;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod limbs;

use affine::{Arithmetic, Elements};
use buckets::{Points, Term, Windows, merge_equal, window_sums};
use ff::PrimeField;
use halo2curves::CurveAffine;
use halo2curves::group::Group;
use limbs::Words;
use rayon::prelude::*;
use std::fmt;

/// Lengths in bits of the groups of scalars.
const WIDTHS: [u32; 6] = [8, 16, 32, 64, 128, 256];

/// A group of fewer scalars joins the next one.
const SMALLEST_GROUP: usize = 64;

/// Scalars of more bits are searched for equal ones: below, looking costs more than it saves.
const SHORT: u32 = 64;

/// Scalars that are classified in one task.
const TERMS_CHUNK: usize = 1024;

/// Bases in the form that multiplication takes.
///
/// The curve must be `y^2 = x^3 + b`, with `b != 0` and a prime order; its fields have at most 255
/// bits.
pub struct Bases<A: CurveAffine>(Form<A>);

/// The points, in the form of what the processor can do.
enum Form<A: CurveAffine> {
    #[cfg(target_arch = "x86_64")]
    Vectors(ifma::Vectors<A>, Vec<ifma::Packed>),
    Elements(Vec<<Elements as Arithmetic<A>>::Point>),
}

impl<A: CurveAffine> fmt::Debug for Bases<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bases({} points)", self.len())
    }
}

impl<A: CurveAffine> Bases<A> {
    /// Prepares bases.
    pub fn new(points: &[A]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(vectors) = ifma::Vectors::new() {
            let packed = vectors.pack(points);
            return Bases(Form::Vectors(vectors, packed));
        }
        Self::portable(points)
    }

    /// Bases for arithmetic that every processor has.
    fn portable(points: &[A]) -> Self {
        Bases(Form::Elements(Elements.pack(points)))
    }

    /// Number of bases.
    pub fn len(&self) -> usize {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Form::Vectors(_, points) => points.len(),
            Form::Elements(points) => points.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `sum_i scalars[i] B_i`; the shorter list decides the length. `S` is the scalar field of the
    /// curve, which callers that are generic over engines know under another name.
    pub fn multiply<S: PrimeField>(&self, scalars: &[S]) -> A::CurveExt {
        let signs = Signs::of::<S>();
        let length = scalars.len().min(self.len());
        let terms = scalars[..length]
            .par_iter()
            .enumerate()
            .with_min_len(TERMS_CHUNK)
            .filter_map(|(i, scalar)| signs.term(i as u32, scalar));
        self.sum(terms.collect())
    }

    /// The same as [`Self::multiply`] for signed integers.
    pub fn multiply_integers(&self, values: &[i64]) -> A::CurveExt {
        let length = values.len().min(self.len());
        let term = |(i, value): (usize, &i64)| Term {
            magnitude: [value.unsigned_abs(), 0, 0, 0],
            negative: *value < 0,
            index: i as u32,
        };
        let terms = values[..length].iter().enumerate().map(term);
        self.sum(terms.filter(|term| term.magnitude[0] != 0).collect())
    }

    fn sum(&self, terms: Vec<Term>) -> A::CurveExt {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Form::Vectors(arithmetic, points) => sum(arithmetic, points, terms),
            Form::Elements(points) => sum::<A, _>(&Elements, points, terms),
        }
    }
}

/// Bases that are prepared at a time where they are not kept.
pub const BLOCK: usize = 1 << 18;

/// `sum_i values[i] points[i]` with bases that are used once: prepared block by block, so that not all
/// of them are held twice. `multiply` is a method of [`Bases`]. None for more values than points.
pub fn sum_in_blocks<A: CurveAffine, T>(
    points: &[A],
    values: &[T],
    multiply: impl Fn(&Bases<A>, &[T]) -> A::CurveExt,
) -> Option<A::CurveExt> {
    let points = points.get(..values.len())?;
    let blocks = values.chunks(BLOCK).zip(points.chunks(BLOCK));
    let sum = blocks.fold(A::CurveExt::identity(), |sum, (values, points)| {
        sum + multiply(&Bases::new(points), values)
    });
    Some(sum)
}

/// What the signs of scalars are found with.
struct Signs {
    modulus: Words,
    /// `(p - 1) / 2`.
    half: Words,
}

impl Signs {
    fn of<F: PrimeField>() -> Self {
        let largest = limbs::words(&-F::ONE).unwrap_or_default();
        Signs {
            modulus: limbs::add(largest, [1, 0, 0, 0]),
            half: limbs::words(&-F::TWO_INV).unwrap_or_default(),
        }
    }

    /// The term of a scalar that is not zero.
    fn term<F: PrimeField>(&self, index: u32, scalar: &F) -> Option<Term> {
        let words = limbs::words(scalar).filter(|words| *words != [0; 4])?;
        let negative = words.iter().rev().gt(self.half.iter().rev());
        let magnitude = if negative {
            limbs::subtract(self.modulus, words)
        } else {
            words
        };
        Some(Term {
            magnitude,
            negative,
            index,
        })
    }
}

fn sum<A: CurveAffine, R: Arithmetic<A>>(
    arithmetic: &R,
    bases: &[R::Point],
    terms: Vec<Term>,
) -> A::CurveExt {
    let sums = groups(terms).into_par_iter().map(|(width, terms)| {
        let mut points = Points {
            bases,
            sums: Vec::new(),
        };
        let terms = if width > SHORT {
            merge_equal(arithmetic, &mut points, terms)
        } else {
            terms
        };
        group_sum(arithmetic, &points, &terms)
    });
    sums.reduce(A::CurveExt::identity, |a, b| a + b)
}

/// The terms by the length of their magnitudes; no group is empty.
fn groups(terms: Vec<Term>) -> Vec<(u32, Vec<Term>)> {
    let mut groups = WIDTHS.map(|width| (width, Vec::new()));
    for term in terms {
        let bits = limbs::bit_length(&term.magnitude);
        if let Some((_, group)) = groups.iter_mut().find(|(width, _)| bits <= *width) {
            group.push(term);
        }
    }
    let mut carried = Vec::new();
    let mut kept = Vec::with_capacity(groups.len());
    for (width, mut group) in groups {
        group.append(&mut carried);
        if group.len() < SMALLEST_GROUP && Some(&width) != WIDTHS.last() {
            carried = group;
        } else if !group.is_empty() {
            kept.push((width, group));
        }
    }
    kept
}

/// The sum of terms of similar lengths.
fn group_sum<A: CurveAffine, R: Arithmetic<A>>(
    arithmetic: &R,
    points: &Points<'_, R::Point>,
    terms: &[Term],
) -> A::CurveExt {
    let lengths = terms.iter().map(|term| limbs::bit_length(&term.magnitude));
    let layout = Windows::choose(terms.len(), lengths.max().unwrap_or(0));
    let windows = window_sums(arithmetic, points, terms, layout);
    let mut sum = A::CurveExt::identity();
    for window in windows.iter().rev() {
        let Some((total, levels)) = window.split_first() else {
            continue;
        };
        for level in (0..layout.width as usize).rev() {
            sum = sum.double();
            if let Some(part) = levels.get(level) {
                sum += arithmetic.unpack(part);
            }
        }
        sum += arithmetic.unpack(total);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{Bases, sum_in_blocks};
    use ff::{Field, PrimeField};
    use halo2curves::CurveAffine;
    use halo2curves::group::prime::PrimeCurveAffine;
    use halo2curves::group::{Curve, Group};
    use halo2curves::{bn256, grumpkin, pasta};
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    /// Term by term.
    fn definition<A: CurveAffine>(scalars: &[A::ScalarExt], bases: &[A]) -> A {
        let terms = scalars.iter().zip(bases);
        let sum = terms.fold(A::CurveExt::identity(), |sum, (s, b)| sum + *b * *s);
        sum.to_affine()
    }

    fn points<A: CurveAffine>(count: usize, rng: &mut ChaCha20Rng) -> Vec<A> {
        (0..count)
            .map(|_| A::CurveExt::random(&mut *rng).to_affine())
            .collect()
    }

    /// Scalars of a sort: every length, edge values, and many that are equal.
    fn scalars<F: PrimeField>(sort: usize, count: usize, rng: &mut ChaCha20Rng) -> Vec<F> {
        let few: Vec<F> = (0..3).map(|_| F::random(&mut *rng)).collect();
        let mut scalar = |i: usize| {
            let word = rng.next_u64();
            let small = F::from(word >> (word % 64));
            match sort {
                0 => F::random(&mut *rng),
                1 => F::from(word % 256),
                2 => {
                    few[word as usize % 3]
                        * if word.is_multiple_of(2) {
                            F::ONE
                        } else {
                            -F::ONE
                        }
                }
                3 => [F::ZERO, F::ONE, -F::ONE, F::TWO_INV, -F::TWO_INV][i % 5],
                4 if word.is_multiple_of(2) => -small,
                4 => small,
                5 => F::from_u128(u128::MAX - u128::from(word)),
                _ => match i % 4 {
                    0 => F::random(&mut *rng),
                    1 => F::from(word % 2),
                    2 => few[i % 3],
                    _ => -F::from(word % 70_000),
                },
            }
        };
        (0..count).map(&mut scalar).collect()
    }

    fn check<A: CurveAffine>(scalars: &[A::ScalarExt], points: &[A], what: &str) {
        let expected = definition(scalars, points);
        assert_eq!(
            Bases::new(points).multiply(scalars).to_affine(),
            expected,
            "{what}"
        );
        let portable = Bases::portable(points).multiply(scalars).to_affine();
        assert_eq!(portable, expected, "{what}, portable");
    }

    fn check_curve<A: CurveAffine>(name: &str) {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        for count in [0, 1, 2, 7, 8, 9, 63, 65, 200, 700] {
            let points: Vec<A> = points(count, &mut rng);
            for sort in 0..7 {
                let scalars = scalars(sort, count, &mut rng);
                check(&scalars, &points, &format!("{name} {count} {sort}"));
            }
        }
    }

    #[test]
    fn every_curve_gives_the_sum_of_its_terms() {
        check_curve::<bn256::G1Affine>("bn254");
        check_curve::<grumpkin::G1Affine>("grumpkin");
        check_curve::<pasta::PallasAffine>("pallas");
        check_curve::<pasta::VestaAffine>("vesta");
    }

    #[test]
    fn bases_in_any_relation_meet_every_case_of_the_addition_law() {
        type A = bn256::G1Affine;
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let few: Vec<A> = points(3, &mut rng);
        let related: Vec<A> = (0..600)
            .map(|i| match i % 5 {
                0 => A::identity(),
                1 => -few[i % 3],
                2 => (few[0] * bn256::Fr::from(i as u64)).to_affine(),
                _ => few[i % 3],
            })
            .collect();
        for sort in 0..7 {
            let scalars = scalars(sort, related.len(), &mut rng);
            check(&scalars, &related, &format!("related {sort}"));
        }
        // The whole sum, and the sum of each bucket, is the identity.
        let opposite: Vec<A> = (0..400)
            .map(|i| if i % 2 == 0 { few[1] } else { -few[1] })
            .collect();
        check(&vec![bn256::Fr::from(77); 400], &opposite, "opposite");
        check(&vec![few_scalar(); 400], &opposite, "opposite, long");
    }

    fn few_scalar() -> bn256::Fr {
        bn256::Fr::random(ChaCha20Rng::seed_from_u64(8))
    }

    #[test]
    fn buckets_longer_than_a_block_are_cut_and_joined() {
        type A = bn256::G1Affine;
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let few: Vec<A> = points(50, &mut rng);
        let many: Vec<A> = few.iter().copied().cycle().take(20_000).collect();
        let times = |scalar: bn256::Fr| {
            let factor = scalar * bn256::Fr::from(400);
            definition(&vec![factor; 50], &few)
        };
        for scalar in [bn256::Fr::from(9), few_scalar()] {
            let sum = Bases::new(&many).multiply(&vec![scalar; many.len()]);
            assert_eq!(sum.to_affine(), times(scalar));
            let sum = Bases::portable(&many).multiply(&vec![scalar; many.len()]);
            assert_eq!(sum.to_affine(), times(scalar), "portable");
        }
    }

    #[test]
    fn integers_give_what_their_elements_give() {
        type A = pasta::PallasAffine;
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let points: Vec<A> = points(300, &mut rng);
        let values: Vec<i64> = (0..300)
            .map(|i| match i % 6 {
                0 => i64::MIN,
                1 => i64::MAX,
                2 => 0,
                3 => -1,
                _ => (rng.next_u64() as i64) >> (rng.next_u32() % 64),
            })
            .collect();
        let elements: Vec<_> = values
            .iter()
            .map(|value| crate::field::from_i64::<<A as CurveAffine>::ScalarExt>(*value))
            .collect();
        let sum = Bases::new(&points).multiply_integers(&values).to_affine();
        assert_eq!(sum, definition(&elements, &points));
    }

    #[test]
    fn the_shorter_list_decides() {
        type A = grumpkin::G1Affine;
        let mut rng = ChaCha20Rng::seed_from_u64(10);
        let points: Vec<A> = points(20, &mut rng);
        let scalars: Vec<_> = scalars(0, 30, &mut rng);
        let bases = Bases::new(&points);
        assert_eq!(
            bases.multiply(&scalars).to_affine(),
            definition(&scalars, &points)
        );
        assert_eq!(
            bases.multiply(&scalars[..5]).to_affine(),
            definition(&scalars[..5], &points)
        );
        assert_eq!(sum_in_blocks(&points, &scalars, Bases::multiply), None);
        let sum = sum_in_blocks(&points, &scalars[..5], Bases::multiply);
        assert_eq!(
            sum.map(|sum| sum.to_affine()),
            Some(definition(&scalars[..5], &points))
        );
    }
}

//! Additions of many affine points with one inversion (Montgomery's trick).

use ff::Field;
use halo2curves::CurveAffine;

/// The sum of the points at `from` and `from + 1` goes to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub from: u32,
    pub to: u32,
}

/// Arithmetic on affine points of a curve `y^2 = x^3 + b` of odd order, in some form.
pub(super) trait Arithmetic<A: CurveAffine>: Copy + Send + Sync {
    /// A point, the identity included.
    type Point: Copy + Send + Sync;
    /// Memory that additions use, kept from call to call.
    type Scratch: Default;

    /// The identity.
    const IDENTITY: Self::Point;

    /// Points in this form.
    fn pack(&self, points: &[A]) -> Vec<Self::Point>;

    /// A point in its usual form.
    fn unpack(&self, point: &Self::Point) -> A;

    /// A point or its inverse.
    fn signed(&self, point: &Self::Point, negative: bool) -> Self::Point;

    /// Adds all pairs, which may meet any case of the addition law. Pairs are ascending, disjoint,
    /// and `to <= from`: a sum is written after the points that it replaces were read.
    fn add_pairs(&self, points: &mut [Self::Point], pairs: &[Pair], scratch: &mut Self::Scratch);
}

/// The coordinates of a point, zeros for the identity, which is no point of a curve
/// `y^2 = x^3 + b` with `b != 0`.
pub(super) fn coordinates<A: CurveAffine>(point: &A) -> [A::Base; 2] {
    let coordinates = Option::<halo2curves::Coordinates<A>>::from(point.coordinates());
    coordinates.map_or([A::Base::ZERO; 2], |c| [*c.x(), *c.y()])
}

/// The sum of two points by the complete addition law.
pub(super) fn add_exceptional<A: CurveAffine>(p: A, q: A) -> A {
    (p.to_curve() + q).into()
}

/// One addition after the other, on field elements.
#[derive(Clone, Copy)]
pub(super) struct Elements;

impl<A: CurveAffine> Arithmetic<A> for Elements {
    type Point = Option<[A::Base; 2]>;
    type Scratch = Vec<A::Base>;

    const IDENTITY: Self::Point = None;

    fn pack(&self, points: &[A]) -> Vec<Self::Point> {
        let pack = |point: &A| (!bool::from(point.is_identity())).then(|| coordinates(point));
        points.iter().map(pack).collect()
    }

    fn unpack(&self, point: &Self::Point) -> A {
        let point = point.and_then(|[x, y]| Option::from(A::from_xy(x, y)));
        point.unwrap_or_else(A::identity)
    }

    fn signed(&self, point: &Self::Point, negative: bool) -> Self::Point {
        point.map(|[x, y]| [x, if negative { -y } else { y }])
    }

    fn add_pairs(&self, points: &mut [Self::Point], pairs: &[Pair], scratch: &mut Vec<A::Base>) {
        scratch.clear();
        let mut product = A::Base::ONE;
        for pair in pairs.iter().rev() {
            scratch.push(product);
            if let Some(difference) = difference(operands(points, pair)) {
                product *= difference;
            }
        }
        let mut inverse = product.invert().unwrap_or(A::Base::ZERO);
        for (pair, before) in pairs.iter().zip(scratch.iter().rev()) {
            let (p, q) = operands(points, pair);
            let sum = match (p, q, difference((p, q))) {
                (Some(p), Some(q), Some(difference)) => {
                    let quotient = inverse * before;
                    inverse *= difference;
                    Some(add_points(p, q, quotient))
                }
                (None, point, _) | (point, None, _) => point,
                _ => {
                    let sum: A = add_exceptional(
                        Arithmetic::<A>::unpack(self, &p),
                        Arithmetic::<A>::unpack(self, &q),
                    );
                    (!bool::from(sum.is_identity())).then(|| coordinates(&sum))
                }
            };
            points[pair.to as usize] = sum;
        }
    }
}

type Operand<F> = Option<[F; 2]>;

fn operands<F: Copy>(points: &[Operand<F>], pair: &Pair) -> (Operand<F>, Operand<F>) {
    let from = pair.from as usize;
    (points[from], points[from + 1])
}

/// The difference of the abscissas, if the chord through two points is not vertical.
fn difference<F: Field>((p, q): (Operand<F>, Operand<F>)) -> Option<F> {
    let difference = q?[0] - p?[0];
    (!bool::from(difference.is_zero())).then_some(difference)
}

/// `p + q` with `quotient = 1 / (q.x - p.x)`.
fn add_points<F: Field>([px, py]: [F; 2], [qx, qy]: [F; 2], quotient: F) -> [F; 2] {
    let slope = (qy - py) * quotient;
    let x = slope.square() - px - qx;
    [x, slope * (px - x) - py]
}

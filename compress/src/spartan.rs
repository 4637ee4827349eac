//! Spartan (eprint 2019/550) for relaxed R1CS with witness segments (relaxed as in Nova, eprint
//! 2021/370, section 6): one verifier text, generic in [`Arithmetic`].
//!
//! # What is proven
//!
//! `A z o B z = u C z + E` with `z = (W_1, ..., W_s, u, X)`, up to claims about the multilinear
//! polynomials of `W_1, ..., W_s` and `E`, which the caller opens. The columns are laid out as
//! [`crate::shape`] says.
//!
//! # Protocol
//!
//! With `m` row variables, `n` column variables and `g = A z * B z - u C z - E` on the rows:
//!
//! 1. `tau_1, ..., tau_m` are squeezed. Claim: `sum_x eq(tau, x) g(x) = 0`.
//! 2. *Outer sum-check*, with the factor `eq` taken out (Gruen, eprint 2024/108, section 3.2).
//!    Round `i` sends `(c1, c2)` of the quadratic
//!    `q_i(X) = sum_x eq((tau_(i+1), ...), x) g(r_1, ..., r_(i-1), X, x)`. From the claim
//!    `T_(i-1) = (1 - tau_i) q_i(0) + tau_i q_i(1)` follows `c0 = T_(i-1) - tau_i (c1 + c2)`, so
//!    the check of a round cannot fail; `T_i = q_i(r_i)`.
//! 3. `Az, Bz, Cz, E` at `r_x` are received; `T_m = Az Bz - u Cz - E` is enforced.
//! 4. `gamma` is squeezed. Claim:
//!    `Az + gamma Bz + gamma^2 Cz = sum_y (A + gamma B + gamma^2 C)~(r_x, y) z~(y)`.
//! 5. *Inner sum-check*, messages `(c0, c2)`, `c1 = T - 2 c0 - c2`.
//! 6. `W_k~` at their parts of `r_y` are received, `z~(r_y)` is put together from them and from
//!    `(u, X)`; `T = (A + gamma B + gamma^2 C)~(r_x, r_y) z~(r_y)` is enforced.
//!
//! Every message is absorbed before the next challenge.
//!
//! # Soundness
//!
//! If some row is not satisfied, `sum_x eq(tau, x) g(x)` is a non-zero multilinear polynomial of
//! `tau`. Each outer round errs with probability at most `2/|S|` over the challenge set `S` (two
//! different quadratics), each inner round likewise, `gamma` with `2/|S|`: in all
//! `(3 m + 2 n + 2) / |S|`.
//!
//! Assumed of the caller: the transcript binds the shape, `u`, `X` and the commitments to all `W_k`
//! and `E` before the first challenge, and the returned claims are opened against these
//! commitments.

use crate::arithmetic::{Arithmetic, Oracle};
use crate::error::Rejected;
use crate::shape::{Block, Content, Dimensions, Shape, ShapeError};
use crate::tables::{self, EqWeights};
use ff::Field;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::sumcheck::{eq_table, evaluate_round};
use serde::{Deserialize, Serialize};

/// A proof that a relaxed instance is satisfied, up to claims about its committed polynomials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof<S> {
    /// `(c1, c2)` of each outer round.
    pub outer: Vec<[S; 2]>,
    /// `(A z)~, (B z)~, (C z)~` at `r_x`.
    pub products: [S; 3],
    /// `E~(r_x)`.
    pub error: S,
    /// `(c0, c2)` of each inner round.
    pub inner: Vec<[S; 2]>,
    /// `W_k~` at its part of `r_y`.
    pub segments: Vec<S>,
}

impl<S: CircuitField> Proof<S> {
    /// A proof of zeros with the lengths that a shape asks for, for the synthesis of circuits.
    pub fn zero(dimensions: &Dimensions) -> Self {
        Proof {
            outer: vec![[S::ZERO; 2]; dimensions.row_variables()],
            products: [S::ZERO; 3],
            error: S::ZERO,
            inner: vec![[S::ZERO; 2]; dimensions.column_variables()],
            segments: vec![S::ZERO; dimensions.segments().len()],
        }
    }

    /// Checks that all lengths are those of a shape.
    ///
    /// # Errors
    /// [`Rejected::Length`] when they are not.
    pub fn check_lengths(&self, dimensions: &Dimensions) -> Result<(), Rejected> {
        let (rows, columns) = (dimensions.row_variables(), dimensions.column_variables());
        Rejected::lengths("outer rounds", rows, self.outer.len())?;
        Rejected::lengths("inner rounds", columns, self.inner.len())?;
        let segments = dimensions.segments().len();
        Rejected::lengths("segment evaluations", segments, self.segments.len())
    }
}

/// The claim that a committed polynomial takes `value` at `point`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim<E> {
    /// The point, most significant variable first.
    pub point: Vec<E>,
    /// The value.
    pub value: E,
}

/// What is left to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims<E> {
    /// One claim a witness segment.
    pub segments: Vec<Claim<E>>,
    /// The claim about the error vector.
    pub error: Claim<E>,
}

/// How a verifier gets `(A + gamma B + gamma^2 C)~(rows, columns)`.
pub trait MatrixEvaluation<A: Arithmetic> {
    /// The value of the combined matrices, which the implementation must guarantee.
    ///
    /// # Errors
    /// [`Rejected::Length`] for points of another shape, and those of the circuit.
    fn combined(
        &self,
        arithmetic: &mut A,
        rows: &[A::Element],
        columns: &[A::Element],
        gamma: &A::Element,
    ) -> Result<A::Element, A::Error>;
}

/// Native evaluation: one pass over the entries.
impl<F: CircuitField, A: Arithmetic<Field = F, Element = F>> MatrixEvaluation<A> for Shape<F> {
    fn combined(&self, _: &mut A, rows: &[F], columns: &[F], gamma: &F) -> Result<F, A::Error> {
        let dimensions = self.dimensions();
        Rejected::lengths("row point", dimensions.row_variables(), rows.len())?;
        Rejected::lengths("column point", dimensions.column_variables(), columns.len())?;
        let [a, b, c] = self.extensions(rows, columns);
        Ok(a + *gamma * (b + *gamma * c))
    }
}

/// Proves that `(u, x, segments, error)` satisfies the shape, up to the returned claims.
///
/// The proof of an assignment that does not satisfy it is rejected.
///
/// # Errors
/// [`ShapeError::Length`] when a part of the assignment has the wrong length.
pub fn prove<S: CircuitField>(
    shape: &Shape<S>,
    u: S,
    x: &[S],
    segments: &[&[S]],
    error: &[S],
    oracle: &mut impl Oracle<S>,
) -> Result<(Proof<S>, Claims<S>), ShapeError> {
    let dimensions = shape.dimensions();
    dimensions.check_error(error)?;
    let z = dimensions.assemble(segments, u, x)?;
    let [az, bz, cz] = shape.multiply(&z)?;

    let mut rounds = OuterProver::new(dimensions, az, bz, &cz, u, error);
    let variables = dimensions.row_variables();
    let tau: Vec<S> = (0..variables).map(|_| oracle.challenge()).collect();
    let (outer, row_point) = rounds.run(&tau, oracle);
    let row_weights = eq_table(&row_point);
    let at_rows = |table: &[S]| {
        let [sum] = tables::sums(table.len(), |i| [table[i] * row_weights[i]]);
        sum
    };
    let [a, b] = rounds.evaluations();
    let products = [a, b, at_rows(&cz)];
    let error = at_rows(error);
    oracle.absorb(&products);
    oracle.absorb(&[error]);

    let gamma = oracle.challenge();
    let claim = products[0] + gamma * (products[1] + gamma * products[2]);
    let combined = shape.combine_rows(&row_weights, gamma);
    let (inner, column_point) = inner_rounds(combined, dimensions.spread(&z), claim, oracle);
    let points = segment_points(dimensions, &column_point);
    let segments: Vec<Claim<S>> = points
        .zip(segments)
        .map(|(point, segment)| {
            let [value] = EqWeights::new(&point).sums(|i| [entry(segment, i)]);
            Claim { point, value }
        })
        .collect();
    let values: Vec<S> = segments.iter().map(|claim| claim.value).collect();
    oracle.absorb(&values);

    let proof = Proof {
        outer,
        products,
        error,
        inner,
        segments: values,
    };
    let error = Claim {
        point: row_point,
        value: error,
    };
    Ok((proof, Claims { segments, error }))
}

/// An entry of a table that is read as padded with zeros.
fn entry<S: CircuitField>(table: &[S], i: usize) -> S {
    table.get(i).copied().unwrap_or(S::ZERO)
}

/// The points at which the segments are claimed: the low coordinates of the column point.
fn segment_points<E: Clone>(
    dimensions: &Dimensions,
    column_point: &[E],
) -> impl Iterator<Item = Vec<E>> {
    let variables = |k| {
        let blocks = dimensions.blocks().iter();
        let mut segment = blocks.filter(move |block| block.content == Content::Segment(k));
        segment.next().map_or(0, |block| block.variables)
    };
    (0..dimensions.segments().len()).map(move |k| {
        let high = column_point.len().saturating_sub(variables(k));
        column_point.iter().skip(high).cloned().collect()
    })
}

/// The outer prover's tables: `A z`, `B z` and `D = u C z + E`.
struct OuterProver<S> {
    a: Vec<S>,
    b: Vec<S>,
    d: Vec<S>,
}

impl<S: CircuitField> OuterProver<S> {
    fn new(
        dimensions: &Dimensions,
        mut a: Vec<S>,
        mut b: Vec<S>,
        cz: &[S],
        u: S,
        error: &[S],
    ) -> Self {
        let padded = 1 << dimensions.row_variables();
        a.resize(padded, S::ZERO);
        b.resize(padded, S::ZERO);
        let mut d: Vec<S> = cz.iter().zip(error).map(|(c, e)| u * c + e).collect();
        d.resize(padded, S::ZERO);
        OuterProver { a, b, d }
    }

    /// All rounds: the messages and the point.
    fn run(&mut self, tau: &[S], oracle: &mut impl Oracle<S>) -> (Vec<[S; 2]>, Vec<S>) {
        let mut messages = Vec::with_capacity(tau.len());
        let mut point = Vec::with_capacity(tau.len());
        for round in 0..tau.len() {
            let message = self.message(&tau[round + 1..]);
            oracle.absorb(&message);
            let r = oracle.challenge();
            for table in [&mut self.a, &mut self.b, &mut self.d] {
                tables::bind(table, r);
            }
            messages.push(message);
            point.push(r);
        }
        (messages, point)
    }

    /// `(c1, c2)` of `q(X) = sum_x eq(rest, x) (A(X, x) B(X, x) - D(X, x))`.
    fn message(&self, rest: &[S]) -> [S; 2] {
        let half = self.a.len() / 2;
        let [at_zero, at_one, c2] = EqWeights::new(rest).sums(|k| {
            let (a0, a1) = (self.a[k], self.a[k + half]);
            let (b0, b1) = (self.b[k], self.b[k + half]);
            let (d0, d1) = (self.d[k], self.d[k + half]);
            [a0 * b0 - d0, a1 * b1 - d1, (a1 - a0) * (b1 - b0)]
        });
        [at_one - at_zero - c2, c2]
    }

    /// `(A z)~` and `(B z)~` at the point, once all variables are bound.
    fn evaluations(&self) -> [S; 2] {
        [entry(&self.a, 0), entry(&self.b, 0)]
    }
}

/// The rounds of the sum-check on `sum_y matrix(y) z(y) = claim`.
fn inner_rounds<S: CircuitField>(
    mut matrix: Vec<S>,
    mut z: Vec<S>,
    mut claim: S,
    oracle: &mut impl Oracle<S>,
) -> (Vec<[S; 2]>, Vec<S>) {
    let mut messages = Vec::new();
    let mut point = Vec::new();
    while z.len() > 1 {
        let half = z.len() / 2;
        let message = tables::sums(half, |k| {
            let slopes = (matrix[k + half] - matrix[k]) * (z[k + half] - z[k]);
            [matrix[k] * z[k], slopes]
        });
        oracle.absorb(&message);
        let r = oracle.challenge();
        claim = evaluate_round(claim, message, r);
        tables::bind(&mut matrix, r);
        tables::bind(&mut z, r);
        messages.push(message);
        point.push(r);
    }
    (messages, point)
}

/// Verifies a proof for `(u, x)` and returns what is left to open.
///
/// # Errors
/// Natively [`Rejected::Length`] and [`Rejected::Check`] with `outer sum-check` or
/// `inner sum-check`; in circuits those of the circuit, where the two checks are constraints.
pub fn verify<A: Arithmetic>(
    arithmetic: &mut A,
    dimensions: &Dimensions,
    u: &A::Element,
    x: &[A::Element],
    proof: &Proof<A::Field>,
    matrices: &impl MatrixEvaluation<A>,
) -> Result<Claims<A::Element>, A::Error> {
    proof.check_lengths(dimensions)?;
    Rejected::lengths("public inputs", dimensions.inputs(), x.len())?;

    let tau = challenges(arithmetic, "tau", dimensions.row_variables())?;
    let outer = outer_sumcheck(arithmetic, &tau, &proof.outer)?;
    let [a, b, c] = proof.products;
    let a = arithmetic.receive("A z", a)?;
    let b = arithmetic.receive("B z", b)?;
    let c = arithmetic.receive("C z", c)?;
    let error = arithmetic.receive("E", proof.error)?;
    arithmetic.absorb(&[a.clone(), b.clone(), c.clone(), error.clone()])?;
    let minus_u = arithmetic.scale(-1, u);
    let pairs = [(a.clone(), b.clone()), (minus_u, c.clone())];
    let row = arithmetic.inner_product("A z B z - u C z", &pairs)?;
    let expected = arithmetic.add(&outer.claim, &error);
    arithmetic.enforce_equal("outer sum-check", &expected, &row)?;

    let gamma = arithmetic.challenge("gamma")?;
    let square = arithmetic.multiply("gamma squared", &gamma, &gamma)?;
    let pairs = [(gamma.clone(), b), (square, c)];
    let claim = arithmetic.inner_product("gamma B z + gamma^2 C z", &pairs)?;
    let claim = arithmetic.add(&a, &claim);
    let inner = inner_sumcheck(arithmetic, claim, &proof.inner)?;
    let values = receive_all(arithmetic, "segment", &proof.segments)?;
    arithmetic.absorb(&values)?;

    let mut public = vec![u.clone()];
    public.extend_from_slice(x);
    let z = evaluate_columns(arithmetic, dimensions, &inner.point, &values, &public)?;
    let matrix = matrices.combined(arithmetic, &outer.point, &inner.point, &gamma)?;
    let product = arithmetic.multiply("matrices z", &matrix, &z)?;
    arithmetic.enforce_equal("inner sum-check", &inner.claim, &product)?;

    let points = segment_points(dimensions, &inner.point);
    let segments = points.zip(values);
    Ok(Claims {
        segments: segments
            .map(|(point, value)| Claim { point, value })
            .collect(),
        error: Claim {
            point: outer.point,
            value: error,
        },
    })
}

fn challenges<A: Arithmetic>(
    arithmetic: &mut A,
    name: &str,
    count: usize,
) -> Result<Vec<A::Element>, A::Error> {
    (0..count)
        .map(|i| arithmetic.challenge(&format!("{name} {i}")))
        .collect()
}

pub(crate) fn receive_all<A: Arithmetic>(
    arithmetic: &mut A,
    name: &str,
    values: &[A::Field],
) -> Result<Vec<A::Element>, A::Error> {
    let values = values.iter().enumerate();
    values
        .map(|(i, value)| arithmetic.receive(&format!("{name} {i}"), *value))
        .collect()
}

/// A round's two coefficients and its challenge.
struct Round<E> {
    coefficients: [E; 2],
    challenge: E,
}

/// What the rounds of a sum-check leave.
pub(crate) struct Reduced<E> {
    /// The challenges, most significant variable first.
    pub(crate) point: Vec<E>,
    /// The claim about the summand at the point.
    pub(crate) claim: E,
}

/// Receives and absorbs a message, squeezes the round's challenge.
fn round<A: Arithmetic>(
    arithmetic: &mut A,
    name: &str,
    [first, second]: [A::Field; 2],
) -> Result<Round<A::Element>, A::Error> {
    let first = arithmetic.receive(&format!("{name} first coefficient"), first)?;
    let second = arithmetic.receive(&format!("{name} second coefficient"), second)?;
    let coefficients = [first, second];
    arithmetic.absorb(&coefficients)?;
    let challenge = arithmetic.challenge(&format!("{name} challenge"))?;
    Ok(Round {
        coefficients,
        challenge,
    })
}

/// Point and last claim: `T' = T + r (c1 + r c2) - tau (c1 + c2)` a round.
fn outer_sumcheck<A: Arithmetic>(
    arithmetic: &mut A,
    tau: &[A::Element],
    messages: &[[A::Field; 2]],
) -> Result<Reduced<A::Element>, A::Error> {
    let mut claim = arithmetic.constant(A::Field::ZERO);
    let mut point = Vec::with_capacity(messages.len());
    for (i, (tau, message)) in tau.iter().zip(messages).enumerate() {
        let name = format!("outer round {i}");
        let round = round(arithmetic, &name, *message)?;
        let ([c1, c2], r) = (round.coefficients, round.challenge);
        let high = arithmetic.multiply(&format!("{name} r c2"), &r, &c2)?;
        let high = arithmetic.add(&c1, &high);
        let rise = arithmetic.add(&c1, &c2);
        let minus_tau = arithmetic.scale(-1, tau);
        let pairs = [(r.clone(), high), (minus_tau, rise)];
        let change = arithmetic.inner_product(&format!("{name} change"), &pairs)?;
        claim = arithmetic.add(&claim, &change);
        point.push(r);
    }
    Ok(Reduced { point, claim })
}

/// Point and last claim: `T' = c0 + r (c1 + r c2)` with `c1 = T - 2 c0 - c2` a round.
pub(crate) fn inner_sumcheck<A: Arithmetic>(
    arithmetic: &mut A,
    mut claim: A::Element,
    messages: &[[A::Field; 2]],
) -> Result<Reduced<A::Element>, A::Error> {
    let mut point = Vec::with_capacity(messages.len());
    for (i, message) in messages.iter().enumerate() {
        let name = format!("round {i}");
        let round = round(arithmetic, &name, *message)?;
        let ([c0, c2], r) = (round.coefficients, round.challenge);
        let c1 = arithmetic.sub(&claim, &arithmetic.scale(2, &c0));
        let c1 = arithmetic.sub(&c1, &c2);
        let high = arithmetic.multiply(&format!("{name} r c2"), &r, &c2)?;
        let high = arithmetic.add(&c1, &high);
        let rest = arithmetic.multiply(&format!("{name} r (c1 + r c2)"), &r, &high)?;
        claim = arithmetic.add(&c0, &rest);
        point.push(r);
    }
    Ok(Reduced { point, claim })
}

/// `z~(point) = sum_blocks eq(prefix(block), point_high) block~(point_low)`.
fn evaluate_columns<A: Arithmetic>(
    arithmetic: &mut A,
    dimensions: &Dimensions,
    point: &[A::Element],
    segments: &[A::Element],
    public: &[A::Element],
) -> Result<A::Element, A::Error> {
    let mut values = Vec::with_capacity(dimensions.blocks().len());
    for block in dimensions.blocks() {
        let value = match block.content {
            Content::Segment(k) => segments.get(k).cloned(),
            Content::Public => {
                let high = point.len().saturating_sub(block.variables);
                let low: Vec<_> = point.iter().skip(high).cloned().collect();
                Some(evaluate_short(arithmetic, "public", public, &low)?)
            }
        };
        // The caller checked that there is one value a segment.
        let value = value.unwrap_or_else(|| arithmetic.constant(A::Field::ZERO));
        values.push((*block, value));
    }
    let whole = fold_blocks(arithmetic, &values, 0, point)?;
    Ok(whole.unwrap_or_else(|| arithmetic.constant(A::Field::ZERO)))
}

/// The polynomial of the aligned range that starts at `offset` and has as many variables as `point`
/// has coordinates, from the values of the blocks in it; `None` when there are none.
///
/// The ranges form a binary tree with the blocks as leaves; a node with both children costs the
/// product of `low + r (high - low)`, one without the upper child that of `low - r low`.
fn fold_blocks<A: Arithmetic>(
    arithmetic: &mut A,
    blocks: &[(Block, A::Element)],
    offset: usize,
    point: &[A::Element],
) -> Result<Option<A::Element>, A::Error> {
    let inside = |block: &Block| (offset..offset + (1 << point.len())).contains(&block.offset);
    let Some(first) = blocks.iter().find(|(block, _)| inside(block)) else {
        return Ok(None);
    };
    let Some((r, rest)) = point.split_first() else {
        return Ok(Some(first.1.clone()));
    };
    if first.0.variables == point.len() {
        return Ok(Some(first.1.clone()));
    }
    let low = fold_blocks(arithmetic, blocks, offset, rest)?;
    let high = fold_blocks(arithmetic, blocks, offset + (1 << rest.len()), rest)?;
    // Blocks are placed without gaps, so a range that holds any starts with one.
    let zero = arithmetic.constant(A::Field::ZERO);
    let (low, high) = (low.unwrap_or(zero.clone()), high.unwrap_or(zero));
    let rise = arithmetic.sub(&high, &low);
    let name = format!("blocks {offset} {}", point.len());
    let rest = arithmetic.multiply(&name, r, &rise)?;
    Ok(Some(arithmetic.add(&low, &rest)))
}

/// The polynomial of a short table, padded with zeros, at a point: `high . (table low)` with eq
/// weights of either half of the point, so that products are few and in few reductions.
fn evaluate_short<A: Arithmetic>(
    arithmetic: &mut A,
    name: &str,
    table: &[A::Element],
    point: &[A::Element],
) -> Result<A::Element, A::Error> {
    let (high, low) = point.split_at(point.len() / 2);
    let low_weights = eq_weights(arithmetic, &format!("{name} low"), low)?;
    let high_weights = eq_weights(arithmetic, &format!("{name} high"), high)?;
    let mut rows = Vec::with_capacity(high_weights.len());
    let entries = table.chunks(low_weights.len()).zip(high_weights);
    for (i, (row, weight)) in entries.enumerate() {
        let pairs: Vec<_> = row
            .iter()
            .cloned()
            .zip(low_weights.iter().cloned())
            .collect();
        let row = arithmetic.inner_product(&format!("{name} row {i}"), &pairs)?;
        rows.push((row, weight));
    }
    arithmetic.inner_product(&format!("{name} value"), &rows)
}

/// `eq(point, b)` for every corner `b`, most significant variable first. The upper entries of a
/// level sum to the variable itself, which saves one product a level.
fn eq_weights<A: Arithmetic>(
    arithmetic: &mut A,
    name: &str,
    point: &[A::Element],
) -> Result<Vec<A::Element>, A::Error> {
    let mut weights = vec![arithmetic.constant(A::Field::ONE)];
    for (i, r) in point.iter().enumerate() {
        let mut next = Vec::with_capacity(2 * weights.len());
        let mut last = r.clone();
        let count = weights.len();
        for (b, weight) in weights.iter().enumerate() {
            let high = if b + 1 == count {
                last.clone()
            } else {
                arithmetic.multiply(&format!("{name} {i} {b}"), weight, r)?
            };
            last = arithmetic.sub(&last, &high);
            next.push(arithmetic.sub(weight, &high));
            next.push(high);
        }
        weights = next;
    }
    Ok(weights)
}

//! Many claims about committed multilinear polynomials become one, by sum-check.
//!
//! # Protocol
//!
//! Claim `i` says `P_i~(p_i) = v_i` for a polynomial of `n_i` variables behind commitment `C_i`.
//! With `n = max n_i`, `P_i` is read as the polynomial `P_i(x_low) eq(0, x_high)` of `n` variables:
//! its table is padded with zeros, which does not change the commitment.
//!
//! 1. All `(p_i, v_i)` are absorbed, in order; `g` is squeezed.
//! 2. Sum-check of `n` rounds with messages `(c0, c2)` on
//!    `sum_x sum_i g^i eq((0, p_i), x) P_i(x) = sum_i g^i v_i`.
//! 3. `w_i = P_i~(r_low)` are received and absorbed;
//!    `T = sum_i g^i eq((0, p_i), r) eq(0, r_high) w_i` is enforced.
//! 4. `rho` is squeezed. The claim that is left: `sum_i rho^i C_i` at `r` is
//!    `sum_i rho^i eq(0, r_high) w_i`.
//!
//! # Soundness
//!
//! `g` errs with probability `(k - 1) / |S|` for `k` claims over the challenge set `S`, the rounds
//! with `2 n / |S|`, `rho` with `(k - 1) / |S|`. A commitment may hold more than `2^(n_i)` entries:
//! `eq((0, p_i), x)` reads only the first, so that the claim is still about them.
//!
//! Assumed of the caller: the commitments are absorbed before the claims.

use crate::arithmetic::{Arithmetic, Oracle};
use crate::error::Rejected;
use crate::spartan::{self, Claim, Reduced};
use crate::tables::{self, EqWeights};
use ff::Field;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::sumcheck::evaluate_round;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why claims cannot be batched.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchError {
    /// There is not one table a claim, or there are none.
    #[error("expected one table a claim and at least one, got {tables} tables and {claims} claims")]
    Count {
        /// Number of claims.
        claims: usize,
        /// Number of tables.
        tables: usize,
    },
    /// A table has more entries than its claim has corners.
    #[error(
        "claim {index}: expected at most 2^{variables} entries, got {got}; \
         use the point of the polynomial's own variables"
    )]
    Table {
        /// Position among the claims.
        index: usize,
        /// Variables of the claim's point.
        variables: usize,
        /// Entries of the table.
        got: usize,
    },
}

/// The proof of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof<S> {
    /// `(c0, c2)` of each round.
    pub rounds: Vec<[S; 2]>,
    /// `w_i = P_i~(r_low)`.
    pub evaluations: Vec<S>,
}

impl<S: CircuitField> Proof<S> {
    /// A proof of zeros for claims about polynomials of the given numbers of variables, for the
    /// synthesis of circuits.
    pub fn zero(variables: &[usize]) -> Self {
        let rounds = variables.iter().copied().max().unwrap_or(0);
        Proof {
            rounds: vec![[S::ZERO; 2]; rounds],
            evaluations: vec![S::ZERO; variables.len()],
        }
    }
}

/// The one claim that is left: `sum_i rho^i C_i` takes `value` at `point`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combined<E> {
    /// The combination challenge.
    pub rho: E,
    /// `r`, most significant variable first.
    pub point: Vec<E>,
    /// `sum_i rho^i eq(0, r_high) w_i`.
    pub value: E,
}

/// Proves claims about the given tables, one table a claim, each read as padded with zeros.
///
/// # Errors
/// [`BatchError`] when tables and claims do not fit each other.
pub fn prove<S: CircuitField>(
    tables: &[&[S]],
    claims: &[Claim<S>],
    oracle: &mut impl Oracle<S>,
) -> Result<(Proof<S>, Combined<S>), BatchError> {
    check_tables(tables, claims)?;
    for claim in claims {
        oracle.absorb(&claim.point);
        oracle.absorb(&[claim.value]);
    }
    let g = oracle.challenge();
    let n = rounds(claims);
    let mut provers: Vec<ClaimProver<'_, S>> = tables
        .iter()
        .zip(claims)
        .map(|(table, claim)| ClaimProver::new(table, claim, n))
        .collect();

    let mut messages = Vec::with_capacity(n);
    let mut point = Vec::with_capacity(n);
    let values: Vec<S> = claims.iter().map(|claim| claim.value).collect();
    let mut claim = powers_sum(g, &values);
    for _ in 0..n {
        let parts: Vec<[S; 2]> = provers.iter_mut().map(ClaimProver::message).collect();
        let message =
            [0, 1].map(|k| powers_sum(g, &parts.iter().map(|p| p[k]).collect::<Vec<_>>()));
        oracle.absorb(&message);
        let r = oracle.challenge();
        provers.iter_mut().for_each(|prover| prover.bind(r));
        claim = evaluate_round(claim, message, r);
        messages.push(message);
        point.push(r);
    }
    let evaluations: Vec<S> = provers.iter().map(ClaimProver::evaluation).collect();
    oracle.absorb(&evaluations);
    let rho = oracle.challenge();
    let padded: Vec<S> = evaluations
        .iter()
        .zip(claims)
        .map(|(w, claim)| zero_weight(&point, n - claim.point.len()) * w)
        .collect();
    let proof = Proof {
        rounds: messages,
        evaluations,
    };
    let value = powers_sum(rho, &padded);
    Ok((proof, Combined { rho, point, value }))
}

fn check_tables<S>(tables: &[&[S]], claims: &[Claim<S>]) -> Result<(), BatchError> {
    if tables.len() != claims.len() || tables.is_empty() {
        return Err(BatchError::Count {
            claims: claims.len(),
            tables: tables.len(),
        });
    }
    for (index, (table, claim)) in tables.iter().zip(claims).enumerate() {
        let variables = claim.point.len();
        let entries = u32::try_from(variables)
            .ok()
            .and_then(|n| 1usize.checked_shl(n));
        if entries.is_some_and(|entries| table.len() > entries) {
            return Err(BatchError::Table {
                index,
                variables,
                got: table.len(),
            });
        }
    }
    Ok(())
}

/// `n = max n_i`.
fn rounds<E>(claims: &[Claim<E>]) -> usize {
    let variables = claims.iter().map(|claim| claim.point.len());
    variables.max().unwrap_or(0)
}

/// `sum_i base^i values_i`.
fn powers_sum<S: CircuitField>(base: S, values: &[S]) -> S {
    values.iter().rev().fold(S::ZERO, |sum, v| sum * base + v)
}

/// `eq(0, point[..count])`.
fn zero_weight<S: CircuitField>(point: &[S], count: usize) -> S {
    point[..count].iter().fold(S::ONE, |w, r| w * (S::ONE - r))
}

/// The table `sum_i rho^i P_i` of the combined commitment, as long as its longest table.
pub fn combine<S: CircuitField>(tables: &[&[S]], rho: S) -> Vec<S> {
    let length = tables.iter().map(|table| table.len()).max().unwrap_or(0);
    let mut combined = vec![S::ZERO; length];
    let mut weight = S::ONE;
    for table in tables {
        combined
            .par_iter_mut()
            .zip(table.par_iter())
            .with_min_len(1 << 12)
            .for_each(|(sum, entry)| *sum += weight * entry);
        weight *= rho;
    }
    combined
}

/// The rounds of one claim, with the factor `eq` taken out (Gruen, eprint 2024/108, section 3.2).
///
/// While a variable lies above the polynomial's own, the round polynomial is
/// `scale (1 - X)^2 v`. After that it is `scale eq(p_j, X) h(X)` with the linear
/// `h(X) = sum_x eq((p_(j+1), ...), x) P(r, X, x)`.
struct ClaimProver<'a, S> {
    source: &'a [S],
    table: Option<Vec<S>>,
    point: &'a [S],
    value: S,
    padding: usize,
    round: usize,
    scale: S,
}

impl<'a, S: CircuitField> ClaimProver<'a, S> {
    fn new(table: &'a [S], claim: &'a Claim<S>, n: usize) -> Self {
        ClaimProver {
            source: table,
            table: None,
            point: &claim.point,
            value: claim.value,
            padding: n - claim.point.len(),
            round: 0,
            scale: S::ONE,
        }
    }

    /// The coordinate of the current round, once the padding is bound.
    fn coordinate(&self) -> Option<usize> {
        self.round.checked_sub(self.padding)
    }

    /// `(c0, c2)` of the claim's part of the round polynomial.
    fn message(&mut self) -> [S; 2] {
        let Some(j) = self.coordinate() else {
            return [self.scale * self.value; 2];
        };
        let source = self.source;
        let variables = self.point.len();
        let table = self
            .table
            .get_or_insert_with(|| tables::padded(source, variables));
        let half = table.len() / 2;
        let weights = EqWeights::new(&self.point[j + 1..]);
        let [low, high] = weights.sums(|k| [table[k], table[k + half]]);
        let p = self.point[j];
        // eq(p, X) = (1 - p) + (2 p - 1) X and h(X) = low + (high - low) X.
        let slope = p.double() - S::ONE;
        [
            self.scale * (S::ONE - p) * low,
            self.scale * slope * (high - low),
        ]
    }

    fn bind(&mut self, r: S) {
        match self.coordinate() {
            None => self.scale *= (S::ONE - r).square(),
            Some(j) => {
                let p = self.point[j];
                self.scale *= (p * r).double() - p - r + S::ONE;
                if let Some(table) = &mut self.table {
                    tables::bind(table, r);
                }
            }
        }
        self.round += 1;
    }

    /// `P~(r_low)`, once all variables are bound.
    fn evaluation(&self) -> S {
        let bound = self.table.as_deref().unwrap_or(self.source);
        bound.first().copied().unwrap_or(S::ZERO)
    }
}

/// Verifies a batch of claims and returns the one that is left. The commitments behind the claims
/// are combined by the caller, with the powers of `rho` in the order of the claims.
///
/// # Errors
/// Natively [`Rejected::Length`] and [`Rejected::Check`] with `batch sum-check`; in circuits those
/// of the circuit, where the check is a constraint.
pub fn verify<A: Arithmetic>(
    arithmetic: &mut A,
    claims: &[Claim<A::Element>],
    proof: &Proof<A::Field>,
) -> Result<Combined<A::Element>, A::Error> {
    if claims.is_empty() {
        Rejected::lengths("claims in a batch", 1, 0)?;
    }
    let n = rounds(claims);
    Rejected::lengths("batch rounds", n, proof.rounds.len())?;
    let evaluations = proof.evaluations.len();
    Rejected::lengths("batch evaluations", claims.len(), evaluations)?;

    for claim in claims {
        arithmetic.absorb(&claim.point)?;
        arithmetic.absorb(std::slice::from_ref(&claim.value))?;
    }
    let g = arithmetic.challenge("batch challenge")?;
    let values: Vec<_> = claims.iter().map(|claim| claim.value.clone()).collect();
    let claimed = horner(arithmetic, "batch claim", &g, &values)?;
    let Reduced { point, claim: last } =
        spartan::inner_sumcheck(arithmetic, claimed, &proof.rounds)?;
    let evaluations = spartan::receive_all(arithmetic, "evaluation", &proof.evaluations)?;
    arithmetic.absorb(&evaluations)?;

    let paddings = padding_weights(arithmetic, claims, &point)?;
    let mut padded = Vec::with_capacity(claims.len());
    let mut terms = Vec::with_capacity(claims.len());
    for (i, (claim, w)) in claims.iter().zip(&evaluations).enumerate() {
        let (_, low) = point.split_at(n - claim.point.len());
        let mut term = eq_eval(arithmetic, &format!("eq {i}"), &claim.point, low)?;
        let mut value = w.clone();
        if let Some(weight) = paddings.get(n - claim.point.len()).and_then(Option::as_ref) {
            value = arithmetic.multiply(&format!("padded evaluation {i}"), weight, &value)?;
            term = arithmetic.multiply(&format!("padded eq {i}"), weight, &term)?;
        }
        terms.push(arithmetic.multiply(&format!("term {i}"), &term, &value)?);
        padded.push(value);
    }
    let expected = horner(arithmetic, "batch terms", &g, &terms)?;
    arithmetic.enforce_equal("batch sum-check", &last, &expected)?;
    let rho = arithmetic.challenge("combination challenge")?;
    let value = horner(arithmetic, "combined value", &rho, &padded)?;
    Ok(Combined { rho, point, value })
}

/// `eq(0, r_high)` by the number of high variables: `None` for no variables, where it is one.
fn padding_weights<A: Arithmetic>(
    arithmetic: &mut A,
    claims: &[Claim<A::Element>],
    point: &[A::Element],
) -> Result<Vec<Option<A::Element>>, A::Error> {
    let shortest = claims.iter().map(|claim| claim.point.len()).min();
    let most = point.len() - shortest.unwrap_or(0).min(point.len());
    let one = arithmetic.constant(A::Field::ONE);
    let mut weights = vec![None];
    for (i, r) in point.iter().take(most).enumerate() {
        let factor = arithmetic.sub(&one, r);
        let weight = match weights.last().and_then(Option::as_ref) {
            None => factor,
            Some(before) => arithmetic.multiply(&format!("padding {i}"), before, &factor)?,
        };
        weights.push(Some(weight));
    }
    Ok(weights)
}

/// `eq(x, y) = prod_k (1 - x_k - y_k + 2 x_k y_k)` for points of one length.
fn eq_eval<A: Arithmetic>(
    arithmetic: &mut A,
    name: &str,
    x: &[A::Element],
    y: &[A::Element],
) -> Result<A::Element, A::Error> {
    Rejected::lengths("point", x.len(), y.len())?;
    let one = arithmetic.constant(A::Field::ONE);
    let mut product = None;
    for (k, (x, y)) in x.iter().zip(y).enumerate() {
        let xy = arithmetic.multiply(&format!("{name} product {k}"), x, y)?;
        let sum = arithmetic.add(x, y);
        let factor = arithmetic.sub(&arithmetic.scale(2, &xy), &sum);
        let factor = arithmetic.add(&one, &factor);
        product = Some(match product {
            None => factor,
            Some(before) => arithmetic.multiply(&format!("{name} prefix {k}"), &before, &factor)?,
        });
    }
    Ok(product.unwrap_or(one))
}

/// `sum_i base^i values_i`.
fn horner<A: Arithmetic>(
    arithmetic: &mut A,
    name: &str,
    base: &A::Element,
    values: &[A::Element],
) -> Result<A::Element, A::Error> {
    let mut values = values.iter().enumerate().rev();
    let Some((_, last)) = values.next() else {
        return Ok(arithmetic.constant(A::Field::ZERO));
    };
    let mut sum = last.clone();
    for (i, value) in values {
        let product = arithmetic.multiply(&format!("{name} {i}"), base, &sum)?;
        sum = arithmetic.add(&product, value);
    }
    Ok(sum)
}

//! The claim accumulator: claims about many weight polynomials become one about their random sum.
//!
//! The running claim says that the polynomial behind `C_acc` evaluates to `a` at `rho`. A step adds
//! claims `(p_j, v_j)` about its own weight polynomial. One sum-check of `ell` rounds on
//! `eq(rho, x) Acc(x) + S(x) Step(x)` with `S(x) = sum_j g^j eq(p_j, x)` and the claimed sum
//! `a + sum_j g^j v_j` leaves the evaluations of `Acc` and `Step` at one point `rho'`. They are
//! absorbed, `beta` is squeezed, and `Acc + beta Step` at `rho'` is the next running claim. This is
//! the batching of evaluation claims of HyperNova (2023/573, section 4) for claims on different
//! polynomials.
//!
//! Assumed of the caller: `rho`, `a`, both commitments, all `p_j` and all `v_j` are bound by the
//! transcript before the merge starts.

use crate::field::CircuitField;
use crate::small;
use crate::step::{StepOutput, WeightTable};
use crate::sumcheck::{self, Message, NoProver, RoundProver};
use crate::transcript::{Transcript, TranscriptCircuit};
use crate::wire::{Wire, WireSystem};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fmt;
use thiserror::Error;

/// Variables that [`MergeProver`] leaves for its second half: a row of 256 entries amortises the
/// reduction of an integer sum, and layers of 256 columns or more share one set of row products.
const LOW_VARIABLES: usize = 8;

/// What is wrong with the sizes of a claim, a table or a proof.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClaimError {
    /// The slot bits and the variables of a claim do not make up the polynomial's variables.
    #[error(
        "claim {index}: expected {expected} variables, got {got}; \
         slot, rows and columns must make up the weight variables of the kind"
    )]
    Variables {
        /// Position among the claims.
        index: usize,
        /// `ell`.
        expected: usize,
        /// `slot.len() + rows + columns`.
        got: usize,
    },
    /// A claim uses more coordinates than a shared point has.
    #[error(
        "claim {index}: expected at most {expected} {name} variables, got {got}; \
         make the shared point as long as the largest layer needs"
    )]
    Point {
        /// Position among the claims.
        index: usize,
        /// Which of the shared points.
        name: &'static str,
        /// Length of the shared point.
        expected: usize,
        /// Variables that the claim takes from it.
        got: usize,
    },
    /// The accumulator has the wrong number of entries.
    #[error("accumulator: expected 2^{expected} entries, got {got}; use the ell of the program")]
    Accumulator {
        /// `ell`.
        expected: usize,
        /// Number of entries.
        got: usize,
    },
    /// The weight table has the wrong number of variables.
    #[error("weights: expected {expected} variables, got {got}; pad the table to the common ell")]
    Weights {
        /// `ell`.
        expected: usize,
        /// Variables of the table.
        got: usize,
    },
    /// The proof has the wrong number of messages.
    #[error("merge proof: expected {expected} rounds, got {got}; one round a variable is needed")]
    Rounds {
        /// `ell`.
        expected: usize,
        /// Messages in the proof.
        got: usize,
    },
    /// The evaluations of the proof do not meet the claim that the rounds leave.
    #[error("merge proof: the evaluations do not meet the last claim; a claim is false or forged")]
    LastClaim,
}

impl From<ClaimError> for SynthesisError {
    fn from(error: ClaimError) -> Self {
        SynthesisError::IncompatibleLengthVector(error.to_string())
    }
}

/// The claim that the accumulated polynomial evaluates to `value` at `point`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningClaim<F> {
    /// `rho`, most significant variable first; `ell` entries.
    pub point: Vec<F>,
    /// `a`.
    pub value: F,
}

/// The circuit twin of [`RunningClaim`].
#[derive(Clone, Debug)]
pub struct RunningClaimWires<F: CircuitField> {
    /// `rho`, most significant variable first; `ell` wires.
    pub point: Vec<Wire<F>>,
    /// `a`.
    pub value: Wire<F>,
}

impl<F: CircuitField> RunningClaimWires<F> {
    /// The values of the wires.
    pub fn values(&self) -> RunningClaim<F> {
        RunningClaim {
            point: values(&self.point),
            value: self.value.value(),
        }
    }
}

fn values<F: CircuitField>(wires: &[Wire<F>]) -> Vec<F> {
    wires.iter().map(Wire::value).collect()
}

/// The native twin of [`crate::step::Claim`]; the shared points are in [`StepClaims`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockClaim<F> {
    /// The position of the block, most significant bit first.
    pub slot: Vec<bool>,
    /// Variables taken from the end of the row point.
    pub rows: usize,
    /// Variables taken from the end of the column point.
    pub columns: usize,
    /// The value claimed.
    pub value: F,
}

/// All claims of a step with the points that they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepClaims<F> {
    /// `r_n`, most significant variable first.
    pub row_point: Vec<F>,
    /// `r_j`, most significant variable first.
    pub column_point: Vec<F>,
    /// The claims, in the order in which the step absorbed their values.
    pub claims: Vec<BlockClaim<F>>,
}

impl<F: CircuitField> StepClaims<F> {
    /// The values of a step's claims.
    pub fn from_output(output: &StepOutput<F>) -> Self {
        let claims = output.claims.iter().map(|claim| BlockClaim {
            slot: claim.slot.clone(),
            rows: claim.rows,
            columns: claim.columns,
            value: claim.value.value(),
        });
        StepClaims {
            row_point: values(&output.row_point),
            column_point: values(&output.column_point),
            claims: claims.collect(),
        }
    }

    /// Checks that every claim is about a polynomial of `variables` variables.
    ///
    /// # Errors
    /// [`ClaimError::Variables`] and [`ClaimError::Point`].
    pub fn check(&self, variables: usize) -> Result<(), ClaimError> {
        for (index, claim) in self.claims.iter().enumerate() {
            let got = claim
                .slot
                .len()
                .saturating_add(claim.rows)
                .saturating_add(claim.columns);
            if got != variables {
                return Err(ClaimError::Variables {
                    index,
                    expected: variables,
                    got,
                });
            }
            let points = [
                ("row", self.row_point.len(), claim.rows),
                ("column", self.column_point.len(), claim.columns),
            ];
            for (name, expected, got) in points {
                if got > expected {
                    return Err(ClaimError::Point {
                        index,
                        name,
                        expected,
                        got,
                    });
                }
            }
        }
        Ok(())
    }

    /// The variables of the block that a claim is about: the suffixes of the two points.
    fn block_point(&self, claim: &BlockClaim<F>) -> Vec<F> {
        let suffix =
            |point: &[F], count: usize| point[point.len().saturating_sub(count)..].to_vec();
        let mut point = suffix(&self.row_point, claim.rows);
        point.extend(suffix(&self.column_point, claim.columns));
        point
    }

    /// The point `p_j` of a claim, most significant variable first.
    pub fn point(&self, claim: &BlockClaim<F>) -> Vec<F> {
        let slot = claim.slot.iter().map(|bit| F::from(u64::from(*bit)));
        slot.chain(self.block_point(claim)).collect()
    }

    /// `sum_j g^j v_j`, with `j` from one.
    fn claimed_sum(&self, g: F) -> F {
        self.claims
            .iter()
            .rev()
            .fold(F::ZERO, |sum, claim| (sum + claim.value) * g)
    }

    /// `S(x) = sum_j g^j eq(p_j, x)`, with `j` from one.
    fn weight_at(&self, g: F, x: &[F]) -> F {
        let terms = self.claims.iter().rev();
        terms.fold(F::ZERO, |sum, claim| {
            (sum + sumcheck::eq_eval(&self.point(claim), x)) * g
        })
    }
}

/// The tables that the prover of a merge works on.
#[derive(Clone, Copy)]
pub struct MergeInput<'a, F> {
    /// `Acc`: the evaluation table of the accumulated polynomial, `2^ell` entries.
    pub accumulator: &'a [F],
    /// `Step`: the weights of the step, of `ell` variables.
    pub weights: &'a WeightTable,
}

impl<F> fmt::Debug for MergeInput<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The entries may be secret, so only the sizes are shown.
        write!(
            f,
            "MergeInput({} entries, {:?})",
            self.accumulator.len(),
            self.weights
        )
    }
}

/// `left(x) * right(x)`, two tables over the variables that are not bound yet.
struct Term<F> {
    left: Vec<F>,
    right: Vec<F>,
}

impl<F: CircuitField> Term<F> {
    fn message(&self) -> Message<F> {
        let half = self.left.len() / 2;
        let (left_0, left_1) = self.left.split_at(half);
        let (right_0, right_1) = self.right.split_at(half);
        let pairs = left_0.iter().zip(left_1).zip(right_0.iter().zip(right_1));
        pairs.fold([F::ZERO; 2], |[c0, c2], ((l0, l1), (r0, r1))| {
            [c0 + *l0 * r0, c2 + (*l1 - l0) * (*r1 - r0)]
        })
    }

    fn bind(&mut self, challenge: F) {
        for table in [&mut self.left, &mut self.right] {
            let half = table.len() / 2;
            let (low, high) = table.split_at_mut(half);
            for (low, high) in low.iter_mut().zip(high) {
                *low += challenge * (*high - *low);
            }
            table.truncate(half);
        }
    }
}

/// `eq(point, .)` on a block of a table: the entries from `offset` on; zero elsewhere.
#[derive(Clone)]
struct BlockEq<F> {
    offset: usize,
    entries: Vec<F>,
}

impl<F: CircuitField> BlockEq<F> {
    fn new(slot: &[bool], point: &[F]) -> Self {
        let index = slot
            .iter()
            .fold(0usize, |index, bit| index << 1 | usize::from(*bit));
        BlockEq {
            offset: index << point.len(),
            entries: sumcheck::eq_table(point),
        }
    }

    /// `table += factor * self`.
    fn add_to(&self, factor: F, table: &mut [F]) {
        for (entry, eq) in table.iter_mut().skip(self.offset).zip(&self.entries) {
            *entry += factor * eq;
        }
    }
}

/// Claims whose points agree in the low variables: the low part of a point is the bits of a slot,
/// then this many coordinates of the row point, then of the column point.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct LowPart<'c> {
    slot: &'c [bool],
    rows: usize,
    columns: usize,
}

/// `sum_j g^j eq(p_j, x)` over the claims of one [`LowPart`]: `high(x_high) * low(x_low)`.
struct Group<F> {
    high: Vec<F>,
    low: BlockEq<F>,
}

/// Groups the claims by low part: in all `sum_groups high(x_high) low(x_low) = S(x)`.
fn groups<F: CircuitField>(claims: &StepClaims<F>, g: F, high: usize, low: usize) -> Vec<Group<F>> {
    let mut groups: BTreeMap<LowPart<'_>, Group<F>> = BTreeMap::new();
    let mut power = F::ONE;
    for claim in &claims.claims {
        power *= g;
        let point = claims.block_point(claim);
        let (slot_high, slot_low) = claim.slot.split_at(claim.slot.len().min(high));
        let (point_high, point_low) = point.split_at(point.len().saturating_sub(low));
        let columns = claim.columns.min(low);
        let key = LowPart {
            slot: slot_low,
            rows: claim.rows.min(low - columns),
            columns,
        };
        let group = groups.entry(key).or_insert_with(|| Group {
            high: vec![F::ZERO; 1 << high],
            low: BlockEq::new(slot_low, point_low),
        });
        BlockEq::new(slot_high, point_high).add_to(power, &mut group.high);
    }
    groups.into_values().collect()
}

/// The prover of a merge: `sum_x [eq(rho, x) Acc(x) + S(x) Step(x)]`.
///
/// With `x = (x_high, x_low)`, `eq(rho, .)` and the part of `S` of claims that agree in their low
/// variables are products `u(x_high) v(x_low)`. So the rounds of the high variables need no more
/// than `M(x_high) = sum_{x_low} v(x_low) T(x_high, x_low)` for `T = Acc` and `T = Step`: one pass
/// over a table, on integers for the weights. When the high variables are bound, a second pass
/// sums `eq(r_high, x_high) T(x_high, x_low)`, and the rest works on tables of `2^8` entries.
/// Neither table is copied or written. In all the accumulator costs two multiplications an entry,
/// with no need to factor `eq` out of the round polynomials (Gruen 2024/108, section 3.2), and a
/// weight costs no multiplication. Weights beyond the last stored one cost nothing.
pub struct MergeProver<'a, F: CircuitField> {
    accumulator: &'a [F],
    weights: &'a [i64],
    challenges: Vec<F>,
    high: usize,
    /// `eq(rho_low, .)`, then the low parts of the claims' groups.
    low: Vec<BlockEq<F>>,
    /// While high variables are left, one term each of `low`; afterwards `Acc` and `Step`.
    terms: Vec<Term<F>>,
}

impl<F: CircuitField> fmt::Debug for MergeProver<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MergeProver({} variables bound)", self.challenges.len())
    }
}

impl<'a, F: CircuitField> MergeProver<'a, F> {
    /// A prover for the running claim and the claims of a step, combined with powers of `g`.
    ///
    /// # Errors
    /// [`ClaimError`] when a size does not match the length of the running claim's point.
    pub fn new(
        input: MergeInput<'a, F>,
        running: &RunningClaim<F>,
        claims: &StepClaims<F>,
        g: F,
    ) -> Result<Self, ClaimError> {
        let variables = running.point.len();
        claims.check(variables)?;
        if input.weights.variables() != variables {
            let got = input.weights.variables();
            return Err(ClaimError::Weights {
                expected: variables,
                got,
            });
        }
        if 1usize.checked_shl(variables as u32) != Some(input.accumulator.len()) {
            let got = input.accumulator.len();
            return Err(ClaimError::Accumulator {
                expected: variables,
                got,
            });
        }
        let low = variables.min(LOW_VARIABLES);
        let high = variables - low;
        let (rho_high, rho_low) = running.point.split_at(high);
        let accumulated = Group {
            high: sumcheck::eq_table(rho_high),
            low: BlockEq::new(&[], rho_low),
        };
        let mut prover = MergeProver {
            accumulator: input.accumulator,
            weights: input.weights.entries(),
            challenges: Vec::with_capacity(variables),
            high,
            low: Vec::new(),
            terms: Vec::new(),
        };
        prover.push(accumulated, |low| {
            field_row_products(input.accumulator, low)
        });
        for group in groups(claims, g, high, low) {
            let weights = prover.weights;
            prover.push(group, |eq| {
                small::row_products(weights, 1 << low, eq.offset, &eq.entries)
            });
        }
        if high == 0 {
            prover.fold_high();
        }
        Ok(prover)
    }

    fn push(&mut self, group: Group<F>, products: impl FnOnce(&BlockEq<F>) -> Vec<F>) {
        let mut right = if self.high == 0 {
            Vec::new()
        } else {
            products(&group.low)
        };
        right.resize(group.high.len(), F::ZERO);
        self.terms.push(Term {
            left: group.high,
            right,
        });
        self.low.push(group.low);
    }

    /// Replaces the terms of the bound high variables by those of the low ones.
    fn fold_high(&mut self) {
        let columns = self.accumulator.len() >> self.high;
        let eq = sumcheck::eq_table(&self.challenges);
        let mut lefts = [vec![F::ZERO; columns], vec![F::ZERO; columns]];
        for (i, (term, low)) in self.terms.iter().zip(&self.low).enumerate() {
            let factor = term.left.first().copied().unwrap_or(F::ZERO);
            low.add_to(factor, &mut lefts[i.min(1)]);
        }
        let [eq_rho, step_weight] = lefts;
        let accumulator = field_combine_rows(self.accumulator, columns, &eq);
        let step = small::combine_rows(self.weights, columns, &eq);
        self.terms = vec![
            Term {
                left: eq_rho,
                right: accumulator,
            },
            Term {
                left: step_weight,
                right: step,
            },
        ];
    }

    /// `(Acc(rho'), Step(rho'))` once every variable is bound.
    pub fn evaluations(&self) -> Option<(F, F)> {
        match self.terms.as_slice() {
            [accumulator, step] if self.challenges.len() >= self.high => {
                match (accumulator.right.as_slice(), step.right.as_slice()) {
                    ([accumulator], [step]) => Some((*accumulator, *step)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl<F: CircuitField> RoundProver<F> for MergeProver<'_, F> {
    fn message(&mut self, _: F) -> Message<F> {
        let messages = self.terms.par_iter().map(Term::message);
        messages.reduce(|| [F::ZERO; 2], |a, b| [a[0] + b[0], a[1] + b[1]])
    }

    fn bind(&mut self, challenge: F) {
        self.terms
            .par_iter_mut()
            .for_each(|term| term.bind(challenge));
        self.challenges.push(challenge);
        if self.challenges.len() == self.high {
            self.fold_high();
        }
    }
}

/// `out[h] = sum_c eq[c] T[h][c]` for rows as long as `eq`.
fn field_row_products<F: CircuitField>(table: &[F], eq: &BlockEq<F>) -> Vec<F> {
    let rows = table.par_chunks(eq.entries.len());
    rows.map(|row| row.iter().zip(&eq.entries).map(|(x, eq)| *x * eq).sum())
        .collect()
}

/// `out[c] = sum_h eq[h] T[h][c]`.
fn field_combine_rows<F: CircuitField>(table: &[F], columns: usize, eq: &[F]) -> Vec<F> {
    const ROWS: usize = 64;
    let zero = || vec![F::ZERO; columns];
    let blocks = table.par_chunks(columns * ROWS).zip(eq.par_chunks(ROWS));
    let sums = blocks.fold(zero, |mut sums, (rows, eq)| {
        for (row, eq) in rows.chunks(columns).zip(eq) {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum += *eq * x;
            }
        }
        sums
    });
    sums.reduce(zero, |mut a, b| {
        a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
        a
    })
}

/// The messages of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeProof<F> {
    /// The round messages, first round first; `ell` of them.
    pub messages: Vec<Message<F>>,
    /// `Acc(rho')`.
    pub accumulator: F,
    /// `Step(rho')`.
    pub step: F,
}

/// What a merge leaves: `Acc + beta Step` at `point` is the next running claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedValues<F> {
    /// `rho'`, most significant variable first.
    pub point: Vec<F>,
    /// `Acc(rho')`.
    pub accumulator: F,
    /// `Step(rho')`.
    pub step: F,
    /// The challenge squeezed last; the caller takes the scalar that multiplies `Step` from it.
    pub beta: F,
}

/// The circuit twin of [`MergedValues`].
#[derive(Clone, Debug)]
pub struct Merged<F: CircuitField> {
    /// `rho'`, most significant variable first.
    pub point: Vec<Wire<F>>,
    /// `Acc(rho')`.
    pub accumulator: Wire<F>,
    /// `Step(rho')`.
    pub step: Wire<F>,
    /// The challenge squeezed last; the caller takes the scalar that multiplies `Step` from it.
    pub beta: Wire<F>,
}

impl<F: CircuitField> Merged<F> {
    /// The values of the wires.
    pub fn values(&self) -> MergedValues<F> {
        MergedValues {
            point: values(&self.point),
            accumulator: self.accumulator.value(),
            step: self.step.value(),
            beta: self.beta.value(),
        }
    }
}

/// Records the messages of another prover.
struct Recorder<'p, F: CircuitField> {
    prover: &'p mut dyn RoundProver<F>,
    messages: Vec<Message<F>>,
}

impl<F: CircuitField> RoundProver<F> for Recorder<'_, F> {
    fn message(&mut self, claim: F) -> Message<F> {
        let message = self.prover.message(claim);
        self.messages.push(message);
        message
    }

    fn bind(&mut self, challenge: F) {
        self.prover.bind(challenge);
    }
}

/// Proves a merge natively, with the challenges that [`merge`] draws.
///
/// False claims are not noticed: the proof is then one that does not verify.
///
/// # Errors
/// [`ClaimError`] when sizes do not match.
pub fn prove<F: CircuitField>(
    transcript: &mut Transcript<F>,
    running: &RunningClaim<F>,
    claims: &StepClaims<F>,
    input: MergeInput<'_, F>,
) -> Result<(MergeProof<F>, MergedValues<F>), ClaimError> {
    let g = transcript.squeeze();
    let mut prover = MergeProver::new(input, running, claims, g)?;
    let mut recorder = Recorder {
        prover: &mut prover,
        messages: Vec::new(),
    };
    let rounds = running.point.len();
    let sum = running.value + claims.claimed_sum(g);
    let (point, _) = sumcheck::run(transcript, sum, rounds, &mut recorder);
    let messages = recorder.messages;
    let (accumulator, step) = prover.evaluations().unwrap_or_default();
    transcript.absorb(&[accumulator, step]);
    let beta = transcript.squeeze();
    let merged = MergedValues {
        point,
        accumulator,
        step,
        beta,
    };
    Ok((
        MergeProof {
            messages,
            accumulator,
            step,
        },
        merged,
    ))
}

/// The native twin of [`merge`]: replays a proof and checks what the circuit enforces.
///
/// # Errors
/// [`ClaimError`] when sizes do not match or the last claim is not met.
pub fn merge_native<F: CircuitField>(
    transcript: &mut Transcript<F>,
    running: &RunningClaim<F>,
    claims: &StepClaims<F>,
    proof: &MergeProof<F>,
) -> Result<MergedValues<F>, ClaimError> {
    let rounds = running.point.len();
    claims.check(rounds)?;
    if proof.messages.len() != rounds {
        return Err(ClaimError::Rounds {
            expected: rounds,
            got: proof.messages.len(),
        });
    }
    let g = transcript.squeeze();
    let sum = running.value + claims.claimed_sum(g);
    let mut replay = sumcheck::Replay::new(proof.messages.clone());
    let (point, last) = sumcheck::run(transcript, sum, rounds, &mut replay);
    let (accumulator, step) = (proof.accumulator, proof.step);
    let accumulated = sumcheck::eq_eval(&running.point, &point) * accumulator;
    if accumulated + claims.weight_at(g, &point) * step != last {
        return Err(ClaimError::LastClaim);
    }
    transcript.absorb(&[accumulator, step]);
    let beta = transcript.squeeze();
    Ok(MergedValues {
        point,
        accumulator,
        step,
        beta,
    })
}

/// A prover of the rounds that also knows the evaluations at the end.
trait OpeningProver<F: CircuitField>: RoundProver<F> {
    fn opening(&self) -> (F, F);
}

impl<F: CircuitField> OpeningProver<F> for MergeProver<'_, F> {
    fn opening(&self) -> (F, F) {
        self.evaluations().unwrap_or_default()
    }
}

impl<F: CircuitField> OpeningProver<F> for NoProver {
    fn opening(&self) -> (F, F) {
        (F::ZERO, F::ZERO)
    }
}

/// Sends what a proof says.
struct ProofReplay<'p, F> {
    rounds: sumcheck::Replay<F>,
    proof: &'p MergeProof<F>,
}

impl<F: CircuitField> RoundProver<F> for ProofReplay<'_, F> {
    fn message(&mut self, claim: F) -> Message<F> {
        self.rounds.message(claim)
    }

    fn bind(&mut self, _: F) {}
}

impl<F: CircuitField> OpeningProver<F> for ProofReplay<'_, F> {
    fn opening(&self) -> (F, F) {
        (self.proof.accumulator, self.proof.step)
    }
}

/// Merges the claims of a step into the running claim.
///
/// Enforced: the rounds of the sum-check from the computed sum `a + sum_j g^j v_j`, and
/// `eq(rho, rho') Acc(rho') + (sum_j g^j eq(p_j, rho')) Step(rho')` equal to the claim they leave.
/// `beta` is squeezed after both evaluations. Assumed: what the module's documentation lists, and
/// that the caller makes `Acc(rho') + beta Step(rho')` the value of the next running claim. Without
/// a prover, as in shape synthesis, zeros are sent.
///
/// # Errors
/// [`SynthesisError::IncompatibleLengthVector`] when sizes do not match; those of the system.
pub fn merge<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    transcript: &mut TranscriptCircuit<F>,
    running: &RunningClaimWires<F>,
    output: &StepOutput<F>,
    prover: Option<MergeInput<'_, F>>,
) -> Result<Merged<F>, SynthesisError> {
    constrain(cs, transcript, running, output, |g, claims| {
        Ok(match prover {
            Some(input) => Box::new(MergeProver::new(input, &running.values(), claims, g)?),
            None => Box::new(NoProver),
        })
    })
}

/// [`merge`] with the messages of a proof made before, by [`prove`] on an equal transcript.
///
/// # Errors
/// [`SynthesisError::IncompatibleLengthVector`] when sizes do not match; those of the system.
pub fn merge_proof<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    transcript: &mut TranscriptCircuit<F>,
    running: &RunningClaimWires<F>,
    output: &StepOutput<F>,
    proof: &MergeProof<F>,
) -> Result<Merged<F>, SynthesisError> {
    let (expected, got) = (running.point.len(), proof.messages.len());
    if got != expected {
        return Err(ClaimError::Rounds { expected, got }.into());
    }
    constrain(cs, transcript, running, output, |_, _| {
        let rounds = sumcheck::Replay::new(proof.messages.clone());
        Ok(Box::new(ProofReplay { rounds, proof }))
    })
}

fn constrain<'p, F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    transcript: &mut TranscriptCircuit<F>,
    running: &RunningClaimWires<F>,
    output: &StepOutput<F>,
    prover: impl FnOnce(F, &StepClaims<F>) -> Result<Box<dyn OpeningProver<F> + 'p>, ClaimError>,
) -> Result<Merged<F>, SynthesisError> {
    let claims = StepClaims::from_output(output);
    let rounds = running.point.len();
    claims.check(rounds)?;
    let mut cs = cs.namespace(|| "merge");
    let g = transcript.squeeze(&mut cs.namespace(|| "combine"))?;
    let mut prover = prover(g.value(), &claims)?;
    let values: Vec<_> = output
        .claims
        .iter()
        .map(|claim| claim.value.clone())
        .collect();
    let sum = combine(&mut cs.namespace(|| "claimed sum"), &values, &g)?.add(&running.value);
    let (point, last) = sumcheck::run_circuit(&mut cs, transcript, &sum, rounds, &mut *prover)?;
    let (accumulator, step) = prover.opening();
    let accumulator = cs.wire(|| "accumulator evaluation", accumulator)?;
    let step = cs.wire(|| "step evaluation", step)?;
    let eq_running =
        sumcheck::eq_eval_circuit(&mut cs.namespace(|| "running"), &running.point, &point)?;
    let eq_claims = claim_equalities(&mut cs.namespace(|| "claims"), output, &point)?;
    let weight = combine(&mut cs.namespace(|| "step weight"), &eq_claims, &g)?;
    let accumulated = cs.product(|| "accumulated", &eq_running, &accumulator)?;
    cs.enforce_product(|| "last claim", &weight, &step, &last.sub(&accumulated));
    transcript.absorb([&accumulator, &step]);
    let beta = transcript.squeeze(&mut cs.namespace(|| "beta"))?;
    Ok(Merged {
        point,
        accumulator,
        step,
        beta,
    })
}

/// `sum_j g^j x_j`, with `j` from one: one product each.
fn combine<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    terms: &[Wire<F>],
    g: &Wire<F>,
) -> Result<Wire<F>, SynthesisError> {
    let mut sum = Wire::zero();
    for (j, term) in terms.iter().enumerate().rev() {
        sum = cs.product(|| format!("power {j}"), &sum.add(term), g)?;
    }
    Ok(sum)
}

/// `eq(p_j, x)` for every claim.
///
/// The points are suffixes of two shared points behind constant bits, so each is a product of
/// three prefixes that other claims share: of the slot bits, of the row variables at one distance
/// from the end, of the column variables.
fn claim_equalities<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    output: &StepOutput<F>,
    x: &[Wire<F>],
) -> Result<Vec<Wire<F>>, SynthesisError> {
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    for claim in &output.claims {
        let count = rows.entry(claim.columns).or_default();
        *count = claim.rows.max(*count);
    }
    let most = rows.keys().next_back().copied().unwrap_or(0);
    let column_eq = suffix_equalities(
        &mut cs.namespace(|| "columns"),
        &output.column_point,
        x,
        most,
    )?;
    let mut row_eq = BTreeMap::new();
    for (columns, count) in rows {
        let mut cs = cs.namespace(|| format!("rows before {columns}"));
        let x = &x[..x.len() - columns];
        row_eq.insert(
            columns,
            suffix_equalities(&mut cs, &output.row_point, x, count)?,
        );
    }
    let mut slots = BTreeMap::from([(Vec::new(), Wire::one())]);
    let mut blocks = BTreeMap::new();
    let mut equalities = Vec::with_capacity(output.claims.len());
    for (j, claim) in output.claims.iter().enumerate() {
        let (rows, columns) = (claim.rows, claim.columns);
        let block = match blocks.get(&(rows, columns)) {
            Some(block) => Wire::clone(block),
            None => {
                let name = || format!("block {rows} {columns}");
                let row = &row_eq[&columns][rows];
                let block = join(cs, name, (rows, row), (columns, &column_eq[columns]))?;
                blocks.insert((rows, columns), block.clone());
                block
            }
        };
        let slot = slot_equality(cs, &mut slots, &claim.slot, x)?;
        let slot = (claim.slot.len(), &slot);
        equalities.push(join(
            cs,
            || format!("claim {j}"),
            slot,
            (rows + columns, &block),
        )?);
    }
    Ok(equalities)
}

/// The product of two equality polynomials with their numbers of variables; one of no variables is
/// the constant one and costs nothing.
fn join<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    name: impl Fn() -> String,
    (left_variables, left): (usize, &Wire<F>),
    (right_variables, right): (usize, &Wire<F>),
) -> Result<Wire<F>, SynthesisError> {
    match (left_variables, right_variables) {
        (0, _) => Ok(right.clone()),
        (_, 0) => Ok(left.clone()),
        _ => cs.product(name, left, right),
    }
}

/// `eq` of the last `k` entries of `point` and of `x`, for every `k` up to `count`.
fn suffix_equalities<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    point: &[Wire<F>],
    x: &[Wire<F>],
    count: usize,
) -> Result<Vec<Wire<F>>, SynthesisError> {
    let mut suffixes = vec![Wire::one()];
    let mut last = Wire::one();
    for (i, (p, x)) in point
        .iter()
        .rev()
        .zip(x.iter().rev())
        .take(count)
        .enumerate()
    {
        let product = cs.product(|| format!("eq {i} product"), p, x)?;
        let factor = product.scale(F::from(2)).sub(p).sub(x).add_constant(F::ONE);
        last = join(cs, || format!("eq {i} suffix"), (i, &last), (1, &factor))?;
        suffixes.push(last.clone());
    }
    Ok(suffixes)
}

/// `prod_i (x_i if slot_i else 1 - x_i)`, from the longest prefix known.
fn slot_equality<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    known: &mut BTreeMap<Vec<bool>, Wire<F>>,
    slot: &[bool],
    x: &[Wire<F>],
) -> Result<Wire<F>, SynthesisError> {
    let mut product = Wire::one();
    for (i, (bit, x)) in slot.iter().zip(x).enumerate() {
        let prefix = &slot[..=i];
        if let Some(found) = known.get(prefix) {
            product = found.clone();
            continue;
        }
        let factor = if *bit { x.clone() } else { Wire::one().sub(x) };
        let name = || {
            let bits: String = prefix
                .iter()
                .map(|bit| if *bit { '1' } else { '0' })
                .collect();
            format!("slot {bits}")
        };
        product = join(cs, name, (i, &product), (1, &factor))?;
        known.insert(prefix.to_vec(), product.clone());
    }
    Ok(product)
}

//! All matrix products of a chain by one sum-check (Thaler, eprint 2013/351, section 4).
//!
//! For layer `l` with accumulators `y`, inputs `x`, matrix `W` and bias `b`,
//! `Y~(r_n) - b~(r_n) = sum_j X~(j) W~(r_n, j)`. The layers are added with powers of a challenge
//! `gamma`, and one sum-check over `j` reduces the sum to
//! `sum_l gamma^l X~_l(r_j) W~_l(r_n, r_j)`. `Y~` and `X~` are computed from first-segment wires;
//! `b~_l(r_n)` and `W~_l(r_n, r_j)` become claims about the chain's weight polynomial.
//!
//! * Order of the transcript: squeeze `t`, which fixes `r_n`; absorb all `b~_l(r_n)`; squeeze
//!   `gamma`; the rounds; absorb all `W~_l(r_n, r_j)`.
//! * The row point is structured: `r_n = (rho_(a-1), ..., rho_0)` with
//!   `rho_k = t^(2^k) / (1 + t^(2^k))`. Then `eq(r_n, n) = t^n prod_k (1 - rho_k)`, so
//!   `Y~(r_n) = prod_k (1 - rho_k) * sum_n t^n y_n` costs one product an output (Horner's rule) and
//!   one hash in all. If some row is wrong, `sum_n t^n (y_n - b_n - sum_j W_nj x_j)` is a non-zero
//!   polynomial of degree below `2^a`, so a false statement survives with probability below
//!   `2^a / |F|`; independent coordinates would give `a / |F|`. A smaller layer uses the last
//!   coordinates.
//! * Layers with fewer inputs are padded with zeros at the high indices, the variables bound first:
//!   `X~_l` then is `prod (1 - r_high) X~_l(r_low)`, and `W~_l` reads `r_low` only. Folding `x`
//!   pair by pair from the last challenge to the first evaluates the padded `X~_l`.
//! * Enforced: the claimed sum is computed, never witnessed; `rho_k (1 + t^(2^k)) = t^(2^k)` (when
//!   the factor is zero this has no solution); the rounds; the final check.
//! * Assumed: `x` and `y` lie in the first segment and the transcript has absorbed the commitments
//!   to it and to the weights; whoever gets the claims checks them.
//! * Cost: `outputs - 1` products for `Y~`, `sum_(k >= 1) ceil(inputs / 2^k)` for `X~`, nothing per
//!   weight; a hash and two products a round.

use crate::layer::Weights;
use crate::layout::{Block, LayerBlocks};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::segment::FirstWire;
use foldnet_gadgets::small::combine_rows;
use foldnet_gadgets::step::Claim;
use foldnet_gadgets::sumcheck::{self, Message, RoundProver};
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::{Wire, WireSystem};

/// One matrix product `accumulators = matrix * inputs + bias`.
#[derive(Clone, Debug)]
pub struct Product<'a, F: CircuitField> {
    /// Where the weights lie.
    pub blocks: LayerBlocks,
    /// `y`, shape (outputs).
    pub accumulators: Vec<&'a FirstWire<F>>,
    /// `x`, shape (inputs).
    pub inputs: Vec<&'a FirstWire<F>>,
    /// The values of the weights; absent in shape synthesis.
    pub weights: Option<Weights<'a>>,
}

/// The constraints of [`constrain`] for vectors of these lengths, and the number of elements in
/// each of its hashes.
///
/// `shapes` holds (outputs, inputs) of each product. The first hash is that of the challenge `t`,
/// for a transcript that was squeezed before and has absorbed nothing since.
pub fn cost(shapes: &[(usize, usize)]) -> (usize, Vec<usize>) {
    if shapes.is_empty() {
        return (0, Vec::new());
    }
    let layers = shapes.len();
    let most = |count: fn(&(usize, usize)) -> usize| {
        shapes
            .iter()
            .map(|shape| crate::layout::variables(count(shape)))
            .max()
            .unwrap_or(0)
    };
    let (row_bits, rounds) = (most(|shape| shape.0), most(|shape| shape.1));
    let halvings = |n: usize| (1..=rounds).map(|k| n.div_ceil(1 << k)).sum::<usize>();
    // Squares, quotients and prefixes of the row point.
    let point = row_bits + 2 * row_bits.saturating_sub(1);
    let vectors: usize = shapes
        .iter()
        .map(|(outputs, inputs)| {
            let scaled = usize::from(*outputs > 1);
            (outputs - 1) + scaled + halvings(*inputs)
        })
        .sum();
    // Powers of gamma, the claimed sum, the final sum, the final check.
    let sums = layers.saturating_sub(2) + (layers - 1) + (2 * layers - 1) + 1;
    let mut hashes = vec![1, 1 + layers];
    hashes.extend(std::iter::repeat_n(3, rounds));
    (point + vectors + sums + 2 * rounds, hashes)
}

/// What the sum-check leaves: the shared challenge points and two claims for each product, on its
/// matrix and on its bias.
#[derive(Clone, Debug)]
pub struct Reduced<F: CircuitField> {
    /// `r_n`, most significant variable first.
    pub row_point: Vec<Wire<F>>,
    /// `r_j`, most significant variable first.
    pub column_point: Vec<Wire<F>>,
    /// The claims, each about a block of the weight table.
    pub claims: Vec<Claim<F>>,
}

/// Enforces all products up to the claims returned.
///
/// The weight polynomial has `table_variables` variables.
///
/// # Errors
/// Only those of the underlying system.
pub fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    transcript: &mut TranscriptCircuit<F>,
    table_variables: usize,
    products: &[Product<'_, F>],
) -> Result<Reduced<F>, SynthesisError> {
    if products.is_empty() {
        return Ok(Reduced {
            row_point: Vec::new(),
            column_point: Vec::new(),
            claims: Vec::new(),
        });
    }
    let row_bits = products
        .iter()
        .map(|product| product.blocks.row_bits)
        .max()
        .unwrap_or(0);
    let rounds = products
        .iter()
        .map(|product| product.blocks.column_bits)
        .max()
        .unwrap_or(0);

    let mut rows_cs = cs.namespace(|| "rows");
    let t = transcript.squeeze(&mut rows_cs)?;
    let rows = RowPoint::new(&mut rows_cs, t, row_bits)?;
    drop(rows_cs);

    let biases = products
        .iter()
        .enumerate()
        .map(|(l, product)| cs.wire(|| format!("bias {l}"), rows.bias(product)))
        .collect::<Result<Vec<_>, _>>()?;
    transcript.absorb(&biases);
    let gamma = transcript.squeeze(&mut cs.namespace(|| "gamma"))?;
    let gammas = powers(cs, &gamma, products.len())?;

    let mut claimed = Wire::zero();
    for (l, (product, bias)) in products.iter().zip(&biases).enumerate() {
        let mut cs = cs.namespace(|| format!("outputs {l}"));
        let difference = rows.evaluate(&mut cs, product)?.sub(bias);
        claimed.add_assign(&weigh(&mut cs, gammas.get(l), l, &difference)?);
    }

    let mut prover = Prover::new(products, &rows, &gammas, rounds);
    let (columns, last) = sumcheck::run_circuit(cs, transcript, &claimed, rounds, &mut prover)?;

    let evaluations = prover
        .evaluations()
        .enumerate()
        .map(|(l, value)| cs.wire(|| format!("weights {l}"), value))
        .collect::<Result<Vec<_>, _>>()?;
    transcript.absorb(&evaluations);

    let mut total = Wire::zero();
    for (l, (product, weights)) in products.iter().zip(&evaluations).enumerate() {
        let mut cs = cs.namespace(|| format!("inputs {l}"));
        let inputs = fold(&mut cs, &product.inputs, &columns)?;
        let value = cs.product(|| "inputs times weights", &inputs, weights)?;
        total.add_assign(&weigh(&mut cs, gammas.get(l), l, &value)?);
    }
    cs.enforce_equal(|| "final check", &last, &total);

    let mut claims = Vec::with_capacity(2 * products.len());
    for ((product, weights), bias) in products.iter().zip(evaluations).zip(biases) {
        let LayerBlocks {
            row_bits: rows,
            column_bits: columns,
            ..
        } = product.blocks;
        let slot = |block: Block| block.slot_bits(table_variables);
        let matrix = slot(product.blocks.matrix);
        claims.push(Claim {
            slot: matrix,
            rows,
            columns,
            value: weights,
        });
        let column = slot(product.blocks.bias);
        claims.push(Claim {
            slot: column,
            rows,
            columns: 0,
            value: bias,
        });
    }
    Ok(Reduced {
        row_point: rows.coordinates,
        column_point: columns,
        claims,
    })
}

/// `gamma^0, ..., gamma^(count - 1)`.
fn powers<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    gamma: &Wire<F>,
    count: usize,
) -> Result<Vec<Wire<F>>, SynthesisError> {
    let mut powers = Vec::with_capacity(count);
    let mut power = Wire::one();
    for l in 0..count {
        if l == 1 {
            power = gamma.clone();
        } else if l > 1 {
            power = cs.product(|| format!("gamma {l}"), &power, gamma)?;
        }
        powers.push(power.clone());
    }
    Ok(powers)
}

/// `gamma^l * value`; the first layer's factor is one.
fn weigh<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    gamma: Option<&Wire<F>>,
    l: usize,
    value: &Wire<F>,
) -> Result<Wire<F>, SynthesisError> {
    match gamma {
        Some(gamma) if l > 0 => cs.product(|| "weighed", gamma, value),
        _ => Ok(value.clone()),
    }
}

/// The structured point of the rows.
#[derive(Debug)]
struct RowPoint<F: CircuitField> {
    /// `t`.
    base: Wire<F>,
    /// `rho_k`, most significant first.
    coordinates: Vec<Wire<F>>,
    /// `prod_(k < a) (1 - rho_k)` for `a = 0, 1, ...`.
    scales: Vec<Wire<F>>,
}

impl<F: CircuitField> RowPoint<F> {
    fn new<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        base: Wire<F>,
        variables: usize,
    ) -> Result<Self, SynthesisError> {
        let mut coordinates = Vec::with_capacity(variables);
        let mut scales = vec![Wire::one()];
        let mut power = base.clone();
        let mut scale = Wire::one();
        for k in 0..variables {
            if k > 0 {
                power = cs.product(|| format!("power {k}"), &power, &power)?;
            }
            let shifted = power.add_constant(F::ONE);
            let inverse: F = Option::from(shifted.value().invert()).unwrap_or(F::ZERO);
            let rho = cs.wire(|| format!("coordinate {k}"), power.value() * inverse)?;
            cs.enforce_product(|| format!("coordinate {k}"), &rho, &shifted, &power);
            let complement = Wire::one().sub(&rho);
            scale = if k == 0 {
                complement
            } else {
                cs.product(|| format!("scale {k}"), &scale, &complement)?
            };
            scales.push(scale.clone());
            coordinates.push(rho);
        }
        coordinates.reverse();
        Ok(RowPoint {
            base,
            coordinates,
            scales,
        })
    }

    /// `prod_(k < a) (1 - rho_k)`.
    fn scale(&self, variables: usize) -> Wire<F> {
        self.scales
            .get(variables)
            .cloned()
            .unwrap_or_else(Wire::one)
    }

    /// `Y~(r_n)` of the accumulators, by Horner's rule.
    fn evaluate<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        product: &Product<'_, F>,
    ) -> Result<Wire<F>, SynthesisError> {
        let mut accumulators = product.accumulators.iter().enumerate().rev();
        let Some((_, last)) = accumulators.next() else {
            return Ok(Wire::zero());
        };
        let mut sum = last.wire().clone();
        for (n, y) in accumulators {
            sum = cs
                .product(|| format!("Horner {n}"), &sum, &self.base)?
                .add(y.wire());
        }
        if product.blocks.row_bits == 0 {
            return Ok(sum);
        }
        cs.product(|| "scaled", &sum, &self.scale(product.blocks.row_bits))
    }

    /// `eq(r_n, n)` for the first `count` rows of a block of `2^variables`.
    fn eq_values(&self, variables: usize, count: usize) -> Vec<F> {
        let first = self.scale(variables).value();
        let next = |value: &F| Some(*value * self.base.value());
        std::iter::successors(Some(first), next)
            .take(count)
            .collect()
    }

    /// `b~(r_n)`.
    fn bias(&self, product: &Product<'_, F>) -> F {
        let Some(weights) = &product.weights else {
            return F::ZERO;
        };
        let eq = self.eq_values(product.blocks.row_bits, product.accumulators.len());
        let terms = weights.bias.iter().zip(&eq);
        terms.fold(F::ZERO, |sum, (bias, eq)| sum + *eq * from_i64::<F>(*bias))
    }
}

/// The multilinear extension of `values`, padded with zeros, at `point`: the least significant
/// variable is bound first, so that a short vector costs no more than its length.
fn fold<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    values: &[&FirstWire<F>],
    point: &[Wire<F>],
) -> Result<Wire<F>, SynthesisError> {
    let mut values: Vec<Wire<F>> = values.iter().map(|value| value.wire().clone()).collect();
    let zero = Wire::zero();
    for (k, r) in point.iter().rev().enumerate() {
        let bind = |(i, pair): (usize, &[Wire<F>])| {
            let (low, high) = match pair {
                [low, high] => (low, high),
                [low] => (low, &zero),
                _ => (&zero, &zero),
            };
            let name = || format!("fold {k} {i}");
            Ok(cs.product(name, r, &high.sub(low))?.add(low))
        };
        values = values
            .chunks(2)
            .enumerate()
            .map(bind)
            .collect::<Result<_, SynthesisError>>()?;
    }
    Ok(values.into_iter().next().unwrap_or(zero))
}

/// One product in the prover's hands: `sum_j f(j) g(j)` with `f = gamma^l x` and
/// `g = sum_n eq(r_n, n) W_n`.
#[derive(Debug)]
struct Term<F> {
    f: Vec<F>,
    g: Vec<F>,
}

/// The prover of the shared sum-check.
#[derive(Debug)]
struct Prover<F> {
    terms: Vec<Term<F>>,
    rounds_left: usize,
}

impl<F: CircuitField> Prover<F> {
    fn new(
        products: &[Product<'_, F>],
        rows: &RowPoint<F>,
        gammas: &[Wire<F>],
        rounds: usize,
    ) -> Self {
        let term = |(product, gamma): (&Product<'_, F>, &Wire<F>)| {
            let columns = 1 << product.blocks.column_bits;
            let gamma = gamma.value();
            let mut f: Vec<F> = product.inputs.iter().map(|x| gamma * x.value()).collect();
            f.resize(columns, F::ZERO);
            let Some(weights) = &product.weights else {
                return Term {
                    f,
                    g: vec![F::ZERO; columns],
                };
            };
            let eq = rows.eq_values(product.blocks.row_bits, product.accumulators.len());
            Term {
                f,
                g: combine_rows(weights.matrix, columns, &eq),
            }
        };
        Prover {
            terms: products.iter().zip(gammas).map(term).collect(),
            rounds_left: rounds,
        }
    }

    /// The weight evaluations, once every variable is bound.
    fn evaluations(&self) -> impl Iterator<Item = F> + '_ {
        self.terms
            .iter()
            .map(|term| term.g.first().copied().unwrap_or(F::ZERO))
    }
}

impl<F: CircuitField> RoundProver<F> for Prover<F> {
    fn message(&mut self, _: F) -> Message<F> {
        let mut message = [F::ZERO; 2];
        for Term { f, g } in &self.terms {
            if f.len() < 1 << self.rounds_left {
                // `f` is zero on the upper half and `g` does not depend on the variable.
                message[0] += f.iter().zip(g).fold(F::ZERO, |sum, (f, g)| sum + *f * g);
                continue;
            }
            let (f_low, f_high) = f.split_at(f.len() / 2);
            let (g_low, g_high) = g.split_at(g.len() / 2);
            for (((f0, f1), g0), g1) in f_low.iter().zip(f_high).zip(g_low).zip(g_high) {
                message[0] += *f0 * g0;
                message[1] += (*f1 - f0) * (*g1 - g0);
            }
        }
        message
    }

    fn bind(&mut self, challenge: F) {
        for Term { f, g } in &mut self.terms {
            if f.len() < 1 << self.rounds_left {
                f.iter_mut().for_each(|f| *f *= F::ONE - challenge);
            } else {
                bind_first(f, challenge);
                bind_first(g, challenge);
            }
        }
        self.rounds_left = self.rounds_left.saturating_sub(1);
    }
}

/// Binds the most significant variable of a table of even length.
fn bind_first<F: CircuitField>(table: &mut Vec<F>, challenge: F) {
    let half = table.len() / 2;
    let (low, high) = table.split_at_mut(half);
    for (low, high) in low.iter_mut().zip(high) {
        *low += challenge * (*high - *low);
    }
    table.truncate(half);
}

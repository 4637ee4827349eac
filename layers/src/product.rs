//! All products with weights of a step by one sum-check (Thaler, eprint 2013/351, section 4).
//!
//! Layer `l` has accumulators `y[n,p]` for output channels `n` and positions `p`, and
//! `y[n,p] = bias[n] + sum_j W[n,j] x[p,j]`, where `x[p,j]` is the value that tap and channel `j` of
//! position `p` read (the view that is called im2col), zero in the padding. With challenges `t` for
//! channels and `s` for positions,
//!
//! `sum_(n,p) t^n s^p (y[n,p] - bias[n]) = sum_j (sum_p s^p x[p,j]) (sum_n t^n W[n,j])`.
//!
//! The layers are added with powers of a challenge `gamma`, and one sum-check over `j` reduces the
//! sum to `sum_l gamma^l X_l(r_j) W~_l(r_n, r_j)`. Both sides' activations are evaluated from
//! first-segment wires; `b~_l(r_n)` and `W~_l(r_n, r_j)` become claims about the step's weight
//! polynomial.
//!
//! * Order of the transcript: squeeze `t`, and `s` if a layer has positions; absorb all
//!   `b~_l(r_n)`; squeeze `gamma`; the rounds; absorb all `W~_l(r_n, r_j)`.
//! * The row point is structured: `r_n = (rho_(a-1), ..., rho_0)` with
//!   `rho_k = t^(2^k) / (1 + t^(2^k))`. Then `eq(r_n, n) = t^n prod_k (1 - rho_k)`, so the sum over
//!   outputs costs one product each (Horner's rule) and one hash in all. A smaller layer uses the
//!   last coordinates. Output channel `c` of group `g` has the number `n = 2^a' g + c`, where `2^a'`
//!   is the padded number of channels of a group.
//! * Position `(b, y, x)` has the weight `s_b^b s_y^y s_x^x` with `s_x = s`, `s_y = s_x^(2^i)` and
//!   `s_b = s_y^(2^k)`, where `2^i` and `2^k` are at least the numbers of columns and rows of every
//!   layer of the step: a different power of `s` for every position.
//! * Soundness: if some accumulator is wrong, the difference of both sides is a non-zero polynomial
//!   in `t` and `s` of degree below `2^a + batch 2^(i + k)`, because distinct `(n, p)` have distinct
//!   monomials; it vanishes with probability below that over `|F|` (Schwartz-Zippel).
//! * Columns are numbered (group, tap row, tap column, channel of the group), each padded to a power
//!   of two, so that `eq(r_j, .)` is a product of four factors. A position reads input row
//!   `y stride + k dilation - padding`, and likewise for columns, so the sum over taps and positions
//!   gives every input value one weight that is a product, too: row weights
//!   `K_y(row) = sum_(y,k) s_y^y eq(r_y, k)` over the pairs that read it, column weights, and those of
//!   batch and channel. Evaluating `X` costs one product a value, whatever the kernel.
//! * Groups: `W` has the rows of one group and a column block for each; the factor
//!   `eq(r_n, n) / eq(r_n, c) = eq((rho_k)_(k >= a'), g)` is on the side of the activations.
//! * Layers with fewer columns are padded with zeros at the high indices, the variables bound first:
//!   `X_l` then has the factor `prod (1 - r_high)`, and `W~_l` reads `r_low` only.
//! * Layers that read one tensor in one way share `X`: so do the pieces of a layer that is split by
//!   output channels.
//! * Enforced: the claimed sum is computed, never witnessed; `rho_k (1 + t^(2^k)) = t^(2^k)` (when
//!   the factor is zero this has no solution); the rounds; the final check.
//! * Assumed: `x` and `y` lie in the first segment and the transcript has absorbed the commitments
//!   to it and to the weights; whoever gets the claims checks them.
//! * Cost: about one product an output and one an input, nothing per weight or multiplication; a
//!   hash and two products a round.

use crate::layer::{Challenges, Weights};
use crate::layout::{Block, LayerBlocks};
use crate::linear::{Linear, MatrixBits, Sizes, pairs};
use crate::tensor::ACTIVATION_TERMS;
use crate::window::Axis;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::segment::FirstWire;
use foldnet_gadgets::small::combine_rows;
use foldnet_gadgets::step::Claim;
use foldnet_gadgets::sumcheck::{self, Message, RoundProver};
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::{Wire, WireSystem};

/// One layer `accumulators = matrix * inputs + bias`.
#[derive(Clone, Debug)]
pub struct Product<'a, F: CircuitField> {
    /// The layer.
    pub linear: &'a Linear,
    /// Where the weights lie.
    pub blocks: LayerBlocks,
    /// The tensor that the layer reads.
    pub operand: usize,
    /// `y`, in the order of the layer's outputs.
    pub accumulators: Vec<&'a FirstWire<F>>,
    /// `x`, in the order of the layer's inputs.
    pub inputs: &'a [FirstWire<F>],
    /// The values of the weights; absent in shape synthesis.
    pub weights: Option<Weights<'a>>,
}

/// The constraints of [`constrain`], and the number of elements in each of its hashes.
///
/// The first hashes are those of the challenges, for a transcript that was squeezed before and has
/// absorbed nothing since; `challenges` is how many there are.
///
/// `layers` holds each layer with the tensor that it reads.
pub fn cost(layers: &[(&Linear, usize)], challenges: usize) -> (usize, Vec<usize>) {
    let linears: Vec<&Linear> = layers.iter().map(|(linear, _)| *linear).collect();
    let mut hashes = vec![1; challenges];
    if linears.is_empty() {
        return (0, hashes);
    }
    let count = linears.len();
    let bits: Vec<_> = linears.iter().map(|linear| linear.matrix_bits()).collect();
    let row_bits = bits.iter().map(|bits| bits.bias).max().unwrap_or(0);
    let rounds = bits.iter().map(|bits| bits.columns).max().unwrap_or(0);
    let sizes: Vec<Sizes> = linears.iter().filter_map(|linear| linear.sizes()).collect();
    // Squares, quotients and prefixes of the row point.
    let point = row_bits + 2 * row_bits.saturating_sub(1);
    let positions = Extent::of(&sizes).products();
    let reads = |(i, (sizes, bits)): (usize, (&Sizes, &MatrixBits))| {
        let shared = layers
            .get(i)
            .zip(layers.get(..i))
            .is_some_and(|(layer, before)| before.iter().any(|other| reads_alike(*layer, *other)));
        let outputs = sizes.output.len() - 1 + usize::from(bits.bias > 0);
        let inputs = if shared {
            0
        } else {
            input_products(sizes, rounds - bits.columns)
        };
        outputs + bias_products(sizes) + inputs
    };
    let vectors: usize = sizes.iter().zip(&bits).enumerate().map(reads).sum();
    // Powers of gamma, the claimed sum, the final sum, the final check.
    let sums = count.saturating_sub(2) + (count - 1) + (2 * count - 1) + 1;
    hashes.push(1 + count);
    hashes.extend(std::iter::repeat_n(3, rounds));
    (point + positions + vectors + sums + 2 * rounds, hashes)
}

/// Entries of the constraints of a layer's products with weights, its share of [`constrain`] without
/// hashes: an upper bound, by a closed formula in the sizes and the reads along the axes.
///
/// A product of Horner's rule has a value and the sum so far, the challenge, and the result. A weight
/// of a row or a column is a sum over its readers, so that every line has the reads along the axis.
pub fn terms(linear: &Linear) -> usize {
    let Some(sizes) = linear.sizes() else {
        return usize::MAX;
    };
    let accumulator = linear.requantise.accumulator_terms();
    let outputs = sizes.output.len().saturating_mul(accumulator + 7);
    let bits = linear.matrix_bits();
    // Coordinates of the row point and of the columns with their rounds, powers of the challenges
    // for positions, the claim and what belongs to it.
    let points = 16 * (bits.bias + bits.columns + 2);
    let positions = [sizes.output.batch, sizes.output.height, sizes.output.width];
    let positions = positions.iter().map(|count| 4 * count + 2).sum::<usize>();
    [outputs, points, positions, input_terms(&sizes)]
        .iter()
        .fold(0, |sum: usize, terms| sum.saturating_add(*terms))
}

/// Entries of [`inputs`] and of the factors of groups.
fn input_terms(sizes: &Sizes) -> usize {
    let [group_bits, y_bits, x_bits, channel_bits] = sizes.column_bits;
    let [axis_y, axis_x] = sizes.axes;
    let [y_reads, x_reads] = sizes.axes.map(|axis| axis.count().all);
    // Entries of the eq table are forms of at most one entry a variable.
    let eq = |count: usize, bits: usize| 2 * count * (bits + 4);
    let axis = |axis: &Axis, bits: usize, reads: usize| {
        let products = if bits > 0 { reads * (bits + 4) } else { 0 };
        products + eq(axis.kernel, bits)
    };
    let axes = axis(&axis_y, y_bits, y_reads) + axis(&axis_x, x_bits, x_reads);

    let images = sizes.input.batch * sizes.input.channels;
    let lines = images.saturating_mul(sizes.input.height);
    let width = sizes.input.width.min(x_reads);
    // At most one value of a line, and one line of an image, has the weight one.
    let line = width + ACTIVATION_TERMS - 1;
    let height = sizes.input.height.min(y_reads);
    let image = height - height.min(1) + line;
    // Readers of the first output keep the entry of the eq table, a form of some entries.
    let first = |axis: &Axis, bits: usize| axis.taps(0).len() * bits;
    let x_reads = x_reads + first(&axis_x, x_bits);
    let y_reads = y_reads + first(&axis_y, y_bits);
    let weighed = lines.saturating_mul(x_reads + width * (ACTIVATION_TERMS + 1));
    let planes = images.saturating_mul(y_reads + height * (line + 1));
    let batch = images.saturating_mul(image + 3);
    let folds = group_terms(
        sizes,
        image + 1,
        channel_bits,
        eq(1 << group_bits, group_bits),
    );
    [axes, weighed, planes, batch, folds]
        .iter()
        .fold(0, |sum: usize, terms| sum.saturating_add(*terms))
}

/// Entries of [`group_sum`] on channels that are forms of some entries.
fn group_terms(sizes: &Sizes, channel: usize, channel_bits: usize, eq: usize) -> usize {
    let groups = sizes.input.channels / sizes.group_channels.max(1);
    let level = |k: usize| {
        let folded = sizes.group_channels.div_ceil(1 << (k + 1));
        folded.saturating_mul(2 * (channel + k) + 2)
    };
    let fold = (0..channel_bits).fold(0, |sum: usize, k| sum.saturating_add(level(k)));
    // Powers, factors, weights and the weighed sum of each group; high variables and the product
    // with the weights read the sum once.
    let each = fold.saturating_add(channel + channel_bits + 24);
    groups.saturating_mul(each).saturating_add(eq + 64)
}

/// Whether two layers have the same sum on the activations' side: both read one tensor in one way.
fn reads_alike((a, a_reads): (&Linear, usize), (b, b_reads): (&Linear, usize)) -> bool {
    let outputs = a.outputs;
    let requantise = a.requantise;
    // With groups the sum has factors that depend on the number of output channels.
    a_reads == b_reads
        && a.groups == 1
        && *a
            == Linear {
                outputs,
                requantise,
                ..b.clone()
            }
}

/// Products of a bias with the sum of its positions' weights.
fn bias_products(sizes: &Sizes) -> usize {
    let factors = [sizes.output.batch, sizes.output.height, sizes.output.width];
    factors.iter().filter(|count| **count > 1).count()
}

/// Products of [`inputs`].
fn input_products(sizes: &Sizes, high_variables: usize) -> usize {
    let [axis_y, axis_x] = sizes.axes;
    let [group_bits, y_bits, x_bits, channel_bits] = sizes.column_bits;
    let taps = |axis: &Axis, bits| eq_products(bits, axis.kernel) + reading_products(axis, bits);
    let weighed = |axis: &Axis, bits| {
        let readers = axis.readers();
        let weighs = |reader: &&Vec<(usize, usize)>| is_weighed(reader, bits);
        readers.iter().filter(weighs).count()
    };
    let images = sizes.input.batch * sizes.input.channels;
    let rows = images * sizes.input.height * weighed(&axis_x, x_bits);
    let planes = images * weighed(&axis_y, y_bits);
    let batch = (sizes.input.batch - 1) * sizes.input.channels;
    let halvings = |n: usize| {
        (1..=channel_bits)
            .map(|k| n.div_ceil(1 << k))
            .sum::<usize>()
    };
    let groups = sizes.input.channels / sizes.group_channels;
    let group = if groups == 1 {
        0
    } else {
        // Prefixes of the factor, its powers, their products, eq, and both with the sums.
        (group_bits - 1)
            + (groups - 2)
            + (groups - 1)
            + eq_products(group_bits, groups)
            + 2 * groups
    };
    taps(&axis_y, y_bits)
        + taps(&axis_x, x_bits)
        + rows
        + planes
        + batch
        + groups * halvings(sizes.group_channels)
        + group
        + high_variables
}

/// Products of the first `count` entries of an eq table.
fn eq_products(bits: usize, count: usize) -> usize {
    let entries = |i: usize| count.div_ceil(1 << (bits - 1 - i)).div_ceil(2);
    (1..bits).map(entries).sum()
}

/// Products of an axis' reading weights.
fn reading_products(axis: &Axis, bits: usize) -> usize {
    let pairs = axis.readers().into_iter().flatten();
    pairs.filter(|(_, output)| bits > 0 && *output > 0).count()
}

/// Whether the weight of an input is more than the constant one.
fn is_weighed(reader: &[(usize, usize)], bits: usize) -> bool {
    !reader.is_empty() && (bits > 0 || reader.iter().any(|(_, output)| *output > 0))
}

/// The challenges that a step's products and layers need.
///
/// # Errors
/// Only those of the underlying system.
pub fn challenges<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    transcript: &mut TranscriptCircuit<F>,
    count: usize,
) -> Result<Option<Challenges<F>>, SynthesisError> {
    if count == 0 {
        return Ok(None);
    }
    let output = transcript.squeeze(&mut cs.namespace(|| "rows"))?;
    let position = if count > 1 {
        transcript.squeeze(&mut cs.namespace(|| "positions"))?
    } else {
        // Layers with one position, whose weight is the power zero.
        Wire::one()
    };
    Ok(Some(Challenges { output, position }))
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

impl<F: CircuitField> Default for Reduced<F> {
    fn default() -> Self {
        Reduced {
            row_point: Vec::new(),
            column_point: Vec::new(),
            claims: Vec::new(),
        }
    }
}

/// Enforces all products up to the claims returned.
///
/// The weight polynomial has `table_variables` variables.
///
/// # Errors
/// Those of the underlying system, and layers that are not valid.
pub fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    transcript: &mut TranscriptCircuit<F>,
    challenges: Option<&Challenges<F>>,
    table_variables: usize,
    products: &[Product<'_, F>],
) -> Result<Reduced<F>, SynthesisError> {
    let Some(challenges) = challenges.filter(|_| !products.is_empty()) else {
        return Ok(Reduced::default());
    };
    let sizes = products
        .iter()
        .map(|product| product.linear.sizes().ok_or(SynthesisError::Unsatisfiable))
        .collect::<Result<Vec<_>, _>>()?;
    let most = |bits: fn(&LayerBlocks) -> usize| {
        let bits = products.iter().map(|product| bits(&product.blocks));
        bits.max().unwrap_or(0)
    };
    let (row_bits, rounds) = (most(|b| b.bits.bias), most(|b| b.bits.columns));

    let mut rows_cs = cs.namespace(|| "rows");
    let rows = RowPoint::new(&mut rows_cs, challenges.output.clone(), row_bits)?;
    drop(rows_cs);
    let mut positions_cs = cs.namespace(|| "positions");
    let extent = Extent::of(&sizes);
    let positions = Positions::new(&mut positions_cs, &challenges.position, extent)?;
    drop(positions_cs);

    let biases = products
        .iter()
        .enumerate()
        .map(|(l, product)| cs.wire(|| format!("bias {l}"), rows.bias(product)))
        .collect::<Result<Vec<_>, _>>()?;
    transcript.absorb(&biases);
    let gamma = transcript.squeeze(&mut cs.namespace(|| "gamma"))?;
    let gammas = powers(cs, "gamma", &gamma, products.len())?;

    let mut claimed = Wire::zero();
    for (l, ((product, sizes), bias)) in products.iter().zip(&sizes).zip(&biases).enumerate() {
        let mut cs = cs.namespace(|| format!("outputs {l}"));
        let sum = outputs(&mut cs, product, sizes, &rows, &positions)?;
        let difference = sum.sub(&positions.times_count(&mut cs, sizes, bias)?);
        claimed.add_assign(&weigh(&mut cs, gammas.get(l), l, &difference)?);
    }

    let shifts = group_factors(cs, products, &sizes, &rows)?;
    let terms = products.iter().zip(&sizes).zip(&shifts).zip(&gammas);
    let mut prover = Prover {
        terms: terms
            .map(|(((product, sizes), shifts), gamma)| {
                term(product, sizes, &rows, &positions, shifts, gamma.value())
            })
            .collect(),
        rounds_left: rounds,
    };
    let (columns, last) = sumcheck::run_circuit(cs, transcript, &claimed, rounds, &mut prover)?;

    let evaluations = prover
        .evaluations()
        .enumerate()
        .map(|(l, value)| cs.wire(|| format!("weights {l}"), value))
        .collect::<Result<Vec<_>, _>>()?;
    transcript.absorb(&evaluations);

    let mut total = Wire::zero();
    let layers = products.iter().zip(&sizes).zip(&shifts).zip(&evaluations);
    let mut sums: Vec<Wire<F>> = Vec::with_capacity(products.len());
    for (l, (((product, sizes), shifts), weights)) in layers.enumerate() {
        let mut cs = cs.namespace(|| format!("inputs {l}"));
        let alike = |other: &Product<'_, F>| {
            reads_alike(
                (product.linear, product.operand),
                (other.linear, other.operand),
            )
        };
        let before = products.iter().take(l).position(alike);
        let inputs = match before.and_then(|before| sums.get(before)) {
            Some(sum) => sum.clone(),
            None => inputs(&mut cs, product, sizes, &positions, shifts, &columns)?,
        };
        sums.push(inputs.clone());
        let value = cs.product(|| "inputs times weights", &inputs, weights)?;
        total.add_assign(&weigh(&mut cs, gammas.get(l), l, &value)?);
    }
    cs.enforce_equal(|| "final check", &last, &total);

    Ok(Reduced {
        row_point: rows.coordinates,
        column_point: columns,
        claims: claims(table_variables, products, evaluations, biases),
    })
}

/// The claims on matrices and biases.
fn claims<F: CircuitField>(
    table_variables: usize,
    products: &[Product<'_, F>],
    evaluations: Vec<Wire<F>>,
    biases: Vec<Wire<F>>,
) -> Vec<Claim<F>> {
    let slot = |block: Block| block.slot_bits(table_variables);
    let values = evaluations.into_iter().zip(biases);
    let claims = products.iter().zip(values).map(|(product, values)| {
        let (weights, bias) = values;
        let bits = product.blocks.bits;
        [
            Claim {
                slot: slot(product.blocks.matrix),
                rows: bits.rows,
                columns: bits.columns,
                value: weights,
            },
            Claim {
                slot: slot(product.blocks.bias),
                rows: bits.bias,
                columns: 0,
                value: bias,
            },
        ]
    });
    claims.flatten().collect()
}

/// `base^0, ..., base^(count - 1)`.
fn powers<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    name: &str,
    base: &Wire<F>,
    count: usize,
) -> Result<Vec<Wire<F>>, SynthesisError> {
    let mut powers = Vec::with_capacity(count);
    let mut power = Wire::one();
    for l in 0..count {
        if l == 1 {
            power = base.clone();
        } else if l > 1 {
            power = cs.product(|| format!("{name} {l}"), &power, base)?;
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
    /// `t^(2^k)`.
    squares: Vec<Wire<F>>,
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
        let mut squares = vec![base.clone()];
        let mut power = base;
        let mut scale = Wire::one();
        for k in 0..variables {
            if k > 0 {
                power = cs.product(|| format!("power {k}"), &power, &power)?;
                squares.push(power.clone());
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
            squares,
            coordinates,
            scales,
        })
    }

    /// `t^(2^k)`.
    fn square(&self, k: usize) -> Wire<F> {
        self.squares.get(k).cloned().unwrap_or_else(Wire::one)
    }

    /// `prod_(k < a) (1 - rho_k)`.
    fn scale(&self, variables: usize) -> Wire<F> {
        self.scales
            .get(variables)
            .cloned()
            .unwrap_or_else(Wire::one)
    }

    /// `1 - rho_k` for `k` in `from..to`.
    fn complements(&self, from: usize, to: usize) -> impl Iterator<Item = Wire<F>> + '_ {
        let low_first = self.coordinates.iter().rev();
        let some = low_first.skip(from).take(to.saturating_sub(from));
        some.map(|rho| Wire::one().sub(rho))
    }

    /// `eq(r_n, n)` for the first `count` rows of a block of `2^variables`.
    fn eq_values(&self, variables: usize, count: usize) -> Vec<F> {
        let first = self.scale(variables).value();
        let base = self.square(0).value();
        std::iter::successors(Some(first), |value: &F| Some(*value * base))
            .take(count)
            .collect()
    }

    /// `b~(r_n)`.
    fn bias(&self, product: &Product<'_, F>) -> F {
        let Some(weights) = &product.weights else {
            return F::ZERO;
        };
        let eq = self.eq_values(product.blocks.bits.bias, weights.bias.len());
        let terms = weights.bias.iter().zip(&eq);
        terms.fold(F::ZERO, |sum, (bias, eq)| sum + *eq * from_i64::<F>(*bias))
    }
}

/// The largest numbers of positions of a step's layers.
#[derive(Clone, Copy, Debug)]
struct Extent {
    batch: usize,
    height: usize,
    width: usize,
}

impl Extent {
    fn of(sizes: &[Sizes]) -> Self {
        let most = |count: fn(&Sizes) -> usize| sizes.iter().map(count).max().unwrap_or(1);
        Extent {
            batch: most(|sizes| sizes.output.batch),
            height: most(|sizes| sizes.output.height),
            width: most(|sizes| sizes.output.width),
        }
    }

    /// Squarings from the weight of a column to that of a row, and from a row to an image.
    fn squarings(&self) -> [usize; 2] {
        let rows = self.height > 1 || self.batch > 1;
        [
            if rows {
                crate::layout::variables(self.width)
            } else {
                0
            },
            if self.batch > 1 {
                crate::layout::variables(self.height)
            } else {
                0
            },
        ]
    }

    /// Products of [`Positions::new`].
    fn products(&self) -> usize {
        let powers = [self.width, self.height, self.batch].map(|n| n.saturating_sub(2));
        self.squarings().iter().chain(&powers).sum()
    }
}

/// The weights of positions.
#[derive(Debug)]
struct Positions<F: CircuitField> {
    /// Powers of `s_x`, `s_y` and `s_b`.
    columns: Vec<Wire<F>>,
    rows: Vec<Wire<F>>,
    images: Vec<Wire<F>>,
}

impl<F: CircuitField> Positions<F> {
    fn new<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        base: &Wire<F>,
        extent: Extent,
    ) -> Result<Self, SynthesisError> {
        let mut square = |name: &str, base: &Wire<F>, times: usize| {
            let mut power = base.clone();
            for k in 0..times {
                power = cs.product(|| format!("{name} square {k}"), &power, &power)?;
            }
            Ok::<_, SynthesisError>(power)
        };
        let [to_rows, to_images] = extent.squarings();
        let row = square("row", base, to_rows)?;
        let image = square("image", &row, to_images)?;
        Ok(Positions {
            columns: powers(cs, "column", base, extent.width)?,
            rows: powers(cs, "row", &row, extent.height)?,
            images: powers(cs, "image", &image, extent.batch)?,
        })
    }

    /// The values of the powers: of columns, rows and images.
    fn values(&self) -> [Vec<F>; 3] {
        [&self.columns, &self.rows, &self.images]
            .map(|powers| powers.iter().map(Wire::value).collect())
    }

    /// `value * sum_p s^p` over the positions of a layer.
    fn times_count<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        sizes: &Sizes,
        value: &Wire<F>,
    ) -> Result<Wire<F>, SynthesisError> {
        let mut total = value.clone();
        for (name, weights, count) in [
            ("columns", &self.columns, sizes.output.width),
            ("rows", &self.rows, sizes.output.height),
            ("images", &self.images, sizes.output.batch),
        ] {
            if count > 1 {
                let sum = Wire::sum(weights.iter().take(count));
                total = cs.product(|| format!("bias {name}"), &total, &sum)?;
            }
        }
        Ok(total)
    }
}

fn second<F: CircuitField>(powers: &[Wire<F>]) -> Wire<F> {
    powers.get(1).cloned().unwrap_or_else(Wire::one)
}

/// `sum_i base^i values_i` by Horner's rule; one product a value but the first.
fn horner<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    base: &Wire<F>,
    values: Vec<Wire<F>>,
) -> Result<Wire<F>, SynthesisError> {
    let mut values = values.into_iter().enumerate().rev();
    let Some((_, mut sum)) = values.next() else {
        return Ok(Wire::zero());
    };
    for (i, value) in values {
        sum = cs
            .product(|| format!("Horner {i}"), &sum, base)?
            .add(&value);
    }
    Ok(sum)
}

/// `prod_k (1 - rho_k) sum_(n,p) t^n s^p y[n,p]`.
fn outputs<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    product: &Product<'_, F>,
    sizes: &Sizes,
    rows: &RowPoint<F>,
    positions: &Positions<F>,
) -> Result<Wire<F>, SynthesisError> {
    let output = &sizes.output;
    let [column, row, image] =
        [&positions.columns, &positions.rows, &positions.images].map(|powers| second(powers));
    let mut images = Vec::with_capacity(output.batch);
    for b in 0..output.batch {
        let mut channels = Vec::with_capacity(output.channels);
        for n in 0..output.channels {
            let mut lines = Vec::with_capacity(output.height);
            for y in 0..output.height {
                let value = |x| product.accumulators.get(output.index(b, n, y, x));
                let values = (0..output.width).filter_map(value);
                let values = values.map(|value| value.wire().clone()).collect();
                let cs = &mut cs.namespace(|| format!("{b} {n} {y}"));
                lines.push(horner(cs, &column, values)?);
            }
            channels.push(horner(
                &mut cs.namespace(|| format!("{b} {n}")),
                &row,
                lines,
            )?);
        }
        let mut groups = Vec::new();
        for (g, channels) in channels.chunks(sizes.group_outputs.max(1)).enumerate() {
            let cs = &mut cs.namespace(|| format!("{b} group {g}"));
            groups.push(horner(cs, &rows.square(0), channels.to_vec())?);
        }
        let base = rows.square(product.blocks.bits.rows);
        images.push(horner(&mut cs.namespace(|| format!("{b}")), &base, groups)?);
    }
    let sum = horner(cs, &image, images)?;
    match product.blocks.bits.bias {
        0 => Ok(sum),
        bits => cs.product(|| "scaled", &sum, &rows.scale(bits)),
    }
}

/// `eq((rho_k)_(k >= a'), g)` for every group `g` of every layer; one for a layer without groups.
fn group_factors<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    products: &[Product<'_, F>],
    sizes: &[Sizes],
    rows: &RowPoint<F>,
) -> Result<Vec<Vec<Wire<F>>>, SynthesisError> {
    let layers = products.iter().zip(sizes).enumerate();
    let factors = layers.map(|(l, (product, sizes))| {
        let groups = sizes.input.channels / sizes.group_channels.max(1);
        if groups == 1 {
            return Ok(vec![Wire::one()]);
        }
        let mut cs = cs.namespace(|| format!("groups {l}"));
        let bits = product.blocks.bits;
        let mut scale: Option<Wire<F>> = None;
        for (k, complement) in rows.complements(bits.rows, bits.bias).enumerate() {
            scale = Some(match scale {
                None => complement,
                Some(scale) => cs.product(|| format!("scale {k}"), &scale, &complement)?,
            });
        }
        let scale = scale.unwrap_or_else(Wire::one);
        let powers = powers(&mut cs, "power", &rows.square(bits.rows), groups)?;
        let factor = |(g, power): (usize, &Wire<F>)| match g {
            0 => Ok(scale.clone()),
            _ => cs.product(|| format!("factor {g}"), power, &scale),
        };
        powers.iter().enumerate().map(factor).collect()
    });
    factors.collect()
}

/// The weight of a position of an axis.
#[derive(Debug)]
enum Reading<F: CircuitField> {
    /// Nothing reads it: it takes no part, and costs nothing.
    Unread,
    /// The constant one.
    One,
    /// A sum over its readers.
    Sum(Wire<F>),
}

/// The weight of every position of an axis.
fn reading_weights<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    axis: &Axis,
    point: &[Wire<F>],
    powers: &[Wire<F>],
) -> Result<Vec<Reading<F>>, SynthesisError> {
    let taps = sumcheck::eq_table_circuit(cs, point, axis.kernel)?;
    let one = Wire::one();
    let mut weights = Vec::with_capacity(axis.size);
    for (i, reader) in axis.readers().iter().enumerate() {
        if !is_weighed(reader, point.len()) {
            let unread = reader.is_empty();
            weights.push(if unread {
                Reading::Unread
            } else {
                Reading::One
            });
            continue;
        }
        let mut weight = Wire::zero();
        for (tap, output) in reader {
            let eq = taps.get(*tap).unwrap_or(&one);
            let power = powers.get(*output).unwrap_or(&one);
            let term = match (point.is_empty(), output) {
                (true, _) => power.clone(),
                (false, 0) => eq.clone(),
                (false, _) => cs.product(|| format!("weight {i} {tap} {output}"), eq, power)?,
            };
            weight.add_assign(&term);
        }
        weights.push(Reading::Sum(weight));
    }
    Ok(weights)
}

/// `sum_i weights_i values_i`; a position that nothing reads costs nothing.
fn weighted<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    weights: &[Reading<F>],
    values: &[Wire<F>],
) -> Result<Wire<F>, SynthesisError> {
    let mut sum = Wire::zero();
    for (i, (weight, value)) in weights.iter().zip(values).enumerate() {
        match weight {
            Reading::Unread => {}
            Reading::One => sum.add_assign(value),
            Reading::Sum(weight) => {
                sum.add_assign(&cs.product(|| format!("weigh {i}"), weight, value)?);
            }
        }
    }
    Ok(sum)
}

/// `X(r_j)`: the activations' side of a layer at the column point.
fn inputs<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    product: &Product<'_, F>,
    sizes: &Sizes,
    positions: &Positions<F>,
    shifts: &[Wire<F>],
    point: &[Wire<F>],
) -> Result<Wire<F>, SynthesisError> {
    let (high, point) = point.split_at(point.len() - product.blocks.bits.columns);
    let [group_bits, y_bits, x_bits, _] = sizes.column_bits;
    let (group_point, point) = point.split_at(group_bits);
    let (y_point, point) = point.split_at(y_bits);
    let (x_point, channel_point) = point.split_at(x_bits);
    let [axis_y, axis_x] = sizes.axes;
    let y_weights = reading_weights(
        &mut cs.namespace(|| "row weights"),
        &axis_y,
        y_point,
        &positions.rows,
    )?;
    let x_weights = reading_weights(
        &mut cs.namespace(|| "column weights"),
        &axis_x,
        x_point,
        &positions.columns,
    )?;

    let input = &sizes.input;
    let image = second(&positions.images);
    let mut channels = Vec::with_capacity(input.channels);
    for c in 0..input.channels {
        let mut images = Vec::with_capacity(input.batch);
        for b in 0..input.batch {
            let mut lines = Vec::with_capacity(input.height);
            for y in 0..input.height {
                let values =
                    (0..input.width).filter_map(|x| product.inputs.get(input.index(b, c, y, x)));
                let values: Vec<_> = values.map(|value| value.wire().clone()).collect();
                let cs = &mut cs.namespace(|| format!("{b} {c} {y}"));
                lines.push(weighted(cs, &x_weights, &values)?);
            }
            let cs = &mut cs.namespace(|| format!("{b} {c}"));
            images.push(weighted(cs, &y_weights, &lines)?);
        }
        channels.push(horner(
            &mut cs.namespace(|| format!("{c}")),
            &image,
            images,
        )?);
    }
    let mut sum = group_sum(cs, sizes, shifts, (group_point, channel_point), &channels)?;
    for (k, r) in high.iter().rev().enumerate() {
        sum = cs.product(|| format!("high {k}"), &Wire::one().sub(r), &sum)?;
    }
    Ok(sum)
}

/// `sum_g eq(r_g, g) shift_g sum_c eq(r_c, c) values_(g,c)`.
fn group_sum<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    sizes: &Sizes,
    shifts: &[Wire<F>],
    (group_point, channel_point): (&[Wire<F>], &[Wire<F>]),
    channels: &[Wire<F>],
) -> Result<Wire<F>, SynthesisError> {
    let eq = sumcheck::eq_table_circuit(cs, group_point, shifts.len())?;
    let mut total = Wire::zero();
    let groups = channels.chunks(sizes.group_channels.max(1)).zip(shifts);
    for (g, ((channels, shift), eq)) in groups.zip(&eq).enumerate() {
        let mut cs = cs.namespace(|| format!("group {g}"));
        let sum = fold(&mut cs, channels.to_vec(), channel_point)?;
        if shifts.len() == 1 {
            return Ok(sum);
        }
        let weight = cs.product(|| "weight", eq, shift)?;
        total.add_assign(&cs.product(|| "weighed", &weight, &sum)?);
    }
    Ok(total)
}

/// The multilinear extension of `values`, padded with zeros, at `point`: the least significant
/// variable is bound first, so that a short vector costs no more than its length.
fn fold<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    mut values: Vec<Wire<F>>,
    point: &[Wire<F>],
) -> Result<Wire<F>, SynthesisError> {
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

/// One product in the prover's hands: `sum_j f(j) g(j)` with `f = gamma^l sum_p s^p x_p` and
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

/// The term of a layer.
fn term<F: CircuitField>(
    product: &Product<'_, F>,
    sizes: &Sizes,
    rows: &RowPoint<F>,
    positions: &Positions<F>,
    shifts: &[Wire<F>],
    gamma: F,
) -> Term<F> {
    let bits = product.blocks.bits;
    let columns = 1 << bits.columns;
    let Some(weights) = &product.weights else {
        return Term {
            f: vec![F::ZERO; columns],
            g: vec![F::ZERO; columns],
        };
    };
    let mut f = vec![F::ZERO; columns];
    let positions = positions.values();
    let group_bits = bits.columns - sizes.column_bits[0];
    for (g, shift) in shifts.iter().enumerate() {
        let factor = gamma * shift.value();
        for c in 0..sizes.group_channels {
            let channel = g * sizes.group_channels + c;
            let sums = position_sums(product, sizes, &positions, channel);
            for ((y, x), sum) in taps(sizes).zip(sums) {
                let [_, _, x_bits, c_bits] = sizes.column_bits;
                let column = (g << group_bits) | (((y << x_bits) | x) << c_bits) | c;
                if let Some(entry) = f.get_mut(column) {
                    *entry = factor * sum;
                }
            }
        }
    }
    let eq = rows.eq_values(bits.rows, sizes.group_outputs);
    Term {
        f,
        g: combine_rows(weights.matrix, columns, &eq),
    }
}

/// The taps of a layer's window.
fn taps(sizes: &Sizes) -> impl Iterator<Item = (usize, usize)> + use<> {
    let [axis_y, axis_x] = sizes.axes;
    pairs(axis_y.kernel, axis_x.kernel)
}

/// `sum_p s^p x[p, (tap, channel)]` for every tap: first over the columns, then over the rows.
fn position_sums<F: CircuitField>(
    product: &Product<'_, F>,
    sizes: &Sizes,
    [columns, rows, images]: &[Vec<F>; 3],
    channel: usize,
) -> Vec<F> {
    let [axis_y, axis_x] = sizes.axes;
    let input = &sizes.input;
    let mut sums = vec![F::ZERO; axis_y.kernel * axis_x.kernel];
    for (b, image) in images.iter().enumerate().take(input.batch) {
        for tap_x in 0..axis_x.kernel {
            let line = |y: usize| {
                let read = |(x, power): (usize, &F)| {
                    let x = axis_x.input(x, tap_x)?;
                    let value = product.inputs.get(input.index(b, channel, y, x))?.value();
                    Some(*power * value)
                };
                let outputs = columns.iter().enumerate().take(axis_x.outputs);
                outputs
                    .filter_map(read)
                    .fold(F::ZERO, |sum, term| sum + term)
            };
            let lines: Vec<F> = (0..input.height).map(line).collect();
            for tap_y in 0..axis_y.kernel {
                let read =
                    |(y, power): (usize, &F)| Some(*power * lines.get(axis_y.input(y, tap_y)?)?);
                let outputs = rows.iter().enumerate().take(axis_y.outputs);
                let sum = outputs
                    .filter_map(read)
                    .fold(F::ZERO, |sum, term| sum + term);
                if let Some(entry) = sums.get_mut(tap_y * axis_x.kernel + tap_x) {
                    *entry += *image * sum;
                }
            }
        }
    }
    sums
}

impl<F: CircuitField> Prover<F> {
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

//! The float64 evaluator.

use super::{FloatGraph, FloatNode, FloatOp, Linear, MatrixSizes, Planes, Pool, Rows};
use crate::model::error::ModelError;

impl FloatGraph {
    /// Every tensor of an evaluation, the input first.
    ///
    /// # Errors
    /// [`ModelError::InputLength`] when `input` has another length than the graph takes,
    /// [`ModelError::InputInteger`] when it holds fractions and the graph takes integers,
    /// [`ModelError::Index`] for an index that a table does not have, [`ModelError::LayerShape`] for a
    /// graph that [`FloatGraph::check`] refuses.
    pub fn trace(&self, input: &[f32]) -> Result<Vec<Vec<f64>>, ModelError> {
        let (expected, got) = (self.input_len(), input.len());
        if expected != got {
            return Err(ModelError::InputLength {
                sample: 0,
                expected,
                got,
            });
        }
        if self.takes_integers() {
            crate::model::integer::check_integers(input)?;
        }
        let mut tensors = Vec::with_capacity(self.nodes.len() + 1);
        let round = |x: f64| self.input_grid.map_or(x, |grid| grid.round(x));
        tensors.push(input.iter().map(|&x| round(f64::from(x))).collect());
        for node in &self.nodes {
            let output = node.evaluate(&tensors)?;
            tensors.push(output);
        }
        Ok(tensors)
    }

    /// The output for one input.
    ///
    /// # Errors
    /// Those of [`FloatGraph::trace`].
    pub fn evaluate(&self, input: &[f32]) -> Result<Vec<f64>, ModelError> {
        let mut tensors = self.trace(input)?;
        let known = tensors.get_mut(self.output).map(std::mem::take);
        known.ok_or_else(|| ModelError::LayerShape {
            layer: "output".into(),
            what: "tensors",
            expected: self.output + 1,
            got: self.nodes.len() + 1,
        })
    }
}

impl FloatNode {
    fn evaluate(&self, tensors: &[Vec<f64>]) -> Result<Vec<f64>, ModelError> {
        let operands: Vec<&[f64]> = self
            .inputs
            .iter()
            .filter_map(|&tensor| tensors.get(tensor).map(Vec::as_slice))
            .collect();
        let lengths: Vec<usize> = operands.iter().map(|x| x.len()).collect();
        self.check_lengths(&lengths)?;
        let first = operands.first().copied().unwrap_or(&[]);
        let second = operands.get(1).copied().unwrap_or(&[]);
        let mut output = match &self.op {
            FloatOp::Linear(layer) => linear(layer, first),
            FloatOp::Combine { coefficients } => combine(coefficients, &operands),
            FloatOp::Multiply { factor } => {
                let pairs = first.iter().zip(second);
                pairs.map(|(a, b)| factor * a * b).collect()
            }
            FloatOp::MaxPool(pool) => windows(pool, first, |entries| {
                entries.iter().copied().fold(f64::NEG_INFINITY, f64::max)
            }),
            FloatOp::AveragePool { pool, factors } => windows(pool, first, |entries| {
                let factor = factors.get(entries.len()).copied().unwrap_or(0.0);
                factor * entries.iter().sum::<f64>()
            }),
            FloatOp::Gather { map } => gather(map, &operands),
            FloatOp::Clip(interval) => first.iter().map(|&x| interval.clamp(x)).collect(),
            FloatOp::Function(formula) => first.iter().map(|&x| formula.at(x)).collect(),
            FloatOp::Softmax(rows) => by_row(rows, first, softmax),
            FloatOp::Normalise { rows, epsilon } => {
                by_row(rows, first, |row| normalise(row, *epsilon))
            }
            FloatOp::MatMul { sizes, factor } => matmul(sizes, *factor, first, second),
            FloatOp::ArgMax(rows) => by_row(rows, first, |row| {
                vec![crate::model::quantise::first_largest(row) as f64]
            }),
            FloatOp::OneHot(rows) => self.one_hot(rows, first)?,
        };
        for value in &mut output {
            *value = self.clip.clamp(*value);
            if let Some(step) = self.step {
                *value = (*value / step).round_ties_even() * step;
            }
        }
        Ok(output)
    }
}

impl FloatNode {
    /// One-hot vectors of indices.
    fn one_hot(&self, rows: &Rows, indices: &[f64]) -> Result<Vec<f64>, ModelError> {
        let mut vectors = vec![0.0; indices.len().saturating_mul(rows.columns)];
        let vector = vectors.chunks_mut(rows.columns.max(1)).zip(indices);
        for (position, (vector, &index)) in vector.enumerate() {
            // A conversion of a number that does not fit gives the nearest one that does.
            let place = index as usize;
            let entry = vector.get_mut(place).filter(|_| place as f64 == index);
            *entry.ok_or_else(|| ModelError::Index {
                node: self.name.clone(),
                position,
                value: index,
                most: rows.columns.saturating_sub(1),
            })? = 1.0;
        }
        Ok(vectors)
    }
}

fn linear(layer: &Linear, input: &[f64]) -> Vec<f64> {
    let Some(outputs) = layer.outputs() else {
        return Vec::new();
    };
    let planes = layer.planes;
    let taps = all_taps(&layer.window, planes.size(), outputs);
    let groups = layer.groups.max(1);
    let (per_group, channels) = (outputs.channels / groups, planes.channels / groups);
    let entries = layer.window.entries();
    let mut result = Vec::with_capacity(outputs.len());
    for image in input.chunks((planes.len() / planes.batch.max(1)).max(1)) {
        let group = |n: usize| {
            let from = n.checked_div(per_group).unwrap_or(0) * channels * planes.area();
            image.get(from..).unwrap_or(&[])
        };
        for ((n, row), bias) in layer
            .weights
            .rows()
            .into_iter()
            .enumerate()
            .zip(&layer.bias)
        {
            let row = row.to_vec();
            let inputs = group(n);
            for taps in &taps {
                let channel = |(x, w): (&[f64], &[f64])| {
                    let product = |&(k, at): &(usize, usize)| value(w, k) * value(x, at);
                    taps.iter().map(product).sum::<f64>()
                };
                let pairs = inputs
                    .chunks(planes.area().max(1))
                    .zip(row.chunks(entries.max(1)));
                result.push(bias + pairs.map(channel).sum::<f64>());
            }
        }
    }
    result
}

fn value(values: &[f64], at: usize) -> f64 {
    values.get(at).copied().unwrap_or(0.0)
}

/// The entries of the window at every output position.
fn all_taps(window: &super::Window, size: [usize; 2], outputs: Planes) -> Vec<Vec<(usize, usize)>> {
    let rows = 0..outputs.height;
    rows.flat_map(|y| (0..outputs.width).map(move |x| [y, x]))
        .map(|at| window.taps(size, at))
        .collect()
}

fn combine(coefficients: &[f64], operands: &[&[f64]]) -> Vec<f64> {
    let length = operands.first().map_or(0, |x| x.len());
    let mut sums = vec![0.0; length];
    for (coefficient, operand) in coefficients.iter().zip(operands) {
        for (sum, x) in sums.iter_mut().zip(*operand) {
            *sum += coefficient * x;
        }
    }
    sums
}

fn windows(pool: &Pool, input: &[f64], reduce: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let Some(outputs) = pool.outputs() else {
        return Vec::new();
    };
    let taps = all_taps(&pool.window, pool.planes.size(), outputs);
    let mut result = Vec::with_capacity(outputs.len());
    let mut entries = Vec::with_capacity(pool.window.entries());
    for plane in input.chunks(pool.planes.area().max(1)) {
        for taps in &taps {
            entries.clear();
            entries.extend(taps.iter().map(|&(_, at)| value(plane, at)));
            result.push(reduce(&entries));
        }
    }
    result
}

fn gather(map: &[Option<usize>], operands: &[&[f64]]) -> Vec<f64> {
    let joined;
    let values = match operands {
        [single] => *single,
        several => {
            joined = several.concat();
            joined.as_slice()
        }
    };
    map.iter()
        .map(|from| from.map_or(0.0, |at| value(values, at)))
        .collect()
}

fn by_row(rows: &Rows, input: &[f64], function: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    input
        .chunks(rows.columns.max(1))
        .flat_map(function)
        .collect()
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|x| (x - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

fn normalise(row: &[f64], epsilon: f64) -> Vec<f64> {
    let count = row.len().max(1) as f64;
    let mean = row.iter().sum::<f64>() / count;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    let spread = (variance + epsilon).sqrt();
    row.iter().map(|x| (x - mean) / spread).collect()
}

fn matmul(sizes: &MatrixSizes, factor: f64, left: &[f64], right: &[f64]) -> Vec<f64> {
    let MatrixSizes { inner, columns, .. } = *sizes;
    let [left_len, right_len, len] = MatrixSizes { batch: 1, ..*sizes }.lengths();
    let mut result = Vec::with_capacity(len.saturating_mul(sizes.batch));
    let pairs = left
        .chunks(left_len.max(1))
        .zip(right.chunks(right_len.max(1)));
    for (left, right) in pairs {
        for row in left.chunks(inner.max(1)) {
            let mut sums = vec![0.0; columns];
            for (a, line) in row.iter().zip(right.chunks(columns.max(1))) {
                for (sum, b) in sums.iter_mut().zip(line) {
                    *sum += factor * a * b;
                }
            }
            result.extend(sums);
        }
    }
    result
}

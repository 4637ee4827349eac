//! How well the integers of a quantised graph follow the floats.

use super::error::ModelError;
use super::graph::FloatGraph;
use super::integer::{OutOfRange, QuantisedInput, full_range};
use super::lower::Cuts;
use super::network::Evaluator;
use super::quantise::Quantised;
use foldnet_layers::graph::GraphTrace;
use foldnet_layers::layer::{IntegerLayer, Layer, Weights};
use foldnet_layers::normalise::Normalise;
use rayon::prelude::*;

/// How one node follows its float node, over all samples.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReport {
    /// The ONNX node.
    pub name: String,
    /// The integer layer.
    pub layer: &'static str,
    /// Mean absolute difference of a float and `scale` times its integer.
    pub mean_error: f64,
    /// Largest absolute difference.
    pub largest_error: f64,
    /// `10 log10` of the floats' squares over the squared differences, in decibels; infinite when
    /// there is no difference.
    pub signal_to_noise: f64,
    /// How many values were cut off that the float node keeps.
    pub saturated: usize,
    /// Signed bits of an accumulator, where the layer has one: no accumulator can wrap.
    pub accumulator_bits: Option<u32>,
}

/// How an integer graph compares with its float graph on samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The float prediction of every sample, see [`Reading::class`](super::reading::Reading::class).
    pub float: Vec<Option<usize>>,
    /// The integer prediction of every sample, see [`Reading::class`](super::reading::Reading::class).
    pub integer: Vec<Option<usize>>,
    /// How many predictions are equal; none when outputs name no class.
    pub agreeing: Option<usize>,
    /// How many float and integer predictions equal the label, when there are labels and outputs name
    /// classes.
    pub correct: Option<(usize, usize)>,
    /// Largest absolute difference between a float output and its integer times the scale.
    pub largest_error: f64,
    /// How many input values were clamped, over all samples.
    pub saturated_inputs: usize,
    /// The nodes in order.
    pub layers: Vec<LayerReport>,
}

impl Quantised {
    /// Rounds an input to integers; values outside the range are clamped and counted.
    ///
    /// # Errors
    /// [`ModelError::OutsideRange`] for a value that is not finite.
    pub fn input(&self, input: &[f32]) -> Result<QuantisedInput, ModelError> {
        let range = full_range(self.graph.bits);
        QuantisedInput::round(input, self.graph.input_scale, range, OutOfRange::Saturate)
    }

    /// How many values of every node are cut off over all samples.
    pub(super) fn saturated_on(&self, samples: &[Vec<f32>]) -> Result<Vec<usize>, ModelError> {
        let evaluator = self.graph.evaluator()?;
        let count = |sample: &Vec<f32>| {
            let trace = self.trace(&evaluator, &self.input(sample)?.values)?;
            Ok(self.saturated(&trace))
        };
        samples.par_iter().map(count).try_reduce(
            || vec![0; self.cuts.len()],
            |a, b| Ok(a.iter().zip(&b).map(|(a, b)| a + b).collect()),
        )
    }

    fn trace(&self, evaluator: &Evaluator, input: &[i64]) -> Result<GraphTrace, ModelError> {
        evaluator
            .trace(input)
            .map_err(|error| self.graph.layer_error(error))
    }

    /// How many values of every node a trace cuts off that the float nodes keep.
    pub fn saturated(&self, trace: &GraphTrace) -> Vec<usize> {
        let nodes = self.graph.nodes.iter().zip(&self.cuts).zip(&trace.layers);
        nodes
            .map(|((node, cuts), layer)| {
                let requantised = layer
                    .requantised
                    .iter()
                    .filter(|parts| (cuts.low && parts.under > 0) || (cuts.high && parts.over > 0));
                let operand = node
                    .operands
                    .first()
                    .and_then(|&tensor| trace.tensor(tensor));
                let operand = operand.as_deref().unwrap_or(&[]);
                let others = match &node.layer {
                    Layer::Table(_) => cuts.table(operand),
                    Layer::Normalise(layer) => {
                        cut_off(layer, operand, &layer_values(layer, operand))
                    }
                    _ => 0,
                };
                requantised.count() + others
            })
            .collect()
    }

    /// Evaluates both graphs on `inputs`; input values outside the range are clamped and counted.
    ///
    /// # Errors
    /// [`ModelError::Labels`], [`ModelError::InputLength`], [`ModelError::LayerShape`] when the two
    /// graphs have different nodes, and those of the two evaluations.
    pub fn report(
        &self,
        float: &FloatGraph,
        inputs: &[Vec<f32>],
        labels: Option<&[usize]>,
    ) -> Result<Report, ModelError> {
        if let Some(labels) = labels.filter(|labels| labels.len() != inputs.len()) {
            return Err(ModelError::Labels {
                samples: inputs.len(),
                labels: labels.len(),
            });
        }
        super::integer::expect("graph", "nodes", float.nodes.len(), self.graph.nodes.len())?;
        let evaluator = self.graph.evaluator()?;
        let samples = inputs
            .par_iter()
            .map(|input| self.sample(&evaluator, float, input));
        let samples = samples.collect::<Result<Vec<_>, _>>()?;
        Ok(self.summary(&samples, labels))
    }

    fn sample(
        &self,
        evaluator: &Evaluator,
        float: &FloatGraph,
        input: &[f32],
    ) -> Result<Sample, ModelError> {
        let floats = float.trace(input)?;
        let quantised = self.input(input)?;
        let trace = self.trace(evaluator, &quantised.values)?;
        let mut errors = Vec::with_capacity(self.graph.nodes.len());
        for (at, node) in self.graph.nodes.iter().enumerate() {
            let integers = trace.tensor(at + 1).unwrap_or_default();
            let floats = floats.get(at + 1).map_or(&[][..], Vec::as_slice);
            super::integer::expect(&node.name, "values", floats.len(), integers.len())?;
            errors.push(Errors::new(floats, &integers, node.scale));
        }
        let reading = self.graph.reading;
        let output = trace.tensor(self.graph.output).unwrap_or_default();
        let logits = floats.get(self.graph.output).map_or(&[][..], Vec::as_slice);
        Ok(Sample {
            float: reading.class(logits, |value| value),
            integer: reading.class_of_integers(&output, self.graph.output_scale()),
            error: Errors::new(logits, &output, self.graph.output_scale()).largest,
            saturated_inputs: quantised.saturated,
            saturated: self.saturated(&trace),
            errors,
        })
    }

    fn summary(&self, samples: &[Sample], labels: Option<&[usize]>) -> Report {
        let float: Vec<Option<usize>> = samples.iter().map(|s| s.float).collect();
        let integer: Vec<Option<usize>> = samples.iter().map(|s| s.integer).collect();
        let right = |classes: &[Option<usize>], labels: &[usize]| {
            let pairs = classes.iter().zip(labels);
            pairs
                .filter(|(class, label)| **class == Some(**label))
                .count()
        };
        let named = float.iter().chain(&integer).all(Option::is_some);
        let labels = labels.filter(|_| named);
        let agreeing = float.iter().zip(&integer).filter(|(a, b)| a == b).count();
        let layers = self.graph.nodes.iter().enumerate().map(|(at, node)| {
            let errors = samples.iter().filter_map(|s| s.errors.get(at));
            let sum = errors.fold(Errors::default(), |sum, more| sum.plus(more));
            let saturated = samples.iter().filter_map(|s| s.saturated.get(at)).sum();
            LayerReport {
                name: node.name.clone(),
                layer: node.layer.name(),
                mean_error: sum.sum / sum.count.max(1) as f64,
                largest_error: sum.largest,
                signal_to_noise: 10.0 * (sum.signal / sum.noise).log10(),
                saturated,
                accumulator_bits: accumulator_bits(&node.layer),
            }
        });
        Report {
            agreeing: named.then_some(agreeing),
            correct: labels.map(|labels| (right(&float, labels), right(&integer, labels))),
            largest_error: samples.iter().map(|s| s.error).fold(0.0, f64::max),
            saturated_inputs: samples.iter().map(|s| s.saturated_inputs).sum(),
            layers: layers.collect(),
            float,
            integer,
        }
    }
}

impl Cuts {
    /// How many inputs of a table saturate it.
    fn table(&self, inputs: &[i64]) -> usize {
        let Some((least, saturates)) = &self.inputs else {
            return 0;
        };
        let saturated = |x: &&i64| {
            let at = usize::try_from(**x - least).ok();
            at.and_then(|at| saturates.get(at)) == Some(&true)
        };
        inputs.iter().filter(saturated).count()
    }
}

/// The outputs of a normalisation.
fn layer_values(layer: &Normalise, operand: &[i64]) -> Vec<i64> {
    let place = foldnet_layers::error::Place {
        index: 0,
        name: Normalise::NAME,
    };
    let empty = Weights {
        matrix: &[],
        row_length: 1,
        bias: &[],
    };
    layer
        .evaluate(place, empty, &[operand])
        .map_or_else(|_| Vec::new(), |trace| trace.outputs())
}

/// How many outputs of a normalisation its clamp changes.
fn cut_off(layer: &Normalise, operand: &[i64], outputs: &[i64]) -> usize {
    let wide = Normalise {
        low: i64::from(i32::MIN),
        high: i64::from(i32::MAX),
        ..layer.clone()
    };
    let free = layer_values(&wide, operand);
    free.iter()
        .zip(outputs)
        .filter(|(free, output)| free != output)
        .count()
}

fn accumulator_bits(layer: &Layer) -> Option<u32> {
    let requantise = match layer {
        Layer::Linear(layer) => &layer.requantise,
        Layer::Combine(layer) => &layer.requantise,
        Layer::AveragePool(layer) => &layer.requantise,
        Layer::Multiply(layer) => &layer.requantise,
        Layer::MatMul(layer) => &layer.requantise,
        _ => return None,
    };
    Some(requantise.accumulator_bits + 1)
}

/// One sample in both graphs.
struct Sample {
    float: Option<usize>,
    integer: Option<usize>,
    error: f64,
    saturated_inputs: usize,
    saturated: Vec<usize>,
    errors: Vec<Errors>,
}

/// Differences of floats and integers.
#[derive(Clone, Debug, Default)]
struct Errors {
    count: usize,
    sum: f64,
    largest: f64,
    signal: f64,
    noise: f64,
}

impl Errors {
    fn new(floats: &[f64], integers: &[i64], scale: f64) -> Self {
        let mut errors = Errors {
            count: floats.len(),
            ..Errors::default()
        };
        for (&float, &integer) in floats.iter().zip(integers) {
            // Exact: activations have at most 16 bits.
            let difference = (float - scale * integer as f64).abs();
            errors.sum += difference;
            errors.largest = errors.largest.max(difference);
            errors.signal += float * float;
            errors.noise += difference * difference;
        }
        errors
    }

    fn plus(&self, more: &Errors) -> Self {
        Errors {
            count: self.count + more.count,
            sum: self.sum + more.sum,
            largest: self.largest.max(more.largest),
            signal: self.signal + more.signal,
            noise: self.noise + more.noise,
        }
    }
}

//! Calibration: the range of every tensor on samples, and the scale that follows from it.
//!
//! All tensors are symmetric (zero point 0): with threshold `T` and `b` bits the scale is
//! `T / (2^(b-1) - 1)`, and what lies above `T` saturates. Tensors that an integer layer passes on
//! unchanged (data movement, maxima, clamps) have one scale with their operands; they form a class,
//! which has one threshold.

use super::error::ModelError;
use super::graph::{FloatGraph, FloatOp};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Bins of a histogram of magnitudes.
const BINS: usize = 2048;

/// Thresholds that the search for the least squared error tries.
const CANDIDATES: usize = 128;

/// Shares of values that can be kept.
const PERCENTAGES: std::ops::RangeInclusive<f64> = 50.0..=100.0;

/// How a threshold is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Method {
    /// The largest magnitude: nothing saturates (Jacob et al. 2018, arXiv 1712.05877, section 3).
    #[default]
    MinMax,
    /// The magnitude that this share of the values, in percent, does not exceed.
    Percentile(f64),
    /// The threshold with the least squared error of rounding and saturation, as a histogram
    /// estimates it (Banner et al. 2019, arXiv 1810.05723, section 3.1).
    MeanSquaredError,
}

impl std::str::FromStr for Method {
    type Err = ModelError;

    /// `max`, `mse`, or a percentage.
    fn from_str(text: &str) -> Result<Self, ModelError> {
        match text {
            "max" => Ok(Method::MinMax),
            "mse" => Ok(Method::MeanSquaredError),
            number => match number.trim_end_matches('%').parse() {
                Ok(percent) if PERCENTAGES.contains(&percent) => Ok(Method::Percentile(percent)),
                _ => Err(ModelError::Method { got: text.into() }),
            },
        }
    }
}

/// What is known about the magnitudes of a class.
#[derive(Clone, Debug, PartialEq)]
struct Histogram {
    /// The largest magnitude.
    most: f64,
    /// Counts of magnitudes in bins from 0 to `most`.
    bins: Vec<u64>,
}

impl Histogram {
    fn new(most: f64) -> Self {
        Histogram {
            most,
            bins: vec![0; BINS],
        }
    }

    fn add(&mut self, value: f64) {
        let place = value.abs() / self.most * BINS as f64;
        // A conversion of a number that does not fit gives the nearest one that does.
        if let Some(bin) = self.bins.get_mut((place as usize).min(BINS - 1)) {
            *bin += 1;
        }
    }

    fn merge(mut self, other: &Histogram) -> Self {
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            *bin += more;
        }
        self
    }

    fn width(&self) -> f64 {
        self.most / BINS as f64
    }

    /// The upper end of the first bin up to which `percent` of the values lie.
    fn percentile(&self, percent: f64) -> f64 {
        let total: u64 = self.bins.iter().sum();
        // A little less, so that 99.9 % of 1000 are 999 in spite of rounding.
        let wanted = percent / 100.0 * total as f64 * (1.0 - 1e-12);
        let mut sum = 0;
        for (at, count) in self.bins.iter().enumerate() {
            sum += count;
            if sum as f64 >= wanted {
                return self.width() * (at + 1) as f64;
            }
        }
        self.most
    }

    /// The estimated squared error with a threshold and `levels` positive levels: rounding below,
    /// saturation above.
    fn squared_error(&self, threshold: f64, levels: f64) -> f64 {
        let rounding = (threshold / levels).powi(2) / 12.0;
        let bins = self.bins.iter().enumerate();
        let error = |(at, &count): (usize, &u64)| {
            let middle = self.width() * (at as f64 + 0.5);
            let each = if middle <= threshold {
                rounding
            } else {
                (middle - threshold).powi(2)
            };
            count as f64 * each
        };
        bins.map(error).sum()
    }

    fn least_squared_error(&self, levels: f64) -> f64 {
        let candidates = (1..=CANDIDATES).map(|i| self.most * i as f64 / CANDIDATES as f64);
        let errors = candidates.map(|threshold| (threshold, self.squared_error(threshold, levels)));
        errors
            .fold((self.most, f64::INFINITY), |best, next| {
                if next.1 < best.1 { next } else { best }
            })
            .0
    }
}

/// The classes of a graph's tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    /// The class of every tensor, the input first: the smallest tensor in it.
    of: Vec<usize>,
}

impl Classes {
    /// Joins the operands of what keeps values with its output.
    pub fn new(graph: &FloatGraph) -> Self {
        let mut classes = Classes {
            of: (0..=graph.nodes.len()).collect(),
        };
        for (at, node) in graph.nodes.iter().enumerate() {
            if keeps_values(&node.op) {
                for &tensor in &node.inputs {
                    classes.join(tensor, at + 1);
                }
            }
        }
        for tensor in 0..classes.of.len() {
            let root = classes.of(tensor);
            if let Some(class) = classes.of.get_mut(tensor) {
                *class = root;
            }
        }
        classes
    }

    /// The class of a tensor.
    pub fn of(&self, mut tensor: usize) -> usize {
        // A class is named after a smaller tensor, so this ends.
        while let Some(&smaller) = self.of.get(tensor).filter(|&&t| t < tensor) {
            tensor = smaller;
        }
        tensor
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.of(a), self.of(b));
        if let Some(class) = self.of.get_mut(a.max(b)) {
            *class = a.min(b);
        }
    }
}

/// Whether an operation gives values of its operands, or clamped ones.
pub(super) fn keeps_values(op: &FloatOp) -> bool {
    matches!(
        op,
        FloatOp::Gather { .. } | FloatOp::MaxPool(_) | FloatOp::Clip(_)
    )
}

/// Thresholds of all classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The classes.
    pub classes: Classes,
    /// By tensor, that of its class.
    pub thresholds: Vec<f64>,
}

impl Calibration {
    /// Scales for a plan without samples: the largest magnitudes on made-up inputs, and 1 where those
    /// give no scale. They say nothing about real inputs.
    ///
    /// # Errors
    /// [`ModelError::NoSamples`], [`ModelError::InputLength`], and those of [`FloatGraph::check`].
    pub(super) fn made_up(graph: &FloatGraph, inputs: &[Vec<f32>]) -> Result<Self, ModelError> {
        graph.check()?;
        check_samples(graph, inputs)?;
        let classes = Classes::new(graph);
        let most = magnitudes(graph, &classes, inputs)?;
        let usable = |most: &f64| if most.is_normal() { *most } else { 1.0 };
        let of_class = |tensor| most.get(classes.of(tensor)).map_or(1.0, usable);
        let thresholds = (0..most.len()).map(of_class).collect();
        Ok(Calibration {
            classes,
            thresholds,
        })
    }

    /// Runs the graph on every sample.
    ///
    /// The class of the output takes the largest magnitude by every method: which output is the
    /// largest must not depend on saturation.
    ///
    /// # Errors
    /// [`ModelError::NoSamples`], [`ModelError::InputLength`], [`ModelError::Percentile`], those of
    /// [`FloatGraph::check`], and [`ModelError::Range`] for a tensor that is always zero or not
    /// finite.
    pub fn new(
        graph: &FloatGraph,
        samples: &[Vec<f32>],
        bits: u32,
        method: Method,
    ) -> Result<Self, ModelError> {
        graph.check()?;
        check_samples(graph, samples)?;
        if let Method::Percentile(percent) = method
            && !PERCENTAGES.contains(&percent)
        {
            return Err(ModelError::Percentile { got: percent });
        }
        let classes = Classes::new(graph);
        let most = largest(graph, &classes, samples)?;
        let levels = super::integer::full_range(bits).1 as f64;
        let mut thresholds = most.clone();
        if method != Method::MinMax {
            let output = classes.of(graph.output);
            for (class, histogram) in histograms(graph, &classes, samples, &most)? {
                let threshold = match method {
                    _ if class == output => histogram.most,
                    Method::Percentile(percent) => histogram.percentile(percent),
                    _ => histogram.least_squared_error(levels),
                };
                if let Some(slot) = thresholds.get_mut(class) {
                    *slot = threshold;
                }
            }
        }
        let of_class = |tensor| thresholds.get(classes.of(tensor)).copied().unwrap_or(1.0);
        let thresholds = (0..most.len()).map(of_class).collect();
        Ok(Calibration {
            classes,
            thresholds,
        })
    }
}

/// Checks number and lengths of samples.
fn check_samples(graph: &FloatGraph, samples: &[Vec<f32>]) -> Result<(), ModelError> {
    if samples.is_empty() {
        return Err(ModelError::NoSamples);
    }
    let expected = graph.input_len();
    match samples.iter().position(|values| values.len() != expected) {
        None => Ok(()),
        Some(sample) => Err(ModelError::InputLength {
            sample,
            expected,
            got: samples.get(sample).map_or(0, Vec::len),
        }),
    }
}

/// The largest magnitude of every class, at the class's place: one that gives a scale.
fn largest(
    graph: &FloatGraph,
    classes: &Classes,
    samples: &[Vec<f32>],
) -> Result<Vec<f64>, ModelError> {
    let most = magnitudes(graph, classes, samples)?;
    for tensor in (0..most.len()).filter(|&tensor| classes.of(tensor) == tensor) {
        let got = most.get(tensor).copied().unwrap_or(0.0);
        if !got.is_normal() {
            let node = tensor.checked_sub(1).and_then(|at| graph.nodes.get(at));
            let tensor = node.map_or_else(
                || "the input".into(),
                |node| format!("the output of node `{}`", node.name),
            );
            return Err(ModelError::Range { tensor, got });
        }
    }
    Ok(most)
}

/// The largest magnitude of every class, at the class's place; infinite where a value is not finite.
fn magnitudes(
    graph: &FloatGraph,
    classes: &Classes,
    samples: &[Vec<f32>],
) -> Result<Vec<f64>, ModelError> {
    let of_sample = |sample: &Vec<f32>| -> Result<Vec<f64>, ModelError> {
        let tensors = graph.trace(sample)?;
        Ok(tensors
            .iter()
            .map(|values| values.iter().copied().fold(0.0, larger))
            .collect())
    };
    let tensors = samples
        .par_iter()
        .map(of_sample)
        .try_reduce(Vec::new, |a, b| {
            let (mut long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
            for (most, other) in long.iter_mut().zip(short) {
                *most = larger(*most, other);
            }
            Ok(long)
        })?;
    let mut most = vec![0.0; tensors.len()];
    for (tensor, value) in tensors.iter().enumerate() {
        if let Some(slot) = most.get_mut(classes.of(tensor)) {
            *slot = larger(*slot, *value);
        }
    }
    // Where the model gives the scale, samples need not show one.
    for tensor in 0..most.len() {
        let step = graph.given_step(tensor).unwrap_or(0.0);
        if let Some(slot) = most.get_mut(classes.of(tensor)) {
            *slot = slot.max(step);
        }
    }
    Ok(most)
}

/// The larger of `most` and `|value|`; infinite once a value is not finite.
fn larger(most: f64, value: f64) -> f64 {
    if value.is_finite() {
        most.max(value.abs())
    } else {
        f64::INFINITY
    }
}

/// A histogram of every class over the tensors whose values are not those of others.
fn histograms(
    graph: &FloatGraph,
    classes: &Classes,
    samples: &[Vec<f32>],
    most: &[f64],
) -> Result<Vec<(usize, Histogram)>, ModelError> {
    let own: Vec<usize> = std::iter::once(0)
        .chain((1..=graph.nodes.len()).filter(|&tensor| {
            let node = graph.nodes.get(tensor - 1);
            node.is_some_and(|node| !keeps_values(&node.op))
        }))
        .collect();
    let empty = || -> Vec<Histogram> {
        let of = |&tensor: &usize| most.get(classes.of(tensor)).copied().unwrap_or(1.0);
        own.iter()
            .map(|tensor| Histogram::new(of(tensor)))
            .collect()
    };
    let of_sample = |sample: &Vec<f32>| -> Result<Vec<Histogram>, ModelError> {
        let tensors = graph.trace(sample)?;
        let mut histograms = empty();
        for (histogram, &tensor) in histograms.iter_mut().zip(&own) {
            let values = tensors.get(tensor).map_or(&[][..], Vec::as_slice);
            values.iter().for_each(|&value| histogram.add(value));
        }
        Ok(histograms)
    };
    let merged = samples
        .par_iter()
        .map(of_sample)
        .try_reduce(empty, |a, b| {
            Ok(a.into_iter().zip(&b).map(|(a, b)| a.merge(b)).collect())
        })?;
    let mut by_class: Vec<(usize, Histogram)> = Vec::new();
    for (&tensor, histogram) in own.iter().zip(&merged) {
        let class = classes.of(tensor);
        match by_class.iter_mut().find(|(known, _)| *known == class) {
            Some((_, sum)) => *sum = sum.clone().merge(histogram),
            None => by_class.push((class, histogram.clone())),
        }
    }
    Ok(by_class)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 999 values spread over [0, 1], and one of 100.
    fn with_outlier() -> Histogram {
        let mut histogram = Histogram::new(100.0);
        (0..999).for_each(|i| histogram.add(f64::from(i) / 999.0));
        histogram.add(-100.0);
        histogram
    }

    #[test]
    fn percentiles_leave_outliers_out() {
        let histogram = with_outlier();
        assert_eq!(histogram.percentile(100.0), 100.0);
        let threshold = histogram.percentile(99.9);
        assert!((1.0..1.1).contains(&threshold), "{threshold}");
    }

    #[test]
    fn squared_error_weighs_rounding_against_saturation() {
        let histogram = with_outlier();
        // 3 levels: a step of 33 loses more on 999 values than 99^2 on one.
        let few = histogram.least_squared_error(3.0);
        assert!(few < 50.0, "{few}");
        // 32767 levels: the outlier costs more.
        assert_eq!(histogram.least_squared_error(32767.0), 100.0);
    }
}

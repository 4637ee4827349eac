//! Static symmetric quantisation, and how well the integers follow the floats.
//!
//! Every activation tensor gets one scale: its largest magnitude on the calibration samples over
//! `2^(bits-1) - 1` (min-max calibration with zero point 0; Jacob et al. 2018, arXiv 1712.05877,
//! section 2.1, with the multiplier folded into the weights instead of kept beside them). With
//! scales `s_in`, `s_out` and shift `s` a layer becomes
//!
//! ```text
//! W_int = round(W s_in 2^s / s_out),    b_int = round(b 2^s / s_out).
//! ```
//!
//! Weights are field elements in a proof, so their 16 to 24 bits cost nothing there.

use super::calibrate::Method;
use super::chain::{FloatDense, FloatNetwork};
use super::error::ModelError;
use super::integer::{IntegerDense, IntegerNetwork, OutOfRange, full_range};
use super::reference::FloatReference;

/// By how much the shift is lowered while weights are too large: one 8-bit limb of the remainder.
const SHIFT_STEP: u32 = 8;

/// The factor by which the scale of the logits grows while they saturate, and how often it may.
const LOGIT_MARGIN: f64 = 1.05;
const LOGIT_ATTEMPTS: usize = 8;

/// Choices of quantisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantiseOptions {
    /// Width of the signed activations, 2 to 16.
    pub bits: u32,
    /// The shift that layers start from; lowered by 8 while integer weights exceed
    /// [`super::integer::MAX_WEIGHT_BITS`], raised by 8 where a multiplier would be imprecise.
    pub shift: u32,
    /// How scales follow from samples.
    pub method: Method,
    /// Whether values that saturate on the samples are an error.
    pub strict: bool,
}

impl Default for QuantiseOptions {
    fn default() -> Self {
        QuantiseOptions {
            bits: 8,
            shift: 16,
            method: Method::MinMax,
            strict: false,
        }
    }
}

/// Largest magnitudes of the activation tensors on samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Of the input.
    pub input: f64,
    /// Of every layer's output, after its ReLU if there is one.
    pub layers: Vec<f64>,
}

impl Calibration {
    /// Runs the float network on every sample.
    ///
    /// # Errors
    /// [`ModelError::NoSamples`], [`ModelError::InputLength`], those of [`FloatNetwork::check`],
    /// and [`ModelError::Range`] for a tensor that is always zero or not finite.
    pub fn from_samples(network: &FloatNetwork, samples: &[Vec<f32>]) -> Result<Self, ModelError> {
        network.check()?;
        if samples.is_empty() {
            return Err(ModelError::NoSamples);
        }
        let mut input = 0.0;
        let mut layers = vec![0.0; network.layers.len()];
        for (sample, values) in samples.iter().enumerate() {
            let (expected, got) = (network.input_len(), values.len());
            if expected != got {
                return Err(ModelError::InputLength {
                    sample,
                    expected,
                    got,
                });
            }
            input = values
                .iter()
                .fold(input, |most, &x| largest(most, f64::from(x)));
            for (most, activations) in layers.iter_mut().zip(network.trace(values)?) {
                *most = activations.into_iter().fold(*most, largest);
            }
        }
        usable("the input", input)?;
        for (layer, &most) in network.layers.iter().zip(&layers) {
            usable(&format!("the output of layer `{}`", layer.name), most)?;
        }
        Ok(Calibration { input, layers })
    }
}

/// The larger of `most` and `|value|`; infinite once a value is not finite.
fn largest(most: f64, value: f64) -> f64 {
    if value.is_finite() {
        most.max(value.abs())
    } else {
        f64::INFINITY
    }
}

fn usable(tensor: &str, got: f64) -> Result<(), ModelError> {
    if got.is_normal() {
        Ok(())
    } else {
        Err(ModelError::Range {
            tensor: tensor.into(),
            got,
        })
    }
}

impl IntegerNetwork {
    /// Quantises `network` with scales calibrated on `samples`.
    ///
    /// The scale of the last layer grows by 5 % up to eight times until no sample saturates it.
    ///
    /// # Errors
    /// Those of [`Calibration::from_samples`] and [`IntegerNetwork::check`], and
    /// [`ModelError::LogitsSaturate`].
    pub fn quantise(
        network: &FloatNetwork,
        samples: &[Vec<f32>],
        options: &QuantiseOptions,
    ) -> Result<Self, ModelError> {
        if !super::integer::ACTIVATION_BITS.contains(&options.bits) {
            return Err(ModelError::Bits { got: options.bits });
        }
        let mut calibration = Calibration::from_samples(network, samples)?;
        for _ in 0..LOGIT_ATTEMPTS {
            let quantised = fit_shift(network, &calibration, options)?;
            if !quantised.logits_saturate(samples)? {
                return Ok(quantised);
            }
            if let Some(most) = calibration.layers.last_mut() {
                *most *= LOGIT_MARGIN;
            }
        }
        let layer = network
            .layers
            .last()
            .map_or_else(String::new, |l| l.name.clone());
        Err(ModelError::LogitsSaturate { layer })
    }

    fn logits_saturate(&self, samples: &[Vec<f32>]) -> Result<bool, ModelError> {
        for sample in samples {
            let input = self.quantise_input(sample, OutOfRange::Saturate)?;
            let evaluation = self.evaluate(&input.values)?;
            if evaluation.saturated.last().is_some_and(|&count| count > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The integer network with the largest shift, from the one asked for downwards, whose weights fit.
fn fit_shift(
    network: &FloatNetwork,
    calibration: &Calibration,
    options: &QuantiseOptions,
) -> Result<IntegerNetwork, ModelError> {
    let mut shift = options.shift;
    loop {
        let quantised = with_shift(network, calibration, options.bits, shift);
        match quantised.check() {
            Ok(_) => return Ok(quantised),
            Err(ModelError::WeightRange { .. }) if shift > SHIFT_STEP => shift -= SHIFT_STEP,
            Err(error) => return Err(error),
        }
    }
}

fn with_shift(
    network: &FloatNetwork,
    calibration: &Calibration,
    bits: u32,
    shift: u32,
) -> IntegerNetwork {
    let high = full_range(bits).1 as f64;
    let input_scale = calibration.input / high;
    let mut scale = input_scale;
    let mut layers = Vec::with_capacity(network.layers.len());
    for (layer, &most) in network.layers.iter().zip(&calibration.layers) {
        let next = most / high;
        layers.push(quantised_layer(layer, bits, shift, scale, next));
        scale = next;
    }
    IntegerNetwork {
        bits,
        input_scale,
        layers,
        output_scale: scale,
    }
}

fn quantised_layer(
    layer: &FloatDense,
    bits: u32,
    shift: u32,
    scale_in: f64,
    scale_out: f64,
) -> IntegerDense {
    let unit = 2f64.powi(i32::try_from(shift).unwrap_or(i32::MAX)) / scale_out;
    // A conversion that does not fit gives the nearest i64, which `check` then refuses.
    let round = |value: f64| value.round() as i64;
    let (low, high) = full_range(bits);
    IntegerDense {
        name: layer.name.clone(),
        weights: layer
            .weights
            .mapv(|w| round(f64::from(w) * scale_in * unit)),
        bias: layer.bias.mapv(|b| round(f64::from(b) * unit)),
        shift,
        low: if layer.relu { 0 } else { low },
        high,
    }
}

/// How the integer network compares with the float reference on samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    /// The float prediction of every sample, see [`class`].
    pub float: Vec<usize>,
    /// The integer prediction of every sample, see [`class`].
    pub integer: Vec<usize>,
    /// How many predictions are equal.
    pub agreeing: usize,
    /// How many float and integer predictions equal the label, when there are labels.
    pub correct: Option<(usize, usize)>,
    /// Largest absolute difference between a float output and `output_scale` times the integer.
    pub largest_error: f64,
    /// How many input values were clamped, over all samples.
    pub saturated_inputs: usize,
    /// How many activations of every layer were cut off, over all samples.
    pub saturated: Vec<usize>,
}

impl Accuracy {
    /// Evaluates both networks on `inputs`; input values outside the range are clamped and
    /// counted.
    ///
    /// # Errors
    /// [`ModelError::Labels`], [`ModelError::InputLength`], [`ModelError::LayerShape`] when the two
    /// networks have different outputs, and those of the two evaluations.
    pub fn measure(
        reference: &FloatReference,
        network: &IntegerNetwork,
        inputs: &[Vec<f32>],
        labels: Option<&[usize]>,
    ) -> Result<Self, ModelError> {
        if let Some(labels) = labels.filter(|labels| labels.len() != inputs.len()) {
            return Err(ModelError::Labels {
                samples: inputs.len(),
                labels: labels.len(),
            });
        }
        let mut accuracy = Accuracy {
            float: Vec::with_capacity(inputs.len()),
            integer: Vec::with_capacity(inputs.len()),
            agreeing: 0,
            correct: None,
            largest_error: 0.0,
            saturated_inputs: 0,
            saturated: vec![0; network.layers.len()],
        };
        for input in inputs {
            accuracy.add(reference, network, input)?;
        }
        let equal = |a: &[usize], b: &[usize]| a.iter().zip(b).filter(|(a, b)| a == b).count();
        accuracy.agreeing = equal(&accuracy.float, &accuracy.integer);
        accuracy.correct = labels.map(|l| (equal(&accuracy.float, l), equal(&accuracy.integer, l)));
        Ok(accuracy)
    }

    fn add(
        &mut self,
        reference: &FloatReference,
        network: &IntegerNetwork,
        input: &[f32],
    ) -> Result<(), ModelError> {
        let logits = reference.evaluate(input)?;
        let quantised = network.quantise_input(input, OutOfRange::Saturate)?;
        let evaluation = network.evaluate(&quantised.values)?;
        let output = evaluation.output();
        super::integer::expect("output", "outputs", logits.len(), output.len())?;
        for (&float, &integer) in logits.iter().zip(output) {
            // Exact: activations have at most 16 bits.
            let error = f64::from(float) - network.output_scale * integer as f64;
            self.largest_error = largest(self.largest_error, error);
        }
        self.float.push(class(&logits));
        self.integer.push(class(output));
        self.saturated_inputs += quantised.saturated;
        for (total, count) in self.saturated.iter_mut().zip(evaluation.saturated) {
            *total += count;
        }
        Ok(())
    }
}

/// The class that a network's outputs name: the first largest of several, and for a single output,
/// which is the logit of one class against the other, whether it is above zero.
pub fn class<T: PartialOrd + Default>(outputs: &[T]) -> usize {
    match outputs {
        [logit] => usize::from(*logit > T::default()),
        several => first_largest(several),
    }
}

/// Position of the first largest value; 0 when there is none.
pub fn first_largest<T: PartialOrd>(values: &[T]) -> usize {
    let mut best: Option<(usize, &T)> = None;
    for (position, value) in values.iter().enumerate() {
        if best.is_none_or(|(_, most)| value > most) {
            best = Some((position, value));
        }
    }
    best.map_or(0, |(position, _)| position)
}

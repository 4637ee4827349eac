//! `foldnet compile`: ONNX to integers, cut into steps.

use super::args::{Compile, ProofKind};
use super::estimate::{Estimate, too_little};
use super::output::{self, Report, cell, count};
use super::{LARGEST_MODEL, check_outputs, read_text};
use crate::artefact;
use crate::error::Error;
use crate::files;
use crate::model::json::samples as read_samples;
use crate::model::network::IntegerGraph;
use crate::model::plan::{CostModel, MAX_WEIGHT_VARIABLES, PlanOptions};
use crate::model::{FloatGraph, LayerReport, ModelError, QuantiseOptions, Quantised, Samples};
use crate::program::Program;
use anyhow::Context;
use foldnet_layers::Linear;
use serde_json::{Value, json};

/// Samples below which scales are a matter of luck.
const FEW_SAMPLES: usize = 10;

/// The width of activations unless a model needs more.
pub(super) const USUAL_BITS: u32 = 8;

/// Compiles a model and reports on it.
pub(super) fn run(options: &Compile) -> anyhow::Result<()> {
    check_outputs(
        &[Some(&options.output), options.json.as_deref()],
        &[Some(&options.model), Some(&options.samples)],
    )?;
    let bytes = files::read_bytes(&options.model, LARGEST_MODEL)?;
    let (program, report) = {
        let model = || options.model.display().to_string();
        let float = FloatGraph::from_onnx(&bytes).with_context(model)?;
        let text = read_text(&options.samples)?;
        let samples = read_samples(&text, float.input_len())
            .with_context(|| options.samples.display().to_string())?;
        check_samples(&float, &samples).with_context(|| options.samples.display().to_string())?;
        let usual = PlanOptions::default().max_weight_variables;
        let plan = PlanOptions {
            max_weight_variables: options.step_variables.map_or(usual, usize::from),
            batch: options.batch.into(),
            max_constraints: match options.proof {
                ProofKind::Groth16 => PlanOptions::default().max_constraints,
                ProofKind::Folded | ProofKind::Spartan => artefact::MAX_CONSTRAINTS,
            },
            cost: match options.proof {
                ProofKind::Folded => CostModel::folding(),
                ProofKind::Spartan | ProofKind::Groth16 => CostModel::default(),
            },
            ..PlanOptions::default()
        };
        let budget = options.memory.map(|bytes| (bytes, options.proof));
        let quantise = QuantiseOptions {
            bits: options
                .bits
                .unwrap_or_else(|| float.least_bits().max(USUAL_BITS)),
            method: options.calibration,
            strict: options.strict,
            ..QuantiseOptions::default()
        };
        let network = Quantised::new(&float, &samples.inputs, &quantise).with_context(model)?;
        let program = match options.step_variables {
            Some(_) => planned(&float.name, &network.graph, &plan, budget),
            None => planned_larger_if_needed(&float.name, &network.graph, &plan, budget),
        };
        let compiled = Compiled {
            program: program.with_context(model)?,
            network,
        };
        let mut report = Report::default();
        compiled.report(&mut report);
        let memory = Estimate::new(compiled.program.outline(), options.proof, 1).bytes();
        let label = format!("memory, {}", options.proof.name());
        report.bytes(&label, "predicted_peak_memory_bytes", memory);
        let layers = compiled.accuracy(&float, &samples, &mut report);
        layer_table(&layers.with_context(model)?, &mut report);
        (compiled.program, report)
    };
    artefact::write_program(&options.output, &program)?;
    report.print(options.json.as_deref())
}

/// Refuses labels of no class, and says when there are too few samples for scales.
fn check_samples(float: &FloatGraph, samples: &Samples) -> Result<(), ModelError> {
    if let Some(classes) = float.classes() {
        samples.check_labels(classes)?;
    }
    let number = samples.inputs.len();
    if number < FEW_SAMPLES {
        output::note(format_args!(
            "warning: only {}: values beyond what these reach are refused or cut off later; give about \
             100 typical inputs",
            count(number, "sample")
        ));
    }
    Ok(())
}

/// An integer network and its cut into steps.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The network.
    pub(super) network: Quantised,
    /// The program.
    pub(super) program: Program,
}

impl Compiled {
    /// Quantises with scales from `samples`, and plans the steps.
    pub(super) fn new(
        float: &FloatGraph,
        samples: &[Vec<f32>],
        plan: &PlanOptions,
    ) -> anyhow::Result<Self> {
        let network = Quantised::new(float, samples, &QuantiseOptions::default())?;
        let program = planned(&float.name, &network.graph, plan, None)?;
        Ok(Compiled { network, program })
    }

    /// What the program looks like.
    pub(super) fn report(&self, report: &mut Report) {
        let Compiled { network, program } = self;
        let layers = network.graph.nodes.len();
        let (inputs, outputs) = (network.graph.input_len, network.graph.output_len());
        let ends = [count(inputs, "input"), count(outputs, "output")].join(", ");
        report.line("layers", format_args!("{layers} ({ends})"));
        report.value("layers", layers);
        if outputs == 1 {
            report.number("output read as", "reading", network.graph.reading.name());
        }
        let linear = network
            .graph
            .nodes
            .iter()
            .filter_map(|node| node.layer.linear());
        let products: usize = linear.map(Linear::multiplications).sum();
        let padded = program.outline().multiplications();
        report.line(
            "multiplications",
            format_args!("{products} ({padded} with padding)"),
        );
        report.value("multiplications", products);
        report.value("padded_multiplications", padded);
        report.number("activation bits", "bits", program.outline().bits);
        report.number("step kinds", "kinds", program.outline().kinds.len());
        report.number("steps", "steps", program.outline().steps.len());
        report.line(
            "weights per step",
            format_args!("at most 2^{}", program.outline().weight_variables),
        );
        report.value("weight_variables", program.outline().weight_variables);
    }

    /// How the integers compare with the floats on samples.
    pub(super) fn accuracy(
        &self,
        float: &FloatGraph,
        samples: &Samples,
        report: &mut Report,
    ) -> anyhow::Result<Vec<LayerReport>> {
        let labels = samples.labels.as_deref();
        let accuracy = self.network.report(float, &samples.inputs, labels)?;
        let count = samples.inputs.len();
        match accuracy.agreeing {
            Some(agreeing) => report.line(
                "same prediction",
                format_args!("{agreeing} of {count} as with floats"),
            ),
            None => report.line("prediction", "none: the output names no class"),
        }
        report.value("samples", count);
        report.value("agreeing", accuracy.agreeing);
        if let Some((float, integer)) = accuracy.correct {
            let shown = format!("{integer} of {count} with integers, {float} with floats");
            report.line("right label", shown);
            report.value("correct_integer", integer);
            report.value("correct_float", float);
        }
        report.line("largest output error", cell(accuracy.largest_error));
        report.value("largest_error", accuracy.largest_error);
        let activations: usize = accuracy.layers.iter().map(|layer| layer.saturated).sum();
        let inputs = accuracy.saturated_inputs;
        let shown = format!("{inputs} inputs and {activations} activations, over all samples");
        report.line("cut off", shown);
        report.value("saturated_inputs", inputs);
        report.value("saturated_activations", activations);
        let layers = accuracy.layers.iter().map(layer_json).collect::<Vec<_>>();
        report.value("layer_errors", layers);
        Ok(accuracy.layers)
    }
}

/// A program with the largest steps whose proof fits into a budget of memory, if there is one.
fn planned(
    name: &str,
    graph: &IntegerGraph,
    plan: &PlanOptions,
    budget: Option<(u64, ProofKind)>,
) -> anyhow::Result<Program> {
    let mut plan = plan.clone();
    let mut least: Option<u64> = None;
    loop {
        let program = match Program::new(name, graph, &plan) {
            Ok(program) => program,
            // Smaller steps do not hold the largest layer: those before are the smallest.
            Err(_) if least.is_some() => break,
            Err(error) => return Err(error.into()),
        };
        artefact::check_program(program.outline())?;
        let needed = budget.map(|(bytes, kind)| {
            let estimate = Estimate::new(program.outline(), kind, 1);
            (bytes, estimate.bytes())
        });
        match needed {
            Some((budget, bytes)) if bytes > budget => {
                least = Some(least.map_or(bytes, |least| least.min(bytes)));
            }
            _ => return Ok(program),
        }
        // The steps of this plan may be smaller than its bound.
        let variables = program.outline().weight_variables;
        match variables.min(plan.max_weight_variables).checked_sub(1) {
            Some(smaller) => plan.max_weight_variables = smaller,
            None => break,
        }
    }
    let (budget, kind) = budget.unwrap_or((0, ProofKind::Folded));
    Err(too_little(budget, least.unwrap_or(0), kind))
}

/// [`planned`], with the largest steps that there are where the usual ones do not do.
pub(super) fn planned_larger_if_needed(
    name: &str,
    graph: &IntegerGraph,
    plan: &PlanOptions,
    budget: Option<(u64, ProofKind)>,
) -> anyhow::Result<Program> {
    let usual = planned(name, graph, plan, budget);
    let Err(error) = &usual else {
        return usual;
    };
    let too_small = matches!(
        error.downcast_ref(),
        Some(Error::Model(
            ModelError::TooManyKinds { .. } | ModelError::LayerTooLarge { .. }
        ))
    );
    if !too_small {
        return usual;
    }
    let larger = PlanOptions {
        max_weight_variables: MAX_WEIGHT_VARIABLES,
        ..plan.clone()
    };
    let program = planned(name, graph, &larger, budget)?;
    output::note(format_args!(
        "steps of at most 2^{} weights do not do for this model, so they have up to 2^{}: whoever \
         verifies with only the model id needs --allow-large-keys",
        plan.max_weight_variables,
        program.outline().weight_variables,
    ));
    Ok(program)
}

/// The errors of every layer as a table.
fn layer_table(layers: &[LayerReport], report: &mut Report) {
    report.text("\nerrors of the layers on the samples:");
    report.text(format!(
        "  {:32} {:14} {:>10} {:>10} {:>8} {:>8} {:>5}",
        "node", "layer", "mean", "largest", "dB", "cut off", "bits"
    ));
    layers
        .iter()
        .for_each(|layer| report.text(layer_line(layer)));
}

fn layer_line(layer: &LayerReport) -> String {
    let bits = layer
        .accumulator_bits
        .map_or_else(|| "-".into(), |bits| bits.to_string());
    format!(
        "  {:32} {:14} {:>10} {:>10} {:8.1} {:8} {bits:>5}",
        layer.name,
        layer.layer,
        cell(layer.mean_error),
        cell(layer.largest_error),
        layer.signal_to_noise,
        layer.saturated
    )
}

fn layer_json(layer: &LayerReport) -> Value {
    let finite = layer.signal_to_noise.is_finite();
    json!({
        "name": layer.name,
        "layer": layer.layer,
        "mean_error": layer.mean_error,
        "largest_error": layer.largest_error,
        "signal_to_noise_db": finite.then_some(layer.signal_to_noise),
        "saturated": layer.saturated,
        "accumulator_bits": layer.accumulator_bits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::random;

    #[test]
    fn steps_grow_only_where_the_usual_ones_do_not_do() {
        let graph = random::network(3, 64, 1).expect("a network");
        let options = |max_weight_variables| PlanOptions {
            max_weight_variables,
            ..PlanOptions::default()
        };
        let usual = planned_larger_if_needed("n", &graph, &options(13), None).expect("a program");
        assert_eq!(usual.outline().weight_variables, 13);
        // A row of 64 weights and its bias do not fit into 2^6 entries.
        let refused = planned("n", &graph, &options(6), None).expect_err("too small");
        assert!(
            refused.to_string().contains("raise --step-variables to 7"),
            "{refused}"
        );
        let larger = planned_larger_if_needed("n", &graph, &options(6), None).expect("a program");
        assert!(larger.outline().weight_variables > 6);
        // Kinds with too many constraints do not get fewer by larger steps.
        let narrow = PlanOptions {
            max_constraints: 1_000,
            ..options(13)
        };
        let refused = planned_larger_if_needed("n", &graph, &narrow, None).expect_err("too many");
        assert!(
            refused.to_string().contains("at most 1000 are allowed"),
            "{refused}"
        );
    }
}

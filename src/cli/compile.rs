//! `foldnet compile`: ONNX to integers, cut into steps.

use super::args::{Compile, ProofKind};
use super::estimate::{Estimate, too_little};
use super::output::Report;
use super::{LARGEST_MODEL, check_outputs, read_text};
use crate::artefact;
use crate::files;
use crate::model::plan::PlanOptions;
use crate::model::{
    Accuracy, FloatNetwork, FloatReference, IntegerNetwork, QuantiseOptions, Samples, json,
};
use crate::program::Program;
use anyhow::Context;

/// Compiles a model and reports on it.
pub(super) fn run(options: &Compile) -> anyhow::Result<()> {
    check_outputs(
        &[Some(&options.output), options.json.as_deref()],
        &[Some(&options.model), Some(&options.samples)],
    )?;
    let bytes = files::read_bytes(&options.model, LARGEST_MODEL)?;
    let (program, report) = {
        let model = || options.model.display().to_string();
        let float = FloatNetwork::from_onnx(&bytes).with_context(model)?;
        let text = read_text(&options.samples)?;
        let samples = json::samples(&text, float.input_len())
            .with_context(|| options.samples.display().to_string())?;
        let plan = PlanOptions {
            max_weight_variables: options.step_variables.into(),
            ..PlanOptions::default()
        };
        let budget = options.memory.map(|bytes| (bytes, options.proof));
        let compiled = Compiled::within(&float, &samples.inputs, options.bits, &plan, budget);
        let compiled = compiled.with_context(model)?;
        let mut report = Report::default();
        compiled.report(&mut report);
        let memory = Estimate::new(compiled.program.outline(), options.proof, 1).bytes();
        let label = format!("memory, {}", options.proof.name());
        report.bytes(&label, "predicted_peak_memory_bytes", memory);
        let reference = FloatReference::from_onnx(&bytes).with_context(model)?;
        compiled
            .accuracy(&reference, &samples, &mut report)
            .with_context(model)?;
        (compiled.program, report)
    };
    artefact::write_program(&options.output, &program)?;
    report.print(options.json.as_deref())
}

/// An integer network and its cut into steps.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The network.
    pub(super) network: IntegerNetwork,
    /// The program.
    pub(super) program: Program,
}

impl Compiled {
    /// Quantises with scales from `samples`, and plans the steps.
    pub(super) fn new(
        float: &FloatNetwork,
        samples: &[Vec<f32>],
        bits: u32,
        plan: &PlanOptions,
    ) -> anyhow::Result<Self> {
        Self::within(float, samples, bits, plan, None)
    }

    /// [`Compiled::new`] with the largest steps whose proof fits into a budget of memory.
    fn within(
        float: &FloatNetwork,
        samples: &[Vec<f32>],
        bits: u32,
        plan: &PlanOptions,
        budget: Option<(u64, ProofKind)>,
    ) -> anyhow::Result<Self> {
        let options = QuantiseOptions {
            bits,
            ..QuantiseOptions::default()
        };
        let network = IntegerNetwork::quantise(float, samples, &options)?;
        let mut plan = plan.clone();
        let mut least: Option<u64> = None;
        loop {
            let program = match Program::new(&float.name, &network, &plan) {
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
                _ => return Ok(Compiled { network, program }),
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

    /// What the program looks like.
    pub(super) fn report(&self, report: &mut Report) {
        let Compiled { network, program } = self;
        let sizes: Vec<String> = std::iter::once(network.input_len())
            .chain(network.layers.iter().map(|layer| layer.weights.nrows()))
            .map(|size| size.to_string())
            .collect();
        let products: usize = network.layers.iter().map(|layer| layer.weights.len()).sum();
        let count = network.layers.len();
        report.line("layers", format_args!("{count} ({})", sizes.join("-")));
        report.value("layers", count);
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
        reference: &FloatReference,
        samples: &Samples,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let labels = samples.labels.as_deref();
        let accuracy = Accuracy::measure(reference, &self.network, &samples.inputs, labels)?;
        let (count, agreeing) = (samples.inputs.len(), accuracy.agreeing);
        report.line(
            "same prediction",
            format_args!("{agreeing} of {count} as with floats"),
        );
        report.value("samples", count);
        report.value("agreeing", agreeing);
        if let Some((float, integer)) = accuracy.correct {
            let shown = format!("{integer} of {count} with integers, {float} with floats");
            report.line("right label", shown);
            report.value("correct_integer", integer);
            report.value("correct_float", float);
        }
        report.line(
            "largest logit error",
            format_args!("{:.4}", accuracy.largest_error),
        );
        report.value("largest_error", accuracy.largest_error);
        let activations: usize = accuracy.saturated.iter().sum();
        let inputs = accuracy.saturated_inputs;
        let shown = format!("{inputs} inputs and {activations} activations, over all samples");
        report.line("cut off", shown);
        report.value("saturated_inputs", inputs);
        report.value("saturated_activations", activations);
        Ok(())
    }
}

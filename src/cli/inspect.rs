//! `foldnet inspect`: what an ONNX model or a program consists of, how it is cut into steps, and what of
//! it cannot be proven.

use super::args::{Inspect, ProofKind};
use super::compile::{USUAL_BITS, planned_larger_if_needed};
use super::estimate::Estimate;
use super::output::{self, Report, count, size};
use super::{LARGEST_MODEL, check_outputs, open_program, read_text};
use crate::artefact;
use crate::files;
use crate::model::graph::FloatOp;
use crate::model::inspect::{Inspection, OnnxNode};
use crate::model::json::samples as samples_of;
use crate::model::plan::{PlanOptions, cost};
use crate::model::{FloatGraph, FloatNode, ModelError, QuantiseOptions, Quantised};
use crate::program::Outline;
use anyhow::Context;
use foldnet_layers::layer::Layer;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Prints a model's nodes and its plan; fails when some nodes cannot be proven.
pub(super) fn run(options: &Inspect) -> anyhow::Result<()> {
    let inputs = [Some(options.model.as_path()), options.samples.as_deref()];
    check_outputs(&[options.json.as_deref()], &inputs)?;
    let mut report = Report::default();
    if files::read_header(&options.model).is_ok() {
        if options.samples.is_some() {
            anyhow::bail!("a compiled program has its scales; --samples is for models");
        }
        program(open_program(&options.model)?.outline(), &mut report);
        return report.print(options.json.as_deref());
    }
    let model = || options.model.display().to_string();
    let bytes = files::read_bytes(&options.model, LARGEST_MODEL)?;
    let inspection = Inspection::new(&bytes).with_context(model)?;
    describe(&inspection, &mut report);
    if let Some(graph) = &inspection.graph {
        plan(graph, options.samples.as_deref(), &mut report)?;
    }
    report.print(options.json.as_deref())?;
    match inspection.problems.len() {
        0 => Ok(()),
        1 => Err(anyhow::anyhow!("1 node cannot be proven")).with_context(model),
        count => Err(anyhow::anyhow!("{count} nodes cannot be proven")).with_context(model),
    }
}

/// What a compiled program consists of.
fn program(outline: &Outline, report: &mut Report) {
    report.number("program", "name", outline.name.as_str());
    report.number("activation bits", "bits", outline.bits);
    report.number("inputs", "inputs", outline.input.length);
    report.number("outputs", "outputs", outline.output.length);
    report.text("\nplan:");
    let planned = outlined(outline, "program", None, report);
    report.value("plan", planned);
}

/// How the network is cut into steps, or why it is not: that is no error, since samples may change it.
fn plan(graph: &FloatGraph, samples: Option<&Path>, report: &mut Report) -> anyhow::Result<()> {
    let options = QuantiseOptions {
        bits: graph.least_bits().max(USUAL_BITS),
        ..QuantiseOptions::default()
    };
    let (network, scales) = match samples {
        Some(path) => {
            let name = || path.display().to_string();
            let text = read_text(path)?;
            let samples = samples_of(&text, graph.input_len()).with_context(name)?;
            let inputs = &samples.inputs;
            (Quantised::new(graph, inputs, &options), "samples")
        }
        None => (
            Quantised::without_samples(graph, &options),
            "made-up inputs",
        ),
    };
    report.text(match samples {
        Some(_) => "\nplan, as `compile` makes it from these samples:",
        None => {
            "\nplan, with scales from made-up inputs (--samples makes that of `compile`, whose \
             constraints may differ a little):"
        }
    });
    let planned = match network {
        Err(error) => unplanned(&error.into(), scales, report),
        Ok(network) => steps(&graph.name, &network, scales, report),
    };
    report.value("plan", planned);
    Ok(())
}

/// The plan for groth16 proofs or, if there is none, for others.
fn steps(name: &str, network: &Quantised, scales: &str, report: &mut Report) -> Value {
    let most = [
        PlanOptions::default().max_constraints,
        artefact::MAX_CONSTRAINTS,
    ];
    let [small, large] = most.map(|max_constraints| {
        let options = PlanOptions {
            max_constraints,
            ..PlanOptions::default()
        };
        move || planned_larger_if_needed(name, &network.graph, &options, None)
    });
    match small() {
        Ok(program) => outlined(program.outline(), scales, None, report),
        Err(refused) => match large() {
            Ok(program) => outlined(program.outline(), scales, Some(&refused), report),
            Err(error) => unplanned(&error, scales, report),
        },
    }
}

fn unplanned(error: &anyhow::Error, scales: &str, report: &mut Report) -> Value {
    let reason = output::chain(error);
    report.line("none", &reason);
    json!({ "scales": scales, "reason": reason })
}

/// Steps, kinds and what they cost. `refused` says why there is no groth16 proof.
fn outlined(
    outline: &Outline,
    scales: &str,
    refused: Option<&anyhow::Error>,
    report: &mut Report,
) -> Value {
    let variables = outline.weight_variables;
    report.line("steps", outline.steps.len());
    report.line("step kinds", outline.kinds.len());
    report.line("weights per step", format_args!("at most 2^{variables}"));
    let padded = outline.multiplications();
    report.line("multiplications", format_args!("{padded} with padding"));
    let mut memory = Map::new();
    for proof in [ProofKind::Folded, ProofKind::Spartan, ProofKind::Groth16] {
        let label = format!("memory, {}", proof.name());
        match refused.filter(|_| proof == ProofKind::Groth16) {
            Some(reason) => report.line(&label, format_args!("none: {reason}")),
            None => {
                let bytes = Estimate::new(outline, proof, 1).bytes();
                report.line(&label, size(bytes));
                memory.insert(proof.name().into(), bytes.into());
            }
        }
    }
    let kinds: Vec<Value> = (0..outline.kinds.len())
        .map(|kind| kind_of(outline, kind, report))
        .collect();
    for (at, step) in outline.steps.iter().enumerate() {
        let layers = step.layers.join(", ");
        report.text(format!("  step {at:<4} of kind {}: {layers}", step.kind));
    }
    let steps = outline.steps.iter();
    let steps = steps.map(|step| json!({ "kind": step.kind, "nodes": step.layers }));
    json!({
        "scales": scales,
        "steps": steps.collect::<Vec<_>>(),
        "kinds": kinds,
        "weight_variables": variables,
        "padded_multiplications": padded,
        "predicted_peak_memory_bytes": memory,
        "groth16_refused": refused.map(output::chain),
    })
}

/// A kind: how many steps have it, its constraints, how full its weight table is, and its layers.
fn kind_of(outline: &Outline, kind: usize, report: &mut Report) -> Value {
    let Some(shape) = outline.kinds.get(kind) else {
        return Value::Null;
    };
    let variables = outline.weight_variables;
    let steps = outline
        .steps
        .iter()
        .filter(|step| step.kind == kind)
        .count();
    let constraints = cost::constraints(shape, variables);
    let linear = shape.layers().filter_map(Layer::linear);
    let weights = linear.map(|linear| linear.outputs * (linear.columns() + 1));
    let weights: usize = weights.sum();
    let layers: Vec<String> = shape.layers().map(layer).collect();
    report.text(format!(
        "  kind {kind}: {}, about {constraints} constraints, {weights} of 2^{variables} \
         weights: {}",
        count(steps, "step"),
        counted(&layers).join(", ")
    ));
    json!({
        "steps": steps,
        "constraints": constraints,
        "weights": weights,
        "inferences": shape.batch,
        "layers": layers,
    })
}

/// A layer with the lengths of what it reads and gives.
fn layer(layer: &Layer) -> String {
    let operands: Vec<String> = layer.operands().iter().map(usize::to_string).collect();
    format!(
        "{} {} -> {}",
        layer.name(),
        operands.join(" and "),
        layer.outputs()
    )
}

/// Equal neighbours as one with their number.
fn counted(layers: &[String]) -> Vec<String> {
    let runs = layers.chunk_by(|a, b| a == b);
    let run = |run: &[String]| match run {
        [one] => one.clone(),
        [first, ..] => format!("{} x {first}", run.len()),
        [] => String::new(),
    };
    runs.map(run).collect()
}

fn describe(inspection: &Inspection, report: &mut Report) {
    report.number("graph", "name", inspection.name.as_str());
    report.number("operator set", "operator_set", inspection.operator_set);
    report.line("input", shape(&inspection.input_shape));
    report.value("input_shape", inspection.input_shape.clone());
    if let Some(graph) = &inspection.graph {
        report.line("output", shape(&graph.output_shape));
        report.value("output_shape", graph.output_shape.clone());
    }
    report.number("parameters", "parameters", inspection.parameters);
    if let Some(multiplications) = inspection.multiplications() {
        report.number("multiplications", "multiplications", multiplications);
    }
    report.text(format!("\n{} nodes in the file:", inspection.nodes.len()));
    inspection
        .nodes
        .iter()
        .for_each(|node| report.text(listed(node)));
    report.value(
        "nodes",
        inspection.nodes.iter().map(node_json).collect::<Vec<_>>(),
    );
    if let Some(graph) = &inspection.graph {
        network(graph, report);
    }
    if !inspection.problems.is_empty() {
        report.text("\nnot provable:");
        let problems: Vec<String> = inspection.problems.iter().map(ModelError::brief).collect();
        problems
            .iter()
            .for_each(|problem| report.text(format!("  {problem}")));
        if let Some(advice) = inspection
            .problems
            .iter()
            .find_map(ModelError::common_advice)
        {
            report.text(format!("of operators that are not supported: {advice}"));
        }
        report.value("problems", problems);
    }
}

fn shape(sizes: &[usize]) -> String {
    let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
    sizes.join(" x ")
}

fn listed(node: &OnnxNode) -> String {
    let shown = node.shape.as_deref().map_or_else(|| "?".into(), shape);
    let unused = if node.used { "" } else { " (not used)" };
    format!("  {:32} {:20} {shown}{unused}", node.name, node.operator)
}

fn node_json(node: &OnnxNode) -> Value {
    json!({
        "name": node.name,
        "operator": node.operator,
        "shape": node.shape,
        "used": node.used,
    })
}

/// The operations that are left after fusion, each with the tensors that it reads.
fn network(graph: &FloatGraph, report: &mut Report) {
    report.text(format!(
        "\n{} operations after fusion; tensor 0 is the input:",
        graph.nodes.len()
    ));
    for (at, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<String> = node.inputs.iter().map(usize::to_string).collect();
        report.text(format!(
            "  {:<4} {:32} {:20} of {:8} {:16} {} multiplications",
            at + 1,
            node.name,
            operation(node),
            inputs.join(", "),
            shape(&node.shape),
            node.op.multiplications()
        ));
    }
    let operations = graph.nodes.iter().map(|node| {
        json!({
            "name": node.name,
            "operation": operation(node),
            "operands": node.inputs,
            "shape": node.shape,
            "multiplications": node.op.multiplications(),
        })
    });
    report.value("operations", operations.collect::<Vec<_>>());
}

/// The operation, for a function with its name.
fn operation(node: &FloatNode) -> String {
    match &node.op {
        FloatOp::Function(formula) => format!("Function {}", formula.name()),
        op if node.clip.low == 0.0 => format!("{}, clamped", op.name()),
        op => op.name().into(),
    }
}

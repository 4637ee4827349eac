//! `foldnet inspect`: what an ONNX model consists of, and what of it cannot be proven.

use super::args::Inspect;
use super::output::Report;
use super::{LARGEST_MODEL, check_outputs};
use crate::files;
use crate::model::graph::FloatOp;
use crate::model::inspect::{Inspection, OnnxNode};
use crate::model::{FloatGraph, FloatNode};
use anyhow::Context;
use serde_json::{Value, json};

/// Prints a model's nodes; fails when some cannot be proven.
pub(super) fn run(options: &Inspect) -> anyhow::Result<()> {
    check_outputs(&[options.json.as_deref()], &[Some(&options.model)])?;
    let model = || options.model.display().to_string();
    let bytes = files::read_bytes(&options.model, LARGEST_MODEL)?;
    let inspection = Inspection::new(&bytes).with_context(model)?;
    let mut report = Report::default();
    describe(&inspection, &mut report);
    report.print(options.json.as_deref())?;
    match inspection.problems.len() {
        0 => Ok(()),
        1 => Err(anyhow::anyhow!("1 node cannot be proven")).with_context(model),
        count => Err(anyhow::anyhow!("{count} nodes cannot be proven")).with_context(model),
    }
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
        let problems: Vec<String> = inspection
            .problems
            .iter()
            .map(ToString::to_string)
            .collect();
        problems
            .iter()
            .for_each(|problem| report.text(format!("  {problem}")));
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

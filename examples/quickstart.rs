//! From an ONNX file to a verified proof, with the library: the shortest complete use.
//!
//! `cargo run --release --example quickstart`

use anyhow::Context;
use foldnet::fold::prover::Start;
use foldnet::model::plan::PlanOptions;
use foldnet::model::{FloatGraph, OutOfRange, QuantiseOptions, Quantised, json};
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::session::{Architecture, Session};
use foldnet_gadgets::cycle::Bn254;
use rand_core::OsRng;

fn main() -> anyhow::Result<()> {
    // A float network, some typical inputs, and the input to prove.
    let float = FloatGraph::from_onnx(include_bytes!("digits/mlp.onnx"))?;
    let samples = json::samples(include_str!("digits/samples.json"), float.input_len())?;
    let input = json::input(include_str!("digits/input.json"), float.input_len())?;

    // The integer network that is proven, cut into steps.
    let network = Quantised::new(&float, &samples.inputs, &QuantiseOptions::default())?;
    let program = Program::new("digits", &network.graph, &PlanOptions::default())?;
    let outline = program.outline();

    // Parameters depend on the architecture only. The model id is what a verifier trusts.
    let session = Session::<Bn254>::new(&Architecture::from(outline), None, &mut Silent)?;
    let committed = session.commit(&program, &mut Silent)?;

    let input = outline.quantise(&input, OutOfRange::Reject)?.values;
    let (proof, inferences, _) = session.prove(
        &program,
        &committed,
        (&[input], Start::Public),
        &mut Silent,
        &mut OsRng,
    )?;
    session.verify(&proof, committed.model, &inferences)?;

    let output = &inferences
        .first()
        .context("one inference was proven")?
        .output
        .values()
        .context("the output is public")?;
    println!("verified: the logits are {output:?}");
    Ok(())
}

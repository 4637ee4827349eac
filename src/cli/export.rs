//! `foldnet export`: what other tools need.

use super::args::{Export, ExportCircuit, ExportContract, ExportSnarkjs};
use super::output::{self, Report};
use super::private::Blinds;
use super::progress::TerminalProgress;
use super::succinct::{Call, OWN_KEY, call, decider, failed, judge_groth16, verifying_key};
use super::{check_outputs, open_program};
use crate::artefact::show_model_id;
use crate::decider::keys::Groth16Cache;
use crate::error::Error;
use crate::files::{self, Access, hex};
use crate::proof::{Groth16Proof, Proof};
use crate::session::{Architecture, Committed, Session};
use crate::visibility::{Side, Sides};
use anyhow::Context;
use foldnet_compress::evm::{self, ContractProof, calldata, public_data, public_inputs};
use foldnet_compress::groth16::{self, VerifyingKey, json, write_r1cs};
use foldnet_compress::mercury::words::Word;
use foldnet_gadgets::cycle::Bn254;
use halo2curves::bn256::Fr;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Writes what is asked for.
pub(super) fn run(options: &Export, cache: Option<&Path>) -> anyhow::Result<()> {
    match options {
        Export::Contract(options) => contract(options, cache),
        Export::Circuit(options) => circuit(options, cache),
        Export::Snarkjs(options) => snarkjs(options, cache),
    }
}

/// Reads a groth16 proof about a program's architecture.
fn read_proof(path: &Path, session: &Session<Bn254>) -> anyhow::Result<Groth16Proof> {
    let Proof::Groth16(proof) = Proof::read(path)? else {
        anyhow::bail!(
            "{} is no groth16 proof; make one with `foldnet prove --proof groth16`",
            path.display()
        );
    };
    if proof.about.architecture != *session.architecture() {
        anyhow::bail!(
            "{} is about another architecture than the program; give the program that was proven",
            path.display()
        );
    }
    Ok(*proof)
}

/// The contract and everything that is needed to deploy and call it.
fn contract(options: &ExportContract, cache: Option<&Path>) -> anyhow::Result<()> {
    let private = &options.private;
    private.check(None)?;
    let program = open_program(&options.model)?;
    let mut progress = TerminalProgress::new();
    let source = (&program, options.model.as_path());
    let (session, committed) = private.set_up(source, Blinds::Check, cache, &mut progress)?;
    let proof = options.proof.as_deref();
    let proof = proof.map(|path| read_proof(path, &session)).transpose()?;
    let inferences = proof
        .as_ref()
        .map_or(1, |proof| proof.about.inferences.len());
    let shapes = session.shapes()?;
    let decider = decider(&session, &shapes, inferences).hiding(private.sides());
    let key = verifying_key(&decider, (None, OWN_KEY), cache)?;
    let insecure = session.params().insecure() || key.insecure();
    if insecure && !options.accept_insecure_development_keys {
        anyhow::bail!(
            "the keys are development keys, under which anyone can forge proofs; import the powers \
             of tau and the phase 2 of a ceremony, or say --accept-insecure-development-keys"
        );
    }
    let parameters = decider.parameters(&key, committed.model);
    let parameters = parameters.map_err(Error::from)?;
    fs::create_dir_all(&options.output).with_context(|| options.output.display().to_string())?;
    let folder = Folder(&options.output);
    folder.text("FoldnetVerifier.sol", evm::SOURCE)?;
    let build: Value = serde_json::from_str(evm::CONTRACT)?;
    folder.value("FoldnetVerifier.abi.json", &part(&build, "abi")?)?;
    let code = part(&build, "bytecode")?;
    folder.text("FoldnetVerifier.bin", code.as_str().unwrap_or_default())?;
    folder.text("constructor-arguments.hex", &words_hex(&parameters.words()))?;
    let verifying = options.output.join("verifying.key");
    key.save(&verifying)
        .with_context(|| verifying.display().to_string())?;
    let deployment = deployment((&committed, private.sides()), &key, insecure);
    folder.value("deployment.json", &deployment)?;
    let mut report = Report::default();
    report.number("model id", "model_id", show_model_id(&committed.model));
    report.number("verifying key", "verifying_key", key.identity().to_string());
    if let Some(proof) = proof {
        let call = call(&session, (committed.model, &key), &decider, &proof)?;
        judge_groth16(&call, &proof)?;
        write_call(&folder, &call, &proof)?;
    }
    report.line("written to", options.output.display());
    report.print(None)
}

/// What says which model and key a deployed contract is for.
fn deployment(
    (committed, sides): (&Committed<Bn254>, Sides),
    key: &VerifyingKey,
    insecure: bool,
) -> Value {
    json!({
        "model_id": show_model_id(&committed.model),
        "verifying_key": key.identity().to_string(),
        "circuit": key.circuit().to_string(),
        "private_model": committed.blinds.is_private(),
        "private_sides": sides.private().map(Side::name).collect::<Vec<_>>(),
        "insecure_development_keys": insecure,
    })
}

fn part(build: &Value, name: &'static str) -> anyhow::Result<Value> {
    let value = build.get(name).cloned();
    value.with_context(|| format!("the built-in contract has no {name}; reinstall foldnet"))
}

fn write_call(folder: &Folder<'_>, call: &Call, proof: &Groth16Proof) -> anyhow::Result<()> {
    let data = calldata(&call.statement, &proof.proof);
    folder.text("calldata.hex", &format!("0x{}", hex(&data)))?;
    let statement: Vec<String> = call.statement.iter().map(word_hex).collect();
    let arguments = json!({
        "statement": statement,
        "proof": format!("0x{}", hex(&proof.proof)),
    });
    folder.value("call.json", &arguments)
}

fn word_hex(word: &Word) -> String {
    format!("0x{}", hex(word))
}

fn words_hex(words: &[Word]) -> String {
    format!("0x{}", hex(words.as_flattened()))
}

/// The directory that files are written into.
struct Folder<'a>(&'a Path);

impl Folder<'_> {
    fn text(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let bytes = format!("{}\n", text.trim_end());
        files::write_bytes(&self.0.join(name), Access::Public, bytes.as_bytes())?;
        Ok(())
    }

    fn value(&self, name: &str, value: &Value) -> anyhow::Result<()> {
        self.text(name, &serde_json::to_string_pretty(value)?)
    }
}

/// The decider circuit of an architecture.
fn circuit(options: &ExportCircuit, cache: Option<&Path>) -> anyhow::Result<()> {
    check_outputs(&[Some(&options.output)], &[Some(&options.model)])?;
    let program = open_program(&options.model)?;
    let mut progress = TerminalProgress::new();
    let architecture = Architecture::from(program.outline());
    let session = Session::<Bn254>::new(&architecture, cache, &mut progress)?;
    super::warn_if_insecure(&session);
    let shapes = session.shapes()?;
    let inferences = options.inferences.into();
    let decider = decider(&session, &shapes, inferences).hiding(options.private.sides());
    let shape = Groth16Cache::new(&decider, cache).shape(&decider);
    let shape = shape.map_err(Error::from)?;
    groth16::replace_file(&options.output, |mut writer| {
        write_r1cs(&shape, &mut writer)
    })
    .with_context(|| options.output.display().to_string())?;
    let mut report = Report::default();
    report.number("constraints", "constraints", shape.rows());
    report.number("variables", "variables", shape.variables());
    report.number("circuit", "circuit", shape.digest().to_string());
    report.print(None)
}

/// Proof, public inputs and verifying key for snarkjs.
fn snarkjs(options: &ExportSnarkjs, cache: Option<&Path>) -> anyhow::Result<()> {
    let private = &options.private;
    private.check(None)?;
    let program = open_program(&options.model)?;
    let mut progress = TerminalProgress::new();
    let source = (&program, options.model.as_path());
    let (session, committed) = private.set_up(source, Blinds::Check, cache, &mut progress)?;
    let proof = read_proof(&options.proof, &session)?;
    let shapes = session.shapes()?;
    let inferences = proof.about.inferences.len();
    let decider = decider(&session, &shapes, inferences).hiding(private.sides());
    let key = verifying_key(&decider, (None, OWN_KEY), cache)?;
    let call = call(&session, (committed.model, &key), &decider, &proof)?;
    judge_groth16(&call, &proof)?;
    let decoded = ContractProof::decode(&call.parameters, &proof.proof);
    let decoded = decoded.map_err(failed)?;
    let mut statement = vec![proof.context];
    statement.extend(decider.statement.pack::<Fr>(&proof.about.inferences)?);
    let count = call.parameters.count;
    let data = public_data(&committed.model, count, &statement, &decoded.claim);
    let (_, inputs) = public_inputs(&data, decoded.p);
    let inputs = [inputs.p, inputs.gamma, inputs.f];
    let words = decoded.words();
    let groth16 = words.get(words.len().saturating_sub(evm::GROTH16_WORDS)..);
    let groth16 =
        groth16::Proof::from_bytes(groth16.unwrap_or_default().as_flattened()).map_err(failed)?;
    fs::create_dir_all(&options.output).with_context(|| options.output.display().to_string())?;
    let folder = Folder(&options.output);
    folder.value("proof.json", &json::proof(&groth16))?;
    folder.value("public.json", &json::inputs(&inputs))?;
    folder.value("verification_key.json", &json::verifying_key(&key))?;
    output::note(
        "snarkjs checks the Groth16 proof alone: that the public inputs are those of the statement, \
         and the opening, only the contract and `foldnet verify` check",
    );
    let mut report = Report::default();
    report.line("written to", options.output.display());
    report.print(None)
}

//! What is typed: options and their forms, nothing that acts.

use crate::artefact::parse_model_id;
use clap::{Args, Parser, Subcommand};
use foldnet_gadgets::cycle::{Bn254, Cycle};
use std::path::PathBuf;

/// Recursive folding proofs that a quantised neural network maps an input to an output.
#[derive(Debug, Parser)]
#[command(name = "foldnet", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, and for `verify` accepted; 1 rejected; 2 could not \
                        decide (any other error)."
)]
pub struct Arguments {
    /// Directory of commitment keys [default: $FOLDNET_CACHE, $XDG_CACHE_HOME/foldnet or
    /// ~/.cache/foldnet].
    #[arg(long, global = true, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prove and verify that a built-in network reads a handwritten digit.
    Demo(Demo),
    /// Turn an ONNX model into an integer program that can be proven.
    Compile(Compile),
    /// Prove what a program gives for an input.
    Prove(Prove),
    /// Check a proof for a model that you trust.
    Verify(Verify),
    /// Print the model id of a program.
    ModelId(ModelId),
    /// Import and list commitment keys.
    #[command(subcommand)]
    Keys(Keys),
}

/// What to do with commitment keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make the powers of tau of a ceremony the BN254 key of this cache.
    Import(Import),
    /// Print the keys of this cache; every file is read and checked.
    List(List),
}

/// Options of `keys import`.
#[derive(Args, Debug)]
pub struct Import {
    /// The ceremony's file (.ptau, BN254). Compare its published hash first.
    #[arg(long, value_name = "FILE")]
    pub ptau: PathBuf,
    /// Import 2^N points [default: the power of the file].
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=28))]
    pub power: Option<u32>,
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `keys list`.
#[derive(Args, Debug)]
pub struct List {
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `demo`.
#[derive(Args, Debug)]
pub struct Demo {
    /// Where to write the proof.
    #[arg(short, long, value_name = "PROOF", default_value = "digit.proof")]
    pub output: PathBuf,
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `compile`.
#[derive(Args, Debug)]
pub struct Compile {
    /// The model.
    #[arg(value_name = "MODEL.onnx")]
    pub model: PathBuf,
    /// Typical inputs: {"input_data": [[...], ...]}, with "labels": [...] if known.
    #[arg(long, value_name = "INPUTS.json")]
    pub samples: PathBuf,
    /// Where to write the program.
    #[arg(short, long, value_name = "MODEL.fold")]
    pub output: PathBuf,
    /// Width of the activations in bits, 2 to 16.
    #[arg(long, value_name = "BITS", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=16))]
    pub bits: u32,
    /// A step has at most 2^N weights: more makes fewer, larger steps.
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=22))]
    pub step_variables: u8,
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `prove`.
#[derive(Args, Debug)]
pub struct Prove {
    /// The program.
    #[arg(value_name = "MODEL.fold")]
    pub model: PathBuf,
    /// The input: {"input_data": [[...]]}.
    #[arg(long, value_name = "INPUT.json")]
    pub input: PathBuf,
    /// The proof to make: folded (large, hides nothing). Later releases: spartan, groth16.
    #[arg(long, value_name = "KIND")]
    pub proof: String,
    /// Where to write the proof.
    #[arg(short, long, value_name = "PROOF")]
    pub output: PathBuf,
    /// Clamp input values outside the calibrated range instead of refusing them.
    #[arg(long)]
    pub saturate: bool,
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// The proof.
    #[arg(value_name = "PROOF")]
    pub proof: PathBuf,
    /// The model that you trust.
    #[command(flatten)]
    pub trusted: Trusted,
    /// Reject a proof about another input than this one: {"input_data": [[...]]}.
    #[arg(long, value_name = "INPUT.json")]
    pub input: Option<PathBuf>,
    /// Clamp values of --input outside the calibrated range, as `prove --saturate` does.
    #[arg(long, requires = "input")]
    pub saturate: bool,
    /// Derive commitment keys of more than 2^20 points for a proof checked by its model id; large
    /// ones take minutes and gigabytes.
    #[arg(long)]
    pub allow_large_keys: bool,
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// The model that a verifier trusts: exactly one of both.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Trusted {
    /// The model id, as `foldnet model-id` prints it.
    #[arg(long, value_name = "ID", value_parser = model_id)]
    pub model_id: Option<<Bn254 as Cycle>::F>,
    /// The program, whose id is computed from its weights.
    #[arg(long, value_name = "MODEL.fold")]
    pub model: Option<PathBuf>,
}

/// Options of `model-id`.
#[derive(Args, Debug)]
pub struct ModelId {
    /// The program.
    #[arg(value_name = "MODEL.fold")]
    pub model: PathBuf,
}

fn model_id(text: &str) -> Result<<Bn254 as Cycle>::F, String> {
    parse_model_id(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }
}

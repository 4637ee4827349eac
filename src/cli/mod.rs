//! The command line tool: parse, check, act. Nothing outside this module writes to a terminal.
//!
//! Results go to standard output, progress and warnings to standard error. Exit codes: 0 done or
//! accepted, 1 rejected, 2 could not decide. Files appear complete or not at all.

pub mod args;
mod batch;
mod compile;
mod demo;
mod estimate;
mod export;
mod inspect;
mod keys;
mod mock;
mod output;
mod private;
pub mod progress;
mod prove;
mod runs;
mod shown;
mod succinct;
mod verify;

use crate::artefact;
use crate::error::Error;
use crate::files::{self, Access, AtomicFile};
use crate::program::Program;
use crate::session::Session;
use anyhow::Context;
use args::{Arguments, Command};
use clap::Parser;
use foldnet_gadgets::cycle::Bn254;
use foldnet_layers::error::LayerError;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Nothing but 0 may be read as accepted.
const ACCEPTED: u8 = 0;
const REJECTED: u8 = 1;
const UNDECIDED: u8 = 2;

/// The largest ONNX file.
const LARGEST_MODEL: u64 = 1 << 32;

/// The largest JSON file.
const LARGEST_JSON: u64 = 1 << 30;

/// Runs the tool with the arguments of the process.
///
/// A panic is a defect, and no verdict: it is reported by the panic handler and ends with code 2.
pub fn main() -> ExitCode {
    let run = std::panic::catch_unwind(|| run(std::env::args_os()));
    ExitCode::from(run.unwrap_or(UNDECIDED))
}

/// Runs the tool and returns its exit code.
fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() {
                UNDECIDED
            } else {
                ACCEPTED
            };
            return if error.print().is_ok() {
                code
            } else {
                UNDECIDED
            };
        }
    };
    match act(&arguments) {
        Ok(()) => ACCEPTED,
        Err(error) if is_rejection(&error) => {
            output::error("rejected", &error);
            if let Some(verify::MixUp { advice, .. }) = error.downcast_ref() {
                output::note(advice);
            }
            REJECTED
        }
        Err(error) => {
            output::error("error", &error);
            UNDECIDED
        }
    }
}

fn act(arguments: &Arguments) -> anyhow::Result<()> {
    let cache = cache(arguments.cache.as_deref());
    let cache = cache.as_deref();
    match &arguments.command {
        Command::Demo(options) => demo::run(options, cache),
        Command::Inspect(options) => inspect::run(options),
        Command::Compile(options) => compile::run(options),
        Command::Mock(options) => mock::run(options),
        Command::Prove(options) => prove::run(options, cache),
        Command::Batch(options) => batch::run(options, cache),
        Command::Verify(options) => verify::run(options, cache),
        Command::ModelId(options) => verify::model_id(options, cache),
        Command::Keys(options) => keys::run(options, cache),
        Command::Export(options) => export::run(options, cache),
    }
}

/// A proof that was understood and is false.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Rejected(&'static str);

/// Checks before any work that every output can be written, and that none replaces an input or
/// another output.
fn check_outputs(outputs: &[Option<&Path>], inputs: &[Option<&Path>]) -> anyhow::Result<()> {
    let mut taken: Vec<PathBuf> = inputs
        .iter()
        .flatten()
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    for output in outputs.iter().flatten() {
        // Dropping the file removes it: only the name that is never committed was used.
        drop(AtomicFile::create(output, Access::Private)?);
        let directory = output
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let place = directory.unwrap_or(Path::new(".")).canonicalize()?;
        let place = output
            .canonicalize()
            .unwrap_or(place.join(output.file_name().unwrap_or_default()));
        if taken.contains(&place) {
            anyhow::bail!(
                "{} is also an input or another output of this command; choose another name for it",
                output.display()
            );
        }
        taken.push(place);
    }
    Ok(())
}

fn is_rejection(error: &anyhow::Error) -> bool {
    error.is::<Rejected>()
        || error
            .downcast_ref::<Error>()
            .is_some_and(Error::is_rejection)
}

/// The directory of commitment keys: as given, or the first of the places in `--help`; none when
/// there is no home directory either.
fn cache(given: Option<&Path>) -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = || Some(PathBuf::from(variable("HOME")?).join(".cache"));
    let base = || {
        variable("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    given
        .map(Path::to_path_buf)
        .or_else(|| variable("FOLDNET_CACHE").map(PathBuf::from))
        .or_else(|| base().or_else(home).map(|base| base.join("foldnet")))
}

/// Says so when relations between the generators are known.
fn warn_if_insecure(session: &Session<Bn254>) {
    if session.params().insecure() {
        output::note(
            "warning: development keys: anyone can forge a proof under them; for tests only",
        );
    }
}

/// Says so when whoever made the Groth16 key may know its trapdoor. That of the commitment keys is
/// said by [`warn_if_insecure`].
fn warn_if_insecure_key(session: &Session<Bn254>, insecure: bool) {
    if insecure && !session.params().insecure() {
        output::note(
            "warning: a development Groth16 key: whoever made it can forge a proof; for tests only",
        );
    }
}

/// Opens a compiled program, naming it in errors.
fn open_program(path: &Path) -> anyhow::Result<Program> {
    artefact::read_program(path).with_context(|| path.display().to_string())
}

/// Puts a program's name to an error in what it consists of, which is found when it is run.
fn about_program(path: &Path) -> impl FnOnce(anyhow::Error) -> anyhow::Error {
    move |error| {
        let is_inside = error.is::<LayerError>()
            || matches!(
                error.downcast_ref(),
                Some(Error::Layer(_) | Error::Program(_))
            );
        if is_inside {
            error.context(path.display().to_string())
        } else {
            error
        }
    }
}

/// Reads a text file, naming it in errors.
fn read_text(path: &Path) -> anyhow::Result<String> {
    let bytes = files::read_bytes(path, LARGEST_JSON)?;
    String::from_utf8(bytes)
        .with_context(|| format!("{} is no text; expected JSON in UTF-8", path.display()))
}

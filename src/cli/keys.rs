//! `foldnet keys`: the commitment keys of the cache.

use super::args::{Import, ImportZkey, Keys, List};
use super::output::{self, Report};
use super::progress::TerminalProgress;
use super::succinct::decider;
use super::{check_outputs, open_program, warn_if_insecure};
use crate::decider::keys::Groth16Cache;
use crate::error::Error;
use crate::files;
use crate::key::{CachedKey, CommitmentKey, KeyCache};
use crate::progress::{Progress, Stage};
use crate::session::{Architecture, Session};
use foldnet_gadgets::cycle::Bn254;
use nova_snark::provider::Bn256EngineKZG;
use std::path::Path;

/// Imports or lists.
pub(super) fn run(options: &Keys, cache: Option<&Path>) -> anyhow::Result<()> {
    match options {
        Keys::Import(options) => import(options, cache),
        Keys::List(options) => list(options, cache),
        Keys::ImportZkey(options) => import_zkey(options, cache),
    }
}

/// Reads and checks a ceremony's file, and keeps its points.
fn import(options: &Import, cache: Option<&Path>) -> anyhow::Result<()> {
    check_outputs(&[options.json.as_deref()], &[Some(&options.ptau)])?;
    let mut progress = TerminalProgress::new();
    let points = options.power.map_or(0, |power| 1 << power);
    progress.start(Stage::Keys, points);
    let mut advance = |done| progress.advance(done);
    let key = CommitmentKey::<Bn256EngineKZG>::import(&options.ptau, options.power, &mut advance)?;
    progress.finish();
    let path = KeyCache::new(cache).import(&key)?;
    output::note(format_args!("key kept in {}", path.display()));
    let mut report = Report::default();
    report.number("curve", "curve", key.curve());
    report.line("points", points_of(key.len()));
    report.value("points", key.len());
    report.number("digest", "digest", files::hex(&key.digest()));
    report.value("insecure", key.insecure());
    report.print(options.json.as_deref())
}

/// Checks that the key is for the architecture's circuit, and keeps it.
fn import_zkey(options: &ImportZkey, cache: Option<&Path>) -> anyhow::Result<()> {
    let program = open_program(&options.model)?;
    let mut progress = TerminalProgress::new();
    let architecture = Architecture::from(program.outline());
    let session = Session::<Bn254>::new(&architecture, cache, &mut progress)?;
    warn_if_insecure(&session);
    let shapes = session.shapes()?;
    let inferences = options.inferences.into();
    let decider = decider(&session, &shapes, inferences).hiding(options.private.sides());
    let files = Groth16Cache::new(&decider, cache);
    if files.path("proving").is_none() {
        anyhow::bail!("there is no directory to keep the key in; give one with --cache");
    }
    progress.start(Stage::DeciderKeys, 1);
    let key = files.import(&decider, &options.zkey).map_err(Error::from)?;
    progress.finish();
    let mut report = Report::default();
    report.number("verifying key", "verifying_key", key.identity().to_string());
    report.number("circuit", "circuit", key.circuit().to_string());
    report.number("insecure", "insecure", key.insecure());
    report.print(None)
}

/// Reads, checks and prints every key; a file that cannot be used gets a line, too.
fn list(options: &List, cache: Option<&Path>) -> anyhow::Result<()> {
    check_outputs(&[options.json.as_deref()], &[])?;
    let mut report = Report::default();
    let mut values = Vec::new();
    let mut damaged = 0;
    for (path, key) in KeyCache::new(cache).list()? {
        match key {
            Ok(key) => {
                report.text(described(&key));
                values.push(serde_json::json!({
                    "file": path.display().to_string(),
                    "curve": key.curve,
                    "points": key.points,
                    "digest": files::hex(&key.digest),
                    "insecure": key.insecure,
                    "imported": key.imported,
                }));
            }
            Err(error) => {
                output::error("not usable", &error.into());
                damaged += 1;
            }
        }
    }
    let usable = !values.is_empty();
    report.value("keys", values);
    report.print(options.json.as_deref())?;
    if !usable && damaged > 0 {
        anyhow::bail!(
            "none of the key files can be used; the lines above say what to do about each"
        );
    }
    if !usable {
        output::note("no usable keys in the cache");
    }
    Ok(())
}

/// One line about a key.
fn described(key: &CachedKey) -> String {
    let origin = match (key.insecure, key.imported) {
        (true, _) => "INSECURE development key",
        (false, true) => "imported",
        (false, false) => "derived",
    };
    format!(
        "{:10}{:20}{}  {origin}",
        key.curve,
        points_of(key.points),
        files::hex(&key.digest)
    )
}

/// A number of points, as a power of two if it is one.
fn points_of(points: usize) -> String {
    if points.is_power_of_two() {
        format!("{points} (2^{})", points.ilog2())
    } else {
        points.to_string()
    }
}

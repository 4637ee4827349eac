//! The command in processes of its own.

use anyhow::{Context, bail};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A scratch directory with keys that runs share, and what runs the command there.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Scratch {
    /// A new directory, for processes of so many threads.
    pub fn new(threads: usize) -> anyhow::Result<Self> {
        let directory = TempDir::new().context("no scratch directory")?;
        let environment = vec![("RAYON_NUM_THREADS", threads.to_string())];
        Ok(Scratch {
            directory,
            environment,
        })
    }

    /// Has the processes from now on return every large allocation to the system when it is freed
    /// (glibc; others ignore it). What they take then is what they hold, without the gaps that stay
    /// between allocations of different lives.
    pub fn return_freed_memory(&mut self) {
        self.environment
            .push(("MALLOC_MMAP_THRESHOLD_", "131072".into()));
    }

    /// The path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs the command; its report.
    pub fn run<A: AsRef<OsStr>>(&self, command: &str, arguments: &[A]) -> anyhow::Result<Value> {
        let report = self.path("report.json");
        let output = Command::new(env!("CARGO_BIN_EXE_foldnet"))
            .arg("--cache")
            .arg(self.path("keys"))
            .arg(command)
            .args(arguments)
            .arg("--json")
            .arg(&report)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .context("the command does not start")?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let reason = text.lines().last().unwrap_or("no message").to_owned();
            bail!("foldnet {command}: {reason}");
        }
        let text = std::fs::read_to_string(&report)?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Proves in a process of its own.
    pub fn prove(&self, program: &Path, input: &Path, proof: &str) -> anyhow::Result<Run> {
        let output = self.path("proof");
        let arguments = [
            program.as_os_str(),
            "--input".as_ref(),
            input.as_os_str(),
            "--proof".as_ref(),
            proof.as_ref(),
            "--output".as_ref(),
            output.as_os_str(),
        ];
        let report = self.run("prove", &arguments)?;
        let peak = report["peak_memory_bytes"].as_f64();
        Ok(Run {
            megabytes: peak.context("this system does not tell the peak memory")? / 1e6,
            constraints: report["constraints_per_step"].clone(),
        })
    }

    /// The median peak of some processes, after one that makes the keys.
    pub fn median(
        &self,
        runs: usize,
        program: &Path,
        input: &Path,
        proof: &str,
    ) -> anyhow::Result<Run> {
        self.prove(program, input, proof)?;
        let measured: anyhow::Result<Vec<Run>> = (0..runs)
            .map(|_| self.prove(program, input, proof))
            .collect();
        let mut measured = measured?;
        measured.sort_by(|a, b| a.megabytes.total_cmp(&b.megabytes));
        Ok(measured.swap_remove(runs / 2))
    }
}

/// What a process told about itself.
#[derive(Debug)]
pub struct Run {
    /// Peak resident memory.
    pub megabytes: f64,
    /// The constraints of every kind of steps.
    pub constraints: Value,
}

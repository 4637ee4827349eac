//! Folds a random ReLU network of equal layers, proves it, and prints what it took.
//!
//! `cargo run --release --example deep_network -- [DEPTH] [WIDTH] [PROOF]` (16 layers 64 wide by
//! default; the proof is `folded`, `spartan` or `groth16`, whose keys are made first).
//! One process makes the network and writes it to disk, a second one proves it, so that the peak
//! memory that is printed is the prover's alone.

use anyhow::{Context, bail, ensure};
use foldnet::decider::groth16::{Claimed, Decider};
use foldnet::decider::spartan;
use foldnet::decider::statement::StatementShape;
use foldnet::fold::prover::{Recursion, Start};
use foldnet::memory::peak_resident_bytes;
use foldnet::model::plan::PlanOptions;
use foldnet::model::random;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::session::{Architecture, Inference, Session};
use foldnet_compress::evm::{Machine, calldata, verify_public};
use foldnet_compress::groth16::ProvingKey;
use foldnet_compress::mercury::words::scalar_word;
use foldnet_gadgets::cycle::Bn254;
use halo2curves::bn256::Fr;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, path, kind] = arguments.as_slice()
        && flag == "--prove"
    {
        return prove(Path::new(path), kind);
    }
    let number = |i: usize, default: usize| match arguments.get(i) {
        Some(text) => text
            .parse()
            .with_context(|| format!("{text} is not a number")),
        None => Ok(default),
    };
    let (depth, width) = (number(0, 16)?, number(1, 64)?);
    let kind = arguments.get(2).map_or("folded", String::as_str);
    let path = std::env::temp_dir().join(format!("foldnet-deep-{}.fold", std::process::id()));
    let network = random::network(depth, width, 7)?;
    Program::new("deep", &network, &PlanOptions::default())?.write(&path)?;
    println!("layers                {depth} x {width}");
    let status = Command::new(std::env::current_exe()?)
        .arg("--prove")
        .arg(&path)
        .arg(kind)
        .status();
    std::fs::remove_file(&path)?;
    ensure!(status?.success(), "the proving process failed");
    Ok(())
}

fn prove(path: &Path, kind: &str) -> anyhow::Result<()> {
    let program = Program::open(path)?;
    let outline = program.outline();
    let clock = Instant::now();
    let session = Session::<Bn254>::new(&Architecture::from(outline), None, &mut Silent)?;
    let setup = clock.elapsed();
    let clock = Instant::now();
    let committed = session.commit(&program, &mut Silent)?;
    let commit = clock.elapsed();

    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let input = random::input(outline.input.length, &mut rng);
    let start = if kind == "folded" {
        Start::Public
    } else {
        Start::Masked
    };
    let inputs = (&[input][..], start);
    let (run, inferences, timing) =
        session.prove(&program, &committed, inputs, &mut Silent, &mut rng)?;
    let steps = run.index;

    println!(
        "steps                 {} of 2^{} weights",
        steps, outline.weight_variables
    );
    println!("constraints per step  {:?}", session.params().constraints());
    println!("set-up                {:.2} s", setup.as_secs_f64());
    println!("weight commitments    {:.2} s", commit.as_secs_f64());
    println!(
        "witness               {:.2} s",
        timing.witness.as_secs_f64()
    );
    println!("start instances       {:.2} s", timing.start.as_secs_f64());
    println!("fold                  {:.2} s", timing.fold.as_secs_f64());
    let run = Run {
        session: &session,
        model: committed.model,
        recursion: run,
        inferences,
    };
    peak("folding");
    match kind {
        "folded" => run.folded(),
        "spartan" => run.spartan(&mut rng),
        "groth16" => run.groth16(&mut rng),
        other => bail!("{other} is no kind of proof"),
    }
}

/// Prints the most memory that was used until now.
fn peak(what: &str) {
    let mebibytes = peak_resident_bytes().unwrap_or(0) as f64 / f64::from(1 << 20);
    println!("peak memory           {mebibytes:.0} MiB until after {what}");
}

/// A finished run.
struct Run<'a> {
    session: &'a Session<Bn254>,
    model: Fr,
    recursion: Recursion<Bn254>,
    inferences: Vec<Inference>,
}

impl Run<'_> {
    fn folded(self) -> anyhow::Result<()> {
        let clock = Instant::now();
        self.session
            .verify(&self.recursion, self.model, &self.inferences)?;
        println!(
            "verify                {:.2} s",
            clock.elapsed().as_secs_f64()
        );
        Ok(())
    }

    fn spartan(self, rng: &mut ChaCha20Rng) -> anyhow::Result<()> {
        let statement = self.session.statement(self.model, &self.inferences)?;
        let shapes = self.session.shapes()?;
        let params = self.session.params();
        let clock = Instant::now();
        let proof = spartan::prove(params, &shapes, self.recursion, &statement, rng)?;
        println!(
            "spartan               {:.2} s",
            clock.elapsed().as_secs_f64()
        );
        let clock = Instant::now();
        spartan::verify(params, &shapes, &statement, &proof)?;
        println!(
            "verify                {:.3} s",
            clock.elapsed().as_secs_f64()
        );
        peak("proving");
        Ok(())
    }

    fn groth16(self, rng: &mut ChaCha20Rng) -> anyhow::Result<()> {
        let statement = self.session.statement(self.model, &self.inferences)?;
        let shapes = self.session.shapes()?;
        let decider = Decider {
            params: self.session.params(),
            shapes: &shapes,
            statement: StatementShape::new(self.session.architecture(), 1),
        };
        let clock = Instant::now();
        let shape = decider.shape()?;
        let key = ProvingKey::development(&shape, rng)?;
        println!("decider circuit       {} constraints", shape.rows());
        println!(
            "groth16 keys          {:.2} s",
            clock.elapsed().as_secs_f64()
        );
        let elements = decider.statement.pack(&self.inferences)?;
        let claimed = Claimed {
            digests: &statement,
            elements: &elements,
            context: Fr::from(0),
        };
        let clock = Instant::now();
        let proof = decider.prove((&key, &shape), self.recursion, &claimed, rng)?;
        println!(
            "spartan and groth16   {:.2} s",
            clock.elapsed().as_secs_f64()
        );
        let parameters = decider.parameters(key.verifying_key(), self.model)?;
        let statement: Vec<_> = [&claimed.context]
            .into_iter()
            .chain(&elements)
            .map(scalar_word)
            .collect();
        let bytes = proof.to_bytes();
        let clock = Instant::now();
        verify_public(&parameters, &statement, &bytes)?;
        println!(
            "verify                {:.3} s",
            clock.elapsed().as_secs_f64()
        );
        let call = calldata(&statement, &bytes);
        let execution = Machine::deploy(&parameters)?.call(&call)?;
        execution.verdict?;
        println!("gas                   {}", execution.gas.total);
        println!("calldata              {} bytes", call.len());
        peak("proving");
        Ok(())
    }
}

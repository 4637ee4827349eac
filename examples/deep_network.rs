//! Folds a random ReLU network of equal layers and prints what it took.
//!
//! `cargo run --release --example deep_network -- [DEPTH] [WIDTH]` (16 layers 64 wide by default).
//! One process makes the network and writes it to disk, a second one proves it, so that the peak
//! memory that is printed is the prover's alone.

use anyhow::{Context, ensure};
use foldnet::fold::prover::Start;
use foldnet::memory::peak_resident_bytes;
use foldnet::model::plan::PlanOptions;
use foldnet::model::random;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::session::{Architecture, Session};
use foldnet_gadgets::cycle::Bn254;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, path] = arguments.as_slice()
        && flag == "--prove"
    {
        return prove(Path::new(path));
    }
    let number = |i: usize, default: usize| match arguments.get(i) {
        Some(text) => text
            .parse()
            .with_context(|| format!("{text} is not a number")),
        None => Ok(default),
    };
    let (depth, width) = (number(0, 16)?, number(1, 64)?);
    let path = std::env::temp_dir().join(format!("foldnet-deep-{}.fold", std::process::id()));
    let network = random::network(depth, width, 7)?;
    Program::new("deep", &network, &PlanOptions::default())?.write(&path)?;
    println!("layers                {depth} x {width}");
    let status = Command::new(std::env::current_exe()?)
        .arg("--prove")
        .arg(&path)
        .status();
    std::fs::remove_file(&path)?;
    ensure!(status?.success(), "the proving process failed");
    Ok(())
}

fn prove(path: &Path) -> anyhow::Result<()> {
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
    let (run, inferences, timing) = session.prove(
        &program,
        &committed,
        (&[input], Start::Public),
        &mut Silent,
        &mut rng,
    )?;
    let peak = peak_resident_bytes().unwrap_or(0) as f64 / f64::from(1 << 20);
    let clock = Instant::now();
    session.verify(&run, committed.model, &inferences)?;
    let verify = clock.elapsed();

    println!(
        "steps                 {} of 2^{} weights",
        run.index, outline.weight_variables
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
    println!("verify                {:.2} s", verify.as_secs_f64());
    println!("peak memory           {peak:.0} MiB");
    Ok(())
}

//! Folds a random ReLU network of equal layers and prints what it took.
//!
//! `cargo run --release --example deep_network -- [DEPTH] [WIDTH]` (16 layers 64 wide by default).
//! The table in the README is made with 64, 512 and 2048 layers.

use foldnet::memory::peak_resident_bytes;
use foldnet::model::plan::PlanOptions;
use foldnet::model::random;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::session::{Architecture, Session};
use foldnet_gadgets::cycle::Bn254;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let depth = arguments.next().map_or(Ok(16), |text| text.parse())?;
    let width = arguments.next().map_or(Ok(64), |text| text.parse())?;

    let network = random::network(depth, width, 7)?;
    let program = Program::new("deep", &network, &PlanOptions::default())?;
    let clock = Instant::now();
    let session = Session::<Bn254>::new(&Architecture::from(&program), None, &mut Silent)?;
    let setup = clock.elapsed();
    let clock = Instant::now();
    let committed = session.commit(&program, &mut Silent)?;
    let commit = clock.elapsed();

    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let input = random::input(width, &mut rng);
    let (run, inferences, timing) =
        session.prove(&program, &committed, &[input], &mut Silent, &mut rng)?;
    let clock = Instant::now();
    session.verify(&run, committed.model, &inferences)?;
    let verify = clock.elapsed();

    let peak = peak_resident_bytes().unwrap_or(0) as f64 / f64::from(1 << 20);
    println!("layers                {depth} x {width}");
    println!("steps                 {} of 2^{} weights", run.index, program.weight_variables);
    println!("constraints per step  {:?}", session.params().constraints());
    println!("set-up                {:.2} s", setup.as_secs_f64());
    println!("weight commitments    {:.2} s", commit.as_secs_f64());
    println!("witness               {:.2} s", timing.witness.as_secs_f64());
    println!("start instances       {:.2} s", timing.start.as_secs_f64());
    println!("fold                  {:.2} s", timing.fold.as_secs_f64());
    println!("verify                {:.2} s", verify.as_secs_f64());
    println!("peak memory           {peak:.0} MiB");
    Ok(())
}

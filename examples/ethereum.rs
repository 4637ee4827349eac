//! From a network to a contract's verdict, with the library: a Groth16 proof, the contract in an
//! embedded EVM, and its gas.
//!
//! `cargo run --release --example ethereum`

use foldnet::decider::groth16::{Claimed, Decider};
use foldnet::decider::statement::StatementShape;
use foldnet::fold::prover::Start;
use foldnet::model::plan::PlanOptions;
use foldnet::model::random;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::session::{Architecture, Session};
use foldnet_compress::evm::{Machine, calldata, verify_public};
use foldnet_compress::groth16::ProvingKey;
use foldnet_compress::mercury::words::scalar_word;
use foldnet_gadgets::cycle::Bn254;
use halo2curves::bn256::Fr;
use rand_core::OsRng;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = random::network(3, 12, 5)?;
    let program = Program::new("ethereum", &network, &PlanOptions::default())?;
    let architecture = Architecture::from(program.outline());
    let session = Session::<Bn254>::new(&architecture, None, &mut Silent)?;
    let committed = session.commit(&program, &mut Silent)?;

    // Fold one inference. Masked start instances keep the activations inside the network hidden.
    let inputs = [random::input(12, &mut OsRng)];
    let start = (&inputs[..], Start::Masked);
    let (run, inferences, _) =
        session.prove(&program, &committed, start, &mut Silent, &mut OsRng)?;

    // Keys, once per architecture. These are for development: whoever makes them can forge proofs.
    let shapes = session.shapes()?;
    let decider = Decider {
        params: session.params(),
        shapes: &shapes,
        statement: StatementShape::new(&architecture, inferences.len()),
    };
    let shape = decider.shape()?;
    let key = ProvingKey::development(&shape, &mut OsRng)?;

    // The proof. The context is shown to the contract's caller, against replay.
    let context = Fr::from(1);
    let elements = decider.statement.pack::<Fr>(&inferences)?;
    let claimed = Claimed {
        digests: &session.statement(committed.model, &inferences)?,
        elements: &elements,
        context,
    };
    let proof = decider.prove((&key, &shape), run, &claimed, &mut OsRng)?;

    // The verifier knows the model id and the verifying key.
    let parameters = decider.parameters(key.verifying_key(), committed.model)?;
    let statement: Vec<_> = [&context]
        .into_iter()
        .chain(&elements)
        .map(scalar_word)
        .collect();
    let bytes = proof.to_bytes();
    verify_public(&parameters, &statement, &bytes)?;
    let call = calldata(&statement, &bytes);
    let mut machine = Machine::deploy(&parameters)?;
    let execution = machine.call(&call)?;
    execution.verdict?;
    println!("circuit      {} constraints", shape.rows());
    println!("calldata     {} bytes", call.len());
    println!("gas          {}", execution.gas.total);
    println!("deployment   {} gas", machine.deployment_gas());
    Ok(())
}

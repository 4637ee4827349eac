//! A Groth16 proof of a small network, from folding to the contract's verdict.

use foldnet::decider::groth16::{Claimed, Decider};
use foldnet::decider::spartan;
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
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

fn program(depth: usize, width: usize, seed: u64) -> Program {
    let network = random::network(depth, width, seed).unwrap();
    Program::new("test", &network, &PlanOptions::default()).unwrap()
}

#[test]
fn a_small_network_is_proven_to_the_contract() {
    let program = program(3, 12, 5);
    let session: Session<Bn254> =
        Session::new(&Architecture::from(program.outline()), None, &mut Silent).unwrap();
    let committed = session.commit(&program, &mut Silent).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let inputs = [random::input(12, &mut rng)];
    let prove = |rng: &mut ChaCha20Rng| {
        session
            .prove(
                &program,
                &committed,
                (&inputs, Start::Masked),
                &mut Silent,
                rng,
            )
            .unwrap()
    };
    let (run, inferences, _) = prove(&mut rng);
    let statement = session.statement(committed.model, &inferences).unwrap();
    let shapes = session.shapes().unwrap();
    let proof = spartan::prove(session.params(), &shapes, run, &statement, &mut rng).unwrap();
    spartan::verify(session.params(), &shapes, &statement, &proof).unwrap();

    let decider = Decider {
        params: session.params(),
        shapes: &shapes,
        statement: StatementShape::new(session.architecture(), 1),
    };
    let shape = decider.shape().unwrap();
    let key = ProvingKey::development(&shape, &mut rng).unwrap();
    let (run, inferences, _) = prove(&mut rng);
    let elements = decider.statement.pack::<Fr>(&inferences).unwrap();
    let claimed = Claimed {
        digests: &statement,
        elements: &elements,
        context: Fr::from(7),
    };
    let proof = decider
        .prove((&key, &shape), run, &claimed, &mut rng)
        .unwrap();
    let parameters = decider
        .parameters(key.verifying_key(), committed.model)
        .unwrap();
    let words: Vec<_> = [Fr::from(7)]
        .iter()
        .chain(&elements)
        .map(scalar_word)
        .collect();
    let bytes = proof.to_bytes();
    verify_public(&parameters, &words, &bytes).unwrap();
    let mut machine = Machine::deploy(&parameters).unwrap();
    let data = calldata(&words, &bytes);
    let execution = machine.call(&data).unwrap();
    assert_eq!(execution.verdict, Ok(()));
}

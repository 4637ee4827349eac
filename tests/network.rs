//! Whole networks: compiled, written to disk, read back, proven and verified.

mod graphs;

use foldnet::error::Error;
use foldnet::fold::error::FoldError;
use foldnet::fold::prover::Start;
use foldnet::key::source::KeySource;
use foldnet::model::plan::PlanOptions;
use foldnet::model::random;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::session::{Accepted, Architecture, Inference, Session};
use foldnet_gadgets::cycle::{Bn254, Pasta};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

fn program(depth: usize, width: usize, seed: u64) -> Program {
    let network = random::network(depth, width, seed).unwrap();
    Program::new("test", &network, &PlanOptions::default()).unwrap()
}

fn session<C: KeySource>(program: &Program) -> Session<C> {
    Session::new(&Architecture::from(program.outline()), None, &mut Silent).unwrap()
}

fn rejected(result: Result<Accepted, Error>, expected: &str) {
    match result {
        Err(Error::Fold(FoldError::Statement { what })) => assert_eq!(what, expected),
        other => panic!("expected a rejection of {expected}, got {other:?}"),
    }
}

/// Two inferences in one run; every altered statement is rejected by name.
fn proves_two_inferences<C: KeySource>(insecure_keys: bool) {
    let program = program(3, 12, 5);
    let session = session::<C>(&program);
    let committed = session.commit(&program, &mut Silent).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let inputs = [random::input(12, &mut rng), random::input(12, &mut rng)];
    let (run, inferences, _) = session
        .prove(
            &program,
            &committed,
            (&inputs, Start::Public),
            &mut Silent,
            &mut rng,
        )
        .unwrap();
    let network = random::network(3, 12, 5).unwrap();
    let evaluator = network.evaluator().unwrap();
    for (inference, input) in inferences.iter().zip(&inputs) {
        assert_eq!(&inference.input, input);
        assert_eq!(inference.output, evaluator.output(input).unwrap());
    }
    let verify = |model, inferences: &[Inference]| session.verify(&run, model, inferences);
    let accepted = verify(committed.model, &inferences).unwrap();
    assert_eq!(accepted, Accepted { insecure_keys });

    let [first, second] = inferences.as_slice() else {
        panic!("two inferences")
    };
    let model = committed.model;
    rejected(verify(model + C::F::from(1), &inferences), "the model id");
    rejected(
        verify(model, &[second.clone(), first.clone()]),
        "the first input",
    );
    rejected(
        verify(model, std::slice::from_ref(first)),
        "the number of inferences",
    );
    let crossed = [
        Inference {
            input: first.input.clone(),
            output: second.output.clone(),
        },
        Inference {
            input: second.input.clone(),
            output: first.output.clone(),
        },
    ];
    rejected(verify(model, &crossed), "the inputs and outputs");
    let mut altered = inferences.clone();
    altered[1].output.values_mut().unwrap()[0] ^= 1;
    rejected(verify(model, &altered), "the inputs and outputs");
    let mut altered = inferences.clone();
    altered[0].input.values_mut().unwrap()[3] ^= 1;
    rejected(verify(model, &altered), "the first input");
    let mut altered = inferences.clone();
    altered[0].output.values_mut().unwrap()[0] = 1 << 20;
    rejected(verify(model, &altered), "an output");
}

#[test]
fn two_inferences_prove_on_bn254() {
    proves_two_inferences::<Bn254>(true);
}

#[test]
fn two_inferences_prove_on_pasta() {
    proves_two_inferences::<Pasta>(false);
}

#[test]
fn a_network_of_several_steps_and_kinds_proves_from_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep.fold");
    // Small steps, so that a short network has many.
    let options = PlanOptions {
        max_weight_variables: 11,
        ..PlanOptions::default()
    };
    let network = random::network(20, 16, 3).unwrap();
    let made = Program::new("deep", &network, &options).unwrap();
    made.write(&path).unwrap();
    let program = Program::open(&path).unwrap();
    assert_eq!(program.outline(), made.outline());
    let steps = program.outline().steps.len();
    assert!(steps >= 3, "{steps} steps");
    for step in 0..steps {
        assert_eq!(program.weights(step).unwrap(), made.weights(step).unwrap());
    }

    let session = session::<Bn254>(&program);
    let committed = session.commit(&program, &mut Silent).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let input = random::input(16, &mut rng);
    let (run, inferences, _) = session
        .prove(
            &program,
            &committed,
            (&[input], Start::Public),
            &mut Silent,
            &mut rng,
        )
        .unwrap();
    session.verify(&run, committed.model, &inferences).unwrap();
    assert_eq!(run.index, steps as u64);

    // Other weights of the same architecture have the same parameters and another model id.
    let other = Program::new("deep", &random::network(20, 16, 4).unwrap(), &options).unwrap();
    if Architecture::from(other.outline()) == Architecture::from(program.outline()) {
        let other = session.commit(&other, &mut Silent).unwrap();
        assert_ne!(other.model, committed.model);
        rejected(
            session.verify(&run, other.model, &inferences),
            "the model id",
        );
    }
}

#[test]
fn a_damaged_program_file_is_refused_when_opened_and_when_read_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("small.fold");
    program(2, 8, 1).write(&path).unwrap();
    let opened = Program::open(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let last_weight = bytes.len() - 33;
    bytes[last_weight] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let later = opened
        .weights(opened.outline().steps.len() - 1)
        .unwrap_err()
        .to_string();
    assert!(later.contains("small.fold"), "{later}");
    assert!(matches!(Program::open(&path), Err(Error::File(_))));
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(Program::open(&path), Err(Error::File(_))));
}

#[test]
fn an_architecture_beyond_the_limits_is_refused_before_anything_is_built() {
    let honest = Architecture::from(program(2, 8, 1).outline());
    let refuse = |architecture: Architecture| {
        let result = Session::<Bn254>::new(&architecture, None, &mut Silent);
        assert!(
            matches!(result, Err(Error::Artefact(_))),
            "{architecture:?}"
        );
    };
    let mut altered = honest.clone();
    altered.input.capacity = usize::MAX;
    refuse(altered);
    let mut altered = honest.clone();
    altered.kinds = vec![altered.kinds[0].clone(); 9];
    refuse(altered);
    let mut altered = honest.clone();
    let node = altered.kinds[0].nodes[0].clone();
    altered.kinds[0].nodes = vec![node; 1 << 16];
    refuse(altered);
    let mut altered = honest;
    altered.weight_variables = 60;
    refuse(altered);
}

/// A residual network whose steps carry two live tensors, some without weights, proven whole.
#[test]
fn a_residual_network_is_proven_in_several_steps() {
    let graph = graphs::residual(2, 3);
    let options = PlanOptions {
        max_weight_variables: 8,
        max_constraints: usize::MAX,
        ..PlanOptions::default()
    };
    let program = Program::new("residual", &graph, &options).unwrap();
    let kinds = &program.outline().kinds;
    assert!(kinds.iter().any(|kind| kind.inputs.len() == 2));
    proves(&program, &graph, 1);
}

/// One step carries three inferences; their pairs are in the statement in order.
#[test]
fn steps_of_three_inferences_are_proven() {
    let graph = graphs::dense(&[9, 6, 6, 4], 4);
    let options = PlanOptions {
        max_weight_variables: 7,
        batch: 3,
        ..PlanOptions::default()
    };
    let program = Program::new("three", &graph, &options).unwrap();
    assert!(program.outline().steps.len() > 1);
    proves(&program, &graph, 6);
}

/// Proves `count` inferences in one run, and rejects every other statement about them.
fn proves(program: &Program, graph: &foldnet::model::IntegerGraph, count: u64) {
    let session = session::<Bn254>(program);
    let committed = session.commit(program, &mut Silent).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let inputs: Vec<_> = (0..count).map(|seed| graphs::input(graph, seed)).collect();
    let prove = |inputs: &[Vec<i64>], rng: &mut ChaCha20Rng| {
        session.prove(
            program,
            &committed,
            (inputs, Start::Public),
            &mut Silent,
            rng,
        )
    };
    let (run, inferences, _) = prove(&inputs, &mut rng).unwrap();
    let evaluator = graph.evaluator().unwrap();
    for (inference, input) in inferences.iter().zip(&inputs) {
        assert_eq!(inference.output, evaluator.output(input).unwrap());
    }
    let verify = |inferences: &[Inference]| session.verify(&run, committed.model, inferences);
    verify(&inferences).unwrap();
    for k in 0..inferences.len() {
        let mut changed = inferences.clone();
        changed[k].output.values_mut().unwrap()[0] ^= 1;
        rejected(verify(&changed), "the inputs and outputs");
        let batch = session.params().inferences();
        let mut changed = inferences.clone();
        changed[k].input.values_mut().unwrap()[0] ^= 1;
        let what = if k < batch {
            "the first input"
        } else {
            "the inputs and outputs"
        };
        rejected(verify(&changed), what);
    }
    if inferences.len() > 1 {
        // Pairs are re-associated.
        let mut swapped = inferences.clone();
        let last = swapped.len() - 1;
        swapped[last].input = inferences[last - 1].input.clone();
        swapped[last - 1].input = inferences[last].input.clone();
        rejected(verify(&swapped), "the inputs and outputs");
        rejected(verify(&inferences[1..]), "the number of inferences");
        assert!(prove(&inputs[1..], &mut rng).is_err());
    }
}

//! A dense layer inside the augmented circuit: the engine leaves the layer's checks intact.

use ff::Field;
use foldnet::fold::params::Params;
use foldnet::fold::prover::{Recursion, Start, Step, StepWeights};
use foldnet::fold::verifier::{Statement, verify};
use foldnet::progress::Silent;
use foldnet::visibility::Sides;
use foldnet_gadgets::claims::MergeInput;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::{Bn254, Cycle};
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::hash::HashConstants;
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::step::WeightTable;
use foldnet_layers::requantise::{Requantise, Ties};
use foldnet_layers::{
    Graph, GraphShape, GraphTrace, LayerError, Linear, SaltedTrace, evaluate, graph, layout, tensor,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::LazyLock;

type F = <Bn254 as Cycle>::F;

const BITS: u32 = 8;
const LOOKUP: &str = "lookups/sums agree";
const INPUT: [i64; 3] = [7, -3, 100];

/// One kind: a dense layer of three inputs, padded to four columns, and two outputs.
fn shape() -> GraphShape {
    let requantise = Requantise {
        shift: 4,
        low: -128,
        high: 127,
        accumulator_bits: 16,
        ties: Ties::Up,
    };
    GraphShape {
        ends_inference: true,
        ..graph::chain(vec![Linear::dense(3, 2, requantise).into()], BITS)
    }
}

/// The matrix of the honest model; its last column has no input.
const ROWS: [[i64; 4]; 2] = [[2, -3, 1, 0], [0, 1, 0, 0]];

/// The weights of a matrix, with biases.
fn table(rows: [[i64; 4]; 2]) -> WeightTable {
    let blocks = layout(&shape()).remove(0);
    let mut entries = vec![0; 16];
    for (i, weight) in rows.into_iter().flatten().enumerate() {
        entries[blocks.matrix.offset + i] = weight;
    }
    for (i, bias) in [9, -40].into_iter().enumerate() {
        entries[blocks.bias.offset + i] = bias;
    }
    WeightTable::new(entries, 4).unwrap()
}

static PARAMS: LazyLock<Params<Bn254, Graph<F>>> = LazyLock::new(|| {
    let step = Graph::new(shape(), HashConstants::default()).unwrap();
    Params::new(vec![step], 4, b"a dense layer", None, &mut Silent).unwrap()
});

fn digest(activations: &[i64]) -> F {
    tensor::digest(&PARAMS.context().hash, activations, BITS, F::ZERO)
}

fn honest(table: &WeightTable) -> GraphTrace {
    evaluate(&shape(), table, &[INPUT.to_vec()]).unwrap()
}

fn commitment(table: &WeightTable) -> Commitment<<Bn254 as Cycle>::Primary> {
    let values: Vec<F> = table
        .entries()
        .iter()
        .map(|entry| from_i64(*entry))
        .collect();
    Commitment::new(PARAMS.key().commit(&values, F::ONE).unwrap())
}

/// A run of one step with the model's weights, which proves `trace` with the weights of `table`.
/// Returns the run and what fails in the circuit.
fn prove(trace: &GraphTrace, table: &WeightTable) -> (Recursion<Bn254>, Statement<F>, Vec<String>) {
    let params = &*PARAMS;
    let commitment = commitment(table);
    let model = params.model_id(&[(0, Some(commitment))]).unwrap();
    let start = digest(&trace.inputs[0]);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut run = Recursion::begin(params, model, start, Start::Public, &mut rng).unwrap();
    let salted = SaltedTrace::public(trace.clone(), 1);
    let step = Step {
        kind: 0,
        trace: &salted,
        weights: Some(StepWeights {
            table,
            commitment,
            blind: F::ONE,
        }),
        inputs: &[],
        next_input: start,
    };
    let inputs = run.fold(params, &step, &mut rng).unwrap();
    let circuit = params.circuit(0).unwrap();
    let mut system = MockSystem::default();
    let closed = circuit.commit(&mut system, &inputs, &salted).unwrap();
    let merge = MergeInput {
        accumulator: &run.table,
        weights: table,
    };
    let alpha = F::from(0x5eed);
    let outcome = circuit
        .constrain(&mut system, &closed, alpha, Some(merge))
        .unwrap();
    assert!(system.set("h", outcome.hash));
    let failed = crate::harness::paths(&system);
    run.prove(params, &step, &inputs, &mut rng).unwrap();
    let statement = Statement {
        model,
        sides: Sides::PUBLIC,
        inferences: vec![(start, digest(&trace.outputs(&shape())[0]))],
    };
    (run, statement, failed)
}

#[test]
fn an_honest_layer_is_accepted() {
    let table = table(ROWS);
    let (run, statement, failed) = prove(&honest(&table), &table);
    assert_eq!(failed, [""; 0]);
    verify(&PARAMS, &run, &statement).unwrap();
}

/// SECURITY 15: quotient and remainder are exact, in the circuit and at the end of a run.
#[test]
fn line_15_a_quotient_off_by_one_is_rejected() {
    let table = table(ROWS);
    for step in [1, -1] {
        let mut trace = honest(&table);
        let parts = &mut trace.layers[0].requantised[0];
        parts.quotient += step;
        parts.remainder -= step << 4;
        let (run, statement, failed) = prove(&trace, &table);
        assert_eq!(failed, [LOOKUP]);
        let error = verify(&PARAMS, &run, &statement).unwrap_err().to_string();
        assert!(
            error.starts_with("the last instance is not satisfied"),
            "{error}"
        );
    }
    // Without compensation it is another product.
    let mut trace = honest(&table);
    trace.layers[0].requantised[0].quotient += 1;
    let (_, _, failed) = prove(&trace, &table);
    assert_eq!(failed, ["step/products/final check"]);
}

/// SECURITY 16: weights in padded columns change no output.
#[test]
fn line_16_padded_slots_cannot_change_the_output() {
    let (plain, padded) = (table(ROWS), table([[2, -3, 1, 77], [0, 1, 0, -5]]));
    let trace = honest(&plain);
    let (run, statement, failed) = prove(&trace, &padded);
    assert_eq!(failed, [""; 0]);
    verify(&PARAMS, &run, &statement).unwrap();
    assert_ne!(commitment(&plain), commitment(&padded));
    // An output that does depend on them is rejected.
    let mut trace = honest(&plain);
    trace.layers[0].requantised[1].quotient += 1;
    let (_, _, failed) = prove(&trace, &padded);
    assert_eq!(failed, ["step/products/final check"]);
}

/// SECURITY 18: an accumulator that could exceed its bound is refused before anything is proven.
#[test]
fn line_18_accumulators_cannot_wrap() {
    let mut entries = table(ROWS).entries().to_vec();
    entries[0] = 1 << 40;
    let large = WeightTable::new(entries, 4).unwrap();
    let error = evaluate(&shape(), &large, &[INPUT.to_vec()]).unwrap_err();
    assert!(matches!(error, LayerError::Accumulator { .. }), "{error}");
}

/// SECURITY 33: `(x0, x1)` and `(x0 + 256, x1 - 1)` pack to the same element.
#[test]
fn line_33_unpacked_activations_are_range_checked() {
    // Nothing but the digest and the range check reads the two.
    let table = table([[0, 0, 1, 0], [0, 0, 2, 0]]);
    let mut trace = honest(&table);
    let packed = digest(&trace.inputs[0]);
    trace.inputs[0][0] += 256;
    trace.inputs[0][1] -= 1;
    assert_eq!(digest(&trace.inputs[0]), packed);
    let (run, statement, failed) = prove(&trace, &table);
    assert_eq!(failed, [LOOKUP]);
    let error = verify(&PARAMS, &run, &statement).unwrap_err().to_string();
    assert!(
        error.starts_with("the last instance is not satisfied"),
        "{error}"
    );
}

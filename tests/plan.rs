//! Plans compute what the network computes, with few kinds; layers that are too large are split.

mod graphs;

use foldnet::model::plan::{Plan, PlanOptions};
use foldnet::model::{IntegerGraph, ModelError, random};
use foldnet_layers::{Linear, graph};
use graphs::{Builder, convolution, dense, input, requantise, residual};
use proptest::prelude::*;

/// Evaluates the steps of a plan one after the other, on inputs that lie side by side.
fn run(plan: &Plan, inputs: &[Vec<i64>]) -> Vec<i64> {
    let first = &plan.kinds[plan.steps[0].kind];
    let padded = inputs.iter().flat_map(|input| {
        let mut input = input.clone();
        input.resize(first.input_len(), 0);
        input
    });
    let mut live = vec![padded.collect::<Vec<i64>>()];
    for (index, step) in plan.steps.iter().enumerate() {
        let kind = &plan.kinds[step.kind];
        let last = index + 1 == plan.steps.len();
        assert_eq!(kind.ends_inference, last);
        live = graph::evaluate(kind, &plan.weights(index).unwrap(), &live)
            .unwrap()
            .outputs(kind);
    }
    assert_eq!(live.len(), 1);
    live.concat()
}

/// The plan computes what the network computes, padded with zeros.
fn check(graph: &IntegerGraph, options: &PlanOptions) -> Plan {
    let plan = Plan::new(graph, options).unwrap();
    assert!(plan.kinds.len() <= options.max_kinds);
    assert!(plan.weight_variables <= options.max_weight_variables);
    let evaluator = graph.evaluator().unwrap();
    let inputs: Vec<_> = (0..options.batch as u64)
        .map(|seed| input(graph, seed))
        .collect();
    let outputs = run(&plan, &inputs);
    let capacity = outputs.len() / options.batch;
    for (input, padded) in inputs.iter().zip(outputs.chunks(capacity)) {
        let output = evaluator.output(input).unwrap();
        assert_eq!(padded[..output.len()], output);
        assert!(padded[output.len()..].iter().all(|q| *q == 0));
    }
    plan
}

fn options(max_weight_variables: usize, max_kinds: usize) -> PlanOptions {
    PlanOptions {
        max_weight_variables,
        max_kinds,
        max_constraints: usize::MAX,
        ..PlanOptions::default()
    }
}

proptest! {
    // A case takes about 20 ms; widths repeat so that kinds are shared. The widest layer needs 13
    // variables.
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn plans_of_chains_compute_the_network(
        widths in prop::collection::vec(
            prop_oneof![Just(8usize), Just(16), Just(32), 1usize..40], 2..30),
        variables in 13usize..15,
        max_kinds in 2usize..9,
        seed in any::<u64>(),
    ) {
        let graph = dense(&widths, seed);
        match Plan::new(&graph, &options(variables, max_kinds)) {
            Err(ModelError::TooManyKinds { most }) => prop_assert_eq!(most, max_kinds),
            _ => { check(&graph, &options(variables, max_kinds)); }
        }
    }
}

#[test]
fn repeated_blocks_share_a_kind() {
    let graph = residual(12, 1);
    // Tables of 2^9 entries hold three convolutions of 2^(2 + 6) entries at most.
    let plan = check(&graph, &options(9, 8));
    assert!(
        plan.steps.len() > plan.kinds.len(),
        "{} steps",
        plan.steps.len()
    );
    assert!(plan.kinds.len() <= 4, "{} kinds", plan.kinds.len());
    let live = plan.kinds.iter().map(|kind| kind.inputs.len()).max();
    assert!(live >= Some(1));
}

#[test]
fn a_cut_inside_a_block_carries_both_tensors() {
    let graph = residual(3, 2);
    // One convolution fills a table, so some cut lies between the two of a block.
    let plan = check(&graph, &options(9, 8));
    let two = plan.kinds.iter().any(|kind| kind.inputs.len() == 2);
    let plan_of_one = check(&graph, &options(8, 8));
    assert!(two || plan_of_one.kinds.iter().any(|kind| kind.inputs.len() == 2));
}

#[test]
fn many_widths_are_padded_to_few_kinds() {
    let widths: Vec<usize> = (0..40).map(|i| 20 + i * 7 % 12).collect();
    let plan = check(&dense(&widths, 4), &options(12, 3));
    assert!(plan.kinds.len() <= 3 && plan.steps.len() > 3);
}

#[test]
fn digits_need_one_step() {
    let plan = check(&dense(&[64, 64, 64, 10], 5), &PlanOptions::default());
    assert_eq!((plan.steps.len(), plan.kinds.len()), (1, 1));
}

#[test]
fn layers_with_too_many_weights_are_split_by_rows() {
    let graph = dense(&[30, 50, 7], 6);
    // 50 x 30 takes 2^11 + 2^6 entries; 2^9 hold 8 rows of 32 and their biases.
    let plan = check(&graph, &options(9, 8));
    assert!(plan.graph.nodes.len() > graph.nodes.len());
    let names: Vec<_> = plan
        .graph
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    assert!(names.contains(&"node 0 rows 0 to 8"), "{names:?}");

    let mut network = Builder::new(2 * 16, 7);
    let linear = Linear {
        channels_last: true,
        ..convolution(2, 9, 4, 0)
    };
    network.push(linear, &[0]);
    check(&network.graph, &options(7, 8));
    let mut network = Builder::new(3 * 5, 8);
    network.push(
        Linear {
            batch: 5,
            ..Linear::dense(3, 11, requantise(0))
        },
        &[0],
    );
    check(&network.graph, &options(4, 8));
}

#[test]
fn a_row_that_is_too_long_is_refused_by_name() {
    let error = Plan::new(&dense(&[600, 2], 9), &options(9, 8)).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("node 0"), "{message}");
}

#[test]
fn steps_carry_several_inferences() {
    for graph in [residual(2, 10), dense(&[20, 12, 12, 12, 5], 11)] {
        let options = PlanOptions {
            batch: 3,
            ..options(9, 8)
        };
        let plan = check(&graph, &options);
        assert!(plan.kinds.iter().all(|kind| kind.batch == 3));
    }
}

#[test]
fn the_memory_decides_what_is_planned() {
    let graph = dense(&[40; 30], 12);
    let free = check(&graph, &options(16, 8));
    let model = options(16, 8).cost;
    let tight = PlanOptions {
        memory: Some(model.memory.bytes(&free.sizes()) - 1),
        ..options(16, 8)
    };
    let plan = check(&graph, &tight);
    assert!(model.memory.bytes(&plan.sizes()) < model.memory.bytes(&free.sizes()));
    let none = PlanOptions {
        memory: Some(1 << 20),
        ..options(16, 8)
    };
    let Err(ModelError::Memory { got, least }) = Plan::new(&graph, &none) else {
        panic!("planned in a megabyte")
    };
    assert_eq!(got, 1 << 20);
    let enough = PlanOptions {
        memory: Some(least),
        ..options(16, 8)
    };
    check(&graph, &enough);
}

#[test]
fn a_deep_network_has_two_kinds() {
    let network = random::network(512, 64, 1).unwrap();
    let plan = Plan::new(&network, &PlanOptions::default()).unwrap();
    assert_eq!(plan.kinds.len(), 2);
    assert!(plan.steps.len() <= 64);
}

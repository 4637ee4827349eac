//! A shape that comes from a file must be refused, never panic (SECURITY, case 23).

use foldnet_layers::requantise::Requantise;
use foldnet_layers::window::Window;
use foldnet_layers::{Gather, GraphShape, Layer, Linear, Node, graph};

const REQUANTISE: Requantise = Requantise {
    shift: 0,
    low: 0,
    high: 1,
    accumulator_bits: 1,
};

fn shape(layers: usize) -> GraphShape {
    let layer = Layer::Linear(Linear::dense(1 << 24, 1 << 24, REQUANTISE));
    GraphShape {
        weight_variables: 22,
        ends_inference: true,
        ..graph::chain(vec![layer; layers], 8)
    }
}

#[test]
fn layers_of_absurd_sizes_are_refused() {
    let linear = Linear::dense(4, 4, REQUANTISE);
    let huge = usize::MAX;
    let window = |kernel, padding| Window {
        kernel,
        padding,
        ..Window::ONE
    };
    for linear in [
        Linear {
            batch: huge,
            ..linear.clone()
        },
        Linear {
            groups: 0,
            ..linear.clone()
        },
        Linear {
            groups: 3,
            ..linear.clone()
        },
        Linear {
            groups: huge,
            ..linear.clone()
        },
        Linear {
            height: huge,
            width: huge,
            ..linear.clone()
        },
        Linear {
            outputs: 0,
            ..linear.clone()
        },
        Linear {
            channels: 0,
            ..linear.clone()
        },
        Linear {
            window: window([huge, 1], [0; 4]),
            ..linear.clone()
        },
        Linear {
            window: window([1, 0], [0; 4]),
            ..linear.clone()
        },
        Linear {
            window: window([1, 1], [huge; 4]),
            ..linear.clone()
        },
    ] {
        assert!(graph::chain(vec![linear.into()], 8).validate().is_err());
    }
    for gather in [
        Gather {
            operands: vec![],
            map: vec![None],
        },
        Gather {
            operands: vec![huge, huge],
            map: vec![None],
        },
        Gather {
            operands: vec![3],
            map: vec![Some(3)],
        },
        Gather {
            operands: vec![3],
            map: vec![],
        },
    ] {
        assert!(graph::chain(vec![gather.into()], 8).validate().is_err());
    }
}

#[test]
fn layers_read_only_what_comes_before_them() {
    let linear = || Layer::Linear(Linear::dense(4, 4, REQUANTISE));
    let valid = GraphShape {
        weight_variables: 6,
        ..graph::chain(vec![linear()], 8)
    };
    valid.validate().unwrap();
    let changed = |change: fn(&mut GraphShape)| {
        let mut shape = valid.clone();
        change(&mut shape);
        shape.validate().unwrap_err().to_string()
    };
    assert!(changed(|s| s.nodes[0].operands = vec![1]).contains("operands among the 1 tensors"));
    assert!(changed(|s| s.nodes[0].operands = vec![]).contains("operands"));
    assert!(changed(|s| s.outputs = vec![2]).contains("a live tensor"));
    assert!(changed(|s| s.outputs.clear()).contains("live tensors after"));
    assert!(changed(|s| s.inputs.clear()).contains("live tensors before"));
    assert!(changed(|s| s.inputs = vec![5]).contains("operand"));
    assert!(changed(|s| s.batch = 0).contains("inferences"));
    assert!(changed(|s| s.batch = 3).contains("divided by the inferences"));
    assert!(changed(|s| s.batch = usize::MAX).contains("inferences"));
    let node = Node {
        layer: linear(),
        operands: vec![usize::MAX],
    };
    let mut shape = valid.clone();
    shape.nodes.push(node);
    assert!(shape.validate().is_err());
}

/// 2^15 layers of 2^24 x 2^24: the blocks cover more than 2^63 entries, `next_power_of_two`
/// overflows.
#[test]
fn a_table_of_more_than_2_to_the_63_entries_is_refused() {
    assert!(shape(1 << 15).validate().is_err());
}

/// 2^16 layers: the offset of a block overflows.
#[test]
fn a_table_of_more_than_2_to_the_64_entries_is_refused() {
    assert!(shape(1 << 16).validate().is_err());
}

/// A matrix block of 2^72 entries: no shift may overflow.
#[test]
fn a_block_of_more_than_2_to_the_64_entries_is_refused() {
    let window = Window {
        kernel: [4096; 2],
        padding: [4095, 4095, 0, 0],
        ..Window::ONE
    };
    let linear = Linear {
        channels: 1 << 24,
        outputs: 1 << 24,
        window,
        ..Linear::dense(1, 1, REQUANTISE)
    };
    let message = shape_of(linear.into()).validate().unwrap_err().to_string();
    assert!(message.contains("variables of the matrix"), "{message}");
}

/// 2^36 pairs of taps and outputs: nothing may list them.
#[test]
fn a_window_that_reads_too_often_is_refused() {
    let linear = Linear {
        width: 1 << 24,
        window: Window {
            kernel: [1, 4096],
            ..Window::ONE
        },
        ..Linear::dense(1, 1, REQUANTISE)
    };
    let message = shape_of(linear.into()).validate().unwrap_err().to_string();
    assert!(message.contains("reads along an axis"), "{message}");
}

#[test]
fn a_live_tensor_is_named_once() {
    let mut shape = graph::chain(vec![Linear::dense(4, 4, REQUANTISE).into()], 8);
    shape.outputs = vec![0; 256];
    let message = shape.validate().unwrap_err().to_string();
    assert!(
        message.contains("repetitions of a live tensor"),
        "{message}"
    );
}

fn shape_of(layer: Layer) -> GraphShape {
    GraphShape {
        inputs: layer.operands(),
        nodes: vec![Node {
            layer,
            operands: vec![0],
        }],
        outputs: vec![1],
        batch: 1,
        bits: 8,
        weight_variables: 22,
        ends_inference: true,
    }
}

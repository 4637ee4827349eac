//! A shape that comes from a file must be refused, never panic (SECURITY, case 23).

use foldnet_layers::average_pool::Pooled;
use foldnet_layers::error::LayerError;
use foldnet_layers::graph::MOST_TERMS;
use foldnet_layers::requantise::{Requantise, Ties};
use foldnet_layers::window::Window;
use foldnet_layers::{
    AveragePool, Combine, Gather, GraphShape, Layer, Linear, MaxPool, Node, graph,
};

const REQUANTISE: Requantise = Requantise {
    shift: 0,
    low: 0,
    high: 1,
    accumulator_bits: 1,
    ties: Ties::Up,
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

/// Pools whose windows cover the tensor almost everywhere: 2^11 outputs of 2^11 values each, which is
/// 2^22 entries more than constraints.
fn pooled() -> (Pooled, Window) {
    let planes = Pooled {
        batch: 1,
        channels: 1,
        height: 1,
        width: 1 << 12,
        channels_last: false,
    };
    let window = Window {
        kernel: [1, 1 << 11],
        ..Window::ONE
    };
    (planes, window)
}

fn average_pool() -> Layer {
    let (planes, window) = pooled();
    Layer::AveragePool(AveragePool {
        planes,
        window,
        multipliers: vec![0; (1 << 11) + 1],
        requantise: REQUANTISE,
    })
}

/// Layers that all read the input of the step.
fn parallel(layers: Vec<Layer>) -> GraphShape {
    let first = layers.first().cloned().unwrap();
    let node = |layer: Layer| Node {
        operands: vec![0; layer.operands().len()],
        layer,
    };
    GraphShape {
        nodes: layers.into_iter().map(node).collect(),
        ..shape_of(first)
    }
}

fn too_many_terms(shape: &GraphShape) -> (usize, usize) {
    match shape.validate().unwrap_err() {
        LayerError::Terms { place, most, got } => {
            assert_eq!(most, MOST_TERMS);
            (place.index, got)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn few_constraints_of_very_many_entries_are_refused() {
    let layer = average_pool();
    assert!(layer.cost().constraints < 1 << 13);
    parallel(vec![layer.clone(); 5]).validate().unwrap();
    let (index, got) = too_many_terms(&parallel(vec![layer; 64]));
    assert_eq!(index, MOST_TERMS / (3 << 22));
    assert!(got > MOST_TERMS && got < MOST_TERMS + (4 << 22), "{got}");
    let message = parallel(vec![average_pool(); 64]).validate().unwrap_err();
    assert!(
        message.to_string().contains(
            "layer 5 (average pool): entries of the constraints up to this layer: expected at \
             most 67108864"
        ),
        "{message}"
    );
}

#[test]
fn a_pool_of_more_values_than_allowed_is_refused_before_they_are_listed() {
    let (planes, window) = pooled();
    let pool = MaxPool {
        planes: Pooled {
            height: 2,
            ..planes
        },
        window,
        bits: 8,
    };
    let cost = Layer::from(pool.clone()).cost();
    assert_eq!(cost.lookups, (2 * 2049) << 11);
    assert_eq!(cost.constraints, 2 * 2049 * ((1 << 11) - 1));
    assert_eq!(too_many_terms(&shape_of(pool.into())).0, 0);
}

/// A kernel wider than the input: each of 2^18 lines has more than 2^14 entries for 2^5 constraints.
#[test]
fn a_wide_kernel_on_many_lines_is_refused() {
    let linear = Linear {
        channels: 1 << 12,
        height: 1 << 6,
        width: 1 << 5,
        window: Window {
            kernel: [1, 1 << 10],
            padding: [0, 1000, 0, 1000],
            ..Window::ONE
        },
        ..Linear::dense(1, 1, REQUANTISE)
    };
    assert_eq!(too_many_terms(&shape_of(linear.into())).0, 0);
}

#[test]
fn sums_of_very_many_operands_are_refused() {
    let combine = Combine {
        length: 1 << 20,
        coefficients: vec![1; 64],
        requantise: REQUANTISE,
    };
    assert_eq!(too_many_terms(&parallel(vec![combine.into()])).0, 0);
}

/// Entries are counted in proportion to outputs: nothing may list what windows read.
#[test]
fn padding_that_nothing_reads_costs_nothing() {
    let (planes, _) = pooled();
    let axes = Window {
        kernel: [1, 1 << 12],
        padding: [0, 1 << 12, 0, 1 << 12],
        dilation: [1, 2],
        ..Window::ONE
    };
    let single = Pooled { width: 1, ..planes };
    let pool = AveragePool {
        planes: single,
        window: axes,
        multipliers: vec![0; (1 << 12) + 1],
        requantise: REQUANTISE,
    };
    let layer = Layer::from(pool);
    assert!(layer.outputs() <= 3 && layer.terms() < 100, "{layer:?}");
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

/// A step that a file of some megabytes, or of a kilobyte, describes: what no constraint reads takes memory
/// and time, too.
fn values(gathers: usize, length: usize, linears: usize) -> GraphShape {
    let nothing = Gather {
        operands: vec![1],
        map: vec![None; length],
    };
    let strided = |i: usize| Linear {
        width: length,
        window: Window {
            stride: [1, 4096 - i],
            ..Window::ONE
        },
        ..Linear::dense(1, 1, REQUANTISE)
    };
    let gathers = (0..gathers).map(|_| Node {
        layer: nothing.clone().into(),
        operands: vec![0],
    });
    let linears = (0..linears).map(|i| Node {
        layer: strided(i).into(),
        operands: vec![1],
    });
    let nodes: Vec<Node> = gathers.chain(linears).collect();
    GraphShape {
        inputs: vec![1],
        outputs: vec![nodes.len()],
        nodes,
        batch: 1,
        bits: 8,
        weight_variables: 22,
        ends_inference: true,
    }
}

#[test]
fn values_that_no_constraint_reads_are_bounded() {
    values(1, 1 << 16, 2).validate().unwrap();
    for (gathers, length, linears) in [(4, 1 << 20, 0), (1, 1 << 22, 1), (1, 1 << 20, 62)] {
        let shape = values(gathers, length, linears);
        let error = shape.validate().unwrap_err();
        assert!(matches!(error, LayerError::Terms { .. }), "{error}");
    }
    // One tensor that is read 64 times by one layer.
    let many = Gather {
        operands: vec![1 << 20; 64],
        map: vec![None],
    };
    let mut shape = values(0, 0, 0);
    shape.inputs = vec![1 << 20];
    shape.nodes = vec![Node {
        layer: many.into(),
        operands: vec![0; 64],
    }];
    shape.outputs = vec![1];
    let error = shape.validate().unwrap_err();
    assert!(matches!(error, LayerError::Terms { .. }), "{error}");
}

/// Only steps have a bound of entries: a network of many layers has more, in many steps.
#[test]
fn networks_may_have_more_entries_than_steps() {
    let layer = Layer::from(Linear {
        height: 28,
        width: 28,
        window: Window {
            kernel: [3, 3],
            padding: [1; 4],
            ..Window::ONE
        },
        ..Linear::dense(2, 2, REQUANTISE)
    });
    let network = GraphShape {
        weight_variables: 20,
        ..graph::chain(vec![layer; 700], 8)
    };
    network.validate_unbounded().unwrap();
    let error = network.validate().unwrap_err();
    assert!(matches!(error, LayerError::Terms { .. }), "{error}");
}

//! Every layer on random shapes: the reference evaluator follows a float reference within the bound that
//! the layer declares, the circuit agrees with the evaluator, and no variable can change alone.

mod common;

use common::{Random, digest, is_hint, run};
use ff::Field;
use foldnet_gadgets::field::power_of_two;
use foldnet_layers::average_pool::Pooled;
use foldnet_layers::error::Place;
use foldnet_layers::requantise::{Requantise, Ties};
use foldnet_layers::{
    ArgMax, AveragePool, Combine, Gather, GraphShape, GraphTrace, Layer, Linear, MatMul, MaxPool,
    Multiply, Normalise, OneHot, Softmax, Table, Window, evaluate, pack, tensor,
};
use halo2curves::bn256::Fr;
use ndarray::{Array1, Array2};
use proptest::prelude::*;

const BITS: u32 = 8;

/// A layer with values and what floats make of them.
struct Drawn {
    layer: Layer,
    inputs: Vec<Vec<i64>>,
    weights: Vec<(Array2<i64>, Array1<i64>)>,
    /// The output by floating point, and by how much the layer's may differ.
    exact: Vec<(f64, f64)>,
}

impl Drawn {
    fn new(layer: impl Into<Layer>, inputs: Vec<Vec<i64>>, exact: Vec<(f64, f64)>) -> Self {
        Drawn {
            layer: layer.into(),
            inputs,
            weights: Vec::new(),
            exact,
        }
    }
}

fn size(random: &mut Random, low: usize, high: usize) -> usize {
    random.between(low as i64, high as i64) as usize
}

fn values(random: &mut Random, length: usize) -> Vec<i64> {
    common::input(random, length, BITS)
}

fn requantise(random: &mut Random) -> Requantise {
    let (a, b) = (random.between(-128, 127), random.between(-128, 127));
    Requantise {
        shift: size(random, 0, 14) as u32,
        low: a.min(b),
        high: a.max(b),
        accumulator_bits: 34,
        ties: [Ties::Up, Ties::Even][size(random, 0, 1)],
    }
}

/// What an accumulator becomes: divided, clamped, and off by the half that rounding takes.
fn divided(requantise: &Requantise, accumulator: f64) -> (f64, f64) {
    let value = accumulator / f64::from(1u32 << requantise.shift);
    let (low, high) = (requantise.low as f64, requantise.high as f64);
    (value.clamp(low, high), 0.5)
}

/// A window and the sizes of the tensor that it fits.
fn window(random: &mut Random) -> (Window, [usize; 2]) {
    let mut pair = |low, high| [size(random, low, high), size(random, low, high)];
    let (kernel, stride, dilation) = (pair(1, 3), pair(1, 3), pair(1, 2));
    let ([top, left], [bottom, right]) = (pair(0, 2), pair(0, 2));
    let window = Window {
        kernel,
        stride,
        dilation,
        padding: [top, left, bottom, right],
    };
    let reach = |axis: usize| dilation[axis] * (kernel[axis] - 1) + 1;
    let size = pair(0, 3);
    let least = |axis: usize, pads: usize| reach(axis).saturating_sub(pads).max(1);
    let height = least(0, top + bottom) + size[0];
    (window, [height, least(1, left + right) + size[1]])
}

/// Where an output along an axis reads with a tap.
fn place(window: &Window, axis: usize, size: usize, output: usize, tap: usize) -> Option<usize> {
    let at = output * window.stride[axis] + tap * window.dilation[axis];
    at.checked_sub(window.padding[axis]).filter(|at| *at < size)
}

/// Numbers of outputs along both axes.
fn outputs(window: &Window, [height, width]: [usize; 2]) -> [usize; 2] {
    let [top, left, bottom, right] = window.padding;
    let count = |axis: usize, padded: usize| {
        (padded - window.dilation[axis] * (window.kernel[axis] - 1) - 1) / window.stride[axis] + 1
    };
    [
        count(0, height + top + bottom),
        count(1, width + left + right),
    ]
}

/// The flat index of a value of a tensor of images.
fn index(last: bool, channels: usize, [height, width]: [usize; 2], at: [usize; 4]) -> usize {
    let [b, c, y, x] = at;
    if last {
        ((b * height + y) * width + x) * channels + c
    } else {
        ((b * channels + c) * height + y) * width + x
    }
}

fn linear(random: &mut Random) -> Drawn {
    let (window, [height, width]) = window(random);
    let groups = size(random, 1, 3);
    let (per_group, outputs_of_group) = (size(random, 1, 3), size(random, 1, 3));
    let layer = Linear {
        batch: size(random, 1, 2),
        groups,
        channels: groups * per_group,
        height,
        width,
        outputs: groups * outputs_of_group,
        window,
        channels_last: random.between(0, 1) == 1,
        requantise: requantise(random),
    };
    let mut entry = || random.between(-3000, 3000);
    let matrix = Array2::from_shape_simple_fn((layer.outputs, layer.columns()), &mut entry);
    let bias = Array1::from_shape_simple_fn(layer.outputs, entry);
    let input = values(random, layer.batch * layer.channels * height * width);
    let size = [height, width];
    let [rows, columns] = outputs(&window, size);
    let mut exact = vec![(0.0, 0.0); layer.batch * layer.outputs * rows * columns];
    let last = layer.channels_last;
    for at in positions([layer.batch, layer.outputs, rows, columns]) {
        let [b, n, y, x] = at;
        let mut sum = bias[n] as f64;
        for [c, ky, kx, _] in positions([per_group, window.kernel[0], window.kernel[1], 1]) {
            let (Some(row), Some(column)) = (
                place(&window, 0, height, y, ky),
                place(&window, 1, width, x, kx),
            ) else {
                continue;
            };
            let channel = n / outputs_of_group * per_group + c;
            let value = input[index(last, layer.channels, size, [b, channel, row, column])];
            let weight = matrix[(n, (c * window.kernel[0] + ky) * window.kernel[1] + kx)];
            sum += weight as f64 * value as f64;
        }
        exact[index(last, layer.outputs, [rows, columns], at)] = divided(&layer.requantise, sum);
    }
    Drawn {
        weights: vec![(matrix, bias)],
        ..Drawn::new(layer, vec![input], exact)
    }
}

/// All positions of a tensor of four dimensions.
fn positions([a, b, c, d]: [usize; 4]) -> impl Iterator<Item = [usize; 4]> {
    (0..a * b * c * d).map(move |i| [i / (b * c * d), i / (c * d) % b, i / d % c, i % d])
}

fn combine(random: &mut Random) -> Drawn {
    let (length, count) = (size(random, 1, 9), size(random, 1, 4));
    let layer = Combine {
        length,
        coefficients: (0..count).map(|_| random.between(-5000, 5000)).collect(),
        requantise: requantise(random),
    };
    let inputs: Vec<Vec<i64>> = (0..count).map(|_| values(random, length)).collect();
    let sum = |i: usize| {
        let terms = layer.coefficients.iter().zip(&inputs);
        terms.map(|(c, x)| *c as f64 * x[i] as f64).sum()
    };
    let exact = (0..length).map(|i| divided(&layer.requantise, sum(i)));
    let exact = exact.collect();
    Drawn::new(layer, inputs, exact)
}

/// A pooled tensor, its window, its values, and those that each output reads.
fn pool(random: &mut Random) -> (Pooled, Window, Vec<i64>, Vec<Vec<f64>>) {
    let (window, [height, width]) = window(random);
    let planes = Pooled {
        batch: size(random, 1, 2),
        channels: size(random, 1, 3),
        height,
        width,
        channels_last: random.between(0, 1) == 1,
    };
    let input = values(random, planes.len());
    let [rows, columns] = outputs(&window, [height, width]);
    let mut read = vec![Vec::new(); planes.batch * planes.channels * rows * columns];
    let last = planes.channels_last;
    for at in positions([planes.batch, planes.channels, rows, columns]) {
        let [b, c, y, x] = at;
        let taps = positions([window.kernel[0], window.kernel[1], 1, 1]);
        let values = taps.filter_map(|[ky, kx, ..]| {
            let row = place(&window, 0, height, y, ky)?;
            let column = place(&window, 1, width, x, kx)?;
            let at = index(last, planes.channels, [height, width], [b, c, row, column]);
            Some(input[at] as f64)
        });
        read[index(last, planes.channels, [rows, columns], at)] = values.collect();
    }
    (planes, window, input, read)
}

/// Averages, each by a multiplier that is off by half a unit at most.
fn average_pool(random: &mut Random) -> Drawn {
    let (planes, window, input, read) = pool(random);
    let requantise = requantise(random);
    let scale = f64::from(1u32 << requantise.shift);
    let reciprocal = |k: usize| (scale / k.max(1) as f64).round() as i64;
    let layer = AveragePool {
        planes,
        window,
        multipliers: (0..=window.kernel[0] * window.kernel[1])
            .map(reciprocal)
            .collect(),
        requantise,
    };
    let average = |values: &Vec<f64>| {
        let sum: f64 = values.iter().sum();
        let (exact, half) = divided(&requantise, scale * sum / values.len().max(1) as f64);
        (exact, half + sum.abs() / scale / 2.0)
    };
    let exact = read.iter().map(average).collect();
    Drawn::new(layer, vec![input], exact)
}

fn max_pool(random: &mut Random) -> Drawn {
    loop {
        let (planes, window, input, read) = pool(random);
        if read.iter().any(Vec::is_empty) {
            continue;
        }
        let largest = |values: &Vec<f64>| values.iter().copied().fold(f64::MIN, f64::max);
        let exact = read.iter().map(|values| (largest(values), 0.0)).collect();
        let layer = MaxPool {
            planes,
            window,
            bits: BITS,
        };
        return Drawn::new(layer, vec![input], exact);
    }
}

fn gather(random: &mut Random) -> Drawn {
    let operands: Vec<usize> = (0..size(random, 1, 3))
        .map(|_| size(random, 1, 5))
        .collect();
    let total: usize = operands.iter().sum();
    let map: Vec<Option<usize>> = (0..size(random, 1, 9))
        .map(|_| Some(size(random, 0, total)).filter(|from| *from < total))
        .collect();
    let inputs: Vec<Vec<i64>> = operands.iter().map(|n| values(random, *n)).collect();
    let joined = inputs.concat();
    let exact = map
        .iter()
        .map(|from| (from.map_or(0.0, |at| joined[at] as f64), 0.0));
    let exact = exact.collect();
    Drawn::new(Gather { operands, map }, inputs, exact)
}

fn multiply(random: &mut Random) -> Drawn {
    let length = size(random, 1, 9);
    let layer = Multiply {
        length,
        multiplier: random.between(-3000, 3000),
        requantise: requantise(random),
    };
    let inputs = vec![values(random, length), values(random, length)];
    let product = |i: usize| layer.multiplier as f64 * inputs[0][i] as f64 * inputs[1][i] as f64;
    let exact = (0..length).map(|i| divided(&layer.requantise, product(i)));
    let exact = exact.collect();
    Drawn::new(layer, inputs, exact)
}

fn table(random: &mut Random) -> Drawn {
    let (gain, shift) = (random.between(1, 60) as f64, random.between(-60, 60) as f64);
    let function = |x: i64| 100.0 * ((x as f64 + shift) / gain).tanh();
    let length = size(random, 1, 9);
    let layer = Table {
        length,
        entries: (-128..128).map(|x| function(x).round() as i64).collect(),
    };
    let input = values(random, length);
    let exact = input.iter().map(|x| (function(*x), 0.5)).collect();
    Drawn::new(layer, vec![input], exact)
}

fn mat_mul(random: &mut Random) -> Drawn {
    let [batch, rows, inner, columns] = [3, 4, 5, 4].map(|most| size(random, 1, most));
    let layer = MatMul {
        batch,
        rows,
        inner,
        columns,
        transposed_right: random.between(0, 1) == 1,
        multiplier: random.between(-300, 300),
        requantise: requantise(random),
    };
    let (left, right) = (batch * rows * inner, batch * inner * columns);
    let inputs = vec![values(random, left), values(random, right)];
    let exact = positions([batch, rows, columns, 1]).map(|[h, p, n, _]| {
        let product = |k: usize| {
            let at = match layer.transposed_right {
                true => (h * columns + n) * inner + k,
                false => (h * inner + k) * columns + n,
            };
            inputs[0][(h * rows + p) * inner + k] as f64 * inputs[1][at] as f64
        };
        let sum: f64 = (0..inner).map(product).sum();
        divided(&layer.requantise, layer.multiplier as f64 * sum)
    });
    let exact = exact.collect();
    Drawn::new(layer, inputs, exact)
}

/// Shares: exponentials are off by half a unit of the table each.
fn softmax(random: &mut Random) -> Drawn {
    let (rows, columns) = (size(random, 1, 3), size(random, 1, 6));
    let (unit, steepness) = (30_000.0, random.between(1, 40) as f64 / 100.0);
    let layer = Softmax {
        rows,
        columns,
        exponentials: (0..256)
            .map(|d| (unit * (-f64::from(d) * steepness).exp()).round() as i64)
            .collect(),
        scale: random.between(1, 127),
    };
    let input = values(random, rows * columns);
    let mut exact = Vec::new();
    for row in input.chunks(columns) {
        let exponentials = row.iter().map(|x| (*x as f64 * steepness).exp());
        let sum: f64 = exponentials.clone().sum();
        let scale = layer.scale as f64;
        let off = 0.5 + scale * (1.0 + columns as f64) / unit;
        exact.extend(exponentials.map(|e| (e / sum * scale, off)));
    }
    Drawn::new(layer, vec![input], exact)
}

/// Normalised rows: the root is rounded down, which is off by one part in itself.
fn normalise(random: &mut Random) -> Drawn {
    let (rows, columns) = (size(random, 1, 3), size(random, 1, 7));
    let a = random.between(-128, 126);
    let layer = Normalise {
        rows,
        columns,
        bits: BITS,
        epsilon: random.between(1, 5000),
        multiplier: random.between(1, 600),
        low: a,
        high: random.between(a + 1, 127),
    };
    let input = values(random, rows * columns);
    let mut exact = Vec::new();
    let n = columns as f64;
    for row in input.chunks(columns) {
        let mean = row.iter().sum::<i64>() as f64 / n;
        let squares = row.iter().map(|x| (*x as f64 - mean).powi(2));
        let variance = squares.sum::<f64>() / n + layer.epsilon as f64 / n.powi(3);
        let gain = layer.multiplier as f64 / n.sqrt();
        let root = (n.powi(3) * variance).sqrt();
        exact.extend(row.iter().map(|x| {
            let value = gain * (*x as f64 - mean) / variance.sqrt();
            let off = 0.5 + value.abs() / root.floor().max(1.0) + 1e-9;
            (value.clamp(layer.low as f64, layer.high as f64), off)
        }));
    }
    Drawn::new(layer, vec![input], exact)
}

fn arg_max(random: &mut Random) -> Drawn {
    let (rows, columns) = (size(random, 1, 4), size(random, 1, 9));
    // Few values, so that some are equal.
    let input: Vec<i64> = (0..rows * columns).map(|_| random.between(-3, 3)).collect();
    let exact = input.chunks(columns).map(|row| {
        let largest = row.iter().max().unwrap();
        (row.iter().position(|x| x == largest).unwrap() as f64, 0.0)
    });
    let exact = exact.collect();
    let layer = ArgMax {
        rows,
        columns,
        bits: BITS,
    };
    Drawn::new(layer, vec![input], exact)
}

fn one_hot(random: &mut Random) -> Drawn {
    let (positions, classes) = (size(random, 1, 5), size(random, 1, 20));
    let offset = random.between(-128, 108);
    let layer = OneHot {
        positions,
        classes,
        offset,
    };
    let last = offset + classes as i64 - 1;
    let input: Vec<i64> = (0..positions)
        .map(|_| random.between(offset, last))
        .collect();
    let one = |index: &i64, v: usize| f64::from(u8::from(*index == offset + v as i64));
    let exact = input
        .iter()
        .flat_map(|i| (0..classes).map(move |v| (one(i, v), 0.0)));
    let exact = exact.collect();
    Drawn::new(layer, vec![input], exact)
}

type Draw = fn(&mut Random) -> Drawn;

const LAYERS: [Draw; 12] = [
    linear,
    combine,
    average_pool,
    gather,
    max_pool,
    multiply,
    table,
    mat_mul,
    softmax,
    normalise,
    arg_max,
    one_hot,
];

/// Changes single variables of a satisfied step: each has a constraint, with a name, that notices.
fn mutate(random: &mut Random, drawn: &Drawn, shape: &GraphShape, trace: &GraphTrace) {
    let weights = pack(shape, &drawn.weights).unwrap();
    let mut system = run(shape, trace, &weights).system;
    let paths = system.auxiliary_paths();
    let originals = system.auxiliary_values();
    let changes = [
        -Fr::ONE,
        Fr::from(256),
        power_of_two::<Fr>(11).invert().unwrap(),
    ];
    // The insides of hashes are the gadget's own business.
    let own: Vec<usize> = (0..paths.len())
        .filter(|at| !paths[*at].contains("sponge") && !is_hint(&paths[*at]))
        .collect();
    for _ in 0..12 {
        let at = own[size(random, 0, own.len() - 1)];
        for change in changes {
            assert!(system.set_auxiliary(at, originals[at] + change));
            let failed = system.failures_touching(at);
            let named = failed.iter().all(|failure| !failure.path.is_empty());
            assert!(
                !failed.is_empty() && named,
                "{} is free in {:?}",
                paths[at],
                drawn.layer
            );
        }
        assert!(system.set_auxiliary(at, originals[at]));
    }
}

fn check(drawn: &Drawn, random: &mut Random) -> Result<(), TestCaseError> {
    let layer = &drawn.layer;
    let name = layer.name();
    layer.validate(Place { index: 0, name }, BITS).unwrap();
    let shape = common::alone(layer.clone(), BITS);
    let weights = pack(&shape, &drawn.weights).unwrap();
    let trace = evaluate(&shape, &weights, &drawn.inputs).unwrap();
    let output = common::output(&shape, &trace);
    prop_assert_eq!(output.len(), drawn.exact.len());
    let (low, high) = tensor::range(BITS);
    for (i, (value, (exact, bound))) in output.iter().zip(&drawn.exact).enumerate() {
        prop_assert!((low..=high).contains(value));
        let difference = (*value as f64 - exact).abs();
        prop_assert!(
            difference <= bound + 1e-9,
            "{i}: {value} instead of {exact}, more than {bound}: {layer:?}"
        );
    }
    let checked = run(&shape, &trace, &weights);
    prop_assert_eq!(checked.rejections(), Vec::<String>::new());
    let digests = &checked.output.output_digests;
    prop_assert_eq!(digests[0].value(), digest(&output, BITS));
    mutate(random, drawn, &shape, &trace);
    Ok(())
}

proptest! {
    // Each case runs every layer once, on a circuit of some thousand constraints.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn evaluator_circuit_and_floats_agree_on_random_shapes(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        for draw in LAYERS {
            let drawn = draw(&mut random);
            check(&drawn, &mut random)?;
        }
    }
}

#[test]
fn every_layer_of_the_list_is_drawn() {
    let mut random = Random::new(1);
    let drawn: Vec<_> = LAYERS
        .iter()
        .map(|draw| draw(&mut random).layer.name())
        .collect();
    assert_eq!(drawn.len(), Layer::NAMES.len());
    for name in Layer::NAMES {
        assert!(drawn.contains(name), "{name} is not drawn");
    }
}

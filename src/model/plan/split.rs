//! Layers with more weights than a step may have, split by output channels.
//!
//! The pieces read the same input, and a data movement puts their outputs into the layer's order, so
//! the network computes the same integers. Each piece takes as many channels as a power of two of the
//! table's entries allows, so that several pieces fill one table.

use super::super::error::ModelError;
use super::super::network::{IntegerGraph, IntegerNode};
use foldnet_layers::layer::{IntegerLayer, Layer};
use foldnet_layers::{Gather, Linear, required_variables};
use ndarray::{Axis, Slice};
use std::ops::Range;

/// The network with every layer that has more than `2^variables` weights split.
///
/// # Errors
/// [`ModelError::LayerTooLarge`] for a layer of which one output channel, or one group, is already too
/// large.
pub(super) fn split(graph: &IntegerGraph, variables: usize) -> Result<IntegerGraph, ModelError> {
    let mut result = IntegerGraph {
        nodes: Vec::with_capacity(graph.nodes.len()),
        ..graph.clone()
    };
    // Where each tensor of the original is.
    let mut places = vec![0];
    for node in &graph.nodes {
        let operands = node.operands.iter();
        let mut node = IntegerNode {
            operands: operands.filter_map(|i| places.get(*i).copied()).collect(),
            ..node.clone()
        };
        let pieces = match node.layer.linear() {
            Some(linear) => pieces(&node, linear, variables)?,
            None => Vec::new(),
        };
        if pieces.len() > 1 {
            node = push_pieces(&mut result, &node, &pieces);
        }
        result.nodes.push(node);
        places.push(result.nodes.len());
    }
    result.output = places.get(graph.output).copied().unwrap_or(0);
    Ok(result)
}

/// The output channels of each piece; one piece for a layer that fits.
fn pieces(
    node: &IntegerNode,
    linear: &Linear,
    variables: usize,
) -> Result<Vec<Range<usize>>, ModelError> {
    let needed = |outputs| required(linear, outputs);
    if needed(linear.outputs) <= variables {
        return Ok(std::iter::once(0..linear.outputs).collect());
    }
    let refuse = || ModelError::LayerTooLarge {
        layer: node.name.clone(),
        outputs: linear.outputs,
        inputs: linear.columns(),
        needed: needed(if linear.groups > 1 { linear.outputs } else { 1 }),
        most: variables,
    };
    if linear.groups > 1 || needed(1) > variables {
        return Err(refuse());
    }
    let most = (0..)
        .map(|k| 1usize << k)
        .take_while(|rows| *rows <= linear.outputs && needed(*rows) <= variables)
        .last()
        .ok_or_else(refuse)?;
    // A piece of the largest size leaves room for one of half that size in the same table, that one
    // for one of a quarter: together they nearly fill it.
    let mut pieces = Vec::new();
    let (mut start, mut size) = (0, most);
    while start < linear.outputs {
        let rows = size.min(linear.outputs - start);
        pieces.push(start..start + rows);
        start += rows;
        size = if size > most / 4 && size > 1 {
            size / 2
        } else {
            most
        };
    }
    Ok(pieces)
}

fn required(linear: &Linear, outputs: usize) -> usize {
    let piece = Linear {
        outputs,
        ..linear.clone()
    };
    required_variables([&Layer::from(piece)])
}

/// Adds the pieces of a layer; returns the node that joins them.
fn push_pieces(
    graph: &mut IntegerGraph,
    node: &IntegerNode,
    pieces: &[Range<usize>],
) -> IntegerNode {
    let Some(linear) = node.layer.linear() else {
        return node.clone();
    };
    let mut operands = Vec::with_capacity(pieces.len());
    let mut lengths = Vec::with_capacity(pieces.len());
    for rows in pieces {
        let piece = Linear {
            outputs: rows.len(),
            ..linear.clone()
        };
        lengths.push(IntegerLayer::outputs(&piece));
        let weights = node.weights.as_ref().map(|(matrix, bias)| {
            let rows = rows.start.min(matrix.nrows())..rows.end.min(matrix.nrows());
            (
                matrix
                    .slice_axis(Axis(0), Slice::from(rows.clone()))
                    .to_owned(),
                bias.slice_axis(Axis(0), Slice::from(rows)).to_owned(),
            )
        });
        graph.nodes.push(IntegerNode {
            name: format!("{} rows {} to {}", node.name, rows.start, rows.end),
            layer: piece.into(),
            operands: node.operands.clone(),
            weights,
            scale: node.scale,
        });
        operands.push(graph.nodes.len());
    }
    IntegerNode {
        name: node.name.clone(),
        layer: Gather {
            map: join(linear, pieces, &lengths),
            operands: lengths,
        }
        .into(),
        operands,
        weights: None,
        scale: node.scale,
    }
}

/// Where each output of the layer is in its pieces.
fn join(linear: &Linear, pieces: &[Range<usize>], lengths: &[usize]) -> Vec<Option<usize>> {
    let outputs = IntegerLayer::outputs(linear);
    let positions = outputs / linear.outputs.max(1) / linear.batch.max(1);
    let mut map = vec![None; outputs];
    let mut offset = 0;
    for (rows, length) in pieces.iter().zip(lengths) {
        for b in 0..linear.batch {
            for (k, n) in rows.clone().enumerate() {
                for p in 0..positions {
                    let (from, to) = if linear.channels_last {
                        (
                            (b * positions + p) * rows.len() + k,
                            (b * positions + p) * linear.outputs + n,
                        )
                    } else {
                        (
                            (b * rows.len() + k) * positions + p,
                            (b * linear.outputs + n) * positions + p,
                        )
                    };
                    if let Some(entry) = map.get_mut(to) {
                        *entry = Some(offset + from);
                    }
                }
            }
        }
        offset += length;
    }
    map
}

//! Where the weights of a chain lie in its one weight polynomial.
//!
//! Each matrix is padded to `2^a` rows of `2^b` columns, each bias to `2^a` entries, and each such
//! block starts at a multiple of its size. So the evaluation of a block at a point is the
//! evaluation of the whole polynomial at the point prefixed with the block's slot bits, constants
//! of the kind. Variables are ordered most significant first: `[slot bits, row bits, column bits]`.

use crate::chain::ChainShape;
use crate::error::{LayerError, Place};
use crate::layer::Weights;
use foldnet_gadgets::step::WeightTable;
use ndarray::{Array1, Array2};

/// An aligned block of the weight table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Index of the first entry, a multiple of the block's size.
    pub offset: usize,
    /// The block has `2^variables` entries.
    pub variables: usize,
}

impl Block {
    /// The bits of `offset / 2^variables`, most significant first: the coordinates that select the
    /// block among `2^table_variables` entries.
    pub fn slot_bits(&self, table_variables: usize) -> Vec<bool> {
        (self.variables..table_variables)
            .rev()
            .map(|bit| self.offset >> bit & 1 == 1)
            .collect()
    }

    /// One past the last entry; the largest index there is when the block lies beyond it.
    fn end(&self) -> usize {
        self.offset.saturating_add(1 << self.variables)
    }

    /// The entries of the block that a table stores; the others are zero.
    fn slice<'a>(&self, entries: &'a [i64]) -> &'a [i64] {
        let end = self.end().min(entries.len());
        entries.get(self.offset..end).unwrap_or(&[])
    }
}

/// The blocks of one layer with weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerBlocks {
    /// Index of the layer in its chain.
    pub layer: usize,
    /// `a`: the matrix has `2^a` rows.
    pub row_bits: usize,
    /// `b`: the matrix has `2^b` columns.
    pub column_bits: usize,
    /// The matrix, row-major.
    pub matrix: Block,
    /// The bias.
    pub bias: Block,
}

impl LayerBlocks {
    /// The layer's weights in a table of the chain.
    pub fn weights<'a>(&self, table: &'a WeightTable) -> Weights<'a> {
        Weights {
            matrix: self.matrix.slice(table.entries()),
            row_length: 1 << self.column_bits,
            bias: self.bias.slice(table.entries()),
        }
    }
}

/// The smallest `k` with `count <= 2^k`.
pub(crate) fn variables(count: usize) -> usize {
    let power = count.max(1).checked_next_power_of_two();
    power.map_or(usize::BITS, usize::trailing_zeros) as usize
}

/// The blocks of a chain's weights, one entry a layer with weights, in the order of the layers.
///
/// A pure function of the shape, whose capacities must be those that [`ChainShape::validate`]
/// accepts. Blocks are placed one after the other, largest first and matrices before biases, which
/// keeps every one aligned.
pub fn layout(shape: &ChainShape) -> Vec<LayerBlocks> {
    layout_of(shape.layers.iter().map(crate::layer::Layer::matrix))
}

fn layout_of(
    matrices: impl Iterator<Item = Option<crate::layer::MatrixShape>>,
) -> Vec<LayerBlocks> {
    let mut blocks: Vec<LayerBlocks> = matrices
        .enumerate()
        .filter_map(|(layer, matrix)| {
            let matrix = matrix?;
            let (row_bits, column_bits) = (variables(matrix.rows), variables(matrix.columns));
            Some(LayerBlocks {
                layer,
                row_bits,
                column_bits,
                matrix: Block {
                    offset: 0,
                    variables: row_bits + column_bits,
                },
                bias: Block {
                    offset: 0,
                    variables: row_bits,
                },
            })
        })
        .collect();
    let matrices = blocks
        .iter_mut()
        .map(|blocks| (&mut blocks.matrix, &mut blocks.bias));
    let (matrices, biases): (Vec<_>, Vec<_>) = matrices.unzip();
    let mut order: Vec<&mut Block> = matrices.into_iter().chain(biases).collect();
    order.sort_by_key(|block| std::cmp::Reverse(block.variables));
    let mut offset = 0;
    for block in order {
        block.offset = offset;
        // Saturation makes the table too large for any polynomial, which `validate` refuses.
        offset = block.end();
    }
    blocks
}

/// The number of entries that blocks cover.
fn covered(blocks: &[LayerBlocks]) -> usize {
    let ends = blocks
        .iter()
        .flat_map(|blocks| [blocks.matrix, blocks.bias]);
    ends.map(|block| block.end()).max().unwrap_or(0)
}

/// The least number of variables of a polynomial that holds the weights of these layers, whose
/// capacities must be those that [`ChainShape::validate`] accepts.
pub fn required_variables(layers: &[crate::layer::Layer]) -> usize {
    variables(covered(&layout_of(
        layers.iter().map(crate::layer::Layer::matrix),
    )))
}

/// Places the weights of a chain in the table of its weight polynomial.
///
/// One pair `(matrix, bias)` for each layer that has weights, of shapes (outputs, inputs) and
/// (outputs). Smaller arrays than the layer's capacities are padded with zeros.
///
/// # Errors
/// Those of [`ChainShape::validate`]; [`LayerError::LayerCount`] for a wrong number of pairs;
/// [`LayerError::Length`] for arrays larger than the capacities and for a bias whose length is not
/// the number of the matrix's rows.
pub fn pack(
    shape: &ChainShape,
    layers: &[(Array2<i64>, Array1<i64>)],
) -> Result<WeightTable, LayerError> {
    shape.validate()?;
    let blocks = layout(shape);
    if blocks.len() != layers.len() {
        return Err(LayerError::LayerCount {
            expected: blocks.len(),
            got: layers.len(),
        });
    }
    let mut entries = vec![0; covered(&blocks)];
    for (blocks, (matrix, bias)) in blocks.iter().zip(layers) {
        check_lengths(shape, blocks.layer, matrix, bias)?;
        let rows = entries.get_mut(blocks.matrix.offset..).unwrap_or(&mut []);
        for (target, row) in rows
            .chunks_mut(1 << blocks.column_bits)
            .zip(matrix.outer_iter())
        {
            target
                .iter_mut()
                .zip(row)
                .for_each(|(target, weight)| *target = *weight);
        }
        let target = entries.get_mut(blocks.bias.offset..).unwrap_or(&mut []);
        target
            .iter_mut()
            .zip(bias)
            .for_each(|(target, bias)| *target = *bias);
    }
    let expected = variables(entries.len());
    let got = shape.weight_variables;
    WeightTable::new(entries, got).ok_or(LayerError::WeightVariables { expected, got })
}

fn check_lengths(
    shape: &ChainShape,
    index: usize,
    matrix: &Array2<i64>,
    bias: &Array1<i64>,
) -> Result<(), LayerError> {
    let Some(layer) = shape.layers.get(index) else {
        return Ok(());
    };
    let place = Place {
        index,
        name: layer.name(),
    };
    let advice = "raise the capacity or split the layer";
    for (what, expected, got) in [
        ("rows of the weight matrix", layer.outputs(), matrix.nrows()),
        (
            "columns of the weight matrix",
            layer.inputs(),
            matrix.ncols(),
        ),
    ] {
        if got > expected {
            return Err(LayerError::Length {
                place,
                what,
                expected,
                got,
                advice,
            });
        }
    }
    let (what, expected, got) = ("bias", matrix.nrows(), bias.len());
    let advice = "give one bias a row of the matrix";
    if got != expected {
        return Err(LayerError::Length {
            place,
            what,
            expected,
            got,
            advice,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Block, layout, pack, required_variables};
    use crate::{ChainShape, Dense, Layer};
    use ndarray::{Array1, Array2, array};
    use proptest::prelude::*;

    fn shape(widths: &[usize]) -> ChainShape {
        let dense = |pair: &[usize]| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let (shift, low, high, accumulator_bits) = (8, -128, 127, 40);
            Layer::Dense(Dense {
                inputs,
                outputs,
                shift,
                low,
                high,
                accumulator_bits,
            })
        };
        let layers: Vec<_> = widths.windows(2).map(dense).collect();
        let weight_variables = required_variables(&layers);
        ChainShape {
            layers,
            bits: 8,
            weight_variables,
            ends_inference: false,
        }
    }

    proptest! {
        // Nothing here is slow; two hundred cases see every order of sizes.
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn blocks_are_aligned_disjoint_and_inside(
            widths in prop::collection::vec(1usize..70, 2..7),
        ) {
            let shape = shape(&widths);
            let mut blocks: Vec<Block> =
                layout(&shape).iter().flat_map(|b| [b.matrix, b.bias]).collect();
            blocks.sort_by_key(|block| block.offset);
            let mut end = 0;
            for block in blocks {
                prop_assert!(block.offset >= end);
                prop_assert_eq!(block.offset % (1 << block.variables), 0);
                end = block.offset + (1 << block.variables);
                let bits = block.slot_bits(shape.weight_variables);
                prop_assert_eq!(bits.len() + block.variables, shape.weight_variables);
                let slot = bits.iter().fold(0, |slot, bit| 2 * slot + usize::from(*bit));
                prop_assert_eq!(slot << block.variables, block.offset);
            }
            prop_assert!(end <= 1 << shape.weight_variables);
            prop_assert!(end > (1 << shape.weight_variables) / 2);
        }
    }

    #[test]
    fn rows_and_columns_are_padded() {
        let shape = shape(&[3, 2]);
        let weights = pack(&shape, &[(array![[1, 2, 3], [4, 5, 6]], array![7, 8])]).unwrap();
        assert_eq!(weights.entries(), [1, 2, 3, 0, 4, 5, 6, 0, 7, 8]);
        assert_eq!(weights.variables(), 4);
        let smaller = pack(&shape, &[(array![[1, 2]], array![7])]).unwrap();
        assert_eq!(smaller.entries(), [1, 2, 0, 0, 0, 0, 0, 0, 7, 0]);
    }

    #[test]
    fn blocks_of_a_short_table_read_as_short() {
        let shape = shape(&[3, 2]);
        let table = foldnet_gadgets::step::WeightTable::new(vec![1; 6], 4).unwrap();
        let weights = layout(&shape)[0].weights(&table);
        assert_eq!((weights.matrix.len(), weights.bias.len()), (6, 0));
    }

    #[test]
    fn an_empty_chain_is_refused() {
        let shape = ChainShape {
            layers: vec![],
            bits: 8,
            weight_variables: 3,
            ends_inference: false,
        };
        let pair = (Array2::zeros((1, 1)), Array1::zeros(1));
        assert!(pack(&shape, &[pair]).is_err());
    }
}

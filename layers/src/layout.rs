//! Where the weights of a step lie in its one weight polynomial.
//!
//! Each matrix is padded to `2^a` rows of `2^b` columns, each bias to a power of two, and each such
//! block starts at a multiple of its size. So the evaluation of a block at a point is the
//! evaluation of the whole polynomial at the point prefixed with the block's slot bits, constants
//! of the kind. Variables are ordered most significant first: `[slot bits, row bits, column bits]`.

use crate::error::LayerError;
use crate::graph::GraphShape;
use crate::layer::{Layer, Weights};
use crate::linear::{Linear, MatrixBits};
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
        let variables = u32::try_from(self.variables).ok();
        let size = variables.and_then(|variables| 1usize.checked_shl(variables));
        self.offset.saturating_add(size.unwrap_or(usize::MAX))
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
    /// Index of the layer in its step.
    pub layer: usize,
    /// The sizes of the blocks.
    pub bits: MatrixBits,
    /// The matrix, row-major.
    pub matrix: Block,
    /// The bias.
    pub bias: Block,
}

impl LayerBlocks {
    /// The layer's weights in a table of the step.
    pub fn weights<'a>(&self, table: &'a WeightTable) -> Weights<'a> {
        Weights {
            matrix: self.matrix.slice(table.entries()),
            row_length: 1 << self.bits.columns,
            bias: self.bias.slice(table.entries()),
        }
    }
}

/// The smallest `k` with `count <= 2^k`.
pub(crate) fn variables(count: usize) -> usize {
    let power = count.max(1).checked_next_power_of_two();
    power.map_or(usize::BITS, usize::trailing_zeros) as usize
}

/// The blocks of a step's weights, one entry a layer with weights, in the order of the layers.
///
/// A pure function of the shape, whose capacities must be those that [`GraphShape::validate`]
/// accepts. Blocks are placed one after the other, largest first and matrices before biases, which
/// keeps every one aligned.
pub fn layout(shape: &GraphShape) -> Vec<LayerBlocks> {
    layout_of(shape.layers())
}

fn layout_of<'a>(layers: impl Iterator<Item = &'a Layer>) -> Vec<LayerBlocks> {
    let block = |variables| Block {
        offset: 0,
        variables,
    };
    let mut blocks: Vec<LayerBlocks> = layers
        .enumerate()
        .filter_map(|(layer, kind)| {
            let bits = kind.linear()?.matrix_bits();
            Some(LayerBlocks {
                layer,
                bits,
                matrix: block(bits.rows + bits.columns),
                bias: block(bits.bias),
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
/// capacities must be those that [`GraphShape::validate`] accepts.
pub fn required_variables<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> usize {
    variables(covered(&layout_of(layers.into_iter())))
}

/// Places the weights of a step in the table of its weight polynomial.
///
/// One pair `(matrix, bias)` for each layer that has weights, of shapes (outputs, columns) and
/// (outputs), see [`Linear`]. Dense layers may be smaller than their capacities and are padded with
/// zeros.
///
/// # Errors
/// Those of [`GraphShape::validate_unbounded`]; [`LayerError::LayerCount`] for a wrong number of pairs;
/// [`LayerError::Length`] for arrays that do not fit the layer and for a bias whose length is not
/// the number of the matrix's rows.
pub fn pack(
    shape: &GraphShape,
    layers: &[(Array2<i64>, Array1<i64>)],
) -> Result<WeightTable, LayerError> {
    shape.validate_unbounded()?;
    let blocks = layout(shape);
    if blocks.len() != layers.len() {
        return Err(LayerError::LayerCount {
            expected: blocks.len(),
            got: layers.len(),
        });
    }
    let mut entries = vec![0; covered(&blocks)];
    for (blocks, (matrix, bias)) in blocks.iter().zip(layers) {
        let Some((place, linear)) = shape.linear(blocks.layer) else {
            continue;
        };
        linear.check_weights(place, matrix, bias)?;
        place_weights(linear, blocks, (matrix, bias), &mut entries);
    }
    let expected = variables(entries.len());
    let got = shape.weight_variables;
    WeightTable::new(entries, got).ok_or(LayerError::WeightVariables { expected, got })
}

fn place_weights(
    linear: &Linear,
    blocks: &LayerBlocks,
    (matrix, bias): (&Array2<i64>, &Array1<i64>),
    entries: &mut [i64],
) {
    let columns: Vec<usize> = (0..matrix.ncols()).map(|j| linear.column(j)).collect();
    for ((n, row), bias) in matrix.outer_iter().enumerate().zip(bias) {
        let (first, bias_index) = linear.row(n);
        for (column, weight) in columns.iter().zip(row) {
            let index = blocks.matrix.offset + first + column;
            if let Some(entry) = entries.get_mut(index) {
                *entry = *weight;
            }
        }
        if let Some(entry) = entries.get_mut(blocks.bias.offset + bias_index) {
            *entry = *bias;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Block, layout, pack, required_variables};
    use crate::graph::chain;
    use crate::requantise::{Requantise, Ties};
    use crate::{GraphShape, Linear};
    use ndarray::{Array1, Array2, array};
    use proptest::prelude::*;

    fn shape(widths: &[usize]) -> GraphShape {
        let requantise = Requantise {
            shift: 8,
            low: -128,
            high: 127,
            accumulator_bits: 40,
            ties: Ties::Up,
        };
        let dense = |pair: &[usize]| Linear::dense(pair[0], pair[1], requantise).into();
        let layers: Vec<_> = widths.windows(2).map(dense).collect();
        let weight_variables = required_variables(&layers);
        GraphShape {
            weight_variables,
            ..chain(layers, 8)
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
    fn an_empty_step_is_refused() {
        let shape = GraphShape {
            weight_variables: 3,
            ..chain(vec![], 8)
        };
        let pair = (Array2::zeros((1, 1)), Array1::zeros(1));
        assert!(pack(&shape, &[pair]).is_err());
    }
}

//! Shapes of relaxed R1CS instances with witness segments: `A z o B z = u C z + E` with
//! `z = (W_1, ..., W_s, u, X)`.
//!
//! # Padded columns
//!
//! The multilinear extension of `z` is over *blocks*: the witness segments and the block `(u, X)`.
//! Each is padded with zeros to a power of two. Blocks are sorted by padded size, largest first
//! (segments in order, then the block `(u, X)`, where sizes agree), and placed one after another,
//! so that every block is aligned. The total is padded to a power of two. With `prefix(block)` the
//! bits above a block's own,
//!
//! ```text
//! z~(y) = sum_blocks eq(prefix(block), y_high) * block~(y_low)
//! ```
//!
//! A segment's polynomial is therefore that of its own commitment, whose generators start at
//! index 0. Rows are padded with empty rows to a power of two.

use crate::tables;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::sumcheck::eq_table;
use rayon::prelude::*;
use thiserror::Error;

/// A matrix entry `(row, column, value)`.
pub type Entry<F> = (usize, usize, F);

/// Why matrices are no shape, or an assignment does not fit a shape.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
    /// A matrix entry lies outside the matrix.
    #[error(
        "matrix {matrix}: entry ({row}, {column}) lies outside {rows} rows and {columns} columns; \
         rebuild the shape from its circuit"
    )]
    Entry {
        /// 0, 1, 2 for A, B, C.
        matrix: usize,
        /// Row of the entry.
        row: usize,
        /// Column of the entry.
        column: usize,
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
    },
    /// Rows or columns cannot be numbered.
    #[error("expected at most {expected} rows and columns, got {got}; cut the circuit into steps")]
    Size {
        /// Most rows or columns.
        expected: usize,
        /// Rows or columns.
        got: usize,
    },
    /// A part of an assignment has the wrong length.
    #[error("{what}: expected {expected} elements, got {got}; use the shape the witness is for")]
    Length {
        /// The part.
        what: &'static str,
        /// The length that the shape asks for.
        expected: usize,
        /// The length found.
        got: usize,
    },
}

impl ShapeError {
    fn lengths(what: &'static str, expected: usize, got: usize) -> Result<(), Self> {
        if expected == got {
            Ok(())
        } else {
            Err(ShapeError::Length {
                what,
                expected,
                got,
            })
        }
    }
}

/// Most rows or columns of a shape.
const SIZE_LIMIT: usize = 1 << 30;

/// What a block of columns holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A witness segment, by its index.
    Segment(usize),
    /// `(u, X)`.
    Public,
}

/// An aligned block of the padded columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it holds.
    pub content: Content,
    /// First padded column: a multiple of `2^variables`.
    pub offset: usize,
    /// Number of variables of the block's own polynomial.
    pub variables: usize,
    /// First column of `z` without padding.
    start: usize,
    /// Number of columns without padding.
    length: usize,
}

/// The sizes of a shape: all that a verifier needs of it beside its matrices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dimensions {
    rows: usize,
    segments: Vec<usize>,
    inputs: usize,
    blocks: Vec<Block>,
    column_variables: usize,
}

impl Dimensions {
    /// The sizes of a shape with `rows` constraints, segments of the given lengths and `inputs`
    /// public inputs beside `u`.
    ///
    /// # Errors
    /// [`ShapeError::Size`] when there are more than `2^30` rows or columns.
    pub fn new(rows: usize, segments: Vec<usize>, inputs: usize) -> Result<Self, ShapeError> {
        let public = inputs.saturating_add(1);
        let lengths = segments.iter().chain([&public, &rows]);
        let total = lengths.fold(0usize, |sum, length| sum.saturating_add(*length));
        if total > SIZE_LIMIT {
            let expected = SIZE_LIMIT;
            return Err(ShapeError::Size {
                expected,
                got: total,
            });
        }
        let blocks = blocks(&segments, public);
        let padded: usize = blocks.iter().map(|block| 1 << block.variables).sum();
        Ok(Dimensions {
            rows,
            segments,
            inputs,
            blocks,
            column_variables: log2(padded),
        })
    }

    /// Number of constraints.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Lengths of the witness segments.
    pub fn segments(&self) -> &[usize] {
        &self.segments
    }

    /// Number of public inputs beside `u`.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of columns of `z` without padding.
    pub fn columns(&self) -> usize {
        self.segments.iter().sum::<usize>() + 1 + self.inputs
    }

    /// Variables of the row index, and of the error vector's polynomial.
    pub fn row_variables(&self) -> usize {
        log2(self.rows)
    }

    /// Variables of the padded column index.
    pub fn column_variables(&self) -> usize {
        self.column_variables
    }

    /// The blocks of the padded columns, in order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Variables of each witness segment's polynomial.
    pub fn segment_variables(&self) -> Vec<usize> {
        self.segments.iter().map(|length| log2(*length)).collect()
    }

    /// The padded position of a column of `z`, or `None` when there is no such column.
    pub fn position(&self, column: usize) -> Option<usize> {
        self.blocks
            .iter()
            .find(|block| (block.start..block.start + block.length).contains(&column))
            .map(|block| block.offset + (column - block.start))
    }

    /// Padded columns in the order of `z`, without the padding.
    fn compact<F: CircuitField>(&self, padded: &[F]) -> Vec<F> {
        let mut compact = vec![F::ZERO; self.columns()];
        for block in &self.blocks {
            let source = padded.iter().skip(block.offset).take(block.length);
            let target = compact.iter_mut().skip(block.start).take(block.length);
            target.zip(source).for_each(|(t, s)| *t = *s);
        }
        compact
    }

    /// The columns of `z` in their padded positions, with zeros between.
    pub(crate) fn spread<F: CircuitField>(&self, columns: &[F]) -> Vec<F> {
        let mut padded = vec![F::ZERO; 1 << self.column_variables];
        for block in &self.blocks {
            let source = columns.iter().skip(block.start).take(block.length);
            let target = padded.iter_mut().skip(block.offset).take(block.length);
            target.zip(source).for_each(|(t, s)| *t = *s);
        }
        padded
    }

    /// `z = (W_1, ..., W_s, u, X)`, lengths checked.
    ///
    /// # Errors
    /// [`ShapeError::Length`] when a segment or `x` has another length.
    pub fn assemble<F: CircuitField>(
        &self,
        segments: &[&[F]],
        u: F,
        x: &[F],
    ) -> Result<Vec<F>, ShapeError> {
        ShapeError::lengths("witness segments", self.segments.len(), segments.len())?;
        ShapeError::lengths("public inputs", self.inputs, x.len())?;
        let mut z = Vec::with_capacity(self.columns());
        for (expected, segment) in self.segments.iter().zip(segments) {
            ShapeError::lengths("witness segment", *expected, segment.len())?;
            z.extend_from_slice(segment);
        }
        z.push(u);
        z.extend_from_slice(x);
        Ok(z)
    }

    /// Checks that an error vector has one entry a row.
    ///
    /// # Errors
    /// [`ShapeError::Length`] when it is shorter or longer.
    pub fn check_error<F>(&self, error: &[F]) -> Result<(), ShapeError> {
        ShapeError::lengths("error vector", self.rows, error.len())
    }
}

/// Bits of the indices below `size`, with at least one index.
pub(crate) fn log2(size: usize) -> usize {
    size.max(1).next_power_of_two().trailing_zeros() as usize
}

/// The blocks of the padded columns, largest first.
fn blocks(segments: &[usize], public: usize) -> Vec<Block> {
    let mut start = 0;
    let contents = (0..segments.len()).map(Content::Segment);
    let contents = contents.zip(segments.iter().copied());
    let mut blocks: Vec<Block> = contents
        .chain([(Content::Public, public)])
        .map(|(content, length)| {
            start += length;
            Block {
                content,
                offset: 0,
                variables: log2(length),
                start: start - length,
                length,
            }
        })
        .collect();
    blocks.sort_by_key(|block| std::cmp::Reverse(block.variables));
    let mut offset = 0;
    for block in &mut blocks {
        block.offset = offset;
        offset += 1 << block.variables;
    }
    blocks
}

/// A sparse matrix in compressed rows; columns are those of `z` without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix<F> {
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<F>,
}

impl<F: CircuitField> Matrix<F> {
    /// The matrix of entries in any order, which lie within the given number of rows.
    fn new(rows: usize, entries: &[Entry<F>]) -> Self {
        let mut starts = vec![0; rows + 1];
        for (row, ..) in entries {
            starts[row + 1] += 1;
        }
        for row in 0..rows {
            starts[row + 1] += starts[row];
        }
        let mut next = starts.clone();
        let mut columns = vec![0; entries.len()];
        let mut values = vec![F::ZERO; entries.len()];
        for (row, column, value) in entries {
            columns[next[*row]] = *column as u32;
            values[next[*row]] = *value;
            next[*row] += 1;
        }
        Matrix {
            starts,
            columns,
            values,
        }
    }

    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.values.len()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Columns and values of a row; a row outside the matrix is empty.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, &F)> {
        let range = match self.starts.get(row..row + 2) {
            Some(&[start, end]) => start..end,
            _ => 0..0,
        };
        let columns = self.columns[range.clone()].iter();
        columns.map(|c| *c as usize).zip(&self.values[range])
    }

    fn product(&self, row: usize, z: &[F]) -> F {
        self.row(row)
            .fold(F::ZERO, |sum, (column, value)| sum + z[column] * value)
    }

    fn multiply(&self, z: &[F]) -> Vec<F> {
        let rows = (0..self.rows()).into_par_iter().with_min_len(ROWS);
        rows.map(|row| self.product(row, z)).collect()
    }
}

/// Rows that one task takes at least.
const ROWS: usize = 1 << 9;

/// An R1CS shape: three sparse matrices over segmented columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape<F> {
    dimensions: Dimensions,
    matrices: [Matrix<F>; 3],
}

impl<F: CircuitField> Shape<F> {
    /// The shape of three matrices given by entries in any order; the columns are those of
    /// `z = (W_1, ..., W_s, u, X)` without padding. Entries at one place add up.
    ///
    /// # Errors
    /// [`ShapeError::Entry`] when an entry lies outside, [`ShapeError::Size`] when the shape is
    /// too large.
    pub fn new(
        rows: usize,
        segments: Vec<usize>,
        inputs: usize,
        entries: [Vec<Entry<F>>; 3],
    ) -> Result<Self, ShapeError> {
        let dimensions = Dimensions::new(rows, segments, inputs)?;
        let columns = dimensions.columns();
        for (matrix, entries) in entries.iter().enumerate() {
            let outside = entries.iter().find(|(i, j, _)| *i >= rows || *j >= columns);
            if let Some((row, column, _)) = outside {
                return Err(ShapeError::Entry {
                    matrix,
                    row: *row,
                    column: *column,
                    rows,
                    columns,
                });
            }
        }
        let matrices = entries.map(|entries| Matrix::new(rows, &entries));
        Ok(Shape {
            dimensions,
            matrices,
        })
    }

    /// The sizes of the shape.
    pub fn dimensions(&self) -> &Dimensions {
        &self.dimensions
    }

    /// A, B and C.
    pub fn matrices(&self) -> &[Matrix<F>; 3] {
        &self.matrices
    }

    /// Number of entries of all three matrices.
    pub fn entries(&self) -> usize {
        self.matrices.iter().map(Matrix::entries).sum()
    }

    /// `(A z, B z, C z)`, one entry a row.
    ///
    /// # Errors
    /// [`ShapeError::Length`] when `z` has another length.
    pub fn multiply(&self, z: &[F]) -> Result<[Vec<F>; 3], ShapeError> {
        ShapeError::lengths("columns", self.dimensions.columns(), z.len())?;
        Ok(self.matrices.each_ref().map(|matrix| matrix.multiply(z)))
    }

    /// `(A~, B~, C~)(rows, columns)`, the multilinear extensions over padded rows and columns.
    ///
    /// # Errors
    /// [`ShapeError::Length`] when a point has another number of variables.
    pub fn evaluate(&self, rows: &[F], columns: &[F]) -> Result<[F; 3], ShapeError> {
        let dimensions = &self.dimensions;
        ShapeError::lengths("row point", dimensions.row_variables(), rows.len())?;
        ShapeError::lengths("column point", dimensions.column_variables(), columns.len())?;
        Ok(self.extensions(rows, columns))
    }

    /// [`Shape::evaluate`] for points whose lengths were checked.
    pub(crate) fn extensions(&self, rows: &[F], columns: &[F]) -> [F; 3] {
        let (row_weights, column_weights) = rayon::join(|| eq_table(rows), || eq_table(columns));
        let dimensions = &self.dimensions;
        let column_weights = dimensions.compact(&column_weights);
        let sums = (0..dimensions.rows())
            .into_par_iter()
            .with_min_len(ROWS)
            .zip(&row_weights)
            .map(|(row, weight)| {
                let products = self.matrices.each_ref();
                products.map(|matrix| matrix.product(row, &column_weights) * weight)
            });
        sums.reduce(|| [F::ZERO; 3], tables::add)
    }

    /// `sum_i row_weights[i] (A + gamma B + gamma^2 C)[i, .]` over padded columns; a short list of
    /// weights leaves rows out.
    pub(crate) fn combine_rows(&self, row_weights: &[F], gamma: F) -> Vec<F> {
        let columns = self.dimensions.columns();
        let chunk = self.dimensions.rows() / rayon::current_num_threads().max(1);
        let chunk = chunk.max(ROWS);
        let starts: Vec<usize> = (0..self.dimensions.rows()).step_by(chunk).collect();
        // Each task adds into a table of its own: as many tables as threads.
        let partial = starts.into_par_iter().map(|start| {
            let mut sums = vec![F::ZERO; columns];
            let weights = row_weights.iter().enumerate().skip(start).take(chunk);
            for (row, weight) in weights {
                let mut weight = *weight;
                for matrix in &self.matrices {
                    for (column, value) in matrix.row(row) {
                        sums[column] += weight * value;
                    }
                    weight *= gamma;
                }
            }
            sums
        });
        let sums = partial.reduce_with(|mut a, b| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        });
        self.dimensions
            .spread(&sums.unwrap_or_else(|| vec![F::ZERO; columns]))
    }
}

//! The matrices of a shape at a point, in a circuit over the native field.
//!
//! # Formula
//!
//! Wanted is `M~(r, s) = sum_ij eq(r, i) eq(s, j) M_ij` with `M = A + gamma B + gamma^2 C`. Indices
//! are split into high and low bits, `i = (I, i')` and `j = (J, j')`, and `eq` splits with them:
//!
//! ```text
//! M~(r, s) = sum_I eq(r_high, I) sum_J eq(s_high, J) tile_IJ
//! tile_IJ  = sum_(i', j') (A + gamma B + gamma^2 C)_((I, i'), (J, j')) eq(r_low, i') eq(s_low, j')
//! ```
//!
//! The *monomials* `gamma^k eq(r_low, i') eq(s_low, j')` are the same for all tiles. They are
//! allocated once, one product each; after that every tile is a linear form and costs nothing. A
//! tile with entries costs one product, by `eq(s_high, J)`, and the sum over `I` one product a
//! row of tiles, by binding its variables one after another.
//!
//! The matrices of circuits are local: gates read wires that were made shortly before. So few tiles
//! have entries, and in all there is less than one constraint a row; each matrix entry is one term
//! of one linear form. The sizes of a tile are chosen for the shape.
//!
//! # What is enforced
//!
//! All of it: the value is a polynomial of `r`, `s` and `gamma`, computed by products alone. There
//! are no hints and no assumptions on the challenges.

use crate::arithmetic::CircuitPrimary;
use crate::error::Rejected;
use crate::shape::{Dimensions, Shape};
use crate::spartan::MatrixEvaluation;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::sumcheck::eq_table_circuit;
use foldnet_gadgets::wire::{Wire, WireSystem};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// A shape's matrices, arranged for evaluation in a circuit.
#[derive(Clone, Debug)]
pub struct CircuitMatrices<F> {
    dimensions: Dimensions,
    /// Low bits of row and column.
    low: [usize; 2],
    monomials: Vec<Monomial>,
    tiles: Vec<Tile>,
    /// Monomial and value of each entry, tile after tile.
    entries: Vec<(u32, F)>,
}

/// `gamma^matrix eq(r_low, row) eq(s_low, column)`.
#[derive(Clone, Copy, Debug)]
struct Monomial {
    matrix: usize,
    row: usize,
    column: usize,
}

/// What the constraints of an evaluation come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Low bits of row and column: a tile has `2^low[0]` rows and `2^low[1]` columns.
    pub low: [usize; 2],
    /// Monomials that occur.
    pub monomials: usize,
    /// Tiles with entries.
    pub tiles: usize,
}

impl Monomial {
    /// Its number among all monomials for a choice of low bits.
    fn slot(&self, [row_bits, column_bits]: [usize; 2]) -> usize {
        (((self.matrix << row_bits) | self.row) << column_bits) | self.column
    }
}

/// A tile with entries.
#[derive(Clone, Copy, Debug)]
struct Tile {
    /// `I` and `J`.
    place: [usize; 2],
    /// The range of its entries.
    start: usize,
    end: usize,
}

/// Most low bits of a row or a column.
const LOW_LIMIT: usize = 9;

impl<F: CircuitField> CircuitMatrices<F> {
    /// Arranges the matrices of a shape: a few passes over its entries.
    pub fn new(shape: &Shape<F>) -> Self {
        let dimensions = shape.dimensions().clone();
        let positions = positions(&dimensions);
        let low = choose_low(shape, &positions);
        let (mut tiles, numbers) = tiles(shape, &positions, low);
        let (monomials, slots) = monomials(shape, &positions, low);

        // The first position of each tile's entries, then one by one.
        let mut next: Vec<usize> = tiles.iter().map(|tile| tile.start).collect();
        let mut entries = vec![(0, F::ZERO); numbers.len()];
        for ((_, monomial, value), tile) in placed(shape, &positions, low).zip(numbers) {
            entries[next[tile]] = (slots[monomial.slot(low)], *value);
            next[tile] += 1;
        }
        tiles.sort_by_key(|tile| tile.place);
        CircuitMatrices {
            dimensions,
            low,
            monomials,
            tiles,
            entries,
        }
    }

    /// The sizes of the shape.
    pub fn dimensions(&self) -> &Dimensions {
        &self.dimensions
    }

    /// The sizes that the constraints come from.
    pub fn tiling(&self) -> Tiling {
        Tiling {
            low: self.low,
            monomials: self.monomials.len(),
            tiles: self.tiles.len(),
        }
    }

    /// `(A + gamma B + gamma^2 C)~(rows, columns)`, enforced.
    ///
    /// # Errors
    /// [`Rejected::Length`] for points of another shape, and those of the system.
    pub fn evaluate<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        rows: &[Wire<F>],
        columns: &[Wire<F>],
        gamma: &Wire<F>,
    ) -> Result<Wire<F>, SynthesisError> {
        let dimensions = &self.dimensions;
        Rejected::lengths("row point", dimensions.row_variables(), rows.len())?;
        Rejected::lengths("column point", dimensions.column_variables(), columns.len())?;
        let [row_bits, column_bits] = self.low;
        let (rows, low_rows) = rows.split_at(rows.len() - row_bits);
        let (columns, low_columns) = columns.split_at(columns.len() - column_bits);

        let monomials = self.monomials(cs, low_rows, low_columns, gamma)?;
        let tiles = self.tile_forms(cs, &monomials);
        let mut high = cs.namespace(|| "high columns");
        let weights = eq_table_circuit(&mut high, columns, self.high_count(1))?;
        drop(high);

        let mut sums = vec![None; self.high_count(0)];
        for (tile, form) in self.tiles.iter().zip(&tiles) {
            let [i, j] = tile.place;
            let product = cs.product(|| format!("tile {i} {j}"), form, &weights[j])?;
            sums[i].get_or_insert_with(Wire::zero).add_assign(&product);
        }
        bind_all(cs, sums, rows)
    }

    /// One more than the largest high index of a row (0) or column (1).
    fn high_count(&self, side: usize) -> usize {
        let places = self.tiles.iter().map(|tile| tile.place[side] + 1);
        places.max().unwrap_or(0)
    }

    /// The monomials that occur, one product each.
    fn monomials<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        rows: &[Wire<F>],
        columns: &[Wire<F>],
        gamma: &Wire<F>,
    ) -> Result<Vec<Wire<F>>, SynthesisError> {
        let mut low = cs.namespace(|| "low rows");
        let plain = eq_table_circuit(&mut low, rows, 1 << rows.len())?;
        drop(low);
        let mut low = cs.namespace(|| "low columns");
        let columns = eq_table_circuit(&mut low, columns, 1 << columns.len())?;
        drop(low);
        let mut scaled = plain.clone();
        let mut weighted = vec![plain];
        for power in 1..3 {
            for (i, weight) in scaled.iter_mut().enumerate() {
                let name = || format!("low row {i} by gamma, {power}");
                *weight = cs.product(name, weight, gamma)?;
            }
            weighted.push(scaled.clone());
        }
        let products = self.monomials.iter().map(|monomial| {
            let Monomial {
                matrix,
                row,
                column,
            } = *monomial;
            cs.product(
                || format!("monomial {matrix} {row} {column}"),
                &weighted[matrix][row],
                &columns[column],
            )
        });
        products.collect()
    }

    /// The linear form of each tile.
    fn tile_forms<CS: ConstraintSystem<F>>(&self, cs: &CS, monomials: &[Wire<F>]) -> Vec<Wire<F>> {
        let entries = |tile: &Tile| self.entries[tile.start..tile.end].iter();
        let tiles = self.tiles.par_iter();
        if cs.is_witness_generator() {
            // Forms have no terms here, so the value is all there is to a tile.
            let values: Vec<F> = monomials.iter().map(Wire::value).collect();
            return tiles
                .map(|tile| {
                    let terms = entries(tile).map(|(k, value)| values[*k as usize] * value);
                    Wire::constant(terms.fold(F::ZERO, |sum, term| sum + term))
                })
                .collect();
        }
        tiles
            .map(|tile| {
                let terms = entries(tile).map(|(k, value)| (*value, &monomials[*k as usize]));
                Wire::weighted_sum(terms)
            })
            .collect()
    }
}

impl<F: CircuitField, CS: ConstraintSystem<F>> MatrixEvaluation<CircuitPrimary<'_, F, CS>>
    for CircuitMatrices<F>
{
    fn combined(
        &self,
        arithmetic: &mut CircuitPrimary<'_, F, CS>,
        rows: &[Wire<F>],
        columns: &[Wire<F>],
        gamma: &Wire<F>,
    ) -> Result<Wire<F>, SynthesisError> {
        let mut cs = arithmetic.namespace("matrices");
        self.evaluate(&mut cs, rows, columns, gamma)
    }
}

/// The polynomial of `values` at `point`, by binding the last variable first; `None` is zero and
/// costs nothing beside a non-zero neighbour.
fn bind_all<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    mut values: Vec<Option<Wire<F>>>,
    point: &[Wire<F>],
) -> Result<Wire<F>, SynthesisError> {
    for (level, r) in point.iter().enumerate().rev() {
        let mut next = Vec::with_capacity(values.len().div_ceil(2));
        for (k, pair) in values.chunks(2).enumerate() {
            let (low, high) = (
                pair.first().cloned().flatten(),
                pair.get(1).cloned().flatten(),
            );
            if low.is_none() && high.is_none() {
                next.push(None);
                continue;
            }
            let (low, high) = (
                low.unwrap_or_else(Wire::zero),
                high.unwrap_or_else(Wire::zero),
            );
            let rest = cs.product(|| format!("rows {level} {k}"), r, &high.sub(&low))?;
            next.push(Some(low.add(&rest)));
        }
        values = next;
    }
    Ok(values
        .into_iter()
        .next()
        .flatten()
        .unwrap_or_else(Wire::zero))
}

/// The padded position of every column.
fn positions(dimensions: &Dimensions) -> Vec<usize> {
    let columns = 0..dimensions.columns();
    columns
        .map(|column| dimensions.position(column).unwrap_or(0))
        .collect()
}

/// All entries, row after row: tile, monomial, value.
fn placed<'a, F: CircuitField>(
    shape: &'a Shape<F>,
    positions: &'a [usize],
    [row_bits, column_bits]: [usize; 2],
) -> impl Iterator<Item = ([usize; 2], Monomial, &'a F)> {
    let low = |index: usize, bits: usize| index & ((1 << bits) - 1);
    (0..shape.dimensions().rows()).flat_map(move |i| {
        let matrices = shape.matrices().iter().enumerate();
        matrices.flat_map(move |(matrix, entries)| {
            entries.row(i).map(move |(column, value)| {
                let j = positions[column];
                let monomial = Monomial {
                    matrix,
                    row: low(i, row_bits),
                    column: low(j, column_bits),
                };
                ([i >> row_bits, j >> column_bits], monomial, value)
            })
        })
    })
}

/// The tiles with entries, in the order in which they are met, and the tile of each entry.
///
/// Entries come row after row, so that a tile is new if its column of tiles was last met in another
/// row of tiles.
fn tiles<F: CircuitField>(
    shape: &Shape<F>,
    positions: &[usize],
    low: [usize; 2],
) -> (Vec<Tile>, Vec<usize>) {
    let mut met = vec![(usize::MAX, 0); high_columns(shape, low)];
    let mut tiles: Vec<Tile> = Vec::new();
    let mut numbers = Vec::with_capacity(shape.entries());
    for ([i, j], ..) in placed(shape, positions, low) {
        if met[j].0 != i {
            met[j] = (i, tiles.len());
            tiles.push(Tile {
                place: [i, j],
                start: 0,
                end: 0,
            });
        }
        let number = met[j].1;
        tiles[number].end += 1;
        numbers.push(number);
    }
    let mut start = 0;
    for tile in &mut tiles {
        (tile.start, tile.end) = (start, start + tile.end);
        start = tile.end;
    }
    (tiles, numbers)
}

/// The monomials that occur, in the order of their slots, and the number of each slot.
fn monomials<F: CircuitField>(
    shape: &Shape<F>,
    positions: &[usize],
    low: [usize; 2],
) -> (Vec<Monomial>, Vec<u32>) {
    let mut used = vec![None; slots(low)];
    for (_, monomial, _) in placed(shape, positions, low) {
        used[monomial.slot(low)] = Some(monomial);
    }
    let mut found = Vec::new();
    let mut numbers = Vec::with_capacity(used.len());
    for monomial in used {
        numbers.push(found.len() as u32);
        found.extend(monomial);
    }
    (found, numbers)
}

/// Number of monomials for a choice of low bits.
fn slots([row_bits, column_bits]: [usize; 2]) -> usize {
    3 << (row_bits + column_bits)
}

/// Number of columns of tiles.
fn high_columns<F: CircuitField>(shape: &Shape<F>, [_, column_bits]: [usize; 2]) -> usize {
    1 << (shape.dimensions().column_variables() - column_bits)
}

/// Low bits of row and column with the fewest constraints, found by descent.
fn choose_low<F: CircuitField>(shape: &Shape<F>, positions: &[usize]) -> [usize; 2] {
    let dimensions = shape.dimensions();
    let variables = [dimensions.row_variables(), dimensions.column_variables()];
    let limits = variables.map(|variables| variables.min(LOW_LIMIT));
    let mut best = variables.map(|variables| (variables / 3).min(LOW_LIMIT));
    let mut costs = BTreeMap::from([(best, cost(shape, positions, best))]);
    loop {
        let around = neighbours(best, limits).into_iter();
        let new: Vec<_> = around.filter(|low| !costs.contains_key(low)).collect();
        costs.par_extend(
            new.into_par_iter()
                .map(|low| (low, cost(shape, positions, low))),
        );
        let least = costs.iter().min_by_key(|(_, cost)| **cost);
        match least {
            Some((low, _)) if *low != best => best = *low,
            _ => return best,
        }
    }
}

/// Choices that differ by at most one in each of both bits.
fn neighbours([row, column]: [usize; 2], limits: [usize; 2]) -> Vec<[usize; 2]> {
    let rows = row.saturating_sub(1)..=(row + 1).min(limits[0]);
    let columns = column.saturating_sub(1)..=(column + 1).min(limits[1]);
    rows.flat_map(|row| columns.clone().map(move |column| [row, column]))
        .collect()
}

/// Monomials, tiles, rows of tiles and eq tables for a choice of low bits.
fn cost<F: CircuitField>(shape: &Shape<F>, positions: &[usize], low: [usize; 2]) -> usize {
    let [row_bits, column_bits] = low;
    let high_rows = shape.dimensions().rows().div_ceil(1 << row_bits);
    let high_columns = high_columns(shape, low);
    let mut met = vec![usize::MAX; high_columns];
    let mut used = vec![false; slots(low)];
    let mut products = 0;
    for ([i, j], monomial, _) in placed(shape, positions, low) {
        products += usize::from(!std::mem::replace(&mut used[monomial.slot(low)], true));
        products += usize::from(std::mem::replace(&mut met[j], i) != i);
    }
    products + high_rows + high_columns + (3 << row_bits) + (1 << column_bits)
}

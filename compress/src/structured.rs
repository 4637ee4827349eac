//! Multilinear extensions of matrices that repeat a block.
//!
//! # Layout
//!
//! A row of the matrices, and a column of the witness block, is an address
//! `(operation | digit | slot)`; the block `(u, X)` follows the witness ([`Layout`]). A circuit that
//! repeats the same rows for every digit of every operation has matrices that are sums of few
//! tensor products. With a row `(o, t, s)` and slots' coefficients `v`, the parts are
//!
//! | part | entries | extension |
//! |---|---|---|
//! | local | column `(o, t, s')`, all `o`, `t` | `eq(o) eq(t) sum v X_s Y_s'` |
//! | shift | column `(o, t - 1, s')`, all `o`, `t >= 1` | `eq(o) next(t) sum v X_s Y_s'` |
//! | single rows | rows `(t, s)`, or `s` of all `t`, of all or some `o`, times a `Column` | one product each |
//!
//! where `X`, `Y` are the eq tables of the slot bits, `eq` the product
//! `prod (x y + (1 - x)(1 - y))` and `next` the extension of `t' = t - 1`. A column of a single row
//! is one address of the same operation, the same slot of all digits weighted with `2^(T - 1 - t)`
//! for `T` digits, a public value at `first + stride o`, or one fixed column.
//!
//! [`StructuredMatrices::new`] finds the parts by comparing coefficients. Every entry goes into
//! exactly one part, and what matches nothing becomes a single row times a fixed column, so the sum
//! of the parts is the matrices for any input; [`StructuredMatrices::expand`] gives them back. The
//! structure decides the cost only.

use crate::arithmetic::Arithmetic;
use crate::error::Rejected;
use crate::spartan::MatrixEvaluation;
use ff::Field;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::power_of_two;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// An entry `(row, column, value)` of a matrix.
pub type Entry<S> = (usize, usize, S);

/// Why matrices do not fit a layout.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StructureError {
    /// An entry lies outside.
    #[error("{what} of an entry: expected below {expected}, got {got}; use the layout's sizes")]
    Range {
        /// Row or column.
        what: &'static str,
        /// The exclusive limit.
        expected: usize,
        /// The index found.
        got: usize,
    },
    /// The numbers of bits do not describe matrices.
    #[error("expected {expected}, got {got}; choose another layout")]
    Layout {
        /// The condition.
        expected: &'static str,
        /// What was found.
        got: usize,
    },
}

/// How rows and columns are addressed.
///
/// Rows have `operations + digits + slots` bits. Columns have one bit more: the witness block has
/// the same addresses with leading bit 0, and the public value `i` of `(u, X)` is column
/// `2^(operations + digits + slots) + i`, `i < 2^public`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bits of the operation.
    pub operations: usize,
    /// Bits of the digit, at most 6.
    pub digits: usize,
    /// Bits of the slot.
    pub slots: usize,
    /// Bits of a public value's index.
    pub public: usize,
    /// Distance between the public values of one operation and of the next.
    pub stride: usize,
}

impl Layout {
    /// Bits of a row.
    pub fn row_bits(&self) -> usize {
        self.operations + self.digits + self.slots
    }

    /// Bits of a column.
    pub fn column_bits(&self) -> usize {
        self.row_bits() + 1
    }

    fn check(&self) -> Result<(), StructureError> {
        let fail = |expected, got| Err(StructureError::Layout { expected, got });
        if self.digits > 6 {
            return fail("at most 6 bits of digits", self.digits);
        }
        if self.row_bits() > 24 {
            return fail("at most 24 bits of rows", self.row_bits());
        }
        if self.public > self.row_bits() {
            return fail("public values that fit a block", self.public);
        }
        Ok(())
    }

    fn split(&self, index: usize) -> Address {
        let mask = |bits: usize| (1 << bits) - 1;
        Address {
            operation: index >> (self.digits + self.slots),
            digit: index >> self.slots & mask(self.digits),
            slot: index & mask(self.slots),
        }
    }

    fn join(&self, address: Address) -> usize {
        (address.operation << self.digits | address.digit) << self.slots | address.slot
    }

    fn column(&self, index: usize) -> Place {
        match index.checked_sub(1 << self.row_bits()) {
            Some(i) => Place::Public(i),
            None => Place::Witness(self.split(index)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Address {
    operation: usize,
    digit: usize,
    slot: usize,
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Witness(Address),
    Public(usize),
}

/// What a single row of some operations is multiplied with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    /// The address `(digit, slot)` of the row's operation.
    Same { digit: usize, slot: usize },
    /// The slot of all digits of the row's operation, weighted with powers of two.
    Powers { slot: usize },
    /// The public value `first + stride o` of the row's operation `o`.
    Linked { first: usize },
    /// One column, in the rows of the operations given.
    Fixed {
        place: Place,
        operations: Vec<usize>,
    },
}

impl Column {
    /// Whether the extension has the factor `eq` of the operations.
    fn is_diagonal(&self) -> bool {
        matches!(self, Column::Same { .. } | Column::Powers { .. })
    }
}

/// The digits of a row: all, or one.
type Digit = Option<usize>;

/// An entry between slots.
type SlotEntry<S> = (usize, usize, S);

/// The parts of one matrix.
#[derive(Clone, Debug)]
struct Parts<S> {
    local: Vec<SlotEntry<S>>,
    shift: Vec<SlotEntry<S>>,
    single: Vec<(Digit, usize, Column, S)>,
}

/// Bytes to order coefficients by.
fn key<S: CircuitField>(value: &S) -> [u8; 32] {
    foldnet_gadgets::field::to_bytes(value)
}

/// Finds the parts of one matrix.
struct Classifier<'a, S> {
    layout: &'a Layout,
    /// Entries by row address without the operation, then by operation and column.
    rows: BTreeMap<(usize, usize), BTreeMap<(usize, Place), S>>,
}

impl<'a, S: CircuitField> Classifier<'a, S> {
    fn new(layout: &'a Layout, entries: &[Entry<S>]) -> Result<Self, StructureError> {
        let mut rows: BTreeMap<_, BTreeMap<_, S>> = BTreeMap::new();
        let in_range = |what, expected, got| {
            if got < expected {
                Ok(())
            } else {
                Err(StructureError::Range {
                    what,
                    expected,
                    got,
                })
            }
        };
        let block = 1 << layout.row_bits();
        for (row, column, value) in entries {
            in_range("row", block, *row)?;
            in_range("column", block + (1 << layout.public), *column)?;
            let at = layout.split(*row);
            let cells = rows.entry((at.digit, at.slot)).or_default();
            let cell = cells.entry((at.operation, layout.column(*column)));
            *cell.or_insert(S::ZERO) += value;
        }
        Ok(Classifier { layout, rows })
    }

    fn parts(self) -> Parts<S> {
        let mut single = Vec::new();
        for ((digit, slot), cells) in &self.rows {
            for (column, value) in self.columns(cells) {
                single.push((*digit, *slot, column, value));
            }
        }
        let single = self.powers(single);
        let (local, single) = self.diagonal(single, 0);
        let (shift, single) = self.diagonal(single, 1);
        Parts {
            local,
            shift,
            single: self.all_digits(single),
        }
    }

    /// The entries of the rows `(digit, slot)` of all operations, as columns relative to them.
    fn columns(&self, cells: &BTreeMap<(usize, Place), S>) -> Vec<(Column, S)> {
        let mut left = cells.clone();
        left.retain(|_, value| !bool::from(value.is_zero()));
        let mut columns = Vec::new();
        let first: Vec<_> = left.iter().filter(|((o, _), _)| *o == 0).collect();
        let first: Vec<_> = first.into_iter().map(|((_, p), v)| (*p, *v)).collect();
        for (place, value) in first {
            let cell = |operation| (operation, self.follow(place, operation));
            let mut operations = 0..1 << self.layout.operations;
            if !operations.all(|o| left.get(&cell(o)) == Some(&value)) {
                continue;
            }
            let column = match place {
                Place::Witness(Address { digit, slot, .. }) if self.is_first(place) => {
                    Column::Same { digit, slot }
                }
                Place::Public(first) if self.layout.stride > 0 => Column::Linked { first },
                _ => continue,
            };
            for o in 0..1 << self.layout.operations {
                left.remove(&cell(o));
            }
            columns.push((column, value));
        }
        let mut fixed: BTreeMap<_, (Vec<usize>, S)> = BTreeMap::new();
        for ((operation, place), value) in left {
            let entry = fixed.entry((place, key(&value)));
            entry.or_insert((Vec::new(), value)).0.push(operation);
        }
        columns.extend(
            fixed.into_iter().map(|((place, _), (operations, value))| {
                (Column::Fixed { place, operations }, value)
            }),
        );
        columns
    }

    fn is_first(&self, place: Place) -> bool {
        matches!(place, Place::Witness(Address { operation: 0, .. }))
    }

    /// The place of another operation that corresponds to a place of operation 0.
    fn follow(&self, place: Place, operation: usize) -> Place {
        match place {
            Place::Witness(address) => Place::Witness(Address {
                operation,
                ..address
            }),
            Place::Public(i) => Place::Public(i + self.layout.stride * operation),
        }
    }

    /// Merges the entries of a row at all digits of a slot that are `v 2^(T - 1 - t)`.
    fn powers(&self, single: Vec<Single<S>>) -> Vec<Single<S>> {
        let count = 1usize << self.layout.digits;
        let mut slots: BTreeMap<_, BTreeMap<usize, S>> = BTreeMap::new();
        for (t, s, column, value) in &single {
            if let Column::Same { digit, slot } = column {
                let weights = slots.entry((*t, *s, *slot)).or_default();
                weights.insert(*digit, *value);
            }
        }
        slots.retain(|_, weights| {
            let last = weights.get(&(count - 1)).copied().unwrap_or(S::ZERO);
            let scaled = |t: usize| last * power_of_two::<S>((count - 1 - t) as u32);
            count > 1 && (0..count).all(|t| weights.get(&t) == Some(&scaled(t)))
        });
        let mut left = single;
        left.retain(|(t, s, column, _)| match column {
            Column::Same { slot, .. } => !slots.contains_key(&(*t, *s, *slot)),
            _ => true,
        });
        left.extend(slots.into_iter().filter_map(|((t, s, slot), weights)| {
            let value = weights.get(&(count - 1))?;
            Some((t, s, Column::Powers { slot }, *value))
        }));
        left
    }

    /// Takes out the entries that are the same between digits `t` and `t - distance` for all `t`
    /// where that exists.
    fn diagonal(
        &self,
        single: Vec<Single<S>>,
        distance: usize,
    ) -> (Vec<SlotEntry<S>>, Vec<Single<S>>) {
        let count = (1usize << self.layout.digits).saturating_sub(distance);
        let class = |(t, s, column, value): &Single<S>| match column {
            Column::Same { digit, slot } if digit + distance == *t => Some((*s, *slot, key(value))),
            _ => None,
        };
        let mut counts: BTreeMap<_, (usize, S)> = BTreeMap::new();
        for entry in &single {
            if let Some(class) = class(entry) {
                counts.entry(class).or_insert((0, entry.3)).0 += 1;
            }
        }
        counts.retain(|_, (found, _)| *found == count && count > 1);
        let left = single.into_iter();
        let left = left
            .filter(|entry| class(entry).is_none_or(|class| !counts.contains_key(&class)))
            .collect();
        let taken = counts.into_iter();
        let taken = taken
            .map(|((s, slot, _), (_, value))| (s, slot, value))
            .collect();
        (taken, left)
    }

    /// Merges the entries that all digits have.
    fn all_digits(&self, single: Vec<Single<S>>) -> Vec<(Digit, usize, Column, S)> {
        let count = 1usize << self.layout.digits;
        let mut classes: BTreeMap<_, (Vec<usize>, S)> = BTreeMap::new();
        for (t, s, column, value) in single {
            let class = classes.entry((s, column, key(&value)));
            class.or_insert((Vec::new(), value)).0.push(t);
        }
        let mut merged = Vec::new();
        for ((s, column, _), (digits, value)) in classes {
            if digits.len() == count && count > 1 {
                merged.push((None, s, column, value));
            } else {
                let each = digits.into_iter();
                merged.extend(each.map(|t| (Some(t), s, column.clone(), value)));
            }
        }
        merged
    }
}

/// An entry of the rows `(digit, slot)`.
type Single<S> = (usize, usize, Column, S);

/// The matrices A, B, C of an R1CS in parts.
#[derive(Clone, Debug)]
pub struct StructuredMatrices<S> {
    layout: Layout,
    matrices: [Parts<S>; 3],
}

impl<S: CircuitField> StructuredMatrices<S> {
    /// Finds the structure of three matrices. Entries at the same place are added.
    ///
    /// # Errors
    /// [`StructureError`] when an entry lies outside the layout.
    pub fn new(layout: Layout, matrices: [&[Entry<S>]; 3]) -> Result<Self, StructureError> {
        layout.check()?;
        let [a, b, c] = matrices;
        let parts = |entries| Ok(Classifier::new(&layout, entries)?.parts());
        Ok(StructuredMatrices {
            layout,
            matrices: [parts(a)?, parts(b)?, parts(c)?],
        })
    }

    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Numbers of local, shift and single terms of each matrix.
    pub fn terms(&self) -> [[usize; 3]; 3] {
        let [a, b, c] = &self.matrices;
        [a, b, c].map(|parts| [parts.local.len(), parts.shift.len(), parts.single.len()])
    }

    /// The entries of the three matrices, ordered by row and column.
    pub fn expand(&self) -> [Vec<Entry<S>>; 3] {
        let [a, b, c] = &self.matrices;
        [a, b, c].map(|parts| self.expand_parts(parts))
    }

    fn expand_parts(&self, parts: &Parts<S>) -> Vec<Entry<S>> {
        let layout = &self.layout;
        let (operations, digits) = (1usize << layout.operations, 1usize << layout.digits);
        let address = |operation, digit, slot| {
            layout.join(Address {
                operation,
                digit,
                slot,
            })
        };
        let mut entries = Vec::new();
        for o in 0..operations {
            for t in 0..digits {
                let local = parts.local.iter();
                entries.extend(local.map(|(s, to, v)| (address(o, t, *s), address(o, t, *to), *v)));
                let shift = parts.shift.iter().filter(|_| t > 0);
                entries.extend(
                    shift.map(|(s, to, v)| (address(o, t, *s), address(o, t - 1, *to), *v)),
                );
            }
        }
        for (digit, slot, column, value) in &parts.single {
            let rows = match digit {
                Some(t) => *t..*t + 1,
                None => 0..digits,
            };
            for t in rows {
                for o in 0..operations {
                    let row = address(o, t, *slot);
                    let places = self.places(column, o).into_iter();
                    entries.extend(places.map(|(at, factor)| (row, at, *value * factor)));
                }
            }
        }
        entries.sort_by_key(|(row, column, _)| (*row, *column));
        entries
    }

    /// The columns that a row of an operation is multiplied with, and the factors.
    fn places(&self, column: &Column, operation: usize) -> Vec<(usize, S)> {
        let layout = &self.layout;
        let digits = 1usize << layout.digits;
        let public = |i| (1 << layout.row_bits()) + i;
        let join = |digit, slot| {
            layout.join(Address {
                operation,
                digit,
                slot,
            })
        };
        match column {
            Column::Same { digit, slot } => vec![(join(*digit, *slot), S::ONE)],
            Column::Powers { slot } => (0..digits)
                .map(|t| (join(t, *slot), power_of_two((digits - 1 - t) as u32)))
                .collect(),
            Column::Linked { first } => {
                vec![(public(first + layout.stride * operation), S::ONE)]
            }
            Column::Fixed { place, operations } if operations.contains(&operation) => {
                let at = match place {
                    Place::Witness(address) => layout.join(*address),
                    Place::Public(i) => public(*i),
                };
                vec![(at, S::ONE)]
            }
            Column::Fixed { .. } => Vec::new(),
        }
    }
}

impl<S: CircuitField, A: Arithmetic<Field = S>> MatrixEvaluation<A> for StructuredMatrices<S> {
    fn combined(
        &self,
        arithmetic: &mut A,
        rows: &[A::Element],
        columns: &[A::Element],
        gamma: &A::Element,
    ) -> Result<A::Element, A::Error> {
        Rejected::lengths("row point", self.layout.row_bits(), rows.len())?;
        Rejected::lengths("column point", self.layout.column_bits(), columns.len())?;
        let tables = Tables::new(arithmetic, self, rows, columns)?;
        let mut values = Vec::new();
        for parts in &self.matrices {
            values.push(tables.matrix(arithmetic, parts)?);
        }
        let square = arithmetic.multiply("gamma squared", gamma, gamma)?;
        let powers = [arithmetic.constant(S::ONE), gamma.clone(), square];
        let pairs: Vec<_> = powers.into_iter().zip(values).collect();
        arithmetic.inner_product("matrices", &pairs)
    }
}

/// The weights of the columns and digits that occur, at one pair of points.
struct Tables<A: Arithmetic> {
    /// eq of the row's slot bits.
    slots: Vec<A::Element>,
    /// eq of the column's slot bits.
    column_slots: Vec<A::Element>,
    /// `eq` of operations, in the witness block.
    same_operation: A::Element,
    /// `eq` of digits.
    same_digit: A::Element,
    /// `next` of digits.
    next_digit: A::Element,
    /// eq of the row's digit and slot bits, where a digit occurs in one slot.
    rows: Places<A>,
    /// eq of the row's digit bits, where a digit occurs in several slots.
    digits: BTreeMap<usize, A::Element>,
    /// Extensions of the columns that occur, without the factor `eq` of operations.
    columns: BTreeMap<Column, A::Element>,
}

/// Weights of places `(digit, slot)`.
type Places<A> = BTreeMap<(usize, usize), <A as Arithmetic>::Element>;

/// Factors whose products are summed.
type Pairs<A> = Vec<(<A as Arithmetic>::Element, <A as Arithmetic>::Element)>;

/// The structure did not find what it has itself asked for.
fn missing() -> Rejected {
    Rejected::Check {
        check: "the structure of the matrices",
    }
}

fn get<K: Ord, V: Clone>(map: &BTreeMap<K, V>, key: &K) -> Result<V, Rejected> {
    map.get(key).cloned().ok_or_else(missing)
}

/// `root eq(point, b)` for the corners `b` that are needed: a product a node that has a needed
/// child, most significant variable first.
fn leaves<A: Arithmetic>(
    arithmetic: &mut A,
    root: &A::Element,
    point: &[A::Element],
    needed: &BTreeSet<usize>,
) -> Result<BTreeMap<usize, A::Element>, A::Error> {
    let mut nodes = BTreeMap::from([(0, root.clone())]);
    for (i, r) in point.iter().enumerate() {
        let below = point.len() - 1 - i;
        let prefixes: BTreeSet<usize> = needed.iter().map(|b| b >> below).collect();
        let mut next = BTreeMap::new();
        for (parent, node) in nodes {
            let children = [2 * parent, 2 * parent + 1];
            if !children.iter().any(|child| prefixes.contains(child)) {
                continue;
            }
            let high = arithmetic.multiply("eq", &node, r)?;
            let low = arithmetic.sub(&node, &high);
            let children = children.into_iter().zip([low, high]);
            next.extend(children.filter(|(child, _)| prefixes.contains(child)));
        }
        nodes = next;
    }
    Ok(nodes)
}

/// All of [`leaves`] in order.
fn table<A: Arithmetic>(
    arithmetic: &mut A,
    root: &A::Element,
    point: &[A::Element],
) -> Result<Vec<A::Element>, A::Error> {
    let needed = (0..1 << point.len()).collect();
    Ok(leaves(arithmetic, root, point, &needed)?
        .into_values()
        .collect())
}

/// `prod_i factors_i` as a balanced tree, so that short factors meet first.
fn product<A: Arithmetic>(
    arithmetic: &mut A,
    factors: Vec<A::Element>,
) -> Result<A::Element, A::Error> {
    let mut factors = factors;
    while factors.len() > 1 {
        let mut next = Vec::with_capacity(factors.len().div_ceil(2));
        for pair in factors.chunks(2) {
            next.push(match pair {
                [a, b] => arithmetic.multiply("product", a, b)?,
                rest => rest.first().cloned().ok_or_else(missing)?,
            });
        }
        factors = next;
    }
    Ok(factors
        .pop()
        .unwrap_or_else(|| arithmetic.constant(A::Field::ONE)))
}

/// `sum_i v_i x_i`.
fn combination<A: Arithmetic>(
    arithmetic: &mut A,
    terms: &[(A::Field, A::Element)],
) -> Result<A::Element, A::Error> {
    let pairs: Vec<_> = terms
        .iter()
        .map(|(v, x)| (arithmetic.constant(*v), x.clone()))
        .collect();
    arithmetic.inner_product("combination", &pairs)
}

/// The two ways in which a pair of bits can differ or agree.
struct BitPair<E> {
    /// `x y + (1 - x)(1 - y)`.
    equal: E,
    /// `x (1 - y)`.
    above: E,
    /// `(1 - x) y`.
    below: E,
}

fn bit_pair<A: Arithmetic>(
    arithmetic: &mut A,
    x: &A::Element,
    y: &A::Element,
) -> Result<BitPair<A::Element>, A::Error> {
    let both = arithmetic.multiply("x y", x, y)?;
    let above = arithmetic.sub(x, &both);
    let below = arithmetic.sub(y, &both);
    let differ = arithmetic.add(&above, &below);
    let equal = arithmetic.sub(&arithmetic.constant(A::Field::ONE), &differ);
    Ok(BitPair {
        equal,
        above,
        below,
    })
}

/// `(eq(x, y), next(x, y))` with `next(x, y) = sum_(t >= 1) eq(x, t) eq(y, t - 1)`.
///
/// From the high bits down: `t - 1` differs from `t` in the low bit only if that is 1 in `t`;
/// otherwise the bit is 0 in `t`, 1 in `t - 1`, and the bits above are one apart.
fn diagonals<A: Arithmetic>(
    arithmetic: &mut A,
    x: &[A::Element],
    y: &[A::Element],
) -> Result<(A::Element, A::Element), A::Error> {
    let mut equal = arithmetic.constant(A::Field::ONE);
    let mut next = arithmetic.constant(A::Field::ZERO);
    for (x, y) in x.iter().zip(y) {
        let bits = bit_pair(arithmetic, x, y)?;
        let pairs = [(equal.clone(), bits.above), (next, bits.below)];
        next = arithmetic.inner_product("next", &pairs)?;
        equal = arithmetic.multiply("equal", &equal, &bits.equal)?;
    }
    Ok((equal, next))
}

/// `sum_t 2^(T - 1 - t) eq(point, t)`: a factor `2^w (1 - x) + x` for a bit of weight `w`.
fn powers<A: Arithmetic>(arithmetic: &mut A, point: &[A::Element]) -> Result<A::Element, A::Error> {
    let one = arithmetic.constant(A::Field::ONE);
    let mut factors = Vec::with_capacity(point.len());
    for (i, x) in point.iter().enumerate().rev() {
        let weight = power_of_two::<A::Field>(1 << (point.len() - 1 - i));
        let terms = [(weight, one.clone()), (A::Field::ONE - weight, x.clone())];
        factors.push(combination(arithmetic, &terms)?);
    }
    product(arithmetic, factors)
}

/// The digits that occur in several slots, and for each slot the digits that occur only there.
#[derive(Default)]
struct Usage {
    shared: BTreeSet<usize>,
    slots: BTreeMap<usize, BTreeSet<usize>>,
}

impl Usage {
    fn new(places: &BTreeSet<(usize, usize)>) -> Self {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for (digit, _) in places {
            *counts.entry(*digit).or_default() += 1;
        }
        let mut usage = Usage::default();
        for (digit, slot) in places {
            if counts.get(digit).is_some_and(|count| *count > 1) {
                usage.shared.insert(*digit);
            } else {
                usage.slots.entry(*slot).or_default().insert(*digit);
            }
        }
        usage
    }

    /// `slots[s] eq(point, t)` for the digits of one slot.
    fn places<A: Arithmetic>(
        &self,
        arithmetic: &mut A,
        slots: &[A::Element],
        point: &[A::Element],
    ) -> Result<Places<A>, A::Error> {
        let mut places = BTreeMap::new();
        for (slot, digits) in &self.slots {
            let root = slots.get(*slot).ok_or_else(missing)?;
            let found = leaves(arithmetic, root, point, digits)?;
            places.extend(found.into_iter().map(|(digit, x)| ((digit, *slot), x)));
        }
        Ok(places)
    }
}

/// The points, divided as the addresses are.
struct Points<'a, E> {
    operations: (&'a [E], &'a [E]),
    digits: (&'a [E], &'a [E]),
    slots: (&'a [E], &'a [E]),
    /// The bit between witness and public values.
    block: &'a E,
    /// The bits that are zero in the addresses of public values.
    zeros: &'a [E],
    public: &'a [E],
}

impl<'a, E> Points<'a, E> {
    fn new(layout: &Layout, rows: &'a [E], columns: &'a [E]) -> Option<Self> {
        let (block, columns) = columns.split_first()?;
        let (row_operations, rest) = rows.split_at_checked(layout.operations)?;
        let (row_digits, row_slots) = rest.split_at_checked(layout.digits)?;
        let (operations, rest) = columns.split_at_checked(layout.operations)?;
        let (digits, slots) = rest.split_at_checked(layout.digits)?;
        let zeros = layout.row_bits().checked_sub(layout.public)?;
        let (zeros, public) = columns.split_at_checked(zeros)?;
        Some(Points {
            operations: (row_operations, operations),
            digits: (row_digits, digits),
            slots: (row_slots, slots),
            block,
            zeros,
            public,
        })
    }
}

/// The extensions of columns; see [`Column`].
struct Columns<'a, A: Arithmetic> {
    layout: &'a Layout,
    /// eq of the row's operation bits.
    operations: Vec<A::Element>,
    /// eq of the column's operation bits, in the witness block.
    column_operations: BTreeMap<usize, A::Element>,
    /// eq of the column's slot bits.
    slots: &'a [A::Element],
    /// eq of the column's digit and slot bits.
    places: Places<A>,
    /// The weighted sum over digits.
    powers: A::Element,
    public: BTreeMap<usize, A::Element>,
}

impl<A: Arithmetic> Columns<'_, A> {
    fn extension(&self, arithmetic: &mut A, column: &Column) -> Result<A::Element, A::Error> {
        match column {
            Column::Same { digit, slot } => Ok(get(&self.places, &(*digit, *slot))?),
            Column::Powers { slot } => {
                let slot = self.slots.get(*slot).ok_or_else(missing)?;
                arithmetic.multiply("powers", &self.powers, slot)
            }
            Column::Linked { first } => {
                let mut pairs = Vec::with_capacity(self.operations.len());
                for (o, weight) in self.operations.iter().enumerate() {
                    let public = get(&self.public, &(first + self.layout.stride * o))?;
                    pairs.push((weight.clone(), public));
                }
                arithmetic.inner_product("linked", &pairs)
            }
            Column::Fixed { place, operations } => {
                let place = self.place(arithmetic, *place)?;
                if operations.len() == self.operations.len() {
                    return Ok(place);
                }
                let mut weight = arithmetic.constant(A::Field::ZERO);
                for o in operations {
                    let operation = self.operations.get(*o).ok_or_else(missing)?;
                    weight = arithmetic.add(&weight, operation);
                }
                arithmetic.multiply("some operations", &weight, &place)
            }
        }
    }

    fn place(&self, arithmetic: &mut A, place: Place) -> Result<A::Element, A::Error> {
        match place {
            Place::Public(i) => Ok(get(&self.public, &i)?),
            Place::Witness(Address {
                operation,
                digit,
                slot,
            }) => {
                let operation = get(&self.column_operations, &operation)?;
                let place = get(&self.places, &(digit, slot))?;
                arithmetic.multiply("fixed column", &operation, &place)
            }
        }
    }
}

/// The tables that columns need.
#[derive(Default)]
struct Needed {
    operations: BTreeSet<usize>,
    places: BTreeSet<(usize, usize)>,
    public: BTreeSet<usize>,
}

impl Needed {
    fn new(layout: &Layout, columns: &BTreeSet<Column>) -> Self {
        let mut needed = Needed::default();
        for column in columns {
            match column {
                Column::Same { digit, slot } => {
                    needed.places.insert((*digit, *slot));
                }
                Column::Powers { .. } => {}
                Column::Linked { first } => {
                    let operations = 0..1 << layout.operations;
                    let public = operations.map(|o| first + layout.stride * o);
                    needed.public.extend(public);
                }
                Column::Fixed { place, .. } => match place {
                    Place::Public(i) => {
                        needed.public.insert(*i);
                    }
                    Place::Witness(address) => {
                        needed.operations.insert(address.operation);
                        needed.places.insert((address.digit, address.slot));
                    }
                },
            }
        }
        needed
    }
}

impl<A: Arithmetic> Tables<A> {
    fn new(
        arithmetic: &mut A,
        matrices: &StructuredMatrices<A::Field>,
        rows: &[A::Element],
        columns: &[A::Element],
    ) -> Result<Self, A::Error> {
        let layout = &matrices.layout;
        let points = Points::new(layout, rows, columns).ok_or_else(missing)?;
        let one = arithmetic.constant(A::Field::ONE);
        let slots = table(arithmetic, &one, points.slots.0)?;
        let column_slots = table(arithmetic, &one, points.slots.1)?;
        let witness = arithmetic.sub(&one, points.block);
        let (row_operations, operations) = points.operations;
        let mut factors = vec![witness.clone()];
        for (x, y) in row_operations.iter().zip(operations) {
            factors.push(bit_pair(arithmetic, x, y)?.equal);
        }
        let same_operation = product(arithmetic, factors)?;
        let (same_digit, next_digit) = diagonals(arithmetic, points.digits.0, points.digits.1)?;

        let single = || matrices.matrices.iter().flat_map(|parts| &parts.single);
        let places = single().filter_map(|(digit, slot, _, _)| Some(((*digit)?, *slot)));
        let usage = Usage::new(&places.collect());
        let rows = usage.places(arithmetic, &slots, points.digits.0)?;
        let digits = leaves(arithmetic, &one, points.digits.0, &usage.shared)?;
        let columns = single().map(|(_, _, column, _)| column.clone()).collect();
        let columns = extensions(arithmetic, layout, &points, &column_slots, &columns)?;
        Ok(Tables {
            slots,
            column_slots,
            same_operation,
            same_digit,
            next_digit,
            rows,
            digits,
            columns,
        })
    }

    /// The extension of one matrix.
    fn matrix(&self, arithmetic: &mut A, parts: &Parts<A::Field>) -> Result<A::Element, A::Error> {
        let local = self.bilinear(arithmetic, &parts.local)?;
        let shift = self.bilinear(arithmetic, &parts.shift)?;
        let mut pairs = vec![
            (self.same_digit.clone(), local),
            (self.next_digit.clone(), shift),
        ];
        pairs.extend(self.single(arithmetic, parts, true)?);
        let diagonal = arithmetic.inner_product("same operation", &pairs)?;
        let mut pairs = vec![(self.same_operation.clone(), diagonal)];
        pairs.extend(self.single(arithmetic, parts, false)?);
        arithmetic.inner_product("matrix", &pairs)
    }

    /// `sum v X_s Y_s'`.
    fn bilinear(
        &self,
        arithmetic: &mut A,
        entries: &[SlotEntry<A::Field>],
    ) -> Result<A::Element, A::Error> {
        let mut rows: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for (s, to, value) in entries {
            let column = self.column_slots.get(*to).ok_or_else(missing)?;
            rows.entry(*s).or_default().push((*value, column.clone()));
        }
        let mut pairs = Vec::new();
        for (s, terms) in rows {
            let row = self.slots.get(s).ok_or_else(missing)?;
            pairs.push((row.clone(), combination(arithmetic, &terms)?));
        }
        arithmetic.inner_product("slots", &pairs)
    }

    /// Pairs whose products add up to the single rows, of diagonal columns or of the others.
    fn single(
        &self,
        arithmetic: &mut A,
        parts: &Parts<A::Field>,
        diagonal: bool,
    ) -> Result<Pairs<A>, A::Error> {
        let mut rows: BTreeMap<Digit, BTreeMap<usize, Vec<_>>> = BTreeMap::new();
        let single = parts.single.iter();
        for (digit, slot, column, value) in single.filter(|x| x.2.is_diagonal() == diagonal) {
            let extension = get(&self.columns, column)?;
            let slots = rows.entry(*digit).or_default();
            slots.entry(*slot).or_default().push((*value, extension));
        }
        let mut pairs = Vec::new();
        for (digit, slots) in rows {
            let shared = digit.and_then(|digit| self.digits.get(&digit));
            let mut within = Vec::new();
            for (slot, terms) in slots {
                let terms = combination(arithmetic, &terms)?;
                let lone = digit.and_then(|digit| self.rows.get(&(digit, slot)));
                match lone {
                    Some(row) => pairs.push((row.clone(), terms)),
                    None => within.push((self.slots.get(slot).ok_or_else(missing)?.clone(), terms)),
                }
            }
            match shared {
                Some(weight) => {
                    let sum = arithmetic.inner_product("rows of a digit", &within)?;
                    pairs.push((weight.clone(), sum));
                }
                None => pairs.extend(within),
            }
        }
        Ok(pairs)
    }
}

/// The extensions of all columns.
fn extensions<A: Arithmetic>(
    arithmetic: &mut A,
    layout: &Layout,
    points: &Points<'_, A::Element>,
    slots: &[A::Element],
    columns: &BTreeSet<Column>,
) -> Result<BTreeMap<Column, A::Element>, A::Error> {
    let one = arithmetic.constant(A::Field::ONE);
    let needed = Needed::new(layout, columns);
    let usage = Usage::new(&needed.places);
    let mut places = usage.places(arithmetic, slots, points.digits.1)?;
    let shared = leaves(arithmetic, &one, points.digits.1, &usage.shared)?;
    for (digit, slot) in &needed.places {
        if let Some(digit_weight) = shared.get(digit) {
            let slot_weight = slots.get(*slot).ok_or_else(missing)?;
            let place = arithmetic.multiply("column", digit_weight, slot_weight)?;
            places.insert((*digit, *slot), place);
        }
    }
    let mut factors = vec![points.block.clone()];
    factors.extend(points.zeros.iter().map(|zero| arithmetic.sub(&one, zero)));
    let root = product(arithmetic, factors)?;
    let witness = arithmetic.sub(&one, points.block);
    let has_powers = columns.iter().any(|x| matches!(x, Column::Powers { .. }));
    let tables = Columns {
        layout,
        operations: table(arithmetic, &one, points.operations.0)?,
        column_operations: leaves(
            arithmetic,
            &witness,
            points.operations.1,
            &needed.operations,
        )?,
        slots,
        places,
        powers: match has_powers {
            true => powers(arithmetic, points.digits.1)?,
            false => one.clone(),
        },
        public: leaves(arithmetic, &root, points.public, &needed.public)?,
    };
    let mut extensions = BTreeMap::new();
    for column in columns {
        let extension = tables.extension(arithmetic, column)?;
        extensions.insert(column.clone(), extension);
    }
    Ok(extensions)
}

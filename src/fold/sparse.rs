//! Sparse matrices whose coefficients are numbered.
//!
//! Circuits repeat gadgets, so a matrix has far fewer coefficients than entries. An entry keeps the
//! number of its coefficient and takes 8 bytes instead of 40, which saves memory and the time to
//! read it. The matrices of a shape share their coefficients; number 0 is one and number 1 is minus
//! one, which cost no multiplication.

use crate::fold::error::FoldError;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::to_bytes;
use std::collections::HashMap;

/// The number of the coefficient one.
const ONE: u32 = 0;

/// The number of the coefficient minus one.
const MINUS_ONE: u32 = 1;

/// A matrix, row by row.
#[derive(Clone, Debug)]
pub(crate) struct Sparse {
    /// Where each row starts, and the last ends.
    starts: Vec<u32>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    column: u32,
    coefficient: u32,
}

impl Sparse {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries of a row; none of a row that there is not.
    fn row(&self, row: usize) -> &[Entry] {
        let bounds = self.starts.get(row).zip(self.starts.get(row + 1));
        let entries =
            bounds.and_then(|(start, end)| self.entries.get(*start as usize..*end as usize));
        entries.unwrap_or_default()
    }

    /// The entries as `(row, column, value)`, row by row.
    pub fn iter<'a, F: CircuitField>(
        &'a self,
        coefficients: &'a [F],
    ) -> impl Iterator<Item = (usize, usize, F)> + 'a {
        let value = |entry: &Entry| coefficients.get(entry.coefficient as usize).copied();
        (0..self.rows()).flat_map(move |row| {
            let entries = self.row(row).iter();
            entries.map(move |e| (row, e.column as usize, value(e).unwrap_or(F::ZERO)))
        })
    }

    /// The product of a row and a vector as long as the matrix is wide.
    pub fn row_product<F: CircuitField>(&self, row: usize, coefficients: &[F], vector: &[F]) -> F {
        let mut sum = F::ZERO;
        for entry in self.row(row) {
            let value = &vector[entry.column as usize];
            match entry.coefficient {
                ONE => sum += value,
                MINUS_ONE => sum -= value,
                number => sum += coefficients[number as usize] * value,
            }
        }
        sum
    }
}

/// Numbers the coefficients of matrices of the same size.
pub(crate) struct Builder<F> {
    rows: usize,
    columns: usize,
    coefficients: Vec<F>,
    numbers: HashMap<[u8; 32], u32>,
}

impl<F: CircuitField> Builder<F> {
    /// For matrices of this size.
    pub fn new(rows: usize, columns: usize) -> Self {
        let coefficients = vec![F::ONE, -F::ONE];
        let numbers = coefficients.iter().map(to_bytes).zip(0..).collect();
        Builder {
            rows,
            columns,
            coefficients,
            numbers,
        }
    }

    /// The matrix of `(row, column, value)` entries in ascending order, no two at one place.
    ///
    /// # Errors
    /// [`FoldError::Shape`] for entries outside the matrix or not in order, and for sizes beyond
    /// 32 bits.
    pub fn matrix(&mut self, entries: &[(usize, usize, F)]) -> Result<Sparse, FoldError> {
        let shape = |message: String| FoldError::Shape(message);
        let ordered = entries
            .windows(2)
            .all(|pair| (pair[0].0, pair[0].1) < (pair[1].0, pair[1].1));
        if !ordered {
            return Err(shape(
                "the entries of a matrix are not in ascending order".into(),
            ));
        }
        let limit = u32::MAX as usize;
        if entries.len() > limit || self.columns > limit {
            let (got, columns) = (entries.len(), self.columns);
            let message = format!("{got} entries in {columns} columns, of at most {limit} each");
            return Err(shape(message));
        }
        let mut starts = Vec::with_capacity(self.rows + 1);
        let mut placed = Vec::with_capacity(entries.len());
        for (row, column, value) in entries {
            if *row >= self.rows || *column >= self.columns {
                let (rows, columns) = (self.rows, self.columns);
                let message = format!("entry ({row}, {column}) outside {rows} x {columns}");
                return Err(shape(message));
            }
            starts.resize(row + 1, placed.len() as u32);
            placed.push(Entry {
                column: *column as u32,
                coefficient: self.number(value),
            });
        }
        starts.resize(self.rows + 1, placed.len() as u32);
        Ok(Sparse {
            starts,
            entries: placed,
        })
    }

    fn number(&mut self, value: &F) -> u32 {
        let coefficients = &mut self.coefficients;
        *self.numbers.entry(to_bytes(value)).or_insert_with(|| {
            coefficients.push(*value);
            coefficients.len() as u32 - 1
        })
    }

    /// The coefficients by number.
    pub fn into_coefficients(self) -> Vec<F> {
        self.coefficients
    }
}

#[cfg(test)]
mod tests {
    use super::Builder;
    use ff::Field;
    use halo2curves::bn256::Fr;

    fn entries() -> Vec<(usize, usize, Fr)> {
        let five = Fr::from(5);
        vec![
            (1, 0, Fr::ONE),
            (1, 2, five),
            (3, 1, -Fr::ONE),
            (3, 2, five),
            (3, 3, -five),
        ]
    }

    #[test]
    fn rows_are_multiplied_and_listed() {
        let mut builder = Builder::new(5, 4);
        let matrix = builder.matrix(&entries()).unwrap();
        let other = builder.matrix(&[(0, 3, Fr::from(5))]).unwrap();
        let coefficients = builder.into_coefficients();
        assert_eq!(coefficients.len(), 4);
        let z = [2, 3, 7, 11].map(Fr::from);
        let product = |row| matrix.row_product(row, &coefficients, &z);
        let expected = [0, 37, 0, -23, 0].map(foldnet_gadgets::field::from_i64::<Fr>);
        assert_eq!([0, 1, 2, 3, 4].map(product), expected);
        assert_eq!(other.row_product(0, &coefficients, &z), Fr::from(55));
        assert_eq!(matrix.iter(&coefficients).collect::<Vec<_>>(), entries());
        assert_eq!((matrix.rows(), matrix.len()), (5, 5));
    }

    #[test]
    fn entries_out_of_place_are_refused() {
        for (i, entry) in [
            (0, (5, 0, Fr::ONE)),
            (0, (1, 4, Fr::ONE)),
            (1, (1, 0, Fr::ONE)),
            (1, (0, 3, Fr::ONE)),
        ] {
            let mut list = entries();
            list.truncate(i);
            list.push(entry);
            assert!(Builder::new(5, 4).matrix(&list).is_err(), "{entry:?}");
        }
    }
}

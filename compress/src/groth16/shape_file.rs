//! A circuit's constraints on disk, so that they are synthesised once.
//!
//! ```text
//! magic (8)  version (4)  rows (8)  inputs (8)  auxiliary (8)  coefficients (8)  terms (3 x 8)
//! coefficients (32 each)
//! for each matrix: row ends (8 each)  columns (4 each)  values (4 each)
//! digest of the circuit (32)
//! ```
//!
//! Numbers are little-endian. The digest is recomputed from what was read, so that a file is that of
//! the circuit which it names or an error.

use super::circuit::{Digest, LARGEST_INDEX, SparseMatrix};
use super::{Error, Fr, Shape, replace_file};
use foldnet_gadgets::field::{from_bytes, to_bytes};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

/// First bytes of the file.
const MAGIC: [u8; 8] = *b"FNG16cir";
const VERSION: u32 = 1;
const WHAT: &str = "circuit file";
/// Bytes before the coefficients.
const HEADER: u64 = 68;
/// Bytes of the digest at the end.
const TRAILER: u64 = 32;

impl Shape {
    /// Writes the constraints to a file that is there whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        replace_file(path, |writer| {
            self.write(writer).map_err(Error::io("writing a circuit"))
        })
    }

    fn write(&self, writer: &mut dyn Write) -> std::io::Result<()> {
        writer.write_all(&MAGIC)?;
        writer.write_all(&VERSION.to_le_bytes())?;
        let counts = [self.rows(), self.inputs(), self.auxiliary()];
        let terms = self.matrices().each_ref().map(SparseMatrix::terms);
        let lengths = counts.into_iter().chain([self.coefficients().len()]);
        for number in lengths.chain(terms) {
            writer.write_all(&(number as u64).to_le_bytes())?;
        }
        for coefficient in self.coefficients() {
            writer.write_all(&to_bytes(coefficient))?;
        }
        for matrix in self.matrices() {
            for end in &matrix.ends {
                writer.write_all(&(*end as u64).to_le_bytes())?;
            }
            for part in [&matrix.columns, &matrix.values] {
                for number in part {
                    writer.write_all(&number.to_le_bytes())?;
                }
            }
        }
        writer.write_all(&self.digest().0)
    }

    /// Reads the constraints.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Foreign`], [`Error::Version`], [`Error::Field`] for a file that is
    /// truncated or altered, or has more variables than a circuit may have.
    pub fn load(path: &Path) -> Result<Shape, Error> {
        let opening = Error::io("opening a circuit");
        let file = File::open(path).map_err(opening)?;
        let length = file
            .metadata()
            .map_err(Error::io("reading a circuit"))?
            .len();
        let mut reader = Reader(BufReader::with_capacity(1 << 20, file));
        let shape = reader.shape(length)?;
        let digest = Digest(reader.array()?);
        Error::field("digest of the circuit", digest, *shape.digest())?;
        Ok(shape)
    }
}

struct Reader<R>(R);

impl<R: Read> Reader<R> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        let read = self.0.read_exact(&mut bytes);
        read.map_err(Error::io("reading a circuit"))?;
        Ok(bytes)
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<u32>, Error> {
        (0..count)
            .map(|_| Ok(u32::from_le_bytes(self.array()?)))
            .collect()
    }

    /// Everything but the digest. Nothing is allocated before the counts fit the file's length.
    fn shape(&mut self, length: u64) -> Result<Shape, Error> {
        let got: [u8; 8] = self.array()?;
        if got != MAGIC {
            return Err(Error::Foreign {
                expected: WHAT,
                got: got.iter().map(|byte| format!("{byte:02x}")).collect(),
            });
        }
        let got = u32::from_le_bytes(self.array()?);
        if got != VERSION {
            return Err(Error::Version {
                what: WHAT,
                expected: VERSION,
                got,
            });
        }
        let mut counts = [0u64; 7];
        for count in &mut counts {
            *count = u64::from_le_bytes(self.array()?);
        }
        Error::field("length of the circuit file", file_length(&counts), length)?;
        let [rows, inputs, auxiliary, coefficients, terms @ ..] = counts.map(|n| n as usize);
        // The length says nothing about variables: an unused one takes no bytes.
        let columns = inputs.saturating_add(auxiliary).saturating_add(1);
        if columns > LARGEST_INDEX {
            return Err(Error::Field {
                what: "variables of the circuit file",
                expected: format!("at most {LARGEST_INDEX}"),
                got: columns.to_string(),
            });
        }
        let values = (0..coefficients).map(|_| {
            let value = from_bytes(&self.array()?);
            value.ok_or(Error::Field {
                what: "coefficient",
                expected: "below the modulus".into(),
                got: "a larger number".into(),
            })
        });
        let values: Vec<Fr> = values.collect::<Result<_, _>>()?;
        let limits = [columns, coefficients];
        let [a, b, c] = terms;
        let matrices = [
            self.matrix(rows, a, limits)?,
            self.matrix(rows, b, limits)?,
            self.matrix(rows, c, limits)?,
        ];
        Ok(Shape::from_parts(
            [rows, inputs, auxiliary],
            matrices,
            values,
        ))
    }

    fn matrix(
        &mut self,
        rows: usize,
        terms: usize,
        [columns, coefficients]: [usize; 2],
    ) -> Result<SparseMatrix, Error> {
        let ends = (0..=rows).map(|_| Ok(u64::from_le_bytes(self.array()?) as usize));
        let ends: Vec<usize> = ends.collect::<Result<_, Error>>()?;
        let matrix = SparseMatrix {
            ends,
            columns: self.numbers(terms)?,
            values: self.numbers(terms)?,
        };
        let below = |list: &[u32], limit: usize| list.iter().all(|n| (*n as usize) < limit);
        let ordered = matrix.ends.is_sorted()
            && matrix.ends.first() == Some(&0)
            && matrix.ends.last() == Some(&terms);
        let valid = below(&matrix.columns, columns) && below(&matrix.values, coefficients);
        Error::field("matrix of the circuit file", true, ordered && valid)?;
        Ok(matrix)
    }
}

/// The length that the counts ask for; saturates on absurd ones.
fn file_length([rows, _, _, coefficients, terms @ ..]: &[u64; 7]) -> u64 {
    let ends = rows.saturating_add(1).saturating_mul(3 * 8);
    let terms = terms
        .iter()
        .fold(0u64, |sum, n| sum.saturating_add(n.saturating_mul(8)));
    (HEADER + TRAILER)
        .saturating_add(coefficients.saturating_mul(32))
        .saturating_add(ends)
        .saturating_add(terms)
}

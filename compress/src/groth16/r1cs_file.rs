//! A circuit as an iden3 `.r1cs` file, the input of a `snarkjs` ceremony.
//!
//! Format: the "R1CS binary format" specification of iden3, version 1. Wires are the columns of
//! the shape: the constant one, the public inputs, the auxiliary variables.

use super::circuit::SparseMatrix;
use super::{Error, Fr, Shape};
use ff::PrimeField;
use foldnet_gadgets::field::to_bytes;
use std::io::{self, Write};

const FIELD_BYTES: u32 = 32;
const TERM: u64 = 4 + FIELD_BYTES as u64;

/// Writes the constraints of `shape`.
///
/// # Errors
/// [`Error::TooLarge`] when the counts do not fit the format, [`Error::Io`].
pub fn write_r1cs(shape: &Shape, writer: &mut impl Write) -> Result<(), Error> {
    let counts = Counts::of(shape)?;
    write_sections(shape, &counts, writer).map_err(Error::io("writing a circuit"))
}

struct Counts {
    rows: u32,
    wires: u32,
    inputs: u32,
    auxiliary: u32,
}

impl Counts {
    fn of(shape: &Shape) -> Result<Counts, Error> {
        let count = |n: usize| {
            u32::try_from(n).map_err(|_| Error::TooLarge {
                rows: n,
                limit: Fr::S - 1,
            })
        };
        Ok(Counts {
            rows: count(shape.rows())?,
            wires: count(shape.variables())?,
            inputs: count(shape.inputs())?,
            auxiliary: count(shape.auxiliary())?,
        })
    }
}

fn write_sections(shape: &Shape, counts: &Counts, writer: &mut impl Write) -> io::Result<()> {
    writer.write_all(b"r1cs")?;
    write_numbers(writer, &[1, 3])?;
    write_header(counts, writer)?;
    write_constraints(shape, writer)?;
    write_labels(counts, writer)
}

fn write_numbers(writer: &mut impl Write, numbers: &[u32]) -> io::Result<()> {
    numbers
        .iter()
        .try_for_each(|number| writer.write_all(&number.to_le_bytes()))
}

fn start_section(writer: &mut impl Write, id: u32, bytes: u64) -> io::Result<()> {
    write_numbers(writer, &[id])?;
    writer.write_all(&bytes.to_le_bytes())
}

fn write_header(counts: &Counts, writer: &mut impl Write) -> io::Result<()> {
    start_section(writer, 1, 64)?;
    write_numbers(writer, &[FIELD_BYTES])?;
    writer.write_all(&modulus::<Fr>())?;
    // No outputs: all public values are inputs.
    write_numbers(writer, &[counts.wires, 0, counts.inputs, counts.auxiliary])?;
    writer.write_all(&u64::from(counts.wires).to_le_bytes())?;
    write_numbers(writer, &[counts.rows])
}

/// The modulus of a field, little-endian: p - 1 is even, so adding one does not carry.
pub(super) fn modulus<F: PrimeField<Repr: AsRef<[u8]>>>() -> [u8; 32] {
    let mut bytes = [0; 32];
    for (target, source) in bytes.iter_mut().zip((-F::ONE).to_repr().as_ref()) {
        *target = *source;
    }
    bytes[0] += 1;
    bytes
}

fn write_constraints(shape: &Shape, writer: &mut impl Write) -> io::Result<()> {
    let bytes = shape.rows() as u64 * 12 + shape.terms() as u64 * TERM;
    start_section(writer, 2, bytes)?;
    let coefficients: Vec<[u8; 32]> = shape.coefficients().iter().map(to_bytes).collect();
    for row in 0..shape.rows() {
        for matrix in shape.matrices() {
            write_terms(matrix, row, &coefficients, writer)?;
        }
    }
    Ok(())
}

fn write_terms(
    matrix: &SparseMatrix,
    row: usize,
    coefficients: &[[u8; 32]],
    writer: &mut impl Write,
) -> io::Result<()> {
    let terms = matrix.row(row);
    write_numbers(writer, &[terms.len() as u32])?;
    for (column, value) in terms {
        write_numbers(writer, &[column])?;
        writer.write_all(&coefficients[value as usize])?;
    }
    Ok(())
}

fn write_labels(counts: &Counts, writer: &mut impl Write) -> io::Result<()> {
    start_section(writer, 3, 8 * u64::from(counts.wires))?;
    (0..u64::from(counts.wires)).try_for_each(|wire| writer.write_all(&wire.to_le_bytes()))
}

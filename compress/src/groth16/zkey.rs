//! The `.zkey` file that a `snarkjs` Groth16 ceremony ends with.
//!
//! Layout: the container of `@iden3/binfileutils` with sections 1 (protocol), 2 (sizes and
//! points), 3 (public inputs), 4 (matrices A and B), 5 A, 6 B in G1, 7 B in G2, 8 auxiliary,
//! 9 quotient, 10 contributions. Points are in Montgomery form, as in our own files; coefficients
//! are multiplied by R^2.

use super::key_file::{G1_BYTES, G2_BYTES};
use super::keys::{ProvingParts, VerifyingParts};
use super::points::{check_g1, check_g2, check_same, in_subgroup, invalid, on_curve};
use super::r1cs_file::modulus;
use super::reduction::Domain;
use super::{Error, Fr, ProvingKey, Shape};
use ff::Field;
use foldnet_gadgets::field::to_bytes;
use halo2curves::bn256::{Fq, G1Affine, G2Affine};
use halo2curves::serde::SerdeObject;
use num_bigint::BigUint;
use rayon::prelude::*;
use std::io::{Read, Seek, SeekFrom};

const FORMAT: &str = "zkey file";
const VERSION: u32 = 1;
const GROTH16: u32 = 1;
const SECTIONS: usize = 10;
const MOST_SECTIONS: u32 = 64;
const SIZES_SECTION: u64 = 4 + 32 + 4 + 32 + 12 + 3 * G1_BYTES + 3 * G2_BYTES;
const COEFFICIENT: usize = 44;
const CONTRIBUTION: u64 = 3 * G1_BYTES + G2_BYTES + 64 + 8;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// Reads the key that a ceremony made for `shape`, which was exported with
/// [`super::write_r1cs`].
///
/// Checked: curve, sizes, matrices A and B with their consistency rows, every point (on its curve;
/// in G2 also in the subgroup), that beta and delta are the same in both groups, that gamma is the
/// generator, and that the last contribution led to delta. A key without contributions, or with
/// `delta = gamma`, is marked insecure: delta is public, and whoever knows it can prove anything.
/// Powers of tau without contributions have tau = 1, which makes public inputs infinity: refused.
///
/// Not checked: matrix C, which a `.zkey` holds only in its points, and the contributions
/// themselves. That needs the powers of tau: run `snarkjs zkey verify` with the exported circuit.
///
/// # Errors
/// When the file is not a Groth16 key for this circuit, is cut off, or holds unusable points.
pub fn import_zkey(reader: impl Read + Seek, shape: &Shape) -> Result<ProvingKey, Error> {
    let mut file = Sections::read(reader)?;
    let domain = Domain::of(shape)?;
    file.check_protocol()?;
    let fixed = file.fixed(shape, &domain)?;
    file.check_matrices(shape)?;
    let secure = file.secure(&fixed)?;
    let verifying = VerifyingParts {
        alpha: fixed.alpha,
        beta: fixed.beta_twisted,
        gamma: fixed.gamma,
        delta: fixed.delta_twisted,
        inputs: file.points(3, 1 + shape.inputs())?,
    };
    verifying.check()?;
    let variables = shape.variables();
    let proving = ProvingParts {
        beta: fixed.beta,
        delta: fixed.delta,
        a: file.points(5, variables)?,
        b: file.points(6, variables)?,
        b_twisted: file.points(7, variables)?,
        auxiliary: file.points(8, shape.auxiliary())?,
        quotient: file.points(9, domain.size())?,
    };
    ProvingKey::from_parts(shape, !secure, verifying, proving)
}

/// A point as the sections hold it.
trait Stored: SerdeObject + Send + Sync + Copy {
    const BYTES: u64;
    fn usable(&self) -> bool;
}

impl Stored for G1Affine {
    const BYTES: u64 = G1_BYTES;
    fn usable(&self) -> bool {
        on_curve(self)
    }
}

impl Stored for G2Affine {
    const BYTES: u64 = G2_BYTES;
    fn usable(&self) -> bool {
        on_curve(self) && in_subgroup(self)
    }
}

/// Decodes points and checks each; infinity is allowed.
fn decode<P: Stored>(bytes: &[u8]) -> Result<Vec<P>, Error> {
    bytes
        .par_chunks_exact(P::BYTES as usize)
        .map(|mut bytes| {
            P::read_raw(&mut bytes)
                .ok()
                .filter(P::usable)
                .ok_or(invalid("a point of the zkey file", "not in its group"))
        })
        .collect()
}

/// The points of section 2.
struct Fixed {
    alpha: G1Affine,
    beta: G1Affine,
    beta_twisted: G2Affine,
    gamma: G2Affine,
    delta: G1Affine,
    delta_twisted: G2Affine,
}

impl Fixed {
    fn check(&self) -> Result<(), Error> {
        check_g1("alpha", &self.alpha)?;
        check_g1("beta in G1", &self.beta)?;
        check_g2("beta in G2", &self.beta_twisted)?;
        check_g1("delta in G1", &self.delta)?;
        check_g2("delta in G2", &self.delta_twisted)?;
        check_same("beta", &self.beta, &self.beta_twisted)?;
        check_same("delta", &self.delta, &self.delta_twisted)?;
        if self.gamma != G2Affine::generator() {
            return Err(invalid("gamma", "not the generator that ceremonies use"));
        }
        Ok(())
    }
}

/// Where each section of the file is: start and length, by section number minus one.
struct Sections<R> {
    reader: R,
    places: [(u64, u64); SECTIONS],
}

impl<R: Read + Seek> Sections<R> {
    fn read(mut reader: R) -> Result<Self, Error> {
        let length = seek(&mut reader, SeekFrom::End(0))?;
        seek(&mut reader, SeekFrom::Start(0))?;
        let count = read_start(&mut reader)?;
        let mut found = [None; SECTIONS];
        let mut position = 12;
        for _ in 0..count {
            let (id, size) = (
                number(&mut reader)?,
                u64::from_le_bytes(array(&mut reader)?),
            );
            let start = position + 12;
            position = section_end(start, size, length)?;
            seek(&mut reader, SeekFrom::Start(position))?;
            let place = (id as usize).checked_sub(1).and_then(|i| found.get_mut(i));
            if place.is_some_and(|place| place.replace((start, size)).is_some()) {
                return Err(field("sections of one number", 1, 2));
            }
        }
        let mut places = [(0, 0); SECTIONS];
        for (i, (target, place)) in places.iter_mut().zip(found).enumerate() {
            *target = place.ok_or_else(|| field("section", i + 1, "none"))?;
        }
        Ok(Sections { reader, places })
    }

    /// Goes to the start of a section of known length.
    fn enter(&mut self, section: usize, expected: u64) -> Result<(), Error> {
        let (start, got) = self.places[section - 1];
        if expected != got {
            return Err(Error::Length {
                what: SECTION_NAMES[section - 1],
                expected,
                got,
            });
        }
        seek(&mut self.reader, SeekFrom::Start(start)).map(|_| ())
    }

    fn check_protocol(&mut self) -> Result<(), Error> {
        self.enter(1, 4)?;
        Error::field(
            "protocol (1 is Groth16)",
            GROTH16,
            number(&mut self.reader)?,
        )
    }

    fn fixed(&mut self, shape: &Shape, domain: &Domain) -> Result<Fixed, Error> {
        self.enter(2, SIZES_SECTION)?;
        self.check_modulus("base field", modulus::<Fq>())?;
        self.check_modulus("scalar field", modulus::<Fr>())?;
        let sizes = [
            ("variables", shape.variables()),
            ("public inputs", shape.inputs()),
            ("domain size", domain.size()),
        ];
        for (what, expected) in sizes {
            let got = number(&mut self.reader)? as usize;
            Error::field(what, expected, got)?;
        }
        let fixed = Fixed {
            alpha: self.point()?,
            beta: self.point()?,
            beta_twisted: self.point()?,
            gamma: self.point()?,
            delta: self.point()?,
            delta_twisted: self.point()?,
        };
        fixed.check()?;
        Ok(fixed)
    }

    fn check_modulus(&mut self, what: &'static str, expected: [u8; 32]) -> Result<(), Error> {
        Error::field("bytes of a field element", 32, number(&mut self.reader)?)?;
        let got: [u8; 32] = array(&mut self.reader)?;
        Error::field(
            what,
            BigUint::from_bytes_le(&expected),
            BigUint::from_bytes_le(&got),
        )
    }

    fn point<P: Stored>(&mut self) -> Result<P, Error> {
        let bytes = bytes(&mut self.reader, P::BYTES as usize)?;
        let points = decode::<P>(&bytes)?;
        points
            .first()
            .copied()
            .ok_or(invalid("a point of the zkey file", "missing"))
    }

    fn points<P: Stored>(&mut self, section: usize, count: usize) -> Result<Vec<P>, Error> {
        self.enter(section, count as u64 * P::BYTES)?;
        let mut points = Vec::with_capacity(count);
        let chunk = CHUNK / P::BYTES as usize;
        while points.len() < count {
            let next = chunk.min(count - points.len());
            let bytes = bytes(&mut self.reader, next * P::BYTES as usize)?;
            points.extend(decode::<P>(&bytes)?);
        }
        Ok(points)
    }

    /// Compares section 4 with matrices A and B and with the consistency rows.
    fn check_matrices(&mut self, shape: &Shape) -> Result<(), Error> {
        let [a, b, _] = shape.matrices();
        let count = a.terms() + b.terms() + 1 + shape.inputs();
        self.enter(4, 4 + (count * COEFFICIENT) as u64)?;
        let got = number(&mut self.reader)? as usize;
        Error::field("entries of matrices A and B", count, got)?;
        let square = Fr::from(2).pow_vartime([512u64]);
        let values: Vec<[u8; 32]> = shape
            .coefficients()
            .iter()
            .map(|value| to_bytes(&(square * value)))
            .collect();
        let mut expected = expected_entries(shape);
        let mut left = count;
        while left > 0 {
            let next = (CHUNK / COEFFICIENT).min(left);
            let bytes = bytes(&mut self.reader, next * COEFFICIENT)?;
            // The iterator is on the right: a zip must not swallow one of its entries.
            for (got, entry) in bytes.chunks_exact(COEFFICIENT).zip(&mut expected) {
                check_entry(got, entry, &values)?;
            }
            left -= next;
        }
        Ok(())
    }

    /// Whether somebody contributed; the last contribution must have led to delta.
    fn secure(&mut self, fixed: &Fixed) -> Result<bool, Error> {
        let (start, size) = self.places[9];
        seek(&mut self.reader, SeekFrom::Start(start))?;
        let _circuit_hash: [u8; 64] = array(&mut self.reader)?;
        let count = number(&mut self.reader)?;
        let mut position = start + 64 + 4;
        let mut last = None;
        for _ in 0..count {
            last = Some(self.point::<G1Affine>()?);
            seek(
                &mut self.reader,
                SeekFrom::Start(position + CONTRIBUTION - 4),
            )?;
            position += CONTRIBUTION + u64::from(number(&mut self.reader)?);
            if position > start + size {
                return Err(Error::Length {
                    what: SECTION_NAMES[9],
                    expected: position - start,
                    got: size,
                });
            }
            seek(&mut self.reader, SeekFrom::Start(position))?;
        }
        if last.is_some_and(|delta| delta != fixed.delta) {
            return Err(invalid("delta", "not what the last contribution led to"));
        }
        Ok(last.is_some() && fixed.delta_twisted != fixed.gamma)
    }
}

const SECTION_NAMES: [&str; SECTIONS] = [
    "section 1 of the zkey file (protocol)",
    "section 2 of the zkey file (sizes)",
    "section 3 of the zkey file (public inputs)",
    "section 4 of the zkey file (matrices)",
    "section 5 of the zkey file (A)",
    "section 6 of the zkey file (B in G1)",
    "section 7 of the zkey file (B in G2)",
    "section 8 of the zkey file (auxiliary variables)",
    "section 9 of the zkey file (quotient)",
    "section 10 of the zkey file (contributions)",
];

/// Checks magic and version; returns the number of sections.
fn read_start(reader: &mut impl Read) -> Result<u32, Error> {
    let magic: [u8; 4] = array(reader)?;
    if magic != *b"zkey" {
        return Err(Error::Foreign {
            expected: FORMAT,
            got: magic.iter().map(|byte| format!("{byte:02x}")).collect(),
        });
    }
    let got = number(reader)?;
    if got != VERSION {
        return Err(Error::Version {
            what: FORMAT,
            expected: VERSION,
            got,
        });
    }
    let count = number(reader)?;
    if count > MOST_SECTIONS {
        return Err(field("number of sections", SECTIONS, count));
    }
    Ok(count)
}

/// Where a section ends, which must be within the file.
fn section_end(start: u64, size: u64, length: u64) -> Result<u64, Error> {
    let end = start.checked_add(size).filter(|end| *end <= length);
    end.ok_or(Error::Length {
        what: "a section of the zkey file",
        expected: size,
        got: length.saturating_sub(start),
    })
}

/// Matrix, row, column, and position of the value in the coefficient table.
type Entry = (u32, u32, u32, u32);

/// The entries of A and B by rows, then the consistency rows, whose values are one.
fn expected_entries(shape: &Shape) -> impl Iterator<Item = Entry> + '_ {
    let rows = (0..shape.rows()).flat_map(move |row| {
        let matrices = shape.matrices().iter().take(2).enumerate();
        matrices.flat_map(move |(matrix, entries)| {
            entries
                .row(row)
                .map(move |(column, value)| (matrix as u32, row as u32, column, value))
        })
    });
    let first = shape.rows() as u32;
    rows.chain((0..=shape.inputs() as u32).map(move |s| (0, first + s, s, 0)))
}

fn check_entry(got: &[u8], entry: Entry, values: &[[u8; 32]]) -> Result<(), Error> {
    let (matrix, row, column, value) = entry;
    let mut expected = [0; COEFFICIENT];
    let numbers = [matrix, row, column].map(u32::to_le_bytes);
    let bytes = numbers.iter().flatten().chain(&values[value as usize]);
    for (target, source) in expected.iter_mut().zip(bytes) {
        *target = *source;
    }
    if expected == got {
        return Ok(());
    }
    let names = ["A", "B"];
    Err(field(
        "entry of the matrices",
        format!("{}[{row}, {column}] of the circuit", names[matrix as usize]),
        "another entry or value",
    ))
}

fn field(what: &'static str, expected: impl ToString, got: impl ToString) -> Error {
    Error::Field {
        what,
        expected: expected.to_string(),
        got: got.to_string(),
    }
}

fn seek(reader: &mut impl Seek, to: SeekFrom) -> Result<u64, Error> {
    reader.seek(to).map_err(Error::io("seeking in a zkey file"))
}

fn bytes(reader: &mut impl Read, count: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; count];
    reader
        .read_exact(&mut bytes)
        .map_err(Error::io("reading a zkey file"))?;
    Ok(bytes)
}

fn array<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    reader
        .read_exact(&mut bytes)
        .map_err(Error::io("reading a zkey file"))?;
    Ok(bytes)
}

fn number(reader: &mut impl Read) -> Result<u32, Error> {
    array(reader).map(u32::from_le_bytes)
}

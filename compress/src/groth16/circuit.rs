//! From a bellpepper circuit to matrices and to a witness.
//!
//! Columns are ordered `z = (1, inputs.., auxiliary..)`, as in Groth16 keys and iden3 files.

use super::Error;
use super::reduction::{Domain, evaluate};
use bellpepper_core::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use ff::Field;
use foldnet_gadgets::field::to_bytes;
use foldnet_gadgets::system::WitnessSystem;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt;

/// The scalar field of BN254.
pub type Fr = halo2curves::bn256::Fr;

/// A circuit over the scalar field of BN254.
pub trait Circuit {
    /// Writes all variables and constraints into `cs`.
    ///
    /// The constraints must not depend on values: one shape serves all witnesses.
    ///
    /// # Errors
    /// When a value is missing or a parameter is unusable.
    fn synthesize<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<(), SynthesisError>;
}

/// A SHA-256 digest that names a circuit or a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Positions in the coefficient table that every shape begins with.
const PLUS_ONE: u32 = 0;
const MINUS_ONE: u32 = 1;

/// One sparse matrix by rows. Values are positions in the coefficient table of the shape: a
/// coefficient that occurs often is kept once.
#[derive(Clone, Debug)]
pub(super) struct SparseMatrix {
    /// Where the terms of each row end, after a leading zero.
    pub(super) ends: Vec<usize>,
    pub(super) columns: Vec<u32>,
    pub(super) values: Vec<u32>,
}

impl SparseMatrix {
    fn new() -> Self {
        SparseMatrix {
            ends: vec![0],
            columns: Vec::new(),
            values: Vec::new(),
        }
    }

    /// The terms of a row: column and position in the coefficient table.
    pub(super) fn row(&self, row: usize) -> impl ExactSizeIterator<Item = (u32, u32)> + '_ {
        let terms = self.ends[row]..self.ends[row + 1];
        self.columns[terms.clone()]
            .iter()
            .copied()
            .zip(self.values[terms].iter().copied())
    }

    /// Number of entries that are not zero.
    pub(super) fn terms(&self) -> usize {
        self.columns.len()
    }

    fn absorb(&self, hash: &mut Sha256) {
        for end in &self.ends {
            hash.update((*end as u64).to_le_bytes());
        }
        for part in [&self.columns, &self.values] {
            for chunk in part.chunks(1 << 14) {
                let bytes: Vec<u8> = chunk.iter().flat_map(|x| x.to_le_bytes()).collect();
                hash.update(bytes);
            }
        }
    }
}

/// The constraints of a circuit: `(A z) o (B z) = C z`.
///
/// A term takes 8 bytes. The digest names the circuit: it is the SHA-256 of the counts, the
/// table of coefficients in order of first use, and the three matrices.
#[derive(Clone)]
pub struct Shape {
    rows: usize,
    inputs: usize,
    auxiliary: usize,
    matrices: [SparseMatrix; 3],
    coefficients: Vec<Fr>,
    digest: Digest,
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shape")
            .field("rows", &self.rows)
            .field("inputs", &self.inputs)
            .field("auxiliary", &self.auxiliary)
            .field("terms", &self.terms())
            .field("digest", &self.digest)
            .finish()
    }
}

impl Shape {
    /// The constraints of `circuit`; values are not asked for.
    ///
    /// # Errors
    /// [`Error::Synthesis`] when the circuit refuses.
    pub fn of(circuit: &impl Circuit) -> Result<Shape, Error> {
        let mut collector = Collector::new();
        circuit.synthesize(&mut collector)?;
        Ok(collector.finish())
    }

    /// The shape of these parts, whose indices the caller has checked.
    pub(super) fn from_parts(
        [rows, inputs, auxiliary]: [usize; 3],
        matrices: [SparseMatrix; 3],
        coefficients: Vec<Fr>,
    ) -> Shape {
        let mut shape = Shape {
            rows,
            inputs,
            auxiliary,
            matrices,
            coefficients,
            digest: Digest([0; 32]),
        };
        shape.digest = digest(&shape);
        shape
    }

    /// Number of constraints.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of public inputs, without the constant one.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of auxiliary variables.
    pub fn auxiliary(&self) -> usize {
        self.auxiliary
    }

    /// Number of columns: `1 + inputs + auxiliary`.
    pub fn variables(&self) -> usize {
        1 + self.inputs + self.auxiliary
    }

    /// Number of matrix entries that are not zero.
    pub fn terms(&self) -> usize {
        self.matrices.iter().map(SparseMatrix::terms).sum()
    }

    /// The name of the circuit.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Checks that `assignment` satisfies every constraint; no key is needed.
    ///
    /// # Errors
    /// [`Error::Assignment`] when it is of another circuit, [`Error::Unsatisfied`] with the first
    /// constraint that fails, [`Error::TooLarge`] when the circuit cannot be proven at all.
    pub fn check(&self, assignment: &Assignment) -> Result<(), Error> {
        assignment.check_counts(self)?;
        evaluate(self, &Domain::of(self)?, assignment.values()).map(|_| ())
    }

    /// The matrices A, B and C.
    pub(super) fn matrices(&self) -> &[SparseMatrix; 3] {
        &self.matrices
    }

    /// All coefficients that occur.
    pub(super) fn coefficients(&self) -> &[Fr] {
        &self.coefficients
    }

    /// The product of a matrix with `z`, for `z` of [`Shape::variables`] entries.
    pub(super) fn multiply(&self, matrix: &SparseMatrix, z: &[Fr]) -> Vec<Fr> {
        (0..self.rows)
            .into_par_iter()
            .map(|row| {
                matrix.row(row).fold(Fr::ZERO, |sum, (column, value)| {
                    self.add_term(sum, value, &z[column as usize])
                })
            })
            .collect()
    }

    /// `sum + coefficient * x`, without a multiplication for the coefficients one and minus one.
    pub(super) fn add_term(&self, sum: Fr, value: u32, x: &Fr) -> Fr {
        match value {
            PLUS_ONE => sum + x,
            MINUS_ONE => sum - x,
            _ => sum + self.coefficients[value as usize] * x,
        }
    }
}

/// The witness of a circuit, `z = (1, inputs.., auxiliary..)`. Its debug form shows no value.
pub struct Assignment {
    values: Vec<Fr>,
    inputs: usize,
}

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assignment")
            .field("variables", &self.values.len())
            .field("inputs", &self.inputs)
            .finish()
    }
}

impl Assignment {
    /// The values that `circuit` computes. Nothing is checked against the constraints here;
    /// [`super::prove`] does that.
    ///
    /// # Errors
    /// [`Error::Synthesis`] when the circuit refuses.
    pub fn of(circuit: &impl Circuit) -> Result<Assignment, Error> {
        let mut system = WitnessSystem::default();
        circuit.synthesize(&mut system)?;
        let inputs = system.inputs().len();
        let mut values = vec![Fr::ONE];
        values.extend_from_slice(system.inputs());
        values.extend(system.into_auxiliary());
        Ok(Assignment { values, inputs })
    }

    /// The public inputs, without the constant one.
    pub fn inputs(&self) -> &[Fr] {
        &self.values[1..=self.inputs]
    }

    /// The auxiliary values.
    pub(super) fn auxiliary(&self) -> &[Fr] {
        &self.values[1 + self.inputs..]
    }

    /// All of z.
    pub(super) fn values(&self) -> &[Fr] {
        &self.values
    }

    /// Checks that the counts are those of `shape`.
    pub(super) fn check_counts(&self, shape: &Shape) -> Result<(), Error> {
        let counts = [
            ("public inputs", shape.inputs, self.inputs),
            ("variables", shape.variables(), self.values.len()),
        ];
        for (what, expected, got) in counts {
            if expected != got {
                return Err(Error::Assignment {
                    what,
                    expected,
                    got,
                });
            }
        }
        Ok(())
    }
}

/// Largest index of a variable: columns are 32-bit numbers with one bit that tells inputs from
/// auxiliary variables until the number of inputs is known.
pub(super) const LARGEST_INDEX: usize = (1 << 31) - 1;
const AUXILIARY: u32 = 1 << 31;

/// Collects the constraints of a circuit in compact form.
struct Collector {
    rows: usize,
    inputs: usize,
    auxiliary: usize,
    matrices: [SparseMatrix; 3],
    coefficients: Vec<Fr>,
    positions: HashMap<Fr, u32>,
}

impl Collector {
    fn append(&mut self, matrix: usize, terms: &LinearCombination<Fr>) {
        for (variable, coefficient) in terms.iter() {
            if bool::from(coefficient.is_zero()) {
                continue;
            }
            let column = match variable.get_unchecked() {
                Index::Input(i) => i as u32,
                Index::Aux(i) => i as u32 | AUXILIARY,
            };
            let value = self.intern(coefficient);
            self.matrices[matrix].columns.push(column);
            self.matrices[matrix].values.push(value);
        }
        let end = self.matrices[matrix].columns.len();
        self.matrices[matrix].ends.push(end);
    }

    fn intern(&mut self, coefficient: &Fr) -> u32 {
        if *coefficient == Fr::ONE {
            return PLUS_ONE;
        }
        let next = self.coefficients.len() as u32;
        let position = *self.positions.entry(*coefficient).or_insert(next);
        if position == next {
            self.coefficients.push(*coefficient);
        }
        position
    }

    fn count(counter: &mut usize) -> Result<usize, SynthesisError> {
        if *counter > LARGEST_INDEX {
            return Err(SynthesisError::PolynomialDegreeTooLarge);
        }
        *counter += 1;
        Ok(*counter - 1)
    }

    fn finish(mut self) -> Shape {
        let auxiliary_start = self.inputs as u32;
        for matrix in &mut self.matrices {
            for column in &mut matrix.columns {
                if *column & AUXILIARY != 0 {
                    *column = (*column ^ AUXILIARY) + auxiliary_start;
                }
            }
            matrix.ends.shrink_to_fit();
            matrix.columns.shrink_to_fit();
            matrix.values.shrink_to_fit();
        }
        let counts = [self.rows, self.inputs - 1, self.auxiliary];
        Shape::from_parts(counts, self.matrices, self.coefficients)
    }
}

fn digest(shape: &Shape) -> Digest {
    let mut hash = Sha256::new();
    hash.update(b"foldnet groth16 circuit 1");
    for count in [
        shape.rows,
        shape.inputs,
        shape.auxiliary,
        shape.coefficients.len(),
    ] {
        hash.update((count as u64).to_le_bytes());
    }
    for coefficient in &shape.coefficients {
        hash.update(to_bytes(coefficient));
    }
    for matrix in &shape.matrices {
        matrix.absorb(&mut hash);
    }
    Digest(hash.finalize().into())
}

impl ConstraintSystem<Fr> for Collector {
    type Root = Self;

    fn new() -> Self {
        Collector {
            rows: 0,
            inputs: 1,
            auxiliary: 0,
            matrices: [
                SparseMatrix::new(),
                SparseMatrix::new(),
                SparseMatrix::new(),
            ],
            coefficients: vec![Fr::ONE, -Fr::ONE],
            positions: HashMap::from([(Fr::ONE, PLUS_ONE), (-Fr::ONE, MINUS_ONE)]),
        }
    }

    fn alloc<V, A, AR>(&mut self, _: A, _: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        let index = Self::count(&mut self.auxiliary)?;
        Ok(Variable::new_unchecked(Index::Aux(index)))
    }

    fn alloc_input<V, A, AR>(&mut self, _: A, _: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        let index = Self::count(&mut self.inputs)?;
        Ok(Variable::new_unchecked(Index::Input(index)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LB: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LC: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
    {
        self.append(0, &a(LinearCombination::zero()));
        self.append(1, &b(LinearCombination::zero()));
        self.append(2, &c(LinearCombination::zero()));
        self.rows += 1;
    }

    fn push_namespace<NR, N>(&mut self, _: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
    }

    fn pop_namespace(&mut self) {}

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}

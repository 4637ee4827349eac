//! The constraint systems that circuits run in: one collects the shape, one the witness.
//!
//! The third, which checks and names constraints, is [`crate::mock`].

use crate::field::CircuitField;
use bellpepper_core::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};

/// The three sparse matrices of an R1CS, as `(row, column, value)` triples.
///
/// The columns are those of nova-snark: `z = (W, u, X)`, so auxiliary variable `i` is column `i`,
/// the constant one is column `variables`, and public input `j` is column `variables + 1 + j`.
#[derive(Clone, Debug)]
pub struct Matrices<F> {
    /// Number of constraints.
    pub rows: usize,
    /// Number of auxiliary variables.
    pub variables: usize,
    /// Number of public inputs, without the constant one.
    pub inputs: usize,
    /// Matrix A.
    pub a: Vec<(usize, usize, F)>,
    /// Matrix B.
    pub b: Vec<(usize, usize, F)>,
    /// Matrix C.
    pub c: Vec<(usize, usize, F)>,
}

/// Collects the constraints of a circuit; values are ignored.
#[derive(Clone, Debug)]
pub struct ShapeSystem<F: CircuitField> {
    rows: usize,
    auxiliary: usize,
    inputs: usize,
    a: Vec<(usize, Index, F)>,
    b: Vec<(usize, Index, F)>,
    c: Vec<(usize, Index, F)>,
}

impl<F: CircuitField> Default for ShapeSystem<F> {
    fn default() -> Self {
        ShapeSystem {
            rows: 0,
            auxiliary: 0,
            inputs: 1,
            a: Vec::new(),
            b: Vec::new(),
            c: Vec::new(),
        }
    }
}

impl<F: CircuitField> ShapeSystem<F> {
    /// Number of constraints so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of auxiliary variables so far.
    pub fn auxiliary(&self) -> usize {
        self.auxiliary
    }

    /// The matrices, with columns laid out as nova-snark expects them.
    pub fn into_matrices(self) -> Matrices<F> {
        let variables = self.auxiliary;
        let column = |index: Index| match index {
            Index::Aux(i) => i,
            Index::Input(j) => variables + j,
        };
        let place = |entries: Vec<(usize, Index, F)>| {
            let mut placed: Vec<_> = entries
                .into_iter()
                .map(|(row, index, value)| (row, column(index), value))
                .collect();
            placed.sort_by_key(|(row, column, _)| (*row, *column));
            placed
        };
        Matrices {
            rows: self.rows,
            variables,
            inputs: self.inputs - 1,
            a: place(self.a),
            b: place(self.b),
            c: place(self.c),
        }
    }
}

fn append<F: CircuitField>(
    entries: &mut Vec<(usize, Index, F)>,
    row: usize,
    lc: &LinearCombination<F>,
) {
    for (variable, value) in lc.iter() {
        if !bool::from(value.is_zero()) {
            entries.push((row, variable.get_unchecked(), *value));
        }
    }
}

impl<F: CircuitField> ConstraintSystem<F> for ShapeSystem<F> {
    type Root = Self;

    fn new() -> Self {
        Self::default()
    }

    fn alloc<V, A, AR>(&mut self, _: A, _: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.auxiliary += 1;
        Ok(Variable::new_unchecked(Index::Aux(self.auxiliary - 1)))
    }

    fn alloc_input<V, A, AR>(&mut self, _: A, _: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.inputs += 1;
        Ok(Variable::new_unchecked(Index::Input(self.inputs - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LB: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LC: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
    {
        append(&mut self.a, self.rows, &a(LinearCombination::zero()));
        append(&mut self.b, self.rows, &b(LinearCombination::zero()));
        append(&mut self.c, self.rows, &c(LinearCombination::zero()));
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

/// Collects the assignment of a circuit; constraints are ignored.
#[derive(Clone, Debug)]
pub struct WitnessSystem<F: CircuitField> {
    auxiliary: Vec<F>,
    inputs: Vec<F>,
}

impl<F: CircuitField> Default for WitnessSystem<F> {
    fn default() -> Self {
        WitnessSystem {
            auxiliary: Vec::new(),
            inputs: vec![F::ONE],
        }
    }
}

impl<F: CircuitField> WitnessSystem<F> {
    /// An empty system with room for `variables` auxiliary variables.
    pub fn with_capacity(variables: usize) -> Self {
        WitnessSystem {
            auxiliary: Vec::with_capacity(variables),
            inputs: vec![F::ONE],
        }
    }

    /// The values of the auxiliary variables so far.
    pub fn auxiliary(&self) -> &[F] {
        &self.auxiliary
    }

    /// The values of the public inputs so far, without the constant one.
    pub fn inputs(&self) -> &[F] {
        &self.inputs[1..]
    }

    /// The values of the auxiliary variables.
    pub fn into_auxiliary(self) -> Vec<F> {
        self.auxiliary
    }
}

impl<F: CircuitField> ConstraintSystem<F> for WitnessSystem<F> {
    type Root = Self;

    fn new() -> Self {
        Self::default()
    }

    fn alloc<V, A, AR>(&mut self, _: A, value: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.auxiliary.push(value()?);
        Ok(Variable::new_unchecked(Index::Aux(
            self.auxiliary.len() - 1,
        )))
    }

    fn alloc_input<V, A, AR>(&mut self, _: A, value: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.inputs.push(value()?);
        Ok(Variable::new_unchecked(Index::Input(self.inputs.len() - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, _: LA, _: LB, _: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LB: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LC: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
    {
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

    fn is_witness_generator(&self) -> bool {
        true
    }

    fn extend_inputs(&mut self, new_inputs: &[F]) {
        self.inputs.extend_from_slice(new_inputs);
    }

    fn extend_aux(&mut self, new_aux: &[F]) {
        self.auxiliary.extend_from_slice(new_aux);
    }

    fn allocate_empty(&mut self, aux: usize, inputs: usize) -> (&mut [F], &mut [F]) {
        let first_aux = self.auxiliary.len();
        let first_input = self.inputs.len();
        self.auxiliary.resize(first_aux + aux, F::ZERO);
        self.inputs.resize(first_input + inputs, F::ZERO);
        (
            &mut self.auxiliary[first_aux..],
            &mut self.inputs[first_input..],
        )
    }

    fn allocate_empty_inputs(&mut self, n: usize) -> &mut [F] {
        self.allocate_empty(0, n).1
    }

    fn allocate_empty_aux(&mut self, n: usize) -> &mut [F] {
        self.allocate_empty(n, 0).0
    }

    fn inputs_slice(&self) -> &[F] {
        &self.inputs
    }

    fn aux_slice(&self) -> &[F] {
        &self.auxiliary
    }
}

//! A checker that replays every constraint and names each one that fails.
//!
//! Tests read and overwrite single variables by path, so that a forged witness can be built one
//! value at a time.

use crate::field::CircuitField;
use bellpepper_core::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use std::collections::HashMap;
use std::fmt;

/// A constraint that does not hold, with the values of its three linear forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure<F> {
    /// Namespaces and name of the constraint, joined by `/`.
    pub path: String,
    /// Value of the left factor.
    pub a: F,
    /// Value of the right factor.
    pub b: F,
    /// Value of the product claimed.
    pub c: F,
}

impl<F: fmt::Debug> fmt::Display for Failure<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {:?} * {:?} != {:?}",
            self.path, self.a, self.b, self.c
        )
    }
}

#[derive(Clone, Debug)]
struct Constraint<F: CircuitField> {
    path: String,
    a: LinearCombination<F>,
    b: LinearCombination<F>,
    c: LinearCombination<F>,
}

/// A constraint system that keeps names, values and constraints.
#[derive(Clone, Debug)]
pub struct MockSystem<F: CircuitField> {
    namespaces: Vec<String>,
    constraints: Vec<Constraint<F>>,
    auxiliary: Vec<(String, F)>,
    inputs: Vec<(String, F)>,
    variables: HashMap<String, Index>,
    constraint_names: HashMap<String, usize>,
    duplicates: Vec<String>,
}

impl<F: CircuitField> Default for MockSystem<F> {
    fn default() -> Self {
        MockSystem {
            namespaces: Vec::new(),
            constraints: Vec::new(),
            auxiliary: Vec::new(),
            inputs: vec![("one".into(), F::ONE)],
            variables: HashMap::new(),
            constraint_names: HashMap::new(),
            duplicates: Vec::new(),
        }
    }
}

impl<F: CircuitField> MockSystem<F> {
    fn path(&self, name: String) -> String {
        let mut path = self.namespaces.join("/");
        if !path.is_empty() {
            path.push('/');
        }
        path + &name
    }

    fn register(&mut self, path: &str, index: Index) {
        if self.variables.insert(path.to_string(), index).is_some() {
            self.duplicates.push(format!("variable {path}"));
        }
    }

    /// Number of constraints.
    pub fn constraint_count(&self) -> usize {
        self.constraints.len()
    }

    /// The path of every constraint with the number of entries of its three linear combinations;
    /// zeros do not count.
    pub fn entries(&self) -> impl Iterator<Item = (&str, usize)> {
        let count = |lc: &LinearCombination<F>| {
            let zero = |entry: &(Variable, &F)| bool::from(entry.1.is_zero());
            lc.iter().filter(|entry| !zero(entry)).count()
        };
        self.constraints.iter().map(move |constraint| {
            let entries = [&constraint.a, &constraint.b, &constraint.c].map(count);
            (constraint.path.as_str(), entries.iter().sum())
        })
    }

    /// Number of auxiliary variables.
    pub fn auxiliary_count(&self) -> usize {
        self.auxiliary.len()
    }

    /// The paths of all auxiliary variables, in the order of allocation.
    pub fn auxiliary_paths(&self) -> Vec<String> {
        self.auxiliary
            .iter()
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// The values of all auxiliary variables, in the order of allocation.
    pub fn auxiliary_values(&self) -> Vec<F> {
        self.auxiliary.iter().map(|(_, value)| *value).collect()
    }

    /// The values of all public inputs, without the constant one.
    pub fn input_values(&self) -> Vec<F> {
        self.inputs
            .iter()
            .skip(1)
            .map(|(_, value)| *value)
            .collect()
    }

    /// Names given twice or left empty, among variables and among constraints.
    pub fn duplicates(&self) -> &[String] {
        &self.duplicates
    }

    /// The value of the variable at a path, if there is one.
    pub fn get(&self, path: &str) -> Option<F> {
        match self.variables.get(path)? {
            Index::Aux(i) => self.auxiliary.get(*i).map(|(_, value)| *value),
            Index::Input(i) => self.inputs.get(*i).map(|(_, value)| *value),
        }
    }

    /// Overwrites the variable at a path; false when there is none.
    #[must_use]
    pub fn set(&mut self, path: &str, value: F) -> bool {
        let slot = match self.variables.get(path) {
            Some(Index::Aux(i)) => self.auxiliary.get_mut(*i),
            Some(Index::Input(i)) => self.inputs.get_mut(*i),
            None => None,
        };
        slot.map(|entry| entry.1 = value).is_some()
    }

    /// Overwrites auxiliary variable `index`; false when there is none.
    #[must_use]
    pub fn set_auxiliary(&mut self, index: usize, value: F) -> bool {
        self.auxiliary
            .get_mut(index)
            .map(|entry| entry.1 = value)
            .is_some()
    }

    /// Every constraint that fails, in order, and every name that is not unique.
    pub fn failures(&self) -> Vec<Failure<F>> {
        let duplicates = self.duplicates.iter().map(|path| Failure {
            path: format!("duplicate name: {path}"),
            a: F::ZERO,
            b: F::ZERO,
            c: F::ONE,
        });
        duplicates
            .chain(self.constraints.iter().filter_map(|c| self.check(c)))
            .collect()
    }

    /// The constraints that mention auxiliary variable `index` and fail: all that can change when
    /// only this variable is overwritten in a satisfied system.
    pub fn failures_touching(&self, index: usize) -> Vec<Failure<F>> {
        let mentions = |lc: &LinearCombination<F>| {
            lc.iter()
                .any(|(v, _)| v.get_unchecked() == Index::Aux(index))
        };
        self.constraints
            .iter()
            .filter(|c| mentions(&c.a) || mentions(&c.b) || mentions(&c.c))
            .filter_map(|c| self.check(c))
            .collect()
    }

    /// Auxiliary variables that keep every constraint satisfied when one is added to them.
    ///
    /// A gadget whose witness is fully determined returns an empty list.
    pub fn unpinned(&mut self) -> Vec<String> {
        let mut touching: Vec<Vec<usize>> = vec![Vec::new(); self.auxiliary.len()];
        for (row, constraint) in self.constraints.iter().enumerate() {
            for lc in [&constraint.a, &constraint.b, &constraint.c] {
                for (variable, _) in lc.iter() {
                    if let Index::Aux(i) = variable.get_unchecked() {
                        touching[i].push(row);
                    }
                }
            }
        }
        let mut free = Vec::new();
        for (i, rows) in touching.iter().enumerate() {
            let original = self.auxiliary[i].1;
            self.auxiliary[i].1 = original + F::ONE;
            if rows
                .iter()
                .all(|row| self.check(&self.constraints[*row]).is_none())
            {
                free.push(self.auxiliary[i].0.clone());
            }
            self.auxiliary[i].1 = original;
        }
        free
    }

    fn check(&self, constraint: &Constraint<F>) -> Option<Failure<F>> {
        let evaluate = |lc: &LinearCombination<F>| {
            lc.iter().fold(F::ZERO, |sum, (variable, coefficient)| {
                sum + *coefficient
                    * match variable.get_unchecked() {
                        Index::Aux(i) => self.auxiliary[i].1,
                        Index::Input(i) => self.inputs[i].1,
                    }
            })
        };
        let (a, b, c) = (
            evaluate(&constraint.a),
            evaluate(&constraint.b),
            evaluate(&constraint.c),
        );
        (a * b != c).then(|| Failure {
            path: constraint.path.clone(),
            a,
            b,
            c,
        })
    }
}

impl<F: CircuitField> ConstraintSystem<F> for MockSystem<F> {
    type Root = Self;

    fn new() -> Self {
        Self::default()
    }

    fn alloc<V, A, AR>(&mut self, annotation: A, value: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        let path = self.path(annotation().into());
        let index = Index::Aux(self.auxiliary.len());
        self.register(&path, index);
        self.auxiliary.push((path, value()?));
        Ok(Variable::new_unchecked(index))
    }

    fn alloc_input<V, A, AR>(&mut self, annotation: A, value: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        let path = self.path(annotation().into());
        let index = Index::Input(self.inputs.len());
        self.register(&path, index);
        self.inputs.push((path, value()?));
        Ok(Variable::new_unchecked(index))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, annotation: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LB: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LC: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
    {
        let name = annotation().into();
        let empty = name.is_empty();
        let path = self.path(name);
        if empty
            || self
                .constraint_names
                .insert(path.clone(), self.constraints.len())
                .is_some()
        {
            self.duplicates.push(format!("constraint {path}"));
        }
        self.constraints.push(Constraint {
            path,
            a: a(LinearCombination::zero()),
            b: b(LinearCombination::zero()),
            c: c(LinearCombination::zero()),
        });
    }

    fn push_namespace<NR, N>(&mut self, name_fn: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
        self.namespaces.push(name_fn().into());
    }

    fn pop_namespace(&mut self) {
        self.namespaces.pop();
    }

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}

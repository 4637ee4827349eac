//! A constraint system that counts by place instead of keeping anything.

use bellpepper_core::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use foldnet_gadgets::CircuitField;
use std::collections::BTreeMap;
use std::iter::Sum;
use std::marker::PhantomData;
use std::ops::Add;

/// Parts of a path that are told apart.
const DEPTH: usize = 3;

/// How much there is at a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Constraints.
    pub rows: usize,
    /// Entries of the three matrices.
    pub terms: usize,
}

impl Add for Count {
    type Output = Count;

    fn add(self, other: Count) -> Count {
        Count {
            rows: self.rows + other.rows,
            terms: self.terms + other.terms,
        }
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Count>>(counts: I) -> Count {
        counts.fold(Count::default(), Add::add)
    }
}

/// Counts constraints and terms by the first parts of their path. Running numbers at the end of
/// inner parts are dropped.
pub struct Census<F: CircuitField> {
    path: Vec<String>,
    inputs: usize,
    auxiliary: usize,
    counts: BTreeMap<String, Count>,
    field: PhantomData<F>,
}

impl<F: CircuitField> Census<F> {
    /// What there is at all places.
    pub fn total(&self) -> Count {
        self.counts.values().copied().sum()
    }

    /// What there is at the places that `wanted` accepts.
    pub fn of(&self, wanted: impl Fn(&str) -> bool) -> Count {
        let counts = self.counts.iter();
        counts
            .filter(|(path, _)| wanted(path))
            .map(|(_, count)| *count)
            .sum()
    }

    /// The place of a constraint with this name.
    fn place(&self, annotation: String) -> String {
        let mut parts: Vec<&str> = self.path.iter().map(String::as_str).collect();
        parts.push(&annotation);
        parts.truncate(DEPTH);
        for part in parts.iter_mut().skip(1) {
            let unnumbered = part.trim_end_matches(|c: char| c.is_ascii_digit());
            *part = unnumbered.trim_end();
        }
        parts.join("/")
    }
}

impl<F: CircuitField> ConstraintSystem<F> for Census<F> {
    type Root = Self;

    fn new() -> Self {
        Census {
            path: Vec::new(),
            inputs: 1,
            auxiliary: 0,
            counts: BTreeMap::new(),
            field: PhantomData,
        }
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

    fn enforce<A, AR, LA, LB, LC>(&mut self, annotation: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LB: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LC: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
    {
        let terms = |form: LinearCombination<F>| {
            let coefficients = form.iter().map(|(_, coefficient)| *coefficient);
            coefficients.filter(|x| *x != F::ZERO).count()
        };
        let zero = LinearCombination::zero;
        let terms = terms(a(zero())) + terms(b(zero())) + terms(c(zero()));
        let place = self.place(annotation().into());
        let count = self.counts.entry(place).or_default();
        *count = *count + Count { rows: 1, terms };
    }

    fn push_namespace<NR: Into<String>, N: FnOnce() -> NR>(&mut self, name: N) {
        self.path.push(name().into());
    }

    fn pop_namespace(&mut self) {
        self.path.pop();
    }

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}

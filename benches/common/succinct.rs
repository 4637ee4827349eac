//! Small proofs and what they are made of.

use crate::common::{Model, rng, vector};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use foldnet::decider::spartan::{Proof, Shapes, prove};
use foldnet::fold::prover::{Recursion, Start};
use foldnet::fold::verifier::Statement;
use foldnet::key::{CommitmentKey, development_powers};
use foldnet_compress::groth16::{Assignment, Circuit, ProvingKey, Shape};
use foldnet_compress::mercury::OpeningKey;
use foldnet_gadgets::cycle::{Bn254, Cycle};
use foldnet_gadgets::sumcheck::evaluate;
use foldnet_gadgets::wire::WireSystem;
use halo2curves::bn256::{Fr, G1Affine};
use halo2curves::group::Curve;

/// A masked run of a network, ready to be compressed.
pub struct Folded {
    pub model: Model,
    pub shapes: Shapes<Bn254>,
    pub run: Recursion<Bn254>,
    pub statement: Statement<Fr>,
}

impl Folded {
    pub fn new(depth: usize, width: usize) -> Self {
        let model = Model::new(depth, width);
        let (run, inferences) = model.fold(Start::Masked, &mut rng(4));
        let statement = model.session.statement(model.committed.model, &inferences);
        Folded {
            shapes: model.session.shapes().expect("shapes"),
            run,
            statement: statement.expect("a statement"),
            model,
        }
    }

    /// The `spartan` proof of the run.
    pub fn spartan(&self, run: Recursion<Bn254>) -> Proof<Bn254> {
        let params = self.model.session.params();
        let proof = prove(params, &self.shapes, run, &self.statement, &mut rng(5));
        proof.expect("a proof")
    }
}

/// `x_(i + 1) = x_i x_i`, with three public inputs as the decider circuit has.
pub struct Squares {
    pub rows: usize,
    pub inputs: [Fr; 3],
}

impl Circuit for Squares {
    fn synthesize<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        let mut x = cs.wire(|| "x", Fr::ONE)?;
        for (i, input) in self.inputs.iter().enumerate() {
            let input = cs.public_wire(|| format!("input {i}"), *input)?;
            x = cs.product(|| format!("product {i}"), &x, &input)?;
        }
        for row in self.inputs.len()..self.rows {
            x = cs.product(|| format!("square {row}"), &x, &x)?;
        }
        Ok(())
    }
}

/// A circuit of squares with its keys and a witness.
pub struct Squared {
    pub key: ProvingKey,
    pub shape: Shape,
    pub assignment: Assignment,
}

impl Squared {
    pub fn new(rows: usize) -> Self {
        let inputs = [3, 5, 7].map(Fr::from);
        let circuit = Squares { rows, inputs };
        let shape = Shape::of(&circuit).expect("a shape");
        Squared {
            key: ProvingKey::development(&shape, &mut rng(6)).expect("keys"),
            assignment: Assignment::of(&circuit).expect("a witness"),
            shape,
        }
    }
}

/// A random polynomial with a commitment and its value at a point.
pub struct Opened {
    key: CommitmentKey<<Bn254 as Cycle>::Primary>,
    pub table: Vec<Fr>,
    pub point: Vec<Fr>,
    pub value: Fr,
    pub commitment: G1Affine,
}

impl Opened {
    pub fn new(variables: usize) -> Self {
        let key = development_powers(1 << variables).expect("a key");
        let table = vector(&mut rng(8), 1 << variables);
        let point = vector(&mut rng(9), variables);
        let commitment = key.commit(&table, Fr::ZERO).expect("a commitment");
        Opened {
            value: evaluate(&table, &point),
            commitment: commitment.to_affine(),
            key,
            table,
            point,
        }
    }

    /// The key as openings take it.
    pub fn key(&self) -> OpeningKey<'_> {
        OpeningKey {
            powers: self.key.bases(),
            tau_h: *self.key.tau_h().expect("a key for openings"),
        }
    }
}

//! The `groth16` proof of a finished run, which a contract verifies.
//!
//! A [`spartan`](crate::decider::spartan) argument is made as for a `spartan` proof; the circuit of
//! [`crate::decider::circuit`] verifies it, and the opening that it leaves goes to the contract.

use crate::decider::circuit::{DeciderCircuit, DeciderInputs};
use crate::decider::error::DeciderError;
use crate::decider::opening::{opening_key, prove_error};
use crate::decider::public::PUBLIC;
use crate::decider::spartan::{Argued, Argument, Left, Shapes, argue};
use crate::decider::statement::StatementShape;
use crate::fold::params::Params;
use crate::fold::prover::Recursion;
use crate::fold::verifier::Statement;
use crate::visibility::Sides;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_compress::evm::{
    ContractProof, Groth16Key, Groth16Proof, OpeningClaim, Parameters, public_data, public_inputs,
};
use foldnet_compress::groth16::{self, Assignment, Circuit, ProvingKey, VerifyingKey};
use foldnet_compress::mercury;
use foldnet_compress::mercury::words::reduce;
use foldnet_gadgets::cycle::Bn254;
use foldnet_gadgets::hash::hash;
use foldnet_gadgets::step::StepCircuit;
use halo2curves::bn256::{Fr, G2Affine};
use halo2curves::group::Curve;
use rand_core::{CryptoRng, RngCore};

impl<S: StepCircuit<Fr>> Circuit for DeciderCircuit<'_, Bn254, S> {
    fn synthesize<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        self.constrain(cs)
    }
}

/// Everything that belongs to one architecture and number of inferences.
#[derive(Debug)]
pub struct Decider<'a, S> {
    /// Shapes, keys and constants.
    pub params: &'a Params<Bn254, S>,
    /// The shapes in the layout of Spartan.
    pub shapes: &'a Shapes<Bn254>,
    /// How statements are packed.
    pub statement: StatementShape,
}

/// What is proven about a run.
#[derive(Clone, Debug)]
pub struct Claimed<'a> {
    /// Model id, and digests of inputs and outputs.
    pub digests: &'a Statement<Fr>,
    /// The packed statement elements.
    pub elements: &'a [Fr],
    /// Against replay: chain, contract and nonce, or zero.
    pub context: Fr,
}

impl<S: StepCircuit<Fr>> Decider<'_, S> {
    /// The decider of statements that hide some sides.
    #[must_use]
    pub fn hiding(self, sides: Sides) -> Self {
        Decider {
            statement: self.statement.hiding(sides),
            ..self
        }
    }

    /// The constraints of the decider circuit.
    ///
    /// # Errors
    /// Those of synthesis.
    pub fn shape(&self) -> Result<groth16::Shape, DeciderError> {
        let inputs = DeciderInputs::sample(self.params, self.shapes, &self.statement);
        Ok(groth16::Shape::of(&self.circuit(&inputs))?)
    }

    /// The decider circuit with its witness.
    pub fn circuit<'b>(&'b self, inputs: &'b DeciderInputs<Bn254>) -> DeciderCircuit<'b, Bn254, S> {
        DeciderCircuit {
            params: self.params,
            shapes: self.shapes,
            statement: self.statement,
            inputs,
        }
    }

    /// What the contract for a model is deployed with.
    ///
    /// # Errors
    /// [`DeciderError::NoOpeningKey`]; [`DeciderError::Prove`] for a key with another number of
    /// public inputs than three.
    pub fn parameters(&self, key: &VerifyingKey, model: Fr) -> Result<Parameters, DeciderError> {
        if *key.gamma() != G2Affine::generator() {
            return Err(prove_error(
                "contract",
                "the key's gamma is not the generator of G2",
            ));
        }
        let inputs = key.input_points().try_into();
        let groth16 = Groth16Key {
            alpha: *key.alpha(),
            beta: *key.beta(),
            delta: *key.delta(),
            inputs: inputs.map_err(|_| prove_error("contract", "the key has other inputs"))?,
        };
        Ok(Parameters {
            groth16,
            tau_h: opening_key(&self.params.primary)?.tau_h,
            blind_generator: *self.params.primary.blind_generator(),
            model,
            count: self.statement.inferences as u64,
            statement_length: 1 + self.statement.elements(),
            commitments: 3 * self.shapes.kinds.len() + 1,
            variables: self.variables(),
        })
    }

    /// Variables of the combined polynomial.
    fn variables(&self) -> usize {
        let dimensions = self.shapes.kinds.iter().map(|shape| shape.dimensions());
        let sizes = dimensions.flat_map(|dimensions| {
            let segments = dimensions.segment_variables();
            segments.into_iter().chain([dimensions.row_variables()])
        });
        sizes
            .chain([self.params.weight_variables])
            .max()
            .unwrap_or(0)
    }

    /// Ends a run and proves what it shows to a contract.
    ///
    /// # Errors
    /// Those of the argument, of the opening and of Groth16.
    pub fn prove<R: RngCore + CryptoRng>(
        &self,
        (key, shape): (&ProvingKey, &groth16::Shape),
        run: Recursion<Bn254>,
        claimed: &Claimed<'_>,
        rng: &mut R,
    ) -> Result<ContractProof, DeciderError> {
        let argued = argue(self.params, self.shapes, run, claimed.digests, rng)?;
        let claim = opening_claim(&argued.left, argued.blind);
        let mut statement = vec![claimed.context];
        statement.extend_from_slice(claimed.elements);
        let count = claimed.digests.inferences.len() as u64;
        let data = public_data(&claimed.digests.model, count, &statement, &claim);
        let elements: Vec<Fr> = data.iter().map(reduce).collect();
        let p = hash(&self.params.context.hash, PUBLIC, &elements);
        let (digest, inputs) = public_inputs(&data, p);
        let opening = self.open(&argued, &claim, &digest)?;
        let assignment = self.assignment(argued, claimed, inputs.gamma)?;
        if assignment.inputs() != [inputs.p, inputs.gamma, inputs.f] {
            return Err(prove_error("decider circuit", "it shows other public data"));
        }
        let proof = groth16::prove(key, shape, &assignment, rng)?;
        Ok(ContractProof {
            p,
            claim,
            opening,
            groth16: Groth16Proof {
                a: *proof.a(),
                b: *proof.b(),
                c: *proof.c(),
            },
        })
    }

    fn open(
        &self,
        argued: &Argued<Bn254>,
        claim: &OpeningClaim,
        seed: &[u8; 32],
    ) -> Result<mercury::Opening, DeciderError> {
        let commitment = claim.combined(self.params.primary.blind_generator());
        let key = opening_key(&self.params.primary)?;
        let (table, point) = (&argued.table, &claim.point);
        mercury::open(&key, seed, &commitment, table, point, claim.value)
            .map_err(|error| prove_error("opening", error))
    }

    /// The witness of the decider circuit. What was only needed to make the argument is dropped.
    fn assignment(
        &self,
        argued: Argued<Bn254>,
        claimed: &Claimed<'_>,
        gamma: Fr,
    ) -> Result<Assignment, DeciderError> {
        let Argued {
            argument, blind, ..
        } = argued;
        let inputs = self.inputs(argument, claimed, blind, gamma)?;
        Ok(Assignment::of(&self.circuit(&inputs))?)
    }

    /// What the decider circuit takes: an argument for `claimed`, the blind of the combined
    /// commitment, and the verifier's challenge.
    ///
    /// # Errors
    /// [`DeciderError::Fold`] for an argument about something else.
    pub fn inputs(
        &self,
        argument: Argument<Bn254>,
        claimed: &Claimed<'_>,
        blind: Fr,
        gamma: Fr,
    ) -> Result<DeciderInputs<Bn254>, DeciderError> {
        let ending = argument.ending;
        let recursion = ending.inputs(self.params, claimed.digests)?;
        Ok(DeciderInputs {
            running: ending.remaining(self.params, &recursion)?.running,
            recursion,
            statement: claimed.elements.to_vec(),
            proofs: argument.proofs,
            blind,
            context: claimed.context,
            gamma,
        })
    }
}

fn opening_claim(left: &Left<Bn254>, blind: Fr) -> OpeningClaim {
    let points = left.commitments.iter();
    OpeningClaim {
        commitments: points.map(|c| c.point().to_affine()).collect(),
        rho: left.combination,
        blind,
        point: left.point.clone(),
        value: left.value,
    }
}

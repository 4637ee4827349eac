//! Making and judging `spartan` and `groth16` proofs.

use super::output::{self, Report};
use super::runs::CONTRACT_ELEMENTS;
use super::{Rejected, warn_if_insecure_key};
use crate::decider::error::DeciderError;
use crate::decider::groth16::{Claimed, Decider};
use crate::decider::keys::{Groth16Cache, Groth16Keys};
use crate::decider::spartan::{self, Shapes};
use crate::decider::statement::StatementShape;
use crate::error::Error;
use crate::fold::prover::Recursion;
use crate::fold::verifier::Statement;
use crate::progress::{Progress, Stage};
use crate::proof::{About, Groth16Proof, Proof, SpartanProof};
use crate::session::{Inference, Session};
use crate::visibility::Sides;
use anyhow::Context;
use foldnet_compress::evm::{Machine, Parameters, calldata, verify_public};
use foldnet_compress::groth16::VerifyingKey;
use foldnet_compress::mercury::words::{Word, scalar_word};
use foldnet_gadgets::cycle::Bn254;
use foldnet_layers::graph::Graph;
use halo2curves::bn256::Fr;
use rand_core::OsRng;
use std::cell::OnceCell;
use std::path::Path;
use std::time::{Duration, Instant};

/// The decider of a session for statements of some inferences.
pub(super) fn decider<'a>(
    session: &'a Session<Bn254>,
    shapes: &'a Shapes<Bn254>,
    inferences: usize,
) -> Decider<'a, Graph<Fr>> {
    Decider {
        params: session.params(),
        shapes,
        statement: StatementShape::new(session.architecture(), inferences),
    }
}

/// What a finished run is turned into a proof of.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// Parameters.
    pub session: &'a Session<Bn254>,
    /// The model id.
    pub model: Fr,
    /// The run.
    pub recursion: Recursion<Bn254>,
    /// What it claims.
    pub inferences: Vec<Inference>,
}

impl Run<'_> {
    fn about(&self) -> About {
        About {
            architecture: self.session.architecture().clone(),
            inferences: self.inferences.clone(),
        }
    }
}

/// What succinct proofs need beside a run: made or loaded when the first one is made, and kept for
/// those that follow.
#[derive(Debug)]
pub(super) struct Backend<'a> {
    session: &'a Session<Bn254>,
    cache: Option<&'a Path>,
    sides: Sides,
    shapes: OnceCell<Shapes<Bn254>>,
    /// The keys, and the number of inferences that they are for.
    keys: OnceCell<(usize, Groth16Keys)>,
}

impl<'a> Backend<'a> {
    /// For the runs of a session about public inputs and outputs, with keys in a directory.
    pub(super) fn new(session: &'a Session<Bn254>, cache: Option<&'a Path>) -> Self {
        Backend {
            session,
            cache,
            sides: Sides::PUBLIC,
            shapes: OnceCell::new(),
            keys: OnceCell::new(),
        }
    }

    /// For runs that hide some sides.
    pub(super) fn hiding(self, sides: Sides) -> Self {
        Backend { sides, ..self }
    }

    /// What statements show.
    pub(super) fn sides(&self) -> Sides {
        self.sides
    }

    /// The digests of a statement.
    fn statement(&self, model: Fr, inferences: &[Inference]) -> Result<Statement<Fr>, Error> {
        self.session
            .statement_showing(self.sides, model, inferences)
    }

    fn shapes(&self) -> anyhow::Result<&Shapes<Bn254>> {
        if let Some(shapes) = self.shapes.get() {
            return Ok(shapes);
        }
        let shapes = self.session.shapes()?;
        Ok(self.shapes.get_or_init(|| shapes))
    }

    fn keys(
        &self,
        decider: &Decider<'_, Graph<Fr>>,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<&Groth16Keys> {
        let inferences = decider.statement.inferences;
        if self.keys.get().is_none() {
            let keys = Groth16Cache::new(decider, self.cache)
                .load_or_create(decider, progress, &mut OsRng)
                .map_err(Error::from)?;
            warn_if_insecure_key(self.session, keys.proving.insecure());
            let _ = self.keys.set((inferences, keys));
        }
        match self.keys.get() {
            Some((number, keys)) if *number == inferences => Ok(keys),
            _ => {
                anyhow::bail!("keys for another number of inferences are in use; this is a defect")
            }
        }
    }

    /// A `spartan` proof, and how long it took.
    pub(super) fn spartan(
        &self,
        run: Run<'_>,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<(SpartanProof, Duration)> {
        let clock = Instant::now();
        progress.start(Stage::Prove, 1);
        let about = run.about();
        let statement = self.statement(run.model, &run.inferences)?;
        let params = self.session.params();
        let shapes = self.shapes()?;
        let proof = spartan::prove(params, shapes, run.recursion, &statement, &mut OsRng);
        let proof = proof.map_err(Error::from)?;
        progress.finish();
        Ok((SpartanProof { about, proof }, clock.elapsed()))
    }

    /// A `groth16` proof, and how long the keys and the proof took.
    pub(super) fn groth16(
        &self,
        run: Run<'_>,
        context: Fr,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<(Groth16Proof, [Duration; 2])> {
        let clock = Instant::now();
        let about = run.about();
        let digests = self.statement(run.model, &run.inferences)?;
        let inferences = run.inferences.len();
        let decider = decider(self.session, self.shapes()?, inferences).hiding(self.sides);
        let keys = self.keys(&decider, progress)?;
        let key_time = clock.elapsed();
        let clock = Instant::now();
        progress.start(Stage::Compress, 1);
        let elements = decider.statement.pack::<Fr>(&run.inferences)?;
        let claimed = Claimed {
            digests: &digests,
            elements: &elements,
            context,
        };
        let key = (&keys.proving, &keys.shape);
        let proof = decider
            .prove(key, run.recursion, &claimed, &mut OsRng)
            .map_err(Error::from)?;
        progress.finish();
        let proof = Groth16Proof {
            about,
            context,
            key: keys.proving.verifying_key().identity().0,
            proof: proof.to_bytes(),
        };
        Ok((proof, [key_time, clock.elapsed()]))
    }

    /// Verifies a succinct proof as any verifier does, under the keys in use.
    pub(super) fn judge(&self, model: Fr, proof: &Proof) -> anyhow::Result<()> {
        match proof {
            Proof::Folded(proof) => {
                let verdict = self
                    .session
                    .verify(&proof.recursion, model, &proof.inferences);
                verdict?;
            }
            Proof::Spartan(proof) => {
                let statement = self.statement(model, &proof.about.inferences)?;
                let params = self.session.params();
                spartan::verify(params, self.shapes()?, &statement, &proof.proof)
                    .map_err(Error::from)?;
            }
            Proof::Groth16(proof) => {
                let inferences = proof.about.inferences.len();
                let decider = decider(self.session, self.shapes()?, inferences).hiding(self.sides);
                let known = self.keys.get().filter(|(number, _)| *number == inferences);
                let key = match known {
                    Some((_, keys)) => keys.proving.verifying_key().clone(),
                    None => verifying_key(&decider, (None, OWN_KEY), self.cache)?,
                };
                let call = parameters_and_statement((model, &key), &decider, proof)?;
                judge_groth16(&call, proof)?;
            }
        }
        Ok(())
    }
}

/// Verifies a `spartan` proof whose statement shows what the caller asks for.
pub(super) fn judge_spartan(
    session: &Session<Bn254>,
    (model, sides): (Fr, Sides),
    proof: &SpartanProof,
) -> anyhow::Result<()> {
    let statement = session.statement_showing(sides, model, &proof.about.inferences)?;
    let shapes = session.shapes()?;
    spartan::verify(session.params(), &shapes, &statement, &proof.proof).map_err(Error::from)?;
    Ok(())
}

/// What a contract is called with.
#[derive(Debug)]
pub(super) struct Call {
    /// What it was deployed with.
    pub parameters: Parameters,
    /// Context and packed activations.
    pub statement: Vec<Word>,
}

/// What a verifier does without a verifying key.
pub(super) const TRUSTED_KEY: &str = "give the one that you trust with --verifying-key";

/// What the owner of a model does without a verifying key.
pub(super) const OWN_KEY: &str = "make it with `foldnet prove --proof groth16` for the same --private and number of inferences, or \
     import the phase 2 of a ceremony with `foldnet keys import-zkey`";

/// The trusted verifying key: a file of the caller's, or the one of this machine. Without either the error
/// has an advice.
pub(super) fn verifying_key(
    decider: &Decider<'_, Graph<Fr>>,
    (given, advice): (Option<&Path>, &'static str),
    cache: Option<&Path>,
) -> anyhow::Result<VerifyingKey> {
    // Before a circuit is made for as many inferences as the proof lists.
    if decider.statement.elements() > CONTRACT_ELEMENTS {
        return Err(Rejected("the statement is longer than any contract takes").into());
    }
    if let Some(path) = given {
        let name = || path.display().to_string();
        let key = VerifyingKey::load(path).with_context(name)?;
        // The circuit holds pp: only so is the proof's architecture that of the model id.
        let expected = Groth16Cache::new(decider, cache).circuit(decider);
        let expected = expected.map_err(Error::from)?;
        let got = key.circuit().to_string();
        if got != expected {
            let error = DeciderError::Circuit { expected, got };
            return Err(failed(error)).with_context(name);
        }
        return Ok(key);
    }
    let key = Groth16Cache::new(decider, cache)
        .verifying(decider)
        .map_err(Error::from)?;
    key.with_context(|| format!("there is no verifying key for this architecture here; {advice}"))
}

/// The contract's parameters and statement for a proof; says what a caller should know about the key.
pub(super) fn call(
    session: &Session<Bn254>,
    (model, key): (Fr, &VerifyingKey),
    decider: &Decider<'_, Graph<Fr>>,
    proof: &Groth16Proof,
) -> anyhow::Result<Call> {
    warn_if_insecure_key(session, key.insecure());
    if key.identity().0 != proof.key {
        output::note("the proof says that it was made for another verifying key");
    }
    parameters_and_statement((model, key), decider, proof)
}

fn parameters_and_statement(
    (model, key): (Fr, &VerifyingKey),
    decider: &Decider<'_, Graph<Fr>>,
    proof: &Groth16Proof,
) -> anyhow::Result<Call> {
    let elements = decider.statement.pack::<Fr>(&proof.about.inferences)?;
    let statement = [&proof.context].into_iter().chain(&elements);
    Ok(Call {
        parameters: decider.parameters(key, model).map_err(Error::from)?,
        statement: statement.map(scalar_word).collect(),
    })
}

/// An error of succinct proofs as the library's.
pub(super) fn failed(error: impl Into<DeciderError>) -> Error {
    Error::from(error.into())
}

/// Verifies a `groth16` proof natively.
pub(super) fn judge_groth16(call: &Call, proof: &Groth16Proof) -> anyhow::Result<()> {
    let verdict = verify_public(&call.parameters, &call.statement, &proof.proof);
    Ok(verdict.map_err(failed)?)
}

/// Deploys the contract into the embedded machine, calls it, and reports verdict and gas.
pub(super) fn run_contract(
    call: &Call,
    proof: &Groth16Proof,
    report: &mut Report,
) -> anyhow::Result<()> {
    let data = calldata(&call.statement, &proof.proof);
    let mut machine = Machine::deploy(&call.parameters).map_err(failed)?;
    let execution = machine.call(&data).map_err(failed)?;
    let gas = execution.gas;
    let verdict = match &execution.verdict {
        Ok(()) => "accepted".to_owned(),
        Err(refusal) => format!("reverted: {refusal}"),
    };
    report.number("contract", "contract_verdict", verdict);
    report.number("gas", "gas", gas.total);
    report.line(
        "gas by part",
        format_args!(
            "base {}, calldata {}, pairing {}, multiplications {}, additions {}, rest {}",
            gas.base,
            gas.calldata,
            gas.pairings.1,
            gas.multiplications.1,
            gas.additions.1,
            gas.instructions
        ),
    );
    report.number("deployment gas", "deployment_gas", machine.deployment_gas());
    report.bytes("calldata", "calldata_bytes", data.len() as u64);
    if execution.verdict.is_err() {
        return Err(Rejected("the contract reverts").into());
    }
    Ok(())
}

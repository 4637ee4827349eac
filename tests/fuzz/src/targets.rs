//! What is fuzzed: a function for every decoder and verifier of outside data, with honest bytes to
//! start from.
//!
//! No target may panic on any bytes. What decodes must encode to the same bytes, and what verifies
//! must be what was proven honestly. Files that end in a digest get the right one, since otherwise
//! nothing behind it would be reached.

use bellpepper_core::{ConstraintSystem, SynthesisError};
use fixture::{Fixture, Shape as Sizes};
use foldnet::checkpoint::{Checkpoint, Found, Goal, Interval, Opened};
use foldnet::decider::spartan;
use foldnet::files::{self, Access, Kind};
use foldnet::fold::prover::Start;
use foldnet::key::CommitmentKey;
use foldnet::model::plan::PlanOptions;
use foldnet::model::random;
use foldnet::opening;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::proof::{About, Groth16Proof, Proof, SpartanProof};
use foldnet::run::{Job, RunState};
use foldnet::session::{Architecture, Committed, Inference, Session, Timing};
use foldnet::visibility::{Shown, Side, Sides, Visibility};
use foldnet_compress::arithmetic::NativePrimary;
use foldnet_compress::evm::{ContractProof, verify_public};
use foldnet_compress::groth16::{self, Circuit, ProvingKey, Shape, VerifyingKey};
use foldnet_compress::mercury::Opening;
use foldnet_gadgets::cycle::{Bn254, Cycle};
use foldnet_gadgets::hash::{HashConstants, Tag};
use foldnet_gadgets::transcript::Transcript;
use foldnet_layers::tensor;
use halo2curves::bn256::Fr;
use nova_snark::provider::Bn256EngineKZG;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaxed::Relaxed;
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::{NamedTempFile, TempDir};

#[allow(dead_code)] // Shared with the contract's tests.
#[path = "../../../compress/tests/evm/fixture.rs"]
mod fixture;
#[allow(dead_code)] // Shared with the tests of Spartan.
#[path = "../../../compress/tests/relaxed/mod.rs"]
mod relaxed;

/// A decoder or verifier.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Honest bytes.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 14] = [
    Target {
        name: "proof_file",
        seeds: proof_file_seeds,
        run: proof_file,
    },
    Target {
        name: "private_file",
        seeds: private_file_seeds,
        run: private_file,
    },
    Target {
        name: "private_statement",
        seeds: private_statement_seeds,
        run: private_statement,
    },
    Target {
        name: "checkpoint",
        seeds: checkpoint_seeds,
        run: checkpoint,
    },
    Target {
        name: "opening",
        seeds: || vec![FIXTURE.proof.opening.to_bytes()],
        run: opening,
    },
    Target {
        name: "contract_proof",
        seeds: || vec![FIXTURE.proof.to_bytes()],
        run: contract_proof,
    },
    Target {
        name: "groth16_proof",
        seeds: || vec![SMALL.proof.to_bytes().to_vec()],
        run: groth16_proof,
    },
    Target {
        name: "verifying_key",
        seeds: || vec![SMALL.verifying_key()],
        run: verifying_key,
    },
    Target {
        name: "proving_key",
        seeds: || vec![SMALL.proving_key()],
        run: proving_key,
    },
    Target {
        name: "circuit_file",
        seeds: || vec![SMALL.circuit()],
        run: circuit_file,
    },
    Target {
        name: "zkey",
        seeds: || vec![data("small.zkey")],
        run: zkey,
    },
    Target {
        name: "ptau",
        seeds: || vec![data("small.ptau")],
        run: ptau,
    },
    Target {
        name: "key_file",
        seeds: key_file_seeds,
        run: key_file,
    },
    Target {
        name: "spartan",
        seeds: || vec![files::encode_value(&TOY.1).expect("encoded")],
        run: spartan,
    },
];

fn data(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    // This file is compiled by the package itself and by that of the fuzzer, two folders below.
    let folders = [folder.join("tests/data"), folder.join("../data")];
    let found = folders
        .iter()
        .find_map(|f| std::fs::read(f.join(name)).ok());
    found.expect("a file of tests/data")
}

/// A file of these bytes.
fn file(bytes: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("written");
    file
}

/// Without the last 32 bytes, which are a digest.
fn unsealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len().saturating_sub(32));
    bytes
}

fn sealed(bytes: &[u8], digest: Sha256) -> Vec<u8> {
    [bytes, digest.finalize().as_slice()].concat()
}

// Proof files

fn small_program() -> Program {
    let network = random::network(1, 4, 5).expect("a network");
    Program::new("fuzz", &network, &PlanOptions::default()).expect("a program")
}

/// A small network, proven.
struct Network {
    session: Session<Bn254>,
    shapes: spartan::Shapes<Bn254>,
    model: <Bn254 as Cycle>::F,
    proof: SpartanProof,
}

static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    let program = small_program();
    let architecture = Architecture::from(program.outline());
    let session = Session::new(&architecture, None, &mut Silent).expect("a session");
    let committed = session.commit(&program, &mut Silent).expect("committed");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let inputs = [random::input(4, &mut rng)];
    let run = (inputs.as_slice(), Start::Masked);
    let proven = session.prove(&program, &committed, run, &mut Silent, &mut rng);
    let (run, inferences, _) = proven.expect("folded");
    let statement = session.statement(committed.model, &inferences);
    let statement = statement.expect("a statement");
    let shapes = session.shapes().expect("shapes");
    let proof = spartan::prove(session.params(), &shapes, run, &statement, &mut rng);
    Network {
        session,
        shapes,
        model: committed.model,
        proof: SpartanProof {
            about: About {
                architecture,
                inferences,
            },
            proof: proof.expect("proven"),
        },
    }
});

/// What the first byte of a proof file stands for.
const KINDS: [Kind; 3] = [Kind::FoldedProof, Kind::SpartanProof, Kind::Groth16Proof];

fn proof_file_seeds() -> Vec<Vec<u8>> {
    let proof = &NETWORK.proof;
    let groth16 = Groth16Proof {
        about: proof.about.clone(),
        context: Fr::from(7),
        key: [3; 32],
        proof: FIXTURE.proof.to_bytes(),
    };
    let payloads = [
        (1, files::encode_value(proof)),
        (2, files::encode_value(&groth16)),
    ];
    let seeds = payloads.map(|(kind, payload)| {
        let payload = payload.expect("encoded");
        [vec![kind], payload].concat()
    });
    seeds.to_vec()
}

/// A payload behind the number of its kind, or a whole file behind another number.
fn proof_file(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let content = match KINDS.get(usize::from(*kind)) {
        Some(kind) => files::encode_container(*kind, Bn254::NAME, rest).expect("encoded"),
        None => rest.to_vec(),
    };
    let network = &*NETWORK;
    let Ok(Proof::Spartan(proof)) = Proof::read(file(&content).path()) else {
        return;
    };
    // The model id binds the architecture: a verifier compares it first.
    if proof.about.architecture != network.proof.about.architecture {
        return;
    }
    let session = &network.session;
    let Ok(statement) = session.statement(network.model, &proof.about.inferences) else {
        return;
    };
    let verdict = spartan::verify(session.params(), &network.shapes, &statement, &proof.proof);
    assert!(verdict.is_err() || *proof == network.proof, "a forgery");
}

// Openings of private sides

/// A private input and what opens it.
static HIDDEN: LazyLock<(Vec<Inference>, opening::Opening)> = LazyLock::new(|| {
    let values = vec![1, -2, 3, -128];
    let opening = opening::Opening {
        side: Side::Input,
        tensors: vec![opening::Opened::new(values.clone(), &Fr::from(9))],
    };
    let constants = HashConstants::<Fr>::default();
    let digest = tensor::digest(&constants, &values, 8, Fr::from(9));
    let shown = vec![Inference {
        input: Shown::commitment(&digest),
        output: Shown::Values(vec![0; 4]),
    }];
    let session = &NETWORK.session;
    session.check_opening(&shown, &opening).expect("honest");
    (shown, opening)
});

fn private_file_seeds() -> Vec<Vec<u8>> {
    vec![files::encode_value(&HIDDEN.1).expect("encoded")]
}

/// The payload of an opening: no other one opens the commitment.
fn private_file(bytes: &[u8]) {
    let content = files::encode_container(Kind::Opening, files::NO_CURVE, bytes).expect("encoded");
    let Ok(decoded) = opening::Opening::decode(content.as_slice()) else {
        return;
    };
    let (shown, honest) = &*HIDDEN;
    let verdict = NETWORK.session.check_opening(shown, &decoded);
    assert!(verdict.is_err() || decoded == *honest, "two openings");
}

/// A proof about two inferences of the small network with both sides private, and what opens it.
struct Private {
    inferences: Vec<Inference>,
    openings: Vec<opening::Opening>,
    proof: spartan::Proof<Bn254>,
}

/// What the verifier of [`PRIVATE`] asks for.
const BOTH: Sides = Sides {
    input: Visibility::Private,
    output: Visibility::Private,
};

static PRIVATE: LazyLock<Private> = LazyLock::new(|| {
    let network = &*NETWORK;
    let (session, model) = (&network.session, network.model);
    let program = small_program();
    let committed = session.commit(&program, &mut Silent).expect("committed");
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let inputs: Vec<_> = (0..2).map(|_| random::input(4, &mut rng)).collect();
    let run = RunState::begin_hiding(session, model, &inputs, BOTH, &mut rng);
    let mut run = run.expect("begun");
    let job = Job {
        session,
        program: &program,
        committed: &committed,
        inputs: &inputs,
    };
    let timing = &mut Timing::default();
    job.fold(&mut run, timing, &mut Silent, &mut |_| {}, &mut rng)
        .expect("folded");
    let inferences = run.inferences(session, &inputs).expect("inferences");
    let openings = run.openings(&inputs).expect("openings");
    let statement = session.statement_showing(BOTH, model, &inferences);
    let statement = statement.expect("a statement");
    let params = session.params();
    let proof = spartan::prove(params, &network.shapes, run.recursion, &statement, &mut rng);
    Private {
        inferences,
        openings,
        proof: proof.expect("proven"),
    }
});

/// What a proof shows, and an opening of each side.
fn private_statement_seeds() -> Vec<Vec<u8>> {
    let Private {
        inferences,
        openings,
        ..
    } = &*PRIVATE;
    let seed = |opening| files::encode_value(&(inferences, opening)).expect("encoded");
    openings.iter().map(seed).collect()
}

/// A statement and an opening: only the honest statement is proven, whatever a verifier asks for, and
/// a commitment is opened by nothing but what was committed to.
fn private_statement(bytes: &[u8]) {
    let decoded = files::decode_value::<(Vec<Inference>, opening::Opening)>(bytes);
    let Ok((inferences, opening)) = decoded else {
        return;
    };
    let Network {
        session,
        shapes,
        model,
        ..
    } = &*NETWORK;
    let honest = &*PRIVATE;
    for input in [Visibility::Public, Visibility::Private] {
        for output in [Visibility::Public, Visibility::Private] {
            let sides = Sides { input, output };
            let Ok(statement) = session.statement_showing(sides, *model, &inferences) else {
                continue;
            };
            let verdict = spartan::verify(session.params(), shapes, &statement, &honest.proof);
            let same = sides == BOTH && inferences == honest.inferences;
            assert_eq!(verdict.is_ok(), same, "a forgery, or a true proof refused");
        }
    }
    if session.check_opening(&inferences, &opening).is_err() {
        return;
    }
    // Inferences may be left out or repeated: each is opened on its own.
    let side = opening.side;
    let committed = honest.openings.iter().filter(|honest| honest.side == side);
    let committed: Vec<_> = committed.flat_map(|honest| &honest.tensors).collect();
    for opened in &opening.tensors {
        assert!(committed.contains(&opened), "two openings");
    }
}

// Checkpoints

/// A run of two inferences of the small network, and where its checkpoint is.
struct Stopped {
    program: Program,
    committed: Committed<Bn254>,
    inputs: Vec<Vec<i64>>,
    _folder: TempDir,
    path: PathBuf,
}

const NEVER: Interval = Interval {
    steps: None,
    time: None,
};

static STOPPED: LazyLock<Stopped> = LazyLock::new(|| {
    let program = small_program();
    let committed = NETWORK.session.commit(&program, &mut Silent);
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let inputs = (0..2).map(|_| random::input(4, &mut rng)).collect();
    let folder = tempfile::tempdir().expect("a temporary directory");
    Stopped {
        program,
        committed: committed.expect("committed"),
        inputs,
        path: folder.path().join("run.state"),
        _folder: folder,
    }
});

impl Stopped {
    fn job(&self) -> Job<'_, Bn254> {
        Job {
            session: &NETWORK.session,
            program: &self.program,
            committed: &self.committed,
            inputs: &self.inputs,
        }
    }

    /// The payload of the checkpoint.
    fn payload(&self) -> Vec<u8> {
        let header = files::read_header(&self.path).expect("a header");
        let bytes = std::fs::read(&self.path).expect("read");
        let start = bytes.len() - 32 - header.payload_bytes as usize;
        unsealed(bytes).split_off(start)
    }
}

fn goal() -> Goal<Bn254> {
    Goal {
        proof: "spartan",
        context: Fr::from(0),
        sides: Sides::PUBLIC,
    }
}

/// A checkpoint before the first step, one after it, and one whose proof is being published.
fn checkpoint_seeds() -> Vec<Vec<u8>> {
    let stopped = &*STOPPED;
    let job = stopped.job();
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let _ = std::fs::remove_file(&stopped.path);
    let made = Checkpoint::create(&stopped.path, &job, &goal(), NEVER, &mut rng);
    let mut checkpoint = made.expect("created");
    let mut seeds = vec![stopped.payload()];
    let model = stopped.committed.model;
    let start = Start::Masked;
    let run = RunState::begin(job.session, model, job.inputs, start, &mut rng);
    let mut save = |state: &RunState<Bn254>| {
        if state.recursion.index == 1 {
            checkpoint.save(state).expect("saved");
            seeds.push(stopped.payload());
        }
    };
    let mut timing = Timing::default();
    let mut run = run.expect("begun");
    job.fold(&mut run, &mut timing, &mut Silent, &mut save, &mut rng)
        .expect("folded");
    checkpoint.publishing(&[7; 100]).expect("marked");
    seeds.push(stopped.payload());
    seeds
}

/// The payload of a checkpoint: what can be continued is continued, and proves the honest statement
/// or nothing.
fn checkpoint(payload: &[u8]) {
    let bytes = files::encode_container(Kind::State, Bn254::NAME, payload).expect("encoded");
    let file = file(&bytes);
    let job = STOPPED.job();
    let opened = Opened::open(file.path());
    let Ok((_, found)) = opened.and_then(|opened| opened.resume(&job, &goal(), NEVER)) else {
        return;
    };
    let Found::State(mut run) = found else {
        return;
    };
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let mut timing = Timing::default();
    let folded = job.fold(&mut run, &mut timing, &mut Silent, &mut |_| {}, &mut rng);
    if folded.is_err() {
        return;
    }
    let model = STOPPED.committed.model;
    let statement = run
        .inferences(job.session, job.inputs)
        .and_then(|inferences| job.session.statement(model, &inferences));
    let _ = statement.map(|statement| {
        let (params, shapes) = (job.session.params(), &NETWORK.shapes);
        spartan::prove(params, shapes, run.recursion, &statement, &mut rng).map(drop)
    });
}

// Mercury and the contract

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    Fixture::honest(Sizes {
        statement: 4,
        commitments: 3,
        variables: 7,
    })
});

fn opening(bytes: &[u8]) {
    let Ok(opening) = Opening::decode(bytes) else {
        return;
    };
    assert_eq!(opening.to_bytes(), bytes);
    let Fixture {
        parameters, proof, ..
    } = &*FIXTURE;
    let claim = &proof.claim;
    let commitment = claim.combined(&parameters.blind_generator);
    // Another seed than the honest one: nothing is accepted.
    let verdict = opening.verify(
        &parameters.tau_h,
        &[9; 32],
        &commitment,
        &claim.point,
        claim.value,
    );
    assert!(verdict.is_err());
}

fn contract_proof(bytes: &[u8]) {
    let fixture = &*FIXTURE;
    if let Ok(proof) = ContractProof::decode(&fixture.parameters, bytes) {
        assert_eq!(proof.to_bytes(), bytes);
    }
    let verdict = verify_public(&fixture.parameters, &fixture.statement, bytes);
    assert!(verdict.is_err() || bytes == fixture.proof.to_bytes());
}

// Groth16

/// `x^2 = y`, `y x = z` with public `z`.
struct Cube(u64);

impl Circuit for Cube {
    fn synthesize<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        let value = Fr::from(self.0);
        let x = cs.alloc(|| "x", || Ok(value))?;
        let y = cs.alloc(|| "y", || Ok(value * value))?;
        let z = cs.alloc_input(|| "z", || Ok(value * value * value))?;
        cs.enforce(|| "square", |lc| lc + x, |lc| lc + x, |lc| lc + y);
        cs.enforce(|| "cube", |lc| lc + y, |lc| lc + x, |lc| lc + z);
        Ok(())
    }
}

/// Keys and a proof of a small circuit.
struct Small {
    shape: Shape,
    key: ProvingKey,
    proof: groth16::Proof,
}

static SMALL: LazyLock<Small> = LazyLock::new(|| {
    let shape = Shape::of(&Cube(3)).expect("a shape");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let key = ProvingKey::development(&shape, &mut rng).expect("a key");
    let assignment = groth16::Assignment::of(&Cube(3)).expect("a witness");
    let proof = groth16::prove(&key, &shape, &assignment, &mut rng).expect("proven");
    Small { shape, key, proof }
});

impl Small {
    fn verifying_key(&self) -> Vec<u8> {
        unsealed(self.key.verifying_key().to_bytes())
    }

    fn proving_key(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.key.write(&mut bytes).expect("written");
        unsealed(bytes)
    }

    fn circuit(&self) -> Vec<u8> {
        let file = file(&[]);
        self.shape.save(file.path()).expect("saved");
        unsealed(std::fs::read(file.path()).expect("read"))
    }
}

fn groth16_proof(bytes: &[u8]) {
    let Ok(proof) = groth16::Proof::from_bytes(bytes) else {
        return;
    };
    assert_eq!(proof.to_bytes().as_slice(), bytes);
    let small = &*SMALL;
    let verdict = groth16::verify(small.key.verifying_key(), &[Fr::from(27)], &proof);
    assert!(verdict.is_err() || proof == small.proof);
}

fn verifying_key(bytes: &[u8]) {
    let _ = VerifyingKey::from_bytes(bytes);
    let sealed = sealed(bytes, Sha256::new_with_prefix(bytes));
    let Ok(key) = VerifyingKey::from_bytes(&sealed) else {
        return;
    };
    assert_eq!(key.to_bytes(), sealed);
    let verdict = groth16::verify(&key, &[Fr::from(27)], &SMALL.proof);
    assert!(verdict.is_err() || key.alpha() == SMALL.key.verifying_key().alpha());
}

fn proving_key(bytes: &[u8]) {
    let small = &*SMALL;
    let sealed = sealed(bytes, Sha256::new_with_prefix(bytes));
    let Ok(key) = ProvingKey::read(sealed.as_slice(), &small.shape) else {
        return;
    };
    // Wrong points are found by the prover itself.
    let assignment = groth16::Assignment::of(&Cube(3)).expect("a witness");
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let _ = groth16::prove(&key, &small.shape, &assignment, &mut rng);
}

/// The digest of a circuit is over its counts, then over everything behind the header.
fn circuit_file(bytes: &[u8]) {
    const COUNTS: std::ops::Range<usize> = 12..44;
    const HEADER: usize = 68;
    let mut digest = Sha256::new_with_prefix(b"foldnet groth16 circuit 1");
    digest.update(bytes.get(COUNTS).unwrap_or_default());
    digest.update(bytes.get(HEADER..).unwrap_or_default());
    let Ok(shape) = Shape::load(file(&sealed(bytes, digest)).path()) else {
        return;
    };
    let assignment = groth16::Assignment::of(&Cube(3)).expect("a witness");
    let _ = shape.check(&assignment);
    let _ = groth16::write_r1cs(&shape, &mut std::io::sink());
}

fn zkey(bytes: &[u8]) {
    let small = &*SMALL;
    let Ok(key) = groth16::import_zkey(Cursor::new(bytes), &small.shape) else {
        return;
    };
    let assignment = groth16::Assignment::of(&Cube(3)).expect("a witness");
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let _ = groth16::prove(&key, &small.shape, &assignment, &mut rng);
}

// Commitment keys

type Key = CommitmentKey<Bn256EngineKZG>;

fn ptau(bytes: &[u8]) {
    let file = file(bytes);
    for power in [None, Some(2)] {
        let Ok(key) = Key::import(file.path(), power, &mut |_| {}) else {
            continue;
        };
        assert!(!key.insecure() && key.len().is_power_of_two());
    }
}

/// The folder of the key file that [`key_file`] starts from.
static KEY: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("bn254.key");
    let key = Key::derive(8, &mut |_| {}).expect("a key");
    key.save(&path).expect("saved");
    (folder, path)
});

fn key_file_seeds() -> Vec<Vec<u8>> {
    let header = files::read_header(&KEY.1).expect("a header");
    let bytes = std::fs::read(&KEY.1).expect("read");
    let start = bytes.len() - 32 - header.payload_bytes as usize;
    vec![unsealed(bytes).split_off(start)]
}

/// The payload of a key file.
fn key_file(payload: &[u8]) {
    let curve = files::read_header(&KEY.1).expect("a header").curve;
    let bytes = files::encode_container(Kind::CommitmentKey, &curve, payload).expect("encoded");
    let file = file(&bytes);
    let Ok(key) = Key::load(file.path()) else {
        return;
    };
    files::write_bytes(file.path(), Access::Public, &[]).expect("written");
    key.save(file.path()).expect("saved");
    assert_eq!(std::fs::read(file.path()).expect("read"), bytes);
}

// Spartan

const TAG: Tag = Tag::new("fuzz");

static CONSTANTS: LazyLock<HashConstants<Fr>> = LazyLock::new(HashConstants::default);

type Toy = (Relaxed<Fr>, foldnet_compress::spartan::Proof<Fr>);

static TOY: LazyLock<Toy> = LazyLock::new(|| {
    let toy = Relaxed::random(60, &[30, 40], 2, 4);
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    let mut oracle = NativePrimary::new(&mut transcript);
    let Relaxed {
        shape, u, x, error, ..
    } = &toy;
    let proven =
        foldnet_compress::spartan::prove(shape, *u, x, &toy.segments(), error, &mut oracle);
    let (proof, _) = proven.expect("proven");
    (toy, proof)
});

fn spartan(bytes: &[u8]) {
    let Ok(proof) = files::decode_value(bytes) else {
        return;
    };
    let (Relaxed { shape, u, x, .. }, honest) = &*TOY;
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    let mut oracle = NativePrimary::new(&mut transcript);
    let dimensions = shape.dimensions();
    let verdict = foldnet_compress::spartan::verify(&mut oracle, dimensions, u, x, &proof, shape);
    assert!(verdict.is_err() || proof == *honest, "a forgery");
}

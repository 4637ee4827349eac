//! Groth16 against `snarkjs`: a ceremony for an exported circuit, its key imported, and proofs
//! that both accept or both refuse.
//!
//! Needs Node.js. The tools are those that `contracts/package-lock.json` pins.

use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use foldnet_compress::groth16::{
    Assignment, Circuit, Error, Fr, Proof, ProvingKey, Shape, VerifyingKey, import_zkey, json,
    prove, verify, write_r1cs,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use tempfile::TempDir;

/// `y = x_n` with `x_(i+1) = (x_i + i x_0)(x_i - x_0 + 7)`, and `z = 3 y + x_0`.
struct Chain {
    x: u64,
    steps: u64,
}

impl Circuit for Chain {
    fn synthesize<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        let start = Fr::from(self.x);
        let first = cs.alloc(|| "start", || Ok(start))?;
        let (mut value, mut last) = (start, first);
        for i in 0..self.steps {
            let weight = Fr::from(i);
            value = (value + weight * start) * (value - start + Fr::from(7));
            let next = cs.alloc(|| "next", || Ok(value))?;
            cs.enforce(
                || format!("step {i}"),
                |lc| lc + last + (weight, first),
                |lc| lc + last - first + (Fr::from(7), CS::one()),
                |lc| lc + next,
            );
            last = next;
        }
        let y = cs.alloc_input(|| "y", || Ok(value))?;
        let z = cs.alloc_input(|| "z", || Ok(value * Fr::from(3) + start))?;
        cs.enforce(|| "y", |lc| lc + last, |lc| lc + CS::one(), |lc| lc + y);
        cs.enforce(
            || "z",
            |lc| lc + (Fr::from(3), y) + first,
            |lc| lc + CS::one(),
            |lc| lc + z,
        );
        Ok(())
    }
}

const CHAIN: Chain = Chain { x: 4, steps: 30 };

/// The folder of the pinned tools, installed when it is not there.
static TOOLS: LazyLock<PathBuf> = LazyLock::new(|| {
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts");
    let modules = contracts.join("node_modules");
    if !modules.join("snarkjs").exists() {
        let install = [
            "ci",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--silent",
        ];
        let installed = Command::new("npm")
            .args(install)
            .current_dir(&contracts)
            .status()
            .expect("this test needs Node.js with npm; install it");
        assert!(installed.success(), "npm ci failed in contracts/");
    }
    modules
});

/// Runs `snarkjs` in a folder.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("node")
        .arg(TOOLS.join("snarkjs/build/cli.cjs"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("this test needs Node.js; install it")
}

fn must_run(folder: &Path, arguments: &[&str]) {
    let output = run(folder, arguments);
    assert!(
        output.status.success(),
        "snarkjs {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Files of a ceremony for [`CHAIN`]: `circuit.r1cs`, `final.ptau`, `start.zkey` without a
/// contribution and `end.zkey` with one.
static CEREMONY: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut circuit = File::create(path.join("circuit.r1cs")).unwrap();
    write_r1cs(&shape(), &mut circuit).unwrap();
    must_run(path, &["powersoftau", "new", "bn128", "8", "new.ptau"]);
    let contribute = [
        "powersoftau",
        "contribute",
        "new.ptau",
        "old.ptau",
        "--name=test",
        "-e=first entropy",
    ];
    must_run(path, &contribute);
    must_run(
        path,
        &["powersoftau", "prepare", "phase2", "old.ptau", "final.ptau"],
    );
    must_run(
        path,
        &[
            "groth16",
            "setup",
            "circuit.r1cs",
            "final.ptau",
            "start.zkey",
        ],
    );
    let contribute = [
        "zkey",
        "contribute",
        "start.zkey",
        "end.zkey",
        "--name=test",
        "-e=second entropy",
    ];
    must_run(path, &contribute);
    folder
});

fn shape() -> Shape {
    Shape::of(&CHAIN).unwrap()
}

fn zkey(name: &str) -> Vec<u8> {
    fs::read(CEREMONY.path().join(name)).unwrap()
}

fn import(bytes: &[u8]) -> Result<ProvingKey, Error> {
    import_zkey(Cursor::new(bytes), &shape())
}

fn proof(key: &ProvingKey) -> (Vec<Fr>, Proof) {
    let assignment = Assignment::of(&CHAIN).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let proof = prove(key, &shape(), &assignment, &mut rng).unwrap();
    (assignment.inputs().to_vec(), proof)
}

fn write_json(folder: &Path, name: &str, value: &Value) {
    let mut file = File::create(folder.join(name)).unwrap();
    file.write_all(value.to_string().as_bytes()).unwrap();
}

/// The verdict of `snarkjs`.
fn accepts(key: &VerifyingKey, inputs: &[Fr], proof: &Proof) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_json(path, "key.json", &json::verifying_key(key));
    write_json(path, "public.json", &json::inputs(inputs));
    write_json(path, "proof.json", &json::proof(proof));
    let arguments = ["groth16", "verify", "key.json", "public.json", "proof.json"];
    let output = run(path, &arguments);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("OK!") || said.contains("Invalid proof"));
    output.status.success()
}

fn both_agree(key: &ProvingKey) {
    let (inputs, proof) = proof(key);
    let key = key.verifying_key();
    assert!(verify(key, &inputs, &proof).is_ok());
    assert!(accepts(key, &inputs, &proof));

    let wrong = [inputs[0], inputs[1] + Fr::ONE];
    assert!(verify(key, &wrong, &proof).is_err());
    assert!(!accepts(key, &wrong, &proof));
}

#[test]
fn development_keys_agree_with_snarkjs() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    both_agree(&ProvingKey::development(&shape(), &mut rng).unwrap());
}

#[test]
fn imported_keys_agree_with_snarkjs() {
    let key = import(&zkey("end.zkey")).unwrap();
    assert!(!key.insecure());
    both_agree(&key);
}

#[test]
fn keys_without_contribution_are_insecure() {
    let key = import(&zkey("start.zkey")).unwrap();
    assert!(key.insecure());
    let (inputs, proof) = proof(&key);
    assert!(verify(key.verifying_key(), &inputs, &proof).is_ok());
}

#[test]
fn contribution_that_changes_nothing_is_insecure() {
    let mut bytes = zkey("start.zkey");
    let (start, length) = section(&bytes, 10);
    assert_eq!((start + length, length), (bytes.len(), 68));
    let (sizes, _) = section(&bytes, 2);
    let delta = bytes[sizes + 468..sizes + 532].to_vec();
    bytes[start + 64] = 1;
    bytes[start - 8..start].copy_from_slice(&(68u64 + 392).to_le_bytes());
    bytes.extend(delta);
    bytes.extend([0; 392 - 64]);
    assert!(import(&bytes).unwrap().insecure());
}

#[test]
fn snarkjs_checks_the_exported_circuit_against_the_key() {
    let arguments = ["zkey", "verify", "circuit.r1cs", "final.ptau", "end.zkey"];
    must_run(CEREMONY.path(), &arguments);
}

#[test]
fn verifying_keys_are_exported_alike() {
    let arguments = ["zkey", "export", "verificationkey", "end.zkey", "key.json"];
    must_run(CEREMONY.path(), &arguments);
    let theirs = fs::read(CEREMONY.path().join("key.json")).unwrap();
    let mut theirs: Value = serde_json::from_slice(&theirs).unwrap();
    theirs.as_object_mut().unwrap().remove("vk_alphabeta_12");
    let key = import(&zkey("end.zkey")).unwrap();
    assert_eq!(json::verifying_key(key.verifying_key()), theirs);
}

#[test]
fn imported_keys_survive_our_files() {
    let key = import(&zkey("end.zkey")).unwrap();
    let mut bytes = Vec::new();
    key.write(&mut bytes).unwrap();
    let again = ProvingKey::read(&bytes[..], &shape()).unwrap();
    assert!(!again.insecure());
    assert_eq!(again.identity(), key.identity());
    let (inputs, proof) = proof(&again);
    assert!(verify(key.verifying_key(), &inputs, &proof).is_ok());
}

#[test]
fn powers_of_tau_without_contribution_are_refused() {
    let path = CEREMONY.path();
    must_run(
        path,
        &["powersoftau", "prepare", "phase2", "new.ptau", "bare.ptau"],
    );
    must_run(
        path,
        &["groth16", "setup", "circuit.r1cs", "bare.ptau", "bare.zkey"],
    );
    assert!(matches!(
        import(&zkey("bare.zkey")),
        Err(Error::Invalid {
            problem: "infinity",
            ..
        })
    ));
}

/// Start and length of a section.
fn section(bytes: &[u8], id: u32) -> (usize, usize) {
    let mut position = 12;
    loop {
        let number = u32::from_le_bytes(bytes[position..position + 4].try_into().unwrap());
        let size = u64::from_le_bytes(bytes[position + 4..position + 12].try_into().unwrap());
        if number == id {
            return (position + 12, size as usize);
        }
        position += 12 + size as usize;
    }
}

#[test]
fn keys_of_other_circuits_are_refused() {
    let bytes = zkey("end.zkey");
    let longer = Shape::of(&Chain { x: 4, steps: 31 }).unwrap();
    assert!(matches!(
        import_zkey(Cursor::new(&bytes), &longer),
        Err(Error::Field {
            what: "variables",
            ..
        })
    ));
    let (start, _) = section(&bytes, 4);
    // A column, then a value.
    for at in [start + 4 + 8, start + 4 + 12 + 44 * 10] {
        let mut other = bytes.clone();
        other[at] ^= 1;
        assert!(matches!(
            import(&other),
            Err(Error::Field {
                what: "entry of the matrices",
                ..
            })
        ));
    }
}

#[test]
fn every_section_is_checked() {
    let bytes = zkey("end.zkey");
    for id in 1..=9 {
        let (start, length) = section(&bytes, id);
        for at in [start, start + length / 2, start + length - 1] {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert!(import(&wrong).is_err(), "section {id}, byte {at}");
        }
    }
    let (contributions, _) = section(&bytes, 10);
    let mut wrong = bytes.clone();
    // Delta after the contribution becomes alpha.
    let (sizes, _) = section(&bytes, 2);
    wrong.copy_within(sizes + 84..sizes + 148, contributions + 68);
    assert!(matches!(
        import(&wrong),
        Err(Error::Invalid { what: "delta", .. })
    ));
}

#[test]
fn curves_and_protocols_are_checked() {
    let bytes = zkey("end.zkey");
    let (protocol, _) = section(&bytes, 1);
    let (sizes, _) = section(&bytes, 2);
    for (at, name) in [
        (protocol, "protocol (1 is Groth16)"),
        (sizes + 4, "base field"),
        (sizes + 40, "scalar field"),
        (sizes + 72, "variables"),
        (sizes + 76, "public inputs"),
        (sizes + 80, "domain size"),
    ] {
        let mut wrong = bytes.clone();
        wrong[at] ^= 2;
        assert!(matches!(import(&wrong), Err(Error::Field { what, .. }) if what == name));
    }
}

#[test]
fn cut_off_and_foreign_files_are_refused() {
    let bytes = zkey("end.zkey");
    for length in (0..bytes.len()).step_by(999) {
        assert!(import(&bytes[..length]).is_err(), "{length} bytes");
    }
    let circuit = fs::read(CEREMONY.path().join("circuit.r1cs")).unwrap();
    assert!(matches!(import(&circuit), Err(Error::Foreign { .. })));
    let mut newer = bytes.clone();
    newer[4] = 9;
    assert!(matches!(import(&newer), Err(Error::Version { got: 9, .. })));
}

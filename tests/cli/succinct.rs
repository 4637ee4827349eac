//! Succinct proofs on the command line: made, verified, run in the embedded machine, exported.

use crate::{ACCEPTED, INPUT, Place, REJECTED, UNDECIDED, shared};
use foldnet::proof::{Groth16Proof, Proof};

fn prove<'a>(fold: &'a str, kind: &'a str, output: &'a str) -> Vec<&'a str> {
    let input = ["--input", "input.json"];
    let rest = ["--proof", kind, "-o", output];
    [&["prove", fold][..], &input, &rest].concat()
}

/// The tiny model's spartan proof is accepted, and rejected for another model or with other claims.
#[test]
fn spartan_proofs_are_made_and_verified() {
    let (place, shared) = (Place::new(), shared());
    place.write("input.json", INPUT);
    let made = prove(&shared.fold, "spartan", "s.proof");
    let made = [&made[..], &["--json", "s.json"]].concat();
    let ran = place.expect(ACCEPTED, &made, &["estimate: "]);
    assert!(ran.stdout.contains("spartan"), "{}", ran.stdout);
    let bytes = place.json("s.json")["proof_bytes"].as_u64();
    assert!(bytes.is_some_and(|bytes| bytes < 100_000), "{bytes:?}");
    let id = shared.id.as_str();
    let ran = place.expect(ACCEPTED, &["verify", "s.proof", "--model-id", id], &[]);
    assert!(ran.stdout.contains("accepted"), "{}", ran.stdout);
    let other = format!("0x{}1", "0".repeat(63));
    place.expect(
        REJECTED,
        &["verify", "s.proof", "--model-id", &other],
        &["rejected", "s.proof"],
    );
    let evm = ["verify", "s.proof", "--model-id", id, "--evm"];
    place.expect(UNDECIDED, &evm, &["for groth16 proofs", "spartan proof"]);

    let Ok(Proof::Spartan(mut proof)) = Proof::read(&place.path("s.proof")) else {
        panic!("a spartan proof")
    };
    proof.about.inferences[0]
        .output
        .values_mut()
        .expect("values")[0] ^= 1;
    proof.write(&place.path("lie.proof")).expect("written");
    let lie = ["verify", "lie.proof", "--model-id", id];
    place.expect(REJECTED, &lie, &["rejected", "lie.proof"]);
}

/// One groth16 proof is made; everything that can be done with it is done.
#[test]
fn groth16_proofs_go_to_the_contract() {
    let (place, shared) = (Place::new(), shared());
    let (fold, id) = (shared.fold.as_str(), shared.id.as_str());
    place.write("input.json", INPUT);
    let made = prove(fold, "groth16", "g.proof");
    let made = [&made[..], &["--context", "0x2a", "--json", "g.json"]].concat();
    place.expect(ACCEPTED, &made, &["estimate: "]);

    let verify = ["verify", "g.proof", "--model-id", id];
    let evm = [&verify[..], &["--evm", "--json", "v.json"]].concat();
    let ran = place.expect(ACCEPTED, &evm, &["development keys"]);
    assert!(ran.stdout.contains("gas by part"), "{}", ran.stdout);
    let json = place.json("v.json");
    assert_eq!(json["contract_verdict"], "accepted");
    assert!(json["gas"].as_u64().is_some_and(|gas| gas < 480_000));
    assert_eq!(json["verifying_key"], place.json("g.json")["verifying_key"]);

    let context = [&verify[..], &["--context", "0x2a"]].concat();
    place.expect(ACCEPTED, &context, &[]);
    let context = [&verify[..], &["--context", "0x2b"]].concat();
    place.expect(REJECTED, &context, &["another context"]);
    let other = format!("0x{}1", "0".repeat(63));
    let foreign = ["verify", "g.proof", "--model-id", &other];
    let advice = [
        "rejected",
        "compare: that --model-id",
        "that the verifying key is",
    ];
    place.expect(REJECTED, &foreign, &advice);
    let foreign = [&foreign[..], &["--evm"]].concat();
    place.expect(REJECTED, &foreign, &["the contract reverts"]);

    exports(&place, fold);
    let given = [&verify[..], &["--verifying-key", "out/verifying.key"]].concat();
    place.expect(ACCEPTED, &given, &[]);
    let foreign = [&verify[..], &["--verifying-key", "input.json"]].concat();
    place.expect(UNDECIDED, &foreign, &["input.json", "verifying key"]);
    lies(&place, id);
}

/// The contract is exported only when development keys are accepted in words.
fn exports(place: &Place, fold: &str) {
    let contract = ["export", "contract", "--model", fold, "-o", "out"];
    let contract = [&contract[..], &["--proof", "g.proof"]].concat();
    place.expect(
        UNDECIDED,
        &contract,
        &["anyone can forge", "--accept-insecure"],
    );
    assert!(!place.path("out").exists());
    let accepted = [&contract[..], &["--accept-insecure-development-keys"]].concat();
    place.expect(ACCEPTED, &accepted, &[]);
    for name in [
        "FoldnetVerifier.sol",
        "FoldnetVerifier.abi.json",
        "FoldnetVerifier.bin",
        "constructor-arguments.hex",
        "deployment.json",
        "calldata.hex",
        "call.json",
        "verifying.key",
    ] {
        assert!(place.path("out").join(name).exists(), "{name}");
    }
    assert_eq!(
        place.json("out/deployment.json")["insecure_development_keys"],
        true
    );
    let snarkjs = [
        "export", "snarkjs", "--model", fold, "--proof", "g.proof", "-o", "js",
    ];
    place.expect(
        ACCEPTED,
        &snarkjs,
        &["snarkjs checks the Groth16 proof alone"],
    );
    assert_eq!(
        place.json("js/public.json").as_array().map(Vec::len),
        Some(3)
    );
    let circuit = ["export", "circuit", "--model", fold, "-o", "c.r1cs"];
    place.expect(ACCEPTED, &circuit, &[]);
    let bytes = std::fs::read(place.path("c.r1cs")).expect("the circuit");
    assert_eq!(bytes.get(..4), Some(&b"r1cs"[..]));
}

/// Files that claim something else than their proof.
fn lies(place: &Place, id: &str) {
    let write = |name: &str, alter: fn(&mut Groth16Proof)| {
        let Ok(Proof::Groth16(mut proof)) = Proof::read(&place.path("g.proof")) else {
            panic!("a groth16 proof")
        };
        alter(&mut proof);
        proof.write(&place.path(name)).expect("written");
        let verify = ["verify", name, "--model-id", id];
        place.expect(REJECTED, &verify, &["rejected", name]);
    };
    write("output.proof", |lie| {
        lie.about.inferences[0].output.values_mut().expect("values")[0] ^= 1
    });
    write("input.proof", |lie| {
        lie.about.inferences[0].input.values_mut().expect("values")[0] ^= 1
    });
    // The same packed element: 256 more in one activation, one less in the next.
    write("alias.proof", |lie| {
        lie.about.inferences[0].input.values_mut().expect("values")[0] += 256;
        lie.about.inferences[0].input.values_mut().expect("values")[1] -= 1;
    });
    write("truncated.proof", |lie| {
        lie.proof.pop();
    });
    write("longer.proof", |lie| lie.proof.push(0));
    write("word.proof", |lie| lie.proof[40] ^= 1);
}

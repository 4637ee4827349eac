//! Importing and listing commitment keys, and proving with an imported one.

use crate::{ACCEPTED, INPUT, Place, REJECTED, UNDECIDED, cache, shared, source};
use ff::Field;
use halo2curves::bn256::{Fq, Fr, G1, G2, G2Affine};
use halo2curves::group::Curve;
use halo2curves::serde::SerdeObject;
use rand_core::OsRng;
use rayon::prelude::*;

/// The points that the tiny model needs, as a power of two.
const POWER: u32 = 16;

fn small() -> String {
    source("tests/data/small.ptau").display().to_string()
}

#[test]
fn keys_are_imported_and_listed() {
    let (place, small) = (Place::new(), small());
    let import = |power: &[&str]| {
        let start = ["--cache", "keys", "keys", "import", "--ptau", &small];
        place.expect(
            ACCEPTED,
            &[&start[..], power, &["--json", "k.json"]].concat(),
            &["key kept in keys/bn254-g1-imported"],
        )
    };
    let list = ["--cache", "keys", "keys", "list", "--json", "l.json"];
    place.expect(ACCEPTED, &list, &["no usable keys"]);
    import(&["--power", "4"]);
    let json = place.json("k.json");
    assert_eq!(
        (&json["points"], &json["curve"]),
        (&16.into(), &"bn254-g1".into())
    );
    let ran = import(&[]);
    let json = place.json("k.json");
    assert_eq!(
        (&json["points"], &json["insecure"]),
        (&64.into(), &false.into())
    );
    let digest = json["digest"].as_str().expect("a digest");
    assert!(
        ran.stdout.contains(digest) && ran.stdout.contains("64 (2^6)"),
        "{}",
        ran.stdout
    );

    let ran = place.expect(ACCEPTED, &list, &[]);
    assert!(
        ran.stdout.contains(digest) && ran.stdout.contains("imported"),
        "{}",
        ran.stdout
    );
    let json = place.json("l.json");
    assert_eq!(json["keys"][0]["digest"], digest);
    assert_eq!(json["keys"][0]["insecure"], false);
    // A model that needs more is not proven with the insecure key instead.
    let arguments = ["--cache", "keys", "model-id", &shared().fold];
    let parts = [
        "keys/bn254-g1-imported",
        "has 64 points",
        "foldnet keys import --ptau FILE --power",
    ];
    place.expect(UNDECIDED, &arguments, &parts);

    place.write("keys/noise.key", "noise");
    let ran = place.expect(
        ACCEPTED,
        &list,
        &["not usable: ", "noise.key", "not a foldnet file"],
    );
    assert!(ran.stdout.contains(digest), "{}", ran.stdout);

    let path = cache();
    let cache = path.to_str().expect("text");
    let ran = place.expect(ACCEPTED, &["--cache", cache, "keys", "list"], &[]);
    for part in ["INSECURE development key", "grumpkin", "derived"] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
}

#[test]
fn bad_ceremony_files_are_named() {
    let place = Place::new();
    let bytes = std::fs::read(small()).expect("the test file");
    let refused = |content: &[u8], more: &[&str], part: &str| {
        place.write("bad.ptau", content);
        let start = ["--cache", "keys", "keys", "import", "--ptau", "bad.ptau"];
        place.expect(UNDECIDED, &[&start[..], more].concat(), &["bad.ptau", part]);
    };
    refused(b"noise", &[], "not a powers-of-tau file");
    refused(&bytes[..1000], &[], "truncated");
    refused(&[&bytes[..], b"x"].concat(), &[], "expected 75175 bytes");
    refused(
        &bytes,
        &["--power", "9"],
        "it has 127 powers, but 2^9 are asked for",
    );
    let mut altered = bytes.clone();
    altered[100] ^= 1;
    refused(&altered, &[], "point 0 of G1");
    altered = bytes.clone();
    altered[30] ^= 1;
    refused(&altered, &[], "not for BN254");
    let start = ["--cache", "keys", "keys", "import", "--ptau"];
    place.expect(
        UNDECIDED,
        &[&start[..], &["absent"]].concat(),
        &["cannot open absent"],
    );
    place.expect(
        UNDECIDED,
        &[&start[..], &["bad.ptau", "--power", "29"]].concat(),
        &["1..=28"],
    );
    assert_eq!(place.files(), ["bad.ptau"]);
}

/// A ceremony's file with 2^16 points and a `tau` that is forgotten.
fn ceremony() -> Vec<u8> {
    let tau = Fr::random(OsRng);
    let powers: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |power| Some(*power * tau))
        .take(1 << POWER)
        .collect();
    let g1: Vec<u8> = powers
        .par_iter()
        .flat_map_iter(|power| (G1::generator() * power).to_affine().to_raw_bytes())
        .collect();
    let g2: Vec<u8> = [G2Affine::generator(), (G2::generator() * tau).to_affine()]
        .iter()
        .flat_map(SerdeObject::to_raw_bytes)
        .collect();
    let mut prime = ff::PrimeField::to_repr(&-Fq::ONE).as_ref().to_vec();
    prime[0] += 1;
    let header = [&32u32.to_le_bytes(), prime.as_slice(), &POWER.to_le_bytes()].concat();
    let mut content = b"ptau\x01\0\0\0\x03\0\0\0".to_vec();
    for (id, section) in (1u32..).zip([header, g1, g2]) {
        content.extend(id.to_le_bytes());
        content.extend((section.len() as u64).to_le_bytes());
        content.extend(section);
    }
    content
}

#[test]
fn proofs_under_an_imported_key_are_not_insecure() {
    let (place, shared) = (Place::new(), shared());
    place.write("large.ptau", ceremony());
    place.write("input.json", INPUT);
    let start = ["--cache", "keys"];
    let run = |code: i32, arguments: &[&str]| {
        let ran = place.expect(code, &[&start[..], arguments].concat(), &[]);
        assert!(!ran.stderr.contains("development keys"), "{}", ran.stderr);
        ran
    };
    run(ACCEPTED, &["keys", "import", "--ptau", "large.ptau"]);
    let prove = [
        "prove",
        &shared.fold,
        "--input",
        "input.json",
        "--proof",
        "folded",
        "-o",
    ];
    run(ACCEPTED, &[&prove[..], &["p.proof"]].concat());
    let id = run(ACCEPTED, &["model-id", &shared.fold])
        .stdout
        .trim()
        .to_string();
    assert_ne!(id, shared.id, "the key is part of the model id");
    run(ACCEPTED, &["verify", "p.proof", "--model-id", &id]);
    run(ACCEPTED, &["verify", "p.proof", "--model", &shared.fold]);
    // Proofs and ids of the development key mean nothing here, and the other way round.
    run(
        REJECTED,
        &["verify", &shared.proof, "--model-id", &shared.id],
    );
    place.expect(
        REJECTED,
        &["verify", "p.proof", "--model-id", &id],
        &["development keys"],
    );
}

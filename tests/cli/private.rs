//! `--private`: what proofs hide, what opens them, and what verifiers ask for.

use crate::{ACCEPTED, INPUT, Place, REJECTED, UNDECIDED, shared};
use std::fs;

/// Another input within the range of the samples.
const OTHER: &str = r#"{"input_data": [[0.25, -0.25, 1.0, -0.5, 0.0, 0.75]]}"#;

fn prove<'a>(fold: &'a str, private: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let start = ["prove", fold, "--input", "input.json", "--private", private];
    [&start[..], rest].concat()
}

/// A place with an input and another one.
fn place() -> Place {
    let place = Place::new();
    place.write("input.json", INPUT);
    place.write("other.json", OTHER);
    place
}

fn assert_private(place: &Place, name: &str) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(place.path(name)).expect(name).permissions();
    assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
}

/// SECURITY 24 and 25: a proof of a private input and output shows neither, is accepted by those alone
/// who ask for it, and is opened by the files beside it.
#[test]
fn private_sides_are_hidden_asked_for_and_opened() {
    let (place, shared) = (place(), shared());
    let id = shared.id.as_str();
    let spartan = ["--proof", "spartan", "-o", "p.proof", "--json", "p.json"];
    let made = prove(&shared.fold, "input,output", &spartan);
    let ran = place.expect(ACCEPTED, &made, &[]);
    assert!(!ran.stdout.contains('['), "{}", ran.stdout);
    assert!(!ran.stdout.contains("prediction"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("p.proof.input.opening"),
        "{}",
        ran.stdout
    );
    let commitment = place.json("p.json")["output"]["commitment"].clone();
    assert_eq!(commitment.as_str().map(str::len), Some(66));
    for name in ["p.proof.input.opening", "p.proof.output.opening"] {
        assert_private(&place, name);
    }

    let verify = ["verify", "p.proof", "--model-id", id];
    let with = |more: &[&'static str]| [&verify[..], more].concat();
    let missing = [
        (&[][..], "in place of the input; accept that with --private"),
        (&["--private", "output"], "in place of the input"),
        (&["--private", "input"], "in place of the output"),
    ];
    for (more, part) in missing {
        place.expect(REJECTED, &with(more), &["rejected", "p.proof", part]);
    }
    let both = ["--private", "input,output"];
    let with = |more: &[&'static str]| [&verify[..], &both, more].concat();
    let ran = place.expect(ACCEPTED, &with(&["--json", "v.json"]), &[]);
    assert!(
        ran.stdout.contains("private: commitment 0x"),
        "{}",
        ran.stdout
    );
    let json = place.json("v.json");
    assert_eq!(json["private"], serde_json::json!(["input", "output"]));
    assert_eq!(json["inferences"][0]["output"]["commitment"], commitment);
    assert!(json.get("input_opened").is_none());

    let open = ["--opening", "p.proof.output.opening", "--json", "o.json"];
    place.expect(ACCEPTED, &with(&open), &[]);
    let json = place.json("o.json");
    assert!(json.get("input_opened").is_none());
    assert_eq!(json["output_opened"].as_array().map(Vec::len), Some(1));

    place.expect(UNDECIDED, &with(&["--input", "input.json"]), &["--opening"]);
    let open = ["--opening", "p.proof.input.opening", "--input"];
    let compare = |input| with(&[&open[..], &[input]].concat());
    let ran = place.expect(ACCEPTED, &compare("input.json"), &[]);
    assert!(ran.stdout.contains("input compared"), "{}", ran.stdout);
    place.expect(REJECTED, &compare("other.json"), &["another input"]);
    let twice = ["--opening", "p.proof.input.opening"].repeat(2);
    place.expect(UNDECIDED, &with(&twice), &["a second opening"]);
    let opening = ["--opening", "p.proof.input.opening", "--private", "output"];
    let opening = [&verify[..], &opening].concat();
    place.expect(REJECTED, &opening, &["in place of the input"]);

    // The same input has other commitments, and the opening of one proof is none of another.
    let spartan = ["--proof", "spartan", "-o", "q.proof", "--json", "q.json"];
    let again = prove(&shared.fold, "input,output", &spartan);
    place.expect(ACCEPTED, &again, &[]);
    assert_ne!(place.json("q.json")["output"]["commitment"], commitment);
    place.expect(
        REJECTED,
        &with(&["--opening", "q.proof.input.opening"]),
        &["does not open the commitment to the input of inference 0"],
    );
}

/// SECURITY 24: what cannot be private is refused, and so is a proof that shows more than was asked for.
#[test]
fn contradictions_about_privacy_are_refused() {
    let (place, shared) = (place(), shared());
    for what in ["input", "output", "model"] {
        let folded = ["--proof", "folded", "-o", "f.proof"];
        let folded = prove(&shared.fold, what, &folded);
        place.expect(UNDECIDED, &folded, &["a folded proof hides nothing"]);
        assert!(!place.path("f.proof").exists());
    }
    let (proof, id) = (shared.proof.as_str(), shared.id.as_str());
    let public = ["verify", proof, "--model-id", id, "--private"];
    for (what, part) in [
        ("input", "the proof shows its input"),
        ("output", "the proof shows its output"),
    ] {
        let asked = [&public[..], &[what]].concat();
        place.expect(REJECTED, &asked, &["rejected", part]);
    }
    let blinds = ["--proof", "spartan", "-o", "b", "--blinds", "x.blinds"];
    let blinds = prove(&shared.fold, "input", &blinds);
    place.expect(UNDECIDED, &blinds, &["--blinds is about a private model"]);
    // An error about a private input says where, and not what.
    place.write(
        "input.json",
        r#"{"input_data": [[0.5, -98765.0, 1.0, -1.0, 0.0, 0.75]]}"#,
    );
    for (what, shown) in [("output", true), ("input", false)] {
        let outside = ["--proof", "spartan", "-o", "o.proof"];
        let outside = prove(&shared.fold, what, &outside);
        let ran = place.expect(UNDECIDED, &outside, &["input value 1 is"]);
        assert_eq!(ran.stderr.contains("98765"), shown, "{}", ran.stderr);
    }
    let unknown = prove(&shared.fold, "weights", &[]);
    place.expect(UNDECIDED, &unknown, &["invalid value 'weights'"]);
    let id = ["model-id", &shared.fold, "--private", "input"];
    place.expect(UNDECIDED, &id, &["a model id does not depend on inputs"]);
    // An output of the command that is also one of its openings.
    let clash = ["--proof", "spartan", "-o", "c", "--json", "c.input.opening"];
    let clash = prove(&shared.fold, "input", &clash);
    place.expect(UNDECIDED, &clash, &["another output of this command"]);
}

/// SECURITY 22 and 25: a private model's id is made once, of blinds that its owner alone can read.
#[test]
fn a_private_model_has_one_id() {
    let (place, shared) = (place(), shared());
    fs::copy(&shared.fold, place.path("m.fold")).expect("copied");
    let publish = ["model-id", "m.fold", "--private", "model"];
    let ran = place.expect(ACCEPTED, &publish, &["m.blinds: new blinds"]);
    let id = ran.stdout.trim().to_owned();
    assert_private(&place, "m.blinds");
    assert_ne!(id, shared.id);
    let again = place.expect(ACCEPTED, &publish, &[]);
    assert_eq!(again.stdout.trim(), id);
    assert!(!again.stderr.contains("new blinds"), "{}", again.stderr);

    let spartan = ["--proof", "spartan", "-o", "p.proof", "--json", "p.json"];
    let made = prove("m.fold", "model", &spartan);
    place.expect(ACCEPTED, &made, &[]);
    assert_eq!(place.json("p.json")["model_id"], id);
    let by_id = ["verify", "p.proof", "--model-id", &id];
    place.expect(ACCEPTED, &by_id, &[]);
    let private = [&by_id[..], &["--private", "model"]].concat();
    let ran = place.expect(ACCEPTED, &private, &[]);
    assert!(
        ran.stdout.contains("whatever the model id"),
        "{}",
        ran.stdout
    );
    let by_model = ["verify", "p.proof", "--model", "m.fold"];
    place.expect(REJECTED, &by_model, &["rejected"]);
    let by_model = [&by_model[..], &["--private", "model"]].concat();
    place.expect(ACCEPTED, &by_model, &[]);
    // Verifiers draw no blinds, and provers use those of another model for nothing.
    let missing = [&by_model[..], &["--blinds", "none.blinds"]].concat();
    place.expect(UNDECIDED, &missing, &["none.blinds"]);
    assert!(!place.path("none.blinds").exists());
    crate::checkpoints::deep(&place, "deep.fold", 5, 3);
    let foreign = ["model-id", "deep.fold", "--private", "model"];
    let foreign = [&foreign[..], &["--blinds", "m.blinds"]].concat();
    place.expect(UNDECIDED, &foreign, &["m.blinds", &id, "steps"]);
}

/// A private input and model, up to the exported contract.
#[test]
fn a_private_input_goes_to_the_contract() {
    let (place, shared) = (place(), shared());
    fs::copy(&shared.fold, place.path("m.fold")).expect("copied");
    let groth16 = ["--proof", "groth16", "-o", "g.proof", "--json", "g.json"];
    place.expect(ACCEPTED, &prove("m.fold", "input,model", &groth16), &[]);
    let id = place.json("g.json")["model_id"].clone();
    let id = id.as_str().expect("an id");
    let verify = ["verify", "g.proof", "--model-id", id, "--evm"];
    place.expect(REJECTED, &verify, &["in place of the input"]);
    let verify = [&verify[..], &["--private", "input,model"]].concat();
    place.expect(ACCEPTED, &verify, &[]);
    let opened = [&verify[..], &["--opening", "g.proof.input.opening"]].concat();
    place.expect(ACCEPTED, &opened, &[]);
    let export = ["export", "contract", "--model", "m.fold", "-o", "out"];
    let accept = ["--proof", "g.proof", "--accept-insecure-development-keys"];
    let export = [&export[..], &accept].concat();
    let private = [&export[..], &["--private", "input,model"]].concat();
    place.expect(ACCEPTED, &private, &[]);
    let deployment = place.json("out/deployment.json");
    assert_eq!(deployment["model_id"], id);
    assert_eq!(deployment["private_model"], true);
    assert_eq!(deployment["private_sides"], serde_json::json!(["input"]));
    let call = place.json("out/call.json");
    let commitment = place.json("g.json")["output"].clone();
    assert!(commitment.is_array(), "the output is public");
    assert_eq!(call["statement"].as_array().map(Vec::len), Some(3));
}

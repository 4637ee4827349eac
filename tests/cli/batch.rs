//! Many inputs of one model: one proof each, one proof for all, and comparing them.

use crate::checkpoints::{WIDTH, deep, deep_batch};
use crate::{ACCEPTED, Place, REJECTED, Ran, UNDECIDED};
use foldnet::model::random;
use foldnet::proof::Proof;
use serde_json::Value;

const DEPTH: usize = 2;

/// A model and a directory of inputs, one a shift.
fn place(shifts: &[(&str, usize)]) -> Place {
    let place = Place::new();
    deep(&place, "m.fold", DEPTH, 5);
    std::fs::create_dir(place.path("in")).expect("created");
    for (name, shift) in shifts {
        write(&place, name, *shift);
    }
    place
}

fn write(place: &Place, name: &str, shift: usize) {
    crate::checkpoints::input(place, &format!("in/{name}"), shift);
}

fn batch<'a>(kind: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let start = ["batch", "m.fold", "--inputs", "in", "-o", "out"];
    [&start[..], &["--proof", kind], more].concat()
}

/// The lines of standard output.
fn lines(ran: &Ran) -> Vec<Value> {
    let line = |text: &str| serde_json::from_str(text).expect("a JSON object");
    ran.stdout.lines().map(line).collect()
}

/// Status by file, in order.
fn statuses(lines: &[Value]) -> Vec<(&str, &str)> {
    lines
        .iter()
        .map(|line| {
            let part = |name: &str| line[name].as_str().expect("text");
            (part("file"), part("status"))
        })
        .collect()
}

#[test]
fn every_input_gets_a_proof_and_a_bad_one_stops_nothing() {
    let place = place(&[("b.json", 2), ("a.1.json", 3), ("a.2.json", 4)]);
    place.write("in/bad.json", "{\"input_data\": [[1, 2]]}");
    place.write("in/notes.txt", "no input");
    let more = ["--summary", "sum.jsonl", "--json", "b.json"];
    let ran = place.expect(
        UNDECIDED,
        &batch("spartan", &more),
        &["1 of 4 inputs have no proof"],
    );
    let all = lines(&ran);
    let expected = [
        ("in/a.1.json", "proven"),
        ("in/a.2.json", "proven"),
        ("in/b.json", "proven"),
        ("in/bad.json", "failed"),
    ];
    assert_eq!(statuses(&all), expected);
    assert!(
        all[3]["error"]
            .as_str()
            .is_some_and(|e| e.contains("the model takes 8"))
    );
    assert_eq!(all[0]["proof"], "out/a.1.proof");
    let bytes = std::fs::metadata(place.path("out/a.1.proof"))
        .expect("a proof")
        .len();
    assert_eq!(all[0]["bytes"], bytes);
    assert!(all.iter().all(|line| line["seconds"].as_f64().is_some()));
    let summary = std::fs::read_to_string(place.path("sum.jsonl")).expect("the summary");
    assert_eq!(summary, ran.stdout);
    let json = place.json("b.json");
    assert_eq!((&json["proven"], &json["failed"]), (&3.into(), &1.into()));
    for (name, input) in [("a.1", "in/a.1.json"), ("b", "in/b.json")] {
        let proof = format!("out/{name}.proof");
        let verify = ["verify", &proof, "--model", "m.fold", "--input", input];
        place.expect(ACCEPTED, &verify, &[]);
    }

    // Again: proofs that are accepted and about the same input are kept, others are made again.
    std::fs::remove_file(place.path("in/bad.json")).expect("removed");
    write(&place, "b.json", 1);
    let before = std::fs::read(place.path("out/a.1.proof")).expect("read");
    let Ok(Proof::Spartan(mut lie)) = Proof::read(&place.path("out/a.2.proof")) else {
        panic!("a spartan proof")
    };
    lie.about.inferences[0].output.values_mut().expect("values")[0] ^= 1;
    lie.write(&place.path("out/a.2.proof")).expect("written");
    let ran = place.expect(ACCEPTED, &batch("spartan", &[]), &[]);
    let expected = [
        ("in/a.1.json", "kept"),
        ("in/a.2.json", "proven"),
        ("in/b.json", "proven"),
    ];
    assert_eq!(statuses(&lines(&ran)), expected);
    assert!(std::fs::read(place.path("out/a.1.proof")).expect("read") == before);
    let verify = [
        "verify",
        "out/b.proof",
        "--model",
        "m.fold",
        "--input",
        "in/b.json",
    ];
    place.expect(ACCEPTED, &verify, &[]);

    // What is no proof is not replaced.
    place.write("out/b.proof", "my notes");
    let ran = place.expect(
        UNDECIDED,
        &batch("spartan", &[]),
        &["out/b.proof", "move it"],
    );
    assert_eq!(statuses(&lines(&ran))[2], ("in/b.json", "failed"));
    assert_eq!(
        std::fs::read(place.path("out/b.proof")).expect("kept"),
        b"my notes"
    );
}

#[test]
fn one_proof_is_about_all_inputs_in_order() {
    let place = place(&[("0.json", 1), ("1.json", 2), ("2.json", 3), ("3.json", 4)]);
    place.write("in/4.json", "{");
    let aggregate = batch("spartan", &["--aggregate", "--json", "b.json"]);
    let ran = place.expect(UNDECIDED, &aggregate, &["in/4.json", "1 of 5 inputs"]);
    let all = lines(&ran);
    assert_eq!(statuses(&all)[0], ("in/4.json", "failed"));
    let indices: Vec<_> = all[1..].iter().map(|line| line["index"].as_u64()).collect();
    assert_eq!(indices, [Some(0), Some(1), Some(2), Some(3)]);
    assert!(
        all[1..]
            .iter()
            .all(|line| line["proof"] == "out/aggregate.proof")
    );
    assert_eq!(place.json("b.json")["steps"], 4 * DEPTH);

    let verify = ["verify", "out/aggregate.proof", "--model", "m.fold"];
    let compared = [&verify[..], &["--inputs", "in", "--json", "v.json"]].concat();
    place.expect(UNDECIDED, &compared, &["in/4.json", "move those that"]);
    std::fs::remove_file(place.path("in/4.json")).expect("removed");
    let ran = place.expect(ACCEPTED, &compared, &["in: rounded with the scale"]);
    assert!(
        ran.stdout.contains("inferences            4"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("the others are in what --json writes"),
        "{}",
        ran.stdout
    );
    let json = place.json("v.json");
    assert_eq!(json["inputs_compared"], true);
    let network = random::network(DEPTH, WIDTH, 5).expect("a network");
    let evaluator = network.evaluator().expect("an evaluator");
    let inferences = json["inferences"].as_array().expect("inferences");
    assert_eq!(inferences.len(), 4);
    for inference in inferences {
        let numbers = |name: &str| -> Vec<i64> {
            let values = inference[name].as_array().expect("values");
            values
                .iter()
                .map(|v| v.as_i64().expect("an integer"))
                .collect()
        };
        let output = evaluator.output(&numbers("input")).expect("evaluated");
        assert_eq!(numbers("output"), output);
    }

    // The same inputs again: nothing is proven.
    let ran = place.expect(ACCEPTED, &aggregate, &[]);
    assert!(
        lines(&ran).iter().all(|line| line["status"] == "kept"),
        "{}",
        ran.stdout
    );

    // Other inputs, another order, one more, one less: other statements.
    let other = "the proof is about other inputs";
    write(&place, "2.json", 6);
    place.expect(REJECTED, &compared, &[other]);
    write(&place, "2.json", 3);
    place.expect(ACCEPTED, &compared, &[]);
    let moved = |from: &str, to: &str| {
        std::fs::rename(place.path(from), place.path(to)).expect("renamed");
        place.expect(REJECTED, &compared, &[other]);
    };
    moved("in/0.json", "in/5.json");
    moved("in/5.json", "in/no");
    std::fs::rename(place.path("in/no"), place.path("in/0.json")).expect("renamed");
    write(&place, "9.json", 1);
    place.expect(REJECTED, &compared, &[other]);
    let single = [&verify[..], &["--input", "in/0.json"]].concat();
    place.expect(REJECTED, &single, &["another input"]);
}

#[test]
fn the_last_input_is_repeated_until_steps_are_full() {
    let place = place(&[("0.json", 1), ("1.json", 2), ("2.json", 3)]);
    deep_batch(&place, "m.fold", (DEPTH, 5), 2);
    let aggregate = batch("spartan", &["--aggregate", "--json", "b.json"]);
    let ran = place.expect(ACCEPTED, &aggregate, &["repeated inputs       1"]);
    assert_eq!(lines(&ran).len(), 3);
    assert_eq!(place.json("b.json")["repeated"], 1);
    assert_eq!(place.json("b.json")["steps"], 2 * DEPTH);
    let verify = ["verify", "out/aggregate.proof", "--model", "m.fold"];
    let compared = [&verify[..], &["--inputs", "in", "--json", "v.json"]].concat();
    place.expect(ACCEPTED, &compared, &[]);
    let json = place.json("v.json");
    let inferences = json["inferences"].as_array().expect("inferences");
    assert_eq!(inferences.len(), 4);
    assert_eq!(inferences[3], inferences[2]);
    // The same inputs again: nothing is proven. An input in place of the repetition is another one.
    let ran = place.expect(ACCEPTED, &aggregate, &[]);
    assert!(lines(&ran).iter().all(|line| line["status"] == "kept"));
    write(&place, "3.json", 4);
    place.expect(REJECTED, &compared, &["about other inputs"]);

    let prove = [
        "prove",
        "m.fold",
        "--input",
        "in/0.json",
        "--proof",
        "folded",
        "-o",
        "one.proof",
    ];
    let ran = place.expect(ACCEPTED, &prove, &[]);
    assert!(
        ran.stdout.contains("repeated inputs       1"),
        "{}",
        ran.stdout
    );
    let verify = ["verify", "one.proof", "--model", "m.fold", "--input"];
    place.expect(ACCEPTED, &[&verify[..], &["in/0.json"]].concat(), &[]);
    let other = [&verify[..], &["in/1.json"]].concat();
    place.expect(REJECTED, &other, &["about another input"]);
}

#[test]
fn a_batch_in_one_proof_is_continued() {
    let place = place(&[("0.json", 1), ("1.json", 2)]);
    let more = ["--aggregate", "--checkpoint", "run.state", "--resume"];
    let aggregate = batch("spartan", &more);
    place.expect(ACCEPTED, &aggregate, &["no checkpoint yet"]);
    // It is spent, which is no error as long as its proof is there.
    let ran = place.expect(ACCEPTED, &aggregate, &[]);
    assert!(
        lines(&ran).iter().all(|line| line["status"] == "kept"),
        "{}",
        ran.stdout
    );
    std::fs::remove_file(place.path("out/aggregate.proof")).expect("removed");
    place.expect(UNDECIDED, &aggregate, &["run.state is spent"]);
}

#[test]
fn batches_that_cannot_be_are_refused_before_the_work() {
    let place = place(&[]);
    let refused = |arguments: &[&str], parts: &[&str]| {
        let ran = place.expect(UNDECIDED, arguments, parts);
        assert!(!ran.stderr.contains("development keys"), "{}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    };
    refused(&batch("spartan", &[]), &["in has no input", "NAME.json"]);
    place.write("in/a.json", "{");
    let checkpoint = ["--checkpoint", "run.state"];
    refused(
        &batch("spartan", &checkpoint),
        &["--checkpoint is for --aggregate"],
    );
    refused(
        &batch("spartan", &["--context", "0x1"]),
        &["--proof groth16"],
    );
    refused(&batch("magic", &[]), &["folded, spartan, groth16"]);
    let ran = place.expect(
        UNDECIDED,
        &batch("spartan", &["--aggregate"]),
        &["no input can be used"],
    );
    assert_eq!(statuses(&lines(&ran)), [("in/a.json", "failed")]);
    for i in 0..600 {
        write(&place, &format!("{i}.json"), i);
    }
    let large = [
        "batch",
        "m.fold",
        "--inputs",
        "in",
        "-o",
        "out",
        "--aggregate",
    ];
    let large = [&large[..], &["--proof", "groth16"]].concat();
    refused(
        &large,
        &["at most 511 inferences", "not 601", "make spartan proofs"],
    );
    let missing = [
        "batch", "m.fold", "--inputs", "no", "-o", "out", "--proof", "folded",
    ];
    refused(&missing, &["no"]);
}

//! Checkpoints: killed runs end in the same statement, foreign and spent states are refused, and a
//! failed save stops nothing.

use crate::{ACCEPTED, Place, UNDECIDED, cache};
use foldnet::artefact::write_program;
use foldnet::checkpoint::{Checkpoint, Goal, Interval};
use foldnet::model::plan::PlanOptions;
use foldnet::model::random;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::proof::Proof;
use foldnet::run::Job;
use foldnet::session::{Architecture, Session};
use foldnet::visibility::Sides;
use foldnet_gadgets::cycle::{Bn254, Cycle};
use rand_chacha::ChaCha20Rng;
use rand_core::{OsRng, RngCore, SeedableRng};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Inputs of the network of [`deep`].
pub const WIDTH: usize = 8;

/// Writes a network of some layers, one a step, and an input.
pub fn deep(place: &Place, name: &str, depth: usize, seed: u64) {
    deep_batch(place, name, (depth, seed), 1);
}

/// [`deep`] with steps that carry some inferences.
pub fn deep_batch(place: &Place, name: &str, (depth, seed): (usize, u64), batch: usize) {
    let network = random::network(depth, WIDTH, seed).expect("a network");
    let options = PlanOptions {
        max_weight_variables: 7,
        batch,
        ..PlanOptions::default()
    };
    let program = Program::new("deep", &network, &options).expect("a program");
    write_program(&place.path(name), &program).expect("written");
    input(place, "input.json", 3);
}

/// Writes an input.
pub fn input(place: &Place, name: &str, shift: usize) {
    let values: Vec<f64> = (0..WIDTH).map(|i| ((i * shift) % 5) as f64 / 8.0).collect();
    let text = serde_json::json!({ "input_data": [values] }).to_string();
    place.write(name, text);
}

fn prove<'a>(fold: &'a str, kind: &'a str, output: &'a str) -> Vec<&'a str> {
    let input = ["--input", "input.json", "--checkpoint", "run.state"];
    let rest = ["--proof", kind, "-o", output];
    [&["prove", fold][..], &input, &rest].concat()
}

/// The output of the network for the input, computed without any proof.
fn expected(place: &Place, depth: usize, seed: u64) -> Vec<i64> {
    let network = random::network(depth, WIDTH, seed).expect("a network");
    let text = std::fs::read_to_string(place.path("input.json")).expect("read");
    let input: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let values = input["input_data"][0].as_array().expect("values");
    let scaled = |value: &serde_json::Value| {
        (value.as_f64().expect("a number") / network.input_scale).round() as i64
    };
    let values: Vec<i64> = values.iter().map(scaled).collect();
    let evaluator = network.evaluator().expect("an evaluator");
    evaluator.output(&values).expect("evaluated")
}

/// A proof is accepted, and about the expected output.
fn accepted(place: &Place, fold: &str, proof: &str, output: &[i64]) {
    let verify = ["verify", proof, "--model", fold, "--json", "v.json"];
    place.expect(ACCEPTED, &verify, &[]);
    let json = place.json("v.json");
    let inferences = json["inferences"].as_array().expect("inferences");
    assert_eq!(inferences.len(), 1);
    assert_eq!(inferences[0]["output"], serde_json::json!(output));
}

/// Bytes of the checkpoint, 0 without one.
fn state_length(place: &Place) -> u64 {
    std::fs::metadata(place.path("run.state")).map_or(0, |m| m.len())
}

/// Waits until the process ends or `until` says so; whether it has ended.
fn wait(child: &mut Child, until: impl Fn() -> bool) -> bool {
    loop {
        if child.try_wait().expect("waited").is_some() {
            return true;
        }
        if until() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kills a run of `depth` steps `kills` times at random moments, and continues it each time.
///
/// The first kill comes when a state was saved, so that there is something to continue. A run that
/// ends before it is killed is checked, and another one is begun.
fn survives(kills: usize, depth: usize) {
    let place = Place::new();
    deep(&place, "m.fold", depth, 5);
    let output = expected(&place, depth, 5);
    let arguments = prove("m.fold", "spartan", "out.proof");
    let every = ["--checkpoint-every", "1", "--resume", "--json", "p.json"];
    let arguments = [&arguments[..], &every].concat();
    let start = || {
        let mut command = place.command(&arguments);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the command starts")
    };
    let kill = |mut child: Child| {
        child.kill().expect("killed");
        child.wait().expect("ended");
    };
    let mut child = start();
    let clock = Instant::now();
    assert!(!wait(&mut child, || state_length(&place) > 0), "it ended");
    let set_up = clock.elapsed();
    assert!(
        !wait(&mut child, || state_length(&place) > 1 << 16),
        "it ended"
    );
    let step = clock.elapsed() - set_up;
    kill(child);
    // Far enough for half of the steps in all lives together, on average.
    let reach = set_up + step * (depth / kills) as u32;
    let mut random = ChaCha20Rng::seed_from_u64(OsRng.next_u64());
    let mut killed = 1;
    while killed < kills {
        let moment = reach.mul_f64(f64::from(random.next_u32()) / f64::from(u32::MAX));
        let (mut child, clock) = (start(), Instant::now());
        if !wait(&mut child, || clock.elapsed() >= moment) {
            kill(child);
            killed += 1;
            continue;
        }
        finish(&place, &arguments, &output);
        std::fs::remove_file(place.path("run.state")).expect("removed");
    }
    finish(&place, &arguments, &output);
    // A process that is killed while it writes its proof leaves a hidden file; its states are gone.
    let mut names = place.files();
    names.retain(|name| !name.starts_with(".out.proof.") && !name.starts_with(".p.json."));
    let all = [
        "input.json",
        "m.fold",
        "out.proof",
        "p.json",
        "run.state",
        "v.json",
    ];
    assert_eq!(names, all);
}

/// Lets a run end, unless it has; its proof is accepted.
fn finish(place: &Place, arguments: &[&str], output: &[i64]) {
    let ran = place.run(arguments);
    let spent = ran.code == UNDECIDED && ran.stderr.contains("is spent");
    assert!(ran.code == ACCEPTED || spent, "{}", ran.stderr);
    accepted(place, "m.fold", "out.proof", output);
    place.expect(UNDECIDED, arguments, &["run.state is spent"]);
}

#[test]
fn a_killed_run_ends_in_the_same_statement() {
    survives(4, 12);
}

/// What the issue of checkpoints asks for; a minute. `cargo test --release --test cli -- --ignored`
#[test]
#[ignore = "a minute of kills; four of them always run"]
fn a_run_killed_twenty_times_ends_in_the_same_statement() {
    survives(20, 60);
}

/// A run in this process.
struct Own {
    program: Program,
    session: Session<Bn254>,
}

impl Own {
    fn new(place: &Place, fold: &str) -> Self {
        let program = Program::open(&place.path(fold)).expect("the program");
        let architecture = Architecture::from(program.outline());
        let session = Session::new(&architecture, Some(&cache()), &mut Silent).expect("a session");
        Own { program, session }
    }

    /// Makes a checkpoint of a run that was stopped after some steps.
    fn stopped(&self, place: &Place, kind: &'static str, steps: u64) -> Checkpoint<Bn254> {
        let committed = self.session.commit(&self.program, &mut Silent);
        let committed = committed.expect("committed");
        let text = std::fs::read_to_string(place.path("input.json")).expect("read");
        let values = foldnet::model::json::input(&text, WIDTH).expect("an input");
        let outline = self.program.outline();
        let outside = foldnet::model::OutOfRange::Reject;
        let input = outline
            .quantise(&values, outside)
            .expect("quantised")
            .values;
        let inputs = [input];
        let job = Job {
            session: &self.session,
            program: &self.program,
            committed: &committed,
            inputs: &inputs,
        };
        let goal = Goal {
            proof: kind,
            context: <Bn254 as Cycle>::F::from(0),
            sides: Sides::PUBLIC,
        };
        let interval = Interval {
            steps: None,
            time: None,
        };
        let path = place.path("run.state");
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let made = Checkpoint::create(&path, &job, &goal, interval, &mut rng);
        let mut checkpoint = made.expect("created");
        let start = match kind {
            "folded" => foldnet::fold::prover::Start::Public,
            _ => foldnet::fold::prover::Start::Masked,
        };
        let begun =
            foldnet::run::RunState::begin(&self.session, committed.model, &inputs, start, &mut rng);
        let mut watch = |state: &foldnet::run::RunState<Bn254>| {
            if state.recursion.index == steps {
                checkpoint.save(state).expect("saved");
            }
        };
        let mut timing = foldnet::session::Timing::default();
        job.fold(
            &mut begun.expect("begun"),
            &mut timing,
            &mut Silent,
            &mut watch,
            &mut rng,
        )
        .expect("folded");
        checkpoint
    }
}

/// Changes the payload of the checkpoint, and puts the right digest behind it.
fn alter(place: &Place, from: &str, to: &str) {
    use foldnet::files::{Kind, decode_container, encode_container};
    let path = place.path("run.state");
    let bytes = std::fs::read(&path).expect("read");
    let limit = bytes.len() as u64;
    let decoded = decode_container(bytes.as_slice(), Kind::State, Bn254::NAME, limit);
    let mut payload = decoded.expect("decoded");
    let at = payload
        .windows(from.len())
        .position(|part| part == from.as_bytes());
    let at = at.expect("a part of the payload");
    payload[at..at + to.len()].copy_from_slice(to.as_bytes());
    let encoded = encode_container(Kind::State, Bn254::NAME, &payload);
    std::fs::write(path, encoded.expect("encoded")).expect("written");
}

#[test]
fn checkpoints_of_other_runs_are_refused_with_both_identities() {
    let place = Place::new();
    deep(&place, "m.fold", 3, 5);
    deep(&place, "other.fold", 3, 6);
    drop(Own::new(&place, "m.fold").stopped(&place, "spartan", 1));
    let before = std::fs::read(place.path("run.state")).expect("read");
    let refused = |arguments: &[&str], part: &str| {
        let arguments = [arguments, &["--resume"]].concat();
        let parts = ["run.state", part, "this run has ", "the checkpoint has "];
        place.expect(UNDECIDED, &arguments, &parts);
        let after = std::fs::read(place.path("run.state")).expect("read");
        assert!(after == before, "the checkpoint was changed");
    };
    let honest = prove("m.fold", "spartan", "out.proof");
    // Other weights give other bounds of accumulators, and so another architecture.
    refused(&prove("other.fold", "spartan", "out.proof"), "of another ");
    refused(
        &prove("m.fold", "folded", "out.proof"),
        "of another kind of proof",
    );
    input(&place, "input.json", 2);
    refused(&honest, "of another input");
    input(&place, "input.json", 3);
    place.expect(UNDECIDED, &honest, &["run.state exists", "--resume"]);
    for (from, to, part) in [
        (env!("CARGO_PKG_VERSION"), "9.9.9", "of another release"),
        (
            "commitment key",
            "commitment kez",
            "of another commitment key",
        ),
    ] {
        alter(&place, from, to);
        let arguments = [&honest[..], &["--resume"]].concat();
        place.expect(
            UNDECIDED,
            &arguments,
            &["run.state", part, "the checkpoint has "],
        );
        std::fs::write(place.path("run.state"), &before).expect("written");
    }
    let resumed = [&honest[..], &["--resume", "--json", "p.json"]].concat();
    let ran = place.expect(ACCEPTED, &resumed, &[]);
    assert!(ran.stdout.contains("predicted  "), "{}", ran.stdout);
    assert_eq!(place.json("p.json")["resumed_step"], 1);
    accepted(&place, "m.fold", "out.proof", &expected(&place, 3, 5));
}

#[test]
fn damaged_and_foreign_files_are_no_checkpoints() {
    let place = Place::new();
    deep(&place, "m.fold", 2, 5);
    let arguments = prove("m.fold", "folded", "out.proof");
    let resume = [&arguments[..], &["--resume"]].concat();
    place.write("run.state", "no checkpoint at all");
    place.expect(UNDECIDED, &resume, &["run.state", "not a foldnet file"]);
    std::fs::copy(place.path("m.fold"), place.path("run.state")).expect("copied");
    place.expect(
        UNDECIDED,
        &resume,
        &["run.state", "expected a file of kind"],
    );
    std::fs::remove_file(place.path("run.state")).expect("removed");
    drop(Own::new(&place, "m.fold").stopped(&place, "folded", 1));
    let mut bytes = std::fs::read(place.path("run.state")).expect("read");
    let middle = bytes.len() / 2;
    place.write("run.state", &bytes[..middle]);
    place.expect(UNDECIDED, &resume, &["run.state", "truncated"]);
    bytes[middle] ^= 1;
    place.write("run.state", &bytes);
    place.expect(UNDECIDED, &resume, &["run.state", "damaged"]);
    let alone = [
        "prove",
        "m.fold",
        "--input",
        "input.json",
        "--proof",
        "folded",
    ];
    let alone = [&alone[..], &["-o", "out.proof", "--resume"]].concat();
    place.expect(UNDECIDED, &alone, &["--checkpoint"]);
    let same = [&alone[..alone.len() - 1], &["--checkpoint", "out.proof"]].concat();
    place.expect(UNDECIDED, &same, &["choose another name"]);
}

#[test]
fn a_published_state_is_spent() {
    let place = Place::new();
    deep(&place, "m.fold", 2, 5);
    let arguments = prove("m.fold", "spartan", "out.proof");
    place.expect(ACCEPTED, &arguments, &[]);
    accepted(&place, "m.fold", "out.proof", &expected(&place, 2, 5));
    let again = [&prove("m.fold", "spartan", "two.proof")[..], &["--resume"]].concat();
    place.expect(
        UNDECIDED,
        &again,
        &["run.state is spent", "its proof was published"],
    );
    assert!(!place.path("two.proof").exists());
    // Nothing that could be continued is left in the file.
    assert!(state_length(&place) < 1 << 10);
}

/// Whoever is killed between the mark and the proof writes the same proof, and no other one.
#[test]
fn a_state_that_is_being_published_gives_the_same_proof_again() {
    let place = Place::new();
    deep(&place, "m.fold", 2, 5);
    let arguments = [
        "prove",
        "m.fold",
        "--input",
        "input.json",
        "--proof",
        "spartan",
    ];
    let first = [&arguments[..], &["-o", "first.proof"]].concat();
    place.expect(ACCEPTED, &first, &[]);
    let bytes = std::fs::read(place.path("first.proof")).expect("read");
    let mut checkpoint = Own::new(&place, "m.fold").stopped(&place, "spartan", 2);
    checkpoint.publishing(&bytes).expect("marked");
    drop(checkpoint);
    let resume = [&prove("m.fold", "spartan", "out.proof")[..], &["--resume"]].concat();
    let ran = place.expect(ACCEPTED, &resume, &[]);
    assert!(ran.stdout.contains("it was only written"), "{}", ran.stdout);
    assert!(std::fs::read(place.path("out.proof")).expect("read") == bytes);
    place.expect(UNDECIDED, &resume, &["is spent"]);

    // What stands in a checkpoint is believed no more than what stands elsewhere.
    std::fs::remove_file(place.path("run.state")).expect("removed");
    let Ok(Proof::Spartan(mut lie)) = Proof::decode(&bytes) else {
        panic!("a spartan proof")
    };
    lie.about.inferences[0].output.values_mut().expect("values")[0] ^= 1;
    let mut checkpoint = Own::new(&place, "m.fold").stopped(&place, "spartan", 2);
    checkpoint
        .publishing(&lie.encode().expect("encoded"))
        .expect("marked");
    drop(checkpoint);
    std::fs::remove_file(place.path("out.proof")).expect("removed");
    place.expect(
        UNDECIDED,
        &resume,
        &["the proof in the checkpoint is false"],
    );
    assert!(!place.path("out.proof").exists());
}

#[test]
fn one_process_at_a_time_works_with_a_checkpoint() {
    let place = Place::new();
    deep(&place, "m.fold", 2, 5);
    let checkpoint = Own::new(&place, "m.fold").stopped(&place, "folded", 1);
    let resume = [&prove("m.fold", "folded", "out.proof")[..], &["--resume"]].concat();
    place.expect(UNDECIDED, &resume, &["run.state is in use"]);
    drop(checkpoint);
    place.expect(ACCEPTED, &resume, &[]);
    accepted(&place, "m.fold", "out.proof", &expected(&place, 2, 5));
    // A folded proof hides nothing, so its state is of no more use.
    assert!(!place.path("run.state").exists());
}

/// A limit on the size of files is what a full disk looks like to the one who writes.
#[test]
#[cfg(unix)]
fn a_failed_save_stops_nothing_and_keeps_the_last_checkpoint() {
    let place = Place::new();
    deep(&place, "m.fold", 3, 5);
    let limited = |arguments: &[&str]| {
        let program = env!("CARGO_BIN_EXE_foldnet");
        let command = format!(
            "trap '' XFSZ; ulimit -f 1000; exec {program} {}",
            arguments.join(" ")
        );
        let mut shell = std::process::Command::new("sh");
        let shell = shell.args(["-c", &command]).current_dir(place.path("."));
        crate::ran(
            shell
                .env("FOLDNET_CACHE", cache())
                .output()
                .expect("a shell"),
        )
    };
    // Commitments are cached by an unlimited run.
    drop(Own::new(&place, "m.fold").stopped(&place, "folded", 1));
    let before = std::fs::read(place.path("run.state")).expect("read");
    let rest = ["--resume", "--checkpoint-every", "1"];
    let ran = limited(&[&prove("m.fold", "folded", "out.proof")[..], &rest].concat());
    // The proof does not fit either, so the run fails in the end, with its last state in place.
    assert_eq!(ran.code, UNDECIDED, "{}", ran.stderr);
    let warnings = ran.stderr.matches("the last checkpoint is kept").count();
    assert_eq!(warnings, 2, "{}", ran.stderr);
    assert!(std::fs::read(place.path("run.state")).expect("read") == before);
    assert_eq!(place.files(), ["input.json", "m.fold", "run.state"]);

    // A small proof fits, and so does its mark.
    std::fs::remove_file(place.path("run.state")).expect("removed");
    let every = ["--checkpoint-every", "1"];
    let arguments = prove("m.fold", "spartan", "out.proof");
    let ran = limited(&[&arguments[..], &every].concat());
    assert_eq!(ran.code, ACCEPTED, "{}", ran.stderr);
    let warnings = ran.stderr.matches("the last checkpoint is kept").count();
    assert_eq!(warnings, 3, "{}", ran.stderr);
    accepted(&place, "m.fold", "out.proof", &expected(&place, 3, 5));
    let resume = [&arguments[..], &["--resume"]].concat();
    place.expect(UNDECIDED, &resume, &["is spent"]);
}

#[test]
#[cfg(unix)]
fn checkpoints_are_private_files_under_their_own_name() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    deep(&place, "m.fold", 2, 5);
    drop(Own::new(&place, "m.fold").stopped(&place, "spartan", 1));
    let mode = std::fs::metadata(place.path("run.state")).expect("the state");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    // A link does not leave a state behind that could be continued.
    std::fs::rename(place.path("run.state"), place.path("real.state")).expect("renamed");
    std::os::unix::fs::symlink("real.state", place.path("run.state")).expect("linked");
    let resume = [&prove("m.fold", "spartan", "out.proof")[..], &["--resume"]].concat();
    place.expect(ACCEPTED, &resume, &[]);
    place.expect(UNDECIDED, &resume, &["real.state is spent"]);
    let mode = std::fs::metadata(place.path("real.state")).expect("the state");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

//! Runs that stop and go on: from every step, with weights from disk, and with states that were
//! tampered with.

use foldnet::blinds::WeightBlinds;
use foldnet::checkpoint::{Checkpoint, CheckpointError, Found, Goal, Interval, Opened};
use foldnet::error::Error;
use foldnet::files::{FileError, FormatError};
use foldnet::fold::prover::Start;
use foldnet::fold::verifier::{Statement, verify};
use foldnet::key::source::KeySource;
use foldnet::model::plan::PlanOptions;
use foldnet::model::random;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::run::{Job, RunState};
use foldnet::session::{Architecture, Committed, Session, Timing};
use foldnet::visibility::{Salts, Sides, Visibility};
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const WIDTH: usize = 8;
const NEVER: Interval = Interval {
    steps: None,
    time: None,
};

/// The key cache of these tests.
fn keys() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("keys")
}

/// A network of three steps on disk, and two inputs.
struct Fixture<C: Cycle> {
    folder: TempDir,
    program: Program,
    session: Session<C>,
    committed: Committed<C>,
    inputs: Vec<Vec<i64>>,
}

impl<C: KeySource> Fixture<C> {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = PlanOptions {
            max_weight_variables: 7,
            ..PlanOptions::default()
        };
        let network = random::network(3, WIDTH, 4).unwrap();
        let path = folder.path().join("m.fold");
        Program::new("m", &network, &options)
            .unwrap()
            .write(&path)
            .unwrap();
        let program = Program::open(&path).unwrap();
        assert_eq!(program.outline().steps.len(), 3);
        let architecture = Architecture::from(program.outline());
        let session = Session::new(&architecture, Some(&keys()), &mut Silent).unwrap();
        let committed = session.commit(&program, &mut Silent).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let inputs = (0..2).map(|_| random::input(WIDTH, &mut rng)).collect();
        Fixture {
            folder,
            program,
            session,
            committed,
            inputs,
        }
    }

    fn job(&self) -> Job<'_, C> {
        Job {
            session: &self.session,
            program: &self.program,
            committed: &self.committed,
            inputs: &self.inputs,
        }
    }

    fn begin(&self) -> RunState<C> {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let model = self.committed.model;
        RunState::begin(&self.session, model, &self.inputs, Start::Masked, &mut rng).unwrap()
    }

    fn fold(
        &self,
        run: &mut RunState<C>,
        watch: &mut dyn FnMut(&RunState<C>),
    ) -> Result<(), Error> {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        self.job()
            .fold(run, &mut Timing::default(), &mut Silent, watch, &mut rng)
    }

    /// The states after every step.
    fn states(&self) -> Vec<RunState<C>> {
        let mut states = Vec::new();
        self.fold(&mut self.begin(), &mut |state| states.push(state.clone()))
            .unwrap();
        states
    }

    fn goal(&self) -> Goal<C> {
        Goal {
            proof: "spartan",
            context: C::F::from(0),
            sides: Sides::PUBLIC,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("run.state")
    }

    fn create(&self, interval: Interval) -> Result<Checkpoint<C>, CheckpointError> {
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        Checkpoint::create(&self.path(), &self.job(), &self.goal(), interval, &mut rng)
    }

    fn resume(&self) -> Result<(Checkpoint<C>, Found<C>), CheckpointError> {
        Opened::open(&self.path())?.resume(&self.job(), &self.goal(), NEVER)
    }

    /// The state in the checkpoint.
    fn state(&self) -> RunState<C> {
        match self.resume().unwrap().1 {
            Found::State(state) => *state,
            other => panic!("expected a state, found {other:?}"),
        }
    }
}

/// Continues from every step, through a file, to an accepted run of the same statement.
fn continues_from_every_step<C: KeySource>() {
    let fixture = Fixture::<C>::new();
    let states = fixture.states();
    assert_eq!(states.len(), 6);
    let honest = states[5]
        .inferences(&fixture.session, &fixture.inputs)
        .unwrap();
    let mut checkpoint = fixture.create(NEVER).unwrap();
    assert!(matches!(
        fixture.resume(),
        Err(CheckpointError::InUse { .. })
    ));
    for state in &states {
        checkpoint.save(state).unwrap();
        drop(checkpoint);
        let mut resumed = fixture.state();
        assert_eq!(resumed.recursion.index, state.recursion.index);
        fixture.fold(&mut resumed, &mut |_| {}).unwrap();
        assert_eq!(
            resumed
                .inferences(&fixture.session, &fixture.inputs)
                .unwrap(),
            honest
        );
        let (run, model) = (&resumed.recursion, fixture.committed.model);
        fixture.session.verify(run, model, &honest).unwrap();
        checkpoint = fixture.resume().unwrap().0;
    }
    drop(checkpoint);
    let exists = fixture.create(NEVER);
    assert!(matches!(exists, Err(CheckpointError::Exists { .. })));
}

/// A resumed run shows the commitments that it began with; another choice of what is private is refused.
#[test]
fn a_resumed_run_keeps_its_salts() {
    let fixture = Fixture::<Bn254>::new();
    let (session, model) = (&fixture.session, fixture.committed.model);
    let sides = Sides {
        input: Visibility::Private,
        output: Visibility::Private,
    };
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let inputs = &fixture.inputs;
    let mut run = RunState::begin_hiding(session, model, inputs, sides, &mut rng).unwrap();
    let salts = run.salts.clone();
    let goal = Goal {
        sides,
        ..fixture.goal()
    };
    let path = fixture.path();
    let job = fixture.job();
    let mut checkpoint = Checkpoint::create(&path, &job, &goal, NEVER, &mut rng).unwrap();
    let mut states = Vec::new();
    fixture
        .fold(&mut run, &mut |state| states.push(state.clone()))
        .unwrap();
    let honest = run.inferences(session, inputs).unwrap();
    assert!(honest.iter().all(|i| i.input.values().is_none()));
    // The digests are salted; the run that is verified shows all the same.
    let statement = Statement {
        sides: Sides::PUBLIC,
        ..session.statement_showing(sides, model, &honest).unwrap()
    };
    for state in &states {
        checkpoint.save(state).unwrap();
        drop(checkpoint);
        let (opened, found) = Opened::open(&path)
            .unwrap()
            .resume(&job, &goal, NEVER)
            .unwrap();
        let Found::State(mut resumed) = found else {
            panic!("a state");
        };
        assert_eq!(resumed.salts, salts);
        fixture.fold(&mut resumed, &mut |_| {}).unwrap();
        assert_eq!(resumed.inferences(session, inputs).unwrap(), honest);
        verify(session.params(), &resumed.recursion, &statement).unwrap();
        checkpoint = opened;
    }
    drop(checkpoint);
    let error = fixture.resume().unwrap_err().to_string();
    assert!(
        error.contains("of another choice of private sides"),
        "{error}"
    );
    assert!(
        error.contains("the checkpoint has input and output"),
        "{error}"
    );

    let altered = |salts: Salts<_>, what: &str| {
        let mut state = states[3].clone();
        state.salts = salts;
        assert_eq!(state.check(&job), Err(what));
    };
    altered(Salts::public(), "the first input");
    altered(Salts::draw(sides, 1, &mut rng), "the salts");
    altered(Salts::draw(sides, 2, &mut rng), "the first input");
}

#[test]
fn a_run_continues_from_every_step_on_bn254() {
    continues_from_every_step::<Bn254>();
}

#[test]
fn a_run_continues_from_every_step_on_pasta() {
    continues_from_every_step::<Pasta>();
}

fn cut<T>(values: &mut Vec<T>) {
    values.pop();
}

/// Every check of a state, by the change that only it sees.
#[test]
fn states_that_do_not_fit_their_run_are_refused() {
    let fixture = Fixture::<Bn254>::new();
    let states = fixture.states();
    let (middle, between) = (&states[3], &states[2]);
    assert_eq!((middle.live.len(), middle.outputs.len()), (1, 1));
    assert_eq!((between.live.len(), between.outputs.len()), (0, 1));
    let job = fixture.job();
    assert_eq!(middle.check(&job), Ok(()));
    assert_eq!(between.check(&job), Ok(()));
    assert_eq!(fixture.begin().check(&job), Ok(()));
    let refused = |alter: &dyn Fn(&mut RunState<Bn254>), what: &str| {
        let mut state = middle.clone();
        alter(&mut state);
        assert_eq!(state.check(&job), Err(what));
    };
    type F = <Bn254 as Cycle>::F;
    refused(&|s| s.recursion.index = 7, "the number of steps");
    refused(&|s| s.recursion.index = u64::MAX, "the number of steps");
    refused(&|s| s.recursion.index = 1, "the number of outputs");
    refused(&|s| s.outputs.clear(), "the number of outputs");
    refused(&|s| s.outputs[0].push(0), "an output");
    refused(&|s| s.outputs[0][0] = 128, "an output");
    refused(&|s| s.live.clear(), "the live tensors");
    refused(&|s| s.live.push(vec![0; WIDTH]), "the live tensors");
    refused(&|s| s.live[0].push(0), "the live tensors");
    refused(&|s| s.live[0][0] = -129, "the live tensors");
    refused(&|s| s.live[0][0] ^= 1, "the live tensors");
    refused(&|s| s.recursion.last = None, "the last step");
    refused(
        &|s| s.recursion.last.as_mut().unwrap().kind ^= 1,
        "the last step",
    );
    refused(&|s| s.recursion.state.model += F::from(1), "the model id");
    refused(
        &|s| s.recursion.state.count = 0,
        "the number of finished inferences",
    );
    refused(&|s| s.recursion.start += F::from(1), "the first input");
    refused(
        &|s| s.recursion.state.input += F::from(1),
        "the input of the inference",
    );
    refused(&|s| s.outputs[0][0] ^= 1, "the finished inferences");
    refused(
        &|s| s.recursion.state.batch += F::from(1),
        "the finished inferences",
    );
    refused(
        &|s| cut(&mut s.recursion.running),
        "the number of running instances",
    );
    refused(
        &|s| cut(&mut s.recursion.running[0].0.segments),
        "a running instance",
    );
    refused(
        &|s| cut(&mut s.recursion.running[0].0.x),
        "a running instance",
    );
    refused(
        &|s| cut(&mut s.recursion.running[1].1.segments[1]),
        "a running instance",
    );
    refused(
        &|s| cut(&mut s.recursion.running[1].1.blinds),
        "a running instance",
    );
    refused(
        &|s| cut(&mut s.recursion.running[1].1.error),
        "a running instance",
    );
    refused(
        &|s| cut(&mut s.recursion.cyclefold.0.x),
        "the CycleFold instance",
    );
    refused(
        &|s| cut(&mut s.recursion.cyclefold.1.error),
        "the CycleFold instance",
    );
    let last = |s: &mut RunState<Bn254>| s.recursion.last.take().unwrap();
    refused(
        &|s| {
            let mut last = last(s);
            last.witness.segments[0].pop();
            s.recursion.last = Some(last);
        },
        "the last instance",
    );
    refused(
        &|s| {
            let mut last = last(s);
            last.instance.x.pop();
            s.recursion.last = Some(last);
        },
        "the last instance",
    );
    refused(&|s| cut(&mut s.recursion.table), "the accumulated weights");
    refused(
        &|s| cut(&mut s.recursion.accumulator.point),
        "the accumulated weights",
    );
    let mut moved = between.clone();
    moved.recursion.state.tensors += F::from(1);
    assert_eq!(moved.check(&job), Err("the live tensors"));

    // A file with such a state is refused as that.
    let mut state = middle.clone();
    state.live.clear();
    fixture.create(NEVER).unwrap().save(&state).unwrap();
    let refused = fixture.resume();
    let Err(CheckpointError::State { what, .. }) = refused else {
        panic!("expected a refusal, got {refused:?}")
    };
    assert_eq!(what, "the live tensors");
}

#[test]
fn states_are_saved_by_steps_and_by_time() {
    let fixture = Fixture::<Bn254>::new();
    let interval = Interval {
        steps: Some(2),
        time: None,
    };
    let mut checkpoint = fixture.create(interval).unwrap();
    let states = fixture.states();
    assert!(!checkpoint.is_due(1) && checkpoint.is_due(2));
    checkpoint.save(&states[1]).unwrap();
    assert!(checkpoint.is_at(2) && !checkpoint.is_due(3) && checkpoint.is_due(4));
    checkpoint.remove().unwrap();
    let interval = Interval {
        steps: None,
        time: Some(Duration::ZERO),
    };
    let checkpoint = fixture.create(interval).unwrap();
    assert!(checkpoint.is_due(0));
}

/// Publishing leaves nothing that could be continued, in either of its stages.
#[test]
fn a_published_state_cannot_be_continued() {
    let fixture = Fixture::<Bn254>::new();
    let states = fixture.states();
    let mut checkpoint = fixture.create(NEVER).unwrap();
    checkpoint.save(&states[5]).unwrap();
    let saved = std::fs::metadata(fixture.path()).unwrap().len();
    checkpoint.publishing(b"a proof").unwrap();
    assert!(std::fs::metadata(fixture.path()).unwrap().len() < saved / 100);
    drop(checkpoint);
    let (checkpoint, found) = fixture.resume().unwrap();
    assert!(matches!(found, Found::Proof(bytes) if bytes == b"a proof"));
    let left = fixture.folder.path().join(".run.state.12.3.tmp");
    let others = [".run.state.12.tmp", ".run.state.a.3.tmp", ".other.1.2.tmp"];
    for path in others
        .map(|name| fixture.folder.path().join(name))
        .iter()
        .chain([&left])
    {
        std::fs::write(path, "a state that was not finished").unwrap();
    }
    checkpoint.spend().unwrap();
    let spent = fixture.resume().unwrap_err();
    assert!(matches!(spent, CheckpointError::Spent { .. }), "{spent}");
    assert!(!left.exists());
    assert!(
        others
            .iter()
            .all(|name| fixture.folder.path().join(name).exists())
    );
    let message = spent.to_string();
    assert!(message.contains("kind of proof spartan"), "{message}");
}

fn flip(path: &Path, from_end: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() - from_end;
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Weights are read when their step comes, and a table that has changed since is not folded.
#[test]
fn damaged_weights_are_found_before_their_step_is_folded() {
    let fixture = Fixture::<Bn254>::new();
    // The last entry of the last table; the container's digest follows.
    flip(&fixture.folder.path().join("m.fold"), 33);
    let mut folded = 0;
    let error = fixture
        .fold(&mut fixture.begin(), &mut |_| folded += 1)
        .unwrap_err();
    assert_eq!(folded, 2);
    let Error::File(FileError::Format { source, .. }) = error else {
        panic!("expected an error of the file, got {error}")
    };
    assert!(matches!(source, FormatError::Payload { .. }));
    assert!(
        source.to_string().contains("does not have its digest"),
        "{source}"
    );
}

/// Commitments come from the cache only if they are those of this program under these parameters.
#[test]
fn commitments_are_kept_and_checked() {
    let fixture = Fixture::<Bn254>::new();
    let folder = tempfile::tempdir().unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut commit = |program: &Program| {
        let directory = Some(folder.path());
        let session = &fixture.session;
        session
            .commit_cached(
                program,
                &WeightBlinds::Public,
                directory,
                &mut Silent,
                &mut rng,
            )
            .unwrap()
    };
    let files = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let honest = fixture.committed.model;
    assert_eq!(commit(&fixture.program).model, honest);
    let [file] = files().try_into().unwrap();
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(commit(&fixture.program).model, honest);

    // Damaged: made again.
    flip(&file, 1);
    assert_eq!(commit(&fixture.program).model, honest);
    assert!(std::fs::read(&file).unwrap() == bytes);

    // Its commitments in another order, behind the right digest: made again.
    let mut rotated = bytes.clone();
    let (start, end) = (bytes.len() - 32 - 3 * 64, bytes.len() - 32);
    rotated[start..end].rotate_left(64);
    let digest = Sha256::digest(&rotated[..end]);
    rotated[end..].copy_from_slice(&digest);
    std::fs::write(&file, &rotated).unwrap();
    assert_eq!(commit(&fixture.program).model, honest);
    assert!(std::fs::read(&file).unwrap() == bytes);

    // Another program's commitments under this one's name: made again.
    let mut changed = random::network(3, WIDTH, 4).unwrap();
    let options = PlanOptions {
        max_weight_variables: 7,
        ..PlanOptions::default()
    };
    changed.nodes[1].weights.as_mut().unwrap().0[[0, 0]] ^= 1;
    let other = fixture.folder.path().join("other.fold");
    Program::new("m", &changed, &options)
        .unwrap()
        .write(&other)
        .unwrap();
    let other = Program::open(&other).unwrap();
    assert_eq!(other.outline().kinds, fixture.program.outline().kinds);
    let model = commit(&other).model;
    assert_ne!(model, honest);
    let foreign = files().into_iter().find(|path| *path != file).unwrap();
    std::fs::copy(&file, &foreign).unwrap();
    assert_eq!(commit(&other).model, model);
    // Programs in memory have no file to name.
    let memory = Program::new("m", &changed, &options).unwrap();
    assert_eq!(commit(&memory).model, model);
    assert_eq!(files().len(), 2);
}

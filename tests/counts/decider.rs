//! The decider circuit by part.
//!
//! The limits are those for two kinds of about 60,000 constraints: 1.3 million in all, of which the
//! CycleFold instance takes 500,000.

use crate::census::{Census, Count};
use crate::compare;
use bellpepper_core::ConstraintSystem;
use foldnet::decider::circuit::{DeciderCircuit, DeciderInputs, VERSION};
use foldnet::decider::groth16::Decider;
use foldnet::decider::statement::StatementShape;
use foldnet::model::plan::PlanOptions;
use foldnet::model::{Reading, random};
use foldnet::program::{Program, Tensor};
use foldnet::progress::Silent;
use foldnet::session::{Architecture, Session};
use foldnet_gadgets::cycle::{Bn254, Cycle};
use foldnet_layers::requantise::{Requantise, Ties};
use foldnet_layers::{GraphShape, Layer, Linear, graph};
use std::fmt::Write;

/// Most constraints for two kinds of 60,000.
const LIMIT: usize = 1_300_000;
/// Most constraints of the CycleFold instance.
const CYCLEFOLD_LIMIT: usize = 500_000;

type F = <Bn254 as Cycle>::F;

/// How the names of the Spartan verifier's own constraints start. The square of gamma that the
/// matrices need once more is counted with them.
const SUMCHECK: [&str; 13] = [
    "tau",
    "outer",
    "round",
    "A z",
    "B z",
    "C z",
    "E",
    "gamma",
    "segment",
    "public",
    "blocks",
    "matrices z",
    "inner",
];

/// The circuit of an architecture with one inference.
struct Measured {
    census: Census<F>,
    kinds: Vec<usize>,
}

impl Measured {
    fn new(architecture: &Architecture) -> Self {
        let session: Session<Bn254> = Session::new(architecture, None, &mut Silent).unwrap();
        let shapes = session.shapes().unwrap();
        let statement = StatementShape::new(architecture, 1);
        let inputs = DeciderInputs::sample(session.params(), &shapes, &statement);
        let circuit = DeciderCircuit {
            params: session.params(),
            shapes: &shapes,
            statement,
            inputs: &inputs,
        };
        let mut census = Census::new();
        circuit.constrain(&mut census).unwrap();
        let kinds = session.params().constraints();
        Measured { census, kinds }
    }

    /// A line for every part; the parts add up to the whole.
    fn report(&self, name: &str) -> String {
        let mut report = String::new();
        let mut rest = self.census.total();
        writeln!(report, "{name}, kinds of {:?} constraints", self.kinds).unwrap();
        let mut line = |part: &str, count: Count| {
            assert!(count.rows > 0, "{part}");
            rest.rows -= count.rows;
            rest.terms -= count.terms;
            let Count { rows, terms } = count;
            writeln!(report, "  {part}: {rows} constraints, {terms} non-zeros").unwrap();
        };
        let within = |prefix: &'static str| self.census.of(|path| path.starts_with(prefix));
        line("end state", within("state"));
        line("last fold", within("last step/"));
        line("final instances", within("finals/"));
        for k in 0..self.kinds.len() {
            let kind = format!("kind {k}/");
            let matrices = |path: &str| is_in(path, &kind, |part| part == "matrices");
            let sumchecks = |path: &str| is_in(path, &kind, |part| part != "matrices");
            line(&format!("kind {k}, Spartan"), self.census.of(sumchecks));
            line(&format!("kind {k}, matrices"), self.census.of(matrices));
        }
        let cyclefold = "cyclefold instance/";
        let opening = |part: &str| part.starts_with("opening");
        let sumcheck = |part: &str| SUMCHECK.iter().any(|name| part.starts_with(name));
        let of =
            |wanted: &dyn Fn(&str) -> bool| self.census.of(|path| is_in(path, cyclefold, wanted));
        line("CycleFold instance, Spartan", of(&|part| sumcheck(part)));
        line(
            "CycleFold instance, matrices",
            of(&|part| !sumcheck(part) && !opening(part)),
        );
        line("CycleFold instance, opening", of(&|part| opening(part)));
        line("batch of claims", within("batch/"));
        line("public data", within("public data/"));
        let Count { rows, terms } = rest;
        let total = self.census.total();
        writeln!(
            report,
            "  values and ranges: {rows} constraints, {terms} non-zeros"
        )
        .unwrap();
        writeln!(
            report,
            "  in all: {} constraints, {} non-zeros",
            total.rows, total.terms
        )
        .unwrap();
        report
    }

    fn cyclefold(&self) -> usize {
        self.census
            .of(|path| path.starts_with("cyclefold instance/"))
            .rows
    }
}

/// Whether a place is below `prefix` and its next part is wanted.
fn is_in(path: &str, prefix: &str, wanted: impl Fn(&str) -> bool) -> bool {
    let inner = path.strip_prefix(prefix);
    inner.is_some_and(|inner| wanted(inner.split('/').next().unwrap_or_default()))
}

/// The network of the contract's tests.
fn small() -> Architecture {
    let network = random::network(3, 12, 5).unwrap();
    let program = Program::new("counts", &network, &PlanOptions::default()).unwrap();
    Architecture::from(program.outline())
}

fn dense(width: usize, low: i64) -> Layer {
    let requantise = Requantise {
        shift: 16,
        low,
        high: 127,
        accumulator_bits: 23 + width.ilog2(),
        ties: Ties::Up,
    };
    Linear::dense(width, width, requantise).into()
}

/// Two kinds of about 60,000 constraints: 23 layers of 128 units each.
fn large() -> Architecture {
    let kind = |ends_inference| {
        let layer = |i| dense(128, if ends_inference && i == 22 { -128 } else { 0 });
        GraphShape {
            weight_variables: 19,
            ends_inference,
            ..graph::chain((0..23).map(layer).collect(), 8)
        }
    };
    let edge = Tensor {
        length: 128,
        capacity: 128,
        scale: 1.0,
    };
    Architecture {
        kinds: vec![kind(false), kind(true)],
        weight_variables: 19,
        bits: 8,
        input: edge.clone(),
        output: edge,
        reading: Reading::default(),
    }
}

#[test]
fn the_decider_is_that_of_the_snapshot() {
    let small = Measured::new(&small());
    let large = Measured::new(&large());
    let near = |rows: &usize| (58_000..62_000).contains(rows);
    assert!(
        large.kinds.len() == 2 && large.kinds.iter().all(near),
        "{:?}",
        large.kinds
    );
    assert!(large.census.total().rows <= LIMIT);
    assert!(large.cyclefold() <= CYCLEFOLD_LIMIT);
    let report = small.report("one small kind") + &large.report("two large kinds");
    compare("decider.txt", &(report + &identity()));
}

/// Version and digest of the small circuit. A change of the digest alone would leave the files of
/// old keys in use: raise the version with it.
fn identity() -> String {
    let architecture = small();
    let session: Session<Bn254> = Session::new(&architecture, None, &mut Silent).unwrap();
    let shapes = session.shapes().unwrap();
    let decider = Decider {
        params: session.params(),
        shapes: &shapes,
        statement: StatementShape::new(&architecture, 1),
    };
    let digest = *decider.shape().unwrap().digest();
    format!("version {VERSION}, circuit of one small kind {digest}\n")
}

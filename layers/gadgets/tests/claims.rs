//! The claim accumulator and its integer kernels: native and circuit agree, forgeries fail.

use bellpepper_core::ConstraintSystem;
use ff::Field;
use foldnet_gadgets::claims::{
    BlockClaim, ClaimError, MergeInput, MergeProof, MergeProver, Merged, MergedValues,
    RunningClaim, RunningClaimWires, StepClaims, merge, merge_native, merge_proof, prove,
};
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::hash::{HashConstants, Tag};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::small;
use foldnet_gadgets::step::{Claim, StepOutput, WeightTable};
use foldnet_gadgets::sumcheck::{self, RoundProver};
use foldnet_gadgets::system::{ShapeSystem, WitnessSystem};
use foldnet_gadgets::transcript::{Transcript, TranscriptCircuit};
use foldnet_gadgets::wire::{Wire, WireSystem};
use halo2curves::bn256::Fr;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::sync::OnceLock;

const TAG: Tag = Tag::new("test");

/// Deriving the constants is slow, so the tests share them.
fn constants() -> &'static HashConstants<Fr> {
    static CONSTANTS: OnceLock<HashConstants<Fr>> = OnceLock::new();
    CONSTANTS.get_or_init(HashConstants::default)
}

/// Slot bits, rows, columns of a block.
type Block<'a> = (&'a [u8], usize, usize);

fn field(weights: &[i64]) -> Vec<Fr> {
    weights.iter().map(|w| from_i64(*w)).collect()
}

fn vector(rng: &mut ChaCha20Rng, length: usize) -> Vec<Fr> {
    (0..length).map(|_| Fr::random(&mut *rng)).collect()
}

fn signed(rng: &mut ChaCha20Rng, length: usize, bits: u32) -> Vec<i64> {
    (0..length)
        .map(|_| rng.next_u64() as i64 >> (64 - bits))
        .collect()
}

/// One true running claim with its table, and true claims about one table of weights.
#[derive(Clone, Debug)]
struct Case {
    table: WeightTable,
    accumulator: Vec<Fr>,
    running: RunningClaim<Fr>,
    claims: StepClaims<Fr>,
}

impl Case {
    fn new(ell: usize, weights: Vec<i64>, blocks: &[Block<'_>]) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(ell as u64);
        let accumulator = vector(&mut rng, 1 << ell);
        let point = vector(&mut rng, ell);
        let value = sumcheck::evaluate(&accumulator, &point);
        let table = WeightTable::new(weights, ell).unwrap();
        let longest = |of: fn(&Block<'_>) -> usize| blocks.iter().map(of).max().unwrap_or(0);
        let mut claims = StepClaims {
            row_point: vector(&mut rng, longest(|b| b.1)),
            column_point: vector(&mut rng, longest(|b| b.2)),
            claims: Vec::new(),
        };
        for (slot, rows, columns) in blocks {
            let slot = slot.iter().map(|bit| *bit == 1).collect();
            let mut claim = BlockClaim {
                slot,
                rows: *rows,
                columns: *columns,
                value: Fr::ZERO,
            };
            claim.value = sumcheck::evaluate(&field(table.entries()), &claims.point(&claim));
            claims.claims.push(claim);
        }
        Case {
            table,
            accumulator,
            running: RunningClaim { point, value },
            claims,
        }
    }

    /// Three layers of different sizes with their biases, in a table of `2^9` entries.
    fn layers() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(99);
        let blocks: [Block<'_>; 6] = [
            (&[0], 4, 4),
            (&[1, 0], 4, 3),
            (&[1, 1, 0], 3, 3),
            (&[1, 1, 1, 0, 0], 4, 0),
            (&[1, 1, 1, 0, 1], 4, 0),
            (&[1, 1, 1, 1, 0, 0], 3, 0),
        ];
        Case::new(9, signed(&mut rng, 490, 24), &blocks)
    }

    fn input(&self) -> MergeInput<'_, Fr> {
        MergeInput {
            accumulator: &self.accumulator,
            weights: &self.table,
        }
    }

    /// What the transcript has absorbed before the merge.
    fn context(&self) -> Vec<Fr> {
        let mut context = self.running.point.clone();
        context.push(self.running.value);
        context.extend(&self.claims.row_point);
        context.extend(&self.claims.column_point);
        context.extend(self.claims.claims.iter().map(|claim| claim.value));
        context
    }

    fn transcript(&self) -> Transcript<Fr> {
        let mut transcript = Transcript::new(constants(), TAG);
        transcript.absorb(&self.context());
        transcript
    }

    fn prove(&self) -> (MergeProof<Fr>, MergedValues<Fr>) {
        prove(
            &mut self.transcript(),
            &self.running,
            &self.claims,
            self.input(),
        )
        .unwrap()
    }

    fn verify(&self, proof: &MergeProof<Fr>) -> Result<MergedValues<Fr>, ClaimError> {
        merge_native(&mut self.transcript(), &self.running, &self.claims, proof)
    }

    /// Inputs of the circuit, pinned to the case by constraints of their own.
    fn circuit_inputs<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
    ) -> (TranscriptCircuit<Fr>, RunningClaimWires<Fr>, StepOutput<Fr>) {
        let mut transcript = TranscriptCircuit::new(constants(), TAG);
        let context: Vec<_> = self
            .context()
            .iter()
            .enumerate()
            .map(|(i, value)| cs.wire(|| format!("input {i}"), *value).unwrap())
            .collect();
        transcript.absorb(&context);
        let mut context = context.into_iter();
        let mut take = |count: usize| context.by_ref().take(count).collect::<Vec<_>>();
        let point = take(self.running.point.len());
        let running = RunningClaimWires {
            point,
            value: take(1).remove(0),
        };
        let row_point = take(self.claims.row_point.len());
        let column_point = take(self.claims.column_point.len());
        let values = take(self.claims.claims.len());
        let claim = |(claim, value): (&BlockClaim<Fr>, Wire<Fr>)| Claim {
            slot: claim.slot.clone(),
            rows: claim.rows,
            columns: claim.columns,
            value,
        };
        let claims = self.claims.claims.iter().zip(values).map(claim).collect();
        let (input_digest, output_digest) = (Wire::zero(), Wire::zero());
        let output = StepOutput {
            input_digests: vec![input_digest],
            output_digests: vec![output_digest],
            row_point,
            column_point,
            claims,
        };
        (transcript, running, output)
    }

    fn merge<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Merged<Fr> {
        let (mut transcript, running, output) = self.circuit_inputs(cs);
        merge(cs, &mut transcript, &running, &output, Some(self.input())).unwrap()
    }

    fn merge_proof(&self, proof: &MergeProof<Fr>) -> MockSystem<Fr> {
        let mut cs = MockSystem::new();
        let (mut transcript, running, output) = self.circuit_inputs(&mut cs);
        merge_proof(&mut cs, &mut transcript, &running, &output, proof).unwrap();
        cs
    }

    /// Asserts that native code and circuit agree and that the next running claim is true.
    fn assert_honest(&self) {
        let (proof, merged) = self.prove();
        assert_eq!(self.verify(&proof).as_ref(), Ok(&merged));
        let mut cs = MockSystem::new();
        assert_eq!(self.merge(&mut cs).values(), merged);
        assert_eq!(cs.failures(), vec![]);
        assert_eq!(
            self.merge_proof(&proof).auxiliary_values(),
            cs.auxiliary_values()
        );

        let mut next = self.accumulator.clone();
        small::accumulate(&mut next, merged.beta, self.table.entries());
        let value = merged.accumulator + merged.beta * merged.step;
        assert_eq!(sumcheck::evaluate(&next, &merged.point), value);
        assert_eq!(
            sumcheck::evaluate(&self.accumulator, &merged.point),
            merged.accumulator
        );
    }

    fn assert_rejected(&self, proof: &MergeProof<Fr>) {
        assert_eq!(self.verify(proof), Err(ClaimError::LastClaim));
        assert_eq!(paths(&self.merge_proof(proof)), ["merge/last claim"]);
    }
}

fn paths(cs: &MockSystem<Fr>) -> Vec<String> {
    cs.failures()
        .into_iter()
        .map(|failure| failure.path)
        .collect()
}

#[test]
fn an_honest_merge_leaves_a_true_claim() {
    Case::layers().assert_honest();
}

#[test]
fn every_size_of_table_merges() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    Case::new(0, vec![-5], &[(&[], 0, 0)]).assert_honest();
    Case::new(1, vec![7, -9], &[(&[], 1, 0)]).assert_honest();
    Case::new(1, vec![7, -9], &[(&[1], 0, 0)]).assert_honest();
    Case::new(1, vec![7], &[(&[], 0, 1)]).assert_honest();
    Case::new(8, signed(&mut rng, 256, 16), &[(&[], 4, 4)]).assert_honest();
    Case::new(11, signed(&mut rng, 1500, 16), &[(&[], 6, 5), (&[0], 1, 9)]).assert_honest();
    Case::new(
        12,
        signed(&mut rng, 4096, 16),
        &[(&[], 0, 12), (&[], 12, 0)],
    )
    .assert_honest();
    Case::new(12, signed(&mut rng, 4096, 16), &[(&[1; 12], 0, 0)]).assert_honest();
}

#[test]
fn claims_on_one_block_may_overlap() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let blocks: [Block<'_>; 4] = [
        (&[], 5, 5),
        (&[], 5, 5),
        (&[0], 5, 4),
        (&[1, 0, 1, 0, 1, 1, 0, 1], 2, 0),
    ];
    Case::new(10, signed(&mut rng, 1024, 16), &blocks).assert_honest();
}

#[test]
fn zero_and_extreme_weights_merge() {
    Case::new(9, vec![], &[(&[], 4, 5)]).assert_honest();
    Case::new(9, vec![0; 512], &[(&[], 4, 5)]).assert_honest();
    let extremes = [
        i64::MIN,
        i64::MAX,
        -1,
        0,
        1 << 31,
        -(1 << 31) - 1,
        i64::MIN + 1,
    ];
    let weights = extremes.iter().copied().cycle().take(512).collect();
    Case::new(9, weights, &[(&[], 4, 5), (&[1], 8, 0)]).assert_honest();
}

#[test]
fn a_step_without_claims_merges() {
    Case::new(9, vec![3; 300], &[]).assert_honest();
}

#[test]
fn the_messages_are_those_of_the_plain_sum() {
    let case = Case::layers();
    let g = Fr::from(12345);
    let mut eq = sumcheck::eq_table(&case.running.point);
    let mut step = field(case.table.entries());
    step.resize(eq.len(), Fr::ZERO);
    let mut weight = vec![Fr::ZERO; eq.len()];
    let mut power = Fr::ONE;
    for claim in &case.claims.claims {
        power *= g;
        let eq = sumcheck::eq_table(&case.claims.point(claim));
        weight
            .iter_mut()
            .zip(eq)
            .for_each(|(weight, eq)| *weight += power * eq);
    }
    let mut accumulator = case.accumulator.clone();
    let mut prover = MergeProver::new(case.input(), &case.running, &case.claims, g).unwrap();
    for round in 0..9 {
        let half = eq.len() / 2;
        let mut message = [Fr::ZERO; 2];
        for (l, r) in [(&eq, &accumulator), (&weight, &step)] {
            for i in 0..half {
                message[0] += l[i] * r[i];
                message[1] += (l[i + half] - l[i]) * (r[i + half] - r[i]);
            }
        }
        assert_eq!(prover.message(Fr::ZERO), message, "round {round}");
        let challenge = Fr::from(round + 77);
        prover.bind(challenge);
        for table in [&mut eq, &mut accumulator, &mut weight, &mut step] {
            for i in 0..half {
                table[i] = table[i] + challenge * (table[i + half] - table[i]);
            }
            table.truncate(half);
        }
    }
    assert_eq!(prover.evaluations(), Some((accumulator[0], step[0])));
}

#[test]
fn a_forged_message_is_rejected() {
    let case = Case::layers();
    let (proof, _) = case.prove();
    for round in 0..9 {
        for coefficient in 0..2 {
            let mut forged = proof.clone();
            forged.messages[round][coefficient] += Fr::ONE;
            case.assert_rejected(&forged);
        }
    }
}

#[test]
fn forged_evaluations_are_rejected() {
    let case = Case::layers();
    let (proof, _) = case.prove();
    case.assert_rejected(&MergeProof {
        accumulator: proof.accumulator + Fr::ONE,
        ..proof.clone()
    });
    case.assert_rejected(&MergeProof {
        step: proof.step + Fr::ONE,
        ..proof
    });
}

/// The prover chooses evaluations that meet the last claim: only the next claim can be false.
#[test]
fn compensated_evaluations_leave_a_false_claim() {
    let mut case = Case::layers();
    case.claims.claims[2].value += Fr::ONE;
    let (mut proof, merged) = case.prove();
    assert_eq!(case.verify(&proof), Err(ClaimError::LastClaim));
    let g = case.transcript().squeeze();
    let sum = case
        .claims
        .claims
        .iter()
        .rev()
        .fold(Fr::ZERO, |s, c| (s + c.value) * g);
    let mut replay = sumcheck::Replay::new(proof.messages.clone());
    let sum = sum + case.running.value;
    let mut transcript = case.transcript();
    transcript.squeeze();
    let (_, last) = sumcheck::run(&mut transcript, sum, 9, &mut replay);
    let eq = |point: &[Fr]| sumcheck::eq_eval(point, &merged.point);
    let weight = case.claims.claims.iter().rev();
    let weight = weight.fold(Fr::ZERO, |s, c| (s + eq(&case.claims.point(c))) * g);
    let accumulated = last - weight * proof.step;
    proof.accumulator = accumulated * eq(&case.running.point).invert().unwrap();
    let merged = case.verify(&proof).unwrap();
    assert_eq!(case.merge_proof(&proof).failures(), vec![]);
    let mut next = case.accumulator.clone();
    small::accumulate(&mut next, merged.beta, case.table.entries());
    let claimed = merged.accumulator + merged.beta * merged.step;
    assert_ne!(sumcheck::evaluate(&next, &merged.point), claimed);
}

#[test]
fn false_claims_are_rejected() {
    for j in 0..6 {
        let mut case = Case::layers();
        case.claims.claims[j].value += Fr::ONE;
        case.assert_rejected(&case.prove().0);
    }
    let mut case = Case::layers();
    case.running.value += Fr::ONE;
    case.assert_rejected(&case.prove().0);
    let mut case = Case::layers();
    case.accumulator[17] += Fr::ONE;
    case.assert_rejected(&case.prove().0);
    let mut case = Case::layers();
    let mut weights = case.table.entries().to_vec();
    weights[200] += 1;
    case.table = WeightTable::new(weights, 9).unwrap();
    case.assert_rejected(&case.prove().0);
}

#[test]
fn single_forged_witness_values_fail_by_name() {
    let case = Case::layers();
    let expected = [
        ("merge/round 3/c0", "merge/round 3/r (c1 + r c2)"),
        ("merge/round 3/c2", "merge/round 3/r c2"),
        ("merge/accumulator evaluation", "merge/accumulated"),
        ("merge/step evaluation", "merge/last claim"),
        ("merge/accumulated", "merge/last claim"),
        ("merge/claims/claim 4", "merge/step weight/power 4"),
        ("merge/claimed sum/power 2", "merge/claimed sum/power 1"),
        ("merge/step weight/power 0", "merge/last claim"),
    ];
    let mut cs = MockSystem::new();
    case.merge(&mut cs);
    for (variable, constraint) in expected {
        let mut cs = cs.clone();
        let value = cs.get(variable).unwrap();
        assert!(cs.set(variable, value + Fr::ONE));
        assert!(
            paths(&cs).contains(&constraint.to_string()),
            "{variable}: {:?}",
            paths(&cs)
        );
    }
}

#[test]
fn every_witness_is_pinned() {
    let mut cs = MockSystem::new();
    Case::layers().merge(&mut cs);
    assert_eq!(cs.unpinned(), Vec::<String>::new());
}

#[test]
fn beta_binds_the_evaluations() {
    let case = Case::layers();
    let (proof, merged) = case.prove();
    let zero = Case::new(9, vec![], &[(&[], 4, 5)]);
    assert_ne!(zero.prove().1.beta, merged.beta);
    let forged = MergeProof {
        step: proof.step + Fr::ONE,
        ..proof
    };
    let mut cs = MockSystem::new();
    let (mut transcript, running, output) = case.circuit_inputs(&mut cs);
    let other = merge_proof(&mut cs, &mut transcript, &running, &output, &forged).unwrap();
    assert_eq!(
        other.point.last().unwrap().value(),
        *merged.point.last().unwrap()
    );
    assert_ne!(other.beta.value(), merged.beta);
}

/// Eight layers with a bias each, four sizes, as the budget of the design assumes.
fn eight_layers(ell: usize) -> Case {
    let mut rng = ChaCha20Rng::seed_from_u64(20);
    let weights = signed(&mut rng, 1 << 14, 16);
    let mut case = Case {
        table: WeightTable::new(weights, ell).unwrap(),
        accumulator: vec![Fr::ONE; 1 << ell],
        running: RunningClaim {
            point: vector(&mut rng, ell),
            value: Fr::ONE,
        },
        claims: StepClaims {
            row_point: vector(&mut rng, 8),
            column_point: vector(&mut rng, 8),
            claims: Vec::new(),
        },
    };
    for j in 0..16usize {
        let (rows, columns) = [(8, 8), (7, 8), (8, 7), (6, 7)][j % 4];
        let columns = if j < 8 { columns } else { 0 };
        // Slots that share no more than they must: all differ within the first four bits.
        let bit = |i| {
            if i < 4 {
                j >> (3 - i) & 1 == 1
            } else {
                (j * 37) >> (i % 8) & 1 == 1
            }
        };
        let slot = (0..ell - rows - columns).map(bit).collect();
        let mut claim = BlockClaim {
            slot,
            rows,
            columns,
            value: Fr::ZERO,
        };
        claim.value = small::evaluate(case.table.entries(), &case.claims.point(&claim));
        case.claims.claims.push(claim);
    }
    case
}

#[test]
fn merging_sixteen_claims_of_twenty_variables_stays_in_budget() {
    let case = eight_layers(20);
    let mut mock = MockSystem::new();
    let merged = case.merge(&mut mock);
    assert_eq!(mock.failures(), vec![]);
    assert_eq!(case.prove().1, merged.values());
    // The first squeeze hashes the test's own inputs, which a step absorbs and pays elsewhere.
    let first = |path: &String| path.starts_with("merge/combine/");
    let inputs = mock
        .auxiliary_paths()
        .iter()
        .filter(|path| first(path))
        .count();
    let count = mock.constraint_count() - inputs;
    println!("merge, ell = 20, 16 claims: {count} constraints after the first squeeze ({inputs})");
    assert!(count <= 7500, "{count}");

    let mut witness = WitnessSystem::default();
    case.merge(&mut witness);
    assert_eq!(witness.auxiliary(), mock.auxiliary_values());
    let mut shape = ShapeSystem::default();
    let (mut transcript, running, output) = case.circuit_inputs(&mut shape);
    merge(&mut shape, &mut transcript, &running, &output, None).unwrap();
    assert_eq!(shape.rows(), mock.constraint_count());
    assert_eq!(shape.auxiliary(), mock.auxiliary_count());
}

#[test]
fn the_shape_does_not_depend_on_values() {
    fn matrices(case: &Case, prover: bool) -> impl PartialEq + std::fmt::Debug + use<> {
        let mut cs = ShapeSystem::<Fr>::default();
        let (mut transcript, running, output) = case.circuit_inputs(&mut cs);
        let input = prover.then(|| case.input());
        merge(&mut cs, &mut transcript, &running, &output, input).unwrap();
        let matrices = cs.into_matrices();
        (matrices.a, matrices.b, matrices.c)
    }
    let case = Case::layers();
    let mut zero = case.clone();
    zero.running.point.fill(Fr::ZERO);
    zero.claims.row_point.fill(Fr::ONE);
    assert_eq!(matrices(&case, true), matrices(&zero, false));
}

#[test]
fn wrong_sizes_are_named() {
    let case = Case::layers();
    let attempt = |change: &dyn Fn(&mut Case)| {
        let mut case = case.clone();
        change(&mut case);
        prove(
            &mut case.transcript(),
            &case.running,
            &case.claims,
            case.input(),
        )
        .unwrap_err()
    };
    let error = attempt(&|case| case.claims.claims[1].rows += 1);
    assert_eq!(
        error,
        ClaimError::Variables {
            index: 1,
            expected: 9,
            got: 10
        }
    );
    let error = attempt(&|case| {
        case.claims.row_point.pop();
    });
    assert_eq!(
        error,
        ClaimError::Point {
            index: 0,
            name: "row",
            expected: 3,
            got: 4
        }
    );
    let error = attempt(&|case| {
        case.accumulator.pop();
    });
    assert_eq!(
        error,
        ClaimError::Accumulator {
            expected: 9,
            got: 511
        }
    );
    let error = attempt(&|case| case.table = WeightTable::new(vec![], 10).unwrap());
    assert_eq!(
        error,
        ClaimError::Weights {
            expected: 9,
            got: 10
        }
    );
    let (mut proof, _) = case.prove();
    proof.messages.pop();
    assert_eq!(
        case.verify(&proof),
        Err(ClaimError::Rounds {
            expected: 9,
            got: 8
        })
    );
    let mut cs = MockSystem::new();
    let (mut transcript, running, mut output) = case.circuit_inputs(&mut cs);
    assert!(merge_proof(&mut cs, &mut transcript, &running, &output, &proof).is_err());
    output.claims[0].columns += 1;
    assert!(merge(&mut cs, &mut transcript, &running, &output, None).is_err());
}

/// Weights of every width: mostly small, some at the limits of the kernels' digits.
fn weight() -> impl Strategy<Value = i64> {
    let edges = [7, 8, 15, 16, 23, 24, 31, 32, 62, 63].map(|bits| 1i64 << bits);
    let edge = prop::sample::select(edges.to_vec());
    prop_oneof![
        4 => -(1i64 << 15)..1i64 << 15,
        1 => any::<i64>(),
        1 => (edge, -1i64..=1, any::<bool>()).prop_map(|(edge, delta, negative)| {
            let edge = if negative { edge.wrapping_neg() } else { edge };
            edge.wrapping_add(delta)
        }),
    ]
}

fn weights(range: std::ops::Range<usize>) -> impl Strategy<Value = Vec<i64>> {
    prop_oneof![
        prop::collection::vec(weight(), range.clone()),
        prop::collection::vec(-128i64..128, range.clone()),
        prop::collection::vec(-(1i64 << 31)..1i64 << 31, range),
    ]
}

fn cases() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(64)
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn combine_rows_is_the_plain_sum(
        weights in weights(0..900), columns in 0usize..40, rows in 0usize..600, seed: u64,
    ) {
        let eq = vector(&mut ChaCha20Rng::seed_from_u64(seed), rows);
        let mut expected = vec![Fr::ZERO; columns];
        if columns > 0 {
            for (row, eq) in weights.chunks(columns).zip(&eq) {
                for (sum, weight) in expected.iter_mut().zip(row) {
                    *sum += *eq * from_i64::<Fr>(*weight);
                }
            }
        }
        prop_assert_eq!(small::combine_rows(&weights, columns, &eq), expected);
    }

    #[test]
    fn inner_and_row_products_are_the_plain_sums(
        weights in weights(0..9000), columns in 1usize..300, offset in 0usize..20, seed: u64,
    ) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let eq = vector(&mut rng, 5000);
        let plain = |weights: &[i64], eq: &[Fr]| -> Fr {
            weights.iter().zip(eq).map(|(w, eq)| from_i64::<Fr>(*w) * eq).sum()
        };
        prop_assert_eq!(small::inner(&weights, &eq), plain(&weights, &eq));
        let eq = &eq[..columns.saturating_sub(offset).min(100)];
        let rows = weights.chunks(columns);
        let expected: Vec<Fr> =
            rows.map(|row| plain(row.get(offset..).unwrap_or_default(), eq)).collect();
        prop_assert_eq!(small::row_products(&weights, columns, offset, eq), expected);
    }

    #[test]
    fn evaluate_is_the_multilinear_extension(
        weights in weights(0..2049), extra in 0usize..3, seed: u64,
    ) {
        let ell = weights.len().next_power_of_two().ilog2() as usize + extra;
        let point = vector(&mut ChaCha20Rng::seed_from_u64(seed), ell);
        let expected = sumcheck::evaluate(&field(&weights), &point);
        prop_assert_eq!(small::evaluate(&weights, &point), expected);
    }

    #[test]
    fn accumulate_adds_the_multiples(weights in weights(0..9000), extra in 0usize..9, seed: u64) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut acc = vector(&mut rng, weights.len() + extra);
        let beta = Fr::random(&mut rng);
        let mut expected = acc.clone();
        for (entry, weight) in expected.iter_mut().zip(&weights) {
            *entry += beta * from_i64::<Fr>(*weight);
        }
        small::accumulate(&mut acc, beta, &weights);
        prop_assert_eq!(acc, expected);
    }
}

//! Keys with known trapdoors, and proofs made with them.

use ff::Field;
use foldnet_compress::evm::{
    ContractProof, Execution, Groth16Key, Groth16Proof, Machine, OpeningClaim, Parameters,
    PublicInputs, Refusal, calldata, public_data, public_inputs, verify_public,
};
use foldnet_compress::mercury::words::{Word, scalar_word};
use foldnet_compress::mercury::{Challenges, Opening, OpeningKey, open};
use foldnet_gadgets::sumcheck;
use halo2curves::bn256::{Fr, G1, G1Affine, G2, G2Affine};
use halo2curves::group::Curve;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub fn g1(x: Fr) -> G1Affine {
    (G1::generator() * x).to_affine()
}

pub fn g2(x: Fr) -> G2Affine {
    (G2::generator() * x).to_affine()
}

pub fn invert(x: Fr) -> Fr {
    Option::from(x.invert()).expect("a random scalar")
}

/// Numbers that would be secret.
pub struct Trapdoor {
    tau: Fr,
    blind: Fr,
    alpha: Fr,
    beta: Fr,
    delta: Fr,
    inputs: [Fr; 4],
}

/// Sizes of a statement and of its proof.
#[derive(Clone, Copy)]
pub struct Shape {
    pub statement: usize,
    pub commitments: usize,
    pub variables: usize,
}

pub struct Fixture {
    pub trapdoor: Trapdoor,
    pub parameters: Parameters,
    pub statement: Vec<Word>,
    pub proof: ContractProof,
}

/// The claim that a decider would leave, with discrete logarithms of its commitments.
struct Secret {
    claim: OpeningClaim,
    /// Discrete logarithm of the combined commitment.
    combined: Fr,
}

pub fn trapdoor(rng: &mut ChaCha20Rng) -> Trapdoor {
    let mut random = || Fr::random(&mut *rng);
    Trapdoor {
        tau: random(),
        blind: random(),
        alpha: random(),
        beta: random(),
        delta: random(),
        inputs: std::array::from_fn(|_| random()),
    }
}

impl Trapdoor {
    pub fn parameters(&self, shape: Shape) -> Parameters {
        Parameters {
            groth16: Groth16Key {
                alpha: g1(self.alpha),
                beta: g2(self.beta),
                delta: g2(self.delta),
                inputs: self.inputs.map(g1),
            },
            tau_h: g2(self.tau),
            blind_generator: g1(self.blind),
            model: Fr::from(0xfeed).square().square(),
            count: 1,
            statement_length: shape.statement,
            commitments: shape.commitments,
            variables: shape.variables,
        }
    }

    /// Powers of tau.
    fn powers(&self, length: usize) -> Vec<G1Affine> {
        let powers = std::iter::successors(Some(Fr::ONE), |power| Some(*power * self.tau));
        powers.take(length).map(g1).collect()
    }

    /// A Groth16 proof of anything: A and B random, C what the equation leaves.
    pub fn groth16(&self, inputs: &PublicInputs, rng: &mut ChaCha20Rng) -> Groth16Proof {
        let (a, b) = (Fr::random(&mut *rng), Fr::random(&mut *rng));
        let [constant, p, gamma, f] = self.inputs;
        let sum = constant + p * inputs.p + gamma * inputs.gamma + f * inputs.f;
        let c = (a * b - self.alpha * self.beta - sum) * invert(self.delta);
        Groth16Proof {
            a: g1(a),
            b: g2(b),
            c: g1(c),
        }
    }

    /// A true opening of a random polynomial that is a sum of blinded ones.
    fn honest(&self, shape: Shape, rng: &mut ChaCha20Rng) -> (OpeningClaim, Vec<Fr>) {
        let entries = 1usize << shape.variables;
        let rho = Fr::random(&mut *rng);
        let mut table = vec![Fr::ZERO; entries];
        let mut weight = Fr::ONE;
        let mut blind = Fr::ZERO;
        let mut commitments = Vec::new();
        for _ in 0..shape.commitments {
            let part: Vec<Fr> = (0..entries).map(|_| Fr::random(&mut *rng)).collect();
            let own_blind = Fr::random(&mut *rng);
            let value = |sum: Fr, x: &Fr| sum * self.tau + x;
            let logarithm = part.iter().rev().fold(Fr::ZERO, value);
            commitments.push(g1(logarithm + own_blind * self.blind));
            for (entry, x) in table.iter_mut().zip(&part) {
                *entry += weight * x;
            }
            blind += weight * own_blind;
            weight *= rho;
        }
        let point: Vec<Fr> = (0..shape.variables)
            .map(|_| Fr::random(&mut *rng))
            .collect();
        let claim = OpeningClaim {
            commitments,
            rho,
            blind,
            value: sumcheck::evaluate(&table, &point),
            point,
        };
        (claim, table)
    }

    fn dishonest(&self, shape: Shape, rng: &mut ChaCha20Rng) -> Secret {
        let mut random = || Fr::random(&mut *rng);
        let logarithms: Vec<Fr> = (0..shape.commitments).map(|_| random()).collect();
        let claim = OpeningClaim {
            commitments: logarithms.iter().copied().map(g1).collect(),
            rho: random(),
            blind: random(),
            point: (0..shape.variables).map(|_| random()).collect(),
            value: random(),
        };
        let horner = |sum: Fr, x: &Fr| sum * claim.rho + x;
        let sum = logarithms.iter().rev().fold(Fr::ZERO, horner);
        Secret {
            combined: sum - claim.blind * self.blind,
            claim,
        }
    }

    /// An opening of anything, which whoever knows tau can make; its size does not depend on the
    /// number of variables.
    fn simulate(&self, seed: &Word, secret: &Secret, rng: &mut ChaCha20Rng) -> Opening {
        let mut random = || Fr::random(&mut *rng);
        let (q, w_prime) = (random(), random());
        let mut opening = Opening {
            h: g1(random()),
            q: g1(q),
            g: g1(random()),
            s: g1(random()),
            d: g1(random()),
            evaluations: std::array::from_fn(|_| random()),
            quotient: g1(random()),
            w: g1(random()),
            w_prime: g1(w_prime),
        };
        let commitment = g1(secret.combined);
        let claim = &secret.claim;
        let derive = |opening: &Opening| {
            Challenges::derive(seed, &commitment, &claim.point, &claim.value, opening)
        };
        let early = derive(&opening);
        let b = 1u64 << claim.point.len().div_ceil(2);
        let zeta_b = early.zeta.pow_vartime([b]);
        let [g_zeta, ..] = opening.evaluations;
        let numerator = secret.combined - (zeta_b - early.alpha) * q - g_zeta;
        let quotient = numerator * invert(self.tau - early.zeta);
        opening.quotient = g1(quotient);
        // left = first + delta (rest + z w'), where the first equation's left is now tau t.
        let challenges = derive(&opening);
        let points = opening
            .pairing_points(seed, &commitment, &claim.point, claim.value)
            .expect("distinct challenges");
        let second = (points.left - g1(self.tau * quotient)) * invert(challenges.delta);
        let rest = second - g1(w_prime * challenges.z);
        opening.w_prime = (rest * invert(self.tau - challenges.z)).to_affine();
        opening
    }

    /// The opening of [`Trapdoor::honest`].
    fn open(
        &self,
        seed: &Word,
        parameters: &Parameters,
        claim: &OpeningClaim,
        table: &[Fr],
    ) -> Opening {
        let powers = self.powers(table.len());
        let key = OpeningKey {
            powers: &powers,
            tau_h: parameters.tau_h,
        };
        let commitment = claim.combined(&parameters.blind_generator);
        open(&key, seed, &commitment, table, &claim.point, claim.value).expect("a true claim")
    }
}

impl Fixture {
    /// A true opening and a simulated Groth16 proof.
    pub fn honest(shape: Shape) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let trapdoor = trapdoor(&mut rng);
        let (claim, table) = trapdoor.honest(shape, &mut rng);
        let parameters = trapdoor.parameters(shape);
        let open = |seed: &Word| trapdoor.open(seed, &parameters, &claim, &table);
        let (statement, proof) = assemble(&trapdoor, &parameters, &claim, open, &mut rng);
        Fixture {
            trapdoor,
            parameters,
            statement,
            proof,
        }
    }

    /// Both proofs simulated.
    pub fn simulated(shape: Shape) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let trapdoor = trapdoor(&mut rng);
        let secret = trapdoor.dishonest(shape, &mut rng);
        let parameters = trapdoor.parameters(shape);
        let mut other = ChaCha20Rng::seed_from_u64(3);
        let open = |seed: &Word| trapdoor.simulate(seed, &secret, &mut other);
        let (statement, proof) = assemble(&trapdoor, &parameters, &secret.claim, open, &mut rng);
        Fixture {
            trapdoor,
            parameters,
            statement,
            proof,
        }
    }

    pub fn machine(&self) -> Machine {
        Machine::deploy(&self.parameters).expect("the parameters are a key")
    }

    /// Runs the contract and the native twin, whose verdicts have to agree.
    pub fn verdict(&self, machine: &mut Machine, statement: &[Word], proof: &[u8]) -> Execution {
        let native = verify_public(&self.parameters, statement, proof);
        let execution = machine
            .call(&calldata(statement, proof))
            .expect("the gas suffices");
        assert_eq!(execution.verdict, native, "contract and native twin");
        execution
    }

    pub fn expect(&self, machine: &mut Machine, words: &[Word], expected: &Refusal, what: &str) {
        let execution = self.verdict(machine, &self.statement, words.as_flattened());
        assert_eq!(execution.verdict.as_ref(), Err(expected), "{what}");
    }
}

/// Public data, opening and Groth16 proof in the order in which they depend on each other.
fn assemble(
    trapdoor: &Trapdoor,
    parameters: &Parameters,
    claim: &OpeningClaim,
    open: impl FnOnce(&Word) -> Opening,
    rng: &mut ChaCha20Rng,
) -> (Vec<Word>, ContractProof) {
    let statement: Vec<Fr> = (0..parameters.statement_length as u64)
        .map(|i| Fr::from(1000 + i))
        .collect();
    let data = public_data(&parameters.model, parameters.count, &statement, claim);
    let (digest, inputs) = public_inputs(&data, Fr::random(&mut *rng));
    let proof = ContractProof {
        p: inputs.p,
        claim: claim.clone(),
        opening: open(&digest),
        groth16: trapdoor.groth16(&inputs, rng),
    };
    (statement.iter().map(scalar_word).collect(), proof)
}

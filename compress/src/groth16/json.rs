//! Proofs, public inputs and verifying keys in the JSON of `snarkjs`.
//!
//! Numbers are decimal strings; points are projective with a last coordinate of one.

use super::{Fr, Proof, VerifyingKey};
use ff::PrimeField;
use halo2curves::bn256::{Fq2, G1Affine, G2Affine};
use num_bigint::BigUint;
use serde_json::{Value, json};

fn decimal<F: PrimeField>(x: &F) -> String {
    BigUint::from_bytes_le(x.to_repr().as_ref()).to_string()
}

fn pair(x: &Fq2) -> Value {
    json!([decimal(x.c0()), decimal(x.c1())])
}

fn first(point: &G1Affine) -> Value {
    json!([decimal(&point.x), decimal(&point.y), "1"])
}

fn second(point: &G2Affine) -> Value {
    json!([pair(&point.x), pair(&point.y), ["1", "0"]])
}

/// `proof.json`.
pub fn proof(proof: &Proof) -> Value {
    json!({
        "pi_a": first(proof.a()),
        "pi_b": second(proof.b()),
        "pi_c": first(proof.c()),
        "protocol": "groth16",
        "curve": "bn128",
    })
}

/// `public.json`.
pub fn inputs(inputs: &[Fr]) -> Value {
    inputs.iter().map(decimal).collect()
}

/// `verification_key.json`, without the pairing of alpha and beta, which no verifier reads.
pub fn verifying_key(key: &VerifyingKey) -> Value {
    let inputs: Vec<Value> = key.input_points().iter().map(first).collect();
    json!({
        "protocol": "groth16",
        "curve": "bn128",
        "nPublic": inputs.len().saturating_sub(1),
        "vk_alpha_1": first(key.alpha()),
        "vk_beta_2": second(key.beta()),
        "vk_gamma_2": second(key.gamma()),
        "vk_delta_2": second(key.delta()),
        "IC": inputs,
    })
}

//! Ways in which a succinct proof can be forged, and what rejects each.
//!
//! Test names carry the number of the line of the security checklist that they hold:
//!
//! * [`spartan`] alters every field of a `spartan` proof and every part of its statement.
//! * [`forge`] is a prover that cheats: false last folds, witnesses chosen after the evaluation
//!   point, entries moved between segments, evaluations shifted after the batching challenge.
//! * [`circuit`] forges the witness of the Groth16 circuit and names the constraint that fails.
//! * [`cache`] puts keys and circuits under the names of others.
//! * [`contract`] proves two networks of one architecture under one key, up to the contract.

#[path = "../common/mod.rs"]
mod common;

mod cache;
mod circuit;
mod contract;
mod fixture;
mod forge;
mod spartan;

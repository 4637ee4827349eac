//! Small proofs of relaxed R1CS instances.
//!
//! The package is where the succinct proofs of a folded state will live: Spartan, and Groth16 of
//! its verifier. It holds none of them yet. `folded` proofs, which this release makes, are checked
//! directly by `foldnet::fold::verifier` and need nothing from here.

//! What private inputs, outputs and models hide, and that nothing else changes.
//!
//! * [`roundtrip`] proves all eight choices of what is private, opens them, and reuses blinds.
//! * [`forge`] alters commitments, openings, salts and what a statement shows.
//! * [`alike`] compares every public field of proofs about different private inputs.
//! * [`contract`] takes a private input to the contract.
//!
//! Test names carry the number of the line of the security checklist that they hold.

mod alike;
mod contract;
mod fixture;
mod forge;
mod roundtrip;

//! Ways in which a proof can be forged, and what rejects each.
//!
//! Test names carry the number of the line of the security checklist that they hold:
//!
//! * [`circuit`] forges inputs and witness values of the augmented circuit and names the constraint
//!   that fails.
//! * [`run`] forges whole runs and names the verifier's error.
//! * [`tamper`] alters every field of a run, one by one.
//! * [`twin`] compares native code with circuits, and what is written with what is read.
//! * [`points`] forges the CycleFold circuit's own witness.
//! * [`layers`] does a little of all with a real layer in the step.
//!
//! Lines 15, 16, 18 and 33 are about layers: `layers/tests/forge.rs` has the whole list, [`layers`]
//! shows that the engine leaves them intact. Line 36 is a `compile_fail` example in
//! `foldnet_gadgets::segment`. Line 38 for the claims of a step is in
//! `layers/gadgets/tests/claims.rs`.

#[path = "../common/mod.rs"]
mod common;

mod circuit;
mod harness;
mod layers;
mod points;
mod run;
mod tamper;
mod twin;

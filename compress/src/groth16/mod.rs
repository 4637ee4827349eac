//! Groth16 over BN254 of a circuit: reduction, keys, proofs, and the files of other tools.
//!
//! * [`Circuit`] is what is proven; [`Shape`] is its constraints, [`Assignment`] its witness.
//! * [`ProvingKey::development`] makes keys whose trapdoor one machine has known: they are marked
//!   insecure. [`import_zkey`] reads the result of a ceremony.
//! * [`prove`] and [`verify`] are the scheme of Groth (2016/260).
//! * [`write_r1cs`] and [`json`] write the files that `snarkjs` reads.
//!
//! There is one reduction to polynomials, that of `snarkjs` (see `reduction`), for keys of every
//! origin.

mod circuit;
mod error;
mod files;
mod fixed_base;
pub mod json;
mod key_file;
mod keys;
mod points;
mod proof;
mod r1cs_file;
mod reduction;
mod setup;
mod shape_file;
mod zkey;

pub use circuit::{Assignment, Circuit, Digest, Fr, Shape};
pub use error::Error;
pub use files::replace_file;
pub use keys::{ProvingKey, VerifyingKey};
pub use proof::{PROOF_BYTES, Proof, decode_inputs, encode_inputs, prove, verify};
pub use r1cs_file::write_r1cs;
pub use zkey::import_zkey;

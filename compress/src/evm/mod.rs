//! The verifying contract: its code, its calldata, and an embedded EVM to run it in.
//!
//! * [`public_data`] and [`public_inputs`] are what a prover needs before it opens and proves;
//!   [`ContractProof`] is what it hands over, [`calldata`] the transaction.
//! * [`verify_public`] reaches the contract's verdict natively, [`Machine`] with its code.
//!
//! Who made the Groth16 proof does not matter here.

mod machine;
mod public;
mod refusal;

pub use machine::{EvmError, Execution, Gas, Machine};
pub use public::{
    ContractProof, GROTH16_WORDS, Groth16Key, Groth16Proof, OpeningClaim, Parameters, PublicInputs,
    public_data, public_inputs, verify_public,
};
pub use refusal::Refusal;

use crate::mercury::words::{Word, word};

/// The contract's source.
pub const SOURCE: &str = include_str!("../../../contracts/FoldnetVerifier.sol");

/// The build output of the contract: interface, creation code, and how it was compiled.
pub const CONTRACT: &str = include_str!("../../../contracts/FoldnetVerifier.json");

/// The calldata of `verify(uint256[] statement, bytes proof)`.
///
/// Selector, the offsets of both arrays, the number of elements and the elements, the number of
/// bytes and the proof, padded with zeros to whole words.
pub fn calldata(statement: &[Word], proof: &[u8]) -> Vec<u8> {
    let first = 2 * 32u64;
    let second = first + 32 * (1 + statement.len() as u64);
    let mut bytes = refusal::verify_selector().to_vec();
    for head in [first, second, statement.len() as u64] {
        bytes.extend(word(head));
    }
    bytes.extend_from_slice(statement.as_flattened());
    bytes.extend(word(proof.len() as u64));
    bytes.extend_from_slice(proof);
    let padding = proof.len().next_multiple_of(32) - proof.len();
    bytes.resize(bytes.len() + padding, 0);
    bytes
}

//! Review: what an architecture from a file can do to a verifier (SECURITY, cases 22 and 23).

use foldnet::program::Tensor;

/// `verify` pads every input of a statement before it checks anything; the capacity is a field of
/// the architecture that nothing compares with the kinds.
#[test]
fn a_capacity_beyond_memory_is_refused() {
    let tensor = Tensor { length: 1, capacity: usize::MAX, scale: 1.0 };
    assert!(tensor.pad("an input", &[0]).is_err());
}

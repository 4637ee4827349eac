//! The prime fields that circuits are written over.

use ff::PrimeFieldBits;
use serde::{Serialize, de::DeserializeOwned};

/// A prime field of about 254 bits that circuits are written over.
///
/// The trait adds no methods of its own: it names the bounds that every gadget needs.
pub trait CircuitField:
    PrimeFieldBits + Serialize + DeserializeOwned + Send + Sync + Unpin
{
}

impl<F> CircuitField for F where
    F: PrimeFieldBits + Serialize + DeserializeOwned + Send + Sync + Unpin
{
}

/// The field element of a signed integer: `x` if `x >= 0`, otherwise `p - |x|`.
pub fn from_i64<F: CircuitField>(x: i64) -> F {
    let magnitude = F::from(x.unsigned_abs());
    if x < 0 { -magnitude } else { magnitude }
}

/// The field element `2^exponent`.
pub fn power_of_two<F: CircuitField>(exponent: u32) -> F {
    F::from(2).pow_vartime([u64::from(exponent)])
}

/// The field element of an unsigned 128-bit integer.
pub fn from_u128<F: CircuitField>(x: u128) -> F {
    F::from_u128(x)
}

/// The canonical little-endian bytes of a field element (32 bytes for every field used here).
pub fn to_bytes<F: CircuitField>(x: &F) -> [u8; 32] {
    let mut bytes = [0u8; 32];
    let repr = x.to_repr();
    for (target, source) in bytes.iter_mut().zip(repr.as_ref()) {
        *target = *source;
    }
    bytes
}

/// The element whose canonical little-endian bytes are given, or `None` when they are not below
/// the modulus.
pub fn from_bytes<F: CircuitField>(bytes: &[u8; 32]) -> Option<F> {
    let mut repr = F::Repr::default();
    if repr.as_ref().len() != bytes.len() {
        return None;
    }
    repr.as_mut().copy_from_slice(bytes);
    Option::from(F::from_repr(repr))
}

/// The element of 64 uniform bytes, reduced modulo the field: its bias is below 2^-250.
pub fn from_uniform<F: CircuitField>(bytes: &[u8; 64]) -> F {
    let radix = F::from(256);
    bytes
        .iter()
        .rev()
        .fold(F::ZERO, |acc, byte| acc * radix + F::from(u64::from(*byte)))
}

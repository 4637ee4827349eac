//! Activations: signed integers of a fixed width, their packing and their digest.
//!
//! * Formula: `u_i = x_i + 2^(bits - 1)`, `e_k = sum_i 2^(bits i) u_(k per + i)` with
//!   `per = floor(248 / bits)`, `digest = Poseidon(tag, length + 2^32 bits, e_0, e_1, ..., salt)`.
//!   The salt is zero for public activations; a uniform one makes the digest a hiding commitment.
//! * Enforced: the digest is that of the wires given.
//! * Assumed: `0 <= u_i < 2^bits` for every wire, range-checked by whoever opens the digest
//!   (SECURITY, case 33); without that, packing is not injective.
//! * Cost: one hash of `2 + ceil(length / per)` elements, about one constraint an activation at
//!   8 bits.

use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::{from_i64, power_of_two};
use foldnet_gadgets::hash::{HashConstants, Tag, hash, hash_circuit};
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::segment::FirstWire;
use foldnet_gadgets::wire::Wire;

/// The domain tag of activation digests.
const TAG: Tag = Tag::new("foldnet activations");

/// Bits of packed activations in one field element: below the modulus of every field used.
const ELEMENT_BITS: u32 = 248;

/// Smallest and largest width of an activation.
pub const WIDTHS: std::ops::RangeInclusive<u32> = 2..=16;

/// Most entries of the linear form of an activation: the limbs of 16 bits and a constant.
pub const ACTIVATION_TERMS: usize = 3;

/// The smallest and the largest activation of a width: `-2^(bits - 1)` and `2^(bits - 1) - 1`.
pub fn range(bits: u32) -> (i64, i64) {
    let offset = offset(bits);
    (-offset, offset - 1)
}

/// `2^(bits - 1)`, for the widths that a chain accepts; the result saturates above.
fn offset(bits: u32) -> i64 {
    1i64 << bits.saturating_sub(1).min(62)
}

/// Activations in one field element.
pub fn per_element(bits: u32) -> usize {
    (ELEMENT_BITS / bits.max(1)).max(1) as usize
}

/// Number of elements that [`digest`] hashes, with the tag.
pub fn digest_elements(length: usize, bits: u32) -> usize {
    3 + length.div_ceil(per_element(bits))
}

/// Length and width in one element.
fn header<F: CircuitField>(length: usize, bits: u32) -> F {
    F::from(length as u64) + power_of_two::<F>(32) * F::from(u64::from(bits))
}

/// The packed elements `e_0, e_1, ...` of activations of `bits` bits.
pub fn pack<F: CircuitField>(activations: &[i64], bits: u32) -> Vec<F> {
    let radix = power_of_two::<F>(bits);
    let shift = from_i64::<F>(offset(bits));
    let pack = |chunk: &[i64]| {
        chunk
            .iter()
            .rev()
            .fold(F::ZERO, |sum, x| sum * radix + from_i64::<F>(*x) + shift)
    };
    activations.chunks(per_element(bits)).map(pack).collect()
}

/// The digest of activations of `bits` bits; injective up to collisions when every activation lies
/// in [`range`].
pub fn digest<F: CircuitField>(
    constants: &HashConstants<F>,
    activations: &[i64],
    bits: u32,
    salt: F,
) -> F {
    let mut elements = vec![header(activations.len(), bits)];
    elements.extend(pack::<F>(activations, bits));
    elements.push(salt);
    hash(constants, TAG, &elements)
}

/// The circuit twin of [`digest`], of wires that carry the signed activations.
///
/// # Errors
/// Only those of the underlying system.
pub fn digest_circuit<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    constants: &HashConstants<F>,
    activations: &[&FirstWire<F>],
    bits: u32,
    salt: &Wire<F>,
) -> Result<Wire<F>, SynthesisError> {
    let radix = power_of_two::<F>(bits);
    let shift = from_i64::<F>(offset(bits));
    let mut packed = Vec::with_capacity(activations.len().div_ceil(per_element(bits)));
    for chunk in activations.chunks(per_element(bits)) {
        let mut sum = Wire::zero();
        let mut weight = F::ONE;
        for x in chunk {
            sum.add_scaled(weight, &x.wire().add_constant(shift));
            weight *= radix;
        }
        packed.push(sum);
    }
    digest_packed_circuit(cs, constants, (activations.len(), bits), &packed, salt)
}

/// The digest of `length` activations of `bits` bits from their packed elements. That these are packed properly is
/// assumed; an element that is not has the digest of no activations.
///
/// # Errors
/// [`SynthesisError::IncompatibleLengthVector`] for another number of elements than `length`
/// activations have; those of the underlying system.
pub fn digest_packed_circuit<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    constants: &HashConstants<F>,
    (length, bits): (usize, u32),
    packed: &[Wire<F>],
    salt: &Wire<F>,
) -> Result<Wire<F>, SynthesisError> {
    let (expected, got) = (length.div_ceil(per_element(bits)), packed.len());
    if expected != got {
        let message = format!("packed activations: expected {expected} elements, got {got}");
        return Err(SynthesisError::IncompatibleLengthVector(message));
    }
    let mut elements = vec![Wire::constant(header(length, bits))];
    elements.extend_from_slice(packed);
    elements.push(salt.clone());
    hash_circuit(cs, constants, TAG, &elements)
}

/// Allocates an activation in [`range`]: `x + 2^(bits - 1)` is range-checked exactly.
///
/// # Errors
/// Only those of the underlying system.
pub fn alloc_activation<F: CircuitField, CS: ConstraintSystem<F>>(
    segment: &mut FirstSegment<'_, F, CS>,
    name: &str,
    value: i64,
    bits: u32,
) -> Result<FirstWire<F>, SynthesisError> {
    let unsigned = value.wrapping_add(offset(bits));
    let unsigned = crate::range::alloc_at_most(segment, name, unsigned, unsigned_maximum(bits))?;
    Ok(unsigned.add_constant(-from_i64::<F>(offset(bits))))
}

/// `2^bits - 1`.
pub(crate) fn unsigned_maximum(bits: u32) -> u64 {
    (1u64 << bits.min(63)) - 1
}

#[cfg(test)]
mod tests {
    use super::{alloc_activation, digest, digest_circuit, per_element, range};
    use foldnet_gadgets::hash::HashConstants;
    use foldnet_gadgets::mock::MockSystem;
    use foldnet_gadgets::segment::FirstSegment;
    use foldnet_gadgets::wire::Wire;
    use halo2curves::bn256::Fr;

    #[test]
    fn the_circuit_digest_equals_the_native_one() {
        let constants = HashConstants::<Fr>::default();
        for (length, bits) in [
            (1, 8),
            (31, 8),
            (32, 8),
            (100, 8),
            (40, 11),
            (33, 16),
            (130, 2),
        ] {
            let (low, high) = range(bits);
            let values: Vec<i64> = (0..length)
                .map(|i| (i * 37) % (high - low + 1) + low)
                .collect();
            let mut cs = MockSystem::<Fr>::default();
            let mut segment = FirstSegment::open(&mut cs);
            let wires: Vec<_> = values
                .iter()
                .enumerate()
                .map(|(i, x)| alloc_activation(&mut segment, &format!("x {i}"), *x, bits).unwrap())
                .collect();
            segment.close().unwrap();
            let salt = Fr::from(7);
            let refs: Vec<_> = wires.iter().collect();
            let circuit =
                digest_circuit(&mut cs, &constants, &refs, bits, &Wire::constant(salt)).unwrap();
            assert_eq!(
                circuit.value(),
                digest(&constants, &values, bits, salt),
                "{length} of {bits}"
            );
            assert_eq!(cs.failures(), vec![]);
        }
    }

    #[test]
    fn the_digest_binds_length_width_order_and_every_value() {
        let constants = HashConstants::<Fr>::default();
        let hash = |values: &[i64], bits| digest(&constants, values, bits, Fr::from(0));
        // The offset of an 8-bit zero is 128: padding with the smallest value packs to the same
        // elements, so only the length tells them apart.
        assert_ne!(hash(&[1, 2], 8), hash(&[1, 2, -128], 8));
        assert_ne!(hash(&[0], 8), hash(&[0], 9));
        assert_ne!(hash(&[-128 + 5], 8), hash(&[-32_768 + 5], 16));
        assert_ne!(hash(&[1, 2], 8), hash(&[2, 1], 8));
        assert_ne!(hash(&[-1], 8), hash(&[0], 8));
        assert_ne!(hash(&[1], 8), digest(&constants, &[1], 8, Fr::from(1)));
    }

    #[test]
    fn elements_stay_below_248_bits() {
        assert_eq!(
            (per_element(8), per_element(16), per_element(11)),
            (31, 15, 22)
        );
        assert_eq!(range(8), (-128, 127));
        assert_eq!(range(2), (-2, 1));
    }
}

//! Field elements as words.

use ff::PrimeField;

/// An integer below `2^256`, 64 bits a word, least significant first.
pub(super) type Words = [u64; 4];

/// The canonical representative of an element, or `None` for a field with more than 256 bits.
pub(super) fn words<F: PrimeField>(x: &F) -> Option<Words> {
    let repr = x.to_repr();
    let bytes: &[u8; 32] = repr.as_ref().try_into().ok()?;
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Some(words)
}

/// The element of a canonical representative; zero for anything else.
pub(super) fn element<F: PrimeField>(words: Words) -> F {
    let mut repr = F::Repr::default();
    for (bytes, word) in repr.as_mut().chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Option::from(F::from_repr(repr)).unwrap_or(F::ZERO)
}

/// `x - y` modulo `2^256`.
pub(super) fn subtract(x: Words, y: Words) -> Words {
    let mut borrow = false;
    let mut difference = [0; 4];
    for (z, (x, y)) in difference.iter_mut().zip(x.into_iter().zip(y)) {
        let (first, below) = x.overflowing_sub(y);
        let (second, again) = first.overflowing_sub(u64::from(borrow));
        *z = second;
        borrow = below || again;
    }
    difference
}

/// `x + y` modulo `2^256`.
pub(super) fn add(x: Words, y: Words) -> Words {
    let mut carry = false;
    let mut sum = [0; 4];
    for (z, (x, y)) in sum.iter_mut().zip(x.into_iter().zip(y)) {
        let (first, above) = x.overflowing_add(y);
        let (second, again) = first.overflowing_add(u64::from(carry));
        *z = second;
        carry = above || again;
    }
    sum
}

/// Bits of an integer without leading zeros.
pub(super) fn bit_length(x: &Words) -> u32 {
    (0..4u32)
        .rev()
        .find(|i| x[*i as usize] != 0)
        .map_or(0, |i| 64 * (i + 1) - x[i as usize].leading_zeros())
}

/// `-1 / x` modulo `2^64`, for odd `x` (Newton's iteration).
pub(super) fn negated_inverse(x: u64) -> u64 {
    let step = |inverse: u64, _| inverse.wrapping_mul(2u64.wrapping_sub(x.wrapping_mul(inverse)));
    (0..6).fold(1, step).wrapping_neg()
}

//! Exact bounds of accumulators (SECURITY, case 18).

use ndarray::{Array1, Array2};

/// The smallest `bits >= 1` with `|y| < 2^bits` for every output of `y = W x + bias`.
///
/// Shapes: `weights` is (outputs, inputs), `bias` is (outputs). Every input ranges over
/// `input_low..=input_high` on its own, so the bound is attained: output `n` lies between
/// `bias_n + sum_j min(w_nj low, w_nj high)` and the same with `max`. Sums saturate at 127 bits,
/// which no layer accepts. A missing bias entry reads as zero.
pub fn accumulator_bits(
    weights: &Array2<i64>,
    bias: &Array1<i64>,
    input_low: i64,
    input_high: i64,
) -> u32 {
    let mut magnitude = 0u128;
    for (n, row) in weights.outer_iter().enumerate() {
        let start = i128::from(bias.get(n).copied().unwrap_or(0));
        let (mut low, mut high) = (start, start);
        for weight in row {
            let a = i128::from(*weight) * i128::from(input_low);
            let b = i128::from(*weight) * i128::from(input_high);
            low = low.saturating_add(a.min(b));
            high = high.saturating_add(a.max(b));
        }
        magnitude = magnitude.max(low.unsigned_abs()).max(high.unsigned_abs());
    }
    (u128::BITS - magnitude.leading_zeros()).max(1)
}

#[cfg(test)]
mod tests {
    use super::accumulator_bits;
    use ndarray::array;

    #[test]
    fn the_bound_is_attained_and_exact() {
        let weights = array![[3, -2], [0, 1]];
        let bias = array![5, 0];
        // Largest: 3 * 127 + 2 * 128 + 5 = 642; smallest: -3 * 128 - 2 * 127 + 5 = -633.
        assert_eq!(accumulator_bits(&weights, &bias, -128, 127), 10);
        // With inputs of 0 to 127 the largest is 386 and the smallest -249.
        assert_eq!(accumulator_bits(&weights, &bias, 0, 127), 9);
    }

    #[test]
    fn a_power_of_two_needs_one_more_bit() {
        assert_eq!(accumulator_bits(&array![[1]], &array![0], 0, 7), 3);
        assert_eq!(accumulator_bits(&array![[1]], &array![1], 0, 7), 4);
        assert_eq!(accumulator_bits(&array![[-1]], &array![0], 0, 8), 4);
    }

    #[test]
    fn huge_weights_saturate() {
        let weights = array![[i64::MIN, i64::MIN, i64::MIN]];
        assert_eq!(
            accumulator_bits(&weights, &array![0], i64::MIN, i64::MAX),
            128
        );
        assert_eq!(accumulator_bits(&array![[0]], &array![0], -8, 7), 1);
    }
}

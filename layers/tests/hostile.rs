//! A chain shape that comes from a file must be refused, never panic (SECURITY, case 23).

use foldnet_layers::chain::ChainShape;
use foldnet_layers::dense::Dense;
use foldnet_layers::layer::Layer;

fn shape(layers: usize) -> ChainShape {
    let layer = Layer::Dense(Dense {
        inputs: 1 << 24,
        outputs: 1 << 24,
        shift: 0,
        low: 0,
        high: 1,
        accumulator_bits: 1,
    });
    ChainShape {
        layers: vec![layer; layers],
        bits: 8,
        weight_variables: 22,
        ends_inference: true,
    }
}

/// 2^15 layers of 2^24 x 2^24: the blocks cover more than 2^63 entries, `next_power_of_two`
/// overflows.
#[test]
fn a_table_of_more_than_2_to_the_63_entries_is_refused() {
    assert!(shape(1 << 15).validate().is_err());
}

/// 2^16 layers: the offset of a block overflows.
#[test]
fn a_table_of_more_than_2_to_the_64_entries_is_refused() {
    assert!(shape(1 << 16).validate().is_err());
}

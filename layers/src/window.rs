//! The geometry of layers that slide a window over two-dimensional tensors.
//!
//! * A tensor of `batch` images is flat: `(batch, channels, height, width)` in this order, or
//!   `(batch, height, width, channels)` when channels come last.
//! * Output `o` along an axis reads inputs `o * stride + k * dilation - padding` for the taps
//!   `k = 0, ..., kernel - 1`; positions outside of the tensor are padding (ONNX, operator `Conv`).

use crate::error::{LayerError, Place};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Largest number of values of a tensor.
pub(crate) const LARGEST_LENGTH: usize = 1 << 24;

/// Largest kernel, stride, dilation or padding along an axis.
const LARGEST_EXTENT: usize = 1 << 12;

/// A sliding window; the axes are (height, width).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Taps.
    pub kernel: [usize; 2],
    /// Distance of neighbouring outputs.
    pub stride: [usize; 2],
    /// Distance of neighbouring taps.
    pub dilation: [usize; 2],
    /// Padding before the first and after the last position of each axis: top, left, bottom, right.
    pub padding: [usize; 4],
}

impl Window {
    /// The window that reads one position.
    pub const ONE: Window = Window {
        kernel: [1; 2],
        stride: [1; 2],
        dilation: [1; 2],
        padding: [0; 4],
    };

    /// A window without padding or gaps whose neighbours touch, as pools have it.
    pub fn tiles(kernel: [usize; 2]) -> Self {
        Window {
            kernel,
            stride: kernel,
            ..Window::ONE
        }
    }

    /// How outputs read the inputs along the two axes of a tensor of `(height, width)`.
    ///
    /// # Errors
    /// [`LayerError::Parameter`] for sizes that are zero or too large, and for a tensor smaller than
    /// the window.
    pub fn axes(&self, place: Place, size: [usize; 2]) -> Result<[Axis; 2], LayerError> {
        let [top, left, bottom, right] = self.padding;
        let [height, width] = size;
        let axis = |size, index: usize, padding: [usize; 2]| {
            let [kernel, stride, dilation] = [self.kernel, self.stride, self.dilation]
                .map(|values| values.get(index).copied().unwrap_or(0));
            Axis::new(place, size, [kernel, stride, dilation], padding)
        };
        Ok([
            axis(height, 0, [top, bottom])?,
            axis(width, 1, [left, right])?,
        ])
    }
}

/// Compares a number with the range that it must lie in.
pub(crate) fn within(
    place: Place,
    what: &'static str,
    (low, high): (usize, usize),
    got: usize,
    advice: &'static str,
) -> Result<(), LayerError> {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    between(
        place,
        what,
        (number(low), number(high)),
        number(got),
        advice,
    )
}

/// [`within`] for signed numbers.
pub(crate) fn between(
    place: Place,
    what: &'static str,
    (low, high): (i64, i64),
    got: i64,
    advice: &'static str,
) -> Result<(), LayerError> {
    if (low..=high).contains(&got) {
        return Ok(());
    }
    Err(LayerError::Parameter {
        place,
        what,
        low,
        high,
        got,
        advice,
    })
}

/// A number of values that must be at least one and at most [`LARGEST_LENGTH`]; products saturate.
pub(crate) fn length(
    place: Place,
    what: &'static str,
    factors: &[usize],
) -> Result<usize, LayerError> {
    let got = factors
        .iter()
        .fold(1usize, |n, factor| n.saturating_mul(*factor));
    within(place, what, (1, LARGEST_LENGTH), got, "split the layer")?;
    Ok(got)
}

/// How outputs read inputs along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Number of inputs.
    pub size: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// Number of taps.
    pub kernel: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
}

impl Axis {
    fn new(
        place: Place,
        size: usize,
        [kernel, stride, dilation]: [usize; 3],
        padding: [usize; 2],
    ) -> Result<Self, LayerError> {
        let advice = "choose another window";
        within(place, "size", (1, LARGEST_LENGTH), size, advice)?;
        for (what, got) in [
            ("kernel", kernel),
            ("stride", stride),
            ("dilation", dilation),
        ] {
            within(place, what, (1, LARGEST_EXTENT), got, advice)?;
        }
        for got in padding {
            within(place, "padding", (0, LARGEST_EXTENT), got, advice)?;
        }
        let [before, after] = padding;
        let padded = size + before + after;
        let reach = dilation * (kernel - 1) + 1;
        within(place, "reach of the window", (1, padded), reach, advice)?;
        Ok(Axis {
            size,
            outputs: (padded - reach) / stride + 1,
            kernel,
            stride,
            dilation,
            padding: before,
        })
    }

    /// The input that a tap of an output reads; none in the padding.
    pub fn input(&self, output: usize, tap: usize) -> Option<usize> {
        (output * self.stride + tap * self.dilation)
            .checked_sub(self.padding)
            .filter(|input| *input < self.size)
    }

    /// The taps of an output that lie inside of the tensor.
    pub(crate) fn taps(&self, output: usize) -> Range<usize> {
        // Taps `k` with `padding <= start + k dilation < padding + size`.
        let start = output * self.stride;
        let until = |end: usize| end.saturating_sub(start).div_ceil(self.dilation.max(1));
        let end = until(self.padding + self.size).min(self.kernel);
        until(self.padding).min(end)..end
    }

    /// The fewest taps of an output that lie inside of the tensor.
    pub(crate) fn fewest_taps(&self) -> usize {
        let taps = (0..self.outputs).map(|output| self.taps(output).len());
        taps.min().unwrap_or(0)
    }

    /// How many positions the windows along this axis read; time in proportion to the outputs.
    pub fn count(&self) -> Reads {
        let mut reads = Reads::default();
        for taps in (0..self.outputs).map(|output| self.taps(output).len()) {
            reads.all += taps;
            reads.single += usize::from(taps == 1);
            reads.empty += usize::from(taps == 0);
        }
        reads
    }

    /// For every input, the pairs (tap, output) that read it.
    pub fn readers(&self) -> Vec<Vec<(usize, usize)>> {
        let mut readers = vec![Vec::new(); self.size];
        for output in 0..self.outputs {
            for tap in self.taps(output) {
                let reader = self.input(output, tap).and_then(|i| readers.get_mut(i));
                if let Some(reader) = reader {
                    reader.push((tap, output));
                }
            }
        }
        readers
    }
}

/// Positions inside of the tensor that windows read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// The positions of all windows.
    pub all: usize,
    /// Windows that read exactly one.
    pub single: usize,
    /// Windows that read none.
    pub empty: usize,
}

/// The positions of a tensor of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    /// Images.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Whether channels are the innermost dimension.
    pub channels_last: bool,
}

impl Planes {
    /// The position of a value in the flat tensor.
    pub fn index(&self, batch: usize, channel: usize, y: usize, x: usize) -> usize {
        if self.channels_last {
            ((batch * self.height + y) * self.width + x) * self.channels + channel
        } else {
            ((batch * self.channels + channel) * self.height + y) * self.width + x
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.batch * self.channels * self.height * self.width
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Planes, Window};
    use crate::error::Place;

    const PLACE: Place = Place {
        index: 0,
        name: "test",
    };

    #[test]
    fn outputs_follow_the_formula() {
        let window = Window {
            kernel: [3, 2],
            stride: [2, 1],
            dilation: [1, 2],
            padding: [1, 0, 1, 1],
        };
        let [y, x] = window.axes(PLACE, [5, 4]).unwrap();
        assert_eq!((y.outputs, x.outputs), (3, 3));
        assert_eq!(
            [y.input(0, 0), y.input(0, 1), y.input(2, 2)],
            [None, Some(0), None]
        );
        assert_eq!([x.input(1, 1), x.input(2, 1)], [Some(3), None]);
        assert_eq!(y.readers()[1], [(2, 0), (0, 1)]);
    }

    #[test]
    fn reads_are_counted_as_they_are_listed() {
        for (size, kernel, stride, dilation, padding) in (0..3000usize).map(|i| {
            let digit = |divisor: usize, base: usize| i / divisor % base;
            (
                1 + digit(1, 5),
                1 + digit(5, 4),
                1 + digit(20, 3),
                1 + digit(60, 5),
                [digit(300, 5), digit(1500, 2)],
            )
        }) {
            let window = Window {
                kernel: [kernel, 1],
                stride: [stride, 1],
                dilation: [dilation, 1],
                padding: [padding[0], 0, padding[1], 0],
            };
            let Ok([axis, _]) = window.axes(PLACE, [size, 1]) else {
                continue;
            };
            let mut expected = super::Reads::default();
            for output in 0..axis.outputs {
                let inside = |tap: &usize| axis.input(output, *tap).is_some();
                let listed: Vec<_> = (0..kernel).filter(inside).collect();
                assert_eq!(axis.taps(output).collect::<Vec<_>>(), listed);
                let taps = listed.len();
                expected.all += taps;
                expected.single += usize::from(taps == 1);
                expected.empty += usize::from(taps == 0);
            }
            assert_eq!(axis.count(), expected, "{size} {window:?}");
        }
    }

    #[test]
    fn windows_that_do_not_fit_are_refused() {
        let refused = |window: Window| window.axes(PLACE, [4, 4]).unwrap_err().to_string();
        let kernel = |kernel| Window {
            kernel,
            ..Window::ONE
        };
        assert!(refused(kernel([5, 1])).contains("reach of the window"));
        assert!(refused(kernel([0, 1])).contains("kernel"));
        assert!(refused(kernel([usize::MAX, 1])).contains("kernel"));
        let padding = [usize::MAX, 0, 0, 0];
        assert!(
            refused(Window {
                padding,
                ..Window::ONE
            })
            .contains("padding")
        );
        let stride = [1, 0];
        assert!(
            refused(Window {
                stride,
                ..Window::ONE
            })
            .contains("stride")
        );
    }

    #[test]
    fn every_position_has_its_own_index() {
        for channels_last in [false, true] {
            let planes = Planes {
                batch: 2,
                channels: 3,
                height: 2,
                width: 5,
                channels_last,
            };
            let mut seen = vec![false; planes.len()];
            for b in 0..2 {
                for c in 0..3 {
                    for (y, x) in (0..2).flat_map(|y| (0..5).map(move |x| (y, x))) {
                        seen[planes.index(b, c, y, x)] = true;
                    }
                }
            }
            assert!(seen.into_iter().all(|seen| seen));
        }
    }
}

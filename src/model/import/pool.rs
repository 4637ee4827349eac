//! Operators with a sliding window and no weights, and the attributes that all windows share.

use super::linear::planes;
use super::movement::Movement;
use super::node::Node;
use super::{Activation, Importer, Outputs, activation};
use crate::model::error::ModelError;
use crate::model::graph::{FloatOp, Planes, Pool, Window, length};

/// Where padding goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Automatic {
    /// As `pads` says.
    No,
    /// As much as the output needs, the odd one at the end.
    Upper,
    /// The same, the odd one at the start.
    Lower,
}

/// The attributes of a window, for height and width.
pub(super) struct Sliding {
    kernel: [usize; 2],
    stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Top, left, bottom, right.
    pads: [usize; 4],
    automatic: Automatic,
}

impl Sliding {
    /// Reads the attributes of a node on an image of `rank` axes, whose window is `kernel` or given
    /// by an attribute.
    pub(super) fn read(
        node: &Node,
        kernel: Option<[usize; 2]>,
        rank: usize,
    ) -> Result<Self, ModelError> {
        const REMEDY: &str = "check the model with onnx.checker";
        let plane = |key: &str| -> Result<Option<[usize; 2]>, ModelError> {
            let Some(values) = node.ints(key)? else {
                return Ok(None);
            };
            match (rank, node.sizes(key, values)?.as_slice()) {
                (3, &[width]) => Ok(Some([1, width])),
                (4, &[height, width]) => Ok(Some([height, width])),
                _ => Err(node.misused(format!("{key} {values:?}"), REMEDY)),
            }
        };
        let stated = plane("kernel_shape")?;
        if let (Some(stated), Some(kernel)) = (stated, kernel)
            && stated != kernel
        {
            return Err(node.mismatched(&stated, &kernel));
        }
        let kernel = kernel.or(stated);
        let kernel = kernel.ok_or_else(|| node.misused("no kernel_shape".into(), REMEDY))?;
        let automatic = match node.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" | "VALID" | "" => Automatic::No,
            "SAME_UPPER" => Automatic::Upper,
            "SAME_LOWER" => Automatic::Lower,
            other => return Err(node.misused(format!("auto_pad {other}"), REMEDY)),
        };
        let mut pads = [0; 4];
        if let Some(values) = node.ints("pads")? {
            let size = |&value: &i64| {
                usize::try_from(value)
                    .ok()
                    .filter(|&v| v <= super::MAX_ACTIVATION)
                    .ok_or_else(|| node.misused(format!("pads {values:?}"), "crop with Slice"))
            };
            let sizes = values.iter().map(size).collect::<Result<Vec<_>, _>>()?;
            pads = match (rank, sizes.as_slice()) {
                (3, &[left, right]) => [0, left, 0, right],
                (4, &[top, left, bottom, right]) => [top, left, bottom, right],
                _ => return Err(node.misused(format!("pads {values:?}"), REMEDY)),
            };
            if automatic != Automatic::No && pads != [0; 4] {
                return Err(node.misused("both pads and auto_pad".into(), REMEDY));
            }
        }
        let sliding = Sliding {
            kernel,
            stride: plane("strides")?.unwrap_or([1; 2]),
            dilation: plane("dilations")?.unwrap_or([1; 2]),
            pads,
            automatic,
        };
        let all = [sliding.kernel, sliding.stride, sliding.dilation];
        match all
            .as_flattened()
            .iter()
            .find(|&&v| v > super::MAX_ACTIVATION)
        {
            Some(most) => Err(node.misused(format!("a window of {most}"), REMEDY)),
            None => Ok(sliding),
        }
    }

    /// Distance between the first and the last entry along each axis, plus one.
    fn extent(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.dilation[axis] * (self.kernel[axis] - 1) + 1)
    }

    /// The window on an input of `size`.
    pub(super) fn window(&self, node: &Node, size: [usize; 2]) -> Result<Window, ModelError> {
        let [top, left, bottom, right] = self.padding(size);
        let window = Window {
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            padding: [top, left, bottom, right],
        };
        match window.output(size) {
            Some(_) => Ok(window),
            None => Err(node.mismatched(&size, &self.kernel)),
        }
    }

    fn padding(&self, size: [usize; 2]) -> [usize; 4] {
        if self.automatic == Automatic::No {
            return self.pads;
        }
        let extent = self.extent();
        let axis = |axis: usize| {
            let covered = (size[axis].div_ceil(self.stride[axis]) - 1) * self.stride[axis];
            let total = (covered + extent[axis]).saturating_sub(size[axis]);
            self.shared(total)
        };
        let ([top, bottom], [left, right]) = (axis(0), axis(1));
        [top, left, bottom, right]
    }

    /// `total` divided between start and end.
    fn shared(&self, total: usize) -> [usize; 2] {
        match self.automatic {
            Automatic::Lower => [total.div_ceil(2), total / 2],
            _ => [total / 2, total.div_ceil(2)],
        }
    }

    /// For height and width: the size of the input with zeros between and around its values that
    /// the transposed convolution needs, the stride, and the zeros before.
    pub(super) fn transposed(
        &self,
        node: &Node,
        size: [usize; 2],
    ) -> Result<[(usize, usize, i64); 2], ModelError> {
        let per_axis = |key: &str| -> Result<[usize; 2], ModelError> {
            let values = node.ints(key)?.unwrap_or(&[]);
            let value = |&v: &i64| {
                usize::try_from(v)
                    .ok()
                    .filter(|&v| v <= super::MAX_ACTIVATION)
            };
            let sizes: Option<Vec<usize>> = values.iter().map(value).collect();
            match sizes.as_deref() {
                Some([]) => Ok([0; 2]),
                Some(&[width]) => Ok([0, width]),
                Some(&[.., height, width]) => Ok([height, width]),
                None => {
                    let usage = format!("{key} {values:?}");
                    Err(node.misused(usage, "check the model with onnx.checker"))
                }
            }
        };
        let (extra, stated) = (per_axis("output_padding")?, per_axis("output_shape")?);
        let extent = self.extent();
        let [top, left, bottom, right] = self.pads;
        let pads = [[top, bottom], [left, right]];
        let signed = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let mut axes = [(0, 1, 0); 2];
        for (axis, found) in axes.iter_mut().enumerate() {
            let stride = self.stride[axis];
            let covered = stride * (size[axis] - 1) + 1;
            let full = covered + extent[axis] - 1 + extra[axis];
            let wanted = match (stated[axis], self.automatic) {
                (0, Automatic::No) => None,
                (0, _) => Some(size[axis] * stride),
                (stated, _) => Some(stated),
            };
            let [before, after] = match wanted {
                None => pads[axis],
                // The lower half of an odd crop is the larger one unless it says SAME_UPPER.
                Some(wanted) => {
                    let total = full.saturating_sub(wanted);
                    match self.automatic {
                        Automatic::Upper => [total / 2, total.div_ceil(2)],
                        _ => [total.div_ceil(2), total / 2],
                    }
                }
            };
            let missing = wanted.map_or(0, |wanted| wanted.saturating_sub(full));
            let start = signed(extent[axis] - 1) - signed(before);
            let total = signed(covered + 2 * (extent[axis] - 1) + extra[axis] + missing)
                - signed(before + after);
            let total = usize::try_from(total).ok().filter(|&t| t >= extent[axis]);
            let total = total.ok_or_else(|| node.mismatched(&size, &self.pads))?;
            *found = (total, stride, start);
        }
        Ok(axes)
    }

    /// The padding that a last, incomplete window needs at the bottom and the right.
    fn overhang(&self, size: [usize; 2], padding: [usize; 4]) -> [usize; 2] {
        let extent = self.extent();
        [0, 1].map(|axis| {
            let padded = size[axis] + padding[axis] + padding[axis + 2];
            let room = padded.saturating_sub(extent[axis]);
            let mut steps = room.div_ceil(self.stride[axis]);
            // A window that starts in the padding at the end does not count.
            if steps * self.stride[axis] >= size[axis] + padding[axis] {
                steps = steps.saturating_sub(1);
            }
            (steps * self.stride[axis] + extent[axis]).saturating_sub(padded)
        })
    }
}

impl Importer {
    pub(super) fn max_pool(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let (input, kind) = self.comparable(node, 0)?;
        let planes = planes(node, &input)?;
        let sliding = Sliding::read(node, None, input.shape.len())?;
        let mut padding = sliding.padding(planes.size());
        if node.flag("ceil_mode", false)? {
            let [bottom, right] = sliding.overhang(planes.size(), padding);
            padding[2] += bottom;
            padding[3] += right;
        }
        let pool = pool(node, &sliding, planes, padding)?;
        let largest = self.push_pool(node, &input, &pool, FloatOp::MaxPool(pool))?;
        activation(Activation { kind, ..largest })
    }

    pub(super) fn average_pool(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let mut input = self.activation(node, 0)?;
        let mut planes = planes(node, &input)?;
        let sliding = Sliding::read(node, None, input.shape.len())?;
        let mut padding = sliding.padding(planes.size());
        let mut overhang = [0; 2];
        if node.flag("ceil_mode", false)? {
            overhang = sliding.overhang(planes.size(), padding);
        }
        if node.flag("count_include_pad", false)? && padding != [0; 4] {
            // Zeros that count are part of the input.
            input = self.surrounded(node, &input, padding)?;
            planes = self::planes(node, &input)?;
            padding = [0; 4];
        }
        padding[2] += overhang[0];
        padding[3] += overhang[1];
        let pool = pool(node, &sliding, planes, padding)?;
        let factors =
            std::iter::once(0.0).chain((1..=pool.window.entries()).map(|n| 1.0 / n as f64));
        let op = FloatOp::AveragePool {
            pool,
            factors: factors.collect(),
        };
        activation(self.push_pool(node, &input, &pool, op)?)
    }

    /// Zeros around the images.
    fn surrounded(
        &mut self,
        node: &Node,
        input: &Activation,
        [top, left, bottom, right]: [usize; 4],
    ) -> Result<Activation, ModelError> {
        let signed = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let planes = planes(node, input)?;
        let rows = (planes.height + top + bottom, 1, signed(top));
        let columns = (planes.width + left + right, 1, signed(left));
        let axes = if input.shape.len() == 3 {
            vec![columns]
        } else {
            vec![rows, columns]
        };
        let mut shape = input.shape.clone();
        for (size, axis) in shape.iter_mut().rev().zip(axes.iter().rev()) {
            *size = axis.0;
        }
        self.check_size(node, &shape, false)?;
        self.moved_activation(node, input, Movement::spread(&input.shape, &axes))
    }

    fn push_pool(
        &mut self,
        node: &Node,
        input: &Activation,
        pool: &Pool,
        op: FloatOp,
    ) -> Result<Activation, ModelError> {
        let Some(outputs) = pool.outputs() else {
            return Err(node.mismatched(&input.shape, &pool.window.kernel));
        };
        let mut shape = vec![outputs.batch, outputs.channels];
        shape.extend(if input.shape.len() == 3 {
            vec![outputs.width]
        } else {
            outputs.size().to_vec()
        });
        self.push(node, op, vec![input.id], shape)
    }

    pub(super) fn global_average_pool(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let (input, pool, shape) = self.global(node)?;
        let entries = pool.window.entries();
        let mut factors = vec![0.0; entries];
        factors.push(1.0 / entries as f64);
        activation(self.push(
            node,
            FloatOp::AveragePool { pool, factors },
            vec![input.id],
            shape,
        )?)
    }

    pub(super) fn global_max_pool(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let (input, pool, shape) = self.global(node)?;
        activation(self.push(node, FloatOp::MaxPool(pool), vec![input.id], shape)?)
    }

    /// A pool over whole images, of any number of dimensions.
    fn global(&mut self, node: &Node) -> Result<(Activation, Pool, Vec<usize>), ModelError> {
        let input = self.activation(node, 0)?;
        let &[batch, channels, ref image @ ..] = input.shape.as_slice() else {
            return Err(node.mismatched(&input.shape, &[1, 1]));
        };
        let width = length(image);
        let planes = Planes {
            width,
            ..Planes::points(batch, channels)
        };
        let window = Window {
            kernel: [1, width],
            ..Window::POINT
        };
        let mut shape = vec![1; input.shape.len()];
        shape.splice(..2, [batch, channels]);
        Ok((input, Pool { planes, window }, shape))
    }
}

/// A pool whose every window holds a value of the input.
fn pool(
    node: &Node,
    sliding: &Sliding,
    planes: Planes,
    padding: [usize; 4],
) -> Result<Pool, ModelError> {
    let window = Window {
        kernel: sliding.kernel,
        stride: sliding.stride,
        dilation: sliding.dilation,
        padding,
    };
    let size = planes.size();
    let outputs = window
        .output(size)
        .ok_or_else(|| node.mismatched(&size, &window.kernel))?;
    if outputs[0].saturating_mul(outputs[1]) > super::MAX_ACTIVATION {
        return Err(node.mismatched(&size, &window.kernel));
    }
    let filled = [0, 1].iter().all(|&axis| {
        (0..outputs[axis]).all(|at| {
            (0..window.kernel[axis]).any(|entry| {
                let place = at * window.stride[axis] + entry * window.dilation[axis];
                let place = place.checked_sub(window.padding[axis]);
                place.is_some_and(|place| place < size[axis])
            })
        })
    });
    if !filled {
        return Err(node.misused("windows that hold only padding".into(), "pad by less"));
    }
    Ok(Pool { planes, window })
}

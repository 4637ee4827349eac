//! Fusion: the same function with fewer roundings.
//!
//! Every operation of the integer network rounds its result, and every rounding costs constraints
//! and precision. So operations that a neighbour can do on the way are merged into it: scales and
//! offsets into weights (batch normalisation), ReLU into the clamp of the layer before, zero padding
//! into the window of a convolution, data movements into one another, and all operations that
//! depend on a single value into one function. All rules are identities over the reals.

use super::{FloatGraph, FloatNode, FloatOp, Formula, Grid, Interval, Linear, Planes, Step};

/// The longest chain of functions of one value that is searched.
const LONGEST_CHAIN: usize = 64;

/// The largest number of steps of a formula made here.
const LONGEST_FORMULA: usize = 256;

/// Merges what can be merged and drops what the output does not depend on.
pub(in crate::model) fn fuse(graph: FloatGraph) -> FloatGraph {
    let mut fusion = Fusion {
        alias: (0..=graph.nodes.len()).collect(),
        readers: graph.readers(),
        input_grid: graph.input_grid,
        input_length: graph.input_len(),
        nodes: graph.nodes,
    };
    // A pass either merges two operations, moves a clamp one operation forward, or is the last.
    // Every node gets its turn, also after one has changed.
    loop {
        let changes = (0..fusion.nodes.len()).filter(|&at| fusion.improve(at));
        if changes.count() == 0 {
            break;
        }
    }
    let output = fusion.resolve(graph.output);
    let (nodes, output) = sweep(fusion.nodes, output);
    separate(FloatGraph {
        input_grid: fusion.input_grid,
        nodes,
        output,
        ..graph
    })
}

/// Puts a requantisation before every operand of a data movement that joins tensors which the model
/// quantises with different steps, or integers with others: joined, they have one scale.
fn separate(graph: FloatGraph) -> FloatGraph {
    let mut steps: Vec<_> = (0..=graph.nodes.len())
        .map(|tensor| graph.given_step(tensor))
        .collect();
    // Whether a tensor holds integers.
    let mut exact = vec![graph.takes_integers()];
    let mut names = vec![0];
    let mut nodes: Vec<FloatNode> = Vec::with_capacity(graph.nodes.len());
    let lengths = graph.lengths();
    for mut node in graph.nodes {
        let of_operands: Vec<Option<f64>> = node
            .inputs
            .iter()
            .map(|&tensor| steps.get(tensor).copied().flatten())
            .collect();
        let first = of_operands.iter().flatten().next().copied();
        let integers = |tensor: &usize| exact.get(*tensor) == Some(&true);
        let all = node.inputs.iter().all(integers);
        let differ = of_operands
            .iter()
            .flatten()
            .any(|&step| Some(step) != first)
            || (!all && node.inputs.iter().any(integers));
        let keeps = crate::model::calibrate::keeps_values(&node.op);
        if keeps
            && !differ
            && let Some(step) = steps.get_mut(exact.len())
        {
            *step = first;
        }
        exact.push(node.op.gives_integers() || (keeps && all && !node.inputs.is_empty()));
        for tensor in &mut node.inputs {
            let length = lengths.get(*tensor).copied().unwrap_or(0);
            *tensor = names.get(*tensor).copied().unwrap_or(0);
            if keeps && differ {
                nodes.push(FloatNode {
                    name: node.name.clone(),
                    op: FloatOp::Combine {
                        coefficients: vec![1.0],
                    },
                    clip: Interval::ALL,
                    step: None,
                    inputs: vec![*tensor],
                    shape: vec![length],
                });
                *tensor = nodes.len();
            }
        }
        nodes.push(node);
        names.push(nodes.len());
    }
    FloatGraph {
        output: names.get(graph.output).copied().unwrap_or(0),
        nodes,
        ..graph
    }
}

/// The nodes that `output` depends on, renumbered.
fn sweep(nodes: Vec<FloatNode>, output: usize) -> (Vec<FloatNode>, usize) {
    let mut needed = vec![false; nodes.len() + 1];
    mark(&mut needed, output);
    for (at, node) in nodes.iter().enumerate().rev() {
        if needed.get(at + 1) == Some(&true) {
            node.inputs
                .iter()
                .for_each(|&tensor| mark(&mut needed, tensor));
        }
    }
    let mut names = vec![0; nodes.len() + 1];
    let mut kept = Vec::new();
    for (at, mut node) in nodes.into_iter().enumerate() {
        if needed.get(at + 1) != Some(&true) {
            continue;
        }
        for tensor in &mut node.inputs {
            *tensor = names.get(*tensor).copied().unwrap_or(0);
        }
        kept.push(node);
        if let Some(name) = names.get_mut(at + 1) {
            *name = kept.len();
        }
    }
    let output = names.get(output).copied().unwrap_or(0);
    (kept, output)
}

fn mark(needed: &mut [bool], tensor: usize) {
    if let Some(flag) = needed.get_mut(tensor) {
        *flag = true;
    }
}

struct Fusion {
    nodes: Vec<FloatNode>,
    /// The tensor that took the place of each tensor, or itself.
    alias: Vec<usize>,
    /// How many operands each tensor is.
    readers: Vec<usize>,
    input_length: usize,
    input_grid: Option<Grid>,
}

impl Fusion {
    /// Tries every rule on node `at`.
    fn improve(&mut self, at: usize) -> bool {
        let Some(node) = self.nodes.get(at) else {
            return false;
        };
        let inputs: Vec<usize> = node.inputs.iter().map(|&t| self.resolve(t)).collect();
        if let Some(node) = self.nodes.get_mut(at) {
            node.inputs = inputs;
        }
        if self.readers(at + 1) == 0 {
            return self.retire(at);
        }
        let rules = [
            Fusion::round_input,
            Fusion::round_result,
            Fusion::drop_rounding,
            Fusion::scale_linear,
            Fusion::scale_factor,
            Fusion::clamp,
            Fusion::move_clamp,
            Fusion::scale_inputs,
            Fusion::absorb_operand_scales,
            Fusion::compose_gathers,
            Fusion::drop_identity,
            Fusion::pad_window,
            Fusion::flatten_sums,
            Fusion::join,
            Fusion::compose_after,
            Fusion::compose_before,
        ];
        rules.iter().any(|rule| rule(self, at).is_some())
    }

    fn resolve(&self, mut tensor: usize) -> usize {
        // An alias is an earlier tensor, so this ends.
        while let Some(&earlier) = self.alias.get(tensor).filter(|&&t| t < tensor) {
            tensor = earlier;
        }
        tensor
    }

    fn readers(&self, tensor: usize) -> usize {
        self.readers.get(tensor).copied().unwrap_or(0)
    }

    /// The node that makes a tensor.
    fn maker(&self, tensor: usize) -> Option<&FloatNode> {
        self.nodes.get(tensor.checked_sub(1)?)
    }

    /// The node that makes a tensor, if nothing else reads it.
    fn own_maker(&self, tensor: usize) -> Option<&FloatNode> {
        self.maker(tensor).filter(|_| self.readers(tensor) == 1)
    }

    /// A node without readers reads nothing.
    fn retire(&mut self, at: usize) -> bool {
        let had = self
            .nodes
            .get(at)
            .is_some_and(|node| !node.inputs.is_empty());
        self.set_inputs(at, Vec::new());
        had
    }

    fn set_inputs(&mut self, at: usize, inputs: Vec<usize>) {
        for &tensor in &inputs {
            if let Some(count) = self.readers.get_mut(tensor) {
                *count += 1;
            }
        }
        let Some(node) = self.nodes.get_mut(at) else {
            return;
        };
        for tensor in std::mem::replace(&mut node.inputs, inputs) {
            if let Some(count) = self.readers.get_mut(tensor) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Tensor `from`, the output of a node, is now tensor `to`.
    fn replace(&mut self, from: usize, to: usize) -> Option<()> {
        let at = from.checked_sub(1)?;
        self.set_inputs(at, Vec::new());
        let readers = std::mem::take(self.readers.get_mut(from)?);
        *self.readers.get_mut(to)? += readers;
        *self.alias.get_mut(from)? = to;
        Some(())
    }

    /// The maker of node `at`'s operand, which has just taken over its work.
    fn absorbed(&mut self, at: usize, maker: usize) -> Option<()> {
        let shape = self.nodes.get(at)?.shape.clone();
        self.nodes.get_mut(maker.checked_sub(1)?)?.shape = shape;
        self.replace(at + 1, maker)
    }

    fn node_mut(&mut self, tensor: usize) -> Option<&mut FloatNode> {
        self.nodes.get_mut(tensor.checked_sub(1)?)
    }

    /// Rounding of the input, when nothing else reads it.
    fn round_input(&mut self, at: usize) -> Option<()> {
        let (input, grid) = rounding(self.nodes.get(at)?)?;
        if input != 0 || self.readers(0) != 1 || self.input_grid.is_some() {
            return None;
        }
        self.input_grid = Some(grid);
        self.replace(at + 1, 0)
    }

    /// Rounding after an operation that ends in one.
    fn round_result(&mut self, at: usize) -> Option<()> {
        let (input, grid) = rounding(self.nodes.get(at)?)?;
        self.own_maker(input).filter(|maker| maker.step.is_none())?;
        let maker = self.node_mut(input)?;
        if !maker.op.requantises() && !matches!(maker.op, FloatOp::Function(_)) {
            return None;
        }
        maker.clip = maker.clip.then(grid.range);
        maker.step = Some(grid.step);
        self.absorbed(at, input)
    }

    /// Rounding of values that are rounded like that already.
    fn drop_rounding(&mut self, at: usize) -> Option<()> {
        let (input, grid) = rounding(self.nodes.get(at)?)?;
        if !self.is_rounded(input, grid, LONGEST_CHAIN) {
            return None;
        }
        self.replace(at + 1, input)
    }

    /// Whether all values of a tensor lie on a grid, seen through what only chooses among values.
    fn is_rounded(&self, tensor: usize, grid: Grid, budget: usize) -> bool {
        let Some(budget) = budget.checked_sub(1) else {
            return false;
        };
        let Some(node) = self.maker(tensor) else {
            return self.input_grid == Some(grid);
        };
        let inside = grid.range.contains(node.clip.low) && grid.range.contains(node.clip.high);
        match &node.op {
            FloatOp::MaxPool(_) => node
                .inputs
                .iter()
                .all(|&t| self.is_rounded(t, grid, budget)),
            FloatOp::Gather { map } => {
                let zero = grid.range.contains(0.0) || map.iter().all(Option::is_some);
                zero && node
                    .inputs
                    .iter()
                    .all(|&t| self.is_rounded(t, grid, budget))
            }
            _ => node.step == Some(grid.step) && inside,
        }
    }

    /// A diagonal layer after a linear one goes into its weights.
    fn scale_linear(&mut self, at: usize) -> Option<()> {
        let (node, diagonal) = diagonal(self.nodes.get(at)?)?;
        let (&input, clip, step) = (node.inputs.first()?, node.clip, node.step);
        let FloatOp::Linear(linear) = &unclamped(self.own_maker(input)?)?.op else {
            return None;
        };
        let (scale, offset) = by_channel(diagonal, linear.outputs()?)?;
        let mut merged = linear.clone();
        let rows = merged.weights.rows_mut().into_iter();
        for (mut row, factor) in rows.zip(&scale) {
            row *= *factor;
        }
        for ((bias, factor), offset) in merged.bias.iter_mut().zip(&scale).zip(&offset) {
            *bias = *bias * factor + offset;
        }
        let maker = self.node_mut(input)?;
        (maker.op, maker.clip, maker.step) = (FloatOp::Linear(merged), clip, step);
        self.absorbed(at, input)
    }

    /// Multiplication by a number goes into a factor that the operation before has.
    fn scale_factor(&mut self, at: usize) -> Option<()> {
        let node = self.nodes.get(at)?;
        let (&input, clip, step) = (node.inputs.first()?, node.clip, node.step);
        let scale = multiple(node)?;
        let mut op = unclamped(self.own_maker(input)?)?.op.clone();
        match &mut op {
            FloatOp::Combine { coefficients: c } | FloatOp::AveragePool { factors: c, .. } => {
                c.iter_mut().for_each(|c| *c *= scale);
            }
            FloatOp::Multiply { factor } | FloatOp::MatMul { factor, .. } => *factor *= scale,
            _ => return None,
        }
        let maker = self.node_mut(input)?;
        (maker.op, maker.clip, maker.step) = (op, clip, step);
        self.absorbed(at, input)
    }

    /// A clamp after an operation that ends in one.
    fn clamp(&mut self, at: usize) -> Option<()> {
        let node = self.nodes.get(at)?;
        let FloatOp::Clip(interval) = node.op else {
            return None;
        };
        let &input = node.inputs.first()?;
        self.own_maker(input)
            .filter(|maker| takes_clamp(maker, interval))?;
        let maker = self.node_mut(input)?;
        match &mut maker.op {
            FloatOp::Clip(before) => *before = before.then(interval),
            FloatOp::Function(formula) => {
                formula.push(Step::Clip(interval, formula.steps.len()));
            }
            op if op.requantises() => maker.clip = maker.clip.then(interval),
            _ => return None,
        }
        self.absorbed(at, input)
    }

    /// A clamp or a rounding moves in front of a data movement or a maximum when it can be merged
    /// there.
    fn move_clamp(&mut self, at: usize) -> Option<()> {
        let node = self.nodes.get(at)?;
        let (interval, step) = match (&node.op, rounding(node)) {
            (FloatOp::Clip(interval), _) => (*interval, None),
            (_, Some((_, grid))) => (grid.range, Some(grid.step)),
            _ => return None,
        };
        let &input = node.inputs.first()?;
        self.merges_clamp(input, (interval, step), LONGEST_CHAIN)
            .filter(|&merges| merges)?;
        let moved = self.maker(input)?.op.clone();
        if !matches!(moved, FloatOp::Gather { .. } | FloatOp::MaxPool(_)) {
            return None;
        }
        let source = self.maker(input)?.inputs.first().copied()?;
        let shape = self.maker(source)?.shape.clone();
        let node = self.nodes.get_mut(at)?;
        let op = std::mem::replace(&mut node.op, moved);
        let clip = std::mem::replace(&mut node.clip, Interval::ALL);
        node.step = None;
        let before = self.node_mut(input)?;
        (before.op, before.shape) = (op, shape);
        (before.clip, before.step) = (clip, step);
        Some(())
    }

    /// Whether a clamp or a rounding of a tensor that nothing else reads would end in a
    /// requantisation.
    fn merges_clamp(
        &self,
        tensor: usize,
        (interval, step): (Interval, Option<f64>),
        budget: usize,
    ) -> Option<bool> {
        let maker = self.own_maker(tensor)?;
        let free = match step {
            Some(_) => maker.step.is_none(),
            None => takes_clamp(maker, interval),
        };
        match &maker.op {
            FloatOp::Clip(_) => return Some(step.is_none()),
            FloatOp::Function(_) => return Some(step.is_some() && free),
            FloatOp::MaxPool(_) => {}
            FloatOp::Gather { map } => {
                let zero = interval.contains(0.0) || map.iter().all(Option::is_some);
                if maker.inputs.len() != 1 || !zero {
                    return None;
                }
            }
            op => return Some(op.requantises() && free),
        }
        let budget = budget.checked_sub(1)?;
        self.merges_clamp(*maker.inputs.first()?, (interval, step), budget)
    }

    /// A diagonal layer before a linear one goes into its weights.
    fn scale_inputs(&mut self, at: usize) -> Option<()> {
        let node = self.nodes.get(at)?;
        let FloatOp::Linear(linear) = &node.op else {
            return None;
        };
        let (before, diagonal) = diagonal(unclamped(self.own_maker(*node.inputs.first()?)?)?)?;
        let (scale, offset) = by_channel(diagonal, linear.planes)?;
        // Padding is zero after the offset, and would be the offset before it.
        if linear.window.padding != [0; 4] && offset.iter().any(|&b| b != 0.0) {
            return None;
        }
        let inputs = before.inputs.clone();
        let merged = scaled_inputs(linear, &scale, &offset);
        self.nodes.get_mut(at)?.op = FloatOp::Linear(Box::new(merged));
        self.set_inputs(at, inputs);
        Some(())
    }

    /// Multiplication of an operand by a number goes into the factors of the operation.
    fn absorb_operand_scales(&mut self, at: usize) -> Option<()> {
        let node = self.nodes.get(at)?;
        let mut inputs = node.inputs.clone();
        let mut scales = vec![1.0; inputs.len()];
        for (input, scale) in inputs.iter_mut().zip(&mut scales) {
            let maker = self.own_maker(*input).and_then(unclamped);
            if let Some((maker, factor)) = maker.and_then(|m| Some((m, multiple(m)?))) {
                (*input, *scale) = (*maker.inputs.first()?, factor);
            }
        }
        if inputs == node.inputs {
            return None;
        }
        match &mut self.nodes.get_mut(at)?.op {
            FloatOp::Combine { coefficients } => {
                coefficients
                    .iter_mut()
                    .zip(&scales)
                    .for_each(|(c, s)| *c *= s);
            }
            FloatOp::Multiply { factor } | FloatOp::MatMul { factor, .. } => {
                *factor *= scales.iter().product::<f64>();
            }
            _ => return None,
        }
        self.set_inputs(at, inputs);
        Some(())
    }

    /// A data movement of data movements is one.
    fn compose_gathers(&mut self, at: usize) -> Option<()> {
        let node = self.nodes.get(at)?;
        let FloatOp::Gather { map } = &node.op else {
            return None;
        };
        let movement = |&t: &usize| matches!(self.maker(t), Some(m) if m.op.name() == "Gather");
        if !node.inputs.iter().any(movement) {
            return None;
        }
        // Where each entry of the operands comes from: a tensor and a position in it.
        let mut sources: Vec<Option<(usize, usize)>> = Vec::new();
        for &input in &node.inputs {
            match self.maker(input) {
                Some(FloatNode {
                    op: FloatOp::Gather { map },
                    inputs,
                    ..
                }) => {
                    let places = self.places(inputs);
                    let entry = |from: &Option<usize>| places.get((*from)?).copied();
                    sources.extend(map.iter().map(entry));
                }
                _ => sources.extend(self.places(&[input]).into_iter().map(Some)),
            }
        }
        let entries = map
            .iter()
            .map(|from| sources.get((*from)?).copied().flatten());
        let (inputs, map) = self.gathered(entries.collect());
        self.nodes.get_mut(at)?.op = FloatOp::Gather { map };
        self.set_inputs(at, inputs);
        Some(())
    }

    /// All entries of some tensors put one after the other.
    fn places(&self, tensors: &[usize]) -> Vec<(usize, usize)> {
        let tensors = tensors.iter().map(|&tensor| self.resolve(tensor));
        tensors
            .flat_map(|tensor| (0..self.length(tensor)).map(move |at| (tensor, at)))
            .collect()
    }

    fn length(&self, tensor: usize) -> usize {
        self.maker(tensor)
            .map_or(self.input_length, |node| super::length(&node.shape))
    }

    /// Operands without repetition, and the map, that give the entries.
    fn gathered(&self, entries: Vec<Option<(usize, usize)>>) -> (Vec<usize>, Vec<Option<usize>>) {
        let mut inputs: Vec<usize> = entries.iter().flatten().map(|&(t, _)| t).collect();
        inputs.sort_unstable();
        inputs.dedup();
        if inputs.is_empty() {
            // All zeros; a data movement has an operand nevertheless.
            inputs.push(0);
        }
        let mut starts = Vec::with_capacity(inputs.len());
        let mut start = 0;
        for &tensor in &inputs {
            starts.push(start);
            start += self.length(tensor);
        }
        let position = |(tensor, at): (usize, usize)| {
            let operand = inputs.binary_search(&tensor).ok()?;
            Some(starts.get(operand)? + at)
        };
        let map = entries.iter().map(|entry| position((*entry)?)).collect();
        (inputs, map)
    }

    /// A data movement that moves nothing.
    fn drop_identity(&mut self, at: usize) -> Option<()> {
        let node = self.nodes.get(at)?;
        let (FloatOp::Gather { map }, &[input]) = (&node.op, node.inputs.as_slice()) else {
            return None;
        };
        let moves = map.iter().enumerate().any(|(to, from)| *from != Some(to));
        if moves || self.length(input) != map.len() {
            return None;
        }
        self.replace(at + 1, input)
    }

    /// Zeros around the input of a linear layer become padding of its window.
    fn pad_window(&mut self, at: usize) -> Option<()> {
        let node = self.nodes.get(at)?;
        let FloatOp::Linear(linear) = &node.op else {
            return None;
        };
        let &input = node.inputs.first()?;
        let maker = self.maker(input)?;
        let (FloatOp::Gather { map }, &[source]) = (&maker.op, maker.inputs.as_slice()) else {
            return None;
        };
        let (planes, pads) = padded_planes(map, linear.planes)?;
        if planes.len() != self.length(source) {
            return None;
        }
        let mut merged = linear.clone();
        merged.planes = planes;
        for (padding, more) in merged.window.padding.iter_mut().zip(pads) {
            *padding += more;
        }
        self.nodes.get_mut(at)?.op = FloatOp::Linear(merged);
        self.set_inputs(at, vec![source]);
        Some(())
    }

    /// A sum of sums is one.
    fn flatten_sums(&mut self, at: usize) -> Option<()> {
        let node = self.nodes.get(at)?;
        let FloatOp::Combine { coefficients } = &node.op else {
            return None;
        };
        let (mut inputs, mut terms) = (Vec::new(), Vec::new());
        let mut merged = false;
        for (&input, &coefficient) in node.inputs.iter().zip(coefficients) {
            match self.own_maker(input).and_then(unclamped) {
                Some(FloatNode {
                    op: FloatOp::Combine { coefficients },
                    inputs: more,
                    ..
                }) => {
                    merged = true;
                    inputs.extend(more.iter().map(|&tensor| self.resolve(tensor)));
                    terms.extend(coefficients.iter().map(|c| c * coefficient));
                }
                _ => {
                    inputs.push(input);
                    terms.push(coefficient);
                }
            }
        }
        if !merged {
            return None;
        }
        self.nodes.get_mut(at)?.op = FloatOp::Combine {
            coefficients: terms,
        };
        self.set_inputs(at, inputs);
        Some(())
    }

    /// A sum or product whose operands all depend on one value is a function of that value.
    fn join(&mut self, at: usize) -> Option<()> {
        let node = self.nodes.get(at)?;
        if !matches!(node.op, FloatOp::Multiply { .. } | FloatOp::Combine { .. }) {
            return None;
        }
        let &first = node.inputs.first()?;
        if node.inputs.iter().all(|&input| input == first) {
            return None;
        }
        let chains: Vec<_> = node.inputs.iter().map(|&input| self.chain(input)).collect();
        let common = chains.first()?.iter().map(|link| link.0).find(|&tensor| {
            chains
                .iter()
                .all(|chain| chain.iter().any(|link| link.0 == tensor))
        })?;
        let mut formula = Formula::default();
        let mut values = Vec::with_capacity(chains.len());
        for chain in &chains {
            let mut path: Vec<&Formula> = Vec::new();
            for (tensor, function) in chain {
                if *tensor == common {
                    break;
                }
                path.push(function);
            }
            let value = path
                .iter()
                .rev()
                .fold(0, |value, f| formula.append(f, value));
            values.push(value);
        }
        formula.push(elementwise(&node.op, &values)?);
        if node.clip != Interval::ALL {
            formula.push(Step::Clip(node.clip, formula.steps.len()));
        }
        if formula.steps.len() > LONGEST_FORMULA {
            return None;
        }
        let node = self.nodes.get_mut(at)?;
        (node.op, node.clip) = (FloatOp::Function(formula), Interval::ALL);
        self.set_inputs(at, vec![common]);
        Some(())
    }

    /// A tensor, the tensor that it is a function of, and so on; each with its function of the next.
    fn chain(&self, mut tensor: usize) -> Vec<(usize, Formula)> {
        let mut chain = Vec::new();
        while chain.len() < LONGEST_CHAIN {
            let link = self.maker(tensor).and_then(function_of_one);
            let (next, function) = match link {
                Some((input, function)) => (Some(self.resolve(input)), function),
                None => (None, Formula::default()),
            };
            chain.push((tensor, function));
            match next {
                Some(next) => tensor = next,
                None => break,
            }
        }
        chain
    }

    /// What follows a function and depends on each value alone goes into it.
    fn compose_after(&mut self, at: usize) -> Option<()> {
        let node = self.nodes.get(at)?;
        let (input, after) = function_of_one(node)?;
        let FloatOp::Function(before) = &unclamped(self.own_maker(input)?)?.op else {
            return None;
        };
        let composed = before.then(&after);
        if composed.steps.len() > LONGEST_FORMULA {
            return None;
        }
        self.node_mut(input)?.op = FloatOp::Function(composed);
        self.absorbed(at, input)
    }

    /// What precedes a function and depends on each value alone goes into it.
    fn compose_before(&mut self, at: usize) -> Option<()> {
        let node = self.nodes.get(at)?;
        let (FloatOp::Function(after), &[input]) = (&node.op, node.inputs.as_slice()) else {
            return None;
        };
        let (source, before) = function_of_one(self.own_maker(input)?)?;
        let composed = before.then(after);
        if composed.steps.len() > LONGEST_FORMULA {
            return None;
        }
        let source = self.resolve(source);
        self.nodes.get_mut(at)?.op = FloatOp::Function(composed);
        self.set_inputs(at, vec![source]);
        Some(())
    }
}

fn unclamped(node: &FloatNode) -> Option<&FloatNode> {
    (node.clip == Interval::ALL && node.step.is_none()).then_some(node)
}

/// Whether a clamp gives the same before and after the rounding of a node.
fn takes_clamp(node: &FloatNode, interval: Interval) -> bool {
    node.step.is_none() || interval == Interval::POSITIVE
}

/// The step of a node that only rounds, its operand, and its clamp.
fn rounding(node: &FloatNode) -> Option<(usize, Grid)> {
    let FloatOp::Combine { coefficients } = &node.op else {
        return None;
    };
    let (&[input], [1.0]) = (node.inputs.as_slice(), coefficients.as_slice()) else {
        return None;
    };
    let grid = Grid {
        step: node.step?,
        range: node.clip,
    };
    Some((input, grid))
}

fn diagonal(node: &FloatNode) -> Option<(&FloatNode, &Linear)> {
    match &node.op {
        FloatOp::Linear(linear) if linear.is_diagonal() => Some((node, linear)),
        _ => None,
    }
}

/// The number that a node multiplies by, if that is all it does before its clamp.
fn multiple(node: &FloatNode) -> Option<f64> {
    let (_, layer) = diagonal(node)?;
    let plain = layer.planes.channels == 1 && layer.bias.iter().all(|&b| b == 0.0);
    layer.weights.first().copied().filter(|_| plain)
}

/// Scale and offset of a diagonal layer for every channel of `planes`, which has as many values;
/// `None` when they differ within a channel.
fn by_channel(layer: &Linear, planes: Planes) -> Option<(Vec<f64>, Vec<f64>)> {
    let own = layer.planes;
    if own.len() != planes.len() {
        return None;
    }
    let mut found: Vec<Option<(f64, f64)>> = vec![None; planes.channels];
    for at in 0..planes.len() {
        let channel = at.checked_div(own.area())? % own.channels.max(1);
        let pair = (*layer.weights.get((channel, 0))?, *layer.bias.get(channel)?);
        let slot = found.get_mut(at.checked_div(planes.area())? % planes.channels.max(1))?;
        if slot.is_some_and(|known| known != pair) {
            return None;
        }
        *slot = Some(pair);
    }
    found
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .map(|pairs| pairs.into_iter().unzip())
}

/// `linear` of `scale x + offset`, both by input channel.
fn scaled_inputs(linear: &Linear, scale: &[f64], offset: &[f64]) -> Linear {
    let mut merged = linear.clone();
    let groups = linear.groups.max(1);
    let entries = linear.window.entries().max(1);
    let (per_group, channels) = (
        linear.weights.nrows() / groups,
        linear.planes.channels / groups,
    );
    let rows = merged.weights.rows_mut().into_iter();
    for ((n, mut row), bias) in rows.enumerate().zip(merged.bias.iter_mut()) {
        let first = n.checked_div(per_group).unwrap_or(0) * channels;
        for (column, weight) in row.iter_mut().enumerate() {
            let channel = first + column / entries;
            *bias += *weight * offset.get(channel).copied().unwrap_or(0.0);
            *weight *= scale.get(channel).copied().unwrap_or(1.0);
        }
    }
    merged
}

/// The planes inside `padded` and the zeros at top, left, bottom and right, if `map` is such a
/// padding of one operand.
fn padded_planes(map: &[Option<usize>], padded: Planes) -> Option<(Planes, [usize; 4])> {
    if map.len() != padded.len() || map.is_empty() {
        return None;
    }
    let inside = |at: usize| map.get(at).copied().flatten().is_some();
    let first = (0..padded.area()).find(|&at| inside(at))?;
    let last = (0..padded.area()).rev().find(|&at| inside(at))?;
    let [top, left] = [first / padded.width, first % padded.width];
    let [bottom, right] = [last / padded.width, last % padded.width];
    if right < left {
        return None;
    }
    let pads = [
        top,
        left,
        padded.height - 1 - bottom,
        padded.width - 1 - right,
    ];
    let (height, width) = (bottom + 1 - top, right + 1 - left);
    let planes = Planes {
        height,
        width,
        ..padded
    };
    let matches = pads != [0; 4]
        && map.iter().enumerate().all(|(to, from)| {
            let (plane, place) = (to / padded.area(), to % padded.area());
            let (y, x) = (place / padded.width, place % padded.width);
            let held = (top..=bottom).contains(&y) && (left..=right).contains(&x);
            let expected = held.then(|| plane * planes.area() + (y - top) * width + (x - left));
            *from == expected
        });
    matches.then_some((planes, pads))
}

/// The operation on values of a formula.
fn elementwise(op: &FloatOp, values: &[usize]) -> Option<Step> {
    match (op, values) {
        (FloatOp::Multiply { factor }, &[a, b]) => Some(Step::Product {
            factor: *factor,
            of: [a, b],
        }),
        (FloatOp::Combine { coefficients }, _) => {
            let terms = coefficients.iter().copied().zip(values.iter().copied());
            Some(Step::Sum(terms.collect()))
        }
        _ => None,
    }
}

/// The tensor that every value of a node is a function of, and the function.
fn function_of_one(node: &FloatNode) -> Option<(usize, Formula)> {
    let &input = node.inputs.first()?;
    if node.step.is_some() {
        return None;
    }
    let mut formula = match &node.op {
        FloatOp::Function(formula) => formula.clone(),
        FloatOp::Clip(interval) => Formula {
            steps: vec![Step::Clip(*interval, 0)],
        },
        FloatOp::Multiply { .. } | FloatOp::Combine { .. } => {
            if node.inputs.iter().any(|&other| other != input) {
                return None;
            }
            let values = vec![0; node.inputs.len()];
            Formula {
                steps: vec![elementwise(&node.op, &values)?],
            }
        }
        FloatOp::Linear(layer) if layer.is_diagonal() && layer.planes.channels == 1 => {
            let (factor, offset) = (*layer.weights.first()?, *layer.bias.first()?);
            Formula {
                steps: vec![Step::Affine {
                    factor,
                    offset,
                    of: 0,
                }],
            }
        }
        _ => return None,
    };
    if node.clip != Interval::ALL {
        formula.push(Step::Clip(node.clip, formula.steps.len()));
    }
    Some((input, formula))
}

#[cfg(test)]
mod tests {
    use super::super::Window;
    use super::*;

    #[test]
    fn padding_is_recognised() {
        let padded = Planes {
            batch: 1,
            channels: 2,
            height: 4,
            width: 3,
        };
        let map: Vec<Option<usize>> = (0..24)
            .map(|to| {
                let (plane, y, x) = (to / 12, to % 12 / 3, to % 3);
                (y >= 1 && x < 2).then(|| plane * 6 + (y - 1) * 2 + x)
            })
            .collect();
        let (planes, pads) = padded_planes(&map, padded).unwrap();
        assert_eq!((planes.height, planes.width, pads), (3, 2, [1, 0, 0, 1]));
        let mut other = map.clone();
        other.swap(3, 4);
        assert_eq!(padded_planes(&other, padded), None);
        let identity: Vec<_> = (0..24).map(Some).collect();
        assert_eq!(padded_planes(&identity, padded), None);
        assert_eq!(Window::POINT.output([4, 3]), Some([4, 3]));
    }
}

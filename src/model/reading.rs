//! What the outputs of a network say about the class of an input.
//!
//! Several outputs are scores, and the class is the position of the first largest. A single output is a
//! logit, a probability, the number of a class or an amount, which the operation that makes it decides:
//! a sigmoid is above zero for every input, so its sign says nothing. The reading is part of the
//! architecture, so that a model id binds it like the scales.

use super::graph::{FloatGraph, FloatNode, FloatOp, Formula, Interval};
use super::quantise::first_largest;
use serde::{Deserialize, Serialize};

/// How outputs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reading {
    /// Several are scores of the classes; a single one is the logit of class 1 against class 0, and names
    /// class 1 above zero.
    #[default]
    Scores,
    /// A single one is the probability of class 1, and names it above one half.
    Probability,
    /// A single one is the number of the class.
    Number,
    /// A single one is an amount, which names no class.
    Amount,
}

impl Reading {
    /// The class that outputs name, if they name one. The value of an output is a float, for an integer the
    /// integer times the scale of the output.
    pub fn class<T: Copy + PartialOrd>(
        self,
        outputs: &[T],
        value: impl Fn(T) -> f64,
    ) -> Option<usize> {
        let [output] = outputs else {
            // Several numbers of classes are one for each row of something.
            let scores = self != Reading::Number && !outputs.is_empty();
            return scores.then(|| first_largest(outputs));
        };
        let value = value(*output);
        match self {
            Reading::Scores => Some(usize::from(value > 0.0)),
            Reading::Probability => Some(usize::from(value > 0.5)),
            Reading::Number if value >= 0.0 => Some(value.round() as usize),
            Reading::Number | Reading::Amount => None,
        }
    }

    /// [`Self::class`] of integers with a scale.
    pub fn class_of_integers(self, outputs: &[i64], scale: f64) -> Option<usize> {
        // Exact, since activations have at most 16 bits, but for the rounding of the product.
        self.class(outputs, |integer| integer as f64 * scale)
    }

    /// What distinguishes it in digests. The usual reading has none: it was there before the others.
    pub(crate) fn tag(self) -> Option<u8> {
        match self {
            Reading::Scores => None,
            Reading::Probability => Some(1),
            Reading::Number => Some(2),
            Reading::Amount => Some(3),
        }
    }

    /// How a single output is read, for people.
    pub fn name(self) -> &'static str {
        match self {
            Reading::Scores => "logit",
            Reading::Probability => "probability",
            Reading::Number => "number of the class",
            Reading::Amount => "amount",
        }
    }
}

impl FloatGraph {
    /// How the outputs are read: by the operation that makes them, behind movements of data.
    pub fn reading(&self) -> Reading {
        let single = self.output_len() == 1;
        match self.maker() {
            Some(node) if matches!(node.op, FloatOp::ArgMax(_)) => Reading::Number,
            Some(node) if single => node.reading(),
            _ => Reading::Scores,
        }
    }

    /// How many classes the outputs can name, as far as the graph says so.
    pub fn classes(&self) -> Option<usize> {
        match (self.reading(), self.output_len()) {
            (Reading::Scores | Reading::Probability, 1) => Some(2),
            (Reading::Scores, several) => Some(several),
            (Reading::Number, 1) => match self.maker().map(|node| &node.op) {
                Some(FloatOp::ArgMax(rows)) => Some(rows.columns),
                _ => None,
            },
            _ => None,
        }
    }

    /// The node that makes the values of the output, of a movement of data the one that it reads first.
    fn maker(&self) -> Option<&FloatNode> {
        let lengths = self.lengths();
        let (mut tensor, mut value) = (self.output, 0);
        loop {
            let node = self.nodes.get(tensor.checked_sub(1)?)?;
            let FloatOp::Gather { map } = &node.op else {
                return Some(node);
            };
            let mut from = (*map.get(value)?)?;
            let mut operands = node.inputs.iter();
            // Operands come before their readers, so this ends.
            tensor = operands.find_map(|&operand| {
                let length = lengths.get(operand).copied().unwrap_or(0);
                if from < length {
                    return Some(operand);
                }
                from -= length;
                None
            })?;
            value = from;
        }
    }
}

impl FloatNode {
    /// How a single value of it is read.
    fn reading(&self) -> Reading {
        let range = match &self.op {
            FloatOp::Function(formula) => range(formula).then(self.clip),
            FloatOp::Clip(interval) => *interval,
            FloatOp::Softmax(_) => Interval {
                low: 0.0,
                high: 1.0,
            },
            op if op.requantises() => self.clip,
            _ => Interval::ALL,
        };
        match (range.low >= 0.0, range.high <= 1.0) {
            (true, true) => Reading::Probability,
            (true, false) => Reading::Amount,
            (false, _) => Reading::Scores,
        }
    }
}

/// Between which values a function is, as far as sixteen values for each power of two between 2^-10 and
/// 2^10 show it.
fn range(formula: &Formula) -> Interval {
    let magnitudes = (-160..=160).map(|i| (f64::from(i) / 16.0).exp2());
    let points = magnitudes.flat_map(|x| [x, -x]).chain([0.0]);
    let none = Interval {
        low: f64::INFINITY,
        high: f64::NEG_INFINITY,
    };
    // Where a function is not defined its value is not a number, which neither end takes.
    points
        .map(|x| formula.at(x))
        .fold(none, |range, value| Interval {
            low: range.low.min(value),
            high: range.high.max(value),
        })
}

#[cfg(test)]
mod tests {
    use super::super::graph::{Elementary, Step};
    use super::*;

    fn of(formula: Formula) -> Reading {
        let node = FloatNode {
            name: "last".into(),
            op: FloatOp::Function(formula),
            clip: Interval::ALL,
            step: None,
            inputs: vec![0],
            shape: vec![1],
        };
        node.reading()
    }

    #[test]
    fn single_outputs_are_read_by_the_range_of_their_function() {
        let half_tanh = Formula {
            steps: vec![
                Step::Apply(Elementary::Tanh, 0),
                Step::Affine {
                    factor: 0.5,
                    offset: 0.5,
                    of: 1,
                },
            ],
        };
        let hard = Elementary::HardSigmoid {
            alpha: 0.2,
            beta: 0.5,
        };
        for formula in [half_tanh, Elementary::Sigmoid.into(), hard.into()] {
            assert_eq!(of(formula.clone()), Reading::Probability, "{formula:?}");
        }
        for amount in [Elementary::Softplus, Elementary::Exp, Elementary::Abs] {
            assert_eq!(of(amount.into()), Reading::Amount, "{amount:?}");
        }
        for score in [Elementary::Tanh, Elementary::Gelu, Elementary::Softsign] {
            assert_eq!(of(score.into()), Reading::Scores, "{score:?}");
        }
    }

    #[test]
    fn classes_are_read_off_integers() {
        let single = |reading: Reading, integer| reading.class_of_integers(&[integer], 1.0 / 127.0);
        assert_eq!(single(Reading::Scores, 1), Some(1));
        assert_eq!(single(Reading::Scores, 0), Some(0));
        // 63 stands for 0.496, 64 for 0.504.
        assert_eq!(single(Reading::Probability, 63), Some(0));
        assert_eq!(single(Reading::Probability, 64), Some(1));
        assert_eq!(single(Reading::Amount, 64), None);
        let number = |integers: &[i64]| Reading::Number.class_of_integers(integers, 1.0);
        assert_eq!(
            (number(&[7]), number(&[-1]), number(&[1, 2])),
            (Some(7), None, None)
        );
        let scores = Reading::Scores.class_of_integers(&[-3, 7, 7], 0.1);
        assert_eq!(
            (scores, Reading::Scores.class_of_integers(&[], 0.1)),
            (Some(1), None)
        );
    }
}

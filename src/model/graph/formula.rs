//! Functions of one variable, put together from elementary ones.
//!
//! Exporters write many activations as several nodes: `Silu` as `x * sigmoid(x)`, `Gelu` as
//! `0.5 x (1 + erf(x / sqrt 2))`. A proof looks a function up in a table, so any of them costs the
//! same: all nodes that depend on a single value become one [`Formula`].

use super::Interval;

/// Coefficient of the cubic term in the tanh approximation of Gelu (Hendrycks and Gimpel 2016,
/// arXiv 1606.08415, section 2).
const GELU_CUBIC: f64 = 0.044_715;

/// A function with a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elementary {
    /// `x` for `x >= 0`, else `slope x`.
    LeakyRelu {
        /// The slope.
        slope: f64,
    },
    /// `gamma x` for `x > 0`, else `gamma alpha (exp(x / beta) - 1)`: Elu, Selu and Celu.
    Elu {
        /// Depth of the negative part.
        alpha: f64,
        /// Width of the negative part.
        beta: f64,
        /// Overall factor.
        gamma: f64,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `x Phi(x)` with the normal distribution `Phi`.
    Gelu,
    /// Its approximation by a tanh.
    GeluTanh,
    /// `x sigmoid(alpha x)`, Silu for `alpha = 1`.
    Swish {
        /// The factor.
        alpha: f64,
    },
    /// `min(max(alpha x + beta, 0), 1)`.
    HardSigmoid {
        /// The slope.
        alpha: f64,
        /// The value at 0.
        beta: f64,
    },
    /// `x min(max(x / 6 + 1 / 2, 0), 1)`.
    HardSwish,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `x tanh(softplus(x))`.
    Mish,
    /// The error function.
    Erf,
    /// The exponential.
    Exp,
    /// `|x|`.
    Abs,
}

impl Elementary {
    /// Its value at `x`.
    pub fn at(self, x: f64) -> f64 {
        match self {
            Elementary::LeakyRelu { slope } => {
                if x >= 0.0 {
                    x
                } else {
                    slope * x
                }
            }
            Elementary::Elu { alpha, beta, gamma } => {
                if x > 0.0 {
                    gamma * x
                } else {
                    gamma * alpha * (x / beta).exp_m1()
                }
            }
            Elementary::Sigmoid => sigmoid(x),
            Elementary::Tanh => x.tanh(),
            Elementary::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Elementary::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + GELU_CUBIC * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Elementary::Swish { alpha } => x * sigmoid(alpha * x),
            Elementary::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Elementary::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Elementary::Softplus => softplus(x),
            Elementary::Softsign => x / (1.0 + x.abs()),
            Elementary::Mish => x * softplus(x).tanh(),
            Elementary::Erf => erf(x),
            Elementary::Exp => x.exp(),
            Elementary::Abs => x.abs(),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Elementary::LeakyRelu { .. } => "LeakyRelu",
            Elementary::Elu { .. } => "Elu",
            Elementary::Sigmoid => "Sigmoid",
            Elementary::Tanh => "Tanh",
            Elementary::Gelu | Elementary::GeluTanh => "Gelu",
            Elementary::Swish { .. } => "Swish",
            Elementary::HardSigmoid { .. } => "HardSigmoid",
            Elementary::HardSwish => "HardSwish",
            Elementary::Softplus => "Softplus",
            Elementary::Softsign => "Softsign",
            Elementary::Mish => "Mish",
            Elementary::Erf => "Erf",
            Elementary::Exp => "Exp",
            Elementary::Abs => "Abs",
        }
    }
}

/// Without overflow for large negative `x`.
fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// Without overflow for large `x`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `2 / sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (1 3 5 ... (2n+1))` (Abramowitz and Stegun 1964,
/// Eq. 7.1.6): all terms have one sign, so nothing cancels.
fn erf(x: f64) -> f64 {
    // erfc(6) is below 2^-55.
    if x.abs() >= 6.0 || x.is_nan() {
        return if x.is_nan() { x } else { x.signum() };
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > f64::EPSILON * sum.abs() / 4.0 {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// A step of a [`Formula`]; value 0 is the variable, value `k + 1` the result of step `k`.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A function of a value.
    Apply(Elementary, usize),
    /// `factor v + offset`.
    Affine {
        /// The factor.
        factor: f64,
        /// The offset.
        offset: f64,
        /// The value.
        of: usize,
    },
    /// The value clamped.
    Clip(Interval, usize),
    /// `sum c v` over pairs `(c, v)`.
    Sum(Vec<(f64, usize)>),
    /// `factor v w`.
    Product {
        /// The factor.
        factor: f64,
        /// The two values.
        of: [usize; 2],
    },
}

impl Step {
    /// The same step with every value renamed.
    fn renamed(&self, name: impl Fn(usize) -> usize) -> Self {
        match self {
            Step::Apply(function, of) => Step::Apply(*function, name(*of)),
            Step::Affine { factor, offset, of } => Step::Affine {
                factor: *factor,
                offset: *offset,
                of: name(*of),
            },
            Step::Clip(interval, of) => Step::Clip(*interval, name(*of)),
            Step::Sum(terms) => Step::Sum(terms.iter().map(|&(c, v)| (c, name(v))).collect()),
            Step::Product { factor, of: [a, b] } => Step::Product {
                factor: *factor,
                of: [name(*a), name(*b)],
            },
        }
    }
}

/// A function of one variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Formula {
    /// The steps; the last one gives the value. Without steps it is the identity.
    pub steps: Vec<Step>,
}

impl From<Elementary> for Formula {
    fn from(function: Elementary) -> Self {
        Formula {
            steps: vec![Step::Apply(function, 0)],
        }
    }
}

impl Formula {
    /// Its value at `x`; a step that reads a later value reads zero.
    pub fn at(&self, x: f64) -> f64 {
        let mut values = Vec::with_capacity(self.steps.len() + 1);
        values.push(x);
        for step in &self.steps {
            let value = |at: usize| values.get(at).copied().unwrap_or(0.0);
            let next = match step {
                Step::Apply(function, of) => function.at(value(*of)),
                Step::Affine { factor, offset, of } => factor * value(*of) + offset,
                Step::Clip(interval, of) => interval.clamp(value(*of)),
                Step::Sum(terms) => terms.iter().map(|&(c, v)| c * value(v)).sum(),
                Step::Product { factor, of: [a, b] } => factor * value(*a) * value(*b),
            };
            values.push(next);
        }
        values.last().copied().unwrap_or(x)
    }

    /// `after(self(x))`.
    pub fn then(&self, after: &Formula) -> Formula {
        let mut joined = self.clone();
        joined.append(after, self.steps.len());
        joined
    }

    /// Appends `other` as a function of value `of`, and returns the value that is its result.
    pub(super) fn append(&mut self, other: &Formula, of: usize) -> usize {
        let first = self.steps.len();
        let name = |value: usize| if value == 0 { of } else { first + value };
        let steps = other.steps.iter().map(|step| step.renamed(name));
        self.steps.extend(steps);
        if other.steps.is_empty() {
            of
        } else {
            self.steps.len()
        }
    }

    /// Appends a step and returns the value that is its result.
    pub(super) fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len()
    }

    /// The name of an elementary function, else that of the last one it uses.
    pub fn name(&self) -> &'static str {
        let names = self.steps.iter().rev().filter_map(|step| match step {
            Step::Apply(function, _) => Some(function.name()),
            _ => None,
        });
        names.into_iter().next().unwrap_or("Polynomial")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_their_known_values() {
        // erf and tanh to 16 digits (Abramowitz and Stegun, tables 7.1 and 4.15), the rest by hand.
        let cases = [
            (Elementary::Erf, 0.5, 0.520_499_877_813_046_5),
            (Elementary::Erf, -2.0, -0.995_322_265_018_952_7),
            (Elementary::Erf, 4.0, 0.999_999_984_582_742_1),
            (Elementary::Tanh, 1.0, 0.761_594_155_955_764_9),
            (Elementary::Sigmoid, 0.0, 0.5),
            (Elementary::Sigmoid, -800.0, 0.0),
            (Elementary::Gelu, 1.0, 0.841_344_746_068_542_9),
            (
                Elementary::Swish { alpha: 1.0 },
                2.0,
                1.761_594_155_955_764_9,
            ),
            (Elementary::HardSwish, 1.5, 1.125),
            (
                Elementary::HardSigmoid {
                    alpha: 0.2,
                    beta: 0.5,
                },
                1.0,
                0.7,
            ),
            (Elementary::Softplus, 0.0, std::f64::consts::LN_2),
            (Elementary::Softplus, 800.0, 800.0),
            (Elementary::Softsign, -1.0, -0.5),
            (Elementary::LeakyRelu { slope: 0.1 }, -2.0, -0.2),
            (Elementary::Abs, -2.0, 2.0),
        ];
        for (function, x, expected) in cases {
            let got = function.at(x);
            assert!((got - expected).abs() < 1e-14, "{function:?} at {x}: {got}");
        }
        assert!((Elementary::GeluTanh.at(1.0) - Elementary::Gelu.at(1.0)).abs() < 1e-3);
    }

    #[test]
    fn formulas_compose() {
        let mut shifted = Formula::default();
        shifted.push(Step::Affine {
            factor: 2.0,
            offset: 1.0,
            of: 0,
        });
        let composed = shifted.then(&Elementary::Tanh.into()).then(&shifted);
        assert!((composed.at(0.3) - (2.0 * 1.6f64.tanh() + 1.0)).abs() < 1e-15);
        assert_eq!(Formula::default().at(3.0), 3.0);
        assert_eq!(Formula::default().then(&shifted), shifted);
    }
}

//! The scalar part of verifiers, one text for the native verifier and the circuit.

use crate::arithmetic::Arithmetic;
use crate::error::Rejected;

/// `prod_j (1 + p_j (x_j - 1))`: what `eq(p)` folds to. The point belongs to the last challenges;
/// variables before it are zero, whose factors are 1.
///
/// # Errors
/// [`Rejected::Length`] when the point has more variables than there are challenges; those of the
/// arithmetic.
pub(super) fn folded_eq<A: Arithmetic>(
    arithmetic: &mut A,
    name: &str,
    point: &[A::Element],
    challenges: &[A::Element],
) -> Result<A::Element, A::Error> {
    let rest = challenges.len().checked_sub(point.len());
    let Some(challenges) = rest.and_then(|rest| challenges.get(rest..)) else {
        return Err(A::Error::from(Rejected::Length {
            what: "variables of a point",
            expected: challenges.len(),
            got: point.len(),
        }));
    };
    let one = arithmetic.constant(ff::Field::ONE);
    let mut product: Option<A::Element> = None;
    for (j, (coordinate, challenge)) in point.iter().zip(challenges).enumerate() {
        let shifted = arithmetic.sub(challenge, &one);
        let bent = arithmetic.multiply(&format!("{name} {j} bent"), coordinate, &shifted)?;
        let factor = arithmetic.add(&one, &bent);
        product = Some(match product {
            None => factor,
            Some(product) => {
                arithmetic.multiply(&format!("{name} {j} prefix"), &product, &factor)?
            }
        });
    }
    Ok(product.unwrap_or(one))
}

/// The four values of two polynomials at two points.
#[derive(Clone, Debug)]
pub(super) struct Values<T> {
    /// First polynomial at the first point.
    pub(super) first: T,
    /// Second polynomial at the first point.
    pub(super) second_at_first: T,
    /// First polynomial at the second point.
    pub(super) first_at_second: T,
    /// Second polynomial at the second point.
    pub(super) second: T,
}

/// `(w_1 + tau e_1) + sigma (w_2 + tau e_2)`.
///
/// # Errors
/// Those of the arithmetic.
pub(super) fn batched_value<A: Arithmetic>(
    arithmetic: &mut A,
    values: &Values<A::Element>,
    tau: &A::Element,
    sigma: &A::Element,
) -> Result<A::Element, A::Error> {
    let high = arithmetic.multiply("opening second value", tau, &values.second)?;
    let high = arithmetic.add(&values.first_at_second, &high);
    let pairs = [
        (tau.clone(), values.second_at_first.clone()),
        (sigma.clone(), high),
    ];
    let rest = arithmetic.inner_product("opening value", &pairs)?;
    Ok(arithmetic.add(&values.first, &rest))
}

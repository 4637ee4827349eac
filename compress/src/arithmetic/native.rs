//! Native arithmetic over both fields of a cycle, on one transcript over F.

use super::{Arithmetic, Oracle};
use crate::error::Rejected;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::cycle::cube_root;
use foldnet_gadgets::eisenstein::{EisensteinParams, Form};
use foldnet_gadgets::transcript::Transcript;

/// Native arithmetic over F.
#[derive(Debug)]
pub struct NativePrimary<'t, F: CircuitField> {
    transcript: &'t mut Transcript<F>,
}

impl<'t, F: CircuitField> NativePrimary<'t, F> {
    /// Arithmetic on a transcript.
    pub fn new(transcript: &'t mut Transcript<F>) -> Self {
        NativePrimary { transcript }
    }
}

impl<F: CircuitField> Oracle<F> for NativePrimary<'_, F> {
    fn absorb(&mut self, elements: &[F]) {
        self.transcript.absorb(elements);
    }

    fn challenge(&mut self) -> F {
        self.transcript.squeeze()
    }
}

/// Native arithmetic over Q.
#[derive(Debug)]
pub struct NativeSecondary<'t, F: CircuitField, Q: CircuitField> {
    transcript: &'t mut Transcript<F>,
    params: EisensteinParams<F, Q>,
}

impl<'t, F: CircuitField, Q: CircuitField> NativeSecondary<'t, F, Q> {
    /// Arithmetic on a transcript.
    pub fn new(transcript: &'t mut Transcript<F>, params: &EisensteinParams<F, Q>) -> Self {
        NativeSecondary {
            transcript,
            params: params.clone(),
        }
    }

    /// Absorbs elements of F, such as coordinates of points of the secondary curve.
    pub fn absorb_native(&mut self, elements: &[F]) {
        self.transcript.absorb(elements);
    }

    /// The challenge that binds everything absorbed so far, with its digits.
    pub fn digits(&mut self) -> Challenge {
        Challenge::from_hash(&self.transcript.squeeze())
    }
}

impl<F: CircuitField, Q: CircuitField> Oracle<Q> for NativeSecondary<'_, F, Q> {
    fn absorb(&mut self, elements: &[Q]) {
        for element in elements {
            let components = self.params.components(element, Form::Short);
            self.transcript.absorb(&components);
        }
    }

    fn challenge(&mut self) -> Q {
        self.digits().scalar(cube_root::<Q>())
    }
}

/// The field operations, which are the same over both fields.
macro_rules! native_operations {
    ($field:ty) => {
        type Field = $field;
        type Element = $field;
        type Error = Rejected;

        fn constant(&self, value: $field) -> $field {
            value
        }

        fn value(&self, x: &$field) -> $field {
            *x
        }

        fn receive(&mut self, _: &str, value: $field) -> Result<$field, Rejected> {
            Ok(value)
        }

        fn add(&self, a: &$field, b: &$field) -> $field {
            *a + b
        }

        fn sub(&self, a: &$field, b: &$field) -> $field {
            *a - b
        }

        fn scale(&self, factor: i64, a: &$field) -> $field {
            foldnet_gadgets::field::from_i64::<$field>(factor) * a
        }

        fn multiply(&mut self, _: &str, a: &$field, b: &$field) -> Result<$field, Rejected> {
            Ok(*a * b)
        }

        fn inner_product(
            &mut self,
            _: &str,
            pairs: &[($field, $field)],
        ) -> Result<$field, Rejected> {
            Ok(pairs
                .iter()
                .fold(<$field>::ZERO, |sum, (a, b)| sum + *a * b))
        }

        fn enforce_equal(
            &mut self,
            check: &'static str,
            a: &$field,
            b: &$field,
        ) -> Result<(), Rejected> {
            if a == b {
                Ok(())
            } else {
                Err(Rejected::Check { check })
            }
        }

        fn absorb(&mut self, elements: &[$field]) -> Result<(), Rejected> {
            Oracle::absorb(self, elements);
            Ok(())
        }

        fn challenge(&mut self, _: &str) -> Result<$field, Rejected> {
            Ok(Oracle::challenge(self))
        }
    };
}

impl<F: CircuitField> Arithmetic for NativePrimary<'_, F> {
    native_operations!(F);
}

impl<F: CircuitField, Q: CircuitField> Arithmetic for NativeSecondary<'_, F, Q> {
    native_operations!(Q);
}

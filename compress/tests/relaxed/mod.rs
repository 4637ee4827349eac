//! Random shapes with satisfying relaxed assignments.

use foldnet_compress::shape::Shape;
use foldnet_gadgets::CircuitField;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// A shape with an assignment that satisfies it.
#[derive(Clone)]
pub struct Relaxed<F> {
    pub shape: Shape<F>,
    pub u: F,
    pub x: Vec<F>,
    pub segments: Vec<Vec<F>>,
    pub error: Vec<F>,
}

impl<F: CircuitField> Relaxed<F> {
    /// Sparse random matrices with three entries a row and a random assignment.
    pub fn random(rows: usize, segments: &[usize], inputs: usize, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let columns = segments.iter().sum::<usize>() + 1 + inputs;
        let mut matrix = || {
            let mut entries = Vec::new();
            for row in 0..rows {
                for _ in 0..3 {
                    let column = (rng.next_u64() % columns as u64) as usize;
                    entries.push((row, column, F::random(&mut rng)));
                }
            }
            entries
        };
        let entries = [matrix(), matrix(), matrix()];
        let shape = Shape::new(rows, segments.to_vec(), inputs, entries).unwrap();
        Self::assign(shape, &mut rng)
    }

    /// A random assignment with the error vector that it needs.
    pub fn assign(shape: Shape<F>, rng: &mut ChaCha20Rng) -> Self {
        let u = F::random(&mut *rng);
        let dimensions = shape.dimensions().clone();
        let mut vector = |length| {
            (0..length)
                .map(|_| F::random(&mut *rng))
                .collect::<Vec<F>>()
        };
        let x = vector(dimensions.inputs());
        let segments: Vec<Vec<F>> = dimensions.segments().iter().map(|n| vector(*n)).collect();
        let mut relaxed = Relaxed {
            shape,
            u,
            x,
            segments,
            error: Vec::new(),
        };
        let z = dimensions
            .assemble(&relaxed.segments(), relaxed.u, &relaxed.x)
            .unwrap();
        let [a, b, c] = relaxed.shape.multiply(&z).unwrap();
        let products = a.iter().zip(&b).zip(&c);
        relaxed.error = products.map(|((a, b), c)| *a * b - u * c).collect();
        relaxed
    }

    /// The segments as slices.
    pub fn segments(&self) -> Vec<&[F]> {
        self.segments.iter().map(Vec::as_slice).collect()
    }
}

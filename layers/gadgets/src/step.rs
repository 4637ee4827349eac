//! What a step is to whoever folds it: a circuit in two phases, one per witness segment.
//!
//! The folding engine knows steps only through [`StepCircuit`]. A *kind* is a value of a type that
//! implements it: its capacities, shifts and tables are fields, so one value is one R1CS shape.

use crate::field::CircuitField;
use crate::segment::FirstSegment;
use crate::transcript::TranscriptCircuit;
use crate::wire::Wire;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use std::fmt;
use std::sync::Arc;

/// The claim that the multilinear extension of the step's weight polynomial is `value` at a point
/// inside one aligned block of `2^(rows + columns)` entries.
///
/// All claims of a step share the challenge points of its [`StepOutput`]; layers of different sizes
/// use suffixes of them. The point claimed about, most significant variable first, is the bits of
/// `slot`, the last `rows` entries of [`StepOutput::row_point`], the last `columns` entries of
/// [`StepOutput::column_point`]. Invariant: `slot.len() + rows + columns` is the number of weight
/// variables of the kind. Everything but the value is a constant of the kind.
#[derive(Clone, Debug)]
pub struct Claim<F: CircuitField> {
    /// The position of the block, most significant bit first.
    pub slot: Vec<bool>,
    /// Variables taken from the row point; zero for a single row.
    pub rows: usize,
    /// Variables taken from the column point; zero for a bias.
    pub columns: usize,
    /// The value claimed, absorbed into the transcript already.
    pub value: Wire<F>,
}

/// What a step gives to the folding engine at the end of its second phase.
#[derive(Clone, Debug)]
pub struct StepOutput<F: CircuitField> {
    /// Digest of the live tensors before the step for each inference, recomputed from its first
    /// segment.
    pub input_digests: Vec<Wire<F>>,
    /// Digest of the live tensors after the step for each inference.
    pub output_digests: Vec<Wire<F>>,
    /// The outputs' challenge point `r_n` that the claims share, most significant variable first.
    pub row_point: Vec<Wire<F>>,
    /// The inputs' challenge point `r_j` that the claims share, most significant variable first.
    pub column_point: Vec<Wire<F>>,
    /// Claims on the step's weight polynomial; empty iff the kind has no weights.
    pub claims: Vec<Claim<F>>,
}

/// The evaluation table of a step's weight polynomial: integers, padded with zeros to `2^ell`.
#[derive(Clone, PartialEq, Eq)]
pub struct WeightTable {
    entries: Arc<Vec<i64>>,
    variables: usize,
}

impl fmt::Debug for WeightTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The entries may be secret, so only the size is shown.
        write!(
            f,
            "WeightTable({} entries, 2^{})",
            self.entries.len(),
            self.variables
        )
    }
}

impl WeightTable {
    /// The table of `entries`, read as padded with zeros to `2^variables`; `None` when there are
    /// more entries than that.
    pub fn new(entries: Vec<i64>, variables: usize) -> Option<Self> {
        (variables < 48 && entries.len() <= 1 << variables).then(|| WeightTable {
            entries: Arc::new(entries),
            variables,
        })
    }

    /// The entries that are stored; those after the last are zero.
    pub fn entries(&self) -> &[i64] {
        &self.entries
    }

    /// `ell`: the number of variables of the polynomial.
    pub fn variables(&self) -> usize {
        self.variables
    }
}

/// A step kind.
pub trait StepCircuit<F: CircuitField>: Send + Sync {
    /// The values of one execution of one step.
    type Trace: Clone + Send + Sync;
    /// The first-segment wires that the second phase needs.
    type Committed;

    /// A name for messages.
    fn name(&self) -> String;

    /// `ell` if the kind has weights: a constant of the kind, never a flag in the witness.
    fn weight_variables(&self) -> Option<usize>;

    /// Whether the step ends an inference: a constant of the kind, never a flag in the witness.
    fn ends_inference(&self) -> bool;

    /// How many inferences the step carries at once: a constant of the kind.
    fn inferences(&self) -> usize {
        1
    }

    /// A trace of the right lengths, for shape synthesis.
    fn dummy_trace(&self) -> Self::Trace;

    /// Phase one: allocates everything that challenges must be independent of.
    ///
    /// # Errors
    /// Those of the underlying system, and traces of wrong lengths.
    fn commit<CS: ConstraintSystem<F>>(
        &self,
        trace: &Self::Trace,
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<Self::Committed, SynthesisError>;

    /// Phase two: enforces the step. Challenges come from `transcript`, which has absorbed
    /// `alpha`, the state hash and the commitment to the weights. `weights` is absent in shape
    /// synthesis and when the kind has none.
    ///
    /// Every weight evaluation must be absorbed into `transcript` before returning.
    ///
    /// # Errors
    /// Those of the underlying system, and weights of the wrong size.
    fn constrain<CS: ConstraintSystem<F>>(
        &self,
        committed: &Self::Committed,
        weights: Option<&WeightTable>,
        transcript: &mut TranscriptCircuit<F>,
        cs: &mut CS,
    ) -> Result<StepOutput<F>, SynthesisError>;
}

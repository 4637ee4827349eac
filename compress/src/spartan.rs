//! Spartan for relaxed R1CS with witness segments.

//! Relaxed R1CS shapes with witness segments, laid out for sum-check.

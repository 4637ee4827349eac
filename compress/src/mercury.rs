//! Mercury: one multilinear opening on BN254.

//! Multilinear extensions of matrices that repeat a block.

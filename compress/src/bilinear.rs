//! The value of a sparse matrix's multilinear extension, in a circuit over its own field.

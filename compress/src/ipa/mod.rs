//! The inner product argument, and its verifier as a circuit.

//! Arithmetic of Q in a circuit over F, with lazy reduction and tracked bounds.

//! Many claims about committed polynomials become one.

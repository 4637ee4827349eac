//! Groth16 over BN254 of a circuit: reduction, keys, proofs, and the files of other tools.

//! The verifying contract: its code, its calldata, and an embedded EVM to run it in.

//! Fuzzes `private_statement` of the targets.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| foldnet_fuzz::run("private_statement", data));

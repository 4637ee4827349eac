//! The targets of the fuzzer; see `README.md`.

pub mod targets;

/// Runs the target of this name.
///
/// # Panics
/// When the target finds something wrong, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = targets::TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target").run)(bytes);
}

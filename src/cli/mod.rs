//! The parts of the command line tool. Nothing outside this module writes to a terminal.

pub mod progress;

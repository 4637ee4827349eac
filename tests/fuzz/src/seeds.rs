//! Writes the honest bytes of every target to `corpus/TARGET`, where the fuzzer starts from.

use foldnet_fuzz::targets::TARGETS;
use std::fs;
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in TARGETS {
        let folder = corpus.join(target.name);
        fs::create_dir_all(&folder)?;
        for (i, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(folder.join(format!("honest-{i}")), seed)?;
        }
    }
    Ok(())
}

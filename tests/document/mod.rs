//! What tests measure, in `docs/operators.md`: a part each, between two comments.

use std::path::Path;

/// Compares what was measured with a part of the document, or replaces the part when the environment has
/// `FOLDNET_UPDATE_SNAPSHOTS=1`.
pub fn compare(part: &str, measured: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operators.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- {part}:begin -->\n"),
        format!("<!-- {part}:end -->"),
    );
    let (before, rest) = text.split_once(&begin).expect("where the part begins");
    let (written, after) = rest.split_once(&end).expect("where the part ends");
    if std::env::var_os("FOLDNET_UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        let text = [before, &begin, measured, &end, after].concat();
        return std::fs::write(&path, text).unwrap();
    }
    assert_eq!(
        written, measured,
        "docs/operators.md differs; if on purpose, run with FOLDNET_UPDATE_SNAPSHOTS=1"
    );
}

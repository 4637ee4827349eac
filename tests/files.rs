//! Files: the container on damaged bytes, atomic replacement, permissions, size limits.

use foldnet::files::{self, Access, AtomicFile, ContainerReader, ContainerWriter};
use foldnet::files::{FileError, FormatError, Kind, NO_CURVE};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

const LIMIT: u64 = 1 << 16;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    name: String,
    weights: Vec<i64>,
    wide: Vec<u128>,
    map: BTreeMap<u8, Option<Vec<u8>>>,
}

fn sample() -> Sample {
    Sample {
        name: "layer".to_string(),
        weights: vec![0, -1, i64::MIN, i64::MAX],
        wide: vec![0; 100],
        map: BTreeMap::from([(1, None), (2, Some(vec![1, 2, 3]))]),
    }
}

fn container() -> Vec<u8> {
    let payload = files::encode_value(&sample()).expect("a plain value");
    files::encode_container(Kind::Model, "pasta", &payload).expect("valid names")
}

fn decode(bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    files::decode_container(bytes, Kind::Model, "pasta", LIMIT)
}

/// The format error of a file error.
fn format_of(error: FileError) -> FormatError {
    match error {
        FileError::Format { source, .. } => source,
        other => panic!("expected an error about the format, got {other:?}"),
    }
}

#[test]
fn values_survive_a_round_trip() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("model");
    files::write_value(&path, Kind::Model, "pasta", Access::Public, &sample()).expect("written");
    let read: Sample = files::read_value(&path, Kind::Model, "pasta", LIMIT).expect("read");
    assert_eq!(read, sample());
    let header = files::read_header(&path).expect("read");
    assert_eq!(
        (header.kind.as_str(), header.curve.as_str()),
        ("model", "pasta")
    );
    assert_eq!(files::read_bytes(&path, LIMIT).expect("read"), container());
}

#[test]
fn truncated_files_are_refused_at_every_length() {
    let bytes = container();
    for length in 0..bytes.len() {
        let error = decode(&bytes[..length]).expect_err("truncated");
        let FormatError::Truncated { expected, found } = error else {
            panic!("length {length}: {error}");
        };
        assert_eq!(found, length as u64);
        let known = if length < 52 { 84 } else { bytes.len() as u64 };
        assert_eq!(expected, known);
    }
    decode(&bytes).expect("intact");
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = container();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = decode(&flipped).expect_err("damaged");
        let right = match bit / 8 {
            0..8 => matches!(error, FormatError::Foreign { .. }),
            8..12 => matches!(
                error,
                FormatError::OlderVersion {
                    expected: files::VERSION,
                    ..
                } | FormatError::NewerVersion {
                    expected: files::VERSION,
                    ..
                }
            ),
            12..28 => matches!(error, FormatError::WrongKind { .. }),
            28..44 => matches!(error, FormatError::WrongCurve { .. }),
            44..52 => matches!(
                error,
                FormatError::TooLarge { .. }
                    | FormatError::Truncated { .. }
                    | FormatError::Damaged { .. }
                    | FormatError::TrailingBytes { .. }
            ),
            _ => matches!(error, FormatError::Damaged { .. }),
        };
        assert!(right, "bit {bit}: {error}");
    }
}

#[test]
fn the_wrong_file_is_named() {
    let bytes = container();
    let error =
        files::decode_container(&*bytes, Kind::SpartanProof, "pasta", LIMIT).expect_err("kind");
    let text = error.to_string();
    assert!(
        text.contains("\"spartan-proof\"") && text.contains("\"model\""),
        "{text}"
    );
    let error = files::decode_container(&*bytes, Kind::Model, "bn254", LIMIT).expect_err("curve");
    let text = error.to_string();
    assert!(
        text.contains("\"bn254\"") && text.contains("\"pasta\""),
        "{text}"
    );
    let error = files::decode_container(&*bytes, Kind::Model, "pasta", 10).expect_err("limit");
    assert!(
        matches!(error, FormatError::TooLarge { limit: 10, .. }),
        "{error}"
    );
    let error = decode(b"PK\x03\x04").expect_err("foreign");
    assert!(matches!(error, FormatError::Foreign { found } if found == b"PK\x03\x04"));
    let mut longer = bytes.clone();
    longer.push(0);
    let error = decode(&longer).expect_err("trailing");
    assert!(
        matches!(error, FormatError::TrailingBytes { .. }),
        "{error}"
    );
    let mut old = bytes.clone();
    old[8] = 0;
    let error = decode(&old).expect_err("old");
    assert!(
        matches!(
            error,
            FormatError::OlderVersion {
                expected: files::VERSION,
                found: 0
            }
        ),
        "{error}"
    );
    let mut new = bytes;
    new[9] = 1;
    let error = decode(&new[..12]).expect_err("new");
    assert!(
        matches!(
            error,
            FormatError::NewerVersion {
                expected: files::VERSION,
                found: 258
            }
        ),
        "{error}"
    );
}

#[test]
fn names_have_to_fit() {
    for curve in ["", "a curve", "seventeen-letters", "ü", "a\0"] {
        let error = files::encode_container(Kind::Model, curve, &[]).expect_err("does not fit");
        assert!(matches!(error, FormatError::Encoding { .. }), "{error}");
    }
    let bytes = files::encode_container(Kind::Model, "sixteen-letters!", &[]).expect("fits");
    files::decode_container(&*bytes, Kind::Model, "sixteen-letters!", 0).expect("read");
    files::encode_container(Kind::Model, NO_CURVE, &[]).expect("fits");
}

#[test]
fn pieces_have_to_add_up() {
    let mut writer =
        ContainerWriter::new(Vec::new(), Kind::State, "pasta", 3).expect("valid names");
    writer.write(&[1, 2]).expect("as announced");
    assert!(matches!(
        writer.write(&[3, 4]),
        Err(FormatError::Encoding { .. })
    ));
    let mut writer =
        ContainerWriter::new(Vec::new(), Kind::State, "pasta", 3).expect("valid names");
    writer.write(&[1, 2]).expect("as announced");
    assert!(matches!(writer.finish(), Err(FormatError::Encoding { .. })));

    let bytes = files::encode_container(Kind::State, "pasta", &[1, 2, 3]).expect("valid names");
    let mut reader = ContainerReader::new(&*bytes, Kind::State, "pasta", 3).expect("a header");
    let mut two = [0; 2];
    reader.read(&mut two).expect("two bytes");
    assert_eq!((two, reader.left()), ([1, 2], 1));
    assert!(matches!(
        reader.read(&mut two),
        Err(FormatError::Payload { .. })
    ));
    assert!(matches!(reader.finish(), Err(FormatError::Payload { .. })));
}

#[test]
fn false_lengths_cost_no_memory() {
    // A header that announces 2^62 bytes, and a vector that announces 2^63 elements.
    let mut bytes = container();
    bytes[44..52].copy_from_slice(&(1u64 << 62).to_le_bytes());
    let error = files::decode_container(&*bytes, Kind::Model, "pasta", u64::MAX);
    assert!(matches!(error, Err(FormatError::Truncated { .. })));
    let announced = [253, 255, 255, 255, 255, 255, 255, 255, 127];
    assert!(files::decode_value::<Vec<u64>>(&announced).is_err());
    assert!(files::decode_value::<String>(&announced).is_err());
    assert!(files::decode_value::<Vec<Vec<u8>>>(&announced).is_err());
    let error = files::decode_value::<u8>(&[1, 2]).expect_err("one byte is left");
    assert!(matches!(error, FormatError::Payload { .. }), "{error}");
    // The shortest form of the widest integers passes the decoder's limit, at several sizes.
    for length in [100_000, 5_000_000] {
        let zeros = files::encode_value(&vec![0u128; length]).expect("a plain value");
        assert!(zeros.len() < length + 10);
        assert_eq!(
            files::decode_value::<Vec<u128>>(&zeros)
                .expect("read")
                .len(),
            length
        );
    }
}

#[test]
fn reads_are_bounded() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("bytes");
    files::write_bytes(&path, Access::Public, &[7; 100]).expect("written");
    assert_eq!(files::read_bytes(&path, 100).expect("fits").len(), 100);
    let error = format_of(files::read_bytes(&path, 99).expect_err("too large"));
    assert!(
        matches!(error, FormatError::TooLarge { limit: 99, .. }),
        "{error}"
    );
    let error = files::read_bytes(&directory.path().join("none"), 1).expect_err("missing");
    assert!(
        matches!(error, FileError::Io { action: "open", .. }),
        "{error}"
    );
    assert!(error.to_string().contains("none"));
    #[cfg(unix)]
    assert!(files::read_bytes(Path::new("/dev/zero"), 1000).is_err());
    assert!(files::read_bytes(directory.path(), 1000).is_err());
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .expect("the directory exists")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_appears_only_when_complete() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("proof");
    files::write_bytes(&path, Access::Public, b"old").expect("written");
    let mut file = AtomicFile::create(&path, Access::Public).expect("created");
    file.write_all(&[1; 100_000]).expect("written");
    assert_eq!(std::fs::read(&path).expect("readable"), b"old");
    drop(file);
    assert_eq!(std::fs::read(&path).expect("readable"), b"old");
    assert_eq!(
        names(directory.path()),
        ["proof"],
        "an abandoned file is removed"
    );

    // A killed process never runs its destructors: what it leaves must not matter.
    std::mem::forget(AtomicFile::create(&path, Access::Public).expect("created"));
    assert_eq!(names(directory.path()).len(), 2);
    files::write_bytes(&path, Access::Public, b"new").expect("written");
    assert_eq!(std::fs::read(&path).expect("readable"), b"new");
    assert!(
        names(directory.path())
            .iter()
            .any(|name| name.ends_with(".tmp"))
    );
}

#[test]
fn impossible_targets_are_errors() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for target in ["", "/", ".."] {
        let error = files::write_bytes(Path::new(target), Access::Public, b"x");
        assert!(
            matches!(
                error,
                Err(FileError::Io {
                    action: "create",
                    ..
                })
            ),
            "{target:?}"
        );
    }
    let missing = directory.path().join("none/file");
    assert!(files::write_bytes(&missing, Access::Public, b"x").is_err());
    let occupied = directory.path().join("directory");
    std::fs::create_dir(&occupied).expect("created");
    let error = files::write_bytes(&occupied, Access::Public, b"x").expect_err("a directory");
    assert!(
        matches!(
            error,
            FileError::Io {
                action: "replace",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(names(directory.path()), ["directory"]);
}

#[test]
#[cfg(unix)]
fn private_files_are_for_the_owner() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("witness");
    let mode = || {
        std::fs::metadata(&path)
            .expect("exists")
            .permissions()
            .mode()
            & 0o777
    };
    // Replacing a readable file must not keep its mode.
    std::fs::write(&path, b"old").expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("allowed");
    files::write_value(&path, Kind::State, "pasta", Access::Private, &1u8).expect("written");
    assert_eq!(mode(), 0o600);
    files::write_bytes(&path, Access::Public, b"x").expect("written");
    assert_eq!(mode() & 0o600, 0o600);
}

proptest! {
    // Decoding is fast; a few thousand inputs reach every branch of the header.
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        keep in 0usize..60,
    ) {
        let mut mixed = container();
        mixed.truncate(keep);
        mixed.extend(&bytes);
        prop_assert!(decode(&mixed).is_err());
        let _ = files::decode_value::<Sample>(&bytes);
        if let Ok(payload) = files::encode_container(Kind::Model, "pasta", &bytes) {
            prop_assert_eq!(decode(&payload).ok(), Some(bytes));
        }
    }
}

//! Powers of tau from the files of ceremonies: values against another reader, every way a file can
//! be wrong, and which key a cache with an imported one gives.

mod common;

use common::{Toy, VARIABLES};
use ff::Field;
use foldnet::files;
use foldnet::fold::error::FoldError;
use foldnet::fold::params::Params;
use foldnet::key::{CommitmentKey, KeyCache, KeyEngine, KeyError, PtauError, development_tau};
use foldnet::progress::Silent;
use foldnet_gadgets::cycle::Bn254;
use foldnet_gadgets::hash::HashConstants;
use halo2curves::CurveAffine;
use halo2curves::bn256::{Fq2, Fr, G1, G1Affine, G2, G2Affine};
use halo2curves::group::Curve;
use halo2curves::serde::SerdeObject;
use nova_snark::provider::{Bn256EngineKZG, GrumpkinEngine, ptau};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

type Key = CommitmentKey<Bn256EngineKZG>;

/// Points of `small.ptau`.
const POINTS: usize = 64;

/// Where the content of sections 1, 2 and 3 of `small.ptau` starts.
const HEADER: usize = 24;
const G1_SECTION: usize = 80;
const G2_SECTION: usize = 8220;

fn small() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.ptau")
}

fn bytes() -> Vec<u8> {
    std::fs::read(small()).expect("the test file")
}

fn import(path: &Path, power: Option<u32>) -> Result<Key, KeyError> {
    Key::import(path, power, &mut |_| {})
}

/// Imports a file with the given content.
fn import_bytes(content: &[u8], power: Option<u32>) -> Result<Key, KeyError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("altered.ptau");
    std::fs::write(&path, content).expect("written");
    import(&path, power)
}

/// The reason why a file is refused; the error names the file.
fn refused(content: &[u8]) -> PtauError {
    refused_at(content, None)
}

fn refused_at(content: &[u8], power: Option<u32>) -> PtauError {
    match import_bytes(content, power) {
        Err(KeyError::Import { path, source }) => {
            assert!(path.ends_with("altered.ptau"));
            *source
        }
        other => panic!("expected an error about the import, got {other:?}"),
    }
}

/// The powers of a known tau.
fn powers(tau: Fr, count: usize) -> Vec<G1Affine> {
    std::iter::successors(Some(Fr::ONE), |power| Some(*power * tau))
        .take(count)
        .map(|power| (G1::generator() * power).to_affine())
        .collect()
}

/// A file of three sections, as pruning makes it, with two points of G2.
fn pruned(power: u32, g1: &[G1Affine], tau_h: G2Affine) -> Vec<u8> {
    let g1: Vec<u8> = g1.iter().flat_map(SerdeObject::to_raw_bytes).collect();
    let g2: Vec<u8> = [G2Affine::generator(), tau_h]
        .iter()
        .flat_map(SerdeObject::to_raw_bytes)
        .collect();
    let header = [&bytes()[HEADER..HEADER + 36], &power.to_le_bytes()].concat();
    let mut content = b"ptau\x01\0\0\0\x03\0\0\0".to_vec();
    for (id, section) in (1u32..).zip([header, g1, g2]) {
        content.extend(id.to_le_bytes());
        content.extend((section.len() as u64).to_le_bytes());
        content.extend(section);
    }
    content
}

fn pruned_of(tau: Fr, power: u32) -> Vec<u8> {
    let tau_h = (G2::generator() * tau).to_affine();
    pruned(power, &powers(tau, 1 << power), tau_h)
}

#[test]
fn a_ceremony_gives_a_key() {
    let mut done = Vec::new();
    let key = Key::import(&small(), None, &mut |points| done.push(points)).expect("valid");
    assert_eq!((key.len(), done.as_slice()), (POINTS, [64].as_slice()));
    assert!(!key.insecure());
    assert_eq!(key.bases()[0], G1Affine::generator());
    let derived = Key::derive(1, &mut |_| {}).expect("derived");
    assert_eq!(key.blind_generator(), derived.blind_generator());
    assert_eq!(
        files::hex(&key.digest()),
        "9034be98f794ccfd3a5f4927cdb53af7c140a931d2e5240c6dd92aaf5a09b519",
        "model ids depend on the digest"
    );
    let (g1, g2): (Vec<G1Affine>, Vec<G2Affine>) =
        ptau::read_ptau(&mut Cursor::new(bytes()), POINTS, 2).expect("another reader");
    assert_eq!(key.bases(), g1);
    assert_eq!(key.tau_h(), Some(&g2[1]));
}

#[test]
fn the_same_ceremony_gives_the_same_key() {
    let key = import(&small(), None).expect("valid");
    for power in 1..=6 {
        let shorter = import(&small(), Some(power)).expect("valid");
        let prefix = key.prefix(1 << power).expect("fits");
        assert_eq!(shorter.digest(), prefix.digest());
        assert_eq!(shorter.bases(), prefix.bases());
    }
    let tau_h = *key.tau_h().expect("a key of BN254 has it");
    let cut = import_bytes(&pruned(6, key.bases(), tau_h), None).expect("valid");
    assert_eq!(cut.digest(), key.digest());
    let fewer = import_bytes(&pruned(6, &key.bases()[..33], tau_h), None).expect("valid");
    assert_eq!(fewer.digest(), key.prefix(32).expect("fits").digest());
}

#[test]
fn too_many_powers_are_refused() {
    for power in [0, 7, 28, 63, u32::MAX] {
        let error = refused_at(&bytes(), Some(power));
        assert!(
            matches!(error, PtauError::TooShort { found: 127, .. }),
            "{error}"
        );
    }
    assert!(matches!(
        import(Path::new("absent.ptau"), None),
        Err(KeyError::File(_))
    ));
}

#[test]
fn truncated_files_are_refused() {
    let bytes = bytes();
    for length in (0..G2_SECTION + 300).step_by(97).chain([0, 1, 11, 12, 13]) {
        let error = refused(&bytes[..length]);
        assert!(matches!(error, PtauError::Truncated { .. }), "{error}");
    }
    let error = refused(&bytes[..bytes.len() - 1]);
    assert!(matches!(error, PtauError::Truncated { .. }), "{error}");
    let longer = [&bytes[..], &[0]].concat();
    let error = refused(&longer);
    assert!(matches!(error, PtauError::TrailingBytes { .. }), "{error}");
}

#[test]
fn foreign_files_are_refused() {
    let error = refused(b"not a ceremony");
    assert!(matches!(error, PtauError::Foreign { .. }), "{error}");
    let mut version = bytes();
    version[4] = 2;
    assert!(matches!(
        refused(&version),
        PtauError::Version {
            expected: 1,
            found: 2
        }
    ));
    for position in [HEADER, HEADER + 4, HEADER + 35] {
        let mut curve = bytes();
        curve[position] ^= 1;
        let error = refused(&curve);
        assert!(matches!(error, PtauError::OtherCurve), "{error}");
    }
    let error = refused(&[0; 0]);
    assert!(matches!(error, PtauError::Truncated { .. }), "{error}");
}

#[test]
fn sections_that_contradict_each_other_are_refused() {
    let altered = |position: usize, value: &[u8]| {
        let mut content = bytes();
        content[position..position + value.len()].copy_from_slice(value);
        refused(&content)
    };
    let section = |error: PtauError| {
        assert!(matches!(error, PtauError::Section { .. }), "{error}");
    };
    // The number of sections, the numbers of sections, the header's length, the power.
    section(altered(8, &u32::MAX.to_le_bytes()));
    assert!(matches!(altered(8, &[10]), PtauError::TrailingBytes { .. }));
    assert!(matches!(altered(8, &[12]), PtauError::Truncated { .. }));
    for (place, id) in [(12, 2), (68, 1), (68, 3), (68, 9), (8208, 40)] {
        section(altered(place, &[id]));
    }
    for power in [0, 2, 5, 29, 32, 64, 255] {
        section(altered(HEADER + 36, &[power]));
    }
    section(altered(HEADER + 36, &u32::MAX.to_le_bytes()));
    // Lengths: beyond the file, around the end of the numbers.
    for length in [1 << 20, u64::MAX, u64::MAX - 79, i64::MAX as u64] {
        let error = altered(G1_SECTION - 8, &length.to_le_bytes());
        assert!(matches!(error, PtauError::Truncated { .. }), "{error}");
    }
    let key = import(&small(), None).expect("valid");
    let tau_h = *key.tau_h().expect("a key of BN254 has it");
    section(refused(&pruned(6, &key.bases()[..1], tau_h)));
    section(refused(&pruned(5, key.bases(), tau_h)));
}

#[test]
fn altered_points_are_refused() {
    let altered = |position: usize, value: &[u8]| {
        let mut content = bytes();
        content[position..position + value.len()].copy_from_slice(value);
        refused(&content)
    };
    for index in [0, 1, 2, 31, 63] {
        for (offset, value) in [(0, vec![1; 8]), (31, vec![255]), (0, vec![0; 64])] {
            let error = altered(G1_SECTION + 64 * index + offset, &value);
            let named =
                matches!(error, PtauError::InvalidPoint { group: "G1", index: i } if i == index);
            assert!(named, "{error}");
        }
    }
    for index in [0, 1] {
        for (offset, value) in [(0, vec![1; 8]), (127, vec![255]), (0, vec![0; 128])] {
            let error = altered(G2_SECTION + 128 * index + offset, &value);
            let named =
                matches!(error, PtauError::InvalidPoint { group: "G2", index: i } if i == index);
            assert!(named, "{error}");
        }
    }
    // Valid points in wrong places: only the test of consecutive powers can tell.
    let other = (G1::generator() * Fr::from(5)).to_affine().to_raw_bytes();
    for index in [0, 1, 2, 31, 62, 63] {
        let error = altered(G1_SECTION + 64 * index, &other);
        assert!(matches!(error, PtauError::NotPowers { .. }), "{error}");
    }
    let negated = -import(&small(), None).expect("valid").bases()[40];
    let error = altered(G1_SECTION + 64 * 40, &negated.to_raw_bytes());
    assert!(matches!(error, PtauError::NotPowers { .. }), "{error}");
    let other = (G2::generator() * Fr::from(5)).to_affine().to_raw_bytes();
    for index in [0, 1] {
        let error = altered(G2_SECTION + 128 * index, &other);
        assert!(matches!(error, PtauError::NotPowers { .. }), "{error}");
    }
    // The powers of another tau, and of one that changes on the way.
    let tau_h = (G2::generator() * Fr::from(7)).to_affine();
    let error = refused(&pruned(6, &powers(Fr::from(8), POINTS), tau_h));
    assert!(matches!(error, PtauError::NotPowers { .. }), "{error}");
    let mut mixed = powers(Fr::from(7), POINTS);
    mixed[33..].copy_from_slice(&powers(Fr::from(8), POINTS)[33..]);
    let error = refused(&pruned(6, &mixed, tau_h));
    assert!(matches!(error, PtauError::NotPowers { .. }), "{error}");
    // Points that are not used are not looked at.
    let mut later = bytes();
    later[G1_SECTION + 64 * POINTS] ^= 1;
    import_bytes(&later, None).expect("the first points are those of the ceremony");
}

#[test]
fn points_outside_the_group_are_refused() {
    let point = (1u64..)
        .map(Fq2::from)
        .filter_map(|x| {
            let y: Option<Fq2> = (x.square() * x + G2Affine::b()).sqrt().into();
            Some(G2Affine { x, y: y? })
        })
        .find(|point| point * -Fr::ONE != G2::from(-*point))
        .expect("the twist has a cofactor");
    assert!(bool::from(point.is_on_curve()));
    let error = refused(&pruned(6, &powers(Fr::from(7), POINTS), point));
    assert!(
        matches!(
            error,
            PtauError::InvalidPoint {
                group: "G2",
                index: 1
            }
        ),
        "{error}"
    );
}

#[test]
fn known_powers_are_refused() {
    for tau in [Fr::ONE, development_tau()] {
        let error = refused(&pruned_of(tau, 4));
        assert!(matches!(error, PtauError::KnownTau { .. }), "{error}");
    }
    import_bytes(&pruned_of(Fr::from(7), 4), None).expect("not everyone's tau");
}

/// A cache with the key of `small.ptau`.
fn cache_of_small() -> (TempDir, Key) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let key = import(&small(), None).expect("valid");
    let path = KeyCache::new(Some(directory.path()))
        .import(&key)
        .expect("imported");
    assert!(path.ends_with("bn254-g1-imported.v2.key"));
    (directory, key)
}

fn load(directory: &TempDir, n: usize) -> Result<Key, KeyError> {
    KeyCache::new(Some(directory.path())).load_or_create(n, &mut |_| {})
}

#[test]
fn an_imported_key_is_preferred() {
    let (directory, key) = cache_of_small();
    for n in [0, 1, 2, 33, 64] {
        let loaded = load(&directory, n).expect("loaded");
        assert!(!loaded.insecure());
        assert_eq!(
            loaded.digest(),
            key.prefix(n).expect("fits").digest(),
            "{n}"
        );
        assert_eq!(loaded.tau_h(), key.tau_h());
    }
    // A key that is too short is not replaced by an insecure one.
    let error = load(&directory, 65).expect_err("too short");
    assert!(
        matches!(
            error,
            KeyError::ImportedTooShort {
                expected: 65,
                got: 64,
                power: 7,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("--power 7"), "{error}");
    // Other curves have nothing to do with it.
    let other = KeyCache::new(Some(directory.path()));
    other
        .load_or_create::<GrumpkinEngine>(100, &mut |_| {})
        .expect("derived");
    let listed = other.list().expect("readable");
    assert_eq!(listed.len(), 2);
    let first = listed[0].1.as_ref().expect("usable");
    assert!(first.imported && !first.insecure && first.points == POINTS);
    assert_eq!(first.digest, key.digest());
}

#[test]
fn parameters_need_a_long_enough_import() {
    let (directory, _) = cache_of_small();
    let kinds = vec![Toy::new(true, true, &HashConstants::default())];
    let cache = Some(directory.path());
    let result = Params::<Bn254, _>::new(kinds, VARIABLES, b"toy", cache, &mut Silent);
    let Err(FoldError::Key(error)) = result else {
        panic!("expected an error about the key");
    };
    assert!(
        matches!(error, KeyError::ImportedTooShort { got: 64, .. }),
        "{error}"
    );
}

#[test]
fn ceremonies_are_not_mixed() {
    let (directory, key) = cache_of_small();
    let keys = KeyCache::new(Some(directory.path()));
    let other = import_bytes(&pruned_of(Fr::from(7), 7), None).expect("valid");
    let error = keys.import(&other).expect_err("another ceremony");
    assert!(matches!(error, KeyError::OtherCeremony { .. }), "{error}");
    // A shorter key of the same ceremony changes nothing; a longer one replaces.
    keys.import(&key.prefix(32).expect("fits"))
        .expect("the same");
    assert_eq!(load(&directory, 64).expect("kept").digest(), key.digest());
    let (directory, keys) = (tempfile::tempdir().expect("made"), other);
    let cache = KeyCache::new(Some(directory.path()));
    cache.import(&keys.prefix(8).expect("fits")).expect("first");
    assert!(load(&directory, 9).is_err());
    cache.import(&keys).expect("longer");
    assert_eq!(
        load(&directory, 128).expect("longer").digest(),
        keys.digest()
    );
    // Without a directory there is nowhere to keep it.
    let error = KeyCache::new(None).import(&key).expect_err("nowhere");
    assert!(matches!(error, KeyError::File(_)), "{error}");
}

#[test]
fn a_damaged_import_is_named() {
    let (directory, _) = cache_of_small();
    let path = directory.path().join("bn254-g1-imported.v2.key");
    let good = std::fs::read(&path).expect("readable");
    for position in (0..good.len()).step_by(61) {
        let mut damaged = good.clone();
        damaged[position] ^= 1;
        std::fs::write(&path, damaged).expect("written");
        let error = load(&directory, 3).expect_err("damaged");
        let named = match &error {
            KeyError::File(error) => error.to_string(),
            KeyError::Unusable { path, .. }
            | KeyError::Content { path, .. }
            | KeyError::ImportedTooShort { path, .. } => path.display().to_string(),
            other => panic!("{position}: {other:?}"),
        };
        assert!(named.contains("bn254-g1-imported"), "{named}");
    }
    // The development key under the name of an import keeps its mark.
    let development = Key::derive(64, &mut |_| {}).expect("derived");
    development.save(&path).expect("written");
    assert!(load(&directory, 3).expect("marked").insecure());
    assert_eq!(Bn256EngineKZG::CURVE, "bn254-g1");
}

//! Commitment keys: values against naive sums and against other packages, identities, the cache.

use ff::{Field, PrimeField};
use foldnet::files::{self, FileError, FormatError, Kind};
use foldnet::key::{CommitmentKey, KeyCache, KeyEngine, KeyError};
use foldnet::key::{LARGEST_KEY, development_powers, development_tau, pins};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::cycle::{Affine, Bn254, Cycle, Pasta, Point};
use foldnet_gadgets::field::{from_i64, from_uniform, to_bytes};
use halo2curves::CurveAffine;
use halo2curves::bn256::{G2, G2Affine};
use halo2curves::group::Curve;
use halo2curves::group::prime::PrimeCurveAffine;
use nova_snark::provider::hyperkzg;
use nova_snark::provider::traits::{DlogGroup, PairingGroup};
use nova_snark::provider::{Bn256EngineKZG, GrumpkinEngine, PallasEngine, VestaEngine};
use nova_snark::traits::Engine;
use nova_snark::traits::commitment::CommitmentEngineTrait;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::path::Path;
use std::time::Instant;

fn key<E: KeyEngine>(n: usize) -> CommitmentKey<E> {
    CommitmentKey::derive(n, &mut |_| {}).expect("the size is supported")
}

/// `sum_i values[i] B_i + blind H`, one multiplication after the other.
fn naive<E: KeyEngine>(key: &CommitmentKey<E>, values: &[E::Scalar], blind: E::Scalar) -> Point<E> {
    let start = E::GE::group(key.blind_generator()) * blind;
    values
        .iter()
        .zip(key.bases())
        .fold(start, |sum, (value, base)| {
            sum + E::GE::group(base) * *value
        })
}

fn commitments_are_sums<E: KeyEngine>() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let key = key::<E>(300);
    for length in [0, 1, 2, 16, 17, 33, 257, 300] {
        // Zeros, units, short and long values take different paths in the multiplication.
        let values: Vec<E::Scalar> = (0..length)
            .map(|index| match index % 5 {
                0 => E::Scalar::ZERO,
                1 => -E::Scalar::ONE,
                2 => E::Scalar::from(rng.next_u64() >> (index % 60)),
                _ => E::Scalar::random(&mut rng),
            })
            .collect();
        for blind in [E::Scalar::ZERO, E::Scalar::random(&mut rng)] {
            let commitment = key.commit(&values, blind).expect("the key is long enough");
            assert!(
                commitment == naive(&key, &values, blind),
                "{} values",
                length
            );
        }
    }
    let error = key
        .commit(&[E::Scalar::ONE; 301], E::Scalar::ONE)
        .expect_err("too long");
    assert!(
        matches!(
            error,
            KeyError::TooLong {
                expected: 300,
                got: 301
            }
        ),
        "{error}"
    );
}

#[test]
fn commitments_are_sums_on_every_curve() {
    commitments_are_sums::<Bn256EngineKZG>();
    commitments_are_sums::<GrumpkinEngine>();
    commitments_are_sums::<PallasEngine>();
    commitments_are_sums::<VestaEngine>();
}

fn small_commitments_agree<E: KeyEngine>()
where
    E::Scalar: CircuitField,
{
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let key = key::<E>(700);
    let edges = [
        0,
        1,
        -1,
        2,
        -2,
        1023,
        1024,
        -1024,
        65_535,
        -65_536,
        i64::MAX,
        i64::MIN,
    ];
    let edges = edges
        .into_iter()
        .chain([1 << 32, (1 << 32) - 1, -(1 << 32), -1 << 62]);
    let mixed: Vec<i64> = edges
        .chain((0..684).map(|index| (rng.next_u64() as i64) >> (index % 64)))
        .collect();
    let vectors = [
        vec![],
        vec![0; 9],
        vec![1; 40],
        vec![-1],
        vec![i64::MIN; 3],
        mixed,
    ];
    for values in vectors {
        let blind = E::Scalar::random(&mut rng);
        let elements: Vec<E::Scalar> = values.iter().map(|value| from_i64(*value)).collect();
        let small = key
            .commit_small(&values, blind)
            .expect("the key is long enough");
        assert!(
            small
                == key
                    .commit(&elements, blind)
                    .expect("the key is long enough")
        );
        assert!(small == naive(&key, &elements, blind));
    }
    let error = key
        .commit_small(&[0; 701], E::Scalar::ONE)
        .expect_err("too long");
    assert!(
        matches!(
            error,
            KeyError::TooLong {
                expected: 700,
                got: 701
            }
        ),
        "{error}"
    );
}

#[test]
fn small_commitments_agree_on_every_curve() {
    small_commitments_agree::<Bn256EngineKZG>();
    small_commitments_agree::<GrumpkinEngine>();
    small_commitments_agree::<PallasEngine>();
    small_commitments_agree::<VestaEngine>();
}

#[test]
fn development_powers_are_powers() {
    let tau = development_tau();
    // Each size has its own table width; the last one crosses blocks and chunks.
    for n in [1, 2, 5, 255, 256, 257, 4096, 40_000] {
        let key = development_powers(n).expect("the size is supported");
        assert!(key.insecure());
        assert_eq!(key.len(), n);
        assert_eq!(key.bases()[0], halo2curves::bn256::G1Affine::generator());
        for index in [0, 1, 254, 255, 256, 4094, 32_766, 32_767, 39_998] {
            if let Some(next) = key.bases().get(index + 1) {
                assert_eq!(
                    (key.bases()[index] * tau).to_affine(),
                    *next,
                    "power {index}"
                );
            }
        }
    }
}

#[test]
fn development_powers_serve_hyperkzg() {
    let key = development_powers(64).expect("the size is supported");
    let tau_h = *key.tau_h().expect("keys of BN254 have it");
    assert_eq!(tau_h, (G2::generator() * development_tau()).to_affine());
    let nova = hyperkzg::CommitmentKey::<Bn256EngineKZG>::new(
        key.bases().to_vec(),
        *key.blind_generator(),
        tau_h,
    )
    .expect("the points are valid");
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let values: Vec<_> = (0..64).map(|_| Field::random(&mut rng)).collect();
    let blind = Field::random(&mut rng);
    type Commitments = <Bn256EngineKZG as Engine>::CE;
    let theirs = Commitments::commit(&nova, &values, &blind).into_inner();
    assert_eq!(
        key.commit(&values, blind).expect("the key is long enough"),
        theirs
    );
    let (first, second) = (key.bases()[0].into(), key.bases()[1].into());
    let left = <Point<Bn256EngineKZG> as PairingGroup>::pairing(&second, &G2::generator());
    let right = <Point<Bn256EngineKZG> as PairingGroup>::pairing(&first, &tau_h.into());
    assert!(left == right);
}

fn prefixes_are_keys<E: KeyEngine>() {
    let large = key::<E>(700);
    for n in [0, 1, 256, 300, 700] {
        let small = key::<E>(n);
        let prefix = large.prefix(n).expect("the key is long enough");
        assert_eq!(small.bases(), prefix.bases());
        assert_eq!(small.digest(), prefix.digest());
        assert_eq!(small.blind_generator(), prefix.blind_generator());
        assert_eq!(small.tau_h(), prefix.tau_h());
        assert_eq!(small.tau_h().is_some(), E::PAIRING);
        assert_eq!(small.is_empty(), n == 0);
    }
    assert_ne!(
        large.prefix(299).expect("fits").digest(),
        large.prefix(300).expect("fits").digest()
    );
    assert!(matches!(
        large.prefix(701),
        Err(KeyError::TooLong {
            expected: 700,
            got: 701
        })
    ));
    let mut points: Vec<Vec<u8>> = large
        .bases()
        .iter()
        .chain([large.blind_generator()])
        .map(|p| format!("{p:?}").into())
        .collect();
    points.sort();
    points.dedup();
    assert_eq!(points.len(), 701, "all generators differ");
}

#[test]
fn prefixes_are_keys_on_every_curve() {
    prefixes_are_keys::<Bn256EngineKZG>();
    prefixes_are_keys::<GrumpkinEngine>();
    prefixes_are_keys::<PallasEngine>();
    prefixes_are_keys::<VestaEngine>();
}

#[test]
fn points_made_elsewhere_are_checked() {
    let key = key::<GrumpkinEngine>(4);
    let (bases, blind) = (key.bases().to_vec(), *key.blind_generator());
    let same = CommitmentKey::<GrumpkinEngine>::from_points(bases.clone(), blind, None, false);
    assert_eq!(same.expect("valid").digest(), key.digest());
    let marked = CommitmentKey::<GrumpkinEngine>::from_points(bases.clone(), blind, None, true);
    assert_ne!(
        marked.expect("valid").digest(),
        key.digest(),
        "the mark is part of the identity"
    );
    let mut off_curve = bases.clone();
    off_curve[2].x += halo2curves::grumpkin::Fq::ONE;
    let error = CommitmentKey::<GrumpkinEngine>::from_points(off_curve, blind, None, false);
    assert!(matches!(
        error,
        Err(KeyError::InvalidPoint {
            curve: "grumpkin",
            index: 2
        })
    ));
    let identity = halo2curves::grumpkin::G1Affine::default();
    let error = CommitmentKey::<GrumpkinEngine>::from_points(bases, identity, None, false);
    assert!(matches!(
        error,
        Err(KeyError::InvalidPoint {
            curve: "grumpkin",
            index: 4
        })
    ));
    let error = CommitmentKey::<PallasEngine>::derive(LARGEST_KEY + 1, &mut |_| {});
    assert!(matches!(error, Err(KeyError::TooLarge { .. })));
}

/// The coordinates of a `pasta_curves` point.
fn pasta_bytes<P: pasta_curves::arithmetic::CurveExt>(point: P) -> Option<(Vec<u8>, Vec<u8>)> {
    use pasta_curves::arithmetic::CurveAffine as _;
    let coordinates: Option<pasta_curves::arithmetic::Coordinates<P::AffineExt>> =
        point.to_affine().coordinates().into();
    coordinates.map(|c| {
        (
            c.x().to_repr().as_ref().to_vec(),
            c.y().to_repr().as_ref().to_vec(),
        )
    })
}

/// The coordinates of a point of nova-snark.
fn nova_bytes<E: KeyEngine>(point: Point<E>) -> Option<(Vec<u8>, Vec<u8>)>
where
    E::Base: CircuitField,
{
    let (x, y, identity) = point.to_coordinates();
    (!identity).then(|| (to_bytes(&x).to_vec(), to_bytes(&y).to_vec()))
}

/// Hashes, sums and multiples of `pasta_curves` are those of the key and of `halo2curves`.
fn pasta_packages_agree<E: KeyEngine, P: pasta_curves::arithmetic::CurveExt>()
where
    E::Scalar: CircuitField,
    E::Base: CircuitField,
    P::ScalarExt: ff::FromUniformBytes<64>,
{
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let key = key::<E>(40);
    let hash = P::hash_to_curve("foldnet-commitment-key-v1");
    let mut sum = P::identity();
    let mut values = Vec::new();
    for (index, base) in key.bases().iter().enumerate() {
        let message = [b"base".as_slice(), &(index as u64).to_le_bytes()].concat();
        let theirs = hash(&message);
        assert_eq!(pasta_bytes(theirs), nova_bytes::<E>(E::GE::group(base)));
        let mut uniform = [0; 64];
        rng.fill_bytes(&mut uniform);
        let scalar: E::Scalar = from_uniform(&uniform);
        let product =
            theirs * <P::ScalarExt as ff::FromUniformBytes<64>>::from_uniform_bytes(&uniform);
        assert_eq!(
            pasta_bytes(product),
            nova_bytes::<E>(E::GE::group(base) * scalar)
        );
        sum += product;
        values.push(scalar);
    }
    assert_eq!(
        pasta_bytes(hash(b"blind")),
        nova_bytes::<E>(E::GE::group(key.blind_generator()))
    );
    let commitment = key
        .commit(&values, E::Scalar::ZERO)
        .expect("the key is long enough");
    assert_eq!(pasta_bytes(sum), nova_bytes::<E>(commitment));
    assert_eq!(pasta_bytes(P::identity()), nova_bytes::<E>(E::GE::zero()));
}

#[test]
fn pasta_packages_agree_on_both_curves() {
    pasta_packages_agree::<PallasEngine, pasta_curves::pallas::Point>();
    pasta_packages_agree::<VestaEngine, pasta_curves::vesta::Point>();
}

/// The reason why points for openings are refused.
fn refused_opening(
    bases: &[halo2curves::bn256::G1Affine],
    tau_h: Option<G2Affine>,
    insecure: bool,
) -> &'static str {
    let blind = *key::<Bn256EngineKZG>(1).blind_generator();
    let made = CommitmentKey::<Bn256EngineKZG>::from_points(bases.to_vec(), blind, tau_h, insecure);
    match made {
        Err(KeyError::Opening { reason, .. }) => reason,
        other => panic!("expected an error about openings, got {other:?}"),
    }
}

/// A point of the twist that does not have the group's order.
fn outside_the_group() -> G2Affine {
    use halo2curves::bn256::{Fq2, Fr};
    let point = (1u64..)
        .map(Fq2::from)
        .filter_map(|x| {
            let y: Option<Fq2> = (x.square() * x + G2Affine::b()).sqrt().into();
            Some(G2Affine { x, y: y? })
        })
        .find(|point| point * -Fr::ONE != G2::from(-*point))
        .expect("the twist has a cofactor");
    assert!(bool::from(point.is_on_curve()));
    point
}

#[test]
fn points_for_openings_are_checked() {
    let key = key::<Bn256EngineKZG>(4);
    let tau_h = key.tau_h().copied();
    let twice = (G2::generator() * (development_tau() + development_tau())).to_affine();
    let bases = key.bases();
    assert_eq!(refused_opening(bases, None, true), "it lacks tau G2");
    assert_eq!(
        refused_opening(bases, Some(twice), true),
        "tau G2 belongs to other bases"
    );
    for point in [G2Affine::identity(), outside_the_group()] {
        assert_eq!(
            refused_opening(bases, Some(point), true),
            "tau G2 is not a point of the group"
        );
    }
    assert_eq!(
        refused_opening(&bases[1..], tau_h, true),
        "its first base is not the standard generator of G1"
    );
    let known = "everyone knows its tau, but it is not marked insecure";
    assert_eq!(refused_opening(bases, tau_h, false), known);
    let ones = [bases[0]; 4];
    let one = Some(G2Affine::generator());
    assert_eq!(refused_opening(&ones, one, false), known);
    let grumpkin = crate::key::<GrumpkinEngine>(2);
    let error = CommitmentKey::<GrumpkinEngine>::from_points(
        grumpkin.bases().to_vec(),
        *grumpkin.blind_generator(),
        tau_h,
        false,
    );
    assert!(matches!(error, Err(KeyError::Opening { .. })));
}

/// The key of a cache directory.
fn cached<E: KeyEngine>(cache: Option<&Path>, n: usize) -> Result<CommitmentKey<E>, KeyError> {
    KeyCache::new(cache).load_or_create(n, &mut |_| {})
}

fn files_in(directory: &Path) -> Vec<String> {
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
fn the_cache_gives_the_derived_keys() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let cache = directory.path().join("a/b");
    let keys = KeyCache::new(Some(&cache));
    let mut done = Vec::new();
    let made = keys
        .load_or_create::<Bn256EngineKZG>(2000, &mut |points| done.push(points))
        .expect("made");
    assert!(done.len() > 1 && done.last() == Some(&2000), "{done:?}");
    let second = cached::<GrumpkinEngine>(Some(&cache), 700).expect("made");
    assert_eq!(
        files_in(&cache),
        ["bn254-g1-2048.v2.key", "grumpkin-1024.v2.key"]
    );
    let derived = cached::<Bn256EngineKZG>(None, 2000).expect("derived");
    let loaded = cached::<Bn256EngineKZG>(Some(&cache), 2000).expect("loaded");
    assert_eq!(made.digest(), derived.digest());
    assert_eq!(made.digest(), loaded.digest());
    assert_eq!(loaded.bases(), derived.bases());
    assert_eq!(loaded.tau_h(), derived.tau_h());
    assert!(loaded.insecure() && !second.insecure());
    // A smaller key comes from the larger file; nothing is added.
    let small = cached::<Bn256EngineKZG>(Some(&cache), 10).expect("loaded");
    assert_eq!(small.len(), 10);
    assert_eq!(small.digest(), derived.prefix(10).expect("fits").digest());
    assert_eq!(files_in(&cache).len(), 2);
    let text = format!("{small:?}");
    assert!(
        text.contains("insecure: true") && text.len() < 600,
        "{text}"
    );
}

#[test]
fn keys_beyond_a_limit_are_not_derived() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let keys = KeyCache::new(Some(directory.path())).deriving_at_most(1500);
    let load = |n| keys.load_or_create::<Bn256EngineKZG>(n, &mut |_| {});
    let error = load(1501).expect_err("too large");
    let limits = KeyError::NotDerived {
        curve: "bn254-g1",
        limit: 1500,
        got: 1501,
    };
    assert_eq!(error.to_string(), limits.to_string());
    assert!(matches!(
        keys.check::<Bn256EngineKZG>(1501),
        Err(KeyError::NotDerived { .. })
    ));
    assert!(files_in(directory.path()).is_empty());
    // What is in the cache may be larger than what is derived.
    cached::<Bn256EngineKZG>(Some(directory.path()), 4000).expect("derived");
    assert_eq!(load(4000).expect("loaded").len(), 4000);
    assert!(load(4097).is_err());
    // A limit holds without a cache, too.
    let error = KeyCache::new(None).deriving_at_most(10);
    assert!(error.check::<PallasEngine>(11).is_err());
    error.check::<PallasEngine>(10).expect("small");
}

#[test]
fn transparent_keys_are_secure() {
    let pallas = cached::<PallasEngine>(None, 300).expect("derived");
    let vesta = cached::<VestaEngine>(None, 200).expect("derived");
    assert!(!pallas.insecure() && !vesta.insecure());
    assert!(pallas.tau_h().is_none() && vesta.tau_h().is_none());
    assert_eq!((pallas.curve(), vesta.curve()), ("pallas", "vesta"));
    let error = cached::<VestaEngine>(None, usize::MAX).expect_err("large");
    assert!(matches!(error, KeyError::TooLarge { .. }), "{error}");
}

#[test]
fn key_files_of_older_releases_are_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("old.key");
    key::<PallasEngine>(3).save(&path).expect("written");
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[8] = 1;
    std::fs::write(&path, bytes).expect("writable");
    let KeyError::File(error) = CommitmentKey::<PallasEngine>::load(&path).expect_err("old") else {
        panic!("expected an error about the file");
    };
    assert!(error.to_string().contains("old.key"), "{error}");
    let FileError::Format { source, .. } = error else {
        panic!("expected an error about the format");
    };
    assert!(
        matches!(
            source,
            FormatError::OlderVersion {
                expected: 2,
                found: 1
            }
        ),
        "{source}"
    );
    assert!(source.to_string().contains("delete the file"), "{source}");
}

#[test]
fn keys_are_listed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let cache = Some(directory.path());
    let keys = KeyCache::new(cache);
    assert!(keys.list().expect("an empty directory").is_empty());
    let primary = cached::<Bn256EngineKZG>(cache, 1024).expect("derived");
    let pallas = cached::<PallasEngine>(cache, 1024).expect("derived");
    std::fs::write(directory.path().join("z.key"), "noise").expect("written");
    std::fs::write(directory.path().join("other.txt"), "noise").expect("written");
    let listed = keys.list().expect("readable");
    let [(_, first), (_, second), (path, third)] = listed.as_slice() else {
        panic!("expected three entries, got {listed:?}");
    };
    let first = first.as_ref().expect("usable");
    assert_eq!((first.curve, first.points), ("bn254-g1", 1024));
    assert!(first.insecure && !first.imported && first.digest == primary.digest());
    let second = second.as_ref().expect("usable");
    assert!(!second.insecure && second.digest == pallas.digest());
    assert!(path.ends_with("z.key") && matches!(third, Err(KeyError::Unusable { .. })));
    let absent = directory.path().join("absent");
    assert!(
        KeyCache::new(Some(&absent))
            .list()
            .expect("empty")
            .is_empty()
    );
}

/// The payload of a key file.
fn payload_of(path: &Path, curve: &str) -> Vec<u8> {
    let input = files::open(path).expect("the file exists");
    files::decode_container(input, Kind::CommitmentKey, curve, 1 << 30).expect("intact")
}

/// Replaces a key file by one with another payload and a digest that matches it.
fn forge(path: &Path, curve: &str, payload: &[u8]) {
    let bytes = files::encode_container(Kind::CommitmentKey, curve, payload).expect("valid names");
    std::fs::write(path, bytes).expect("writable");
}

/// Bytes in front of the bases: count, mark, `H`, `G2` and `tau G2`.
const PREAMBLE: usize = 8 + 1 + 64 + 2 * 128;

/// What a cache file that was read is refused for; the error names the file.
fn refused_for(error: KeyError) -> KeyError {
    match error {
        KeyError::Content { path, source } => {
            assert!(path.ends_with("bn254-g1-1024.v2.key"));
            *source
        }
        other => panic!("expected an error about the content, got {other:?}"),
    }
}

#[test]
fn forged_cache_files_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let load = || cached::<Bn256EngineKZG>(Some(directory.path()), 1000);
    load().expect("made");
    let path = directory.path().join("bn254-g1-1024.v2.key");
    let good = payload_of(&path, "bn254-g1");
    assert_eq!(good.len(), PREAMBLE + 64 * 1024);
    let refused = |payload: &[u8]| {
        forge(&path, "bn254-g1", payload);
        refused_for(load().expect_err("refused"))
    };

    // Two bases exchanged: valid points, but another key. The first two are compared with tau G2.
    let exchange = |first: usize| {
        let mut exchanged = good.clone();
        let (one, two) = exchanged[PREAMBLE + 64 * first..].split_at_mut(64);
        one.swap_with_slice(&mut two[..64]);
        exchanged
    };
    let error = refused(&exchange(2));
    assert!(
        matches!(error, KeyError::WrongKey { points: 1024, .. }),
        "{error}"
    );
    let error = refused(&exchange(0));
    assert!(matches!(error, KeyError::Opening { .. }), "{error}");
    let error = refused(&exchange(1));
    assert!(matches!(error, KeyError::Opening { .. }), "{error}");

    // The mark removed.
    let mut unmarked = good.clone();
    unmarked[8] = 0;
    let error = refused(&unmarked);
    assert!(matches!(error, KeyError::Opening { .. }), "{error}");
    unmarked[8] = 2;
    forge(&path, "bn254-g1", &unmarked);
    let error = load().expect_err("no mark");
    assert!(matches!(error, KeyError::Unusable { .. }), "{error}");

    // Points off the curve, coordinates above the modulus, the identity.
    let fifth = PREAMBLE + 64 * 5;
    for (offset, value) in [(fifth, 1), (fifth + 31, 255), (fifth, 0)] {
        let mut invalid = good.clone();
        match value {
            0 => invalid[offset..offset + 64].fill(0),
            _ => invalid[offset] ^= value,
        }
        let error = refused(&invalid);
        assert!(
            matches!(error, KeyError::InvalidPoint { index: 5, .. }),
            "{error}"
        );
    }
    let mut invalid = good.clone();
    invalid[9] ^= 1;
    let error = refused(&invalid);
    assert!(
        matches!(error, KeyError::InvalidPoint { index: 1024, .. }),
        "{error}"
    );

    // The generator of G2 and tau G2: coordinates changed, the identity, the generator twice.
    for offset in (73..PREAMBLE).step_by(16) {
        let mut invalid = good.clone();
        invalid[offset] ^= 1;
        let error = refused(&invalid);
        assert!(matches!(error, KeyError::Opening { .. }), "{error}");
    }
    let mut invalid = good.clone();
    invalid[73 + 128..PREAMBLE].fill(0);
    assert!(matches!(refused(&invalid), KeyError::Opening { .. }));
    invalid[73..].copy_within(..128, 128);
    let KeyError::Opening { reason, .. } = refused(&invalid) else {
        panic!("expected an error about openings");
    };
    assert_eq!(reason, "tau G2 belongs to other bases");

    // Counts that do not match, and payloads that are too short for the preamble.
    for count in [0, 1023, 1025, u64::MAX] {
        let mut miscounted = good.clone();
        miscounted[..8].copy_from_slice(&count.to_le_bytes());
        forge(&path, "bn254-g1", &miscounted);
        let error = load().expect_err("miscounted");
        assert!(matches!(error, KeyError::Unusable { .. }), "{error}");
    }
    for length in [0, 7, 8, 9, 72, 73, PREAMBLE - 1] {
        forge(&path, "bn254-g1", &good[..length]);
        let error = load().expect_err("short");
        assert!(matches!(error, KeyError::Unusable { .. }), "{error}");
    }

    forge(&path, "grumpkin", &good);
    let KeyError::Unusable { error, .. } = load().expect_err("another curve") else {
        panic!("expected an error about the format");
    };
    assert!(matches!(error, FormatError::WrongCurve { .. }), "{error}");

    forge(&path, "bn254-g1", &good);
    load().expect("good again");
}

#[test]
fn damaged_cache_files_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("key");
    let key = key::<VestaEngine>(20);
    key.save(&path).expect("written");
    let bytes = std::fs::read(&path).expect("readable");
    assert_eq!(
        CommitmentKey::<VestaEngine>::load(&path)
            .expect("intact")
            .digest(),
        key.digest()
    );
    for length in (0..bytes.len()).step_by(13) {
        std::fs::write(&path, &bytes[..length]).expect("writable");
        let error = CommitmentKey::<VestaEngine>::load(&path).expect_err("truncated");
        assert!(matches!(error, KeyError::File(_)), "{error}");
    }
    for index in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[index] ^= 1 << (index % 8);
        std::fs::write(&path, &flipped).expect("writable");
        CommitmentKey::<VestaEngine>::load(&path).expect_err("damaged");
    }
}

fn pins_match<E: KeyEngine>(n: usize) {
    let digest = files::hex(&key::<E>(n).digest());
    assert_eq!(
        pins::expected(E::CURVE, n),
        Some(digest.as_str()),
        "{} {n}",
        E::CURVE
    );
}

#[test]
fn pinned_digests_are_those_of_the_derived_keys() {
    for n in [1 << 10, 1 << 12] {
        pins_match::<Bn256EngineKZG>(n);
        pins_match::<GrumpkinEngine>(n);
        pins_match::<PallasEngine>(n);
        pins_match::<VestaEngine>(n);
    }
    assert_eq!(pins::expected("pallas", 1000), None);
    assert_eq!(pins::expected("unknown", 1024), None);
}

fn print_pins_of<E: KeyEngine>() {
    let key = key::<E>(pins::LARGEST);
    for size in (10..)
        .map(|bits| 1 << bits)
        .take_while(|size| *size <= pins::LARGEST)
    {
        let digest = files::hex(&key.prefix(size).expect("fits").digest());
        println!("    (\"{}\", {size}, \"{digest}\"),", E::CURVE);
    }
}

/// `cargo test --release -p foldnet --test keys print_pins -- --ignored --nocapture`
#[test]
#[ignore = "prints the table of src/key/pins.rs; a few minutes"]
fn print_pins() {
    print_pins_of::<Bn256EngineKZG>();
    print_pins_of::<GrumpkinEngine>();
    print_pins_of::<PallasEngine>();
    print_pins_of::<VestaEngine>();
}

fn time<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    println!("{what}: {:.3} s", start.elapsed().as_secs_f64());
    result
}

fn time_commitments<E: KeyEngine>(key: &CommitmentKey<E>)
where
    E::Scalar: CircuitField,
{
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let (name, n) = (E::CURVE, key.len());
    let values: Vec<E::Scalar> = (0..n).map(|_| E::Scalar::random(&mut rng)).collect();
    time(&format!("{name} {n} commit, full"), || {
        key.commit(&values, E::Scalar::ONE).is_ok()
    });
    for bits in [8, 16, 24, 63] {
        let values: Vec<i64> = (0..n)
            .map(|_| (rng.next_u64() as i64) >> (64 - bits))
            .collect();
        let elements: Vec<E::Scalar> = values.iter().map(|value| from_i64(*value)).collect();
        let blind = E::Scalar::ONE;
        let slow = time(&format!("{name} {n} commit, {bits} bits"), || {
            key.commit(&elements, blind)
        });
        let fast = time(&format!("{name} {n} commit_small, {bits} bits"), || {
            key.commit_small(&values, blind)
        });
        assert!(slow.expect("fits") == fast.expect("fits"));
    }
}

/// `cargo test --release -p foldnet --test keys timings -- --ignored --nocapture`
#[test]
#[ignore = "prints how long derivation and commitments take"]
fn timings() {
    for bits in [16, 18, 20] {
        let powers = time(&format!("development powers 2^{bits}"), || {
            key::<Bn256EngineKZG>(1 << bits)
        });
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("key");
        time(&format!("save 2^{bits}"), || powers.save(&path)).expect("written");
        time(&format!("load 2^{bits}"), || {
            CommitmentKey::<Bn256EngineKZG>::load(&path).is_ok()
        });
        if bits == 18 {
            time_commitments(&powers);
        }
    }
    time_commitments(&time("grumpkin 2^12", || key::<GrumpkinEngine>(1 << 12)));
    time_commitments(&time("pallas 2^16", || key::<PallasEngine>(1 << 16)));
}

/// The names of curves and cycles are part of files and digests.
#[test]
fn names_are_stable() {
    assert_eq!((Bn254::NAME, Pasta::NAME), ("bn254", "pasta"));
    assert_eq!(<<Bn254 as Cycle>::Primary as KeyEngine>::CURVE, "bn254-g1");
    assert_eq!(<<Pasta as Cycle>::Secondary as KeyEngine>::CURVE, "vesta");
    let point: Affine<PallasEngine> = key::<PallasEngine>(1).bases()[0];
    assert!(bool::from(point.is_on_curve()));
}

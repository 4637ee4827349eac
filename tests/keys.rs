//! Commitment keys: values against naive sums and against other packages, identities, the cache.

use ff::{Field, PrimeField};
use foldnet::files::{self, FileError, FormatError, Kind};
use foldnet::key::{CommitmentKey, KeyEngine, KeyError, Keys, development_powers, development_tau};
use foldnet::key::{LARGEST_KEY, pins};
use foldnet::progress::{Progress, Silent, Stage};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::cycle::{Affine, Bn254, Cycle, Pasta, Point};
use foldnet_gadgets::field::{from_i64, from_uniform, to_bytes};
use halo2curves::CurveAffine;
use halo2curves::bn256::G2;
use halo2curves::group::Curve;
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
    let tau_h = (G2::generator() * development_tau()).to_affine();
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
    let same = CommitmentKey::<GrumpkinEngine>::from_points(bases.clone(), blind, false);
    assert_eq!(same.expect("valid").digest(), key.digest());
    let marked = CommitmentKey::<GrumpkinEngine>::from_points(bases.clone(), blind, true);
    assert_ne!(
        marked.expect("valid").digest(),
        key.digest(),
        "the mark is part of the identity"
    );
    let mut off_curve = bases.clone();
    off_curve[2].x += halo2curves::grumpkin::Fq::ONE;
    let error = CommitmentKey::<GrumpkinEngine>::from_points(off_curve, blind, false);
    assert!(matches!(
        error,
        Err(KeyError::InvalidPoint {
            curve: "grumpkin",
            index: 2
        })
    ));
    let identity = halo2curves::grumpkin::G1Affine::default();
    let error = CommitmentKey::<GrumpkinEngine>::from_points(bases, identity, false);
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

/// Records every report.
#[derive(Default)]
struct Recorder {
    started: Vec<(Stage, u64)>,
    done: Vec<u64>,
    finished: usize,
}

impl Progress for Recorder {
    fn start(&mut self, stage: Stage, total: u64) {
        self.started.push((stage, total));
    }
    fn advance(&mut self, done: u64) {
        self.done.push(done);
    }
    fn finish(&mut self) {
        self.finished += 1;
    }
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
    let mut progress = Recorder::default();
    let made = Keys::<Bn254>::load_or_create(Some(&cache), 2000, 700, &mut progress).expect("made");
    assert_eq!(
        files_in(&cache),
        ["bn254-g1-2048.v1.key", "grumpkin-1024.v1.key"]
    );
    assert_eq!(progress.started, [(Stage::Keys, 2700)]);
    assert!(progress.done.is_sorted() && progress.done.last() == Some(&2700));
    assert_eq!(progress.finished, 1);
    let derived = Keys::<Bn254>::load_or_create(None, 2000, 700, &mut Silent).expect("derived");
    let loaded =
        Keys::<Bn254>::load_or_create(Some(&cache), 2000, 700, &mut Silent).expect("loaded");
    assert_eq!(made.digest(), derived.digest());
    assert_eq!(made.digest(), loaded.digest());
    assert_eq!(loaded.primary.bases(), derived.primary.bases());
    assert_eq!(loaded.secondary.bases(), derived.secondary.bases());
    assert!(loaded.insecure() && loaded.primary.insecure() && !loaded.secondary.insecure());
    // A smaller key comes from the larger file; nothing is added.
    let small = Keys::<Bn254>::load_or_create(Some(&cache), 10, 20, &mut Silent).expect("loaded");
    assert_eq!((small.primary.len(), small.secondary.len()), (10, 20));
    assert_eq!(
        small.primary.digest(),
        derived.primary.prefix(10).expect("fits").digest()
    );
    assert_eq!(files_in(&cache).len(), 2);
    let text = format!("{small:?}");
    assert!(
        text.contains("insecure: true") && text.len() < 600,
        "{text}"
    );
}

#[test]
fn transparent_keys_are_secure() {
    let keys = Keys::<Pasta>::load_or_create(None, 300, 200, &mut Silent).expect("derived");
    assert!(!keys.insecure());
    assert_eq!(keys.primary.curve(), "pallas");
    assert_eq!(keys.secondary.curve(), "vesta");
    let swapped = Keys::<Pasta>::load_or_create(None, 200, 300, &mut Silent).expect("derived");
    assert_ne!(keys.digest(), swapped.digest());
    let error = Keys::<Pasta>::load_or_create(None, 1, usize::MAX, &mut Silent).expect_err("large");
    assert!(matches!(error, KeyError::TooLarge { .. }), "{error}");
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

#[test]
fn forged_cache_files_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let load = || Keys::<Bn254>::load_or_create(Some(directory.path()), 1000, 1000, &mut Silent);
    load().expect("made");
    let path = directory.path().join("bn254-g1-1024.v1.key");
    let good = payload_of(&path, "bn254-g1");
    assert_eq!(good.len(), 8 + 1 + 64 + 64 * 1024);

    // Two bases exchanged: valid points, but another key.
    let mut exchanged = good.clone();
    let (first, rest) = exchanged[73..].split_at_mut(64);
    first.swap_with_slice(&mut rest[..64]);
    forge(&path, "bn254-g1", &exchanged);
    let error = load().expect_err("another key");
    assert!(
        matches!(error, KeyError::WrongKey { points: 1024, .. }),
        "{error}"
    );

    // The mark removed.
    let mut unmarked = good.clone();
    unmarked[8] = 0;
    forge(&path, "bn254-g1", &unmarked);
    assert!(matches!(
        load().expect_err("unmarked"),
        KeyError::WrongKey { .. }
    ));
    unmarked[8] = 2;
    forge(&path, "bn254-g1", &unmarked);
    let error = load().expect_err("no mark");
    assert!(
        matches!(error, KeyError::File(FileError::Format { .. })),
        "{error}"
    );

    // Points off the curve, coordinates above the modulus, the identity.
    for (offset, value) in [(73 + 64 * 5, 1), (73 + 64 * 5 + 31, 255), (73 + 64 * 5, 0)] {
        let mut invalid = good.clone();
        match value {
            0 => invalid[offset..offset + 64].fill(0),
            _ => invalid[offset] ^= value,
        }
        forge(&path, "bn254-g1", &invalid);
        let error = load().expect_err("invalid point");
        assert!(
            matches!(error, KeyError::InvalidPoint { index: 5, .. }),
            "{error}"
        );
    }
    let mut invalid = good.clone();
    invalid[9] ^= 1;
    forge(&path, "bn254-g1", &invalid);
    let error = load().expect_err("invalid blind generator");
    assert!(
        matches!(error, KeyError::InvalidPoint { index: 1024, .. }),
        "{error}"
    );

    // Counts that do not match, and payloads that are too short for the preamble.
    for count in [0, 1023, 1025, u64::MAX] {
        let mut miscounted = good.clone();
        miscounted[..8].copy_from_slice(&count.to_le_bytes());
        forge(&path, "bn254-g1", &miscounted);
        assert!(matches!(load().expect_err("miscounted"), KeyError::File(_)));
    }
    for length in [0, 7, 8, 9, 72] {
        forge(&path, "bn254-g1", &good[..length]);
        assert!(matches!(load().expect_err("short"), KeyError::File(_)));
    }

    forge(&path, "grumpkin", &good);
    let KeyError::File(FileError::Format { source, .. }) = load().expect_err("another curve")
    else {
        panic!("expected an error about the format");
    };
    assert!(matches!(source, FormatError::WrongCurve { .. }), "{source}");

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

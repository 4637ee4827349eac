//! Files of keys: written whole or not at all, and refused when they are not the right ones.

use bellpepper_core::{ConstraintSystem, SynthesisError};

use foldnet_compress::groth16::{
    Assignment, Circuit, Digest, Error, Fr, ProvingKey, Shape, VerifyingKey, import_zkey, prove,
    replace_file, verify, write_r1cs,
};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, Cursor, Write};
use std::sync::LazyLock;

/// `y = factor x^2` for a secret x and a public y.
struct Square {
    factor: u64,
}

impl Circuit for Square {
    fn synthesize<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        let factor = Fr::from(self.factor);
        let x = cs.alloc(|| "x", || Ok(Fr::from(6)))?;
        let y = cs.alloc_input(|| "y", || Ok(factor * Fr::from(36)))?;
        cs.enforce(|| "square", |lc| lc + (factor, x), |lc| lc + x, |lc| lc + y);
        Ok(())
    }
}

struct Setup {
    shape: Shape,
    key: ProvingKey,
    bytes: Vec<u8>,
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let shape = Shape::of(&Square { factor: 5 }).unwrap();
    let key = ProvingKey::development(&shape, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    let mut bytes = Vec::new();
    key.write(&mut bytes).unwrap();
    Setup { shape, key, bytes }
});

/// 1 input, 1 auxiliary variable, a domain of 4: 3 columns.
const PROVING_BYTES: usize = 80 + 64 + 3 * 128 + 2 * 64 + 2 * 64 + 3 * 256 + 64 + 4 * 64 + 32;
const VERIFYING_BYTES: usize = 80 + 64 + 3 * 128 + 2 * 64 + 32;

fn read(bytes: &[u8]) -> Result<ProvingKey, Error> {
    ProvingKey::read(bytes, &SETUP.shape)
}

fn changed(at: usize, value: u8) -> Vec<u8> {
    let mut bytes = SETUP.bytes.clone();
    assert_ne!(bytes[at], value);
    bytes[at] = value;
    bytes
}

#[test]
fn keys_survive_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let Setup { shape, key, .. } = &*SETUP;
    let (proving, verifying) = (
        folder.path().join("proving"),
        folder.path().join("verifying"),
    );
    key.save(&proving).unwrap();
    key.verifying_key().save(&verifying).unwrap();
    assert_eq!(fs::read(&proving).unwrap().len(), PROVING_BYTES);
    assert_eq!(fs::read(&verifying).unwrap().len(), VERIFYING_BYTES);

    let proving = ProvingKey::load(&proving, shape).unwrap();
    let verifying = VerifyingKey::load(&verifying).unwrap();
    assert_eq!(proving.identity(), key.identity());
    proving.check_identity(key.identity()).unwrap();
    assert_eq!(&verifying, key.verifying_key());
    assert_eq!(proving.verifying_key(), key.verifying_key());
    assert_eq!(verifying.circuit(), shape.digest());
    assert!(proving.insecure() && verifying.insecure());

    let assignment = Assignment::of(&Square { factor: 5 }).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let proof = prove(&proving, shape, &assignment, &mut rng).unwrap();
    assert_eq!(verify(&verifying, assignment.inputs(), &proof), Ok(()));
}

#[test]
fn another_key_has_another_identity() {
    let other = ProvingKey::development(&SETUP.shape, &mut ChaCha20Rng::seed_from_u64(3)).unwrap();
    let refused = other.check_identity(SETUP.key.identity());
    assert!(matches!(refused, Err(Error::Identity { expected, got })
        if expected == *SETUP.key.identity() && got == *other.identity()));
    let refused = other
        .verifying_key()
        .check_identity(SETUP.key.verifying_key().identity());
    assert!(matches!(refused, Err(Error::Identity { .. })));
    let refused = other.verifying_key().check_circuit(&Digest([7; 32]));
    assert!(matches!(refused, Err(Error::Circuit { .. })));
}

#[test]
fn foreign_files_are_refused() {
    assert!(matches!(
        read(b"a text that is longer than a header, a text that is longer than a header and so on"),
        Err(Error::Foreign { .. })
    ));
    let verifying = SETUP.key.verifying_key().to_bytes();
    assert!(matches!(read(&verifying), Err(Error::Foreign { .. })));
    assert!(matches!(
        VerifyingKey::from_bytes(&SETUP.bytes),
        Err(Error::Foreign { .. })
    ));
}

#[test]
fn other_versions_curves_and_flags_are_refused() {
    assert!(matches!(
        read(&changed(8, 0)),
        Err(Error::Version {
            expected: 1,
            got: 0,
            ..
        })
    ));
    assert!(matches!(
        read(&changed(12, b'x')),
        Err(Error::Field { what: "curve", .. })
    ));
    assert!(matches!(
        read(&changed(20, 3)),
        Err(Error::Field {
            what: "unknown flags",
            ..
        })
    ));
}

#[test]
fn security_flag_is_covered_by_the_digest() {
    assert!(matches!(read(&changed(20, 0)), Err(Error::Damaged { .. })));
    let mut bytes = SETUP.key.verifying_key().to_bytes();
    bytes[20] = 0;
    assert!(matches!(
        VerifyingKey::from_bytes(&bytes),
        Err(Error::Damaged { .. })
    ));
}

#[test]
fn key_of_another_circuit_is_refused() {
    let other = Shape::of(&Square { factor: 7 }).unwrap();
    let refused = ProvingKey::read(&SETUP.bytes[..], &other);
    assert!(matches!(refused, Err(Error::Circuit { expected, got })
        if expected == *other.digest() && got == *SETUP.shape.digest()));
}

#[test]
fn changed_counts_are_refused() {
    for (at, name) in [
        (56, "number of public inputs"),
        (64, "auxiliary variables"),
        (72, "domain size"),
    ] {
        let refused = read(&changed(at, 200));
        assert!(matches!(refused, Err(Error::Field { what, .. }) if what == name));
    }
    let mut bytes = SETUP.key.verifying_key().to_bytes();
    bytes[56..64].fill(255);
    assert!(matches!(
        VerifyingKey::from_bytes(&bytes),
        Err(Error::Length {
            expected: u64::MAX,
            ..
        })
    ));
}

#[test]
fn cut_off_and_longer_files_are_refused() {
    let verifying = SETUP.key.verifying_key().to_bytes();
    for length in [0, 7, 79] {
        assert!(matches!(
            read(&SETUP.bytes[..length]),
            Err(Error::Length { expected: 80, got, .. }) if got == length as u64
        ));
        assert!(matches!(
            VerifyingKey::from_bytes(&verifying[..length]),
            Err(Error::Length { expected: 80, got, .. }) if got == length as u64
        ));
    }
    for length in (80..PROVING_BYTES).step_by(31).chain([PROVING_BYTES - 1]) {
        assert!(matches!(
            read(&SETUP.bytes[..length]),
            Err(Error::Length { expected, got, .. })
                if (expected, got) == (PROVING_BYTES as u64, length as u64)
        ));
    }
    let mut longer = SETUP.bytes.clone();
    longer.extend([0; 5]);
    assert!(matches!(
        read(&longer),
        Err(Error::Length { expected, got, .. })
            if (expected, got) == (PROVING_BYTES as u64, PROVING_BYTES as u64 + 5)
    ));
    for length in [80, VERIFYING_BYTES - 1] {
        assert!(matches!(
            VerifyingKey::from_bytes(&verifying[..length]),
            Err(Error::Length { expected, got, .. })
                if (expected, got) == (VERIFYING_BYTES as u64, length as u64)
        ));
    }
}

#[test]
fn every_damaged_byte_is_noticed() {
    for at in 0..PROVING_BYTES {
        let value = SETUP.bytes[at] ^ 0x10;
        assert!(read(&changed(at, value)).is_err(), "byte {at}");
    }
    let verifying = SETUP.key.verifying_key().to_bytes();
    for at in 0..VERIFYING_BYTES {
        let mut bytes = verifying.clone();
        bytes[at] ^= 0x10;
        assert!(VerifyingKey::from_bytes(&bytes).is_err(), "byte {at}");
    }
}

/// Replaces the digest at the end by that of the content.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    use sha2::Digest as _;
    let end = bytes.len() - 32;
    let digest = sha2::Sha256::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&digest);
    bytes
}

#[test]
fn unusable_points_of_a_verifying_key_are_refused() {
    let bytes = SETUP.key.verifying_key().to_bytes();
    let points = [
        ("alpha", 80..144),
        ("beta", 144..272),
        ("gamma", 272..400),
        ("delta", 400..528),
        ("a point of the public inputs", 528..592),
    ];
    for (name, range) in points {
        let mut infinite = bytes.clone();
        infinite[range.clone()].fill(0);
        assert!(matches!(
            VerifyingKey::from_bytes(&sealed(infinite)),
            Err(Error::Invalid { what, problem: "infinity" }) if what == name
        ));
        let mut off = bytes.clone();
        off[range.start] ^= 1;
        assert!(matches!(
            VerifyingKey::from_bytes(&sealed(off)),
            Err(Error::Invalid { what, problem: "not on the curve" }) if what == name
        ));
        let mut large = bytes.clone();
        large[range.start..range.start + 32].fill(255);
        assert!(matches!(
            VerifyingKey::from_bytes(&sealed(large)),
            Err(Error::Invalid {
                what: "a coordinate of the key",
                ..
            })
        ));
    }
}

#[test]
fn wrong_key_is_noticed_by_the_prover() {
    let mut bytes = SETUP.bytes.clone();
    // Exchanges the last two points of the quotient.
    let end = bytes.len() - 32;
    bytes[end - 128..end].rotate_left(64);
    let key = read(&sealed(bytes)).unwrap();
    let assignment = Assignment::of(&Square { factor: 5 }).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let refused = prove(&key, &SETUP.shape, &assignment, &mut rng);
    assert!(matches!(refused, Err(Error::SelfCheck)));
}

fn full_disk() -> Error {
    Error::Io {
        doing: "writing",
        source: io::Error::from(io::ErrorKind::StorageFull),
    }
}

#[test]
fn failed_writes_leave_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let fail = |writer: &mut dyn Write| {
        writer.write_all(&[1; 5_000_000]).unwrap();
        Err(full_disk())
    };
    assert!(matches!(replace_file(&path, fail), Err(Error::Io { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    SETUP.key.save(&path).unwrap();
    assert!(matches!(replace_file(&path, fail), Err(Error::Io { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(fs::read(&path).unwrap(), SETUP.bytes);
}

#[test]
fn two_writers_of_one_file_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let write = |writer: &mut dyn Write, text: &[u8]| {
        writer.write_all(text).map_err(|source| Error::Io {
            doing: "writing",
            source,
        })
    };
    replace_file(&path, |outer| {
        write(outer, b"out")?;
        replace_file(&path, |inner| write(inner, b"inner"))?;
        assert_eq!(fs::read(&path).unwrap(), b"inner");
        write(outer, b"er")
    })
    .unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"outer");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Fails after a number of bytes.
struct Limited(usize);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let count = bytes.len().min(self.0);
        self.0 -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn writers_that_fail_are_reported() {
    for room in (0..PROVING_BYTES).step_by(97) {
        assert!(matches!(
            SETUP.key.write(&mut Limited(room)),
            Err(Error::Io { .. })
        ));
    }
    SETUP.key.write(&mut Limited(PROVING_BYTES)).unwrap();
}

#[test]
fn missing_files_and_folders_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none").join("key");
    assert!(matches!(SETUP.key.save(&path), Err(Error::Io { .. })));
    assert!(matches!(
        ProvingKey::load(&path, &SETUP.shape),
        Err(Error::Io { .. })
    ));
    assert!(matches!(VerifyingKey::load(&path), Err(Error::Io { .. })));
    let nameless = folder.path().join("..");
    assert!(matches!(SETUP.key.save(&nameless), Err(Error::Io { .. })));
}

#[test]
fn circuits_are_exported_byte_by_byte() {
    let mut bytes = Vec::new();
    write_r1cs(&SETUP.shape, &mut bytes).unwrap();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(&bytes[..4], b"r1cs");
    // Version, sections; section 1 of 64 bytes; field of 32 bytes.
    assert_eq!([4, 8, 12, 16, 20, 24].map(number), [1, 3, 1, 64, 0, 32]);
    // Wires, outputs, public inputs, private variables, labels, constraints.
    assert_eq!(
        [60, 64, 68, 72, 76, 80, 84].map(number),
        [3, 0, 1, 1, 3, 0, 1]
    );
    // Section 2: 5 x_2 * x_2 = x_1.
    assert_eq!([88, 92, 96].map(number), [2, 12 + 3 * 36, 0]);
    assert_eq!([100, 104, 108].map(number), [1, 2, 5]);
    assert_eq!([140, 144, 148].map(number), [1, 2, 1]);
    assert_eq!([180, 184, 188].map(number), [1, 1, 1]);
    // Section 3: three labels.
    assert_eq!([220, 224, 228].map(number), [3, 24, 0]);
    assert_eq!([232, 240, 248].map(number), [0, 1, 2]);
    assert_eq!(bytes.len(), 256);
}

proptest! {
    #[test]
    fn readers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(read(&bytes).is_err());
        prop_assert!(VerifyingKey::from_bytes(&bytes).is_err());
        prop_assert!(import_zkey(Cursor::new(&bytes), &SETUP.shape).is_err());
    }

    #[test]
    fn changed_keys_never_panic(at in 0..PROVING_BYTES, part: Vec<u8>) {
        let mut bytes = SETUP.bytes.clone();
        for (target, source) in bytes[at..].iter_mut().zip(&part) {
            *target = *source;
        }
        prop_assert_eq!(read(&bytes).is_ok(), bytes == SETUP.bytes);
    }

    #[test]
    fn changed_sections_never_panic(
        ids in prop::collection::vec(0u32..12, 0..14),
        sizes in prop::collection::vec(prop_oneof![Just(660u64), 0..300u64, any::<u64>()], 14),
        body in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let mut bytes = b"zkey".to_vec();
        bytes.extend(1u32.to_le_bytes());
        bytes.extend((ids.len() as u32).to_le_bytes());
        for (id, size) in ids.iter().zip(&sizes) {
            bytes.extend(id.to_le_bytes());
            bytes.extend(size.to_le_bytes());
            bytes.extend(body.iter().cycle().take((*size).min(3000) as usize));
        }
        prop_assert!(import_zkey(Cursor::new(&bytes), &SETUP.shape).is_err());
    }
}

#[test]
fn one_coefficient_makes_another_circuit() {
    assert_ne!(
        SETUP.shape.digest(),
        Shape::of(&Square { factor: 6 }).unwrap().digest()
    );
}

/// The circuit file with another number of inputs, under the right digest.
fn circuit_with(inputs: u64) -> Result<Shape, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("circuit");
    SETUP.shape.save(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 32);
    bytes[20..28].copy_from_slice(&inputs.to_le_bytes());
    let mut digest = Sha256::new_with_prefix(b"foldnet groth16 circuit 1");
    digest.update(&bytes[12..44]);
    digest.update(&bytes[68..]);
    bytes.extend(digest.finalize());
    fs::write(&path, bytes).unwrap();
    Shape::load(&path)
}

#[test]
fn circuits_survive_their_file() {
    let again = circuit_with(1).unwrap();
    assert_eq!(again.digest(), SETUP.shape.digest());
    assert_eq!(again.terms(), SETUP.shape.terms());
}

#[test]
fn circuits_of_too_many_variables_are_refused() {
    for inputs in [1 << 31, u64::MAX - 1, u64::MAX] {
        let error = circuit_with(inputs).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("variables of the circuit file"),
            "{message}"
        );
    }
}

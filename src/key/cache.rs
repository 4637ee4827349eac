//! The directory of key files: which key is used, how large a key is derived, imports.
//!
//! A directory has at most one imported BN254 key. If it is there, it is the key of every length, and
//! the development key is not used: a proof system does not become insecure because a model grew.
//! Otherwise the smallest file of a derived key that is long enough is used, or one is made.

use super::{CommitmentKey, KeyEngine, KeyError, LARGEST_KEY, check_size, name, of_key_file};
use super::{POINT_BYTES, preamble_bytes};
use crate::files::{self, FileError, FormatError};
use nova_snark::provider::{Bn256EngineKZG, GrumpkinEngine, PallasEngine, VestaEngine};
use std::path::{Path, PathBuf};

/// The fewest points kept in the file of a derived key; shorter keys are prefixes of it.
const SMALLEST_FILE: usize = 1 << 10;

/// How key files end.
const EXTENSION: &str = "key";

/// Where keys are looked for, and how large a key may be derived when there is none.
#[derive(Clone, Copy, Debug)]
pub struct KeyCache<'a> {
    directory: Option<&'a Path>,
    largest_derived: usize,
}

/// What is known of a key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedKey {
    /// The curve.
    pub curve: &'static str,
    /// Points of the key.
    pub points: usize,
    /// [`CommitmentKey::digest`] of all points.
    pub digest: [u8; 32],
    /// [`CommitmentKey::insecure`].
    pub insecure: bool,
    /// Whether the key was imported, not derived.
    pub imported: bool,
}

/// A key file, and what is known of it or why it cannot be used.
pub type ListedKey = (PathBuf, Result<CachedKey, KeyError>);

/// Where the key of a length comes from.
#[derive(Debug)]
enum Found {
    Imported(PathBuf),
    Derived(PathBuf),
    Nothing,
}

impl<'a> KeyCache<'a> {
    /// The keys of a directory; without one, keys are derived each time.
    pub fn new(directory: Option<&'a Path>) -> Self {
        KeyCache {
            directory,
            largest_derived: LARGEST_KEY,
        }
    }

    /// The same, refusing to derive keys of more than `points` points: for lengths that come from a
    /// file of unknown origin. Keys that are there may be larger.
    #[must_use]
    pub fn deriving_at_most(self, points: usize) -> Self {
        KeyCache {
            largest_derived: points,
            ..self
        }
    }

    /// The file of the imported key, if the directory may have one.
    fn imported_path<E: KeyEngine>(&self) -> Option<PathBuf> {
        let directory = self.directory.filter(|_| E::PAIRING)?;
        Some(directory.join(file_name::<E>("imported")))
    }

    /// The file of the derived key of `size` points.
    fn derived_path<E: KeyEngine>(directory: &Path, size: usize) -> PathBuf {
        directory.join(file_name::<E>(&size.to_string()))
    }

    /// Where the key of `n` points comes from.
    fn find<E: KeyEngine>(&self, n: usize) -> Result<Found, KeyError> {
        check_size(n)?;
        if let Some(path) = self.imported_path::<E>().filter(|path| path.exists()) {
            check_length::<E>(&path, n)?;
            return Ok(Found::Imported(path));
        }
        let sizes = std::iter::successors(Some(file_size(n)), |size| size.checked_mul(2))
            .take_while(|size| *size <= LARGEST_KEY);
        let derived = self.directory.and_then(|directory| {
            sizes
                .map(|size| Self::derived_path::<E>(directory, size))
                .find(|path| path.exists())
        });
        match derived {
            Some(path) => Ok(Found::Derived(path)),
            None if n > self.largest_derived => Err(KeyError::NotDerived {
                curve: E::CURVE,
                limit: self.largest_derived,
                got: n,
            }),
            None => Ok(Found::Nothing),
        }
    }

    /// Checks that there is a key of `n` points or that one may be derived, without doing it.
    ///
    /// # Errors
    /// [`KeyError::TooLarge`], [`KeyError::ImportedTooShort`], [`KeyError::NotDerived`], and
    /// [`KeyError::File`] and [`KeyError::Unusable`] for an imported key that is not readable.
    pub fn check<E: KeyEngine>(&self, n: usize) -> Result<(), KeyError> {
        self.find::<E>(n).map(|_| ())
    }

    /// The key of `n` points: the prefix of the imported key, if there is one; otherwise of the
    /// smallest file of a derived key that is long enough; otherwise derived and, rounded up to a
    /// power of two, written to the directory. `advance` is told how many points are there.
    ///
    /// # Errors
    /// Those of [`KeyCache::check`]; [`KeyError::File`] when a file cannot be read or written,
    /// [`KeyError::Unusable`] when it is damaged, [`KeyError::Content`] when it holds another key.
    pub fn load_or_create<E: KeyEngine>(
        &self,
        n: usize,
        advance: &mut dyn FnMut(u64),
    ) -> Result<CommitmentKey<E>, KeyError> {
        let key = match self.find::<E>(n)? {
            Found::Imported(path) => load_imported(&path, n)?,
            Found::Derived(path) => load_derived(&path)?,
            Found::Nothing => self.derive(n, advance)?,
        };
        advance(n as u64);
        if key.len() == n {
            Ok(key)
        } else {
            key.prefix(n)
        }
    }

    /// Derives a key of at least `n` points and adds it to the directory.
    fn derive<E: KeyEngine>(
        &self,
        n: usize,
        advance: &mut dyn FnMut(u64),
    ) -> Result<CommitmentKey<E>, KeyError> {
        let Some(directory) = self.directory else {
            return CommitmentKey::derive(n, advance);
        };
        let key = CommitmentKey::<E>::derive(file_size(n), advance)?;
        let path = Self::derived_path::<E>(directory, key.len());
        key.check_pin().map_err(name(&path))?;
        create_directory(directory)?;
        key.save(&path)?;
        Ok(key)
    }

    /// Keeps a key of a ceremony for all later uses; returns its file. A longer key of the same
    /// ceremony that is already there stays.
    ///
    /// # Errors
    /// [`KeyError::OtherCeremony`] when there is a key of another one; [`KeyError::File`] when the
    /// directory cannot be written, the key that is there cannot be read, or there is no directory.
    pub fn import(&self, key: &CommitmentKey<Bn256EngineKZG>) -> Result<PathBuf, KeyError> {
        let Some((directory, path)) = self.directory.zip(self.imported_path::<Bn256EngineKZG>())
        else {
            let source = std::io::Error::other("there is no directory of keys; give --cache DIR");
            return Err(KeyError::File(FileError::Io {
                action: "write",
                path: PathBuf::from(file_name::<Bn256EngineKZG>("imported")),
                source,
            }));
        };
        create_directory(directory)?;
        if path.exists() {
            let present = load_imported::<Bn256EngineKZG>(&path, key.len())?;
            let shared = present.len().min(key.len());
            if key.prefix(shared)?.digest() != present.digest() {
                return Err(KeyError::OtherCeremony { path });
            }
            if shared == key.len() {
                return Ok(path);
            }
        }
        key.save(&path)?;
        Ok(path)
    }

    /// The key files of the directory in the order of their names, each read in full and checked.
    ///
    /// # Errors
    /// [`KeyError::File`] when the directory cannot be read; a directory that does not exist is
    /// empty.
    pub fn list(&self) -> Result<Vec<ListedKey>, KeyError> {
        let Some(directory) = self.directory.filter(|directory| directory.exists()) else {
            return Ok(Vec::new());
        };
        let error = |source| FileError::Io {
            action: "read",
            path: directory.to_path_buf(),
            source,
        };
        let mut paths = std::fs::read_dir(directory)
            .map_err(error)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(error)?;
        paths.retain(|path| path.extension().is_some_and(|end| end == EXTENSION));
        paths.sort();
        Ok(paths
            .into_iter()
            .map(|path| {
                let described = self.describe(&path);
                (path, described)
            })
            .collect())
    }

    /// Reads and checks a key file of any curve.
    fn describe(&self, path: &Path) -> Result<CachedKey, KeyError> {
        let header = files::read_header(path).map_err(|error| of_key_file(error.into()));
        let curve = header?.curve;
        match curve.as_str() {
            Bn256EngineKZG::CURVE => self.describe_as::<Bn256EngineKZG>(path),
            GrumpkinEngine::CURVE => self.describe_as::<GrumpkinEngine>(path),
            PallasEngine::CURVE => self.describe_as::<PallasEngine>(path),
            VestaEngine::CURVE => self.describe_as::<VestaEngine>(path),
            _ => Err(of_key_file(KeyError::File(FileError::format(path)(
                FormatError::WrongCurve {
                    expected: "a curve of keys".to_string(),
                    found: curve,
                },
            )))),
        }
    }

    fn describe_as<E: KeyEngine>(&self, path: &Path) -> Result<CachedKey, KeyError> {
        let imported = self.imported_path::<E>().as_deref() == Some(path);
        let key = if imported {
            load_imported::<E>(path, LARGEST_KEY)?
        } else {
            load_derived::<E>(path)?
        };
        Ok(CachedKey {
            curve: key.curve(),
            points: key.len(),
            digest: key.digest(),
            insecure: key.insecure(),
            imported,
        })
    }
}

/// The first `n` points of an imported key, or all if it has fewer.
fn load_imported<E: KeyEngine>(path: &Path, n: usize) -> Result<CommitmentKey<E>, KeyError> {
    CommitmentKey::load_first(path, n).map_err(of_key_file)
}

/// A derived key, compared with its pin.
fn load_derived<E: KeyEngine>(path: &Path) -> Result<CommitmentKey<E>, KeyError> {
    let key = CommitmentKey::<E>::load(path).map_err(of_key_file)?;
    key.check_pin().map_err(name(path))?;
    Ok(key)
}

/// Refuses a key file with fewer than `n` points, by its header.
fn check_length<E: KeyEngine>(path: &Path, n: usize) -> Result<(), KeyError> {
    let header = files::read_header(path).map_err(|error| of_key_file(error.into()));
    let payload = header?.payload_bytes;
    let bytes = payload.saturating_sub(preamble_bytes::<E>());
    let got = usize::try_from(bytes / POINT_BYTES as u64).unwrap_or(usize::MAX);
    if got >= n {
        return Ok(());
    }
    Err(KeyError::ImportedTooShort {
        path: path.to_path_buf(),
        curve: E::CURVE,
        expected: n,
        got,
        power: n.next_power_of_two().ilog2(),
    })
}

/// Points in the file of a derived key that `n` points are wanted of.
fn file_size(n: usize) -> usize {
    n.max(SMALLEST_FILE).next_power_of_two()
}

/// The name of a key file. The format version is part of it: another release makes its own.
fn file_name<E: KeyEngine>(which: &str) -> String {
    format!("{}-{which}.v{}.{EXTENSION}", E::CURVE, files::VERSION)
}

/// Creates the directory.
fn create_directory(path: &Path) -> Result<(), KeyError> {
    let error = |source| FileError::Io {
        action: "create",
        path: path.to_path_buf(),
        source,
    };
    Ok(std::fs::create_dir_all(path).map_err(error)?)
}

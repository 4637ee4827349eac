//! Where a program's weights are: in memory, or in the program's file, read one step at a time.
//!
//! # File
//!
//! The container of kind [`Kind::Model`] has the payload
//!
//! | bytes | content |
//! |-------|---------|
//! | 8 | length of the description, little-endian |
//! | length | description: the outline, and entries, bytes an entry and SHA-256 of every table |
//! | rest | the tables, one after the other, signed little-endian |
//!
//! Opening reads the file once and checks the container's digest. Every table is checked against
//! its own digest whenever it is read later, before anything is folded.

use crate::error::Error;
use crate::files::{
    Access, AtomicFile, ContainerReader, ContainerWriter, FileError, FormatError, Kind, NO_CURVE,
    decode_value, encode_value, open,
};
use crate::program::{Outline, Program};
use foldnet_gadgets::step::WeightTable;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The largest model file that is read.
const FILE_LIMIT: u64 = 1 << 40;

/// The largest description that is read.
const DESCRIPTION_LIMIT: u64 = 1 << 28;

/// Bytes of the container before its payload.
const HEADER_BYTES: u64 = 52;

/// The weight tables of a program.
#[derive(Clone, Debug)]
pub(crate) enum WeightStore {
    /// All in memory, one a step.
    Memory(Vec<WeightTable>),
    /// In the program's file.
    File {
        /// The file.
        path: PathBuf,
        /// Where each table starts, and what it is.
        tables: Vec<(u64, Table)>,
        /// SHA-256 of the description, which holds the digest of every table.
        digest: [u8; 32],
    },
}

/// One table in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Table {
    entries: u64,
    bytes_per_entry: u8,
    digest: [u8; 32],
}

impl Table {
    fn of(encoded: &[u8], bytes_per_entry: u8) -> Self {
        let entries = encoded.len() as u64 / u64::from(bytes_per_entry.max(1));
        Table {
            entries,
            bytes_per_entry,
            digest: Sha256::digest(encoded).into(),
        }
    }

    /// Bytes in the file; `None` for a table that no program has.
    fn bytes(&self, variables: usize) -> Option<u64> {
        let width = matches!(self.bytes_per_entry, 2 | 4 | 8);
        let fits = variables < 48 && self.entries <= 1 << variables;
        (width && fits).then(|| self.entries * u64::from(self.bytes_per_entry))
    }

    fn decode(&self, bytes: &[u8], variables: usize) -> Option<WeightTable> {
        let width = usize::from(self.bytes_per_entry);
        let entries = bytes.chunks_exact(width.max(1)).map(|chunk| {
            let negative = chunk.last().is_some_and(|byte| byte & 0x80 != 0);
            let mut extended = if negative { [0xff; 8] } else { [0; 8] };
            for (target, source) in extended.iter_mut().zip(chunk) {
                *target = *source;
            }
            i64::from_le_bytes(extended)
        });
        WeightTable::new(entries.collect(), variables)
    }
}

/// The encoding of a table with the least of 2, 4 and 8 bytes an entry.
fn encode(table: &WeightTable) -> (Vec<u8>, u8) {
    let entries = table.entries();
    let within = |low: i64, high: i64| entries.iter().all(|entry| (low..=high).contains(entry));
    let width: u8 = if within(i16::MIN.into(), i16::MAX.into()) {
        2
    } else if within(i32::MIN.into(), i32::MAX.into()) {
        4
    } else {
        8
    };
    let mut bytes = Vec::with_capacity(entries.len() * usize::from(width));
    for entry in entries {
        bytes.extend(entry.to_le_bytes().iter().take(usize::from(width)));
    }
    (bytes, width)
}

/// What a model file says before the tables.
#[derive(Serialize, Deserialize)]
struct Description {
    outline: Outline,
    tables: Vec<Table>,
}

impl WeightStore {
    /// What identifies the outline and all weights of a file: later reads check tables against it.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        match self {
            WeightStore::Memory(_) => None,
            WeightStore::File { digest, .. } => Some(*digest),
        }
    }

    /// The table of a step.
    pub(crate) fn load(&self, step: usize, variables: usize) -> Result<WeightTable, Error> {
        let unknown = || Error::Program("a program has no such step");
        match self {
            WeightStore::Memory(tables) => tables.get(step).cloned().ok_or_else(unknown),
            WeightStore::File { path, tables, .. } => {
                let (offset, table) = tables.get(step).ok_or_else(unknown)?;
                read_table(path, *offset, table, variables)
            }
        }
    }
}

fn read_table(
    path: &Path,
    offset: u64,
    table: &Table,
    variables: usize,
) -> Result<WeightTable, Error> {
    let failed = |source| Error::File(FileError::format(path)(source));
    let damaged = |reason: &str| {
        failed(FormatError::Payload {
            reason: reason.into(),
        })
    };
    let length = table
        .bytes(variables)
        .ok_or_else(|| damaged("a weight table is too large"))?;
    let mut bytes = Vec::new();
    let mut read = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        file.take(length).read_to_end(&mut bytes)
    };
    read().map_err(|source| failed(FormatError::Io(source)))?;
    if bytes.len() as u64 != length || <[u8; 32]>::from(Sha256::digest(&bytes)) != table.digest {
        return Err(damaged("a weight table does not have its digest"));
    }
    table
        .decode(&bytes, variables)
        .ok_or_else(|| damaged("a weight table is too large"))
}

impl Program {
    /// Writes the program, weights included, atomically. Readable by the owner only: whether the
    /// model is private is not the writer's to know.
    ///
    /// # Errors
    /// [`Error::File`] when writing fails; then nothing is left at `path`.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let steps = self.outline().steps.len();
        let mut tables = Vec::with_capacity(steps);
        let mut total = 0;
        for step in 0..steps {
            let (bytes, width) = encode(&self.weights(step)?);
            total += bytes.len() as u64;
            tables.push(Table::of(&bytes, width));
        }
        let outline = self.outline().clone();
        let description =
            encode_value(&Description { outline, tables }).map_err(FileError::format(path))?;
        let length = description.len() as u64;
        let file = AtomicFile::create(path, Access::Private)?;
        let payload = 8 + length + total;
        let failed = || FileError::format(path);
        let mut writer =
            ContainerWriter::new(file, Kind::Model, NO_CURVE, payload).map_err(failed())?;
        writer.write(&length.to_le_bytes()).map_err(failed())?;
        writer.write(&description).map_err(failed())?;
        for step in 0..steps {
            writer
                .write(&encode(&self.weights(step)?).0)
                .map_err(failed())?;
        }
        Ok(writer.finish().map_err(failed())?.commit()?)
    }

    /// Opens a program's file; weights stay on disk.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is foreign, truncated or damaged; [`Error::Layer`] for a
    /// kind that is not valid; [`Error::Program`] when the parts contradict each other.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = read_description(open(path)?).map_err(FileError::format(path))?;
        let (length, digest) = (bytes.len() as u64, Sha256::digest(&bytes).into());
        let description = decode_value(&bytes).map_err(FileError::format(path))?;
        let Description { outline, tables } = description;
        outline.check()?;
        if outline.steps.len() != tables.len() {
            return Err(Error::Program("it has not one weight table a step"));
        }
        let mut offset = HEADER_BYTES + 8 + length;
        let mut placed = Vec::with_capacity(tables.len());
        for table in tables {
            let bytes = table.bytes(outline.weight_variables).ok_or(Error::Program(
                "a weight table is larger than its polynomial",
            ))?;
            placed.push((offset, table));
            offset = offset.saturating_add(bytes);
        }
        let store = WeightStore::File {
            path: path.to_path_buf(),
            tables: placed,
            digest,
        };
        Ok(Program::from_parts(outline, store))
    }
}

/// Reads the whole file, checks its digest, and returns the description.
fn read_description(input: impl Read) -> Result<Vec<u8>, FormatError> {
    let mut reader = ContainerReader::new(input, Kind::Model, NO_CURVE, FILE_LIMIT)?;
    let mut prefix = [0; 8];
    reader.read(&mut prefix)?;
    let length = u64::from_le_bytes(prefix);
    if length > reader.left().min(DESCRIPTION_LIMIT) {
        let reason = format!("a description of {length} bytes does not fit");
        return Err(FormatError::Payload { reason });
    }
    let mut description = vec![0; length as usize];
    reader.read(&mut description)?;
    reader.skip(reader.left())?;
    reader.finish()?;
    Ok(description)
}

//! Files that are there whole or not at all.

use super::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file under a temporary name in the same folder, syncs it, and renames it to `path`.
///
/// When `write` fails, or the disk is full, an existing file at `path` stays as it was and the
/// temporary file is removed; a kill leaves at most the temporary file, whose name ends in
/// `.tmp`.
///
/// # Errors
/// [`Error::Io`], or the error of `write`.
pub fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let temporary = temporary_name(path);
    let written = write_synced(&temporary, write)
        .and_then(|()| fs::rename(&temporary, path).map_err(Error::io("renaming a finished file")));
    if written.is_err() {
        // The first error is the one to report; the file may not even exist.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    sync_folder(path)
}

fn write_synced(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let file = File::create(path).map_err(Error::io("creating a temporary file"))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    write(&mut writer)?;
    let file = writer
        .into_inner()
        .map_err(|error| error.into_error())
        .map_err(Error::io("writing a file"))?;
    file.sync_all().map_err(Error::io("syncing a file"))
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Makes the rename itself durable.
fn sync_folder(path: &Path) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io("syncing a folder"))
}

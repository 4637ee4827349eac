//! Files that are there whole or not at all.

use super::Error;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
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
    let (file, temporary) =
        create_temporary(path).map_err(Error::io("creating a temporary file"))?;
    let written = write_synced(file, write)
        .and_then(|()| fs::rename(&temporary, path).map_err(Error::io("renaming a finished file")));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    sync_folder(path);
    Ok(())
}

fn write_synced(
    file: File,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    write(&mut writer)?;
    writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .map_err(Error::io("writing a file"))
}

/// Creates a new hidden file beside `path`. The file must not exist, so that two writers never
/// share one.
fn create_temporary(path: &Path) -> io::Result<(File, PathBuf)> {
    let name = path
        .file_name()
        .ok_or(io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut attempt = 0u64;
    loop {
        let temporary = path.with_file_name(temporary_name(name, attempt));
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary);
        match created {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
            created => return created.map(|file| (file, temporary)),
        }
    }
}

fn temporary_name(name: &OsStr, attempt: u64) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.{attempt}.tmp", std::process::id()));
    hidden
}

/// Asks for the rename to reach the disk. Not every file system can do this, and the content is
/// safe either way, so failures are ignored.
fn sync_folder(path: &Path) {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

//! Opens and makes files that only this user can read.

use std::{
    error, fmt,
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
};

use crate::store::StoreError;

/// How often a file is opened that another process replaces meanwhile.
const ATTEMPTS: usize = 8;

/// Makes the folder if it is missing, and returns the owner of the files that this process makes in it.
pub(super) fn folder(path: &Path) -> Result<u32, StoreError> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = DirBuilder::new().mode(0o700).create(path);
            match made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700))) {
                // Another process has made it meanwhile.
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => fs::symlink_metadata(path),
            }
        }
        metadata => metadata,
    };
    let metadata = metadata.map_err(|error| failed(path, error))?;
    if !metadata.is_dir() {
        return Err(refused(path, Problem::NoFolder));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(refused(path, Problem::WritableByOthers));
    }
    let owner = own_user(path)?;
    if metadata.uid() != owner {
        return Err(refused(path, Problem::ForeignOwner));
    }
    Ok(owner)
}

/// The standard library does not say which user this process is. A new file does.
fn own_user(folder: &Path) -> Result<u32, StoreError> {
    let name = format!("{}-{:016x}.new", process::id(), fastrand::u64(..));
    let path = folder.join(name);
    let file = create(&path).map_err(|error| failed(&path, error))?;
    let metadata = file.metadata();
    fs::remove_file(&path).map_err(|error| failed(&path, error))?;
    Ok(metadata.map_err(|error| failed(&path, error))?.uid())
}

/// A new file with mode 0600, whatever the umask. It follows no link, and fails if there is anything.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create_new(true).mode(0o600);
    let file = options.open(path)?;
    // The umask may have taken away more.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Opens a file that is there already: `None` if there is none.
pub(super) fn open(path: &Path, owner: u32) -> Result<Option<File>, StoreError> {
    for _ in 0..ATTEMPTS {
        // First without opening it: to open a pipe would wait, and to open a link would follow it.
        let Some(seen) = metadata(path)? else {
            return Ok(None);
        };
        check(path, &seen, owner)?;
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(path, error)),
        };
        let opened = file.metadata().map_err(|error| failed(path, error))?;
        if is_same(&seen, &opened) {
            return Ok(Some(file));
        }
    }
    Err(failed(
        path,
        io::Error::other("it is replaced all the time"),
    ))
}

/// That of the file or link itself: `None` if there is none.
pub(super) fn metadata(path: &Path) -> Result<Option<Metadata>, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

/// Whether both are of one file. While a handle of it is open, no other file gets its number.
pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn check(path: &Path, metadata: &Metadata, owner: u32) -> Result<(), StoreError> {
    let problem = if !metadata.is_file() {
        Problem::NoFile
    } else if metadata.uid() != owner {
        Problem::ForeignOwner
    } else if metadata.mode() & 0o077 != 0 {
        Problem::ReadableByOthers
    } else {
        return Ok(());
    };
    Err(refused(path, problem))
}

/// The operating system has refused a step.
pub(super) fn failed(path: &Path, error: io::Error) -> StoreError {
    StoreError::new(FileError {
        path: path.to_owned(),
        problem: Problem::Failed(error),
    })
}

fn refused(path: &Path, problem: Problem) -> StoreError {
    StoreError::not_private(FileError {
        path: path.to_owned(),
        problem,
    })
}

/// What is wrong with a file or a folder. It has the path, and nothing of the content.
struct FileError {
    path: PathBuf,
    problem: Problem,
}

enum Problem {
    Failed(io::Error),
    NoFolder,
    NoFile,
    ForeignOwner,
    ReadableByOthers,
    WritableByOthers,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        f.write_str(match self.problem {
            Problem::Failed(_) => " cannot be read or written",
            Problem::NoFolder => " is no folder: name the folder itself, and no link to it",
            Problem::NoFile => " is no regular file: find out who has put it there, and remove it",
            Problem::ForeignOwner => {
                " belongs to another user: each user needs a folder of its own"
            }
            Problem::ReadableByOthers => {
                " is open to other users: revoke its session, and remove the file"
            }
            Problem::WritableByOthers => {
                " is a folder that other users may write to: take that right from them"
            }
        })
    }
}

impl fmt::Debug for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match error::Error::source(self) {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl error::Error for FileError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.problem {
            Problem::Failed(error) => Some(error),
            _ => None,
        }
    }
}

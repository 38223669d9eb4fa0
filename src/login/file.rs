//! Reads a secret from a file that somebody else writes. It blocks: call it on a thread for that.

#[cfg(feature = "metrics")]
use std::iter;
use std::{
    error, fmt,
    fs::{self, File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    str,
    time::SystemTime,
};

use zeroize::Zeroizing;

use crate::credential::{InvalidToken, Secret};

/// The longest file, in bytes, with its line break.
const LONGEST: usize = 64 * 1024;

/// How often a file is read that changes meanwhile.
const ATTEMPTS: usize = 3;

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// Device, inode, and the time of the last change of content or metadata. A file that replaces
    /// another in the same second differs in its inode.
    #[cfg(unix)]
    unix: (u64, u64, i64, i64),
}

impl Stamp {
    /// That of the file at the end of all symbolic links; `None` if there is none.
    pub(super) fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::of)
    }

    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            #[cfg(unix)]
            unix: (
                metadata.dev(),
                metadata.ino(),
                metadata.ctime(),
                metadata.ctime_nsec(),
            ),
        }
    }
}

/// What the reading of a file has brought.
pub(super) struct Reading {
    /// The text, without one line break at its end.
    pub(super) secret: Result<Secret, FileError>,
    /// The version that was read, good or not. `None` if another attempt may bring something else.
    pub(super) stamp: Option<Stamp>,
}

pub(super) fn read(path: &Path) -> Reading {
    let (secret, stamp) = match read_and_then(path, || {}) {
        Ok((secret, stamp)) => (secret, Some(stamp)),
        Err(problem) => (Err(problem), None),
    };
    Reading {
        stamp: stamp.filter(|_| !matches!(secret, Err(Problem::Unreadable(_)))),
        secret: secret.map_err(|problem| FileError::new(path, problem)),
    }
}

type Version = (Result<Secret, Problem>, Stamp);

/// Calls `then` after each reading, before the file is compared with what it was.
fn read_and_then(path: &Path, mut then: impl FnMut()) -> Result<Version, Problem> {
    for _ in 0..ATTEMPTS {
        // To open a pipe would wait for its writer.
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Ok((Err(Problem::NoFile), Stamp::of(&metadata)));
        }
        // If a link is swapped now, this handle still has one version as a whole.
        let mut file = File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let text = text(&mut file);
        then();
        // Half of a text may have any problem.
        if Stamp::of(&file.metadata()?) == stamp {
            return Ok((text, stamp));
        }
    }
    Err(Problem::Changing)
}

fn text(file: &mut File) -> Result<Secret, Problem> {
    // One allocation, since a buffer that grows leaves a part of the secret in memory.
    let mut buffer = Zeroizing::new(vec![0; LONGEST + 1]);
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    if length > LONGEST {
        return Err(Problem::TooLong);
    }
    let text = str::from_utf8(&buffer[..length]).map_err(|_| Problem::NotText)?;
    let text = text
        .strip_suffix('\n')
        .map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    Ok(text.into())
}

/// Why a file has no secret for a login. It has the path, and nothing of the content.
pub(super) struct FileError {
    path: PathBuf,
    problem: Problem,
}

pub(super) enum Problem {
    Unreadable(io::Error),
    NoFile,
    Changing,
    TooLong,
    NotText,
    Empty,
    NoToken(InvalidToken),
    HalfOfAJwt,
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

impl FileError {
    pub(super) fn new(path: &Path, problem: Problem) -> Self {
        Self {
            path: path.to_owned(),
            problem,
        }
    }

    pub(super) fn kind(&self) -> io::ErrorKind {
        match &self.problem {
            Problem::Unreadable(error) => error.kind(),
            _ => io::ErrorKind::InvalidData,
        }
    }
}

/// The word of the first error of a file in the chain, for the label `error.type` of a metric.
#[cfg(feature = "metrics")]
pub(super) fn error_type(error: &(dyn error::Error + 'static)) -> Option<&'static str> {
    let in_one = |error: &(dyn error::Error + 'static)| {
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let in_io_error = wrapped.and_then(|it| it.downcast_ref::<FileError>());
        let found = error.downcast_ref::<FileError>().or(in_io_error)?;
        Some(found.problem.error_type())
    };
    iter::successors(Some(error), |error| error.source()).find_map(in_one)
}

#[cfg(feature = "metrics")]
impl Problem {
    fn error_type(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "file_unreadable",
            Self::NoFile => "file_irregular",
            Self::Changing => "file_changing",
            Self::TooLong => "file_too_long",
            Self::NotText => "file_not_utf8",
            Self::Empty => "file_empty",
            Self::NoToken(_) => "file_without_token",
            Self::HalfOfAJwt => "file_with_half_a_jwt",
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the file {}", self.path.display())?;
        f.write_str(match &self.problem {
            Problem::Unreadable(_) => {
                " cannot be read: check that it is there, and that this process may read it"
            }
            Problem::NoFile => " is no regular file: name the file itself",
            Problem::Changing => {
                " changes while it is read: its writer should replace it by a rename"
            }
            Problem::TooLong => " is longer than 64 KiB: check that it holds only the secret",
            Problem::NotText => " is not UTF-8: check that it holds only the secret, as text",
            Problem::Empty => " is empty: check what writes it",
            Problem::NoToken(_) => {
                " does not hold a token: it must hold one token and at most one line break"
            }
            Problem::HalfOfAJwt => {
                " holds a part of a JSON Web Token: its writer should replace it by a rename"
            }
        })
    }
}

impl fmt::Debug for FileError {
    /// `Display` and the source: `fn main` prints a returned error by `Debug`.
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
            Problem::Unreadable(error) => Some(error),
            Problem::NoToken(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

//! A login's secret in a file.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::file;
use crate::{
    credential::Secret,
    runtime::sync::{AsyncMutex, task},
};

/// A login's secret in a file that somebody else writes: a mounted password, a client secret that rotates,
/// or a projected token that is exchanged for another.
///
/// Read it in the function that makes the login's body: so each login reads it anew. For a file that holds
/// the API's token itself, use [`TokenFile`](crate::TokenFile).
///
/// Clones share the path. `Debug` shows it; the secret is not kept.
///
/// # Examples
///
/// ```
/// use tower_bearer::{CachedProvider, Credential, SecretFile, login_fn};
/// # async fn log_in(password: &str) -> Result<String, std::io::Error> { Ok(password.to_owned()) }
///
/// # let path = std::env::temp_dir().join(format!("tower-bearer-secret-{}", std::process::id()));
/// # std::fs::write(&path, "abc\n")?;
/// # let file = path.clone();
/// let password = SecretFile::new(path); // "/etc/secrets/password"
/// let login = login_fn(move |_request| {
///     let password = password.read();
///     async { Ok(Credential::new(log_in(password.await?.expose()).await?)?) }
/// });
/// let provider = CachedProvider::new(login);
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # assert_eq!(runtime.block_on(provider.acquire())?.value(), "Bearer abc");
/// # std::fs::remove_file(file)?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
///
/// The guide's page on [files](crate::guide::files) has a JSON body, Basic authentication and assertions.
#[derive(Clone, Debug)]
pub struct SecretFile {
    path: Arc<Path>,
    /// Locked while the file is read, so that a file system that hangs blocks one thread and not more.
    turn: Arc<AsyncMutex<()>>,
}

impl SecretFile {
    /// The secret in the file of this path. The file need not be there before it is read.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
            turn: Arc::default(),
        }
    }

    /// Reads the secret, on a thread that may block. One line break at its end is removed; further ones
    /// belong to the secret. A file that changes while it is read is read again.
    ///
    /// The buffers are wiped.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] with the path, and with nothing of the content: if the file cannot be read, is no
    /// regular file, is empty, is longer than 64 KiB, is not UTF-8, or keeps changing.
    ///
    /// # Panics
    ///
    /// Panics if polled without a Tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// A reading that has begun ends by itself, and its result is wiped.
    pub fn read(&self) -> impl Future<Output = io::Result<Secret>> + Send + use<> {
        let Self { path, turn } = self.clone();
        async move {
            let turn = turn.lock_owned().await;
            let read = task::spawn_blocking(move || {
                let read = file::read(&path).secret;
                drop(turn);
                read
            });
            read.await?
                .map_err(|error| io::Error::new(error.kind(), error))
        }
    }
}

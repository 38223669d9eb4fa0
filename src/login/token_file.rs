//! The login that reads a token from a file.

use std::{
    fmt,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use super::{
    Login, LoginRequest, Session,
    file::{self, FileError, Problem, Stamp},
    jwt,
};
use crate::{
    credential::{Credential, InvalidToken, Scheme, Secret, Token},
    error::BoxError,
    runtime::sync::{AsyncMutex, task, time},
};

/// The time between two looks at the file's metadata.
const PAUSE: Duration = Duration::from_secs(10);

/// A token in a file that somebody else writes: a projected service account token of Kubernetes, or one
/// from an agent of a vault.
///
/// Pass it to a [`CachedProvider`](crate::CachedProvider). The login reads the file.
///
/// | the file | what happens |
/// | --- | --- |
/// | has changed: its time, length or inode | it is read within 10 s, while requests use the previous token |
/// | is missing, empty or unreadable, or holds no valid token | the last good token stays in use, and a [`LoginFailed`](crate::CredentialEvent::LoginFailed) says why |
/// | holds a part of a JSON Web Token | the same |
/// | changes while it is read | it is read again |
/// | holds another token than the one that was rejected | it is read at once, and the request may be replayed |
/// | still holds the token that was rejected | it counts as a login that [did not help](crate::CachedProvider#rejections): a replay carries the same token, the caller gets the rejection, and the next reading waits for a pause |
///
/// - A symbolic link is followed at each look, so Kubernetes' swap of `..data` counts as a change.
/// - One line break at the end is removed. The file may have 64 KiB.
/// - If the token is a JSON Web Token, its expiry is the `exp`. The token is not verified. The file is
///   also read before that expiry. If it then holds the same token, that is used on, and the server decides.
/// - If the token is none, it is used until another is in the file, or until it is rejected.
/// - The session is [`Concurrent`](Session::Concurrent): reading a file revokes nothing.
///
/// All of it happens off the request path: on threads that may block, one at a time. From the first login
/// on, a task looks at the metadata every 10 seconds, also while no request is sent. It ends with the last
/// handle of the provider, or with its runtime. In the latter case the next login starts it again: at the
/// expiry, or after a rejection.
///
/// # Examples
///
/// ```
/// use tower_bearer::{BearerAuthLayer, CachedProvider, Origins, TokenFile};
///
/// # let path = std::env::temp_dir().join(format!("tower-bearer-token-{}", std::process::id()));
/// # std::fs::write(&path, "abc\n")?;
/// # let file = path.clone();
/// // path: "/var/run/secrets/tokens/api-token"
/// let provider = CachedProvider::new(TokenFile::new(path));
/// let layer = BearerAuthLayer::new(provider, Origins::new("https://api.example.com")?);
/// # let http = tower::service_fn(|request: http::Request<()>| async move {
/// #     assert_eq!(request.headers()["authorization"], "Bearer abc");
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(()))
/// # });
/// # use tower::ServiceExt;
/// # let request = http::Request::get("https://api.example.com/").body(()).unwrap();
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(tower::Layer::layer(&layer, http).oneshot(request))?;
/// # std::fs::remove_file(file)?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
///
/// Give each provider a `TokenFile` of its own: one that two providers share shows a change to one of them.
///
/// Policy, events and clock are those of [`CachedProvider::builder`](crate::CachedProvider::builder). To
/// read a secret for a login, use [`SecretFile`](crate::SecretFile).
pub struct TokenFile {
    path: Arc<Path>,
    check: fn(Secret) -> Result<Token, InvalidToken>,
    scheme: Scheme,
    /// Locked while the file is read or looked at, so that a file system that hangs blocks one thread and
    /// not more.
    last: Arc<AsyncMutex<Last>>,
}

#[derive(Default)]
struct Last {
    /// The version that was read, good or not.
    stamp: Option<Stamp>,
    /// The last good token.
    token: Option<Token>,
}

impl TokenFile {
    /// The token in the file of this path. The file is read for the first request, and need not be there
    /// before.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
            check: Token::new,
            scheme: Scheme::BEARER,
            last: Arc::default(),
        }
    }

    /// Accepts any token of visible ASCII characters, as [`Token::visible_ascii`] does. By default, a token
    /// must have the syntax of [`Token::new`].
    #[must_use]
    pub fn any_visible_ascii(self) -> Self {
        Self {
            check: Token::visible_ascii,
            ..self
        }
    }

    /// Sets the word before the token. Defaults to `Bearer`.
    #[must_use]
    pub fn with_scheme(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }

    /// The token of a text, if it may replace the last one.
    fn token(&self, text: Secret, last: Option<&Token>) -> Result<Token, Problem> {
        let token = (self.check)(text).map_err(Problem::NoToken)?;
        let is_jwt = |token: &Token| jwt::is_whole(token.expose());
        let begins_as_jwt = match token.expose().split_once('.') {
            Some((header, _)) => jwt::is_header(header),
            // Base64url of `{"`. Some opaque tokens begin so as well.
            None => token.expose().starts_with("eyJ") && last.is_some_and(is_jwt),
        };
        if begins_as_jwt && !is_jwt(&token) {
            return Err(Problem::HalfOfAJwt);
        }
        Ok(token)
    }
}

impl Login for TokenFile {
    async fn login(&self, _request: LoginRequest) -> Result<Credential, BoxError> {
        let last = Arc::clone(&self.last).lock_owned().await;
        let path = Arc::clone(&self.path);
        // The lock goes along: if this login is given up, the next one waits for the end of the reading.
        let read = task::spawn_blocking(move || (file::read(&path), last));
        let (read, mut last) = read.await?;
        last.stamp = read.stamp;
        let token = self.token(read.secret?, last.token.as_ref());
        let token = token.map_err(|problem| FileError::new(&self.path, problem))?;
        let expires_at = jwt::expires_at(token.expose());
        last.token = Some(token.clone());
        let credential = Credential::from(token).with_scheme(self.scheme);
        Ok(match expires_at {
            Some(expires_at) => credential.with_expires_at(expires_at),
            None => credential,
        })
    }

    fn endpoint(&self) -> Option<String> {
        Some(self.path.display().to_string())
    }

    fn session(&self) -> Session {
        Session::Concurrent
    }

    fn changed(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let (path, last) = (Arc::clone(&self.path), Arc::clone(&self.last));
        // Now, since several providers may share the login. If the file system hangs, the version that
        // was read is unknown, and the next look counts as a change.
        let read = last.try_lock().ok().and_then(|last| last.stamp);
        Some(Box::pin(async move {
            loop {
                time::sleep(PAUSE).await;
                let turn = Arc::clone(&last).lock_owned().await;
                let path = Arc::clone(&path);
                let look = task::spawn_blocking(move || {
                    let is_new = Stamp::at(&path) != read;
                    drop(turn);
                    is_new
                });
                match look.await {
                    Ok(false) => {}
                    // Without an answer the runtime is shutting down.
                    Ok(true) | Err(_) => break,
                }
            }
        }))
    }
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile")
            .field("path", &self.path)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

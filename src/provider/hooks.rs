//! The hooks that see secrets: to store, to journal and to revoke credentials.

use std::pin::Pin;

use crate::{
    credential::{Credential, RefreshToken},
    error::BoxError,
    runtime::catch,
};

/// A credential that a provider no longer uses, for its revocation.
///
/// It may lack its token: after a sign-out, a refresh token can be left alone.
///
/// # Examples
///
/// A server limits the number of sessions, so each one is ended by hand ([RFC 7009]). The hook must
/// not block, so another task revokes:
///
/// ```
/// use tokio::sync::mpsc;
/// use tower_bearer::{CachedProvider, Credential, Retirement, login_fn};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let (sender, mut retired) = mpsc::unbounded_channel();
/// let provider = CachedProvider::builder(login_fn(async |_| {
///     Ok(Credential::new("abc")?.with_refresh_token("dff78899"))
/// }))
/// .on_retired(move |retired| {
///     let _ = sender.send(retired);
/// })
/// .build();
/// provider.acquire().await?;
/// provider.sign_out();
///
/// // In the other task:
/// let retired = retired.recv().await.expect("a credential was in use");
/// assert_eq!(retired.reason(), Retirement::SignedOut);
/// if let Some(refresh_token) = retired.refresh_token() {
///     assert_eq!(refresh_token.expose(), "dff78899"); // POST /revoke: the token goes with it
/// }
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
///
/// [RFC 7009]: https://www.rfc-editor.org/rfc/rfc7009#section-2.1
#[derive(Clone, Debug)]
pub struct Retired {
    credential: Option<Credential>,
    refresh_token: Option<RefreshToken>,
    reason: Retirement,
}

impl Retired {
    /// `None` if nothing is left to revoke.
    pub(super) fn new(
        credential: Option<Credential>,
        refresh_token: Option<RefreshToken>,
        reason: Retirement,
    ) -> Option<Self> {
        let has_secret = credential.is_some() || refresh_token.is_some();
        has_secret.then_some(Self {
            credential,
            refresh_token,
            reason,
        })
    }

    /// The credential, without its refresh token.
    #[must_use]
    pub fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// A refresh token that is unspent, and that the provider no longer has.
    ///
    /// `None` if the provider goes on with the refresh token, or has spent it.
    #[must_use]
    pub fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    /// Why it is no longer used.
    #[must_use]
    pub fn reason(&self) -> Retirement {
        self.reason
    }
}

/// Why a provider no longer uses a credential: an example is at [`Retired`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retirement {
    /// Another credential has replaced it, or a [`reset`](crate::CachedProvider::reset) has dropped it.
    Replaced,
    /// A [sign-out](crate::CachedProvider::sign_out) has dropped it, perhaps before its first use.
    SignedOut,
}

type Hook<T> = Box<dyn Fn(&T) + Send + Sync>;
type BeforeRefresh = Box<dyn Fn(RefreshToken) -> WriteAhead + Send + Sync>;
type WriteAhead = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

#[derive(Default)]
pub(super) struct Hooks {
    pub(super) on_credential: Option<Hook<Credential>>,
    pub(super) before_refresh: Option<BeforeRefresh>,
    pub(super) on_unspent: Option<Hook<RefreshToken>>,
    pub(super) on_retired: Option<Box<dyn Fn(Retired) + Send + Sync>>,
}

impl Hooks {
    pub(super) fn credential(&self, credential: &Credential) {
        if let Some(hook) = &self.on_credential {
            // A hook's panic stays away from requests and logins.
            let _ = catch(|| hook(credential));
        }
    }

    pub(super) fn unspent(&self, refresh_token: &RefreshToken) {
        if let Some(hook) = &self.on_unspent {
            let _ = catch(|| hook(refresh_token));
        }
    }

    /// Whether retired credentials are wanted. Otherwise none are kept.
    pub(super) fn wants_retired(&self) -> bool {
        self.on_retired.is_some()
    }

    pub(super) fn retired(&self, retired: Option<Retired>) {
        if let (Some(hook), Some(retired)) = (&self.on_retired, retired) {
            let _ = catch(|| hook(retired));
        }
    }
}

//! A test kit for users of the crate: a scripted login, a scripted provider, and a manual clock.
//!
//! The crate's own tests use it. It needs the feature `test-util`.
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::{CachedProvider, test_util::{ScriptedLogin, TestClock}};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let login = ScriptedLogin::new().with_lifetime(Duration::from_secs(3600));
//! let clock = TestClock::new();
//! let provider = CachedProvider::builder(login.clone())
//!     .clock(clock.clone())
//!     .random(|| 1.0) // each pause has its maximal length
//!     .build();
//!
//! assert_eq!(provider.acquire().await?.value(), "Bearer token-1");
//! clock.advance(Duration::from_secs(3600));
//! login.fail("down for maintenance");
//! assert!(provider.acquire().await.is_err());
//! login.recover();
//! clock.advance(Duration::from_secs(1));
//! assert_eq!(provider.acquire().await?.value(), "Bearer token-3");
//! login.assert_logins(3);
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```

mod clock;
mod login;
mod provider;
#[cfg(feature = "store")]
mod store;

#[cfg(feature = "store")]
pub use self::store::store_conformance;
pub use self::{clock::TestClock, login::ScriptedLogin, provider::ScriptedProvider};

//! The scripts, and one run of them.

use std::fmt;

use zeroize::Zeroizing;

pub(super) const READ: &str = concat!(include_str!("current.lua"), include_str!("read.lua"));
pub(super) const LOCK: &str = include_str!("lock.lua");
pub(super) const PUBLISH: &str = concat!(include_str!("current.lua"), include_str!("publish.lua"));
pub(super) const REMOVE: &str = include_str!("remove.lua");
pub(super) const UNLOCK: &str = include_str!("unlock.lua");

/// A script of a [`RedisStore`](super::RedisStore), with its keys and arguments: what `EVALSHA` and `EVAL` take.
///
/// The arguments hold secrets. `Debug` hides them, and their memory is wiped when it is dropped.
///
/// # Examples
///
/// A function that prints what it is asked for:
///
/// ```
/// use tower_bearer::store::{CredentialStore, RecordKey, RedisScript, RedisStore};
///
/// let store = RedisStore::new(|script: RedisScript| async move {
///     println!("{:?} and {} arguments", script.keys(), script.arguments().count());
///     Err("there is no Redis here".into())
/// });
/// # tokio_test::block_on(async {
/// let key = RecordKey::new("https://issuer.example", "user-7", "");
/// assert!(store.read(key).await.is_err());
/// # });
/// ```
pub struct RedisScript {
    pub(super) text: &'static str,
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<Zeroizing<Vec<u8>>>,
}

impl RedisScript {
    /// The text, in Lua. There are five, which never change while the program runs.
    #[must_use]
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// The keys, all in one hash slot.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The arguments, for the one place that sends them.
    #[must_use]
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.arguments.iter().map(|argument| argument.as_slice())
    }
}

impl fmt::Debug for RedisScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisScript")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

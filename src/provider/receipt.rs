//! The receipt of a request, the report of its rejection, and the provider's verdict.

use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request, StatusCode};

use crate::credential::Generation;

/// The generation, the target and the account that a request was sent with.
///
/// The layer makes a receipt for each request that it authorizes, and reports the response to the
/// provider with it. A caller gets it from [`PerRequest::receipt`](crate::PerRequest::receipt).
///
/// The target is a 32-bit fingerprint of method and path, without the query:
///
/// - the whole path up to 64 bytes; of a longer path the length, the first 32 and the last 32 bytes
/// - the whole method up to 8 bytes; of a longer method the length, the first 4 and the last 4 bytes
///
/// Two targets may have the same fingerprint, by chance or by intent. Use it as a hint, never as a
/// key.
///
/// # Examples
///
/// A request that is sent without the layer, and its rejection:
///
/// ```
/// use http::Method;
/// use tower_bearer::{CachedProvider, Credential, Reason, Receipt, Rejected, login_fn};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let provider = CachedProvider::new(login_fn(async |_| Ok(Credential::new("abc")?)));
/// let authorization = provider.acquire().await?;
/// // ... send a request with `authorization.value()`: the server answers 401 ...
/// let (generation, account) = (authorization.generation(), authorization.account());
/// let receipt = Receipt::new(generation, account, &Method::GET, "/things");
/// let verdict = provider.reject(&Rejected::by_hand(receipt));
/// assert!(verdict.is_log_in()); // sending the request again may help
/// assert_eq!(verdict.reason(), Reason::Current);
/// assert!(provider.current().is_none()); // the next request logs in
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    generation: Generation,
    target: u32,
    account: u32,
}

impl Receipt {
    /// Creates the receipt of a request that is sent without the layer.
    ///
    /// Generation and account are those of its [`Authorization`](crate::Authorization). The path must
    /// not contain the query.
    #[must_use]
    #[inline(always)]
    pub fn new(generation: Generation, account: u32, method: &Method, path: &str) -> Self {
        Self {
            generation,
            target: fingerprint(method, path.as_bytes()),
            account,
        }
    }

    #[inline(always)]
    pub(crate) fn of<B>(generation: Generation, account: u32, request: &Request<B>) -> Self {
        Self::new(generation, account, request.method(), request.uri().path())
    }

    /// The generation of the credential.
    #[must_use]
    pub fn generation(self) -> Generation {
        self.generation
    }

    /// The fingerprint of the request's method and path.
    #[must_use]
    pub fn target(self) -> u32 {
        self.target
    }

    /// The number of the account: see
    /// [`Authorization::with_account`](crate::Authorization::with_account).
    #[must_use]
    pub fn account(self) -> u32 {
        self.account
    }
}

/// The report of a rejection to a provider: an example is at [`Receipt`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rejected<'a> {
    /// The receipt of the request.
    pub receipt: Receipt,
    /// The status of the response; `None` for a manual rejection.
    pub status: Option<StatusCode>,
    /// The headers of the response; `None` for a manual rejection.
    pub headers: Option<&'a HeaderMap>,
}

impl<'a> Rejected<'a> {
    /// Reports a rejection that only the caller can see, in a body or in trailers.
    #[must_use]
    pub fn by_hand(receipt: Receipt) -> Self {
        Self {
            receipt,
            status: None,
            headers: None,
        }
    }

    pub(crate) fn by_response(
        receipt: Receipt,
        status: StatusCode,
        headers: &'a HeaderMap,
    ) -> Self {
        Self {
            receipt,
            status: Some(status),
            headers: Some(headers),
        }
    }
}

/// The decision of a provider after a rejection: log in, or keep the credential.
///
/// # Examples
///
/// A provider of your own makes it:
///
/// ```
/// use std::time::{Duration, Instant};
/// use tower_bearer::{Reason, Verdict};
///
/// let replaced = Verdict::new(Reason::Late);
/// assert!(replaced.is_log_in());
/// let in_a_minute = Instant::now() + Duration::from_secs(60);
/// let pause = Verdict::new(Reason::BackingOff).with_next_login(in_a_minute);
/// assert!(!pause.is_log_in());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    reason: Reason,
    age: Option<Duration>,
    next_login: Option<Instant>,
}

/// The reason for a [`Verdict`], which has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Log in: the credential was the current one. It is no longer used.
    Current,
    /// Log in: the credential was already out of use. `acquire_for` waits for the login that replaces
    /// it, or returns the newer credential.
    Late,
    /// Keep: the last login did not help this target. The next one may be made later.
    LoginDidNotHelp,
    /// Keep: the target is rejected for the first time, and the last logins for such targets did not
    /// help. The next one may be made later.
    LoginsDidNotHelp,
    /// Keep: tokens are revoked within seconds of each login; another client may be using the
    /// account. The next login may be made later.
    RevokedQuickly,
    /// Keep: the last login failed. The next one may be made later.
    BackingOff,
    /// Keep: the provider has no other authorization, since its token never changes.
    Fixed,
    /// Keep: the generation belongs to another provider, or is too old to be remembered.
    Unknown,
}

impl Verdict {
    /// Creates a verdict for this reason, without an age and without a time of the next login.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            age: None,
            next_login: None,
        }
    }

    /// Sets the age of the rejected generation.
    #[must_use]
    pub fn with_age(self, age: Duration) -> Self {
        let age = Some(age);
        Self { age, ..self }
    }

    /// Sets the earliest time of the next login.
    #[must_use]
    pub fn with_next_login(self, next_login: Instant) -> Self {
        let next_login = Some(next_login);
        Self { next_login, ..self }
    }

    /// Whether `acquire_for` can return another generation. If so, the layer replays the request, if it
    /// can.
    #[must_use]
    pub fn is_log_in(self) -> bool {
        matches!(self.reason, Reason::Current | Reason::Late)
    }

    /// The reason.
    #[must_use]
    pub fn reason(self) -> Reason {
        self.reason
    }

    /// The age of the rejected generation; `None` if the provider does not know it.
    #[must_use]
    pub fn age(self) -> Option<Duration> {
        self.age
    }

    /// The earliest time of the next login, by the provider's clock. `None` if a login may be made
    /// now, or if the provider does not know.
    #[must_use]
    pub fn next_login(self) -> Option<Instant> {
        self.next_login
    }
}

/// Odd constants without a pattern: the fractional digits of pi.
const KEYS: [u64; 3] = [
    0x2439_6a88_85a3_08d3,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
];

/// Paths up to this length are hashed as a whole.
const WHOLE: usize = 64;
const HALF: usize = WHOLE / 2;

/// A hash of method and path. It is not cryptographic, since each request pays for it.
#[inline(always)]
fn fingerprint(method: &Method, path: &[u8]) -> u32 {
    let (method, length) = match *method {
        // No conversion to a string for the most frequent methods.
        Method::GET => (0, 0),
        Method::POST => (1, 0),
        _ => {
            let method = method.as_str().as_bytes();
            // Shifted above the length of any path.
            (word(method), (method.len() as u64) << 32)
        }
    };
    let mut hash = mix(method ^ KEYS[0], path.len() as u64 ^ length ^ KEYS[1]);
    if path.len() <= WHOLE {
        hash = of_bytes(hash, path);
    } else {
        hash = of_bytes(hash, &path[..HALF]);
        hash = of_bytes(hash, &path[path.len() - HALF..]);
    }
    (hash ^ (hash >> 32)) as u32
}

#[inline]
fn of_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let (pairs, _) = bytes.as_chunks::<16>();
    for pair in pairs {
        hash = with_pair(hash, pair);
    }
    // The last 16 bytes, which may overlap the last pair.
    match bytes.last_chunk() {
        Some(last) => with_pair(hash, last),
        None => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => mix(
                u64::from_le_bytes(*first) ^ KEYS[2],
                u64::from_le_bytes(*last) ^ hash,
            ),
            _ => mix(word(bytes) ^ KEYS[2], hash),
        },
    }
}

#[inline]
fn with_pair(hash: u64, pair: &[u8; 16]) -> u64 {
    let pair = u128::from_le_bytes(*pair);
    mix(pair as u64 ^ KEYS[2], (pair >> 64) as u64 ^ hash)
}

/// Packs up to eight bytes into one word; of more, the first and the last four.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    let of_two = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => of_two(u32::from_le_bytes(*first), u32::from_le_bytes(*last)),
        _ => match bytes {
            [first, .., last] => of_two(
                u32::from(*first) | u32::from(bytes[bytes.len() / 2]) << 8,
                u32::from(*last),
            ),
            [only] => u64::from(*only),
            [] => 0,
        },
    }
}

#[inline]
fn mix(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests;

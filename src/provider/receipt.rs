//! What a request was sent with, and how its rejection is reported and answered.

use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request, StatusCode};

use crate::credential::Generation;

/// Names what one request was sent with: the generation of its credential, its target, and the
/// account.
///
/// The layer makes one for each request that it authorizes, and hands it to the provider with the
/// answer. A caller gets it from [`PerRequest::receipt`](crate::PerRequest::receipt).
///
/// The target is a 32-bit fingerprint of method and path, without the query. It covers the whole
/// path up to 64 bytes; of a longer path the length, the first 32 and the last 32 bytes. It covers
/// the whole method up to 8 bytes; of a longer method the length, the first four and the last four
/// bytes. Two targets may have the same fingerprint, by chance or by intent: use it as a hint, never
/// as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    generation: Generation,
    target: u32,
    account: u32,
}

impl Receipt {
    /// The receipt of a request that is sent without the layer. Generation and account are those of
    /// its [`Authorization`](crate::Authorization); the path has no query.
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

    /// The login that the credential came from.
    #[must_use]
    pub fn generation(self) -> Generation {
        self.generation
    }

    /// The fingerprint of the request's method and path.
    #[must_use]
    pub fn target(self) -> u32 {
        self.target
    }

    /// The account that the credential belongs to: see
    /// [`Authorization::with_account`](crate::Authorization::with_account).
    #[must_use]
    pub fn account(self) -> u32 {
        self.account
    }
}

/// A rejection, as a provider is told of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rejected<'a> {
    /// What the request was sent with.
    pub receipt: Receipt,
    /// The status of the response; `None` where the rejection is reported by hand.
    pub status: Option<StatusCode>,
    /// The headers of the response; `None` where the rejection is reported by hand.
    pub headers: Option<&'a HeaderMap>,
}

impl<'a> Rejected<'a> {
    /// A rejection that only the caller could see, in a body or in trailers.
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

/// What a provider does about a rejection: it logs in, or it keeps the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    reason: Reason,
    age: Option<Duration>,
    next_login: Option<Instant>,
}

/// Why a provider logs in after a rejection, or keeps the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Log in: the credential was the current one, and is out of use now.
    Current,
    /// Log in: the credential was out of use already. Acquiring waits for the login that replaces
    /// it, or finds the newer credential.
    Late,
    /// Keep: the last login did not help this target. The next one may be made later.
    LoginDidNotHelp,
    /// Keep: the last logins for targets that were rejected for the first time did not help. The
    /// next one may be made later.
    LoginsDidNotHelp,
    /// Keep: tokens are revoked within seconds of each login; another client may be using the
    /// account. The next login may be made later.
    RevokedQuickly,
    /// Keep: the last login failed. The next one may be made later.
    BackingOff,
    /// Keep: the provider has no other authorization, as with a token that never changes.
    Fixed,
    /// Keep: the generation is not one of this provider's, or is too old to be remembered.
    Unknown,
}

impl Verdict {
    /// A verdict for this reason, with no age and no time of the next login.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            age: None,
            next_login: None,
        }
    }

    /// Sets how old the rejected generation is.
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

    /// Whether acquiring again can yield another generation: then the layer replays the request, if
    /// it can.
    #[must_use]
    pub fn is_log_in(self) -> bool {
        matches!(self.reason, Reason::Current | Reason::Late)
    }

    /// Why.
    #[must_use]
    pub fn reason(self) -> Reason {
        self.reason
    }

    /// How old the rejected generation is; `None` where the provider does not know.
    #[must_use]
    pub fn age(self) -> Option<Duration> {
        self.age
    }

    /// The earliest time of the next login, by the provider's clock; `None` where one may be made
    /// now, and where the provider does not know.
    #[must_use]
    pub fn next_login(self) -> Option<Instant> {
        self.next_login
    }
}

/// Odd constants with no pattern: the fraction digits of pi.
const KEYS: [u64; 3] = [
    0x2439_6a88_85a3_08d3,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
];

/// Paths up to this length count as a whole.
const WHOLE: usize = 64;
const HALF: usize = WHOLE / 2;

/// 32 bits of method and path. Not a cryptographic hash: each request pays for it.
#[inline(always)]
fn fingerprint(method: &Method, path: &[u8]) -> u32 {
    let (method, length) = match *method {
        // The most frequent ones: they need not become strings.
        Method::GET => (0, 0),
        Method::POST => (1, 0),
        _ => {
            let method = method.as_str().as_bytes();
            // Above the length of any path.
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
    // The end: its bytes may have counted before.
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

/// At most eight bytes, and the first and last four of more, in one word.
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

//! What counts as a rejection: functions for
//! [`BearerAuthLayer::rejected_if`](crate::BearerAuthLayer::rejected_if).
//!
//! A rejection is a server's refusal of the *credential*, which another one may cure. What is
//! refused for lack of permission is none, and APIs differ in how they tell the two apart.
//!
//! ```
//! use http::StatusCode;
//! use tower_bearer::{BearerAuthLayer, Origins, StaticProvider, rejection};
//!
//! let layer = BearerAuthLayer::new(StaticProvider::new("abc")?, Origins::any_https())
//!     .rejected_if(|status, headers| {
//!         rejection::unauthorized(status, headers) || status.as_u16() == 498
//!     });
//! # let _ = layer;
//! # Ok::<_, tower_bearer::InvalidToken>(())
//! ```

use http::{HeaderMap, StatusCode};

use super::challenge;

/// A 401, or `grpc-status: 16` in the headers. The default.
///
/// The default looks for the gRPC status only where the exchange can be gRPC: the answer to a POST
/// over HTTP/2. One that comes in the trailers is seen by nobody but the caller: see
/// [`PerRequest`](crate::PerRequest).
#[must_use]
pub fn unauthorized(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED || is_unauthenticated(headers)
}

/// A 401 or a 403, or `grpc-status: 16` in the headers: for APIs that answer an expired token with
/// 403.
///
/// Elsewhere a 403 means that the credential is good and its owner may not do this
/// ([RFC 9110, section 15.5.4]), which no login cures.
///
/// [RFC 9110, section 15.5.4]: https://www.rfc-editor.org/rfc/rfc9110#section-15.5.4
#[must_use]
pub fn unauthorized_or_forbidden(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::FORBIDDEN || unauthorized(status, headers)
}

/// A 401 with a Bearer challenge that says `error="invalid_token"` ([RFC 6750, section 3.1]), and
/// no other: for APIs that answer 401 for lack of permission as well, and tell the two apart.
///
/// [RFC 6750, section 3.1]: https://www.rfc-editor.org/rfc/rfc6750#section-3.1
#[must_use]
pub fn invalid_token(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED
        && challenge::has_parameter(headers, "Bearer", "error", "invalid_token")
}

/// Whether gRPC says that it does not know the caller (`UNAUTHENTICATED`), in an answer that is
/// trailers alone.
pub(crate) fn is_unauthenticated(headers: &HeaderMap) -> bool {
    headers
        .get("grpc-status")
        .is_some_and(|status| status == "16")
}

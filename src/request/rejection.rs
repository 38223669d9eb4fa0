//! Which responses are rejections: functions for
//! [`BearerAuthLayer::rejected_if`](crate::BearerAuthLayer::rejected_if).
//!
//! A rejection means that the server does not accept the *credential*: a newer one may help. A lack
//! of permission is no rejection. APIs differ in how they signal the two.
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

use crate::login::challenge;

/// A 401, or `grpc-status: 16` in the headers. The default.
///
/// A layer without [`rejected_if`](crate::BearerAuthLayer::rejected_if) looks for the gRPC status only
/// in the response to a POST over HTTP/2. The layer never reads the trailers: to report a status
/// there, see [`PerRequest`](crate::PerRequest).
///
/// # Examples
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use tower_bearer::rejection::unauthorized;
///
/// let mut headers = HeaderMap::new();
/// assert!(unauthorized(StatusCode::UNAUTHORIZED, &headers));
/// assert!(!unauthorized(StatusCode::FORBIDDEN, &headers));
/// headers.insert("grpc-status", "16".parse()?);
/// assert!(unauthorized(StatusCode::OK, &headers));
/// # Ok::<_, http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
pub fn unauthorized(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED || is_unauthenticated(headers)
}

/// A 401, a 403, or `grpc-status: 16` in the headers: for APIs that answer an expired token with
/// 403.
///
/// At other APIs a 403 means that the credential is valid, but its owner lacks the permission
/// ([RFC 9110, section 15.5.4]). A login does not help there.
///
/// [RFC 9110, section 15.5.4]: https://www.rfc-editor.org/rfc/rfc9110#section-15.5.4
///
/// # Examples
///
/// ```
/// use tower_bearer::{BearerAuthLayer, Origins, StaticProvider, rejection};
///
/// let layer = BearerAuthLayer::new(StaticProvider::new("abc")?, Origins::any_https())
///     .rejected_if(rejection::unauthorized_or_forbidden);
/// # let _ = layer;
/// # Ok::<_, tower_bearer::InvalidToken>(())
/// ```
#[must_use]
pub fn unauthorized_or_forbidden(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::FORBIDDEN || unauthorized(status, headers)
}

/// Only a 401 with the Bearer challenge `error="invalid_token"` ([RFC 6750, section 3.1]): for APIs
/// that also answer a lack of permission with 401, but with another challenge.
///
/// [RFC 6750, section 3.1]: https://www.rfc-editor.org/rfc/rfc6750#section-3.1
///
/// # Examples
///
/// ```
/// use http::{HeaderMap, StatusCode, header::WWW_AUTHENTICATE};
/// use tower_bearer::rejection::invalid_token;
///
/// let mut headers = HeaderMap::new();
/// headers.insert(WWW_AUTHENTICATE, r#"Bearer error="insufficient_scope""#.parse()?);
/// assert!(!invalid_token(StatusCode::UNAUTHORIZED, &headers));
/// headers.insert(WWW_AUTHENTICATE, r#"Bearer error="invalid_token""#.parse()?);
/// assert!(invalid_token(StatusCode::UNAUTHORIZED, &headers));
/// # Ok::<_, http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
pub fn invalid_token(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED
        && challenge::has_parameter(headers, "Bearer", "error", "invalid_token")
}

/// Whether the headers have the gRPC status `UNAUTHENTICATED`, as a trailers-only response has it.
pub(crate) fn is_unauthenticated(headers: &HeaderMap) -> bool {
    headers
        .get("grpc-status")
        .is_some_and(|status| status == "16")
}

//! After this page you can say, for any request, whether it carries the token, and keep the token from
//! hosts that must not see it.
//!
//! # The rule
//!
//! [`BearerAuthLayer::new`] takes [`Origins`], and the token goes to those and to no other. An origin
//! is scheme, host and port, compared whole: no subdomain, no prefix, no other port.
//!
//! A request to any other origin goes *bare*: it is sent untouched, without a token and without a
//! login. The layer counts it in [`foreign_requests`]. If a 401 comes back and no login happens, look
//! at that count first: the origins probably differ from the request's scheme, host or port.
//!
//! | request, with the origin `https://api.example.com` | token | why |
//! | --- | --- | --- |
//! | `https://api.example.com/v1` | yes | the same origin |
//! | `https://API.example.com:443/v1` | yes | case does not count, and 443 is the scheme's port |
//! | `http://api.example.com/v1` | no | another scheme |
//! | `https://api.example.com:8443/v1` | no | another port |
//! | `https://www.api.example.com/v1` | no | another host |
//! | `https://api.example.com.evil.net/v1` | no | another host |
//! | `https://api.example.com./v1` | no | a dot at the end makes another host |
//! | `https://user@api.example.com/v1` | no | a URI with user information is never allowed |
//! | `/v1`, no `Host` header | yes | it goes where the client is connected |
//! | `/v1`, `Host: api.example.com` | yes | the header names an origin's host and port |
//! | `/v1`, `Host: evil.net` | no | the header names another |
//! | `https://api.example.com/v1`, `Host: evil.net` | yes | the URI decides, since the client connects there |
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::{BearerAuthLayer, BoxError, Origins, StaticProvider};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! // Answers whether the request carried a token.
//! let echo = tower::service_fn(|request: Request<()>| async move {
//!     Ok::<_, BoxError>(Response::new(request.headers().contains_key("authorization")))
//! });
//! let origins = Origins::new(["https://api.example.com"])?;
//! let layer = BearerAuthLayer::new(StaticProvider::new("abc")?, origins);
//! let client = layer.layer(echo);
//!
//! for (uri, host, has_token) in [
//!     ("https://API.example.com:443/v1", None, true),
//!     ("http://api.example.com/v1", None, false),
//!     ("https://api.example.com:8443/v1", None, false),
//!     ("https://www.api.example.com/v1", None, false),
//!     ("https://api.example.com./v1", None, false),
//!     ("https://user@api.example.com/v1", None, false),
//!     ("/v1", None, true),
//!     ("/v1", Some("api.example.com"), true),
//!     ("/v1", Some("evil.net"), false),
//!     ("https://api.example.com/v1", Some("evil.net"), true),
//! ] {
//!     let mut request = Request::get(uri);
//!     if let Some(host) = host {
//!         request = request.header("host", host);
//!     }
//!     let response = client.clone().oneshot(request.body(())?).await?;
//!     assert_eq!(*response.body(), has_token, "{uri} {host:?}");
//! }
//! assert_eq!(layer.foreign_requests(), 6);
//! # Ok(()) }
//! ```
//!
//! # Strict, or bare
//!
//! Bare is the default: redirects to other hosts then still work, and the other hosts get no token.
//! [`Origins::strict`] makes such a request an error instead, with [`Error::is_foreign_origin`]. Use it
//! for a client that calls no other host.
//!
//! # Redirects
//!
//! Put the layer *inside* of what follows redirects. Then each hop is a request of its own, and the
//! rule above holds for each. [`layer_order`](crate::guide::layer_order) has the picture.
//!
//! The other way round, the layer sees one request and one answer. The layer that follows redirects
//! then decides what travels on. tower-http's default removes `authorization` on a change of origin,
//! and no header of another name. So a token under [`with_header_name`] leaks there.
//!
//! Some clients follow redirects by themselves, [reqwest](super::reqwest#redirects) among them. Turn that
//! off, and follow them in a layer outside.
//!
//! Nothing that an answer says chooses where a token or a login goes. `Location`, `Link` and the realm
//! of `WWW-Authenticate` are never used for it.
//!
//! # URIs without a host, and `Host` headers
//!
//! tonic and hyper's own connections send paths alone. Give the layer a client that is connected to the
//! API: the layer cannot see where the connection goes. If such a request has a `Host` header, that must
//! be an allowed host; otherwise the request goes bare.
//!
//! With an absolute URI the connection goes where the URI says, whatever `Host` says. A front end that
//! serves several tenants goes by `Host`. See that no stranger chooses that header.
//!
//! # Plain http
//!
//! `http` origins are allowed for loopback only: `127.0.0.0/8`, `[::1]` and `localhost`. Any other is
//! an error when the origins are made. [`Origins::dangerously_in_the_clear`] is the exception, for
//! networks that no stranger can read. [`HttpLogin::dangerously_in_the_clear`] is the same for login and
//! refresh; the presets have no such exception.
//!
//! ```
//! use tower_bearer::Origins;
//!
//! assert!(Origins::new(["http://127.0.0.1:8080"]).is_ok());
//! assert!(Origins::new(["http://10.0.0.7:8080"]).is_err());
//! assert!(Origins::new(["https://api.example.com/v1"]).is_err()); // an origin has no path
//! ```
//!
//! [`Origins::any_https`] allows every `https` origin. The URI of a request then decides which host sees
//! the token, even if the URI comes from a redirect or from user input.
//!
//! # The header
//!
//! - The name is `authorization`; [`with_header_name`] sets another. [`Scheme`] sets the word before
//!   the token.
//! - There is exactly one, inserted and never appended. It is marked as sensitive: its `Debug` hides
//!   it, and HTTP/2 never puts it into a compression table.
//! - A header that the caller has set stays, and the provider learns nothing from the answer. A request
//!   with two of them is an error. [`replacing_callers_header`] makes the layer's header win.
//!
//! # What is promised
//!
//! SECURITY.md has the list: allowed origins only, not in the clear, never printed, marked on the wire,
//! wiped from memory after use. It also lists what nobody can promise; [`limits`](crate::guide::limits)
//! has the summary.
//!
//! [`BearerAuthLayer::new`]: crate::BearerAuthLayer::new
//! [`Origins`]: crate::Origins
//! [`Origins::strict`]: crate::Origins::strict
//! [`Origins::any_https`]: crate::Origins::any_https
//! [`Origins::dangerously_in_the_clear`]: crate::Origins::dangerously_in_the_clear
//! [`HttpLogin::dangerously_in_the_clear`]: https://docs.rs/tower-bearer/latest/tower_bearer/struct.HttpLogin.html#method.dangerously_in_the_clear
//! [`Error::is_foreign_origin`]: crate::Error::is_foreign_origin
//! [`foreign_requests`]: crate::BearerAuthLayer::foreign_requests
//! [`with_header_name`]: crate::BearerAuthLayer::with_header_name
//! [`replacing_callers_header`]: crate::BearerAuthLayer::replacing_callers_header
//! [`Scheme`]: crate::Scheme

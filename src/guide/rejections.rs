//! After this page you can say what a 401 causes, choose what counts as a rejection, and find out why a
//! request was not sent again.
//!
//! # What a 401 can mean
//!
//! A 401 has four common causes. Status and headers look the same for all of them:
//!
//! | cause | what a login does |
//! | --- | --- |
//! | the token is dead: it expired early, or somebody revoked it | one login cures it |
//! | the endpoint is forbidden for this account | no login helps; in an [exclusive] session each one revokes the token that other requests carry |
//! | another client logs in to the same account | each login revokes the other client's token |
//! | the API is broken, and rejects every token | no login helps before the API recovers |
//!
//! The provider tells them apart by what happens next. It remembers the *target* of each rejection: the
//! request's method and path. After a login, it looks whether that target is accepted.
//!
//! A rejection invalidates only the token that the request carried. A late 401 for a replaced token
//! causes no login.
//!
//! # When the next login may be made
//!
//! These are the rules of [`CachedProvider`]:
//!
//! | situation | when the next login may be made | what callers get |
//! | --- | --- | --- |
//! | no credential, or an expired one | at once | the request waits for the login |
//! | a target is rejected for the first time, or the last login had cured it | at once | a replay, or the 401; the next request logs in |
//! | the last login did not help this target | 1 s after that login, doubling to 5 min; with several such targets, that times their number, to 5 min | the 401; other targets are not held back |
//! | each time another target is rejected, and the last two such logins or more did not help | 1 s after the last login, doubling to 5 min | the 401; a target that is rejected again has its own pause |
//! | a target is accepted and rejected by turns under one credential | as where logins do not help; at once when it was rejected for more than twice its longest time so far, + 3 s | the 401 |
//! | nothing at all is accepted | the pauses end at 30 s for ten minutes, then at 5 min | the 401 |
//! | the last three logins or more each helped for less than 3 s | 1 s after the last login, doubling to 1 min | the 401, and [`CredentialEvent::Contended`]: another client may be using the account |
//! | the last login failed | after the pause of the [failed login] | the credential that was rejected stays in use; without one, the login's error |
//!
//! - While a target goes on being rejected, a login is tried after five minutes at the latest. The
//!   pause of a failed login comes on top.
//! - At most 64 targets are remembered, each for ten minutes after its last rejection.
//! - In an exclusive session a login revokes what is in flight under the previous credential; requests
//!   that can be replayed are.
//! - [`CachePolicy`] sets the pauses. [`Snapshot::held_back`] says that one lasts, and until when.
//!
//! # What counts as a rejection
//!
//! By default: status 401, or `grpc-status: 16` in the headers of the answer to a POST over HTTP/2.
//! Every other answer below 500 is an acceptance, 403 and 404 included. A 5xx is neither.
//! [`BearerAuthLayer::rejected_if`] takes another function:
//!
//! | your API | function |
//! | --- | --- |
//! | answers 401 for a dead token | the default |
//! | is gRPC over another version or method | [`rejection::unauthorized`] |
//! | answers 403 for a dead token | [`rejection::unauthorized_or_forbidden`] |
//! | answers 401 for lack of permission too, and names the error in a Bearer challenge | [`rejection::invalid_token`] |
//! | says it in some other header or status | a closure over status and headers |
//! | says it in the body, or in gRPC trailers | by hand: [below](#judging-by-hand) |
//!
//! # Which rejected requests are sent again
//!
//! A replay policy keeps what a second attempt needs. [`BearerAuthLayer::replay`] sets it:
//!
//! | policy | replays | asks of the body |
//! | --- | --- | --- |
//! | [`NoReplay`], the default | nothing | nothing |
//! | [`ReplayEmpty`] | requests without a body | `Body + Default` |
//! | [`ReplayWith`] | those whose body this function copies | nothing |
//! | [`ReplayEmptyOr`] | those without a body, else those whose body this function copies | `Body + Default` |
//! | [`ReplayReady`] | those whose body is there at once, up to a size | `Body<Data = Bytes> + Unpin` |
//!
//! A request is replayed at most once, and only with a newer credential. The caller sees the second
//! answer. If the login for the replay fails, the caller gets an [`Error`]: the rejected response is
//! gone by then.
//!
//! # Reading the report
//!
//! Each rejected response that reaches its caller carries a [`RejectionReport`]:
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::{
//!     BearerAuthLayer, BoxError, CachedProvider, Credential, NotReplayed, Origins,
//!     RejectionReport, ReplayWith, login_fn,
//! };
//!
//! fn advice<B>(response: &Response<B>) -> &'static str {
//!     let Some(report) = response.extensions().get::<RejectionReport>() else {
//!         return "not a rejection";
//!     };
//!     match report.not_replayed() {
//!         NotReplayed::NoPolicy | NotReplayed::BodyNotKept => "send it again",
//!         NotReplayed::AlreadyReplayed => "a new token did not help: check the permissions",
//!         NotReplayed::LoginHeldBack | NotReplayed::LoginFailed => "wait until `next_login`",
//!         _ => "no login will change this",
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! // An endpoint that is forbidden for this account, whatever the token.
//! let api = tower::service_fn(|_: Request<()>| async {
//!     let response = Response::builder().status(StatusCode::UNAUTHORIZED);
//!     response.body(()).map_err(BoxError::from)
//! });
//! let provider = CachedProvider::new(login_fn(|_| async { Ok(Credential::new("abc")?) }));
//! let client = BearerAuthLayer::new(provider.clone(), Origins::new(["https://api.example.com"])?)
//!     .replay(ReplayWith(|(): &()| Some(())))
//!     .layer(api);
//! let request = || Request::get("https://api.example.com/admin").body(());
//!
//! let first = client.clone().oneshot(request()?).await?; // rejected, replayed, rejected
//! assert_eq!(advice(&first), "a new token did not help: check the permissions");
//! let second = client.clone().oneshot(request()?).await?; // sent once: no login helps for now
//! assert_eq!(advice(&second), "wait until `next_login`");
//! assert_eq!(provider.snapshot().logins(), 2);
//! # Ok(()) }
//! ```
//!
//! # Judging by hand
//!
//! Some APIs answer 200 and say in the body that the session is over. Mark such requests with
//! [`PerRequest::judged_by_caller`], so that the layer does not count the 200 as an acceptance. Then
//! tell the provider yourself, with [`CachedProvider::accept`] or [`CachedProvider::reject`] and the
//! request's [receipt](crate::PerRequest::receipt). [`PerRequest`] has the example, and figures for
//! what happens without the mark.
//!
//! The layer never replays such a request. Send it again yourself if [`Verdict::is_log_in`] says so.
//! [`limits`](crate::guide::limits) says more about gRPC trailers and bodies.
//!
//! [exclusive]: crate::Session::Exclusive
//! [failed login]: crate::CachedProvider
//! [`CachedProvider`]: crate::CachedProvider#rejections
//! [`CachedProvider::accept`]: crate::CachedProvider::accept
//! [`CachedProvider::reject`]: crate::CachedProvider::reject
//! [`CachePolicy`]: crate::CachePolicy::rejection_pauses
//! [`CredentialEvent::Contended`]: crate::CredentialEvent::Contended
//! [`Snapshot::held_back`]: crate::Snapshot::held_back
//! [`BearerAuthLayer::rejected_if`]: crate::BearerAuthLayer::rejected_if
//! [`BearerAuthLayer::replay`]: crate::BearerAuthLayer::replay
//! [`rejection::unauthorized`]: crate::rejection::unauthorized
//! [`rejection::unauthorized_or_forbidden`]: crate::rejection::unauthorized_or_forbidden
//! [`rejection::invalid_token`]: crate::rejection::invalid_token
//! [`NoReplay`]: crate::NoReplay
//! [`ReplayEmpty`]: crate::ReplayEmpty
//! [`ReplayWith`]: crate::ReplayWith
//! [`ReplayEmptyOr`]: crate::ReplayEmptyOr
//! [`ReplayReady`]: crate::ReplayReady
//! [`Error`]: crate::Error
//! [`RejectionReport`]: crate::RejectionReport
//! [`PerRequest`]: crate::PerRequest
//! [`PerRequest::judged_by_caller`]: crate::PerRequest::judged_by_caller
//! [`Verdict::is_log_in`]: crate::Verdict::is_log_in

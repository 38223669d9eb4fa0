//! After this page you can say what a 401 causes, choose what counts as a rejection, and find out why
//! a request was not replayed.
//!
//! # What a 401 can mean
//!
//! A 401 has four common causes. Status and headers look the same for all of them:
//!
//! | cause | what a login does |
//! | --- | --- |
//! | The token is dead: it expired early, or was revoked. | One login helps. |
//! | The endpoint is forbidden for this account. | No login helps. In an [exclusive] session, each one revokes the token that other requests carry. |
//! | Another client logs in to the same account. | Each login revokes the other client's token. |
//! | The API is broken, and rejects every token. | No login helps before the API recovers. |
//!
//! The provider tells them apart by what happens next. It remembers the *target* of each rejection: the
//! request's method and path. After a login, it looks whether that target is accepted.
//!
//! A rejection invalidates only the token that the request carried. A late 401 for a replaced token
//! causes no login.
//!
//! # When the next login may be made
//!
//! These are the rules of [`CachedProvider`]. A login *helps* a target if that target is accepted with
//! the new token:
//!
#![doc = include_str!("../provider/rejection_rules.md")]
//!
//! [`CachePolicy`] sets the pauses. [`Snapshot::held_back`] says whether a pause lasts, and until when.
//!
//! # What counts as a rejection
//!
//! By default: status 401, or `grpc-status: 16` in the headers of the answer to a POST over HTTP/2.
//! Every other answer below 500 is an acceptance, 403 and 404 included. A 5xx is neither.
//! [`BearerAuthLayer::rejected_if`] sets another function:
//!
//! | your API | function |
//! | --- | --- |
//! | answers 401 for a dead token | the default |
//! | is gRPC over another version or method | [`rejection::unauthorized`] |
//! | answers 403 for a dead token | [`rejection::unauthorized_or_forbidden`] |
//! | answers 401 for lack of permission too, and names the error in a Bearer challenge | [`rejection::invalid_token`] |
//! | signals a dead token by another header or status | a closure over status and headers |
//! | signals it in the body, or in gRPC trailers | none: reject [by hand](#judging-by-hand), or as for [gRPC](super::grpc#where-a-server-says-unauthenticated) |
//!
//! # Which rejected requests are sent again
//!
//! A replay policy keeps a copy of the body for a second attempt. [`BearerAuthLayer::replay`] sets it:
//!
//! - [`NoReplay`], the default: the caller gets every rejection.
//! - [`ReplayEmpty`]: requests without a body are replayed.
//! - [`ReplayReady`]: requests whose whole body can be read at once are replayed, up to a size.
//!
//! [`Replay`] has the whole table, with what each policy needs of the body's type.
//!
//! A request is replayed at most once, and only with a newer credential. The caller sees the second
//! answer. If the login for the replay fails, the caller gets an [`Error`], because the rejected
//! response was already dropped.
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
//!
//! For GraphQL and JSON-RPC, this does all of it. Of 100 requests at a revocation none failed, with one
//! login. An answer that is not JSON is an error, and never an acceptance:
//!
//! ```
#![doc = include_str!("../../tests/recipes/judge_body.rs")]
//! #
//! # use tower::Layer;
//! # use tower_bearer::{BearerAuthLayer, Origins, test_util::ScriptedLogin};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! # let api = tower::service_fn(|request: Request<Full<Bytes>>| async move {
//! #     Ok::<_, BoxError>(http::Response::new(Full::<Bytes>::from(match request.headers()["authorization"] == "Bearer token-2" {
//! #         true => r#"{"data":{"me":"Ada"}}"#,
//! #         false => r#"{"errors":[{"extensions":{"code":"UNAUTHENTICATED"}}]}"#,
//! #     })))
//! # });
//! # let provider = CachedProvider::new(ScriptedLogin::new());
//! # let client = BearerAuthLayer::new(provider.clone(), Origins::any_https()).layer(api);
//!
//! let url = "https://api.example.com/graphql";
//! let document = serde_json::json!({ "query": "{ me }" });
//! let answer = post_judged(client, &provider, url, &document, is_graphql_rejection).await?;
//! assert_eq!(answer["data"]["me"], "Ada"); // the first token was rejected
//! # Ok(()) }
//! ```
//!
//! All documents of one URL share a target. So report only what a new token may change, and no lack of
//! permission. [`limits`](crate::guide::limits#rejections) says more about targets, and
//! [`grpc`](crate::guide::grpc) has the same for gRPC trailers.
//!
//! [exclusive]: crate::Session::Exclusive
//! [`CachedProvider`]: crate::CachedProvider#rejections
//! [`CachedProvider::accept`]: crate::CachedProvider::accept
//! [`CachedProvider::reject`]: crate::CachedProvider::reject
//! [`CachePolicy`]: crate::CachePolicy::rejection_pauses
//! [`Snapshot::held_back`]: crate::Snapshot::held_back
//! [`BearerAuthLayer::rejected_if`]: crate::BearerAuthLayer::rejected_if
//! [`BearerAuthLayer::replay`]: crate::BearerAuthLayer::replay
//! [`rejection::unauthorized`]: crate::rejection::unauthorized
//! [`rejection::unauthorized_or_forbidden`]: crate::rejection::unauthorized_or_forbidden
//! [`rejection::invalid_token`]: crate::rejection::invalid_token
//! [`NoReplay`]: crate::NoReplay
//! [`ReplayEmpty`]: crate::ReplayEmpty
//! [`Replay`]: crate::Replay
//! [`ReplayReady`]: crate::ReplayReady
//! [`Error`]: crate::Error
//! [`RejectionReport`]: crate::RejectionReport
//! [`PerRequest`]: crate::PerRequest
//! [`PerRequest::judged_by_caller`]: crate::PerRequest::judged_by_caller
//! [`Verdict::is_log_in`]: crate::Verdict::is_log_in

//! After this page you can put the layer under kube, octocrab, jsonrpsee, reqwest, OTLP over HTTP and a
//! client of an AWS SDK.
//!
//! Copy the code of your stack, and call its function with a layer of yours:
//!
//! ```
//! use tower_bearer::{BearerAuthLayer, CachedProvider, Origins};
//! # let login = tower_bearer::login_fn(async |_| Ok(tower_bearer::Credential::new("abc")?));
//!
//! let provider = CachedProvider::new(login); // your login
//! let layer = BearerAuthLayer::new(provider, Origins::new("https://api.example.com")?);
//! # let _ = layer;
//! # Ok::<_, tower_bearer::InvalidUrl>(())
//! ```
//!
//! Other pages have [hyper](super::hyper), [tonic](super::grpc) and
//! [reqwest-middleware](super::reqwest), which is the seam of openapi-generator's clients.
//!
//! # What was measured
//!
//! | stack | lines | works | GETs replayed | POSTs replayed | login error found | works again |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | kube 5.0.0 | 13 | yes | yes | yes | yes, in the chain of sources | yes |
//! | octocrab 0.54.9 | 16 | yes | yes | yes | yes, in the chain of sources | yes |
//! | jsonrpsee 0.26.1 | 29 | yes | it sends none | yes | yes, by `login_error` | yes |
//! | reqwest 0.13.5 | 18 | yes | yes | yes | yes, by `downcast_ref` | yes |
//! | opentelemetry-otlp 0.33.1 | 43 | yes | it sends none | yes | no, it is lost | yes |
//! | aws-smithy-runtime-api 1.20.0 | 41 | yes | yes | yes | yes, in the chain of sources | yes |
//!
//! - **lines**: all lines of the code below, imports and braces included, comments not.
//! - **works**: of 100 requests at once, none failed, and they cost one login.
//! - **replayed**: the token was revoked, and 100 requests at once were rejected. No caller saw a
//!   rejection. They cost one login and 100 replays, and each replayed POST had its body.
//! - **login error found**: a login failed, and the caller finds our [`Error`](crate::Error) in the error
//!   that the stack returns.
//! - **works again**: the same client sends the next request once a login succeeds.
//!
//! `bash .ci/run stacks` compiles the code of this page, runs it against a server on loopback, and fails
//! if it prints another row than this table has.
//!
//! # kube
//!
//! ```text
#![doc = include_str!("../../tests/recipes/stacks/kube.rs")]
//! ```
//!
//! - **Replay**: `Body::try_clone` copies empty bodies and bytes, and shares the bytes. It copies no stream.
//! - **The `BufferLayer`** is needed because kube's default stack is not `Clone`. Without it, the
//!   compiler says that `BoxService<…>: Clone` is not satisfied.
//! - **Credentials of kube**: leave the config without a token. kube adds its own inside of this layer, and
//!   replaces ours.
//! - **Origins**: the layer sees paths alone, which go to the cluster. Create the config and the origins
//!   from one URL.
//! - **A failed login** is `kube::Error::Service`, with our error as its source.
//!
//! # octocrab
//!
//! ```text
#![doc = include_str!("../../tests/recipes/stacks/octocrab.rs")]
//! ```
//!
//! - **Replay**: `OctoBody::try_clone` copies every body that octocrab makes from a value, but not the empty body
//!   of a GET. So the policy is [`ReplayEmptyOr`](crate::ReplayEmptyOr).
//! - **Never copy the body by `Clone`**: the clones of an `OctoBody` share one stream, so a replayed POST
//!   would be empty.
//! - **`AuthState::None`**: octocrab adds the header of any other state before the layer sees the request.
//!   A header that is already there wins.
//! - **Origins**: the `BaseUriLayer` is outside, so the layer sees whole URLs, and the origins decide.
//! - **A failed login** is `octocrab::Error::Service`, with our error as its source.
//!
//! # jsonrpsee
//!
//! ```text
#![doc = include_str!("../../tests/recipes/stacks/jsonrpsee.rs")]
//! ```
//!
//! - **Replay**: [`ReplayReady`](crate::ReplayReady) keeps calls of up to 64 KiB. A longer call is sent once.
//! - **`to_transport`** is needed because jsonrpsee takes no error but its own.
//! - **A failed login** is `Error::Transport`. Its text is that of our error, but its chain of sources
//!   leaves our error out: `login_error` finds it.
//! - **A rejection** is an HTTP status. For an error in the JSON of an answer, see
//!   [rejections](super::rejections).
//!
//! # reqwest
//!
//! Its client is a Tower service of its own request type. Two adapters turn it into one of
//! `http::Request`:
//!
//! ```text
#![doc = include_str!("../../tests/recipes/stacks/reqwest.rs")]
//! ```
//!
//! - **Replay**: [`ReplayReady`](crate::ReplayReady) keeps bodies of up to 64 KiB that are there at once. A longer body
//!   or a stream is sent once.
//! - **Redirects**: reqwest follows them inside of this layer, which sees one request and one response.
//! - **A failed login** is our error itself. Any other error is a `reqwest::Error`.
//!
//! # OTLP over HTTP
//!
//! ```text
#![doc = include_str!("../../tests/recipes/stacks/otlp.rs")]
//! ```
//!
//! Pass the client to `with_http_client` of an exporter.
//!
//! - **Replay**: a batch is bytes, which the copy shares.
//! - **`runtime`**: the SDK exports from threads outside of Tokio, where hyper's client cannot run. The run
//!   above exports from such threads.
//! - **A failed login** is `InternalFailure("HTTP export failed: network error")`. The exporter drops the
//!   cause, so observe the provider: by [events](crate::CredentialEvent), [log lines](super::logging) or
//!   [`snapshot`](crate::CachedProvider::snapshot).
//! - **OTLP over gRPC** has no place for a layer.
//!
//! # Clients of smithy, such as AWS SDKs
//!
//! ```text
#![doc = include_str!("../../tests/recipes/stacks/smithy.rs")]
//! ```
//!
//! The run above calls the connector itself. A generated client takes it by `http_client_fn`.
//!
//! - **Replay**: `SdkBody::try_clone` copies empty bodies and bytes. It copies no stream.
//! - **A failed login** is a `ConnectorError` whose `is_other()` is true, with our error as its source.
//!
//! # Where timeouts go
//!
//! This table was read and not run: test the place that you rely on.
//!
//! | timeout | covers the login |
//! | --- | --- |
//! | [`login_timeout`](crate::CachePolicy::login_timeout), for all stacks | yes, and nothing else |
//! | `tokio::time::timeout` around a call, for all stacks | yes |
//! | tower's `Timeout` around the client in a recipe, inside of the layer | no: it bounds each exchange |
//! | kube: `Config::read_timeout` and its siblings | no: they bound the connection |
//! | jsonrpsee: `request_timeout`, 60 s by default | yes, and the replay too |
//! | reqwest: `timeout` of the client | no: it bounds each exchange, and starts again for a replay |
//! | opentelemetry-otlp: `with_timeout` of the exporter | it does nothing here: only the built-in clients know it |
//! | smithy: timeouts of an operation | yes. Those of the connector do nothing here: the recipe ignores its settings |
//!
//! A caller that gives up does not stop the login: the other requests get its token.

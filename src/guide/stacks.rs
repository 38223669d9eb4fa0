//! After this page you can put the layer under kube, octocrab, jsonrpsee, reqwest, a client of progenitor,
//! OTLP over HTTP and gRPC, and a client of an AWS SDK.
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
//! Other pages have [hyper](super::hyper), [axum](super::axum), [tonic](super::grpc) and
//! [reqwest-middleware](super::reqwest), which is the seam of openapi-generator's clients. `tests/each_stack.rs`
//! tries theirs with the same server and the same failures.
//!
//! # What was measured
//!
//! | stack | lines | works | GETs replayed | POSTs replayed | failed logins found | works again |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | kube 5.0.0 | 13 | yes | yes | yes | 5 of 5, in the chain of sources | yes |
//! | octocrab 0.54.9 | 16 | yes | yes | yes | 5 of 5, in the chain of sources | yes |
//! | jsonrpsee 0.26.1 | 31 | yes | it sends none | yes | 5 of 5, by `login_error` | yes |
//! | reqwest 0.13.5 | 18 | yes | yes | yes | 5 of 5, by `downcast_ref` | yes |
//! | progenitor 0.15.1 | 39 | yes | yes | yes | 5 of 5, in the chain of sources | yes |
//! | opentelemetry-otlp 0.33.1, HTTP | 43 | yes | it sends none | yes | 0 of 5, they are lost | yes |
//! | opentelemetry-otlp 0.33.1, gRPC | 57 | yes | it sends none | yes | 0 of 5, they are lost | yes |
//! | aws-smithy-runtime-api 1.20.0 | 41 | yes | yes | yes | 5 of 5, in the chain of sources | yes |
//!
//! - **lines**: all lines of the code below, imports and braces included, comments and empty lines not.
//! - **works**: of 100 requests at once, none failed, and they cost one login.
//! - **replayed**: the token was revoked, and 100 requests at once were rejected. No caller saw a
//!   rejection. They cost one login and 100 replays, and each replayed POST had its body.
//! - **failed logins found**: five logins failed, each in another way. The password is wrong, the account is
//!   locked for two minutes, the server is unreachable, the login times out, or it panics. Found means: the
//!   caller gets our [`Error`](crate::Error) out of the stack's error, with its kind and the right
//!   [`Recovery`](crate::Recovery).
//! - **works again**: after each of them, the same client sends the next request once a login succeeds.
//!
//! `bash .ci/run stacks` compiles the code of this page, runs it against a server on loopback, and fails
//! if it prints another row than this table has. The same holds for the table of timeouts.
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
//! # Clients of progenitor
//!
//! A generated client has hooks, and the hook `exec` sends the request. If your crate
//! generates the client, it can implement the hook:
//!
//! ```text
#![doc = include_str!("../../tests/recipes/stacks/progenitor.rs")]
//! ```
//!
//! The layer is an argument of `Client::new`. Your crate needs reqwest's features `json` and `stream`, and serde.
//!
//! - **A client in another crate** has no such place: Rust allows the hook only beside the client. Generate
//!   the client yourself.
//! - **Replay** and **redirects** are as with reqwest above.
//! - **A failed login** is `Error::CommunicationError`, with our error in its chain of sources. Its own text
//!   speaks of a response body, for only reqwest can make a `reqwest::Error`: print it with `{:#}`.
//! - **`is_retryable()`** is true for it, a wrong password included. Ask [`recovery`](crate::Error::recovery)
//!   instead.
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
//!
//! # OTLP over gRPC
//!
//! Its exporter takes tonic's `Channel` and no other service. So this channel leads into memory, where the
//! layer is:
//!
//! ```text
#![doc = include_str!("../../tests/recipes/stacks/otlp_grpc.rs")]
//! ```
//!
//! Pass the channel to `with_channel` of an exporter, and create it within the runtime. `to_status` is on the
//! page of [gRPC](super::grpc), and its lines count above.
//!
//! - **Replay**: the whole batch is collected first. Then the copy shares its bytes.
//! - **Cost**: each batch is framed by HTTP/2 once more, and copied through memory.
//! - **Origins**: the layer sees the collector's URL, and the origins decide.
//! - **A failed login** is the text `export failed with gRPC code:`, with `Unavailable` or `Unauthenticated`. The
//!   exporter drops the rest, so observe the provider as above. By default it repeats an
//!   `Unavailable` three times. This was read, not run: the run above turns it off.
//! - **`with_interceptor`** is shorter, and does less. It can insert what
//!   [`current`](crate::CachedProvider::current) returns, with [`keep_warm`](crate::CachedProvider::keep_warm)
//!   for the logins. But it sees no answer: a rejected token is sent until it expires. This was not run.
//!
//! # Clients of smithy, such as AWS SDKs
//!
//! ```text
#![doc = include_str!("../../tests/recipes/stacks/smithy.rs")]
//! ```
//!
//! The run above calls the connector itself. A generated client takes it by `http_client_fn`, which was not run.
//!
//! - **Replay**: `SdkBody::try_clone` copies empty bodies and bytes. It copies no stream.
//! - **A failed login** is a `ConnectorError` whose `is_other()` is true, with our error as its source.
//!
//! # Where timeouts go
//!
//! | timeout | ends a held login | ends a held answer |
//! | --- | --- | --- |
//! | `login_timeout`, for all stacks | yes | no |
//! | `tokio::time::timeout` around a call, for all stacks | yes | yes |
//! | tower's `Timeout` around the client in a recipe, inside of the layer | no | yes |
//! | kube: `Config::read_timeout` | no | yes |
//! | jsonrpsee: `request_timeout`, 60 s by default | yes | yes |
//! | reqwest: `timeout` of the client | no | yes |
//! | progenitor: `timeout` of its reqwest client, 15 s by default | no | yes |
//! | OTLP over HTTP: `with_timeout` of the exporter | no | no |
//! | OTLP over gRPC: `with_timeout` of the exporter | no | no |
//! | OTLP over gRPC: `timeout` of the collector's `Endpoint` | no | yes |
//!
//! Each row was run, with a timeout of 300 ms. A login held a call, then the login of a replay held one, then an
//! answer did. **Yes** means that the call failed while it was held. **No** means that it was still waiting
//! after three times the timeout, and succeeded when it was released.
//!
//! - After each call that ended, the same client sent the next request.
//! - A timeout that does not end a login bounds each exchange, and starts again for a replay.
//! - [`login_timeout`](crate::CachePolicy::login_timeout) is the only one that ends the login itself. A caller
//!   that gives up does not stop it: the other requests get its token.
//! - Not run, but read: the timeouts of a smithy operation cover the login. Those of the connector do nothing
//!   here, since the recipe ignores its settings.

//! After this page you know which metrics there are, when they change, and what to raise an alarm for.
//!
//! The feature `metrics` measures logins, rejections and requests by the facade crate
//! [`metrics`](https://docs.rs/metrics). Install a recorder before you build a provider: an exporter
//! for Prometheus, OpenTelemetry or StatsD. Without a recorder, nothing is kept.
//!
//! ```
//! use metrics_exporter_prometheus::PrometheusBuilder;
//! use tower_bearer::{CachedProvider, test_util::ScriptedLogin};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_bearer::BoxError> {
//! let prometheus = PrometheusBuilder::new()
//!     .set_buckets(&[0.1, 0.3, 1.0, 3.0, 10.0])? // seconds of a login
//!     .install_recorder()?;
//! let provider = CachedProvider::builder(ScriptedLogin::new()).name("orders").build();
//! provider.acquire().await?;
//!
//! let text = prometheus.render();
//! let line = r#"tower_bearer_logins{provider="orders",reason="first",outcome="logged_in"} 1"#;
//! assert!(text.lines().any(|it| it == line), "{text}");
//! # Ok(()) }
//! ```
//!
//! `cargo run --example metrics` serves such a text on loopback.
//!
//! # The metrics
//!
//! | name | kind | unit | labels | when it changes |
//! | --- | --- | --- | --- | --- |
//! | `tower_bearer.logins` | counter | count | `provider`, `account`, `reason`, `outcome`, `error.type` | At the end of a login. |
//! | `tower_bearer.login.duration` | histogram | seconds | `provider`, `account`, `reason`, `outcome` | At the end of a login: the time from its start, hooks included, by Tokio's clock. |
//! | `tower_bearer.waits` | counter | count | `provider`, `account` | At the end of a login: how often a request has waited for it. |
//! | `tower_bearer.refresh_failures` | counter | count | `provider`, `account`, `error.type` | If a refresh token did not help, and the login went on without it. |
//! | `tower_bearer.rejections` | counter | count | `provider`, `account`, `verdict`, `reason` | At each rejection, by the layer or by hand, late ones included. |
//! | `tower_bearer.contentions` | counter | count | `provider`, `account` | If the provider begins to suspect another client of the account. |
//! | `tower_bearer.adoptions` | counter | count | `provider`, `account` | If the credential of another process comes into use: see [fleets](super::fleet). |
//! | `tower_bearer.store_failures` | counter | count | `provider`, `account` | If the store of a fleet fails, has a damaged record, or refuses a publication. |
//! | `tower_bearer.credential.expiry` | gauge | seconds | `provider`, `account` | If the current credential changes. |
//! | `tower_bearer.replays` | counter | count | `provider` | If a layer sends a request again. |
//! | `tower_bearer.bare_requests` | counter | count | `provider`, `reason` | If a layer sends a request without an authorization. |
//! | `tower_bearer.failed_requests` | counter | count | `provider`, `error.type` | If a layer fails a request with an [`Error`](crate::Error). |
//!
//! - OpenTelemetry has no conventions for tokens. From its general ones come `error.type`, and `duration`
//!   in seconds. Prometheus shows each dot as an underscore. Some exporters add `_total` or the unit to
//!   a name: then change the [alarms](#alarms) too.
//! - The expiry is a Unix time by the wall clock: in PromQL, `tower_bearer_credential_expiry - time()` is
//!   the time left. It is 0 without a credential, and infinite for one without an expiry. The margin is
//!   not subtracted. A dropped provider and an evicted account leave a 0.
//! - `tower_bearer.waits` counts the waits of [`Snapshot::waits`](crate::Snapshot::waits). A login that
//!   hangs shows its waits when it ends: one second after its timeout at the latest.
//!
//! # Labels
//!
//! A label without a value is left out.
//!
//! | label | value |
//! | --- | --- |
//! | `provider` | The name of the provider: of a [`CachedProvider`](crate::CachedProviderBuilder::name), a [`KeyedProvider`](crate::KeyedProviderBuilder::name), or [your own](crate::CredentialProvider::name). |
//! | `account` | The [`account_name`](crate::CachedProviderBuilder::account_name), if you set one. Each account then has its own series. |
//! | `reason` of a login | `first`, `expired`, `refresh_ahead`, `rejected` or `requested`, as in [`LoginReason`](crate::LoginReason). |
//! | `outcome` | `logged_in`, `failed`, `timed_out`, `panicked`, `lost` or `discarded`, as in [log lines](super::logging#fields). |
//! | `verdict` | `acted_upon` if a newer credential is there or on its way, otherwise `kept`. |
//! | `reason` of a rejection | `current`, `late`, `login_did_not_help`, `logins_did_not_help`, `revoked_quickly`, `backing_off` or `unknown`, as in [`Reason`](crate::Reason). |
//! | `reason` of a bare request | `foreign_origin`, `callers_header`, `per_request` (it was marked [`bare`](crate::PerRequest::bare)), or `provider` (as the `None` of an `Option` wants it). |
//! | `error.type` | One word for each failure, in the next table. |
//!
//! Name your providers. Those with equal labels share one series: then the counters add up, and the
//! expiry is that of the last change, a drop included. So the expiry means nothing for a
//! [`KeyedProvider`](crate::KeyedProvider) without account names.
//!
//! The three metrics of a layer have the label `provider` and never `account`. A `StaticProvider` and an
//! `SdkProvider` have no name: wrap one in a provider of your own to tell it apart.
//!
//! # Failures
//!
//! [The catalogue](super::catalogue#errors-of-the-layer) says what each failure means, and what to do.
//!
//! | `error.type` | text in the catalogue |
//! | --- | --- |
//! | `login_failed` | `the login failed` |
//! | `login_failed_permanently` | `the login failed, and will until something is changed` |
//! | `login_asked_to_wait` | `the login failed: its server asks for a pause` |
//! | `login_timed_out` | `the login`, ` at …`, ` did not end within …` |
//! | `login_panicked` | `the login panicked` |
//! | `login_lost` | `the login was lost: its runtime is gone or no longer driven, or the login blocks its thread` |
//! | `login_through_itself` | `the login sent its request through the layer that waits for it: give it a client without the layer` |
//! | `short_lived` | `even a new credential, minus its margin, lives less than …` |
//! | `not_renewed` | ``the provider has no newer authorization than the one that was rejected: `reject` must say so`` |
//! | `other_account` | `the newer authorization belongs to another account: the request was not sent with it` |
//! | `signed_out` | ``the provider was signed out: sign in by `set_credential` or `reset`, and send the request again`` |
//! | `no_authorization` | `no authorization for this request` |
//! | `at_capacity` | `the provider keeps at most … accounts, and found none that it may evict: raise its capacity, or try again later` |
//! | `many_headers` | `the request has several headers of the authorization's name: set only one` |
//! | `foreign_origin` | `a request to … is not allowed: the origins are …` |
//! | `no_runtime` | `no Tokio runtime to log in on: poll the request within one` |
//! | `refresh_failed` | `the refresh token did not help` |
//! | `reset` | `the provider was reset during the login` |
//! | `no_connection` | `the … at … got no connection` |
//! | `no_tls` | `the … at … got no TLS connection` |
//! | `no_answer` | `the … at … got no answer` |
//! | `answer_broken_off` | `the answer to the … at … broke off` |
//! | `answer_too_long` | `the answer to the … at … is longer than 64 KiB` |
//! | `answer_compressed` | `the answer to the … at … is compressed with …` |
//! | `redirected` | `the … at … was redirected to …`, `the … at … was redirected` |
//! | `server_failed` | `the server of the … at … failed` |
//! | `rate_limited` | `the … at … was refused for now` |
//! | `refused` | `the … at … was refused` |
//! | `unexpected_status` | `the … at … was refused`: with a status that no other row is about |
//! | `refused_without_json` | `the … at … was refused without JSON` |
//! | `account_locked` | `the account of the … at … is locked` |
//! | `not_found` | `there is no … at …` |
//! | `not_json` | `the answer to the … at … is not JSON` |
//! | `no_token` | `the answer to the … at … has no token at …` |
//! | `other_token_type` | `the answer to the … at … has a token of another type than bearer` |
//! | `unusable_token` | `the answer to the … at … has an unusable token` |
//! | `metadata_without_issuer` | `has no issuer` |
//! | `metadata_of_other_issuer` | `is of the issuer …, not of …`, `is of another issuer` |
//! | `metadata_without_endpoint` | `has no token endpoint` |
//! | `metadata_unusable_endpoint` | `has an unusable token endpoint` |
//! | `metadata_foreign_endpoint` | `has a token endpoint at …, not at …` |
//! | `file_unreadable` | `cannot be read: check that it is there, and that this process may read it` |
//! | `file_irregular` | `is no regular file: name the file itself` |
//! | `file_changing` | `changes while it is read: its writer should replace it by a rename` |
//! | `file_too_long` | `is longer than 64 KiB: check that it holds only the secret` |
//! | `file_not_utf8` | `is not UTF-8: check that it holds only the secret, as text` |
//! | `file_empty` | `is empty: check what writes it` |
//! | `file_without_token` | `does not hold a token: it must hold one token and at most one line break` |
//! | `file_with_half_a_jwt` | `holds a part of a JSON Web Token: its writer should replace it by a rename` |
//!
//! If the answer of a login was `refused` with a registered `error` of OAuth, that error is the word:
//! `invalid_request`, `invalid_client`, `invalid_grant`, `unauthorized_client`,
//! `unsupported_grant_type`, `invalid_scope`, `access_denied`, `unsupported_response_type`,
//! `server_error`, `temporarily_unavailable`, `authorization_pending`, `slow_down` or `expired_token`.
//!
//! # Alarms
//!
//! | in PromQL | it means |
//! | --- | --- |
//! | `increase(tower_bearer_logins{outcome!~"logged_in\|discarded"}[10m]) > 2` | Logins fail: `error_type` says how. |
//! | `rate(tower_bearer_failed_requests[5m]) > 0` | Requests fail for want of a token. |
//! | `increase(tower_bearer_rejections{verdict="kept"}[10m]) > 10` | Logins do not help: see [rejections](super::rejections). |
//! | `increase(tower_bearer_contentions[1h]) > 0` | Another client may be using the account: see [contention](super::contention). |
//! | `increase(tower_bearer_store_failures[10m]) > 0` | The store of a fleet fails, and processes log in beside each other: see [fleets](super::fleet). |
//! | `rate(tower_bearer_bare_requests{reason="foreign_origin"}[5m]) > 0` | An [origin](super::origins) may be missing. |
//!
//! # What it costs
//!
//! Nothing on a request with a fresh token: it runs the same instructions as without the feature. So
//! there is no count of all requests, of acceptances, or of requests that used a credential within its
//! margin. An HTTP metrics layer around this one counts requests.
//!
//! A login, a rejection, a replay, a bare and a failed request look up a few series of the recorder. No
//! handle is kept, so a recorder counts from when it is installed. It is called without a lock, and its
//! panic is caught.
//!
//! # Not measured
//!
//! - [`StaticProvider`](crate::StaticProvider), [`SdkProvider`](crate::SdkProvider) and your own
//!   providers: only the metrics of the layer count their requests.
//! - A rejection for an account that a [`KeyedProvider`](crate::KeyedProvider) has evicted.
//! - The number of requests that wait at this moment.
//! - Whether a login is under way, and the state of the provider: a
//!   [`snapshot`](crate::CachedProvider::snapshot) has both.
//!
//! # Secrets
//!
//! No label holds a token, a password, a URL or a part of an answer. Each value is a word of this page,
//! or a name that you have set.
//!
//! # What is stable
//!
//! A release that changes a name, a kind, a unit, a label or a word counts as breaking. New metrics,
//! labels and words may come at any time. Descriptions may change.

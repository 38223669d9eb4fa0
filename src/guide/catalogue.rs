//! After this page you can look up any event, error or log line, and know what to do about it.
//!
//! Each text stands here as it is printed; `…` is a part that differs. A test fails if a text is
//! missing here. [The page on defaults](super::defaults) lists the pauses.
//!
//! To see everything: print errors with their sources, and pass an observer to
//! [`on_event`](crate::CachedProviderBuilder::on_event) or enable the feature `tracing`.
//!
//! ```
//! use std::{error::Error as _, sync::{Arc, Mutex}};
//! use tower_bearer::{CachedProvider, CredentialEvent, LoginError, login_fn};
//!
//! let failures = Arc::new(Mutex::new(Vec::new()));
//! let seen = Arc::clone(&failures);
//! let provider = CachedProvider::builder(login_fn(async |_| {
//!     Err(LoginError::permanent("wrong password"))?
//! }))
//! .on_event(move |event| {
//!     if let CredentialEvent::LoginFailed { error, .. } = event {
//!         seen.lock().unwrap().push(error.to_string());
//!     }
//! })
//! .build();
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//!
//! let error = provider.acquire().await.unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "the login failed, and will until something is changed; next attempt in 15 min"
//! );
//! assert_eq!(*failures.lock().unwrap(), [error.to_string()]);
//! assert_eq!(error.source().unwrap().to_string(), "wrong password");
//! # });
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! # Events
//!
//! | event | meaning | what to do |
//! | --- | --- | --- |
//! | [`CredentialEvent::LoggedIn`] | A login brought a credential, which is now in use. | Nothing. Count them: more than one per lifetime means that tokens are revoked. |
//! | [`CredentialEvent::Adopted`] | The credential of another process came from the [store](super::fleet), and is now in use. No login was made. | Nothing. |
//! | [`CredentialEvent::LoginFailed`] | A login failed or was lost; all waiting requests got this error. | Look up the error and its sources below. |
//! | [`CredentialEvent::LoginDiscarded`] | A [`reset`](crate::CachedProvider::reset), [`set_credential`](crate::CachedProvider::set_credential) or [`sign_out`](crate::CachedProvider::sign_out) came during this login, so its outcome does not count. | Nothing. |
//! | [`CredentialEvent::RefreshFailed`] | The server rejected a refresh token, or its answer was lost. The login went on without it. | Nothing, if it is rare. Otherwise see whether two processes share the refresh token, or whether your [store](super::shutdown) fails. |
//! | [`CredentialEvent::StoreFailed`](https://docs.rs/tower-bearer/latest/tower_bearer/enum.CredentialEvent.html) | The [store](super::fleet) failed, had a damaged record, or refused a publication. The process goes on by itself, or fails its logins if the account has `fail_without_store`. | Look up the error [below](#errors-of-a-store). |
//! | [`CredentialEvent::StoreRecovered`](https://docs.rs/tower-bearer/latest/tower_bearer/enum.CredentialEvent.html) | The store works again. | Nothing. |
//! | [`CredentialEvent::CredentialSet`] | Your program called [`set_credential`](crate::CachedProvider::set_credential). | Nothing. |
//! | [`CredentialEvent::SignedOut`] | Your program called [`sign_out`](crate::CachedProvider::sign_out). | Nothing, or delete what is stored: see [signing out](super::signing_out). |
//! | [`CredentialEvent::Rejected`] | A server rejected the current credential. `is_kept` says whether it stays in use. | Nothing, if it is rare: the next request logs in. |
//! | [`CredentialEvent::LoginHeldBack`] | A rejected credential stays in use until `next_login`, since logins have not helped. Sent once per pause. | Look up `reason` below. Often an endpoint is forbidden for this account. |
//! | [`CredentialEvent::Contended`] | For the third time in a row, a token was revoked within seconds of its login. | Look for another program or person that uses this account: see [contention](super::contention). |
//!
//! # Log lines
//!
//! The feature `tracing` emits one line for each event, and a span for each login. The target is
//! `tower_bearer`. [The page on logging](super::logging) explains levels, fields and filters. No line
//! holds a secret of this crate; what your own login puts into its errors is printed as `cause`.
//!
//! | level | message | fields | what to do |
//! | --- | --- | --- | --- |
//! | info | `login` (a span) | `provider`, `account`, `session`, `reason`, `rejected`, `outcome`, `generation`, `duration_ms` | Nothing: lines of your HTTP client inside it belong to the login. |
//! | info | `logged in` | `provider`, `account`, `reason`, `rejected`, `generation`, `duration_ms` | Nothing. More than one per lifetime means that tokens are revoked. |
//! | info | `credential adopted` | `provider`, `account`, `generation` | Nothing: another process has logged in. |
//! | warn | `login failed` | `provider`, `account`, `reason`, `rejected`, `duration_ms`, `error`, `cause` | Look up both texts below. |
//! | debug | `login discarded` | `provider`, `account`, `reason`, `rejected`, `duration_ms`, `error`, `cause` | Nothing. |
//! | warn | `store failed` | `provider`, `account`, `error`, `cause` | Look up both texts [below](#errors-of-a-store). |
//! | info | `store recovered` | `provider`, `account` | Nothing. |
//! | debug | `credential set` | `provider`, `account`, `generation` | Nothing. |
//! | info | `signed out` | `provider`, `account` | Nothing. |
//! | warn | `refresh failed` | `provider`, `account`, `error`, `cause` | As for [`CredentialEvent::RefreshFailed`]. |
//! | debug | `credential rejected` | `provider`, `account`, `generation`, `is_kept` | Nothing, if it is rare. |
//! | warn | `rejected, and kept: logins do not help` | `provider`, `account`, `generation`, `reason` | Look up the reason below. |
//! | warn | `tokens are revoked within seconds of each login; another client may be using this account` | `provider`, `account`, `generation` | As for [`CredentialEvent::Contended`]. |
//! | warn | `requests to this origin are sent without a token; is it missing in the origins?` | `origin`, `allowed` | Add the origin if it is your API. Sent once per origin, for the first 64. |
//! | warn | `the login's answer has no lifetime where it was expected; the token is used until it is rejected` | `endpoint` | Compare the place that you have set with an answer. Sent once per login. |
//!
//! # Errors of the layer
//!
//! They arrive as a [`BoxError`](crate::BoxError); `downcast_ref::<tower_bearer::Error>()` finds
//! them. Any other error comes from the inner service.
//!
//! [`Error::recovery`] sorts them by what to do: [`Recovery::TryAgain`], [`Recovery::ChangeRequest`],
//! [`Recovery::ChangeCredentials`] or [`Recovery::FixProgram`].
//!
//! | test | text | what to do |
//! | --- | --- | --- |
//! | [`Error::is_login_failed`] | `the login failed`, or the text of its `LoginError` | Read its source, or look up the text below. |
//! | [`Error::is_login_timed_out`] | `the login`, ` at …`, ` did not end within …` | Find out why the login is slow, or raise [`login_timeout`](crate::CachePolicy::login_timeout). |
//! | [`Error::is_login_panicked`] | `the login panicked` | Fix the login; the panic hook has printed where. The next request tries again after the pause. |
//! | [`Error::is_login_lost`] | `the login was lost: its runtime is gone or no longer driven, or the login blocks its thread` | Keep the runtime running, and move blocking work to `spawn_blocking`. |
//! | none | `the login sent its request through the layer that waits for it: give it a client without the layer` | Do as it says: clone the client before you add the layer. |
//! | none | `even a new credential, minus its margin, lives less than …` | Ask [`acquire_valid_for`](crate::CachedProvider::acquire_valid_for) for less, or set a smaller margin. |
//! | none | ``the provider has no newer authorization than the one that was rejected: `reject` must say so`` | Fix your [`CredentialProvider`](crate::CredentialProvider): `reject` said "log in", but `acquire_for` returned the rejected generation. |
//! | none | `the newer authorization belongs to another account: the request was not sent with it` | Send the request again yourself if the new account may make it. |
//! | [`Error::is_signed_out`] | ``the provider was signed out: sign in by `set_credential` or `reset`, and send the request again`` | Do as it says, or stop sending requests for this user. |
//! | none | `no authorization for this request` | The provider knows no account for it: see its source. `there is no provider` means an `Option` that is `None`. If the source is `max size reached`, the request has too many headers for another one. `the request has no key that names its account` comes from a [`KeyedProvider`](crate::KeyedProvider): see [accounts](super::accounts). |
//! | [`Error::is_at_capacity`] | `the provider keeps at most … accounts, and found none that it may evict: raise its capacity, or try again later` | Find out why they stay: [accounts](super::accounts#how-many-accounts-are-kept) has the common causes. Then raise the capacity. |
//! | [`Error::is_many_headers`] | `the request has several headers of the authorization's name: set only one` | Find the code that appends the header where it should insert it. |
//! | [`Error::is_foreign_origin`] | `a request to … is not allowed: the origins are …`, ``; only `dangerously_in_the_clear` allows plain http`` | Add the origin to [`Origins`](crate::Origins), or drop [`strict`](crate::Origins::strict). |
//! | none | `no Tokio runtime to log in on: poll the request within one` | Await the request inside a Tokio runtime. |
//! | none | `the refresh token did not help`, or the text of its `LoginError` | Only in [`CredentialEvent::RefreshFailed`], never from a request. |
//! | none | `the provider was reset during the login` | Two resets came while this request waited. Send it again, and reset less often. |
//!
//! A failed login adds `; next attempt in …`, from the second on `; … in a row within …, next
//! attempt in …`. Until then requests fail at once with this error: see [`Error::next_attempt`],
//! [`Error::failing_since`] and [`Error::failures`].
//!
//! # Errors of a login
//!
//! [`LoginError`] has the pauses. [`LoginError::is_permanent`] says whether the
//! next attempt waits for 15 minutes or more. The first three texts come from a `LoginError` that you
//! create, the others from `HttpLogin` and the presets.
//!
//! Those name the grant (`login`, `refresh` or, for the metadata of an issuer, `discovery`), and method, host
//! and path of its URL. They end with the status and a registered OAuth `error` such as `invalid_grant`, or
//! with status, media type and length of the answer: `…: …`, `… (…)`, `… (…, … bytes)`, `… (… bytes)`. A hint
//! may follow.
//!
//! | text | meaning, and what to do |
//! | --- | --- |
//! | `the login failed` | [`LoginError::transient`]: wait, and read the source. |
//! | `the login failed, and will until something is changed` | [`LoginError::permanent`]: correct password or client, then call [`reset`](crate::CachedProvider::reset). |
//! | `the login failed: its server asks for a pause` | [`LoginError::retry_after`] or [`LoginError::retry_at`]: wait, and log in less often. |
//! | `the … at … got no connection` | Check host, port and DNS, and TLS if the client is not of rustls. Nothing was sent, and a refresh token was not spent. |
//! | `the … at … got no TLS connection` | With rustls: an unknown issuer, another host name, an expired certificate, a port without TLS. The source says which, and [HTTPS for logins](super::https_logins#when-tls-fails) what to check. Nothing was sent, and a refresh token was not spent. |
//! | `the … at … got no answer` | The server may have logged in all the same. Check the network and the server's time limits. |
//! | `the answer to the … at … broke off` | The connection ended within the body; a login may have happened. |
//! | `the answer to the … at … is longer than 64 KiB` | See that the URL is that of the login and not of a page. |
//! | `the answer to the … at … is compressed with …` | Give the login a client that decompresses: the server ignores `Accept-Encoding: identity`. |
//! | `the … at … was redirected to …`, `the … at … was redirected` | Use the URL that the redirect names, if you trust it. |
//! | `the server of the … at … failed` | A 5xx: wait, or tell the API's operators. |
//! | `the … at … was refused for now` | A 429: log in less often. |
//! | `the … at … was refused` | Permanent if the API says so: correct the password or the document. |
//! | `the … at … was refused without JSON` | A 401 or 403 of a firewall, of a proxy, or of a simple API. |
//! | `the account of the … at … is locked` | A 423: unlock the account, then call [`reset`](crate::CachedProvider::reset). |
//! | `there is no … at …` | A 404, 405 or 410: correct the path of the URL. |
//! | `the answer to the … at … is not JSON` | Often the page of a proxy or a captive portal: compare the content type. |
//! | `the answer to the … at … has no token at …` | Compare the place with an answer: `token_at`. Places are a pointer or `the header …`, joined by `or`. The API may ask for a second factor. |
//! | `the answer to the … at … has a token of another type than bearer` | Set the scheme that the API documents: `with_scheme`. |
//! | `the answer to the … at … has an unusable token` | Its source is an [`InvalidToken`](crate::InvalidToken): see below. |
//! | `the answer to the … at … …`, `has no issuer` | The URL has no metadata of an issuer: correct the issuer, or pass the token endpoint to `HttpLogin::new`. |
//! | `the answer to the … at … …`, `is of the issuer …, not of …`, `is of another issuer` | Write the issuer exactly as the metadata has it, with or without a `/` at the end. If the host is another one, find out why first. |
//! | `the answer to the … at … …`, `has no token endpoint` | Pass the token endpoint to `HttpLogin::new`. |
//! | `the answer to the … at … …`, `has an unusable token endpoint` | Its source is an [`InvalidUrl`](crate::InvalidUrl): see below. |
//! | `the answer to the … at … …`, `has a token endpoint at …, not at …` | If the issuer documents that host, allow it by `OAuth2Issuer::token_origin`. |
//! | ``there is no refresh token: sign in again, and pass the new credential to `set_credential` `` | A source: `OAuth2Grant::refresh_token` had no refresh token, or its server refused it. Do as it says. |
//!
//! # Errors of a file
//!
//! They come from `TokenFile` as the source of the login's error, and from `SecretFile` as an
//! [`io::Error`](std::io::Error). Each begins with `the file …` and its path, and has nothing of its
//! content. The last good token stays in use. The file is read again when it changes.
//!
//! | text | meaning, and what to do |
//! | --- | --- |
//! | `the file …`, `cannot be read: check that it is there, and that this process may read it` | Its source is the error of the operating system. See that the path is right and the volume mounted. |
//! | `is no regular file: name the file itself` | The path is that of a folder, a pipe or a device. |
//! | `changes while it is read: its writer should replace it by a rename` | It is read again in 10 s. |
//! | `is longer than 64 KiB: check that it holds only the secret` | Often the path is that of another file. |
//! | `is not UTF-8: check that it holds only the secret, as text` | A key in binary form is no secret for a login: encode it. |
//! | `is empty: check what writes it` | The writer may have just begun: it is read again when it changes. |
//! | `does not hold a token: it must hold one token and at most one line break` | Its source is an [`InvalidToken`](crate::InvalidToken): see below. If the API has such tokens, use `any_visible_ascii`. |
//! | `holds a part of a JSON Web Token: its writer should replace it by a rename` | Nothing, if it is rare: it is read again when it is complete. |
//!
//! # Errors of a store
//!
//! They are a [`StoreError`](https://docs.rs/tower-bearer/latest/tower_bearer/store/struct.StoreError.html), and have nothing of a record's content. The
//! second table has their sources, which begin with a path if it is a store in files.
//!
//! | text | meaning, and what to do |
//! | --- | --- |
//! | `the credential store failed` | Its source says how. Until it works again, each process logs in for itself. |
//! | `the stored record is damaged` | Nothing: the next publication replaces it. If it comes again, see whether all processes have the same seal. |
//! | `the stored record is of another version of tower-bearer` | Give all processes one version of the crate, or each version a store of its own. |
//! | `other processes kept the lock of the account` | A login failed, since other processes had the lock for all of its wait. See why their logins take so long, or fail. |
//! | `the store refused a late publication` | Nothing, if it is rare. The process goes on with its own token. |
//! | `the stored record is gone or damaged` | A refresh token that other processes may have was not spent, if the login has another way. |
//! | `the credential store is not private` | Look at the path that its source names. |
//!
//! | source | what to do |
//! | --- | --- |
//! | `no answer within 250ms` | Find out why the store is slow. It is left alone for 30 s. |
//! | `it panicked` | Fix the store or the seal; the panic hook has printed where. |
//! | `the lease was over, and another process has logged in` | Nothing, if it is rare: this process was stopped for a while. |
//! | `another process may have spent the refresh token` | Nothing, if the login has another way. Otherwise sign in again, and find out why the store loses records. |
//! | `waited for …` | As for `other processes kept the lock of the account`. |
//! | `the refresh token was not spent, since the store cannot tell other processes`, `; without it, …` | A source of the login's error, or of [`CredentialEvent::RefreshFailed`]: repair the store. |
//! | `cannot be read or written` | Its source is the error of the operating system. |
//! | `is no folder: name the folder itself, and no link to it` | Do as it says. |
//! | `is no regular file: find out who has put it there, and remove it` | Do as it says: the crate makes only regular files. |
//! | `belongs to another user: each user needs a folder of its own` | Do as it says, or run all processes as one user. |
//! | `is open to other users: revoke its session, and remove the file` | Do as it says: somebody may have read its tokens. |
//! | `is a folder that other users may write to: take that right from them` | `chmod go-w`, and no folder such as `/tmp`. |
//! | `another process keeps it locked`, `it is replaced all the time` | A process was stopped within a step: end it. |
//! | `the file is incomplete, or was changed`, `the file is longer than 64 KiB` | Nothing: the next publication replaces it. |
//! | `its bytes are not those of a record`, `it is of another account` | The same. Only another program can have written it. |
//! | `the record is longer than 64 KiB` | The token is too long for a file. |
//! | `the lock is of another store` | Pass a lock to the store that has given it. |
//!
//! # Errors of a configuration
//!
//! They come when you build a client, never from a request, and repeat nothing of what you passed.
//!
//! | [`InvalidUrl`](crate::InvalidUrl) | what to do |
//! | --- | --- |
//! | `no origin is named: name at least one, such as https://api.example.com` | An empty list allows nothing: see where it comes from. |
//! | `not a URL: write it as https://api.example.com, without spaces, and a name that is not ASCII in its xn-- form` | Do as it says. |
//! | `scheme or host is missing: write it as https://api.example.com` | Do as it says. |
//! | `the URL must not have user information: remove everything up to the @` | Pass name and password to the login instead. |
//! | `a host cannot contain the wildcard *: name each of the hosts` | List each host. |
//! | `the URL of a request has no fragment: remove everything from the # on` | Do as it says. |
//! | `the port is not a number from 0 to 65535` | Correct the port. |
//! | `an origin is scheme, host and port: remove path and query` | Do as it says. |
//! | `the scheme is neither https nor http` | Name the scheme of the HTTP API. |
//! | ``plain http would send secrets in the clear to a host other than loopback: use https, or `dangerously_in_the_clear` on a network that you trust`` | Use `https`, or read [`Origins::dangerously_in_the_clear`](crate::Origins::dangerously_in_the_clear) and [`HttpLogin::dangerously_in_the_clear`](https://docs.rs/tower-bearer/latest/tower_bearer/struct.HttpLogin.html#method.dangerously_in_the_clear). |
//! | `plain http would send secrets in the clear to a host other than loopback: use https` | Presets and issuers: use `https`. |
//! | `an instance is the first label of its host name: letters, digits and inner hyphens` | Preset Quable: pass `acme`, not `acme.quable.com`. |
//! | `a base URL has no query` | Presets: take the query out. |
//! | `an issuer has no query: remove everything from the ? on` | Do as it says. |
//!
//! | [`InvalidToken`](crate::InvalidToken) | what to do |
//! | --- | --- |
//! | `the token is empty` | See that the variable or file is set. |
//! | `the token has a character that is not allowed at byte …` | Trim the line break of a file. |
//! | `the token has a character that is not allowed at byte …`, ``: `Token::visible_ascii` allows it, and `any_visible_ascii` of an HTTP login`` | The same for a visible character: use [`Token::visible_ascii`](crate::Token::visible_ascii) if the API issues such tokens. |
//! | `the token is longer than 64 KiB, which few servers accept in a header: check that it is only the token` | Often the whole answer was taken for the token. |
//!
//! | [`InvalidScheme`](crate::InvalidScheme) | what to do |
//! | --- | --- |
//! | `an authentication scheme has a name` | Leave the scheme out for `Bearer`. |
//! | `an authentication scheme is one word, without spaces or separators` | Write the word alone: the crate adds the space. |
//!
//! | [`InvalidBasicAuth`](https://docs.rs/tower-bearer/latest/tower_bearer/struct.InvalidBasicAuth.html) | what to do |
//! | --- | --- |
//! | ``the user of Basic authentication has a colon: only `client_secret_basic` can carry it`` | Do as it says if the server is one of OAuth 2.0; otherwise choose another user. |
//! | `Basic authentication carries no control characters: remove the line break at the end` | Trim what you read from a file. |
//!
//! | [`ReservedParameter`](https://docs.rs/tower-bearer/latest/tower_bearer/struct.ReservedParameter.html) | what to do |
//! | --- | --- |
//! | ``the grant sends `…` itself: set it by the constructor or the method that is for it`` | Do as it says: a request has it only once. |
//!
//! # Why a rejected request was not replayed
//!
//! Each rejected response that reaches you has a [`RejectionReport`](crate::RejectionReport) among
//! its extensions. [`not_replayed`](crate::RejectionReport::not_replayed) says why the request was not
//! replayed:
//!
//! | [`NotReplayed`] | what to do |
//! | --- | --- |
//! | [`NotReplayed::NoPolicy`] | Set a policy with [`replay`](crate::BearerAuthLayer::replay), or send the request again yourself. |
//! | [`NotReplayed::BodyNotKept`] | Choose a [policy](crate::Replay) that keeps this kind of body. |
//! | [`NotReplayed::AlreadyReplayed`] | A fresh token was rejected too: check permission and account. |
//! | [`NotReplayed::LoginHeldBack`] | Check permission; do not retry before [`next_login`](crate::RejectionReport::next_login). |
//! | [`NotReplayed::LoginFailed`] | Repair the login; do not retry before [`next_login`](crate::RejectionReport::next_login). |
//! | [`NotReplayed::NoOtherCredential`] | Replace the token by hand: the provider has no other. |
//! | [`NotReplayed::CallersHeader`] | Your own header was rejected: renew it where you set it. |
//!
//! [`reason`](crate::RejectionReport::reason) says what the provider did;
//! [the page on rejections](super::rejections) says when:
//!
//! | [`Reason`] | what to do |
//! | --- | --- |
//! | [`Reason::Current`] | Nothing: the next request logs in. |
//! | [`Reason::Late`] | Nothing: a newer credential is there or on its way. |
//! | [`Reason::LoginDidNotHelp`] | A login did not help this endpoint: check whether this account may use it. |
//! | [`Reason::LoginsDidNotHelp`] | Logins did not help endpoints like this one: check what this account may use. |
//! | [`Reason::RevokedQuickly`] | As for [`CredentialEvent::Contended`]. |
//! | [`Reason::BackingOff`] | Repair the login: the last one failed. |
//! | [`Reason::Fixed`] | Replace the token by hand, or use a login. |
//! | [`Reason::Unknown`] | The token was made elsewhere, 64 logins ago, or before a sign-out: nothing, if it is rare. |
//!
//! # States in a snapshot
//!
//! | [`CredentialState`] of a [`snapshot`](crate::CachedProvider::snapshot) | what to do |
//! | --- | --- |
//! | [`CredentialState::Empty`] | Nothing; [`acquire`](crate::CachedProvider::acquire) at start spares the first request the login. |
//! | [`CredentialState::LoggingIn`] | Nothing, unless it lasts longer than the login's timeout. |
//! | [`CredentialState::Fresh`] | Nothing. |
//! | [`CredentialState::Aging`] | Nothing: a login is due, under way or has failed, and requests go on. If it lasts, see [`last_error`](crate::Snapshot::last_error). |
//! | [`CredentialState::HeldBack`] | Raise an alarm if it lasts: see [`held_back`](crate::Snapshot::held_back). |
//! | [`CredentialState::Expired`] | Nothing: the next request logs in. |
//! | [`CredentialState::BackingOff`] | Raise an alarm: requests fail. See [`last_error`](crate::Snapshot::last_error) and [`next_attempt`](crate::Snapshot::next_attempt). |
//! | [`CredentialState::SignedOut`] | Sign in: [`set_credential`](crate::CachedProvider::set_credential) or [`reset`](crate::CachedProvider::reset). |

// For the links.
use crate::{CredentialEvent, CredentialState, Error, LoginError, NotReplayed, Reason, Recovery};

//! After this page you know the usual holes in token handling, this crate's answers, and the tests that
//! check them.
//!
//! Clients in many languages have had these holes; some have a CVE. Each entry says what goes wrong,
//! what this crate does instead, and which of its tests checks that. A test fails if one of those
//! names is wrong. [What stays open](#what-stays-open) is at the
//! end; [the page on limits](super::limits) has more.
//!
//! # Logins
//!
//! **Login stampede.** The token expires, and each waiting request logs in. At an API with one
//! session per account those logins revoke each other. Here there is one login in flight, and all
//! requests share its outcome.
//! `tests/single_flight.rs::ten_thousand_requests_at_once_cause_one_login`
//!
//! **Waiters fail one by one.** A login fails, and the next waiter tries again, and the next. Here
//! all get the same error at once, with the time of the next attempt.
//! `tests/single_flight.rs::waiters_share_one_failure`
//!
//! **Abandoned login.** The request that logs in is dropped, and the login with it, though the
//! server has already revoked the old token. Here a login runs in a task of its own, which no
//! request cancels. `tests/single_flight.rs::a_leader_dropped_at_any_await_does_not_stop_the_login`
//!
//! **Refresh token spent twice.** Two refreshes at once, or a second try after a lost answer, look
//! like theft to a server that rotates tokens. Here a login takes the refresh token out; once
//! taken, no other login gets it.
//! `tests/refresh_tokens.rs::a_taken_token_is_spent_however_the_login_ends`
//!
//! **Refresh token spent again after a crash.** The process ends after the refresh was sent and before
//! the next refresh token is stored. The next process sends the old one. Here a
//! [hook](super::shutdown#a-store-that-survives-a-crash) comes before the refresh.
//! `tests/kills.rs::no_refresh_token_is_used_twice_across_kills`
//!
//! **Signed out, and signed in again.** A login ends after the user has signed out, and its token is
//! used for the next user. Here its outcome is discarded, and no request changes its user.
//! `tests/sign_out_load.rs::nothing_is_sent_or_stored_for_a_user_that_has_signed_out`
//!
//! **Account locked by a wrong password.** A service tries it once per request until the server
//! locks the account. Here a [permanent](crate::LoginError::permanent) failure is tried again after
//! 15, 30 and 60 minutes. `tests/failures.rs::a_wrong_password_is_tried_twice_in_half_an_hour`
//!
//! **A failed early refresh displaces a good token.** Here the current credential stays in use
//! until its own expiry.
//! `tests/expiry.rs::a_failed_background_login_keeps_the_credential_and_is_not_retried_per_request`
//!
//! **Request without a token.** The login fails, and the request is sent bare. Here it is not sent.
//! `tests/failures.rs::no_request_is_sent_without_its_authorization`
//!
//! **Panicking login.** It poisons a mutex, or leaves its waiters hanging. Here it is an error for
//! the waiters, and the next request logs in after the pause.
//! `tests/single_flight.rs::a_panicking_login_is_an_error_for_its_waiters_and_the_next_one_runs`
//!
//! # Rejections
//!
//! **A late 401 invalidates the new token.** The request was sent with the previous token, and its
//! answer comes after the login. The client throws the new token away. Here each request carries
//! the [generation](crate::Generation) of its login, and a rejection counts for that one alone.
//! `tests/rejection.rs::a_late_rejection_of_an_old_generation_is_harmless`
//!
//! ```
//! use http::Method;
//! use tower_bearer::{CachedProvider, Credential, Reason, Receipt, Rejected, login_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let provider = CachedProvider::new(login_fn(async |_| Ok(Credential::new("abc")?)));
//! let first = provider.acquire().await?.generation();
//! let receipt = Receipt::new(first, 0, &Method::GET, "/things");
//!
//! let verdict = provider.reject(&Rejected::by_hand(receipt));
//! assert_eq!(verdict.reason(), Reason::Current);
//! let second = provider.acquire().await?.generation();
//!
//! let verdict = provider.reject(&Rejected::by_hand(receipt)); // the same rejection again, late
//! assert_eq!(verdict.reason(), Reason::Late);
//! assert_eq!(provider.current().unwrap().generation(), second);
//! # Ok::<_, tower_bearer::Error>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! **Hot login loop.** An endpoint is forbidden for this account and answers 401. Each 401 causes a
//! login, and each login revokes what others send. Here logins that do not help are paused, for
//! that endpoint alone.
//! `tests/held_back.rs::a_401_for_lack_of_permission_costs_few_logins_and_no_healthy_call`
//!
//! **No login ever again.** A throttle that is too simple keeps a dead token for hours. Here a login
//! is tried after five minutes at the latest, and the pause of a failed login.
//! `tests/rejections/main.rs::no_history_prevents_all_logins`
//!
//! **Two clients on one account.** Each login revokes the other client's token, without end. Here
//! that is noticed, reported as [`Contended`](crate::CredentialEvent::Contended), and no longer
//! answered at once.
//! `tests/held_back.rs::another_client_on_the_account_is_reported_and_no_longer_logged_out`
//!
//! # Lifetimes
//!
//! **Expiry by one clock.** The monotonic clock stops while a machine sleeps, and the wall clock
//! jumps. Here a credential is expired as soon as either says so.
//! `tests/expiry.rs::a_credential_expires_by_whichever_clock_is_first`
//!
//! **The server's clock is wrong.** An absolute expiry then lies in the past, and each request logs
//! in. Here a lifetime counts from the sending of the login, and an expiry that is already over is
//! ignored. `tests/expiry.rs::a_wrong_server_clock_causes_no_login_storm`
//!
//! **Short lifetimes.** A token of 5 s and a margin of 10 s are a login per request. Here the
//! margin is at most half of the lifetime, and each token is used for a second at least.
//! `tests/expiry.rs::a_short_lifetime_causes_no_login_loop`
//!
//! **A fleet renews at one instant.** Here the moment is random within a fifth of the token's use.
//! `tests/expiry.rs::refresh_ahead_is_spread_over_a_fleet`
//!
//! # Where the token goes
//!
//! More is on [the page on origins](super::origins).
//!
//! **Redirect to another host.** A layer that adds a header to each request adds it to the
//! redirected one (curl, CVE-2018-1000007). Here the token goes to the named
//! [`Origins`](crate::Origins) only.
//! `tests/redirects.rs::no_redirect_takes_the_token_to_another_origin`
//!
//! **Hosts that look alike.** Subdomains, user information or odd addresses pass a loose
//! comparison. Here scheme, host and port are compared whole, and a second parser agrees.
//! `tests/corpus.rs::origins_agree_with_another_parser`
//!
//! **Token in a log.** `Debug` of a request or an error prints it. Here the header is sensitive,
//! each secret has a `Debug` of its own, and a search at level TRACE finds none.
//! `tests/secrets_in_output.rs::no_secret_is_ever_printed`
//!
//! **Token in a compression table.** HTTP/2 intermediaries may index headers. Here it is never
//! indexed. `tests/on_the_wire.rs::http2_never_indexes_the_authorization`
//!
//! **Two `Authorization` headers.** A layer appends where it should insert, and the server picks
//! one. Here one goes out; a request that brings two is an error.
//! `tests/header.rs::a_request_with_two_authorizations_is_not_sent`
//!
//! # Replay
//!
//! **Half a stream is sent again.** Clones of some bodies share one stream, so that the second
//! request is empty and succeeds. Here nothing is replayed unless a [policy](crate::Replay) keeps
//! the body. `tests/replay.rs::a_stream_is_sent_once_and_the_next_request_succeeds`
//!
//! **Replay without end.** The new token is rejected as well, and the client tries again. Here a
//! request is sent twice at most. `tests/replay.rs::a_request_is_sent_twice_at_most` Two
//! layers in one stack send it three times at most.
//! `tests/layer_order.rs::two_layers_send_a_request_three_times_at_most`
//!
//! # Tower and runtimes
//!
//! **Login through its own layer.** It waits for itself. Here that is an error at once.
//! `tests/single_flight.rs::a_login_through_its_own_layer_fails_at_once_and_says_why`
//!
//! **A held concurrency slot.** A request waits for the login and keeps the slot that the login
//! needs. Here it gives the slot back first.
//! `tests/tower_contract.rs::a_login_through_the_same_concurrency_limit_of_one_gets_its_turn`
//!
//! **A failed login closes a `Buffer`.** An error from `poll_ready` means that the service is dead.
//! Here it is the error of one response.
//! `tests/tower_contract.rs::a_failed_login_is_an_error_of_the_response_and_nothing_is_sent`
//!
//! **The runtime of the login is gone.** Its waiters hang. Here the login counts as lost, and
//! another runtime makes a new one.
//! `tests/runtimes.rs::a_login_lost_with_its_runtime_is_repeated_on_another`
//!
//! # What stays open
//!
//! - If a [store](super::fleet) loses its record, and a process dies after it has sent the refresh token, another
//!   process may send it again.
//! - A `FollowRedirect` *inside* this layer decides itself where the header goes. Put it outside,
//!   above all with [another header name](crate::BearerAuthLayer::with_header_name):
//!   `tests/redirects.rs::a_custom_header_leaks_where_redirects_are_followed_inside_the_layer`
//! - A login that another task sends through the layer, such as the worker of a `Buffer`, is not
//!   recognised. It ends at its timeout.
//! - A [`LoginError`](crate::LoginError) inside an `anyhow::Error` is not found: see [the page on
//!   errors](super::errors_do_not_compile#a-login-ends-with-another-error).
//! - Copies of the token in buffers of the HTTP client are not wiped.

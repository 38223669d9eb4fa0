//! What a client stack is tried with. `tests/each_stack.rs` and `examples/stacks` run it.
#![allow(dead_code, reason = "each of the two uses a part of it")]

mod api;

use std::{error::Error, io, pin::Pin, sync::Arc, time::Duration};

use http::Method;
use tokio::task::JoinSet;
use tower_bearer::{BoxError, LoginError, Recovery};

use self::api::LOCKED_FOR;
pub(crate) use self::api::{Api, Failure};

/// How many requests are sent at once.
pub(crate) const REQUESTS: usize = 100;

pub(crate) const FAILURES: [Failure; 5] = [
    Failure::Refused,
    Failure::Locked,
    Failure::Unreachable,
    Failure::TimesOut,
    Failure::Panics,
];

/// Sends one request. An answer other than a success is an error.
pub(crate) type Call =
    Arc<dyn Fn(Method) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> + Send + Sync>;

pub(crate) fn call<F: Future<Output = Result<(), BoxError>> + Send + 'static>(
    call: impl Fn(Method) -> F + Send + Sync + 'static,
) -> Call {
    Arc::new(move |method| Box::pin(call(method)))
}

/// Sends all requests at once. Returns how many failed, and how many logins and replays were made.
pub(crate) async fn send(
    name: &str,
    api: &Api,
    call: &Call,
    method: Method,
) -> Result<(usize, usize, usize), BoxError> {
    let (logins, received) = (api.logins(), api.received());
    let mut requests: JoinSet<_> = (0..REQUESTS).map(|_| call(method.clone())).collect();
    let mut failed = 0;
    while let Some(answered) = requests.join_next().await {
        if let Err(error) = answered? {
            failed += 1;
            if failed == 1 {
                eprintln!("{name}: {error}");
            }
        }
    }
    let logins = api.logins() - logins;
    let replayed = api.received() - received - REQUESTS;
    println!("{name}: {REQUESTS} {method}s: failed={failed} logins={logins} replayed={replayed}");
    Ok((failed, logins, replayed))
}

/// The login's error, if it is in the chain of sources.
pub(crate) fn in_chain(error: &BoxError) -> Option<&tower_bearer::Error> {
    let mut error: &(dyn Error + 'static) = error.as_ref();
    loop {
        match error.downcast_ref() {
            Some(ours) => return Some(ours),
            None => error = error.source()?,
        }
    }
}

/// Whether the error says what has happened, and what to do.
pub(crate) fn tells(error: &tower_bearer::Error, failure: Failure) -> bool {
    let tries_again = |after: Duration| error.recovery() == Recovery::TryAgain { after };
    let may_try_again = matches!(error.recovery(), Recovery::TryAgain { .. });
    match failure {
        Failure::Refused => {
            error.is_login_failed()
                && error.login_error().is_some_and(LoginError::is_permanent)
                && error.recovery() == Recovery::ChangeCredentials
        }
        Failure::Locked => error.is_login_failed() && tries_again(LOCKED_FOR),
        Failure::Unreachable => {
            let cause = error.source().and_then(|cause| cause.downcast_ref());
            let refused = cause
                .is_some_and(|cause: &io::Error| cause.kind() == io::ErrorKind::ConnectionRefused);
            error.is_login_failed() && refused && may_try_again
        }
        Failure::TimesOut => error.is_login_timed_out() && may_try_again,
        Failure::Panics => error.is_login_panicked() && error.recovery() == Recovery::FixProgram,
    }
}

/// The number of lines that a user copies.
pub(crate) fn lines(recipe: &str) -> usize {
    recipe
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

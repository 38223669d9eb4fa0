//! The probe: it asks a login and an API what no documentation tells.
//!
//! [`probe`] takes a configuration and a client, and returns a [`Report`]; [`rust`] writes the lines of
//! Rust for it. Nothing here prints, reads the command line, or opens a connection by itself.

mod announced;
pub(crate) mod arguments;
pub(crate) mod config;
mod interrogation;
mod login;
pub(crate) mod report;
pub(crate) mod rust;
mod tap;
pub(crate) mod secrets;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::Service;
use tower_bearer::{BoxError, Clock, SystemClock, test_util::TestClock};

use self::{
    arguments::Limits,
    config::LoginBy,
    interrogation::{Interrogation, LONGEST_WATCH, SECOND},
    report::{QUESTIONS, seconds},
    tap::{TIMEOUT, Tap},
};
pub(crate) use self::{config::Config, report::Report};

/// The clocks, and the waiting.
pub(crate) trait Time: Clock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl Time for SystemClock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Waiting moves the clock by hand: an hour passes at once.
impl Time for TestClock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.advance(duration);
        Box::pin(tokio::task::yield_now())
    }
}

pub(crate) struct Options {
    pub(crate) limits: Limits,
    pub(crate) time: Arc<dyn Time>,
    /// Gets a line for each step.
    pub(crate) progress: fn(&str),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            time: Arc::new(SystemClock),
            progress: |_| {},
        }
    }
}

/// The most that the probe will do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) logins: usize,
    pub(crate) refreshes: usize,
    pub(crate) requests: usize,
    /// The longest wait in total, besides that for answers.
    pub(crate) wait: Duration,
}

impl Plan {
    pub(crate) fn new(config: &Config, limits: Limits) -> Self {
        // One to be revoked, one that revokes it, and one to live until it expires.
        let logins = limits.logins.min(3);
        let of_refresh = usize::from(config.can_refresh());
        let is_revoked = limits.patience.min(LONGEST_WATCH);
        Self {
            logins,
            refreshes: 2 * of_refresh,
            // Bad ones, the first uses of each token, two questions, and the life of one token.
            requests: 2 + 3 * (logins + 2 * of_refresh) + 7 + 9 * of_refresh + 23,
            wait: 3 * SECOND * u32::try_from(logins + 2 * of_refresh).unwrap_or_default()
                + is_revoked
                + is_revoked * u32::from(config.can_refresh())
                + limits.patience,
        }
    }

    /// What the probe will do, in words.
    pub(crate) fn words(&self, config: &Config, limits: Limits) -> String {
        let login = match &config.login {
            LoginBy::Quable(_) => "Quable",
            LoginBy::Teletracker(_) => "Teletracker",
            LoginBy::OAuth2(grant) => &grant.url,
            LoginBy::Post(post) => &post.url,
        };
        let mut text = format!(
            "The probe logs in at {login} and gets\n{}. It asks:\n\n",
            config.place()
        );
        for question in QUESTIONS {
            text += &format!("  - {question}\n");
        }
        text += &format!(
            "\nIt sends at most: logins {}, refreshes {}, requests to the API {}.\n",
            self.logins, self.refreshes, self.requests
        );
        text += &format!(
            "It waits {} at most ({} for one question: --patience), and {} for each answer.\n",
            seconds(self.wait),
            seconds(limits.patience),
            seconds(TIMEOUT)
        );
        text + "A login may end the sessions of everybody who uses the account.\n"
    }
}

/// Interrogates a login and an API. The client must not follow redirects.
///
/// # Errors
///
/// A configuration that makes no login, such as one with an invalid URL. A failure of the server is no
/// error: the report says it.
pub(crate) async fn probe<S, B>(
    config: &Config,
    client: S,
    options: &Options,
) -> Result<Report, BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let tap = Tap::new(client, Arc::clone(&options.time));
    Ok(Interrogation::new(config, options, tap)?.run().await)
}

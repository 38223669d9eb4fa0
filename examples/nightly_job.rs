//! A job that runs each night goes on with the session of the last one, instead of logging in.
//!
//! The API asks for one login per job, and a session lasts 30 days, as at Quable. The job runs thirty times, each
//! time with a provider of its own, as in a process of its own. They share a `FileStore`. No network is needed,
//! and no time passes:
//!
//! ```text
//! cargo run --example nightly_job
//! ```
//!
//! The example exits with an error if one of the figures is wrong.
//!
//! **Copy** the function `provider`. **Do not copy** the clock of `main`, and the stand-in for the API.

#[cfg(unix)]
mod job {
    use std::{
        env, fs,
        path::Path,
        process::ExitCode,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering::Relaxed},
        },
        time::Duration,
    };

    use tower_bearer::{
        BoxError, CachedProvider, Credential, Login, login_fn,
        store::{FileStore, RecordKey, SharedAccount},
        test_util::TestClock,
    };

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn provider(folder: &Path, login: impl Login, clock: &TestClock) -> CachedProvider {
        // Only the user of the job may read the folder. The record is in plain text: see `SharedAccount::seal`.
        let store = FileStore::new(folder).with_clock(clock.clone());
        let key = RecordKey::new("https://acme.quable.com", "importer", "");
        CachedProvider::builder(login)
            .clock(clock.clone())
            .shared(SharedAccount::new(store, key))
            .build()
    }

    /// Logs in to the API, and counts it.
    fn api(logins: &Arc<AtomicU64>) -> impl Login + use<> {
        let logins = Arc::clone(logins);
        login_fn(move |_| {
            let number = logins.fetch_add(1, Relaxed) + 1;
            async move { Ok(Credential::new(format!("session-{number}"))?.with_lifetime(30 * DAY)) }
        })
    }

    #[tokio::main(flavor = "current_thread")]
    pub(super) async fn main() -> Result<ExitCode, BoxError> {
        let folder = env::temp_dir().join(format!("nightly-job-{}", std::process::id()));
        let (logins, clock) = (Arc::new(AtomicU64::new(0)), TestClock::new());
        for night in 1..=30 {
            let provider = provider(&folder, api(&logins), &clock);
            let authorization = provider.acquire().await?; // the work of the job
            assert_eq!(authorization.value(), "Bearer session-1", "night {night}");
            provider.settled().await;
            clock.advance(DAY);
        }
        fs::remove_dir_all(&folder)?;
        let made = logins.load(Relaxed);
        println!("30 runs, {made} login, {} saved", 30 - made);
        Ok(ExitCode::from(u8::from(made != 1)))
    }
}

#[cfg(unix)]
fn main() -> Result<std::process::ExitCode, tower_bearer::BoxError> {
    job::main()
}

#[cfg(not(unix))]
fn main() {
    println!("a `FileStore` needs Unix");
}

//! The token is in a file that somebody else replaces: `TokenFile`, with a volume as Kubernetes mounts it.
//!
//! A hundred requests are sent while the volume is swapped, and none of them waits or fails: the file is read
//! in the background. Then the server revokes the token at once, and a rejection reads the file. In between
//! the file is half written, which changes nothing. No network is needed, and no time passes:
//!
//! ```text
//! cargo run --example token_file
//! ```
//!
//! The example exits with an error if one of the figures is wrong.
//!
//! **Copy** the function `client`. **Do not copy** the paused time of `main`, and the module `stand_in`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use http::Request;
use tokio::{task::JoinSet, time::sleep};
use tower::{Layer, ServiceExt};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, BoxError, CachedProvider, Origins, ReplayWith, TokenFile,
};

use self::stand_in::{Api, Volume};

/// How to send a rejected request once more.
type Again = ReplayWith<fn(&()) -> Option<()>>;

fn client(token: PathBuf, api: &Api) -> Result<BearerAuth<Api, CachedProvider, Again>, BoxError> {
    let provider = CachedProvider::builder(TokenFile::new(token))
        .on_event(|event| println!("  {event:?}"))
        .build();
    let origins = Origins::new("https://api.example.com")?;
    let again: fn(&()) -> Option<()> = |()| Some(());
    let layer = BearerAuthLayer::new(provider, origins).replay(ReplayWith(again));
    Ok(layer.layer(api.clone()))
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<ExitCode, BoxError> {
    let volume = Volume::new("first")?;
    let api = Api::default();
    api.accept("first");
    let client = client(volume.token(), &api)?;
    let mut failed = 0;

    println!("a request every 0.3 s, and the volume is swapped");
    for number in 0..100 {
        if number == 20 {
            // As at Kubernetes, the previous token stays valid for a while.
            api.accept("second");
            volume.swap("second")?;
        }
        let request = Request::get("https://api.example.com/things").body(())?;
        let response = client.clone().oneshot(request).await?;
        failed += usize::from(!response.status().is_success());
        sleep(Duration::from_millis(300)).await;
    }

    println!("the file is half written for 65 s");
    volume.swap("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOi")?;
    sleep(Duration::from_secs(65)).await; // between two looks at the file
    let by_swap = api.rejected();

    println!("the token is revoked while a hundred requests are under way");
    volume.swap("third")?;
    api.accept("third");
    api.revoke("second");
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        let request = Request::get("https://api.example.com/things").body(())?;
        requests.spawn(client.clone().oneshot(request));
    }
    while let Some(response) = requests.join_next().await {
        failed += usize::from(!response??.status().is_success());
    }

    let snapshot = client.provider().snapshot();
    let (readings, bad) = (snapshot.logins(), snapshot.failed_logins());
    let rejected = api.rejected();
    println!(
        "token_file: requests=200 readings={readings} bad_files={bad} rejected={rejected} failed={failed}"
    );
    Ok(match (readings, bad, by_swap, rejected, failed) {
        (3, 1, 0, 100, 0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Stand-ins for the kubelet and for the API.
mod stand_in {
    use std::{
        collections::HashSet,
        convert::Infallible,
        env, fs,
        future::Future,
        io,
        path::PathBuf,
        pin::Pin,
        process,
        sync::{Arc, Mutex, MutexGuard, PoisonError},
        task::{Context, Poll},
    };

    use http::{Request, Response, StatusCode};
    use tokio::task::yield_now;
    use tower::Service;

    /// A folder with the file `token`. On Unix that is a link to `..data/token`, and `..data` is a link to
    /// the folder of the current version.
    pub(crate) struct Volume(PathBuf);

    impl Volume {
        pub(crate) fn new(token: &str) -> io::Result<Self> {
            let name = format!("tower-bearer-volume-{}", process::id());
            let volume = Self(env::temp_dir().join(name));
            fs::create_dir(&volume.0)?;
            volume.swap(token)?;
            #[cfg(unix)]
            std::os::unix::fs::symlink("..data/token", volume.token())?;
            Ok(volume)
        }

        pub(crate) fn token(&self) -> PathBuf {
            self.0.join("token")
        }

        /// Replaces the version by one rename, and deletes the previous one.
        #[cfg(unix)]
        pub(crate) fn swap(&self, token: &str) -> io::Result<()> {
            let (data, next) = (self.0.join("..data"), self.0.join("..data_tmp"));
            let previous = fs::read_link(&data).ok();
            let version = format!("..version_of_{}", &token[..4]);
            fs::create_dir(self.0.join(&version))?;
            fs::write(self.0.join(&version).join("token"), token)?;
            std::os::unix::fs::symlink(version, &next)?;
            fs::rename(next, data)?;
            match previous {
                Some(previous) => fs::remove_dir_all(self.0.join(previous)),
                None => Ok(()),
            }
        }

        #[cfg(not(unix))]
        pub(crate) fn swap(&self, token: &str) -> io::Result<()> {
            let next = self.0.join("next");
            fs::write(&next, token)?;
            fs::rename(next, self.token())
        }
    }

    impl Drop for Volume {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// The API, in place of a client and a server.
    #[derive(Clone, Default)]
    pub(crate) struct Api(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        accepted: HashSet<String>,
        rejected: usize,
    }

    impl Api {
        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn accept(&self, token: &str) {
            self.state().accepted.insert(format!("Bearer {token}"));
        }

        pub(crate) fn revoke(&self, token: &str) {
            self.state().accepted.remove(&format!("Bearer {token}"));
        }

        pub(crate) fn rejected(&self) -> usize {
            self.state().rejected
        }
    }

    impl Service<Request<()>> for Api {
        type Response = Response<()>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Response<()>, Infallible>> + Send>>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<()>) -> Self::Future {
            let value = request.headers().get("authorization");
            let value = value.and_then(|value| value.to_str().ok());
            let mut response = Response::new(());
            let mut state = self.state();
            if !value.is_some_and(|value| state.accepted.contains(value)) {
                state.rejected += 1;
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            }
            drop(state);
            Box::pin(async {
                yield_now().await; // the other requests arrive meanwhile
                Ok(response)
            })
        }
    }
}

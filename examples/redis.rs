//! One session for the processes of several machines, in Redis: `RedisStore` over the crate `redis`.
//!
//! Five jobs start at once, each with a connection of its own, as if each were a process. One of them logs in; the
//! others take up its session:
//!
//! ```text
//! REDIS_URL=redis://127.0.0.1/ cargo run --example redis
//! ```
//!
//! Without `REDIS_URL`, the example says so and ends. It exits with an error if there is more than one login.
//!
//! **Copy** the functions `store` and `provider`, and what they call. **Do not copy** `api`, the stand-in for a login.

use std::{
    env,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use futures_util::StreamExt;
use redis::{
    Client, Script,
    aio::{ConnectionManager, ConnectionManagerConfig, PubSub},
};
use tokio::{task::JoinSet, time::sleep};
use tower_bearer::{
    BoxError, CachedProvider, Credential, Login, login_fn,
    store::{CredentialStore, LockAttempt, RecordKey, RedisScript, RedisStore, SharedAccount},
};

/// Connects when it is needed, and again after each failure.
fn store(client: &Client) -> Result<RedisStore, BoxError> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(Duration::from_millis(250)))
        .set_number_of_retries(1); // six by default, for seconds
    let connection = client.get_connection_manager_lazy(config)?;
    let client = client.clone();
    let store = RedisStore::new(move |script| run(connection.clone(), script));
    // Optional: without it, whoever waits asks again after a pause.
    Ok(store.with_changes(move |channel| {
        let client = client.clone();
        async move {
            match subscribe(&client, channel).await {
                Ok(mut subscriber) => drop(subscriber.on_message().next().await),
                Err(_) => std::future::pending().await,
            }
        }
    }))
}

async fn run(
    mut connection: ConnectionManager,
    script: RedisScript,
) -> Result<Vec<Vec<u8>>, BoxError> {
    let text = Script::new(script.text());
    let mut run = text.prepare_invoke();
    for key in script.keys() {
        run.key(key);
    }
    for argument in script.arguments() {
        run.arg(argument);
    }
    Ok(run.invoke_async(&mut connection).await?)
}

async fn subscribe(client: &Client, channel: String) -> Result<PubSub, BoxError> {
    let mut subscriber = client.get_async_pubsub().await?;
    subscriber.subscribe(channel).await?;
    Ok(subscriber)
}

/// A provider that shares the session of the account with every process that has this store.
fn provider(login: impl Login, store: RedisStore, key: RecordKey) -> CachedProvider {
    // The record is in plain text: see `SharedAccount::seal`.
    CachedProvider::builder(login)
        .shared(SharedAccount::new(store, key))
        .build()
}

/// Logs in to an API, and counts it.
fn api(logins: &Arc<AtomicU64>) -> impl Login + use<> {
    let logins = Arc::clone(logins);
    login_fn(move |_| {
        logins.fetch_add(1, Relaxed);
        async {
            sleep(Duration::from_millis(100)).await; // as a login server takes
            Ok(Credential::new("abc")?.with_lifetime(Duration::from_secs(3600)))
        }
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, BoxError> {
    let Ok(url) = env::var("REDIS_URL") else {
        println!("it needs a Redis: set REDIS_URL, such as redis://127.0.0.1/");
        return Ok(ExitCode::SUCCESS);
    };
    let client = Client::open(url)?;
    // Another account in each run, so that the first job finds no session.
    let run = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let key = RecordKey::new("https://issuer.example", &format!("{run:?}"), "");
    let logins = Arc::new(AtomicU64::new(0));
    let mut jobs = JoinSet::new();
    for _ in 0..5 {
        let provider = provider(api(&logins), store(&client)?, key);
        jobs.spawn(async move {
            let authorization = provider.acquire().await?; // the work of the job
            provider.settled().await;
            Ok::<_, BoxError>(authorization)
        });
    }
    while let Some(job) = jobs.join_next().await {
        assert_eq!(job??.value(), "Bearer abc");
    }
    let logins = logins.load(Relaxed);
    println!("5 jobs, {logins} login");

    // Nothing is left of this run.
    let store = store(&client)?;
    if let LockAttempt::Acquired(lock) = store.lock(key, Duration::from_secs(5)).await? {
        store.remove(&lock).await?;
        store.unlock(lock).await?;
    }
    Ok(ExitCode::from(u8::from(logins != 1)))
}

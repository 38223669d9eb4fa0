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
//! **Copy** the functions `store` and `credential`. **Do not copy** the function `log_in`.

use std::{
    env,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures_util::StreamExt;
use redis::{
    Client, Script,
    aio::{ConnectionManager, ConnectionManagerConfig, PubSub},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tower_bearer::{
    BoxError, Credential,
    store::{CredentialStore, LockAttempt, Record, RecordKey, RedisScript, RedisStore},
};

/// Longer than a login may take.
const LEASE: Duration = Duration::from_secs(40);

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

/// The credential that the store has, or that of a login which only one process makes.
async fn credential(
    store: &RedisStore,
    key: RecordKey,
    logins: &AtomicU64,
) -> Result<Credential, BoxError> {
    loop {
        let stored = store.read(key).await?;
        if let Some(stored) = &stored {
            return Ok(stored.open(key, None)?.credential(SystemTime::now()));
        }
        let changed = store.changed(key);
        if let LockAttempt::Acquired(lock) = store.lock(key, LEASE).await? {
            // Another process may have published in between.
            if store.read(key).await?.is_none() {
                let issued_at = SystemTime::now();
                let record = Record::new(&log_in(logins).await?, issued_at).seal(key, None)?;
                store.publish(&lock, None, record).await?;
            }
            store.unlock(lock).await?;
            continue;
        }
        let pause = Duration::from_millis(200);
        match changed {
            Some(changed) => drop(timeout(pause, changed).await), // it may miss a change
            None => sleep(pause).await,
        }
    }
}

async fn log_in(logins: &AtomicU64) -> Result<Credential, BoxError> {
    logins.fetch_add(1, Ordering::Relaxed);
    sleep(Duration::from_millis(100)).await; // as a login server takes
    Ok(Credential::new("abc")?.with_lifetime(Duration::from_secs(3600)))
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
        let (store, logins) = (store(&client)?, Arc::clone(&logins));
        jobs.spawn(async move {
            let credential = credential(&store, key, &logins).await?;
            Ok::<_, BoxError>(credential.token().clone())
        });
    }
    while let Some(job) = jobs.join_next().await {
        assert_eq!(job??.expose(), "abc");
    }
    let logins = logins.load(Ordering::Relaxed);
    println!("5 jobs, {logins} login");

    // Nothing is left of this run.
    let store = store(&client)?;
    if let LockAttempt::Acquired(lock) = store.lock(key, LEASE).await? {
        store.remove(&lock).await?;
        store.unlock(lock).await?;
    }
    Ok(ExitCode::from(u8::from(logins != 1)))
}

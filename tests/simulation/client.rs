//! A host that runs a service. Its process may crash and restart.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::time;
use tower_bearer::{
    BearerAuthLayer, CachePolicy, CachedProvider, Credential, NoReplay, Origins, ReplayEmpty,
    ReplayWith,
};

use crate::{
    clock::HostClock,
    issuer::{API, Ledger},
    logbook::Logbook,
    login::SimulatedLogin,
    plan::{ClientPlan, Pace, ReplayPolicy},
    process::Process,
    record::Record,
    service::Payload,
};

/// The state of a host that survives its process. Clones share it.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) plan: ClientPlan,
    pub(crate) pace: Pace,
    pub(crate) seed: u64,
    pub(crate) forbids: bool,
    pub(crate) record: Record,
    pub(crate) ledger: Ledger,
    /// Whether the faults are over.
    pub(crate) are_faults_over: Arc<AtomicBool>,
    pub(crate) is_done: Arc<AtomicBool>,
    /// How far the wall clock is ahead.
    pub(crate) ahead: Arc<AtomicI64>,
    pub(crate) processes: Arc<AtomicUsize>,
    /// The credential that `on_credential` stored, and its expiry.
    pub(crate) store: Arc<Mutex<Option<Stored>>>,
}

#[derive(Clone)]
pub(crate) struct Stored {
    credential: Credential,
    ends_at: Option<Duration>,
}

/// One process, from its start to its end or its crash.
pub(crate) async fn live(host: Host) -> turmoil::Result {
    let process = host.processes.fetch_add(1, SeqCst);
    let who = format!("{}#{process}", host.plan.name);
    let mut chance = Rng::with_seed(host.seed ^ (0x9E37_79B9 * (process as u64 + 1)));
    let clock = HostClock::new(
        host.record.now(),
        Arc::clone(&host.ahead),
        host.plan.clock_runs_by_itself,
    );
    let logbook = Logbook::new(
        who,
        host.record.clone(),
        clock.clone(),
        host.ledger.clone(),
        host.plan.session,
    );
    let login = SimulatedLogin {
        logbook: logbook.clone(),
        account: host.plan.account.clone(),
        session: host.plan.session,
        expiry_form: host.plan.expiry_form,
    };
    // Dropped when no reference to the provider is left.
    let canary = Arc::new(());
    let held = Arc::clone(&canary);
    let random = Mutex::new(chance.fork());
    let (observing, keeping) = (logbook.clone(), logbook.clone());
    let (store, record) = (Arc::clone(&host.store), host.record.clone());
    let persists = host.plan.persists;
    let mut builder = CachedProvider::builder(login)
        .policy(CachePolicy::default().login_timeout(host.pace.login_timeout))
        .clock(clock)
        .random(move || {
            let _held = &held;
            random.lock().unwrap().f64()
        })
        .on_event(move |event| observing.observe(event))
        .on_credential(move |credential| {
            keeping.handed(credential);
            if persists {
                let ends_at = credential
                    .lifetime()
                    .map(|lifetime| record.now() + lifetime);
                let credential = credential.clone();
                *store.lock().unwrap() = Some(Stored {
                    credential,
                    ends_at,
                });
            }
        });
    let stored = host.store.lock().unwrap().clone();
    let mut starting_with = None;
    if let Some(Stored {
        credential,
        ends_at,
    }) = stored
    {
        let left = ends_at.map(|ends_at| ends_at.saturating_sub(host.record.now()));
        let credential = match left {
            Some(left) => credential.with_lifetime(left),
            None => credential,
        };
        host.record
            .count(|counts| counts.restarts_with_a_credential += 1);
        builder = builder.starting_with(credential.clone());
        starting_with = Some(credential);
    }
    let provider = builder.build();
    if let Some(credential) = starting_with {
        logbook.starts_with(&credential, provider.snapshot().generation());
    }
    let origins = Origins::new([format!("https://{API}")])?;
    let layer = BearerAuthLayer::new(provider.clone(), origins);
    logbook.record.must_hide_secrets(
        &logbook.who,
        &format!("{provider:?} {:?} {layer:?}", provider.snapshot()),
    );
    let process = Process {
        host: host.clone(),
        logbook,
    };
    match host.plan.replay {
        ReplayPolicy::No => process.run(layer.replay(NoReplay), chance).await,
        ReplayPolicy::Empty => process.run(layer.replay(ReplayEmpty), chance).await,
        ReplayPolicy::With => {
            let policy = ReplayWith(Payload::copy);
            process.run(layer.replay(policy), chance).await;
        }
    }
    drop(provider);
    // I6: the flight under way ends within its timeout, and nothing else holds the provider.
    time::sleep(host.pace.login_timeout + host.pace.tick).await;
    if Arc::strong_count(&canary) != 1 {
        host.record
            .violation(&host.plan.name, "I6: something holds the provider");
    }
    host.is_done.store(true, SeqCst);
    Ok(())
}

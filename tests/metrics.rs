//! The feature `metrics`: what is measured, with which labels, and what it must never do.

mod support;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    error, fmt,
    future::{Ready, ready},
    io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, LocalRecorderGuard, Metadata, Recorder, SharedString,
    Unit, set_default_local_recorder, with_local_recorder,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_util::{
    MetricKind,
    debugging::{DebugValue, DebuggingRecorder, Snapshotter},
};
use support::{HandClock, Issuer, by_hand, origins, request, without_dead_lock};
use tokio::{
    runtime,
    task::yield_now,
    time::{advance, sleep},
};
use tokio_test::{assert_pending, task};
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_bearer::{
    Authorization, BearerAuthLayer, BoxProvider, CachedProvider, CachedProviderBuilder, Clock,
    Credential, CredentialProvider, Error, HttpLogin, KeyedProvider, Login, LoginError,
    OAuth2Grant, OAuth2Issuer, PerRequest, Reason, Receipt, Rejected, ReplayWith, RequestHead,
    Scheme, StaticProvider, Token, Verdict, login_fn,
    store::{MemoryStore, RecordKey, Seal, SharedAccount},
};

const HOUR: Duration = Duration::from_secs(3600);

/// The names of [`named`], as labels.
const NAMES: &str = "account=4711 provider=orders";

fn named(login: impl Login) -> CachedProviderBuilder {
    let builder = CachedProvider::builder(login);
    builder.name("orders").account_name("4711".to_owned())
}

/// What a recorder has got since the last look, one line for each series: kind, name, labels and value.
fn measured(snapshotter: &Snapshotter) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let (kind, key) = key.into_parts();
        let name = key.name().strip_prefix("tower_bearer.").unwrap();
        let labels = key.labels();
        let mut labels: Vec<_> = labels
            .map(|it| format!(" {}={}", it.key(), it.value()))
            .collect();
        labels.sort();
        let value = match value {
            DebugValue::Counter(0) => continue, // of an earlier look
            DebugValue::Counter(number) => number.to_string(),
            DebugValue::Gauge(value) => value.to_string(),
            DebugValue::Histogram(values) if values.is_empty() => continue,
            DebugValue::Histogram(values) => format!("{values:?}"),
        };
        let kind = format!("{kind:?}").to_lowercase();
        lines.push(format!("{kind} {name}{} {value}", labels.concat()));
    }
    lines.sort();
    lines
}

/// The lines of one metric, without kind and name.
fn of_metric(snapshotter: &Snapshotter, name: &str) -> Vec<String> {
    let lines = measured(snapshotter);
    let of_metric = lines.iter().filter_map(|line| {
        let (_, rest) = line.split_once(' ')?;
        rest.strip_prefix(name)?.strip_prefix(' ')
    });
    of_metric.map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_login_is_counted_and_timed_with_its_waits_and_the_expiry_of_its_credential() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    let clock = HandClock::new();
    let login = Issuer::new()
        .with_lifetime(HOUR)
        .with_delay(Duration::from_millis(1_500));
    let provider = named(login).clock(clock.clone()).build();
    let waiters: Vec<_> = (0..10).map(|_| tokio::spawn(provider.acquire())).collect();
    for waiter in waiters {
        waiter.await.unwrap().unwrap();
    }
    let expiry = clock.wall() + HOUR;
    let expiry = expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(
        measured(&snapshotter),
        [
            format!(
                "counter logins {} 1",
                labels("outcome=logged_in", "reason=first")
            ),
            format!("counter waits {NAMES} 10"),
            format!("gauge credential.expiry {NAMES} {}", expiry.as_secs_f64()),
            format!(
                "histogram login.duration {} [1.5]",
                labels("outcome=logged_in", "reason=first")
            ),
        ]
    );
    assert_eq!(provider.snapshot().waits(), 10);
}

/// The labels of [`named`] and two more, in the order of the alphabet.
fn labels(one: &str, other: &str) -> String {
    let mut labels = Vec::from_iter(NAMES.split(' '));
    labels.extend([one, other]);
    labels.sort();
    labels.join(" ")
}

#[tokio::test]
async fn without_names_there_are_no_labels_for_them() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    CachedProvider::new(Issuer::new()).acquire().await.unwrap();
    assert_eq!(
        of_metric(&snapshotter, "logins"),
        ["outcome=logged_in reason=first 1"]
    );
}

#[tokio::test(start_paused = true)]
async fn each_outcome_of_a_login_has_its_word() {
    let outcomes = [
        "discarded",
        "failed",
        "logged_in",
        "lost",
        "panicked",
        "timed_out",
    ];
    assert_eq!(documented_words("`outcome`"), outcomes.into());
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    let logins = || of_metric(&snapshotter, "logins");

    let issuer = Issuer::new().with_delay(Duration::from_secs(2));
    issuer.fail("down for maintenance");
    let provider = CachedProvider::new(issuer.clone());
    provider.acquire().await.unwrap_err();
    assert_eq!(
        logins(),
        ["error.type=login_failed outcome=failed reason=first 1"]
    );

    let provider = CachedProvider::new(Issuer::gated());
    provider.acquire().await.unwrap_err();
    assert_eq!(
        logins(),
        ["error.type=login_timed_out outcome=timed_out reason=first 1"]
    );

    let provider = CachedProvider::new(login_fn(async |_| panic!("in a login")));
    provider.acquire().await.unwrap_err();
    assert_eq!(
        logins(),
        ["error.type=login_panicked outcome=panicked reason=first 1"]
    );

    // On one thread: a worker that still ends would drop the login, and measure it, on its own thread.
    let gone = runtime::Builder::new_current_thread().build().unwrap();
    let builder = CachedProvider::builder(Issuer::new()).runtime(gone.handle().clone());
    gone.shutdown_background();
    builder.build().acquire().await.unwrap_err();
    assert_eq!(
        logins(),
        ["error.type=login_lost outcome=lost reason=first 1"]
    );

    for is_to_fail in [false, true] {
        let issuer = Issuer::gated();
        if is_to_fail {
            issuer.fail("scripted");
        }
        let provider = CachedProvider::new(issuer.clone());
        let mut waiters = [provider.acquire(), provider.acquire()].map(task::spawn);
        for waiter in &mut waiters {
            assert_pending!(waiter.poll());
        }
        yield_now().await;
        advance(Duration::from_millis(300)).await;
        provider.sign_out();
        issuer.open();
        drop(waiters);
        provider.settled().await;
        let measured = measured(&snapshotter);
        let error = if is_to_fail {
            " error.type=login_failed"
        } else {
            ""
        };
        let login = format!("counter logins{error} outcome=discarded reason=first 1");
        assert!(measured.contains(&login), "{measured:?}");
        assert!(
            measured.contains(&"counter waits 2".to_owned()),
            "{measured:?}"
        );
        let duration = "histogram login.duration outcome=discarded reason=first [0.3]";
        assert!(measured.contains(&duration.to_owned()), "{measured:?}");
    }
}

#[tokio::test]
async fn each_reason_of_a_login_has_its_word() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    let clock = HandClock::new();
    let issuer = Issuer::new().with_lifetime(HOUR).concurrent();
    let builder = CachedProvider::builder(issuer);
    let provider = builder.clock(clock.clone()).random(|| 0.5).build();
    provider.acquire().await.unwrap();
    clock.advance(HOUR);
    provider.acquire().await.unwrap();
    clock.advance(HOUR * 95 / 100);
    assert!(provider.current().is_some()); // aging: a background login starts
    provider.settled().await;
    let refreshed = provider.acquire().await.unwrap().generation();
    assert!(provider.reject(&by_hand(refreshed)).is_log_in());
    provider.acquire().await.unwrap();
    clock.advance(HOUR / 2);
    provider.acquire_valid_for(HOUR * 3 / 4).await.unwrap();
    let reasons = ["expired", "first", "refresh_ahead", "rejected", "requested"];
    assert_eq!(documented_words("`reason` of a login"), reasons.into());
    let expected = reasons.map(|reason| format!("outcome=logged_in reason={reason} 1"));
    assert_eq!(of_metric(&snapshotter, "logins"), expected);
}

#[tokio::test]
async fn each_rejection_is_counted_with_its_verdict_and_reason() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    let clock = HandClock::new();
    let issuer = Issuer::new();
    let provider = CachedProvider::builder(issuer.clone())
        .clock(clock.clone())
        .build();
    let mut counted = BTreeSet::new();
    let mut rejected = |verdict: Verdict| {
        let lines = of_metric(&snapshotter, "rejections");
        assert_eq!(lines.len(), 1, "{lines:?}");
        let expected = match verdict.is_log_in() {
            true => "verdict=acted_upon 1",
            false => "verdict=kept 1",
        };
        assert!(lines[0].ends_with(expected), "{lines:?}");
        let word = lines[0].strip_prefix("reason=").unwrap();
        let word = word.split(' ').next().unwrap();
        let reason = format!("{:?}", verdict.reason()).to_lowercase();
        assert_eq!(word.replace('_', ""), reason);
        counted.insert(word.to_owned());
        verdict.reason()
    };

    let first = provider.acquire().await.unwrap().generation();
    assert_eq!(rejected(provider.reject(&by_hand(first))), Reason::Current);
    assert_eq!(rejected(provider.reject(&by_hand(first))), Reason::Late);
    let mut held = provider.acquire().await.unwrap().generation();
    let reason = rejected(provider.reject(&by_hand(held)));
    assert_eq!(reason, Reason::LoginDidNotHelp);
    let foreign = CachedProvider::new(Issuer::new()).acquire().await.unwrap();
    let reason = rejected(provider.reject(&by_hand(foreign.generation())));
    assert_eq!(reason, Reason::Unknown);
    // Each at an endpoint of its own: logins for unknown targets do not help.
    for number in 0.. {
        let path = format!("/{number}");
        let receipt = Receipt::new(held, 0, &Method::GET, &path);
        let reason = rejected(provider.reject(&Rejected::by_hand(receipt)));
        if reason == Reason::LoginsDidNotHelp {
            break;
        }
        held = provider.acquire().await.unwrap().generation();
        assert!(number < 10, "{reason:?}");
    }
    // The login fails, and the rejected credential is back in use.
    provider.reset();
    held = provider.acquire().await.unwrap().generation();
    issuer.fail("scripted");
    let _ = rejected(provider.reject(&by_hand(held)));
    let _ = provider.acquire().await;
    assert_eq!(
        rejected(provider.reject(&by_hand(held))),
        Reason::BackingOff
    );
    issuer.recover();
    // Tokens that help and are revoked at once.
    provider.reset();
    held = provider.acquire().await.unwrap().generation();
    assert_eq!(of_metric(&snapshotter, "contentions"), [""; 0]);
    let mut contentions = 0;
    for round in 0.. {
        let verdict = provider.reject(&by_hand(held));
        let lines = measured(&snapshotter);
        contentions += lines
            .iter()
            .filter(|it| *it == "counter contentions 1")
            .count();
        if verdict.reason() == Reason::RevokedQuickly {
            let line = "counter rejections reason=revoked_quickly verdict=kept 1".to_owned();
            assert!(lines.contains(&line), "{lines:?}");
            break;
        }
        held = provider.acquire().await.unwrap().generation();
        provider.accept(support::receipt(held));
        clock.advance(Duration::from_secs(1));
        assert!(round < 10, "{verdict:?}");
    }
    assert_eq!(contentions, 1);
    counted.insert("revoked_quickly".to_owned());
    let counted: BTreeSet<_> = counted.iter().map(String::as_str).collect();
    assert_eq!(documented_words("`reason` of a rejection"), counted);
    let verdicts = ["acted_upon", "kept"];
    assert_eq!(documented_words("`verdict`"), verdicts.into());
}

#[tokio::test]
async fn the_expiry_follows_the_current_credential() {
    // The other recorder sets a gauge to 0 after each look.
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _local = set_default_local_recorder(&recorder);
    let expiry = || {
        let text = handle.render();
        let mut lines = text.lines();
        let value = lines.find_map(|it| it.strip_prefix("tower_bearer_credential_expiry "));
        value.unwrap().parse::<f64>().unwrap()
    };
    let provider = CachedProvider::new(Issuer::new());
    provider.acquire().await.unwrap();
    assert_eq!(expiry(), f64::INFINITY, "without a lifetime");

    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let handed_in = || Credential::new("a").unwrap().with_expires_at(at);
    provider.set_credential(handed_in());
    assert!((expiry() - 4e9).abs() < 1.0, "{}", expiry());

    let held = provider.acquire().await.unwrap().generation();
    assert!(provider.reject(&by_hand(held)).is_log_in());
    assert_eq!(expiry(), 0.0, "rejected");
    provider.acquire().await.unwrap();
    assert_eq!(expiry(), f64::INFINITY);
    provider.reset();
    assert_eq!(expiry(), 0.0, "reset");
    provider.set_credential(handed_in());
    assert_ne!(expiry(), 0.0);
    provider.sign_out();
    assert_eq!(expiry(), 0.0, "signed out");

    let started = CachedProvider::builder(Issuer::new()).starting_with(handed_in());
    let _started = started.build();
    assert_ne!(expiry(), 0.0, "started with");

    // A failed login puts the rejected credential back in use.
    let issuer = Issuer::new();
    let provider = CachedProvider::new(issuer.clone());
    let held = provider.acquire().await.unwrap().generation();
    issuer.fail("scripted");
    assert!(provider.reject(&by_hand(held)).is_log_in());
    assert_eq!(expiry(), 0.0);
    let _ = provider.acquire().await;
    assert_eq!(expiry(), f64::INFINITY, "restored");
}

/// Has one gauge, and calls a function before it hands that out.
struct OneGauge<F> {
    gauge: Arc<AtomicU64>,
    before: F,
}

impl<F: Fn()> Recorder for OneGauge<F> {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        (self.before)();
        Gauge::from_arc(Arc::clone(&self.gauge))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

// Another thread may change the credential while this one measures: the recorder does so here.
#[test]
fn a_change_during_a_measurement_of_the_expiry_is_not_overwritten() {
    let provider = CachedProvider::builder(Issuer::new())
        .starting_with(Credential::new("a").unwrap())
        .build();
    let gauge = Arc::new(AtomicU64::new(0));
    let is_changed = Cell::new(false);
    let recorder = OneGauge {
        gauge: Arc::clone(&gauge),
        before: || {
            if !is_changed.replace(true) {
                provider.set_credential(Credential::new("b").unwrap());
            }
        },
    };
    with_local_recorder(&recorder, || provider.reset());
    assert!(provider.current().is_some());
    assert_eq!(f64::from_bits(gauge.load(SeqCst)), f64::INFINITY);
}

#[tokio::test]
async fn a_dropped_provider_leaves_no_expiry_behind() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _local = set_default_local_recorder(&recorder);
    let expiry = || {
        let text = handle.render();
        let name = r#"tower_bearer_credential_expiry{provider="orders"} "#;
        let value = text.lines().find_map(|it| it.strip_prefix(name));
        value.unwrap().parse::<f64>().unwrap()
    };
    let build = || {
        let login = Issuer::new().with_lifetime(HOUR);
        CachedProvider::builder(login).name("orders").build()
    };
    let provider = build();
    provider.acquire().await.unwrap();
    assert!(expiry() > 0.0);
    drop(build());
    assert!(
        expiry() > 0.0,
        "without a credential there is none to take back"
    );
    drop(provider);
    assert_eq!(expiry(), 0.0);
}

// As when two first requests of one account come at once: the account that loses is dropped.
#[tokio::test]
async fn an_account_that_is_created_twice_keeps_its_expiry() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _local = set_default_local_recorder(&recorder);
    let own = Arc::new(OnceLock::<KeyedProvider<u64>>::new());
    let provider = KeyedProvider::builder(|_: &u64| Issuer::new()).configure({
        let (own, is_first) = (Arc::downgrade(&own), AtomicBool::new(true));
        move |key, account| {
            if is_first.swap(false, SeqCst) {
                own.upgrade().unwrap().get().unwrap().for_key(key).unwrap();
            }
            account.starting_with(Credential::new("a").unwrap().with_lifetime(HOUR))
        }
    });
    own.set(provider.build()).unwrap();
    let account = own.get().unwrap().for_key(&7).unwrap();
    assert!(account.current().is_some());
    let text = handle.render();
    assert!(!text.contains("tower_bearer_credential_expiry 0"), "{text}");
}

/// An error whose `source` panics.
#[derive(Debug)]
struct Unsound;

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unsound")
    }
}

impl error::Error for Unsound {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        panic!("in a source")
    }
}

// The word of a failure is looked for in its sources, which are user code.
#[tokio::test]
async fn an_error_whose_source_panics_disturbs_neither_requests_nor_logins() {
    let clock = HandClock::new();
    let held = Credential::new("old").unwrap().with_lifetime(HOUR);
    let provider = CachedProvider::builder(Issuer::new())
        .starting_with(held.with_refresh_token("spent"))
        .before_refresh(async |_| Err(Unsound.into()))
        .clock(clock.clone())
        .build();
    clock.advance(HOUR);
    provider.acquire().await.unwrap();
    assert_eq!(provider.snapshot().failed_logins(), 0);

    let layer = BearerAuthLayer::new(Answers(Err(Error::login_failed(Unsound))), origins());
    let client = layer.layer(api(StatusCode::OK));
    let error = client.oneshot(request()).await.unwrap_err();
    assert!(error.downcast_ref::<Error>().unwrap().is_login_failed());
}

#[tokio::test]
async fn a_refresh_that_did_not_help_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    let clock = HandClock::new();
    let held = Credential::new("old").unwrap().with_lifetime(HOUR);
    let provider = named(Issuer::new())
        .starting_with(held.with_refresh_token("spent"))
        .before_refresh(async |_| Err("the store is down".into()))
        .clock(clock.clone())
        .build();
    clock.advance(HOUR);
    provider.acquire().await.unwrap();
    assert_eq!(
        of_metric(&snapshotter, "refresh_failures"),
        ["account=4711 error.type=refresh_failed provider=orders 1"]
    );
}

fn api(
    status: StatusCode,
) -> impl Service<Request<()>, Response = Response<()>, Error = BoxError, Future: Send> + Clone {
    tower::service_fn(move |_: Request<()>| async move {
        let mut response = Response::new(());
        *response.status_mut() = status;
        Ok::<_, BoxError>(response)
    })
}

#[tokio::test]
async fn a_bare_request_is_counted_with_its_reason() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    let provider = || Some(StaticProvider::new("abc").unwrap());
    let send = async |provider: Option<StaticProvider>, request: Request<()>| {
        let layer = BearerAuthLayer::new(provider, origins());
        let client = layer.layer(api(StatusCode::OK));
        client.oneshot(request).await.unwrap();
        assert_eq!(layer.bare_requests(), 1);
        of_metric(&snapshotter, "bare_requests")
    };
    let elsewhere = Request::get("https://other.example.com/?secret").body(());
    let lines = send(provider(), elsewhere.unwrap()).await;
    assert_eq!(lines, ["reason=foreign_origin 1"]);
    let with_header = Request::get(support::URL).header("authorization", "Basic c2VjcmV0");
    let lines = send(provider(), with_header.body(()).unwrap()).await;
    assert_eq!(lines, ["reason=callers_header 1"]);
    let marked = Request::get(support::URL).extension(PerRequest::bare());
    let lines = send(provider(), marked.body(()).unwrap()).await;
    assert_eq!(lines, ["reason=per_request 1"]);
    let lines = send(None, request()).await;
    assert_eq!(lines, ["reason=provider 1"]);
    let reasons = [
        "callers_header",
        "foreign_origin",
        "per_request",
        "provider",
    ];
    assert_eq!(
        documented_words("`reason` of a bare request"),
        reasons.into()
    );
}

#[tokio::test]
async fn a_replay_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    let layer = BearerAuthLayer::new(CachedProvider::new(Issuer::new()), origins())
        .replay(ReplayWith(|_: &()| Some(())));
    let client = layer.layer(api(StatusCode::UNAUTHORIZED));
    client.oneshot(request()).await.unwrap();
    assert_eq!(layer.replays(), 1);
    let measured = measured(&snapshotter);
    let expected = [
        "counter logins outcome=logged_in reason=first 1",
        "counter logins outcome=logged_in reason=rejected 1",
        "counter rejections reason=current verdict=acted_upon 1",
        "counter rejections reason=login_did_not_help verdict=kept 1",
        "counter replays 1",
    ];
    let counters = measured.iter().filter(|it| {
        let first = it.split(' ').nth(1).unwrap();
        it.starts_with("counter") && first != "waits"
    });
    assert_eq!(Vec::from_iter(counters), expected);
}

// Two providers in one process are told apart.
#[tokio::test]
async fn the_metrics_of_a_layer_have_the_name_of_its_provider() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    for name in ["orders", "invoices"] {
        let provider = CachedProvider::builder(Issuer::new()).name(name).build();
        let layer = BearerAuthLayer::new(provider.clone(), origins());
        let layer = layer.replay(ReplayWith(|_: &()| Some(())));
        let client = layer.layer(api(StatusCode::UNAUTHORIZED));
        client.oneshot(request()).await.unwrap();
        let replays = of_metric(&snapshotter, "replays");
        assert_eq!(replays, [format!("provider={name} 1")]);
        let marked = Request::get(support::URL).extension(PerRequest::bare());
        let client = layer.layer(api(StatusCode::OK));
        client.oneshot(marked.body(()).unwrap()).await.unwrap();
        let bare = of_metric(&snapshotter, "bare_requests");
        assert_eq!(bare, [format!("provider={name} reason=per_request 1")]);
        provider.sign_out();
        let client = layer.layer(api(StatusCode::OK));
        client.oneshot(request()).await.unwrap_err();
        let failed = of_metric(&snapshotter, "failed_requests");
        assert_eq!(failed, [format!("error.type=signed_out provider={name} 1")]);
    }

    let provider = || named(Issuer::new()).build();
    let keyed = KeyedProvider::builder(|_: &u64| Issuer::new()).name("orders");
    let keyed = keyed.build();
    keyed.for_key(&7).unwrap().acquire().await.unwrap();
    assert_eq!(
        of_metric(&snapshotter, "logins"),
        ["outcome=logged_in provider=orders reason=first 1"]
    );
    let boxed = [
        BoxProvider::new(provider()),
        BoxProvider::new(Arc::new(provider())),
        BoxProvider::new(Some(provider())),
        BoxProvider::new(keyed),
    ];
    for provider in boxed {
        assert_eq!(provider.name(), Some("orders"));
    }
    assert_eq!(None::<CachedProvider>.name(), None);
    assert_eq!(StaticProvider::new("abc").unwrap().name(), None);
}

/// A provider whose only answer is this error, or this authorization.
#[derive(Clone)]
struct Answers(Result<Authorization, Error>);

impl CredentialProvider for Answers {
    type Acquire = Ready<Result<Authorization, Error>>;

    fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization> {
        let is_first = head.rejected.is_none();
        self.0.as_ref().ok().filter(|_| is_first).cloned()
    }

    fn acquire_for(&self, _head: RequestHead<'_>) -> Self::Acquire {
        // A replay gets what was rejected, or that of another account.
        let again = self.0.clone().map(|it| match it.account() {
            1 => Authorization::new(Scheme::BEARER, &Token::new("b").unwrap()).with_account(2),
            _ => it,
        });
        ready(again)
    }

    fn reject(&self, _rejected: &Rejected<'_>) -> Verdict {
        Verdict::new(Reason::Late)
    }
}

// The words of all errors are in a unit test: here they reach the metric of a request.
#[tokio::test(start_paused = true)]
async fn a_failed_request_is_counted_with_its_error() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    let failed = || of_metric(&snapshotter, "failed_requests");

    let wrong = login_fn(async |_| Err(LoginError::permanent("wrong password").into()));
    let layer = BearerAuthLayer::new(CachedProvider::new(wrong), origins());
    for _ in 0..2 {
        // The second fails in the pause, without a login.
        let client = layer.layer(api(StatusCode::OK));
        client.oneshot(request()).await.unwrap_err();
        assert_eq!(failed(), ["error.type=login_failed_permanently 1"]);
    }

    let signed_out = CachedProvider::new(Issuer::new());
    signed_out.sign_out();
    let layer = BearerAuthLayer::new(signed_out, origins());
    let client = layer.layer(api(StatusCode::OK));
    client.oneshot(request()).await.unwrap_err();
    assert_eq!(failed(), ["error.type=signed_out 1"]);

    let provider = || StaticProvider::new("abc").unwrap();
    let strict = BearerAuthLayer::new(provider(), origins().strict());
    let elsewhere = Request::get("https://other.example.com/?secret").body(());
    let client = strict.layer(api(StatusCode::OK));
    client.oneshot(elsewhere.unwrap()).await.unwrap_err();
    assert_eq!(failed(), ["error.type=foreign_origin 1"]);

    let layer = BearerAuthLayer::new(provider(), origins());
    let mut twice = request();
    for _ in 0..2 {
        let value = "Basic c2VjcmV0".parse().unwrap();
        twice.headers_mut().append("authorization", value);
    }
    layer
        .layer(api(StatusCode::OK))
        .oneshot(twice)
        .await
        .unwrap_err();
    assert_eq!(failed(), ["error.type=many_headers 1"]);

    let keyed = KeyedProvider::new(|_: &u64| Issuer::new());
    let layer = BearerAuthLayer::new(keyed, origins());
    let client = layer.layer(api(StatusCode::OK));
    client.oneshot(request()).await.unwrap_err();
    assert_eq!(failed(), ["error.type=no_authorization 1"]);

    let held = CachedProvider::new(Issuer::new()).acquire().await.unwrap();
    for (account, word) in [(0, "not_renewed"), (1, "other_account")] {
        let provider = Answers(Ok(held.clone().with_account(account)));
        let layer = BearerAuthLayer::new(provider, origins());
        let layer = layer.replay(ReplayWith(|_: &()| Some(())));
        let client = layer.layer(api(StatusCode::UNAUTHORIZED));
        client.oneshot(request()).await.unwrap_err();
        assert_eq!(failed(), [format!("error.type={word} 1")]);
    }

    let short = CachedProvider::new(Issuer::new().with_lifetime(Duration::from_secs(60)));
    let error = short.acquire_valid_for(HOUR).await.unwrap_err();
    let layer = BearerAuthLayer::new(Answers(Err(error)), origins());
    let client = layer.layer(api(StatusCode::OK));
    client.oneshot(request()).await.unwrap_err();
    assert_eq!(failed(), ["error.type=short_lived 1"]);

    // Two resets while a request waits.
    let login = Issuer::new().with_delay(Duration::from_secs(1));
    let provider = CachedProvider::new(login);
    let layer = BearerAuthLayer::new(provider.clone(), origins());
    let sent = tokio::spawn(layer.layer(api(StatusCode::OK)).oneshot(request()));
    for _ in 0..2 {
        sleep(Duration::from_millis(900)).await;
        provider.reset();
    }
    sent.await.unwrap().unwrap_err();
    assert_eq!(failed(), ["error.type=reset 1"]);

    // An error of the client is none of ours.
    let broken = tower::service_fn(|_: Request<()>| async { Err::<Response<()>, _>("broken") });
    let client =
        BearerAuthLayer::new(provider.clone(), origins()).layer(broken.map_err(BoxError::from));
    client.oneshot(request()).await.unwrap_err();
    assert_eq!(failed(), [""; 0]);
}

#[test]
fn a_request_without_a_runtime_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    let layer = BearerAuthLayer::new(CachedProvider::new(Issuer::new()), origins());
    let mut sent = task::spawn(layer.layer(api(StatusCode::OK)).oneshot(request()));
    tokio_test::assert_ready_err!(sent.poll());
    let failed = of_metric(&snapshotter, "failed_requests");
    assert_eq!(failed, ["error.type=no_runtime 1"]);
}

#[tokio::test]
async fn a_login_through_its_own_layer_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    let own = Arc::new(OnceLock::<CachedProvider>::new());
    let provider = CachedProvider::new(login_fn({
        let own = Arc::clone(&own);
        move |_| {
            let provider = own.get().unwrap().clone();
            async move { Err(provider.acquire().await.unwrap_err().into()) }
        }
    }));
    own.set(provider.clone()).unwrap();
    provider.acquire().await.unwrap_err();
    let lines = of_metric(&snapshotter, "logins");
    assert_eq!(
        lines,
        ["error.type=login_through_itself outcome=failed reason=first 1"]
    );
}

// What the servers of logins answer, and the word for it.
#[tokio::test(start_paused = true)]
async fn each_failure_of_an_http_login_has_its_word() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    let long = format!("{{}}{}", " ".repeat(70_000));
    /// The word, and the status, headers and body of the answer.
    type Row<'a> = (&'a str, u16, &'a [(&'a str, &'a str)], &'a str);
    let failures: [Row<'_>; 16] = [
        ("invalid_grant", 400, &[], r#"{"error":"invalid_grant"}"#),
        // An answer may hold anything: only a registered word becomes a label.
        ("refused", 400, &[], r#"{"error":"canary-5d1f"}"#),
        ("refused", 401, &[], "{}"),
        ("refused_without_json", 401, &[], "<p>no</p>"),
        ("account_locked", 423, &[], "{}"),
        ("not_found", 404, &[], "{}"),
        ("rate_limited", 429, &[], "{}"),
        ("server_failed", 503, &[], "{}"),
        ("unexpected_status", 418, &[], ""),
        (
            "redirected",
            302,
            &[("location", "https://other.example.com/")],
            "",
        ),
        (
            "answer_compressed",
            200,
            &[("content-encoding", "br")],
            "not readable",
        ),
        ("answer_too_long", 200, &[], &long),
        ("not_json", 200, &[], "<p>hello</p>"),
        ("no_token", 200, &[], "{}"),
        ("unusable_token", 200, &[], r#"{"access_token":"a b"}"#),
        (
            "other_token_type",
            200,
            &[],
            r#"{"access_token":"a","token_type":"mac"}"#,
        ),
    ];
    for (word, status, headers, body) in failures {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        let body = Bytes::copy_from_slice(body.as_bytes());
        let answer = answer.body(Full::new(body)).unwrap();
        let client = tower::service_fn(move |_: Request<Full<Bytes>>| {
            let answer = answer.clone();
            async { Ok::<_, Infallible>(answer) }
        });
        let grant = OAuth2Grant::client_credentials();
        let url = "https://login.example.com/token";
        let login = HttpLogin::new(client, url, grant).unwrap();
        CachedProvider::new(login).acquire().await.unwrap_err();
        let lines = of_metric(&snapshotter, "logins");
        assert_eq!(
            lines,
            [format!("error.type={word} outcome=failed reason=first 1")]
        );
    }
    let no_answer = tower::service_fn(|_: Request<Full<Bytes>>| async {
        Err::<Response<Full<Bytes>>, _>(io::Error::other("reset by peer"))
    });
    let issuer = OAuth2Issuer::openid("https://login.example.com").unwrap();
    let login = HttpLogin::discover(no_answer, issuer, OAuth2Grant::client_credentials());
    CachedProvider::new(login).acquire().await.unwrap_err();
    let lines = of_metric(&snapshotter, "logins");
    assert_eq!(
        lines,
        ["error.type=no_answer outcome=failed reason=first 1"]
    );
}

/// Calls a function with the key of each measurement.
struct Calls<F>(F);

impl<F: Fn(&Key)> Recorder for Calls<F> {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        (self.0)(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        (self.0)(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        (self.0)(key);
        Histogram::noop()
    }
}

#[tokio::test]
async fn a_request_with_a_fresh_token_measures_nothing() {
    let calls = Cell::new(0);
    let recorder = Calls(|_: &Key| calls.set(calls.get() + 1));
    let _local = set_default_local_recorder(&recorder);
    let provider = CachedProvider::new(Issuer::new().with_lifetime(HOUR));
    provider.acquire().await.unwrap();
    let of_the_login = calls.get();
    assert_eq!(of_the_login, 4);
    let layer = BearerAuthLayer::new(provider, origins()).replay(ReplayWith(|_: &()| Some(())));
    let mut client = layer.layer(api(StatusCode::OK));
    for _ in 0..100 {
        client.ready().await.unwrap().call(request()).await.unwrap();
        client.clone().oneshot(request()).await.unwrap();
    }
    assert_eq!(calls.get(), of_the_login);
}

/// Reverses the bytes: whoever has no seal finds a damaged record.
struct Reversed;

impl Seal for Reversed {
    fn seal(&self, _: RecordKey, plain: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(plain.iter().rev().copied().collect())
    }

    fn open(&self, _: RecordKey, sealed: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(sealed.iter().rev().copied().collect())
    }
}

/// A process that logs in, one that adopts its credential, and one that cannot open the record.
async fn fleet() -> [CachedProvider; 3] {
    let store = MemoryStore::new();
    let key = RecordKey::new("https://issuer.example", "4711", "");
    let account = SharedAccount::new(store, key);
    let with_seal = || account.clone().seal(Reversed);
    let fleet = [with_seal(), with_seal(), account.clone()].map(|account| {
        named(Issuer::new().with_lifetime(HOUR))
            .shared(account)
            .build()
    });
    for process in &fleet {
        process.acquire().await.unwrap();
        process.settled().await;
    }
    fleet
}

#[tokio::test(start_paused = true)]
async fn adoptions_and_failures_of_a_fleets_store_are_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    let fleet = fleet().await;
    let logins = fleet.each_ref().map(|it| it.snapshot().logins());
    assert_eq!(logins, [1, 0, 1]);
    let measured = measured(&snapshotter);
    for line in ["adoptions", "store_failures"].map(|it| format!("counter {it} {NAMES} 1")) {
        assert!(measured.contains(&line), "{line}: {measured:#?}");
    }
}

/// Causes each metric. The recorder of the thread gets them.
async fn measure_all() -> CachedProvider {
    fleet().await;
    let clock = HandClock::new();
    let issuer = Issuer::new().with_lifetime(HOUR);
    let old = Credential::new("old").unwrap().with_lifetime(HOUR);
    let provider = named(issuer)
        .clock(clock.clone())
        .starting_with(old.with_refresh_token("spent"))
        .before_refresh(async |_| Err("the store is down".into()))
        .build();
    clock.advance(HOUR);
    let layer = BearerAuthLayer::new(provider.clone(), origins());
    let layer = layer.replay(ReplayWith(|_: &()| Some(())));
    for status in [StatusCode::OK, StatusCode::UNAUTHORIZED] {
        layer.layer(api(status)).oneshot(request()).await.unwrap();
    }
    let elsewhere = Request::get("https://other.example.com/").body(()).unwrap();
    layer
        .layer(api(StatusCode::OK))
        .oneshot(elsewhere)
        .await
        .unwrap();
    provider.sign_out();
    let client = layer.layer(api(StatusCode::OK));
    client.oneshot(request()).await.unwrap_err();

    // Tokens that help and are revoked at once.
    let provider = named(Issuer::new()).clock(clock.clone()).build();
    let mut held = provider.acquire().await.unwrap().generation();
    for _ in 0..4 {
        let _ = provider.reject(&by_hand(held));
        held = provider.acquire().await.unwrap().generation();
        provider.accept(support::receipt(held));
        clock.advance(Duration::from_secs(1));
    }
    provider
}

const PAGE: &str = include_str!("../src/guide/metrics.rs");

/// The words of the code among the quoted texts of a cell. Links are none.
fn words(cell: &'static str) -> BTreeSet<&'static str> {
    let is_of_words = |it: &&str| {
        it.chars()
            .all(|it| it.is_ascii_lowercase() || it == '_' || it == '.')
    };
    let quoted = cell.split('`').collect::<Vec<_>>();
    let pairs = quoted.chunks_exact(2);
    let unlinked = pairs.filter(|pair| !pair[0].ends_with('['));
    unlinked.map(|pair| pair[1]).filter(is_of_words).collect()
}

/// The words of a row of the page's table of labels.
fn documented_words(label: &str) -> BTreeSet<&'static str> {
    let head = format!("//! | {label} | ");
    let row = PAGE.lines().find_map(|it| it.strip_prefix(&head));
    words(row.unwrap_or_else(|| panic!("no row {label}")))
}

/// The cells of the page's first table.
fn documented() -> Vec<Vec<&'static str>> {
    let rows = PAGE
        .lines()
        .filter_map(|it| it.strip_prefix("//! | `tower_bearer."));
    rows.map(|row| row.split(" | ").collect()).collect()
}

#[tokio::test]
async fn each_metric_is_described_and_documented_with_its_kind_unit_and_labels() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _local = set_default_local_recorder(&recorder);
    measure_all().await;
    let _ = CachedProvider::new(login_fn(async |_| Err("scripted".into())))
        .acquire()
        .await;
    let documented = documented();
    let mut labels = BTreeMap::<_, BTreeSet<_>>::new();
    for (key, unit, description, _) in snapshotter.snapshot().into_vec() {
        let (kind, key) = key.into_parts();
        let name = key.name().strip_prefix("tower_bearer.").unwrap().to_owned();
        let row = documented.iter().find(|row| row[0] == format!("{name}`"));
        let row = row.unwrap_or_else(|| panic!("{name} is not documented"));
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let unit = unit.unwrap_or_else(|| panic!("{name} is not described"));
        assert_eq!((row[1], row[2]), (kind, unit.as_str()), "{name}");
        assert!(description.unwrap().ends_with('.'), "{name}");
        let labels = labels.entry(name.clone()).or_default();
        for label in key.labels() {
            labels.insert(label.key().to_owned());
            let is_name = ["orders", "4711"].contains(&label.value());
            let value = format!("`{}`", label.value());
            assert!(is_name || PAGE.contains(&value), "{name}: {value}");
        }
    }
    let documented = documented.iter().map(|row| {
        let labels = words(row[3]).into_iter().map(str::to_owned);
        (row[0].trim_end_matches('`').to_owned(), labels.collect())
    });
    assert_eq!(labels, documented.collect());
}

// A recorder is user code: it may ask the provider, which would dead-lock under its lock.
#[test]
fn a_recorder_is_called_without_a_lock() {
    without_dead_lock(|| {
        let provider = Arc::new(Mutex::new(None::<CachedProvider>));
        let asked = Cell::new(0);
        let recorder = Calls(|_: &Key| {
            if let Some(provider) = &*provider.lock().unwrap() {
                asked.set(asked.get() + 1);
                let _ = (provider.snapshot(), provider.current());
            }
        });
        let _local = set_default_local_recorder(&recorder);
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(async {
            let issuer = Issuer::new().with_lifetime(HOUR);
            let own = CachedProvider::new(issuer.clone());
            *provider.lock().unwrap() = Some(own.clone());
            let held = own.acquire().await.unwrap().generation();
            let _ = own.reject(&by_hand(held));
            issuer.fail("scripted");
            own.acquire().await.unwrap();
            own.set_credential(Credential::new("a").unwrap());
            own.reset();
            own.sign_out();
        });
        assert_eq!(asked.get(), 4 + 2 + 4 + 1 + 1 + 1);
    });
}

#[tokio::test]
async fn a_recorder_that_panics_disturbs_neither_requests_nor_logins() {
    let recorder = Calls(|_: &Key| panic!("in a recorder"));
    let _local: LocalRecorderGuard<'_> = set_default_local_recorder(&recorder);
    let provider = measure_all().await;
    let snapshot = provider.snapshot();
    assert_eq!((snapshot.failed_logins(), snapshot.contentions()), (0, 1));
}

#[test]
fn a_recorder_may_panic_while_another_panic_drops_the_provider() {
    let recorder = Calls(|_: &Key| panic!("in a recorder"));
    let _local = set_default_local_recorder(&recorder);
    let provider = CachedProvider::builder(Issuer::new())
        .starting_with(Credential::new("a").unwrap())
        .build();
    let caught = panic::catch_unwind(AssertUnwindSafe(move || {
        let _dropped = provider;
        panic!("of the user")
    }));
    assert!(caught.is_err(), "and the process was not aborted");
}

#[tokio::test]
async fn without_a_recorder_nothing_changes() {
    let provider = measure_all().await;
    let snapshot = provider.snapshot();
    assert_eq!((snapshot.failed_logins(), snapshot.contentions()), (0, 1));
}

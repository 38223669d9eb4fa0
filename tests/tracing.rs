//! The spans and log lines of the feature `tracing`.

mod support;

use std::{collections::BTreeSet, future::pending, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use support::{Capture, HandClock, Issuer, Traced, by_hand};
use tokio::{runtime, task::yield_now};
use tokio_test::{assert_pending, task};
use tower::{BoxError, Layer, ServiceExt};
use tower_bearer::{
    BearerAuthLayer, CachedProvider, CachedProviderBuilder, Credential, HttpLogin, Lifetime, Login,
    LoginRequest, Origins, StaticProvider, login_fn,
    presets::{Quable, Teletracker},
};
use tracing::Level;

const LOGIN: &str = "login";
const ORDERS: &str = "orders";
const ACCOUNT: &str = "4711";

fn named(login: impl Login) -> CachedProviderBuilder {
    let builder = CachedProvider::builder(login);
    builder.name(ORDERS).account_name(ACCOUNT.to_owned())
}

/// Name and value of each field, in one line.
fn fields(traced: &Traced) -> String {
    let fields = traced.fields.iter();
    let fields: Vec<_> = fields.map(|(name, it)| format!("{name}={it}")).collect();
    fields.join(" ")
}

#[track_caller]
fn the_only(traced: &[Traced]) -> &Traced {
    assert_eq!(traced.len(), 1, "{traced:#?}");
    &traced[0]
}

#[tokio::test(start_paused = true)]
async fn a_login_has_one_span_with_the_lines_of_its_client_in_it() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    let login = login_fn(|_| async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            tracing::info!("of the client");
        }
        Ok(Credential::new("abc")?)
    });
    let observed = named(login).on_event(|_| tracing::info!("of the observer"));
    let provider = observed
        .on_credential(|_| tracing::info!("of the hook"))
        .build();
    let (first, second) = tokio::join!(provider.acquire(), provider.acquire());
    let generation = first.unwrap().generation();
    assert_eq!(generation, second.unwrap().generation());

    let spans = capture.named(LOGIN);
    let span = the_only(&spans);
    assert_eq!(span.level, Level::INFO);
    let number = span.field("generation");
    assert_eq!(format!("{generation:?}"), format!("Generation({number})"));
    assert_eq!(
        fields(span),
        format!(
            "account=4711 duration_ms=1500 generation={number} outcome=logged_in provider=orders \
             reason=first session=exclusive"
        )
    );
    let lines = capture.named("logged in");
    let line = the_only(&lines);
    assert_eq!(line.level, Level::INFO);
    assert_eq!(
        fields(line),
        format!("account=4711 duration_ms=1500 generation={number} provider=orders reason=first")
    );
    let of_the_login = [
        ("of the client", 3),
        ("of the hook", 1),
        ("logged in", 1),
        ("of the observer", 1),
    ];
    for (name, count) in of_the_login {
        let lines = capture.named(name);
        assert_eq!(lines.len(), count, "{name}");
        assert!(lines.iter().all(|it| it.parent == span.span), "{name}");
    }
}

#[tokio::test]
async fn a_login_is_no_child_of_the_request_that_started_it_but_follows_from_it() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    let issuer = Issuer::gated();
    let provider = CachedProvider::new(issuer.clone());
    let (starts, waits) = (
        tracing::info_span!("starts"),
        tracing::info_span!("only waits"),
    );
    let mut first = task::spawn(provider.acquire());
    let mut second = task::spawn(provider.acquire());
    starts.in_scope(|| assert_pending!(first.poll()));
    waits.in_scope(|| assert_pending!(second.poll()));
    yield_now().await;
    drop(first); // the request is cancelled, the login goes on
    issuer.open();
    waits.in_scope(|| ()); // a span that is entered in between changes nothing
    second.await.unwrap();

    let spans = capture.named(LOGIN);
    let span = the_only(&spans);
    assert_eq!(span.parent, None);
    assert_eq!(
        span.follows,
        [the_only(&capture.named("starts")).span.unwrap()]
    );
    assert_eq!(the_only(&capture.named("logged in")).parent, span.span);

    // Without a span around the request, it follows from none.
    provider.reset();
    provider.acquire().await.unwrap();
    assert!(capture.named(LOGIN)[1].follows.is_empty());
}

// A trace shows the span until it closes, and a waiter may be polled late.
#[tokio::test]
async fn the_span_closes_at_the_end_of_the_login_whoever_still_waits() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    let issuer = Issuer::gated();
    let provider = CachedProvider::new(issuer.clone());
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    yield_now().await;
    assert!(!the_only(&capture.named(LOGIN)).is_closed);
    issuer.open();
    provider.settled().await;
    for _ in 0..3 {
        yield_now().await;
    }
    assert!(waiter.is_woken());
    assert!(the_only(&capture.named(LOGIN)).is_closed);
    waiter.await.unwrap();
}

#[tokio::test]
async fn each_reason_has_its_word_and_a_rejection_its_generation() {
    const HOUR: Duration = Duration::from_secs(3600);
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    let clock = HandClock::new();
    let issuer = Issuer::new().with_lifetime(HOUR).concurrent();
    let provider = named(issuer).clock(clock.clone()).random(|| 0.5).build();
    provider.acquire().await.unwrap();
    clock.advance(HOUR);
    let expired = provider.acquire().await.unwrap();
    clock.advance(HOUR * 95 / 100);
    assert!(provider.current().is_some()); // aging: a background login starts
    provider.settled().await;
    let refreshed = provider.acquire().await.unwrap().generation();
    assert_ne!(refreshed, expired.generation());
    assert!(provider.reject(&by_hand(refreshed)).is_log_in());
    provider.acquire().await.unwrap();
    clock.advance(HOUR / 2);
    provider.acquire_valid_for(HOUR * 3 / 4).await.unwrap();

    let (spans, lines) = (capture.named(LOGIN), capture.named("logged in"));
    let reasons = |traced: &[Traced]| {
        let reasons = traced.iter().map(|it| it.field("reason").to_owned());
        reasons.collect::<Vec<_>>()
    };
    let words = ["first", "expired", "refresh_ahead", "rejected", "requested"];
    assert_eq!(reasons(&spans), words);
    assert_eq!(reasons(&lines), words);
    for (at, (span, line)) in spans.iter().zip(&lines).enumerate() {
        let rejected = if at == 3 {
            lines[2].field("generation")
        } else {
            ""
        };
        assert_eq!(span.field("rejected"), rejected);
        assert_eq!(line.field("rejected"), rejected);
        assert_eq!(span.field("generation"), line.field("generation"));
        assert_eq!(span.field("session"), "concurrent");
        assert_eq!(line.parent, span.span, "also in the background");
        assert!(span.is_closed);
    }
}

#[tokio::test(start_paused = true)]
async fn each_outcome_has_its_word() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    let outcome = || {
        let spans = capture.named(LOGIN);
        let last = spans.last().unwrap();
        assert!(last.is_closed);
        assert_eq!(
            (last.field("reason"), last.field("generation")),
            ("first", "")
        );
        let [outcome, time] = ["outcome", "duration_ms"].map(|it| last.field(it).to_owned());
        format!("{outcome} after {time} ms")
    };

    let issuer = Issuer::new().with_delay(Duration::from_secs(2));
    issuer.fail("down for maintenance");
    named(issuer).build().acquire().await.unwrap_err();
    assert_eq!(outcome(), "failed after 2000 ms");

    let issuer = Issuer::gated();
    named(issuer).build().acquire().await.unwrap_err();
    assert_eq!(outcome(), "timed_out after 10000 ms");

    let panicking = login_fn(async |_| panic!("in a login"));
    named(panicking).build().acquire().await.unwrap_err();
    assert_eq!(outcome(), "panicked after 0 ms");

    for discard in [CachedProvider::reset, CachedProvider::sign_out] {
        let issuer = Issuer::gated();
        let provider = named(issuer.clone()).build();
        let mut waiter = task::spawn(provider.acquire());
        assert_pending!(waiter.poll());
        yield_now().await;
        tokio::time::advance(Duration::from_millis(300)).await;
        discard(&provider);
        issuer.open();
        drop(waiter);
        provider.settled().await;
        assert_eq!(outcome(), "discarded after 300 ms");
    }

    // The line of a failure has the same.
    let lines = capture.named("login failed");
    let times: Vec<_> = lines.iter().map(|it| it.field("duration_ms")).collect();
    assert_eq!(times, ["2000", "10000", "0"]);
    for line in &lines {
        assert_eq!(line.level, Level::WARN);
        assert_eq!(line.field("reason"), "first");
        assert!(!line.field("error").is_empty());
    }
    assert_eq!(lines[0].field("cause"), "down for maintenance");
    let discarded = capture.named("login discarded");
    assert_eq!(discarded.len(), 2);
    assert!(discarded.iter().all(|it| it.level == Level::DEBUG));
}

// A waiter finds the login lost. The line belongs to the login all the same.
#[test]
fn a_lost_login_ends_its_span_and_the_request_that_finds_it_is_not_its_parent() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    let paused = || {
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let (first, second) = (paused(), paused());
    let provider = named(login_fn(|_| pending())).build();
    first.block_on(async {
        let mut request = task::spawn(provider.acquire());
        assert_pending!(request.poll());
        yield_now().await;
    });
    // The first runtime is driven no more.
    second.block_on(async {
        let waiter = provider.acquire();
        let waiter = tracing::Instrument::instrument(waiter, tracing::info_span!("waiter"));
        waiter.await.unwrap_err();
    });
    let spans = capture.named(LOGIN);
    let span = the_only(&spans);
    assert_eq!(span.field("outcome"), "lost");
    let duration: u64 = span.field("duration_ms").parse().unwrap();
    assert!((11_000..=11_001).contains(&duration), "{duration}");
    assert!(span.is_closed);
    assert_eq!(the_only(&capture.named("login failed")).parent, span.span);
}

// Clients log when their requests are cancelled.
#[tokio::test(start_paused = true)]
async fn a_login_that_times_out_ends_within_its_span() {
    struct Connection; // of a client
    impl Drop for Connection {
        fn drop(&mut self) {
            tracing::info!("closed");
        }
    }
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    let login = login_fn(|_| async {
        let _connection = Connection;
        pending().await
    });
    let stored = Credential::new("old").unwrap().with_refresh_token("kept");
    let clock = HandClock::new();
    let provider = CachedProvider::builder(login)
        .starting_with(stored.with_lifetime(Duration::from_secs(60)))
        .clock(clock.clone())
        .on_unspent(|_| tracing::info!("unspent"))
        .build();
    clock.advance(Duration::from_secs(60));
    let error = provider.acquire().await.unwrap_err();
    assert!(error.is_login_timed_out());
    let span = the_only(&capture.named(LOGIN)).span;
    assert_eq!(the_only(&capture.named("closed")).parent, span);
    assert_eq!(the_only(&capture.named("unspent")).parent, span);
}

/// Causes each log line of a provider.
async fn cause_each_line() {
    let clock = HandClock::new();
    let issuer = Issuer::new();
    let provider = named(issuer.clone()).clock(clock.clone()).build();
    let mut held = provider.acquire().await.unwrap().generation();
    // Tokens that help and are revoked at once: contention. Without an acceptance the last is kept.
    for _ in 0..4 {
        let _ = provider.reject(&by_hand(held));
        held = provider.acquire().await.unwrap().generation();
        provider.accept(support::receipt(held));
        clock.advance(Duration::from_secs(1));
    }
    for _ in 0..3 {
        let _ = provider.reject(&by_hand(held));
        held = provider.acquire().await.unwrap().generation();
    }
    provider.set_credential(Credential::new("def").unwrap());
    provider.sign_out();
    provider.reset();
    issuer.fail("down for maintenance");
    provider.acquire().await.unwrap_err();

    let discarded = Issuer::gated();
    let provider = named(discarded.clone()).build();
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    provider.reset();
    discarded.open();
    waiter.await.unwrap();

    let refreshing = login_fn(async |mut request: LoginRequest| {
        if request.take_refresh_token().is_some() {
            request.refresh_has_failed("already used");
        }
        Ok(Credential::new("abc")?)
    });
    let stored = Credential::new("old").unwrap().with_refresh_token("spent");
    let provider = named(refreshing)
        .starting_with(stored.with_lifetime(Duration::ZERO))
        .clock(clock.clone())
        .build();
    clock.advance(Duration::from_secs(60));
    provider.acquire().await.unwrap();
}

#[tokio::test]
async fn each_line_of_a_provider_names_it_and_its_account() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    cause_each_line().await;
    let traced = capture.traced();
    for it in &traced {
        assert_eq!(it.field("provider"), ORDERS, "{it:?}");
        assert_eq!(it.field("account"), ACCOUNT, "{it:?}");
    }
    for it in &traced {
        let has_login = it.parent.is_some_and(|parent| {
            let is_login = |of: &Traced| of.span == Some(parent) && of.name == LOGIN;
            traced.iter().any(is_login)
        });
        let of_a_login = [
            "logged in",
            "login discarded",
            "login failed",
            "refresh failed",
        ];
        let is_of_a_login = of_a_login.contains(&it.name.as_str());
        assert_eq!(has_login, is_of_a_login, "{it:?}");
    }
    let lines = traced.iter().map(|it| (it.level, it.name.as_str()));
    let lines: BTreeSet<_> = lines
        .map(|(level, name)| format!("{level} {name}"))
        .collect();
    let expected = [
        "DEBUG credential rejected",
        "DEBUG credential set",
        "DEBUG login discarded",
        "INFO logged in",
        "INFO login",
        "INFO signed out",
        "WARN login failed",
        "WARN refresh failed",
        "WARN rejected, and kept: logins do not help",
        "WARN tokens are revoked within seconds of each login; another client may be using this account",
    ];
    assert_eq!(Vec::from_iter(lines), expected);
}

#[tokio::test]
async fn without_a_name_the_fields_are_empty() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    let provider = CachedProvider::new(Issuer::new());
    provider.acquire().await.unwrap();
    for it in capture.traced() {
        assert!(!it.fields.contains_key("provider") && !it.fields.contains_key("account"));
    }
}

#[tokio::test]
async fn many_logins_with_many_waiters_have_one_line_each() {
    const LOGINS: usize = 50;
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    let provider = CachedProvider::new(Issuer::new());
    for _ in 0..LOGINS {
        let mut waiters: Vec<_> = (0..10).map(|_| task::spawn(provider.acquire())).collect();
        for waiter in &mut waiters {
            assert_pending!(waiter.poll());
        }
        for waiter in waiters {
            waiter.await.unwrap();
        }
        provider.reset();
    }
    assert_eq!(capture.named("logged in").len(), LOGINS);
    assert_eq!(capture.named(LOGIN).len(), LOGINS);
}

#[tokio::test]
async fn each_trace_has_the_documented_target() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    cause_each_line().await;
    send_to_a_foreign_origin().await;
    log_in_without_a_lifetime().await;
    let traced = capture.traced();
    let own: Vec<_> = traced
        .iter()
        .filter(|it| it.module.starts_with("tower_bearer"))
        .collect();
    let modules: BTreeSet<_> = own.iter().map(|it| &it.module).collect();
    assert!(modules.len() >= 4, "{modules:?}");
    for it in own {
        assert_eq!(it.target, "tower_bearer", "{it:?}");
    }
}

#[test]
fn a_provider_prints_its_names() {
    let builder = named(Issuer::new());
    let names = r#"name: Some("orders"), account_name: Some("4711")"#;
    assert!(format!("{builder:?}").contains(names), "{builder:?}");
    let provider = builder.build();
    assert!(format!("{provider:?}").contains(names), "{provider:?}");

    let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let quable = Quable::instance("acme").unwrap();
    let quable = quable.layer(http.clone(), "me", "secret", Lifetime::UntilRejected);
    assert!(format!("{:?}", quable.provider()).contains(r#"name: Some("quable")"#));
    let teletracker = Teletracker::new().layer(http, "me", "secret");
    assert!(format!("{:?}", teletracker.provider()).contains(r#"name: Some("teletracker")"#));
}

async fn send_to_a_foreign_origin() {
    let http = tower::service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) });
    let origins = Origins::new("https://api.example.com").unwrap();
    let provider = StaticProvider::new("abc").unwrap();
    let request = Request::get("https://other.example.com/").body(()).unwrap();
    let client = BearerAuthLayer::new(provider, origins).layer(http);
    client.oneshot(request).await.unwrap();
}

async fn log_in_without_a_lifetime() {
    let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
        let body = r#"{"access_token":"a"}"#;
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(body)))
    });
    let login = HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap();
    let login = login.lifetime_at("/ttl");
    login.login(LoginRequest::default()).await.unwrap();
}

#[tokio::test]
async fn a_forgotten_origin_is_logged_once() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    let http = tower::service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) });
    let send = async |provider: Option<StaticProvider>, origins: Origins, url: &str| {
        let request = Request::get(url).body(()).unwrap();
        let client = BearerAuthLayer::new(provider, origins).layer(http);
        for _ in 0..2 {
            let _ = client.clone().oneshot(request.clone()).await;
        }
    };
    let provider = || Some(StaticProvider::new("abc").unwrap());
    let origins = || Origins::new("https://api.example.com").unwrap();
    let count = |what: &str| {
        let said = capture.said();
        said.iter().filter(|line| line.contains(what)).count()
    };
    let warning = "requests to this origin are sent without a token";
    send(provider(), origins(), "https://api.example.com/a").await;
    send(None, origins(), "https://other.example.com/a").await;
    send(
        provider(),
        origins().strict(),
        "https://other.example.com/a",
    )
    .await;
    assert_eq!(count(warning), 0);
    send(
        provider(),
        origins(),
        "https://other.example.com/a?b=secret",
    )
    .await;
    assert_eq!(count(warning), 1);
    assert_eq!(count("https://other.example.com"), 1);
    assert_eq!(count("secret"), 0);
}

#[tokio::test]
async fn a_lifetime_that_is_not_where_it_was_expected_is_logged_once() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    let count = || {
        let said = capture.said();
        let warnings = said.iter().filter(|it| it.contains("has no lifetime"));
        warnings.count()
    };
    let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
        let body = r#"{"access_token":"a","ttl":60}"#;
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(body)))
    });
    let login = || HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap();
    for login in [
        login(),
        login().lifetime_at("/ttl"),
        login()
            .lifetime_at("/tll")
            .lifetime(Lifetime::UntilRejected),
    ] {
        login.login(LoginRequest::default()).await.unwrap();
    }
    assert_eq!(count(), 0);
    let mistyped = login().lifetime_at("/tll");
    for _ in 0..3 {
        mistyped.login(LoginRequest::default()).await.unwrap();
    }
    assert_eq!(count(), 1);
}

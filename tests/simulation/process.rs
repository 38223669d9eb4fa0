//! The requests of a process, and the rules that each answer must keep.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use fastrand::Rng;
use http::{Method, Request, StatusCode};
use tokio::{
    task::JoinSet,
    time::{self, Instant},
};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, BoxError, CachedProvider, Error, NoReplay, PerRequest, Replay,
};

use crate::{
    client::Host,
    logbook::Logbook,
    plan::ReplayPolicy,
    service::{Payload, Ticket, Wire},
    wire::WireError,
};

/// After all faults, another client may still be suspected for five minutes.
pub(crate) const RECOVERY: Duration = Duration::from_secs(330);

#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) host: Host,
    pub(crate) logbook: Logbook,
}

/// A request to send.
#[derive(Clone, Copy)]
struct Task {
    uri: &'static str,
    text: Option<&'static str>,
    can_be_copied: bool,
    asks_for_fresh: bool,
    /// The timeout of its caller.
    timeout: Option<Duration>,
}

const TASK: Task = Task {
    uri: "https://api/things",
    text: None,
    can_be_copied: true,
    asks_for_fresh: false,
    timeout: None,
};

impl Process {
    pub(crate) async fn run<R>(&self, layer: BearerAuthLayer<CachedProvider, R>, mut chance: Rng)
    where
        R: Replay<Payload> + 'static,
    {
        let mut service = layer.layer(Wire {
            logbook: self.logbook.clone(),
            patience: self.host.pace.patience,
        });
        let mut workers = JoinSet::new();
        for number in 0..self.host.plan.workers {
            let (process, service) = (self.clone(), service.clone());
            let chance = chance.fork();
            workers.spawn_local(async move { process.work(number, service, chance).await });
        }
        while let Some(ended) = workers.join_next().await {
            if ended.is_err() {
                self.violation("a worker panicked");
            }
        }
        self.recover(&mut service).await;
        self.end(&layer, &mut service).await;
        let replays = layer.replays();
        self.host.record.count(|counts| counts.replays += replays);
    }

    fn violation(&self, what: impl std::fmt::Display) {
        self.host.record.violation(&self.logbook.who, what);
    }

    async fn work<R>(
        &self,
        number: usize,
        mut service: BearerAuth<Wire, CachedProvider, R>,
        mut chance: Rng,
    ) where
        R: Replay<Payload> + 'static,
    {
        while !self.host.are_faults_over.load(SeqCst) {
            let longest = u64::try_from(self.host.pace.longest_pause.as_millis());
            let pause = chance.u64(0..longest.unwrap_or(1_000));
            time::sleep(Duration::from_millis(pause)).await;
            let task = self.next_task(&mut chance);
            if chance.u16(0..400) == 0 {
                self.host.record.count(|counts| counts.resets += 1);
                self.host.record.write(&self.logbook.who, "reset");
                self.logbook.reset();
                service.provider().reset();
            }
            // Usually one long-lived service, which keeps its own copy, and sometimes several
            // clones at once.
            if chance.u8(0..20) != 0 {
                let name = format!("{}/{number}", self.logbook.who);
                let answer = self.ask(&name, &mut service, task).await;
                if answer.is_some_and(|answer| answer.status() == StatusCode::FOUND) {
                    // Through the layer, like a redirect that is followed outside of it.
                    let task = Task {
                        uri: "https://foreign/elsewhere",
                        ..TASK
                    };
                    self.ask(&name, &mut service, task).await;
                }
                continue;
            }
            let mut requests = JoinSet::new();
            for _ in 0..5 {
                let (process, mut service) = (self.clone(), service.clone());
                let name = format!("{}/{number}", self.logbook.who);
                requests.spawn_local(async move { process.ask(&name, &mut service, task).await });
            }
            while let Some(ended) = requests.join_next().await {
                if ended.is_err() {
                    self.violation("a request panicked");
                }
            }
        }
    }

    fn next_task(&self, chance: &mut Rng) -> Task {
        let uri = match chance.u8(0..100) {
            0..20 if self.host.forbids => "https://api/forbidden",
            0..5 => "https://api/moved",
            5..8 => "https://foreign/things",
            8..11 => "https://api:8443/things",
            11..15 => "https://api/broken",
            _ => TASK.uri,
        };
        let patience = self.host.pace.patience;
        Task {
            uri,
            text: (chance.u8(0..5) == 0).then_some("a thing"),
            can_be_copied: chance.bool(),
            asks_for_fresh: chance.u8(0..50) == 0,
            timeout: (chance.u8(0..20) == 0).then(|| patience.mul_f64(chance.f64())),
        }
    }

    /// Sends a request, and records each rule that its outcome violates.
    async fn ask<R>(
        &self,
        name: &str,
        service: &mut BearerAuth<Wire, CachedProvider, R>,
        task: Task,
    ) -> Option<http::Response<String>>
    where
        R: Replay<Payload>,
    {
        let record = &self.host.record;
        let is_ours = task.uri.starts_with("https://api/");
        let is_kept = is_ours
            && match self.host.plan.replay {
                ReplayPolicy::No => false,
                ReplayPolicy::Empty => task.text.is_none(),
                ReplayPolicy::With => task.can_be_copied,
            };
        let ticket = Ticket::new(self.logbook.published(), if is_kept { 2 } else { 1 });
        let method = task.text.map_or(Method::GET, |_| Method::POST);
        let mut request = Request::new(Payload {
            text: task.text,
            can_be_copied: task.can_be_copied,
        });
        *request.method_mut() = method;
        *request.uri_mut() = task.uri.parse().unwrap();
        request.extensions_mut().insert(ticket.clone());
        if task.asks_for_fresh && is_ours {
            self.logbook.asks_for_fresh();
            request.extensions_mut().insert(PerRequest::fresh());
        }
        record.count(|counts| counts.requests += 1);
        let resets = self.logbook.resets();
        let (begun, calling) = (Instant::now(), async {
            service.ready().await?.call(request).await
        });
        // I7: two waits for a login, each with a second to spare, and two exchanges. A reset may
        // double each wait.
        let pace = self.host.pace;
        let wait = pace.login_timeout + Duration::from_secs(1);
        let (deadline, after_reset) = (2 * (wait + pace.patience), 2 * (2 * wait + pace.patience));
        let timeout = task.timeout.unwrap_or(after_reset);
        let answer = time::timeout(timeout, calling).await;
        let took = begun.elapsed();
        if took > deadline && self.logbook.resets() == resets || took >= after_reset {
            self.violation(format!("I7: {took:?} are more than {deadline:?}"));
        }
        let Ok(answer) = answer else {
            record.count(|counts| counts.given_up += 1);
            record.write(name, format!("times out: {}", task.uri));
            return None;
        };
        let text = match &answer {
            Ok(answer) => answer.status().as_u16().to_string(),
            Err(error) => self.read(error),
        };
        record.write(
            name,
            format!(
                "{} after {took:?}, sent {}: {text}",
                task.uri,
                ticket.sent()
            ),
        );
        record.count(|counts| match &answer {
            Ok(answer) if answer.status() == StatusCode::OK => counts.answered += 1,
            Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => counts.rejected += 1,
            Ok(_) => {}
            Err(_) => counts.failed += 1,
        });
        answer.ok()
    }

    /// The text of an error of the layer, or of one passed through from the inner service.
    fn read(&self, error: &BoxError) -> String {
        if let Some(error) = error.downcast_ref::<Error>() {
            return self.logbook.read(error);
        }
        if error.downcast_ref::<WireError>().is_none() {
            self.violation(format!("an error was wrapped: {error:?}"));
        }
        error.to_string()
    }

    /// After the faults, a request must succeed in time.
    async fn recover<R>(&self, service: &mut BearerAuth<Wire, CachedProvider, R>)
    where
        R: Replay<Payload>,
    {
        let begun = Instant::now();
        loop {
            let answer = self.ask(&self.logbook.who, service, TASK).await;
            if answer.is_some_and(|answer| answer.status() == StatusCode::OK) {
                break;
            }
            if begun.elapsed() > RECOVERY {
                self.violation(format!(
                    "no recovery within {RECOVERY:?}: {:?}",
                    service.provider().snapshot()
                ));
                break;
            }
            time::sleep(Duration::from_secs(1)).await;
        }
        let took = begun.elapsed();
        self.host
            .record
            .write(&self.logbook.who, format!("has recovered after {took:?}"));
    }

    /// I6: no request waits, and a login without waiters ends by itself.
    async fn end<R>(
        &self,
        layer: &BearerAuthLayer<CachedProvider, R>,
        service: &mut BearerAuth<Wire, CachedProvider, R>,
    ) where
        R: Replay<Payload>,
    {
        // A background login may still be running.
        time::sleep(self.host.pace.login_timeout + self.host.pace.tick).await;
        let snapshot = layer.provider().snapshot();
        if snapshot.is_logging_in() {
            self.violation("I6: a login continues after its timeout");
        }
        self.host
            .record
            .count(|counts| counts.waits += snapshot.waits());
        let printed = format!(
            "{snapshot:?} {:#?} {:?}",
            layer.provider(),
            layer.clone().replay(NoReplay)
        );
        self.host
            .record
            .must_hide_secrets(&self.logbook.who, &printed);
        let task = Task {
            asks_for_fresh: true,
            timeout: Some(Duration::ZERO),
            ..TASK
        };
        self.ask(&self.logbook.who, service, task).await;
    }
}

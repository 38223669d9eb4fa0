//! The inner service, and the bodies of its requests.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header::AUTHORIZATION};
use http_body::{Body, Frame};
use tower::Service;

use crate::{
    issuer::{API, HTTPS},
    logbook::Logbook,
    wire::{self, WireError},
};

/// A body in one piece.
#[derive(Default)]
pub(crate) struct Payload {
    pub(crate) text: Option<&'static str>,
    pub(crate) can_be_copied: bool,
}

impl Payload {
    pub(crate) fn copy(&self) -> Option<Self> {
        self.can_be_copied.then_some(Self {
            text: self.text,
            can_be_copied: true,
        })
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let text = self.text.take();
        Poll::Ready(text.map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_none()
    }
}

/// The record of a request from its start on. Replays share it.
#[derive(Clone)]
pub(crate) struct Ticket(Arc<TicketState>);

struct TicketState {
    /// The number of credentials published when it started.
    published: usize,
    may_be_sent: usize,
    sent: AtomicUsize,
    carried: Mutex<Option<usize>>,
}

impl Ticket {
    pub(crate) fn new(published: usize, may_be_sent: usize) -> Self {
        Self(Arc::new(TicketState {
            published,
            may_be_sent,
            sent: AtomicUsize::new(0),
            carried: Mutex::new(None),
        }))
    }

    pub(crate) fn sent(&self) -> usize {
        self.0.sent.load(SeqCst)
    }
}

/// A connection for each request.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) logbook: Logbook,
    pub(crate) patience: Duration,
}

impl Wire {
    /// Checks I3, I8 and I9 before the request is sent.
    fn check(&self, request: &Request<Payload>) {
        let violation = |what: String| self.logbook.record.violation(&self.logbook.who, what);
        let Some(Ticket(ticket)) = request.extensions().get() else {
            return violation("a request lost its extensions".to_owned());
        };
        let sent = ticket.sent.fetch_add(1, SeqCst) + 1;
        if sent > ticket.may_be_sent {
            violation(format!("I3: a request is sent {sent} times"));
        }
        let is_ours = request.uri().authority().is_some_and(|it| it == API);
        let authorization = request.headers().get(AUTHORIZATION);
        let Some(authorization) = authorization else {
            if is_ours {
                violation("a request to the API is sent bare".to_owned());
            }
            return;
        };
        if !is_ours {
            return violation(format!("I9: a token for {}", request.uri()));
        }
        let printed = format!("{:?} {authorization:?}", request.headers());
        self.logbook
            .record
            .must_hide_secrets(&self.logbook.who, &printed);
        let token = authorization.to_str().unwrap_or_default();
        let token = token.strip_prefix("Bearer ").unwrap_or_default();
        let number = self.logbook.sends(token);
        if number < ticket.published {
            let published = ticket.published;
            violation(format!(
                "I8: credential {number} is sent, {published} was published before"
            ));
        }
        let before = ticket.carried.lock().unwrap().replace(number);
        if before.is_some_and(|before| before >= number) {
            violation("I8: replayed without a newer token".to_owned());
        }
    }
}

impl Service<Request<Payload>> for Wire {
    type Response = Response<String>;
    type Error = WireError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, WireError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        self.check(&request);
        let host = request.uri().host().unwrap_or_default().to_owned();
        let port = request.uri().port_u16().unwrap_or(HTTPS);
        let mut question = request.uri().path().to_owned();
        for (name, value) in request.headers() {
            question += &format!("\n{name}: {}", value.to_str().unwrap_or_default());
        }
        let patience = self.patience;
        Box::pin(async move {
            let answer = wire::exchange(&host, port, &question, patience).await?;
            let (status, rest) = answer.split_once('\n').unwrap_or((&answer, ""));
            let response = Response::builder().status(status).body(rest.to_owned());
            Ok(response.unwrap_or_default())
        })
    }
}

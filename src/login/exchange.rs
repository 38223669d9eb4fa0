//! One login request and its answer, through any HTTP service.

use std::{
    error::Error,
    future::poll_fn,
    io, iter,
    marker::PhantomData,
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{
    HeaderMap, HeaderName, Request, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
    response::Parts,
};
use http_body::Body;
use tokio::task::coop;
use tower_service::Service;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    credential::token,
    error::{Answer, BoxError, Exchange, ExchangeKind, Grant, LoginError, RetryAfter},
};

/// The longest answer that is read.
pub(super) const LIMIT: usize = 64 * 1024;

/// The longest name of a media type ([RFC 6838, section 4.2]).
///
/// [RFC 6838, section 4.2]: https://www.rfc-editor.org/rfc/rfc6838#section-4.2
const NAME_LIMIT: usize = 127;

/// An answer that was read to its end. Its body holds the token, so it is wiped when dropped.
pub(super) struct ReadAnswer {
    parts: Parts,
    body: Zeroizing<Vec<u8>>,
    /// Whether the body is empty because it could not be read: then the status alone counts.
    is_unread: bool,
}

impl ReadAnswer {
    pub(super) fn status(&self) -> StatusCode {
        self.parts.status
    }

    /// The body without a byte order mark, which RFC 8259, section 8.1 allows a parser to ignore.
    pub(super) fn json(&self) -> &[u8] {
        self.body
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&self.body)
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The coding of a compressed body, if it is a word.
    pub(super) fn encoding(&self) -> Option<&str> {
        let encoding = self.header(&CONTENT_ENCODING)?.trim();
        let is_identity = encoding.eq_ignore_ascii_case("identity");
        (is_name(encoding) && !is_identity).then_some(encoding)
    }

    pub(super) fn has_no_body(&self) -> bool {
        self.body.is_empty() && !self.is_unread
    }

    pub(super) fn failed(&self, kind: ExchangeKind) -> Failed {
        let length = (!self.is_unread).then_some(self.body.len());
        Failed {
            kind,
            answer: Some(describe(&self.parts, length)),
            source: None,
        }
    }
}

/// A failed exchange.
pub(super) struct Failed {
    pub(super) kind: ExchangeKind,
    answer: Option<Answer>,
    source: Option<BoxError>,
}

impl Failed {
    pub(super) fn new(kind: ExchangeKind, source: Option<BoxError>) -> Self {
        Self {
            kind,
            answer: None,
            source,
        }
    }

    pub(super) fn with_source(self, source: impl Into<BoxError>) -> Self {
        Self {
            source: Some(source.into()),
            ..self
        }
    }

    /// Without the path of a redirect or of an issuer, which may repeat that of the login.
    pub(super) fn without_path(mut self) -> Self {
        match &mut self.kind {
            ExchangeKind::Redirected { to } => *to = None,
            #[cfg(feature = "oauth2")]
            ExchangeKind::Metadata(fault) => fault.hide_paths(),
            _ => {}
        }
        self
    }

    pub(super) fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(|answer| answer.status.as_u16())
    }

    /// Whether the server asks for a pause.
    pub(super) fn asks_for_pause(&self) -> bool {
        let answer = self.answer.as_ref();
        let after = answer.and_then(|answer| answer.retry_after);
        let is_pause = after.is_some_and(|after| after != RetryAfter::Delay(Duration::ZERO));
        is_pause && matches!(self.status(), Some(400 | 401 | 403 | 422 | 429 | 503))
    }

    pub(super) fn into_error(self, grant: Grant, endpoint: String) -> LoginError {
        let exchange = Exchange {
            kind: self.kind,
            grant,
            endpoint,
            answer: self.answer,
        };
        LoginError::exchange(exchange, self.source)
    }
}

/// Reads a body into one buffer, and wipes the frames. The buffer never grows: growing would leave a
/// copy of the token in memory, as an unwiped frame would.
async fn read<R>(body: R) -> Result<Zeroizing<Vec<u8>>, Failed>
where
    R: Body,
    R::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut read = Zeroizing::new(Vec::with_capacity(LIMIT));
    // The body's error need not be `Send`: convert it before the next await point.
    let broken = |source: R::Error| Failed::new(ExchangeKind::Unread, Some(source.into()));
    let mut next = async || {
        let frame = poll_fn(|cx| {
            let frame = body.as_mut().poll_frame(cx);
            frame.map(|frame| frame.map(|frame| frame.map_err(broken)))
        });
        frame.await.transpose()
    };
    while let Some(frame) = next().await? {
        if let Ok(mut data) = frame.into_data() {
            let bytes = data.copy_to_bytes(data.remaining());
            drop(data);
            let fits = bytes.len() <= LIMIT - read.len();
            if fits {
                read.extend_from_slice(&bytes);
            }
            // If the client shares the bytes, it still owns them: they cannot be wiped here.
            if let Ok(mut bytes) = bytes.try_into_mut() {
                bytes.zeroize();
            }
            if !fits {
                return Err(Failed::new(ExchangeKind::TooLong, None));
            }
        }
        // Without this, a body that is always ready would starve the login's timeout.
        coop::consume_budget().await;
    }
    Ok(read)
}

fn describe(parts: &Parts, length: Option<usize>) -> Answer {
    Answer {
        status: parts.status,
        content_type: content_type(parts),
        length,
        retry_after: retry_after(parts),
    }
}

/// [RFC 9110, section 10.2.3]: seconds, or a date. Any other value is ignored.
///
/// [RFC 9110, section 10.2.3]: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
fn retry_after(parts: &Parts) -> Option<RetryAfter> {
    let value = parts.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(RetryAfter::Delay(Duration::from_secs(seconds)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(RetryAfter::Date(date))
}

/// Type and subtype only. The rest of the field is free text, which may hold a secret.
fn content_type(parts: &Parts) -> Option<String> {
    let value = parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim();
    let (kind, subtype) = essence.split_once('/')?;
    (is_name(kind) && is_name(subtype)).then(|| essence.to_owned())
}

fn is_name(name: &str) -> bool {
    (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(token::is_tchar)
}

/// Whether the request was never sent, according to the first error in the chain that knows: then no
/// server has seen it.
fn is_unsent(error: &(dyn Error + 'static)) -> bool {
    says_unsent(error).unwrap_or(false)
}

/// `None` if no error in the chain knows.
fn says_unsent(error: &(dyn Error + 'static)) -> Option<bool> {
    iter::successors(Some(error), |error| (*error).source()).find_map(|error| {
        let io: Option<&io::Error> = error.downcast_ref();
        let hyper: Option<&hyper::Error> = error.downcast_ref();
        let hyper_util: Option<&hyper_util::client::legacy::Error> = error.downcast_ref();
        match (hyper_util, hyper, io) {
            // Covers name resolution, TLS, and time-outs while connecting.
            (Some(error), ..) => error.is_connect().then_some(true),
            // hyper hands a request back unwritten if its connection closes first. hyper-util then sends
            // it again, if the connection came from its pool and `retry_canceled_requests` is on.
            // After any other error of a connection the request may be written, whatever its source: an
            // established connection too fails with `HostUnreachable`.
            (_, Some(error), _) => Some(error.is_canceled()),
            (.., Some(error)) => match error.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::NetworkDown
                | io::ErrorKind::AddrNotAvailable => Some(true),
                // The `source` of an `io::Error` skips the error that it wraps.
                _ => error.get_ref().and_then(|wrapped| says_unsent(wrapped)),
            },
            _ => None,
        }
    })
}

/// Whether a connection failed by TLS. tokio-rustls passes each error of rustls as invalid data.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    iter::successors(Some(error), |error| (*error).source()).any(|error| {
        let io: Option<&io::Error> = error.downcast_ref();
        io.is_some_and(|error| {
            error.kind() == io::ErrorKind::InvalidData
                || error.get_ref().is_some_and(|wrapped| is_tls(wrapped))
        })
    })
}

/// Whether a request was handed to its client: only then may a server have seen it.
#[derive(Debug, Default)]
pub(super) struct IsHandedOver(AtomicBool);

impl IsHandedOver {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// An HTTP service behind a dyn compatible trait.
pub(super) trait Client: Send + Sync {
    fn send<'a>(
        &'a self,
        request: Request<Bytes>,
        is_handed_over: &'a IsHandedOver,
    ) -> Pin<Box<dyn Future<Output = Result<ReadAnswer, Failed>> + Send + 'a>>;
}

pub(super) struct Erased<S, B> {
    service: S,
    body: PhantomData<fn(B)>,
}

impl<S, B> Erased<S, B> {
    pub(super) fn new(service: S) -> Self {
        Self {
            service,
            body: PhantomData,
        }
    }
}

impl<S, B, R> Client for Erased<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: From<Bytes> + Send + 'static,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    fn send<'a>(
        &'a self,
        request: Request<Bytes>,
        is_handed_over: &'a IsHandedOver,
    ) -> Pin<Box<dyn Future<Output = Result<ReadAnswer, Failed>> + Send + 'a>> {
        let mut service = self.service.clone();
        Box::pin(async move {
            let ready = poll_fn(|cx| service.poll_ready(cx)).await;
            ready.map_err(|source| Failed::new(ExchangeKind::Unsent, Some(source.into())))?;
            is_handed_over.0.store(true, Ordering::Relaxed);
            let response = service.call(request.map(B::from)).await.map_err(|source| {
                let source = source.into();
                let kind = match is_unsent(&*source) {
                    true if is_tls(&*source) => ExchangeKind::NoTls,
                    true => ExchangeKind::Unsent,
                    false => ExchangeKind::NoAnswer,
                };
                Failed::new(kind, Some(source))
            })?;
            let (parts, body) = response.into_parts();
            match read(body).await {
                Ok(body) => Ok(ReadAnswer {
                    parts,
                    body,
                    is_unread: false,
                }),
                Err(_) if !parts.status.is_success() => Ok(ReadAnswer {
                    parts,
                    body: Zeroizing::default(),
                    is_unread: true,
                }),
                Err(failed) => Err(Failed {
                    answer: Some(describe(&parts, None)),
                    ..failed
                }),
            }
        })
    }
}

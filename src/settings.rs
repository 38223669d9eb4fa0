//! What a layer and all of its services share.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::AUTHORIZATION,
};

use crate::{
    authorization::{Authorization, Generation},
    error::Error,
    origin::Origins,
    per_request::PerRequest,
    rejection, url,
};

#[derive(Debug)]
pub(crate) struct Settings<P, R> {
    /// One for all layers that were made of each other.
    pub(crate) provider: Arc<P>,
    pub(crate) replay: R,
    origins: Origins,
    header_name: HeaderName,
    /// Whether that is `authorization`: the hash of a name that the compiler knows is a constant.
    is_usual_name: bool,
    callers_header: CallersHeader,
    rejection: Rejection,
    counts: Arc<Counts>,
}

/// What is counted, on no way that an authorized request goes once. Relaxed: nothing else is read by
/// it.
#[derive(Debug, Default)]
struct Counts {
    foreign_requests: AtomicU64,
    bare_requests: AtomicU64,
    replays: AtomicU64,
}

type Test = dyn Fn(StatusCode, &HeaderMap) -> bool + Send + Sync;

/// What a rejection is.
#[derive(Clone)]
enum Rejection {
    /// As [`rejection::unauthorized`], asked only where it can be.
    Default,
    If(Arc<Test>),
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "Default",
            Self::If(_) => "If(..)",
        })
    }
}

/// What becomes of an authorization header that the caller has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallersHeader {
    Kept,
    Replaced,
}

/// What becomes of a request.
pub(crate) enum Way {
    /// It gets the current authorization.
    Authorized,
    /// It gets a fresh one.
    AuthorizedAfresh,
    /// It is sent untouched: it goes elsewhere, brings its own authorization, or wants none.
    Bare,
    /// It is not sent.
    Refused(Error),
}

/// What a request tells of the answer to come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exchange {
    Other = 0,
    /// It is gRPC if the answer comes over HTTP/2.
    MaybeGrpc = 1,
    Grpc = 2,
}

impl Exchange {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        match (request.method(), request.version()) {
            (&Method::POST, Version::HTTP_2) => Self::Grpc,
            (&Method::POST, _) => Self::MaybeGrpc,
            _ => Self::Other,
        }
    }
}

impl<P, R> Settings<P, R> {
    pub(crate) fn new(provider: P, replay: R, origins: Origins) -> Self {
        Self {
            provider: Arc::new(provider),
            replay,
            origins,
            header_name: AUTHORIZATION,
            is_usual_name: true,
            callers_header: CallersHeader::Kept,
            rejection: Rejection::Default,
            counts: Arc::default(),
        }
    }

    /// The same with another policy, for the same provider.
    pub(crate) fn with_replay<R2>(&self, replay: R2) -> Settings<P, R2> {
        let Self {
            provider,
            replay: _,
            origins,
            header_name,
            is_usual_name,
            callers_header,
            rejection,
            counts,
        } = self;
        Settings {
            provider: Arc::clone(provider),
            replay,
            origins: origins.clone(),
            header_name: header_name.clone(),
            is_usual_name: *is_usual_name,
            callers_header: *callers_header,
            rejection: rejection.clone(),
            counts: Arc::clone(counts),
        }
    }

    pub(crate) fn with_header_name(self, header_name: HeaderName) -> Self {
        Self {
            is_usual_name: header_name == AUTHORIZATION,
            header_name,
            ..self
        }
    }

    pub(crate) fn with_rejection(
        self,
        rejection: impl Fn(StatusCode, &HeaderMap) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            rejection: Rejection::If(Arc::new(rejection)),
            ..self
        }
    }

    pub(crate) fn replacing_callers_header(self) -> Self {
        Self {
            callers_header: CallersHeader::Replaced,
            ..self
        }
    }

    /// By the caller's word and the request's origin. A header of the caller's own is told by
    /// [`callers_own`](Self::callers_own), and by [`try_authorize`](Self::try_authorize).
    #[inline]
    pub(crate) fn way_of<B>(&self, request: &Request<B>) -> Way {
        let per_request = PerRequest::of(request.extensions());
        if per_request.is_some_and(PerRequest::is_bare) {
            return Way::Bare;
        }
        if self.origins.allows_request(request) {
            return match per_request {
                Some(per_request) if per_request.is_fresh() => Way::AuthorizedAfresh,
                _ => Way::Authorized,
            };
        }
        self.way_elsewhere(request)
    }

    /// The way of a request to a foreign origin.
    #[cold]
    fn way_elsewhere<B>(&self, request: &Request<B>) -> Way {
        if let Some(own) = self.callers_own(request) {
            return own;
        }
        let counts = &self.counts;
        counts.foreign_requests.fetch_add(1, Ordering::Relaxed);
        if self.origins.is_strict() {
            Way::Refused(Error::foreign_origin(url::told(request)))
        } else {
            Way::Bare
        }
    }

    /// The way of a request that brings an authorization of its own, where that is to be kept.
    pub(crate) fn callers_own<B>(&self, request: &Request<B>) -> Option<Way> {
        if self.callers_header == CallersHeader::Replaced {
            return None;
        }
        let mut own = request.headers().get_all(&self.header_name).iter();
        match (own.next(), own.next()) {
            (None, _) => None,
            (Some(_), None) => Some(Way::Bare),
            (Some(_), Some(_)) => Some(Way::Refused(Error::many_headers())),
        }
    }

    pub(crate) fn foreign_requests(&self) -> u64 {
        self.counts.foreign_requests.load(Ordering::Relaxed)
    }

    pub(crate) fn bare_requests(&self) -> u64 {
        self.counts.bare_requests.load(Ordering::Relaxed)
    }

    pub(crate) fn replays(&self) -> u64 {
        self.counts.replays.load(Ordering::Relaxed)
    }

    /// A request is sent bare.
    pub(crate) fn bare<B>(&self, request: &Request<B>) {
        self.counts.bare_requests.fetch_add(1, Ordering::Relaxed);
        if let Some(per_request) = PerRequest::of(request.extensions()) {
            per_request.carry(None);
        }
    }

    /// A request is sent again.
    pub(crate) fn replayed(&self) {
        self.counts.replays.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts the authorization on, unless the caller has brought one that is to be kept: then the
    /// request goes another way.
    ///
    /// That is found out by putting it in, since to look first would cost as much again.
    #[inline]
    pub(crate) fn try_authorize<B>(
        &self,
        request: &mut Request<B>,
        authorization: Authorization,
    ) -> Result<Generation, Way> {
        let (value, generation) = authorization.into_parts();
        let headers = request.headers_mut();
        let before = headers.len();
        let replaced = if self.is_usual_name {
            headers.insert(AUTHORIZATION, value)
        } else {
            headers.insert(&self.header_name, value)
        };
        if let Some(own) = replaced
            && self.callers_header == CallersHeader::Kept
        {
            return Err(self.restore(headers, own, before));
        }
        self.carries(request, generation);
        Ok(generation)
    }

    /// Puts the caller's header back, and says which way the request goes. `before` is how many
    /// headers it had.
    #[cold]
    fn restore(&self, headers: &mut HeaderMap, own: HeaderValue, before: usize) -> Way {
        // All but one are gone, and with them the request.
        if headers.len() < before {
            return Way::Refused(Error::many_headers());
        }
        headers.insert(&self.header_name, own);
        Way::Bare
    }

    /// Puts the authorization on a request that has passed [`callers_own`](Self::callers_own).
    pub(crate) fn authorize<B>(
        &self,
        request: &mut Request<B>,
        authorization: Authorization,
    ) -> Generation {
        let (value, generation) = authorization.into_parts();
        request.headers_mut().insert(&self.header_name, value);
        self.carries(request, generation);
        generation
    }

    fn carries<B>(&self, request: &Request<B>, generation: Generation) {
        if let Some(per_request) = PerRequest::of(request.extensions()) {
            per_request.carry(Some(generation));
        }
    }

    #[inline]
    pub(crate) fn is_rejection<B>(&self, exchange: Exchange, response: &Response<B>) -> bool {
        let (status, headers) = (response.status(), response.headers());
        if let Rejection::If(rejection) = &self.rejection {
            return rejection(status, headers);
        }
        let can_be_grpc = match exchange {
            Exchange::Grpc => true,
            Exchange::MaybeGrpc => response.version() == Version::HTTP_2,
            Exchange::Other => false,
        };
        status == StatusCode::UNAUTHORIZED
            || (can_be_grpc && rejection::is_unauthenticated(headers))
    }
}

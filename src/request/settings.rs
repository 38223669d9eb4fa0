//! What a layer and all of its services share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION,
};

use super::sent::{Rejection, Sent};
use crate::{
    credential::Authorization,
    error::Error,
    origin::{Origins, url},
    provider::{CredentialProvider, PerRequest, Receipt, Rejected, Verdict},
};

/// Held in each share, and not behind a count of their own: that would be one more step for each
/// request.
#[derive(Debug)]
pub(crate) struct Settings<P, R> {
    /// One for all layers that were made of each other.
    pub(crate) provider: Arc<P>,
    pub(crate) replay: Arc<R>,
    origins: Origins,
    header_name: HeaderName,
    /// Whether that is `authorization`: the hash of a name that the compiler knows is a constant.
    is_authorization: bool,
    callers_header: CallersHeader,
    pub(crate) rejection: Rejection,
    counts: Arc<Counts>,
}

// The provider and the policy are shared: a clone asks nothing of them.
impl<P, R> Clone for Settings<P, R> {
    fn clone(&self) -> Self {
        Self {
            provider: Arc::clone(&self.provider),
            replay: Arc::clone(&self.replay),
            origins: self.origins.clone(),
            header_name: self.header_name.clone(),
            is_authorization: self.is_authorization,
            callers_header: self.callers_header,
            rejection: self.rejection.clone(),
            counts: Arc::clone(&self.counts),
        }
    }
}

/// What is counted, on no handling that an authorized request goes once. Relaxed: nothing else is read by
/// it.
#[derive(Debug, Default)]
struct Counts {
    foreign_requests: AtomicU64,
    bare_requests: AtomicU64,
    replays: AtomicU64,
}

/// What becomes of an authorization header that the caller has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallersHeader {
    Kept,
    Replaced,
}

/// What becomes of a request that gets no authorization.
pub(crate) enum Bypass {
    /// It is sent as it is: it goes elsewhere, or wants no authorization.
    Untouched,
    /// It is sent as it is: the caller has set the authorization.
    CallersHeader,
    /// It is not sent.
    Failed(Error),
}

impl<P, R> Settings<P, R> {
    pub(crate) fn new(provider: P, replay: R, origins: Origins) -> Self {
        Self {
            provider: Arc::new(provider),
            replay: Arc::new(replay),
            origins,
            header_name: AUTHORIZATION,
            is_authorization: true,
            callers_header: CallersHeader::Kept,
            rejection: Rejection::Default,
            counts: Arc::default(),
        }
    }

    /// The same with another policy, for the same provider.
    pub(crate) fn with_replay<R2>(self, replay: R2) -> Settings<P, R2> {
        let Self {
            provider,
            replay: _,
            origins,
            header_name,
            is_authorization,
            callers_header,
            rejection,
            counts,
        } = self;
        Settings {
            provider,
            replay: Arc::new(replay),
            origins,
            header_name,
            is_authorization,
            callers_header,
            rejection,
            counts,
        }
    }

    pub(crate) fn with_header_name(self, header_name: HeaderName) -> Self {
        Self {
            is_authorization: header_name == AUTHORIZATION,
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

    /// Whether the request gets the current authorization, by its origin and the caller's word. A
    /// header of the caller's own is told by [`callers_header_bypass`](Self::callers_header_bypass), and by
    /// [`try_authorize`](Self::try_authorize).
    #[inline]
    pub(crate) fn wants_authorization<B>(&self, request: &Request<B>) -> bool {
        let per_request = PerRequest::of(request.extensions());
        per_request.is_none_or(|it| !it.is_bare() && !it.is_fresh())
            && self.origins.allows_request(request)
    }

    /// What becomes of a request that does not take the current authorization, or finds none: `None`
    /// if it waits for one.
    pub(crate) fn bypass<B>(&self, request: &Request<B>) -> Option<Bypass> {
        if PerRequest::of(request.extensions()).is_some_and(PerRequest::is_bare) {
            return Some(Bypass::Untouched);
        }
        if let Some(own) = self.callers_header_bypass(request) {
            return Some(own);
        }
        if self.origins.allows_request(request) {
            return None;
        }
        let counts = &self.counts;
        counts.foreign_requests.fetch_add(1, Ordering::Relaxed);
        Some(if self.origins.is_strict() {
            Bypass::Failed(Error::foreign_origin(url::display_origin(request)))
        } else {
            Bypass::Untouched
        })
    }

    /// The handling of a request that brings an authorization of its own, where that is to be kept.
    pub(crate) fn callers_header_bypass<B>(&self, request: &Request<B>) -> Option<Bypass> {
        if self.callers_header == CallersHeader::Replaced {
            return None;
        }
        let mut own = request.headers().get_all(&self.header_name).iter();
        match (own.next(), own.next()) {
            (None, _) => None,
            (Some(_), None) => Some(Bypass::CallersHeader),
            (Some(_), Some(_)) => Some(Bypass::Failed(Error::many_headers())),
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
    pub(crate) fn count_bare<B>(&self, request: &Request<B>) {
        self.counts.bare_requests.fetch_add(1, Ordering::Relaxed);
        if let Some(per_request) = PerRequest::of(request.extensions()) {
            per_request.set_receipt(None);
        }
    }

    /// A request is sent again.
    pub(crate) fn count_replay(&self) {
        self.counts.replays.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts the authorization on, unless the caller has brought one that is to be kept: then the
    /// request goes another handling.
    ///
    /// That is found out by putting it in, since to look first would cost as much again.
    #[inline]
    pub(crate) fn try_authorize<B>(
        &self,
        request: &mut Request<B>,
        authorization: Authorization,
    ) -> Result<Sent, Bypass> {
        let (value, generation, account) = authorization.into_parts();
        let headers = request.headers_mut();
        let before = headers.len();
        let replaced = if self.is_authorization {
            headers.insert(AUTHORIZATION, value)
        } else {
            headers.insert(&self.header_name, value)
        };
        if let Some(own) = replaced {
            self.replaced(headers, own, before)?;
        }
        Ok(self.record_sent(request, Receipt::of(generation, account, request)))
    }

    /// The caller has brought a header, or more: unless ours is to replace it, it is put back, and the
    /// request goes another handling. `before` is how many headers it had.
    #[cold]
    fn replaced(
        &self,
        headers: &mut HeaderMap,
        own: HeaderValue,
        before: usize,
    ) -> Result<(), Bypass> {
        if self.callers_header == CallersHeader::Replaced {
            return Ok(());
        }
        // All but one are gone, and with them the request.
        if headers.len() < before {
            return Err(Bypass::Failed(Error::many_headers()));
        }
        headers.insert(&self.header_name, own);
        Err(Bypass::CallersHeader)
    }

    /// Puts the authorization on a request that has passed [`callers_header_bypass`](Self::callers_header_bypass).
    pub(crate) fn authorize<B>(
        &self,
        request: &mut Request<B>,
        authorization: Authorization,
    ) -> Sent {
        let (value, generation, account) = authorization.into_parts();
        request.headers_mut().insert(&self.header_name, value);
        self.record_sent(request, Receipt::of(generation, account, request))
    }

    #[inline]
    fn record_sent<B>(&self, request: &Request<B>, receipt: Receipt) -> Sent {
        let per_request = PerRequest::of(request.extensions());
        if let Some(per_request) = per_request {
            per_request.set_receipt(Some(receipt));
        }
        self.rejection.sent(receipt, per_request, request)
    }
}

impl<P: CredentialProvider, R> Settings<P, R> {
    /// Tells the provider what the server thinks of what a request was sent with. Returns what the
    /// provider does about it, where it was rejected.
    pub(crate) fn judge<B>(&self, sent: Sent, response: &Response<B>) -> Option<Verdict> {
        if !sent.is_judged_by_layer() {
            return None;
        }
        if self.rejection.is_rejection(response, sent.exchange) {
            let (status, headers) = (response.status(), response.headers());
            let rejected = Rejected::by_response(sent.receipt, status, headers);
            return Some(self.provider.reject(&rejected));
        }
        if !response.status().is_server_error() {
            self.provider.accept(sent.receipt);
        }
        None
    }
}

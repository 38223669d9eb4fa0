//! The settings of a layer, which all of its services share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
#[cfg(feature = "tracing")]
use std::sync::{Mutex, PoisonError};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, MaxSizeReached},
};
#[cfg(feature = "metrics")]
use metrics::Label;

use super::sent::{Rejection, Sent};
#[cfg(feature = "tracing")]
use crate::runtime::TARGET;
use crate::{
    credential::Authorization,
    error::{BoxError, Error},
    origin::{Origins, url},
    provider::{CredentialProvider, LayerId, PerRequest, Receipt, Rejected, Verdict},
};
#[cfg(feature = "metrics")]
use crate::{
    login::error_type,
    runtime::{
        catch,
        measure::{BARE_REQUESTS, Descriptions, FAILED_REQUESTS, REPLAYS, count, word},
    },
};

/// Each share holds a copy. Behind an `Arc` of their own, they would cost each request one more
/// indirection.
#[derive(Debug)]
pub(crate) struct Settings<P, R> {
    /// Layers that were derived from each other share it.
    pub(crate) provider: Arc<P>,
    pub(crate) replay: Arc<R>,
    origins: Origins,
    header_name: HeaderName,
    /// Whether that is `authorization`. The hash of a constant name is known at compile time.
    is_authorization: bool,
    callers_header: CallersHeader,
    pub(crate) rejection: Rejection,
    counts: Arc<Counts>,
}

// By hand, since a derive would demand `P: Clone` and `R: Clone`: both are behind an `Arc`.
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

/// A request that is authorized and sent once touches none of these counts. Relaxed: no other memory
/// depends on them.
#[derive(Debug, Default)]
struct Counts {
    foreign_requests: AtomicU64,
    bare_requests: AtomicU64,
    replays: AtomicU64,
    /// The foreign origins that were logged.
    #[cfg(feature = "tracing")]
    logged_origins: Mutex<Vec<String>>,
    #[cfg(feature = "metrics")]
    descriptions: Descriptions,
}

/// Whether the layer replaces an authorization header that the caller has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallersHeader {
    Kept,
    Replaced,
}

/// The handling of a request that gets no authorization.
pub(crate) enum Bypass {
    /// Send it unchanged: the caller wants it bare.
    PerRequest,
    /// Send it unchanged: the provider wants it bare.
    ByProvider,
    /// Send it unchanged: its origin is foreign.
    Foreign,
    /// Send it unchanged: the caller has set the authorization.
    CallersHeader,
    /// Do not send it.
    Failed(Error),
}

#[cfg(feature = "metrics")]
impl Bypass {
    fn word(&self) -> &'static str {
        match self {
            Self::PerRequest => "per_request",
            Self::ByProvider => "provider",
            Self::Foreign => "foreign_origin",
            Self::CallersHeader => "callers_header",
            Self::Failed(_) => unreachable!("such a request is not sent"),
        }
    }
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

    /// The same settings with another replay policy. The provider is shared.
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

    /// Whether the request gets the current authorization, by its origin and its [`PerRequest`].
    ///
    /// It does not look for a header that the caller has set: that is left to
    /// [`callers_header_bypass`](Self::callers_header_bypass) and
    /// [`try_authorize`](Self::try_authorize).
    #[inline]
    pub(crate) fn wants_authorization<B>(&self, request: &Request<B>) -> bool {
        let per_request = PerRequest::of(request.extensions());
        per_request.is_none_or(|it| !it.is_bare() && !it.is_fresh())
            && self.origins.allows_request(request)
    }

    /// The bypass of a request that does not take the current authorization, or finds none. `None`:
    /// the request waits for an authorization.
    pub(crate) fn bypass<B>(&self, request: &Request<B>) -> Option<Bypass> {
        if PerRequest::of(request.extensions()).is_some_and(PerRequest::is_bare) {
            return Some(Bypass::PerRequest);
        }
        if let Some(bypass) = self.callers_header_bypass(request) {
            return Some(bypass);
        }
        if self.origins.allows_request(request) {
            return None;
        }
        let counts = &self.counts;
        counts.foreign_requests.fetch_add(1, Ordering::Relaxed);
        Some(if self.origins.is_strict() {
            let (origin, allowed) = (url::origin_of(request.uri()), self.origins.listed());
            let is_in_the_clear = url::is_in_the_clear(request.uri());
            Bypass::Failed(Error::foreign_origin(origin, allowed, is_in_the_clear))
        } else {
            Bypass::Foreign
        })
    }

    /// The bypass of a request whose caller has set the header, unless the layer replaces it.
    pub(crate) fn callers_header_bypass<B>(&self, request: &Request<B>) -> Option<Bypass> {
        if self.callers_header == CallersHeader::Replaced {
            return None;
        }
        let mut headers = request.headers().get_all(&self.header_name).iter();
        match (headers.next(), headers.next()) {
            (None, _) => None,
            (Some(_), None) => Some(Bypass::CallersHeader),
            (Some(_), Some(_)) => Some(Bypass::Failed(Error::many_headers())),
        }
    }

    /// Logs the first request to each foreign origin: somebody may have forgotten to allow it.
    #[cfg(feature = "tracing")]
    pub(crate) fn log_foreign_origin<B>(&self, request: &Request<B>) {
        /// A client that follows any link must not fill the memory.
        const MOST: usize = 64;
        let origin = url::origin_of(request.uri());
        let mut logged = self
            .counts
            .logged_origins
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if logged.contains(&origin) || logged.len() == MOST {
            return;
        }
        logged.push(origin.clone());
        drop(logged);
        tracing::warn!(
            target: TARGET,
            %origin,
            allowed = self.origins.listed(),
            "requests to this origin are sent without a token; is it missing in the origins?"
        );
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

    /// The same for all services of the layer.
    fn layer_id(&self) -> LayerId {
        Arc::as_ptr(&self.counts).addr()
    }

    /// Adds the authorization header. If the caller has set one that must be kept, returns a bypass.
    ///
    /// The insertion itself finds the caller's header: a lookup before it would double the cost.
    #[inline]
    pub(crate) fn try_authorize<B>(
        &self,
        request: &mut Request<B>,
        authorization: Authorization,
    ) -> Result<Sent, Bypass> {
        let (value, generation, account) = authorization.into_parts();
        let headers = request.headers_mut();
        let count_before = headers.len();
        let inserted = if self.is_authorization {
            headers.try_insert(AUTHORIZATION, value)
        } else {
            headers.try_insert(&self.header_name, value)
        };
        match inserted {
            Ok(None) => {}
            Ok(Some(callers_header)) => {
                self.restore_callers_header(headers, callers_header, count_before)?;
            }
            Err(full) => return Err(self.bypass_full(request, full)),
        }
        Ok(self.record_sent(request, Receipt::of(generation, account, request)))
    }

    /// The bypass of a request whose headers have no room for ours. It may need none.
    #[cold]
    fn bypass_full<B>(&self, request: &Request<B>, full: MaxSizeReached) -> Bypass {
        self.callers_header_bypass(request)
            .unwrap_or_else(|| Bypass::Failed(Error::no_authorization(full)))
    }

    /// Puts the caller's header back and returns a bypass, unless ours replaces it. `count_before` is
    /// the number of headers before the insertion.
    #[cold]
    fn restore_callers_header(
        &self,
        headers: &mut HeaderMap,
        callers_header: HeaderValue,
        count_before: usize,
    ) -> Result<(), Bypass> {
        if self.callers_header == CallersHeader::Replaced {
            return Ok(());
        }
        // The caller had set several, and the insertion kept one of them only: the request fails.
        if headers.len() < count_before {
            return Err(Bypass::Failed(Error::many_headers()));
        }
        headers.insert(&self.header_name, callers_header);
        Err(Bypass::CallersHeader)
    }

    /// Adds the authorization header to a request that
    /// [`callers_header_bypass`](Self::callers_header_bypass) has let through.
    pub(crate) fn authorize<B>(
        &self,
        request: &mut Request<B>,
        authorization: Authorization,
    ) -> Result<Sent, Error> {
        let (value, generation, account) = authorization.into_parts();
        let inserted = request.headers_mut().try_insert(&self.header_name, value);
        inserted.map_err(Error::no_authorization)?;
        Ok(self.record_sent(request, Receipt::of(generation, account, request)))
    }

    #[inline]
    fn record_sent<B>(&self, request: &Request<B>, receipt: Receipt) -> Sent {
        let per_request = PerRequest::of(request.extensions());
        if let Some(per_request) = per_request {
            per_request.set_receipt(receipt, self.layer_id());
        }
        self.rejection.sent(receipt, per_request, request)
    }
}

impl<P: CredentialProvider, R> Settings<P, R> {
    /// Counts a request that is sent bare.
    pub(crate) fn count_bare<B>(&self, request: &Request<B>, bypass: &Bypass) {
        self.counts.bare_requests.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        self.measure(BARE_REQUESTS, || Some(word("reason", bypass.word())));
        #[cfg(not(feature = "metrics"))]
        let _ = bypass;
        if let Some(per_request) = PerRequest::of(request.extensions()) {
            per_request.clear_receipt(self.layer_id());
        }
    }

    /// Counts a replay.
    pub(crate) fn count_replay(&self) {
        self.counts.replays.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        self.measure(REPLAYS, || None);
    }

    /// Counts a request that is never sent, unless the inner service has failed.
    pub(crate) fn count_failed(&self, error: &BoxError) {
        #[cfg(feature = "metrics")]
        if let Some(error) = error.downcast_ref() {
            self.measure(FAILED_REQUESTS, || {
                Some(word("error.type", error_type(error)))
            });
        }
        #[cfg(not(feature = "metrics"))]
        let _ = error;
    }

    /// Measures one request, with the name of the provider.
    #[cfg(feature = "metrics")]
    #[cold]
    fn measure(&self, name: &'static str, label: impl FnOnce() -> Option<Label>) {
        self.counts.descriptions.ensure();
        // The provider and the sources of an error may be user code.
        let _ = catch(|| {
            let provider = self.provider.name().map(str::to_owned);
            let provider = provider.map(|it| Label::new("provider", it));
            count(name, 1, provider.into_iter().chain(label()).collect());
        });
    }

    /// Reports the response to the provider, as an acceptance or a rejection. Returns the provider's
    /// verdict on a rejection.
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

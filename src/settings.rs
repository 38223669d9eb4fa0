//! What a layer and all of its services share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::{HeaderName, Request, StatusCode, header::AUTHORIZATION};

use crate::{
    authorization::{Authorization, Generation},
    error::Error,
    origin::Origins,
    provider::CredentialProvider,
    url,
};

#[derive(Clone, Debug)]
pub(crate) struct Settings<P> {
    pub(crate) provider: P,
    origins: Origins,
    header_name: HeaderName,
    /// Requests to foreign origins. Relaxed: nothing else is read by it.
    foreign_requests: Arc<AtomicU64>,
}

/// What becomes of a request, before the provider is asked.
pub(crate) enum Way {
    /// It gets an authorization.
    Authorized,
    /// It is sent untouched: it goes elsewhere, or brings its own authorization.
    Bare,
    /// It is not sent.
    Refused(Error),
}

impl<P> Settings<P> {
    pub(crate) fn new(provider: P, origins: Origins) -> Self {
        Self {
            provider,
            origins,
            header_name: AUTHORIZATION,
            foreign_requests: Arc::default(),
        }
    }

    pub(crate) fn with_header_name(self, header_name: HeaderName) -> Self {
        Self {
            header_name,
            ..self
        }
    }

    pub(crate) fn way_of<B>(&self, request: &Request<B>) -> Way {
        let mut own = request.headers().get_all(&self.header_name).iter();
        match (own.next(), own.next()) {
            (None, _) => {}
            (Some(_), None) => return Way::Bare,
            (Some(_), Some(_)) => return Way::Refused(Error::many_headers()),
        }
        if self.origins.allows_request(request) {
            return Way::Authorized;
        }
        self.foreign_requests.fetch_add(1, Ordering::Relaxed);
        if self.origins.is_strict() {
            Way::Refused(Error::foreign_origin(url::told(request)))
        } else {
            Way::Bare
        }
    }

    pub(crate) fn foreign_requests(&self) -> u64 {
        self.foreign_requests.load(Ordering::Relaxed)
    }

    pub(crate) fn authorize<B>(
        &self,
        request: &mut Request<B>,
        authorization: Authorization,
    ) -> Generation {
        let (value, generation) = authorization.into_parts();
        request
            .headers_mut()
            .insert(self.header_name.clone(), value);
        generation
    }
}

impl<P: CredentialProvider> Settings<P> {
    /// Tells the provider what the server thinks of the generation that the request carried.
    pub(crate) fn judge(&self, carried: Generation, status: StatusCode) {
        if status == StatusCode::UNAUTHORIZED {
            // The refusal goes to its caller, whether or not another attempt could help.
            let _worth_another_attempt = self.provider.reject(carried);
        } else if !status.is_server_error() {
            self.provider.accept(carried);
        }
    }
}

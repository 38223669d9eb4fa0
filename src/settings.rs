//! What a layer and all of its services share.

use http::{HeaderName, Request, StatusCode, header::AUTHORIZATION};

use crate::{
    authorization::{Authorization, Generation},
    origin::Origins,
    provider::CredentialProvider,
};

#[derive(Clone, Debug)]
pub(crate) struct Settings<P> {
    pub(crate) provider: P,
    origins: Origins,
    header_name: HeaderName,
}

impl<P> Settings<P> {
    pub(crate) fn new(provider: P, origins: Origins) -> Self {
        Self {
            provider,
            origins,
            header_name: AUTHORIZATION,
        }
    }

    pub(crate) fn with_header_name(self, header_name: HeaderName) -> Self {
        Self {
            header_name,
            ..self
        }
    }

    /// Whether the request is sent untouched: it goes elsewhere, or brings its own authorization.
    pub(crate) fn goes_bare<B>(&self, request: &Request<B>) -> bool {
        !self.origins.allow(request.uri()) || request.headers().contains_key(&self.header_name)
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

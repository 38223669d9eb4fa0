//! The receipt of a sent request, and whether the response is a rejection.

use std::{fmt, sync::Arc};

use http::{HeaderMap, Method, Request, Response, StatusCode, Version};

use super::rejection;
use crate::provider::{PerRequest, Receipt};

type Predicate = dyn Fn(StatusCode, &HeaderMap) -> bool + Send + Sync;

/// Which responses are rejections.
#[derive(Clone)]
pub(crate) enum Rejection {
    /// [`rejection::unauthorized`], but the gRPC status counts only if the exchange may be gRPC.
    Default,
    If(Arc<Predicate>),
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "Default",
            Self::If(_) => "If(..)",
        })
    }
}

/// A request that was sent, as it is kept until its response arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) receipt: Receipt,
    pub(crate) exchange: Exchange,
}

/// How the response will be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// By the status alone.
    Plain,
    /// As gRPC, if the response comes over HTTP/2.
    MaybeGrpc,
    Grpc,
    /// By the user's function.
    Custom,
    /// By the caller, who reports to the provider.
    JudgedByCaller,
}

impl Rejection {
    #[inline]
    pub(crate) fn sent<B>(
        &self,
        receipt: Receipt,
        per_request: Option<&PerRequest>,
        request: &Request<B>,
    ) -> Sent {
        let exchange = match per_request.is_some_and(PerRequest::is_judged_by_caller) {
            true => Exchange::JudgedByCaller,
            false => self.exchange(request),
        };
        Sent { receipt, exchange }
    }

    #[inline]
    pub(crate) fn exchange<B>(&self, request: &Request<B>) -> Exchange {
        match (self, request.method(), request.version()) {
            (Self::If(_), ..) => Exchange::Custom,
            (_, &Method::POST, Version::HTTP_2) => Exchange::Grpc,
            (_, &Method::POST, _) => Exchange::MaybeGrpc,
            _ => Exchange::Plain,
        }
    }

    /// Whether the response is a rejection.
    pub(crate) fn is_rejection<B>(&self, response: &Response<B>, exchange: Exchange) -> bool {
        let (status, headers) = (response.status(), response.headers());
        let can_be_grpc = match (self, exchange) {
            (Self::If(rejection), _) => return rejection(status, headers),
            (_, Exchange::Grpc) => true,
            (_, Exchange::MaybeGrpc) => response.version() == Version::HTTP_2,
            (_, Exchange::Plain | Exchange::Custom | Exchange::JudgedByCaller) => false,
        };
        status == StatusCode::UNAUTHORIZED
            || (can_be_grpc && rejection::is_unauthenticated(headers))
    }
}

impl Sent {
    /// Whether the layer reports the response to the provider.
    pub(crate) fn is_judged_by_layer(self) -> bool {
        self.exchange != Exchange::JudgedByCaller
    }

    /// Whether the status alone makes the response an acceptance.
    #[inline]
    pub(crate) fn is_accepted_by_status<B>(self, response: &Response<B>) -> bool {
        let status = response.status();
        self.exchange == Exchange::Plain
            && status != StatusCode::UNAUTHORIZED
            && !status.is_server_error()
    }
}

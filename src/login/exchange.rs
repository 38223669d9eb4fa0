//! One request and its answer, through any HTTP service.

use std::{future::poll_fn, marker::PhantomData, mem, pin::Pin};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE, response::Parts};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower_service::Service;
use zeroize::Zeroize;

use crate::{
    error::{Answer, BoxError, Flaw, LoginError},
    token,
};

/// The longest answer that is read.
pub(super) const LIMIT: usize = 64 * 1024;

/// The longest name of a media type ([RFC 6838, section 4.2]).
///
/// [RFC 6838, section 4.2]: https://www.rfc-editor.org/rfc/rfc6838#section-4.2
const NAME_LIMIT: usize = 127;

/// An answer that was read to its end.
pub(super) struct Read {
    parts: Parts,
    body: Bytes,
}

impl Read {
    pub(super) fn status(&self) -> StatusCode {
        self.parts.status
    }

    /// The body without a byte order mark, which RFC 8259, section 8.1 lets a reader ignore.
    pub(super) fn json(&self) -> &[u8] {
        self.body
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&self.body)
    }

    pub(super) fn described(&self) -> Answer {
        describe(&self.parts, Some(self.body.len()))
    }
}

impl Drop for Read {
    /// The token is in there. Where the client still has a part in the bytes they are not ours.
    fn drop(&mut self) {
        if let Ok(mut body) = mem::take(&mut self.body).try_into_mut() {
            body.zeroize();
        }
    }
}

fn describe(parts: &Parts, length: Option<usize>) -> Answer {
    Answer {
        status: parts.status,
        content_type: content_type(parts),
        length,
    }
}

/// Type and subtype alone, where they are that: the rest is free text.
fn content_type(parts: &Parts) -> Option<String> {
    let value = parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim();
    let (kind, subtype) = essence.split_once('/')?;
    let is_name =
        |name: &str| (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(token::is_tchar);
    (is_name(kind) && is_name(subtype)).then(|| essence.to_owned())
}

/// An HTTP service without its type.
pub(super) trait Client: Send + Sync {
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Read, LoginError>> + Send + '_>>;
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
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Read, LoginError>> + Send + '_>> {
        let mut service = self.service.clone();
        Box::pin(async move {
            let not_sent =
                |source: S::Error| LoginError::new(Flaw::NotSent, None, Some(source.into()));
            poll_fn(|cx| service.poll_ready(cx))
                .await
                .map_err(not_sent)?;
            let response = service.call(request.map(B::from)).await.map_err(not_sent)?;
            let (parts, body) = response.into_parts();
            match Limited::new(body, LIMIT).collect().await {
                Ok(body) => Ok(Read {
                    parts,
                    body: body.to_bytes(),
                }),
                Err(source) => {
                    let flaw = if source.is::<LengthLimitError>() {
                        Flaw::TooLong
                    } else {
                        Flaw::Unread
                    };
                    let answer = describe(&parts, None);
                    Err(LoginError::new(flaw, Some(answer), Some(source)))
                }
            }
        })
    }
}

//! The copy of a request that is sent, for its replay.

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version,
    request::Parts,
    uri::{self, Authority, PathAndQuery, Scheme},
};

use super::{pending::Replayed, replay::Replay};
use crate::provider::{PerRequest, RequestHead};

/// The head of a request, and its body as the replay policy keeps it.
pub(crate) struct KeptRequest<K> {
    head: KeptHead,
    body: K,
}

impl<K> KeptRequest<K> {
    /// Lets the policy keep the body of a request before it is sent. A request whose caller judges
    /// the response is never replayed, so the policy does not see it. Nor does it see the replay of an
    /// outer layer, after a replay of an inner one.
    ///
    /// It borrows the head, since each move would copy its 224 bytes.
    #[inline]
    pub(crate) fn of<B, R: Replay<B, Kept = K>>(
        replay: &R,
        head: &Parts,
        body: B,
    ) -> (B, Option<Self>) {
        let extensions = &head.extensions;
        let is_judged = PerRequest::of(extensions).is_some_and(PerRequest::is_judged_by_caller);
        if is_judged || extensions.get::<Replayed>().is_some() {
            return (body, None);
        }
        let (body, kept) = replay.keep(
            RequestHead {
                method: &head.method,
                uri: &head.uri,
                headers: &head.headers,
                extensions,
                rejected: None,
            },
            body,
        );
        let kept = kept.map(|body| Self {
            head: KeptHead::of(head),
            body,
        });
        (body, kept)
    }

    /// `None` if the policy decides against a replay.
    pub(super) fn into_request<B, R: Replay<B, Kept = K>>(self, replay: &R) -> Option<Request<B>> {
        let body = replay.again(self.body)?;
        self.head.into_request(body)
    }
}

/// The head of a request, usually in one allocation. A clone of `Parts` makes two for the headers, and
/// one more for each part and value that was not cloned before. It is read only if the request is
/// replayed.
struct KeptHead {
    method: Method,
    version: Version,
    extensions: Extensions,
    scheme: Option<Scheme>,
    /// Pairs of parts, after their lengths: the authority with path and query, empty if missing, and the
    /// name of each header with its value.
    text: Vec<u8>,
    /// Shared, since nobody would wipe a copy.
    sensitive: Vec<HeaderValue>,
}

impl KeptHead {
    fn of(head: &Parts) -> Self {
        let uri = &head.uri;
        let authority = uri.authority().map_or("", Authority::as_str);
        // `http` calls a missing path "/", but only here.
        let path_and_query = uri.path_and_query().filter(|_| !uri.path().is_empty());
        let path_and_query = path_and_query.map_or("", PathAndQuery::as_str);
        // A guess, so that usually there is one allocation.
        let for_headers = head.headers.len() * 64;
        let for_uri = size_of::<[usize; 2]>() + authority.len() + path_and_query.len();
        let mut text = Vec::with_capacity(for_uri + for_headers);
        put(&mut text, authority.as_bytes(), path_and_query.as_bytes());
        let mut sensitive = Vec::new();
        for (name, value) in &head.headers {
            let mut copied = value.as_bytes();
            if value.is_sensitive() {
                sensitive.push(value.clone());
                copied = SENSITIVE;
            }
            put(&mut text, name.as_str().as_bytes(), copied);
        }
        Self {
            method: head.method.clone(),
            version: head.version,
            extensions: head.extensions.clone(),
            scheme: uri.scheme().cloned(),
            text,
            sensitive,
        }
    }

    /// `None` only for a head that `http` itself would not read, such as an unchecked header value or
    /// too many headers.
    fn into_request<B>(self, body: B) -> Option<Request<B>> {
        let mut rest = self.text.as_slice();
        let (authority, path_and_query) = next(&mut rest)?;
        let mut parts = uri::Parts::default();
        parts.scheme = self.scheme;
        parts.authority = unless_empty::<Authority>(authority)?;
        parts.path_and_query = unless_empty::<PathAndQuery>(path_and_query)?;
        let mut headers = HeaderMap::new();
        let mut sensitive = self.sensitive.into_iter();
        while !rest.is_empty() {
            let (name, value) = next(&mut rest)?;
            let value = match value {
                SENSITIVE => sensitive.next()?,
                _ => HeaderValue::from_bytes(value).ok()?,
            };
            let name = HeaderName::from_bytes(name).ok()?;
            headers.try_append(name, value).ok()?;
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::from_parts(parts).ok()?;
        *request.version_mut() = self.version;
        *request.headers_mut() = headers;
        *request.extensions_mut() = self.extensions;
        Some(request)
    }
}

/// Stands for a sensitive value in the text. No header value has this byte.
const SENSITIVE: &[u8] = b"\0";

/// Appends two parts after their lengths.
#[inline]
fn put(text: &mut Vec<u8>, one: &[u8], other: &[u8]) {
    text.extend_from_slice(
        [one, other]
            .map(|part| part.len().to_ne_bytes())
            .as_flattened(),
    );
    text.extend_from_slice(one);
    text.extend_from_slice(other);
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut length = || {
        let bytes = rest.split_off(..size_of::<usize>())?;
        Some(usize::from_ne_bytes(bytes.try_into().ok()?))
    };
    let (one, other) = (length()?, length()?);
    Some((rest.split_off(..one)?, rest.split_off(..other)?))
}

/// A part of a URI: `Some(None)` if it is missing.
fn unless_empty<'a, T: TryFrom<&'a [u8]>>(part: &'a [u8]) -> Option<Option<T>> {
    if part.is_empty() {
        return Some(None);
    }
    T::try_from(part).ok().map(Some)
}

#[cfg(test)]
mod tests;

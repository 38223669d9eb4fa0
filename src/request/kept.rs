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
    pub(crate) fn of<B, R: Replay<B, Kept = K>>(
        replay: &R,
        request: Request<B>,
    ) -> (Request<B>, Option<Self>) {
        let extensions = request.extensions();
        let is_judged = PerRequest::of(extensions).is_some_and(PerRequest::is_judged_by_caller);
        if is_judged || extensions.get::<Replayed>().is_some() {
            return (request, None);
        }
        let (head, body) = request.into_parts();
        let (body, kept) = replay.keep(
            RequestHead {
                method: &head.method,
                uri: &head.uri,
                headers: &head.headers,
                extensions: &head.extensions,
                rejected: None,
            },
            body,
        );
        let kept = kept.map(|body| Self {
            head: KeptHead::of(&head),
            body,
        });
        (Request::from_parts(head, body), kept)
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
    /// Scheme, authority, path and query, empty if missing, after their lengths. Then name and value of
    /// each header, after their lengths and whether the value is sensitive. Such a value is empty here.
    text: Vec<u8>,
    /// Shared, since nobody would wipe a copy.
    sensitive: Vec<HeaderValue>,
}

impl KeptHead {
    fn of(head: &Parts) -> Self {
        let uri = &head.uri;
        let uri = [
            uri.scheme().map_or("", Scheme::as_str),
            uri.authority().map_or("", Authority::as_str),
            // `http` calls a missing path "/", but only here.
            uri.path_and_query()
                .filter(|_| !uri.path().is_empty())
                .map_or("", PathAndQuery::as_str),
        ];
        // A guess, so that usually there is one allocation.
        let for_headers = head.headers.len() * 64;
        let for_uri: usize = uri.iter().map(|part| part.len()).sum();
        let mut text = Vec::with_capacity(size_of::<Lengths<3>>() + for_uri + for_headers);
        put(&mut text, uri.map(str::as_bytes), false);
        let mut sensitive = Vec::new();
        for (name, value) in &head.headers {
            let mut copied = value.as_bytes();
            if value.is_sensitive() {
                sensitive.push(value.clone());
                copied = &[];
            }
            let parts = [name.as_str().as_bytes(), copied];
            put(&mut text, parts, value.is_sensitive());
        }
        Self {
            method: head.method.clone(),
            version: head.version,
            extensions: head.extensions.clone(),
            text,
            sensitive,
        }
    }

    /// `None` only for a head that `http` itself would not read, such as an unchecked header value or
    /// too many headers.
    fn into_request<B>(self, body: B) -> Option<Request<B>> {
        let mut rest = self.text.as_slice();
        let ([scheme, authority, path_and_query], _) = next(&mut rest)?;
        let mut parts = uri::Parts::default();
        parts.scheme = unless_empty::<Scheme>(scheme)?;
        parts.authority = unless_empty::<Authority>(authority)?;
        parts.path_and_query = unless_empty::<PathAndQuery>(path_and_query)?;
        let mut headers = HeaderMap::new();
        let mut sensitive = self.sensitive.into_iter();
        while !rest.is_empty() {
            let ([name, value], is_sensitive) = next(&mut rest)?;
            let value = match is_sensitive {
                true => sensitive.next()?,
                false => HeaderValue::from_bytes(value).ok()?,
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

/// The lengths of some parts, and a flag.
type Lengths<const PARTS: usize> = ([usize; PARTS], u8);

#[inline]
fn put<const PARTS: usize>(text: &mut Vec<u8>, parts: [&[u8]; PARTS], flag: bool) {
    text.push(u8::from(flag));
    text.extend_from_slice(parts.map(|part| part.len().to_ne_bytes()).as_flattened());
    for part in parts {
        text.extend_from_slice(part);
    }
}

fn next<'a, const PARTS: usize>(rest: &mut &'a [u8]) -> Option<([&'a [u8]; PARTS], bool)> {
    let flag = *rest.split_off_first()?;
    let mut lengths = [0; PARTS];
    for length in &mut lengths {
        let (bytes, after) = rest.split_first_chunk()?;
        (*length, *rest) = (usize::from_ne_bytes(*bytes), after);
    }
    let mut parts = [&[][..]; PARTS];
    for (part, length) in parts.iter_mut().zip(lengths) {
        (*part, *rest) = rest.split_at_checked(length)?;
    }
    Some((parts, flag != 0))
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

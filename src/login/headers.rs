//! The headers that the user adds to the requests of a login.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING},
};

/// Adds a header, marked sensitive. A second one of those that a request has once replaces the first.
pub(super) fn add(headers: &mut HeaderMap, name: HeaderName, mut value: HeaderValue) {
    value.set_sensitive(true);
    if [CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
        return;
    }
    if [AUTHORIZATION, CONTENT_TYPE, HOST].contains(&name) {
        headers.insert(name, value);
    } else {
        headers.append(name, value);
    }
}

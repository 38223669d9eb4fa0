//! The base URL of an API whose paths are known.

use http::Uri;

use crate::origin::{
    InvalidUrl, Origins,
    url::{self, Cleartext, InvalidUrlKind},
};

/// A URL to which paths are appended.
pub(super) struct BaseUrl(Uri);

impl BaseUrl {
    pub(super) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let uri = url::parse(url, Cleartext::ToLoopback).map_err(InvalidUrl::without_exception)?;
        if uri.query().is_some() {
            return Err(InvalidUrl(InvalidUrlKind::Query));
        }
        Ok(Self(uri))
    }

    pub(super) fn at(&self, path: &str) -> Result<Uri, InvalidUrl> {
        let base_url = self.0.to_string();
        let url = format!("{}{path}", base_url.trim_end_matches('/'));
        url::parse(&url, Cleartext::ToLoopback)
    }

    pub(super) fn origins(&self) -> Result<Origins, InvalidUrl> {
        Origins::of(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_of_plain_http_has_no_exception_to_name() {
        let error = BaseUrl::parse("http://api.example.com").err().unwrap();
        assert!(!error.to_string().contains("dangerously"), "{error}");
    }
}

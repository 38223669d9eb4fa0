//! The lines of Rust for an API, from what the probe has found out.

mod lines;
mod login;

use std::{collections::BTreeSet, fmt::Debug};

use tower_bearer::BoxError;

use self::lines::{call, chain, imports, secret};
use super::{
    config::{Config, LoginBy},
    report::{Answered, Found, Report, known, seconds},
    secrets::{REFRESH_TOKEN, is_secret},
};

/// A function that makes the layer.
pub(crate) fn rust(config: &Config, report: &Report) -> Result<String, BoxError> {
    let mut writer = Writer {
        config,
        report,
        names: BTreeSet::from([
            "BearerAuthLayer",
            "BoxError",
            "CachedProvider",
            "ReplayEmpty",
        ]),
        secrets: Vec::new(),
        is_in_refresh: false,
        lines: Vec::new(),
    };
    let origin = config.origin()?;
    writer.login(&origin);
    writer.layer();
    Ok(writer.finish(&origin))
}

struct Writer<'a> {
    config: &'a Config,
    report: &'a Report,
    /// Imports from the crate.
    names: BTreeSet<&'static str>,
    /// Where each secret is kept, and whether the refresh owns it.
    secrets: Vec<(String, bool)>,
    is_in_refresh: bool,
    lines: Vec<String>,
}

impl Writer<'_> {
    fn login(&mut self, origin: &str) {
        let mut calls = Vec::new();
        let head = match &self.config.login {
            LoginBy::Quable(account) => {
                let arguments = self.preset("Quable", "presets::Quable", account);
                let lifetime = self.fixed_lifetime();
                self.names.insert("Lifetime");
                let lifetime = lifetime.unwrap_or("Lifetime::Announced".to_owned());
                calls.push(call("login", format!("http, {arguments}, {lifetime}")));
                "preset".to_owned()
            }
            LoginBy::Teletracker(account) => {
                let arguments = self.preset("Teletracker", "presets::Teletracker", account);
                calls.push(call("login", format!("http, {arguments}")));
                "preset".to_owned()
            }
            LoginBy::OAuth2(grant) => self.grant(grant),
            LoginBy::Post(post) => self.post(post, &mut calls),
        };
        if !self.config.has_preset() {
            self.places(&mut calls);
        }
        if self.config.scheme != "Bearer" {
            self.names.insert("Scheme");
            let scheme = quoted(&self.config.scheme);
            calls.push(call(
                "with_scheme",
                format!("Scheme::from_static({scheme})"),
            ));
        }
        if !matches!(self.config.login, LoginBy::Quable(_)) {
            calls.extend(
                self.fixed_lifetime()
                    .map(|lifetime| call("lifetime", lifetime)),
            );
        }
        self.session(&mut calls);
        self.lines.extend(chain("let login = ", &head, &calls));
        if !self.config.has_preset() {
            self.names.insert("Origins");
            let origin = quoted(origin);
            self.lines
                .push(format!("let origins = Origins::new([{origin}])?;"));
        }
    }

    fn layer(&mut self) {
        let mut calls = Vec::new();
        let usual = match self.config.login {
            LoginBy::Teletracker(_) => "authentication",
            _ => "authorization",
        };
        let head = if self.config.has_preset() {
            calls.push(call("layer_with", "CachedProvider::new(login)".to_owned()));
            "preset"
        } else {
            "BearerAuthLayer::new(CachedProvider::new(login), origins)"
        };
        if self.config.header != usual {
            let header = quoted(self.config.header.as_str());
            calls.push(call("with_header_name", format!("{header}.parse()?")));
        }
        self.rejections(&mut calls);
        calls.push(call("replay", "ReplayEmpty".to_owned()));
        self.lines.extend(chain("let layer = ", head, &calls));
    }

    /// Which answers are rejections, if not those that the layer takes for them anyway.
    fn rejections(&mut self, calls: &mut Vec<String>) {
        let statuses = |answers: [&Found<Answered>; 2]| -> BTreeSet<u16> {
            let statuses = answers
                .into_iter()
                .filter_map(known)
                .map(|it| it.status.as_u16());
            statuses.filter(|status| *status >= 300).collect()
        };
        let dead = statuses([&self.report.expired, &self.report.revoked]);
        let (what, statuses) = match dead.is_empty() {
            true => ("garbage", statuses([&self.report.garbage; 2])),
            false => ("dead", dead),
        };
        let is_told = |it: &u16| match self.config.login {
            LoginBy::Teletracker(_) => [401, 403].contains(it),
            _ => *it == 401,
        };
        if statuses.iter().all(is_told) {
            return;
        }
        self.names.insert("rejection");
        let list: Vec<_> = statuses.iter().map(u16::to_string).collect();
        let rule = match statuses.iter().all(|it| [401, 403].contains(it)) {
            true => "rejection::unauthorized_or_forbidden".to_owned(),
            false => format!(
                "|status, headers| {{\n        rejection::unauthorized(status, headers) \
                 || [{}].contains(&status.as_u16())\n    }}",
                list.join(", ")
            ),
        };
        calls.push(format!("// a {what} token gets {}", list.join(" or ")));
        calls.push(call("rejected_if", rule));
    }

    /// A string as it stands, or as it is read from where it is kept.
    fn text(&mut self, text: &str) -> String {
        if text == REFRESH_TOKEN {
            return "token.expose()".to_owned();
        }
        if !is_secret(text) {
            return quoted(text);
        }
        let source = match text.strip_prefix("$env:") {
            Some(name) => format!("std::env::var({})?", quoted(name)),
            None => {
                let path = quoted(text.trim_start_matches("$file:"));
                format!("std::fs::read_to_string({path})?.trim().to_owned()")
            }
        };
        let kept = (source, self.is_in_refresh);
        let number = self.secrets.iter().position(|it| *it == kept);
        let number = number.unwrap_or_else(|| {
            self.secrets.push(kept);
            self.secrets.len() - 1
        });
        format!("{}.as_str()", secret(number))
    }

    fn finish(self, origin: &str) -> String {
        let announced = known(&self.report.announced).and_then(|all| all.first());
        let announced = announced.map_or("none".to_owned(), |it| seconds(it.lifetime));
        let mut text = String::new();
        if self.lines.iter().any(|line| line.contains("Duration::")) {
            text += "use std::time::Duration;\n\n";
        }
        text += "use bytes::Bytes;\nuse http_body_util::Full;\n";
        text += "use hyper_util::client::legacy::{Client, connect::Connect};\n";
        text += &imports("tower_bearer", &self.names);
        text +=
            &format!("\n/// A layer for {origin}. The announced lifetime is {announced}.\n///\n");
        text += "/// `http` is a client without the layer, which follows no redirects.\n";
        text += "pub(crate) fn layer<C>(\n    http: Client<C, Full<Bytes>>,\n";
        text += ") -> Result<BearerAuthLayer<CachedProvider, ReplayEmpty>, BoxError>\n";
        text += "where\n    C: Connect + Clone + Send + Sync + 'static,\n{\n";
        for (number, (source, _)) in self.secrets.iter().enumerate() {
            text += &format!("    let {} = {source};\n", secret(number));
        }
        for line in self.lines.iter().flat_map(|lines| lines.lines()) {
            text += &format!("    {line}\n");
        }
        text + "    Ok(layer)\n}\n"
    }
}

/// A literal of Rust.
fn quoted(text: impl Debug) -> String {
    format!("{text:?}")
}

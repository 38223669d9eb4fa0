//! The lines of Rust for an API, from what the probe has found out.

mod lines;

use std::{collections::BTreeSet, fmt::Debug};

use serde_json::Value;
use tower_bearer::BoxError;

use self::lines::{call, chain, imports, secret};
use super::{
    config::{Account, Base, Body, Config, Grant, LoginBy, Post},
    report::{Answered, Found, Report, Revokes, known, seconds},
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

    /// The arguments for the account.
    fn preset(&mut self, name: &str, import: &'static str, account: &Account) -> String {
        self.names.insert(import);
        let made = match &account.at {
            Base::Usual => "new()".to_owned(),
            Base::Instance(instance) => format!("instance({})?", quoted(instance)),
            Base::Url(url) => format!("base_url({})?", quoted(url)),
        };
        self.lines.push(format!("let preset = {name}::{made};"));
        format!(
            "{}, {}",
            self.text(&account.user),
            self.text(&account.password)
        )
    }

    fn grant(&mut self, grant: &Grant) -> String {
        self.names.extend(["HttpLogin", "OAuth2Grant"]);
        let head = match &grant.user {
            None => "OAuth2Grant::client_credentials()".to_owned(),
            Some((user, password)) => {
                format!(
                    "OAuth2Grant::password({}, {})",
                    self.text(user),
                    self.text(password)
                )
            }
        };
        let mut calls = Vec::new();
        calls.extend(
            grant
                .scope
                .as_ref()
                .map(|scope| call("scope", quoted(scope))),
        );
        for (name, text) in &grant.parameters {
            let arguments = format!("{}, {}", quoted(name), self.text(text));
            calls.push(call("parameter", arguments) + "?");
        }
        let id = self.text(&grant.client_id);
        calls.push(match &grant.client_secret {
            None => call("client_id", id),
            Some(secret) => {
                let arguments = format!("{id}, {}", self.text(secret));
                match grant.is_secret_in_form {
                    true => call("client_secret_post", arguments),
                    false => call("client_secret_basic", arguments) + "?",
                }
            }
        });
        self.lines.extend(chain("let grant = ", &head, &calls));
        let url = self.text(&grant.url);
        self.lines.push(format!("let url = {url};"));
        "HttpLogin::new(http, url, grant)?".to_owned()
    }

    fn post(&mut self, post: &Post, calls: &mut Vec<String>) -> String {
        self.names.insert("HttpLogin");
        let (body, url) = (self.body(&post.body), self.text(&post.url));
        self.lines.push(format!("let body = {body};"));
        self.lines.push(format!("let url = {url};"));
        for (name, text) in &post.headers {
            let (name, value) = (quoted(name), self.text(text));
            calls.push(call("header", format!("{name}.parse()?, {value}.parse()?")));
        }
        if let Some(refresh) = &self.config.refresh {
            self.names.insert("RefreshToken");
            let url = self.text(&refresh.url);
            self.is_in_refresh = true;
            let body = self.body(&refresh.body);
            self.is_in_refresh = false;
            self.lines.push(format!(
                "let refresh = move |token: &RefreshToken| {{\n    {}\n}};",
                body.replace('\n', "\n    ")
            ));
            let place = quoted(&self.config.answer.refresh_token);
            calls.push(call("refresh_token_at", place));
            calls.push(call("refresh_by", format!("{url}, refresh")) + "?");
        }
        "HttpLogin::new(http, url, body)?".to_owned()
    }

    fn body(&mut self, body: &Body) -> String {
        match body {
            Body::Json(json) => format!("serde_json::json!({}).to_string()", self.json(json)),
            Body::Form(pairs) => {
                self.names.insert("LoginBody");
                let pairs = pairs.iter();
                let pairs =
                    pairs.map(|(name, text)| format!("({}, {})", quoted(name), self.text(text)));
                lines::form(&pairs.collect::<Vec<_>>())
            }
        }
    }

    fn json(&mut self, json: &Value) -> String {
        match json {
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| self.json(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Object(fields) => {
                let fields = fields.iter();
                let fields =
                    fields.map(|(name, value)| format!("{}: {}", quoted(name), self.json(value)));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
            }
            plain => plain.to_string(),
        }
    }

    fn places(&mut self, calls: &mut Vec<String>) {
        let places = &self.config.answer;
        let read = match (&places.lifetime, &places.lifetime_ms) {
            (Some(seconds), _) => ("lifetime_at", Some(seconds)),
            (_, Some(milliseconds)) => ("lifetime_in_milliseconds_at", Some(milliseconds)),
            _ => ("expiry_at", places.expiry.as_ref()),
        };
        let mut read = vec![("token_at", Some(&places.token)), read];
        if let LoginBy::OAuth2(_) = self.config.login {
            read.push(("refresh_token_at", Some(&places.refresh_token)));
        }
        let usual = ["/access_token", "/expires_in", "/refresh_token"];
        for (method, pointer) in read {
            let pointer = pointer.filter(|pointer| !usual.contains(&pointer.as_str()));
            calls.extend(pointer.map(|pointer| call(method, quoted(pointer))));
        }
    }

    /// A lifetime that is better than the announced one.
    fn fixed_lifetime(&mut self) -> Option<String> {
        let announced = known(&self.report.announced).and_then(|all| all.first());
        let clocks = [&self.report.clock, &self.report.clock_by_jwt].map(known);
        let is_clock_off = clocks
            .into_iter()
            .flatten()
            .any(|it| it.seconds.abs() > 5.0);
        let lifetime = match (known(&self.report.lifetime), announced) {
            (Some(lived), _) if lived.is_shorter() => lived.accepted_at,
            (_, Some(announced)) if announced.is_by_clock && is_clock_off => announced.lifetime,
            _ => return None,
        };
        self.names.insert("Lifetime");
        Some(format!(
            "Lifetime::Fixed(Duration::from_secs({}))",
            lifetime.as_secs()
        ))
    }

    fn session(&mut self, calls: &mut Vec<String>) {
        let of_refresh = known(&self.report.refresh_revokes);
        let (session, why) = match (known(&self.report.login_revokes), of_refresh) {
            (Some(Revokes::Yes), _) => ("Exclusive", "a login revokes the previous token"),
            (Some(Revokes::SameToken), _) => ("Exclusive", "a second login brings the same token"),
            (_, Some(Revokes::Yes)) => ("Exclusive", "a refresh revokes the previous token"),
            (Some(Revokes::No), None) if self.report.has_refresh_token => (
                "Exclusive",
                "not known whether a refresh revokes the previous token",
            ),
            (Some(Revokes::No), _) => ("Concurrent", "the previous token stays valid"),
            (None, _) => ("Exclusive", "not known, and the careful choice"),
        };
        self.names.insert("Session");
        calls.push(format!("// {why}"));
        calls.push(call("with_session", format!("Session::{session}")));
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
                "|status, headers| {{\n        rejection::unauthorized(status, headers) || [{}].contains(&status.as_u16())\n    }}",
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

//! The lines of a login.

use serde_json::Value;

use super::{
    Writer,
    lines::{self, call, chain},
    quoted,
};
use crate::probe::{
    config::{Account, Base, Body, Grant, LoginBy, Post},
    report::{Revokes, known},
};

impl Writer<'_> {
    /// The arguments for the account.
    pub(super) fn preset(&mut self, name: &str, import: &'static str, account: &Account) -> String {
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

    pub(super) fn grant(&mut self, grant: &Grant) -> String {
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

    pub(super) fn post(&mut self, post: &Post, calls: &mut Vec<String>) -> String {
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

    pub(super) fn places(&mut self, calls: &mut Vec<String>) {
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
    pub(super) fn fixed_lifetime(&mut self) -> Option<String> {
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

    pub(super) fn session(&mut self, calls: &mut Vec<String>) {
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
}

//! The secrets that the configuration names and does not hold.

use std::collections::BTreeMap;

use serde_json::Value;
use tower_bearer::{BoxError, Secret};

/// Stands for the refresh token in the body of a refresh.
pub(crate) const REFRESH_TOKEN: &str = "$refresh_token";

/// The value of each `$env:NAME` and `$file:PATH` of a configuration.
#[derive(Clone, Default)]
pub(crate) struct Secrets(BTreeMap<String, Secret>);

impl Secrets {
    /// Reads the secrets of a document. The lines of Rust repeat what stands in the document, so no
    /// secret may stand there.
    pub(crate) fn read(
        document: &Value,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, BoxError> {
        let mut secrets = Self::default();
        for (name, value) in document.as_object().into_iter().flatten() {
            // Which has only the places of an answer's values.
            if name != "answer" {
                secrets.walk(name, value, environment)?;
            }
        }
        if secrets.0.is_empty() {
            return Err("no \"$env:NAME\" and no \"$file:PATH\": where is the secret?".into());
        }
        Ok(secrets)
    }

    fn walk(
        &mut self,
        name: &str,
        value: &Value,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), BoxError> {
        match value {
            Value::Object(fields) => fields
                .iter()
                .try_for_each(|(name, value)| self.walk(name, value, environment)),
            Value::Array(items) => items
                .iter()
                .try_for_each(|item| self.walk(name, item, environment)),
            Value::String(text) if text == REFRESH_TOKEN => Ok(()),
            Value::String(text) if is_secret(text) => {
                let value = if let Some(name) = text.strip_prefix("$env:") {
                    environment(name).ok_or_else(|| format!("the variable {name} is not set"))?
                } else {
                    let path = text.trim_start_matches("$file:");
                    let read = std::fs::read_to_string(path);
                    let read = read.map_err(|error| format!("cannot read {path}: {error}"))?;
                    read.trim().to_owned()
                };
                self.0.insert(text.clone(), value.into());
                Ok(())
            }
            Value::String(_) | Value::Number(_) if names_a_secret(name) => Err(format!(
                "`{name}` looks like a secret: write \"$env:NAME\" or \"$file:PATH\" instead"
            )
            .into()),
            Value::String(text) if name == "url" && text.contains('?') => {
                Err("a query may hold a secret: write the URL as \"$env:NAME\"".into())
            }
            _ => Ok(()),
        }
    }

    /// The text itself, or the secret that it names.
    pub(crate) fn value<'a>(&'a self, text: &'a str) -> &'a str {
        self.0.get(text).map_or(text, Secret::expose)
    }

    /// A document with its secrets.
    pub(crate) fn fill(&self, document: &Value, refresh_token: &str) -> Value {
        match document {
            Value::String(text) if text == REFRESH_TOKEN => refresh_token.into(),
            Value::String(text) => self.value(text).into(),
            Value::Array(items) => items
                .iter()
                .map(|item| self.fill(item, refresh_token))
                .collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), self.fill(value, refresh_token)))
                .collect(),
            plain => plain.clone(),
        }
    }
}

pub(crate) fn is_secret(text: &str) -> bool {
    text.starts_with("$env:") || text.starts_with("$file:")
}

fn names_a_secret(name: &str) -> bool {
    if name == "oauth2" {
        return false; // the name of a grant
    }
    let name = name.to_lowercase();
    let parts = [
        "pass",
        "pwd",
        "secret",
        "token",
        "key",
        "auth",
        "credential",
    ];
    ["pin", "code", "otp", "cookie"].contains(&&*name) || parts.iter().any(|it| name.contains(it))
}

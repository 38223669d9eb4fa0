//! The fields of the file.

use serde_json::{Map, Value};
use tower_bearer::BoxError;

use super::{Account, Base, Body, Grant, LoginBy, Places, Post};

/// The fields of an object. Those that nobody takes are errors.
#[derive(Default)]
pub(super) struct Fields {
    name: String,
    pub(super) fields: Map<String, Value>,
}

impl Fields {
    pub(super) fn of(name: &str, value: Value) -> Result<Self, BoxError> {
        let name = name.to_owned();
        match value {
            Value::Object(fields) => Ok(Self { name, fields }),
            _ => Err(format!("`{name}` is no object").into()),
        }
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, BoxError> {
        let object = self.fields.remove(name);
        object.map(|value| Self::of(name, value)).transpose()
    }

    pub(super) fn string(&mut self, name: &str) -> Result<Option<String>, BoxError> {
        match self.fields.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("`{name}` is no string").into()),
        }
    }

    pub(super) fn needed(&mut self, name: &str) -> Result<String, BoxError> {
        let text = self.string(name)?;
        text.ok_or_else(|| format!("`{name}` is missing in `{}`", self.name).into())
    }

    pub(super) fn pairs(&mut self, name: &str) -> Result<Vec<(String, String)>, BoxError> {
        let mut object = self.object(name)?.unwrap_or_default();
        let names: Vec<_> = object.fields.keys().cloned().collect();
        let pairs = names.into_iter().map(|name| {
            let text = object.needed(&name)?;
            Ok((name, text))
        });
        pairs.collect()
    }

    pub(super) fn post(&mut self) -> Result<Post, BoxError> {
        Ok(Post {
            url: self.needed("url")?,
            headers: self.pairs("headers")?,
            body: match self.fields.remove("json") {
                Some(json) => Body::Json(json),
                None => Body::Form(self.pairs("form")?),
            },
        })
    }

    pub(super) fn grant(&mut self, grant: &str) -> Result<Grant, BoxError> {
        Ok(Grant {
            url: self.needed("url")?,
            user: match grant {
                "client_credentials" => None,
                "password" => Some((self.needed("user")?, self.needed("password")?)),
                _ => return Err("`oauth2` is \"client_credentials\" or \"password\"".into()),
            },
            client_id: self.needed("client_id")?,
            client_secret: self.string("client_secret")?,
            is_secret_in_form: match self.string("send_client")?.as_deref() {
                None | Some("basic") => false,
                Some("form") => true,
                Some(_) => return Err("`send_client` is \"basic\" or \"form\"".into()),
            },
            scope: self.string("scope")?,
            parameters: self.pairs("parameters")?,
        })
    }

    pub(super) fn account(&mut self) -> Result<Account, BoxError> {
        Ok(Account {
            at: match (self.string("instance")?, self.string("base_url")?) {
                (Some(name), None) => Base::Instance(name),
                (None, Some(url)) => Base::Url(url),
                (None, None) => Base::Usual,
                _ => return Err("`instance` or `base_url`, not both".into()),
            },
            user: self.needed("user")?,
            password: self.needed("password")?,
        })
    }

    pub(super) fn places(&mut self, login: &LoginBy) -> Result<Places, BoxError> {
        let usual = match login {
            LoginBy::Quable(_) => ["/oauth/access_token", "/oauth/expires_in", ""],
            LoginBy::Teletracker(_) => ["/token", "/tokenLifetime", "/refreshToken"],
            _ => ["/access_token", "/expires_in", "/refresh_token"],
        };
        let [token, lifetime, refresh_token] = usual.map(str::to_owned);
        let mut places = Places {
            token: self.string("token")?.unwrap_or(token),
            lifetime: self.string("lifetime")?,
            lifetime_ms: self.string("lifetime_ms")?,
            expiry: self.string("expiry")?,
            refresh_token: self.string("refresh_token")?.unwrap_or(refresh_token),
        };
        if places.lifetime_ms.is_none() && places.expiry.is_none() {
            places.lifetime = places.lifetime.or(Some(lifetime));
        }
        if let LoginBy::Teletracker(_) = login {
            places.expiry = Some("/tokenExpiration".to_owned());
        }
        Ok(places)
    }

    pub(super) fn finish(&self) -> Result<(), BoxError> {
        match self.fields.keys().next() {
            Some(name) => Err(format!("`{}` has no field `{name}`", self.name).into()),
            None => Ok(()),
        }
    }
}

//! What the probe needs to know of the API.

use http::{HeaderName, Uri, header::AUTHORIZATION};
use serde_json::{Map, Value};
use tower_bearer::BoxError;

use super::secrets::Secrets;

/// Its strings are as they stand in the file; `secrets` has the values of those that name one.
pub(crate) struct Config {
    /// A URL that needs the token.
    pub(crate) api: Uri,
    pub(crate) header: HeaderName,
    pub(crate) scheme: String,
    pub(crate) login: LoginBy,
    pub(crate) answer: Places,
    pub(crate) refresh: Option<Post>,
    pub(crate) secrets: Secrets,
}

pub(crate) enum LoginBy {
    Post(Post),
    OAuth2(Grant),
    Quable(Account),
    Teletracker(Account),
}

/// A POST of the login or of the refresh.
pub(crate) struct Post {
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

#[derive(Clone)]
pub(crate) enum Body {
    Json(Value),
    Form(Vec<(String, String)>),
}

pub(crate) struct Grant {
    pub(crate) url: String,
    /// User and password; `None` is the grant of client credentials.
    pub(crate) user: Option<(String, String)>,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<String>,
    /// Whether the secret is sent in the form, and not by HTTP Basic.
    pub(crate) is_secret_in_form: bool,
    pub(crate) scope: Option<String>,
    pub(crate) parameters: Vec<(String, String)>,
}

/// An account at an API that has a preset.
pub(crate) struct Account {
    pub(crate) at: Base,
    pub(crate) user: String,
    pub(crate) password: String,
}

pub(crate) enum Base {
    Usual,
    Instance(String),
    Url(String),
}

/// JSON pointers into the login's answer.
pub(crate) struct Places {
    pub(crate) token: String,
    /// In seconds.
    pub(crate) lifetime: Option<String>,
    pub(crate) lifetime_ms: Option<String>,
    pub(crate) expiry: Option<String>,
    pub(crate) refresh_token: String,
}

impl Config {
    pub(crate) fn parse(
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, BoxError> {
        let document = serde_json::from_str(text)?;
        let secrets = Secrets::read(&document, environment)?;
        let mut file = Fields::of("the file", document)?;
        let mut login = file.object("login")?.ok_or("`login` is missing")?;
        let preset = login.string("preset")?;
        let (by, header) = match preset.as_deref() {
            Some("quable") => (LoginBy::Quable(login.account()?), AUTHORIZATION),
            Some("teletracker") => {
                let header = HeaderName::from_static("authentication");
                (LoginBy::Teletracker(login.account()?), header)
            }
            Some(_) => return Err("`preset` is \"quable\" or \"teletracker\"".into()),
            None => match login.string("oauth2")? {
                Some(grant) => (LoginBy::OAuth2(login.grant(&grant)?), AUTHORIZATION),
                None => (LoginBy::Post(login.post()?), AUTHORIZATION),
            },
        };
        login.finish()?;
        let mut answer = file.object("answer")?.unwrap_or_default();
        if preset.is_some() && !answer.fields.is_empty() {
            return Err("a preset knows its answer: leave out `answer`".into());
        }
        let places = answer.places(&by)?;
        answer.finish()?;
        let refresh = match (file.object("refresh")?, &by) {
            (Some(mut refresh), LoginBy::Post(_)) => {
                let post = refresh.post()?;
                refresh.finish()?;
                Some(post)
            }
            (Some(_), _) => return Err("this login knows its refresh: leave it out".into()),
            (None, _) => None,
        };
        let config = Self {
            api: file.needed("api")?.parse()?,
            header: match file.string("header")? {
                Some(name) => name.parse()?,
                None => header,
            },
            scheme: file.string("scheme")?.unwrap_or("Bearer".to_owned()),
            login: by,
            answer: places,
            refresh,
            secrets,
        };
        file.finish()?;
        Ok(config)
    }

    /// Scheme, host and port of the API.
    pub(crate) fn origin(&self) -> Result<String, BoxError> {
        match (self.api.scheme_str(), self.api.authority()) {
            (Some(scheme), Some(authority)) => Ok(format!("{scheme}://{authority}")),
            _ => Err("`api` is no absolute URL".into()),
        }
    }

    /// The API's URL without its query, which may hold a secret.
    pub(crate) fn place(&self) -> String {
        let host = self.api.authority().map_or("", |it| it.as_str());
        format!("{host}{}", self.api.path())
    }

    /// Whether a refresh token can be used.
    pub(crate) fn can_refresh(&self) -> bool {
        match self.login {
            LoginBy::Post(_) => self.refresh.is_some(),
            LoginBy::OAuth2(_) | LoginBy::Teletracker(_) => true,
            LoginBy::Quable(_) => false,
        }
    }

    pub(crate) fn has_preset(&self) -> bool {
        matches!(self.login, LoginBy::Quable(_) | LoginBy::Teletracker(_))
    }
}

/// The fields of an object. Those that nobody takes are errors.
#[derive(Default)]
struct Fields {
    name: String,
    fields: Map<String, Value>,
}

impl Fields {
    fn of(name: &str, value: Value) -> Result<Self, BoxError> {
        let name = name.to_owned();
        match value {
            Value::Object(fields) => Ok(Self { name, fields }),
            _ => Err(format!("`{name}` is no object").into()),
        }
    }

    fn object(&mut self, name: &str) -> Result<Option<Self>, BoxError> {
        let object = self.fields.remove(name);
        object.map(|value| Self::of(name, value)).transpose()
    }

    fn string(&mut self, name: &str) -> Result<Option<String>, BoxError> {
        match self.fields.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("`{name}` is no string").into()),
        }
    }

    fn needed(&mut self, name: &str) -> Result<String, BoxError> {
        let text = self.string(name)?;
        text.ok_or_else(|| format!("`{name}` is missing in `{}`", self.name).into())
    }

    fn pairs(&mut self, name: &str) -> Result<Vec<(String, String)>, BoxError> {
        let mut object = self.object(name)?.unwrap_or_default();
        let names: Vec<_> = object.fields.keys().cloned().collect();
        let pairs = names.into_iter().map(|name| {
            let text = object.needed(&name)?;
            Ok((name, text))
        });
        pairs.collect()
    }

    fn post(&mut self) -> Result<Post, BoxError> {
        Ok(Post {
            url: self.needed("url")?,
            headers: self.pairs("headers")?,
            body: match self.fields.remove("json") {
                Some(json) => Body::Json(json),
                None => Body::Form(self.pairs("form")?),
            },
        })
    }

    fn grant(&mut self, grant: &str) -> Result<Grant, BoxError> {
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

    fn account(&mut self) -> Result<Account, BoxError> {
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

    fn places(&mut self, login: &LoginBy) -> Result<Places, BoxError> {
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

    fn finish(&self) -> Result<(), BoxError> {
        match self.fields.keys().next() {
            Some(name) => Err(format!("`{}` has no field `{name}`", self.name).into()),
            None => Ok(()),
        }
    }
}

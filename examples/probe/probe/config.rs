//! What the probe needs to know of the API.

mod fields;

use http::{HeaderName, Uri, header::AUTHORIZATION};
use serde_json::Value;
use tower_bearer::BoxError;

use self::fields::Fields;
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

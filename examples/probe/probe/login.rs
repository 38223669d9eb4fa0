//! The login that the configuration describes: the same as in the lines of Rust at the end.

use http::{HeaderName, HeaderValue};
use tower_bearer::{
    BoxError, HttpLogin, Lifetime, LoginBody, OAuth2Grant, Scheme,
    presets::{Quable, Teletracker},
};

use super::{
    config::{Account, Base, Body, Config, Grant, LoginBy, Post},
    secrets::{REFRESH_TOKEN, Secrets},
    tap::Tap,
};

impl Config {
    pub(crate) fn login(&self, http: Tap) -> Result<HttpLogin, BoxError> {
        let value = |text| self.secrets.value(text);
        let login = match &self.login {
            LoginBy::Quable(Account { at, user, password }) => {
                let quable = match at {
                    Base::Instance(name) => Quable::instance(name)?,
                    Base::Url(url) => Quable::base_url(url)?,
                    Base::Usual => return Err("`instance` is missing in `login`".into()),
                };
                quable.login(http, value(user), value(password), Lifetime::Announced)
            }
            LoginBy::Teletracker(Account { at, user, password }) => {
                let teletracker = match at {
                    Base::Usual => Teletracker::new(),
                    Base::Url(url) => Teletracker::base_url(url)?,
                    Base::Instance(_) => return Err("Teletracker has no instances".into()),
                };
                teletracker.login(http, value(user), value(password))
            }
            LoginBy::OAuth2(grant) => self.reading(self.by_grant(http, grant)?),
            LoginBy::Post(post) => self.reading(self.by_post(http, post)?),
        };
        Ok(match self.scheme.as_str() {
            "Bearer" => login,
            word => login.with_scheme(Scheme::new(word)?),
        })
    }

    fn by_post(&self, http: Tap, post: &Post) -> Result<HttpLogin, BoxError> {
        let value = |text| self.secrets.value(text);
        let mut login = HttpLogin::new(http, value(&post.url), post.body.fill(&self.secrets, ""))?;
        for (name, text) in &post.headers {
            login = login.header(
                name.parse::<HeaderName>()?,
                HeaderValue::from_str(value(text))?,
            );
        }
        let Some(refresh) = &self.refresh else {
            return Ok(login);
        };
        let (body, secrets) = (refresh.body.clone(), self.secrets.clone());
        Ok(login.refresh_by(value(&refresh.url), move |token| {
            body.fill(&secrets, token.expose())
        })?)
    }

    fn by_grant(&self, http: Tap, grant: &Grant) -> Result<HttpLogin, BoxError> {
        let value = |text| self.secrets.value(text);
        let mut body = match &grant.user {
            None => OAuth2Grant::client_credentials(),
            Some((user, password)) => OAuth2Grant::password(value(user), value(password)),
        };
        if let Some(scope) = &grant.scope {
            body = body.scope(scope);
        }
        for (name, text) in &grant.parameters {
            body = body.parameter(name, value(text))?;
        }
        let id = value(&grant.client_id);
        body = match grant.client_secret.as_deref().map(value) {
            None => body.client_id(id),
            Some(secret) if grant.is_secret_in_form => body.client_secret_post(id, secret),
            Some(secret) => body.client_secret_basic(id, secret)?,
        };
        Ok(HttpLogin::new(http, value(&grant.url), body)?)
    }

    fn reading(&self, login: HttpLogin) -> HttpLogin {
        let places = &self.answer;
        let login = login
            .token_at(places.token.as_str())
            .refresh_token_at(places.refresh_token.as_str());
        match (&places.lifetime, &places.lifetime_ms, &places.expiry) {
            (Some(pointer), ..) => login.lifetime_at(pointer.as_str()),
            (_, Some(pointer), _) => login.lifetime_in_milliseconds_at(pointer.as_str()),
            (.., Some(pointer)) => login.expiry_at(pointer.as_str()),
            _ => login,
        }
    }
}

impl Body {
    fn fill(&self, secrets: &Secrets, refresh_token: &str) -> LoginBody {
        match self {
            Self::Json(json) => secrets.fill(json, refresh_token).to_string().into(),
            Self::Form(pairs) => LoginBody::form(pairs.iter().map(|(name, text)| match &**text {
                REFRESH_TOKEN => (name, refresh_token),
                text => (name, secrets.value(text)),
            })),
        }
    }
}

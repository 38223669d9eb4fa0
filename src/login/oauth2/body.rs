//! The requests of a grant: its login, and its refresh.

use std::{mem, sync::Arc};

use http::header::AUTHORIZATION;

use super::{ClientAuthentication, Function, OAuth2Grant};
use crate::{
    credential::{RefreshToken, Secret},
    error::LoginError,
    login::body::{GrantRules, LoginBody},
};

pub(super) const REFRESH_TOKEN: &str = "refresh_token";

const SIGN_IN_AGAIN: &str =
    "there is no refresh token: sign in again, and pass the new credential to `set_credential`";

impl OAuth2Grant {
    fn is_refresh_only(&self) -> bool {
        self.grant_type == REFRESH_TOKEN
    }

    /// The body of the login, or of the refresh: the form and the header of the client.
    fn body(&self, grant_type: &str, own: &[(&str, &str)]) -> LoginBody {
        let is_refresh = grant_type == REFRESH_TOKEN;
        // RFC 6749, section 6: without a scope the new token has that of the previous one. The server may
        // have granted less than was asked for, and would then refuse the rest.
        let has_scope = !self.scope.is_empty() && (!is_refresh || self.is_refresh_only());
        let mut pairs = vec![("grant_type", grant_type)];
        pairs.extend(own);
        pairs.extend(has_scope.then_some(("scope", self.scope.as_str())));
        let parameters = self.parameters.iter();
        pairs.extend(parameters.map(|(name, value)| (name.as_str(), value.expose())));
        match &self.client {
            ClientAuthentication::Elsewhere | ClientAuthentication::Basic(_) => {}
            ClientAuthentication::Id(id) => pairs.push(("client_id", id)),
            ClientAuthentication::Post(id, secret) => {
                pairs.extend([
                    ("client_id", id.as_str()),
                    ("client_secret", secret.expose()),
                ]);
            }
        }
        let form = LoginBody::form(pairs);
        match &self.client {
            ClientAuthentication::Basic(value) => form.header(AUTHORIZATION, value.clone()),
            _ => form,
        }
    }

    fn login(
        self: Arc<Self>,
        own: Vec<(&'static str, Secret)>,
        made: Option<(&'static str, Function)>,
    ) -> LoginBody {
        if self.is_refresh_only() {
            return LoginBody::from_fn(async |_request| {
                Err::<LoginBody, _>(LoginError::permanent(SIGN_IN_AGAIN).into())
            });
        }
        let body = move |made: Option<(&'static str, &Secret)>| {
            let made = made.map(|(name, value)| (name, value.expose()));
            let own = own.iter().map(|(name, value)| (*name, value.expose()));
            let own: Vec<_> = made.into_iter().chain(own).collect();
            self.body(&self.grant_type, &own)
        };
        let Some((name, function)) = made else {
            return body(None);
        };
        let body = Arc::new(body);
        LoginBody::from_fn(move |request| {
            let value = function(request);
            let body = Arc::clone(&body);
            async move { Ok(body(Some((name, &value.await?)))) }
        })
    }
}

/// The body of a login that refreshes at its own URL.
///
/// From a function of [`LoginBody::from_fn`] the grant is only the body of the login: then
/// [`HttpLogin::refresh_by`](crate::HttpLogin::refresh_by) and
/// [`with_session`](crate::HttpLogin::with_session) say the rest.
impl From<OAuth2Grant> for LoginBody {
    fn from(mut grant: OAuth2Grant) -> Self {
        let (own, made) = (mem::take(&mut grant.own), grant.made.take());
        let grant = Arc::new(grant);
        let login = Arc::clone(&grant).login(own, made);
        login.with_rules(GrantRules {
            is_refresh_only: grant.is_refresh_only(),
            session: grant.session,
            refresh: Box::new(move |token: &RefreshToken| {
                grant.body(REFRESH_TOKEN, &[(REFRESH_TOKEN, token.expose())])
            }),
        })
    }
}

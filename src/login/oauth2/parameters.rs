//! What the user says beside the grant: the client, and what the token is for.

use super::{ClientAuthentication, OAuth2Grant, ReservedParameter, reserved};
use crate::{
    credential::Secret,
    login::basic::{self, InvalidBasicAuth},
};

impl OAuth2Grant {
    /// Authenticates the client by HTTP Basic, as
    /// [`HttpLogin::client_secret_basic`](crate::HttpLogin::client_secret_basic) does.
    ///
    /// The last of this method, [`client_secret_post`](Self::client_secret_post) and
    /// [`client_id`](Self::client_id) counts.
    ///
    /// # Errors
    ///
    /// [`InvalidBasicAuth`] for control characters, such as a line break at the end of a file.
    pub fn client_secret_basic(
        self,
        client_id: &str,
        client_secret: impl Into<Secret>,
    ) -> Result<Self, InvalidBasicAuth> {
        let value = basic::of_client(client_id, &client_secret.into())?;
        Ok(self.with_client(ClientAuthentication::Basic(value)))
    }

    /// Authenticates the client by `client_id` and `client_secret` in the body.
    #[must_use]
    pub fn client_secret_post(
        self,
        client_id: impl Into<String>,
        client_secret: impl Into<Secret>,
    ) -> Self {
        let client = ClientAuthentication::Post(client_id.into(), client_secret.into());
        self.with_client(client)
    }

    /// Names the client by `client_id` in the body, for a client without a secret.
    #[must_use]
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        self.with_client(ClientAuthentication::Id(client_id.into()))
    }

    /// Sets the scope: words that the server defines, with spaces in between. By default none is sent, and
    /// the server chooses. The last call counts.
    #[must_use]
    pub fn scope(self, scope: impl Into<String>) -> Self {
        Self {
            scope: scope.into(),
            ..self
        }
    }

    /// Adds a resource, a URI that the token is for ([RFC 8707]).
    ///
    /// [RFC 8707]: https://www.rfc-editor.org/rfc/rfc8707
    #[must_use]
    pub fn resource(self, resource: impl Into<String>) -> Self {
        self.with("resource", resource.into())
    }

    /// Adds an audience, the name of a service that the token is for. RFC 8693 has it for the exchange of
    /// tokens, and some servers have it for each grant.
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.with("audience", audience.into())
    }

    /// Adds any other parameter, to login and refresh. Each call adds one.
    ///
    /// # Errors
    ///
    /// [`ReservedParameter`] for a name that has a method here, or that the grant itself sends.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_bearer::OAuth2Grant;
    ///
    /// let grant = OAuth2Grant::client_credentials().parameter("tenant", "acme")?;
    /// let error = grant.parameter("grant_type", "password").unwrap_err();
    /// assert!(error.to_string().contains("`grant_type`"));
    /// # Ok::<_, tower_bearer::ReservedParameter>(())
    /// ```
    pub fn parameter(
        self,
        name: impl Into<String>,
        value: impl Into<Secret>,
    ) -> Result<Self, ReservedParameter> {
        let name = name.into();
        let own = self.own.iter().map(|(name, _)| *name);
        let own = own.chain(self.made.as_ref().map(|(name, _)| *name));
        reserved::check(&name, own)?;
        Ok(self.with(name, value))
    }

    fn with(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    fn with_client(self, client: ClientAuthentication) -> Self {
        Self { client, ..self }
    }
}

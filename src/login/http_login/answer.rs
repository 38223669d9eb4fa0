//! What the user says of the answer: where it has its values, and in which form.

use std::time::Duration;

use super::HttpLogin;
use crate::{
    credential::{Scheme, Token},
    login::{
        field::AnswerField,
        reading::{AnswerFormat, Lifetime, LifetimeField, LoginAnswer, RefreshTokenLifetime},
    },
};

impl HttpLogin {
    /// Sets where the answer has the token. Defaults to `/access_token`.
    ///
    /// A token that begins with its scheme, such as `Bearer abc`, is read without it.
    #[must_use]
    pub fn token_at(self, field: impl Into<AnswerField>) -> Self {
        self.configure(|format| format.token_at = field.into())
    }

    /// Accepts any token of visible ASCII characters, as [`Token::visible_ascii`] does. By default,
    /// a token must have the syntax of [`Token::new`].
    #[must_use]
    pub fn any_visible_ascii(self) -> Self {
        self.configure(|format| format.check_token = Token::visible_ascii)
    }

    /// Sets where the answer has the lifetime in seconds: a number, or a string with a number.
    /// Defaults to `/expires_in`.
    ///
    /// | answer | lifetime |
    /// | --- | --- |
    /// | `3600`, `"3600"`, `3600.0`, `" 3600 "` | 3600 s |
    /// | `1e3`, `1.5` | 1000 s, 1.5 s |
    /// | `0`, below zero | zero, which counts as one second |
    /// | `18446744073709551616`, `1e400` | the longest possible, which means no expiry |
    /// | missing, `null`, `true`, `{}`, `[]`, `""`, `"NaN"`, `"inf"`, `"1 hour"` | that of a JSON Web Token, else none: used until it is rejected |
    ///
    /// A value that is no number does not fail the login, since the login may have revoked the
    /// previous credential. Feature `tracing` warns once if there is no lifetime at a place that you
    /// have set.
    ///
    /// The last of this method, [`lifetime_in_milliseconds_at`](Self::lifetime_in_milliseconds_at),
    /// [`expiry_at`](Self::expiry_at) and [`lifetime_by`](Self::lifetime_by) counts.
    #[must_use]
    pub fn lifetime_at(self, field: impl Into<AnswerField>) -> Self {
        self.lifetime_in(field.into(), Duration::from_secs(1))
    }

    /// Sets where the answer has the lifetime in milliseconds. Otherwise as
    /// [`lifetime_at`](Self::lifetime_at).
    #[must_use]
    pub fn lifetime_in_milliseconds_at(self, field: impl Into<AnswerField>) -> Self {
        self.lifetime_in(field.into(), Duration::from_millis(1))
    }

    fn lifetime_in(self, field: AnswerField, unit: Duration) -> Self {
        self.configure(|format| format.lifetime_at = LifetimeField::In { field, unit })
    }

    /// Sets where the answer has the time of the expiry.
    ///
    /// It may be RFC 3339 (`2026-11-28T18:00:00Z`), an HTTP date, or Unix time. A number from 10^11 on
    /// counts as milliseconds. A lifetime is better: it does not depend on the server's clock.
    #[must_use]
    pub fn expiry_at(self, field: impl Into<AnswerField>) -> Self {
        self.configure(|format| format.lifetime_at = LifetimeField::Expiry(field.into()))
    }

    /// Reads the lifetime by a function, for anything that no other setting reads.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::Full;
    /// use std::time::Duration;
    /// use tower_bearer::HttpLogin;
    ///
    /// # let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
    /// #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(r#"{"access_token":"a","minutes":5}"#)))
    /// # });
    /// let login = HttpLogin::new(client, "https://api.example.com/login", "{}")?
    ///     .lifetime_by(|answer| {
    ///         let minutes = answer.number_at("/minutes")?;
    ///         Duration::try_from_secs_f64(minutes * 60.0).ok()
    ///     });
    /// # use tower_bearer::{Login, LoginRequest};
    /// # let credential = tokio_test::block_on(login.login(LoginRequest::default()))?;
    /// # assert_eq!(credential.lifetime(), Some(Duration::from_secs(300)));
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    #[must_use]
    pub fn lifetime_by(
        self,
        read: impl Fn(LoginAnswer<'_>) -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        self.configure(|format| format.lifetime_at = LifetimeField::Function(Box::new(read)))
    }

    /// Sets the source of the lifetime. Defaults to [`Lifetime::Announced`].
    #[must_use]
    pub fn lifetime(self, lifetime: Lifetime) -> Self {
        self.configure(|format| format.lifetime = lifetime)
    }

    /// Sets the word before the token. Defaults to `Bearer`.
    #[must_use]
    pub fn with_scheme(self, scheme: Scheme) -> Self {
        self.configure(|format| format.scheme = scheme)
    }

    /// Sets where the answer has the refresh token. By default none is read.
    #[must_use]
    pub fn refresh_token_at(self, field: impl Into<AnswerField>) -> Self {
        self.configure(|format| format.refresh_token_at = Some(field.into()))
    }

    /// Sets where the answer has the refresh token's lifetime in seconds. By default a refresh token
    /// is used at any age, as is one with a lifetime of 0.
    #[must_use]
    pub fn refresh_token_lifetime_at(self, field: impl Into<AnswerField>) -> Self {
        let field = field.into();
        self.configure(|format| format.refresh_token_lifetime = RefreshTokenLifetime::At(field))
    }

    pub(crate) fn configure(mut self, change: impl FnOnce(&mut AnswerFormat)) -> Self {
        change(&mut self.format);
        self
    }
}

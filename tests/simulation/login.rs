//! The login of a client.

use std::time::{Duration, SystemTime};

use tower_bearer::{BoxError, Credential, Login, LoginError, LoginRequest, Session};

use crate::{
    clock::EPOCH,
    issuer::{HTTPS, ISSUER},
    logbook::Logbook,
    plan::ExpiryForm,
    record::SECRET,
    wire,
};

pub(crate) struct SimulatedLogin {
    pub(crate) logbook: Logbook,
    pub(crate) account: String,
    pub(crate) session: Session,
    pub(crate) expiry_form: ExpiryForm,
}

impl SimulatedLogin {
    fn credential(&self, answer: &str) -> Result<Credential, BoxError> {
        let mut lines = answer.lines();
        let mut line = || lines.next().unwrap_or_default();
        match line() {
            "200" => {}
            "429" => {
                let after = Duration::from_millis(line().parse()?);
                self.logbook.must_wait(after);
                return Err(LoginError::retry_after("issuer answered 429", after).into());
            }
            status => return Err(format!("issuer answered {status}").into()),
        }
        let (token, lifetime, now, refresh_token) = (line(), line(), line(), line());
        let mut credential = Credential::new(token)?;
        if let Ok(lifetime) = lifetime.parse().map(Duration::from_millis) {
            let now = Duration::from_millis(now.parse()?);
            credential = match self.expiry_form {
                ExpiryForm::Lifetime => credential.with_lifetime(lifetime),
                ExpiryForm::Expiry => {
                    let epoch = SystemTime::UNIX_EPOCH + EPOCH;
                    credential.with_expires_at(epoch + now + lifetime)
                }
                ExpiryForm::Nothing => credential,
            };
        }
        Ok(match refresh_token {
            "" => credential,
            refresh_token => credential.with_refresh_token(refresh_token),
        })
    }
}

impl Login for SimulatedLogin {
    async fn login(&self, mut request: LoginRequest) -> Result<Credential, BoxError> {
        let _in_flight = self.logbook.takes_off();
        let (who, account) = (&self.logbook.who, &self.account);
        let printed = format!("{request:?}");
        self.logbook.record.must_hide_secrets(who, &printed);
        if let Some(refresh_token) = request.take_refresh_token() {
            let stream = match wire::connect(ISSUER, HTTPS).await {
                Ok(stream) => stream,
                Err(error) => {
                    request.put_back_refresh_token(refresh_token);
                    return Err(error.into());
                }
            };
            let question = format!("refresh {who} {account} {}", refresh_token.expose());
            let answer = wire::ask(stream, &question).await?;
            if answer != "400" {
                let count = &self.logbook.record;
                count.count(|counts| counts.refreshes += 1);
                return self.credential(&answer);
            }
            request.refresh_has_failed("issuer answered 400");
        }
        let stream = wire::connect(ISSUER, HTTPS).await?;
        let question = format!("password {who} {account} password-{SECRET}");
        self.credential(&wire::ask(stream, &question).await?)
    }

    fn session(&self) -> Session {
        self.session
    }
}

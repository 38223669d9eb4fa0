//! Logs in without the lock, or without the record.
//!
//! No refresh token is spent that other processes may have, if there is another way.

use std::{error, fmt, time::Duration};

use crate::{
    error::{Error, LoginError},
    provider::cache::{
        flight::Fate,
        login_task::{LoginTask, Obtained},
        sharing::{Budget, Opened, Sharing},
    },
    store::{LockAttempt, StoreError},
};

impl LoginTask {
    /// For a store that has just failed.
    pub(super) async fn go_on_alone(
        &self,
        sharing: &Sharing,
        error: StoreError,
    ) -> Result<Obtained, Error> {
        self.cache.store_failed(sharing, error.clone());
        self.log_in_alone(sharing, error).await
    }

    /// For a store that has failed.
    pub(super) async fn log_in_alone(
        &self,
        sharing: &Sharing,
        error: StoreError,
    ) -> Result<Obtained, Error> {
        if sharing.account.fails_without_store {
            return Err(Error::login_failed(error));
        }
        let own = self.flight.refresh_token().peek();
        let spends_shared = own.is_some_and(|it| sharing.is_shared(&it));
        self.log_in_barred(spends_shared.then_some(error)).await
    }

    /// If the store has this error, the login does not get the refresh token.
    pub(super) async fn log_in_barred(
        &self,
        barrier: Option<StoreError>,
    ) -> Result<Obtained, Error> {
        let Some(barrier) = barrier else {
            return self.log_in(None).await;
        };
        let not_spent = NotSpent::new(barrier);
        let obtained = self.log_in(Some(not_spent.clone().into())).await;
        // The refresh token may be the only way: then the login's own error misleads.
        obtained.map_err(|error| match error.is_login_failed() {
            true => Error::login_failed(not_spent.and(error)),
            false => error,
        })
    }

    /// For a record that is gone or damaged: another process may have spent the refresh token since. It is the last
    /// resort, since without it the session is lost anyway.
    pub(super) async fn log_in_without_record(&self) -> Result<Obtained, Error> {
        let slot = self.flight.refresh_token();
        let not_spent = NotSpent::new(StoreError::gone());
        match self.log_in(Some(not_spent.into())).await {
            Err(error) if is_permanent(&error) && slot.peek().is_some() => self.log_in(None).await,
            Ok(obtained) => {
                drop(slot.take()); // other processes may have it
                Ok(obtained)
            }
            failed => failed,
        }
    }

    /// For a lock that other processes had for all of the wait.
    pub(super) async fn log_in_without_lock(
        &self,
        sharing: &Sharing,
        opened: Option<Opened>,
        waited: Duration,
    ) -> Result<Obtained, Error> {
        let error = StoreError::locked(waited);
        if !sharing.account.logs_in_without_lock {
            return Err(Error::login_failed(error));
        }
        self.cache.report_store(error.clone());
        // Whoever has the lock may have the same one.
        let has_own = self.flight.refresh_token().peek().is_some();
        let obtained = self.log_in_barred(has_own.then_some(error)).await?;
        if self.cache.fate(&self.flight) != Fate::Published {
            return Ok(obtained);
        }
        let mut budget = Budget::new();
        let store = &sharing.account.store;
        let lease = Sharing::lease(Duration::ZERO);
        let attempt = sharing.call(&mut budget, || store.lock(sharing.account.key, lease));
        match attempt.await {
            Ok(LockAttempt::Acquired(lock)) => {
                let previous = opened.map(|it| it.revision);
                let share = self.share(sharing, &lock, previous.as_ref(), &obtained, &mut budget);
                share.await;
                self.unlock(sharing, lock, &mut budget).await;
            }
            Ok(LockAttempt::Held) => {}
            Err(error) => self.cache.store_failed(sharing, error),
        }
        Ok(obtained)
    }
}

/// Whether trying again soon cannot help.
fn is_permanent(error: &Error) -> bool {
    error.login_error().is_some_and(LoginError::is_permanent)
}

/// Why a refresh token that other processes may have was not spent.
#[derive(Clone, Debug)]
struct NotSpent {
    store: StoreError,
    login: Option<Error>,
}

impl NotSpent {
    fn new(store: StoreError) -> Self {
        Self { store, login: None }
    }

    /// With the error of the login without the refresh token.
    fn and(self, login: Error) -> Self {
        Self {
            login: Some(login),
            ..self
        }
    }
}

impl fmt::Display for NotSpent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the refresh token was not spent, since the store cannot tell other processes",
        )?;
        match &self.login {
            Some(login) => write!(f, "; without it, {login}"),
            None => Ok(()),
        }
    }
}

impl error::Error for NotSpent {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.store)
    }
}

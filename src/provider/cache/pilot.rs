//! The task of one login.

use std::{sync::Arc, thread};

use tokio::time;

use super::{Cache, Held, SHORTEST};
use crate::{
    clock::Moment, credential::Credential, error::Error, flight::Flight, login::LoginRequest,
};

/// What a login that went well has brought.
pub(super) struct Landing {
    pub(super) held: Arc<Held>,
    pub(super) credential: Credential,
}

/// Flies one flight, and lands it in any case: also when the login panics, and when its runtime
/// drops the task.
pub(super) struct Pilot {
    cache: Arc<Cache>,
    flight: Arc<Flight<Arc<Held>>>,
}

impl Pilot {
    pub(super) fn new(cache: &Arc<Cache>, flight: &Arc<Flight<Arc<Held>>>) -> Self {
        Self {
            cache: Arc::clone(cache),
            flight: Arc::clone(flight),
        }
    }

    pub(super) async fn fly(self) {
        self.flight.board_pilot();
        let cache = &*self.cache;
        let timeout = cache.policy.time_to_log_in();
        let sent = Moment::of(&*cache.clock);
        let request = LoginRequest::new(cache.refresh_token.clone());
        let outcome = match time::timeout(timeout, cache.login.login(request)).await {
            Ok(Ok(credential)) => {
                let answered = Moment::of(&*cache.clock);
                Ok(Landing {
                    held: cache.hold(&credential, (sent, answered), SHORTEST),
                    credential,
                })
            }
            Ok(Err(source)) => Err(Error::login_failed(source)),
            Err(_) => Err(Error::login_timed_out(timeout)),
        };
        cache.land(&self.flight, outcome);
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        let error = if thread::panicking() {
            Error::login_panicked()
        } else {
            Error::login_lost()
        };
        // Without effect where the flight has landed.
        self.cache.land(&self.flight, Err(error));
    }
}

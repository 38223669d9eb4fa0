//! A fleet with its faults, and what became of it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tower_bearer::Session;

use crate::{
    api::{Api, ApiTally},
    instance::{Instance, RequestTally},
    network::{Abilities, Dice, Network, StoreTally},
};

const MINUTE: Duration = Duration::from_secs(60);

/// The mean time between two revocations by the API.
const BETWEEN_REVOCATIONS: Duration = Duration::from_secs(2 * 3600);

/// The fleet's faults: who cannot reach the store for ten minutes. The API revokes the token meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutOff {
    Nobody,
    One,
    AThird,
    All,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) instances: usize,
    pub(crate) minutes: u32,
    pub(crate) session: Session,
    pub(crate) store: Abilities,
    pub(crate) is_skewed: bool,
    pub(crate) cut_off: CutOff,
    /// Whether an instance fails its logins while it cannot reach the store.
    pub(crate) fails_without_store: bool,
}

pub(crate) const CUT_OFF_AT: Duration = Duration::from_secs(20 * 60);
pub(crate) const REVOKED_AT: Duration = Duration::from_secs(22 * 60);
pub(crate) const HEALED_AT: Duration = Duration::from_secs(30 * 60);

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    pub(crate) started: Instant,
    pub(crate) api: ApiTally,
    pub(crate) store: StoreTally,
    pub(crate) requests: RequestTally,
    /// Requests that failed before the end of the fault, by a rejection or for want of a token.
    pub(crate) failed_meanwhile: u64,
    /// Instances without the newest token at the end.
    pub(crate) outdated: usize,
}

impl Scenario {
    pub(crate) fn calm(instances: usize, hours: u32, session: Session) -> Self {
        Self {
            instances,
            minutes: 60 * hours,
            session,
            store: Abilities {
                knows_ages: true,
                reports_changes: false,
            },
            is_skewed: false,
            cut_off: CutOff::Nobody,
            fails_without_store: false,
        }
    }

    pub(crate) fn run(self) -> Outcome {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(self.simulate())
    }

    async fn simulate(self) -> Outcome {
        let started = Instant::now();
        let network = Network::new(self.instances, self.store);
        let api = Api::new(self.session, network.clone());
        let requests: Arc<Mutex<RequestTally>> = Arc::default();
        let fleet: Vec<_> = (0..self.instances)
            .map(|number| self.instance(number, &api, &network, &requests))
            .collect();
        let mut tasks = JoinSet::new();
        for instance in fleet.clone() {
            tasks.spawn(instance.run());
        }
        match self.cut_off {
            CutOff::Nobody => self.revoke_at_random(&api, started).await,
            _ => self.cut_off(&api, &network, started).await,
        }
        let failed_meanwhile = {
            let requests = requests.lock().unwrap();
            requests.rejected + requests.without_token
        };
        sleep_until(started + MINUTE * self.minutes).await;
        tasks.shutdown().await;
        let requests = requests.lock().unwrap().clone();
        Outcome {
            scenario: self,
            started,
            api: api.tally(),
            store: network.tally(),
            requests,
            failed_meanwhile,
            outdated: fleet.iter().filter(|it| !it.is_up_to_date()).count(),
        }
    }

    fn instance(
        &self,
        number: usize,
        api: &Api,
        network: &Network,
        requests: &Arc<Mutex<RequestTally>>,
    ) -> Instance {
        let dice = Dice::new(number as u64 + 1);
        Instance::new(number, api, network, dice, self, requests)
    }

    /// Not in the last two minutes, so that the fleet is at rest at the end.
    async fn revoke_at_random(&self, api: &Api, started: Instant) {
        let dice = Dice::new(0);
        let end = started + MINUTE * self.minutes - 2 * MINUTE;
        loop {
            let at = Instant::now() + dice.next(BETWEEN_REVOCATIONS);
            if at >= end {
                return;
            }
            sleep_until(at).await;
            api.revoke();
        }
    }

    async fn cut_off(&self, api: &Api, network: &Network, started: Instant) {
        let count = match self.cut_off {
            CutOff::Nobody => 0,
            CutOff::One => 1,
            CutOff::AThird => self.instances / 3,
            CutOff::All => self.instances,
        };
        sleep_until(started + CUT_OFF_AT).await;
        network.cut_off(0..count);
        sleep_until(started + REVOKED_AT).await;
        api.revoke();
        sleep(HEALED_AT - REVOKED_AT).await;
        network.cut_off(0..0);
    }
}

impl Outcome {
    pub(crate) fn operations_per_login(&self) -> f64 {
        self.store.operations as f64 / self.api.logins as f64
    }

    pub(crate) fn operations_per_instance_hour(&self) -> f64 {
        let hours = self.scenario.instances as f64 * f64::from(self.scenario.minutes) / 60.0;
        self.store.operations as f64 / hours
    }

    pub(crate) fn logins_per_revocation(&self) -> f64 {
        self.api.after_revocation as f64 / self.api.revocations as f64
    }

    /// Of the requests from the revocation to the end of the fault.
    pub(crate) fn failed_percent(&self) -> f64 {
        let time = HEALED_AT - REVOKED_AT;
        let requests = self.scenario.instances as f64 * time.as_secs_f64();
        self.failed_meanwhile as f64 / requests * 100.0
    }

    /// The median and the longest time from a revocation until all have the next session.
    pub(crate) fn spread(&self) -> Option<(Duration, Duration)> {
        let mut spreads = self.api.spreads.clone();
        spreads.sort();
        Some((*spreads.get(spreads.len() / 2)?, *spreads.last()?))
    }
}

//! One history: hosts, faults, and time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use turmoil::Sim;

use crate::{
    client::{self, Host},
    clock::EPOCH,
    issuer::{self, API, FOREIGN, ISSUER, Ledger},
    plan::{Fault, Plan, Weather},
    process::RECOVERY,
    record::{History, Record},
};

pub(crate) fn run(seed: u64) -> History {
    let plan = Plan::of(seed);
    let record = Record::default();
    record.write("plan", format!("{:?} {:?}", plan.mode, plan.lifetimes));
    let ledger = Ledger::new(record.clone(), plan.mode, plan.lifetimes, seed);
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .epoch(SystemTime::UNIX_EPOCH + EPOCH)
        .tick_duration(plan.pace.tick)
        .simulation_duration(Duration::MAX)
        .max_message_latency(plan.pace.longest_latency)
        // Held messages are released all at once.
        .tcp_capacity(4096)
        .enable_random_order()
        .build();
    let books = ledger.clone();
    sim.host(ISSUER, move || issuer::issuer(books.clone()));
    let books = ledger.clone();
    sim.host(API, move || issuer::api(books.clone()));
    let books = ledger.clone();
    sim.host(FOREIGN, move || issuer::foreign(books.clone()));
    let are_faults_over = Arc::new(AtomicBool::new(false));
    let hosts = plan.clients.iter().zip(1..).map(|(client, number)| {
        let host = Host {
            plan: client.clone(),
            pace: plan.pace,
            seed: plan.seed.wrapping_mul(31).wrapping_add(number),
            forbids: plan.forbids,
            record: record.clone(),
            ledger: ledger.clone(),
            are_faults_over: Arc::clone(&are_faults_over),
            is_done: Arc::default(),
            ahead: Arc::new(AtomicI64::new(client.skew)),
            processes: Arc::new(AtomicUsize::new(0)),
            store: Arc::default(),
        };
        let living = host.clone();
        sim.host(client.name.as_str(), move || client::live(living.clone()));
        host
    });
    let hosts = hosts.collect();
    let mut simulation = Simulation {
        sim,
        record: record.clone(),
        ledger,
        hosts,
    };
    simulation.run_with_faults(&plan);
    simulation.end_faults(&plan);
    are_faults_over.store(true, SeqCst);
    simulation.wait_for_all(&plan);
    drop(simulation);
    record.close()
}

struct Simulation<'a> {
    sim: Sim<'a>,
    record: Record,
    ledger: Ledger,
    hosts: Vec<Host>,
}

impl Simulation<'_> {
    fn step(&mut self) {
        self.record.set_now(self.sim.elapsed());
        if let Err(error) = self.sim.step() {
            self.record
                .violation("network", format!("a host ended: {error}"));
        }
    }

    fn run_with_faults(&mut self, plan: &Plan) {
        let mut faults = plan.faults.iter().peekable();
        while self.sim.elapsed() < plan.pace.troubled {
            self.record.set_now(self.sim.elapsed());
            while let Some((_, fault)) = faults.next_if(|(at, _)| *at <= self.sim.elapsed()) {
                self.inject(fault);
            }
            self.step();
        }
    }

    fn inject(&mut self, fault: &Fault) {
        self.record.write("fault", format!("{fault:?}"));
        let sim = &mut self.sim;
        let is_client = |name: &str| name.starts_with("client");
        match fault {
            Fault::Partition(a, b) => {
                sim.partition(a.as_str(), b.as_str());
                self.record.count(|counts| counts.partitions += 1);
            }
            Fault::OnewayPartition(from, to) => {
                sim.partition_oneway(from.as_str(), to.as_str());
                self.record.count(|counts| counts.oneway_partitions += 1);
            }
            Fault::Repair(a, b) => sim.repair(a.as_str(), b.as_str()),
            Fault::Hold(a, b) => {
                sim.hold(a.as_str(), b.as_str());
                self.record.count(|counts| counts.holds += 1);
            }
            Fault::Release(a, b) => sim.release(a.as_str(), b.as_str()),
            Fault::Loss(rate) => {
                sim.set_fail_rate(*rate);
                let loses = u64::from(*rate > 0.0);
                self.record.count(|counts| counts.lossy_spells += loses);
            }
            Fault::Crash(host) => {
                sim.crash(host.as_str());
                self.record.count(|counts| match is_client(host) {
                    true => counts.client_crashes += 1,
                    false => counts.crashes += 1,
                });
            }
            Fault::Bounce(host) => sim.bounce(host.as_str()),
            Fault::Revoke {
                account,
                with_refresh_tokens,
            } => {
                let any = self.ledger.revoke(account, *with_refresh_tokens);
                self.record
                    .count(|counts| counts.revocations += u64::from(any));
            }
            Fault::Weather(weather) => {
                self.ledger.set_weather(*weather);
                self.record.count(|counts| match weather {
                    Weather::Failing => counts.outages += 1,
                    Weather::Limiting(_) => counts.rate_limits += 1,
                    Weather::Slow(_) => counts.slow_spells += 1,
                    Weather::Fair | Weather::Forgetful => {}
                });
            }
            Fault::Lag(lag) => {
                self.ledger.set_lag(*lag);
                let lags = u64::from(!lag.is_zero());
                self.record.count(|counts| counts.lagging_spells += lags);
            }
            Fault::Jump(name, by) => {
                let host = self.hosts.iter().find(|host| host.plan.name == *name);
                if let Some(host) = host {
                    host.ahead.fetch_add(*by, SeqCst);
                    self.record.count(|counts| counts.clock_jumps += 1);
                }
            }
        }
    }

    fn end_faults(&mut self, plan: &Plan) {
        self.record.write("fault", "none from here on");
        self.sim.set_fail_rate(0.0);
        let names = plan.hosts();
        for a in &names {
            for b in names.iter().filter(|b| *b > a) {
                self.sim.release(a.as_str(), b.as_str());
            }
        }
        for name in &names {
            if !self.sim.is_host_running(name.as_str()) {
                self.sim.bounce(name.as_str());
            }
        }
        self.ledger.set_weather(Weather::Fair);
        self.ledger.set_lag(Duration::ZERO);
    }

    fn wait_for_all(&mut self, plan: &Plan) {
        // Time for the last requests, the recovery and the final checks.
        let last = 10 * (plan.pace.login_timeout + plan.pace.patience) + Duration::from_secs(10);
        let until = self.sim.elapsed() + RECOVERY + last;
        while !self.hosts.iter().all(|host| host.is_done.load(SeqCst)) {
            self.step();
            if self.sim.elapsed() > until {
                self.record.violation("network", "a host never ends");
                break;
            }
        }
    }
}

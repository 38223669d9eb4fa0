//! Which services have a share in common.

use std::{
    future::{Ready, ready},
    sync::{Mutex, Weak},
    thread,
};

use super::*;
use crate::{
    credential::{Scheme, Token},
    error::Error,
    origin::Origins,
    provider::{Reason, Rejected, StaticProvider, Verdict},
    request::replay::NoReplay,
};

fn service() -> PerService<StaticProvider, NoReplay> {
    let provider = StaticProvider::new("abc").unwrap();
    let settings = Settings::new(provider, NoReplay, Origins::any_https());
    PerService::new(Share::new(settings))
}

fn have_one_in_common(
    one: &PerService<StaticProvider, NoReplay>,
    other: &PerService<StaticProvider, NoReplay>,
) -> bool {
    Arc::ptr_eq(&one.share.0, &other.share.0)
}

#[test]
fn clones_made_on_one_thread_have_a_share_in_common() {
    let service = service();
    let (here, also_here) = (service.clone(), service.clone());
    let there = thread::scope(|scope| scope.spawn(|| service.clone()).join().unwrap());
    assert!(have_one_in_common(&here, &also_here));
    assert!(have_one_in_common(&here, &here.clone()));
    assert!(!have_one_in_common(&here, &service));
    assert!(!have_one_in_common(&here, &there));
    assert!(Arc::ptr_eq(&here.share.provider, &there.share.provider));
}

#[test]
fn a_service_that_is_used_twice_gets_a_share_of_its_own() {
    let service = service();
    let (mut used, other) = (service.clone(), service.clone());
    let request = Request::new(());
    used.current(&request);
    assert!(have_one_in_common(&used, &other));
    used.current(&request);
    assert!(!have_one_in_common(&used, &other));
    assert!(have_one_in_common(&other, &used.clone()));
    assert!(used.clone().share.0.copy.is_none());
}

/// A provider whose current authorization a test replaces.
struct Replaceable(Mutex<Authorization>);

impl Replaceable {
    fn replace(&self) {
        *self.0.lock().unwrap() = authorization();
    }
}

impl CredentialProvider for Replaceable {
    type Acquire = Ready<Result<Authorization, Error>>;

    fn current_for(&self, _head: RequestHead<'_>) -> Option<Authorization> {
        Some(self.0.lock().unwrap().clone())
    }

    fn is_current(&self, held: &Authorization, _head: RequestHead<'_>) -> bool {
        self.0.lock().unwrap().generation() == held.generation()
    }

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        ready(self.current_for(head).ok_or(Error::no_runtime()))
    }

    fn reject(&self, _rejected: &Rejected<'_>) -> Verdict {
        Verdict::new(Reason::Fixed)
    }
}

fn authorization() -> Authorization {
    Authorization::new(Scheme::BEARER, &Token::new("abc").unwrap())
}

#[test]
fn a_service_keeps_only_its_last_copy() {
    let provider = Replaceable(Mutex::new(authorization()));
    let settings = Settings::new(provider, NoReplay, Origins::any_https());
    let mut service = PerService::new(Share::new(settings));
    let request = Request::new(());
    let mut copies = Vec::new();
    for _ in 0..3 {
        service.share.provider.replace();
        service.current(&request);
        service.current(&request);
        copies.push(Arc::downgrade(&service.share.0));
    }
    let left: Vec<_> = copies.iter().map(Weak::strong_count).collect();
    assert_eq!(left, [0, 0, 1]);
}

//! Which services have a share in common.

use std::{
    future::{Ready, ready},
    sync::{Mutex, Weak},
    thread,
};

use super::{copied::REPEATS, *};
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
    let there = elsewhere(&mut vec![this_thread()], || service.clone());
    assert!(have_one_in_common(&here, &also_here));
    assert!(have_one_in_common(&here, &here.clone()));
    assert!(!have_one_in_common(&here, &service));
    assert!(!have_one_in_common(&here, &there));
    assert!(Arc::ptr_eq(&here.share.provider, &there.share.provider));
}

/// What a thread makes of a service whose number is none of `others`. It is then one of them.
fn elsewhere<T: Send>(others: &mut Vec<usize>, act: impl Fn() -> T + Sync) -> T {
    loop {
        let outcome = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let number = this_thread();
                (!others.contains(&number)).then(|| (number, act()))
            });
            thread.join().unwrap()
        });
        if let Some((number, outcome)) = outcome {
            others.push(number);
            return outcome;
        }
    }
}

// As axum's `State` is cloned: on the main thread, and then on each worker.
#[test]
fn clones_of_a_clone_have_the_share_of_their_thread() {
    let state = service().clone();
    let mut threads = vec![this_thread()];
    let [one, other] = [(); 2].map(|()| elsewhere(&mut threads, || [state.clone(), state.clone()]));
    assert!(have_one_in_common(&one[0], &one[1]));
    assert!(!have_one_in_common(&one[0], &other[0]));
    assert!(!have_one_in_common(&one[0], &state));
    assert!(have_one_in_common(&state, &state.clone()));
}

#[test]
fn a_service_that_is_replaced_by_its_clone_on_other_threads_stays_small() {
    let mut service = service().clone();
    let mut threads = vec![this_thread()];
    let mut shares = Vec::new();
    for _ in 0..5 {
        service = elsewhere(&mut threads, || service.clone());
        shares.push(Arc::as_ptr(&service.share.0));
    }
    shares.dedup();
    assert_eq!(shares.len(), 1);
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
    assert!(matches!(used.clone().share.0.copy, Copied::InCommon { .. }));
}

/// A provider whose current authorization a test replaces.
struct Replaceable {
    current: Mutex<Authorization>,
    knows_what_is_current: bool,
}

impl Replaceable {
    fn set(&self, authorization: Authorization) {
        *self.current.lock().unwrap() = authorization;
    }

    fn get(&self) -> Authorization {
        self.current.lock().unwrap().clone()
    }
}

impl CredentialProvider for Replaceable {
    type Acquire = Ready<Result<Authorization, Error>>;

    fn current_for(&self, _head: RequestHead<'_>) -> Option<Authorization> {
        Some(self.get())
    }

    fn is_current(&self, held: &Authorization, _head: RequestHead<'_>) -> bool {
        self.knows_what_is_current && self.get().generation() == held.generation()
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

/// The bytes of an authorization: two that share a reference count have the same.
fn bytes(authorization: &Authorization) -> *const u8 {
    authorization.value().as_bytes().as_ptr()
}

fn replaceable(knows_what_is_current: bool) -> PerService<Replaceable, NoReplay> {
    let provider = Replaceable {
        current: Mutex::new(authorization()),
        knows_what_is_current,
    };
    let settings = Settings::new(provider, NoReplay, Origins::any_https());
    PerService::new(Share::new(settings))
}

/// What clones send, one request each.
fn sent_by_clones<const N: usize>(
    service: &PerService<Replaceable, NoReplay>,
) -> [Authorization; N] {
    let request = Request::new(());
    [(); N].map(|()| service.clone().current(&request).unwrap())
}

const REPEATED: usize = REPEATS as usize;

#[test]
fn clones_on_one_thread_have_a_copy_in_common() {
    let service = replaceable(true);
    let send = sent_by_clones::<{ REPEATED + 2 }>;
    let here = send(&service);
    let there = elsewhere(&mut vec![this_thread()], || send(&service));
    let original = service.share.provider.get();
    for sent in [&here, &there] {
        let (first, copied) = sent.split_at(REPEATED);
        assert!(first.iter().all(|it| bytes(it) == bytes(&original)));
        assert_eq!(bytes(&copied[0]), bytes(&copied[1]));
        assert_ne!(bytes(&copied[0]), bytes(&original));
    }
    assert_ne!(bytes(&here[REPEATED]), bytes(&there[REPEATED]));
}

#[test]
fn the_copy_of_the_clones_is_replaced_with_its_authorization() {
    let service = replaceable(true);
    for _ in 0..3 {
        service.share.provider.set(authorization());
        let current = service.share.provider.get();
        let [first] = sent_by_clones(&service);
        assert_eq!(first.generation(), current.generation());
        let share = service.share.for_clone();
        let Copied::InCommon { copy, .. } = &share.0.copy else {
            panic!("a clone has no copy of its own");
        };
        assert!(copy.load().is_none(), "the old one is dropped");
        let sent = sent_by_clones::<REPEATED>(&service);
        let is_current = |it: &Authorization| it.generation() == current.generation();
        assert!(sent.iter().all(is_current));
        assert_ne!(bytes(&sent[REPEATED - 1]), bytes(&current));
    }
}

#[test]
fn clones_that_send_others_in_turn_have_no_copy() {
    let service = replaceable(true);
    let others = [authorization(), authorization()];
    for turn in 0..4 * REPEATED {
        let other = &others[turn / (REPEATED - 1) % 2];
        service.share.provider.set(other.clone());
        let [sent] = sent_by_clones(&service);
        assert_eq!(bytes(&sent), bytes(other));
    }
}

// As if each second request were for an account without a credential.
#[test]
fn a_copy_that_was_dropped_comes_after_as_many_requests_as_the_first() {
    let service = replaceable(true);
    let original = service.share.provider.get();
    let copied = sent_by_clones::<{ REPEATED + 1 }>(&service);
    assert_ne!(bytes(&copied[REPEATED]), bytes(&original));
    for _ in 0..2 {
        service.share.provider.set(authorization());
        let share = service.share.for_clone();
        assert!(share.0.copy.in_common(|_| false).is_none());
        service.share.provider.set(original.clone());
        let sent = sent_by_clones::<{ REPEATED + 1 }>(&service);
        assert_eq!(bytes(&sent[REPEATED - 1]), bytes(&original));
        assert_ne!(bytes(&sent[REPEATED]), bytes(&original));
    }
}

#[test]
fn clones_have_no_copy_if_the_provider_does_not_know_what_is_current() {
    let service = replaceable(false);
    let original = service.share.provider.get();
    let sent = sent_by_clones::<{ 2 * REPEATED }>(&service);
    assert!(sent.iter().all(|it| bytes(it) == bytes(&original)));
    let share = service.share.for_clone();
    let Copied::InCommon { copy, .. } = &share.0.copy else {
        panic!("a clone has no copy of its own");
    };
    assert!(copy.load().is_none());
}

#[test]
fn a_service_keeps_only_its_last_copy() {
    let mut service = replaceable(true);
    let request = Request::new(());
    let mut copies = Vec::new();
    for _ in 0..3 {
        service.share.provider.set(authorization());
        service.current(&request);
        service.current(&request);
        copies.push(Arc::downgrade(&service.share.0));
    }
    let left: Vec<_> = copies.iter().map(Weak::strong_count).collect();
    assert_eq!(left, [0, 0, 1]);
}

//! Who has a share in common with whom.

use std::thread;

use super::*;
use crate::{origin::Origins, provider::StaticProvider, replay::NoReplay};

fn own() -> Own<StaticProvider, NoReplay> {
    let provider = StaticProvider::new("abc").unwrap();
    let settings = Settings::new(provider, NoReplay, Origins::any_https());
    Own::new(Share::new(settings))
}

fn have_one_in_common(
    one: &Own<StaticProvider, NoReplay>,
    other: &Own<StaticProvider, NoReplay>,
) -> bool {
    Arc::ptr_eq(&one.share.0, &other.share.0)
}

#[test]
fn clones_have_a_share_in_common_with_those_of_their_thread_alone() {
    let own = own();
    let (here, also_here) = (own.clone(), own.clone());
    let there = thread::scope(|scope| scope.spawn(|| own.clone()).join().unwrap());
    assert!(have_one_in_common(&here, &also_here));
    assert!(have_one_in_common(&here, &here.clone()));
    assert!(!have_one_in_common(&here, &own));
    assert!(!have_one_in_common(&here, &there));
    assert!(Arc::ptr_eq(&here.share.provider, &there.share.provider));
}

#[test]
fn who_is_used_again_has_a_share_apart() {
    let own = own();
    let (mut used, other) = (own.clone(), own.clone());
    let request = Request::new(());
    used.current(&request);
    assert!(have_one_in_common(&used, &other));
    used.current(&request);
    assert!(!have_one_in_common(&used, &other));
    assert!(have_one_in_common(&other, &used.clone()));
    assert!(used.clone().share.0.copy.is_none());
}

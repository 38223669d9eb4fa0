//! Each boundary, and one tick before and after it.

use super::*;

const TICK: Duration = Duration::from_nanos(1);
const HOUR: Duration = Duration::from_secs(3600);

fn moment() -> Moment {
    Moment {
        monotonic: Instant::now(),
        wall: SystemTime::now(),
    }
}

fn later(moment: Moment, by: Duration) -> Moment {
    Moment {
        monotonic: moment.monotonic + by,
        wall: moment.wall + by,
    }
}

fn logged_in(start: Moment) -> Source {
    Source::Login {
        sent: start,
        answered: start,
    }
}

fn lifespan(start: Moment, lifetime: Duration, session: Session, jitter: f64) -> Lifespan {
    let credential = Credential::new("abc").unwrap().with_lifetime(lifetime);
    Lifespan::new(&credential, logged_in(start), session, None, jitter)
}

#[test]
fn a_credential_is_fresh_then_aging_then_expired() {
    let start = moment();
    let used_for = HOUR - Duration::from_secs(10);
    for (jitter, aging) in [(0.0, used_for * 7 / 10), (0.5, used_for * 8 / 10)] {
        let lifespan = lifespan(start, HOUR, Session::Concurrent, jitter);
        let at = |age| lifespan.freshness(|| later(start, age));
        // The share is a floating-point number: exact to a microsecond.
        let rounding = Duration::from_micros(1);
        assert_eq!(at(Duration::ZERO), Freshness::Fresh);
        assert_eq!(at(aging - rounding), Freshness::Fresh);
        assert_eq!(at(aging + rounding), Freshness::Aging);
        assert_eq!(at(used_for - TICK), Freshness::Aging);
        assert_eq!(at(used_for), Freshness::Expired);
    }
}

#[test]
fn an_expiry_that_is_almost_reached_on_arrival_is_ignored() {
    let start = moment();
    for (left, is_endless) in [(MARGIN - TICK, true), (MARGIN, false)] {
        let credential = Credential::new("abc").unwrap();
        let credential = credential.with_expires_at(start.wall + left);
        let lifespan = Lifespan::new(&credential, logged_in(start), Session::Exclusive, None, 0.5);
        assert_eq!(lifespan.is_endless(), is_endless, "{left:?}");
    }
}

#[test]
fn an_exclusive_session_has_no_aging() {
    let start = moment();
    let lifespan = lifespan(start, HOUR, Session::Exclusive, 0.0);
    let end = HOUR - Duration::from_secs(10);
    assert_eq!(
        lifespan.freshness(|| later(start, end - TICK)),
        Freshness::Fresh
    );
    assert_eq!(lifespan.freshness(|| later(start, end)), Freshness::Expired);
}

#[test]
fn the_clock_is_not_read_without_an_expiry() {
    let credential = Credential::new("abc").unwrap();
    let start = moment();
    let lifespan = Lifespan::new(
        &credential,
        logged_in(start),
        Session::Concurrent,
        None,
        0.0,
    );
    let freshness = lifespan.freshness(|| unreachable!("there is no expiry to compare with"));
    assert_eq!(freshness, Freshness::Fresh);
    assert!(lifespan.could_outlast(Duration::MAX));
    assert!(lifespan.outlasts(start, Duration::MAX));
}

#[test]
fn a_needed_validity_is_compared_with_the_remaining_time() {
    let start = moment();
    let lifespan = lifespan(start, HOUR, Session::Exclusive, 0.0);
    let whole = HOUR - Duration::from_secs(10);
    assert!(lifespan.outlasts(start, whole - TICK));
    assert!(!lifespan.outlasts(start, whole));
    assert!(lifespan.could_outlast(whole - TICK));
    assert!(!lifespan.could_outlast(whole));
    let half_way = later(start, HOUR / 2);
    assert!(!lifespan.outlasts(half_way, HOUR / 2));
    assert!(
        lifespan.could_outlast(HOUR / 2),
        "a new credential lasts long enough"
    );
}

#[test]
fn a_large_margin_leaves_time_for_a_background_login() {
    let start = moment();
    let credential = Credential::new("abc").unwrap().with_lifetime(HOUR);
    for margin in [HOUR / 10, HOUR / 3, HOUR] {
        let margin = Some(margin);
        let session = Session::Concurrent;
        let lifespan = Lifespan::new(&credential, logged_in(start), session, margin, 0.999);
        let (from, until) = (
            lifespan.aging_from.unwrap(),
            lifespan.until.monotonic.unwrap(),
        );
        assert!(until - from >= (until - start.monotonic) / 11, "{margin:?}");
    }
}

#[test]
fn a_handed_in_credential_does_not_limit_the_lifetime_of_the_next_login() {
    let now = moment();
    let credential = Credential::new("abc").unwrap().with_lifetime(HOUR);
    let source = Source::Caller(now);
    let lifespan = Lifespan::new(&credential, source, Session::Exclusive, None, 0.0);
    assert!(!lifespan.outlasts(now, HOUR));
    assert!(lifespan.could_outlast(HOUR));
}

#[test]
fn a_lifetime_ends_a_margin_after_the_use() {
    let start = moment();
    for (lifetime, margin) in [(HOUR, 10), (HOUR / 60, 6), (HOUR / 36, 10)] {
        let lifespan = lifespan(start, lifetime, Session::Exclusive, 0.0);
        let margin = Duration::from_secs(margin);
        assert_eq!(lifespan.left(start), Some(lifetime - margin));
        assert_eq!(lifespan.left_to_end(start), Some(lifetime));
        assert!(!lifespan.outlasts(later(start, lifetime - margin), Duration::ZERO));
        assert!(!lifespan.has_ended(later(start, lifetime - TICK)));
        assert!(lifespan.has_ended(later(start, lifetime)));
    }
}

#[test]
fn a_lifetime_ends_by_the_first_clock_that_says_so() {
    let start = moment();
    let lifespan = lifespan(start, HOUR, Session::Concurrent, 0.0);
    let at = |monotonic, wall| Moment {
        monotonic: start.monotonic + monotonic,
        wall: start.wall + wall,
    };
    assert!(!lifespan.has_ended(at(HOUR - TICK, HOUR - TICK)));
    assert!(lifespan.has_ended(at(HOUR, Duration::ZERO)));
    assert!(lifespan.has_ended(at(Duration::ZERO, HOUR)));
}

#[test]
fn the_end_is_not_before_the_shortest_use() {
    let start = moment();
    let lifespan = lifespan(start, Duration::ZERO, Session::Exclusive, 0.0);
    assert_eq!(lifespan.left_to_end(start), Some(SHORTEST));
    let endless = Credential::new("abc").unwrap();
    let endless = Lifespan::new(&endless, logged_in(start), Session::Exclusive, None, 0.0);
    assert!(!endless.has_ended(later(start, 1000 * HOUR)));
    assert_eq!(endless.left_to_end(start), None);
}

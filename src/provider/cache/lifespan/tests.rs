//! Each boundary, one tick to either side.

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

fn logged_in(born: Moment) -> Source {
    Source::Login {
        sent: born,
        answered: born,
    }
}

fn lifespan(born: Moment, lifetime: Duration, session: Session, jitter: f64) -> Lifespan {
    let credential = Credential::new("abc").unwrap().with_lifetime(lifetime);
    Lifespan::new(&credential, logged_in(born), session, None, jitter)
}

#[test]
fn fresh_turns_to_aging_and_aging_to_expired() {
    let born = moment();
    let used_for = HOUR - Duration::from_secs(10);
    for (jitter, aging) in [(0.0, used_for * 7 / 10), (0.5, used_for * 8 / 10)] {
        let lifespan = lifespan(born, HOUR, Session::Concurrent, jitter);
        let at = |age| lifespan.freshness(|| later(born, age));
        // The share is a floating-point number: good to a microsecond.
        let rounding = Duration::from_micros(1);
        assert_eq!(at(Duration::ZERO), Freshness::Fresh);
        assert_eq!(at(aging - rounding), Freshness::Fresh);
        assert_eq!(at(aging + rounding), Freshness::Aging);
        assert_eq!(at(used_for - TICK), Freshness::Aging);
        assert_eq!(at(used_for), Freshness::Expired);
    }
}

#[test]
fn an_expiry_that_is_all_but_over_on_arrival_is_the_servers_clock() {
    let born = moment();
    for (left, is_endless) in [(MARGIN - TICK, true), (MARGIN, false)] {
        let credential = Credential::new("abc").unwrap();
        let credential = credential.with_expires_at(born.wall + left);
        let lifespan = Lifespan::new(&credential, logged_in(born), Session::Exclusive, None, 0.5);
        assert_eq!(lifespan.is_endless(), is_endless, "{left:?}");
    }
}

#[test]
fn an_exclusive_session_has_no_aging() {
    let born = moment();
    let lifespan = lifespan(born, HOUR, Session::Exclusive, 0.0);
    let end = HOUR - Duration::from_secs(10);
    assert_eq!(
        lifespan.freshness(|| later(born, end - TICK)),
        Freshness::Fresh
    );
    assert_eq!(lifespan.freshness(|| later(born, end)), Freshness::Expired);
}

#[test]
fn the_clock_is_not_read_without_an_expiry() {
    let credential = Credential::new("abc").unwrap();
    let born = moment();
    let lifespan = Lifespan::new(&credential, logged_in(born), Session::Concurrent, None, 0.0);
    let freshness = lifespan.freshness(|| unreachable!("there is nothing to compare"));
    assert_eq!(freshness, Freshness::Fresh);
    assert!(lifespan.could_outlast(Duration::MAX));
    assert!(lifespan.outlasts(born, Duration::MAX));
}

#[test]
fn a_need_is_held_against_what_is_left() {
    let born = moment();
    let lifespan = lifespan(born, HOUR, Session::Exclusive, 0.0);
    let whole = HOUR - Duration::from_secs(10);
    assert!(lifespan.outlasts(born, whole - TICK));
    assert!(!lifespan.outlasts(born, whole));
    assert!(lifespan.could_outlast(whole - TICK));
    assert!(!lifespan.could_outlast(whole));
    let half_way = later(born, HOUR / 2);
    assert!(!lifespan.outlasts(half_way, HOUR / 2));
    assert!(lifespan.could_outlast(HOUR / 2), "a new one would do");
}

#[test]
fn a_large_margin_leaves_refresh_ahead_its_share() {
    let born = moment();
    let credential = Credential::new("abc").unwrap().with_lifetime(HOUR);
    for margin in [HOUR / 10, HOUR / 3, HOUR] {
        let margin = Some(margin);
        let session = Session::Concurrent;
        let lifespan = Lifespan::new(&credential, logged_in(born), session, margin, 0.999);
        let (from, until) = (lifespan.aging_from.unwrap(), lifespan.until.unwrap());
        assert!(until - from >= (until - born.monotonic) / 11, "{margin:?}");
    }
}

#[test]
fn what_was_handed_in_says_nothing_of_what_a_login_brings() {
    let now = moment();
    let credential = Credential::new("abc").unwrap().with_lifetime(HOUR);
    let source = Source::Caller(now);
    let lifespan = Lifespan::new(&credential, source, Session::Exclusive, None, 0.0);
    assert!(!lifespan.outlasts(now, HOUR));
    assert!(lifespan.could_outlast(HOUR));
}

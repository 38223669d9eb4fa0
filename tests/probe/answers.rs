//! Answers about made-up servers that answer.

use crate::{
    ask, ask_about, how,
    probe::report::{Revokes, known},
    server::{Behaviour, Refresh},
    usual, why,
};

#[tokio::test]
async fn a_concurrent_session_is_told_from_an_exclusive_one() {
    let (report, lines) = ask(Behaviour::default()).await;
    assert_eq!(known(&report.login_revokes), Some(&Revokes::No));
    let how_learnt = how(&report.login_revokes);
    assert!(
        how_learnt.contains("6 times, the last time 50 s later"),
        "{how_learnt}"
    );
    assert!(lines.contains("Session::Concurrent"), "{lines}");
    assert_eq!(
        why(&report.revoked),
        "no login and no refresh revoked a token"
    );

    let revoking = Behaviour {
        login_revokes: true,
        ..Behaviour::default()
    };
    let (report, lines) = ask(revoking.clone()).await;
    assert_eq!(known(&report.login_revokes), Some(&Revokes::Yes));
    assert!(lines.contains("Session::Exclusive"), "{lines}");

    // A copy of the server that lags behind.
    let (report, _) = ask(Behaviour {
        lag: 7,
        ..revoking.clone()
    })
    .await;
    assert_eq!(known(&report.login_revokes), Some(&Revokes::Yes));
    assert!(how(&report.login_revokes).contains("rejected 10 s after it"));
    // The login itself takes longer than the lag.
    let slow = Behaviour {
        lag: 7,
        login_takes: 10,
        ..revoking.clone()
    };
    let (report, _) = ask_about(usual(), slow, 45).await;
    assert_eq!(known(&report.login_revokes), Some(&Revokes::Yes));
    // Without the patience to see it, there is no answer.
    let (report, lines) = ask_about(usual(), Behaviour { lag: 7, ..revoking }, 6).await;
    assert!(why(&report.login_revokes).contains("accepted for 3 s after login 2, but"));
    assert!(lines.contains("Session::Exclusive"), "{lines}");

    let (report, lines) = ask(Behaviour {
        has_one_token: true,
        ..Behaviour::default()
    })
    .await;
    assert_eq!(known(&report.login_revokes), Some(&Revokes::SameToken));
    assert!(lines.contains("Session::Exclusive"), "{lines}");
}

#[tokio::test]
async fn an_expiry_is_not_taken_for_a_revocation() {
    // The previous token expires ten seconds before the next one.
    let behaviour = Behaviour {
        lifetime: 30,
        login_takes: 10,
        ..Behaviour::default()
    };
    let (report, _) = ask(behaviour).await;
    assert!(
        why(&report.login_revokes).contains("both rejected"),
        "{report}"
    );
    for lifetime in [1, 2, 3, 7, 12, 30] {
        let behaviour = Behaviour {
            lifetime,
            ..Behaviour::default()
        };
        let (report, _) = ask(behaviour).await;
        let why = report.login_revokes.as_ref().unwrap_err();
        assert!(why.contains("both rejected"), "{lifetime}: {why}");
        let announced = Some(lifetime);
        let (report, _) = ask(Behaviour {
            lifetime,
            announced,
            ..Behaviour::default()
        })
        .await;
        // The last look is before the announced end.
        let is_known = (lifetime >= 12).then_some(&Revokes::No);
        assert_eq!(known(&report.login_revokes), is_known, "{report}");
    }
}

#[tokio::test]
async fn the_real_lifetime_is_compared_with_the_announced_one() {
    for (announced, lifetime, verdict) in [
        (
            Some(60),
            60,
            "as the announced 60 s: accepted after 59.4 s, rejected after 61 s",
        ),
        (
            Some(60),
            33,
            "shorter than the announced 60 s: accepted after 30 s, rejected after 33 s",
        ),
        (
            Some(60),
            600,
            "longer than the announced 60 s: accepted after 71 s",
        ),
        (None, 60, "accepted after 56 s, rejected after 62 s"),
    ] {
        let behaviour = Behaviour {
            announced,
            lifetime,
            expired: 403,
            ..Behaviour::default()
        };
        let (report, lines) = ask(behaviour).await;
        let lived = known(&report.lifetime).unwrap().to_string();
        assert!(lived.starts_with(verdict), "{lived}");
        let is_fixed = lifetime == 33 || announced.is_none();
        assert_eq!(lines.contains("Lifetime::Fixed"), is_fixed, "{lines}");
        let is_seen = lifetime < 600;
        let expired = known(&report.expired).map(|it| it.status.as_u16());
        assert_eq!(expired, is_seen.then_some(403));
        assert_eq!(
            lines.contains("unauthorized_or_forbidden"),
            is_seen,
            "{lines}"
        );
    }
    let (report, _) = ask(Behaviour::default()).await;
    assert_eq!(why(&report.lifetime), "would take 3,600 s; --patience 61m");
    assert_eq!(why(&report.expired), "would take 3,600 s; --patience 61m");
    let (report, _) = ask_about(usual(), Behaviour::default(), 61 * 60).await;
    assert!(
        known(&report.lifetime)
            .unwrap()
            .to_string()
            .starts_with("as the announced 3,600 s")
    );
    let (report, _) = ask(Behaviour {
        announced: None,
        ..Behaviour::default()
    })
    .await;
    assert!(why(&report.lifetime).starts_with("a token is still accepted 1"));
}

#[tokio::test]
async fn a_refresh_token_works_once_or_often() {
    let refreshing = |refresh| Behaviour {
        refresh,
        ..Behaviour::default()
    };
    let (report, lines) = ask(refreshing(Refresh::Often)).await;
    assert_eq!(known(&report.refresh_rotates), Some(&false));
    assert_eq!(known(&report.refresh_works_twice), Some(&true));
    assert_eq!(known(&report.refresh_revokes), Some(&Revokes::No));
    assert!(
        lines.contains("Session::Concurrent") && lines.contains("refresh_by"),
        "{lines}"
    );
    let (report, _) = ask(refreshing(Refresh::Once)).await;
    assert_eq!(known(&report.refresh_rotates), Some(&true));
    assert_eq!(known(&report.refresh_works_twice), Some(&false));
    assert!(how(&report.refresh_works_twice).ends_with("again, 50 s later: 400"));

    let behaviour = Behaviour {
        refresh_revokes: true,
        ..refreshing(Refresh::OnceOrEnd)
    };
    let (report, lines) = ask(behaviour).await;
    assert_eq!(known(&report.refresh_revokes), Some(&Revokes::Yes));
    assert!(how(&report.refresh_works_twice).contains("that ended the token of refresh 1"));
    assert!(lines.contains("Session::Exclusive"), "{lines}");
    assert_eq!(report.counts.logins, 2);

    let (report, _) = ask(refreshing(Refresh::Never)).await;
    assert_eq!(
        why(&report.refresh_rotates),
        "the login brings no refresh token"
    );
    let behaviour = Behaviour {
        announced: Some(60),
        announced_by_refresh: Some(7200),
        ..refreshing(Refresh::Often)
    };
    let (report, _) = ask(behaviour).await;
    assert_eq!(why(&report.lifetime), "would take 7,200 s; --patience 121m");
    for (number, status) in [(1, 503), (1, 400), (2, 503), (2, 429)] {
        let behaviour = Behaviour {
            failing_refresh: Some((number, status)),
            ..refreshing(Refresh::Once)
        };
        let (report, lines) = ask(behaviour).await;
        assert!(
            why(&report.refresh_works_twice).contains(&status.to_string()),
            "{report}"
        );
        assert_eq!(
            known(&report.refresh_rotates).is_some(),
            number == 2,
            "{report}"
        );
        assert_eq!(lines.contains("Session::Exclusive"), number == 1, "{lines}");
    }
}

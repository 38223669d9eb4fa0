//! Bad tokens, failing servers and wrong clocks.

use serde_json::json;
use tower_bearer::test_util::TestClock;

use crate::{
    ask, ask_about, config, options,
    probe::{
        probe,
        report::{Revokes, known},
    },
    server::{self, Behaviour, Server},
    usual, why,
};

#[tokio::test]
async fn a_bad_token_gets_what_it_gets() {
    let behaviour = Behaviour {
        login_revokes: true,
        revoked: 403,
        bare: 302,
        ..Behaviour::default()
    };
    let (report, lines) = ask(behaviour).await;
    let text = report.to_string();
    for line in [
        "What does a revoked token get?\n    403, WWW-Authenticate: Bearer error=\"invalid_token\"",
        "What does a garbage token get?\n    401, ",
        "What does a request without a token get?\n    302 (a redirect), ",
        "What does a wrong password get?\n    not tried: a wrong password may lock the account",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(
        lines.contains(".rejected_if(rejection::unauthorized_or_forbidden)"),
        "{lines}"
    );

    let behaviour = Behaviour {
        login_revokes: true,
        revoked: 302,
        unknown: 302,
        ..Behaviour::default()
    };
    let (report, lines) = ask(behaviour).await;
    assert_eq!(known(&report.login_revokes), Some(&Revokes::Yes));
    assert!(
        lines.contains("[302].contains(&status.as_u16())"),
        "{lines}"
    );

    for behaviour in [
        Behaviour {
            bare: 200,
            ..Behaviour::default()
        },
        Behaviour {
            unknown: 200,
            ..Behaviour::default()
        },
    ] {
        let (report, _) = ask(behaviour).await;
        assert!(
            why(&report.login_revokes).starts_with("the API answers 200 with"),
            "{report}"
        );
        assert_eq!(report.counts.logins, 1);
    }
}

#[tokio::test]
async fn a_failing_server_gives_no_answers() {
    for status in [503, 429, 401] {
        let behaviour = Behaviour {
            failing_login: Some((1, status)),
            ..Behaviour::default()
        };
        let (report, _) = ask(behaviour).await;
        assert!(
            why(&report.login_revokes).contains(&status.to_string()),
            "{report}"
        );
        assert_eq!(report.counts.logins, 1, "a failed login is not repeated");
        let behaviour = Behaviour {
            failing_login: Some((2, status)),
            ..Behaviour::default()
        };
        let (report, _) = ask(behaviour).await;
        assert!(
            why(&report.login_revokes).contains(&status.to_string()),
            "{report}"
        );
        assert!(report.announced.is_ok() && report.counts.logins == 2);
    }
    for from in 1..8 {
        let failing_api = Some((from, 503));
        for login_revokes in [false, true] {
            let (report, _) = ask(Behaviour {
                failing_api,
                login_revokes,
                ..Behaviour::default()
            })
            .await;
            if let Err(why) = &report.login_revokes {
                assert_eq!(why, "the API answered 503", "{from}");
            } else {
                assert!(login_revokes && from > 4, "{report}");
            }
        }
    }
    // Always 403.
    let (report, _) = ask(Behaviour {
        failing_api: Some((1, 403)),
        ..Behaviour::default()
    })
    .await;
    assert_eq!(
        why(&report.login_revokes),
        "the API answered 403 to the new token of login 1, three times in 3 s"
    );
}

#[tokio::test(start_paused = true)]
async fn an_api_that_never_answers_gives_no_answers() {
    let clock = TestClock::new();
    let server = Server::new(Behaviour::default(), &clock);
    let (config, options) = (config(usual()), options(&clock, 120));
    let report = probe(&config, server::silent(&server), &options)
        .await
        .unwrap();
    let text = "the API gave no answer: no answer within 30 s";
    assert_eq!(why(&report.login_revokes), text);
    assert_eq!(why(&report.garbage), text);
}

#[tokio::test]
async fn a_wrong_clock_is_measured_and_not_trusted() {
    for (offset, words) in [
        (0, "no, within 0.5 s"),
        (3600, "s ahead (± 0.5 s)"),
        (-40, "s behind (± 0.5 s)"),
    ] {
        let behaviour = Behaviour {
            offset,
            is_jwt: true,
            ..Behaviour::default()
        };
        let mut document = usual();
        document["answer"] = json!({"expiry": "/expires_at"});
        let (report, lines) = ask_about(document, behaviour, 120).await;
        for clock in [&report.clock, &report.clock_by_jwt] {
            let clock = known(clock).unwrap();
            assert!((clock.seconds - offset as f64).abs() <= 1.0, "{clock}");
            assert!(clock.to_string().ends_with(words), "{clock}");
        }
        let announced = known(&report.announced).unwrap();
        assert_eq!(announced.len(), 2);
        assert!(
            announced
                .iter()
                .all(|it| it.lifetime.as_secs().abs_diff(3600) <= 1)
        );
        assert_eq!(lines.contains("Lifetime::Fixed"), offset != 0, "{lines}");
    }
}

#[tokio::test]
async fn the_number_of_logins_is_a_limit() {
    for (logins, needed) in [(1, Some("it needs another login; --logins 2")), (2, None)] {
        let clock = TestClock::new();
        let server = Server::new(
            Behaviour {
                login_revokes: true,
                ..Behaviour::default()
            },
            &clock,
        );
        let mut options = options(&clock, 120);
        options.limits.logins = logins;
        let report = probe(&config(usual()), server.service(), &options)
            .await
            .unwrap();
        assert_eq!(server.counts().0, logins);
        assert_eq!(
            report.login_revokes.as_ref().err().map(String::as_str),
            needed
        );
    }
}

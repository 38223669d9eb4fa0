//! The rows of `RELIABILITY.md`, one sentence each.

/// The source of a row's figures.
pub(crate) enum Figures {
    /// The lines that tests print.
    OfTheTests,
    /// None, for this reason.
    Struck(&'static str),
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) figures: Figures,
}

pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) rows: &'static [Row],
}

/// The source of a row's figures, if there is such a row.
pub(crate) fn find(name: &str) -> Option<&'static Figures> {
    let mut rows = SECTIONS.iter().flat_map(|section| section.rows);
    rows.find(|row| row.name == name).map(|row| &row.figures)
}

const fn row(name: &'static str, what: &'static str) -> Row {
    Row {
        name,
        what,
        figures: Figures::OfTheTests,
    }
}

const fn struck(name: &'static str, what: &'static str, reason: &'static str) -> Row {
    Row {
        name,
        what,
        figures: Figures::Struck(reason),
    }
}

pub(crate) const SECTIONS: &[Section] = &[
    Section {
        title: "What the specifications say",
        rows: &[
            row(
                "S1",
                "A plain http origin that is not loopback is configured (RFC 6750, 5.3).",
            ),
            row(
                "S2",
                "Except for one header, the request reaches the service unchanged, its URI included (RFC 6750, 5.3).",
            ),
            row(
                "S3",
                "Each byte value appears in a token (b64token: RFC 6750, 2.1).",
            ),
            row(
                "S4",
                "A request without an authorization is sent with exactly one (RFC 9110, 5.5).",
            ),
            row(
                "S5",
                "The replay with the new token is rejected too (RFC 9110, 15.5.2).",
            ),
            row("S6", "The response is a 403 (RFC 9110, 15.5.4)."),
            row(
                "S7",
                "The response is a 401 with `invalid_token` (RFC 6750, 3.1).",
            ),
            row(
                "S8",
                "A request goes to a server that the token is not for (RFC 9110, 11.5).",
            ),
            row("S9", "A redirect leads to another host (RFC 9110, 15.4)."),
            row(
                "S10",
                "A login passes through caches (OAuth 2.1: `no-store`).",
            ),
            row(
                "S11",
                "HTTP/2 compresses headers, on the first send and on the replay (RFC 7541, 7.1.3).",
            ),
            row("S12", "`expires_in` is not a number of seconds."),
            row(
                "S13",
                "A refresh returns a new refresh token (RFC 6749, 6).",
            ),
            row(
                "S14",
                "Several processes have the same refresh token, which is good for one use (RFC 9700, 4.14.2).",
            ),
            row(
                "S15",
                "The response to a login is a redirect (RFC 9700, 4.12).",
            ),
            struck(
                "S16",
                "A new API uses the password grant (RFC 9700, 2.4).",
                "advice for API design; there is nothing to run",
            ),
            row(
                "S17",
                "A token has bytes that a header allows and the token grammar does not.",
            ),
        ],
    },
    Section {
        title: "Leaks that other clients had",
        rows: &[
            row(
                "R1",
                "A redirect leads to another host (CVE-2018-1000007), or to the same one.",
            ),
            row("R2", "A redirect leads to another port (CVE-2022-27774)."),
            row(
                "R3",
                "A redirect leads from https to http (CVE-2018-18074).",
            ),
            row(
                "R4",
                "The caller's header has unusual capital letters (CVE-2018-25091).",
            ),
            row(
                "R5",
                "The URI names the default port, or another one (CVE-2022-31091).",
            ),
            row(
                "R6",
                "A chain of redirects leads to a foreign host and on, or back (CVE-2024-45336).",
            ),
            row(
                "R7",
                "A host resembles an allowed one, or is its subdomain (CVE-2023-45289).",
            ),
            row("R8", "Every redirect status, with and without a body."),
            row(
                "R9",
                "The layer sees each hop of a redirect, and could add the token to each.",
            ),
            row(
                "R10",
                "The URI has another scheme, or an unknown one (CVE-2026-3783).",
            ),
            row(
                "R11",
                "A client that follows redirects forwards a header with another name (CVE-2026-40895).",
            ),
            row(
                "R12",
                "A cookie, a proxy credential or another header could contain the token.",
            ),
            row(
                "R13",
                "The caller's URI names a foreign host (CVE-2025-27152).",
            ),
            row(
                "R14",
                "Two parsers read a URI differently (CVE-2024-47081).",
            ),
            row("R15", "A response says where to log in (CVE-2020-15157)."),
            row(
                "R16",
                "Two accounts share a connection pool (CVE-2022-22576).",
            ),
            row(
                "R18",
                "A URL with a secret becomes a Referer (CVE-2021-22876).",
            ),
            row("R19", "R1 to R3 in the variants of four other clients."),
            row(
                "R20",
                "The error of a failed login contains its URL (RUSTSEC-2024-0358).",
            ),
            row("R21", "Logging is on at every level (RUSTSEC-2022-0086)."),
            struck(
                "R22",
                "A malformed token is parsed (CVE-2025-22868).",
                "tokens are not parsed",
            ),
            struck(
                "R23",
                "A connection is reused although TLS forbids it (CVE-2026-4873).",
                "connections belong to the client",
            ),
            struck(
                "R24",
                "A dependency is unsound.",
                "no test: the manifest forbids `unsafe_code`, and `deny.toml` checks versions",
            ),
        ],
    },
    Section {
        title: "One login in flight, and giving up",
        rows: &[
            row(
                "F1",
                "Many requests start at once, and there is no token yet.",
            ),
            row(
                "F2",
                "The request that started the login is dropped, at each point.",
            ),
            row("F3", "All waiters are dropped while the login runs."),
            row(
                "F5",
                "Callers time out before the login ends, several times in a row.",
            ),
            row("F6", "The login panics, in each of four places."),
            row("F7", "The login never ends."),
            row("F8", "The login blocks its thread."),
            row("F9", "The runtime is dropped while the login runs."),
            row("F9b", "The runtime is no longer driven."),
            row(
                "F10",
                "One thread, many threads, a local set, and no runtime when the provider is built.",
            ),
            row(
                "F11",
                "The login fails while a hundred requests wait for it.",
            ),
            row(
                "F12",
                "A request arrives in the pause after a failed login.",
            ),
            row("F13", "The login ends while a waiter is being dropped."),
            row(
                "F14",
                "A request starts to wait between the end of the login and the wake-up of its waiters.",
            ),
            row("F15", "One of a thousand waiters is never polled."),
            row(
                "F16",
                "Ten thousand requests wait: memory used, and memory leaked.",
            ),
            row(
                "F17",
                "Threads read the authorization while logins replace it.",
            ),
            row("F18", "A snapshot is held across an await."),
            row("F19", "Clones of a service share one provider."),
            row("F20", "Several accounts in one process."),
            row("F21", "The size of a request's future."),
        ],
    },
    Section {
        title: "Lifetimes and clocks",
        rows: &[
            row("E1", "The token has expired when it arrives."),
            row("E2", "Lifetimes in unusual notations."),
            row("E3", "A lifetime is longer than the clock can represent."),
            row(
                "E4",
                "The server's clock is off by this many seconds: logins in an hour.",
            ),
            row("E5", "The wall clock jumps by a day."),
            row("E6", "The machine sleeps for hours."),
            row("E7", "Background logins fail for a while."),
            row(
                "E8",
                "Background logins fail, and the old token is still valid.",
            ),
            row(
                "E9",
                "The token lives for 0, 1, 2 and 5 s: logins in a minute.",
            ),
            row("E10", "A renewal revokes the token of requests in flight."),
            row("E11", "Many processes start at the same time."),
        ],
    },
    Section {
        title: "Rejections",
        rows: &[
            row("U1", "The token of requests in flight is revoked."),
            row("U2", "Rejections of the old token arrive late."),
            row(
                "U3",
                "Rejections of the old token arrive one by one for a minute.",
            ),
            row("U4", "Every response is a 401, for lack of permission."),
            row("U4b", "One endpoint among healthy ones returns 401."),
            row("U5", "403 `insufficient_scope`."),
            row(
                "U6",
                "An API returns 403 for an expired token, and the layer is configured for it.",
            ),
            row(
                "U8",
                "The challenge is missing, malformed, or for another scheme.",
            ),
            row(
                "U9",
                "Other statuses about authentication: 407, 419, 440, 498.",
            ),
            row(
                "U10",
                "The body of a rejected request is a stream and cannot be sent twice.",
            ),
            row("U11", "Which requests are replayed, by policy and method."),
            row("U12", "The differences between the two sends of a replay."),
            row("U14", "The replay is rejected too."),
            row("U15", "A rejection arrives while a background login runs."),
            row("U16", "The rejected request had its own authorization."),
        ],
    },
    Section {
        title: "Rejection scenarios",
        rows: &[
            row(
                "row1",
                "Sessions of 5 to 299 s without an announced expiry, with replay.",
            ),
            row(
                "row2",
                "The same without replay: one or two requests are lost at each expiry.",
            ),
            row("row3", "The same, with another path for each request."),
            row(
                "row4",
                "Sessions that end when they are idle, polled a second too late.",
            ),
            row(
                "row5",
                "Rows 1 to 4 beside an endpoint that accepts every token.",
            ),
            row(
                "row6",
                "The token is revoked while the login is down for 1, 60 and 600 s.",
            ),
            row("row7", "Three revocations in a row, 5 to 180 s apart."),
            row(
                "row8",
                "The API rejects everything for 10 to 600 s, and then all tokens but new ones.",
            ),
            row(
                "row8b",
                "The same beside an endpoint that accepts every token.",
            ),
            row(
                "row9",
                "An endpoint is forbidden for this account, and called every 1 to 60 s beside healthy ones: logins in ten minutes.",
            ),
            row("row9b", "The same, and the account gets the permission."),
            row(
                "row9c",
                "Up to 100 endpoints are forbidden: logins in ten minutes, and in any later hour.",
            ),
            row(
                "row10",
                "Another forbidden path every second, with replay: logins in an hour.",
            ),
            row("row11", "The same without replay."),
            row(
                "row12",
                "The same every 3 s or more, without replay: at most one login per call.",
            ),
            row("row13", "Rows 9 to 11, and a real revocation."),
            row(
                "row14",
                "The account has no permission at all: logins in any later hour.",
            ),
            row(
                "row15",
                "Another client logs in whenever it is rejected: logins in an hour.",
            ),
            row(
                "row16",
                "Another client logs in every 30 s: one login for each lost token.",
            ),
            row(
                "row17",
                "The caller reports rejections that only the body shows, and the token expires every two minutes.",
            ),
            row("row17b", "The same for a forbidden endpoint."),
            row(
                "row18",
                "One target is accepted and rejected alternately, with replay.",
            ),
            row(
                "row18a",
                "The same without replay: at most one login per rejected call.",
            ),
            row("row18b", "Rows 18 and 18a, and a real revocation."),
        ],
    },
    Section {
        title: "The login itself",
        rows: &[
            row("L1", "The login uses its own layer."),
            row(
                "L2",
                "The login needs the only slot, which requests need too.",
            ),
            row(
                "L3",
                "The password is wrong, and five failed logins lock the account: three hours.",
            ),
            row(
                "L4",
                "The server asks the login to wait, in each notation of `Retry-After`.",
            ),
            row("L5", "The login fails three times."),
            row("L6", "The response to a refresh is lost."),
            row("L7", "The refresh token has expired."),
            row("L8", "The response to a refresh lacks a field."),
            row("L9", "The login is redirected to another host."),
            row("L10", "The login's URL is plain http."),
            row("L11", "The response to a login is endless, or very slow."),
            row(
                "L12",
                "The token contains bytes that are invalid in a header.",
            ),
            row("L13", "The token has another type."),
            row("L14", "The response to a login is a web page."),
            row(
                "answers",
                "Each kind of answer to a login, by status, header and body.",
            ),
            row("L15", "The login returns the rejected token again."),
            row("L16", "The login takes a long time."),
            row("L17", "The provider is reset while a login runs."),
            row(
                "L18",
                "The login server is unreachable, and requests keep coming.",
            ),
        ],
    },
    Section {
        title: "Several processes",
        rows: &[
            row("P1", "Eight processes start together."),
            row(
                "P2",
                "A token that eight processes share is revoked, again and again.",
            ),
            row("P3", "The process that has the lock is killed."),
            row(
                "P4",
                "The process that logs in is stopped, and publishes after its lease.",
            ),
            row(
                "P5",
                "Another program logs in to the same account, and each login revokes the other's token: ten minutes.",
            ),
            row("P6", "The stored file is damaged, or is no regular file."),
            row(
                "P7",
                "A process is killed at each step of a publication: records that are half written.",
            ),
            row(
                "P8",
                "Other users can read the file, or write to its folder.",
            ),
            row(
                "P9",
                "The disk is full or read-only, or the process may not write there.",
            ),
            row(
                "P10",
                "Redis is down, slow, loading or protected, or loses what it had, and works again after that.",
            ),
            row(
                "P11",
                "The clocks of five readers differ by up to four hours: the lifetimes that they see.",
            ),
            row("P12", "Another process has logged in meanwhile."),
            row(
                "P13",
                "A record is opened for another account, or with another key.",
            ),
            row("P14", "A process dies while it writes secrets to a file."),
            row("P15", "Two versions of the crate share a store."),
        ],
    },
    Section {
        title: "Secrets",
        rows: &[
            row(
                "K1",
                "All log output, at the finest level, is searched for secrets in every encoding.",
            ),
            row(
                "K2",
                "Each public type is formatted, and the output is searched.",
            ),
            row(
                "K3",
                "Each error is formatted with its causes, and the output is searched.",
            ),
            row(
                "K4",
                "The header is marked sensitive, on the first send and the second.",
            ),
            row("K5", "HTTP/2 header blocks are inspected on the wire."),
            row(
                "K6",
                "The memory of the process is searched after the owners of a secret are gone.",
            ),
            row(
                "K7",
                "The memory of the process is searched for the old token after a rotation.",
            ),
            row("K8", "The caller sets its own authorization."),
            row("K9", "The caller sets two authorizations."),
            struck(
                "K10",
                "The comparison of tokens leaks timing.",
                "generations are compared, never tokens",
            ),
            row("K11", "A metric label contains a secret."),
            row("K12", "CONNECT, an upgrade, and a request in proxy form."),
        ],
    },
    Section {
        title: "Tower's contract",
        rows: &[
            row(
                "T1",
                "The inner service is called without being ready (the mock panics then).",
            ),
            row("T2", "A clone is called that was not polled ready itself."),
            row(
                "T3",
                "A service or a request is dropped while it holds a slot.",
            ),
            row("T4", "The inner service has failed."),
            row(
                "T6",
                "Five other layers around it and under it, in every order, at an expiry.",
            ),
            row(
                "T7",
                "Futures are Send and 'static, types can be named, and the adapters of the clients fit.",
            ),
            row("T8", "A request is dropped after each of its polls."),
            row(
                "T9",
                "The waker changes between polls, and some polls are spurious.",
            ),
            row(
                "T10",
                "A hundred requests of reqwest are in flight when the token is revoked.",
            ),
        ],
    },
    Section {
        title: "Traps that other clients fell into",
        rows: &[
            row("trap1", "A late 401 invalidates the new token."),
            row(
                "trap2",
                "A limit on logins delays the second of two revocations.",
            ),
            row(
                "trap3",
                "The request that started the login is dropped, and the login with it.",
            ),
            row(
                "trap4",
                "A rotated refresh token is lost with a dropped caller.",
            ),
            row("trap5", "Waiters log in one by one after a failure."),
            row("trap6", "A panic in the login breaks the provider."),
            row(
                "trap7",
                "The login's runtime is dropped, and a valid token with it.",
            ),
            row("trap8", "A failed renewal discards the valid token."),
            row("trap9", "A failed renewal is repeated for each request."),
            row("trap10", "A short lifetime causes a loop of logins."),
            row(
                "trap11",
                "Callers sleep during the pause after a failed login.",
            ),
            row("trap12", "Two requests find no token, and both log in."),
            row("trap13", "Each of many requests starts a background login."),
            row("trap14", "A late waiter clears the next login."),
            row(
                "trap15",
                "A request for another account gets this account's token.",
            ),
            row("trap16", "A waiter ignores its own timeout."),
            row("trap17", "A clone has a separate cache."),
            row("trap18", "The login calls the client that waits for it."),
            row("trap19", "A token is printed."),
            row("trap20", "A header is appended and not replaced."),
            row("trap21", "A header is not marked sensitive."),
            row("trap22", "A redirect forwards the token."),
            row("trap23", "A replay has no body, or half of it."),
            row(
                "trap24",
                "A refresh token is lost because another field is odd or missing.",
            ),
            row(
                "trap25",
                "A request is sent without a token after the login failed.",
            ),
            row("trap26", "The clock stops while the machine sleeps."),
            row("trap27", "A token without expiry is never renewed."),
            row(
                "trap28",
                "A clone that is not ready is called, also on the replay.",
            ),
            row(
                "trap29",
                "A background login fails while nobody waits for it.",
            ),
            row("trap30", "A rejected replay is replayed again."),
        ],
    },
    Section {
        title: "Other checks",
        rows: &[
            row(
                "allocations",
                "Allocations of a request with a fresh token.",
            ),
            row(
                "catalogue",
                "The guide explains each event, error and log line, and the tests that it names exist.",
            ),
            row("events", "Logins, and the order of their events."),
            row(
                "fingerprint",
                "Generated paths, and those that share a fingerprint.",
            ),
            row(
                "fleet_logins",
                "Eight processes share a session in a store, and the server revokes it: logins for each revocation.",
            ),
            row(
                "fleet_recovery",
                "A process is killed in its login: the time until another one of the fleet logs in.",
            ),
            row(
                "fleet_growth",
                "A fleet of 10 and of 100 instances shares a store for six hours, in a simulation.",
            ),
            row(
                "fleet_partition",
                "One of 100 instances cannot reach the store for ten minutes, and the token is revoked meanwhile.",
            ),
            row("grpc", "A gRPC client over a socket is rejected."),
            row(
                "judged",
                "100 requests are rejected together, in the body of a 200. Their callers judge them.",
            ),
            row(
                "keyed",
                "One provider has many accounts, more than it may keep. Logins fail, receipts come late.",
            ),
            row(
                "kills",
                "A process with single-use refresh tokens is killed, at each moment of a login and of its store.",
            ),
            row(
                "metrics",
                "Each failure has a value of the label `error.type` of its own.",
            ),
            row(
                "models",
                "Models of the code that threads share, under every schedule.",
            ),
            row(
                "public_api",
                "The public API equals the listing in the repository.",
            ),
            row(
                "ready",
                "100 POSTs over sockets are rejected together. Their bodies cannot be copied.",
            ),
            row(
                "reentrancy",
                "Clocks, wakers and observers of the user call the provider.",
            ),
            row(
                "rejections",
                "Random histories of rejections: a login must always be tried in time.",
            ),
            row(
                "sign_outs",
                "Users sign out, and others sign in, while requests, logins and refreshes go on.",
            ),
            row(
                "simulation",
                "Simulated hosts, networks and clocks, with faults.",
            ),
            row("soak", "Faults of all kinds under full load."),
            row(
                "stacks",
                "What is tried with each client stack over a socket: requests, revocations, failed logins, callers that give up.",
            ),
            row(
                "state_machine",
                "Random histories are compared with a model.",
            ),
            row(
                "store_job",
                "A job runs each night for 30 days, and goes on with the session of the last one.",
            ),
            row(
                "redis_faults",
                "Redis is emptied, full, a replica, protected, down, restarted, or loading, or has something else under the key.",
            ),
            row(
                "store_rules",
                "The rules that each credential store must keep.",
            ),
        ],
    },
];

//! The rows of `RELIABILITY.md`: what happens, in one sentence each.

/// Where the figures of a row come from.
pub(crate) enum Figures {
    /// From the lines that tests print.
    OfTheTests,
    /// There are none, and why.
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

/// Where the figures of a row come from, if there is such a row.
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

const NO_STORE: &str = "not built: a store shared between processes";

pub(crate) const SECTIONS: &[Section] = &[
    Section {
        title: "What the specifications say",
        rows: &[
            row(
                "S1",
                "A plain http origin that is not loopback is named (RFC 6750, 5.3).",
            ),
            row(
                "S2",
                "The request's URI, and all else but one header, goes out as it came in (RFC 6750, 5.3).",
            ),
            row(
                "S3",
                "Each byte is tried as a token (b64token: RFC 6750, 2.1).",
            ),
            row(
                "S4",
                "A request that brings none goes out with one authorization (RFC 9110, 5.5).",
            ),
            row(
                "S5",
                "The request is refused a second time, with the new token (RFC 9110, 15.5.2).",
            ),
            row("S6", "403 is answered (RFC 9110, 15.5.4)."),
            row(
                "S7",
                "401 is answered with `invalid_token` (RFC 6750, 3.1).",
            ),
            row(
                "S8",
                "A request goes to another server than the token is for (RFC 9110, 11.5).",
            ),
            row("S9", "A redirect leads elsewhere (RFC 9110, 15.4)."),
            row(
                "S10",
                "A login is sent past caches (OAuth 2.1: `no-store`).",
            ),
            row(
                "S11",
                "HTTP/2 compresses headers, on the first send and on the replay (RFC 7541, 7.1.3).",
            ),
            row("S12", "`expires_in` is no number of seconds."),
            row("S13", "A refresh brings a new refresh token (RFC 6749, 6)."),
            struck(
                "S14",
                "Two processes spend the same refresh token (RFC 9700, 4.14.2).",
                NO_STORE,
            ),
            row(
                "S15",
                "The login is answered with a redirect (RFC 9700, 4.12).",
            ),
            struck(
                "S16",
                "A new API is designed around the password grant (RFC 9700, 2.4).",
                "advice to those who design APIs; nothing runs",
            ),
            row(
                "S17",
                "A token has bytes that a header takes and the grammar does not.",
            ),
        ],
    },
    Section {
        title: "Leaks that other clients had",
        rows: &[
            row(
                "R1",
                "A redirect leads to another host (CVE-2018-1000007), or stays.",
            ),
            row("R2", "A redirect leads to another port (CVE-2022-27774)."),
            row(
                "R3",
                "A redirect leads from https to http (CVE-2018-18074).",
            ),
            row(
                "R4",
                "The caller's header is spelled in odd case (CVE-2018-25091).",
            ),
            row(
                "R5",
                "A port is the default one, or is not (CVE-2022-31091).",
            ),
            row(
                "R6",
                "A chain of redirects leads away and on, or back (CVE-2024-45336).",
            ),
            row(
                "R7",
                "A host looks like the allowed one, or is beneath it (CVE-2023-45289).",
            ),
            row(
                "R8",
                "Every status that redirects, with and without a body.",
            ),
            row(
                "R9",
                "The layer sees each hop, and could add the token to each.",
            ),
            row(
                "R10",
                "The URI has another scheme, or none that is known (CVE-2026-3783).",
            ),
            row(
                "R11",
                "A header of another name is forwarded by who follows redirects (CVE-2026-40895).",
            ),
            row(
                "R12",
                "A cookie, a proxy's credential or another header could hold the token.",
            ),
            row(
                "R13",
                "The caller's URI names a foreign host (CVE-2025-27152).",
            ),
            row(
                "R14",
                "Two parsers read a URI differently (CVE-2024-47081).",
            ),
            row("R15", "An answer says where to log in (CVE-2020-15157)."),
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
                "A failed login is told with its URL (RUSTSEC-2024-0358).",
            ),
            row("R21", "Everything is logged (RUSTSEC-2022-0086)."),
            struck(
                "R22",
                "A malformed token is parsed (CVE-2025-22868).",
                "no token is looked into",
            ),
            struck(
                "R23",
                "A connection is reused in spite of what TLS asks for (CVE-2026-4873).",
                "connections are the client's",
            ),
            struck(
                "R24",
                "A dependency is unsound.",
                "no test holds it: `unsafe_code` is forbidden by the manifest, versions by `deny.toml`",
            ),
        ],
    },
    Section {
        title: "One login in flight, and giving up",
        rows: &[
            row(
                "F1",
                "Requests come all at once, and there is no token yet.",
            ),
            row(
                "F2",
                "The request that started the login is dropped, at each point.",
            ),
            row("F3", "All who wait are dropped while the login runs."),
            row(
                "F5",
                "Callers time out sooner than the login answers, round after round.",
            ),
            row("F6", "The login panics, in each of four places."),
            row("F7", "The login never ends."),
            row("F8", "The login blocks its thread."),
            row("F9", "The runtime is dropped under the login."),
            row("F9b", "The runtime is no longer driven."),
            row(
                "F10",
                "One thread, many threads, a local set, no runtime when it is made.",
            ),
            row("F11", "The login fails, and a hundred wait for it."),
            row("F12", "A request comes within the pause after a failure."),
            row(
                "F13",
                "The login ends while one that waits is being dropped.",
            ),
            row(
                "F14",
                "One begins to wait between the login's end and its being told.",
            ),
            row("F15", "One of a thousand that wait is never polled."),
            row("F16", "Ten thousand wait: what they take, and leave."),
            row("F17", "Threads read while logins replace what they read."),
            row("F18", "A snapshot is held over an await."),
            row("F19", "Clones of a service share one provider."),
            row("F20", "Several accounts in one process."),
            row("F21", "The size of a request's future."),
        ],
    },
    Section {
        title: "Lifetimes and clocks",
        rows: &[
            row("E1", "The token has expired when it arrives."),
            row("E2", "A lifetime is spelled in every odd way."),
            row("E3", "A lifetime is longer than any clock."),
            row(
                "E4",
                "The server's clock is off, by so many seconds: logins in an hour.",
            ),
            row("E5", "The wall clock jumps a day."),
            row("E6", "The machine sleeps for hours."),
            row("E7", "Background logins fail for a while."),
            row("E8", "Background logins fail, and the old token is good."),
            row(
                "E9",
                "The token lives for 0, 1, 2 and 5 s: logins in a minute.",
            ),
            row("E10", "A renewal revokes what is in flight."),
            row("E11", "A fleet starts together."),
        ],
    },
    Section {
        title: "Refusals",
        rows: &[
            row("U1", "The token of requests in flight is revoked."),
            row("U2", "Refusals of the old token come late."),
            row("U3", "Refusals of the old token trickle in for a minute."),
            row("U4", "Everything is answered 401, for lack of permission."),
            row("U4b", "One endpoint among healthy ones is answered 401."),
            row("U5", "403 `insufficient_scope`."),
            row(
                "U6",
                "An API says 403 where it means expiry, and the client was told so.",
            ),
            row(
                "U8",
                "A challenge is missing, for another scheme, or garbage.",
            ),
            row("U9", "Other statuses of the family: 407, 419, 440, 498."),
            row(
                "U10",
                "The refused body is a stream, and cannot be sent twice.",
            ),
            row("U11", "What is sent again, by policy and method."),
            row("U12", "What the two sends of a replay differ in."),
            row("U14", "The replay is refused as well."),
            row("U15", "A refusal comes while a background login runs."),
            row(
                "U16",
                "A refused request had brought its own authorization.",
            ),
        ],
    },
    Section {
        title: "What must come of rejections",
        rows: &[
            row(
                "row1",
                "Sessions of 5 to 299 s that do not say so, with replay.",
            ),
            row(
                "row2",
                "The same without replay: one or two requests are lost at each end.",
            ),
            row("row3", "The same, with another path for each request."),
            row(
                "row4",
                "Sessions that end when they are idle, polled a second too slowly.",
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
                "The API rejects everything for 10 to 600 s, then all but new tokens.",
            ),
            row(
                "row8b",
                "The same beside an endpoint that accepts every token.",
            ),
            row(
                "row9",
                "An endpoint that is forbidden for this account, called every 1 to 60 s beside healthy ones: logins in ten minutes.",
            ),
            row("row9b", "The same, and the account gets the permission."),
            row(
                "row9c",
                "Up to 100 endpoints are forbidden: logins in ten minutes, and in any later hour.",
            ),
            row(
                "row10",
                "Another forbidden path each second, with replay: logins in an hour.",
            ),
            row("row11", "The same without replay."),
            row(
                "row12",
                "The same every 3 s or more, without replay: a login for each call at most.",
            ),
            row("row13", "Rows 9 to 11 and a real revocation."),
            row(
                "row14",
                "The account may do nothing at all: logins in any later hour.",
            ),
            row(
                "row15",
                "Another client logs in whenever it is rejected: logins in an hour.",
            ),
            row(
                "row16",
                "Another client logs in every 30 s: one login for each loss.",
            ),
            row(
                "row17",
                "The caller reports what only the body says, and the token dies every two minutes.",
            ),
            row("row17b", "The same for an endpoint that is forbidden."),
            row(
                "row18",
                "One target accepted and rejected by turns, with replay.",
            ),
            row(
                "row18a",
                "The same without replay: a login for each rejected call at most.",
            ),
            row("row18b", "Rows 18 and 18a and a real revocation."),
        ],
    },
    Section {
        title: "The login itself",
        rows: &[
            row("L1", "The login goes through its own layer."),
            row("L2", "The login needs the one slot that requests need."),
            row(
                "L3",
                "The password is wrong, and five wrong ones lock the account: three hours.",
            ),
            row(
                "L4",
                "The login is told to come back later, in every spelling.",
            ),
            row("L5", "The login fails three times."),
            row("L6", "The answer to a refresh is lost."),
            row("L7", "The refresh token has expired."),
            row("L8", "The answer to a refresh lacks what it should have."),
            row("L9", "The login is redirected to another host."),
            row("L10", "The login's URL is plain http."),
            row(
                "L11",
                "The login's answer has no end, or comes drop by drop.",
            ),
            row("L12", "The token has bytes that would break a header."),
            row("L13", "The token is of another type."),
            row("L14", "The login's answer is somebody's web page."),
            row("L15", "The login brings the refused token again."),
            row("L16", "The login takes long."),
            row("L17", "All is reset while a login runs."),
            row(
                "L18",
                "Nobody can be reached, and requests come all the time.",
            ),
        ],
    },
    Section {
        title: "Several processes",
        rows: &[
            struck("P1", "Eight processes start together.", NO_STORE),
            struck(
                "P2",
                "A token that four processes share is revoked.",
                NO_STORE,
            ),
            struck("P3", "The process that logs in is killed.", NO_STORE),
            struck(
                "P4",
                "The process that logs in is stopped, and wakes up late.",
                NO_STORE,
            ),
            row(
                "P5",
                "Another program logs in to the same account, and each login revokes the other's token: ten minutes.",
            ),
            struck("P6", "The stored file is damaged.", NO_STORE),
            struck("P7", "The power fails while the file is written.", NO_STORE),
            struck("P8", "Others may read the file.", NO_STORE),
            struck("P9", "The disk is full or cannot be written.", NO_STORE),
            struck("P10", "The shared cache is down or slow.", NO_STORE),
            struck("P11", "The processes' clocks differ by an hour.", NO_STORE),
            struck("P12", "Another process has logged in meanwhile.", NO_STORE),
            struck("P13", "Two accounts have one key.", NO_STORE),
            struck("P14", "Secrets lie in files.", NO_STORE),
            struck("P15", "Two versions of the crate share a store.", NO_STORE),
        ],
    },
    Section {
        title: "Secrets",
        rows: &[
            row(
                "K1",
                "All that is logged, at the finest level, is searched for secrets in every encoding.",
            ),
            row("K2", "Each public type is printed, and searched."),
            row("K3", "Each error is printed with its causes, and searched."),
            row(
                "K4",
                "The header is marked sensitive, on the first send and the second.",
            ),
            row("K5", "HTTP/2 header blocks are looked at on the wire."),
            row(
                "K6",
                "The process's memory is searched when the owners of a secret are gone.",
            ),
            row(
                "K7",
                "The process's memory is searched for the old token after a rotation.",
            ),
            row("K8", "The caller brings an authorization of his own."),
            row("K9", "The caller brings two."),
            struck(
                "K10",
                "Tokens are compared in time that tells something.",
                "generations are compared, and never tokens",
            ),
            struck(
                "K11",
                "A metric's label holds a secret.",
                "not built: metrics",
            ),
            row("K12", "CONNECT, an upgrade, a request in a proxy's form."),
        ],
    },
    Section {
        title: "Tower's contract",
        rows: &[
            row(
                "T1",
                "The wrapped service is called unready (it panics then).",
            ),
            row("T2", "A clone is called that was not made ready itself."),
            row(
                "T3",
                "A service or a request is dropped while it holds a slot.",
            ),
            row("T4", "The wrapped service is dead."),
            row(
                "T6",
                "Five other layers around it and under it, in every order; the token expired.",
            ),
            row(
                "T7",
                "Futures are Send and 'static, types have names, and the clients' adapters fit.",
            ),
            row("T8", "A request is given up after each of its polls."),
            row(
                "T9",
                "The waker changes between polls, and some polls come for no reason.",
            ),
        ],
    },
    Section {
        title: "Traps that other clients fell into",
        rows: &[
            row("trap1", "A late 401 ends the new token."),
            row(
                "trap2",
                "A brake on logins hides the second of two revocations.",
            ),
            row(
                "trap3",
                "Who started the login goes away, and with him the login.",
            ),
            row("trap4", "A rotated refresh token is lost with a caller."),
            row("trap5", "Those who wait log in one by one after a failure."),
            row("trap6", "A panic in the login ends the provider."),
            row(
                "trap7",
                "The runtime of the login is gone, and a valid token with it.",
            ),
            row("trap8", "A renewal that fails takes the valid token away."),
            row(
                "trap9",
                "A renewal that fails is repeated for each request.",
            ),
            row("trap10", "A short lifetime makes a loop of logins."),
            row("trap11", "Callers sleep while the login is paused."),
            row("trap12", "Two find no token, and both log in."),
            row("trap13", "Each of a crowd starts a background login."),
            row("trap14", "Who waits late clears away the next login."),
            row(
                "trap15",
                "Who asks for another account is given this one's token.",
            ),
            row("trap16", "Who waits does not heed his own timeout."),
            row("trap17", "A clone has a cache of its own."),
            row("trap18", "The login asks the client that waits for it."),
            row("trap19", "A token is printed."),
            row(
                "trap20",
                "A header is appended where it should be replaced.",
            ),
            row("trap21", "A header is not marked sensitive."),
            row("trap22", "A redirect takes the token along."),
            row("trap23", "A replay has no body, or half of it."),
            row(
                "trap24",
                "A refresh token is lost for what another field says or leaves out.",
            ),
            row(
                "trap25",
                "A request goes out without a token when the login has failed.",
            ),
            row("trap26", "The clock stops while the machine sleeps."),
            row("trap27", "A token without expiry is never renewed."),
            row(
                "trap28",
                "A clone is called that is not ready, on the replay too.",
            ),
            row(
                "trap29",
                "A background login fails, and nobody waits for it.",
            ),
            row("trap30", "A replay is refused, and replayed."),
        ],
    },
    Section {
        title: "Nets",
        rows: &[
            row("allocations", "A request with a fresh token, counted."),
            row("events", "Logins, and the events that are told of them."),
            row(
                "fingerprint",
                "Paths as they are generated, and those with one fingerprint.",
            ),
            row("grpc", "A gRPC client over a socket is rejected."),
            row(
                "models",
                "Models of the code that threads share, in every order.",
            ),
            row("public_api", "The public API is what the repository says."),
            row(
                "reentrancy",
                "Clocks, wakers and observers of the user's call the provider.",
            ),
            row(
                "rejections",
                "Random histories of rejections, in which a login must always be tried in time.",
            ),
            row(
                "simulation",
                "Hosts, networks and clocks are simulated, and fail.",
            ),
            row("soak", "Faults of all kinds, for a long time."),
            row(
                "state_machine",
                "Random histories are held against a model.",
            ),
        ],
    },
];

//! The transitions and their frequencies.

use std::time::Duration;

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;
use tower_bearer::Session;

/// The parameters of a case. All other state depends on the answers so far, and the
/// [`Model`](crate::model::Model) keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) session: Session,
    /// The lifetime of tokens in milliseconds, 0 for none.
    pub(crate) lifetime: u64,
    /// Whether logins take the single-use refresh token and return the next one.
    pub(crate) is_rotating: bool,
    /// Whether the provider starts with a token.
    pub(crate) starts_with_a_token: bool,
    /// Whether the last logins are answered, or time out.
    pub(crate) ends_well: bool,
    pub(crate) mood: Mood,
}

/// The transitions that are more frequent than usual.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    Usual,
    Crowd,
    Outage,
    Rejections,
    Users,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Fresh,
    Bare,
    OwnHeader,
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// By the state of the token when the request arrived.
    Honest,
    Unauthorized,
    Forbidden,
    ServerError,
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    /// The server has logged in, and the answer is lost.
    AnswerLost,
    /// No connection was made: a refresh token is restored.
    Unsent,
    Transient,
    Permanent,
    RetryAfter(u64),
    Panic,
}

/// The refresh token of a credential that is handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    None,
    New,
    /// The one that the provider has, if any.
    Same,
}

/// One step. Numbers choose among the available items.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transition {
    Start {
        kind: Kind,
        is_kept: bool,
        service: usize,
        runtime: usize,
    },
    /// Polls a request that was woken or never polled.
    Poll(usize),
    PollAll,
    /// Polls a request that was not woken.
    PollIdly(usize),
    /// Drops a request.
    Drop(usize),
    Answer(usize, Answer),
    AnswerAll,
    EndLogin(Outcome),
    Revoke,
    Advance(Duration),
    JumpWall(u64),
    JumpWallBack(u64),
    RejectCurrent,
    RejectOlder(usize),
    RejectStranger,
    Reset,
    SignOut,
    /// A credential is handed in.
    SetCredential {
        refresh: Refresh,
        /// In milliseconds; `None` for no expiry.
        lifetime: Option<u64>,
    },
    CloneService(usize),
    DropService(usize),
    CloseSlots,
    OpenSlots,
    /// Drops one of two runtimes with its tasks.
    LoseRuntime(usize),
}

impl Transition {
    /// The name under which it is counted.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start { kind, is_kept, .. } => match (kind, is_kept) {
                (Kind::Plain, true) => "start, kept",
                (Kind::Plain, false) => "start, not kept",
                (Kind::Fresh, _) => "start, fresh",
                (Kind::Bare, _) => "start, bare",
                (Kind::OwnHeader, _) => "start, own header",
                (Kind::Foreign, _) => "start, foreign",
            },
            Self::Poll(_) => "poll",
            Self::PollAll => "poll all",
            Self::PollIdly(_) => "poll idly",
            Self::Drop(_) => "drop",
            Self::Answer(_, Answer::Honest) | Self::AnswerAll => "answer honestly",
            Self::Answer(_, Answer::Unauthorized) => "answer 401",
            Self::Answer(_, Answer::Forbidden) => "answer 403",
            Self::Answer(_, Answer::ServerError) => "answer 500",
            Self::Answer(_, Answer::Broken) => "break the connection",
            Self::EndLogin(Outcome::Success) => "login: success",
            Self::EndLogin(Outcome::AnswerLost) => "login: answer lost",
            Self::EndLogin(Outcome::Unsent) => "login: unsent",
            Self::EndLogin(Outcome::Transient) => "login: transient",
            Self::EndLogin(Outcome::Permanent) => "login: permanent",
            Self::EndLogin(Outcome::RetryAfter(_)) => "login: retry after",
            Self::EndLogin(Outcome::Panic) => "login: panic",
            Self::Revoke => "revoke",
            Self::Advance(_) => "advance",
            Self::JumpWall(_) => "jump wall",
            Self::JumpWallBack(_) => "jump wall back",
            Self::RejectCurrent => "reject current",
            Self::RejectOlder(_) => "reject older",
            Self::RejectStranger => "reject stranger",
            Self::Reset => "reset",
            Self::SignOut => "sign out",
            Self::SetCredential { refresh, .. } => match refresh {
                Refresh::None => "set credential",
                Refresh::New => "set credential, new refresh token",
                Refresh::Same => "set credential, same refresh token",
            },
            Self::CloneService(_) => "clone service",
            Self::DropService(_) => "drop service",
            Self::CloseSlots => "close slots",
            Self::OpenSlots => "open slots",
            Self::LoseRuntime(_) => "lose runtime",
        }
    }

    /// The number of names.
    pub(crate) const KINDS: usize = 39;
}

/// The reference machine of proptest: the possible transitions of each case.
pub(crate) struct Script;

impl ReferenceStateMachine for Script {
    type State = Case;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Case> {
        let session = prop_oneof![Just(Session::Exclusive), Just(Session::Concurrent)];
        // None; shorter than the minimum of use; with a margin of a tenth, and with one of ten
        // seconds.
        let lifetime = prop_oneof![
            Just(0),
            Just(400),
            Just(3_000),
            Just(60_000),
            Just(3_600_000)
        ];
        let mood = prop_oneof![
            Just(Mood::Usual),
            Just(Mood::Crowd),
            Just(Mood::Outage),
            Just(Mood::Rejections),
            Just(Mood::Users)
        ];
        let flags = any::<[bool; 3]>();
        (session, lifetime, flags, mood)
            .prop_map(|(session, lifetime, flags, mood)| {
                let [is_rotating, starts_with_a_token, ends_well] = flags;
                Case {
                    session,
                    lifetime,
                    is_rotating,
                    starts_with_a_token,
                    ends_well,
                    mood,
                }
            })
            .boxed()
    }

    fn transitions(case: &Case) -> BoxedStrategy<Transition> {
        let (starts, failures, rejections) = match case.mood {
            Mood::Usual => (40, 3, 1),
            Mood::Crowd => (80, 3, 1),
            Mood::Outage => (40, 16, 1),
            Mood::Rejections => (40, 3, 12),
            Mood::Users => (40, 3, 2),
        };
        let (sign_outs, sets, resets) = match case.mood {
            Mood::Users => (5, 9, 4),
            _ => (1, 3, 1),
        };
        let which = || 0_usize..64;
        prop_oneof![
            starts => start(),
            20 => which().prop_map(Transition::Poll),
            20 => Just(Transition::PollAll),
            3 => which().prop_map(Transition::PollIdly),
            4 => which().prop_map(Transition::Drop),
            30 + rejections => (which(), answer(rejections))
                .prop_map(|(which, answer)| Transition::Answer(which, answer)),
            5 => Just(Transition::AnswerAll),
            16 => Just(Transition::EndLogin(Outcome::Success)),
            failures => failure().prop_map(Transition::EndLogin),
            4 => Just(Transition::Revoke),
            12 => pause().prop_map(Transition::Advance),
            1 => seconds().prop_map(Transition::JumpWall),
            1 => seconds().prop_map(Transition::JumpWallBack),
            rejections => Just(Transition::RejectCurrent),
            1 => which().prop_map(Transition::RejectOlder),
            1 => Just(Transition::RejectStranger),
            resets => Just(Transition::Reset),
            sign_outs => Just(Transition::SignOut),
            sets => set_credential(),
            1 => which().prop_map(Transition::CloneService),
            1 => which().prop_map(Transition::DropService),
            1 => Just(Transition::CloseSlots),
            4 => Just(Transition::OpenSlots),
            1 => (0_usize..2).prop_map(Transition::LoseRuntime),
        ]
        .boxed()
    }

    fn apply(case: Case, _transition: &Transition) -> Case {
        case
    }
}

fn start() -> impl Strategy<Value = Transition> {
    let kind = prop_oneof![
        20 => Just(Kind::Plain),
        2 => Just(Kind::Fresh),
        1 => Just(Kind::Bare),
        1 => Just(Kind::OwnHeader),
        1 => Just(Kind::Foreign),
    ];
    // Most requests use one service: the second of two in a row makes it keep a copy.
    let service = prop_oneof![3 => Just(0_usize), 1 => 0_usize..64];
    let runtime = prop_oneof![3 => Just(0_usize), 1 => Just(1)];
    (kind, any::<bool>(), service, runtime).prop_map(|(kind, is_kept, service, runtime)| {
        Transition::Start {
            kind,
            is_kept,
            service,
            runtime,
        }
    })
}

fn set_credential() -> impl Strategy<Value = Transition> {
    let refresh = prop_oneof![
        3 => Just(Refresh::None),
        3 => Just(Refresh::New),
        1 => Just(Refresh::Same),
    ];
    // The first two have expired, or will soon.
    let lifetime = prop_oneof![
        1 => Just(Some(0)),
        1 => Just(Some(400)),
        2 => Just(Some(60_000)),
        4 => Just(None),
    ];
    (refresh, lifetime)
        .prop_map(|(refresh, lifetime)| Transition::SetCredential { refresh, lifetime })
}

fn answer(rejections: u32) -> impl Strategy<Value = Answer> {
    prop_oneof![
        12 => Just(Answer::Honest),
        rejections => Just(Answer::Unauthorized),
        1 => Just(Answer::Forbidden),
        1 => Just(Answer::ServerError),
        1 => Just(Answer::Broken),
    ]
}

fn failure() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::AnswerLost),
        Just(Outcome::Unsent),
        Just(Outcome::Transient),
        Just(Outcome::Permanent),
        prop_oneof![Just(2), Just(30), Just(100_000)].prop_map(Outcome::RetryAfter),
        Just(Outcome::Panic),
    ]
}

/// Around the thresholds of the crate: a second, ten, a minute, five.
fn pause() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (1_u64..1_500).prop_map(Duration::from_millis),
        4 => (1_u64..6).prop_map(Duration::from_secs),
        2 => (6_u64..70).prop_map(Duration::from_secs),
        1 => (70_u64..4_000).prop_map(Duration::from_secs),
    ]
}

fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![1_u64..10, 10_u64..4_000]
}

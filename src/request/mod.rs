//! The life of one request: its authorization, its rejection, its replay.

mod pending;
pub mod rejection;
mod replay;
mod report;
mod sent;
mod settings;
mod share;

#[cfg(feature = "reqwest-middleware-05")]
pub(crate) use self::pending::Replayed;
pub(crate) use self::{
    pending::{AfterResponse, BoxedPending, KeptRequest, Pending},
    sent::{Exchange, Sent},
    settings::{Bypass, Settings},
    share::{PerService, Share},
};
pub use self::{
    replay::{NoReplay, ReadyBody, Replay, ReplayEmpty, ReplayEmptyOr, ReplayReady, ReplayWith},
    report::{NotReplayed, RejectionReport},
};

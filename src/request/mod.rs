//! The life of one request: its authorization, its rejection, its replay.

mod kept;
mod pending;
pub mod rejection;
mod replay;
mod report;
mod sent;
mod settings;
mod share;

pub(crate) use self::{
    kept::KeptRequest,
    pending::{BoxedPending, JustSent, Pending, Replayable, Replayed},
    sent::{Exchange, Sent},
    settings::{Bypass, Settings},
    share::{PerService, Share},
};
pub use self::{
    replay::{NoReplay, ReadyBody, Replay, ReplayEmpty, ReplayEmptyOr, ReplayReady, ReplayWith},
    report::{NotReplayed, RejectionReport},
};

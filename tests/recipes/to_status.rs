use std::sync::Arc;

use tonic::Status;
use tower::timeout::error::Elapsed;
use tower_bearer::{BoxError, Error, Recovery};

/// Gives a failed login and a timeout their gRPC status. tonic does the same for other errors.
pub(crate) fn to_status(error: BoxError) -> BoxError {
    if error.is::<Elapsed>() {
        return Status::deadline_exceeded(error.to_string()).into();
    }
    let Some(failure) = error.downcast_ref::<Error>() else {
        return error;
    };
    let mut status = match failure.recovery() {
        Recovery::TryAgain { .. } => Status::unavailable(failure.to_string()),
        _ => Status::unauthenticated(failure.to_string()),
    };
    status.set_source(Arc::new(failure.clone()));
    status.into()
}

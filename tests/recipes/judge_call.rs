use tonic::{Code, Request, Status};
use tower_bearer::{CachedProvider, PerRequest, Rejected};

/// A request that its caller judges.
pub(crate) fn judged<M>(message: M) -> (Request<M>, PerRequest) {
    let per_request = PerRequest::new().judged_by_caller();
    let mut request = Request::new(message);
    request.extensions_mut().insert(per_request.clone());
    (request, per_request)
}

/// Reports how the call ended. Returns whether it was rejected and another call may succeed.
pub(crate) fn report<T>(
    provider: &CachedProvider,
    per_request: &PerRequest,
    outcome: &Result<T, Status>,
) -> bool {
    let Some(receipt) = per_request.receipt() else {
        return false; // sent without a token, or not at all
    };
    match outcome {
        Ok(_) => provider.accept(receipt),
        Err(status) if status.code() == Code::Unauthenticated => {
            return provider.reject(&Rejected::by_hand(receipt)).is_log_in();
        }
        Err(_) => {} // it may be an error of the network
    }
    false
}

//! One word for each failure: the label `error.type` of a metric.

use crate::error::Error;

/// The word of this failure, which may be that of a file.
pub(crate) fn error_type(error: &Error) -> &'static str {
    #[cfg(feature = "files")]
    if let Some(of_a_file) = super::file::error_type(error) {
        return of_a_file;
    }
    error.error_type()
}

#[cfg(all(test, feature = "files", feature = "oauth2"))]
mod tests;

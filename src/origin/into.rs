//! What the constructors of [`Origins`](super::Origins) take.

use super::InvalidUrl;

/// One origin, or a list of origins: what [`Origins::new`](crate::Origins::new) takes.
///
/// - One origin is a `&str`, a `String`, or anything else that is `AsRef<str>`.
/// - A list is an array, a `Vec`, or any other iterator of those.
///
/// The compiler infers `IS_LIST`. The trait is sealed: no other type has it.
///
/// # Examples
///
/// ```
/// use tower_bearer::Origins;
///
/// Origins::new("https://api.example.com")?;
/// Origins::new(["https://api.example.com", "https://eu.example.com:8443"])?;
///
/// let configured = "https://api.example.com, https://eu.example.com".to_owned();
/// Origins::new(configured.split(", "))?;
/// # Ok::<_, tower_bearer::InvalidUrl>(())
/// ```
///
/// A `Uri` is neither, so its text is needed:
///
/// ```compile_fail,E0277
/// # use tower_bearer::Origins;
/// let url = http::Uri::from_static("https://api.example.com");
/// Origins::new(url);
/// ```
///
/// ```
/// # use tower_bearer::Origins;
/// let url = http::Uri::from_static("https://api.example.com");
/// Origins::new(url.to_string())?;
/// # Ok::<_, tower_bearer::InvalidUrl>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an origin nor a list of origins",
    note = "write one origin as `\"https://host\"`, and several as an array, a `Vec` or an iterator of strings"
)]
pub trait IntoOrigins<const IS_LIST: bool>: sealed::Sealed<IS_LIST> {}

impl<T: AsRef<str>> IntoOrigins<false> for T {}

impl<I> IntoOrigins<true> for I
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
}

pub(super) mod sealed {
    use super::InvalidUrl;

    // The parameter keeps the two implementations apart.
    #[expect(unnameable_types, reason = "it seals `IntoOrigins`")]
    pub trait Sealed<const IS_LIST: bool> {
        fn try_each(
            self,
            take: &mut dyn FnMut(&str) -> Result<(), InvalidUrl>,
        ) -> Result<(), InvalidUrl>;
    }

    impl<T: AsRef<str>> Sealed<false> for T {
        fn try_each(
            self,
            take: &mut dyn FnMut(&str) -> Result<(), InvalidUrl>,
        ) -> Result<(), InvalidUrl> {
            take(self.as_ref())
        }
    }

    impl<I> Sealed<true> for I
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        fn try_each(
            self,
            take: &mut dyn FnMut(&str) -> Result<(), InvalidUrl>,
        ) -> Result<(), InvalidUrl> {
            self.into_iter()
                .try_for_each(|origin| take(origin.as_ref()))
        }
    }
}

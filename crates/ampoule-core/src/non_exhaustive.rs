//! A field that lets a struct of options grow.

/// A field that a struct literal can only take from `..default()`.
///
/// A struct with `#[non_exhaustive]` could not be written as a literal at all. This field forces a literal to end with
/// `..Options::default()`, so that a new option breaks no program.
///
/// ```compile_fail,E0063
/// # use ampoule_core::internal::NonExhaustive;
/// pub struct Options {
///     pub limit: usize,
///     #[doc(hidden)]
///     pub __non_exhaustive: NonExhaustive,
/// }
///
/// let options = Options { limit: 1 };
/// ```
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NonExhaustive(());

impl NonExhaustive {
    /// The value for the `Default` of a struct of options.
    pub const NEW: NonExhaustive = NonExhaustive(());
}

impl std::fmt::Debug for NonExhaustive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

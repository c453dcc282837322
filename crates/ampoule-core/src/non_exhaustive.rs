//! Room in a struct of options for options to come.

/// A field that a literal takes from `..default()` alone.
///
/// With `#[non_exhaustive]` a struct could not be written as a literal at all; with this field one needs its
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
    /// For the `Default` of a struct of options.
    pub const NEW: NonExhaustive = NonExhaustive(());
}

impl std::fmt::Debug for NonExhaustive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

//! Filters that do nothing here, for files that name them.

use crate::app::{App, Filter};
use crate::conf::Conf;
use crate::error::Faults;

/// The factory of such a filter, which warns and gives the reason. It does not check the filter's options.
pub(crate) fn factory(name: &str, reason: &str) -> impl Fn(&Conf) -> Result<Filter, Faults> + Send + Sync + 'static {
    let message = format!("{name}: ignored: {reason}");
    move |conf| {
        let named = conf.factory.as_ref();
        conf.warn(named.map_or_else(|| conf.missing("use", &message), |named| named.fault(&message)));
        Ok(Box::new(|inner: App| inner))
    }
}

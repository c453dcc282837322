//! Replaces `%(name)s` and `%%` in values.

/// The depth to which Python's ConfigParser follows references.
const MAX_DEPTH: usize = 10;

/// Replaces every `%(name)s` by the value that `lookup` returns, recursively, and every `%%` by `%`.
///
/// # Errors
/// What was expected, for an unknown name, a lone `%`, or values that contain each other. The message never contains
/// the value: the likely cause is a secret with a `%` in it.
pub(crate) fn interpolate(value: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    to_depth(value, lookup, 0)
}

/// Escapes a text so that [`interpolate`] returns it unchanged.
pub(crate) fn escape(text: &str) -> String {
    text.replace('%', "%%")
}

fn to_depth(value: &str, lookup: &dyn Fn(&str) -> Option<String>, depth: usize) -> Result<String, String> {
    if depth > MAX_DEPTH {
        return Err(format!("its `%(name)s` references are nested more than {MAX_DEPTH} deep, or form a cycle"));
    }
    let mut result = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('%') {
        result.push_str(before);
        rest = if let Some(after) = after.strip_prefix('%') {
            result.push('%');
            after
        } else {
            let reference = after.strip_prefix('(').and_then(|after| after.split_once(")s"));
            let (name, after) = reference.ok_or("expected `%(name)s`, or `%%` for a percent sign, after a `%`")?;
            let found = lookup(name).ok_or_else(|| format!("there is no option `{name}` for `%({name})s`"))?;
            result.push_str(&to_depth(&found, lookup, depth + 1)?);
            after
        };
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            "here" => Some("/srv".to_owned()),
            "data" => Some("%(here)s/data".to_owned()),
            "loop" => Some("%(loop)s".to_owned()),
            _ => None,
        };
        interpolate(value, &lookup)
    }

    #[test]
    fn names_and_percent_signs_are_replaced() {
        assert_eq!(read("%(data)s/x %%(here)s 100%%").as_deref(), Ok("/srv/data/x %(here)s 100%"));
        assert_eq!(read("").as_deref(), Ok(""));
        assert_eq!(read(&escape("100% %(here)s")).as_deref(), Ok("100% %(here)s"));
    }

    #[test]
    fn errors_do_not_contain_the_value() {
        const LONE: &str = "expected `%(name)s`, or `%%` for a percent sign, after a `%`";
        assert_eq!(read("%(nope)s").unwrap_err(), "there is no option `nope` for `%(nope)s`");
        for value in ["hush%", "100%hush", "%(here)", "%s", "%(here)d"] {
            assert_eq!(read(value).unwrap_err(), LONE, "{value}");
        }
        assert_eq!(
            read("hush %(loop)s").unwrap_err(),
            "its `%(name)s` references are nested more than 10 deep, or form a cycle"
        );
    }
}

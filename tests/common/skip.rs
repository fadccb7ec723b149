//! What happens when something that a test needs is not there.

use std::io::Write;

/// `found`, or a loud line and `None`: the test cannot say anything.
///
/// # Panics
/// Instead of skipping, when `KDUMPCONV_REQUIRE_PEERS=1`.
pub(crate) fn or_skip<T>(found: Result<T, String>) -> Option<T> {
    let why = match found {
        Ok(found) => return Some(found),
        Err(why) => why,
    };
    let required = std::env::var_os("KDUMPCONV_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!required, "KDUMPCONV_REQUIRE_PEERS=1, but {why}");
    let thread = std::thread::current();
    let line = format!("SKIPPED: {} because {why}\n", thread.name().unwrap_or("a test"));
    // Not eprintln: the test harness would swallow it.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

/// Evaluates to what is needed, or ends the test as skipped.
macro_rules! need {
    ($found:expr) => {
        match $crate::skip::or_skip($found) {
            Some(found) => found,
            None => return,
        }
    };
}
pub(crate) use need;

//! Skips tests that need something which is missing.

use std::io::Write;

/// Returns `found`, or prints that the test is skipped and returns `None`.
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
    // Not eprintln: the test harness would capture it.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

/// Evaluates to the value, or returns from the test as skipped.
macro_rules! need {
    ($found:expr) => {
        match $crate::skip::or_skip($found) {
            Some(found) => found,
            None => return,
        }
    };
}
pub(crate) use need;

//! Whether a dump found no room, so that a smaller one may.

use std::io::{self, ErrorKind};

use kdumpconv::report::Reason;
use kdumpconv::{Error, Report};

/// Whether the output was full, or the size allowed.
pub(super) fn was_lacking(converted: &kdumpconv::Result<Report>) -> bool {
    match converted {
        Ok(report) => report.reasons.iter().any(|reason| match reason {
            Reason::MaxSize { .. } => true,
            Reason::Output(error) => is_full(error),
            _ => false,
        }),
        Err(Error::TooLarge { .. }) => true,
        Err(Error::Write { source, .. }) => is_full(source),
        Err(_) => false,
    }
}

fn is_full(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match (error.kind(), inner) {
        (ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge, _) => true,
        (_, Some(Error::Write { source, .. })) => is_full(source),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_known_by_itself_and_within_another_error() {
        let full = || io::Error::from_raw_os_error(28); // ENOSPC
        assert!(is_full(&full()));
        assert!(is_full(&io::Error::other(Error::Write { what: "x".to_owned(), source: full() })));
        assert!(!is_full(&io::Error::from_raw_os_error(5))); // EIO
        assert!(was_lacking(&Err(Error::TooLarge { needed: 2, limit: 1 })));
        assert!(!was_lacking(&Err(Error::NotRecognised(String::new()))));
    }
}

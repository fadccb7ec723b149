//! What the reports on written dumps share.

use kdumpconv::PageCounts;
use serde::Serialize;

use super::number::Count;

/// A page that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) struct UnreadablePage {
    /// Its page frame number.
    pfn: Count,
    /// Why it could not be read.
    why: String,
}

impl UnreadablePage {
    /// The first page that could not be read.
    pub(crate) fn first_of(pages: &PageCounts) -> Option<Self> {
        let (pfn, why) = pages.first_unreadable.as_ref()?;
        Some(UnreadablePage { pfn: (*pfn).into(), why: why.clone() })
    }
}

/// Reasons or warnings as reports have them.
pub(crate) fn texts<T: ToString>(list: impl IntoIterator<Item = T>) -> Vec<String> {
    list.into_iter().map(|text| text.to_string()).collect()
}

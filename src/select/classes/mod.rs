//! One dump-level class a file: what a struct page must say to belong to it.

pub(super) mod cache;
pub(super) mod free;
pub(super) mod hwpoison;
pub(super) mod offline;
pub(super) mod user;

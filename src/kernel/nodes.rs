//! NUMA nodes.
use crate::kernel::translate::{Kernel, Translator};
/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// First.
    pub start_pfn: u64,
    /// Spanned.
    pub spanned_pages: u64,
    /// `node_mem_map`.
    pub mem_map: Option<u64>,
    /// Free pages.
    pub free_pages: Option<u64>,
}
/// Stub.
pub fn nodes(_kernel: &Kernel<'_>, _translator: &Translator<'_>) -> Result<Vec<Node>, String> {
    Err("not there yet".to_owned())
}

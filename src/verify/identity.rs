//! Whether a dump and its source are of one crash of one kernel: if not, each of their pages differs,
//! and that would be all that a comparison finds.

use crate::dump::Dump;
use crate::error::{Error, Result};

/// What identifies a kernel and its crash in VMCOREINFO: its release and build, where it was loaded
/// at random, when it crashed.
const KEYS: [&str; 4] = ["OSRELEASE", "BUILD-ID", "KERNELOFFSET", "CRASHTIME"];

/// Fewer differences in all values together may be one damaged byte.
const MIN_DIFFERING_CHARACTERS: usize = 2;

/// Compares what identifies the crashes. What one of the two lacks does not count; so two dumps of one
/// live system, which is the same kernel at two moments, pass.
///
/// # Errors
/// [`Error::DifferentCrash`].
pub(super) fn check(dump: &Dump, source: &Dump) -> Result<()> {
    let (Some(ours), Some(theirs)) = (dump.vmcoreinfo(), source.vmcoreinfo()) else {
        return Ok(());
    };
    let pairs = KEYS.iter().filter_map(|key| Some((key, ours.get(key)?, theirs.get(key)?)));
    let differing: Vec<_> = pairs.filter(|(_, ours, theirs)| ours != theirs).collect();
    let characters =
        differing.iter().map(|(_, ours, theirs)| differing_characters(ours, theirs)).sum::<usize>();
    if characters < MIN_DIFFERING_CHARACTERS {
        return Ok(());
    }
    let texts = differing.iter().map(|(key, ours, theirs)| differs(key, ours, theirs));
    let mut differences: Vec<String> = texts.collect();
    if dump.arch() != source.arch() {
        let (ours, theirs) = (dump.arch(), source.arch());
        differences.push(differs("the architecture", &ours.to_string(), &theirs.to_string()));
    }
    if dump.page_size() != source.page_size() {
        let (ours, theirs) = (dump.page_size(), source.page_size());
        differences.push(differs("the page size", &ours.to_string(), &theirs.to_string()));
    }
    Err(Error::DifferentCrash { differences: differences.join("; ") })
}

fn differs(what: &str, ours: &str, theirs: &str) -> String {
    format!("{what} is {ours}, but {theirs} in the source")
}

/// The number of characters that differ. A part of a value that is cut off or added at one end is one:
/// the byte that became a line feed, or is no longer one.
fn differing_characters(a: &str, b: &str) -> usize {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    if long.starts_with(short) || long.ends_with(short) {
        return 1;
    }
    let equal = a.chars().zip(b.chars()).filter(|(a, b)| a == b).count();
    a.chars().count().max(b.chars().count()) - equal
}

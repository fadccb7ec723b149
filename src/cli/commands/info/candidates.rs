//! The texts in memory that look like a VMCOREINFO, one a line.

use kdumpconv::summary::Summary;
use kdumpconv::{Proof, Vmcoreinfo, VmcoreinfoCandidates, VmcoreinfoFound};

use crate::cli::ui::messages::printable;
use crate::cli::ui::sizes::count;

/// A line for each.
pub(super) fn lines(found: &VmcoreinfoCandidates, summary: &Summary) -> Vec<String> {
    let taken = summary.vmcoreinfo.as_deref();
    let mut lines: Vec<String> = found.list.iter().map(|found| line(found, taken)).collect();
    match found.more {
        0 if lines.is_empty() => lines.push("none".to_owned()),
        0 => {}
        more => lines.push(format!("and {}", count(more, "more text"))),
    }
    lines
}

fn line(found: &VmcoreinfoFound, taken: Option<&[u8]>) -> String {
    let info = Vmcoreinfo::parse(&found.text);
    let release = info.get("OSRELEASE").unwrap_or("(no release)");
    let proof = match &found.proof {
        Proof::Proved => "proved".to_owned(),
        Proof::Contradicted(why) => format!("contradicted: {why}"),
        Proof::Unprovable(why) => format!("not proved: {why}"),
    };
    let mark = if taken == Some(found.text.as_slice()) { ", taken" } else { "" };
    printable(&format!("pfn {:#x}: {release}{mark}, {proof}", found.pfn))
}

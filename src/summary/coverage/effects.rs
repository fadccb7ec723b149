//! What debuggers fail at if parts of memory are missing.
//!
//! Source: crash 8.0.2 and 9.0.2 and drgn 0.3.0 on cores of Linux 5.10, 6.1 and 7.3 of which these
//! parts were missing, alone and together, as a whole and in part.

use super::{Coverage, Part, Share};
use crate::summary::Remark;

/// What crash reads before its prompt: the sections of memory, per-CPU areas, every task, and the
/// functions on stacks.
const OF_CRASH: [Part; 8] = [
    Part::PageTables,
    Part::Reserved,
    Part::Data,
    Part::Rodata,
    Part::Tasks,
    Part::Text,
    Part::Slab,
    Part::OtherKernel,
];

/// What drgn reads before anything else. Code and constants come from debug information.
const FIRST_OF_DRGN: [Part; 2] = [Part::PageTables, Part::Data];

/// What drgn reads to list tasks and their stacks.
const TASKS_OF_DRGN: [Part; 3] = [Part::Tasks, Part::Slab, Part::OtherKernel];

impl Coverage {
    /// What debuggers fail at, because pages are missing that the dump level does not exclude.
    #[must_use]
    pub fn effects(&self) -> Vec<Remark> {
        let mut effects = Vec::new();
        let mut add = |id, text: String| effects.push(Remark { id, text });
        let missing = |parts: &[Part]| -> Vec<(Part, Share)> {
            self.incomplete_parts().filter(|(part, _)| parts.contains(part)).collect()
        };
        let of_crash = missing(&OF_CRASH);
        let is_hopeless = of_crash.iter().any(|(_, share)| share.is_absent());
        if !of_crash.is_empty() {
            let fails =
                if is_hopeless { "does not start" } else { "may not start, or may lack tasks" };
            add("crash-fails", format!("crash {fails}: {}", missing_text(&of_crash)));
        }
        let (first, tasks) = (missing(&FIRST_OF_DRGN), missing(&TASKS_OF_DRGN));
        if !first.is_empty() {
            add("drgn-fails", format!("drgn may find nothing: {}", missing_text(&first)));
        } else if !tasks.is_empty() {
            let why = missing_text(&tasks);
            add("drgn-fails", format!("drgn may lack tasks and stacks, not the log: {why}"));
        }
        let unknown = self.share(Part::Unknown).missing();
        if self.is_kernel_complete().is_none() {
            let pages = match unknown {
                1 => "the missing page whose class is unknown is the kernel's".to_owned(),
                _ => format!(
                    "some of the {unknown} missing pages whose class is unknown are the kernel's"
                ),
            };
            add(
                "kernel-unknown",
                format!("crash may not start, and crash and drgn may lack tasks, if {pages}"),
            );
        }
        if is_hopeless {
            return effects;
        }
        let structs = missing(&[Part::StructPages]);
        if !structs.is_empty() {
            let why = missing_text(&structs);
            add(
                "struct-pages-missing",
                format!(
                    "crash: kmem -f stops, kmem -s warns, kmem -p (up to crash 8 also kmem -i) shows zeros without an error: {why}"
                ),
            );
        }
        let user = missing(&[Part::User]);
        if !user.is_empty() {
            let why = missing_text(&user);
            add("user-missing", format!("crash: ps -a and rd -u fail for some addresses: {why}"));
        }
        let cache = missing(&[Part::PrivateCache, Part::Cache]);
        if !cache.is_empty() {
            let why = missing_text(&cache);
            add(
                "cache-missing",
                format!("contents of files cannot be read, also of programs: {why}"),
            );
        }
        effects
    }
}

/// Such as "all text and 40 % of slabs missing".
fn missing_text(parts: &[(Part, Share)]) -> String {
    let share = |(part, share): &(Part, Share)| {
        if share.is_absent() {
            format!("all {part}")
        } else {
            format!("{} % of {part}", share.percent_of(share.missing()))
        }
    };
    let shares: Vec<String> = parts.iter().map(share).collect();
    let list = match shares.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => shares.concat(),
    };
    format!("{list} missing")
}

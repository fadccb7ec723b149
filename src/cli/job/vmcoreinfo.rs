//! The VMCOREINFO that a dump is read by: its own, that of a file, or one that was found in memory.
//! Each is compared with the memory, before anything is done with the dump.

use std::path::Path;

use anyhow::Context;
use kdumpconv::{
    Dump, Error, OpenOptions, Pfn, Progress, Proof, SearchScope, Stage, Vmcoreinfo,
    VmcoreinfoCandidates, VmcoreinfoFound, find_vmcoreinfo,
};

use super::Job;
use crate::cli::args::shared_args::DumpArgs;
use crate::cli::ui::messages::printable;
use crate::cli::ui::progress::stage_name;
use crate::cli::ui::sizes::count;

impl Job {
    /// Proves the VMCOREINFO of `dump`, which was opened with `options`, or opens it again with a
    /// better one. Returns what was found in memory, if that was searched.
    pub(super) fn settle_vmcoreinfo(
        &self,
        dump: Dump,
        options: OpenOptions,
        args: &DumpArgs,
        all: bool,
    ) -> anyhow::Result<(Dump, Option<VmcoreinfoCandidates>)> {
        let opening = &args.opening;
        let (mut dump, candidates) = match (&opening.vmcoreinfo, opening.find_vmcoreinfo) {
            (Some(file), _) => (self.prove_given(dump, options, file, args)?, None),
            (None, Some(chosen)) => self.find(dump, options, args, chosen, all)?,
            // Kernels before 4.19 have no note of it in /proc/kcore.
            (None, None) if dump.is_live() && dump.vmcoreinfo().is_none() => {
                self.find(dump, options, args, None, all)?
            }
            (None, None) => (dump, None),
        };
        dump.check_vmcoreinfo().with_context(|| args.input.name())?;
        Ok((dump, candidates))
    }

    /// Refuses the VMCOREINFO of `file` if memory contradicts it; relocates it if it is one of a
    /// vmlinux.
    fn prove_given(
        &self,
        dump: Dump,
        mut options: OpenOptions,
        file: &Path,
        args: &DumpArgs,
    ) -> anyhow::Result<Dump> {
        let name = || args.input.name();
        let file = file.display();
        let proof = dump.vmcoreinfo_proof().with_context(name)?;
        let Some(why) = proof.as_ref().and_then(Proof::why_not) else { return Ok(dump) };
        if let Some(relocated) = dump.relocated_vmcoreinfo().with_context(name)? {
            self.messages.note(&format!(
                "VMCOREINFO of {file} has the addresses of the vmlinux: relocated by {:#x}",
                relocated.offset
            ));
            options.vmcoreinfo = Some(relocated.text);
            return dump.reopen(&options).with_context(name);
        }
        let hint = if dump.vmcoreinfo().is_some_and(Vmcoreinfo::lacks_kernel_offset) {
            "; it has no KERNELOFFSET, like one that was made from a vmlinux (makedumpfile -g): its addresses are not those of a kernel that was loaded elsewhere"
        } else {
            ""
        };
        if let Some(Proof::Contradicted(why)) = proof {
            let why = printable(&format!("{why}{hint}"));
            return Err(Error::OtherVmcoreinfo { why }).with_context(|| file.to_string());
        }
        self.messages.note(&printable(&format!("VMCOREINFO of {file} is not proved: {why}{hint}")));
        Ok(dump)
    }

    /// Searches the memory of `dump` for VMCOREINFO, unless its own is proved, and opens it again with
    /// what was found or `chosen`.
    fn find(
        &self,
        dump: Dump,
        mut options: OpenOptions,
        args: &DumpArgs,
        chosen: Option<Pfn>,
        all: bool,
    ) -> anyhow::Result<(Dump, Option<VmcoreinfoCandidates>)> {
        let name = || args.input.name();
        let own = dump.vmcoreinfo_proof().with_context(name)?;
        if own.as_ref().is_some_and(Proof::is_proved) && chosen.is_none() {
            self.messages.note("memory proves the dump's own VMCOREINFO: it is taken");
            let candidates =
                all.then(|| self.search(&dump, SearchScope::All)).transpose().with_context(name)?;
            return Ok((dump, candidates));
        }
        let scope = if all { SearchScope::All } else { SearchScope::FirstProved };
        let (candidates, taken) = match chosen {
            Some(pfn) => {
                let of_page = self.search(&dump, SearchScope::Page(pfn)).with_context(name)?;
                let none = || Error::NotRecognised(format!("no VMCOREINFO begins in pfn {pfn:#x}"));
                let taken = of_page.list.first().cloned().ok_or_else(none).with_context(name)?;
                let listed = all.then(|| self.search(&dump, scope)).transpose();
                (listed.with_context(name)?.unwrap_or(of_page), Some(taken))
            }
            None => {
                let found = self.search(&dump, scope).with_context(name)?;
                // Without a proof, the dump's own is as good as one that was found.
                let is_better = |found: &&VmcoreinfoFound| {
                    found.proof.is_proved() || own.as_ref().is_none_or(Proof::is_contradicted)
                };
                let taken = found.best().filter(is_better).cloned();
                (found, taken)
            }
        };
        self.refuse_after_signal()?;
        let Some(taken) = taken else {
            self.messages.warn(&[nothing_taken(&candidates)]);
            return Ok((dump, Some(candidates)));
        };
        self.messages.note(&printable(&found_text(&taken)));
        options.vmcoreinfo = Some(taken.text);
        Ok((dump.reopen(&options).with_context(name)?, Some(candidates)))
    }

    fn search(&self, dump: &Dump, scope: SearchScope) -> kdumpconv::Result<VmcoreinfoCandidates> {
        self.with_progress(
            stage_name(Stage::Searching),
            |show: &mut (dyn FnMut(Progress) + Send)| {
                find_vmcoreinfo(dump, scope, self.signals.stop(), show)
            },
        )
    }
}

fn found_text(taken: &VmcoreinfoFound) -> String {
    let doubt = match &taken.proof {
        Proof::Proved => String::new(),
        Proof::Contradicted(_) => ", although the memory contradicts it".to_owned(),
        Proof::Unprovable(why) => format!(", which is not proved: {why}"),
    };
    format!("found VMCOREINFO in pfn {:#x}{doubt}", taken.pfn)
}

/// Why no VMCOREINFO of memory is taken.
fn nothing_taken(candidates: &VmcoreinfoCandidates) -> String {
    let Some(first) = candidates.list.first() else {
        return "no page of this memory begins with VMCOREINFO".to_owned();
    };
    let others = candidates.list.len() as u64 - 1 + candidates.more;
    let others = match others {
        0 => String::new(),
        others => format!("; nor is any of {} (info -v lists them)", count(others, "more text")),
    };
    let why = first.proof.why_not().unwrap_or_default();
    format!("VMCOREINFO in pfn {:#x} is not taken: {why}{others}", first.pfn)
}

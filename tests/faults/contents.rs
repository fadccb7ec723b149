//! Judges what is in a file that a run left: whether its pages are right, and whether it says that
//! it is incomplete.

use std::io::{self, Read};
use std::sync::Arc;

use kdumpconv::Codec;
use kdumpconv::ReadAt;
use kdumpconv::{Dump, OpenOptions};
use kdumpconv::{FindingKind, Severity, verify};
use support::flattened::{SIGNATURE, unflatten};
use support::image::Image;
use support::kdump::{Kdump, Strictness};

use crate::cases::{Case, Made};
use crate::common::{core_of, only_right_pages, options, rearrange};
use crate::order;

/// The plain kdump file, also where a flattened stream was written. Of one that breaks off, it is what
/// `unflatten` makes of it.
pub fn plain(case: &Case, bytes: &[u8]) -> Result<Vec<u8>, String> {
    if !bytes.starts_with(SIGNATURE) || case.made != Made::Kdump {
        return Ok(bytes.to_vec());
    }
    unflatten(bytes).or_else(|_| {
        let (file, _) = rearrange::file(bytes).map_err(|error| error.to_string())?;
        Ok(file)
    })
}

/// The core, which is large and often needed.
struct Shared(Arc<Vec<u8>>);

impl ReadAt for Shared {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = usize::try_from(offset).unwrap().min(self.0.len());
        (&self.0[at..]).read(buf)
    }

    fn size(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

fn found(case: &Case, plain: &[u8]) -> Result<(bool, kdumpconv::Findings), String> {
    let chain =
        |error: kdumpconv::Error| format!("{error}: {:?}", std::error::Error::source(&error));
    let dump = core_of(plain.to_vec()).map_err(chain)?;
    let input = Box::new(Shared(Arc::clone(&case.core)));
    let source = Dump::open(input, &OpenOptions::default()).unwrap();
    let findings = verify(&dump, Some(&source), &kdumpconv::VerifyOptions::default(), &mut |_| ());
    Ok((dump.is_incomplete(), findings.map_err(chain)?))
}

pub fn is_whole(case: &Case, plain: &[u8]) -> Result<(), String> {
    let (incomplete, findings) = found(case, plain)?;
    if incomplete || findings.severity() > Some(Severity::Remark) {
        return Err(format!("what an undisturbed run makes is not whole: {findings:?}"));
    }
    Ok(())
}

/// A rearranged stream of another writer need not follow our own rules.
pub fn open(case: &Case, plain: &[u8]) -> Result<Kdump, String> {
    let is_ours = case.arguments[0] != "unflatten";
    let strictness = if is_ours { Strictness::Again } else { Strictness::Lenient };
    Kdump::open(Image::from_bytes(plain)?, strictness)
}

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Whole,
    /// Complete, but not for the dump level that was asked for.
    Reduced,
    Incomplete,
}

/// What a kept file says of itself.
pub fn mark(case: &Case, expected: &[u8], bytes: &[u8]) -> Result<Mark, String> {
    if bytes == expected {
        return Ok(Mark::Whole);
    }
    let is_reduced = case.made == Made::Kdump && !open(case, &plain(case, bytes)?)?.is_incomplete();
    Ok(if is_reduced { Mark::Reduced } else { Mark::Incomplete })
}

/// Checks that a kept file has only right pages, and all that its header promises.
pub fn is_sound(case: &Case, expected: &[u8], bytes: &[u8]) -> Result<(), String> {
    if bytes == expected {
        return Ok(());
    }
    let plain = plain(case, bytes)?;
    if case.made == Made::Kdump {
        let kdump = open(case, &plain)?;
        only_right_pages(&case.model, &kdump)?;
        if !kdump.is_incomplete() {
            return is_reduced(case, &kdump, &plain);
        }
    }
    if case.made == Made::Elf {
        return elf_is_sound(case, &plain);
    }
    let (incomplete, findings) = found(case, &plain)?;
    match damage(&findings, incomplete) {
        Some(what) => Err(format!("verify finds damage: {what}")),
        _ if case.made == Made::Kdump && !incomplete => Err("verify calls it complete".to_owned()),
        _ => Ok(()),
    }
}

/// Checks that a file that ended early has the pages that were written first.
pub fn has_first_pages(case: &Case, expected: &[u8], bytes: &[u8]) -> Result<(), String> {
    if case.made != Made::Kdump {
        return Ok(());
    }
    let opened = |bytes| plain(case, bytes).and_then(|plain| open(case, &plain));
    order::is_beginning(&opened(bytes)?, &opened(expected)?)
}

/// Checks that nothing is missing of a dump that is complete for a higher level than was asked for.
fn is_reduced(case: &Case, kdump: &Kdump, plain: &[u8]) -> Result<(), String> {
    let level = kdump.header.dump_level as u32;
    let options = options(Codec::Raw, level, 1);
    let source = core_of(case.core.to_vec()).unwrap();
    let whole = crate::common::plain(&source, &options).unwrap().0;
    let wanted = open(case, &whole)?.dumped;
    if let Some(pfn) = wanted.first_outside(&kdump.dumped) {
        return Err(format!("it claims dump level {level}, and pfn {pfn:#x} is missing"));
    }
    is_whole(case, plain)
}

fn elf_is_sound(case: &Case, bytes: &[u8]) -> Result<(), String> {
    let Ok((_, findings)) = found(case, bytes) else { return Ok(()) };
    // Missing pages are memory without data; an ELF file has no field that says so.
    let is_wrong = |kind: FindingKind| {
        !matches!(
            kind,
            FindingKind::Unreadable
                | FindingKind::Missing
                | FindingKind::Notes
                | FindingKind::NotesDiffer
        )
    };
    let mut wrong = findings.groups().filter(|(kind, _)| is_wrong(*kind));
    match wrong.find(|(kind, _)| kind.severity() == Severity::Damage) {
        Some(wrong) => Err(format!("verify finds damage: {wrong:?}")),
        None => Ok(()),
    }
}

/// Damage that the dump's headers cannot express: zeros replace unreadable notes.
fn damage(findings: &kdumpconv::Findings, incomplete: bool) -> Option<String> {
    let known = |kind: FindingKind| {
        incomplete
            && matches!(kind, FindingKind::Notes | FindingKind::NotesDiffer | FindingKind::Header)
    };
    let mut damage = findings.groups().filter(|(kind, _)| !known(*kind));
    let found = damage.find(|(kind, _)| kind.severity() == Severity::Damage);
    found.map(|found| format!("{found:?}"))
}

pub fn is_recognised(case: &Case, bytes: &[u8]) -> bool {
    plain(case, bytes).is_ok_and(|plain| core_of(plain).is_ok())
}

/// The same as [`is_sound`] as far as readers come.
pub fn is_sound_or_unfinished(case: &Case, expected: &[u8], bytes: &[u8]) -> Result<(), String> {
    if bytes == expected {
        return Ok(());
    }
    let plain = plain(case, bytes)?;
    let dump = core_of(plain.clone()).map_err(|error| error.to_string())?;
    if case.made == Made::Kdump && !dump.is_incomplete() {
        return Err("it does not say that it is incomplete".to_owned());
    }
    match open(case, &plain) {
        Ok(kdump) => only_right_pages(&case.model, &kdump),
        Err(_) => Ok(()),
    }
}

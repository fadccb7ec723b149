//! The crashed kernel's utsname: from its memory, else made from what the dump says.

use crate::format::elf::Segment;
use crate::format::kdump::NewUtsname;
use crate::format::wire::ByteOrder;
use crate::kernel::arch::Architecture;
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PhysAddr, Position, VirtAddr};

const UNKNOWN: &str = "unknown";

/// A release that libkdumpfile can parse; without numbers it refuses to translate addresses.
const UNKNOWN_RELEASE: &str = "0.0.0-unknown";

/// The name in its struct.
const NAME: &str = "uts_namespace.name";

/// Offsets of the name in `struct uts_namespace` where VMCOREINFO has none, as before 5.11
/// (ca4a9241cc5e): the name followed a reference count of 4 bytes. Since the same release
/// (9a56493f6942) it comes first.
const USUAL_OFFSETS: [u64; 2] = [4, 0];

/// Virtual addresses that `init_uts_ns.name` may have: one if VMCOREINFO has its offset, none without
/// `SYMBOL(init_uts_ns)`. The caller must [recognise](recognise) the name there.
#[must_use]
pub(crate) fn addresses(info: &Vmcoreinfo) -> Vec<VirtAddr> {
    let Some(namespace) = info.symbol("init_uts_ns") else { return Vec::new() };
    let known = info.offset(NAME).map(|offset| vec![offset]);
    let offsets = known.unwrap_or_else(|| USUAL_OFFSETS.to_vec());
    offsets.into_iter().filter_map(|offset| namespace.checked_add(offset)).collect()
}

/// Whether VMCOREINFO has the offset of the name in `struct uts_namespace`.
#[must_use]
pub(crate) fn has_offset(info: &Vmcoreinfo) -> bool {
    info.offset(NAME).is_some()
}

/// Physical addresses that `init_uts_ns.name` may have; none if VMCOREINFO does not have it.
#[must_use]
pub(crate) fn candidates(
    arch: Architecture,
    info: &Vmcoreinfo,
    phys_base: u64,
    segments: &[Segment],
) -> Vec<PhysAddr> {
    let places = |vaddr| arch.image_addresses(vaddr, info, phys_base, segments);
    addresses(info).into_iter().flat_map(places).collect()
}

/// The utsname that memory has at the first of its [candidates] that is one.
#[must_use]
pub(crate) fn in_memory(
    arch: Architecture,
    info: &Vmcoreinfo,
    phys_base: u64,
    segments: &[Segment],
    memory: &dyn PhysicalMemory,
) -> Option<NewUtsname> {
    candidates(arch, info, phys_base, segments).into_iter().find_map(|paddr| {
        let mut bytes = [0; NewUtsname::BYTES];
        memory.read_physical(paddr, &mut bytes).ok()?;
        recognise(&bytes, info)
    })
}

/// The utsname in the bytes at a candidate address, if they are one.
///
/// It must name Linux and the release of VMCOREINFO, and have a version and a machine: the bytes at a
/// wrong address do not.
#[must_use]
pub(crate) fn recognise(bytes: &[u8], info: &Vmcoreinfo) -> Option<NewUtsname> {
    let name = NewUtsname::parse(bytes)?;
    let plausible = name.sysname == "Linux"
        && Some(name.release.as_str()) == info.get("OSRELEASE")
        && !name.release.is_empty()
        && !name.version.is_empty()
        && !name.machine.is_empty();
    plausible.then_some(name)
}

/// Whether a header's utsname is the kernel's own and has all that readers need. QEMU writes an empty
/// one, and [`fallback`] one that is better replaced.
#[must_use]
pub(crate) fn is_usable(name: &NewUtsname) -> bool {
    is_filled(name) && name.version != UNKNOWN
}

/// Whether libkdumpfile and drgn can identify the dump by it.
#[must_use]
pub(crate) fn is_filled(name: &NewUtsname) -> bool {
    name.sysname == "Linux"
        && [&name.release, &name.version, &name.machine].iter().all(|field| !field.is_empty())
}

/// A utsname for want of the kernel's own: release from `OSRELEASE=`, machine from the architecture.
///
/// No field that libkdumpfile requires is empty; the unknown ones are "unknown".
#[must_use]
pub(crate) fn fallback(
    arch: Architecture,
    order: ByteOrder,
    info: Option<&Vmcoreinfo>,
) -> NewUtsname {
    let release = info
        .and_then(|info| info.get("OSRELEASE"))
        .filter(|release| !release.is_empty() && release.bytes().all(|b| b.is_ascii_graphic()))
        .unwrap_or(UNKNOWN_RELEASE);
    NewUtsname {
        sysname: "Linux".to_owned(),
        release: release.to_owned(),
        version: UNKNOWN.to_owned(),
        machine: arch.uts_machine(order).to_owned(),
        ..NewUtsname::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(strings: [&str; 6]) -> Vec<u8> {
        strings
            .iter()
            .flat_map(|string| {
                let mut field = string.as_bytes().to_vec();
                field.resize(65, 0);
                field
            })
            .collect()
    }

    #[test]
    fn without_an_offset_the_name_may_follow_a_count_or_come_first() {
        let of = |text: &str| {
            let info = Vmcoreinfo::parse(text.as_bytes());
            addresses(&info).into_iter().map(VirtAddr::get).collect::<Vec<_>>()
        };
        assert_eq!(of("SYMBOL(init_uts_ns)=1000\n"), [0x1004, 0x1000]);
        assert_eq!(of("SYMBOL(init_uts_ns)=1000\nOFFSET(uts_namespace.name)=8\n"), [0x1008]);
        assert_eq!(of("SYMBOL(init_uts_ns)=ffffffffffffffff\n"), [u64::MAX]);
        assert!(of("OFFSET(uts_namespace.name)=8\n").is_empty());
    }

    #[test]
    fn only_a_utsname_of_vmcoreinfos_release_is_recognised() {
        let info = Vmcoreinfo::parse(b"OSRELEASE=6.1.0");
        let good = ["Linux", "box", "6.1.0", "#1", "x86_64", ""];
        assert_eq!(recognise(&bytes(good), &info).unwrap().version, "#1");
        for (field, wrong) in [(0, "Minix"), (2, "6.1.1"), (2, ""), (3, ""), (4, "")] {
            let mut strings = good;
            strings[field] = wrong;
            assert_eq!(recognise(&bytes(strings), &info), None, "{strings:?}");
        }
        assert_eq!(recognise(&bytes(good), &Vmcoreinfo::default()), None, "no OSRELEASE");
        assert_eq!(recognise(&[0; 390], &info), None);
    }
}

//! The crashed kernel's utsname: from its memory, else made from what the dump says.

use crate::format::elf::Segment;
use crate::format::kdump::NewUtsname;
use crate::format::wire::ByteOrder;
use crate::kernel::arch::Architecture;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PhysAddr, Position, VirtAddr};

const UNKNOWN: &str = "unknown";

/// A release that libkdumpfile can parse; without numbers it refuses to translate addresses.
const UNKNOWN_RELEASE: &str = "0.0.0-unknown";

/// The virtual address of `init_uts_ns.name`, if VMCOREINFO has it.
#[must_use]
pub(crate) fn address(info: &Vmcoreinfo) -> Option<VirtAddr> {
    let (namespace, name) = info.symbol("init_uts_ns").zip(info.offset("uts_namespace.name"))?;
    namespace.checked_add(name)
}

/// Physical addresses that `init_uts_ns.name` may have; none if VMCOREINFO does not have it.
#[must_use]
pub(crate) fn candidates(
    arch: Architecture,
    info: &Vmcoreinfo,
    phys_base: u64,
    segments: &[Segment],
) -> Vec<PhysAddr> {
    let Some(vaddr) = address(info) else { return Vec::new() };
    arch.image_addresses(vaddr, info, phys_base, segments)
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

//! Real kernels' own types say what their VMCOREINFO says: without what both have, the pages of each
//! class are the same; what is changed in VMCOREINFO is noticed.

use std::path::Path;

use support::mm::types::are_redundant;

use crate::product::{Folder, subcommand};
use crate::skip::need;
use crate::tools::run;
use crate::vmcores::{AARCH64, KEXEC};

/// The VMCOREINFO among a vmcore's notes.
fn vmcoreinfo(core: &Path) -> String {
    let bytes = std::fs::read(core).unwrap();
    let name = b"VMCOREINFO\0";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    let text = at + name.len().next_multiple_of(4);
    let desc_bytes = u32::from_le_bytes(bytes[at - 8..at - 4].try_into().unwrap());
    let end = text + usize::try_from(desc_bytes).unwrap();
    String::from_utf8(bytes[text..end].to_vec()).unwrap()
}

/// What is found of the classes of a vmcore with this VMCOREINFO: the table, the warnings.
fn census(core: &Path, folder: &Folder, info: &str) -> String {
    let text = folder.file("text");
    std::fs::write(&text, info).unwrap();
    let option = format!("--vmcoreinfo={}", text.display());
    let printed = run(subcommand("info").args(["--classes", &option]).arg(core)).succeeded();
    printed[printed.find("Classes ").unwrap()..].to_owned()
}

/// The table alone.
fn table(census: &str) -> &str {
    census.split("\n\n").next().unwrap().trim_end()
}

#[test]
fn real_kernels_types_have_what_vmcoreinfo_lacks() {
    for core in [KEXEC, AARCH64] {
        let core = need!(core.unpacked());
        let folder = Folder::new();
        let info = vmcoreinfo(&core);
        let whole = census(&core, &folder, &info);
        assert!(table(&whole).contains("private-cache"), "{whole}");
        let (redundant, needed): (Vec<&str>, Vec<&str>) =
            info.lines().partition(|line| are_redundant(line));
        assert!(redundant.len() > 25, "{redundant:?}");
        let bare = census(&core, &folder, &(needed.join("\n") + "\n"));
        assert_eq!(table(&bare), table(&whole));
    }
}

#[test]
fn real_kernels_types_contradict_a_wrong_vmcoreinfo() {
    for core in [KEXEC, AARCH64] {
        let core = need!(core.unpacked());
        let folder = Folder::new();
        let info = vmcoreinfo(&core);
        for (right, wrong, why) in [
            (
                "NUMBER(PG_swapbacked)=19",
                "NUMBER(PG_swapbacked)=18",
                "NUMBER(PG_swapbacked) is 18 in VMCOREINFO, but 19 by the kernel's types",
            ),
            (
                "OFFSET(page.mapping)=24",
                "OFFSET(page.mapping)=32",
                "OFFSET(page.mapping) is 32 in VMCOREINFO, but 24 by the kernel's types",
            ),
        ] {
            assert!(info.contains(right), "{right}");
            let found = census(&core, &folder, &info.replace(right, wrong));
            assert!(found.contains(why), "{found}");
        }
    }
}

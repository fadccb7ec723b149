//! User stacks are in a dump of level 31 that keeps them, where drgn finds them.

use crate::product::{Folder, kdumpconv, subcommand};
use crate::skip::need;
use crate::tools::{python, run};
use crate::vmcores::KEXEC;

/// The pages of the user stacks of x86_64-kexec, thread by thread: what drgn's `follow_phys()` says, with
/// the kernel's debug info, of the addresses from `pt_regs.sp` up to the end of its vma.
const STACKS: [&[u64]; 7] = [
    &[0x1640d, 0x163ff, 0x2917],
    &[0x39a3],
    &[0x563e, 0x1fdfa],
    &[0x556b, 0x5634],
    &[0x2918, 0x542a],
    &[0x8005, 0x8001],
    &[0x5e2a, 0x1fd66],
];

/// Prints a checksum of each page that can be read.
const READ: &str = r#"
import sys, zlib, drgn
prog = drgn.Program()
prog.set_core_dump(sys.argv[1])
for pfn in sys.argv[2:]:
    try:
        page = prog.read(int(pfn) << 12, 4096, True)
        print("page", pfn, zlib.crc32(page))
    except drgn.FaultError:
        print("none", pfn)
"#;

#[test]
fn drgn_reads_user_stacks_of_a_dump_of_level_31_that_keeps_them() {
    let core = need!(KEXEC.unpacked());
    need!(python("drgn"));
    let folder = Folder::new();
    let pfns: Vec<String> = STACKS.concat().iter().map(u64::to_string).collect();
    let read = |dump| {
        let mut python = python("drgn").unwrap();
        let text = run(python.args(["-c", READ]).arg(dump).args(&pfns)).succeeded();
        let is_page = |line: &&str| line.starts_with("page ") || line.starts_with("none ");
        text.lines().filter(is_page).map(str::to_owned).collect::<Vec<_>>()
    };
    let whole = read(&core);
    assert!(whole.len() == 14 && whole.iter().all(|line| line.starts_with("page")), "{whole:?}");
    let plain = folder.convert(&core, "plain", &["-d", "31"]);
    assert!(read(&plain).iter().all(|line| line.starts_with("none")), "excluded");
    let kept = folder.convert(&core, "kept", &["-d", "31", "--keep", "user-stacks"]);
    assert_eq!(read(&kept), whole);
    // And no other page.
    let pages = |dump| {
        let text = run(subcommand("info").arg("--json").arg(dump)).succeeded();
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        report["pages"]["kept"].as_u64().unwrap()
    };
    assert_eq!(pages(&kept), pages(&plain) + 14);
    // Without some of them it is still a dump of that level.
    let most = std::fs::metadata(&kept).unwrap().len() - 3000;
    let options = ["-d", "31", "--keep", "user-stacks", "-L", &most.to_string()];
    let ran = run(kdumpconv().args(options).arg(&core).arg(folder.file("most")));
    ran.exited(4);
    ran.printed("complete for dump level 31, but not all pages for --keep: the size limit");
    run(subcommand("verify").arg(&kept).arg("--against").arg(&core)).exited(0);
}

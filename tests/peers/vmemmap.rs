//! Dumps without struct pages of pages that are not in them: crash works on them, and the source proves
//! that each missing page was to be excluded.

use crate::product::{Folder, kdumpconv, subcommand};
use crate::skip::need;
use crate::tools::{crash, crash_answers, json, run};
use crate::vmcores::{AARCH64, KEXEC, TINY, TINY_VMLINUX};

const LESS: [&str; 5] = ["-l", "-d", "31", "--exclude", "vmemmap"];

#[test]
fn crash_answers_as_on_the_dump_with_all_struct_pages() {
    let core = need!(TINY.unpacked());
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    need!(crash());
    let folder = Folder::new();
    let all = folder.convert(&core, "all", &["-l", "-d", "31"]);
    let less = folder.convert(&core, "less", &LESS);
    assert!(less.metadata().unwrap().len() < all.metadata().unwrap().len());
    let commands = "sys\nps\nlog\nbt -a\nbt 1\nfiles\nfiles 1\nvm\nvm 1\nmod\nkmem -s\nkmem -z\n";
    let expected = crash_answers(commands, &vmlinux, &[all], &folder);
    assert!(expected.iter().any(|line| line.contains("COMMAND: \"tiny-spin\"")));
    let answers = crash_answers(commands, &vmlinux, &[less], &folder);
    // crash warns when it starts, and names the kind of file.
    let new: Vec<&String> = answers.iter().filter(|line| !expected.contains(line)).collect();
    assert!(new.len() <= 5, "{new:#?}");
    let lost: Vec<&String> = expected.iter().filter(|line| !answers.contains(line)).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn each_missing_page_is_proven_by_the_source() {
    for core in [&KEXEC, &AARCH64, &TINY] {
        let core = need!(core.unpacked());
        let folder = Folder::new();
        let less = folder.convert(&core, "less", &LESS);
        let mut verify = subcommand("verify");
        verify.args(["--json", "--against"]).args([&core, &less]);
        let told = json(&run(&mut verify).succeeded());
        let pages = &told["comparison"];
        assert_eq!(pages["excluded_unproven"], 0, "{pages}");
        let mut convert = kdumpconv();
        let told = json(&run(convert.args(["-n", "--json"]).args(LESS).arg(&core)).succeeded());
        let vmemmap = &told["classes"]["by_class"]["vmemmap"];
        assert!(vmemmap["excluded"].as_u64() > Some(100), "{vmemmap}");
        assert_eq!(told["pages"]["excluded"], pages["excluded_proven"]);
    }
}

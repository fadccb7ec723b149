//! drgn reads our flattened file as it reads the vmcore: every page and the list of tasks. At dump
//! level 31 it still finds everything that the kernel has allocated.

use std::path::Path;

use crate::product::{CODECS, Folder};
use crate::skip::need;
use crate::tools::{python, run};
use crate::vmcores::{AARCH64, KEXEC, Packed, TINY, TINY_VMLINUX, shared};

/// Tasks with their open files, slab caches with the checksum of their objects, and mounts.
const ALLOCATED: &str = r#"
import sys, zlib, drgn
from drgn.helpers.linux.fs import for_each_file, for_each_mount, mount_dst
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.slab import for_each_slab_cache, slab_cache_for_each_allocated_object
prog = drgn.Program()
prog.set_core_dump(sys.argv[1])
prog.load_debug_info([sys.argv[2]])
for task in for_each_task(prog):
    files = [file.f_path.dentry.d_name.name.string_() for _, file in for_each_file(task)]
    print("task", task.pid.value_(), task.comm.string_(), files)
for cache in for_each_slab_cache(prog):
    size = cache.object_size.value_()
    objects = [prog.read(o, size) for o in slab_cache_for_each_allocated_object(cache, "char")]
    print("slab", cache.name.string_(), len(objects), zlib.crc32(b"".join(objects)))
for mount in for_each_mount(prog):
    print("mount", mount_dst(mount))
"#;

/// drgn must print `expected` for every codec.
fn every_codec(vmcore: &Packed, options: &[&str], vmlinux: Option<&Path>, expected: &[&str]) {
    let core = need!(vmcore.unpacked());
    let script = need!(shared("tools/drgn_compare.py"));
    need!(python("drgn"));
    let folder = Folder::new();
    for (codec, _) in CODECS {
        let kdump = folder.convert(&core, "kdump", &["-C", codec, "-F"]);
        let mut python = python("drgn").unwrap();
        let ran = run(python.arg(&script).args(options).arg(&core).arg(&kdump).args(vmlinux));
        ran.exited(0);
        for line in expected {
            ran.printed(line);
        }
    }
}

#[test]
fn drgn_finds_tiny_x86_64_and_its_tasks_in_the_flattened_file() {
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    // Without the two idle tasks: their pid is 0.
    let expected = ["16448 pages, 1 left out, 0 wrong", "42 tasks, same"];
    every_codec(&TINY, &["--excluded-ok"], Some(&vmlinux), &expected);
}

/// drgn counts the segment of the kernel text twice, here as in the vmcore.
#[test]
fn drgn_finds_x86_64_kexec_in_the_flattened_file() {
    every_codec(&KEXEC, &[], None, &["100264 pages, 0 left out, 0 wrong"]);
}

#[test]
fn drgn_finds_aarch64_in_the_flattened_file() {
    every_codec(&AARCH64, &[], None, &["65536 pages, 0 left out, 0 wrong"]);
}

#[test]
fn drgn_finds_all_that_the_kernel_has_allocated_at_dump_level_31() {
    let core = need!(TINY.unpacked());
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    need!(python("drgn"));
    let folder = Folder::new();
    let allocated = |dump: &Path| {
        let mut python = python("drgn").unwrap();
        let text = run(python.args(["-c", ALLOCATED]).arg(dump).arg(&vmlinux)).succeeded();
        // drgn advises to rearrange a flattened file.
        text.lines().filter(|line| !line.contains("flattened")).map(str::to_owned).collect()
    };
    let on_core: Vec<String> = allocated(&core);
    let count = |what: &str| on_core.iter().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("task "), count("slab "), count("mount ")), (42, 72, 5), "{on_core:#?}");
    let on_kdump: Vec<String> = allocated(&folder.convert(&core, "kdump", &["-d", "31", "-F"]));
    assert_eq!(on_kdump, on_core);
}

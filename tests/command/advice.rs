//! Errors lead to the next step: a file of another kind is named, and the commands in the advice
//! work.

use std::fs;

use crate::common::{noise, text, x86_64};
use crate::logged::{with_log, with_log_at};
use crate::process::{Folder, code, stderr};
use support::kdump::Kdump;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

fn builder() -> VmcoreBuilder {
    x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
        .load(Load::new(0x10_0000, [noise(1, 1 << 16), text(2, 1 << 16)].concat()))
}

/// A folder with a core in `vmcore`, and this kdumpconv in `bin`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("vmcore", &builder().build());
    fs::create_dir(folder.path("bin")).unwrap();
    let link = folder.path("bin/kdumpconv");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kdumpconv"), link).unwrap();
    folder
}

/// The commands between backticks.
fn commands(advice: &str) -> Vec<&str> {
    advice.split('`').skip(1).step_by(2).collect()
}

/// Runs a command of the advice as a user would.
fn follow(folder: &Folder, command: &str) {
    let output = folder.shell(&format!("set -e; PATH=$PWD/bin:$PATH; {command}"));
    assert_eq!(code(&output), 0, "{command}: {}", stderr(&output));
}

fn has_tool(folder: &Folder, tool: &str) -> bool {
    code(&folder.shell(&format!("command -v {tool}"))) == 0
}

#[test]
fn the_advice_for_a_packed_file_unpacks_it_whatever_its_name() {
    let folder = folder();
    let vmcore = folder.read("vmcore");
    for (tool, pack) in [("lzop", "lzop -c vmcore"), ("lzip", "lzip -c vmcore")] {
        if !has_tool(&folder, tool) {
            eprintln!("skipped: no {tool}");
            continue;
        }
        for name in ["packed", "my packed 'vmcore'", "-packed", "$(touch x)"] {
            let name_in_script = format!("./'{}'", name.replace('\'', "'\\''"));
            follow(&folder, &format!("{{ {pack}; }} > {name_in_script}"));
            let output = folder.run(&["info", "--", name]);
            let said = stderr(&output);
            assert_eq!(code(&output), 3, "{said}");
            let advice = commands(&said);
            assert_eq!(advice.len(), 2, "{pack}: {said}");
            advice.iter().for_each(|command| follow(&folder, command));
            assert!(folder.read("VMCORE") == vmcore, "{pack}");
            Kdump::from_bytes(&folder.read("OUTPUT")).unwrap();
            for file in ["VMCORE", "OUTPUT", name] {
                fs::remove_file(folder.path(file)).unwrap();
            }
            assert_eq!(folder.names(), ["bin", "vmcore"]);
        }
    }
}

/// Each kind by its first bytes, and a part of what is said about it.
const KINDS: &[(&str, usize, &[u8], &str, &str)] = &[
    (
        "guest.save",
        0,
        b"LibvirtQemudSave\x02\0\0\0\0\x10\0\0\0\0\0\0\x04\0\0\0",
        "a saved guest of libvirt, compressed with lzop",
        "`virsh restore guest.save`",
    ),
    (
        "channel",
        0,
        b"\x11\x22\x33\x44\0\0\0\x01",
        "a channel of a QEMU migration",
        "turn this capability off",
    ),
    ("g.sav", 0, b"\x7fVirtualBox SavedState V2.0", "of a VirtualBox guest", "VBoxManage debugvm"),
    ("g.xl", 0, b"Xen saved domain, xl format\n \0 \r", "a saved guest of Xen", "xl dump-core"),
    ("swap", 4086, b"S1SUSPEND\0", "a hibernation image", "resume the machine"),
    ("uswsusp", 4086, b"ULSUSPEND\0", "a hibernation image", "resume the machine"),
    ("s2", 4086, b"S2SUSPEND\0", "a hibernation image", "resume the machine"),
    ("compressed", 4086, b"LINHIB0001", "a hibernation image", "resume the machine"),
    (
        "partition",
        3 * 4096,
        b"\xa8\x19\x01\x73\x61\x8f\x23\xfd",
        "dump of s390",
        "`zgetdump -f elf partition > VMCORE`",
    ),
    (
        "reader",
        4096,
        b"\xc8\xc3\xd7\xc4\xc6\xd4\xc2\xd2",
        "a VMDUMP of z/VM",
        "`zgetdump -f elf reader > VMCORE`",
    ),
    ("g.vmrs", 0, b"\x14\x20\x28\x01", "a saved state of a Hyper-V guest", "MemProcFS"),
    ("s.save", 0, b"LinuxGuestRecord", "a saved guest of Xen", "xl dump-core"),
    ("xc.core", 0, b"\xed\xeb\x0f\xf0", "the format before ELF", "`crash VMLINUX xc.core`"),
    (
        "snap.qcow2",
        0,
        b"QFI\xfb\0\0\0\x03",
        "a qcow2 disk image",
        "internal snapshot (`qemu-img snapshot -l snap.qcow2`",
    ),
    (
        "dasd",
        0,
        b"\xa8\x19\x01\x73\x61\x8f\x23\xfd",
        "dump of s390",
        "`zgetdump -f elf dasd > VMCORE`",
    ),
    ("lkcd", 0, b"\xed\x23\x8f\x61\x73\x01\x19\xa8", "an LKCD dump", "`crash VMLINUX lkcd`"),
    ("disk", 0, b"DISKDUMP", "a diskdump file", "`crash VMLINUX disk`"),
    ("sa dump", 4096, b"sadump\0\0", "a sadump file", "`crash VMLINUX 'sa dump'`"),
    ("MEMORY.DMP", 0, b"PAGEDU64", "a crash dump of Windows", "WinDbg"),
    ("p.mdmp", 0, b"MDMP\x93\xa7\0\0", "a minidump of a process", "WinDbg"),
    (
        "vm.qcow2",
        0,
        b"QFI\xfb\0\0\0\x03",
        "a qcow2 disk image",
        "`virt-copy-out -a vm.qcow2 /var/crash .`",
    ),
    ("vm.vmdk", 0, b"KDMV\x01\0\0\0", "the disk image of a virtual machine", "virt-copy-out"),
    ("bzImage", 514, b"HdrS\x0f\x02", "a kernel image", "another file, usually named vmcore"),
    ("Image", 56, b"ARM\x64", "a kernel image", "another file"),
    ("vmlinuz.efi", 0, b"MZ\xea\x07", "a kernel image", "another file"),
    ("x.7z", 0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "7z x -so"),
    (
        "raw",
        0,
        b"\x53\xff\0\xf0\x53\xff",
        "no ELF vmcore or kdump file",
        "raw memory has no header",
    ),
];

#[test]
fn every_command_names_a_file_of_another_kind_and_says_what_to_do() {
    let folder = folder();
    for &(name, at, signature, kind, advice) in KINDS {
        let file = [vec![0; at], signature.to_vec(), vec![0; 9000]].concat();
        folder.write(name, &file);
        for arguments in [
            &["info", name][..],
            &[name, "out"],
            &["verify", name],
            &["dmesg", name],
            &["elf", name, "out"],
            &["unflatten", name, "out"],
            &["verify", "vmcore", "--against", name],
        ] {
            let output = folder.run(arguments);
            let said = stderr(&output);
            assert_eq!(code(&output), 3, "{arguments:?}: {said}");
            let start = format!("kdumpconv: {name}: the input is ");
            assert!(said.starts_with(&start), "{arguments:?}: {said}");
            assert!(said.contains(kind) && said.contains(advice), "{arguments:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        fs::remove_file(folder.path(name)).unwrap();
    }
    assert_eq!(folder.names(), ["bin", "vmcore"]);
}

#[test]
fn standard_input_is_named_and_commands_about_it_have_a_placeholder() {
    let folder = folder();
    folder.write("lkcd", b"\xed\x23\x8f\x61\x73\x01\x19\xa8");
    let said = stderr(&folder.shell("cat lkcd | \"$KDUMPCONV\" info -"));
    assert!(said.contains("standard input: the input is an LKCD dump"), "{said}");
    assert!(said.contains("`crash VMLINUX FILE`"), "{said}");
}

#[test]
fn a_folder_is_named_with_the_dump_that_is_in_it() {
    let folder = folder();
    let said = stderr(&folder.run(&["info", "."]));
    assert!(said.contains(".: the input is a folder"), "{said}");
    assert!(said.ends_with("; name the file in it: ./vmcore\n"), "{said}");
    let said = stderr(&folder.run(&["info", "bin"]));
    assert!(said.ends_with("; name the file in it\n"), "{said}");
}

#[test]
fn the_live_kernel_is_opened_but_for_verify() {
    let folder = folder();
    if fs::File::open("/proc/kcore").is_err() {
        let output = folder.run(&["info", "/proc/kcore"]);
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        assert!(stderr(&output).contains("/proc/kcore: "), "{}", stderr(&output));
        return;
    }
    let output = folder.run(&["info", "/proc/kcore"]);
    let said = stderr(&output);
    assert_eq!(code(&output), 0, "{said}");
    assert!(said.contains("the memory of the running kernel changes while it is read"), "{said}");
    let output = folder.run(&["verify", "/proc/kcore"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert!(stderr(&output).contains("`kdumpconv /proc/kcore OUTPUT`"), "{}", stderr(&output));
}

#[test]
fn the_core_of_a_process_is_named_or_warned_of() {
    let folder = folder();
    let builder = x86_64().prstatus(0).load(Load::new(0, noise(1, 8192)));
    let builder = builder.load(Load::new(0, noise(2, 8192)));
    let (mut bytes, layout) = (builder.build(), builder.layout());
    folder.write("core", &bytes);
    let output = folder.run(&["core", "out"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("it looks like the core of a process"), "{}", stderr(&output));
    for load in 0..2 {
        let field = layout.phdr(layout.load(load), "p_paddr");
        layout.set(&mut bytes, field, u64::MAX);
    }
    folder.write("core", &bytes);
    let output = folder.run(&["info", "core"]);
    let said = stderr(&output);
    assert_eq!(code(&output), 3, "{said}");
    assert!(said.contains("core: the input is the core of a process"), "{said}");
    assert!(said.ends_with("; gdb reads it\n"), "{said}");
}

#[test]
fn a_paravirtualized_guest_of_xen_is_recognised_by_its_sections() {
    let folder = folder();
    // 64-bit, little-endian, ET_CORE, x86-64; no program headers; section header 1 is for the names.
    let mut core = [b"\x7fELF\x02\x01\x01".to_vec(), vec![0; 9], vec![4, 0, 62, 0, 1]].concat();
    core.resize(64, 0);
    core[40] = 64; // e_shoff
    core[52..64].copy_from_slice(&[64, 0, 56, 0, 0, 0, 64, 0, 2, 0, 1, 0]);
    core.resize(64 + 2 * 64, 0);
    core[128] = 1;
    core[128 + 4] = 3; // SHT_STRTAB
    core[128 + 24] = 192; // sh_offset
    core[128 + 32] = 64; // sh_size
    let names = core.len();
    core.extend(b"\0.shstrtab\0.note.Xen\0.xen_prstatus\0.xen_pages\0.xen_p2m\0");
    folder.write("dom.core", &core);
    let output = folder.run(&["dom.core", "out"]);
    let said = stderr(&output);
    assert_eq!(code(&output), 3, "{said}");
    assert!(said.contains("the Xen core of a paravirtualized guest"), "{said}");
    assert!(said.contains("`crash VMLINUX dom.core`"), "{said}");
    for len in 64..core.len() {
        folder.write("cut", &core[..len]);
        assert_eq!(code(&folder.run(&["info", "cut"])), 3, "{len} bytes");
    }
    core.truncate(names);
    folder.write("other", &core);
    let said = stderr(&folder.run(&["info", "other"]));
    assert!(said.contains("the core contains no memory"), "{said}");
}

#[test]
fn every_truncation_of_every_kind_is_refused_with_exit_code_3() {
    for &(name, at, signature, ..) in KINDS {
        let file = [vec![0; at], signature.to_vec()].concat();
        for len in (0..file.len()).filter(|len| at.abs_diff(*len) < 600) {
            let bytes = file[..len].to_vec();
            let error = kdumpconv::Dump::of_bytes(bytes.clone()).unwrap_err();
            let is_refused = matches!(
                error,
                kdumpconv::Error::NotRecognised(_)
                    | kdumpconv::Error::Unsupported(_)
                    | kdumpconv::Error::Damaged { .. }
            );
            assert!(is_refused, "{len} bytes of {name}: {error:?}");
            assert!(kdumpconv::FlattenedStream::open(bytes).is_err(), "{len} bytes of {name}");
        }
    }
}

#[test]
fn what_stands_in_the_way_of_an_output_is_said_with_the_way_around() {
    let folder = folder();
    folder.write("out", b"");
    let said = stderr(&folder.run(&["vmcore", "out"]));
    assert!(said.ends_with("out exists already; -f (--force) replaces it\n"), "{said}");
    let said = stderr(&folder.run(&["vmcore", "/dev/full"]));
    assert!(said.contains("(-d 31), name an OUTPUT on another disk, or send it"), "{said}");
    let mut of_other_machine = builder().build();
    of_other_machine[18] = 252;
    let at = of_other_machine.windows(9).position(|bytes| bytes == b"PAGESIZE=").unwrap();
    of_other_machine[at] = b'p';
    folder.write("other", &of_other_machine);
    let said = stderr(&folder.run(&["info", "other"]));
    assert!(said.ends_with("; --page-size sets it, to 4K for example\n"), "{said}");
    assert_eq!(code(&folder.run(&["info", "other", "--page-size", "4K"])), 0);
}

#[test]
fn vmcore_of_proc_is_explained_where_it_is_not() {
    if std::path::Path::new("/proc/vmcore").exists() {
        return;
    }
    let output = Folder::new().run(&["info", "/proc/vmcore"]);
    let said = stderr(&output);
    assert_eq!(code(&output), 1, "{said}");
    assert!(said.contains("; it exists only in the capture kernel"), "{said}");
}

#[test]
fn an_incomplete_dump_says_that_the_page_of_the_log_is_not_in_it() {
    let folder = folder();
    let layout = with_log().layout();
    let memory = layout.data(layout.load(0));
    folder.write("cut", &with_log().build()[..memory.start + 0x3_0000]);
    assert_eq!(code(&folder.run(&["cut", "cut.kdump"])), 4);
    for name in ["cut", "cut.kdump.incomplete"] {
        let why = "the dump is incomplete, and pfn 0x30 is not in it";
        let output = folder.run(&["dmesg", name]);
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        assert!(stderr(&output).contains(why), "{name}: {}", stderr(&output));
        let output = folder.run(&["info", name]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(why), "{name}: {said}");
    }
}

#[test]
fn a_packed_input_that_cannot_be_unpacked_leads_to_another_folder_or_to_unpacking_it() {
    let folder = folder();
    // More than what stays in memory.
    folder.write("vmcore", &with_log_at(0x4000).vmcoredd(&noise(1, 2 << 20)).build());
    follow(&folder, "gzip -c vmcore > vm.gz; zstd -qc --long=31 vmcore > 'a b.zst'; mkfifo fifo");
    let why = "No such file or directory (os error 2); --spool DIR takes another folder, or ";
    for (script, advice) in [
        ("$KDUMPCONV -fd31 --spool no vm.gz out", "unpack it first: `gzip -dc vm.gz > VMCORE`"),
        (
            "$KDUMPCONV elf -fd31 --spool no 'a b.zst' out",
            "unpack it first: `zstd -dc --long=31 'a b.zst' > VMCORE`",
        ),
        ("$KDUMPCONV -fd31 --spool no - out < vm.gz", "unpack it first: `gzip -dc FILE > VMCORE`"),
        ("cat vmcore | $KDUMPCONV -fd31 --spool no - out", "store it in a file first"),
        (
            "cat vmcore > fifo & $KDUMPCONV -fd31 --spool no fifo out",
            "store it in a file first: `cat fifo > VMCORE`",
        ),
        ("TMPDIR=no $KDUMPCONV dmesg vm.gz", "unpack it first: `gzip -dc vm.gz > VMCORE`"),
        ("TMPDIR=no $KDUMPCONV info --classes vm.gz", "unpack it first: `gzip -dc vm.gz > VMCORE`"),
    ] {
        let output = folder.shell(script);
        let said = stderr(&output);
        assert_eq!((code(&output), output.stdout.len()), (1, 0), "{script}: {said}");
        let done = if advice.contains("unpack") { "unpacked" } else { "stored" };
        let line = format!(": the input cannot be {done} in no: {why}{advice}\n");
        assert!(said.ends_with(&line), "{script}: {said}");
        assert!(!folder.names().iter().any(|name| name.contains("out")), "{:?}", folder.names());
        for command in commands(&said).iter().filter(|command| command.contains("-dc")) {
            let command = command.replace("FILE", "vm.gz");
            follow(&folder, &command);
            assert!(folder.read("VMCORE") == folder.read("vmcore"), "{command}");
        }
    }
    let output = folder.shell("TMPDIR=no $KDUMPCONV info vm.gz");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    let panic = "Panic       the log cannot be read: the input cannot be unpacked in no: No such file or directory (os error 2); --spool DIR takes another folder\n";
    assert!(said.contains(panic), "{said}");
}

#[test]
fn a_cut_flattened_stream_is_read_or_refused_for_want_of_its_headers() {
    let folder = folder();
    follow(&folder, "kdumpconv -qF -Cnone vmcore whole");
    let whole = folder.read("whole");
    let (mut saved, mut refused) = (0, 0);
    for len in (4096..whole.len()).step_by(5000) {
        folder.write("cut", &whole[..len]);
        for arguments in [
            &["info", "cut"][..],
            &["-f", "cut", "out"],
            &["verify", "cut"],
            &["dmesg", "cut"],
            &["elf", "-f", "cut", "out"],
        ] {
            let output = folder.run(arguments);
            let said = stderr(&output);
            let all = [output.stdout.clone(), output.stderr.clone()].concat();
            let all = String::from_utf8_lossy(&all);
            assert!(all.contains("the flattened file is cut off at offset 0x"), "{len}: {all}");
            if code(&output) != 3 {
                continue;
            }
            let start = "kdumpconv: cut: the flattened file is cut off at offset 0x";
            assert!(said.starts_with(start), "{said}");
            let end = "; the headers of the dump did not arrive, so it must be sent again\n";
            assert!(said.ends_with(end), "{said}");
            refused += 1;
        }
        let is_saved = code(&folder.run(&["unflatten", "-f", "cut", "OUTPUT"])) == 4;
        assert_eq!(code(&folder.run(&["info", "cut"])), if is_saved { 0 } else { 3 }, "{len}");
        saved += u32::from(is_saved);
    }
    assert!(saved > 0 && refused > 0);
    let said = String::from_utf8(folder.run(&["info", "cut"]).stdout).unwrap();
    let end = "; `kdumpconv unflatten FILE OUTPUT` makes a plain file of what arrived\n";
    assert!(said.contains(end), "{said}");
}

#[test]
fn a_dump_of_another_kernel_or_crash_is_said_first_and_no_page_is_compared() {
    let folder = folder();
    let with = |info: &str| {
        let info = format!("{info}PAGESIZE=4096\n");
        x86_64().vmcoreinfo(&info).load(Load::new(0, text(info.len() as u64, 1 << 16))).build()
    };
    let this = "OSRELEASE=6.1.0\nBUILD-ID=0123456789\nKERNELOFFSET=1c00000\nCRASHTIME=1700000000\n";
    folder.write("this", &with(this));
    follow(&folder, "kdumpconv -q this 'this one'");
    for (from, to, said) in [
        ("6.1.0", "6.12.3", "OSRELEASE is 6.1.0, but 6.12.3 in the source"),
        ("0123456789", "abcdef", "BUILD-ID is 0123456789, but abcdef in the source"),
        ("1c00000", "2a00000", "KERNELOFFSET is 1c00000, but 2a00000 in the source"),
        ("1700000000", "1700009999", "CRASHTIME is 1700000000, but 1700009999 in the source"),
    ] {
        folder.write("other", &with(&this.replace(from, to)));
        for arguments in [
            &["verify", "this one", "--against", "other"][..],
            &["verify", "--against", "other", "this"],
        ] {
            let output = folder.run(arguments);
            assert_eq!(code(&output), 3, "{}", stderr(&output));
            assert!(output.stdout.is_empty());
            let line =
                format!(", against other: the dumps are of different kernels or crashes: {said}\n");
            assert!(stderr(&output).ends_with(&line), "{}", stderr(&output));
        }
    }
    // Nothing contradicts, or one byte alone, which may be damage.
    for lacking in ["OSRELEASE=6.1.0\n", "", "OSRELEASE=6.1.1\n"] {
        folder.write("other", &with(lacking));
        let output = folder.run(&["verify", "this one", "--against", "other"]);
        assert_eq!(code(&output), 5, "{lacking}: {}", stderr(&output));
    }
}

//! QEMU's dump of a protected guest of s390x: what decrypts it is never lost without a word.

use crate::common::noise;
use crate::process::{Folder, code, stderr};
use support::elf::{Class, Endian, machine};
use support::kdump::Kdump;
use support::model::Model;
use support::notes::Note;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

const NT_S390_PV_CPU_DATA: u32 = 0x30e;

/// Headers first, the data of sections last, as QEMU's dump.c writes them.
fn protected() -> VmcoreBuilder {
    plain()
        .note(Note::new("LINUX", NT_S390_PV_CPU_DATA, noise(1, 448)))
        .section("pv_mem_meta", noise(2, 4096))
        .section("pv_compl", noise(3, 256))
}

fn plain() -> VmcoreBuilder {
    VmcoreBuilder::new(Class::Elf64, Endian::Big, machine::S390X)
        .qemu_headers()
        .load(Load::new(0, noise(4, 2 << 20)))
        .prstatus(0)
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("dump", &protected().build());
    folder
}

const REFUSED: &str =
    "the input is the encrypted dump of a protected guest of s390x (Secure Execution)";
const ADVICE: &str = "`zgetdump -k KEY -f elf dump > VMCORE`";

#[test]
fn it_is_refused_with_what_to_do() {
    let folder = folder();
    for arguments in
        [&["dump", "out"][..], &["elf", "dump", "out"], &["-n", "dump"], &["dmesg", "dump"]]
    {
        let output = folder.run(arguments);
        let said = stderr(&output);
        assert_eq!(code(&output), 3, "{arguments:?}: {said}");
        assert!(said.contains(REFUSED) && said.contains(ADVICE), "{arguments:?}: {said}");
    }
    assert_eq!(folder.names(), ["dump"]);
}

#[test]
fn one_of_its_marks_is_enough() {
    let folder = Folder::new();
    for (name, builder) in [
        ("note", plain().note(Note::new("LINUX", NT_S390_PV_CPU_DATA, noise(1, 448)))),
        ("tweaks", plain().section("pv_mem_meta", noise(2, 4096))),
        ("key", plain().section("other", vec![1]).section("pv_compl", noise(2, 256))),
    ] {
        folder.write(name, &builder.build());
        assert_eq!(code(&folder.run(&[name, "out"])), 3, "{name}");
    }
    // Of a pipe the sections are not read, but the note is.
    let output = folder.shell("cat note | $KDUMPCONV - out");
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let others = plain()
        .note(Note::new("OTHER", NT_S390_PV_CPU_DATA, vec![1]))
        .section("pv_mem", vec![1])
        .section("pv_compl2", vec![1]);
    folder.write("others", &others.build());
    assert_eq!(code(&folder.run(&["others", "out"])), 0);
}

#[test]
fn by_force_it_is_carried_as_it_is_and_said() {
    let folder = folder();
    let output = folder.run(&["--force-encrypted", "dump", "out.kdump"]);
    let said = stderr(&output);
    assert_eq!(code(&output), 0, "{said}");
    for words in [
        "the memory is encrypted (Secure Execution), and OUTPUT lacks what decrypts it: keep INPUT",
        "a conversion does not keep the data of the sections pv_mem_meta (4096 bytes), pv_compl (256 bytes)",
    ] {
        assert!(said.contains(words), "{said}");
    }
    support::compare::compare(
        &Model::new(&protected(), 4096),
        &Kdump::from_bytes(&folder.read("out.kdump")).unwrap(),
    )
    .unwrap();
    let output = folder.run(&["elf", "--force-encrypted", "dump", "out.elf"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    // The notes came along, and so the ELF file is known for what it is.
    assert_eq!(code(&folder.run(&["out.elf", "again"])), 3);
    let said = stderr(&folder.run(&["-d", "0", "out.kdump", "again"]));
    assert!(said.contains("OUTPUT lacks what decrypts it"), "{said}");
}

#[test]
fn info_and_verify_say_it_and_do_not_refuse() {
    let folder = folder();
    assert_eq!(code(&folder.run(&["--force-encrypted", "dump", "out.kdump"])), 0);
    let stdout = |arguments: &[&str]| {
        let output = folder.run(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = stdout(&["info", "dump"]);
    for words in [
        "it is encrypted, and no other file can carry what decrypts it; the key of its owner does: `zgetdump -k KEY -f elf FILE > VMCORE`",
        "pv_compl (256 bytes)",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let said = stdout(&["info", "out.kdump"]);
    assert!(said.contains("it is encrypted, and this file lacks what decrypts it\n"), "{said}");
    for arguments in [&["verify", "dump"][..], &["verify", "out.kdump", "--against", "dump"]] {
        let said = stdout(arguments);
        assert!(said.contains("remark: the memory is encrypted"), "{said}");
        assert!(said.contains("good: "), "{said}");
    }
}

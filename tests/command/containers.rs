//! A dump in a container: what every command makes of it is what it makes of the bare dump.

use std::fs;

use crate::common::{noise, text, x86_64};
use crate::process::{Folder, code, stderr};
use support::segments::Load;

/// A folder with a core in `vmcore` and `d`, with what cannot be compressed, what can, and zeros;
/// and its conversion in `expected`.
fn folder() -> Folder {
    let folder = Folder::new();
    let memory = [noise(1, 600_000), text(2, 200_000), vec![0; 400_000], noise(3, 110_000)];
    let core = x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nCRASHTIME=1700000000\n")
        .load(Load::new(0x10_0000, memory.concat()));
    folder.write("vmcore", &core.build());
    succeeds(&folder, "$KDUMPCONV -l -d1 vmcore expected; mkdir d; cp vmcore d/vm.memory.dump");
    folder
}

fn succeeds(folder: &Folder, script: &str) -> String {
    let output = folder.shell(&format!("set -e; {script}"));
    assert_eq!(code(&output), 0, "{script}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Converts `packed` as a file and from a pipe, which must give `expected`.
fn converts(folder: &Folder, packed: &str) {
    for script in
        [format!("$KDUMPCONV -l -d1 {packed}"), format!("cat {packed} | $KDUMPCONV -l -d1 -")]
    {
        succeeds(folder, &format!("{script} out"));
        assert!(folder.read("out") == folder.read("expected"), "{script}");
        fs::remove_file(folder.path("out")).unwrap();
    }
}

/// What the conversion of `packed` says, with this exit code.
fn refused(folder: &Folder, packed: &str, exit: i32) -> String {
    let output = folder.shell(&format!("$KDUMPCONV -l {packed} out"));
    assert_eq!(code(&output), exit, "{packed}: {}", stderr(&output));
    let said = stderr(&output);
    let _ = fs::remove_file(folder.path("out"));
    said
}

#[test]
fn a_tar_archive_of_any_kind_with_one_dump_in_it_is_that_dump() {
    let folder = folder();
    let long = "n".repeat(200);
    succeeds(
        &folder,
        &format!(
            "mkdir -p e/lost+found e/{long}; echo text > e/a; cp vmcore e/{long}/vm.memory.dump; \
             gzip -c vmcore > e/../d/vm.gz; ln vmcore e/hard 2>/dev/null; rm -f e/hard; ln -s a e/link"
        ),
    );
    for (format, pack) in [
        ("gnu", "cat"),
        ("gnu", "gzip -c"),
        ("oldgnu", "zstd -qc"),
        ("posix", "cat"),
        ("posix", "gzip -c"),
        ("ustar -C d --exclude vm.gz", "cat"),
    ] {
        let from = if format.contains("-C") { "." } else { "-C e ." };
        succeeds(&folder, &format!("tar -c --format={format} {from} | {pack} > packed"));
        converts(&folder, "packed");
    }
    succeeds(&folder, "tar -cf packed -C d vm.gz");
    converts(&folder, "packed");
    let said = succeeds(&folder, "$KDUMPCONV info packed");
    assert!(said.starts_with("packed: ELF vmcore"), "{said}");
    succeeds(&folder, "$KDUMPCONV verify packed --against vmcore; $KDUMPCONV elf packed out.elf");
}

#[test]
fn sparse_entries_have_their_holes() {
    let folder = folder();
    succeeds(&folder, "cp --sparse=always vmcore d/vm.memory.dump; truncate -s 1G d/hole");
    for format in [
        "gnu",
        "posix",
        "posix --sparse-version=0.0",
        "posix --sparse-version=0.1",
        "posix --sparse-version=1.0",
    ] {
        succeeds(
            &folder,
            &format!("tar -c -S --format={format} -C d hole vm.memory.dump > packed"),
        );
        let sizes = (folder.read("packed").len(), folder.read("vmcore").len());
        assert!(sizes.0 < sizes.1, "{format}: no holes");
        converts(&folder, "packed");
        succeeds(&folder, "gzip -c packed > packed.gz");
        converts(&folder, "packed.gz");
    }
}

#[test]
fn an_archive_without_a_dump_or_with_two_of_them_is_refused_by_name() {
    let folder = folder();
    succeeds(
        &folder,
        "cd d; echo a > a; cp a b; tar -cf ../none a b; cp vm.memory.dump other; tar -cf ../two . ",
    );
    succeeds(&folder, "tar -cf empty -T /dev/null; gzip -c none > none.gz; gzip -c two > two.gz");
    for packed in ["none", "none.gz", "- < none"] {
        let said = refused(&folder, packed, 3);
        assert!(said.contains("the tar archive has no dump in its 2 files: a, b"), "{said}");
    }
    let said = refused(&folder, "two", 3);
    assert!(said.contains("the tar archive has more than one dump: ./"), "{said}");
    assert!(said.contains("./other") && said.contains("./vm.memory.dump"), "{said}");
    // Forward, the second is found after the first.
    let said = refused(&folder, "two.gz", 4);
    assert!(said.contains("more than one dump") && said.contains("./other"), "{said}");
    let _ = fs::remove_file(folder.path("out.incomplete"));
    // Nothing but zeros has nothing to be recognised by.
    refused(&folder, "empty", 3);

    succeeds(&folder, "cd d; for n in 1 2 3 4 5 6 7 8 9; do cp a n$n; done; tar -cf ../many n?");
    let said = refused(&folder, "many", 3);
    let names = "its 9 files: n1, n2, n3, n4, n5, n6, n7, n8 and 1 more entry";
    assert!(said.contains(names), "{said}");
}

#[test]
fn an_archive_that_is_cut_off_in_the_dump_is_a_cut_off_dump() {
    let folder = folder();
    succeeds(&folder, "tar -cf whole -C d vm.memory.dump; gzip -c whole > whole.gz");
    let (whole, bytes) = (folder.read("whole"), folder.read("vmcore").len());
    folder.write("cut", &whole[..512 + bytes - 60_000]);
    folder.write("bare", &folder.read("vmcore")[..bytes - 60_000]);
    let pages = |packed: &str| {
        let said = refused(&folder, packed, 4);
        let made = folder.read("out.incomplete");
        fs::remove_file(folder.path("out.incomplete")).unwrap();
        (said.lines().count(), made)
    };
    let expected = pages("bare");
    assert!(pages("cut") == expected && pages("- < cut") == pages("- < bare"));
    let gz = folder.read("whole.gz");
    folder.write("cut.gz", &gz[..gz.len() - 60_000]);
    let said = refused(&folder, "cut.gz", 4);
    assert!(said.contains("broke off") || said.contains("incomplete deflate stream"), "{said}");
    fs::remove_file(folder.path("out.incomplete")).unwrap();
    // The archive is whole but for the end of its padding, or for the blocks after it.
    for len in [512 + bytes, 512 + bytes + 1, whole.len() - 512] {
        folder.write("cut", &whole[..len]);
        converts(&folder, "cut");
    }
}

#[test]
fn a_damaged_checksum_of_what_an_archive_is_packed_in_marks_the_dump() {
    let folder = folder();
    succeeds(&folder, "tar -c -C d vm.memory.dump | gzip -c > packed");
    let mut bytes = folder.read("packed");
    let at = bytes.len() - 8;
    bytes[at] ^= 1;
    folder.write("packed", &bytes);
    for input in ["packed", "- < packed"] {
        let said = refused(&folder, input, 4);
        assert!(said.contains("checksum"), "{said}");
        fs::remove_file(folder.path("out.incomplete")).unwrap();
    }
}

/// Python's own makers of .xz, .bz2 and .zip, by the name of what they make.
const MAKERS: [(&str, &str); 6] = [
    ("a.xz", "open('a.xz', 'wb').write(lzma.compress(core, preset=0))"),
    ("b.xz", "open('b.xz', 'wb').write(lzma.compress(core, check=lzma.CHECK_SHA256, preset=0))"),
    ("a.bz2", "open('a.bz2', 'wb').write(bz2.compress(core, 1))"),
    ("stored.zip", "pack('stored.zip', zipfile.ZIP_STORED, False)"),
    ("deflated.zip", "pack('deflated.zip', zipfile.ZIP_DEFLATED, False)"),
    ("zip64.zip", "pack('zip64.zip', zipfile.ZIP_DEFLATED, True)"),
];

/// What a maker needs: a core, and a packer of it beside other files.
const PYTHON: &str = "
import bz2, io, lzma, zipfile
core = open('vmcore', 'rb').read()
def pack(name, method, zip64):
    with zipfile.ZipFile(name, 'w', method, compresslevel=1) as archive:
        archive.mkdir('lost+found') if hasattr(archive, 'mkdir') else None
        archive.writestr('readme', 'text')
        with archive.open('vm.memory.dump', 'w', force_zip64=zip64) as entry:
            entry.write(core)
";

fn python(folder: &Folder, script: &str) {
    folder.write("script.py", format!("{PYTHON}{script}\n").as_bytes());
    succeeds(folder, "python3 script.py; rm script.py");
}

#[test]
fn xz_bzip2_lz4_and_zip_are_what_they_contain() {
    let folder = folder();
    for (name, script) in MAKERS {
        python(&folder, script);
        converts(&folder, name);
        fs::remove_file(folder.path(name)).unwrap();
    }
    for options in ["-1", "-1 -BD", "-1 --no-frame-crc", "-1 -B4 -BX", "-1 --content-size", "-l"] {
        succeeds(&folder, &format!("lz4 -q {options} vmcore a.lz4"));
        converts(&folder, "a.lz4");
        fs::remove_file(folder.path("a.lz4")).unwrap();
    }
}

#[test]
fn what_consists_of_several_parts_is_read_whole() {
    let folder = folder();
    succeeds(&folder, "split -n 3 vmcore part.");
    for tool in ["xz -0c --block-size=65536", "bzip2 -1c", "lz4 -q1c", "gzip -1c", "zstd -q1c"] {
        succeeds(&folder, &format!("for part in part.*; do {tool} $part; done > packed"));
        converts(&folder, "packed");
    }
    // A file of xz may be padded, and an lz4 may begin or go on with a skippable frame.
    succeeds(
        &folder,
        "{ xz -0c part.aa; head -c 8 /dev/zero; xz -0c part.ab; xz -0c part.ac; } > packed",
    );
    converts(&folder, "packed");
}

#[test]
fn one_container_in_another_is_undone() {
    let folder = folder();
    for script in [
        "tar -c -C d vm.memory.dump | xz -0c",
        "tar -c -C d vm.memory.dump | bzip2 -1c",
        "tar -c -C d vm.memory.dump | lz4 -q1",
        "xz -0c vmcore > d/x.xz; tar -c -C d x.xz",
        "bzip2 -1c vmcore > d/x.bz2; tar -c -C d x.bz2 | gzip -c",
        "lz4 -q1 vmcore d/x.lz4; tar -c -C d x.lz4",
    ] {
        succeeds(&folder, &format!("{{ {script}; }} > packed"));
        converts(&folder, "packed");
    }
    for inner in
        ["gzip.compress(core, 1)", "lzma.compress(core, preset=0)", "bz2.compress(core, 1)"]
    {
        for method in ["STORED", "DEFLATED"] {
            python(
                &folder,
                &format!(
                    "import gzip\nwith zipfile.ZipFile('packed', 'w', zipfile.ZIP_{method}) as z: \
                     z.writestr('vmcore.packed', {inner})"
                ),
            );
            converts(&folder, "packed");
        }
    }
}

#[test]
fn a_zip_without_a_dump_or_with_two_or_encrypted_is_refused_by_name() {
    let folder = folder();
    for (script, why) in [
        ("z.writestr('a', 'text'); z.writestr('b/c', '')", "has no dump in its 2 files: a, b/c"),
        ("z.write('vmcore'); z.write('vmcore', 'b')", "more than one dump: vmcore and b"),
        ("pass", "the zip archive has no entries"),
    ] {
        let script = format!("with zipfile.ZipFile('packed', 'w') as z: {script}");
        python(&folder, &script);
        for input in ["packed", "- < packed"] {
            let said = refused(&folder, input, 3);
            assert!(said.contains(why), "{said}");
        }
    }
    for (method, why) in [
        ("LZMA", "vmcore in the zip archive is compressed by "),
        ("BZIP2", "vmcore in the zip archive is compressed by "),
    ] {
        let script = format!(
            "with zipfile.ZipFile('packed', 'w', zipfile.ZIP_{method}) as z: z.write('vmcore')"
        );
        python(&folder, &script);
        let said = refused(&folder, "packed", 3);
        assert!(said.contains(why), "{said}");
    }
    // General purpose bit 0 of both headers (APPNOTE.TXT, 4.4.4).
    python(&folder, "with zipfile.ZipFile('packed', 'w') as z: z.write('vmcore')");
    let mut bytes = folder.read("packed");
    bytes[6] |= 1;
    let central = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    bytes[central + 8] |= 1;
    folder.write("packed", &bytes);
    let said = refused(&folder, "packed", 3);
    assert!(said.contains("vmcore in the zip archive is encrypted"), "{said}");
}

#[test]
fn what_is_cut_off_or_damaged_at_its_end_is_marked() {
    let folder = folder();
    for tool in ["gzip -1c", "zstd -q1c", "xz -0c --block-size=65536", "bzip2 -1c", "lz4 -q1cB4"] {
        succeeds(&folder, &format!("{tool} vmcore > packed"));
        let packed = folder.read("packed");
        let mut flipped = packed.clone();
        let at = if tool.starts_with("xz") { flipped.len() - 13 } else { flipped.len() - 3 };
        flipped[at] ^= 0x40;
        let garbage = [&packed[..], b"garbage"].concat();
        for (damage, bytes) in [
            ("cut", packed[..packed.len() / 2].to_vec()),
            ("cut at its end", packed[..packed.len() - 2].to_vec()),
            ("flipped", flipped),
            ("garbage", garbage),
        ] {
            folder.write("packed", &bytes);
            for input in ["packed", "- < packed"] {
                let said = refused(&folder, input, 4);
                assert!(said.contains("incomplete"), "{tool} {damage}: {said}");
                fs::remove_file(folder.path("out.incomplete")).unwrap();
            }
        }
    }
    python(&folder, "pack('packed', zipfile.ZIP_DEFLATED, False)");
    let packed = folder.read("packed");
    // The checksum in the directory (APPNOTE.TXT, 4.3.12), which is the last that names the file.
    let mut flipped = packed.clone();
    let central = packed.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    flipped[central + 16] ^= 1;
    folder.write("packed", &flipped);
    let said = refused(&folder, "packed", 4);
    assert!(said.contains("its checksum or size in the zip archive is wrong"), "{said}");
    fs::remove_file(folder.path("out.incomplete")).unwrap();
    folder.write("packed", &packed[..packed.len() - 40]);
    let said = refused(&folder, "packed", 3);
    assert!(said.contains("cannot read the zip archive"), "{said}");
}

#[test]
fn containers_in_containers_end() {
    let folder = folder();
    succeeds(&folder, "gzip -c vmcore | gzip -c | zstd -qc > packed");
    converts(&folder, "packed");
    succeeds(&folder, "cat vmcore | gzip | gzip | gzip | gzip | gzip > packed");
    let said = refused(&folder, "packed", 3);
    assert!(said.contains("the input is packed more than 3 times"), "{said}");
    // An archive in an archive is not looked into.
    succeeds(&folder, "tar -c -C d vm.memory.dump > inner.tar; tar -cf packed inner.tar");
    let said = refused(&folder, "packed", 3);
    assert!(said.contains("has no dump in its 1 file: inner.tar"), "{said}");
}

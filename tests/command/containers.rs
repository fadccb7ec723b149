//! A dump in a container: what every command makes of it is what it makes of the bare dump.

use std::fs;

use crate::classes::{folder as of_machine, machine};
use crate::process::{Folder, code, stderr};

/// A folder with a machine's vmcore in `vmcore`, and its conversion in `expected`.
fn folder() -> Folder {
    let folder = of_machine(&machine());
    succeeds(&folder, "$KDUMPCONV -l -d31 vmcore expected; mkdir d; cp vmcore d/vm.memory.dump");
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
        [format!("$KDUMPCONV -l -d31 {packed}"), format!("cat {packed} | $KDUMPCONV -l -d31 -")]
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
    succeeds(&folder, "$KDUMPCONV verify packed --against vmcore; $KDUMPCONV dmesg packed > log");
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
    folder.write("cut", &whole[..512 + bytes - 200_000]);
    folder.write("bare", &folder.read("vmcore")[..bytes - 200_000]);
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

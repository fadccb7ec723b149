//! Outputs other than new files: pipes, devices, full disks, links.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::common::{noise, only_right_pages, x86_64};
use crate::process::{Folder, code, stderr};
use crate::skip::or_skip;
use support::compare::compare;
use support::flattened::unflatten;
use support::kdump::Kdump;
use support::model::Model;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// 3 MiB that no codec can compress, in two segments.
fn builder() -> VmcoreBuilder {
    x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
        .load(Load::new(0x10_0000, noise(1, 1 << 20)))
        .load(Load::new(0x100_0000, noise(2, 2 << 20)))
}

/// A folder with the builder's core in `vmcore`, and that core converted.
fn folder() -> (Folder, Vec<u8>) {
    let folder = Folder::new();
    let bytes = builder().build();
    folder.write("vmcore", &bytes);
    let (expected, _) = crate::common::plain(
        &crate::common::core_of(bytes).unwrap(),
        &kdumpconv::ConvertOptions::default(),
    )
    .unwrap();
    compare(&Model::new(&builder(), 4096), &Kdump::from_bytes(&expected).unwrap()).unwrap();
    (folder, expected)
}

fn check_incomplete(bytes: &[u8]) -> u64 {
    let kdump = Kdump::from_bytes(bytes).unwrap();
    only_right_pages(&Model::new(&builder(), 4096), &kdump).unwrap();
    assert!(kdump.is_incomplete());
    kdump.dumped.count()
}

/// Runs a script that must succeed, with `$KDUMPCONV` set.
fn shell(folder: &Folder, script: &str) {
    let output = folder.shell(script);
    assert_eq!(code(&output), 0, "{script}: {}", stderr(&output));
}

#[test]
fn a_pipe_gets_a_flattened_stream() {
    let (folder, expected) = folder();
    shell(&folder, "\"$KDUMPCONV\" vmcore | cat > a; \"$KDUMPCONV\" vmcore - | cat > b");
    shell(&folder, "\"$KDUMPCONV\" vmcore /dev/stdout | cat > d");
    for name in ["a", "b", "d"] {
        assert!(unflatten(&folder.read(name)).unwrap() == expected, "{name}");
    }
    shell(&folder, "mkfifo fifo; cat fifo > c & \"$KDUMPCONV\" vmcore fifo; wait");
    assert!(unflatten(&folder.read("c")).unwrap() == expected);
    assert_eq!(folder.names(), ["a", "b", "c", "d", "fifo", "vmcore"]);
}

#[test]
fn a_file_as_standard_output_gets_a_plain_file_from_its_start() {
    let (folder, expected) = folder();
    shell(&folder, "\"$KDUMPCONV\" vmcore > a; echo old > b; \"$KDUMPCONV\" vmcore - > b");
    assert!(folder.read("a") == expected && folder.read("b") == expected);
    shell(&folder, "\"$KDUMPCONV\" -F vmcore > c");
    assert!(unflatten(&folder.read("c")).unwrap() == expected);
}

#[test]
fn an_output_opened_for_appending_gets_a_flattened_stream_after_its_old_bytes() {
    let (folder, expected) = folder();
    shell(&folder, "printf 123 > a; \"$KDUMPCONV\" vmcore >> a");
    shell(&folder, "{ printf 123; \"$KDUMPCONV\" vmcore; } > b");
    for name in ["a", "b"] {
        let bytes = folder.read(name);
        assert!(bytes.starts_with(b"123"));
        assert!(unflatten(&bytes[3..]).unwrap() == expected, "{name}");
    }
    shell(&folder, "\"$KDUMPCONV\" vmcore >> c");
    let bytes = folder.read("c");
    assert!(unflatten(&bytes).unwrap() == expected);
}

#[test]
fn a_flattened_file_is_the_stream_of_the_plain_file() {
    let (folder, expected) = folder();
    shell(&folder, "\"$KDUMPCONV\" -F vmcore a; \"$KDUMPCONV\" --format flat vmcore b");
    assert!(folder.read("a") == folder.read("b"));
    assert!(unflatten(&folder.read("a")).unwrap() == expected);
    shell(&folder, "\"$KDUMPCONV\" --format file vmcore c");
    assert!(folder.read("c") == expected);
}

#[test]
fn a_plain_file_to_an_output_that_cannot_seek_is_refused() {
    let (folder, _) = folder();
    let output = folder.shell(
        "\"$KDUMPCONV\" --format file vmcore | cat > a; \
         \"$KDUMPCONV\" --format file vmcore - 2>err | cat > b",
    );
    assert!(stderr(&output).contains("cannot seek"), "{}", stderr(&output));
    assert!(folder.read("a").is_empty() && folder.read("b").is_empty());
    let piped = "{ \"$KDUMPCONV\" --format file vmcore 2>err; echo $? > status; } | cat";
    shell(&folder, piped);
    assert!(["1\n", "2\n"].map(str::as_bytes).contains(&&folder.read("status")[..]));
}

#[test]
fn a_full_device_exits_1() {
    let (folder, _) = folder();
    for script in ["vmcore /dev/full", "vmcore > /dev/full", "-F vmcore > /dev/full"] {
        let output = folder.shell(&format!("\"$KDUMPCONV\" {script}"));
        assert_eq!(code(&output), 1, "{script}: {}", stderr(&output));
        assert!(stderr(&output).contains("No space left"), "{}", stderr(&output));
    }
    shell(&folder, "\"$KDUMPCONV\" vmcore /dev/null");
    assert_eq!(folder.names(), ["vmcore"]);
}

#[test]
fn a_closed_pipe_is_not_a_panic() {
    let (folder, _) = folder();
    let script = "{ \"$KDUMPCONV\" vmcore; echo $? > status; } | head -c 10000 > /dev/null";
    let said = stderr(&folder.shell(script));
    let status = String::from_utf8(folder.read("status")).unwrap();
    assert!(["1", "141"].contains(&status.trim()), "{status}");
    assert!(!said.contains("panic"), "{said}");
}

/// As `cp` does, and because /dev/stdout is a link: the link itself must not be replaced.
#[test]
fn a_forced_output_through_a_link_replaces_the_file_and_keeps_the_link() {
    let (folder, expected) = folder();
    folder.write("target", b"old");
    symlink("target", folder.path("link")).unwrap();
    assert_eq!(code(&folder.run(&["vmcore", "link"])), 1);
    assert_eq!(folder.read("target"), b"old");
    assert_eq!(code(&folder.run(&["-f", "vmcore", "link"])), 0);
    let is_link = fs::symlink_metadata(folder.path("link")).unwrap().file_type().is_symlink();
    assert!(is_link, "the link is gone");
    assert!(folder.read("target") == expected);
}

#[test]
fn a_name_taken_during_the_conversion_costs_neither_file() {
    let (folder, expected) = folder();
    let script = "mkfifo fifo; \"$KDUMPCONV\" fifo out & pid=$!; \
                  { head -c 1000000; echo mine > out; cat; } < vmcore > fifo; wait $pid";
    let output = folder.shell(script);
    assert_ne!(code(&output), 0);
    assert_eq!(folder.read("out"), b"mine\n");
    let others: Vec<String> =
        folder.names().into_iter().filter(|name| name.starts_with("out.")).collect();
    assert_eq!(others.len(), 1, "the dump is lost: {:?}, {}", folder.names(), stderr(&output));
    assert!(folder.read(&others[0]) == expected);
}

/// A file system of this many KiB, if this process may mount it.
pub struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    pub fn mount(path: &'a Path, kib: u64) -> Result<Self, String> {
        fs::create_dir(path).unwrap();
        let size = format!("size={kib}k");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path);
        match mount.output() {
            Ok(output) if output.status.success() => Ok(SmallDisk(path)),
            Ok(output) => Err(format!("no file system can be mounted: {}", stderr(&output))),
            Err(error) => Err(format!("mount: {error}")),
        }
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

#[test]
fn a_full_disk_keeps_what_fits() {
    let (folder, _) = folder();
    let path = folder.path("disk");
    let Some(disk) = or_skip(SmallDisk::mount(&path, 1200)) else { return };
    for (codec, least) in [("-c", 190), ("-z", 190), ("-Cnone", 190)] {
        let output = folder.run(&[codec, "vmcore", "disk/out"]);
        let said = stderr(&output);
        assert_eq!(code(&output), 4, "{said}");
        assert!(said.contains("No space left") && said.contains("disk/out.incomplete"), "{said}");
        let pages = check_incomplete(&folder.read("disk/out.incomplete"));
        assert!(pages >= least, "only {pages} pages");
        fs::remove_file(folder.path("disk/out.incomplete")).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }
    drop(disk);
}

#[test]
fn a_full_disk_keeps_what_fits_of_a_flattened_file() {
    let (folder, _) = folder();
    let path = folder.path("disk");
    let Some(disk) = or_skip(SmallDisk::mount(&path, 1800)) else { return };
    let output = folder.run(&["-F", "vmcore", "disk/out"]);
    let left = fs::read_dir(&path).unwrap().count();
    // As the message says.
    let plain = folder.run(&["unflatten", "disk/out.incomplete", "plain"]);
    drop(disk);
    assert_eq!(code(&output), 4, "{left} files are left: {}", stderr(&output));
    let advice = "the stream ends without its end mark; `kdumpconv unflatten disk/out.incomplete OUTPUT` \
                  makes a plain file of what was written\n";
    assert!(stderr(&output).contains(advice), "{}", stderr(&output));
    assert_eq!(code(&plain), 4, "{}", stderr(&plain));
    assert!(check_incomplete(&folder.read("plain.incomplete")) > 100);
}

#[test]
fn a_disk_without_room_for_the_headers_exits_1_and_stays_empty() {
    let (folder, _) = folder();
    let path = folder.path("disk");
    let Some(disk) = or_skip(SmallDisk::mount(&path, 8)) else { return };
    let output = folder.run(&["vmcore", "disk/out"]);
    let left = fs::read_dir(&path).unwrap().count();
    drop(disk);
    assert_eq!((code(&output), left), (1, 0), "{}", stderr(&output));
}

/// `ulimit -f` (systemd's LimitFSIZE=) also limits an output.
#[test]
fn a_limit_on_the_file_size_keeps_what_fits() {
    let (folder, _) = folder();
    // In blocks of 512 bytes.
    let output = folder.shell("ulimit -f 4000; \"$KDUMPCONV\" vmcore out");
    let names = folder.names();
    assert_eq!(code(&output), 4, "{names:?}: {}", stderr(&output));
    assert!(check_incomplete(&folder.read("out.incomplete")) > 300);
    assert_eq!(names, ["out.incomplete", "vmcore"]);
}

/// A flipped bit of p_filesz, or a core of 256 GiB cut short: its size is known, so missing pages
/// need no space and no time.
#[test]
fn a_small_file_that_claims_256_gib_is_converted_at_once() {
    let (folder, _) = folder();
    let (mut bytes, layout) = (builder().build(), builder().layout());
    let field = layout.phdr(layout.load(1), "p_filesz");
    layout.set(&mut bytes, field, 1 << 38);
    let field = layout.phdr(layout.load(1), "p_memsz");
    layout.set(&mut bytes, field, 1 << 38);
    folder.write("huge", &bytes);
    let mut command = folder.command(&["-q", "huge", "out"]);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let output = crate::process::wait(child, 20);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    let metadata = fs::metadata(folder.path("out.incomplete")).unwrap();
    let used = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
    assert!(used < 64 << 20, "{used} bytes of disk for 3 MiB of memory");
}

#[test]
fn a_closed_standard_output_is_refused_and_dev_null_is_not() {
    let (folder, _) = crate::convert::folder();
    for script in
        ["$KDUMPCONV vmcore >&-", "$KDUMPCONV -l vmcore - >&-", "$KDUMPCONV elf vmcore >&-"]
    {
        let output = folder.shell(script);
        assert_eq!(code(&output), 2, "{script}");
        assert!(stderr(&output).contains("standard output is closed: name an OUTPUT"), "{script}");
    }
    for script in ["$KDUMPCONV vmcore >/dev/null", "$KDUMPCONV vmcore out >&-"] {
        assert_eq!(code(&folder.shell(script)), 0, "{script}");
    }
}

#[test]
fn a_pipe_whose_reader_ends_is_named_as_the_reason() {
    let (folder, _) = crate::convert::folder();
    let output =
        folder.shell("{ $KDUMPCONV -C none vmcore; echo $? >code; } | head -c 100000 >part");
    assert_eq!(folder.read("code"), b"1\n");
    let said = stderr(&output);
    assert!(
        said.contains("Broken pipe") && said.contains("the reader of the pipe has ended"),
        "{said}"
    );
    assert!(!said.contains("broke off before"), "{said}");
}

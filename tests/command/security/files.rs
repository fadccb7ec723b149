//! Which file is written, and who may read it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::segments::Load;
use support::vmcore::VmcoreBuilder;

use crate::common::{noise, text, x86_64};
use crate::process::{Folder, code, stderr};
use crate::skip::or_skip;

fn builder() -> VmcoreBuilder {
    x86_64()
        .prstatus(0)
        .load(Load::new(0x100_0000, noise(7, 300_000)))
        .load(Load::new(0x10_0000, text(8, 1 << 20)))
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("vmcore", &builder().build());
    folder
}

fn mode(folder: &Folder, name: &str) -> u32 {
    fs::metadata(folder.path(name)).unwrap().mode() & 0o7777
}

fn is_root() -> Result<(), String> {
    let uid = fs::metadata("/proc/self").unwrap().uid();
    if uid == 0 { Ok(()) } else { Err("only root can give files to others".to_owned()) }
}

#[test]
fn outputs_have_mode_0600_whatever_the_umask() {
    let folder = folder();
    for umask in ["000", "022", "077"] {
        for (script, name) in [
            ("-f vmcore out", "out"),
            ("-F -f vmcore flat", "flat"),
            ("-f vmcore a-incomplete", "a-incomplete"),
            ("unflatten -f flat plain", "plain"),
            ("elf -f out elf", "elf"),
            ("-f -L 700000 -Cnone vmcore cut", "cut.incomplete"),
        ] {
            let output = folder.shell(&format!("umask {umask}; \"$KDUMPCONV\" {script}"));
            assert!([0, 4].contains(&code(&output)), "{script}: {}", stderr(&output));
            assert_eq!(mode(&folder, name), 0o600, "umask {umask}: {script}");
            fs::remove_file(folder.path("cut.incomplete")).ok();
        }
        fs::remove_file(folder.path("a-incomplete")).unwrap();
    }
}

#[test]
fn a_replaced_file_is_a_new_one_owned_by_the_user_of_the_command() {
    let folder = folder();
    folder.write("out", b"old");
    fs::hard_link(folder.path("out"), folder.path("other-name")).unwrap();
    fs::set_permissions(folder.path("out"), fs::Permissions::from_mode(0o644)).unwrap();
    if or_skip(is_root()).is_some() {
        chown(folder.path("out"), Some(1), Some(1)).unwrap();
    }
    assert_eq!(code(&folder.run(&["-f", "vmcore", "out"])), 0);
    assert_eq!(mode(&folder, "out"), 0o600);
    let of = |name: &str| fs::metadata(folder.path(name)).unwrap().uid();
    assert_eq!(of("out"), of("vmcore"));
    assert_eq!(folder.read("other-name"), b"old", "who held the old one still has it");
}

#[test]
fn an_output_that_is_a_hard_link_to_the_input_is_refused() {
    let folder = folder();
    let vmcore = folder.read("vmcore");
    fs::hard_link(folder.path("vmcore"), folder.path("link")).unwrap();
    folder.write("part", &vmcore);
    for arguments in [
        &["-f", "vmcore", "link"][..],
        &["elf", "-f", "vmcore", "link"],
        &["-f", "part", "link", "--part", "vmcore"],
    ] {
        assert!([2, 3].contains(&code(&folder.run(arguments))), "{arguments:?}");
        assert!(folder.read("vmcore") == vmcore);
    }
    assert_eq!(code(&folder.run(&["unflatten", "-f", "vmcore", "link"])), 3);
    assert!(folder.read("vmcore") == vmcore);
}

#[test]
fn an_output_that_is_a_link_is_followed_and_stays_a_link() {
    let folder = folder();
    let is_link = |name: &str| fs::symlink_metadata(folder.path(name)).unwrap().is_symlink();
    fs::create_dir(folder.path("folder")).unwrap();
    symlink("folder", folder.path("to-folder")).unwrap();
    for arguments in [&["vmcore", "to-folder"][..], &["-f", "vmcore", "to-folder"]] {
        let output = folder.run(arguments);
        assert_eq!(code(&output), 1, "{}", stderr(&output));
    }
    assert!(is_link("to-folder") && folder.path("folder").read_dir().unwrap().next().is_none());
    symlink("/dev/null", folder.path("to-device")).unwrap();
    assert_eq!(code(&folder.run(&["vmcore", "to-device"])), 0);
    assert!(is_link("to-device"));
    // A dangling link is an existing name; a file that replaces it does not follow it.
    symlink("folder/new", folder.path("dangling")).unwrap();
    assert_eq!(code(&folder.run(&["vmcore", "dangling"])), 1);
    assert!(is_link("dangling"));
    assert_eq!(code(&folder.run(&["-f", "vmcore", "dangling"])), 0);
    assert!(!is_link("dangling") && !folder.path("folder/new").exists());
    symlink("loop", folder.path("loop")).unwrap();
    assert_eq!(code(&folder.run(&["-f", "vmcore", "loop"])), 1);
}

#[test]
fn a_link_planted_by_another_user_in_a_shared_folder_is_not_followed() {
    if or_skip(is_root()).is_none() {
        return;
    }
    let folder = folder();
    let shared = folder.path("tmp");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    folder.write("victim", b"precious");
    let link = shared.join("out");
    for leads_to in [folder.path("victim"), "/dev/null".into(), folder.path("gone")] {
        symlink(leads_to, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(1234), Some(1234)).unwrap();
        for command in ["", "-F ", "elf "] {
            let line = format!("{command}-f vmcore tmp/out");
            let output = folder.run(&line.split(' ').collect::<Vec<_>>());
            assert_eq!(code(&output), 1, "{line}: {}", stderr(&output));
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(folder.read("victim"), b"precious");
        fs::remove_file(&link).unwrap();
    }
    assert!(!folder.path("gone").exists());
    // Our own link is followed.
    symlink(folder.path("victim"), &link).unwrap();
    assert_eq!(code(&folder.run(&["-f", "vmcore", "tmp/out"])), 0);
    assert_ne!(folder.read("victim"), b"precious");
}

/// Between the check of OUTPUT and the rename, another process makes it a link.
#[test]
fn a_name_that_becomes_a_link_during_the_conversion_is_not_written_through() {
    for (force, names) in [("", ["out", "out.1"]), ("-f", ["out", "out"])] {
        let folder = folder();
        folder.write("victim", b"precious");
        let script = format!(
            "mkfifo fifo; \"$KDUMPCONV\" {force} fifo out & pid=$!; \
             {{ head -c 700000; sleep 0.2; ln -s victim out; ln -s victim out.incomplete; cat; }} \
             < vmcore > fifo; wait $pid"
        );
        let output = folder.shell(&script);
        assert_eq!(code(&output), if force.is_empty() { 4 } else { 0 }, "{}", stderr(&output));
        assert_eq!(folder.read("victim"), b"precious");
        let is_link = |name: &str| fs::symlink_metadata(folder.path(name)).unwrap().is_symlink();
        assert_eq!(is_link(names[0]), force.is_empty());
        assert!(!is_link(names[1]) && folder.read(names[1]).starts_with(b"KDUMP"));
    }
}

#[test]
fn a_name_of_the_maximum_length_is_accepted() {
    let folder = folder();
    let name = "n".repeat(255);
    let output = folder.run(&["vmcore", &name]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(folder.names(), [name, "vmcore".to_owned()]);
}

/// Pages that a pipe brings too early, and kdump files from a pipe, are spooled in a file without a
/// name.
#[test]
fn a_spool_has_no_name_and_no_readers() {
    let folder = folder();
    assert_eq!(code(&folder.run(&["-Cnone", "vmcore", "kdump"])), 0);
    for source in ["vmcore", "kdump"] {
        // A new FIFO each time: the last writer of the old one may still be there.
        let fifo = folder.path("fifo");
        let _ = fs::remove_file(&fifo);
        assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
        let mut command = folder.command(&["--spool", ".", "fifo", "-"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let feed = format!("{{ head -c 1200000; sleep 100; }} < {source} > fifo");
        let mut feeder = Command::new("sh");
        feeder.args(["-c", &feed]).current_dir(folder.0.path());
        let mut feeder =
            std::os::unix::process::CommandExt::process_group(&mut feeder, 0).spawn().unwrap();
        let fds = format!("/proc/{}/fd", child.id());
        let end = Instant::now() + Duration::from_secs(20);
        let spool = loop {
            let found = fs::read_dir(&fds).unwrap().find_map(|fd| {
                let fd = fd.unwrap().path();
                let link = fs::read_link(&fd).ok()?;
                let link = link.to_string_lossy().into_owned();
                let is_spool = link.ends_with(" (deleted)") && link.contains("/tmp");
                is_spool.then_some(fd)
            });
            match found {
                Some(fd) => break Some(fs::metadata(fd).unwrap()),
                None if Instant::now() > end => break None,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let names = folder.names();
        child.kill().unwrap();
        child.wait().unwrap();
        let group = format!("-{}", feeder.id());
        assert!(Command::new("kill").args(["-9", "--", &group]).status().unwrap().success());
        feeder.wait().unwrap();
        let spool = spool.unwrap_or_else(|| panic!("{source} is not spooled"));
        assert_eq!((spool.mode() & 0o7777, spool.nlink()), (0o600, 0), "{source}");
        assert_eq!(names, ["fifo", "kdump", "vmcore"]);
    }
}

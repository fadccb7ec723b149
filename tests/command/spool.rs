//! An input that can only be read forward, because it is packed or comes from a pipe, gives what the
//! same input gives as a file; what cannot be stored for that is refused.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::classes::{folder, machine};
use crate::common::noise;
use crate::logged::with_log_at;
use crate::process::{Folder, code, stderr};
use crate::signals;

/// A folder with a machine's vmcore, which is also packed, in a folder for it.
fn packed() -> Folder {
    let folder = folder(&machine());
    fs::create_dir(folder.path("in")).unwrap();
    let vmcore = folder.read("vmcore");
    fs::rename(folder.path("vmcore"), folder.path("in/vmcore")).unwrap();
    folder.write("in/vm.zst", &zstd::encode_all(&vmcore[..], 1).unwrap());
    folder.write("in/streamed.zst", &{
        // Without the size in its header.
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        std::io::Write::write_all(&mut encoder, &vmcore).unwrap();
        encoder.finish().unwrap()
    });
    folder.write("in/vm.gz", &{
        let level = flate2::Compression::fast();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        std::io::Write::write_all(&mut encoder, &vmcore).unwrap();
        encoder.finish().unwrap()
    });
    folder
}

const INPUTS: [(&str, &str); 5] = [
    ("", "in/vm.zst"),
    ("", "in/streamed.zst"),
    ("", "in/vm.gz"),
    ("cat in/vmcore |", "-"),
    ("cat in/vm.gz |", "-"),
];

fn succeeds(output: &Output) -> String {
    assert_eq!(code(output), 0, "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&succeeds(output)).unwrap()
}

/// Runs in a shell, which puts the input before the command and after its options.
fn run(folder: &Folder, (before, input): (&str, &str), options: &str, output: &str) -> Output {
    folder.shell(&format!("{before} $KDUMPCONV {options} {input} {output}"))
}

#[test]
fn every_level_gives_the_file_that_an_unpacked_input_gives() {
    let folder = packed();
    let size = folder.read("in/vmcore").len() as u64;
    for options in ["-l -d31", "-z -d8", "elf -d31", "--verify -d16"] {
        succeeds(&folder.shell(&format!("$KDUMPCONV {options} in/vmcore expected")));
        let expected = folder.read("expected");
        for input in INPUTS {
            let report = json(&run(&folder, input, &format!("{options} --json"), "out"));
            assert!(folder.read("out") == expected, "{options} {input:?}");
            let spooled = report["bytes"]["spooled"].as_u64().unwrap();
            assert!((1..size).contains(&spooled), "{spooled} of {size}: zeros take no space");
            if options.contains("--verify") {
                assert_eq!(report["read_back"]["compared"], true, "{input:?}");
            }
            assert_eq!(folder.names(), ["expected", "in", "out"]);
            fs::remove_file(folder.path("out")).unwrap();
        }
        fs::remove_file(folder.path("expected")).unwrap();
    }
}

#[test]
fn levels_0_and_1_need_no_space_for_the_input() {
    let folder = packed();
    for input in INPUTS {
        let report = json(&run(&folder, input, "-fd1 --json --spool no", "out"));
        assert_eq!((&report["dump_level"], &report["bytes"]["spooled"]), (&1.into(), &0.into()));
    }
    // A packed file is unpacked a second time, for the comparison.
    let report = json(&folder.shell("$KDUMPCONV -fd1 --verify --json --spool no in/vm.zst out"));
    assert_eq!(report["read_back"]["compared"], true);
    assert_eq!(report["bytes"]["spooled"], 0);
}

#[test]
fn info_dmesg_and_verify_say_of_a_packed_dump_what_they_say_of_it_unpacked() {
    let folder = packed();
    let json_of = |input| {
        let mut report = json(&run(&folder, input, "info --json --classes", ""));
        for (key, of) in [("", "input"), ("bytes", "spooled"), ("classes", "seconds")] {
            let part = if key.is_empty() { &mut report } else { &mut report[key] };
            part.as_object_mut().unwrap().remove(of);
        }
        report["classes"].as_object_mut().unwrap().retain(|key, _| !key.contains("second"));
        report
    };
    let expected = json_of(("", "in/vmcore"));
    assert!(expected["classes"]["by_class"]["free"]["pages"].as_u64().unwrap() > 0);
    for input in INPUTS {
        assert_eq!(json_of(input), expected, "{input:?}");
    }
    let dry = succeeds(&folder.shell("$KDUMPCONV -nd31 in/vmcore"));
    assert_eq!(succeeds(&folder.shell("$KDUMPCONV -nd31 in/vm.gz")), dry);

    succeeds(&folder.shell("$KDUMPCONV -d31 in/vmcore out"));
    for (before, input) in INPUTS {
        let verified =
            folder.shell(&format!("{before} $KDUMPCONV verify --json out --against {input}"));
        let report = json(&verified);
        assert_eq!(report["comparison"]["excluded_unproven"], 0, "{input}: {report}");
        assert!(report["comparison"]["excluded_proven"].as_u64().unwrap() > 0, "{input}");
        assert_eq!(code(&run(&folder, (before, input), "verify", "")), 0);
    }

    // The page tables are before the log, and both beyond what stays in memory.
    folder.write("in/vmcore", &with_log_at(0x4000).vmcoredd(&noise(1, 2 << 20)).build());
    let expected = succeeds(&folder.shell("$KDUMPCONV dmesg in/vmcore"));
    assert!(expected.lines().count() > 1, "{expected}");
    succeeds(&folder.shell("gzip -c in/vmcore > in/vm.gz"));
    for script in ["$KDUMPCONV dmesg in/vm.gz", "cat in/vmcore | $KDUMPCONV dmesg -"] {
        assert_eq!(succeeds(&folder.shell(script)), expected);
    }
}

#[test]
fn what_is_left_of_a_damaged_input_is_converted_and_marked() {
    let folder = packed();
    let whole = folder.read("in/streamed.zst");
    let mut wrong = whole.clone();
    *wrong.last_mut().unwrap() ^= 1;
    for (name, bytes) in [("cut", &whole[..whole.len() / 2]), ("checksum", &wrong[..])] {
        folder.write(name, bytes);
        for level in ["-d1", "-d31"] {
            let output = folder.run(&["-l", level, name, "out"]);
            assert_eq!(code(&output), 4, "{name} {level}: {}", stderr(&output));
            assert!(stderr(&output).contains("kdumpconv: incomplete: "), "{}", stderr(&output));
            assert_eq!(folder.names(), [name, "in", "out.incomplete"].map(str::to_owned));
            let marked = folder.run(&["verify", "out.incomplete"]);
            assert_eq!(code(&marked), 4, "{}", stderr(&marked));
            fs::remove_file(folder.path("out.incomplete")).unwrap();
        }
        fs::remove_file(folder.path(name)).unwrap();
    }
}

#[test]
fn a_folder_in_memory_is_used_only_if_it_is_named() {
    let folder = packed();
    let is_memory = folder.shell("test \"$(stat -f -c %T /dev/shm)\" = tmpfs");
    if code(&is_memory) != 0 {
        return;
    }
    let script = "TMPDIR=/dev/shm $KDUMPCONV -d31 in/vm.zst > out";
    let output = folder.shell(script);
    assert_eq!((code(&output), folder.read("out").len()), (1, 0), "{}", stderr(&output));
    let why = "in/vm.zst: the input cannot be unpacked in /dev/shm: the folder is in memory (tmpfs or ramfs); --spool DIR takes another folder";
    assert!(stderr(&output).contains(why), "{}", stderr(&output));
    succeeds(&folder.shell("$KDUMPCONV -d31 in/vmcore > out"));
    succeeds(&folder.shell("$KDUMPCONV -d31 --spool /dev/shm in/vm.zst > named"));
    assert!(folder.read("named") == folder.read("out"));
    // What level 1 keeps of a stream with many notes is little, and may be there.
    folder.write("in/notes", &with_log_at(0x4000).vmcoredd(&noise(1, 2 << 20)).build());
    succeeds(&folder.shell("$KDUMPCONV -d1 in/notes > out"));
    succeeds(&folder.shell("cat in/notes | TMPDIR=/dev/shm $KDUMPCONV -d1 - > named"));
    assert!(folder.read("named") == folder.read("out"));
}

#[test]
fn an_existing_output_is_refused_before_its_input_is_unpacked() {
    let folder = packed();
    folder.write("out", b"precious");
    let output = folder.run(&["-d31", "--spool", "no", "in/vm.zst", "out"]);
    assert!(stderr(&output).contains("out exists already"), "{}", stderr(&output));
    let output = folder.run(&["-fd31", "--spool", "no", "in/vm.zst", "out"]);
    assert!(stderr(&output).contains("cannot be unpacked in no"), "{}", stderr(&output));
    assert_eq!((code(&output), folder.read("out")), (1, b"precious".to_vec()));
}

/// Without the struct pages, nobody can say which pages are missing rightly.
#[test]
fn missing_pages_are_never_judged_without_the_source_s_struct_pages() {
    let folder = packed();
    for (level, exit) in [("-d31", 1), ("-d1", 0)] {
        succeeds(&folder.shell(&format!("cat in/vmcore | $KDUMPCONV {level} - out")));
        let output = folder.shell("$KDUMPCONV verify out --spool no --against in/vm.zst");
        assert_eq!(code(&output), exit, "{level}: {}", stderr(&output));
        if exit == 1 {
            let why = "out, against in/vm.zst: the input cannot be unpacked in no: No such file or directory (os error 2); --spool DIR takes another folder\n";
            assert!(stderr(&output).ends_with(why), "{}", stderr(&output));
        }
        fs::remove_file(folder.path("out")).unwrap();
    }
}

#[test]
fn a_signal_while_an_input_is_unpacked_leaves_nothing() {
    for (signal, exit) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        let core = machine().core().bytes();
        let waiting = signals::started_with(core, &["-d31", "fifo", "out"], 3 << 20);
        waiting.until_written("partial", 0);
        std::thread::sleep(Duration::from_millis(200));
        waiting.signal(signal);
        let (folder, output) = waiting.end();
        assert_eq!(code(&output), exit, "{}", stderr(&output));
        assert!(stderr(&output).contains("nothing was kept"), "{}", stderr(&output));
        assert_eq!(folder.names(), ["fifo"]);
    }
}

#[test]
fn the_name_makedumpfile_unpacks_as_well() {
    let folder = packed();
    symlink(env!("CARGO_BIN_EXE_kdumpconv"), folder.path("makedumpfile")).unwrap();
    succeeds(&folder.shell("./makedumpfile -l -d 31 in/vmcore expected"));
    succeeds(&folder.shell("./makedumpfile -l -d 31 in/vm.zst out"));
    succeeds(
        &folder.shell("./makedumpfile -l -d 31 --work-dir in -F in/vm.gz | $KDUMPCONV -R -f out2"),
    );
    assert!(folder.read("out") == folder.read("expected"));
    assert!(folder.read("out2") == folder.read("expected"));
    let output = folder.shell("./makedumpfile -l -d 31 --work-dir no in/vm.zst out3");
    assert!(stderr(&output).contains("cannot be unpacked in no: "), "{}", stderr(&output));
}

//! The command destroys nothing that it was not asked to, and never calls a dump complete that may
//! not be.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::common::{noise, text, x86_64};
use crate::process::{Folder, code, stderr};
use support::kdump::Kdump;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

fn builder() -> VmcoreBuilder {
    x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
        .load(Load::new(0x10_0000, noise(1, 1 << 19)))
        .load(Load::new(0x100_0000, text(2, 1 << 19)))
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("vmcore", &builder().build());
    folder
}

#[test]
fn a_wrong_checksum_after_the_last_page_makes_the_dump_incomplete() {
    let folder = folder();
    let vmcore = folder.read("vmcore");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&vmcore).unwrap();
    let mut zstd = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    zstd.include_checksum(true).unwrap();
    zstd.write_all(&vmcore).unwrap();
    for (packed, from_end) in [(gzip.finish().unwrap(), 8), (zstd.finish().unwrap(), 2)] {
        folder.write("good", &packed);
        let output = folder.run(&["-f", "good", "out"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let mut damaged = packed.clone();
        damaged[packed.len() - from_end] ^= 1;
        folder.write("damaged", &damaged);
        let output = folder.run(&["-f", "damaged", "out2"]);
        assert_eq!(code(&output), 4, "{}", stderr(&output));
        assert!(stderr(&output).contains("kdumpconv: incomplete: "), "{}", stderr(&output));
        assert!(Kdump::from_bytes(&folder.read("out2.incomplete")).unwrap().is_incomplete());
        std::fs::remove_file(folder.path("out2.incomplete")).unwrap();
    }
}

#[test]
fn the_input_is_never_the_output() {
    let folder = folder();
    let vmcore = folder.read("vmcore");
    folder.write("core-incomplete", &vmcore);
    std::os::unix::fs::symlink("vmcore", folder.path("link")).unwrap();
    for script in [
        "\"$KDUMPCONV\" -f vmcore vmcore",
        "\"$KDUMPCONV\" -f link vmcore",
        "\"$KDUMPCONV\" -f vmcore ./link",
        "\"$KDUMPCONV\" -f core-incomplete core-incomplete",
        "\"$KDUMPCONV\" vmcore 1<>vmcore",
        "\"$KDUMPCONV\" - vmcore -f < vmcore",
    ] {
        let output = folder.shell(script);
        assert_eq!(code(&output), 2, "{script}: {}", stderr(&output));
        assert!(folder.read("vmcore") == vmcore, "{script}");
        assert!(folder.read("core-incomplete") == vmcore, "{script}");
    }
}

#[test]
fn a_signal_that_the_parent_ignores_stays_ignored() {
    let folder = folder();
    let script = "mkfifo fifo; trap '' HUP; \"$KDUMPCONV\" fifo out & pid=$!; \
                  { head -c 100000; sleep 0.3; kill -HUP $pid; sleep 0.2; cat; } < vmcore > fifo; \
                  wait $pid";
    let output = folder.shell(script);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!Kdump::from_bytes(&folder.read("out")).unwrap().is_incomplete());
}

#[test]
fn a_stream_that_claims_16_tib_and_ends_is_finished_at_once() {
    let folder = folder();
    let (mut bytes, layout) = (builder().build(), builder().layout());
    for field in ["p_filesz", "p_memsz"] {
        let field = layout.phdr(layout.load(1), field);
        layout.set(&mut bytes, field, 1 << 44);
    }
    folder.write("huge", &bytes);
    let started = Instant::now();
    let output = folder.shell("cat huge | \"$KDUMPCONV\" -n -");
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn a_shells_next_command_writes_after_the_dump() {
    let folder = folder();
    assert_eq!(code(&folder.run(&["vmcore", "expected"])), 0);
    let output = folder.shell("( \"$KDUMPCONV\" vmcore; echo end ) > out");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(folder.read("out") == [folder.read("expected").as_slice(), b"end\n"].concat());
}

#[test]
fn a_forced_run_that_fails_leaves_the_incomplete_dump_that_was_there() {
    let folder = folder();
    folder.write("old-incomplete", b"a dump");
    let output = folder.run(&["-f", "-L", "1", "vmcore", "old-incomplete"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(folder.read("old-incomplete"), b"a dump");
    let output = folder.run(&["-f", "vmcore", "old-incomplete"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!Kdump::from_bytes(&folder.read("old-incomplete")).unwrap().is_incomplete());
    assert_eq!(folder.names(), ["old-incomplete", "vmcore"]);
}

#[test]
fn an_impossible_page_size_is_wrong_usage() {
    let folder = folder();
    for size in ["5000", "2048", "1M"] {
        assert_eq!(code(&folder.run(&["--page-size", size, "vmcore", "out"])), 2, "{size}");
    }
}

#[test]
fn a_compressed_input_cut_before_its_headers_is_damaged_input() {
    let folder = folder();
    for packer in ["gzip -c vmcore", "cat good.zst"] {
        let packed = zstd::bulk::compress(&folder.read("vmcore"), 1).unwrap();
        folder.write("good.zst", &packed);
        let script = format!("{packer} | head -c 15 > cut; \"$KDUMPCONV\" cut out");
        assert_eq!(code(&folder.shell(&script)), 3, "{packer}");
    }
}

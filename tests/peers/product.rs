//! Our command and its files.

use std::path::{Path, PathBuf};
use std::process::Command;

use support::image::Image;
use support::kdump::{Kdump, Page, Strictness};
use tempfile::TempDir;

use crate::tools::run;
use crate::vmcores::work_folder;

/// The codecs by the names of `--compress`, with their bits in a kdump file.
pub(crate) const CODECS: [(&str, u32); 5] =
    [("zlib", 1), ("lzo", 2), ("snappy", 4), ("zstd", 0x20), ("none", 0)];

/// The command under test, with one of its commands.
pub(crate) fn subcommand(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
    command.arg(name);
    command
}

/// The command under test.
pub(crate) fn kdumpconv() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
    command.args(["--quiet", "--no-sync"]);
    command
}

/// `kdumpconv elf`.
pub(crate) fn kdumpconv_elf() -> Command {
    let mut command = subcommand("elf");
    command.args(["--quiet", "--no-sync", "--force"]);
    command
}

/// A folder for one test's files, removed when the test ends.
#[derive(Debug)]
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Folder(TempDir::new_in(work_folder()).unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where a file of this name would be.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Converts a vmcore to `name`, replacing what an earlier conversion left.
    pub(crate) fn convert(&self, vmcore: &Path, name: &str, options: &[&str]) -> PathBuf {
        let target = self.file(name);
        run(kdumpconv().arg("--force").args(options).arg(vmcore).arg(&target)).succeeded();
        target
    }
}

/// Opens a kdump file, plain or flattened.
pub(crate) fn open(path: &Path, strictness: Strictness) -> Kdump {
    let opened = Image::from_path(path).and_then(|image| Kdump::open(image, strictness));
    opened.unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The pfns at which two files differ, from 0 to after the last.
pub(crate) fn differing_pfns(a: &Kdump, b: &Kdump) -> Vec<u64> {
    let page = |kdump: &Kdump, pfn| match kdump.stored(pfn) {
        None if !kdump.present.contains(pfn) => Page::Hole,
        _ => kdump.page(pfn).unwrap_or_else(|why| panic!("{why}")),
    };
    (0..a.max_pfn().max(b.max_pfn()) + 64).filter(|&pfn| page(a, pfn) != page(b, pfn)).collect()
}

/// Asserts that two files have the same pages and the same size: only the order of their data differs.
pub(crate) fn assert_same_pages(a: &Path, b: &Path) {
    let [left, right] = [a, b].map(|path| open(path, Strictness::Ours));
    assert_eq!(differing_pfns(&left, &right), [0; 0], "{} and {}", a.display(), b.display());
    let bytes = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert_eq!(bytes(a), bytes(b), "{} and {}", a.display(), b.display());
}

/// Asserts that two files have the same bytes.
pub(crate) fn assert_same_bytes(a: &Path, b: &Path) {
    let (left, right) = (std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
    let differ = left.iter().zip(&right).position(|(left, right)| left != right);
    assert!(left == right, "{} and {} differ, first at {differ:?}", a.display(), b.display());
}

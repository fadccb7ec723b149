//! The folder of real vmcores, and their unpacked copies.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::tools::{python, run};

/// A file of the folder, packed by zstd.
#[derive(Debug)]
pub(crate) struct Packed {
    name: &'static str,
    /// Size when unpacked.
    bytes: u64,
}

/// A small kernel under QEMU, 64 MiB; the firmware is a segment of its own just below 4 GiB.
pub(crate) const TINY: Packed = Packed { name: "tiny-x86_64.vmcore", bytes: 67_376_303 };
/// Its vmlinux.
pub(crate) const TINY_VMLINUX: Packed = Packed { name: "tiny-x86_64.vmlinux", bytes: 86_824_000 };
/// A capture kernel's /proc/vmcore: overlapping segments, one ends in mid page.
pub(crate) const KEXEC: Packed = Packed { name: "x86_64-kexec.vmcore", bytes: 410_693_632 };
/// An arm64 guest after a panic, 256 MiB from 0x40000000 on.
pub(crate) const AARCH64: Packed = Packed { name: "aarch64.vmcore", bytes: 268_441_179 };

/// All vmcores' kernels have pages of this size.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// Start of QEMU's firmware on x86_64; it ends at 4 GiB.
pub(crate) const FIRMWARE: u64 = 0xfffc_0000;

/// The page in the middle of which a segment of the kexec vmcore ends. makedumpfile drops it; we
/// pad it with zeros.
pub(crate) const KEXEC_PARTIAL_PFN: u64 = 0x9f;

/// The page of tiny-x86_64 that its kernel marked as poisoned: excluded at every dump level.
pub(crate) const TINY_POISONED_PFN: u64 = 0x2d17;

impl Packed {
    /// The packed file.
    pub(crate) fn packed(&self) -> Result<PathBuf, String> {
        shared(&format!("vmcores/{}.zst", self.name))
    }

    /// The file, unpacked by the first test that asks for it and kept for later runs.
    pub(crate) fn unpacked(&self) -> Result<PathBuf, String> {
        static UNPACKING: Mutex<()> = Mutex::new(());
        let packed = self.packed()?;
        let target = work_folder().join(self.name);
        let _one_at_a_time = UNPACKING.lock().unwrap_or_else(PoisonError::into_inner);
        if fs::metadata(&target).is_ok_and(|found| found.len() == self.bytes) {
            return Ok(target);
        }
        let mut part = tempfile::NamedTempFile::new_in(work_folder()).unwrap();
        let mut decoder = zstd::Decoder::new(File::open(&packed).unwrap()).unwrap();
        decoder.window_log_max(31).unwrap();
        let bytes = io::copy(&mut decoder, &mut part).unwrap();
        assert_eq!(bytes, self.bytes, "{} unpacked", packed.display());
        part.persist(&target).unwrap();
        Ok(target)
    }
}

/// Cargo's own folder for the files of tests.
pub(crate) fn work_folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// A file of the folder of real vmcores and comparison scripts.
pub(crate) fn shared(path: &str) -> Result<PathBuf, String> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("KDUMPCONV_SHARED").map_or_else(beside, PathBuf::from);
    let path = folder.join(path);
    path.is_file().then_some(path.clone()).ok_or_else(|| format!("there is no {}", path.display()))
}

/// The same vmcore with its program headers directly after the ELF header: makedumpfile looks for
/// them there, whatever `e_phoff` says. `options` are those of the script.
pub(crate) fn relayout(vmcore: &Path, target: &Path, options: &[&str]) -> Result<(), String> {
    let script = shared("tools/elf_relayout.py")?;
    let mut command = python("struct")?;
    run(command.arg(script).arg(vmcore).arg(target).args(options)).succeeded();
    Ok(())
}

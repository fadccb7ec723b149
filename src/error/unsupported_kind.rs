//! The kinds of files that are recognised, but not read.

/// A kind of file that people have instead of an ELF vmcore or a kdump file.
///
/// Its text completes "the input is ...".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum UnsupportedKind {
    // Something around a dump.
    /// A gzip file in memory: [`Input::unpacked`](crate::Input::unpacked) opens it, as it opens the
    /// other containers.
    #[error("compressed with gzip")]
    Gzip,
    /// A zstd file in memory.
    #[error("compressed with zstd")]
    Zstd,
    /// An xz file in memory.
    #[error("compressed with xz")]
    Xz,
    /// A bzip2 file in memory.
    #[error("compressed with bzip2")]
    Bzip2,
    /// An LZ4 file in memory.
    #[error("compressed with lz4")]
    Lz4,
    /// A file of lzop.
    #[error("compressed with lzop")]
    Lzop,
    /// A file of lzip.
    #[error("compressed with lzip")]
    Lzip,
    /// A 7-Zip archive.
    #[error("a 7-Zip archive")]
    SevenZip,
    /// A zip archive in memory.
    #[error("a zip archive")]
    Zip,
    /// A tar archive in memory.
    #[error("a tar archive")]
    Tar,

    // Memory in another form.
    /// A migration stream of QEMU that has changes of pages in place of pages (capability `xbzrle`).
    #[error("a QEMU migration stream with changes of pages (xbzrle)")]
    QemuXbzrle,
    /// A migration stream of QEMU with compressed pages (capability `compress`, before QEMU 9.1).
    #[error("a QEMU migration stream with compressed pages (compress)")]
    QemuCompressed,
    /// A migration stream of QEMU without pages, which went through other channels (capability
    /// `multifd`).
    #[error("a QEMU migration stream whose pages went through other channels (multifd)")]
    QemuMultifd,
    /// One of the other channels of a migration of QEMU (capability `multifd`).
    #[error("a channel of a QEMU migration that carries pages alone (multifd)")]
    QemuChannel,
    /// A migration stream of QEMU whose memory remains in shared files (capability
    /// `x-ignore-shared`).
    #[error("a QEMU migration stream without the memory in shared files (x-ignore-shared)")]
    QemuIgnoreShared,
    /// A migration stream of QEMU that became postcopy: its destination fetched the rest of memory.
    #[error("a QEMU migration stream without the memory that its destination fetched (postcopy)")]
    QemuPostcopy,
    /// A file of `virsh save`, compressed with lzop.
    #[error("a saved guest of libvirt, compressed with lzop")]
    LibvirtLzop,
    /// The state of a VMware guest (.vmss, .vmsn) whose memory is compressed.
    #[error("the state of a VMware guest whose memory is compressed")]
    VmwareCompressed,
    /// The state of a VirtualBox guest (.sav).
    #[error("a saved state of a VirtualBox guest")]
    VirtualBoxState,
    /// A file of `xl save` or its predecessors.
    #[error("a saved guest of Xen")]
    XenSave,
    /// A core of a guest of Xen in the format before ELF, as Xen 3.0 wrote it.
    #[error("a Xen core in the format before ELF")]
    XenCore,
    /// A core of a paravirtualized guest of Xen (`xl dump-core`), whose page tables have the addresses
    /// of the host's memory.
    #[error("the Xen core of a paravirtualized guest")]
    XenPvCore,
    /// A hibernated Linux in a swap area.
    #[error("a hibernation image")]
    Hibernation,
    /// A stand-alone dump of s390.
    #[error("a stand-alone dump of s390")]
    S390Dump,
    /// A dump of the VMDUMP command of z/VM.
    #[error("a VMDUMP of z/VM")]
    VmDump,
    /// The state of a Hyper-V guest (.vmrs), or another file in the same container.
    #[error("a saved state of a Hyper-V guest")]
    HypervState,
    /// QEMU's dump of an s390x guest under Secure Execution: an ELF vmcore of encrypted memory, with
    /// sections that decrypt it, which no other format can carry.
    /// [`OpenOptions::encrypted`](crate::OpenOptions::encrypted) opens it all the same.
    #[error("the encrypted dump of a protected guest of s390x (Secure Execution)")]
    SecureExecution,
    /// A dump of LKCD, which came before kdump.
    #[error("an LKCD dump")]
    Lkcd,
    /// A dump of diskdump, which came before kdump.
    #[error("a diskdump file")]
    Diskdump,
    /// A dump of the firmware of Fujitsu's servers.
    #[error("a sadump file")]
    Sadump,
    /// A crash dump of Windows.
    #[error("a crash dump of Windows")]
    WindowsDump,
    /// A minidump.
    #[error("a minidump of a process")]
    Minidump,
    /// The core of a process.
    #[error("the core of a process, which has no physical memory")]
    ProcessCore,
    /// /proc/kcore, which cannot be verified.
    #[error("the memory of the running kernel, which changes while it is read")]
    Kcore,
    /// /proc/kcore of an old kernel that gives no physical addresses, where they do not follow from
    /// the virtual ones.
    #[error("a /proc/kcore without physical addresses, as old kernels have it")]
    KcoreWithoutAddresses,

    // No memory at all.
    /// A folder.
    #[error("a folder")]
    Folder,
    /// A kernel to boot.
    #[error("a kernel image")]
    KernelImage,
    /// An executable, a library, a kernel module or a vmlinux.
    #[error("an ELF program or kernel (vmlinux)")]
    ElfProgram,
    /// A qcow2 disk of a virtual machine, which may hold the memory of snapshots as well.
    #[error("a qcow2 disk image")]
    Qcow2,
    /// Another disk of a virtual machine.
    #[error("the disk image of a virtual machine")]
    DiskImage,
    /// Text, such as vmcore-dmesg.txt.
    #[error("a text file")]
    Text,
}

//! What the user can do about an error or a remark: the library names no option and no other tool.
//!
//! A command in advice works as it stands, but for the words in capitals.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use kdumpconv::summary::{LogError, Remark, Summary};
use kdumpconv::{
    Compression, Container, Dump, Error, ImageKind, IncompleteReason, Input, UnsupportedKind,
};

use crate::cli::args::shared_args::InputArgs;
use crate::cli::args::vmware_files::memory_of;

/// What stands for INPUT in a command if it is standard input.
const NO_NAME: &str = "FILE";

const FEWER_PAGES: &str = "exclude more pages (-d 31), ";

const OTHER_DISK: &str = "name an OUTPUT on another disk, or send it to another machine: \
                          `kdumpconv VMCORE | ssh HOST 'cat > FILE'`";

const OTHER_FOLDER: &str = "--spool DIR takes another folder";

const READER_ENDED: &str = "the reader of the pipe has ended; `kdumpconv unflatten` saves what it \
                            received of a flattened stream";

/// The name of INPUT, as the context of an error: advice makes commands with it.
#[derive(Debug)]
pub(crate) struct InputName {
    /// `None` for standard input.
    path: Option<PathBuf>,
    /// What the dump is in, the outermost first.
    containers: Vec<Container>,
}

impl From<&InputArgs> for InputName {
    fn from(input: &InputArgs) -> Self {
        InputName { path: input.path().map(Path::to_owned), containers: Vec::new() }
    }
}

impl InputName {
    /// The name of an input that is open.
    pub(crate) fn of_input(name: &InputArgs, input: Option<&Input>) -> Self {
        let containers = input.map_or(&[][..], Input::containers).to_vec();
        InputName { containers, ..InputName::from(name) }
    }

    /// The name of the file that `dump` was opened from.
    pub(crate) fn of_dump(name: &InputArgs, dump: &Dump) -> Self {
        InputName { containers: dump.containers().to_vec(), ..InputName::from(name) }
    }

    /// How an input that can only be read forward becomes one that can be read at random.
    pub(crate) fn to_file(&self) -> String {
        let file = self.path.as_deref().map_or(NO_NAME.to_owned(), shell_word);
        let (what, command) = match (self.containers.split_first(), &self.path) {
            (Some((outer, inner)), _) => {
                let commands = inner.iter().map(|container| unpacking(container, None));
                let commands: Vec<String> =
                    std::iter::once(unpacking(outer, Some(&file))).chain(commands).collect();
                ("unpack it", commands.join(" | "))
            }
            (None, Some(_)) => ("store it in a file", format!("cat {file}")),
            (None, None) => return format!("{OTHER_FOLDER}, or store it in a file first"),
        };
        format!("{OTHER_FOLDER}, or {what} first: `{command} > VMCORE`")
    }
}

/// The command that takes out what is in a container: a file, or standard input.
fn unpacking(container: &Container, file: Option<&str>) -> String {
    let word = |name: &str| shell_word(Path::new(name));
    let command = match container {
        Container::Compressed(Compression::Gzip) => "gzip -dc",
        // The library reads the largest windows, too.
        Container::Compressed(Compression::Zstd) => "zstd -dc --long=31",
        Container::Compressed(Compression::Xz) => "xz -dc",
        Container::Compressed(Compression::Bzip2) => "bzip2 -dc",
        Container::Compressed(Compression::Lz4) => "lz4 -dc",
        Container::Libvirt { stream_offset } => {
            return format!("tail -c +{} {}", stream_offset + 1, file.unwrap_or_default())
                .trim_end()
                .to_owned();
        }
        Container::Tar { entry } => {
            return format!("tar -xOf {} {}", file.unwrap_or("-"), word(entry));
        }
        Container::Zip { entry } => {
            // unzip reads no pipe.
            return match file {
                Some(file) => format!("unzip -p {file} {}", word(entry)),
                None => format!("bsdtar -xOf - {}", word(entry)),
            };
        }
        _ => "UNPACK",
    };
    file.map_or_else(|| command.to_owned(), |file| format!("{command} {file}"))
}

impl fmt::Display for InputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}", path.display()),
            None => f.write_str("standard input"),
        }
    }
}

/// The end of an error message: what helps, if anything does.
pub(crate) fn for_error(error: &anyhow::Error) -> String {
    let name = error.downcast_ref::<InputName>();
    let input = name.and_then(|name| name.path.as_deref());
    let advice = match error.downcast_ref::<Error>() {
        Some(Error::Unsupported(kind)) => for_kind(*kind, input),
        Some(Error::CutFlattened { .. }) => {
            Some("the headers of the dump did not arrive, so it must be sent again".to_owned())
        }
        Some(Error::Exists(_)) => Some("-f (--force) replaces it".to_owned()),
        Some(Error::UnknownPageSize { .. }) => {
            Some("--page-size sets it, to 4K for example".to_owned())
        }
        Some(Error::UnknownMachine { .. }) => {
            Some("--arch names it, x86_64 for example".to_owned())
        }
        Some(Error::UnknownPlace { image }) if *image == ImageKind::Raw.to_string() => {
            Some("name its first address: FILE@ADDR, with 0x for hexadecimal".to_owned())
        }
        Some(Error::MemoryElsewhere { .. }) => {
            let memory =
                input.map_or("the .vmem file".to_owned(), |state| shell_word(&memory_of(state)));
            Some(format!("it is usually {memory}; --part FILE names another"))
        }
        Some(Error::RawMemory { .. }) => Some("if so, use --raw".to_owned()),
        Some(Error::Read { what, source }) => {
            for_unreadable(what, source.kind()).map(str::to_owned)
        }
        Some(Error::Write { source, .. }) => for_unwritable(source, FEWER_PAGES),
        Some(Error::Spool { .. }) => {
            Some(name.map_or_else(|| OTHER_FOLDER.to_owned(), InputName::to_file))
        }
        _ => None,
    };
    advice.map(|advice| format!("; {advice}")).unwrap_or_default()
}

/// The end of the line that says why the log of a dump cannot be read.
pub(crate) fn for_log_error(error: &LogError) -> String {
    match error {
        LogError::Dump(Error::Spool { .. }) => format!("; {OTHER_FOLDER}"),
        _ => String::new(),
    }
}

/// The end of the line that says why a dump is incomplete. It may help to exclude pages if
/// `is_selective`: else those that fit are the most useful ones, whatever is excluded.
pub(crate) fn for_reason(reason: &IncompleteReason, is_selective: bool) -> String {
    for_stop(reason, if is_selective { FEWER_PAGES } else { "" })
}

/// The end of the line that says why a dump has a higher level than the one that was asked for.
pub(crate) fn for_reduced(why: &IncompleteReason) -> String {
    for_stop(why, "to get the other pages as well, ")
}

/// What to do about an output that takes no more, after what else would help.
fn for_stop(why: &IncompleteReason, start: &str) -> String {
    let advice = match why {
        IncompleteReason::SplitFile { reason, .. } => return for_stop(reason, start),
        IncompleteReason::Output(error) => for_unwritable(error, start),
        IncompleteReason::Capacity { .. } => Some(format!("{start}{OTHER_DISK}")),
        _ => None,
    };
    advice.map(|advice| format!("; {advice}")).unwrap_or_default()
}

/// What to do about an output that cannot be written, after what else would help if it is full.
fn for_unwritable(error: &io::Error, start: &str) -> Option<String> {
    match error.kind() {
        _ if is_full(error) => Some(format!("{start}{OTHER_DISK}")),
        io::ErrorKind::BrokenPipe => Some(READER_ENDED.to_owned()),
        _ => None,
    }
}

/// Whether what received a stream has ended, of which the message says what to do.
pub(crate) fn is_reader_gone(reason: &IncompleteReason) -> bool {
    matches!(reason, IncompleteReason::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
}

/// What makes a plain file of a stream without its end mark, whose name is `output` if it has one.
pub(crate) fn for_broken_stream(output: Option<&Path>) -> String {
    let file = output.map_or(NO_NAME.to_owned(), shell_word);
    format!("`kdumpconv unflatten {file} OUTPUT` makes a plain file of what was written")
}

/// Whether the disk, a quota or a limit is exhausted.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// What to do about a file that cannot be opened or read.
fn for_unreadable(name: &str, why: io::ErrorKind) -> Option<&'static str> {
    match why {
        io::ErrorKind::PermissionDenied => Some("root may read it"),
        io::ErrorKind::NotFound if name == "/proc/vmcore" => Some(
            "it exists only in the capture kernel, which kexec starts after a crash (systemctl status kdump)",
        ),
        _ => None,
    }
}

/// What to do about a file of another kind.
fn for_kind(kind: UnsupportedKind, input: Option<&Path>) -> Option<String> {
    use UnsupportedKind as Kind;
    let file = input.map_or(NO_NAME.to_owned(), shell_word);
    let unpack = |command: &str| {
        format!(
            "unpack it: `{command} {file} > VMCORE`, or convert it through a pipe: `{command} {file} | kdumpconv - OUTPUT`"
        )
    };
    let crash_reads_it = || format!("crash reads it: `crash VMLINUX {file}`");
    let copied_out = || format!("copy the dump out of it: `virt-copy-out -a {file} /var/crash .`");
    let dump_instead = "`virsh dump --memory-only DOMAIN VMCORE`";
    Some(match kind {
        Kind::Lzop => unpack("lzop -dc"),
        Kind::Lzip => unpack("lzip -dc"),
        Kind::SevenZip => format!("if it holds one file, {}", unpack("7z x -so")),
        Kind::QemuXbzrle
        | Kind::QemuCompressed
        | Kind::QemuMultifd
        | Kind::QemuChannel
        | Kind::QemuPostcopy => {
            format!(
                "turn this capability off and migrate to a file again, or dump the guest: {dump_instead}, or dump-guest-memory in QEMU's monitor"
            )
        }
        Kind::QemuIgnoreShared => {
            "the file behind the guest's RAM (mem-path) is its memory: use --layout qemu MEM-PATH"
                .to_owned()
        }
        Kind::LibvirtLzop => {
            format!("restore the guest (`virsh restore {file}`) and dump it: {dump_instead}")
        }
        Kind::VmwareCompressed => "VMware's vmss2core makes a core of it".to_owned(),
        Kind::VirtualBoxState => {
            "dump the running guest instead: `VBoxManage debugvm VM dumpvmcore --filename=VMCORE`"
                .to_owned()
        }
        Kind::XenSave => {
            "dump the guest instead: `xl dump-core DOMAIN FILE`, which crash reads".to_owned()
        }
        Kind::S390Dump | Kind::VmDump => {
            format!("zgetdump makes a vmcore of it: `zgetdump -f elf {file} > VMCORE`")
        }
        Kind::HypervState => "MemProcFS reads it, on Windows".to_owned(),
        Kind::Hibernation => {
            "no debugger reads it: resume the machine, then dump it by a crash".to_owned()
        }
        Kind::Qcow2 => format!(
            "{}; the memory of an internal snapshot (`qemu-img snapshot -l {file}` lists them) comes out if the guest returns to it and is dumped: {dump_instead}",
            copied_out()
        ),
        Kind::SecureExecution => format!(
            "the key of its owner decrypts it: {}; convert and elf carry it as it is with --force-encrypted",
            decryption(&file)
        ),
        Kind::XenCore | Kind::XenPvCore | Kind::Lkcd | Kind::Diskdump | Kind::Sadump => {
            crash_reads_it()
        }
        Kind::WindowsDump | Kind::Minidump => "WinDbg reads it".to_owned(),
        Kind::ProcessCore => "gdb reads it".to_owned(),
        Kind::DiskImage => copied_out(),
        Kind::Kcore => {
            format!("make a dump of it, and verify that: `kdumpconv {file} OUTPUT`")
        }
        Kind::KcoreWithoutAddresses => "crash and drgn read it".to_owned(),
        Kind::Folder => in_folder(input)?,
        Kind::KernelImage | Kind::ElfProgram | Kind::Text => {
            "the dump is another file, usually named vmcore".to_owned()
        }
        _ => return None,
    })
}

/// How the dump of a protected guest becomes a plain vmcore.
fn decryption(file: &str) -> String {
    format!("`zgetdump -k KEY -f elf {file} > VMCORE`")
}

/// The file that is meant by a folder.
fn in_folder(folder: Option<&Path>) -> Option<String> {
    let names = ["vmcore", "vmcore.flat", "dump"].into_iter();
    let file = names.filter_map(|name| Some(folder?.join(name))).find(|file| file.is_file());
    Some(match file {
        Some(file) => format!("name the file in it: {}", shell_word(&file)),
        None => "name the file in it".to_owned(),
    })
}

/// A path as a word of a shell's command line, which no program takes for an option.
pub(crate) fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = if text.starts_with('-') { format!("./{text}").into() } else { text };
    shell_quoted(&text)
}

/// A word as a shell takes it.
pub(crate) fn shell_quoted(word: &str) -> String {
    // The only error is a NUL, which no argument has.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Cow::into_owned)
}

/// A remark with advice.
pub(crate) fn remark_text(remark: &Remark, summary: &Summary) -> String {
    let advice = match remark.id {
        "split" if summary.pages.absent > 0 => "; --part names the others".to_owned(),
        "no-end-mark" => {
            format!("; `kdumpconv unflatten {NO_NAME} OUTPUT` makes a plain file of what arrived")
        }
        "no-vmcoreinfo" => "; --find-vmcoreinfo looks for one in memory".to_owned(),
        "secure-execution" if summary.stored.is_none() => {
            format!("; the key of its owner does: {}", decryption(NO_NAME))
        }
        _ => String::new(),
    };
    format!("{}{advice}", remark.text)
}

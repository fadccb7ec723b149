//! The system calls of x86_64 that can be made to fail, and the faults of each.

use std::fmt;

pub const EPERM: i32 = 1;
pub const EINTR: i32 = 4;
pub const EIO: i32 = 5;
pub const EAGAIN: i32 = 11;
pub const EACCES: i32 = 13;
pub const EFAULT: i32 = 14;
pub const EINVAL: i32 = 22;
pub const EMFILE: i32 = 24;
pub const ENOSPC: i32 = 28;
pub const EPIPE: i32 = 32;
pub const EOPNOTSUPP: i32 = 95;

/// poll(2)'s number.
pub const POLL: u64 = 7;

const FCNTL: u64 = 72;
const F_DUPFD_CLOEXEC: u64 = 1030;

/// The purpose of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Read,
    Write,
    Sync,
    /// ftruncate, fallocate.
    Size,
    Seek,
    Open,
    /// Renames, links, unlinks.
    Name,
    Close,
    /// Duplicated descriptors and socket pairs.
    Dup,
    Stat,
    Thread,
    Poll,
    /// fadvise, on which nothing depends.
    Hint,
}

/// The file that a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Input,
    Output,
    /// A pipe or FIFO that is neither standard output nor standard error.
    Pipe,
    Stdout,
    Stderr,
    Other,
}

/// A call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub class: Class,
    pub target: Target,
    /// Bytes asked for.
    pub bytes: Option<u64>,
}

/// The class of a call, if it can be made to fail.
///
/// Exempt are calls for memory (a failed allocation ends a Rust program), locks, signal handlers,
/// and the clock. mmap(2) of a file would not be exempt, but does not occur.
pub fn class_of(number: u64, args: &[u64; 3]) -> Option<Class> {
    Some(match number {
        0 | 17 | 19 | 295 | 327 => Class::Read,
        1 | 18 | 20 | 40 | 275 | 296 | 326 | 328 => Class::Write,
        74 | 75 | 306 => Class::Sync,
        77 | 285 => Class::Size,
        8 => Class::Seek,
        2 | 257 => Class::Open,
        82 | 86 | 87 | 263..=265 | 316 => Class::Name,
        3 => Class::Close,
        53 => Class::Dup,
        FCNTL if args[1] == F_DUPFD_CLOEXEC => Class::Dup,
        79 | 89 | 262 | 332 => Class::Stat,
        56 | 435 => Class::Thread,
        POLL => Class::Poll,
        221 => Class::Hint,
        _ => return None,
    })
}

/// Whether a call's third argument is the number of bytes.
pub fn counted(class: Class) -> bool {
    matches!(class, Class::Read | Class::Write)
}

/// Whether a call's first argument is something other than the descriptor of its file.
pub fn makes_a_descriptor(number: u64) -> bool {
    matches!(number, 53 | 257 | 262..=265 | 316 | 332 | 56 | 435 | 2 | 7 | 79 | 82 | 86 | 87 | 89)
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Once.
    Once(i32),
    /// For this call and every later one of its class on the same kind of file, as for a removed
    /// device.
    FromThenOn(i32),
    /// Half of the bytes that were asked for.
    Half,
    /// One byte.
    OneByte,
}

impl Fault {
    pub fn errno(self) -> Option<i32> {
        match self {
            Fault::Once(errno) | Fault::FromThenOn(errno) => Some(errno),
            Fault::Half | Fault::OneByte => None,
        }
    }

    /// Whether a correct program continues as if nothing had happened.
    pub fn must_be_survived(self, call: &Call) -> bool {
        match self.errno() {
            None | Some(EINTR | EAGAIN) => true,
            Some(_) => matches!(call.class, Class::Hint | Class::Close | Class::Thread),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Once(errno) => f.write_str(name_of(*errno)),
            Fault::FromThenOn(errno) => write!(f, "{} from then on", name_of(*errno)),
            Fault::Half => f.write_str("half"),
            Fault::OneByte => f.write_str("one byte"),
        }
    }
}

pub fn name_of(errno: i32) -> &'static str {
    match errno {
        EPERM => "EPERM",
        EINTR => "EINTR",
        EIO => "EIO",
        EAGAIN => "EAGAIN",
        EACCES => "EACCES",
        EFAULT => "EFAULT",
        EINVAL => "EINVAL",
        EMFILE => "EMFILE",
        ENOSPC => "ENOSPC",
        EPIPE => "EPIPE",
        EOPNOTSUPP => "EOPNOTSUPP",
        _ => "another",
    }
}

/// What can happen to a call.
pub fn faults_of(call: &Call) -> Vec<Fault> {
    use Fault::{FromThenOn, Half, Once, OneByte};
    let mut faults = match call.class {
        Class::Read => vec![Once(EIO), Once(EFAULT), Once(EINTR), FromThenOn(EIO)],
        Class::Write => vec![
            Once(EIO),
            Once(EFAULT),
            Once(ENOSPC),
            Once(EINTR),
            FromThenOn(EIO),
            FromThenOn(ENOSPC),
        ],
        Class::Sync => vec![Once(EIO), Once(ENOSPC), Once(EINTR)],
        Class::Size => vec![Once(EIO), Once(ENOSPC), Once(EINTR), Once(EOPNOTSUPP)],
        Class::Seek => vec![Once(EIO)],
        Class::Open => vec![Once(EIO), Once(EINTR), Once(EMFILE), Once(EACCES)],
        Class::Name => vec![Once(EIO), Once(ENOSPC), Once(EPERM), Once(EINVAL)],
        Class::Close => vec![Once(EIO), Once(EINTR)],
        Class::Dup => vec![Once(EMFILE)],
        Class::Stat => vec![Once(EIO), Once(EACCES)],
        Class::Thread => vec![Once(EAGAIN), FromThenOn(EAGAIN)],
        Class::Poll => vec![Once(EINTR)],
        Class::Hint => vec![Once(EIO), Once(EOPNOTSUPP)],
    };
    if counted(call.class) && call.bytes.is_some_and(|bytes| bytes > 1) {
        faults.extend([Half, OneByte]);
    }
    let is_pipe = matches!(call.target, Target::Pipe | Target::Stdout);
    if is_pipe && counted(call.class) {
        faults.push(Once(EAGAIN));
    }
    if is_pipe && call.class == Class::Write {
        faults.push(Once(EPIPE));
    }
    faults
}

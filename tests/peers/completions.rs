//! Completions in real shells: bash and zsh at a terminal, where keys are pressed, and fish, which
//! can be asked.
#![cfg(feature = "generate")]

use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::python::in_path;
use crate::skip::need;

/// A line up to the key TAB, what must be offered for its last word, and what must not.
type Wish = (&'static str, &'static [&'static str], &'static [&'static str]);

/// In a folder with the files that [`Shell::new`] makes.
const WISHES: &[Wish] = &[
    // The first word is a command or a file, also after options, and of a program with a path.
    ("kdumpconv inf", &["info", "info.txt"], &["convert", "vmcore"]),
    (
        "kdumpconv ",
        &["convert", "info", "help", "completions", "vmcore", "my file.core"],
        &["flat"],
    ),
    ("kdumpconv vm", &["vmcore"], &["verify"]),
    ("kdumpconv my", &["my file.core"], &[]),
    ("kdumpconv -q in", &["info", "info.txt"], &["convert"]),
    ("kdumpconv --progress never in", &["info", "info.txt"], &[]),
    ("kdumpconv --progress=never ver", &["verify"], &["info.txt"]),
    ("kdumpconv -vd 31 in", &["info", "info.txt"], &[]),
    ("kdumpconv -d31 in", &["info", "info.txt"], &[]),
    ("kdumpconv -- inf", &["info.txt"], &["info"]),
    ("./folder/kdumpconv unf", &["unflatten"], &[]),
    // Options: of a conversion before and after INPUT, of the command after a command.
    ("kdumpconv --ver", &["--verify", "--version", "--verbose"], &["--find-vmcoreinfo"]),
    (
        "kdumpconv vmcore -",
        &["--compress", "--exclude", "-z", "-d", "--quiet"],
        &["--classes", "-R", "-D"],
    ),
    ("kdumpconv -l vmcore --com", &["--compress"], &["--color"]),
    ("kdumpconv info vmcore --", &["--classes", "--json", "--part"], &["--compress", "--exclude"]),
    ("kdumpconv -q info vmcore --cl", &["--classes"], &[]),
    // What is hidden.
    ("kdumpconv --message", &[], &["--message-level"]),
    ("kdumpconv --check", &[], &["--check-params"]),
    ("kdumpconv --num", &[], &["--num-threads"]),
    ("kdumpconv elf --fla", &["--flattened"], &["--flat"]),
    // Values.
    ("kdumpconv --compress z", &["zlib", "zstd"], &["lzo", "vmcore"]),
    ("kdumpconv vmcore --compress=z", &["zlib", "zstd"], &["lzo"]),
    ("kdumpconv vmcore -C ", &["zlib", "lzo", "snappy", "zstd", "none"], &["vmcore"]),
    ("kdumpconv --format f", &["file", "flattened"], &["flat", "auto"]),
    ("kdumpconv vmcore --format=f", &["file", "flattened"], &["flat"]),
    ("kdumpconv elf --format ", &["elf", "lime"], &["vmcore"]),
    ("kdumpconv --color a", &["auto", "always"], &["never", "a=b"]),
    ("kdumpconv info --progress ", &["auto", "always", "never"], &["vmcore"]),
    ("kdumpconv --exclude z", &["zero"], &["free"]),
    (
        "kdumpconv --exclude zero,",
        &["zero,cache", "zero,private-cache", "zero,user", "zero,free"],
        &["zero,zero"],
    ),
    ("kdumpconv vmcore --exclude=zero,c", &["zero,cache"], &["zero,free"]),
    (
        "kdumpconv --exclude zero,cache,",
        &["zero,cache,free"],
        &["zero,cache,cache", "zero,cache,zero"],
    ),
    ("kdumpconv --keep ", &["user-stacks"], &["vmcore"]),
    ("kdumpconv elf --ke", &["--keep"], &[]),
    ("kdumpconv -d ", &[], &["vmcore", "info"]),
    ("kdumpconv completions ", &["bash", "zsh", "fish"], &["vmcore"]),
    ("kdumpconv schema ", &["info", "verify", "error"], &["vmcore"]),
    ("kdumpconv help el", &["elf"], &[]),
    ("kdumpconv help ", &["convert", "info"], &["vmcore"]),
    // Files.
    ("kdumpconv info vm", &["vmcore"], &[]),
    ("kdumpconv info my\\ f", &["my file.core"], &[]),
    ("kdumpconv info \"my f", &["my file.core"], &[]),
    ("kdumpconv info ~/at", &["~/at-home"], &[]),
    ("kdumpconv vmcore v", &["vmcore"], &["verify"]),
    ("kdumpconv -ld 31 vmcore m", &["my file.core"], &["man"]),
    ("kdumpconv info --part vm", &["vmcore"], &[]),
    ("kdumpconv info --vmcoreinfo=vm", &["vmcore"], &[]),
    ("kdumpconv verify vmcore --against m", &["my file.core"], &[]),
    ("kdumpconv man ", &["folder"], &["vmcore"]),
];

/// Asserts that a shell grants each wish.
fn grants(shell: &str, mut offered: impl FnMut(&str) -> Vec<String>) {
    for (line, wanted, unwanted) in WISHES {
        let words = offered(line);
        let has = |word: &&&str| words.iter().any(|offered| offered == **word);
        assert!(wanted.iter().all(|word| has(&word)), "{shell}: {line:?} gives {words:?}");
        assert!(!unwanted.iter().any(|word| has(&word)), "{shell}: {line:?} gives {words:?}");
    }
}

/// A word as the shells agree on it: without `--option=` before it, or a mark of theirs after it.
fn bare(word: &str) -> String {
    let word = word.trim_end_matches(['=', ',', '/']);
    let value = word.strip_prefix("--").and_then(|word| word.split_once('='));
    value.map_or(word, |(_, value)| value).to_owned()
}

/// The words of a line, without quotes and backslashes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut letters, mut is_quoted) = (line.chars(), false);
    while let Some(letter) = letters.next() {
        match letter {
            ' ' if !is_quoted => words.push(String::new()),
            '"' => is_quoted = !is_quoted,
            '\\' => words.last_mut().unwrap().extend(letters.next()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words
}

fn installed(shell: &str) -> Result<(), String> {
    let found = !in_path(shell).is_empty();
    found.then_some(()).ok_or_else(|| format!("{shell} is missing"))
}

/// A folder to work in, which has the script for a shell.
struct Shell {
    folder: TempDir,
}

impl Shell {
    fn new(name: &str) -> Self {
        let shell = Shell { folder: tempfile::tempdir().unwrap() };
        for folder in ["work/folder", "home/.config/fish/completions", "functions"] {
            fs::create_dir_all(shell.path(folder)).unwrap();
        }
        for file in
            ["work/vmcore", "work/info.txt", "work/my file.core", "work/a=b", "home/at-home"]
        {
            File::create(shell.path(file)).unwrap();
        }
        let program = env!("CARGO_BIN_EXE_kdumpconv");
        std::os::unix::fs::symlink(program, shell.path("work/folder/kdumpconv")).unwrap();
        let mut command = Command::new(program);
        let made = command.args(["completions", name]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let places =
            ["script", "functions/_kdumpconv", "home/.config/fish/completions/kdumpconv.fish"];
        for place in places {
            fs::write(shell.path(place), &made.stdout).unwrap();
        }
        shell
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// A program in the folder, with the folder as its home.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // fish wants no completions of a program that is not there.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.path("work/folder")).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(folders).unwrap());
        command.current_dir(self.path("work")).env("HOME", self.path("home"));
        command.env("TERM", "vt100").env("LC_ALL", "C.UTF-8").env_remove("XDG_CONFIG_HOME");
        command
    }
}

/// A shell that takes keys.
struct Session {
    shell: Shell,
    script: Child,
    lines: usize,
}

/// Inserts all that is offered.
const INSERT_ALL: &str = "\u{18}a";
const TAB: &str = "\t";

impl Session {
    /// Starts a shell at a terminal, which does `setup`. In it, INSERT_ALL must be bound, and ^X p
    /// to append the line to the file `$LINES_FILE`.
    fn start(name: &str, call: &str, setup: &str) -> Self {
        let shell = Shell::new(name);
        let screen = File::create(shell.path("screen")).unwrap();
        let script = shell
            .command("script")
            .args(["--quiet", "--command", call, "/dev/null"])
            .env("LINES_FILE", shell.path("lines"))
            .env("SCRIPT", shell.path("script"))
            .env("FUNCTIONS", shell.path("functions"))
            .stdin(Stdio::piped())
            .stdout(screen)
            .spawn()
            .unwrap();
        let mut session = Session { shell, script, lines: 0 };
        let setup = setup.replace('\n', "; ");
        let ready = session.line_after(&format!("{setup}; echo ready >>$LINES_FILE\n"));
        assert_eq!(ready, "ready");
        session
    }

    fn press(&mut self, keys: &str) {
        let keyboard = self.script.stdin.as_mut().unwrap();
        keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.shell.path("screen")).unwrap()).into_owned()
    }

    /// The next line that the shell writes to the file of lines.
    fn line_after(&mut self, keys: &str) -> String {
        self.press(keys);
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            let text = fs::read_to_string(self.shell.path("lines")).unwrap_or_default();
            if let Some(line) = text.lines().nth(self.lines).filter(|_| text.ends_with('\n')) {
                self.lines += 1;
                return line.to_owned();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no line after {keys:?}; the screen: {}", self.screen());
    }

    /// The line that `typed` becomes with `key`, which is then forgotten.
    fn edited(&mut self, typed: &str, key: &str) -> String {
        let line = self.line_after(&format!("{typed}{key}\u{18}p"));
        self.press("\u{15}");
        line
    }

    fn offered(&mut self, typed: &str) -> Vec<String> {
        let line = self.edited(typed, INSERT_ALL);
        let before = words(typed).len() - 1;
        words(&line).iter().skip(before).map(|word| bare(word)).collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without a keyboard, the shell ends, and script with it.
        drop(self.script.stdin.take());
        let _ended = self.script.kill();
        let _status = self.script.wait();
    }
}

/// Without the package bash-completion, and where an unset variable is an error.
fn bash() -> Session {
    let setup = r#"set -u
source $SCRIPT
bind '"\C-xa": insert-completions'
bind -x '"\C-xp": echo "$READLINE_LINE" >>$LINES_FILE'"#;
    Session::start("bash", "bash --norc --noprofile -i", setup)
}

/// As an autoloaded function, or sourced.
fn zsh(load: &str) -> Session {
    let setup = r"setopt no_beep
all() { compstate[insert]=all compstate[list]= }
insert-all() { comppostfuncs=(all); zle complete-word }
zle -N insert-all; bindkey '^Xa' insert-all
print-line() { print -r -- $BUFFER >>$LINES_FILE }
zle -N print-line; bindkey '^Xp' print-line";
    Session::start("zsh", "zsh -f -i", &format!("autoload -Uz compinit\n{load}\n{setup}"))
}

const AUTOLOADED: &str = "fpath=($FUNCTIONS $fpath)\ncompinit -u -D";
const SOURCED: &str = "compinit -u -D\nsource $SCRIPT";

#[test]
fn bash_completes_what_can_stand_at_each_place() {
    need!(installed("script"));
    let mut bash = bash();
    grants("bash", |line| bash.offered(line));
    assert_eq!(bash.edited("kdumpconv unf", TAB), "kdumpconv unflatten ");
    assert_eq!(bash.edited("kdumpconv --exclude zero,us", TAB), "kdumpconv --exclude zero,user");
    assert_eq!(bash.edited("kdumpconv info my", TAB), "kdumpconv info my\\ file.core ");
    assert_eq!(bash.edited("kdumpconv info \"my", TAB), "kdumpconv info \"my file.core\" ");
    assert!(!bash.screen().contains("unbound variable"), "{}", bash.screen());
}

#[test]
fn zsh_completes_what_can_stand_at_each_place() {
    need!(installed("zsh"));
    need!(installed("script"));
    let mut zsh = zsh(AUTOLOADED);
    grants("zsh", |line| zsh.offered(line));
    assert_eq!(zsh.edited("kdumpconv unf", TAB), "kdumpconv unflatten ");
    assert_eq!(zsh.edited("kdumpconv info my", TAB), "kdumpconv info my\\ file.core ");
}

#[test]
fn zsh_takes_the_script_as_a_source_and_shows_descriptions() {
    need!(installed("zsh"));
    need!(installed("script"));
    let mut zsh = zsh(SOURCED);
    assert_eq!(zsh.edited("kdumpconv unf", TAB), "kdumpconv unflatten ");
    // ^D lists.
    zsh.edited("kdumpconv in", "\u{4}");
    zsh.edited("kdumpconv info --cl", "\u{4}");
    zsh.edited("kdumpconv --format f", "\u{4}");
    let screen = zsh.screen();
    for text in ["-- Show what a dump is", "-- A plain file"] {
        assert!(screen.contains(text), "{screen}");
    }
}

#[test]
fn fish_completes_what_can_stand_at_each_place() {
    need!(installed("fish"));
    let shell = Shell::new("fish");
    let answer = |line: &str| {
        // The words are the script's arguments: nothing to quote.
        let mut command = shell.command("fish");
        let output = command.args(["--command", "complete -C $argv[1]", line]).output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    grants("fish", |line| {
        let answer = answer(line);
        let words = answer.lines().filter_map(|line| line.split('\t').next());
        words.map(bare).collect()
    });
    for (line, described) in [
        ("kdumpconv inf", "info\tShow what a dump is"),
        ("kdumpconv info --cl", "--classes\tCount"),
        ("kdumpconv --format fi", "file\tA plain file"),
        ("kdumpconv --exclude zero,us", "zero,user\tMemory of processes"),
    ] {
        assert!(answer(line).contains(described), "{line:?} gives {}", answer(line));
    }
}

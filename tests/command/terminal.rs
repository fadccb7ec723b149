//! A terminal for the command to run on.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use nix::pty::{Winsize, openpty};

use crate::process::{Folder, wait};

/// Runs the command on a terminal of this width. Returns its exit code and all that the terminal
/// got, standard error too.
pub fn on_terminal(folder: &Folder, columns: u16, arguments: &[&str]) -> (i32, String) {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None).unwrap();
    let copy = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut command = folder.command(arguments);
    command.env("TERM", "xterm").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
    let child = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
    // The terminal ends when no process has it open.
    drop((command, pty.slave));
    let mut got = Vec::new();
    let mut terminal = File::from(pty.master);
    let mut buffer = [0; 4096];
    while let Ok(bytes @ 1..) = terminal.read(&mut buffer) {
        got.extend_from_slice(&buffer[..bytes]);
    }
    let code = crate::process::code(&wait(child, 20));
    (code, String::from_utf8(got).unwrap().replace("\r\n", "\n"))
}

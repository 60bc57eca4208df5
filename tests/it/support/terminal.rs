use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::eventually;
use crate::support::shell::{command, with_default_signals};

/// The program in a pseudo-terminal.
pub(crate) struct Terminal {
    pub(crate) child: Child,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    pub(crate) fn start(folder: &Path, url: &str, arguments: &[&str], (rows, columns): (u16, u16)) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&controller).expect("granted");
        unlockpt(&controller).expect("unlocked");
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&controller, size).expect("its size");
        let path = ptsname(&controller, Vec::new()).expect("its name");
        let path = path.to_str().expect("text");
        let terminal = || File::options().read(true).write(true).open(path).expect("the terminal");
        let program = with_default_signals(&command(folder, url, arguments));
        // A session of its own, whose terminal this is: the terminal of the person who runs the test is not involved.
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(program.get_program()).args(program.get_args()).current_dir(folder);
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        session.env("TERM", "xterm-256color").stdin(Stdio::from(terminal()));
        let child = session.stdout(Stdio::from(terminal())).stderr(Stdio::from(terminal())).spawn().expect("setsid");
        let keys = File::from(controller);
        let mut output = keys.try_clone().expect("a copy");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(lines(rows), lines(columns), 0)));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Reading fails when the program has closed the terminal.
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                shown.lock().expect("no panic").process(&buffer[..length]);
            }
        });
        Self { child, keys, screen }
    }

    pub(crate) fn text(&self) -> String {
        self.screen.lock().expect("no panic").screen().contents()
    }

    pub(crate) async fn shows(&self, text: &str) {
        let is_shown = || async { self.text().contains(text).then_some(()) };
        let waited = tokio::time::timeout(super::DEADLINE, eventually(text, is_shown)).await;
        assert!(waited.is_ok(), "{text:?} in\n{}", self.text());
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("written");
    }

    pub(crate) fn resize(&self, (rows, columns): (u16, u16)) {
        self.screen.lock().expect("no panic").screen_mut().set_size(lines(rows), lines(columns));
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let controller: &File = &self.keys;
        tcsetwinsize(controller, size).expect("its size");
    }

    pub(crate) async fn exit_status(mut self) -> Option<i32> {
        let status = eventually("the exit", || {
            let status = self.child.try_wait().expect("its status");
            async move { status }
        })
        .await;
        assert!(!self.screen.lock().expect("no panic").screen().alternate_screen(), "the terminal is restored");
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lines(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("not 0")
}

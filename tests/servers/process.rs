//! Servers as child processes.

use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// The folder that `.ci/run servers` has installed the servers into. If there is none, says that `name`
/// is skipped.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let folder = env::var_os("TOWER_BEARER_SERVERS");
    if folder.is_none() {
        println!("skipped: {name} is not installed; .ci/run servers installs it");
    }
    folder.map(PathBuf::from)
}

/// The Node.js that npm has installed. Debian 12 has one that is too old for oidc-provider.
pub(crate) fn node(installed: &Path) -> Command {
    Command::new(installed.join("node_modules/.bin/node"))
}

/// An empty folder for the files of a server.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("servers")
        .join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A file of this folder.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/servers")
        .join(name)
}

/// A running server. It ends when its standard input does: when this is dropped, or when the test is
/// killed.
pub(crate) struct Process(Child);

impl Process {
    /// Starts a server, and waits for the line with `ready` in it, which is returned. Fails with what the
    /// server has printed on standard error if it ends before.
    pub(crate) fn start(
        mut command: Command,
        folder: &Path,
        ready: &'static str,
    ) -> Result<(Self, String), String> {
        let errors = folder.join("stderr");
        let child = command
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).unwrap())
            .spawn();
        let mut child = child.map_err(|error| format!("{command:?}: {error}"))?;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let process = Self(child);
        let (found, line) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = lines.by_ref().map_while(Result::ok);
            if let Some(line) = lines.find(|line| line.contains(ready)) {
                let _ = found.send(line);
            }
            drop(found);
            // A full pipe would block the server.
            lines.for_each(drop);
        });
        match line.recv_timeout(Duration::from_secs(120)) {
            Ok(line) => Ok((process, line)),
            Err(_) => {
                drop(process);
                let printed = fs::read_to_string(errors).unwrap_or_default();
                Err(format!("{command:?} has not started: {printed}"))
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

//! Waits until a process that got SIGSTOP stands still.

use std::{fs, thread};

/// `kill` returns before that: on a busy machine, the process may run on for a while. Without `/proc`, this does
/// nothing.
pub(crate) fn wait_until_stopped(pid: &str) {
    let is_stopped = |state: String| state.rsplit(") ").next().unwrap().starts_with('T');
    let all_are = || {
        let mut threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        Some(threads.all(|thread| {
            let state = fs::read_to_string(thread.unwrap().path().join("stat"));
            state.is_ok_and(is_stopped)
        }))
    };
    while all_are() == Some(false) {
        thread::yield_now();
    }
}

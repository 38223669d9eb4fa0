//! A `redis-server` on a free port of 127.0.0.1, and a store in it.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use redis::{
    Client, FromRedisValue, RedisError, Script,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig},
};
use tower_bearer::store::{RedisScript, RedisStore};

use crate::{
    process::{Process, folder, free_port},
    stopped::wait_until_stopped,
};

/// A replica need not wait for others before it gets its copy.
pub(crate) const COPIES_AT_ONCE: [&str; 2] = ["--repl-diskless-sync-delay", "0"];

pub(crate) fn is_installed() -> bool {
    let version = Command::new("redis-server").arg("--version").output();
    version.is_ok()
}

/// Ends the server when the standard input ends, also if the test is killed.
const UNTIL_INPUT_ENDS: &str = r#"
    exec 3<&0
    redis-server "$@" &
    server=$!
    { cat <&3; kill -9 $server; } >/dev/null 2>&1 &
    wait $server"#;

/// A Redis of one test. It saves nothing.
pub(crate) struct Server {
    process: Option<Process>,
    folder: PathBuf,
    pub(crate) port: u16,
    settings: Vec<String>,
}

impl Server {
    pub(crate) fn start(settings: &[&str]) -> Self {
        static SERVERS: AtomicUsize = AtomicUsize::new(0);
        let server = SERVERS.fetch_add(1, Ordering::Relaxed);
        let settings = settings.iter().map(|&it| it.to_owned());
        let mut server = Self {
            process: None,
            folder: folder(&format!("redis-{}-{server}", std::process::id())),
            port: 0,
            settings: settings.collect(),
        };
        // Another process may take the port in between.
        let mut failed = String::new();
        for _ in 0..5 {
            server.port = free_port();
            match server.run(&[], "Ready to accept connections") {
                Ok(()) => return server,
                Err(error) => failed = error,
            }
        }
        panic!("{failed}");
    }

    /// Starts it on the same port, and waits for this line.
    pub(crate) fn run(&mut self, settings: &[&str], ready: &'static str) -> Result<(), String> {
        let mut command = Command::new("sh");
        command.args(["-c", UNTIL_INPUT_ENDS, "redis"]);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]);
        command
            .arg(&self.folder)
            .args(&self.settings)
            .args(settings);
        self.process = Some(Process::start(command, &self.folder, ready)?.0);
        Ok(())
    }

    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    pub(crate) fn client(&self, user: &str) -> Client {
        Client::open(format!("redis://{user}127.0.0.1:{}/", self.port)).unwrap()
    }

    pub(crate) fn manager(&self, user: &str) -> ConnectionManager {
        // A slow machine must not fail a test.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let manager = self.client(user).get_connection_manager_lazy(config);
        manager.unwrap()
    }

    /// A store with a connection of its own.
    pub(crate) fn store(&self) -> RedisStore {
        over(self.manager(""))
    }

    pub(crate) async fn try_command<T: FromRedisValue>(
        &self,
        command: &[&str],
    ) -> Result<T, RedisError> {
        let mut connection = self.manager("");
        let mut words = redis::cmd(command[0]);
        words.arg(&command[1..]).query_async(&mut connection).await
    }

    pub(crate) async fn command<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let outcome = self.try_command(command).await;
        outcome.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Lets time pass for the leases: Redis has no clock that a test could move.
    pub(crate) async fn pass(&self, time: Duration) {
        let passed = "
            for _, key in ipairs(redis.call('KEYS', '*:lock')) do
                redis.call('PEXPIRE', key, redis.call('PTTL', key) - ARGV[1])
            end";
        let time = time.as_millis().to_string();
        let () = self.command(&["EVAL", passed, "0", &time]).await;
    }

    pub(crate) async fn pid(&self) -> String {
        let info: String = self.command(&["INFO", "server"]).await;
        let pid = info
            .lines()
            .find_map(|line| line.strip_prefix("process_id:"));
        pid.unwrap().to_owned()
    }

    pub(crate) fn signal(&self, signal: &str, pid: &str) {
        let sent = Command::new("kill").args([signal, pid]).status();
        assert!(sent.unwrap().success());
        if signal == "-STOP" {
            wait_until_stopped(pid);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a user writes: `examples/redis.rs` has it too.
pub(crate) fn over(connection: impl ConnectionLike + Clone + Send + Sync + 'static) -> RedisStore {
    over_times(1, connection)
}

/// Runs each script so many times, and returns the last reply.
pub(crate) fn over_times(
    times: usize,
    connection: impl ConnectionLike + Clone + Send + Sync + 'static,
) -> RedisStore {
    RedisStore::new(move |script: RedisScript| {
        let mut connection = connection.clone();
        async move {
            let text = Script::new(script.text());
            let mut run = text.prepare_invoke();
            for key in script.keys() {
                run.key(key);
            }
            for argument in script.arguments() {
                run.arg(argument);
            }
            for _ in 1..times {
                let () = run.invoke_async(&mut connection).await?;
            }
            Ok(run.invoke_async(&mut connection).await?)
        }
    })
}

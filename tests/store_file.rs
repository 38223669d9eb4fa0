//! The store in files: what others do to its files, and what a crash leaves.

#![cfg(unix)]

use std::{
    fs::{self, File, Permissions},
    io::{BufRead, BufReader, Lines, Write},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::runtime::{Builder, Runtime};
use tower_bearer::{
    CachedProvider, Credential,
    store::{
        CredentialStore, FileStore, Lock, LockAttempt, Publication, Record, RecordKey, Revision,
        SealedRecord, SharedAccount, StoreError,
    },
    test_util::{ScriptedLogin, TestClock, store_conformance},
};

const CANARY: &str = "canaryTOKEN.81c5f0aa~q";
const LEASE: Duration = Duration::from_secs(40);

/// Held by each test. Until a new process has begun its own program, it has a copy of each handle, and so keeps a
/// lock that another test has just dropped.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder for one store, which is removed at the end.
struct Place {
    runtime: Runtime,
    /// Holds the folder of the store.
    above: PathBuf,
}

impl Place {
    fn new() -> Self {
        static PLACES: AtomicUsize = AtomicUsize::new(0);
        let place = PLACES.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-bearer-store-{}-{place}", std::process::id());
        let above = std::env::temp_dir().join(name);
        fs::create_dir(&above).unwrap();
        Self {
            runtime: Builder::new_multi_thread()
                .worker_threads(1)
                .build()
                .unwrap(),
            above,
        }
    }

    fn folder(&self) -> PathBuf {
        self.above.join("store")
    }

    fn path(&self, extension: &str) -> PathBuf {
        self.folder().join(format!("{}.{extension}", key()))
    }

    fn store(&self) -> FileStore {
        FileStore::new(self.folder())
    }

    fn read(&self) -> Result<Option<(Revision, SealedRecord)>, StoreError> {
        let stored = self.runtime.block_on(self.store().read(key()))?;
        Ok(stored.map(|it| (it.revision().clone(), it.record().clone())))
    }

    fn acquire(&self) -> Lock {
        match self.runtime.block_on(self.store().lock(key(), LEASE)) {
            Ok(LockAttempt::Acquired(lock)) => lock,
            other => panic!("nobody else has the lock: {other:?}"),
        }
    }

    /// Publishes the canary with a lock of its own. `None` if that is refused.
    fn publish(&self, previous: Option<&Revision>) -> Result<Option<Revision>, StoreError> {
        let lock = self.runtime.block_on(self.store().lock(key(), LEASE))?;
        let LockAttempt::Acquired(lock) = lock else {
            panic!("nobody else has the lock")
        };
        let outcome = self.publish_with(&lock, previous);
        self.runtime.block_on(self.store().unlock(lock)).unwrap();
        outcome
    }

    fn publish_with(
        &self,
        lock: &Lock,
        previous: Option<&Revision>,
    ) -> Result<Option<Revision>, StoreError> {
        let credential = Credential::new(CANARY).unwrap();
        let record = Record::new(&credential, SystemTime::now()).seal(key(), None)?;
        let store = self.store();
        let outcome = self
            .runtime
            .block_on(store.publish(lock, previous, record))?;
        Ok(match outcome {
            Publication::Published(revision) => Some(revision),
            _ => None,
        })
    }

    /// All files below the place, with what they are.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.above.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match fs::symlink_metadata(&path).unwrap().is_dir() {
                    true => folders.push(path),
                    false => files.push(path),
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.above).unwrap();
    }
}

fn key() -> RecordKey {
    RecordKey::new("https://issuer.example", "user-7", "")
}

fn has_canary(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap();
    bytes
        .windows(CANARY.len())
        .any(|it| it == CANARY.as_bytes())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_store_in_files_keeps_the_rules() {
    let _alone = alone();
    let place = Place::new();
    let clock = TestClock::new();
    let rules = place.runtime.block_on(store_conformance(
        async || place.store().with_clock(clock.clone()),
        LEASE,
        async |time| clock.advance(time),
    ));
    println!("figure: store_rules-file rules={rules} broken=0");
}

// P6
#[test]
fn a_damaged_file_counts_as_no_record_and_is_replaced() {
    let _alone = alone();
    let place = Place::new();
    place.publish(None).unwrap().unwrap();
    let path = place.path("record");
    let whole = fs::read(&path).unwrap();
    let mut cases = 0;
    let mut check = |what: &str, bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = place.read().unwrap_err();
        assert!(error.is_damaged(), "{what}: {error:?}");
        assert!(!format!("{error:?}").contains(CANARY));
        cases += 1;
    };
    for length in 0..whole.len() {
        check("truncated", &whole[..length]);
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            check("a flipped bit", &bytes);
        }
    }
    check("longer", &[&whole[..], b"\n"].concat());
    check("text", b"mF_9.B5f-4.1JqM\n");
    check(
        "zeros, as a power cut may leave them",
        &vec![0; whole.len()],
    );
    check("65 KiB", &vec![b'x'; 65 * 1024]);

    // A file of a gigabyte is not read, nor is memory made for it.
    let sparse = File::options().write(true).open(&path).unwrap();
    sparse.set_len(1 << 30).unwrap();
    assert!(place.read().unwrap_err().is_damaged());
    cases += 1;
    drop(sparse);

    // It counts as none, so a publication with another revision is refused.
    let unknown = Revision::new(*b"unknown");
    assert_eq!(place.publish(Some(&unknown)).unwrap(), None);
    let revision = place.publish(None).unwrap().unwrap();
    assert_eq!(place.read().unwrap().unwrap().0, revision);
    println!("figure: P6-damaged cases~={cases} used=0 panics=0");
}

// P6
#[test]
fn what_is_no_regular_file_is_neither_opened_nor_replaced() {
    let _alone = alone();
    let mut cases = 0;
    for extension in ["record", "lock", "lease"] {
        for kind in ["folder", "pipe", "link", "dangling link"] {
            let place = Place::new();
            place.publish(None).unwrap().unwrap();
            let path = place.path(extension);
            let target = place.above.join("target");
            let _ = fs::remove_file(&path);
            match kind {
                "folder" => {
                    fs::create_dir(&path).unwrap();
                    set_mode(&path, 0o700);
                }
                // A read would wait for a writer for ever.
                "pipe" => {
                    let made = Command::new("mkfifo")
                        .args(["-m", "600"])
                        .arg(&path)
                        .status();
                    assert!(made.unwrap().success());
                }
                "link" => {
                    fs::write(&target, "untouched").unwrap();
                    set_mode(&target, 0o600);
                    symlink(&target, &path).unwrap();
                }
                _ => symlink(&target, &path).unwrap(),
            }
            if extension == "record" {
                assert!(place.read().unwrap_err().is_not_private(), "{kind}");
            }
            if extension == "record" {
                let lock = place.acquire();
                let outcome = place.publish_with(&lock, None);
                assert!(outcome.unwrap_err().is_not_private(), "{kind}");
            } else {
                let outcome = place.publish(None);
                assert!(outcome.unwrap_err().is_not_private(), "{kind}");
            }
            let left = fs::symlink_metadata(&path).unwrap().file_type();
            assert!(
                left.is_dir() || left.is_symlink() || left.is_fifo(),
                "{kind}"
            );
            match kind {
                "link" => assert_eq!(fs::read(&target).unwrap(), b"untouched"),
                _ => assert!(!target.exists(), "{kind}"),
            }
            cases += 1;
        }
    }
    println!("figure: P6-irregular cases={cases} opened=0 replaced=0");
}

// P8
#[test]
fn all_files_are_private_whatever_the_umask() {
    let _alone = alone();
    // The umask is one of the process, so another process runs this test with it.
    let Some(folder) = std::env::var_os("STORE_PLACE") else {
        let place = Place::new();
        let mut umasks = 0;
        for umask in ["000", "022", "077", "277", "777"] {
            let own = std::env::current_exe().unwrap();
            let run = Command::new("sh")
                .args(["-c", "umask \"$STORE_UMASK\"; exec \"$0\" \"$@\""])
                .arg(own)
                .args(["--exact", "all_files_are_private_whatever_the_umask"])
                .env("STORE_UMASK", umask)
                .env("STORE_PLACE", place.folder().with_extension(umask))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&run.stdout);
            assert!(run.status.success(), "{umask}: {said}");
            umasks += 1;
        }
        println!("figure: P8-created umasks={umasks} files_open_to_others=0");
        return;
    };
    let folder = PathBuf::from(folder);
    let store = FileStore::new(&folder);
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let LockAttempt::Acquired(lock) = store.lock(key(), LEASE).await.unwrap() else {
            panic!("nobody else has the lock")
        };
        let record = SealedRecord::from_bytes(CANARY.into());
        store.publish(&lock, None, record).await.unwrap();
        assert_eq!(mode(&folder), 0o700);
        let modes = fs::read_dir(&folder).unwrap();
        let modes: Vec<_> = modes.map(|entry| mode(&entry.unwrap().path())).collect();
        assert_eq!(modes, [0o600; 3], "lock, lease and record");
    });
}

// P8
#[test]
fn a_file_or_a_folder_that_is_open_to_others_is_refused() {
    let _alone = alone();
    let mut cases = 0;
    for extension in ["record", "lock", "lease"] {
        for mode in [0o644, 0o640, 0o660, 0o604, 0o601] {
            let place = Place::new();
            let lock = place.acquire();
            place.publish_with(&lock, None).unwrap().unwrap();
            let path = place.path(extension);
            set_mode(&path, mode);
            let before = fs::read(&path).unwrap();
            let error = match extension {
                "record" => place.read().unwrap_err(),
                _ => place.publish(None).unwrap_err(),
            };
            assert!(error.is_not_private(), "{mode:o}: {error:?}");
            if extension != "lease" {
                let error = place.publish_with(&lock, None).unwrap_err();
                assert!(error.is_not_private(), "{mode:o}: {error:?}");
            }
            assert_eq!(fs::read(&path).unwrap(), before);
            cases += 1;
        }
    }
    for mode in [0o777, 0o1777, 0o770, 0o702] {
        let place = Place::new();
        fs::create_dir(place.folder()).unwrap();
        set_mode(&place.folder(), mode);
        assert!(place.read().unwrap_err().is_not_private(), "{mode:o}");
        assert!(
            place.publish(None).unwrap_err().is_not_private(),
            "{mode:o}"
        );
        assert!(place.files().is_empty(), "nothing was written there");
        cases += 1;
    }
    let place = Place::new();
    fs::create_dir(place.above.join("elsewhere")).unwrap();
    symlink(place.above.join("elsewhere"), place.folder()).unwrap();
    assert!(place.publish(None).unwrap_err().is_not_private());
    cases += 1;
    let place = Place::new();
    fs::write(place.folder(), "no folder").unwrap();
    set_mode(&place.folder(), 0o600);
    assert!(place.publish(None).unwrap_err().is_not_private());
    cases += 1;
    println!("figure: P8-open_to_others cases={cases} read=0 written=0");
}

// P8
#[test]
fn files_of_another_user_are_refused() {
    let _alone = alone();
    let place = Place::new();
    if fs::metadata(&place.above).unwrap().uid() != 0 {
        println!("figure: P8-foreign_owner not measured: only root can give files to others");
        return;
    }
    let mut cases = 0;
    for extension in ["record", "lock", "lease"] {
        let place = Place::new();
        let _lock = place.acquire();
        place.publish_with(&_lock, None).unwrap().unwrap();
        chown(place.path(extension), Some(65_534), None).unwrap();
        let error = match extension {
            "record" => place.read().unwrap_err(),
            _ => place.publish(None).unwrap_err(),
        };
        assert!(error.is_not_private(), "{error:?}");
        cases += 1;
    }
    fs::create_dir(place.folder()).unwrap();
    chown(place.folder(), Some(65_534), None).unwrap();
    assert!(place.publish(None).unwrap_err().is_not_private());
    assert!(!place.path("record").exists());
    println!(
        "figure: P8-foreign_owner cases~={} read=0 written=0",
        cases + 1
    );
}

// P14
#[test]
fn a_crash_leaves_nothing_that_stays() {
    let _alone = alone();
    let place = Place::new();
    let revision = place.publish(None).unwrap().unwrap();
    // A process that dies while it writes leaves the new file, and the file of the holder.
    let lock = place.acquire();
    let mut left = File::create_new(place.path("new")).unwrap();
    left.write_all(CANARY.as_bytes()).unwrap();
    drop(lock);
    assert!(place.path("lease").exists());

    let lock = place.acquire(); // without waiting for the lease
    let next = place.publish_with(&lock, Some(&revision)).unwrap();
    assert!(next.is_some());
    place.runtime.block_on(place.store().unlock(lock)).unwrap();
    assert_eq!(place.files(), [place.path("lock"), place.path("record")]);
    let with_canary: Vec<_> = place
        .files()
        .into_iter()
        .filter(|it| has_canary(it))
        .collect();
    assert_eq!(with_canary, [place.path("record")]);

    let lock = place.acquire();
    assert!(place.runtime.block_on(place.store().remove(&lock)).unwrap());
    place.runtime.block_on(place.store().unlock(lock)).unwrap();
    assert_eq!(place.files(), [place.path("lock")]);
    println!("figure: P14 leftovers=0 files_with_canary=1 after_removal=0");
}

// P15
#[test]
fn a_file_of_another_version_is_ignored_and_stays() {
    let _alone = alone();
    let place = Place::new();
    place.publish(None).unwrap().unwrap();
    let path = place.path("record");
    // What a later version writes: the mark, its number, anything, and the checksum.
    let mut later = fs::read(&path).unwrap();
    later.truncate(later.len() - 32);
    later[8] = 2;
    later.extend(ring::digest::digest(&ring::digest::SHA256, &later.clone()).as_ref());
    fs::write(&path, &later).unwrap();

    assert!(place.read().unwrap_err().is_other_version());
    assert!(place.publish(None).unwrap_err().is_other_version());
    assert_eq!(fs::read(&path).unwrap(), later);
    println!("figure: P15 versions=2 used=0 overwritten=0");
}

// P4, with a clock for both: also if the second holder has not published yet, and if it dies.
#[test]
fn a_stopped_holder_publishes_nothing_after_its_lease() {
    let _alone = alone();
    let place = Place::new();
    let clock = TestClock::new();
    let open = || place.store().with_clock(clock.clone());
    place.runtime.block_on(async {
        let mut refused = 0;
        let record = || SealedRecord::from_bytes(CANARY.into());
        let LockAttempt::Acquired(stopped) = open().lock(key(), LEASE).await.unwrap() else {
            panic!("nobody else has the lock")
        };
        clock.advance(LEASE - Duration::from_millis(1));
        assert!(matches!(
            open().lock(key(), LEASE).await,
            Ok(LockAttempt::Held)
        ));
        clock.advance(Duration::from_millis(1));
        let LockAttempt::Acquired(lock) = open().lock(key(), LEASE).await.unwrap() else {
            panic!("the lease is over")
        };
        for _ in 0..2 {
            // Before and after the publication of the second holder.
            let late = open().publish(&stopped, None, record()).await;
            refused += usize::from(late.unwrap() == Publication::Refused);
            let _ = open().publish(&lock, None, record()).await.unwrap();
        }
        open().unlock(stopped).await.unwrap();
        assert!(matches!(
            open().lock(key(), LEASE).await,
            Ok(LockAttempt::Held)
        ));

        // The second one dies, while the first one still has the lock of its own file.
        drop(lock);
        assert!(matches!(
            open().lock(key(), LEASE).await,
            Ok(LockAttempt::Acquired(_))
        ));
        assert_eq!(refused, 2);
        println!("figure: P4-one_process late_publications=2 refused={refused}");
    });
}

// P3, for a holder that drops its lock as the kernel does for a process that dies.
#[test]
fn the_lock_of_a_dead_holder_is_free_at_once() {
    let _alone = alone();
    let place = Place::new();
    for _ in 0..3 {
        drop(place.acquire());
    }
    // A clock that was set back keeps nobody out for long.
    let lock = place.acquire();
    let clock = TestClock::new();
    clock.jump_wall_back(Duration::from_secs(24 * 3600));
    let store = place.store().with_clock(clock);
    let attempt = place.runtime.block_on(store.lock(key(), LEASE));
    assert!(matches!(attempt, Ok(LockAttempt::Acquired(_))));
    drop(lock);
}

#[test]
fn a_full_or_unreachable_folder_is_an_error() {
    let _alone = alone();
    let place = Place::new();
    let missing = FileStore::new(place.above.join("missing/store"));
    let error = place.runtime.block_on(missing.read(key())).unwrap_err();
    assert!(!error.is_damaged() && !error.is_not_private(), "{error:?}");
    assert!(format!("{error:?}").contains("missing"), "{error:?}");

    let lock = place.acquire();
    let long = SealedRecord::from_bytes(vec![0; 64 * 1024]);
    let outcome = place
        .runtime
        .block_on(place.store().publish(&lock, None, long));
    assert!(format!("{:?}", outcome.unwrap_err()).contains("64 KiB"));
    assert!(!place.path("record").exists() && !place.path("new").exists());
}

#[test]
fn a_lock_of_another_store_is_an_error() {
    let _alone = alone();
    let place = Place::new();
    let foreign = Lock::new(key(), 7_u64);
    assert!(place.publish_with(&foreign, None).is_err());
    assert!(
        place
            .runtime
            .block_on(place.store().remove(&foreign))
            .is_err()
    );
}

/// Runs `holder` in another process, in the folder of this place.
struct Holder {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Holder {
    fn start(place: &Place) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "holder", "--nocapture"])
            .env("STORE_HOLDER", place.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut holder = Self { process, said };
        holder.expect("holds the lock");
        holder
    }

    fn expect(&mut self, text: &str) {
        let mut lines = self.said.by_ref().map(Result::unwrap);
        assert!(lines.any(|line| line.contains(text)), "{text}");
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Holder {
    /// A test that fails must not leave a process behind, which may be stopped.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Not a test by itself: the process of a [`Holder`]. It locks, waits for a line, and publishes.
#[test]
fn holder() {
    let Some(folder) = std::env::var_os("STORE_HOLDER") else {
        return;
    };
    let store = FileStore::new(folder);
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let LockAttempt::Acquired(lock) = store.lock(key(), LEASE).await.unwrap() else {
            panic!("nobody else has the lock")
        };
        println!("holds the lock");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        let record = SealedRecord::from_bytes(CANARY.into());
        match store.publish(&lock, None, record).await.unwrap() {
            Publication::Published(_) => println!("was published"),
            _ => println!("was refused"),
        }
    });
}

// P3
#[test]
fn the_lock_of_a_killed_process_is_free_at_once() {
    let _alone = alone();
    let place = Place::new();
    let mut recovery = Duration::ZERO;
    for _ in 0..5 {
        let mut holder = Holder::start(&place);
        let attempt = place.runtime.block_on(place.store().lock(key(), LEASE));
        assert!(matches!(attempt, Ok(LockAttempt::Held)));
        let killed = Instant::now();
        holder.process.kill().unwrap();
        holder.process.wait().unwrap();
        drop(place.acquire());
        recovery = recovery.max(killed.elapsed());
    }
    println!(
        "figure: P3 kills=5 waits_for_the_lease=0 longest_recovery~={}ms",
        recovery.as_millis()
    );
}

// P4: the kernel keeps the lock of a process that is stopped, so only its lease ends it.
#[test]
fn a_stopped_process_publishes_nothing_after_its_lease() {
    let _alone = alone();
    let place = Place::new();
    let mut holder = Holder::start(&place);
    holder.signal("-STOP");
    let attempt = place.runtime.block_on(place.store().lock(key(), LEASE));
    assert!(matches!(attempt, Ok(LockAttempt::Held)));

    let clock = TestClock::new();
    clock.advance(LEASE);
    let store = place.store().with_clock(clock);
    let attempt = place.runtime.block_on(store.lock(key(), LEASE)).unwrap();
    let LockAttempt::Acquired(lock) = attempt else {
        panic!("the lease is over")
    };
    holder.signal("-CONT");
    let mut stdin = holder.process.stdin.take().unwrap();
    stdin.write_all(b"publish\n").unwrap();
    holder.expect("was refused");
    assert!(holder.process.wait().unwrap().success());
    assert!(place.read().unwrap().is_none());
    assert!(place.publish_with(&lock, None).unwrap().is_some());
    println!("figure: P4 stopped_processes=1 late_publications=1 refused=1");
}

/// Each night another process with a provider of its own. Returns how many logins it has made.
async fn nightly_job(store: FileStore, clock: &TestClock) -> u64 {
    let month = Duration::from_secs(30 * 24 * 3600);
    let provider = CachedProvider::builder(ScriptedLogin::new().with_lifetime(month))
        .clock(clock.clone())
        .shared(SharedAccount::new(store, key()))
        .build();
    provider.acquire().await.unwrap();
    provider.snapshot().logins()
}

#[test]
fn a_nightly_job_goes_on_with_the_session_of_the_last_one() {
    let _alone = alone();
    let place = Place::new();
    let clock = TestClock::new();
    let mut logins = Vec::new();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    for _ in 0..60 {
        let store = place.store().with_clock(clock.clone());
        logins.push(runtime.block_on(nightly_job(store, &clock)));
        clock.advance(Duration::from_secs(24 * 3600));
    }
    let first: u64 = logins[..30].iter().sum();
    assert_eq!((first, logins[0]), (1, 1));
    assert_eq!(
        (logins[30], logins.iter().sum::<u64>()),
        (1, 2),
        "a session lasts 30 days"
    );
    println!(
        "figure: store_job runs=30 logins={first} saved={}",
        30 - first
    );
}

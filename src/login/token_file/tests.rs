use std::{env, fs, process};

use tokio::time::timeout;

use super::*;

// A reading or a look that hangs keeps the lock.
#[tokio::test(start_paused = true)]
async fn while_the_file_system_hangs_no_second_thread_waits_for_it() {
    let path = env::temp_dir().join(format!("tower-bearer-hanging-{}", process::id()));
    fs::write(&path, "first").unwrap();
    let file = TokenFile::new(&path);
    file.login(LoginRequest::default()).await.unwrap();
    let mut changed = file.changed().unwrap();
    fs::write(&path, "another").unwrap();

    let hanging = Arc::clone(&file.last).lock_owned().await;
    let minute = Duration::from_secs(60);
    assert!(timeout(minute, &mut changed).await.is_err());
    let mut login = Box::pin(file.login(LoginRequest::default()));
    assert!(timeout(minute, &mut login).await.is_err());
    drop(login);

    drop(hanging);
    changed.await;
    let credential = file.login(LoginRequest::default()).await.unwrap();
    assert_eq!(credential.token().expose(), "another");
    fs::remove_file(path).unwrap();
}

// Another provider may be reading.
#[tokio::test(start_paused = true)]
async fn a_version_that_is_unknown_counts_as_a_change() {
    let path = env::temp_dir().join(format!("tower-bearer-unknown-{}", process::id()));
    fs::write(&path, "first").unwrap();
    let file = TokenFile::new(&path);
    file.login(LoginRequest::default()).await.unwrap();
    let hanging = Arc::clone(&file.last).lock_owned().await;
    let changed = file.changed().unwrap();
    drop(hanging);
    assert!(timeout(2 * PAUSE, changed).await.is_ok());
    fs::remove_file(path).unwrap();
}

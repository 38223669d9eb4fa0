use std::{env, fs, process};

use super::*;

// P6
#[test]
fn a_file_of_a_gigabyte_takes_no_memory() {
    let path = env::temp_dir().join(format!("tower-bearer-sparse-{}", process::id()));
    let folder = Folder::new(path.clone());
    let key = RecordKey::new("https://issuer.example", "user-7", "");
    assert!(folder.read(key).unwrap().is_none());
    let sparse = private::create(&path.join(format!("{key}.record"))).unwrap();
    sparse.set_len(1 << 30).unwrap();
    let used = allocation_counter::measure(|| {
        assert!(folder.read(key).unwrap_err().is_damaged());
    });
    assert!(used.bytes_max < 64 * 1024, "{used:?}");
    fs::remove_dir_all(path).unwrap();
}

//! Opening a folder: who may, and what is said to those who may not. Only the embedded form has one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

/// What somebody reads who could not open `folder`.
async fn refusal(folder: &Path) -> String {
    format!("{:#}", anyhow::Error::from(Store::open(folder).await.unwrap_err()))
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    done(&store, open(rollout("a", "m", Stage::Queued))).await;
    store.close().await;
    drop(store);
    let store = Store::open(folder.path()).await.unwrap();
    assert_eq!(
        store.reader().await.unwrap().rows().rollout(&id("a")).await.unwrap(),
        Some(rollout("a", "m", Stage::Queued))
    );
}

#[tokio::test]
async fn a_folder_that_is_missing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    Store::open(&folder.path().join("a/b")).await.unwrap();
    assert!(folder.path().join("a/b/tidegate.db").exists());
}

#[tokio::test]
async fn a_second_program_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let path = folder.path().display();
    assert_eq!(
        refusal(folder.path()).await,
        format!("another tidegate is using {path}; stop it, or choose another folder with --data")
    );
    drop(store);
    Store::open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.db");
    let letter = b"Dear diary, ".repeat(1_000);
    std::fs::write(&file, &letter).unwrap();
    let said = refusal(folder.path()).await;
    assert!(said.starts_with(&format!("{} is not a sound tidegate database: ", file.display())), "{said}");
    assert!(said.ends_with("; move it away or restore a backup"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), letter);
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.db");
    let store = Store::open(folder.path()).await.unwrap();
    done(&store, open(rollout("a", "m", Stage::Queued))).await;
    store.close().await;
    drop(store);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[4_096..middle].fill(0xa5);
    std::fs::write(&file, &bytes).unwrap();
    let said = refusal(folder.path()).await;
    assert!(said.starts_with(&format!("{} is not a sound tidegate database: ", file.display())), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named_once_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let path = folder.path().join("file/data");
    assert_eq!(refusal(&path).await, format!("can't use {} for data: Not a directory (os error 20)", path.display()));
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tidegate.db"), "").unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    done(&store, open(rollout("a", "m", Stage::Queued))).await;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
    }
}

//! A full disk: a real one of 16 MiB.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::json;

use super::Parts;

/// A small disk of its own, gone with its last user.
struct Disk(PathBuf);

impl Disk {
    /// None where the machine does not let this test mount one.
    fn mount(folder: &Path) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tidegate"])
            .arg(folder)
            .stderr(Stdio::null())
            .status();
        mount.is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()))
    }

    /// Fills what is left, to the last byte; gives the file.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::options().create(true).append(true).open(&path).unwrap();
        let mut bytes: &[u8] = &[0; 64 * 1024];
        while !bytes.is_empty() {
            if file.write_all(bytes).is_err() {
                bytes = &bytes[..bytes.len() / 2];
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_requests_are_answered_a_rollback_works_and_is_recorded_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path()) else {
        println!("skipped: this user can't mount a disk of 16 MiB");
        return;
    };
    let parts = Parts::start_in(Arc::new(tempfile::tempdir_in(folder.path()).unwrap())).await;
    let id = parts.half("full", json!({})).await;
    let filler = disk.fill();
    let (status, answer) = parts.house.post("/v1/models", &json!({"name": "other", "type": "RERANKER"})).await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("the disk of the database is full"), "{answer}");
    let (status, answer) = parts.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    assert!(status == 200 || status == 202, "{answer}");
    // What a router's disk has not taken is served, but not confirmed.
    assert_eq!(answer["applied"], json!(status == 200), "{answer}");
    assert_eq!(parts.candidates("full").await, 0);
    std::fs::remove_file(filler).unwrap();
    assert_eq!(parts.house.ended(&id).await["stage"], json!("rolled_back"));
    let (status, answer) = parts.house.post("/v1/models", &json!({"name": "other", "type": "RERANKER"})).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(parts.candidates("full").await, 0);
    assert!(parts.core.clone().stop().await);
    drop((parts, disk));
}

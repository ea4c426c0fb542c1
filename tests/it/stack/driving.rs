//! What `docs/drive` shows to other systems, run as it is written.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::containers::{IMAGE, ROOT};
use super::life::Stack;
use crate::notifying::outside::private;

/// Another system of this stack: its secrets are in files of its own.
pub(super) struct Outsider {
    folder: TempDir,
    key: String,
}

impl Outsider {
    pub(super) fn of(stack: &Stack) -> Self {
        let folder = tempfile::tempdir().unwrap();
        private(&folder.path().join("nkey"), &stack.form.secret("outside-default/nkey"));
        private(&folder.path().join("key"), stack.key());
        Self { folder, key: stack.key().to_owned() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// By a plain NATS publish.
    pub(super) fn publish(&self, id: &str, model: &str, version: &str, policy: &str) {
        let mut command = Command::new("python3");
        command.arg("docs/drive/publish.py").env("PYTHONPATH", format!("{ROOT}/target/python"));
        command.arg("--nkey").arg(self.file("nkey"));
        command.args(["--id", id, "--policy", policy, model, version]);
        well(&run(&mut command), "asked for, message");
    }

    /// By a CloudEvent over HTTP; twice, which is the same wish.
    pub(super) fn post(&self, id: &str, model: &str, version: &str, policy: &str) {
        for _ in 0..2 {
            let mut command = Command::new("docs/drive/post.sh");
            command.args([id, model, version, policy]).env("TIDEGATE_KEY_FILE", self.file("key"));
            well(&run(&mut command), "rollout_id");
        }
    }

    /// By the step of the workflow, whose exit code this is.
    pub(super) fn workflow(&self, model: &str, version: &str, policy: &str) -> Option<i32> {
        let text = std::fs::read_to_string(format!("{ROOT}/docs/drive/github-actions.yml")).unwrap();
        let workflow: Value = serde_saphyr::from_str(&text).unwrap();
        let step = &workflow["jobs"]["promote"]["steps"][0];
        let mut command = Command::new("bash");
        command.args(["-e", "-c", step["run"].as_str().unwrap()]);
        for name in step["env"].as_object().unwrap().keys() {
            command.env(
                name,
                match name.as_str() {
                    "TIDEGATE_URL" => "http://127.0.0.1:7070",
                    "TIDEGATE_KEY" => &self.key,
                    "TIDEGATE_IMAGE" => IMAGE,
                    "MODEL" => model,
                    "VERSION" => version,
                    "POLICY" => policy,
                    other => panic!("the workflow reads {other}"),
                },
            );
        }
        run(&mut command).status.code()
    }
}

fn run(command: &mut Command) -> Output {
    command.current_dir(ROOT).output().unwrap()
}

fn well(out: &Output, says: &str) {
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains(says), "{said}{}", String::from_utf8_lossy(&out.stderr));
}

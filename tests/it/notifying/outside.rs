//! The outside world of a notifier: receivers on this machine, and the configuration that leads there.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use receiversim::{Heard, Place, Receivers};
use tempfile::TempDir;

use crate::house::LIMIT;

pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Receivers, and the files with their secrets.
pub(crate) struct Outside {
    pub(crate) receivers: Receivers,
    files: TempDir,
}

impl Outside {
    pub(crate) async fn start() -> Self {
        Self { receivers: Receivers::start().await.unwrap(), files: tempfile::tempdir().unwrap() }
    }

    /// Where its files are.
    pub(crate) fn files(&self) -> &Path {
        self.files.path()
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.files.path().join(name);
        private(&path, text);
        path.display().to_string()
    }

    pub(crate) fn pagerduty(&self) -> Vec<(String, String)> {
        named(&[
            ("TIDEGATE_OUTBOUND_ALLOW", &self.receivers.address),
            ("TIDEGATE_PAGERDUTY_KEY_FILE", &self.file("key", KEY)),
            ("TIDEGATE_PAGERDUTY_URL", &self.receivers.url),
        ])
    }

    pub(crate) fn slack(&self) -> Vec<(String, String)> {
        let url = format!("{}/services/T0/B0/hush", self.receivers.url);
        named(&[
            ("TIDEGATE_OUTBOUND_ALLOW", &self.receivers.address),
            ("TIDEGATE_SLACK_WEBHOOK_FILE", &self.file("hook", &url)),
        ])
    }

    pub(crate) fn app(&self) -> Vec<(String, String)> {
        named(&[
            ("TIDEGATE_OUTBOUND_ALLOW", &self.receivers.address),
            ("TIDEGATE_SLACK_TOKEN_FILE", &self.file("token", "xoxb-hush")),
            ("TIDEGATE_SLACK_CHANNEL", "C01"),
            ("TIDEGATE_SLACK_URL", &self.receivers.url),
        ])
    }

    pub(crate) fn webhook(&self) -> Vec<(String, String)> {
        named(&[
            ("TIDEGATE_OUTBOUND_ALLOW", &self.receivers.address),
            ("TIDEGATE_WEBHOOK_URL", &format!("{}/hook", self.receivers.url)),
            ("TIDEGATE_WEBHOOK_SECRET_FILE", &self.file("secret", "hush")),
        ])
    }

    pub(crate) fn all(&self) -> Vec<(String, String)> {
        [self.pagerduty(), self.slack(), self.webhook()].concat()
    }

    /// Waits until a receiver took so many.
    pub(crate) async fn took(&self, place: Place, count: usize) -> Vec<Heard> {
        until(|| {
            let taken = self.receivers.taken(place);
            (taken.len() >= count).then_some(taken)
        })
        .await
        .unwrap_or_else(|| panic!("{place:?} did not take {count}: {:?}", self.receivers.heard(place)))
    }

    /// Waits until a receiver heard so many, whatever it answered.
    pub(crate) async fn heard(&self, place: Place, count: usize) -> Vec<Heard> {
        until(|| {
            let heard = self.receivers.heard(place);
            (heard.len() >= count).then_some(heard)
        })
        .await
        .unwrap_or_else(|| panic!("{place:?} did not hear {count}: {:?}", self.receivers.heard(place)))
    }

    pub(crate) fn assert_good(&self) {
        for place in [Place::Slack, Place::PagerDuty, Place::Webhook] {
            for heard in self.receivers.heard(place) {
                assert!(heard.problems.is_empty(), "{place:?}: {:?}: {}", heard.problems, heard.text);
            }
        }
    }
}

/// Writes a file that nobody else can read.
pub(crate) fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn named(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Waits until there is something.
pub(crate) async fn until<T>(is_so: impl Fn() -> Option<T>) -> Option<T> {
    let since = Instant::now();
    while since.elapsed() < LIMIT {
        if let Some(found) = is_so() {
            return Some(found);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

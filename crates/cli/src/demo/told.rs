//! Slack and PagerDuty of the demo: receivers on this machine that check what they get as the real ones do.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use chassis::Environment;
use receiversim::{Heard, Place};
use rollout::Stage;
use serde_json::Value;

use super::play::Played;

/// A busy machine may take so long to tell the last of it.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The receivers.
#[derive(Debug)]
pub(super) struct Outside(receiversim::Receivers);

/// What they were told about one rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    messages: usize,
    triggers: usize,
    resolves: usize,
    changes: usize,
    refused: usize,
}

impl Outside {
    pub(super) async fn start() -> std::io::Result<Self> {
        Ok(Self(receiversim::Receivers::start().await?))
    }

    /// The configuration that leads to them, as an operator would write it; its secrets go into `folder`.
    pub(super) fn configuration(&self, folder: &Path) -> anyhow::Result<notifier::Receivers> {
        let (hook, key) = (folder.join("slack-webhook"), folder.join("pagerduty-key"));
        keep(&hook, &format!("{}/services/T0/B0/demo", self.0.url))?;
        keep(&key, "0123456789abcdef0123456789abcdef")?;
        let mut environment = Environment::new(|name: &str| match name {
            "TIDEGATE_OUTBOUND_ALLOW" => Some(self.0.address.clone()),
            "TIDEGATE_SLACK_WEBHOOK_FILE" => Some(hook.display().to_string()),
            "TIDEGATE_PAGERDUTY_KEY_FILE" => Some(key.display().to_string()),
            "TIDEGATE_PAGERDUTY_URL" => Some(self.0.url.clone()),
            _ => None,
        });
        let receivers = notifier::Receivers::read(&mut environment);
        environment.finish()?;
        Ok(receivers)
    }

    /// What they were told, once it is what it must be or the time for that is over.
    pub(super) async fn told(&self, played: &Played) -> Told {
        let since = Instant::now();
        loop {
            let told = self.now(played);
            if told == Told::wanted(played) || since.elapsed() > TOLD_WITHIN {
                return told;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn now(&self, played: &Played) -> Told {
        let id = played.rollout.id.as_str();
        let about =
            |place| -> Vec<Heard> { self.0.heard(place).into_iter().filter(|heard| heard.text.contains(id)).collect() };
        let (messages, pages) = (about(Place::Slack), about(Place::PagerDuty));
        let actions = |action: Value| pages.iter().filter(|page| page.body["event_action"] == action).count();
        Told {
            messages: messages.len(),
            triggers: actions("trigger".into()),
            resolves: actions("resolve".into()),
            changes: actions(Value::Null),
            refused: messages.iter().chain(&pages).filter(|heard| !heard.problems.is_empty()).count(),
        }
    }
}

impl Told {
    /// A success is told at its end and wakes nobody; a failure is told when it turns back and at its end, with one page.
    fn wanted(played: &Played) -> Self {
        if played.story.end == Stage::Completed {
            Self { messages: 1, changes: 1, ..Self::default() }
        } else {
            Self { messages: 2, triggers: 1, resolves: 1, ..Self::default() }
        }
    }

    pub(super) fn rows(self) -> [(&'static str, usize); 5] {
        [
            ("Slack messages", self.messages),
            ("PagerDuty pages opened", self.triggers),
            ("PagerDuty pages resolved", self.resolves),
            ("PagerDuty change events", self.changes),
            ("refused by a receiver", self.refused),
        ]
    }

    pub(super) fn flaw(self, played: &Played) -> Option<String> {
        let wanted = Self::wanted(played);
        (self != wanted).then(|| format!("{}: receivers were told {self:?}, wanted was {wanted:?}", played.story.name))
    }
}

/// Writes a secret where nobody else can read it.
fn keep(path: &Path, secret: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(secret.as_bytes())
}

//! Who is told, from the environment: everything that is wrong is said at once, each mistake with its variable.

use std::time::Duration;

use chassis::Environment;

use crate::outbound::{Allowed, Target};
use crate::pagerduty::PagerDuty;
use crate::sender::Receiver;
use crate::slack::Slack;
use crate::told::{Channel, Listeners, SlackForm};
use crate::webhook::Webhook;

const ALLOW: &str = "TIDEGATE_OUTBOUND_ALLOW";
const SLACK_WEBHOOK: &str = "TIDEGATE_SLACK_WEBHOOK_FILE";
const SLACK_TOKEN: &str = "TIDEGATE_SLACK_TOKEN_FILE";
const SLACK_CHANNEL: &str = "TIDEGATE_SLACK_CHANNEL";
const SLACK_URL: &str = "TIDEGATE_SLACK_URL";
const PAGERDUTY_KEY: &str = "TIDEGATE_PAGERDUTY_KEY_FILE";
const PAGERDUTY_URL: &str = "TIDEGATE_PAGERDUTY_URL";
const WEBHOOK_URL: &str = "TIDEGATE_WEBHOOK_URL";
const WEBHOOK_SECRET: &str = "TIDEGATE_WEBHOOK_SECRET_FILE";
/// A name server that does not answer must not keep the process from starting; the name is checked again when it is used.
const RESOLVE_LIMIT: Duration = Duration::from_secs(2);

/// The receivers of this process; none is a good configuration too.
#[derive(Debug, Clone, Default)]
pub struct Receivers {
    slack: Option<Slack>,
    pagerduty: Option<PagerDuty>,
    webhook: Option<Webhook>,
}

impl Receivers {
    /// Reads them; what is wrong is noted in the environment.
    pub fn read<F: Fn(&str) -> Option<String>>(environment: &mut Environment<F>) -> Self {
        let allowed = environment.read(ALLOW, Allowed::default());
        Self {
            slack: slack(environment, &allowed),
            pagerduty: pagerduty(environment, &allowed),
            webhook: webhook(environment, &allowed),
        }
    }

    /// The channels that have a receiver.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        let has = [
            (Channel::Slack, self.slack.is_some()),
            (Channel::PagerDuty, self.pagerduty.is_some()),
            (Channel::Webhook, self.webhook.is_some()),
        ];
        has.into_iter().filter_map(|(channel, is_there)| is_there.then_some(channel)).collect()
    }

    pub(crate) fn listeners(&self) -> Listeners {
        Listeners {
            slack: self.slack.as_ref().map(|slack| match slack {
                Slack::Incoming(_) => SlackForm::Incoming,
                Slack::App { .. } => SlackForm::App,
            }),
            pagerduty: self.pagerduty.is_some(),
            webhook: self.webhook.is_some(),
        }
    }

    pub(crate) fn into_receivers(self) -> Vec<(Channel, Receiver)> {
        let slack = self.slack.map(|slack| (Channel::Slack, Receiver::Slack(slack)));
        let pagerduty = self.pagerduty.map(|pagerduty| (Channel::PagerDuty, Receiver::PagerDuty(pagerduty)));
        let webhook = self.webhook.map(|webhook| (Channel::Webhook, Receiver::Webhook(webhook)));
        [slack, pagerduty, webhook].into_iter().flatten().collect()
    }
}

fn slack<F: Fn(&str) -> Option<String>>(environment: &mut Environment<F>, allowed: &Allowed) -> Option<Slack> {
    let stand_in = environment.text(SLACK_URL).and_then(|url| place(environment, SLACK_URL, &url, allowed));
    let (has_webhook, has_token) = (environment.text(SLACK_WEBHOOK), environment.text(SLACK_TOKEN));
    let channel = environment.text(SLACK_CHANNEL);
    match (has_webhook, has_token) {
        (Some(_), Some(_)) => {
            environment
                .mistake(format!("{SLACK_WEBHOOK} and {SLACK_TOKEN}: keep one, they are two ways to one channel"));
            None
        }
        (Some(_), None) => {
            if channel.is_some() {
                environment.mistake(format!("{SLACK_CHANNEL}: goes with {SLACK_TOKEN}; a webhook has its own channel"));
            }
            let url = environment.secret(SLACK_WEBHOOK)?;
            let target = match &stand_in {
                // The place of the URL is not used, so only its path matters.
                Some(stand_in) => Target::of(url.expose(), allowed)
                    .map_or_else(|_| stand_in.at(&path_of(url.expose())), |target| target.moved_to(stand_in)),
                None => checked(environment, SLACK_WEBHOOK, "the URL in the file ", (url.expose(), allowed))?,
            };
            Some(Slack::Incoming(target))
        }
        (None, Some(_)) => {
            let token = environment.secret(SLACK_TOKEN);
            let Some(channel) = channel else {
                environment.mistake(format!("{SLACK_CHANNEL}: is missing; {SLACK_TOKEN} needs it"));
                return None;
            };
            let place = match stand_in {
                Some(stand_in) => stand_in,
                None => Target::of("https://slack.com/", allowed).expect("a URL of this file is good"),
            };
            Some(Slack::App { place, token: token?, channel })
        }
        (None, None) => {
            if channel.is_some() {
                environment.mistake(format!("{SLACK_CHANNEL}: is set without {SLACK_TOKEN}"));
            }
            if environment.text(SLACK_URL).is_some() {
                environment.mistake(format!("{SLACK_URL}: is set without {SLACK_WEBHOOK} or {SLACK_TOKEN}"));
            }
            None
        }
    }
}

fn pagerduty<F: Fn(&str) -> Option<String>>(environment: &mut Environment<F>, allowed: &Allowed) -> Option<PagerDuty> {
    let url = environment.text(PAGERDUTY_URL);
    if environment.text(PAGERDUTY_KEY).is_none() {
        if url.is_some() {
            environment.mistake(format!("{PAGERDUTY_URL}: is set without {PAGERDUTY_KEY}"));
        }
        return None;
    }
    let key = environment.secret(PAGERDUTY_KEY);
    let place = match url {
        Some(url) => place(environment, PAGERDUTY_URL, &url, allowed)?,
        None => Target::of("https://events.pagerduty.com/", allowed).expect("a URL of this file is good"),
    };
    Some(PagerDuty::new(&place, key?))
}

fn webhook<F: Fn(&str) -> Option<String>>(environment: &mut Environment<F>, allowed: &Allowed) -> Option<Webhook> {
    match (environment.text(WEBHOOK_URL), environment.text(WEBHOOK_SECRET)) {
        (None, None) => None,
        (Some(_), None) => {
            environment.mistake(format!("{WEBHOOK_SECRET}: is missing; what is sent to {WEBHOOK_URL} is signed"));
            None
        }
        (None, Some(_)) => {
            environment.mistake(format!("{WEBHOOK_SECRET}: is set without {WEBHOOK_URL}"));
            None
        }
        (Some(url), Some(_)) => {
            let target = checked(environment, WEBHOOK_URL, "", (&url, allowed));
            let secret = environment.secret(WEBHOOK_SECRET);
            Some(Webhook::new(target?, secret?))
        }
    }
}

/// A URL whose path is ours to say.
fn place<F: Fn(&str) -> Option<String>>(
    environment: &mut Environment<F>,
    name: &str,
    url: &str,
    allowed: &Allowed,
) -> Option<Target> {
    let target = checked(environment, name, "", (url, allowed))?;
    if target.path() != "/" {
        environment.mistake(format!("{name}: has a path, and paths are added here: leave it out"));
        return None;
    }
    Some(target)
}

fn checked<F: Fn(&str) -> Option<String>>(
    environment: &mut Environment<F>,
    name: &str,
    what: &str,
    (url, allowed): (&str, &Allowed),
) -> Option<Target> {
    Target::of(url, allowed)
        .and_then(|target| target.check_name(RESOLVE_LIMIT).map(|()| target))
        .map_err(|why| environment.mistake(format!("{name}: {what}{why}")))
        .ok()
}

/// The path of a URL whose place is not used.
fn path_of(url: &str) -> String {
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    format!("/{path}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn with(&self, name: &str, text: &str, mode: u32) -> String {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path.display().to_string()
        }
    }

    fn read(variables: &[(&str, &str)]) -> (Receivers, String) {
        let variables: BTreeMap<_, _> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut environment = Environment::new(|name: &str| variables.get(name).cloned());
        let receivers = Receivers::read(&mut environment);
        (receivers, environment.finish().map_or_else(|mistakes| mistakes.to_string(), |()| String::new()))
    }

    #[test]
    fn no_variable_is_no_receiver() {
        let (receivers, mistakes) = read(&[]);
        assert_eq!((receivers.channels(), mistakes), (Vec::new(), String::new()));
        assert!(read(&[(SLACK_WEBHOOK, ""), (PAGERDUTY_KEY, " ")]).0.channels().is_empty());
    }

    #[test]
    fn each_receiver_is_read_with_its_own_variables() {
        let files = Files::new();
        let key = files.with("key", "0123456789abcdef0123456789abcdef\n", 0o600);
        let hook = files.with("hook", "http://127.0.0.1:9/services/T0/B0/x\n", 0o600);
        let local = (ALLOW, "127.0.0.1:9");
        let (receivers, mistakes) = read(&[
            local,
            (SLACK_WEBHOOK, &hook),
            (PAGERDUTY_KEY, &key),
            (PAGERDUTY_URL, "http://127.0.0.1:9"),
            (WEBHOOK_URL, "http://127.0.0.1:9/hook"),
            (WEBHOOK_SECRET, &key),
        ]);
        assert_eq!(mistakes, "");
        assert_eq!(receivers.channels(), [Channel::Slack, Channel::PagerDuty, Channel::Webhook]);
        assert_eq!(receivers.listeners().slack, Some(SlackForm::Incoming));
        assert!(!format!("{receivers:?}").contains("abcdef") && !format!("{receivers:?}").contains("services"));

        let (receivers, mistakes) =
            read(&[local, (SLACK_TOKEN, &key), (SLACK_CHANNEL, "C01"), (SLACK_URL, "http://127.0.0.1:9/")]);
        assert_eq!((receivers.listeners().slack, mistakes), (Some(SlackForm::App), String::new()));

        let public = files.with("public", "https://hooks.slack.com/services/T0/B0/x", 0o600);
        let (receivers, mistakes) = read(&[local, (SLACK_WEBHOOK, &public), (SLACK_URL, "http://127.0.0.1:9")]);
        assert_eq!(mistakes, "");
        let Some(Slack::Incoming(target)) = receivers.slack else { panic!("no webhook") };
        assert_eq!((format!("{target:?}"), target.path()), ("127.0.0.1:9".to_owned(), "/services/T0/B0/x"));
    }

    #[test]
    fn everything_wrong_is_said_at_once_and_nothing_secret() {
        let files = Files::new();
        let open = files.with("open", "0123456789abcdef", 0o604);
        let hook = files.with("hook", "https://user:hush@hooks.slack.com/services/hush", 0o600);
        let (_, mistakes) = read(&[
            (ALLOW, "127.0.0.1:9"),
            (SLACK_WEBHOOK, &hook),
            (SLACK_CHANNEL, "C01"),
            (PAGERDUTY_KEY, &open),
            (PAGERDUTY_URL, "https://169.254.169.254"),
            (WEBHOOK_URL, "file:///etc/passwd"),
            (WEBHOOK_SECRET, "/nowhere/at/all"),
        ]);
        let folder = files.0.path().display();
        assert_eq!(
            mistakes,
            format!(
                "can't start with this configuration:\n  \
                 TIDEGATE_SLACK_CHANNEL: goes with TIDEGATE_SLACK_TOKEN_FILE; a webhook has its own channel\n  \
                 TIDEGATE_SLACK_WEBHOOK_FILE: the URL in the file has a user part: leave it out\n  \
                 TIDEGATE_PAGERDUTY_KEY_FILE: {folder}/open: others can read the file (mode 0604): `chmod 600` it\n  \
                 TIDEGATE_PAGERDUTY_URL: goes to 169.254.169.254, a link-local address: list 169.254.169.254:443 in TIDEGATE_OUTBOUND_ALLOW if that is meant\n  \
                 TIDEGATE_WEBHOOK_URL: has the scheme `file`: write https\n  \
                 TIDEGATE_WEBHOOK_SECRET_FILE: /nowhere/at/all: can't read the file: No such file or directory (os error 2)"
            )
        );
    }

    #[test]
    fn halves_of_a_receiver_are_mistakes() {
        let files = Files::new();
        let key = files.with("key", "0123456789abcdef", 0o600);
        let local = (ALLOW, "127.0.0.1:9");
        let table: &[(&[(&str, &str)], &str)] = &[
            (&[(SLACK_WEBHOOK, &key), (SLACK_TOKEN, &key)], "keep one, they are two ways to one channel"),
            (&[(SLACK_TOKEN, &key)], "TIDEGATE_SLACK_CHANNEL: is missing"),
            (&[(SLACK_CHANNEL, "C01")], "TIDEGATE_SLACK_CHANNEL: is set without"),
            (&[local, (SLACK_URL, "http://127.0.0.1:9")], "TIDEGATE_SLACK_URL: is set without"),
            (&[(PAGERDUTY_URL, "https://1.1.1.1")], "TIDEGATE_PAGERDUTY_URL: is set without"),
            (
                &[(PAGERDUTY_KEY, &key), (PAGERDUTY_URL, "https://1.1.1.1/v2/enqueue")],
                "TIDEGATE_PAGERDUTY_URL: has a path",
            ),
            (&[(WEBHOOK_URL, "https://1.1.1.1/x")], "TIDEGATE_WEBHOOK_SECRET_FILE: is missing"),
            (&[(WEBHOOK_SECRET, &key)], "TIDEGATE_WEBHOOK_SECRET_FILE: is set without"),
            (&[(WEBHOOK_URL, "https://localhost/x"), (WEBHOOK_SECRET, &key)], "a loopback address"),
            (&[(ALLOW, "https://x")], "TIDEGATE_OUTBOUND_ALLOW: `https://x`: "),
        ];
        for (variables, expected) in table {
            let (_, mistakes) = read(variables);
            assert!(mistakes.contains(expected), "{expected}: {mistakes}");
        }
    }
}

//! Where the servers are, and who we are there.

use std::fmt;
use std::str::FromStr;

use async_nats::{ConnectOptions, ServerAddr};
use proto::envelope::percent_decoded;

use crate::config::Environment;

/// The servers of one cluster, separated by commas: `nats://USER:PASSWORD@HOST:4222`, or `nats://TOKEN@HOST:4222`, or neither.
/// The words of the first one count for all.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl {
    servers: Vec<ServerAddr>,
    who: Who,
}

#[derive(Clone, PartialEq, Eq)]
enum Who {
    Nobody,
    Token(String),
    User(String, String),
}

/// Text that is no such address. It is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a nats-server, such as nats://USER:PASSWORD@HOST:4222")]
pub struct NoNatsUrl;

impl NatsUrl {
    /// The variable `TIDEGATE_NATS_URL`, if it is set; a bad value is noted and counts as not set.
    pub fn read<F: Fn(&str) -> Option<String>>(environment: &mut Environment<F>) -> Option<Self> {
        const NAME: &str = "TIDEGATE_NATS_URL";
        match environment.text(NAME)?.parse() {
            Ok(url) => Some(url),
            Err(NoNatsUrl) => {
                environment.mistake(format!("{NAME}: {NoNatsUrl}"));
                None
            }
        }
    }

    pub(super) fn servers(&self) -> Vec<ServerAddr> {
        self.servers.clone()
    }

    /// The client does not look for user and password in the address.
    pub(super) fn options(&self) -> ConnectOptions {
        match &self.who {
            Who::Nobody => ConnectOptions::new(),
            Who::Token(token) => ConnectOptions::with_token(token.clone()),
            Who::User(name, password) => ConnectOptions::with_user_and_password(name.clone(), password.clone()),
        }
    }
}

impl FromStr for NatsUrl {
    type Err = NoNatsUrl;

    fn from_str(text: &str) -> Result<Self, NoNatsUrl> {
        let servers = text.split(',').map(|one| one.trim().parse().map_err(|_| NoNatsUrl));
        let servers = servers.collect::<Result<Vec<ServerAddr>, _>>()?;
        let first =
            servers.first().filter(|_| servers.iter().all(|server| !server.host().is_empty())).ok_or(NoNatsUrl)?;
        let plain = |text: &str| percent_decoded(text).ok_or(NoNatsUrl);
        let who = match (first.username(), first.password()) {
            (None, _) => Who::Nobody,
            (Some(token), None) => Who::Token(plain(token)?),
            (Some(name), Some(password)) => Who::User(plain(name)?, plain(password)?),
        };
        Ok(Self { servers, who })
    }
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.servers.iter().map(|server| format!("{}:{}", server.host(), server.port())).collect();
        f.write_str(&hosts.join(","))
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NatsUrl({self}, ***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_who_we_are_and_does_not_show_it() {
        let url: NatsUrl = "nats://ann:p%40ss%2f@one:4222, two".parse().unwrap();
        assert!(url.who == Who::User("ann".to_owned(), "p@ss/".to_owned()));
        assert_eq!(
            (url.to_string(), format!("{url:?}")),
            ("one:4222,two:4222".to_owned(), "NatsUrl(one:4222,two:4222, ***)".to_owned())
        );
        assert!("nats://secret@one".parse::<NatsUrl>().unwrap().who == Who::Token("secret".to_owned()));
        assert!("one".parse::<NatsUrl>().unwrap().who == Who::Nobody);
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for text in ["", "http://one", "nats://", "one,,two", "nats://ann:p%zz@one"] {
            assert_eq!(text.parse::<NatsUrl>().unwrap_err(), NoNatsUrl, "{text}");
        }
        let mut environment = Environment::new(|_: &str| Some("amqp://ann:secret@one".to_owned()));
        assert_eq!(NatsUrl::read(&mut environment), None);
        let told = environment.finish().unwrap_err().to_string();
        assert!(told.contains("TIDEGATE_NATS_URL: not the address") && !told.contains("secret"), "{told}");
    }
}

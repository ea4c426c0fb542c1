//! Where the servers are, and who we are there.

use std::fmt;
use std::str::FromStr;

use async_nats::{ConnectOptions, ServerAddr};
use proto::envelope::percent_decoded;

use super::nkey::{NoSeed, public_key};
use crate::config::Environment;
use crate::secret::Secret;

const URL: &str = "TIDEGATE_NATS_URL";
const SEED_FILE: &str = "TIDEGATE_NATS_NKEY_FILE";

/// The servers of one cluster, separated by commas: `nats://USER:PASSWORD@HOST:4222`, or `nats://TOKEN@HOST:4222`, or neither where
/// an nkey says who we are. The words of the first one count for all.
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
    /// The holder of an nkey, by its seed.
    Holder(Secret),
}

/// Text that is no such address. It is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a nats-server, such as nats://USER:PASSWORD@HOST:4222")]
pub struct NoNatsUrl;

impl NatsUrl {
    /// The variable `TIDEGATE_NATS_URL`, if it is set, with the seed in the file that `TIDEGATE_NATS_NKEY_FILE` names; a bad value is
    /// noted and counts as not set.
    pub fn read<F: Fn(&str) -> Option<String>>(environment: &mut Environment<F>) -> Option<Self> {
        let seed = environment.secret(SEED_FILE);
        let url = environment.text(URL)?.parse::<Self>().map_err(|cause| format!("{URL}: {cause}"));
        let known = url.and_then(|url| match seed {
            Some(seed) => url.with_seed(seed).map_err(|cause| format!("{SEED_FILE}: {cause}")),
            None => Ok(url),
        });
        known.map_err(|mistake| environment.mistake(mistake)).ok()
    }

    /// The same, where the seed of an nkey says who we are.
    ///
    /// # Errors
    /// When it is no seed of a user.
    pub fn with_seed(self, seed: Secret) -> Result<Self, NoSeed> {
        public_key(&seed)?;
        Ok(Self { who: Who::Holder(seed), ..self })
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
            Who::Holder(seed) => ConnectOptions::with_nkey(seed.expose().to_owned()),
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
    use std::os::unix::fs::PermissionsExt as _;

    use nkeys::KeyPair;

    use super::super::nkey::new_seed;
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
        let mut environment = Environment::new(|name: &str| (name == URL).then(|| "amqp://ann:secret@one".to_owned()));
        assert_eq!(NatsUrl::read(&mut environment), None);
        let told = environment.finish().unwrap_err().to_string();
        assert!(told.contains("TIDEGATE_NATS_URL: not the address") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn a_seed_says_who_we_are_and_one_that_is_none_is_refused_without_being_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let of = |seed: &str| {
            let file = folder.path().join("seed");
            std::fs::write(&file, seed).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
            let mut environment = Environment::new(|name: &str| match name {
                URL => Some("nats://one".to_owned()),
                SEED_FILE => Some(file.display().to_string()),
                _ => None,
            });
            let url = NatsUrl::read(&mut environment);
            std::fs::remove_file(&file).unwrap();
            environment.finish().map(|()| url.unwrap())
        };
        let seed = new_seed().unwrap();
        let url = of(seed.expose()).unwrap();
        assert!(url.who == Who::Holder(seed) && format!("{url:?}") == "NatsUrl(one:4222, ***)");
        for wrong in [KeyPair::new_account().seed().unwrap(), "SUsecret".to_owned()] {
            let told = of(&wrong).unwrap_err().to_string();
            assert!(told.contains("TIDEGATE_NATS_NKEY_FILE: not the seed") && !told.contains(&wrong), "{told}");
        }
    }
}

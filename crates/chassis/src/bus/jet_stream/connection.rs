//! The way to a server.

use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, ServerAddr};

use crate::bus::Error;

/// No request to the server takes longer.
pub(super) const REQUEST_LIMIT: Duration = Duration::from_secs(2);
/// A silent server is found dead after two of these.
const PING_AGAIN: Duration = Duration::from_secs(8);
/// The oldest release that refuses what ours refuses and keeps what ours keeps.
const OLDEST: (u32, u32) = (2, 14);
const OLDEST_TEXT: &str = "2.14";

/// Connects for one job of a person, who hears at once what is wrong.
pub(super) async fn open_once(url: &str) -> Result<Context, Error> {
    let (address, options) = options(url)?;
    let client =
        options.name("tidegate init").connect(address).await.map_err(|cause| Error::nats("connect", &cause))?;
    is_new_enough(&client.server_info().version)?;
    Ok(context(client))
}

/// The client does not look for user and password in the address.
fn options(url: &str) -> Result<(ServerAddr, ConnectOptions), Error> {
    let address: ServerAddr = url.parse().map_err(|cause| Error::nats("read the address", &cause))?;
    let options = match (address.username(), address.password()) {
        (Some(user), Some(password)) => ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned()),
        _ => ConnectOptions::new(),
    };
    Ok((address, options.connection_timeout(REQUEST_LIMIT).ping_interval(PING_AGAIN)))
}

/// Requests with our limit.
pub(super) fn context(client: Client) -> Context {
    let mut context = jetstream::new(client);
    context.set_timeout(REQUEST_LIMIT);
    context
}

/// Older servers have other defaults and forget more.
pub(super) fn is_new_enough(version: &str) -> Result<(), Error> {
    let mut numbers = version.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= OLDEST { Ok(()) } else { Err(Error::Old { found: version.to_owned(), needed: OLDEST_TEXT }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_refused_with_its_version() {
        for version in ["2.14.0", "2.15.1", "3.0.0-beta.1", "2.14.0-RC.2"] {
            assert!(is_new_enough(version).is_ok(), "{version}");
        }
        for version in ["2.13.9", "2.9.25", "1.4.1", "", "dev"] {
            let why = is_new_enough(version).unwrap_err().to_string();
            assert_eq!(why, format!("the server is nats-server {version}, and tidegate needs 2.14 or newer"));
        }
    }
}

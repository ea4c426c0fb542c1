//! `tidegate ready`: whether a process can be given work, for whoever watches over it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::exit::Exit;
use crate::screen::Screen;

/// A process that is ready says so at once.
const LIMIT: Duration = Duration::from_secs(2);

pub(crate) async fn run(screen: Screen, admin: SocketAddr) -> anyhow::Result<Exit> {
    let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
    let answer = client.get(format!("http://{}/readyz", met(admin))).send().await?;
    let (status, said) = (answer.status(), answer.text().await?);
    screen.line(said.trim_end())?;
    Ok(if status.is_success() { Exit::Done } else { Exit::Failed })
}

/// Whoever listens everywhere is met here.
fn met(mut admin: SocketAddr) -> SocketAddr {
    match admin.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => admin.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => admin.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    admin
}

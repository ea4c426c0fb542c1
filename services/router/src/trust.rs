//! The peers whose word counts: addresses and networks that the operator names.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

/// Addresses and networks; by default none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedPeers(Arc<[IpNet]>);

impl TrustedPeers {
    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a peer is one of them. An IPv4 address that came over IPv6 is itself.
    #[must_use]
    pub fn has(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|net| net.contains(&peer))
    }
}

impl FromStr for TrustedPeers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
        let net = |part: &str| {
            let address = part.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| part.parse::<IpNet>()).map_err(|_| {
                format!("`{}` is neither an address nor a network such as `10.0.0.0/8`", part.escape_default())
            })
        };
        parts.map(net).collect::<Result<_, _>>().map(Self)
    }
}

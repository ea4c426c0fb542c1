//! Addresses that lead back into a network of ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is wrong with an address as a place outside; `None` for one that is.
pub(super) fn kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("unspecified"),
        [127, ..] => Some("loopback"),
        [169, 254, ..] => Some("link-local"),
        [100, second, ..] if second & 0xc0 == 64 => Some("shared"),
        [192, 0, 0, _] | [198, 18 | 19, ..] => Some("reserved"),
        _ if address.is_private() => Some("private"),
        _ if address.is_multicast() => Some("multicast"),
        [240..=255, ..] => Some("reserved"),
        _ => None,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        _ if address.is_unspecified() => Some("unspecified"),
        _ if address.is_loopback() => Some("loopback"),
        _ if address.is_multicast() => Some("multicast"),
        _ if address.is_unicast_link_local() => Some("link-local"),
        _ if address.is_unique_local() => Some("private"),
        // Mapped, compatible, and the two prefixes of NAT64: what counts is the address inside.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => kind_of_v4(inside(high, low)),
        [0x64, 0xff9b, 1, ..] => Some("translated"),
        [0x2002, high, low, ..] => kind_of_v4(inside(high, low)),
        [0x2001, 0, ..] | [0xfec0..=0xfeff, ..] => Some("reserved"),
        _ => None,
    }
}

fn inside(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_road_into_our_own_network_is_known() {
        let table = [
            ("0.0.0.0", "unspecified"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.0.1", "private"),
            ("100.64.0.1", "shared"),
            ("100.127.255.255", "shared"),
            ("169.254.169.254", "link-local"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("255.255.255.255", "reserved"),
            ("198.18.0.1", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("fe80::1", "link-local"),
            ("fd00::1", "private"),
            ("ff02::1", "multicast"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::127.0.0.1", "loopback"),
            ("64:ff9b::10.0.0.1", "private"),
            ("64:ff9b:1::1", "translated"),
            ("2002:7f00:1::", "loopback"),
        ];
        for (text, expected) in table {
            assert_eq!(kind(text.parse().unwrap()), Some(expected), "{text}");
        }
        for text in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.2.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert_eq!(kind(text.parse().unwrap()), None, "{text}");
        }
    }
}

//! Networks that a token may be used from: an address and a prefix length (RFC 4632, RFC 4291).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A block of addresses, written `10.0.0.0/8`, `2001:db8::/32` or as one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("examples" = ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32"]))]
pub struct Network {
    address: IpAddr,
    length: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an address or a network without host bits, as in \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\""
)]
pub struct NotANetwork;

impl Network {
    /// Whether `address` lies in this network. An IPv4 address mapped into IPv6
    /// (RFC 4291 §2.5.5.2) counts as the IPv4 address that it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let bits = u32::from(network) ^ u32::from(address);
                bits.leading_zeros() >= u32::from(self.length)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let bits = u128::from(network) ^ u128::from(address);
                bits.leading_zeros() >= u32::from(self.length)
            }
            _ => false,
        }
    }

    /// Whether every address of `other` lies in this network.
    pub fn covers(&self, other: &Network) -> bool {
        self.length <= other.length && self.contains(other.address)
    }

    fn new(address: IpAddr, length: u8) -> Option<Self> {
        // Addresses are compared in their IPv4 form, so a network is kept in it too.
        let (address, length) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), v4 @ IpAddr::V4(_)) => (v4, length.checked_sub(96)?),
            _ => (address, length),
        };
        let host_bits = match address {
            IpAddr::V4(v4) => {
                length <= 32 && u32::from(v4).trailing_zeros() + u32::from(length) >= 32
            }
            IpAddr::V6(v6) => {
                length <= 128 && u128::from(v6).trailing_zeros() + u32::from(length) >= 128
            }
        };
        host_bits.then_some(Self { address, length })
    }
}

impl std::str::FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) if length.bytes().all(|b| b.is_ascii_digit()) => {
                (address, Some(length.parse::<u8>().map_err(|_| NotANetwork)?))
            }
            Some(_) => return Err(NotANetwork),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let length = length.unwrap_or(if address.is_ipv4() { 32 } else { 128 });
        Self::new(address, length).ok_or(NotANetwork)
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_lies_inside() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("::ffff:192.0.2.7", "192.0.2.7", true),
            ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "11.0.0.1", false),
            ("::ffff:0:0/96", "203.0.113.9", true),
            ("::ffff:0:0/96", "2001:db8::1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db8::1", true),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(
                network.contains(address.parse().unwrap()),
                inside,
                "{address} in {network}"
            );
        }
    }

    #[test]
    fn what_covers_what() {
        for (network, other, covers) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("0.0.0.0/0", "192.0.2.7", true),
            ("0.0.0.0/0", "::/0", false),
            ("::/0", "0.0.0.0/0", false),
            ("2001:db8::/32", "2001:db8:1::/48", true),
        ] {
            let read = |text: &str| text.parse::<Network>().unwrap();
            assert_eq!(read(network).covers(&read(other)), covers, "{other} in {network}");
        }
    }

    #[test]
    fn forms() {
        for wrong in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::1/64",
            "::/129",
            "::ffff:10.0.0.0/8",
            "::ffff:10.0.0.0/95",
            "::ffff:10.0.0.1/104",
            "::ffff:10.0.0.0/129",
            "fe80::1%eth0",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "010.0.0.0/8",
            "host",
        ] {
            assert_eq!(wrong.parse::<Network>(), Err(NotANetwork), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn print_and_read(bits: u128, length in 0u8..=128) {
            let kept = if length == 0 { 0 } else { bits >> (128 - length) << (128 - length) };
            let network = Network::new(IpAddr::V6(kept.into()), length).unwrap();
            prop_assert_eq!(network.to_string().parse(), Ok(network));
            prop_assert_eq!(
                network.contains(IpAddr::V6(bits.into())),
                IpAddr::V6(bits.into()).to_canonical().is_ipv6()
            );
        }

        #[test]
        fn no_input_panics(text in ".*") {
            let _ = text.parse::<Network>();
        }
    }
}

//! Who is served.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// The client networks that are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    networks: Vec<IpNet>,
    private_only: bool,
}

/// Loopback (RFC 1122, RFC 4291), private use (RFC 1918, RFC 4193), shared (RFC 6598: behind the NAT of
/// a carrier, and in some VPNs) and link-local (RFC 3927, RFC 4291) addresses.
const PRIVATE: [&str; 9] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

impl Access {
    /// Loopback and private networks: the default, since whoever can be asked from anywhere can be
    /// made to flood anyone.
    pub fn private() -> Access {
        let networks = PRIVATE.iter().filter_map(|network| network.parse().ok()).collect();
        Access { networks, private_only: true }
    }

    /// Everyone.
    pub fn any() -> Access {
        let networks = ["0.0.0.0/0", "::/0"].iter().filter_map(|all| all.parse().ok()).collect();
        Access { networks, private_only: false }
    }

    /// These networks alone.
    pub fn networks(networks: Vec<IpNet>) -> Access {
        Access { networks, private_only: false }
    }

    /// The networks.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> {
        self.networks.iter().copied()
    }

    /// Whether `client` is served.
    pub fn allows(&self, client: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&client))
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Access::any() {
            return f.write_str("everyone");
        }
        if self.private_only {
            return f.write_str("loopback and private networks");
        }
        let networks: Vec<String> = self.networks.iter().map(IpNet::to_string).collect();
        f.write_str(&networks.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(access: &Access, client: &str) -> bool {
        access.allows(client.parse().unwrap())
    }

    #[test]
    fn the_default_is_private() {
        let access = Access::private();
        assert_eq!(access.networks.len(), PRIVATE.len());
        for client in ["127.9.9.9", "10.1.2.3", "172.31.0.1", "192.168.1.1", "::1", "fd00::1"] {
            assert!(allows(&access, client), "{client}");
        }
        for client in ["100.64.0.0", "100.100.1.2", "100.127.255.255"] {
            assert!(allows(&access, client), "{client}");
        }
        for client in ["100.63.255.255", "100.128.0.0", "8.8.8.8", "172.32.0.1", "2001:db8::1"] {
            assert!(!allows(&access, client), "{client}");
        }
        assert!(!allows(&access, "0.0.0.0"));
        assert_eq!(access.to_string(), "loopback and private networks");
    }

    #[test]
    fn any_and_lists() {
        assert!(allows(&Access::any(), "8.8.8.8") && allows(&Access::any(), "2001:db8::1"));
        let access = Access::networks(vec!["203.0.113.0/24".parse().unwrap()]);
        assert!(allows(&access, "203.0.113.9") && !allows(&access, "127.0.0.1"));
        assert_eq!(access.to_string(), "203.0.113.0/24");
    }
}

//! Two hosts and the wire between them, which can be made to lose packets.

use std::net::IpAddr;

use crate::clients;
use crate::host::Host;

/// Addresses of the hosts, private ones: the server serves those without being told.
const SERVER: [&str; 2] = ["192.168.77.1", "fd77::1"];
const CLIENT: [&str; 2] = ["192.168.77.2", "fd77::2"];

/// A host for servers and a host for clients on one wire with the MTU of Ethernet, over IPv4 and
/// IPv6. Nothing else is on it, so any port is free.
///
/// Making one takes root, and Debian's `iproute2` and `nftables`.
#[derive(Debug)]
pub struct Network {
    /// Where servers run.
    pub server: Host,
    /// Where clients run.
    pub client: Host,
}

/// What came to the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams on their way to the server.
    pub to_server: u64,
    /// Datagrams on their way to the client.
    pub to_client: u64,
}

impl Network {
    /// A network that loses nothing.
    ///
    /// # Panics
    /// It cannot be made: not root, or `ip` or `nft` is missing.
    #[expect(clippy::new_without_default, reason = "it makes something outside this program")]
    pub fn new() -> Network {
        let network = Network { server: Host::new(), client: Host::new() };
        network.server.join("wire", &network.client, "wire");
        for (host, [v4, v6]) in [(&network.server, SERVER), (&network.client, CLIENT)] {
            host.ip(&format!("address add {v4}/24 dev wire"));
            // Packets that a sender hands over in one piece are parted, so they are lost one by one.
            host.ip("link set wire gso_max_segs 1");
            // Without the search for a duplicate, which takes a second.
            host.ip(&format!("address add {v6}/64 dev wire nodad"));
            // What arrives is dropped, not what leaves: there the sender would be told.
            host.nft(
                "add table inet wire; \
                 add counter inet wire came; add counter inet wire lost; \
                 add chain inet wire loss; \
                 add chain inet wire input { type filter hook input priority 0; }; \
                 add rule inet wire input meta l4proto udp counter name came jump loss",
            );
        }
        network
    }

    /// A network that loses this many of a hundred datagrams each way, by chance.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn lossy(percent: u32) -> Network {
        let network = Network::new();
        network.lose(percent);
        network
    }

    /// From now on so many of a hundred datagrams are lost each way, by chance.
    ///
    /// # Panics
    /// `nft` fails.
    pub fn lose(&self, percent: u32) {
        for host in [&self.server, &self.client] {
            host.nft(&format!(
                "flush chain inet wire loss; \
                 add rule inet wire loss numgen random mod 100 < {percent} counter name lost drop"
            ));
        }
    }

    /// Of those to come to this host, one of the two, the `nth` is lost, counted from 0.
    ///
    /// # Panics
    /// `nft` fails.
    pub fn lose_one(&self, host: &Host, nth: u32) {
        host.nft(&format!(
            "flush chain inet wire loss; \
             add rule inet wire loss numgen inc mod 1000000 == {nth} counter name lost drop"
        ));
    }

    /// How many datagrams came, with those that were lost.
    pub fn came(&self) -> Counts {
        self.counts("came")
    }

    /// How many datagrams were lost.
    pub fn lost(&self) -> Counts {
        self.counts("lost")
    }

    /// The addresses of the server's host: IPv4, IPv6.
    pub fn addresses() -> [IpAddr; 2] {
        SERVER.map(|address| address.parse().unwrap())
    }

    fn counts(&self, name: &str) -> Counts {
        Counts { to_server: count(&self.server, name), to_client: count(&self.client, name) }
    }
}

/// The packets that a counter of this host has seen.
fn count(host: &Host, name: &str) -> u64 {
    let mut list = host.command("nft");
    list.args(["list", "counter", "inet", "wire", name]);
    let done = clients::finish(list, "nftables");
    let mut words = done.output.split_whitespace().skip_while(|word| *word != "packets").skip(1);
    let packets = words.next().and_then(|word| word.parse().ok());
    packets.unwrap_or_else(|| panic!("no counter {name}: {done:?}"))
}

//! Names made of the client's hardware address.

use std::process::Command;

use testkit::{Network, Raw};

use crate::{Place, assert_refused};

const CONFIG: &str = r#"
    [[rule]]
    file = 'boot\.cfg'
    rewrite = "boot/{mac}.cfg"
"#;

/// The hardware address of the client's end of the wire.
fn client_address(network: &Network) -> String {
    let mut command: Command = network.client.command("cat");
    let output = command.arg("/sys/class/net/wire/address").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn one_name_is_a_file_of_each_machine_over_both_protocols() {
    let network = Network::new();
    let place = Place::new();
    place.configure(CONFIG);
    let server = place.serve_on(&network.server, &["--listen", "[::]:0", "--allow", "any"]);
    let own = format!("boot/{}.cfg", client_address(&network).replace(':', "-"));
    let port = server.address().port();
    let [v4, v6] = Network::addresses().map(|ip| (ip, port).into());
    network.client.enter(|| {
        Raw::new(v4).put("boot.cfg", b"mine", &[]).unwrap();
        assert_eq!(Raw::new(v6).get("/boot.cfg", &[("blksize", "1000")]).unwrap(), b"mine");
        assert_eq!(Raw::new(v4).get(&own, &[]).unwrap(), b"mine");
    });
    let log = server.stop();
    assert!(log.iter().all(|line| line.get("outcome") == "ok"), "{log:#?}");
}

#[test]
fn a_client_without_a_known_hardware_address_is_told_so() {
    let place = Place::new();
    place.configure(CONFIG);
    let server = place.serve(&[]);
    let mut client = Raw::new(server.address());
    assert_refused(client.get("boot.cfg", &[]), 2, "your hardware address is not known here");
    client.put("other.cfg", b"x", &[]).unwrap();
    let log = server.stop();
    let reason = "rule 1 needs the client's hardware address, which the system does not know";
    assert_eq!(log[0].get("reason"), reason);
}

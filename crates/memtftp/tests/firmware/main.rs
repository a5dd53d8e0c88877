//! Real boot firmware in QEMU, in software: what it asks for, and that it gets whole files.
//!
//! Each machine has a network of its own, with a real DHCP server, and needs root for that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod lab;
mod script;

use testkit::Line;

use self::lab::Lab;
use self::script::LargeScript;

/// The program under test.
const BINARY: &str = env!("CARGO_BIN_EXE_memtftp");

/// What the machines load: 32 MiB.
const LARGE: usize = 32 << 20;

/// The whole file went to the machine, and these options were asked for and agreed.
fn assert_read(log: &[Line], file: &str, bytes: usize, asked: &str, granted: &str) {
    let bytes = bytes.to_string();
    let found: Vec<&Line> = log
        .iter()
        .filter(|line| line.is(&[("kind", "read"), ("file", file), ("outcome", "ok")]))
        .collect();
    assert_eq!(found.len(), 1, "{file}: {log:#?}");
    let expected = [("bytes", bytes.as_str()), ("asked", asked), ("granted", granted)];
    assert!(found[0].is(&expected), "{file}: {:#?}", found[0]);
}

/// All that iPXE reads, in the end the file whose name only the whole large script tells.
fn assert_ipxe_ran(log: &[Line], lab: &Lab, large: &LargeScript) {
    let asked = "blksize:1432,tsize:0";
    let granted = |bytes: usize| format!("blksize:1432,tsize:{bytes}");
    for (file, bytes) in
        [("boot.ipxe", lab.size("boot.ipxe")), ("large.ipxe", LARGE), (&large.last_file, 1)]
    {
        assert_read(log, file, bytes, asked, &granted(bytes));
    }
}

/// The machine's iPXE ROM boots a script, which loads one of 32 MiB and runs it.
fn ipxe_rom_boots(card: &str) {
    let large = LargeScript::new(LARGE);
    let mut lab = Lab::new();
    lab.add("boot.ipxe", b"#!ipxe\nchain tftp://${next-server}/large.ipxe\n");
    lab.add("large.ipxe", &large.text);
    lab.add(&large.last_file, b"!");
    let card = format!("{card},netdev=net,bootindex=0");
    let log = lab.boot("boot.ipxe", &["-machine", "pc,graphics=off", "-device", &card]);
    assert_ipxe_ran(&log, &lab, &large);
    assert_eq!(log.len(), 3, "{log:#?}");
}

#[test]
fn ipxe_rom_of_an_intel_card() {
    ipxe_rom_boots("e1000");
}

#[test]
fn ipxe_rom_of_a_virtio_card() {
    ipxe_rom_boots("virtio-net-pci");
}

/// UEFI asks for the size, stops, and reads with a window. It then runs what it has loaded: iPXE,
/// made 32 MiB long, which goes on as above.
#[test]
fn uefi() {
    let large = LargeScript::new(LARGE);
    let mut program = lab::ipxe_for_uefi();
    program.extend(testkit::bytes(LARGE - program.len()));
    let mut lab = Lab::new();
    lab.add("boot.efi", &program);
    lab.add("boot.ipxe", b"#!ipxe\nchain tftp://${next-server}/large.ipxe\n");
    lab.add("large.ipxe", &large.text);
    lab.add(&large.last_file, b"!");
    // Without the card's own ROM, so that it is the firmware's client that loads.
    let card = "virtio-net-pci,netdev=net,bootindex=0,romfile=";
    let log = lab.boot("boot.efi", &["-machine", "q35", "-bios", "OVMF.fd", "-device", card]);
    let probe = [
        ("file", "boot.efi"),
        ("outcome", "probe"),
        ("asked", "tsize:0,blksize:1468,windowsize:4"),
        ("granted", "tsize:33554432,blksize:1468,windowsize:4"),
        ("code", "8"),
    ];
    assert!(log[0].is(&probe), "{log:#?}");
    let window = "blksize:1468,windowsize:4";
    assert_read(&log, "boot.efi", LARGE, window, window);
    assert_ipxe_ran(&log, &lab, &large);
    assert_eq!(log.len(), 5, "{log:#?}");
}

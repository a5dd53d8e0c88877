//! `memtftp check`.

use std::process::Command;

use crate::{BINARY, Place, prints};

const CONFIG: &str = r#"
    preload = ["FILES"]
    uploads = "create"
    [[rule]]
    name = "phones"
    clients = ["10.0.0.0/8"]
    file = 'SEP(.*)\.xml'
    rewrite = "phones/{1}"
    ignore-case = true
    max-windowsize = 1
    [[rule]]
    clients = ["10.66.0.0/16"]
    action = { refuse = "not this network" }
    [[rule]]
    direction = "write"
    rewrite = "from/{mac}/{0}"
    [aliases]
    "pxelinux.0" = "bios/loader"
"#;

#[test]
fn it_says_what_would_happen_and_by_which_rule() {
    let place = Place::new();
    place.file("phones/AB12", "x").file("bios/loader", "x").configure(CONFIG);
    let said = |arguments: &[&str]| {
        let said = prints(arguments, &place.config());
        said.replace(place.files().canonicalize().unwrap().to_str().unwrap(), "FILES")
    };
    assert_eq!(
        said(&["--as", "10.0.0.7", "--read", "SEPab12.xml"]),
        "10.0.0.7 reads SEPab12.xml\n  \
         rule 1 \"phones\" matches, case does not matter, windowsize up to 1\n    \
         the name becomes phones/ab12\n    found as phones/AB12\n\
         served as phones/AB12, from FILES/phones/AB12\n"
    );
    assert_eq!(
        said(&["--as", "10.66.0.1", "--read", "x"]),
        "10.66.0.1 reads x\n  rule 2 matches\nrefused by rule 2: not this network\n"
    );
    assert_eq!(
        said(&["--as", "fe80::1", "--read", "\\pxelinux.0"]),
        "fe80::1 reads \\pxelinux.0\n  this is another name of bios/loader\n\
         served as bios/loader, from FILES/bios/loader\n"
    );
    for spelled in ["./SEPab12.xml", ".\\SEPab12.xml"] {
        let said = said(&["--as", "10.0.0.7", "--read", spelled]);
        assert!(said.contains("rule 1 \"phones\" matches"), "{said}");
        assert!(said.ends_with("served as phones/AB12, from FILES/phones/AB12\n"), "{said}");
    }
    let write = ["--as", "127.0.0.1", "--write", "a"];
    assert!(said(&write).ends_with("it depends on the hardware address: give --mac\n"));
    let with_mac = said(&[&write[..], &["--mac", "52:54:00:12:34:56"]].concat());
    assert!(with_mac.ends_with("taken as from/52-54-00-12-34-56/a\n"), "{with_mac}");
    assert!(said(&["--as", "8.8.8.8", "--read", "a"]).ends_with("not served, see allow\n"));
    assert!(said(&["--as", "::1", "--read", "../a"]).contains("refused: the name has a part"));
    assert!(said(&["--as", "::1", "--read", "no"]).contains("refused: file not found"));
}

#[test]
fn it_prints_all_settings_as_they_take_effect() {
    let place = Place::new();
    place.configure(CONFIG);
    let printed = prints(&[], &place.config());
    for line in
        ["uploads = \"create\"", "max-sessions = 100000", "give-up = \"1m\"", "name = \"phones\""]
    {
        assert!(printed.lines().any(|printed| printed == line), "{line}\n{printed}");
    }
    // It is a configuration file itself.
    place.configure(&printed);
    assert_eq!(prints(&[], &place.config()), printed);
}

#[test]
fn a_bad_file_is_an_error_of_one_line() {
    let place = Place::new();
    place.configure("memory = \"2GiB\"\nmax-fle = 3\n");
    let output = Command::new(BINARY).arg("check").arg(place.config()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("memtftp.toml:2:1: there is no key max-fle; did you mean max-file"),
        "{said}"
    );
}

#[test]
fn it_decides_on_the_spelling_that_would_be_found() {
    let rules = r#"
        uploads = "replace"
        [[rule]]
        name = "keep out"
        file = 'secret/.*'
        action = "refuse"
        [[rule]]
        ignore-case = true
    "#;
    for source in ["preload = [\"FILES\"]", "dir = \"FILES\""] {
        let place = Place::new();
        place.file("secret/key", "x").file("open/page", "x").configure(&[source, rules].concat());
        let said = |action, name| prints(&["--as", "10.0.0.7", action, name], &place.config());
        for action in ["--read", "--write"] {
            let refused = said(action, "SECRET/Key");
            assert!(
                refused.ends_with(
                    "    found as secret/key\n  rule 1 \"keep out\" matches\n\
                refused by rule 1 \"keep out\": not allowed here\n"
                ),
                "{source}: {refused}"
            );
        }
        assert!(said("--read", "OPEN/page").contains("served as open/page, from "), "{source}");
        if source.starts_with("dir") {
            // It would be stored in the directory that there is.
            assert!(said("--write", "SECRET/new").contains("refused by rule 1"));
            assert!(said("--write", "OPEN/new").ends_with("taken as open/new\n"));
        }
    }
}

//! Files on a real disk.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use memtftp_rights::{PRIVATE, inherit};

fn make(path: &Path, mode: u32) -> File {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).unwrap();
    file.set_permissions(Permissions::from_mode(mode)).unwrap();
    file
}

fn mode(file: &File) -> u32 {
    file.metadata().unwrap().mode() & 0o7777
}

#[test]
fn permissions_are_those_of_the_file_before() {
    let directory = tempfile::tempdir().unwrap();
    for (number, old) in [0o600, 0o640, 0o644, 0o666, 0o400, 0o755].into_iter().enumerate() {
        let old_file = make(&directory.path().join(format!("old{number}")), old);
        let new = make(&directory.path().join(format!("new{number}")), PRIVATE);
        inherit(&new, &old_file).unwrap();
        assert_eq!(mode(&new), old, "{old:o}");
    }
}

#[test]
fn root_keeps_owner_and_group() {
    let directory = tempfile::tempdir().unwrap();
    let (old_path, new_path) = (directory.path().join("old"), directory.path().join("new"));
    let old = make(&old_path, 0o640);
    if chown(&old_path, Some(12_345), Some(23_456)).is_err() {
        // Only root may give a file away; the rest of the rights is tried above.
        assert_ne!(old.metadata().unwrap().uid(), 0, "root can give a file away");
        return;
    }
    let new = make(&new_path, PRIVATE);
    inherit(&new, &old).unwrap();
    let metadata = new.metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), mode(&new)), (12_345, 23_456, 0o640));
}

#[cfg(target_os = "linux")]
#[test]
fn a_list_is_inherited_and_that_of_a_directory_is_not() {
    use rustix::fs::{XattrFlags, fgetxattr, fsetxattr, setxattr};
    use rustix::io::Errno;

    const ACCESS: &str = "system.posix_acl_access";
    // Version 2, then tag, permissions and ID of each entry: the owner, user 1, the group, a mask, others.
    let entry = |tag: u16, permissions: u16, id: u32| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let list = |of_user: u16| {
        let none = u32::MAX;
        let entries = [
            entry(0x01, 6, none),
            entry(0x02, of_user, 1),
            entry(0x04, 0, none),
            entry(0x10, 6, none),
            entry(0x20, 0, none),
        ];
        [&2_u32.to_le_bytes()[..], &entries.concat()].concat()
    };
    let directory = tempfile::tempdir().unwrap();
    let old = make(&directory.path().join("old"), 0o600);
    match fsetxattr(&old, ACCESS, &list(4), XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP) => {
            println!("NOT CHECKED: this file system has no access control lists");
            return;
        }
        set => set.unwrap(),
    }
    let read = |file: &File| {
        let mut found = [0; 256];
        fgetxattr(file, ACCESS, &mut found).map(|len| found[..len].to_vec())
    };
    let new = make(&directory.path().join("new"), PRIVATE);
    inherit(&new, &old).unwrap();
    assert_eq!((read(&new).unwrap(), mode(&new)), (read(&old).unwrap(), 0o660));
    // A file of plain rights does not get the list that its directory hands down.
    let plain = make(&directory.path().join("plain"), 0o640);
    let default = "system.posix_acl_default";
    setxattr(directory.path(), default, &list(6), XattrFlags::empty()).unwrap();
    let new = make(&directory.path().join("inheriting"), PRIVATE);
    assert!(read(&new).is_ok(), "the directory hands a list down");
    inherit(&new, &plain).unwrap();
    assert_eq!((read(&new).unwrap_err(), mode(&new)), (Errno::NODATA, 0o640));
}

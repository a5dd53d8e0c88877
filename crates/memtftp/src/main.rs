//! The memtftp program.

fn main() {}

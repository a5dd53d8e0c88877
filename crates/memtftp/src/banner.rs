//! What an operator sees at start.

use std::env;
use std::fmt::Write;
use std::net::SocketAddr;

use bytesize::ByteSize;
use memtftp_server::{LogTarget, Server, Uploads};

/// Addresses and ports that are listed before the rest is only counted.
const MAX_LISTED: usize = 8;

/// Where it answers, what it may hold, who is served, and how to try it.
pub(crate) fn text(server: &Server) -> String {
    let mut lines = vec![
        ("listening", listening(server)),
        ("transfers", transfers(server)),
        ("memory", memory(server)),
        ("clients", format!("{} (--allow changes it)", server.config().access)),
        ("uploads", uploads(server.config().uploads).to_owned()),
        ("request log", request_log(server)),
    ];
    if let Some(path) = &server.config().status_socket {
        lines.push(("status", format!("at {}", path.display())));
    }
    lines.push(("try it", try_it(server)));
    let mut text = format!("memtftp {}\n", env!("CARGO_PKG_VERSION"));
    for (what, value) in lines {
        let _ = writeln!(text, "  {what:<12} {value}");
    }
    text
}

fn listening(server: &Server) -> String {
    // An address that is not served itself stands for a network of clients that are not.
    let mark = |address: &SocketAddr| match server.config().access.allows(address.ip()) {
        true if server.absent().contains(address) => format!("{address} (no interface has it yet)"),
        true => address.to_string(),
        false => format!("{address} (its network is not served, see --allow)"),
    };
    list(server.reachable().iter().map(mark))
}

fn transfers(server: &Server) -> String {
    let mut ports = server.transfer_ports().to_vec();
    ports.sort_unstable();
    if ports.is_empty() {
        return "on the listening port".to_owned();
    }
    format!("on ports {}", list(ports.iter().map(u16::to_string)))
}

/// The first few, and how many more there are.
fn list(all: impl ExactSizeIterator<Item = String>) -> String {
    let count = all.len();
    let mut listed: Vec<String> = all.take(MAX_LISTED).collect();
    if count > MAX_LISTED {
        listed.push(format!("and {} more", count - MAX_LISTED));
    }
    listed.join(" ")
}

fn memory(server: &Server) -> String {
    let size = |bytes| ByteSize::b(bytes).display().iec().to_string();
    if let Some(directory) = &server.config().directory {
        let memory = size(server.config().memory);
        return format!("{memory} for files, uploads are stored in {}", directory.path.display());
    }
    let files = server.names().len();
    let loaded = match files {
        0 => "no file preloaded".to_owned(),
        1 => format!("1 file preloaded ({})", size(server.memory_used())),
        _ => format!("{files} files preloaded ({})", size(server.memory_used())),
    };
    format!("{} for files, {loaded}", size(server.config().memory))
}

fn uploads(uploads: Uploads) -> &'static str {
    match uploads {
        Uploads::Off => "off (--uploads create or replace allows them)",
        Uploads::Create => "on, new files only (--uploads replace also replaces)",
        Uploads::KeepPreloaded => {
            "on, but what was preloaded is not replaced (--uploads replace allows that, off forbids all)"
        }
        Uploads::Replace => "on, files are replaced (--uploads off forbids them)",
    }
}

fn request_log(server: &Server) -> String {
    match server.config().request_log.as_ref().map(|log| &log.target) {
        None => "off".to_owned(),
        Some(LogTarget::Stdout) => "standard output".to_owned(),
        Some(LogTarget::File(path)) => {
            let path = env::current_dir().map_or(path.clone(), |directory| directory.join(path));
            path.display().to_string()
        }
    }
}

/// One line for a client that is on most machines.
fn try_it(server: &Server) -> String {
    let address = server.address();
    let names = server.names();
    let shell_safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    let name = names.iter().find(|name| name.as_bytes().iter().all(shell_safe));
    match (name, server.config().uploads) {
        (Some(name), _) => format!("curl tftp://{address}/{name} -o FILE"),
        (None, Uploads::Off) => format!("curl tftp://{address}/FILE -o FILE"),
        (None, _) => format!("curl -T FILE tftp://{address}/"),
    }
}

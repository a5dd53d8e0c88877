#!/usr/bin/env bash
# QEMU's built-in TFTP server (-netdev user,tftp=DIR): any ACK brings the next block, whatever its number.
#
# Guess before the run: a repeated ACK of block 1 is answered with block 2 again, or not at all
# (RFC 1123, 4.2.3.1), and a DATA that is not acknowledged is sent again after a time-out.
# Seen: the number in an ACK is not looked at. ACK 1 three times brings blocks 2, 3 and 4, an ACK of a
# block that was never sent brings the next one, and nothing is ever sent again by the server's own
# time-out. So a client that repeats an ACK because one DATA was late or lost never gets that block.
# What it means: a loss or a slow guest ends a network boot from QEMU's user network for good, and a test
# that uses it as its TFTP peer tests a server without retransmission.
#
# Needs: Debian's qemu-system-x86 (libslirp0), python3. No root: frames travel in UDP on loopback.
set -euo pipefail
command -v qemu-system-x86_64 >/dev/null || apt-get install --yes --no-install-recommends qemu-system-x86 >/dev/null
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir served
python3 -c 'open("served/file", "wb").write(b"".join(bytes([65 + i]) * 512 for i in range(6)) + b"end")'
qemu-system-x86_64 --version | head -n 1
dpkg-query --show libslirp0
cat > check.py <<'PY'
import socket, struct, subprocess, sys, time

GUEST, HOST = bytes.fromhex("525400123456"), bytes.fromhex("52550a000202")
GUEST_IP, HOST_IP = bytes([10, 0, 2, 15]), bytes([10, 0, 2, 2])
wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
wire.bind(("127.0.0.1", 0))
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
probe.bind(("127.0.0.1", 0))
there = probe.getsockname()
probe.close()
qemu = subprocess.Popen(
    ["qemu-system-x86_64", "-M", "none", "-display", "none", "-nodefaults",
     "-netdev", "user,id=user,tftp=served", "-netdev", "hubport,id=a,hubid=0,netdev=user",
     "-netdev", f"socket,id=wire,udp=127.0.0.1:{wire.getsockname()[1]},localaddr=127.0.0.1:{there[1]}",
     "-netdev", "hubport,id=b,hubid=0,netdev=wire"], stderr=subprocess.DEVNULL)

def checksum(header):
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)

def send_arp(operation, target_mac, target_ip):
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + GUEST + GUEST_IP + target_mac + target_ip
    wire.sendto((target_mac if any(target_mac) else b"\xff" * 6) + GUEST + b"\x08\x06" + body, there)

def send(port, payload):
    udp = struct.pack("!HHHH", 2000, port, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBB2s4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, b"\0\0", GUEST_IP, HOST_IP)
    ip = ip[:10] + checksum(ip) + ip[12:]
    wire.sendto(HOST + GUEST + b"\x08\x00" + ip + udp, there)

def receive(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        wire.settimeout(max(0.01, end - time.monotonic()))
        try:
            frame = wire.recv(65536)
        except OSError:
            break
        if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1":
            send_arp(2, frame[22:28], frame[28:32])
        elif frame[12:14] == b"\x08\x00" and frame[23] == 17:
            udp = frame[14 + (frame[14] & 15) * 4:]
            return udp[8:]
    return None

def block(packet):
    return "silence" if packet is None else struct.unpack("!H", packet[2:4])[0] if packet[1] == 3 else packet

try:
    for _ in range(100):                     # until the user network answers an ARP request
        send_arp(1, b"\0" * 6, HOST_IP)
        wire.settimeout(0.1)
        try:
            wire.recv(65536)
            break
        except OSError:
            pass
    send(69, b"\0\1file\0octet\0")
    seen = [("read request", block(receive(5)))]
    for number in (1, 1, 1, 40):
        send(69, struct.pack("!HH", 4, number))
        seen.append((f"ACK {number}", block(receive(5))))
    seen.append(("nothing, for 15 s", block(receive(15))))
    for what, answer in seen:
        print(f"{what}: {answer if isinstance(answer, str) else f'DATA {answer}'}")
finally:
    qemu.kill()
if [answer for _, answer in seen] != [1, 2, 3, 4, 5, "silence"]:
    sys.exit("changed: the numbers of ACKs count, or DATA is sent again")
PY
timeout 120 python3 check.py

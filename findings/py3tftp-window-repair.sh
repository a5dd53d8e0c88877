#!/usr/bin/env bash
# py3tftp: after an ACK from the middle of a window, block numbers and their content part ways.
#
# Guess before the run: an ACK of block 2 in a window of 4 (RFC 7440: block 3 was lost) brings blocks 3 to 6, each
# with its own content; at worst the whole window again.
# Seen: DATA 3, 4, 4 and 5, where the second DATA 4 holds the content of block 5 and DATA 5 that of block 6. A
# receiver that goes by the numbers skips a block without noticing. Losing the second or the last block of a
# window does no harm.
# What it means: windowsize, which the server grants by itself, costs the integrity of the file as soon as the
# right packet is lost. stashhouse-tftp, which builds on py3tftp, inherits it for what it sends.
#
# Needs: python3 with venv, PyPI. No root.
set -euo pipefail
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check py3tftp==1.3.0
mkdir served
python3 -c 'open("served/file", "wb").write(b"".join(bytes([64 + i]) * 512 for i in range(1, 19)))'
port=$(python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
(cd served && exec ../venv/bin/py3tftp --host 127.0.0.1 --port "$port" >/dev/null 2>&1) &
cat > check.py <<'PY'
import socket, struct, sys

server = ("127.0.0.1", int(sys.argv[1]))
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(0.5)
for _ in range(40):
    client.sendto(b"\0\1file\0octet\0windowsize\0004\0", server)
    try:
        answer, transfer = client.recvfrom(65536)
        break
    except OSError:
        pass

def window():
    """Returns the next four DATA packets as (number, the block whose content it has)."""
    client.settimeout(5)
    packets = [client.recvfrom(65536)[0] for _ in range(4)]
    return [(struct.unpack("!H", packet[2:4])[0], packet[4] - 64) for packet in packets]

print("py3tftp 1.3.0 grants", answer[2:])
client.sendto(struct.pack("!HH", 4, 0), transfer)
first = window()
client.sendto(struct.pack("!HH", 4, 2), transfer)          # as if DATA 3 had been lost
second = window()
print("the first window:    ", "  ".join(f"DATA {number} has block {block}" for number, block in first))
print("after ACK 2:         ", "  ".join(f"DATA {number} has block {block}" for number, block in second))
if first != [(1, 1), (2, 2), (3, 3), (4, 4)] or second != [(3, 3), (4, 4), (4, 5), (5, 6)]:
    sys.exit("changed: other blocks than seen before")
PY
timeout 60 python3 check.py "$port"

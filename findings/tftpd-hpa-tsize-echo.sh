#!/usr/bin/env bash
# tftpd-hpa: a read request with a tsize other than 0 gets its own number back as the size of the file.
#
# Guess before the run: RFC 2349 lets a reader send 0, and the server answers with the size; whatever
# number is sent, the size is the answer (dnsmasq and rs-tftpd do so).
# Seen: tsize 0 is answered with 2560, the size; tsize 99 with 99, tsize 5000 with 5000. The transfer itself is
# whole.
# What it means: a client that states the size of the copy it has, or that reuses the options of an upload,
# is told that the file on the server has just that size; one that checks the announced size fails, or
# stops early.
#
# Needs: Debian's tftpd-hpa, python3. Root, because in.tftpd changes its root directory.
set -euo pipefail
[[ -x /usr/sbin/in.tftpd ]] || apt-get install --yes --no-install-recommends tftpd-hpa >/dev/null
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
mkdir served
head -c 2560 /dev/zero > served/file
chmod -R a+rX .
/usr/sbin/in.tftpd --version
port=$(python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
/usr/sbin/in.tftpd --foreground --address "127.0.0.1:$port" --secure --user root "$dir/served" &
cat > ask.py <<'PY'
import socket, struct, sys, time
server = ("127.0.0.1", int(sys.argv[1]))

def ask(request):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(5)
    client.sendto(request, server)
    return client, *client.recvfrom(65536)

for _ in range(100):
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.settimeout(0.3)
    probe.connect(server)
    try:
        probe.send(b"\0\1nothing\0octet\0")
        probe.recv(65536)
    except TimeoutError:                          # not refused: the answer came from another port
        break
    except ConnectionRefusedError:
        time.sleep(0.05)
seen = []
for asked in (0, 99, 5000):
    client, answer, transfer = ask(b"\0\1file\0octet\0tsize\0%d\0" % asked)
    announced, received, block = int(answer.split(b"\0")[2]), 0, 0
    while True:
        client.sendto(struct.pack("!HH", 4, block), transfer)
        data = client.recv(65536)
        received, block = received + len(data) - 4, block + 1
        if len(data) < 516:
            client.sendto(struct.pack("!HH", 4, block), transfer)
            break
    print(f"tsize {asked} is sent: {announced} is announced, {received} bytes arrive")
    seen.append((announced, received))
if seen != [(2560, 2560), (99, 2560), (5000, 2560)]:
    sys.exit("changed: the announced size is the file's, or the transfer is cut")
PY
timeout 60 python3 ask.py "$port"

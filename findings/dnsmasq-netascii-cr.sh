#!/usr/bin/env bash
# dnsmasq: netascii does not escape a carriage return, so text with CR LF line ends arrives with a CR too many.
#
# Guess before the run: netascii (RFC 764, as RFC 1350 has it) sends LF as CR LF and a lone CR as CR NUL; a
# file with CR LF travels as CR NUL CR LF and comes back as it was.
# Seen: LF becomes CR LF, but a CR stays as it is. "b CR c" travels as CR c, which netascii does not know, and
# CR LF as CR CR LF.
# What it means: configuration files for phones and switches that have CR LF line ends, fetched in netascii
# (the default of several clients), differ from the file by a byte per line, for clients that follow the RFC.
#
# Needs: Debian's dnsmasq-base, python3; root, for port 69 in a network namespace of its own.
set -euo pipefail
if [[ ${1-} != inside ]]; then
  command -v dnsmasq >/dev/null || apt-get install --yes --no-install-recommends dnsmasq-base >/dev/null
  exec unshare --net bash "$0" inside
fi
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
ip link set lo up
mkdir served
printf 'a\nb\rc\r\nd\n' > served/file
chmod -R a+rX .
cat > ask.py <<'PY'
import socket, sys, time
port = int(sys.argv[1])
for _ in range(100):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(0.3)
    client.connect(("127.0.0.1", port))
    try:
        client.send(b"\0\1nothing\0octet\0")
        client.recv(65536)
    except TimeoutError:                          # not refused: the answer came from another port
        break
    except ConnectionRefusedError:
        time.sleep(0.05)
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(5)
client.sendto(b"\0\1file\0netascii\0", ("127.0.0.1", port))
print(client.recv(65536)[4:])
PY
dnsmasq --version | head -n 1
dnsmasq --no-daemon --port=0 --enable-tftp --tftp-root="$dir/served" --conf-file=/dev/null --user=root \
  --listen-address=127.0.0.1 --bind-interfaces 2>/dev/null &
dnsmasq_sends=$(timeout 30 python3 ask.py 69)
echo "the file:      b'a\\nb\\rc\\r\\nd\\n'"
echo "dnsmasq sends: $dnsmasq_sends"
[[ $dnsmasq_sends == "b'a\\r\\nb\\rc\\r\\r\\nd\\r\\n'" ]] || {
  echo "changed: other bytes than seen before" >&2
  exit 1
}

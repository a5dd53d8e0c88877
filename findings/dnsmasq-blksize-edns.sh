#!/usr/bin/env bash
# dnsmasq: the largest TFTP block follows a DNS setting, edns-packet-max, even with DNS switched off.
#
# Guess before the run: blksize is granted up to what the interface's MTU carries, or up to
# --tftp-mtu; DNS settings have no part in it.
# Seen on a loopback with an MTU of 65,536: 2,263 bytes by default, 1,543 with --edns-packet-max=512, 5,127 with
# 4096, 9,031 with 8000: the DNS value and 1,031 more, with --port=0 (no DNS) too. The log says nothing of it.
# What it means: on networks with jumbo frames, blocks stay small for a reason that nobody looks for, and
# lowering the DNS packet size to 512 for the sake of old resolvers makes network boots slower.
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
head -c 4000 /dev/zero > served/file
chmod -R a+rX .
dnsmasq --version | head -n 1
cat > ask.py <<'PY'
import socket, sys, time
for _ in range(100):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(0.3)
    client.connect(("127.0.0.1", 69))
    try:
        client.send(b"\0\1nothing\0octet\0")
        client.recv(65536)
    except TimeoutError:                          # not refused: the answer came from another port
        break
    except ConnectionRefusedError:
        time.sleep(0.05)
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(5)
client.sendto(b"\0\1file\0octet\0blksize\00065464\0", ("127.0.0.1", 69))
print(client.recv(65536).split(b"\0")[2].decode())
PY
changed=0
for pair in default:2263 512:1543 1232:2263 4096:5127 8000:9031; do
  edns=${pair%:*} expected=${pair#*:}
  option=(); [[ $edns == default ]] || option=(--edns-packet-max="$edns")
  dnsmasq --no-daemon --port=0 --enable-tftp --tftp-root="$dir/served" --conf-file=/dev/null --user=root \
    --listen-address=127.0.0.1 --bind-interfaces "${option[@]}" 2>/dev/null &
  server=$!
  granted=$(timeout 30 python3 ask.py)
  kill "$server"; wait "$server" || true
  echo "edns-packet-max $edns: blksize 65464 is asked for, $granted is granted"
  [[ $granted == "$expected" ]] || changed=1
done
((changed == 0)) || { echo "changed: other sizes than seen before" >&2; exit 1; }

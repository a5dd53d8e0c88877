#!/usr/bin/env bash
# curl: resuming a download over TFTP appends the whole file to the part, and reports success.
#
# Guess before the run: TFTP cannot start in the middle of a file, so `-C -` fails with exit code 36
# (bad resume) or 33 (no ranges) and leaves the part alone, as curl does for other protocols
# without ranges.
# Seen: the server is asked for the whole file, which is appended to the part. Exit code 0, nothing
# on standard error. libcurl 8.23.0 still does it: with RESUME_FROM set, all bytes are handed over.
# What it means: a download script with `-C -` in its retry loop is correct over HTTP and corrupts
# files over TFTP.
#
# Needs: curl, python3 with venv, PyPI. No root.
set -euo pipefail
command -v curl >/dev/null || apt-get install --yes --no-install-recommends curl >/dev/null
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pycurl==7.49.0
cat > check.py <<'PY'
import io, os, socket, struct, subprocess, sys, threading
import pycurl

CONTENT = bytes(range(256)) * 20
PART = 2000

def serve(listening):
    """Answers each read request with CONTENT in lock-step, with the options that curl asks for."""
    while True:
        request, client = listening.recvfrom(65536)
        fields = request[2:].split(b"\0")
        options = dict(zip(fields[2::2], fields[3::2]))
        size = int(options.get(b"blksize", 512))
        transfer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        transfer.bind(("127.0.0.1", 0))
        transfer.settimeout(5)
        transfer.sendto(b"\0\6tsize\0%d\0blksize\0%d\0" % (len(CONTENT), size), client)
        transfer.recvfrom(65536)
        for block in range(1, len(CONTENT) // size + 2):
            payload = CONTENT[(block - 1) * size:block * size]
            transfer.sendto(struct.pack("!HH", 3, block) + payload, client)
            transfer.recvfrom(65536)

listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listening.bind(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listening,), daemon=True).start()
url = "tftp://127.0.0.1:%d/image.bin" % listening.getsockname()[1]

with open("image.bin", "wb") as part:
    part.write(CONTENT[:PART])
tool = subprocess.run(["curl", "-sS", "-C", "-", "-o", "image.bin", url], capture_output=True, text=True, timeout=30)
result = open("image.bin", "rb").read()
print(subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout.splitlines()[0])
print(f"curl -C - with {PART} of {len(CONTENT)} bytes there: exit code {tool.returncode}, "
      f"standard error {tool.stderr!r}, the file has {len(result)} bytes")
appended = result == CONTENT[:PART] + CONTENT

received = io.BytesIO()
handle = pycurl.Curl()
handle.setopt(pycurl.URL, url)
handle.setopt(pycurl.RESUME_FROM, PART)
handle.setopt(pycurl.WRITEFUNCTION, received.write)
handle.perform()
print(pycurl.version.split()[1], f"with RESUME_FROM={PART}: success, {len(received.getvalue())} bytes handed over")
if tool.returncode != 0 or not appended or received.getvalue() != CONTENT:
    sys.exit("changed: the resume was refused or started at the offset")
PY
timeout 120 venv/bin/python check.py

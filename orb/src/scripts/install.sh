#!/bin/sh
# Needs a POSIX shell and Python: neither curl nor sha256sum, which not every image has.
set -eu
folder=$HOME/.deploystep
python=
for each in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    if "$each" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        python=$(command -v "$each")
        break
    fi
done
if [ -z "$python" ]; then
    echo 'error: no Python 3.10 or newer is on PATH' >&2
    echo '  hint: use an image that has one, such as cimg/base:current' >&2
    exit 4
fi
mkdir -p "$folder"
"$python" -I -c '
import hashlib, os, sys, time, urllib.request
from http.client import HTTPException, InvalidURL

url, wanted, target = os.environ["PARAM_URL"], os.environ["PARAM_SHA256"].strip().lower(), sys.argv[1]


def digest(data):
    return hashlib.sha256(data).hexdigest()


if os.path.exists(target):
    with open(target, "rb") as file:
        if digest(file.read()) == wanted:
            sys.exit()
print(f"downloading {url}", file=sys.stderr, flush=True)
for pause in (2, 5, 15, None):
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data = answer.read()
        break
    except (OSError, HTTPException, ValueError) as error:
        why = " ".join(str(error).split())
        status = getattr(error, "code", 500)
        is_final = isinstance(error, (InvalidURL, ValueError)) or status < 500 and status not in (408, 429)
        if pause is None or is_final:
            print(f"error: {url} cannot be downloaded: {why}", file=sys.stderr)
            sys.exit("  hint: compare the parameter url with the release")
        print(f"{url} cannot be downloaded: {why}; trying again in {pause} s", file=sys.stderr, flush=True)
        time.sleep(pause)
if digest(data) != wanted:
    print(f"error: {url} is another file than expected, and is not installed", file=sys.stderr)
    print(f"  its SHA-256 is {digest(data)}, expected is {wanted}", file=sys.stderr)
    sys.exit("  hint: compare the parameter sha256 with the release; if it is right, the file was replaced")
with open(target + ".new", "wb") as file:
    file.write(data)
os.replace(target + ".new", target)
' "$folder/deploystep.pyz"
printf '#!/bin/sh\nexec "%s" -S -E "%s/deploystep.pyz" "$@"\n' "$python" "$folder" >"$folder/deploystep"
chmod +x "$folder/deploystep"
# shellcheck disable=SC2016 # PATH is that of the step that reads it
if [ -n "${BASH_ENV:-}" ]; then printf 'export PATH="%s:$PATH"\n' "$folder" >>"$BASH_ENV"; fi
"$folder/deploystep" --version

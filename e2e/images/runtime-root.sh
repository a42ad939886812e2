#!/usr/bin/env bash
# Prints a folder with the root file system that binaries need at run time: the packages that own the libraries they are
# linked with, certificates, and nothing else.
#
#   e2e/images/runtime-root.sh BINARY…
#
# The packages are those of this machine's distribution, since the binaries were linked against them. Cached by their versions.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../scripts/lib.sh"
usage_when_asked "$@"
[[ $# -gt 0 ]] || fail "which binaries?" "e2e/images/runtime-root.sh --help"
{ has dpkg-query && has apt-get; } || fail "the images are made of Debian packages, and this is no Debian" "build them on Debian or Ubuntu"

# Packages may know a library by the path before or after /lib became a link to /usr/lib.
owner_of() { dpkg-query --search "$1" "/usr$1" "${1#/usr}" 2>/dev/null | head -n 1 | cut -d: -f1; }

libraries() { ldd "$@" | grep -oE '/[^ ]+\.so[^ ]*' | sort -u; }

packages() {
  local library
  while read -r library; do owner_of "$library" || true; done < <(libraries "$@")
  echo ca-certificates
}

# Files only: no maintainer script runs, so what two of them would do is done here.
fill() {
  local root=$1 package
  mkdir "$root/debs"
  cd "$root/debs"
  # Lists that are old name packages that are gone.
  apt-get download -q "${wanted[@]}" || { apt-get update -q && apt-get download -q "${wanted[@]}"; }
  for package in *.deb; do
    dpkg-deb --extract "$package" "$root"
    # Where scanners look for the packages of an image without a package manager.
    mkdir -p "$root/var/lib/dpkg/status.d"
    dpkg-deb --field "$package" >"$root/var/lib/dpkg/status.d/${package%%_*}"
  done
  cd /
  rm -r "$root/debs"
  cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
  # The licences stay; character set converters, cipher engines and tools serve none of our binaries.
  find "$root/usr/share" ! -type d ! -name copyright -delete
  find "$root/usr/share" -type d -empty -delete
  rm -rf "${root:?}/usr/sbin" "${root:?}/usr/bin" "$root"/usr/lib/*/{gconv,engines-3,audit}
  mkdir "$root/tmp" && chmod 1777 "$root/tmp"
  echo 'nonroot:x:65532:65532::/:/nonexistent' >"$root/etc/passwd"
  echo 'nonroot:x:65532:' >"$root/etc/group"
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
}

for binary; do
  [[ -x $binary ]] || fail "there is no binary $binary" "e2e/images/build.sh"
done
mapfile -t wanted < <(packages "$@" | sort -u)
versions=$(apt-cache policy "${wanted[@]}" | grep -E '^[a-z]|Candidate')
cached runtime-root "$(cat - "$0" <<<"$versions" | sha256sum | cut -c1-16)" quietly "making a root of ${wanted[*]}" fill

# What the lab needs on the machine that runs it.

install_packages() {
  local name missing=() from=()
  for name in mmdebstrap qemu-system-x86 qemu-utils e2fsprogs fdisk; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return
  # Where qemu-utils is a backport, the rest of QEMU has to be one too.
  dpkg-query -W -f '${Version}' qemu-utils 2>/dev/null | grep -q bpo &&
    from=(-t "$(. /etc/os-release && echo "$VERSION_CODENAME")-backports")
  echo "     installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${from[@]}" "${missing[@]}" >"$kept/packages.log" 2>&1 ||
    die "packages are missing, see $kept/packages.log"
}

# What the runner and each scenario's process share.

die() {
  echo "lab: $*" >&2
  exit 2
}

# The step under way; a failure names it.
stage() {
  echo "$*" >"$power/stage"
  echo "$(date +%T) $*" >>"$power/stages"
}

fail() {
  echo "$*" >"$power/failure"
  exit 1
}

# A new place for a machine: $power with its disks, $share as it sees it in /lab.
new_rooms() { # DIRECTORY
  export power=$1/power share=$1/share
  mkdir -p "$power" "$share"/{jobs,libvirt,bin}
  cp -r "$lab/inside" "$share"
  local program
  for program in vgapt vgapt-libvirt; do
    [ ! -e "${binaries:-}/$program" ] || strip -o "$share/bin/$program" "$binaries/$program"
  done
}

. "$lab/lib/image.sh"
. "$lab/lib/machine.sh"
. "$lab/lib/power.sh"
. "$lab/lib/scenario.sh"

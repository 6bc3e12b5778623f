# A machine as it is after its installation, with nothing but Rust: the README's first command to its end.
# The root directory is really changed (pivot_root), as a user in a mere chroot gets no namespaces.

network=yes
clone=/srv/vgapt

finish() {
  useradd --create-home --shell /bin/bash dev
}

# What the tests of one system share: a plain clone with fixed times, Rust's downloads, and what was compiled by
# each user: cargo compiles all anew where its home is another one.
ready() { # USER
  local home=/root shared=$work/bare-$release name
  local target=$shared/target-$1
  [ "$1" = root ] || home=/home/$1
  if [ ! -e "$shared/clone" ]; then
    mkdir -p "$shared/cargo/bin"
    git clone -q "$checkout" "$shared/clone"
    cp -a "${CARGO_HOME:-$HOME/.cargo}/registry" "$shared/cargo/"
    for name in cargo rustc rustdoc; do ln -s "/opt/rust/bin/$name" "$shared/cargo/bin/$name"; done
  fi
  mkdir -p "$target" "$root$clone" "$root$home/.cargo" "$root/opt/rust"
  cp -a "$shared/clone/." "$root$clone"
  mkdir -p "$root$clone/target"
  mount --bind "$(rustc --print sysroot)" "$root/opt/rust"
  mount --bind "$target" "$root$clone/target"
  mount --bind "$shared/cargo" "$root$home/.cargo"
  # What the tests before unpacked or noted down belongs to their system.
  rm -rf "$root$clone"/target/setup-*
  chown -R --no-dereference "$(inside id -u "$1"):$(inside id -g "$1")" "$root$clone" "$target" "$shared/cargo"
  cat /etc/resolv.conf >"$root/etc/resolv.conf"
}

# Runs a command in the clone as a user, with the root as the real one.
as() { # USER COMMAND…
  local home=/root
  [ "$1" = root ] || home=/home/$1
  # shellcheck disable=SC2016 # for the inner shell
  unshare --mount bash -c '
    set -euo pipefail
    cd "$1"
    pivot_root . mnt
    umount -l /mnt
    cd "$2"
    exec /usr/bin/env -i HOME="$3" USER="$4" LANG=C.UTF-8 PATH="$3/.cargo/bin:/usr/local/bin:/usr/bin:/bin:$5" \
      setpriv --reuid "$4" --regid "$4" --init-groups "${@:6}"' \
    - "$root" "$clone" "$home" "$1" "$([ "$1" != root ] || echo /usr/sbin:/sbin)" "${@:2}" </dev/null
}

# The README's first command.
try() { # USER
  local said status=0
  ready "$1"
  said=$(as "$1" tests/try 2>&1) || status=$?
  echo "$said"
  same 'exit status of tests/try' 0 $status
  says "$said" '^setup: '
  never_says "$said" '^setup: line '
  says "$said" '^vgapt: .*defined|^<domain '
  same 'the last line' '</domain>' "$(tail -n 1 <<<"$said")"
}

sudo_for_all() { echo 'dev ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/dev"; }
no_sudo() { rm "$root/usr/bin/sudo"; }

plain_root() { try root; }
plain_sudo() { sudo_for_all; try dev; }
plain_user() { no_sudo; try dev; }

# Sources in deb822 form only, as newer installers write them.
deb822() {
  local form=$root/etc/apt/sources.list.d/debian.sources
  awk '/^deb / { printf "Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n", $2, $3 }' \
    "$root/etc/apt/sources.list" >"$form"
  [ -s "$form" ] || wrong 'the sources of this root are not in one-line form'
  rm "$root/etc/apt/sources.list"
}

deb822_root() { deb822; try root; }
deb822_sudo() { deb822; sudo_for_all; try dev; }
deb822_user() { deb822; no_sudo; try dev; }

# A package from the backports, of which the sources know nothing any more.
backport() {
  local extra=/etc/apt/sources.list.d/backports.list
  cat /etc/resolv.conf >"$root/etc/resolv.conf"
  sed -n "s/^\(deb .*\) $release main.*/\1 $release-backports main/p" "$root/etc/apt/sources.list" >"$root$extra"
  [ -s "$root$extra" ] || wrong 'the sources of this root name no mirror'
  inside apt-get -qq update
  inside apt-get -qq -y --no-install-recommends -t "$release-backports" install qemu-utils
  rm -r "$root$extra" "$root"/var/lib/apt/lists/*
  deb822
}

backport_root() { backport; try root; }
backport_sudo() { backport; sudo_for_all; try dev; }
backport_user() { backport; no_sudo; try dev; }

# What the second command installs, on the machine where apt can refuse it.
backport_tests() {
  local said status=0
  backport
  ready root
  # shellcheck disable=SC2016 # for the inner shell
  said=$(as root bash -c 'set -euo pipefail; . tests/setup tests; virsh --version; libvirtd --version' tests/run 2>&1) || status=$?
  echo "$said"
  same 'exit status of tests/setup tests' 0 $status
  says "$said" '^libvirtd '
}

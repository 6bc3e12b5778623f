# The roots: each is one ext4 image, made once and kept in a cache by what it is made of.

die() {
  echo "roots: $*" >&2
  exit 2
}

# The image of a root, whether it is there or not.
image_of() { # NAME
  echo "$cache/$1-$(cat "$roots/$1" "$roots"/lib/{build.sh,enter.sh} | sha256sum | cut -c1-12).img"
}

# Makes it where it is not there yet.
find_image() { # NAME
  local image lock
  image=$(image_of "$1")
  exec {lock}>"$cache/lock"
  flock "$lock"
  if [ ! -e "$image" ]; then
    rm -rf "$cache/$1"-*
    echo "building $1"
    unshare --mount --pid --fork --kill-child bash -c '
      set -euo pipefail
      . "$roots/lib/build.sh"
      . "$roots/lib/enter.sh"
      build "$@"' - "$1" "$image.new" "$(mktemp -d "$work/build.XXXX")"
    mv "$image.new" "$image"
  fi
  touch "$image"
  find "$cache" -mindepth 1 -maxdepth 1 -name '*.img*' -mtime +14 -delete
  exec {lock}>&-
}

build() { # NAME IMAGE PLACE
  local include place=$3 root=$3/tree
  . "$roots/$1"
  include=$(printf '%s,' "${packages[@]}" kmod udev systemd-sysv busybox-static e2fsprogs)
  # Compressed in a hurry: what is in an image counts, not how small it is.
  # shellcheck disable=SC2016 # mmdebstrap's own variable
  mmdebstrap --quiet --variant=minbase --include="${include%,}" \
    --dpkgopt=force-unsafe-io --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/etc/dracut.conf.d" "$1/etc/kernel"
      echo COMPRESSLEVEL=1 >"$1/etc/initramfs-tools/conf.d/quick"
      echo "compress=\"zstd -1\"" >"$1/etc/dracut.conf.d/quick.conf"
      echo 0123456789abcdef0123456789abcdef >"$1/etc/machine-id"
      '"${before-}" \
    "$release" "$root" "$("$roots/../lab/image/mirror")"
  rm -rf "$root"/var/{cache/apt,lib/apt/lists}/*
  echo root >"$root/etc/hostname"
  echo 'UUID=00000000-0000-4000-8000-000000000001 / ext4 defaults 0 1' >"$root/etc/fstab"
  truncate -s 5G "$2"
  sfdisk --quiet "$2" <<<$'label: gpt\nstart=1MiB, size=4090MiB, type=linux\nstart=4091MiB, size=512MiB, type=uefi'
  mkfs.ext4 -q -F -U 00000000-0000-4000-8000-000000000001 -d "$root" -E offset=$((1 << 20)) "$2" 4090M
  mkfs.ext4 -q -F -E offset=$((4091 << 20)) "$2" 512M
  rm -rf "$root"
  enter "$2" "$place"
  inside bash -euc "$(declare -f finish); finish"
  umount -R "$place/root"
}

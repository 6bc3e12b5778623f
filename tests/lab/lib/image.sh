# The images that machines boot from, made once and kept in a cache by what they are made of.

# Prints the directory of the image with that initramfs tool, and that folder of image/extras; makes it where it is not there yet.
find_image() { # initramfs-tools|dracut [EXTRA]
  local cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vgapt-lab hash image lock
  hash=$(cd "$lab" && find image guest -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)
  image=$cache/$hash-$1${2:+-$2}
  if [ ! -e "$image/disk.img" ]; then
    mkdir -p "$cache"
    exec {lock}>"$cache/lock"
    flock "$lock"
    [ -e "$image/disk.img" ] || make_image "$@"
    exec {lock}>&-
  fi
  touch "$image"
  echo "$image"
}

make_image() { # for find_image, with the cache locked
  echo "     building the image with $* (about two minutes)" >&2
  rm -rf "$cache"/*.new
  # In a mount namespace of its own: nothing stays mounted where it is interrupted.
  unshare --mount "$lab/image/build" "$image.new" "$@" >"$kept/image.log" 2>&1 || die "the image could not be built, see $kept/image.log"
  mv "$image.new" "$image"
  find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +14 -exec rm -rf {} +
}

# Prints the image's disk with a boot loader on it, for machines that say so: an overlay, made by
# booting once with a kernel and installing it inside, as the outer machine may lack vfat.
boot_disk() { # grub|systemd-boot
  local disk=$image/$1.qcow2 place
  [ -e "$disk" ] || {
    place=$(mktemp -d "$rooms/XXXX")
    (
      new_rooms "$place"
      installing=$initramfs installing_extra=$extra power_on installer
      inside install_boot_loader "$1"
      power_off
      mv "$power/root.qcow2" "$disk"
    ) >&2 || cp -r "$place"/power/{serial,qemu,failure} "$place/share/jobs" "$kept" || true
    rm -rf "$place"
  }
  echo "$disk"
}

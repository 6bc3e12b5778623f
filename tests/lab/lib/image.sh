# The images that machines boot from, made once and kept in a cache by what they are made of.

find_image() { # sets $image, making it where it is not there yet
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/vgapt-lab hash
  hash=$(cd "$lab" && find image guest -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)
  image=$cache/$hash
  mkdir -p "$cache"
  exec {lock}>"$cache/lock"
  flock "$lock"
  if [ ! -e "$image/disk.img" ]; then
    echo "     building the image (about two minutes)"
    rm -rf "$cache"/*.new
    "$lab/image/build" "$image.new" >"$kept/image.log" 2>&1 || die "the image could not be built, see $kept/image.log"
    rm -rf "$image"
    mv "$image.new" "$image"
  fi
  exec {lock}>&-
  touch "$image"
  find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +14 -exec rm -rf {} +
}

# The image's disk with GRUB on it, for machines that say `boot grub`: an overlay, made by
# booting once with a kernel and installing GRUB inside, as the outer machine may lack vfat.
grub_disk() {
  local disk=$image/grub.qcow2 place
  [ -e "$disk" ] || {
    place=$(mktemp -d "$rooms/XXXX")
    (
      new_rooms "$place"
      power_on installer
      inside install_grub
      power_off
      mv "$power/root.qcow2" "$disk"
    ) >&2 || cp -r "$place"/power/{serial,qemu,failure} "$place/share/jobs" "$kept" || true
    rm -rf "$place"
  }
  echo "$disk"
}

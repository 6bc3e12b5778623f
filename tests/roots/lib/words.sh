# What the tests say.

# --- claims: each says what was wanted and what was there, and ends the test ---

wrong() {
  echo "WRONG: $*"
  exit 1
}

same() { # WHAT WANTED FOUND
  [ "$2" = "$3" ] || wrong "$1: wanted '$2', found '$3'"
}

says() { # TEXT PATTERN: a line of the text matches the extended regular expression
  grep -Eq -- "$2" <<<"$1" || wrong "no line matches '$2' in:"$'\n'"$1"
}

never_says() { # TEXT PATTERN
  ! grep -E -- "$2" <<<"$1" || wrong "a line matches '$2'"
}

# Run a command in the root that must end with this exit status; what it printed is in $said.
exits() { # STATUS COMMAND…
  local wanted=$1 status=0 start=$EPOCHREALTIME
  shift
  echo "$ $*"
  said=$(inside "$@" 2>&1) || status=$?
  echo "$said"
  awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "(%.1f s)\n", b - a }'
  same "exit status of $*" "$wanted" "$status"
}

# --- the whole root, file by file: kind, mode, owner, and the digest or where a link leads ---

manifest() { # FILE
  local places=(.)
  ! mountpoint -q "$root/boot/efi" || places+=(./boot/efi)
  (
    cd "$root" || exit
    find "${places[@]}" -xdev -path ./var/tmp -prune -o -printf '%y %#m %U %G %p -> %l\n' | sort
    find "${places[@]}" -xdev -path ./var/tmp -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
  ) >"$place/$1"
}

remember() { manifest before; }

# Every file is what it was; beside those whose path matches.
as_before() { # [PATTERN]
  manifest now
  diff <(grep -Ev -- "${1:-^$}" "$place/before") <(grep -Ev -- "${1:-^$}" "$place/now") ||
    wrong "the root is not as it was before"
  [ ! -e "$root/var/lib/vgapt" ] || wrong "/var/lib/vgapt is still there"
}

# --- the boot images ---

# What is in an image, by the tool that vgapt does not use to prove it.
unpacked() { # IMAGE (as seen in the root): prints the directory
  local directory=$root/tmp/unpacked
  rm -rf "$directory"
  unpack_image "$1" /tmp/unpacked >&2
  # The early part holds microcode, the main one the rest.
  [ ! -d "$directory/main" ] || directory=$directory/main
  echo "$directory"
}

# What is made of the images is made of these; for roots where something is.
follow() { :; }

# Every image has vfio-pci and these files, as the lister and the unpacker say.
images_have() { # FILE…
  local image directory file listing
  for image in $(images); do
    listing=$(inside "$lister" "$image")
    directory=$(unpacked "$image")
    says "$listing" '/vfio-pci\.ko'
    same "vfio-pci in $image" 1 "$(find "$directory" -name 'vfio-pci.ko*' | wc -l)"
    loads_vfio "$directory"
    for file; do
      says "$listing" "(^| )$file$"
      cmp "$root/$file" "$directory/$file" || wrong "$file differs in $image"
      same "mode of $file in $image" "$(stat -c %a "$root/$file")" "$(stat -c %a "$directory/$file")"
    done
    echo "looked into $image: $(find "$directory" | wc -l) files"
  done
  follow
}

# No image has anything of vgapt's.
images_are_free() {
  local image directory
  for image in $(images); do
    directory=$(unpacked "$image")
    never_says "$(cd "$directory" && { find .; grep -rl vgapt .; } || true)" 'vgapt|vfio'
    ! (loads_vfio "$directory") >/dev/null || wrong "$image still loads vfio-pci"
  done
  follow
}

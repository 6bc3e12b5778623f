# A root that is entered: a loop device with its file system, and around it a recorded machine's
# /sys, /proc/cmdline and /proc/cpuinfo. To be called in a mount namespace of its own.

esp=no

# Mounts an image at PLACE/root, and the EFI system partition of a root that says esp=yes.
enter() { # IMAGE PLACE
  local real=$2/sysfs part disk
  root=$2/root sys=$2/sys proc=$2/proc
  mount --make-rprivate /
  mkdir -p "$root" "$real" "$sys" "$proc"
  # A partition, as grub-mkconfig takes a whole loop device for something else.
  disk=$(losetup --find --show --partscan "$1")
  trap 'losetup -d "$disk"' EXIT # at once, or as soon as it is not mounted any more
  partx --update "$disk" # for a kernel that reads no partition tables by itself
  new_devices "$2/dev" "${disk#/dev/}" "${disk#/dev/}p1" "${disk#/dev/}p2"
  mount --bind "$2/dev" /dev # as seen from the inside: grub-probe looks for the name that was mounted
  mount "${disk}p1" "$root"
  # Not vfat, which the outer kernel may lack; systemd's tools are told to take it all the same.
  [ "$esp" != yes ] || mount "${disk}p2" "$root/boot/efi"
  losetup -d "$disk"
  trap - EXIT
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/tmp"
  mount -t tmpfs tmpfs "$root/run"
  # Tools that ask what / lies on look here; its disk is the only real device.
  mount -t sysfs sysfs "$real"
  for part in block dev class/block devices/virtual/block fs; do
    mkdir -p "$sys/$part"
    mount --bind "$real/$part" "$sys/$part"
  done
  mount --rbind "$sys" "$root/sys"
}

# A /dev with nothing in it but the usual and these disks: no test reaches those of the outer machine.
new_devices() { # DIRECTORY DISK…
  local name numbers
  mkdir -p "$1"
  mount -t tmpfs -o mode=755 tmpfs "$1"
  for name in null zero full random urandom tty; do
    # shellcheck disable=SC2046 # two numbers
    mknod -m 666 "$1/$name" c $(stat -c '0x%t 0x%T' "/dev/$name")
  done
  for name in "${@:2}"; do
    numbers=$(<"/sys/class/block/$name/dev")
    mknod -m 600 "$1/$name" b "${numbers%:*}" "${numbers#*:}"
  done
  mkdir "$1"/{pts,shm}
  ln -s /proc/self/fd "$1/fd"
  ln -s /proc/self/fd/0 "$1/stdin"
  ln -s /proc/self/fd/1 "$1/stdout"
  ln -s /proc/self/fd/2 "$1/stderr"
}

# Gives it the devices, the processor and the running kernel's command line of a recorded machine.
machine() { # NAME of fixtures/hosts
  local file
  unpack "$roots/../../fixtures/hosts/$1.host" /sys/ "$place"
  unpack "$roots/../../fixtures/hosts/$1.host" /proc/ "$place"
  ! declare -F booted >/dev/null || booted
  kernels | head -n 1 >"$proc/sys/kernel/osrelease"
  for file in cmdline cpuinfo meminfo sys/kernel/osrelease; do
    mount --bind "$proc/$file" "$root/proc/$file"
  done
}

# The kernels that are installed.
kernels() { ls "$root/lib/modules"; }

# What a loader or stub calls itself in its EFI variable.
booted_by() { # LoaderInfo|StubInfo TEXT
  local variables=$sys/firmware/efi/efivars
  mkdir -p "$variables"
  { printf '\6\0\0\0'; iconv -t UTF-16LE <<<"$2" | head -c -2; printf '\0\0'; } \
    >"$variables/$1-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
}

# Runs a command in it.
inside() { # COMMAND…
  chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C SYSTEMD_RELAX_ESP_CHECKS=1 "$@"
}

# Makes the files that a capture has below a path; the format is that of src/root/capture/mod.rs.
unpack() { # CAPTURE PATH DIRECTORY
  local line directory='' name rest file=/dev/null
  while IFS= read -r line; do
    case $line in
    '|' | '| '*) printf '%s\n' "${line:2}" >>"$file" ;;
    '\ '*) printf %s "${line:2}" >>"$file" ;;
    '['*)
      directory=${line#[} directory=${directory%%]*}
      case $directory/ in "$2"*) mkdir -p "$3$directory" ;; *) directory='' ;; esac
      ;;
    *' '*)
      file=/dev/null name=${line%% *} rest=${line#* }
      [ -n "$directory" ] || continue
      case $rest in [0-7][0-7][0-7]' '* | [0-7][0-7][0-7][0-7]' '*) rest=${rest#* } ;; esac
      file=$3$directory/$name
      case $rest in
      '|') : >"$file" ;;
      '= '*) printf '%s\n' "${rest:2}" >"$file" ;;
      '% '*) printf "$(sed 's/../\\x&/g' <<<"${rest:2}")" >"$file" ;;
      '? '*) truncate -s "${rest:2}" "$file" ;;
      '-> '*) ln -s "${rest:3}" "$file" ;;
      esac
      ;;
    esac
  done <"$1"
}

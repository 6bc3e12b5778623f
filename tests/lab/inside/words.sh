# What scenarios say inside the machine. Sourced with the scenario before each job.

. /lab/inside/host.sh

# The head of a scenario is for the runner.
machine() { :; }
seconds() { :; }
ci() { :; }

# --- claims: each says what was wanted and what was there, and ends the job ---

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

# Run a command that must end with this exit status; what it printed is in $said.
exits() { # STATUS COMMAND…
  local wanted=$1 status=0
  shift
  said=$("$@" 2>&1) || status=$?
  echo "$said"
  same "exit status of $*" "$wanted" "$status"
}

# Try until it works, for so many seconds.
within() { # SECONDS COMMAND…
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt "$end" ] || wrong "not in time: $*"
    sleep 0.5
  done
}

# --- the host ---

driver() { # ADDRESS, such as 01:00.0: the driver it is bound to, or none
  local link=/sys/bus/pci/devices/0000:$1/driver
  [ -e "$link" ] && basename "$(readlink "$link")" || echo none
}

drivers() { # of every device, one a line
  local device
  for device in /sys/bus/pci/devices/*; do
    device=${device##*/}
    echo "${device#0000:} $(driver "${device#0000:}")"
  done
}

at_home() { # ADDRESS…: each has the driver that it had after the boot
  local address
  for address; do grep -qx "$address $(driver "$address")" /run/drivers-at-boot || return; done
}

group() { basename "$(readlink "/sys/bus/pci/devices/0000:$1/iommu_group")"; }

huge_pages() { # COUNT: reserve them
  echo 1 >/proc/sys/vm/compact_memory
  echo "$1" >/proc/sys/vm/nr_hugepages
  same "huge pages reserved" "$1" "$(</proc/sys/vm/nr_hugepages)"
}

free_huge_pages() { awk '/HugePages_Free/ { print $2 }' /proc/meminfo; }

# Run a command with the disk of a moment mounted at /moment, for `each_moment` of lib/power.sh.
at_the_moment() { # NAME COMMAND…
  local disk
  within 60 compgen -G "/dev/disk/by-id/*_$1-part2"
  disk=$(compgen -G "/dev/disk/by-id/*_$1-part2")
  mkdir -p /moment
  mount "$disk" /moment
  mount -o umask=0077 "${disk%2}1" /moment/boot/efi 2>/dev/null || true # where there is one
  "${@:2}"
  umount --recursive --lazy /moment # what was bound into it is in use elsewhere
}

# --- domains ---

# A disk for a guest; the guest writes on it only when it begins so.
new_disk() { # PATH
  truncate -s 16M "$1.raw"
  printf lab-scratch | dd of="$1.raw" conv=notrunc status=none
  qemu-img convert -f raw -O qcow2 "$1.raw" "$1"
  rm "$1.raw"
}

# Makes a domain, as vgapt defined it, boot the tiny guest with a kernel: OVMF does not run under
# the emulated KVM.
boot_tiny_guest() { # NAME
  virsh dumpxml "$1" --inactive | sed -e "s/<os firmware='efi'>/<os>/" -e '/<firmware>/,/<\/firmware>/d' \
    -e '/<loader /d' -e '/<nvram /d' -e "/<boot dev=/d" -e "s|</os>|    <kernel>/usr/share/lab/guest.kernel</kernel>\\
    <initrd>/usr/share/lab/guest.initrd</initrd><cmdline>quiet</cmdline>\\
  </os>|" -e '/<devices>/r /lab/inside/channel.xml' >"$1.xml"
  virsh define "$1.xml"
}

qemu_pid() { cat "/run/libvirt/qemu/$1.pid"; }
qemu_argv() { tr '\0' '\n' <"/proc/$(qemu_pid "$1")/cmdline"; }

# What the guest of domain NAME says from inside, waited for. Under the emulated KVM a guest
# now and then gets stuck while it boots: then it is reset, twice, by the command $by.
guest_report() { # NAME [SECONDS]
  local wait
  for wait in "${2:-120}" 200 300; do
    (within "$wait" grep -q ^end /var/lib/libvirt/lab-report) && cat /var/lib/libvirt/lab-report && return
    echo "no whole report from $1 in $wait s, but '$(tail -n 1 /var/lib/libvirt/lab-report)': it is reset" >&2
    ${by:-virsh reset} "$1" >&2
  done
  wrong "no report from the guest $1"
}

vgapt_json() { vgapt list --json | jq -r "$1"; }

# --- between scenarios ---

halt() { (sleep 0.5 && systemctl poweroff) & }

# As after the boot: no domain, no huge pages, each device with the driver it had then.
tidy() {
  local name device now
  for name in $(virsh list --name); do virsh destroy "$name"; done
  for name in $(virsh list --all --name); do virsh undefine --nvram "$name"; done
  echo 0 >/proc/sys/vm/nr_hugepages
  rm -rf /root/* /var/lib/libvirt/images/* /var/lib/libvirt/lab-report
  same drivers "$(</run/drivers-at-boot)" "$(drivers)"
}

# On the image's disk, once: see lib/image.sh.
install_boot_loader() { # grub|systemd-boot
  mkdir -p /boot/efi
  echo 'LABEL=ESP /boot/efi vfat umask=0077 0 1' >>/etc/fstab
  mount /dev/vda1 /boot/efi
  if [ "$1" = grub ]; then
    grub-install --target=x86_64-efi --removable --no-nvram
    update-grub
  else
    apt-get -y purge 'grub*'
    rm -rf /boot/grub /etc/default/grub*
    echo 'root=LABEL=lab rw console=ttyS0 quiet systemd.show_status=0' >/etc/kernel/cmdline
    dpkg -i /usr/share/lab/systemd-boot/*.deb # installs itself on the ESP, with the kernel
    bootctl list
  fi
}

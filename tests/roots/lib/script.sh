# The script that binds by address, in a made-up /sys: what the kernel would do is done by the
# modprobe of this file, at the moment in which vfio-pci would be loaded.

# In every shell that an initramfs or a system may have as its sh.
script() {
  local shell
  mkdir -p "$root/etc/vgapt" "$root/run/sys" "$place/none"
  mkfifo "$root/dev/kmsg"
  exec 9<>"$root/dev/kmsg"
  install -m 755 "$roots/../../src/host/decide/bind.sh" "$root/etc/vgapt/bind"
  printf '%s\n' '#bound 0000:01:00.0 10de:1401 1458:36ac A card' '#bound 0000:01:00.1 10de:0fba 1458:36ac Its sound' \
    'install vfio-pci /etc/vgapt/bind vfio-pci $CMDLINE_OPTS' >"$root/etc/modprobe.d/vgapt.conf"
  rm "$root/usr/sbin/modprobe"
  declare -f kernel | sed '1i #!/bin/bash' >"$root/usr/sbin/modprobe"
  echo 'kernel "$@"' >>"$root/usr/sbin/modprobe"
  chmod 755 "$root/usr/sbin/modprobe"
  umount -R "$root/sys"
  mount --bind "$root/run/sys" "$root/sys"
  touch "$place/cmdline"
  mount --bind "$place/cmdline" "$root/proc/cmdline"
  for shell in '/bin/dash' '/bin/bash --posix' '/bin/busybox sh' /usr/lib/klibc/bin/sh.shared; do
    [ -e "$root/${shell%% *}" ] || continue # Debian 13 has no klibc any more
    echo "--- $shell"
    each_case
  done
}

each_case() {
  usual
  bind vfio-pci disable_vga=1
  drivers_are vfio-pci vfio-pci
  says "$loaded" '^--ignore-install vfio-pci disable_vga=1$'
  same log '' "$log"

  local file
  for file in vendor device subsystem_vendor subsystem_device; do
    usual
    echo 0x1234 >"$devices/0000:01:00.0/$file"
    bind vfio-pci
    drivers_are none vfio-pci
    same 'lines in the log' 1 "$(wc -l <<<"$log")"
    says "$log" '^vgapt: 0000:01:00.0 is not 10de:1401 .*vgapt check'
  done

  usual
  rm -r "$devices/0000:01:00.1" # another card was taken out, and the addresses moved
  bind vfio-pci
  drivers_are vfio-pci
  says "$log" '^vgapt: 0000:01:00.1 is not'

  local switch
  for switch in module_blacklist=vfio_pci module_blacklist=x,vfio-pci,y initcall_blacklist=vfio_pci_init; do
    usual
    echo "quiet $switch * ro" >"$place/cmdline"
    bind vfio-pci
    drivers_are none none
    same 'what was loaded' '--ignore-install vfio-pci' "$loaded"
  done
  for switch in module_blacklist=vfio_pci_core,xvfio_pci xmodule_blacklist=vfio_pci vfio_pci; do
    usual
    echo "quiet $switch" >"$place/cmdline"
    bind vfio-pci
    drivers_are vfio-pci vfio-pci
  done

  # A driver has it: only in an initramfs can nothing be using it.
  usual
  driver_of 0000:01:00.0 simple
  bind vfio-pci
  drivers_are simple vfio-pci
  for mark in etc/initrd-release conf/initramfs.conf hooks config; do
    usual
    driver_of 0000:01:00.0 simple
    mkdir -p "$(dirname "$root/$mark")"
    touch "$root/$mark"
    bind vfio-pci
    rm "$root/$mark"
    drivers_are vfio-pci vfio-pci
  done

  # The module cannot be loaded: modprobe's own word counts, and the usual driver may have it.
  usual
  echo 7 >"$sys/status"
  wanted=7 bind vfio-pci
  drivers_are none none
  same 'lines in the log' 2 "$(wc -l <<<"$log")"
  says "$log" '0000:01:00.1 could not be bound'
  same override '' "$(cat "$devices/0000:01:00.0/driver_override")"

  # vfio-pci is built in: the script stands before another driver, and the kernel asks vfio-pci at once.
  usual
  touch "$sys/built-in"
  bind nouveau
  drivers_are vfio-pci vfio-pci
  same 'what was loaded' '--ignore-install nouveau' "$loaded"
}

# The card and its sound, as they were when vgapt wrote down what they are; no driver has them.
usual() {
  sys=$root/run/sys devices=$root/run/sys/bus/pci/devices
  rm -rf "${sys:?}"/*
  mkdir -p "$devices/0000:01:00."{0,1} "$sys/bus/pci/drivers/"{vfio-pci,simple}
  touch "$devices/0000:01:00."{0,1}/driver_override "$sys/bus/pci/drivers_probe"
  echo 0x10de | tee "$devices/0000:01:00."{0,1}/vendor >/dev/null
  echo 0x1401 >"$devices/0000:01:00.0/device"
  echo 0x0fba >"$devices/0000:01:00.1/device"
  echo 0x1458 | tee "$devices/0000:01:00."{0,1}/subsystem_vendor >/dev/null
  echo 0x36ac | tee "$devices/0000:01:00."{0,1}/subsystem_device >/dev/null
  echo quiet >"$place/cmdline"
}

driver_of() { # ADDRESS DRIVER
  ln -s "../../drivers/$2" "$devices/$1/driver"
}

# Runs the script in the present shell; what it logged is in $log, what was loaded in $loaded.
bind() { # ARGUMENTS of the script
  local line
  # shellcheck disable=SC2086 # a shell and its arguments
  exits "${wanted:-0}" $shell /etc/vgapt/bind "$@"
  same 'what it printed' '' "$said"
  log=
  while read -r -t 0.05 -u 9 line; do log+=${log:+$'\n'}$line; done
  loaded=$(cat "$sys/loaded")
}

drivers_are() { # DRIVER…: of each device, in their order
  local device found=()
  for device in "$devices"/*; do
    found+=("$(basename "$(readlink "$device/driver" || echo none)")")
  done
  same drivers "$*" "${found[*]}"
}

# The modprobe of this root: takes devices from their drivers and gives them to vfio-pci as the kernel would.
kernel() {
  local device driver status=0
  cd /sys/bus/pci || return
  echo "$*" >>/sys/loaded
  for driver in drivers/*; do
    [ ! -e "$driver/unbind" ] || rm "devices/$(cat "$driver/unbind")/driver" "$driver/unbind"
  done
  [ ! -e /sys/status ] || return "$(cat /sys/status)"
  for device in devices/*; do
    [ "$(cat "$device/driver_override")" != vfio-pci ] || [ -e "$device/driver" ] || ln -s ../../drivers/vfio-pci "$device/driver"
  done
}

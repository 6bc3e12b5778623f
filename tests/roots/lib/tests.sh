# The tests. Each has a new copy of its root. What differs between roots is in their files: `images`,
# `unpack_image`, `lister`, `loads_vfio`, `entries`, `regenerate`.

# An unambiguous card on a machine that needs a kernel parameter.
by_ids() { # [MACHINE ADDRESS]
  local gpu=${2-01:00.0}
  machine "${1-z170-gtx960}"
  remember
  exits 0 vgapt prepare --gpu "$gpu" --allow only-display --yes
  says "$said" 'is prepared; reboot'
  images_have etc/modprobe.d/vgapt.conf
  every_entry_says intel_iommu=on

  manifest prepared
  exits 0 vgapt prepare --gpu "$gpu" --allow only-display --yes
  says "$said" 'already up to date'
  manifest now
  diff "$place/prepared" "$place/now" || wrong "the second run changed something"

  exits 0 vgapt undo --yes
  as_before
  exits 0 vgapt undo --yes
  says "$said" 'nothing to undo'
}

# One of two identical cards, so it is bound by address; and then a kernel's image is made anew by
# somebody else, so that giving back the copies does not do.
by_address() {
  local kernel
  machine ryzen1-two-rx580
  remember
  exits 0 vgapt prepare --gpu 27:00.0 --yes
  images_have etc/modprobe.d/vgapt.conf etc/vgapt/bind
  exits 0 vgapt prepare --gpu 27:00.0 --yes
  says "$said" 'already up to date'

  kernel=$(kernels | tail -n 1)
  sleep 1 # the images hold times in seconds, and are to differ
  exits 0 "${regenerate[@]/KERNEL/$kernel}"
  images_have etc/modprobe.d/vgapt.conf etc/vgapt/bind
  exits 0 vgapt undo --yes
  images_are_free
  as_before "$made_anew"
}

# The one and then the other, and both taken back at once.
twice() {
  machine ryzen1-two-rx580
  remember
  exits 0 vgapt prepare --gpu 27:00.0 --yes
  exits 0 vgapt prepare --gpu 26:00.0 --yes --allow only-display
  says "$(cat "$root/etc/modprobe.d/vgapt.conf")" '^options vfio-pci ids=1002:67df,1002:aaf0'
  [ ! -e "$root/etc/vgapt/bind" ] || wrong "the script is still there, and nothing needs it"
  images_have etc/modprobe.d/vgapt.conf
  exits 0 vgapt undo --yes
  as_before
}

# The last command fails after the images were made: all is taken back, and told.
command_fails() {
  machine z170-gtx960
  printf '#!/bin/sh\necho "this is broken" >&2\nexit 1\n' >"$root/$broken_hook"
  chmod 755 "$root/$broken_hook"
  remember
  exits 3 vgapt prepare --gpu 01:00.0 --yes
  says "$said" 'this is broken'
  says "$said" 'rolled back'
  as_before
}

# The tool ends well, and one image lacks vfio-pci: it is not believed.
no_module() {
  local kernel
  machine ryzen1-two-rx580
  kernel=$(kernels | tail -n 1)
  rm "$root/lib/modules/$kernel/kernel/drivers/vfio/pci"/vfio-pci.ko*
  # The list of modules still has it.
  lacks_module "$kernel"
  inside depmod "$kernel"
  if [ "$(kernels | wc -l)" -gt 1 ]; then
    lacks_module "$kernel"
    return
  fi
  remember
  exits 1 vgapt prepare --gpu 27:00.0 --yes
  says "$said" "is not part of the kernel ${kernel//+/.}"
  as_before
}

lacks_module() { # KERNEL
  remember
  exits 3 vgapt prepare --gpu 27:00.0 --yes
  # kernel-install makes the list of modules anew.
  says "$said" "${1//+/.}.*does not contain vfio-pci|is not part of the kernel ${1//+/.}"
  says "$said" 'rolled back'
  as_before '/lib/modules/[^/]*/modules[.]'
}

# The power goes while images are being made.
killed() {
  local seconds
  machine ryzen1-two-rx580
  remember
  for seconds in 0.3 4 9; do killed_after "$seconds"; done
}

killed_after() { # SECONDS after the first command began
  local pid
  setsid chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin vgapt prepare --gpu 27:00.0 --yes &
  pid=$!
  until grep -q '"begun": true' "$root"/var/lib/vgapt/*/receipt.json 2>/dev/null; do
    kill -0 "$pid" || wrong "it ended before the first command"
    sleep 0.1
  done
  sleep "$1"
  kill -9 -- "-$pid" || true
  wait "$pid" || true
  echo "when the power went:"
  (cd "$root" && find boot -newer "$place/before")
  exits 0 vgapt undo --yes
  as_before
}

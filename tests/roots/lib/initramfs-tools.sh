# Words for a root with initramfs-tools.

lister=lsinitramfs
regenerate=(update-initramfs -u -k KERNEL)
made_anew=/boot/initrd.img-

images() { inside find /boot -name 'initrd.img-*'; }
unpack_image() { inside unmkinitramfs "$1" "$2"; }

# initramfs-tools' init loads what this file names before it starts udev.
loads_vfio() { # DIRECTORY
  grep -qx 'vfio[-_]pci' "$1/conf/modules" || wrong "conf/modules does not name vfio-pci: $(cat "$1/conf/modules")"
}

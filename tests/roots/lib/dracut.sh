# Words for a root with dracut.

lister=lsinitrd
regenerate=(dracut --force --kver KERNEL)
made_anew='/boot/initr'

images() { inside find /boot -name 'initrd.img-*' -o -name 'initramfs-*'; }
unpack_image() { inside sh -c 'mkdir "$2" && cd "$2" && lsinitrd --unpack "$1"' - "$1" "$2"; }

# force_drivers become this parameter, which dracut loads before it starts udev.
loads_vfio() { # DIRECTORY
  grep -rqE 'rd\.driver\.pre=.*vfio[-_]pci' "$1/etc/cmdline.d" || wrong "no rd.driver.pre of vfio-pci in etc/cmdline.d"
}

# Words for a root with systemd-boot.

made_anew='/boot/initrd.img-|/boot/efi/.*/initrd|/var/lib/initramfs-tools/'

images() { inside find /boot -name 'initrd*' -type f; }
# But for the one that boots as before.
entries() { find "$root/boot/efi/loader/entries" -name '*.conf' ! -name 'Z-vgapt-*' -exec cat {} +; }

booted() {
  booted_by 'systemd-boot 257'
}

every_entry_says() { # WORD
  same "entries that lack $1" '' "$(entries | grep '^options' | grep -vw -- "$1" || true)"
  says "$(entries)" '^options'
}

# Words for a root with systemd-boot.

made_anew="$made_anew|/boot/efi/.*/initrd"

images() { inside find /boot -name 'initrd*' -type f; }
# But for the one that boots as before.
entries() { find "$root/boot/efi/loader/entries" -name '*.conf' ! -name 'Z-vgapt-*' -exec cat {} +; }

# Nobody wrote down what kernel-install is to give to kernels: it would take the running one's, and
# the IOMMU is off there.
no_cmdline() {
  rm "$root/etc/kernel/cmdline"
  by_ids z490-rx6900xt-iommu-off 03:00.0
}

booted() {
  booted_by LoaderInfo 'systemd-boot 257'
}

every_entry_says() { # WORD
  same "entries that lack $1" '' "$(entries | grep '^options' | grep -vw -- "$1" || true)"
  says "$(entries)" '^options'
}

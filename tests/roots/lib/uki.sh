# Words for a root with unified kernel images; to be sourced after those of initramfs-tools.

made_anew="$made_anew|/boot/efi/EFI/Linux/"

booted() {
  booted_by LoaderInfo 'systemd-boot 257'
  booted_by StubInfo 'systemd-stub 257'
}

# Each unified image has the initramfs of its kernel in it.
follow() {
  local kernel
  for kernel in $(kernels); do
    says "$(inspect "$kernel" .initrd)" "sha256: $(sha256sum <"$root/boot/initrd.img-$kernel" | cut -d ' ' -f 1)"
  done
}

every_entry_says() { # WORD
  local kernel
  for kernel in $(kernels); do says "$(inspect "$kernel" .cmdline)" " $1( |\$)"; done
}

inspect() { # KERNEL SECTION
  inside ukify inspect "/boot/efi/EFI/Linux/debian-$1.efi" | awk -v section="$2:" '/^[^ ]/ { on = $1 == section } on'
}

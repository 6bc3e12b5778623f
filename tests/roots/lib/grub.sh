# Words for a root with GRUB.

broken_hook=etc/grub.d/99_broken

# What will be booted, one line an entry.
entries() { grep -E '^[[:space:]]*linux[[:space:]]' "$root/boot/grub/grub.cfg"; }

# Two kernels, each with its recovery entry, and the newest once more at the top.
every_entry_says() { # WORD
  same "entries that lack $1" '' "$(entries | grep -vw -- "$1" || true)"
  same "number of entries" $((2 * $(kernels | wc -l) + 1)) "$(entries | wc -l)"
}

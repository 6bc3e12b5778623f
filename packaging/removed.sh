# Every package's last word when it is removed, in sh. The receipts are the host's own files, so no package takes
# them away; and none undoes what an administrator had vgapt do: that would remake the boot images.
for receipt in /var/lib/vgapt/[0-9]*/receipt.json; do
  [ -e "$receipt" ] || continue
  echo "vgapt: this host is still prepared: what 'vgapt prepare' changed stays, such as a card that is bound to" >&2
  echo "  vfio-pci and libvirt's hook, which lets domains start without vgapt from now on" >&2
  echo "  remedy: to take it back, install vgapt again and run 'vgapt undo', then remove it" >&2
  break
done

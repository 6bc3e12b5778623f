# The words of a machine file, turned into a QEMU command line. A machine file is sourced
# after `new_machine`; it sets these and appends to `hardware`.

new_machine() {
  processors=1 cpu=EPYC memory=4G iommu=intel boot=kernel initramfs=initramfs-tools extra='' parameters='' nodes=1
  hardware=() slots=0 own_disk=yes
}

processors() { processors=$1; }
cpu() { cpu=$1; }               # what QEMU's -cpu takes; EPYC,-hypervisor does not tell that it is emulated
memory() { memory=$1; }
nodes() { nodes=$1; }           # NUMA nodes; memory and processors are distributed evenly
iommu() { iommu=$1; }           # intel | virtio | amd | none
boot() { boot=$1; }             # kernel: given by QEMU | grub, systemd-boot: the disk's own, through OVMF
initramfs() { initramfs=$1; }   # initramfs-tools | dracut: what the image makes its own with
extra() { extra=$1; }           # a folder of image/extras: what its image has besides
parameters() { parameters+=" $*"; } # of the kernel; with a boot loader they are the disk's affair

# A disk that a device may name as drive=NAME; it lasts as long as the machine's own.
disk() {
  [ -e "$power/$1.disk" ] || truncate -s "$2" "$power/$1.disk"
  hardware+=(-drive "id=$1,if=none,format=raw,file=$power/$1.disk")
}

# A PCIe slot with one device: its functions, each `MODEL[,PROPERTY…]`. It is a group of its own.
slot() { root_port pcie.0 "addr=$((slots + 1))"; functions "slot$slots" "$@"; }

# A slot with the machine's own disk, instead of a virtio disk: `nvme,serial=own`.
root_slot() { own_disk=; slot "$1,drive=root,bootindex=0"; }

# A slot on NUMA node N, behind a host bridge of that node.
slot_on_node() {
  local bridge=node$1 node=$1
  shift
  [[ " ${hardware[*]} " = *"id=$bridge "* ]] ||
    hardware+=(-device "pxb-pcie,bus_nr=$((node * 128)),numa_node=$node,bus=pcie.0,id=$bridge")
  root_port "$bridge"
  functions "slot$slots" "$@"
}

# A slot with a conventional PCI bridge: all the devices behind it are one group.
bridge() {
  root_port pcie.0 "addr=$((slots + 1))"
  hardware+=(-device "pcie-pci-bridge,id=bridge$slots,bus=slot$slots")
  local device=0 model
  for model; do hardware+=(-device "$model,bus=bridge$slots,addr=$((device += 1))"); done
}

# A slot with a PCI Express switch: each device behind it is a group of its own.
switch() {
  root_port pcie.0 "addr=$((slots + 1))"
  hardware+=(-device "x3130-upstream,id=switch$slots,bus=slot$slots")
  local port=0 model
  for model; do
    hardware+=(-device "xio3130-downstream,id=port$slots.$((port += 1)),bus=switch$slots,chassis=$((slots + 100)),slot=$port"
      -device "$model,bus=port$slots.$port")
  done
}

# Plugged into a controller that has an id: usb usb-kbd → the controller `qemu-xhci,id=usb`.
usb() { hardware+=(-device "$1,bus=usb.0"); }

root_port() {
  slots=$((slots + 1))
  hardware+=(-device "pcie-root-port,id=slot$slots,slot=$slots,chassis=$slots,bus=$1${2:+,$2}")
}

functions() {
  local bus=$1 function=0 model
  shift
  local multi=
  [ $# -eq 1 ] || multi=,multifunction=on
  for model; do hardware+=(-device "$model,bus=$bus,addr=0.$((function++))$multi"); done
}

# The whole command line, one word a line, for the machine just described.
qemu_words() {
  printf "%s\n" qemu-system-x86_64 -nodefaults -display none -no-reboot \
    -accel tcg,thread=multi,tb-size=1024 -machine q35,kernel-irqchip=split \
    -cpu "$cpu" -smp "$processors" -m "$memory" \
    -serial "file:$power/serial" -chardev "pipe,id=monitor,path=$power/monitor" -mon chardev=monitor \
    -drive "id=root,if=none,file=$power/root.qcow2" ${own_disk:+-device virtio-blk-pci,drive=root,addr=1a} \
    -fsdev "local,id=share,path=$share,security_model=none" -device virtio-9p-pci,fsdev=share,mount_tag=lab,addr=1b \
    -device virtio-serial-pci,addr=1c -chardev "pipe,id=lab,path=$power/lab" -device virtserialport,chardev=lab,name=lab
  iommu_words
  node_words
  moment_words
  boot_words
  [ ${#hardware[@]} -eq 0 ] || printf '%s\n' "${hardware[@]}"
}

iommu_words() {
  case $iommu in
    intel) printf '%s\n' -device intel-iommu,intremap=on,caching-mode=on ;;
    virtio) printf '%s\n' -device virtio-iommu-pci,addr=1d ;;
    amd) printf '%s\n' -device amd-iommu ;;
  esac
}

node_words() {
  [ "$nodes" -gt 1 ] || return 0
  local node each=$((processors / nodes))
  for ((node = 0; node < nodes; node++)); do
    printf '%s\n' -object "memory-backend-ram,id=memory$node,size=$((${memory%G} * 1024 / nodes))M" \
      -numa "node,nodeid=$node,memdev=memory$node,cpus=$((node * each))-$((node * each + each - 1))"
  done
}

# Where disks of earlier moments are plugged in, see `moments` in power.sh.
moment_words() { [ ! -e "$power/moment.1" ] || printf '%s\n' -device virtio-scsi-pci,id=moments,addr=19; }

boot_words() {
  if [ "$boot" != kernel ]; then
    printf '%s\n' -drive "if=pflash,format=raw,readonly=on,file=$image/OVMF_CODE_4M.fd" \
      -drive "if=pflash,format=raw,file=$power/nvram"
  else
    printf '%s\n' -kernel "$image/vmlinuz" -initrd "$image/initrd" \
      -append "root=LABEL=lab rw console=ttyS0 quiet systemd.show_status=0$parameters"
  fi
}

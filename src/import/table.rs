//! What libvirt has for the options, devices and properties of QEMU, a line each. A new option of QEMU is a new line here; what
//! is no table is a function in the file of its subject.
//!
//! A place is where a value goes: elements and an attribute, `driver@queues`; without `@` it is an element's text. `@model=none` is
//! a fixed value, and `*` the name of the property. One column can hold several names or places, separated by spaces.

use crate::xml::Fragment;

use Convert::{Bytes, Drop, Mib, Number, Off, On, OnOff, Plus1, Same, Words, YesNo};

/// How a value of QEMU becomes one of libvirt.
pub(super) enum Convert {
    /// As it is.
    Same,
    /// These words by others, and any other as it is.
    Words(&'static [(&'static str, &'static str)]),
    OnOff,
    YesNo,
    /// A number, in decimal.
    Number,
    /// libvirt counts from 1.
    Plus1,
    /// An amount in libvirt's KiB, of one in bytes or in MiB.
    Bytes,
    Mib,
    /// The place is written only if the property is on, or off.
    On,
    Off,
    /// Nothing is written: libvirt has its own way, the place column says which.
    Drop,
}

/// Options that take no value.
pub(super) const WITHOUT_VALUE: &str = "enable-kvm no-kvm no-kvm-irqchip usb nodefaults no-user-config daemonize S no-acpi no-hpet nographic mem-prealloc snapshot \
     no-reboot no-shutdown full-screen localtime no-fd-bootchk win2k-hack alt-grab ctrl-grab no-quit no-frame sdl curses singlestep s \
     preconfig portrait nodefconfig old-param only-migratable no-kvm-pit no-kvm-pit-reinjection tdf rtc-td-hack show-cursor enable-fips";

/// Options that have properties, and the property whose name may be omitted when it comes first.
pub(super) const WITH_PROPERTIES: &[(&str, &str)] = &[
    ("machine netdev net nic tpmdev display numa", "type"),
    ("device blockdev audiodev audio", "driver"),
    ("cpu vga", "model"),
    ("accel", "accel"),
    ("smp", "cpus"),
    ("m", "size"),
    ("object", "qom-type"),
    ("chardev", "backend"),
    ("boot", "order"),
    ("name", "guest"),
    ("fsdev virtfs", "fsdriver"),
    ("vnc", "display"),
    ("sandbox", "enable"),
    ("mon", "chardev"),
    ("drive rtc overcommit realtime spice smbios global msg action acpitable fw_cfg vcpu", ""),
];

/// Options whose whole value is a path.
pub(super) const PATHS: &str = "L hda hdb hdc hdd fda fdb cdrom kernel initrd dtb mem-path bios";

/// Options whose value is a character device, possibly with a path.
pub(super) const LINES: &str = "serial parallel debugcon gdb";

/// Properties that are paths, by option.
pub(super) const PATH_PROPERTIES: &[(&str, &str)] = &[
    ("drive", "file"),
    ("blockdev", "filename file.filename"),
    ("object", "mem-path filename evdev file dir"),
    ("chardev", "path logfile input-path"),
    ("fw_cfg", "file"),
    ("acpitable", "file data"),
    ("smbios", "file"),
    ("tpmdev", "path cancel-path"),
    ("virtfs fsdev netdev", "path"),
    ("device", "romfile sysfsdev file"),
];

/// Options whose whole value goes to places of the domain, and how that is reported.
pub(super) const VALUES: &[(&str, &str, &str)] = &[
    ("uuid", "uuid", "<uuid>"),
    ("bios", "os/loader@readonly=yes os/loader@type=rom os/loader", "<loader type='rom'>"),
    ("kernel", "os/kernel", "<os><kernel>"),
    ("initrd", "os/initrd", "<os><initrd>"),
    ("append", "os/cmdline", "<os><cmdline>"),
    ("dtb", "os/dtb", "<os><dtb>"),
    ("no-reboot", "on_reboot=destroy", "<on_reboot>"),
    ("no-hpet", "clock/timer[name=hpet]@present=no", "<timer name='hpet' present='no'>"),
    ("no-kvm-pit-reinjection", "clock/timer[name=pit]@tickpolicy=discard", "<timer tickpolicy=…>"),
    ("rtc-td-hack", "clock/timer[name=rtc]@tickpolicy=catchup", "<timer tickpolicy=…>"),
    ("localtime", "clock@offset=localtime", "<clock offset='localtime'>"),
];

/// Options without meaning under libvirt, and why.
pub(super) const MEANINGLESS: &[(&str, &str)] = &[
    ("nodefaults no-user-config nodefconfig", "libvirt always sets this"),
    ("monitor qmp qmp-pretty mon", "libvirt uses the monitor itself: virsh qemu-monitor-command"),
    ("daemonize pidfile runas chroot sandbox add-fd no-shutdown no-quit msg user", "libvirt starts QEMU and manages it"),
    ("S", "vgapt start --paused"),
    ("full-screen alt-grab ctrl-grab no-frame portrait rotate", "libvirt opens no window"),
    ("incoming loadvm", "libvirt loads saved states itself: virsh restore, virsh snapshot-revert"),
    ("D d trace", "QEMU's log is in /var/log/libvirt/qemu"),
    ("readconfig writeconfig", "option files are not read: copy the options into the script"),
    ("no-fd-bootchk win2k-hack no-kvm-irqchip no-kvm old-param no-kvm-pit tdf show-cursor enable-fips", "QEMU no longer has this option"),
    ("smb", "QEMU no longer has this option; it started a Samba server, which libvirt forbids: share the folder with <filesystem>"),
    ("tftp bootp", "QEMU no longer has this option: use tftp= and bootfile= of -netdev user"),
    ("watchdog-action", "the script has no watchdog"),
    ("k", "the script has no VNC or SPICE whose keyboard layout it could set: <graphics keymap=…>"),
];

/// Devices, and other names of QEMU: the element of libvirt, or the group that a function looks for, and what is written into it.
/// A place without a value gets the name itself; `@model=virtio` stands for the virtio model of the device.
pub(super) const NAMES: &[(&str, &str, &str)] = &[
    ("virtio-blk-pci virtio-blk virtio-blk-pci-non-transitional", "disk", "@bus=virtio @device=disk"),
    // On a machine with PCI Express `ide` is SATA.
    ("ide-hd ide-drive", "disk", "@bus=ide @device=disk"),
    ("ide-cd", "disk", "@bus=ide @device=cdrom"),
    ("scsi-hd scsi-disk", "disk", "@bus=scsi @device=disk"),
    ("scsi-cd", "disk", "@bus=scsi @device=cdrom"),
    ("scsi-block", "disk", "@bus=scsi @device=lun"),
    ("usb-storage", "disk", "@bus=usb @device=disk"),
    ("floppy", "disk", "@bus=fdc @device=floppy"),
    ("virtio-scsi-pci virtio-scsi virtio-scsi-pci-non-transitional", "controller scsi", "@model=virtio-scsi"),
    ("lsi lsi53c895a", "controller scsi", "@model=lsilogic"),
    ("megasas", "controller scsi", "@model=lsisas1078"),
    ("ahci ich9-ahci", "controller sata", ""),
    ("qemu-xhci", "controller usb", "@model"),
    ("nec-usb-xhci", "controller usb", "@model=nec-xhci"),
    ("usb-ehci", "controller usb", "@model=ehci"),
    ("ich9-usb-ehci1", "controller usb", "@model=ich9-ehci1"),
    ("ich9-usb-uhci1", "controller usb", "@model=ich9-uhci1"),
    ("ich9-usb-uhci2", "controller usb", "@model=ich9-uhci2"),
    ("ich9-usb-uhci3", "controller usb", "@model=ich9-uhci3"),
    ("piix3-usb-uhci", "controller usb", "@model=piix3-uhci"),
    ("piix4-usb-uhci", "controller usb", "@model=piix4-uhci"),
    ("pci-ohci", "controller usb", "@model"),
    ("virtio-serial-pci virtio-serial virtio-serial-pci-non-transitional", "controller virtio-serial", "@model=virtio"),
    ("ioh3420 pcie-root-port pci-bridge x3130-upstream xio3130-downstream pcie-pci-bridge i82801b11-bridge", "controller pci", ""),
    ("virtio-net-pci virtio-net virtio", "interface", "@model=virtio"),
    ("virtio-net-pci-non-transitional virtio-net-non-transitional", "interface", "@model=virtio-non-transitional"),
    ("virtio-net-pci-transitional", "interface", "@model=virtio-transitional"),
    ("e1000 e1000-82540em", "interface", "@model=e1000"),
    // libvirt passes other model names to QEMU unchanged.
    ("e1000-82544gc e1000-82545em pcnet tulip i82550 i82551 i82557b e1000e rtl8139 vmxnet3 ne2k_pci igb", "interface", "@model"),
    ("none cirrus qxl virtio", "vga", "@model"),
    ("std", "vga", "@model=vga"),
    ("vmware", "vga", "@model=vmvga"),
    // With a VGA device QEMU adds no default one; with the models of the others libvirt makes the first <video> a VGA device.
    ("VGA", "video", "@model=vga @is=vga"),
    ("cirrus-vga", "video", "@model=cirrus @is=vga"),
    ("vmware-svga", "video", "@model=vmvga @is=vga"),
    ("qxl-vga", "video", "@model=qxl @is=vga"),
    ("virtio-vga virtio-vga-gl", "video", "@model=virtio @is=vga"),
    ("qxl", "video", "@model @is=second"),
    ("secondary-vga", "video", "@model=vga @is=second"),
    ("virtio-gpu-pci", "video", "@model=virtio @is=second"),
    ("bochs-display", "video", "@model=bochs"),
    ("ramfb", "video", "@model"),
    ("intel-hda hda", "sound", "@model=ich6"),
    ("ich9-intel-hda", "sound", "@model=ich9"),
    ("AC97 ac97", "sound", "@model=ac97"),
    ("ES1370 es1370", "sound", "@model=es1370"),
    ("sb16", "sound", "@model"),
    ("usb-audio", "sound", "@model=usb"),
    ("hda-duplex", "codec", "@type=duplex"),
    ("hda-micro", "codec", "@type=micro"),
    ("hda-output", "codec", "@type=output"),
    ("pa", "audio", "@type=pulseaudio"),
    ("wav", "audio", "@type=file"),
    ("alsa spice none jack oss sdl dbus pipewire", "audio", "@type"),
    ("usb-tablet", "input", "@type=tablet @bus=usb"),
    ("usb-mouse", "input", "@type=mouse @bus=usb"),
    ("usb-kbd", "input", "@type=keyboard @bus=usb"),
    ("virtio-keyboard-pci virtio-keyboard", "input", "@type=keyboard @bus=virtio"),
    ("virtio-mouse-pci virtio-mouse", "input", "@type=mouse @bus=virtio"),
    ("virtio-tablet-pci virtio-tablet", "input", "@type=tablet @bus=virtio"),
    ("i6300esb", "watchdog", "@model"),
    ("itco-wdt", "watchdog", "@model=itco"),
    ("vhost-vsock-pci vhost-vsock-pci-non-transitional", "vsock", "@model=virtio cid@auto=no"),
    ("pvpanic", "panic", "@model=isa"),
    ("vmcoreinfo", "domain", "features/vmcoreinfo@state=on"),
    ("intel-iommu", "iommu", "@model=intel"),
    ("virtio-rng-pci virtio-rng virtio-rng-pci-non-transitional virtio-rng-pci-transitional", "rng", "@model=virtio"),
    ("virtio-balloon-pci virtio-balloon", "memballoon", "@model=virtio"),
    ("tpm-tis tpm-crb", "tpm", "@model"),
    ("vhost-user-fs-pci vhost-user-fs", "filesystem virtiofs", "@type=mount driver@type=virtiofs"),
    ("virtio-9p-pci virtio-9p", "filesystem 9p", "@type=mount @accessmode=passthrough"),
    ("ivshmem-plain", "shmem", ""),
    ("isa-serial", "serial", ""),
    ("virtserialport", "channel", ""),
    ("usb-redir", "redirdev", "@bus=usb"),
    ("vfio-pci vfio-pci-nohotplug", "hostdev", ""),
    ("usb-host", "hostdev usb", ""),
];

/// Properties: what has them (an option, or what a device becomes), their names, how they are converted, and the places.
pub(super) const PROPERTIES: &[(&str, &str, Convert, &str)] = &[
    ("machine", "mem-merge", Off, "memoryBacking/nosharepages"),
    ("machine", "kernel-irqchip", Words(&[("on", "kvm"), ("off", "qemu"), ("split", "qemu")]), "features/ioapic@driver"),
    ("accel", "kernel-irqchip", Words(&[("on", "kvm"), ("off", "qemu"), ("split", "qemu")]), "features/ioapic@driver"),
    ("machine", "vmport smm", OnOff, "features/*@state"),
    ("machine", "dump-guest-core", OnOff, "memory@dumpCore"),
    ("machine", "hpet", Off, "clock/timer[name=hpet]@present=no"),
    ("machine", "graphics usb pflash0 pflash1 memory-backend", Drop, "other parts of the domain say so"),
    ("smbios 0", "vendor version date release", Same, "sysinfo@type=smbios sysinfo/bios/entry[name=*]"),
    ("smbios 1", "manufacturer product version serial uuid sku family", Same, "sysinfo@type=smbios sysinfo/system/entry[name=*]"),
    ("smbios 2", "manufacturer product version serial asset location", Same, "sysinfo@type=smbios sysinfo/baseBoard/entry[name=*]"),
    ("smbios 3", "manufacturer version serial asset sku", Same, "sysinfo@type=smbios sysinfo/chassis/entry[name=*]"),
    ("name", "debug-threads", Drop, "libvirt sets it"),
    ("rtc", "driftfix", Words(&[("slew", "catchup"), ("none", "")]), "clock/timer[name=rtc]@tickpolicy"),
    ("action", "panic", Words(&[("pause", "preserve"), ("shutdown", "destroy"), ("exit-failure", "destroy"), ("none", "")]), "on_crash"),
    ("action", "reboot", Words(&[("shutdown", "destroy"), ("reset", "")]), "on_reboot"),
    ("action", "shutdown", Drop, "libvirt decides what follows a shutdown"),
    ("cpu", "migratable", OnOff, "cpu@migratable"),
    ("cpu", "pmu", OnOff, "features/pmu@state"),
    ("cpu", "tsc-frequency", Number, "clock/timer[name=tsc]@frequency"),
    ("cpu", "phys-bits", Same, "cpu/maxphysaddr@mode=emulate cpu/maxphysaddr@bits"),
    // With `hv-` before the name.
    (
        "hyperv",
        "relaxed vapic vpindex runtime synic reset frequencies reenlightenment tlbflush ipi evmcs avic",
        On,
        "features/hyperv/*@state=on",
    ),
    ("hyperv", "emsr-bitmap", On, "features/hyperv/emsr_bitmap@state=on"),
    ("hyperv", "spinlocks", Number, "features/hyperv/spinlocks@state=on features/hyperv/spinlocks@retries"),
    ("hyperv", "vendor-id", Same, "features/hyperv/vendor_id@state=on features/hyperv/vendor_id@value"),
    ("hyperv", "stimer", On, "features/hyperv/stimer@state=on"),
    ("hyperv", "stimer-direct", On, "features/hyperv/stimer@state=on features/hyperv/stimer/direct@state=on"),
    ("hyperv", "time", On, "clock/timer[name=hypervclock]@present=yes"),
    ("kvm", "kvm", Off, "features/kvm/hidden@state=on"),
    ("kvm", "kvm-hint-dedicated", On, "features/kvm/hint-dedicated@state=on"),
    ("kvm", "kvm-poll-control", On, "features/kvm/poll-control@state=on"),
    ("kvm", "kvm-pv-ipi", On, "features/kvm/pv-ipi@state=on"),
    // `host-cache-info` counts before it.
    ("cpu", "l3-cache", On, "cpu/cache@level=3 cpu/cache@mode=emulate"),
    ("boot", "menu", YesNo, "os/bootmenu@enable"),
    ("boot", "splash-time", Number, "os/bootmenu@timeout"),
    ("boot", "reboot-timeout", Same, "os/bios@rebootTimeout"),
    ("boot", "strict", Drop, "the order is always strict"),
    ("memory-backend", "id size hugetlbsize", Drop, "<memory>, <hugepages>"),
    ("drive", "cache", Same, "driver@cache"),
    ("drive", "detect-zeroes", Same, "driver@detect_zeroes"),
    ("drive", "werror", Words(&[("enospc", "enospace")]), "driver@error_policy"),
    ("drive", "rerror", Same, "driver@rerror_policy"),
    ("drive", "serial", Same, "serial"),
    ("drive", "copy-on-read", OnOff, "driver@copy_on_read"),
    ("drive", "bps throttling.bps-total", Same, "iotune/total_bytes_sec"),
    ("drive", "bps_rd throttling.bps-read", Same, "iotune/read_bytes_sec"),
    ("drive", "bps_wr throttling.bps-write", Same, "iotune/write_bytes_sec"),
    ("drive", "iops throttling.iops-total", Same, "iotune/total_iops_sec"),
    ("drive", "iops_rd throttling.iops-read", Same, "iotune/read_iops_sec"),
    ("drive", "iops_wr throttling.iops-write", Same, "iotune/write_iops_sec"),
    ("drive", "bps_max throttling.bps-total-max", Same, "iotune/total_bytes_sec_max"),
    ("drive", "bps_rd_max throttling.bps-read-max", Same, "iotune/read_bytes_sec_max"),
    ("drive", "bps_wr_max throttling.bps-write-max", Same, "iotune/write_bytes_sec_max"),
    ("drive", "iops_max throttling.iops-total-max", Same, "iotune/total_iops_sec_max"),
    ("drive", "iops_rd_max throttling.iops-read-max", Same, "iotune/read_iops_sec_max"),
    ("drive", "iops_wr_max throttling.iops-write-max", Same, "iotune/write_iops_sec_max"),
    ("drive", "bps_max_length throttling.bps-total-max-length", Same, "iotune/total_bytes_sec_max_length"),
    ("drive", "iops_max_length throttling.iops-total-max-length", Same, "iotune/total_iops_sec_max_length"),
    ("drive", "iops_rd_max_length throttling.iops-read-max-length", Same, "iotune/read_iops_sec_max_length"),
    ("drive", "iops_wr_max_length throttling.iops-write-max-length", Same, "iotune/write_iops_sec_max_length"),
    ("drive", "iops_size throttling.iops-size", Same, "iotune/size_iops_sec"),
    ("drive", "group throttling.group", Same, "iotune/group_name"),
    ("drive", "id", Drop, "libvirt names it"),
    ("disk", "num-queues", Same, "driver@queues"),
    ("disk", "queue-size", Same, "driver@queue_size"),
    ("disk", "serial", Same, "serial"),
    ("disk", "bootindex", Plus1, "boot@order"),
    ("disk", "logical_block_size physical_block_size", Same, "blockio@*"),
    ("disk", "rotation_rate", Same, "target@rotation_rate"),
    ("disk", "removable", OnOff, "target@removable"),
    ("disk", "vendor product", Same, "*"),
    ("disk", "iommu_platform", OnOff, "driver@iommu"),
    ("disk", "ats packed event_idx ioeventfd", OnOff, "driver@*"),
    ("disk", "drive", Drop, "<source>"),
    ("controller scsi", "num_queues", Same, "driver@queues"),
    ("controller scsi", "max_sectors cmd_per_lun", Same, "driver@*"),
    ("controller virtio-serial", "max_ports", Same, "@ports"),
    ("controller virtio-serial", "vectors", Same, "@vectors"),
    ("netdev", "id netdev vlan name", Drop, "libvirt names it"),
    ("netdev", "script downscript helper", Drop, "libvirt runs no script of networks"),
    ("netdev", "vhost", Words(&[("on", "vhost"), ("off", "qemu")]), "driver@name"),
    ("netdev", "queues", Same, "driver@queues"),
    ("netdev", "iommu_platform", Same, "driver@iommu"),
    ("netdev", "ats packed rx_queue_size tx_queue_size", Same, "driver@*"),
    ("netdev", "event_idx ioeventfd", OnOff, "driver@*"),
    ("netdev", "tx", Words(&[("bh", "iothread")]), "driver@txmode"),
    ("netdev", "csum gso mrg_rxbuf", OnOff, "driver/host@*"),
    ("netdev", "host_mtu", Same, "mtu@size"),
    ("netdev", "sndbuf", Same, "tune/sndbuf"),
    ("netdev", "acpi-index", Same, "acpi@index"),
    ("netdev", "mq vectors", Drop, "libvirt derives it from queues="),
    ("netdev", "bootindex", Plus1, "boot@order"),
    ("hostdev", "driver host sysfsdev", Drop, "<source>"),
    ("hostdev", "rombar", OnOff, "rom@bar"),
    // An empty name is no ROM.
    ("hostdev", "romfile", Same, "rom@file"),
    ("hostdev", "acpi-index", Same, "acpi@index"),
    ("hostdev", "bootindex", Plus1, "boot@order"),
    ("mdev", "display ramfb", Same, "@*"),
    ("hostdev usb", "vendorid productid hostbus hostaddr hostdevice port", Drop, "<source>"),
    ("hostdev usb", "guest-reset", Off, "source@guestReset=off"),
    ("hostdev usb", "bootindex", Plus1, "boot@order"),
    ("input-linux", "evdev", Same, "source@dev"),
    ("input-linux", "grab_all", On, "source@grab=all"),
    ("input-linux", "grab-toggle", Same, "source@grabToggle"),
    ("input-linux", "repeat", OnOff, "source@repeat"),
    ("input-linux", "id qom-type", Drop, "libvirt names it"),
    ("qxl", "ram_size", Bytes, "model@ram"),
    ("qxl", "ram_size_mb", Mib, "model@ram"),
    ("qxl", "vram_size", Bytes, "model@vram"),
    ("qxl", "vram_size_mb", Mib, "model@vram"),
    ("qxl", "vram64_size", Bytes, "model@vram64"),
    ("qxl", "vram64_size_mb", Mib, "model@vram64"),
    ("qxl", "vgamem_mb", Mib, "model@vgamem"),
    ("qxl", "max_outputs", Same, "model@heads"),
    ("vga", "vgamem_mb", Mib, "model@vram"),
    ("virtio", "virgl", On, "model/acceleration@accel3d=yes"),
    ("virtio", "max_outputs", Same, "model@heads"),
    ("virtio", "blob", OnOff, "model@blob"),
    ("resolution", "xres", Same, "model/resolution@x"),
    ("resolution", "yres", Same, "model/resolution@y"),
    ("egl-headless", "type", Drop, "<graphics type='egl-headless'>"),
    ("egl-headless", "rendernode", Same, "gl@rendernode"),
    ("vnc", "share", Same, "@sharePolicy"),
    ("vnc", "power-control", YesNo, "@powerControl"),
    ("spice", "password", Same, "@passwd"),
    ("spice", "image-compression", Same, "image@compression"),
    ("spice", "gl", On, "gl@enable=yes"),
    ("spice", "jpeg-wan-compression", Same, "jpeg@compression"),
    ("spice", "zlib-glz-wan-compression", Same, "zlib@compression"),
    ("spice", "playback-compression", OnOff, "playback@compression"),
    ("spice", "streaming-video", Same, "streaming@mode"),
    ("spice", "agent-mouse", Words(&[("on", "client"), ("off", "server")]), "mouse@mode"),
    ("spice", "disable-copy-paste", On, "clipboard@copypaste=no"),
    ("spice", "disable-agent-file-xfer", On, "filetransfer@enable=no"),
    ("spice", "disable-ticketing seamless-migration", Drop, "libvirt sets it"),
    ("audio", "timer-period", Same, "@timerPeriod"),
    ("pulseaudio", "server", Same, "@serverName"),
    ("file", "path", Same, "@path"),
    // Each of these with `in.` and with `out.`, in `<input>` and in `<output>`.
    ("audio direction", "mixing-engine", YesNo, "@mixingEngine"),
    ("audio direction", "fixed-settings", YesNo, "@fixedSettings"),
    ("audio direction", "voices", Same, "@voices"),
    ("audio direction", "buffer-length", Same, "@bufferLength"),
    ("audio direction", "frequency channels format", Same, "@fixedSettings=yes settings@*"),
    ("alsa direction", "dev", Same, "@dev"),
    ("oss direction", "dev", Same, "@dev"),
    ("oss direction", "buffer-count", Same, "@bufferCount"),
    ("oss direction", "try-poll", YesNo, "@tryPoll"),
    ("sdl direction", "buffer-count", Same, "@bufferCount"),
    ("pulseaudio direction", "name", Same, "@name"),
    ("pulseaudio direction", "stream-name", Same, "@streamName"),
    ("pulseaudio direction", "latency", Same, "@latency"),
    ("pipewire direction", "name", Same, "@name"),
    ("pipewire direction", "stream-name", Same, "@streamName"),
    ("jack direction", "server-name", Same, "@serverName"),
    ("jack direction", "client-name", Same, "@clientName"),
    ("jack direction", "connect-ports", Same, "@connectPorts"),
    ("jack direction", "exact-name", YesNo, "@exactName"),
    ("codec", "cad", Drop, "libvirt numbers them"),
    ("chardev", "logfile", Same, "log@file"),
    ("chardev", "logappend", OnOff, "log@append"),
    ("chardev", "backend id wait nowait signal mux path server name debug", Drop, "libvirt creates it"),
    ("channel", "chardev nr filter", Drop, "libvirt numbers them"),
    ("redirdev", "chardev nr filter name", Drop, "libvirt numbers them"),
    ("serial", "driver chardev index", Drop, "libvirt numbers them"),
    ("qemu-vdagent", "clipboard", YesNo, "source/clipboard@copypaste"),
    ("qemu-vdagent", "mouse", Words(&[("on", "client"), ("off", "server")]), "source/mouse@mode"),
    ("tpm", "tpmdev", Drop, "<backend>"),
    ("tpmdev", "id cancel-path", Drop, "libvirt finds it"),
    ("vsock", "guest-cid", Same, "cid@address"),
    ("iommu", "intremap", OnOff, "driver@intremap"),
    ("iommu", "caching-mode", OnOff, "driver@caching_mode"),
    ("iommu", "eim", OnOff, "driver@eim"),
    ("iommu", "device-iotlb", OnOff, "driver@iotlb"),
    ("iommu", "aw-bits", Same, "driver@aw_bits"),
    ("filesystem virtiofs", "queue-size", Same, "driver@queue"),
    ("filesystem virtiofs", "chardev", Drop, "<source>"),
    ("filesystem virtiofs", "tag", Same, "target@dir"),
    ("filesystem 9p", "fsdriver id fsdev", Drop, "<source>"),
    ("filesystem 9p", "security_model", Words(&[("mapped-xattr", "mapped"), ("mapped-file", "mapped"), ("none", "squash")]), "@accessmode"),
    ("filesystem 9p", "path", Same, "source@dir"),
    ("filesystem 9p", "mount_tag", Same, "target@dir"),
    ("filesystem 9p", "readonly", On, "readonly"),
    ("filesystem 9p", "fmode dmode multidevs", Same, "@*"),
    ("filesystem 9p", "writeout", Same, "driver@type=path driver@wrpolicy"),
    ("rng", "max-bytes", Same, "rate@bytes"),
    ("rng", "period", Same, "rate@period"),
    ("memballoon", "deflate-on-oom", OnOff, "@autodeflate"),
    ("memballoon", "free-page-reporting", OnOff, "@freePageReporting"),
    ("shmem", "chardev memdev", Drop, "<size>"),
    ("device", "driver", Drop, "the element"),
    ("device", "id bus addr port chassis slot multifunction disable-legacy disable-modern", Drop, "libvirt assigns addresses"),
];

/// What becomes of a value.
pub(super) enum Converted {
    /// It is no value that libvirt has, and is reported.
    Left,
    /// Nothing is written.
    Nothing,
    Written(String),
}

impl Convert {
    pub(super) fn convert(&self, value: &str) -> Converted {
        use Converted::{Left, Nothing, Written};
        let number = || number(value);
        let kib = |kib: Option<u64>| kib.map_or(Left, |kib| Written(kib.to_string()));
        let words = |on: &str, off: &str| Written(if is_on(value) { on } else { off }.to_owned());
        match self {
            Convert::Same => Written(value.to_owned()),
            Convert::Words(known) => match known.iter().find(|(word, _)| *word == value) {
                Some((_, "")) => Nothing,
                Some((_, word)) => Written((*word).to_owned()),
                None => Written(value.to_owned()),
            },
            Convert::OnOff => words("on", "off"),
            Convert::YesNo => words("yes", "no"),
            Convert::Number => kib(number()),
            Convert::Plus1 => kib(number().map(|number| number.saturating_add(1))),
            Convert::Bytes => kib(number().map(|bytes| bytes >> 10)),
            Convert::Mib => kib(number().and_then(|mib| mib.checked_mul(1 << 10))),
            Convert::On if is_on(value) => Written(String::new()),
            Convert::Off if !is_on(value) => Written(String::new()),
            Convert::On | Convert::Off | Convert::Drop => Nothing,
        }
    }
}

/// Whether a property's value means on.
pub(super) fn is_on(value: &str) -> bool {
    matches!(value, "on" | "yes" | "true" | "1")
}

/// A number as QEMU parses properties (`qemu_strtou64` with base 0): `0x` is hexadecimal, a leading zero octal, anything else decimal.
pub(super) fn number(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok();
    }
    let is_octal = text.len() > 1 && text.starts_with('0');
    u64::from_str_radix(text, if is_octal { 8 } else { 10 }).ok()
}

/// Whether a text of names separated by spaces contains one.
pub(super) fn has(names: &str, name: &str) -> bool {
    names.split(' ').any(|known| known == name)
}

/// The row of a name in a table of names and one thing.
pub(super) fn of(table: &'static [(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(names, _)| has(names, name)).map(|(_, of)| *of)
}

/// The group of a device or another name, if it is in one of these.
pub(super) fn group(name: &str, of: &[&str]) -> Option<&'static str> {
    NAMES.iter().find(|(names, group, _)| of.contains(group) && has(names, name)).map(|(_, group, _)| *group)
}

/// The places of a name of a group.
pub(super) fn places(group: &str, name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(names, of, _)| *of == group && has(names, name)).map(|(.., places)| *places)
}

/// The element for a name of a group: its name is the group's first word.
pub(super) fn element(group: &str, name: &str) -> Option<Fragment> {
    let places = places(group, name)?;
    let mut element = Fragment::new(group.split(' ').next().unwrap_or_default());
    write(&mut element, places, name);
    Some(element)
}

/// Writes a value to places.
pub(super) fn write(element: &mut Fragment, places: &str, value: &str) {
    for place in places.split(' ').filter(|place| !place.is_empty()) {
        // `timer[name=rtc]` is a part of the path.
        let fixed = place.rfind('=').filter(|at| !place[*at..].contains(']'));
        let (place, value) = fixed.map_or((place, value), |at| (&place[..at], &place[at + 1..]));
        element.set(place, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_can_be_written() {
        for (of, names, convert, places) in PROPERTIES {
            assert!(!of.is_empty() && !names.is_empty() && !places.is_empty(), "{of} {names}");
            // A reason is a sentence, a place is not.
            let is_place = !matches!(convert, Drop);
            assert!(
                !is_place || places.split(' ').all(|place| !place.is_empty() && !place.contains(['<', '\''])),
                "{of} {names}: {places}"
            );
        }
        let mut element = Fragment::new("x");
        write(&mut element, "@a a/timer[name=rtc]@b=c serial", "1");
        let rendered = element.render("", "").replace("  ", "");
        assert_eq!(rendered, "<x a='1'><a><timer name='rtc' b='c'/></a><serial>1</serial></x>");
    }

    #[test]
    fn ids_are_decimal_unless_they_say_otherwise() {
        assert_eq!((number("1133"), number("0x046d"), number("010"), number("046d")), (Some(0x046d), Some(0x046d), Some(8), None));
    }
}

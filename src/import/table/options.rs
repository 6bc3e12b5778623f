//! Options: which have values, properties and paths, and those that are one place of the domain or nothing.

/// Options that take no value.
pub(in crate::import) const WITHOUT_VALUE: &str = "enable-kvm no-kvm no-kvm-irqchip usb nodefaults no-user-config daemonize S no-acpi no-hpet nographic mem-prealloc snapshot \
     no-reboot no-shutdown full-screen localtime no-fd-bootchk win2k-hack alt-grab ctrl-grab no-quit no-frame sdl curses singlestep s \
     preconfig portrait nodefconfig old-param only-migratable no-kvm-pit no-kvm-pit-reinjection tdf rtc-td-hack show-cursor enable-fips";

/// Options that have properties, and the property whose name may be omitted when it comes first.
pub(in crate::import) const WITH_PROPERTIES: &[(&str, &str)] = &[
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
    ("add-fd drive rtc overcommit realtime spice smbios global msg action acpitable fw_cfg vcpu", ""),
];

/// Short and older options, and what QEMU makes of them (`system/vl.c`); `*` is the value.
pub(in crate::import) const SPELLINGS: &[(&str, &str, &str)] = &[
    ("enable-kvm", "accel", "kvm"),
    ("no-acpi", "machine", "acpi=off"),
    ("no-hpet", "machine", "hpet=off"),
    ("localtime", "rtc", "base=localtime"),
    ("watchdog", "device", "*"),
    ("pflash", "drive", "if=pflash,file=*"),
    ("hda", "drive", "index=0,media=disk,file=*"),
    ("hdb", "drive", "index=1,media=disk,file=*"),
    ("hdc", "drive", "index=2,media=disk,file=*"),
    ("hdd", "drive", "index=3,media=disk,file=*"),
    ("cdrom", "drive", "index=2,media=cdrom,file=*"),
    ("fda", "drive", "if=floppy,index=0,file=*"),
    ("fdb", "drive", "if=floppy,index=1,file=*"),
];

/// Options whose whole value is a path.
pub(in crate::import) const PATHS: &str = "L kernel initrd dtb mem-path bios";

/// Options whose value is a character device, possibly with a path.
pub(in crate::import) const LINES: &str = "serial parallel debugcon gdb";

/// Properties that are paths, by option.
pub(in crate::import) const PATH_PROPERTIES: &[(&str, &str)] = &[
    ("drive", "file"),
    ("blockdev", "filename file.filename"),
    ("object", "mem-path filename evdev file dir"),
    ("chardev", "path logfile input-path"),
    ("fw_cfg", "file"),
    ("acpitable", "file data"),
    ("smbios", "file"),
    ("tpmdev", "path cancel-path"),
    ("virtfs fsdev", "path"),
    ("netdev net nic", "path script downscript"),
    ("device", "romfile sysfsdev file"),
];

/// Options whose whole value goes to places of the domain, and how that is reported.
pub(in crate::import) const VALUES: &[(&str, &str, &str)] = &[
    ("uuid", "uuid", "<uuid>"),
    ("bios", "os/loader@readonly=yes os/loader@type=rom os/loader", "<loader type='rom'>"),
    ("kernel", "os/kernel", "<os><kernel>"),
    ("initrd", "os/initrd", "<os><initrd>"),
    ("append", "os/cmdline", "<os><cmdline>"),
    ("dtb", "os/dtb", "<os><dtb>"),
    ("mem-prealloc", "memoryBacking/allocation@mode=immediate", "<allocation mode='immediate'>"),
    ("no-reboot", "on_reboot=destroy", "<on_reboot>"),
    ("no-kvm-pit-reinjection", "clock/timer[name=pit]@tickpolicy=discard", "<timer tickpolicy=…>"),
    ("rtc-td-hack", "clock/timer[name=rtc]@tickpolicy=catchup", "<timer tickpolicy=…>"),
];

/// Options without meaning under libvirt, and why.
pub(in crate::import) const MEANINGLESS: &[(&str, &str)] = &[
    ("nodefaults no-user-config nodefconfig", "libvirt always sets this"),
    ("daemonize pidfile runas chroot sandbox add-fd no-shutdown no-quit msg user", "libvirt starts QEMU and manages it"),
    ("S", "vgapt start --paused"),
    ("full-screen alt-grab ctrl-grab no-frame portrait rotate", "libvirt opens no window"),
    ("incoming loadvm", "libvirt loads saved states itself: virsh restore, virsh snapshot-revert"),
    ("D d trace", "QEMU's log is in /var/log/libvirt/qemu"),
    ("id", "Proxmox's number of the machine, which only its QEMU knows"),
    ("writeconfig", "it writes the options of the script to a file"),
    ("no-fd-bootchk win2k-hack no-kvm-irqchip no-kvm old-param no-kvm-pit tdf show-cursor enable-fips", "QEMU no longer has this option"),
    ("smb", "QEMU no longer has this option; it started a Samba server, which libvirt forbids: share the folder with <filesystem>"),
    ("tftp bootp", "QEMU no longer has this option: use tftp= and bootfile= of -netdev user"),
    ("watchdog-action", "the script has no watchdog"),
    ("k", "the script has no VNC or SPICE whose keyboard layout it could set: <graphics keymap=…>"),
];

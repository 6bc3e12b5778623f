#!/bin/sh
# Written by `vgapt prepare`, taken away by `vgapt undo`. modprobe runs this in place of loading the
# module that is its first argument: devices of the list in /etc/modprobe.d/vgapt.conf are given
# to vfio-pci, then the module is loaded. PCI addresses move when a card is added, so a device that
# is not what it was is left alone, and the host boots as usual.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
module=$1
shift
devices=/sys/bus/pci/devices
log() { echo "vgapt: $*" >/dev/kmsg; }

# In the initramfs nothing can use a device yet, so it can be taken from a built-in driver there.
early=
for mark in /etc/initrd-release /conf/initramfs.conf /hooks /config; do
    [ ! -e "$mark" ] || early=yes
done

off=
read -r cmdline </proc/cmdline
set -f
for word in $cmdline; do
    case $word in
    module_blacklist=* | initcall_blacklist=*)
        case ",${word#*=}," in
        *,vfio_pci,* | *,vfio-pci,* | *,vfio_pci_init,*) off=yes ;;
        esac
        ;;
    esac
done

is_same() { # ADDRESS VENDOR:DEVICE SUBVENDOR:SUBDEVICE
    read -r vendor <"$devices/$1/vendor" && read -r device <"$devices/$1/device" || return 1
    read -r subvendor <"$devices/$1/subsystem_vendor" && read -r subdevice <"$devices/$1/subsystem_device" || return 1
    [ "${vendor#0x}:${device#0x} ${subvendor#0x}:${subdevice#0x}" = "$2 $3" ]
}

bound=
while read -r mark address id subsystem _; do
    [ "$mark" = "#bound" ] && [ ! "$off" ] || continue
    if ! is_same "$address" "$id" "$subsystem" 2>/dev/null; then
        log "$address is not $id ($subsystem) any more, and is not bound; run: vgapt check"
        continue
    fi
    if [ -e "$devices/$address/driver" ]; then
        [ "$early" ] || continue
        echo "$address" >"$devices/$address/driver/unbind"
    fi
    echo vfio-pci >"$devices/$address/driver_override"
    bound="$bound $address"
done </etc/modprobe.d/vgapt.conf

# By its path: busybox' shell takes its own modprobe, which cannot do this, before any in PATH.
for modprobe in /usr/sbin/modprobe /sbin/modprobe /usr/bin/modprobe /bin/modprobe; do
    [ ! -x "$modprobe" ] || break
done
"$modprobe" --ignore-install "$module" "$@"
status=$?
for address in $bound; do
    [ -e "$devices/$address/driver" ] || echo "$address" >/sys/bus/pci/drivers_probe
    if [ ! -e "$devices/$address/driver" ]; then
        log "$address could not be bound to vfio-pci, and goes to its usual driver"
        echo >"$devices/$address/driver_override"
    fi
done
exit $status

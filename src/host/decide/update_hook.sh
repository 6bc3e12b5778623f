#!/bin/sh
# Written by `vgapt prepare`, taken away by `vgapt undo`. An update of a kernel or of a driver runs it last: it prints
# what the kernel then lacks for a guest with a graphics card. It changes nothing, and no update fails because of it.
@RELEASES@
# A program that vgapt itself runs is no update.
[ -z "$VGAPT_RUNS_IT" ] || exit 0
for vgapt in /etc/libvirt/hooks/vgapt /usr/bin/vgapt /usr/sbin/vgapt /usr/local/bin/vgapt; do
    [ ! -x "$vgapt" ] || break
done
[ -x "$vgapt" ] || exit 0
for release; do
    timeout -k 5 60 "$vgapt" check --after-update --next "$release" </dev/null >&2
    case $? in
    0 | 1) continue ;;
    124 | 137) why='that took more than 60 seconds' ;;
    *) why='see above' ;;
    esac
    echo "vgapt: kernel ${release:-that boots next} was not checked ($why); to check it: vgapt check --next $release" >&2
done
exit 0

# Jobs of the scenarios that prepare the host: scenarios/prepared-*, and those with the hook.

the_host_is_prepared() { # OPTION…, of vgapt prepare
  manifest >/var/tmp/before
  vgapt prepare "$@" --yes
  manifest >/var/tmp/prepared
  exits 0 vgapt prepare "$@" --yes
  says "$said" 'already up to date'
  manifest | diff /var/tmp/prepared - || wrong 'the second run changed something'
}

# The kernel log shows that no other driver had them before.
vfio_had_them_first() { # ADDRESS…
  local address
  for address; do
    same "driver of $address" vfio-pci "$(driver "$address")"
    never_says "$(dmesg)" "(bochs-drm|snd_hda_intel|nvme) 0000:$address: "
  done
}

the_preparation_is_taken_back() {
  exits 0 vgapt undo --yes
  the_files_are_as_before
}

the_files_are_as_before() {
  manifest | diff /var/tmp/before - || wrong 'not as before'
  [ ! -e /var/lib/vgapt ] || wrong 'the receipts are still there'
}

# What the host boots and loads by: mode, owner, hash and path of each file, links too; but for what
# systemd-boot writes at each boot.
manifest() {
  find /etc /boot -name random-seed -prune -o \( -type f -printf '%m %u:%g %p ' -exec sha256sum {} \; \) -o \( -type l -printf '%p -> %l\n' \) | sort
}

# All that a boot through GRUB takes can be read to its end.
what_is_booted_is_whole() {
  local initrd
  grub-script-check /boot/grub/grub.cfg
  for initrd in $(awk '$1 == "initrd" { print $2 }' /boot/grub/grub.cfg | sort -u); do lsinitramfs "$initrd" >/dev/null; done
}

# --- the hook, on the machine `tuned` ---

a_domain_with_the_hook() {
  vgapt prepare --gpu 02:00.0 --bind start --yes
  vgapt define it --os linux --gpu 02:00.0 --memory 512M --cpus 1 --hugepages
  affinities >/var/tmp/affinities
}

# The CPUs that each interrupt may go to which somebody has requested, but for the passed card's, and those that come later.
affinities() {
  local number actions
  for number in /proc/irq/[0-9]*; do
    actions=$(<"/sys/kernel/irq/${number##*/}/actions") || continue
    case $actions in '' | vfio* | snd_hda_intel*) continue ;; esac
    echo "${number##*/} $actions $(<"$number/smp_affinity_list")"
  done
  echo "later $(</proc/irq/default_smp_affinity)"
}

# All that the hook of `it` took is returned.
all_is_at_rest() {
  within 20 at_home 02:00.0 02:00.1
  same 'huge pages' 0 "$(</proc/sys/vm/nr_hugepages)"
  same 'processors of the host' '' "$(systemctl show -P AllowedCPUs system.slice)"
  affinities | diff /var/tmp/affinities - || wrong 'interrupts are not where they were'
  same 'what is taken' '' "$(find /run/vgapt -name '*.json')"
}

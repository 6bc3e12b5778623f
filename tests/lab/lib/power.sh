# The power switch of the one machine that runs at a time, and the line into it.
# Everything about it is files in $power (its disks, serial log, pid) and $share (seen inside
# as /lab), so that the runner and a scenario, two processes, mean the same machine.

power_on() { # MACHINE: boot it with the disks it had
  stage "boot $1"
  new_machine
  . "$lab/machines/$1"
  [ -e "$power/root.qcow2" ] || new_disks
  rm -f "$power"/lab.{in,out}
  mkfifo "$power"/lab.{in,out}
  mapfile -t words < <(qemu_words)
  "${words[@]}" >>"$power/qemu" 2>&1 &
  echo $! >"$power/pid"
  echo "$1" >"$power/machine"
  [ "$(answer 240)" = ready ] || fail "the machine did not boot"
}

new_disks() {
  local base=$image/disk.img format=raw
  [ "$boot" = grub ] && base=$(grub_disk) format=qcow2
  qemu-img create -q -f qcow2 -b "$base" -F "$format" "$power/root.qcow2"
  cp "$image/OVMF_VARS_4M.fd" "$power/nvram"
}

powered() { [ -e "$power/pid" ] && kill -0 "$(<"$power/pid")" 2>/dev/null; }

power_cut() {
  ! powered || kill -9 "$(<"$power/pid")"
  gone 20
}

power_off() { # in order: everything written, everything stopped
  inside halt
  gone 90 || fail "the machine did not stop"
}

gone() { # SECONDS to wait
  local tries=$(($1 * 5))
  while powered; do
    [ $((tries--)) -gt 0 ] || return 1
    sleep 0.2
  done
  rm -f "$power/pid"
}

# For a scenario: the same machine, or another one with the same disks.
reboot() { power_off; power_on "${1:-$(<"$power/machine")}"; }
cut_power() { power_cut; power_on "${1:-$(<"$power/machine")}"; }

# Run a function of the scenario, or of inside/words.sh, as root on the machine.
inside() {
  local job=$((1 + $(ls "$share/jobs" | wc -l))) status
  local limit=${seconds:-60}
  stage "$*"
  printf '%q ' "$@" >"$share/jobs/$job"
  echo "$job $((limit * 3 + 60))" >"$power/lab.in"
  status=$(answer $((limit * 3 + 90))) || fail "the machine does not answer"
  [ "$status" = "$job 0" ] || fail "see below"
}

answer() { # SECONDS to wait for a line from the machine's agent
  local line end=$((SECONDS + $1))
  while [ $SECONDS -lt "$end" ] && powered; do
    read -r -t 2 line <>"$power/lab.out" && echo "$line" && return
  done
  return 1
}

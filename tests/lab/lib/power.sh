# The power switch of the one machine that runs at a time, and the line into it.
# Everything about it is files in $power (its disks, serial log, pid) and $share (seen inside
# as /lab), so that the runner and a scenario, two processes, mean the same machine.

power_on() { # MACHINE: boot it with the disks it had
  local words
  stage "boot $1"
  new_machine
  . "$lab/machines/$1"
  image=$(find_image "$initramfs" ${extra:+"$extra"}) || exit
  [ -e "$power/root.qcow2" ] || new_disks
  rm -f "$power"/{lab,monitor}.{in,out} "$share/alive"
  mkfifo "$power"/{lab,monitor}.{in,out}
  mapfile -t words < <(qemu_words)
  "${words[@]}" >>"$power/qemu" 2>&1 &
  echo $! >"$power/pid"
  echo "$1" >"$power/machine"
  [ "$(answer 300)" = ready ] || silent "did not boot"
}

new_disks() {
  local base=$image/disk.img format=raw
  [ "$boot" = kernel ] || base=$(boot_disk "$boot") format=qcow2
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

# --- the words of a scenario's `play` ---

# The same machine, or another one with the same disks.
reboot() { power_off; power_on "${1:-$(<"$power/machine")}"; }
cut_power() { power_cut; power_on "${1:-$(<"$power/machine")}"; }

# Run a function of the scenario, or of inside/words.sh, as root on the machine.
inside() {
  local status
  begin "$@"
  status=$(answer $((limit + 30))) || silent "does not answer"
  ended "$status"
}

ended() { # what the agent answered
  case $1 in
    "$job 0") ;;
    "$job 124") fail "not done in $limit s" ;;
    *) fail "it ended with '${1#"$job "}', see below" ;;
  esac
}

# The same, but the power is cut so many seconds after it began, whether it has ended or not.
cut_power_after() { # SECONDS FUNCTION…
  begin "${@:2}"
  sleep "$1"
  cut_power
}

# The same, but cut as soon as it has printed a line that matches.
cut_power_at() { # PATTERN FUNCTION…
  begin "${@:2}"
  printed "$1"
  cut_power
}

# The same as `inside`, but as soon as it has printed a line that matches, QEMU's monitor gets a command.
monitor_at() { # PATTERN COMMAND FUNCTION…
  local status
  begin "${@:3}"
  printed "$1"
  monitor "$2"
  status=$(answer $((limit + 30))) || silent "does not answer"
  ended "$status"
}

# Wait until the function that was begun has printed a line that matches.
printed() { # PATTERN
  local end=$((SECONDS + limit))
  until grep -Eqs -- "$1" "$share/jobs/$job.log"; do
    [ $SECONDS -lt $end ] || fail "nothing that matches '$1' was printed"
    sleep 0.05
  done
}

# The same as `inside`, but every so many seconds a copy of the disk is kept, as a power cut at that
# moment would leave it. `each_moment` sees them all, after the next boot.
moments() { # SECONDS FUNCTION…
  local status begun='' number=0 end
  begin "${@:2}"
  end=$((SECONDS + limit + 30))
  until IFS= read -r -t "$1" status <>"$power/lab.out"; do
    begun+=$status
    { powered && [ $SECONDS -lt $end ]; } || silent "does not answer"
    kill -STOP "$(<"$power/pid")"
    cp --sparse=always "$power/root.qcow2" "$power/moment.$((number += 1))"
    kill -CONT "$(<"$power/pid")"
  done
  ended "$begun$status"
}

# Run a function inside for every such disk in turn, mounted at /moment.
each_moment() { # FUNCTION…
  local disk name
  for disk in $(printf '%s\n' "$power"/moment.* | sort -V); do
    name=${disk##*/}
    monitor "drive_add 0 if=none,format=qcow2,snapshot=on,id=$name,file=$disk"
    # Plugged in while the machine runs: while it boots it must not take one for its own disk.
    monitor "device_add scsi-hd,bus=moments.0,drive=$name,serial=$name,id=$name"
    inside at_the_moment "$name" "$@"
    monitor "device_del $name"
  done
}

# The agent writes this file every five seconds, from its first moment. A machine that stands still is seen by
# that, long before a job's limit.
alive() { [ ! -e "$share/alive" ] || [ $(($(date +%s) - $(stat -c %Y "$share/alive"))) -lt 120 ]; }

# Why nothing comes: its emulator is gone, or runs on; then what its processors do is kept.
silent() { # WHAT: did not boot, does not answer
  powered || fail "the machine's emulator ended: $(tail -n 1 "$power/qemu")"
  monitor "info registers -a"
  timeout 2 cat <>"$power/monitor.out" >"$power/processors" || true
  fail "the machine $1; its last line: $(tail -n 1 "$power/serial" | tr -cd '[:print:]')"
}

monitor() { echo "$1" 1<>"$power/monitor.in"; }

# Gives the function to the agent: sets the number of its $job and the $limit of its seconds.
begin() {
  job=$((1 + $(find "$share/jobs" -name '*[0-9]' | wc -l)))
  limit=$((${seconds:-60} * 3 + 120))
  stage "$*"
  printf '%q ' "$@" >"$share/jobs/$job"
  echo "$job $limit" >"$power/lab.in"
}

answer() { # SECONDS to wait for a line from the machine's agent
  local line begun='' end=$((SECONDS + $1))
  while [ $SECONDS -lt "$end" ] && powered && alive; do
    # Where the time is over in the middle of a line, `read` has taken its beginning: with the space it may end in.
    IFS= read -r -t 2 line <>"$power/lab.out" && echo "$begun$line" && return
    begun+=$line
  done
  return 1
}

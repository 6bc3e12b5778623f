# The package on a machine as it is after its installation: installed, used, removed.

package() {
  local since
  VGAPT_BIN_DIR=$programs VGAPT_COMPRESSION=1 "$checkout/packaging/build" "$place/packages" deb
  rm "$root/usr/bin/vgapt" "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap # it keeps manuals out
  cp "$place"/packages/vgapt_*.deb "$root/tmp/vgapt.deb"
  cp "$checkout/fixtures/hosts/z170-gtx960.host" "$root/tmp"
  cat /etc/resolv.conf >"$root/etc/resolv.conf"
  inside apt-get -qq update
  inside apt-get -qq -y --no-install-recommends install man-db bash-completion fish zsh
  remember

  since=$EPOCHREALTIME
  exits 0 apt-get -y --no-install-recommends install /tmp/vgapt.deb
  exits 0 "${recorded[@]}" define win10 --gpu 01:00.0
  awk -v a="$since" -v b="$EPOCHREALTIME" 'BEGIN { printf "from apt-get install to a defined domain: %.1f s\n", b - a }'
  says "$said" "'win10' is defined"
  exits 0 vgapt --version
  says "$said" "^vgapt [0-9]+\.[0-9]+\.[0-9]+"
  exits 1 "${recorded[@]}" check
  says "$said" '^next: vgapt .*prepare --gpu 01:00.0'
  the_manual
  the_completions

  # What prepare changed stays when the package is removed, and that is said; upgrades say nothing.
  mkdir -p "$root/var/lib/vgapt/1"
  touch "$root/var/lib/vgapt/1/receipt.json"
  exits 0 apt-get -y --no-install-recommends --reinstall install /tmp/vgapt.deb
  never_says "$said" 'still prepared'
  exits 0 apt-get -y remove vgapt
  says "$said" 'this host is still prepared'
  [ -e "$root/var/lib/vgapt/1/receipt.json" ] || wrong 'the receipt is gone'
  rm -r "$root/var/lib/vgapt"
  exits 0 apt-get -y --no-install-recommends install /tmp/vgapt.deb

  # Libraries that came with it would stay where a package that was there recommends or suggests them.
  exits 0 apt-get -y -o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false \
    purge --autoremove vgapt
  never_says "$said" 'still prepared|not empty so not removed'
  as_before ' \./(etc/ld\.so\.cache|var/(cache|lib/(apt|dpkg)|log)/)'
}

recorded=(vgapt --root /tmp/z170-gtx960.host --connect test:///default)

the_manual() {
  local page
  exits 0 man vgapt
  says "$said" '^NAME'
  for page in define prepare undo; do
    exits 0 man "vgapt-$page"
    says "$said" '^OPTIONS|^NAME'
  done
}

# As the shells themselves look for them, by the name of the program.
the_completions() {
  # shellcheck disable=SC2016 # for the inner shell
  exits 0 bash -c '
    . /usr/share/bash-completion/bash_completion
    function_of() { complete -p "$1" | sed "s/.* -F \([^ ]*\).*/\1/"; }
    COMP_WORDS=(vgapt def) COMP_CWORD=1 COMP_LINE="vgapt def" COMP_POINT=9 COMP_TYPE=9 COMP_KEY=9
    "$(function_of -D)" vgapt def vgapt || [ $? = 124 ]
    "$(function_of vgapt)" vgapt def vgapt
    printf "%s\n" "${COMPREPLY[@]}"'
  says "$said" '^define ?$'
  exits 0 env HOME=/tmp fish -c 'complete -C "vgapt def"'
  says "$said" '^define'
  # shellcheck disable=SC2016 # for the inner shell
  exits 0 env HOME=/tmp zsh -fc 'autoload -Uz compinit && compinit -u && echo "$_comps[vgapt]" && autoload +X _vgapt && echo loaded'
  says "$said" '^_vgapt$'
  says "$said" '^loaded$'
}

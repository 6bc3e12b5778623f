# The words at the head of a scenario. Inside the machine they say nothing.
machine() { machine=$1; }   # the machine it starts on
seconds() { seconds=$1; }   # what it takes, without booting; its limits follow from that
ci() { ci=yes; }            # part of the set that CI runs
needs() { needs+=" $*"; }   # vgapt: not run where the binaries are missing

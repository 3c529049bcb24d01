# shellcheck shell=sh disable=SC2034
# What prolog and epilog have in common. PENSTOCK_SLURM_CONF and PENSTOCK_RUN are for tests: Slurm gives
# its prolog nothing of the job's environment.
settings=${PENSTOCK_SLURM_CONF:-/etc/penstock/slurm.conf}
run=${PENSTOCK_RUN:-/run/penstock-jobs}

fail() {
  echo "penstock: $*" >&2
  exit 1
}

case ${SLURM_JOB_ID:-} in
  '' | *[!0-9]*) fail "SLURM_JOB_ID is no number: this is for slurmd to run" ;;
esac
job=$run/$SLURM_JOB_ID      # the daemon's: sockets and state
keep=$run/.$SLURM_JOB_ID    # root's: config, log, number of the process

PORT_DEVICE='' FABRIC_SUFFIX='' FABRIC_BITS=24 MORE_CONFIG=''
# shellcheck disable=SC1090
[ ! -e "$settings" ] || . "$settings"

# The daemon's user, where the package has made it.
user=root
! id penstock > /dev/null 2>&1 || user=penstock

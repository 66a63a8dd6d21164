#!/bin/sh
# A parameter that is given beats the variable of its option; one that is not given leaves that alone.
set -eu
value=
for name in $(env | sed -n 's/^PARAM_\([A-Z_]*\)=.*/\1/p'); do
    eval "value=\${PARAM_$name:-}"
    case $value in
    '' | CIRCLE_TOKEN) ;; # the variable that is looked for first in any case
    *) export "DEPLOYSTEP_$name=$value" ;;
    esac
done
for name in $(env | sed -n 's/^SWITCH_\([A-Z_]*\)=.*/\1/p'); do
    eval "value=\${SWITCH_$name:-}"
    case $value in 1 | true) export "DEPLOYSTEP_$name=true" ;; esac
done
if [ -z "${ORB_RULE:-}" ]; then exec "$HOME/.deploystep/deploystep" run; fi
# as CircleCI itself starts the commands of a step
set -- sh -ec "$ORB_COMMAND"
if command -v bash >/dev/null; then set -- bash -eo pipefail -c "$ORB_COMMAND"; fi
exec "$HOME/.deploystep/deploystep" gate "$ORB_RULE" -- "$@"

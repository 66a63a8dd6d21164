"""What can befall one request: every fault of the sandbox, with arguments drawn by chance."""

from random import Random

from deploystep.sandbox import FAULTS

#: A fault of the way to CircleCI, not of CircleCI: no connection is made.
REFUSED = "refused"
#: Somebody pushes just before the trigger is acted on; the sandbox's own fault for it makes the commit up.
PUSHED = "moved"
#: Arguments of each fault; the empty one is none.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(FAULTS, ("",)),
    "late": ("5", "59", "61", "121", "150"),
    "create-late": ("5", "30", "59", "61", "100", "300"),
    "late-after-create": ("59", "61", "121"),
    "429": ("", "1", "20", "90"),
    "429-date": ("1", "20", "90"),
    "status": tuple(f"{code}:so it is" for code in (200, 201, 202, 400, 401, 403, 404, 409, 410, 422)),
    "redirect": ("301:/elsewhere", "302:http://127.0.0.1:1/", "307:/api/v2/me"),
    "errored": ("", "Unexpected argument(s): go"),
    "ends": ("failed", "canceled", "on_hold", "error", "not_run", "failing", "queued", "running"),
    "lag": ("3", "15", "60"),
    "siblings": ("1:failed", "1:running", "1:canceled", "1:infrastructure_fail", "1:queued"),
}
#: What only a request that creates something can meet.
OF_TRIGGERS = ("skip", "message", "errored", "no-workflow", PUSHED, "unauthorized", "ends", "lag", "setup")
FOR_TRIGGERS = (REFUSED, *(name for name in FAULTS if name != "siblings"), PUSHED, "close-after-create")
OF_ANY = (name for name in FAULTS if name not in ("siblings", *OF_TRIGGERS) and "create" not in name)
FOR_OTHERS = (REFUSED, *OF_ANY, "late-after-create", "close-after-create")


def trouble(chance: Random, *, is_trigger: bool, is_job: bool) -> str:
    names = FOR_TRIGGERS if is_trigger else (*FOR_OTHERS, "siblings") if is_job else FOR_OTHERS
    name = chance.choice(names)
    argument = chance.choice(ARGUMENTS.get(name, ("",)))
    return f"{name}:{argument}" if argument else name

"""The commands: each gives its use case what it needs."""

import os
from functools import partial
from typing import TYPE_CHECKING, Final

from deploystep.adapters import files as disk
from deploystep.app.options import RULES, Options
from deploystep.app.report import Report
from deploystep.app.run import gate, run
from deploystep.cli import args
from deploystep.cli.services import CONFIG, HERE, Services
from deploystep.core.errors import EnvironmentInvalid, UsageError
from deploystep.core.frozen import replace
from deploystep.core.times import zone

if TYPE_CHECKING:
    from deploystep.project.config import Config


def dispatch(options: Options, services: Services, report: Report) -> bool:
    """Carry out one command; whether its report is still to be shown. Raises ToolError and Interrupted."""
    match options.command:
        case "run" | "plan":
            if options.cancel_on_interrupt and options.wait is None:
                name = options.written("cancel_on_interrupt")
                services.console.warning(f"{name} cancels nothing without --wait: a deploy is not followed then")
            run(options, services, report)
            if options.command == "plan" and report.triggers:
                _foretell(services.config(), services, report)
        case "doctor":
            from deploystep.app.doctor import examine  # noqa: PLC0415 - a deploy needs none of it

            git = services.repository
            examine(services, (git.version(), git.origin(), bool(git.is_shallow())), services.project, report)
        case "schema":
            from deploystep.rulefile import schema  # noqa: PLC0415 - for editors, which are in no build

            services.console.result(schema.text())
        case "sandbox":
            from deploystep.cli.sandbox import serve  # noqa: PLC0415 - a server that most runs do without

            token = services.variable(options.accept_token_env) if options.accept_token_env else None
            serve(options, token, services.repository, services.console, services.clock)
        case "completion":
            for line in [args.SCRIPTS[options.shell]] if options.shell else args.candidates(options.execute):
                services.console.result(line)
        case "migrate":
            from deploystep.adapters.tree import ProjectTree  # noqa: PLC0415 - a deploy needs none of it
            from deploystep.app.migrate import migrate  # noqa: PLC0415 - as above
            from deploystep.migrate.plan import plan  # noqa: PLC0415 - as above

            tree = ProjectTree(HERE, options.path, options.rules, services.repository)
            found = plan(tree.configs(), tree.rule_file(), tree.rule_path, tree.read, tree.own)
            migrate(options, found, partial(tree.write, is_forced=options.force), report, services.console.warning)
        case command:
            _OTHERS[command](options, services, report)
    return options.command not in ("schema", "sandbox", "completion") and options.explain is None


def _foretell(config: "Config | None", services: Services, report: Report) -> None:
    """What each trigger would start in this project, as far as its config tells."""
    from deploystep.project.config import would_run  # noqa: PLC0415 - a deploy needs none of it

    for entry in report.triggers:
        if config is not None and entry.spec.project == services.build.project and entry.spec.job is None:
            entry.would_run = would_run(config, entry.spec.ref, entry.spec.parameters)


def _check(options: Options, services: Services, report: Report) -> None:
    if options.explain is None:
        from deploystep.app.check import check  # noqa: PLC0415 - a deploy needs none of it

        check(services.source, services.project, report, is_strict=options.strict)
    else:
        from deploystep.core.codes import CODES, explained  # noqa: PLC0415 - for who asks

        code = options.explain.upper()
        if code not in CODES:
            raise UsageError("usage", f"--explain: there is no code {code!r}", "write for example --explain P01")
        services.console.result(explained(code))


def _test(options: Options, services: Services, report: Report) -> None:
    from deploystep.app.check import try_cases  # noqa: PLC0415 - a deploy needs none of it
    from deploystep.render.findings import tried  # noqa: PLC0415 - as above

    try:
        try_cases(services.source, report, with_coverage=options.coverage)
    finally:  # the file of results tells what is wrong too
        if options.junit is not None and report.source is not None:
            disk.write_text(HERE / options.junit, tried(report), options.written("junit"))


def _matrix(options: Options, services: Services, report: Report) -> None:
    from deploystep.adapters.history import GitHistory  # noqa: PLC0415 - a deploy needs none of it
    from deploystep.app import matrix  # noqa: PLC0415 - as above
    from deploystep.rulefile.load import load  # noqa: PLC0415 - as above

    rules, git = load(services.source), services.repository
    branches = git.refs("refs/remotes/origin") or git.refs("refs/heads")
    refs, now = {"branch": branches, "tag": git.refs("refs/tags")}, services.now(zone(rules.timezone))
    report.source = rules.source
    report.matrix = matrix.make(rules, refs, partial(GitHistory, git), services.config(), now or services.clock.now())
    if options.html is not None:
        from deploystep.render.pages import matrix_page  # noqa: PLC0415 - as above

        page = matrix_page(report.matrix, rules.source.path, services.console.masked)
        disk.write_text(HERE / options.html, page, options.written("html"))


def _init(options: Options, services: Services, report: Report) -> None:
    from shlex import quote  # noqa: PLC0415 - as above

    from deploystep.app.check import check  # noqa: PLC0415 - as above
    from deploystep.app.init import Clone, Start  # noqa: PLC0415 - as above
    from deploystep.project.wiring import Project  # noqa: PLC0415 - as above

    places, place = disk.up_to_root(HERE), options.rules
    if places is None:
        what = f"{HERE.absolute()} is in no git clone, in whose .circleci the rule file belongs"
        raise EnvironmentInvalid("not-in-a-clone", what, "make it one with  git init , or go into yours")
    if places[-1]:  # from now on all paths are seen from the root of the clone
        place = place if place == RULES else disk.from_root(place, HERE)
        services.console.info(f"paths are from the root of the clone: {places[-1]}")
        os.chdir(places[-1])
    git, origin, files = services.repository, services.repository.origin(), services.repository.files() or ()
    project = "/".join(git.describe().get("CIRCLE_REPOSITORY_URL", "").split("/")[3:]) or None
    tags, is_gitlab = tuple(name for name, _ in git.refs("refs/tags")), "gitlab" in (origin.host if origin else "")
    config, named = disk.read_config(CONFIG, HERE, is_named=False), "" if place == RULES else f" --rules {quote(place)}"
    read = disk.repository_reader(HERE, files)
    found = Start(Clone(project, git.default_branch(), tags, CONFIG, config, is_gitlab, named), read)
    disk.create_text(place, HERE, found.rules, options.written("rules"))
    report.start = found
    # decide as `plan` does for what the rules name
    services.options = replace(options, command="plan", rules=place, branch=found.branch, tag=found.tag)
    check(services.source, lambda: Project(found.config, {}, files, read), report, is_strict=False)
    if git.resolve("HEAD") is not None:
        run(services.options, services, report)
        _foretell(found.config, services, report)


_OTHERS: Final = {"gate": gate, "check": _check, "test": _test, "matrix": _matrix, "init": _init}

"""The commands: each gives its use case what it needs."""

from functools import partial
from shlex import quote
from typing import TYPE_CHECKING, Final

from deploystep.app.options import RULES, Options
from deploystep.app.report import Report
from deploystep.app.run import run
from deploystep.cli.services import CONFIG, HERE, Services
from deploystep.core.errors import RuleFileInvalid, UsageError
from deploystep.core.times import zone

if TYPE_CHECKING:
    from deploystep.project.config import Config
    from deploystep.project.wiring import Project


def dispatch(options: Options, services: Services, report: Report) -> bool:
    """Carry out one command; whether its report is still to be shown. Raises ToolError and Interrupted."""
    if options.command in _OTHERS:
        return _OTHERS[options.command](options, services, report)
    if options.cancel_on_interrupt and options.wait is None:
        name = options.written("cancel_on_interrupt")
        services.console.warning(f"{name} cancels nothing without --wait: a deploy is not followed then")
    run(options, services, report)
    if options.command == "plan" and report.triggers:
        _foretell(services.config(), services, report)
    return True


def _gate(options: Options, services: Services, report: Report) -> bool:
    from deploystep.app.gate import gate  # noqa: PLC0415 - most steps trigger

    gate(options, services, report)
    return True


def _foretell(config: "Config | None", services: Services, report: Report) -> None:
    """What each trigger would start in this project, as far as its config tells."""
    from deploystep.project.would_run import would_run  # noqa: PLC0415 - a deploy needs none of it

    for entry in report.triggers:
        if config is not None and entry.spec.project == services.build.project and entry.spec.job is None:
            entry.would_run = would_run(config, entry.spec.ref, entry.spec.parameters)


def _check(options: Options, services: Services, report: Report) -> bool:
    if options.explain is not None:
        from deploystep.core.codes import explained  # noqa: PLC0415 - for who asks

        services.console.result(explained(options.explain))
        return False
    from deploystep.app.check import check  # noqa: PLC0415 - a deploy needs none of it

    check(services.source, partial(_project, options, services), report, is_strict=options.strict)
    return True


def _test(options: Options, services: Services, report: Report) -> bool:
    from deploystep.adapters.files import write_text  # noqa: PLC0415 - a deploy needs none of it
    from deploystep.app.cases import try_cases  # noqa: PLC0415 - as above
    from deploystep.render import junit  # noqa: PLC0415 - as above

    try:
        try_cases(services.source, report, with_coverage=options.coverage)
    except RuleFileInvalid as error:
        report.fail(error)  # the file of results tells it too
    if options.junit is not None and report.source is not None:
        write_text(HERE / options.junit, junit.render(report), options.written("junit"))
    return True


def _matrix(options: Options, services: Services, report: Report) -> bool:
    from deploystep.adapters.files import write_text  # noqa: PLC0415 - a deploy needs none of it
    from deploystep.adapters.history import GitHistory  # noqa: PLC0415 - as above
    from deploystep.app import matrix  # noqa: PLC0415 - as above
    from deploystep.rulefile.load import load  # noqa: PLC0415 - as above

    rules, repository = load(services.source), services.repository
    branches = repository.refs("refs/remotes/origin") or repository.refs("refs/heads")
    project = matrix.Project(branches, repository.refs("refs/tags"), partial(GitHistory, repository), services.config())
    report.source = rules.source
    report.matrix = matrix.make(rules, project, services.now(zone(rules.timezone)) or services.clock.now())
    if options.html is not None:
        from deploystep.render.pages import matrix_page  # noqa: PLC0415 - as above

        page = matrix_page(report.matrix, rules.source.path, services.console.masked)
        write_text(HERE / options.html, page, options.written("html"))
    return True


def _schema(_options: Options, services: Services, _report: Report) -> bool:
    from deploystep.rulefile import schema  # noqa: PLC0415 - for editors, which are in no build

    services.console.result(schema.text())
    return False


def _sandbox(options: Options, services: Services, _report: Report) -> bool:
    from deploystep.cli.sandbox import serve  # noqa: PLC0415 - a server that most runs do without

    token = services.variable(options.accept_token_env) if options.accept_token_env else None
    serve(options, token, services.repository, services.console, services.clock)
    return False


def _init(options: Options, services: Services, report: Report) -> bool:
    from deploystep.adapters.files import create_text, read_config, repository_reader  # noqa: PLC0415 - as above
    from deploystep.app.check import check  # noqa: PLC0415 - as above
    from deploystep.app.init import Clone, start  # noqa: PLC0415 - as above
    from deploystep.project.wiring import Project  # noqa: PLC0415 - as above

    place = services.go_to_root()
    git = services.repository
    project, files, origin = git.describe(), git.files() or (), git.origin()
    names = [project.get(f"CIRCLE_PROJECT_{part}NAME") for part in ("USER", "REPO")]
    clone = Clone(
        project="/".join(name for name in names if name) or None,
        branch=git.default_branch(),
        tags=tuple(name for name, _ in git.refs("refs/tags")),
        config_path=CONFIG,
        config=read_config(CONFIG, HERE, is_named=False),
        is_gitlab="gitlab" in (origin.host if origin else ""),
        options="" if place == RULES else f" --rules {quote(place)}",
    )
    read = repository_reader(HERE, files)
    found = start(clone, read)
    create_text(place, HERE, found.rules, options.written("rules"))
    report.start = found
    check(services.source, lambda: Project(found.config, {}, files, read), report, is_strict=False)
    if git.resolve("HEAD") is not None:
        run(services.as_plan(found.branch, found.tag), services, report)
        _foretell(found.config, services, report)
    return True


def _doctor(options: Options, services: Services, report: Report) -> bool:
    from deploystep.app.doctor import Clone, examine  # noqa: PLC0415 - as above

    git = services.repository
    clone = Clone(git.version(), git.is_shallow(), git.origin())
    examine(services, clone, partial(_project, options, services), report)
    return True


def _migrate(options: Options, services: Services, report: Report) -> bool:
    from deploystep.adapters.tree import ProjectTree  # noqa: PLC0415 - a deploy needs none of it
    from deploystep.app.migrate import migrate  # noqa: PLC0415 - as above

    tree = ProjectTree(HERE, options.path, options.rules, services.repository)
    migrate(options, tree, report, services.console.warning)
    return True


def _completion(options: Options, services: Services, _report: Report) -> bool:
    from deploystep.cli.completion import script  # noqa: PLC0415 - for shells, once

    if options.shell is None:
        raise UsageError("usage", "completion: no SHELL is named", "write for example  deploystep completion bash")
    services.console.result(script(options.shell))
    return False


_OTHERS: Final = {
    "gate": _gate, "check": _check, "test": _test, "matrix": _matrix, "init": _init, "doctor": _doctor,
    "migrate": _migrate, "schema": _schema, "sandbox": _sandbox, "completion": _completion,
}  # fmt: skip


def _project(options: Options, services: Services) -> "Project":
    """The configs that rules are compared with, and the files of the clone."""
    from deploystep.adapters.files import repository_reader  # noqa: PLC0415 - a deploy needs none of it
    from deploystep.project.wiring import Project  # noqa: PLC0415 - as above

    named = {}  # `FILE` is this project's config, `TARGET=FILE` that of a target
    for text in options.config:
        target, equals, path = text.partition("=")
        named[target if equals else ""] = path if equals else text
    own = _config(named.get("", CONFIG), services, is_named="" in named)
    others = {name: path for name, path in named.items() if name}
    targets = {name: found for name, path in others.items() if (found := _config(path, services, is_named=True))}
    files = services.repository.files()
    return Project(own, targets, files, repository_reader(HERE, files))


def _config(path: str, services: Services, *, is_named: bool) -> "Config | None":
    """A config; where there is nothing to compare with, that is said."""
    config = services.config(path, is_named=is_named)
    if config is not None and config.setup:
        services.console.warning(f"{path}:{config.setup}: a setup config: what continues it is not compared with")
    return config

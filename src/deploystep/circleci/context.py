"""What a trigger is about: what its requests are made from, and what messages about it mention."""

from deploystep.circleci.http import segment
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.frozen import dataclass
from deploystep.core.rules import ApiVersion


@dataclass(frozen=True, slots=True)
class TriggerContext:
    """One rule's trigger: its project and ref, and the API. `app` is the web application's address.

    `project_id` is the project's UUID, where the build knows it: API v3 has no slugs.
    """

    rule: str
    project: ProjectSlug
    ref: Branch | Tag
    api: ApiVersion
    host: str
    app: str
    token_name: str
    has_parameters: bool
    project_id: str | None = None

    def run_url(self, number: int | None) -> str:
        """The web page of a run (by API v1.1: of a job); without its number, of the list that it is in."""
        if self.api is ApiVersion.V1_1 and number is not None:
            return f"{self.host}/{self.project}/{number}"
        return self.list_url if number is None else f"{self.app}/pipelines/{self.project}/{number}"

    @property
    def list_url(self) -> str:
        """The web page that lists the runs of this project's branch."""
        branch = f"?branch={segment(self.ref.name)}" if isinstance(self.ref, Branch) else ""
        return f"{self.app}/pipelines/{self.project}{branch}"

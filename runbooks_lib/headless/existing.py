"""What a release tells that is there already: the parameters that would make it, and who made its revisions."""

from pydantic import ValidationError

from runbooks_lib.errors import UsageError
from runbooks_lib.parameters import Parameters, load
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.existing import parameters_of
from runbooks_lib.run import Run

#: What a file must have; nothing of it is looked at here.
_REST = {
    "chart": {"path": "."},
    "csghub": {"external_url": "https://csghub.example.com"},
    "gateway": {"domain": "example.com"},
}


def from_release(target: dict[str, str], *, helm: str, repository: str) -> str:
    """The text of a parameters file; see :func:`runbooks_lib.release.existing.parameters_of`.

    Args:
        target: ``kubeconfig``, ``context``, ``namespace`` and ``release``; the first two may be empty.

    Raises:
        UsageError: A name can't be one.
        RunbookError: The cluster can't be reached, or there is no such release.
    """
    try:
        settings = Parameters.model_validate({**_REST, "target": target, "helm": {"executable": helm}})
    except ValidationError as error:
        wrong = error.errors()[0]
        said = f"{'.'.join(map(str, wrong['loc']))} {wrong['msg'].removeprefix('Value error, ')}."
        raise UsageError(said, next_step="`helm list -A` shows the releases and their namespaces.") from error
    return parameters_of(Run.looking(settings, Redactor()).boundaries, repository=repository)


def history(parameters_file: str) -> list[tuple[int, str]]:
    """The number of each revision that Helm still has of a target's release, and its description.

    Raises:
        ParametersError: The file can't be used.
        RunbookError: The cluster can't be reached, or is not the pinned one.
    """
    boundaries = Run.looking(load(parameters_file), Redactor()).boundaries
    boundaries.require_pin()
    return [(each.revision, each.description) for each in boundaries.helm.history(boundaries.release)]

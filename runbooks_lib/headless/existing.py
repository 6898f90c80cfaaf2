"""A parameters file of a release that is there already, for ``runbooks parameters from-release``."""

from pydantic import ValidationError

from runbooks_lib.errors import UsageError
from runbooks_lib.parameters import Parameters
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

"""How a container reaches a service, or is reached as one: what it is really given, looked up in the cluster."""

from runbooks_lib.cluster import commands
from runbooks_lib.cluster.environment import Read, environment, from_files
from runbooks_lib.parameters.components import Access, Component, Login
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.passwords import learn_secret
from runbooks_lib.results import Json


def access_of(
    boundaries: Boundaries,
    container: Json,
    pod: Json,
    component: Component | None,
    login: Login,
    given: Read | None = None,
) -> Access:
    """What a container is given for a login of its component; the redactor knows every secret in it before this returns.

    Args:
        pod: The pod, or a workload's template.
        given: Reads what it refers to; the cluster's, when left out.

    Raises:
        Missing: Something that it refers to is not there, so that it can't start.
        ValueError: It is given nonsense.
    """

    def looked_up(kind: str, name: str) -> Json | None:
        found = boundaries.cluster.get("v1", kind, name, boundaries.namespace)
        if found is not None and kind == "Secret":
            learn_secret(boundaries.redactor, found)
        return found

    look_up = given or looked_up
    variables = environment(container, pod, look_up)
    if component and login is component.itself:
        names = filter(None, (login.user, login.password, login.database))
        variables |= from_files(names, variables, container, pod, look_up)
    access = login.read(variables)
    if login.password_option:
        words = commands.words(command_of(container), variables)
        option = commands.option(words, login.password_option)
        access = access.model_copy(update={"password": option or access.password})
    boundaries.redactor.register(access.password, f"{container['name']}#{login.password or login.url}")
    return access


def command_of(container: Json) -> list[str]:
    """A container's command and its arguments, as the chart has them."""
    return [str(word) for key in ("command", "args") for word in container.get(key) or ()]

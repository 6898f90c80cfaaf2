"""What the product is made of: the rows of components.yaml. No other module branches on their names."""

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from runbooks_lib.tables import table

#: Where a protocol is spoken when nothing else is said.
PORTS = {"postgresql": 5432, "redis": 6379, "mongodb": 27017, "http": 80}


class Row(BaseModel):
    """Plain data that nobody changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Access(Row):
    """How a container reaches a service: what its variables say. The host is empty when they name none.

    ``sslmode`` is PostgreSQL's word for how much TLS is asked for; empty: its clients' own, ``prefer``. ``commands`` are
    examples of all that the client does there, where that is known.
    """

    host: str = ""
    port: int = 0
    user: str = ""
    password: str = Field(default="", repr=False)
    database: str = ""
    sslmode: str = ""
    commands: tuple[str, ...] = ()


class Login(Row):
    """The variables in which a container finds a service; ``url`` is one that holds all of it.

    ``password_option`` is an option of its command that stands above the variable.
    """

    protocol: str
    host: str = ""
    port: str = ""
    user: str = ""
    password: str = ""
    database: str = ""
    sslmode: str = ""
    url: str = ""
    password_option: str = ""
    commands: tuple[str, ...] = ()

    def read(self, variables: Mapping[str, str]) -> Access:
        """What the variables say; raises ValueError where they hold no address, without repeating it."""
        keys = {"host": self.host, "user": self.user, "password": self.password, "database": self.database}
        keys |= {"sslmode": self.sslmode}
        found = {name: variables.get(key, "") for name, key in keys.items()}
        port = variables.get(self.port, "")
        try:
            if self.url:
                url = urlsplit(variables.get(self.url, ""))
                host, port, database = url.hostname or "", str(url.port or ""), url.path.strip("/")
                user, password = unquote(url.username or ""), unquote(url.password or "")
                found = {"host": host, "user": user, "password": password, "database": database}
            return Access(port=int(port or PORTS[self.protocol]), commands=self.commands, **found)
        except ValueError as error:
            raise ValueError(f"{self.url or self.port} holds no address") from error


class Page(Row):
    """A page that is served, and what must stand in it.

    Attributes:
        optional: Only some versions have it.
        filled_by: A word in the command of the container, of the same image, that fills the list in it.
        empty: Whether that list may be empty.
    """

    path: str
    at: str | None = None
    equals: str = ""
    optional: bool = False
    filled_by: str = ""
    empty: bool = False


class Component(Row):
    """One row; the file says what its keys mean."""

    name: str
    images: frozenset[str]
    itself: Login
    password_key: str = ""
    public_keys: frozenset[str] = frozenset()
    creates: str = ""
    csghub: str = ""
    pages: tuple[Page, ...] = ()
    uses: tuple[Login, ...] = ()

    @property
    def values_key(self) -> str:
        """Where the chart's values speak of it."""
        return to_camel(self.name.replace("-", "_"))


COMPONENTS = tuple(map(Component.model_validate, table(__package__, "components.yaml")))


def component_of(image: str) -> Component | None:
    """The component that an image belongs to, whatever its registry, tag and digest; ``None``: it is not ours."""
    name = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return next((component for component in COMPONENTS if name in component.images), None)

"""How large the package is, and that it stays within its budget; see docs/adr/0018-room-for-proof.md."""

import sys
from pathlib import Path

import yaml
from radon.raw import analyze

#: Lines of code: of everything but the checks and the portal, of the checks for each row of their catalogue, and of the portal.
BUDGET, A_CHECK, PORTAL_BUDGET = 11_400, 50, 400
PACKAGE = Path(__file__).parent.parent / "runbooks_lib"
CHECKS, PORTAL = PACKAGE / "checks", PACKAGE / "portal"


def main() -> int:
    """Print the size; 1 above the budget."""
    sizes = {path: analyze(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    checks, portal = (
        sum(size.sloc for path, size in sizes.items() if folder in path.parents) for folder in (CHECKS, PORTAL)
    )
    core = sum(size.sloc for size in sizes.values()) - checks - portal
    rows = yaml.safe_load((CHECKS / "catalogue.yaml").read_text(encoding="utf-8"))
    number = sum(map(len, rows.values()))
    whole = sum(size.loc for size in sizes.values())
    print(f"runbooks_lib without its checks and portal has {core} of {BUDGET} lines of code.")
    print(f"Its {number} checks have {checks} of {number * A_CHECK}, {checks / number:.0f} each.")
    print(f"Its portal has {portal} of {PORTAL_BUDGET}.")
    print(f"With docstrings, comments and blank lines all of it has {whole}.")
    over = max(core - BUDGET, 0) + max(checks - number * A_CHECK, 0) + max(portal - PORTAL_BUDGET, 0)
    if over:
        print(f"Delete {over} lines: the package stays small.")
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())

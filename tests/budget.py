"""How large the package is, and that it stays within its budget; see docs/adr/0013-budget-counts-code.md."""

import sys
from pathlib import Path

from radon.raw import analyze

BUDGET = 8000
PACKAGE = Path(__file__).parent.parent / "runbooks_lib"


def main() -> int:
    """Print the size; 1 above the budget."""
    files = [analyze(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))]
    code, whole = sum(file.sloc for file in files), sum(file.loc for file in files)
    print(f"runbooks_lib has {code} of {BUDGET} lines of code ({whole} with docstrings, comments and blank lines).")
    if code > BUDGET:
        print(f"Delete {code - BUDGET} lines: the package stays small.")
    return int(code > BUDGET)


if __name__ == "__main__":
    sys.exit(main())

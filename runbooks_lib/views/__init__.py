"""What people see: tables, plans and the approval button. The only importer of pandas and ipywidgets."""

from runbooks_lib.views.forms import ask, told
from runbooks_lib.views.tables import frame, show

__all__ = ["ask", "frame", "show", "told"]

"""What a result looks like: its page, its figures as values, and files of them for a paper."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from ..pages.drawing import draw as draw
    from .files import rebuild as rebuild
    from .files import render as render
    from .files import render_page as render_page
    from .files import write as write
    from .files import write_report as write_report
    from .files import write_study as write_study
    from .for_papers import export as export
    from .kinds import figures as figures
    from .metric_rows import only as only

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".pages.drawing": "draw",
        "for_papers": "export",
        "files": "rebuild render render_page write write_report write_study",
        "kinds": "figures",
        "metric_rows": "only",
    },
)

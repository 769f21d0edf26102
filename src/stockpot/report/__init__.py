"""Figures, one function a result, drawn on the caller's axes; and the page that holds them all."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from ..pages.svg import save_figure as save_figure
    from .attempts import plot_attempts as plot_attempts
    from .attempts import plot_fields as plot_fields
    from .confusions import plot_confusion as plot_confusion
    from .costs import plot_cost as plot_cost
    from .curves import plot_gap as plot_gap
    from .curves import plot_quality as plot_quality
    from .decisions import plot_decisions as plot_decisions
    from .dispersion import plot_scales as plot_scales
    from .figures import plot_comparison as plot_comparison
    from .files import rebuild as rebuild
    from .files import render as render
    from .files import render_page as render_page
    from .files import write as write
    from .files import write_report as write_report
    from .files import write_study as write_study
    from .metric_rows import only as only
    from .shifts import plot_part_gaps as plot_part_gaps
    from .shifts import plot_parts as plot_parts
    from .sweeps import plot_data_sets as plot_data_sets
    from .sweeps import plot_networks as plot_networks

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".pages.svg": "save_figure",
        "attempts": "plot_attempts plot_fields",
        "confusions": "plot_confusion",
        "costs": "plot_cost",
        "curves": "plot_gap plot_quality",
        "decisions": "plot_decisions",
        "dispersion": "plot_scales",
        "figures": "plot_comparison",
        "files": "rebuild render render_page write write_report write_study",
        "metric_rows": "only",
        "shifts": "plot_part_gaps plot_parts",
        "sweeps": "plot_data_sets plot_networks",
    },
)

"""Figures, one function a result, drawn on the caller's axes; and the page that holds them all."""

from .attempts import plot_attempts as plot_attempts
from .attempts import plot_fields as plot_fields
from .confusions import plot_confusion as plot_confusion
from .costs import plot_cost as plot_cost
from .curves import plot_gap as plot_gap
from .curves import plot_quality as plot_quality
from .decisions import plot_decisions as plot_decisions
from .dispersion import plot_scales as plot_scales
from .figures import plot_comparison as plot_comparison
from .interference import plot_interference as plot_interference
from .interference import plot_overlap as plot_overlap
from .interference import plot_residual as plot_residual
from .interference import plot_spectra as plot_spectra
from .page import render_page as render_page
from .page import write_report as write_report
from .parts import plot_part_gaps as plot_part_gaps
from .parts import plot_parts as plot_parts
from .studies import render_study as render_study
from .studies import write_study as write_study
from .svg import save_figure as save_figure
from .sweeps import plot_data_sets as plot_data_sets
from .sweeps import plot_networks as plot_networks
from .view import only as only

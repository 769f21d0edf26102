"""Figures: one function a result, drawn on the caller's axes."""

from .figures import plot_comparison as plot_comparison
from .figures import save_figure as save_figure

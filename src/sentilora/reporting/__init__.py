"""Showing what was measured: one HTML file that needs nothing else. Needs the extra `report`."""

from sentilora.reporting.page import report_page

__all__ = ["report_page"]

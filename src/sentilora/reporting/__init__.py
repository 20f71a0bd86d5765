"""Showing what was measured: HTML files that need nothing else. Needs the extra `report`."""

from sentilora.reporting.insights import insights_page
from sentilora.reporting.page import report_page

__all__ = ["insights_page", "report_page"]

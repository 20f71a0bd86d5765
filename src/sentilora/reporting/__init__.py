"""Showing what was measured: model cards and publishing, and pages of one HTML file, which need the extra `report`."""

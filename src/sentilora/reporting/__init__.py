"""Showing what was measured: model cards and publishing, and pages of one HTML file, which need the extra `report`."""

from sentilora.errors import MissingExtraError


def require_reporting() -> None:
    """Say before long work whether the pages can be made at its end.

    Raises:
        MissingExtraError: The extra `report` is not installed.
    """
    try:
        import sentilora.reporting.plots  # noqa: PLC0415 - slow to import, as its like
        import sentilora.reporting.templates  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "report") from None

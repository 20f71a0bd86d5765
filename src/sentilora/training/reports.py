"""Where a training is reported to besides its log: the trackers that Transformers knows."""

from __future__ import annotations

from collections.abc import Sequence

from transformers.integrations import get_reporting_integration_callbacks, integration_utils

from sentilora.errors import ConfigError

_ALL_OR_NONE = ("all", "none")  # of those that are installed
# Module and package of the trackers that are not called so.
_CALLED = {
    "azure_ml": ("azureml", "azureml-sdk"),
    "comet_ml": ("comet", "comet-ml"),
    "flyte": ("flytekit", "flytekit"),
}


def refuse_absent(report_to: Sequence[str]) -> None:
    """Make sure that the Trainer, which is built after the data are read, will find each tracker.

    Raises:
        ConfigError: Transformers does not know one, or its package is not installed.
    """
    for name in report_to:
        if len(report_to) == 1 and name in _ALL_OR_NONE:
            continue
        try:
            get_reporting_integration_callbacks([name])
        except ValueError as error:  # which names those that are known
            raise ConfigError(f"setting 'report_to': {str(error).rstrip('.')}") from None
        module, package = _CALLED.get(name, (name, name))
        if not getattr(integration_utils, f"is_{module}_available")():
            raise ConfigError(f"setting 'report_to': {name} is not installed: run pip install {package}")

"""From an adapter to a folder that answers without PyTorch, each step behind a gate."""

from sentilora.export.exporting import Exported, export

__all__ = ["Exported", "export"]

"""HTTP over the engine: the dialects people already use, adapters at run time, and a web page."""

from sentilora.serving.app import create_app
from sentilora.serving.server import serve
from sentilora.serving.settings import ServingSettings

__all__ = ["ServingSettings", "create_app", "serve"]

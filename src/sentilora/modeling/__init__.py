"""The torch wing's ground: the base, the LoRA attachment, and saving, loading and merging adapters."""

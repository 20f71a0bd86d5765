"""DistilBERT over texts packed end to end: no padding, attention inside each text only, the last layer only where read.

The weights, the adapters and the dropouts are those of the Transformers (and PEFT) modules; only the order of the work
is ours. `docs/performance.md` has what each part of it gains over Transformers' own forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Optional, cast

import torch
import torch.nn.functional as F  # noqa: N812 - as PyTorch's users call it
from peft import PeftModel, PeftType
from peft.tuners.lora import Linear as LoraLayer
from torch import Tensor, nn
from transformers import DistilBertForSequenceClassification


def packable(model: nn.Module) -> bool:
    """Whether `PackedDistilBert` computes what `model` computes."""
    classifier = _without_peft(model)
    if not isinstance(classifier, DistilBertForSequenceClassification):
        return False
    if isinstance(model, PeftModel) and any(each.peft_type != PeftType.LORA for each in model.peft_config.values()):
        return False
    linear = [layer for block in classifier.distilbert.transformer.layer for layer in _linear_layers(block)]
    return all(type(layer) is nn.Linear or _is_plain_lora(layer) for layer in linear)


class PackedEncoder:
    """Hidden states of a DistilBERT encoder, differentiable in what is trained.

    Args:
        encoder: A Transformers `DistilBertModel`, perhaps with LoRA layers in it. Stays the owner of the parameters;
            whether dropouts are on follows its `training`.
        dtype: Of weights and activations: float32 or bfloat16. Embeddings and LoRA parameters stay float32.
        trained: Whether the encoder's own weights are trained. Where they are not, they must not change after
            construction: they are held here once, in `dtype`.
    """

    def __init__(self, encoder: Any, dtype: torch.dtype, trained: bool = False) -> None:
        self.encoder = encoder
        self.dtype = dtype
        self._blocks = [_Block(block, dtype, trained) for block in encoder.transformer.layer]

    def __call__(self, token_ids: Sequence[Sequence[int]], asked: Sequence[Sequence[int]]) -> Tensor:
        """The last layer's output for some tokens of each text.

        Args:
            token_ids: Of n texts, each 1 to `max_position_embeddings` ids.
            asked: Positions in each text, at least one; m in all.

        Returns:
            float32 [m, dim], text after text.
        """
        lengths = [len(ids) for ids in token_ids]
        device = self.encoder.device
        ids = torch.tensor([token for text in token_ids for token in text], device=device)
        positions = torch.cat([torch.arange(length, device=device) for length in lengths])
        starts = accumulate(lengths, initial=0)
        rows = torch.tensor([start + place for start, places in zip(starts, asked) for place in places], device=device)

        embeddings = self.encoder.embeddings  # which takes no positions before Transformers 5
        embedded = embeddings.word_embeddings(ids) + embeddings.position_embeddings(positions)
        hidden: Tensor = embeddings.dropout(embeddings.LayerNorm(embedded)).to(self.dtype)
        for block in self._blocks[:-1]:
            hidden = block(hidden, hidden, lengths, lengths)
        answers: Tensor = self._blocks[-1](hidden.index_select(0, rows), hidden, [len(each) for each in asked], lengths)
        return answers.float()


class PackedDistilBert:
    """Logits of a (PEFT) DistilBERT classifier, differentiable in what the adapter trains.

    Args:
        model: As `PackedEncoder` takes its encoder.
        dtype: Of the encoder; the head stays float32.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        self.classifier = cast(Any, _without_peft(model))
        self.encoder = PackedEncoder(self.classifier.distilbert, dtype)

    def __call__(self, token_ids: Sequence[Sequence[int]]) -> Tensor:
        """The logits of encoded texts: n texts of 1 to `max_position_embeddings` ids give float32 [n, labels]."""
        head = self.classifier
        answers = self.encoder(token_ids, [[0]] * len(token_ids))
        logits: Tensor = head.classifier(head.dropout(F.relu(head.pre_classifier(answers))))
        return logits


class PackedMaskedLM:
    """Logits of a `DistilBertForMaskedLM` for chosen tokens only, differentiable in every parameter.

    Args:
        model: As `PackedEncoder` takes its encoder.
        dtype: Of the encoder and the head.
    """

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32) -> None:
        self.model = model
        self.dtype = dtype
        self.encoder = PackedEncoder(model.distilbert, dtype, trained=True)
        self._transform = _Linear(model.vocab_transform, dtype, trained=True)
        self._norm = _Norm(model.vocab_layer_norm, dtype, trained=True)
        self._projector = _Linear(model.vocab_projector, dtype, trained=True)

    def __call__(self, token_ids: Sequence[Sequence[int]], asked: Sequence[Sequence[int]]) -> Tensor:
        """The logits of m tokens, arguments as `PackedEncoder` takes them: float32 [m, vocabulary]."""
        answers = self.encoder(token_ids, asked).to(self.dtype)
        return self._projector(self._norm(self.model.activation(self._transform(answers)))).float()


class _Block:
    """One transformer layer."""

    def __init__(self, block: Any, dtype: torch.dtype, trained: bool) -> None:
        self.query, self.key, self.value, self.out, self.lin1, self.lin2 = (
            _Linear(layer, dtype, trained) for layer in _linear_layers(block)
        )
        self.attention = block.attention
        self.attention_norm = _Norm(block.sa_layer_norm, dtype, trained)
        self.ffn = block.ffn
        self.output_norm = _Norm(block.output_layer_norm, dtype, trained)

    def __call__(self, asking: Tensor, hidden: Tensor, asking_lengths: list[int], lengths: list[int]) -> Tensor:
        """The layer's output for the rows of `asking`, [m, dim], which attend to the rows of `hidden`, [tokens, dim].

        Rows of text i are `lengths[i]` of `hidden` and `asking_lengths[i]` of `asking`.
        """
        heads = (-1, self.attention.n_heads, asking.shape[1] // self.attention.n_heads)
        dropout = self.attention.dropout.p if self.attention.training else 0.0
        texts = zip(
            self.query(asking).view(heads).transpose(0, 1).split_with_sizes(asking_lengths, dim=1),
            self.key(hidden).view(heads).transpose(0, 1).split_with_sizes(lengths, dim=1),
            self.value(hidden).view(heads).transpose(0, 1).split_with_sizes(lengths, dim=1),
        )
        attended = torch.cat([_attention(*text, dropout).transpose(0, 1) for text in texts]).reshape(asking.shape)
        attended = self.attention_norm(self.out(attended) + asking)
        expanded = self.lin2(self.ffn.activation(self.lin1(attended)))
        return self.output_norm(self.ffn.dropout(expanded) + attended)


def _attention(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
    """Attention of one text's queries, [heads, m, size], to its keys and values, [heads, n, size]."""
    if query.dtype is torch.bfloat16 and query.device.type == "cpu" and dropout == 0:
        output: Tensor = _PlainAttention.apply(query, key, value)  # type: ignore[no-untyped-call]
        return output
    return F.scaled_dot_product_attention(query[None], key[None], value[None], dropout_p=dropout)[0]


class _PlainAttention(torch.autograd.Function):
    """Attention as matrix products: in bfloat16 PyTorch's flash attention for CPUs has a backward pass half as fast."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        weights = (torch.bmm(query, key.transpose(1, 2)) * query.shape[-1] ** -0.5).softmax(-1)
        ctx.save_for_backward(query, key, value, weights)
        return torch.bmm(weights, value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        query, key, value, weights = ctx.saved_tensors
        to_weights = torch.bmm(gradient, value.transpose(1, 2))
        to_scores = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype) * query.shape[-1] ** -0.5
        to_query, to_key = torch.bmm(to_scores, key), torch.bmm(to_scores.transpose(1, 2), query)
        return to_query, to_key, torch.bmm(weights.transpose(1, 2), gradient)


class _Affine:
    """A layer's weight and bias in the dtype computed in: frozen ones cast once, trained ones in each pass."""

    def __init__(self, layer: Any, dtype: torch.dtype, trained: bool) -> None:
        self._layer, self._dtype = layer, dtype
        self._frozen = None if trained else (layer.weight.detach().to(dtype), layer.bias.detach().to(dtype))

    def __call__(self) -> tuple[Tensor, Tensor]:
        return self._frozen or (self._layer.weight.to(self._dtype), self._layer.bias.to(self._dtype))


class _Norm:
    """A layer normalisation."""

    def __init__(self, norm: nn.LayerNorm, dtype: torch.dtype, trained: bool) -> None:
        self.affine = _Affine(norm, dtype, trained)
        self.shape, self.eps = norm.normalized_shape, norm.eps

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.shape, *self.affine(), self.eps)


class _Linear:
    """A linear layer with, perhaps, a low-rank update in training."""

    def __init__(self, layer: Any, dtype: torch.dtype, trained: bool) -> None:
        self.affine = _Affine(getattr(layer, "base_layer", layer), dtype, trained)
        self.lora: Any = layer if isinstance(layer, LoraLayer) else None

    def __call__(self, x: Tensor) -> Tensor:
        weight, bias = self.affine()
        if self.lora is None or self.lora.disable_adapters:
            return F.linear(x, weight, bias)
        (name,) = self.lora.active_adapters
        dropout = self.lora.lora_dropout[name]
        dropped = dropout(x) if isinstance(dropout, nn.Dropout) and dropout.training else None
        down, up = self.lora.lora_A[name].weight, self.lora.lora_B[name].weight * self.lora.scaling[name]
        output: Tensor = _LowRankUpdated.apply(x, dropped, weight, bias, down, up)  # type: ignore[no-untyped-call]
        return output


class _LowRankUpdated(torch.autograd.Function):
    """`x weight' + bias + dropped down' up'`: LoRA (Hu et al., 2021, section 4.1) without an intermediate of full size.

    x and dropped (x where None) [tokens, in] and weight [out, in] in one dtype; down [rank, in] and up [out, rank]
    float32. Gradients go to x, dropped, down and up.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dropped: Optional[Tensor], weight: Tensor, bias: Tensor, down: Tensor, up: Tensor
    ) -> Tensor:
        updated = x if dropped is None else dropped
        down, up = down.to(x.dtype), up.to(x.dtype)
        inner = updated @ down.t()
        ctx.save_for_backward(updated, inner, weight, down, up)
        ctx.one_input = dropped is None
        return F.linear(x, weight, bias).addmm_(inner, up.t())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        updated, inner, weight, down, up = ctx.saved_tensors
        inner_gradient = gradient @ up
        to_x = gradient @ weight if ctx.needs_input_grad[0] else None
        to_dropped = None
        if ctx.one_input and to_x is not None:
            to_x.addmm_(inner_gradient, down)
        elif ctx.needs_input_grad[1]:
            to_dropped = inner_gradient @ down
        return to_x, to_dropped, None, None, (inner_gradient.t() @ updated).float(), (gradient.t() @ inner).float()


def token_budgets(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Consecutive rows in parts of at most `tokens` tokens each; a longer row is a part of its own."""
    part: list[int] = []
    used = 0
    for row, length in enumerate(lengths):
        if part and used + length > tokens:
            yield part
            part, used = [], 0
        part.append(row)
        used += length
    if part:
        yield part


def _without_peft(model: nn.Module) -> nn.Module:
    return cast(nn.Module, model.get_base_model()) if isinstance(model, PeftModel) else model


def _linear_layers(block: Any) -> tuple[nn.Module, ...]:
    attention, ffn = block.attention, block.ffn
    return attention.q_lin, attention.k_lin, attention.v_lin, attention.out_lin, ffn.lin1, ffn.lin2


def _is_plain_lora(layer: nn.Module) -> bool:
    """One LoRA adapter as Hu et al. have it: no variant of it, no bias, not merged into the weight."""
    if type(layer) is not LoraLayer:
        return False
    lora: Any = layer
    variants = [*getattr(lora, "lora_variant", {}), *(name for name, used in lora.use_dora.items() if used)]
    return len(lora.active_adapters) == 1 and not (lora.merged or variants or any(lora.lora_bias.values()))

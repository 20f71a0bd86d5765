"""DistilBERT over texts packed end to end: no padding, attention inside each text only, the last layer only where read.

The weights, the adapters and the dropouts are those of the Transformers (and PEFT) modules; only the order of the work
is ours. `docs/performance.md` has what each part of it gains over Transformers' own forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, Optional, cast

import torch
import torch.nn.functional as F  # noqa: N812 - as PyTorch's users call it
from peft import PeftModel, PeftType
from peft.tuners.lora import Linear as LoraLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn
from transformers import DistilBertForSequenceClassification

from sentilora.modeling.dropouts import Dropouts, rate_of

_USUAL_TOKENS = 4096  # of a product that weights are laid out for
_ALIKE = 16  # tokens; attention works on texts as if they were as long as the next multiple of it
_ROWS_ALIKE = 32  # and all other products on as many rows as the next multiple of this


def packable(model: nn.Module) -> bool:
    """Whether `PackedDistilBert` computes what `model` computes."""
    classifier = _without_peft(model)
    if not isinstance(classifier, DistilBertForSequenceClassification):
        return False
    if isinstance(model, PeftModel) and any(each.peft_type != PeftType.LORA for each in model.peft_config.values()):
        return False
    if any(isinstance(module, AuxiliaryTrainingWrapper) for module in classifier.distilbert.modules()):
        return False  # a part trained whole, beside the original, which is what would be read here
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

    def __call__(
        self, token_ids: Sequence[Sequence[int]], asked: Sequence[Sequence[int]], dropouts: Dropouts
    ) -> Tensor:
        """The last layer's output for some tokens of each text.

        Args:
            token_ids: Of n texts, each 1 to `max_position_embeddings` ids.
            asked: Positions in each text, at least one; m in all.
            dropouts: What draws what is dropped.

        Returns:
            float32 [m, dim], text after text.
        """
        lengths = [len(ids) for ids in token_ids]
        filler = -sum(lengths) % _ROWS_ALIKE  # tokens of a text that nobody asks about
        device = self.encoder.device
        ids = torch.tensor([*(token for text in token_ids for token in text), *[0] * filler], device=device)
        positions = torch.tensor(
            [*(place for length in lengths for place in range(length)), *[0] * filler], device=device
        )
        if filler:
            lengths.append(filler)
        starts = accumulate(lengths, initial=0)
        rows = torch.tensor([start + place for start, places in zip(starts, asked) for place in places], device=device)

        embeddings = self.encoder.embeddings  # which takes no positions before Transformers 5
        embedded = embeddings.word_embeddings(ids) + embeddings.position_embeddings(positions)
        hidden = dropouts.on(embeddings.LayerNorm(embedded), embeddings.dropout).to(self.dtype)
        for block in self._blocks[:-1]:
            hidden = block(hidden, hidden, lengths, lengths, dropouts)
        asking = hidden.index_select(0, rows)
        answers: Tensor = self._blocks[-1](asking, hidden, [len(each) for each in asked], lengths, dropouts)
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

    def __call__(self, token_ids: Sequence[Sequence[int]], seed: Optional[int] = None) -> Tensor:
        """The logits of encoded texts, float32 [n, labels].

        Args:
            token_ids: Of n texts, each 1 to `max_position_embeddings` ids.
            seed: Of the dropouts on a CPU; None draws one from PyTorch's generator.
        """
        head, dropouts = self.classifier, Dropouts(seed)
        answers = self.encoder(token_ids, [[0]] * len(token_ids), dropouts)
        logits: Tensor = head.classifier(dropouts.on(F.relu(head.pre_classifier(answers)), head.dropout))
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
        """The logits of m tokens, float32 [m, vocabulary]; texts and positions as `PackedEncoder` takes them."""
        dropouts = Dropouts()
        answers = self.encoder(token_ids, asked, dropouts).to(self.dtype)
        transformed = self._norm(self.model.activation(self._transform(answers, dropouts)))
        return self._projector(transformed, dropouts).float()


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

    def __call__(
        self, asking: Tensor, hidden: Tensor, asking_lengths: list[int], lengths: list[int], dropouts: Dropouts
    ) -> Tensor:
        """The layer's output for the rows of `asking`, [m, dim], which attend to the rows of `hidden`, [tokens, dim].

        Rows of text i are `lengths[i]` of `hidden` and `asking_lengths[i]` of `asking`, in which the last text may have
        none.
        """
        key, value = self.key.frozen_alone, self.value.frozen_alone
        if len(asking) == len(asking_lengths) < len(hidden) and key is not None and value is not None:
            attended = self._attended_once(asking, hidden, key, value, lengths, dropouts)
        else:
            attended = self._attended(asking, hidden, asking_lengths, lengths, dropouts)
        attended = self.attention_norm(self.out(attended.reshape(asking.shape), dropouts) + asking)
        expanded = self.lin2(self.ffn.activation(self.lin1(attended, dropouts)), dropouts)
        return self.output_norm(dropouts.on(expanded, self.ffn.dropout) + attended)

    def _attended(
        self, asking: Tensor, hidden: Tensor, asking_lengths: list[int], lengths: list[int], dropouts: Dropouts
    ) -> Tensor:
        """The values that each row of `asking` attends to, [rows, heads, size]."""
        heads = (-1, self.attention.n_heads, asking.shape[1] // self.attention.n_heads)
        rate = rate_of(self.attention.dropout)
        texts = zip(
            self.query(asking, dropouts).view(heads).transpose(0, 1).split_with_sizes(asking_lengths, dim=1),
            self.key(hidden, dropouts).view(heads).transpose(0, 1).split_with_sizes(lengths, dim=1),
            self.value(hidden, dropouts).view(heads).transpose(0, 1).split_with_sizes(lengths, dim=1),
        )
        return torch.cat([_attention(*text, rate, dropouts).transpose(0, 1) for text in texts])

    def _attended_once(
        self,
        asking: Tensor,
        hidden: Tensor,
        key: _FrozenWeight,
        value: _FrozenWeight,
        lengths: list[int],
        dropouts: Dropouts,
    ) -> Tensor:
        """The same where each text has one row of `asking`: no key or value of a token need be computed for it.

        q'(W x) is (q'W) x, with W the keys' weight; their bias moves all scores alike. Values are summed up before
        their weight is applied, not after.
        """
        heads = (self.attention.n_heads, asking.shape[1] // self.attention.n_heads, -1)
        query = self.query(asking, dropouts).view(-1, *heads[:2]) * heads[1] ** -0.5
        wanted = torch.einsum("nhs,hsd->nhd", query, key.plain.view(heads))
        rate = rate_of(self.attention.dropout)
        sums, shares = [], []
        for each, text in zip(wanted, hidden.split_with_sizes(lengths)):
            weights = dropouts.at((each @ text.t()).softmax(-1), rate)
            sums.append(weights @ text)
            shares.append(weights.sum(-1))
        answers: Tensor = torch.einsum("nhd,hsd->nhs", torch.stack(sums), value.plain.view(heads))
        attended: Tensor = answers + value.bias.view(heads[:2]) * torch.stack(shares)[..., None]
        return attended


def _attention(query: Tensor, key: Tensor, value: Tensor, rate: float, dropouts: Dropouts) -> Tensor:
    """Attention of one text's queries, [heads, m, size], to its keys and values, [heads, n, size]."""
    if query.device.type == "cpu" and (query.dtype is torch.bfloat16 or rate > 0):
        output: Tensor = _PlainAttention.apply(query, key, value, rate, dropouts)  # type: ignore[no-untyped-call]
        return output
    return F.scaled_dot_product_attention(query[None], key[None], value[None], dropout_p=rate)[0]


class _PlainAttention(torch.autograd.Function):
    """Attention as matrix products, for CPUs.

    In bfloat16 PyTorch's flash attention has a backward pass half as fast there, and with dropout it has none. The
    products are faster of texts copied out of the packed rows, and scales are cheapest on the smallest factor. The
    copies have zeros behind, so that few lengths occur: oneDNN makes and keeps a kernel for each shape of a product.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, rate: float, dropouts: Dropouts) -> Tensor:
        ctx.asking, ctx.length = query.shape[1], key.shape[1]
        query, key, value = _lengthened(query) * query.shape[-1] ** -0.5, _lengthened(key), _lengthened(value)
        scores = torch.bmm(query, key.transpose(1, 2))
        scores[..., ctx.length :] = -torch.inf
        weights = scores.softmax(-1)
        used, ctx.scale = weights, 1.0
        if rate:
            kept, ctx.scale = dropouts.kept(weights, rate)
            used, value = weights * kept.to(weights.dtype), value * ctx.scale
        output = torch.bmm(used, value)
        ctx.save_for_backward(query, key, value, weights, used, output if rate else None)
        return output[:, : ctx.asking]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        query, key, value, weights, used, output = ctx.saved_tensors
        gradient = _lengthened(gradient)
        to_used = torch.bmm(gradient, value.transpose(1, 2))
        if output is None:
            to_scores = torch._softmax_backward_data(to_used, weights, -1, weights.dtype)
        else:  # the sum over a row of what softmax takes off is found from the output: Dao et al., 2022, appendix B.4
            to_scores = to_used.mul_(used).addcmul_(weights, (gradient * output).sum(-1, keepdim=True), value=-1)
        to_query = torch.bmm(to_scores, key).mul_(query.shape[-1] ** -0.5)[:, : ctx.asking]
        to_key = to_value = None
        if ctx.needs_input_grad[1]:
            to_key = torch.bmm(to_scores.transpose(1, 2), query)[:, : ctx.length]
        if ctx.needs_input_grad[2]:
            to_value = torch.bmm(used.transpose(1, 2), gradient).mul_(ctx.scale)[:, : ctx.length]
        return to_query, to_key, to_value, None, None


def _lengthened(rows: Tensor) -> Tensor:
    """A copy of [heads, n, size] with zeros behind, n as the next multiple of `_ALIKE`."""
    return F.pad(rows, (0, 0, 0, -rows.shape[1] % _ALIKE)).contiguous()


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
        self.trained = _Affine(layer, dtype, trained) if trained else None
        self.frozen = None if trained else _FrozenWeight(getattr(layer, "base_layer", layer), dtype)
        self.lora: Any = layer if isinstance(layer, LoraLayer) else None

    @property
    def frozen_alone(self) -> Optional[_FrozenWeight]:
        """The weight, where it is all that there is: nothing of the layer is trained."""
        return self.frozen if self.lora is None or self.lora.disable_adapters else None

    def __call__(self, x: Tensor, dropouts: Dropouts) -> Tensor:
        output: Tensor
        if self.trained is not None:
            return F.linear(x, *self.trained())
        if self.frozen_alone is not None:
            output = _Frozen.apply(x, self.frozen)  # type: ignore[no-untyped-call]
            return output
        (name,) = self.lora.active_adapters
        rate = rate_of(self.lora.lora_dropout[name])
        dropped = dropouts.at(x, rate) if rate else None
        down, up = self.lora.lora_A[name].weight, self.lora.lora_B[name].weight * self.lora.scaling[name]
        output = _LowRankUpdated.apply(x, dropped, self.frozen, down, up)  # type: ignore[no-untyped-call]
        return output


class _FrozenWeight:
    """A frozen weight, [out, in], and bias, [out], to multiply by both ways; laid out for oneDNN where it serves."""

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.source = layer.weight.detach()
        self.bias = layer.bias.detach().to(dtype)
        self.laid_out = _onednn_multiplies(dtype, self.source.device)

    @cached_property
    def plain(self) -> Tensor:
        """The weight as PyTorch lays it out."""
        weight: Tensor = self.source.to(self.dtype)
        return weight

    def times(self, x: Tensor) -> Tensor:
        """`x weight' + bias` of x [tokens, in]."""
        if not self.laid_out:
            return F.linear(x, self.plain, self.bias)
        output: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._forth, self.bias, "none", [], "")
        return output

    def gradient(self, gradient: Tensor) -> Tensor:
        """`gradient weight` of a gradient [tokens, out]."""
        if not self.laid_out:
            return gradient @ self.plain
        output: Tensor = torch.ops.mkldnn._linear_pointwise(gradient.contiguous(), self._back, None, "none", [], "")
        return output

    @cached_property
    def _forth(self) -> Tensor:
        return self._laid_out(self.source)

    @cached_property
    def _back(self) -> Tensor:  # which inference never needs
        return self._laid_out(self.source.t())

    def _laid_out(self, weight: Tensor) -> Tensor:
        laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.to(self.dtype).contiguous(), _USUAL_TOKENS)
        return laid_out


def _onednn_multiplies(dtype: torch.dtype, device: torch.device) -> bool:
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype is torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class _Frozen(torch.autograd.Function):
    """`x weight' + bias`, differentiable in x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, frozen: _FrozenWeight) -> Tensor:
        ctx.frozen = frozen
        return frozen.times(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return ctx.frozen.gradient(gradient), None


class _LowRankUpdated(torch.autograd.Function):
    """`x weight' + bias + dropped down' up'`: LoRA (Hu et al., 2021, section 4.1) without an intermediate of full size.

    x and dropped (x where None) [tokens, in] and weight [out, in] in one dtype; down [rank, in] and up [out, rank]
    float32. Gradients go to x, dropped, down and up.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dropped: Optional[Tensor], frozen: _FrozenWeight, down: Tensor, up: Tensor
    ) -> Tensor:
        updated = x if dropped is None else dropped
        down, up = down.to(x.dtype), up.to(x.dtype)
        inner = updated @ down.t()
        ctx.save_for_backward(updated, inner, down, up)
        ctx.frozen, ctx.one_input = frozen, dropped is None
        return frozen.times(x).addmm_(inner, up.t())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        updated, inner, down, up = ctx.saved_tensors
        inner_gradient = gradient @ up
        to_x = ctx.frozen.gradient(gradient) if ctx.needs_input_grad[0] else None
        to_dropped = None
        if ctx.one_input and to_x is not None:
            to_x.addmm_(inner_gradient, down)
        elif ctx.needs_input_grad[1]:
            to_dropped = inner_gradient @ down
        return to_x, to_dropped, None, (inner_gradient.t() @ updated).float(), (gradient.t() @ inner).float()


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

"""Attention for training on a processor: PyTorch's quick forward pass, and a backward pass of products.

PyTorch's own backward pass of fused attention takes more than half of a training step of a small
encoder on a processor. Here the probabilities are computed again and the five products of the
derivative written out (Dao et al., 2022, algorithm 4, without its tiles), which the libraries for
matrix products do in a fraction of that time. On a graphics card nothing of this is used.
"""

import torch
from torch import nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

NAME = "products"  # as transformers knows it: `attn_implementation`


class Attention(torch.autograd.Function):
    """softmax(q kᵀ / √d + bias) v for q, k, v [B, heads, L, d]; bias [B, 1, 1, L] or None, not trained."""

    @staticmethod
    def forward(ctx, query, key, value, bias):
        """The output [B, heads, L, d]."""
        mask = None if bias is None else bias.to(query.dtype)
        output = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        ctx.save_for_backward(query, key, value, bias, output)
        return output

    @staticmethod
    def backward(ctx, gradient):
        """The gradients of query, key and value."""
        query, key, value, bias, output = ctx.saved_tensors
        batch, heads, length, size = query.shape
        scale = size**-0.5
        q, k, v, o, g = (each.reshape(batch * heads, length, size) for each in (query, key, value, output, gradient))
        scores = torch.bmm(q * scale, k.transpose(1, 2)).view(batch, heads, length, length)
        if bias is not None:
            scores.add_(bias.to(scores.dtype))
        chances = scores.softmax(-1).view(batch * heads, length, length)
        inner = (g.float() * o.float()).sum(-1, keepdim=True).to(g.dtype)
        change = torch.bmm(g, v.transpose(1, 2)).sub_(inner).mul_(chances)
        found = (
            torch.bmm(change, k).mul_(scale),
            torch.bmm(change.transpose(1, 2), q).mul_(scale),
            torch.bmm(chances.transpose(1, 2), g),
        )
        return (*(each.view(batch, heads, length, size) for each in found), None)


def attend(_, query, key, value, attention_mask, **__):
    """As transformers calls it: the output [B, L, heads, d], and no probabilities."""
    # Every token of a mail may look at every other: one row of the mask says all of it.
    bias = None if attention_mask is None else attention_mask[:, :, :1, :]
    return Attention.apply(query, key, value, bias).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, eager_mask)

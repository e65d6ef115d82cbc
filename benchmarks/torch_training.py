"""The default head in plain PyTorch, as a comparison for the speed of stage two.

Layers, loss and optimiser are those of `models/heads/bilstm_attention.py`, `models/losses/focal.py`
and `training/optimizer.py`, one for one; bfloat16 is autocast. Must not be imported in a process
with TensorFlow: both load an LLVM, and the second one ends the process.
"""

import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional

WARM_STEPS = 8


class Head(nn.Module):
    """The head `bilstm_attention`."""

    def __init__(self, dim: int, *, projection: int, layers: int, units: int) -> None:
        super().__init__()
        for name, size in (("x", dim), ("change", dim), ("statistics", 4 * dim)):
            self.register_buffer(f"{name}_mean", torch.full((size,), 0.5))
            self.register_buffer(f"{name}_deviation", torch.full((size,), 0.3))
        self.projection = nn.Linear(2 * dim, projection)
        self.lstm = nn.LSTM(projection, units, layers, batch_first=True, bidirectional=True)
        self.hidden = nn.Linear(2 * units, units)
        self.score = nn.Linear(units, 1, bias=False)
        self.logits = nn.Linear(2 * units, 1)
        self.logits_of_statistics = nn.Linear(4 * dim, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        difference = x[:, 1:] - x[:, :-1]
        second = (difference[:, 1:] - difference[:, :-1]).abs()
        change = difference.abs()
        mean = x.mean(1)
        deviation = ((x - mean[:, None]).square().mean(1) + 1e-12).sqrt()
        changes = [change.mean(1), second.mean(1)]
        statistics = torch.cat([mean, deviation, *changes], -1)
        change = torch.cat([change[:, :1], change], 1)
        inputs = torch.cat([self._standard(x, "x"), self._standard(change, "change")], -1)
        # SpatialDropout1D: drops a feature in all frames of a clip.
        kept = functional.dropout(torch.ones_like(inputs[:, :1]), 0.7, self.training)
        hidden = functional.gelu(self.projection(inputs * kept))
        hidden, _ = self.lstm(hidden)
        weights = self.score(self.hidden(hidden).tanh()).float().softmax(1)
        pooled = (weights.to(hidden.dtype) * hidden).sum(1)
        logits = self.logits(functional.dropout(pooled, 0.5, self.training))
        statistics = self._standard(statistics, "statistics")
        statistics = functional.dropout(statistics, 0.5, self.training)
        return (logits + self.logits_of_statistics(statistics)).float()

    def _standard(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return (x - getattr(self, f"{name}_mean")) / getattr(self, f"{name}_deviation")


def focal(logits: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
    """Focal loss with gamma = 2 and alpha = 0.5."""
    sides = ((goals, logits), (1 - goals, -logits))
    return sum(
        0.5 * goal * torch.exp(-2 * functional.softplus(z)) * functional.softplus(-z)
        for goal, z in sides
    ).mean()


def rates(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    wide: bool,
    precision: str,
    batch_size: int,
    seconds: float,
) -> dict[str, float]:
    """Videos a second, with batches gathered from the array, and with a constant batch."""
    sizes = {"projection": 64, "layers": 1, "units": 32}
    if wide:
        sizes = {"projection": 256, "layers": 2, "units": 128}
    head = Head(features.shape[-1], **sizes).train()
    optimizer = torch.optim.AdamW(head.parameters(), 2e-4, weight_decay=0.01)

    def step(batch) -> float:
        x, goals = batch
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = head(x)
        loss = focal(logits, goals)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    def gathered() -> Iterator[tuple]:
        rng = np.random.default_rng(0)
        while True:
            order = rng.permutation(len(features))
            for start in range(0, len(order) - batch_size + 1, batch_size):
                rows = order[start : start + batch_size]
                x = torch.from_numpy(features[rows]).float()
                yield x, torch.from_numpy(labels[rows, None]).float()

    batch = next(gathered())

    def constant() -> Iterator[tuple]:
        while True:
            yield batch

    for _ in range(WARM_STEPS):
        step(batch)
    return {
        name: _rate(batches, step, batch_size, seconds)
        for name, batches in (("cache", gathered()), ("constant", constant()))
    }


def _rate(batches: Iterator[tuple], step, batch_size: int, seconds: float) -> float:
    steps, start_s = 0, time.perf_counter()
    while True:
        step(next(batches))
        steps += 1
        elapsed_s = time.perf_counter() - start_s
        if elapsed_s >= seconds:
            return steps * batch_size / elapsed_s

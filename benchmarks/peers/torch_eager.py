"""The paper's network in a plain PyTorch loop, as fast as eager mode goes: fused Adam, data in
memory, no logging.
"""

import argparse
import json
from time import perf_counter

import torch
from torch import nn
from torch.nn import functional

parser = argparse.ArgumentParser()
for name in ("batch", "epochs", "steps"):
    parser.add_argument(f"--{name}", type=int)
options = parser.parse_args()

torch.manual_seed(0)
encoder = nn.Sequential(nn.Linear(784, 500), nn.Tanh(), nn.Linear(500, 40))
decoder = nn.Sequential(nn.Linear(20, 500), nn.Tanh(), nn.Linear(500, 784))
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)
data = (torch.rand(options.steps * options.batch, 784) < 0.13).float()


def step(x: torch.Tensor) -> None:
    mu, log_variance = encoder(x).chunk(2, dim=1)
    z = mu + torch.exp(0.5 * log_variance) * torch.randn_like(mu)
    minus_log_likelihood = functional.binary_cross_entropy_with_logits(
        decoder(z), x, reduction="sum"
    )
    kl = -0.5 * (1 + log_variance - mu.square() - log_variance.exp()).sum()
    loss = (minus_log_likelihood + kl) / len(x)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


best = float("inf")
for _ in range(options.epochs + 1):
    start = perf_counter()
    for rows in torch.randperm(len(data)).split(options.batch):
        step(data[rows])
    best = min(best, perf_counter() - start)
print(json.dumps({"seconds": best}))

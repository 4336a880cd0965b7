"""The paper's network under Pythae's own trainer, everything else at its defaults."""

import argparse
import json
import logging
import tempfile
from time import perf_counter

import torch
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import nn

parser = argparse.ArgumentParser()
for name in ("batch", "epochs", "steps"):
    parser.add_argument(f"--{name}", type=int)
options = parser.parse_args()


class Encoder(BaseEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(784, 500), nn.Tanh())
        self.mu, self.log_variance = nn.Linear(500, 20), nn.Linear(500, 20)

    def forward(self, x: torch.Tensor) -> ModelOutput:
        h = self.hidden(x)
        return ModelOutput(embedding=self.mu(h), log_covariance=self.log_variance(h))


class Decoder(BaseDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(20, 500), nn.Tanh(), nn.Linear(500, 784), nn.Sigmoid()
        )

    def forward(self, z: torch.Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.network(z))


class Clock(TrainingCallback):
    """Of an epoch's steps: the trainer says when their loop begins, when each has ended, and when
    the epoch has.
    """

    best = float("inf")

    def on_train_step_begin(self, *_: object, **__: object) -> None:
        self.start = perf_counter()

    def on_train_step_end(self, *_: object, **__: object) -> None:
        self.elapsed = perf_counter() - self.start

    def on_epoch_end(self, *_: object, **__: object) -> None:
        self.best = min(self.best, self.elapsed)


clock = Clock()
logging.disable(logging.CRITICAL)
torch.manual_seed(0)
data = (torch.rand(options.steps * options.batch, 784) < 0.13).float().numpy()
with tempfile.TemporaryDirectory() as folder:
    model = VAE(
        VAEConfig(input_dim=(784,), latent_dim=20, reconstruction_loss="bce"), Encoder(), Decoder()
    )
    config = BaseTrainerConfig(
        output_dir=folder,
        num_epochs=options.epochs + 1,
        per_device_train_batch_size=options.batch,
        learning_rate=1e-3,
        no_cuda=True,
    )
    TrainingPipeline(training_config=config, model=model)(train_data=data, callbacks=[clock])
print(json.dumps({"seconds": clock.best}))

"""A tuning on two workers of a Ray cluster: python ray_train.py, where Ray's address is set.

The workers' files are on storage that all of them can write. Ray Train gives each worker its rank and the address to
meet at; the engine's process takes them from its environment, as it does under torchrun.
"""

import os
import subprocess
import sys

COMMAND = ["-m", "prompt_tuning_helpers.engine", "tune", "/jobs/tickets"]
COMMAND += ["--data", "/jobs/tickets_train.json", "--setting", "batch_size=32"]
WORKERS = 2
CORES = 8


def tune() -> None:
    """Run the engine's process of this worker."""
    environment = os.environ | {
        "OMP_NUM_THREADS": str(CORES),
        # Ray's own process group keeps its port.
        "MASTER_PORT": str(int(os.environ["MASTER_PORT"]) + 1),
    }
    subprocess.run([sys.executable, *COMMAND], check=True, env=environment)


if __name__ == "__main__":
    from ray.train import ScalingConfig
    from ray.train.torch import TorchTrainer

    workers = ScalingConfig(num_workers=WORKERS, resources_per_worker={"CPU": CORES})
    TorchTrainer(tune, scaling_config=workers).fit()

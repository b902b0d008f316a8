"""What a run trained with adapters is sent as: found where training left it, made for what devices keep."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.tiny_whisper import save_tiny
from tests.unit.server.training.test_finetune import clips

from projectone.server.database import open_engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.pipeline.models import ModelFolders
from projectone.server.training import TrainingConfig, finetune
from projectone.server.training.config import LoraConfig
from projectone.server.work.short_ways import ShortWays
from projectone.speech.adapter_update import apply_adapter_update
from projectone.speech.checkpoint import WEIGHTS
from projectone.storage.blobs import FileBlobs


def test_a_run_with_adapters_is_sent_as_one(tmp_path: Path) -> None:
    models, packages = ModelFolders(tmp_path / "models"), FileBlobs(tmp_path / "packages")
    base = models.keep_copy(save_tiny(tmp_path / "tiny"))
    run = tmp_path / "runs" / "r1"
    config = TrainingConfig(method="lora", lora=LoraConfig(rank=2, alpha=4), epochs=1, max_steps=2)
    candidate = run / "candidate-0123456789abcdef"
    finetune(models.find(base), clips(10), config, work_folder=run / "training", out=candidate)
    tuned = models.adopt(candidate)
    engine = open_engine(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    upgrade_database(engine)
    ways = ShortWays(
        home=tmp_path,
        models=models,
        packages=packages,
        ledger=Ledger(engine),
        channel="stable",
        base=lambda: base,
        recalled=frozenset,
    )
    adapter, *_ = ways.make(tuned, below_bytes=10**9)
    assert (adapter.kind, adapter.base_sha256) == ("adapter", base)
    out = tmp_path / "out"
    apply_adapter_update(models.find(base) / WEIGHTS, packages.path_of(adapter.sha256), out)
    assert out.read_bytes() == (models.find(tuned) / WEIGHTS).read_bytes()
    assert ways.make(base, below_bytes=10**9) == ()  # the base itself is no way to itself
    engine.dispose()

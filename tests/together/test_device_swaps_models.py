"""Real models in a running device: several threads transcribe while others come and go."""

from __future__ import annotations

import threading
from pathlib import Path

from benchmarks.swap import swap_under_load
from tests.fakes.release_server import FakeServer, running
from tests.fakes.tiny_whisper import save_tiny, say

from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_models_are_swapped_under_threads_that_transcribe(tmp_path: Path) -> None:
    """A weight that one thread loaded and no one used yet cannot be used on another: mlx refuses."""
    models = [files_of(save_tiny(tmp_path / f"model-{seed}", seed=seed)) for seed in (1, 2)]
    wrong: list[BaseException] = []
    is_over = threading.Event()
    was_heard = {version: threading.Event() for version in ("1.0.0", "1.1.0")}
    with running(FakeServer()) as server:
        settings = DeviceSettings(home=tmp_path / "home", server=server.url, release_root=server.root)
        with open_client(settings) as client:
            server.release(models[0], seq=1, version="1.0.0")
            client.update()

            def work(number: int) -> None:
                clip = say("red green", seed=number)
                try:
                    while not is_over.is_set():
                        version = client.transcribe_only(clip).model_version
                        was_heard[version].set()
                except BaseException as error:
                    wrong.append(error)
                    for event in was_heard.values():
                        event.set()

            threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
            for thread in threads:
                thread.start()
            was_heard["1.0.0"].wait()
            server.release(models[1], seq=2, version="1.1.0")
            assert client.update().status == "updated"
            assert [client.roll_back() for _ in range(4)] == ["1.0.0", "1.1.0"] * 2
            was_heard["1.1.0"].wait()
            is_over.set()
            for thread in threads:
                thread.join()
    assert wrong == []


def test_swaps_under_load_lose_no_answer_mix_none_and_close_every_engine(tmp_path: Path) -> None:
    """Each answer is compared with what its model hears alone; `python -m benchmarks.swap` swaps forty times."""
    swapped = swap_under_load(tmp_path, n_swaps=2, n_threads=4)
    assert (swapped.n_failed, swapped.n_mixed, swapped.n_left_open) == (0, 0, 0)
    assert len(swapped.answers_by_model) == 2

"""The warm-up of the pages policy as a run: what stops goes on, what is damaged is noticed."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from agents.models import load_vlm
from agents.tiny.pages import warmup
from agents.tiny.pages.learner import READINGS, Learner, PagesConfig
from agents.tiny.pages.warmup import keep, warm_up_pages
from vt_env.errors import ConfigError, Damaged

FEW = PagesConfig(steps=4, seeing=2, batch=2, rise=1, processes=1, exam=2, every=4, minutes=0.0)


def test_a_run_that_stops_goes_on_as_if_it_had_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = warm_up_pages(FEW, tmp_path / "whole", seed=1)
    descend = Learner.descend

    def killed(self: Learner) -> None:
        if self.step == 3:
            raise KeyboardInterrupt
        descend(self)

    monkeypatch.setattr(Learner, "descend", killed)
    with pytest.raises(KeyboardInterrupt):
        warm_up_pages(FEW, tmp_path / "parts", seed=1)
    monkeypatch.setattr(Learner, "descend", descend)
    parts = warm_up_pages(FEW, tmp_path / "parts", seed=1)
    one, two = (load_vlm(path).model.state_dict() for path in (whole, parts))
    assert all(torch.equal(one[name], two[name]) for name in one)
    lines = [json.loads(line) for line in (tmp_path / "parts/log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 4
    assert set(READINGS) <= lines[-1].keys()
    assert not list((tmp_path / "parts").glob("*.part"))


def test_what_is_saved_is_surer_than_what_was_trained(tmp_path: Path) -> None:
    """So that sampling costs no reading; a run that goes on is not made surer again and again."""
    for _ in range(2):
        saved = load_vlm(warm_up_pages(FEW, tmp_path, seed=1), dtype="float32").model
    trained = warmup.read_state(tmp_path / warmup.STATE)["weights"]
    head = trained["model.lm_head.weight"].bfloat16().float()
    assert torch.equal(saved.lm_head.weight, warmup.SHARPER * head)


def test_other_settings_are_refused_and_other_cores_are_not(tmp_path: Path) -> None:
    warm_up_pages(FEW, tmp_path, seed=1)
    with pytest.raises(ConfigError, match="choose another folder"):
        warm_up_pages(FEW, tmp_path, seed=2)
    more = PagesConfig(steps=4, seeing=2, batch=2, rise=1, processes=1, exam=4, every=2, minutes=9)
    warm_up_pages(more, tmp_path, seed=1)


def test_a_small_state_carries_a_run_elsewhere(tmp_path: Path) -> None:
    warm_up_pages(FEW, tmp_path / "here", seed=1)
    small = keep(tmp_path / "here", tmp_path / "there/weights.safetensors")
    assert small.stat().st_size < 5_000_000
    longer = PagesConfig(
        steps=6, seeing=2, batch=2, rise=1, processes=1, exam=2, every=4, minutes=9
    )
    seen: list[int] = []
    warm_up_pages(longer, tmp_path / "on", 1, small, lambda line: seen.append(line["step"]))
    state = warmup.read_state(tmp_path / "on" / warmup.STATE)
    assert (state["step"], state["since"]) == (6, 4)
    with pytest.raises(ConfigError, match="none at"):
        warm_up_pages(longer, tmp_path / "new", 1, tmp_path / "missing")
    with pytest.raises(ConfigError, match="has taken 4 steps"):
        warm_up_pages(FEW, tmp_path / "new", 1, small)
    torn = tmp_path / "torn"
    torn.write_bytes(small.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="is none"):
        warm_up_pages(longer, tmp_path / "new", 1, torn)
    save_file({"model.x": torch.zeros(1)}, torn, metadata={"step": "2"})
    with pytest.raises(ConfigError, match="other names or shapes"):
        warm_up_pages(longer, tmp_path / "new", 1, torn)


def test_of_two_states_the_newest_that_is_whole_is_gone_on_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A flipped bit and a line that broke off once ended in tracebacks, and the run was lost."""
    model = warm_up_pages(FEW, tmp_path, seed=1)
    ours = load_vlm(model).model.state_dict()
    state, log = tmp_path / warmup.STATE, tmp_path / warmup.LOG
    data = bytearray(state.read_bytes())
    data[len(data) // 2] ^= 4
    state.write_bytes(bytes(data))
    with log.open("a", encoding="utf-8") as stream:
        stream.write('{"step": 2, "sec')
    warm_up_pages(FEW, tmp_path, seed=1)
    assert "state.pt is not what was written, and is now damaged-state.pt" in caplog.text
    assert "log.jsonl, line 2: it is not what was written; it is left out" in caplog.text
    assert (tmp_path / warmup.DAMAGED).read_bytes() == data
    again = load_vlm(model).model.state_dict()
    assert all(torch.equal(ours[name], again[name]) for name in ours)
    assert [json.loads(line)["step"] for line in log.read_text("utf-8").splitlines()] == [4]
    state.unlink()  # killed between two renames
    warm_up_pages(FEW, tmp_path, seed=1)
    assert warmup.read_state(state)["step"] == 4
    for path in (state, tmp_path / warmup.BEFORE):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Damaged, match=r"state\.pt is not what was written"):
        warm_up_pages(FEW, tmp_path, seed=1)


@pytest.mark.slow
def test_two_processes_share_a_batch(tmp_path: Path) -> None:
    two = PagesConfig(steps=2, seeing=1, batch=4, rise=1, processes=2, exam=2, every=2)
    folder = warm_up_pages(two, tmp_path, seed=1)
    assert (folder / "model.safetensors").stat().st_size < 4_200_000
    assert not list(tmp_path.glob(".meeting*"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"seeing": 7000}, "from 0 to steps"),
        ({"batch": 3}, "multiple of processes"),
        ({"side": 230}, "a multiple of 28"),
        ({"side": 196}, "from 224"),
        ({"falls": 1.0}, "below 1"),
        ({"muon": float("nan")}, "muon must be at least 0"),
        ({"minutes": -1.0}, "minutes must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PagesConfig(**settings)


def test_rates_rise_stay_and_fall() -> None:
    config = PagesConfig(steps=600, seeing=100, rise=10, falls=1 / 3)
    assert config.rate(0, 0) == pytest.approx(0.1)
    assert config.rate(150, 0) == 1.0
    assert config.rate(150, 145) == pytest.approx(0.6)
    assert config.rate(400, 0) == pytest.approx(0.5)
    assert config.rate(599, 0) == pytest.approx(1 / 400)

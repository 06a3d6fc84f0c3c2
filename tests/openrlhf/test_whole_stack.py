"""Ray, vLLM and DeepSpeed, really run: `make test-openrlhf`."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.openrlhf
ray = pytest.importorskip("ray", reason="needs `make test-openrlhf`")
pytest.importorskip("vllm", reason="needs `make test-openrlhf`")
pytest.importorskip("deepspeed", reason="needs `make test-openrlhf`")
torch = pytest.importorskip("torch")

from small_runs import ON_A_CPU, SMALL  # noqa: E402
from wandb_files import history  # noqa: E402

from experiments.cli import main  # noqa: E402
from experiments.recipe import load_recipe  # noqa: E402
from trainers import make_trainer  # noqa: E402
from trainers.errors import TrainingError  # noqa: E402
from trainers.openrlhf.run import OpenRLHFRun  # noqa: E402
from trainers.preflight import Preflight  # noqa: E402
from trainers.preflight.known import Known  # noqa: E402
from trainers.tracking import JsonLines  # noqa: E402
from vt_env import Picture, open_source  # noqa: E402

STEPS = 3
AGREED = 0.03
"""Nats a token between learner and engine: both compute in bfloat16, in another order."""


@pytest.fixture(scope="module")
def cluster(ray_started):
    """A Ray cluster of this machine that believes in three GPUs: learner, critic and engine."""
    ray_started(num_cpus=8, num_gpus=3, object_store_memory=500 * 2**20)
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    yield
    del os.environ["RAY_ADDRESS"]
    ray.shutdown()


def recipe_of(tiny: Path, *overrides: str):
    settings = [f"model.path={tiny}", *ON_A_CPU, *SMALL, f"steps={STEPS}", *overrides]
    return load_recipe("laptop", settings)


LOUD = (
    "rollout.probes=0",
    "openrlhf.correction=token",
    "early=true",
    "optimiser.learning_rate=2e-3",
    "tracking.wandb=offline",
)


@pytest.fixture(scope="module")
def finished(tiny, cluster, tmp_path_factory):
    """A run of three steps, then resumed for one more."""
    out = tmp_path_factory.mktemp("run")
    told: list[int] = []
    saved: set[str] = set()

    def progress(step: int, metrics: object) -> None:
        told.append(step)
        saved.update(folder.name for folder in (out / "checkpoint").glob("step-*"))

    trainer = make_trainer("openrlhf")
    first = trainer.train(recipe_of(tiny, *LOUD), out, progress=progress)
    rows = rows_of(out)
    second = trainer.train(recipe_of(tiny, *LOUD, f"steps={STEPS + 1}"), out, resume=True)
    return SimpleNamespace(out=out, told=told, saved=saved, first=first, second=second, rows=rows)


def rows_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_every_step_is_in_the_log_under_the_local_trainers_names(finished):
    assert [row["step"] for row in finished.rows] == [1, 2, 3] == finished.told
    for row in finished.rows:
        for name in ("train/policy_loss", "train/kl", "rollout/request_rate", "reward/penalty"):
            assert row[name] is not None
        assert row["train/trained_tokens"] > 0
        assert row["env/unscored"] == row["rollout/refused"] == 0
    assert finished.first.steps == STEPS
    measured = [row["step"] for row in finished.rows if "eval/accuracy" in row]
    assert measured == [2, 3]
    assert finished.first.evaluation["eval/n"] == 8


def test_the_whole_way_is_tried_within_one_step(finished):
    """The policy is measured before it, and saved after it; a resume does neither again."""
    first, *later = rows_of(finished.out)
    assert first["before/n"] == 8
    assert first["before/accuracy"] is not None
    assert not any(name.startswith("before/") for row in later for name in row)
    assert "step-000001" in finished.saved  # after that only every second is


def test_every_start_says_where_it_comes_from(finished):
    first, second = JsonLines(finished.out / "starts.jsonl").rows()
    assert (first["step"], second["step"]) == (0, STEPS)
    assert first["fingerprints"] == finished.first.fingerprints
    assert first["versions"].keys() >= {"openrlhf", "vllm", "ray", "deepspeed"}
    (node,) = first["nodes"]
    assert node["resources"]["GPU"] == 3
    assert node["versions"].keys() >= {"openrlhf", "vllm", "ray", "deepspeed"}


def test_pictures_come_after_calls_and_are_trained_on(finished):
    assert any(row["rollout/request_rate"] > 0 for row in finished.rows)
    examples = [json.loads(x) for x in (finished.out / "episodes.jsonl").read_text().splitlines()]
    assert {e["visual_tokens"] for e in examples} <= {4, 20}


def test_the_engine_plays_the_weights_that_were_just_learnt(finished):
    """Learner and engine agree on the tokens of every step, while the policy moves away."""
    for row in finished.rows:
        assert abs(row["train/engine_kl"]) < AGREED
    assert finished.rows[-1]["train/kl"] > 2 * abs(finished.rows[-1]["train/engine_kl"])


def test_checkpoints_are_complete_and_load_everywhere(finished, tiny, tmp_path):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from agents.models import load_vlm

    folder = finished.first.checkpoint
    assert {p.name for p in tiny.iterdir()} <= {p.name for p in folder.iterdir()}
    assert AutoProcessor.from_pretrained(folder).image_processor.patch_size == 4
    model = AutoModelForImageTextToText.from_pretrained(folder)
    before = load_vlm(tiny).model.state_dict()
    rounded = {name: weight.bfloat16().float() for name, weight in before.items()}
    after = model.state_dict().items()
    moved = [name for name, weight in after if not torch.equal(weight.float(), rounded[name])]
    assert moved
    assert not [name for name in moved if "visual" in name]  # the recipe freezes it
    words = ["eval", "--agent", f"tiny:{folder}", "--data", "generated:n=6,kinds=laptop"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "result.json").read_text())["n"] == 6


def test_a_run_goes_on_where_it_stopped(finished):
    rows = rows_of(finished.out)
    assert rows[:STEPS] == finished.rows
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert finished.second.steps == STEPS + 1
    assert abs(rows[-1]["train/engine_kl"]) < AGREED
    # Had it begun anew, the policy would be where the reference is.
    assert rows[-1]["train/kl"] > 10 * rows[0]["train/kl"]


def test_weights_and_biases_can_be_read_back(finished):
    seen = history(finished.out)
    for row in finished.rows:
        assert seen[row["step"]]["env/accuracy"] == row["env/accuracy"]
        assert seen[row["step"]]["rollout/request_rate"] == row["rollout/request_rate"]


def test_engine_and_actor_agree_on_two_turn_trajectories(finished, tmp_path):
    """OpenRLHF's real engine and actor, without the loop between them, on a saved checkpoint."""
    from openrlhf.models import Actor
    from openrlhf.trainer.ray.vllm_engine import RolloutRayActor
    from openrlhf.utils.utils import get_tokenizer
    from openrlhf.utils.vlm_utils import merge_mm_train_inputs
    from vllm import SamplingParams

    saved = finished.first.checkpoint
    config = recipe_of(saved, "rollout.probes=4", "rollout.group_size=16")  # so that some ask
    run = OpenRLHFRun(tmp_path, Path.cwd(), config, max_length=256)
    run.write()
    tokenizer = get_tokenizer(str(saved), None, "left")

    async def play():
        kind = RolloutRayActor.__ray_metadata__.modified_class
        engine = kind.__new__(kind)
        await engine.__init__(
            model=str(saved),
            enforce_eager=True,
            max_model_len=256,
            dtype="bfloat16",
            num_gpus=0,
            distributed_executor_backend="uni",
            agent_func_path=str(run.folder / "agent.py"),
            mm_pad_token_ids={tokenizer.image_token_id},
            limit_mm_per_prompt={"image": 2},
            logprobs_mode="processed_logprobs",
            max_logprobs=1,
        )
        sampling = SamplingParams(temperature=1.0, logprobs=1, skip_special_tokens=False)
        source = engine.executor.tasks["train"].source
        label = {"split": "train", "id": source.ids()[0], "shown": False}
        try:
            return await engine.generate_responses("?", label, sampling, 256, tokenizer, 16)
        finally:
            engine.llm.shutdown()

    responses = asyncio.run(play())
    turns = [len(response["action_ranges"]) for response in responses]
    assert 2 in turns
    actor = Actor(str(saved), attn_implementation="sdpa").eval()
    apart = []
    for response in responses:
        ids = torch.tensor([response["observation_tokens"]])
        mask = torch.zeros_like(ids)
        for (begin, end), reply in zip(
            response["action_ranges"], response["label"].replies, strict=True
        ):
            mask[0, begin + reply.forced : end] = 1  # the engine did not choose the others
        pictures = merge_mm_train_inputs([response["mm_train_inputs"]], "cpu")
        with torch.no_grad():
            mine = actor(ids, mask[:, 1:], torch.ones_like(ids), **pictures)[0]
        theirs = torch.tensor(response["rollout_log_probs"])[1:]
        apart.append((mine - theirs).abs()[mask[0, 1:].bool()])
    nats = torch.cat(apart)  # of all rollouts: one of four tokens says little in bfloat16
    assert nats.max() < 0.15
    assert nats.mean() < 0.02


@pytest.mark.slow
def test_a_preflight_forces_a_request_and_compares_engine_and_learner(tiny, cluster, tmp_path):
    """All stages on a real cluster: probes, forced tokens and a correction go together."""
    known = Known(recipe_of(tiny, "rollout.probes=1"), tmp_path / "run")
    preflight = Preflight(known, "")
    preflight.look(4, lambda _: None)
    found = {finding.what: finding for finding in preflight.findings}
    assert [f.what for f in preflight.findings if f.verdict == "no"] == []
    assert found["GPUs"].verdict == "look"  # the driver has none
    assert float(found["engine and learner"].says.split()[0]) < AGREED
    assert found["the update"].verdict != "no"
    assert found["the second view"].verdict == "ok"
    assert preflight.good


def test_a_run_that_fails_says_why_and_where_to_look(tiny, cluster, tmp_path):
    config = recipe_of(tiny, "openrlhf.engines=7")
    with pytest.raises(TrainingError, match=r"needs 8 GPUs and the Ray cluster has 3.*log.txt"):
        make_trainer("openrlhf").train(config, tmp_path)


def torn_data(folder: Path) -> Path:
    """Pictures as files, one of them torn."""
    source = open_source("generated:n=12,split=train,kinds=laptop")
    rows = []
    for number, sample in enumerate(source):
        image = folder / f"{number}.png"
        Picture(sample.image).original.image.save(image)
        rows.append(
            {"question": sample.question, "answers": list(sample.references), "image": image.name}
        )
    torn = folder / "5.png"
    torn.write_bytes(torn.read_bytes()[:-40])
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data


@pytest.mark.slow
def test_faults_stop_the_run_or_are_counted_and_resume_goes_on(tiny, cluster, tmp_path):
    """The judge is down for a while, a picture is torn, an engine is killed: nothing is lost in
    silence. The steps that were saved stay, the rest is played again."""
    import psutil

    def kill_the_engine(step: int, metrics) -> None:
        if step == 3:
            (engine,) = [
                p for p in psutil.process_iter(["name"]) if "RolloutRayActor" in p.info["name"]
            ]
            for process in (*engine.children(recursive=True), engine):
                process.kill()

    def recipe(steps: int):
        return recipe_of(
            tiny,
            f"steps={steps}",
            f"data.train={torn_data(tmp_path)}",
            "environment.judge=outage:6",  # answers; equal ones are judged once
            "evaluation.every=0",
            "checkpoint.every=1",
        )

    out = tmp_path / "run"
    trainer = make_trainer("openrlhf")
    with pytest.raises(TrainingError, match=r"died|Died.*resume goes on from step \d+"):
        trainer.train(recipe(400), out, progress=kill_the_engine)
    saved = OpenRLHFRun.read(out / "openrlhf").saved_steps()
    assert saved >= 3
    rows = rows_of(out)
    assert rows[0]["env/unscored"] > 0 == rows[2]["env/unscored"]
    assert {row["rollout/refused"] for row in rows} == {1}
    assert trainer.train(recipe(saved + 1), out, resume=True).steps == saved + 1
    assert [row["step"] for row in rows_of(out)] == list(range(1, saved + 2))


def test_ppo_with_a_critic_sees_the_pictures(tiny, cluster, tmp_path):
    """What OpenRLHF refuses for vision-language models, by one word."""
    config = recipe_of(
        tiny,
        "algorithm.name=ppo",
        "algorithm.options={kl_coef=0.001}",
        "rollout.probes=0",
        "optimiser.learning_rate=3e-3",
    )
    make_trainer("openrlhf").train(config, tmp_path)
    rows = rows_of(tmp_path)
    assert all(row["train/value_loss"] > 0 for row in rows)
    assert rows[-1]["train/explained_variance"] is not None

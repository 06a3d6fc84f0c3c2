"""The judge ``transformers`` on a tiny random model: exact, and the same in every batch."""

from __future__ import annotations

import importlib
import math
import pickle
import tomllib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from letters import letters_model, letters_tokenizer  # noqa: E402

from agents.judging import Ask, Completion, Judging, Local, ModelJudge  # noqa: E402
from agents.judging.reading import probability  # noqa: E402
from agents.judging.transformers_judge import Loading, Reader, judge_with, transformers_judge  # noqa: E402
from vt_env.errors import ConfigError  # noqa: E402
from vt_env.judges import JUDGES, Query, make_judge  # noqa: E402

QUERIES = [Query("What is it?", ("the thing",), f"some thing {i}" + " x" * i) for i in range(7)]
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'system' and refuse_system %}"
    "{{ raise_exception('no system turn') }}{% endif %}"
    "<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}<assistant>"
)


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    return letters_model(), letters_tokenizer(TEMPLATE)


def test_the_choice_is_the_likelier_word_whatever_the_batch(parts):
    found = []
    for batch in (1, 3, 16):
        with judge_with(*parts, "tiny", Loading(batch=batch), Judging(canaries=0)) as judge:
            verdicts = judge.score(QUERIES)
            assert None not in [v.correct for v in verdicts]
            assert [v.correct for v in verdicts] == [v.score > 0.5 for v in verdicts]
            found.append([v.score for v in verdicts])
            assert judge.usage.tokens_in > 1000
    # the fences differ from run to run, and with them the scores of a random model, slightly
    assert found[1] == pytest.approx(found[0], abs=0.2)


def test_log_probabilities_are_those_of_the_model_alone(parts):
    reader = Reader(*parts)
    asks = [
        Ask("You judge.", text, "right", "wrong") for text in ("Is it?", "Is it so? " * 9, "No.")
    ]
    together = [reply.probability for reply in reader(asks)]
    for ask, found in zip(asks, together, strict=True):
        prompt = f"<system>You judge.\n<user>{ask.user}\n<assistant>"
        sums = []
        for word in ask.choices:
            ids = torch.tensor([parts[1].encode(prompt + word, add_special_tokens=False)])
            with torch.no_grad():
                steps = parts[0](ids).logits.log_softmax(-1)[0, :-1]
            chosen = steps.gather(1, ids[0, 1:, None])[-len(word) :]
            sums.append(float(chosen.sum()))
        expected = math.exp(sums[0]) / (math.exp(sums[0]) + math.exp(sums[1]))
        assert found == pytest.approx(expected, abs=1e-4)


def test_a_template_without_a_system_turn(parts):
    fast = letters_tokenizer(TEMPLATE.replace("refuse_system", "true"))
    ask = Ask("You judge.", "Is it?", "right", "wrong")
    assert Reader(parts[0], fast)._rendered(ask) == "<user>You judge.\n\nIs it?\n<assistant>"
    fast.chat_template = None
    assert Reader(parts[0], fast)._rendered(ask) == "You judge.\n\nIs it?\n\n"


def test_it_is_made_from_a_path_and_its_verdicts_are_kept(parts, tmp_path: Path):
    folder = tmp_path / "model"
    parts[0].save_pretrained(folder)
    parts[1].save_pretrained(folder)
    spec = f"transformers:{folder},device=cpu,canaries=0,cache={tmp_path / 'cache.sqlite'}"
    with make_judge(spec) as judge:
        first = judge.score(QUERIES)
        assert judge.name == f"transformers:{folder}"
        with pickle.loads(pickle.dumps(judge)) as sent:  # loaded anew where it arrives
            assert sent.score(QUERIES) == first
            assert sent.usage.cached == len(QUERIES)
    with make_judge(spec) as judge:
        assert judge.score(QUERIES) == first
        assert judge.usage.cached == len(QUERIES)
    with pytest.raises(ConfigError, match="cannot load"):
        transformers_judge(str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="Did you mean 'batch'"):
        transformers_judge(f"{folder},batches=3")


@pytest.mark.parametrize("name", ["openai", "transformers", "vllm"])
def test_every_name_in_the_table_leads_somewhere(name):
    assert callable(JUDGES.get(name))


def test_the_entry_points_name_what_is_there():
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    for target in declared["project"]["entry-points"]["vt.judges"].values():
        module, _, attribute = target.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_vllm_that_is_not_installed_has_an_install_line(monkeypatch):
    from agents.judging.vllm_judge import vllm_judge

    monkeypatch.setitem(__import__("sys").modules, "vllm", None)
    with pytest.raises(ImportError, match="pip install"):
        vllm_judge("nowhere")


def overflowing(parts):
    """The model with one weight that is no number, as float16 makes them."""
    import copy

    broken = copy.deepcopy(parts[0])
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    return broken, parts[1]


def test_logits_that_are_no_numbers_are_unscored_and_not_wrong(parts):
    with judge_with(*overflowing(parts), "broken", None, Judging(canaries=0)) as judge:
        verdicts = judge.score(QUERIES)
    assert {(v.correct, v.score) for v in verdicts} == {(None, None)}
    assert "probabilities are no numbers" in verdicts[0].reason


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.5])
def test_no_backend_can_bring_a_score_that_is_none(value):
    model = Local("m", "m", lambda asks: [Completion("right", value) for _ in asks])
    with ModelJudge(model, Judging(canaries=0)) as judge:
        assert {v.correct for v in judge.score(QUERIES)} == {None}


@pytest.mark.parametrize("value", [math.nan, "nan"])
def test_candidates_that_are_no_numbers_give_no_probability(value):
    found = {"right": float(value), "wrong": -0.1, "so": -2.0}
    assert math.isnan(probability(found, Ask("", "", "right", "wrong")))
    assert probability({"so": math.nan, "right": 0.0}, Ask("", "", "right", "wrong")) == 1

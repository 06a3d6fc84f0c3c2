"""Making and registering judges."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from vt_env.errors import ConfigError
from vt_env.judges import JUDGES, Judge, Query, Verdict, make_judge, register_judge


class Agreeable:
    name = "agreeable"

    def __init__(self, mood: str = "good") -> None:
        self.mood = mood

    def score(self, queries):
        return [Verdict(True, self.name, self.mood) for _ in queries]


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(JUDGES, "_factories", dict(JUDGES._factories))


ASKING = {
    "openai": "openai:m@http://127.0.0.1:1/v1",
    "cascade": "cascade:exact",
    "panel": "panel:exact+auto",
    "benchmark": "benchmark:pope",
}


@pytest.mark.parametrize("name", [n for n in JUDGES.names() if n not in ("transformers", "vllm")])
def test_every_name_makes_a_judge(name):
    if name == "openai":
        pytest.importorskip("httpx2")
    judge = make_judge(ASKING.get(name, name))
    assert isinstance(judge, Judge)
    assert judge.score([]) == []
    judge.close()


def test_an_object_with_a_name_and_a_score_is_made_whole_once():
    judge = Agreeable()
    whole = make_judge(judge)
    assert make_judge(whole) is whole
    assert (whole.name, whole.mood, whole.usage, whole.per_rollout) == (
        "agreeable", "good", None, False,
    )  # fmt: skip
    whole.begin([Query("", ("a",), "b")])
    assert whole.submit([Query("", ("a",), "b")]).result() == judge.score([1])
    whole.close()
    with pytest.raises(ConfigError, match=r"`name` and `score\(queries\)`, got int"):
        make_judge(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="ready judge"):
        make_judge(judge, mood="bad")


def test_registered_factories_take_the_argument():
    register_judge("agreeable", Agreeable)
    assert make_judge("agreeable:sunny").mood == "sunny"
    assert make_judge("agreeable", mood="dull").mood == "dull"
    with pytest.raises(ConfigError, match="unexpected keyword"):
        make_judge("agreeable", moods=1)


def test_text_factories_are_imported_at_first_use():
    register_judge("lazy", f"{__name__}:Agreeable")
    assert make_judge("lazy").name == "agreeable"


@pytest.mark.parametrize("name", ["auto", "", "a:b"])
def test_names_that_cannot_be_registered(name):
    with pytest.raises(ConfigError):
        register_judge(name, Agreeable)


def test_entry_points_are_consulted(monkeypatch):
    entry = metadata.EntryPoint("brought", "vt_env.judges.rules:exact", "vt.judges")
    monkeypatch.setattr("vt_env.registry.entry_points", lambda group: [entry])
    assert make_judge("brought").score([Query("", ("a",), "A")])[0].correct is True
    with pytest.raises(ConfigError, match="brought"):
        make_judge("brough")


def test_importing_judges_imports_no_large_library():
    code = "import sys, vt_env.judges.auto; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_model_judges_imports_no_client():
    code = (
        "import sys, vt_env, agents.judging.openai_judge, agents.judging.panel;"
        "sys.exit(bool({'openai', 'httpx', 'httpx2', 'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

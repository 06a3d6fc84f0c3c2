"""Supervised transcripts: right, well formed, readable by chat templates, balanced."""

import json
from pathlib import Path

import pytest

from agents.base import answer_turn
from experiments.preparation.rule import Rule
from experiments.preparation.writing import THOUGHTS, choose_transcripts, write_transcripts
from experiments.preparation.writing import TRANSCRIPTS as TABLE
from vt_env import Answer, ConfigError, DataError, Picture, ToolCall, make_task, open_source, parse


def lines(out):
    return [json.loads(line) for line in (out / "cold-start" / TABLE).read_text().splitlines()]


def turns(row):
    said = [m["content"] for m in row["messages"] if m["role"] == "assistant"]
    return ["".join(block["text"] for block in blocks) for blocks in said]


@pytest.fixture
def data(make_sample):
    return [make_sample(n, *((8, 8), (1, 7), (4, 5))[n % 3]) for n in range(15)]


def test_transcripts(tmp_path, prepare, data, want):
    made = prepare(tmp_path, data, what=want(transcripts=6))
    assert made["cold_start"] == {"direct": 3, "request": 3}
    rows = lines(tmp_path)
    samples = {s.id: s for s in data}
    assert [row["id"] for row in rows] == sorted((r["id"] for r in rows), key=lambda i: int(i[1:]))
    for row in rows:
        sample = samples[row["id"]]
        asks = row["kind"] == "request"
        assert asks == (sample.metadata["low"] == 1)
        actions = [parse(turn) for turn in turns(row)]
        assert not any(action.flaws for action in actions)
        assert isinstance(actions[-1], Answer)
        assert actions[-1].text == sample.references[0]
        assert len(actions) == len(row["images"]) == 1 + asks
        if asks:
            assert isinstance(actions[0], ToolCall)
            assert (actions[0].name, actions[0].arguments) == ("resize_image", {"action": "resize"})
            assert actions[0].thought in THOUGHTS
        marks = sum(b["type"] == "image" for m in row["messages"] for b in m["content"])
        assert marks == len(row["images"])
        sizes = [Picture(tmp_path / "cold-start" / path).size for path in row["images"]]
        assert sizes == [(12, 12), (24, 24)][: 1 + asks]
    again = (tmp_path / "cold-start" / TABLE).read_text()
    prepare(tmp_path, data, what=want(transcripts=6), resume=True)
    assert (tmp_path / "cold-start" / TABLE).read_text() == again


def test_malformed_and_wrong_turns_are_never_used(tmp_path, prepare, data, want, known):
    class Sloppy(type(known)):
        """Its first rollout of each sample is right and forgets to think."""

        def act(self, conversations):
            replies = super().act(conversations)
            for n, (c, reply) in enumerate(zip(conversations, replies, strict=True)):
                if n == 0 or conversations[n - 1].sample.id != c.sample.id:
                    text = reply.text.partition("</think>")[2].strip()
                    replies[n] = type(reply)(text)
            return replies

    prepare(tmp_path, data, what=want(transcripts=8), agent=Sloppy())
    for row in lines(tmp_path):
        assert parse(turns(row)[-1]).thought


def test_nothing_usable_is_an_error(tmp_path, prepare, data, want, known):
    class Thoughtless(type(known)):
        def act(self, conversations):
            replies = super().act(conversations)
            return [type(r)(r.text.partition("</think>")[2].strip()) for r in replies]

    with pytest.raises(DataError, match="nothing for a cold start"):
        prepare(tmp_path, data, what=want(transcripts=8), agent=Thoughtless())
    assert len(open_source(tmp_path / "jsonl")) == 10
    with pytest.raises(ConfigError, match="at least 2 transcripts"):
        choose_transcripts([], Rule(), 1, 0)


def test_turns_that_do_not_fit_the_protocol(tmp_path, data):
    source = open_source(data, check="none")
    task = make_task(source)
    with pytest.raises(ConfigError, match="a thought is text without tags"):
        write_transcripts(tmp_path / "a", source, task, [], seed=0, thoughts=["<answer>1</answer>"])
    with pytest.raises(DataError, match="has no direct transcript"):
        write_transcripts(tmp_path / "b", source, task, [(0, "direct", "no tags")], seed=0)
    general = make_task(source, protocol="general")
    asks = [(0, "request", answer_turn("thing 0", "I see."))]
    with pytest.raises(DataError, match="has no request transcript"):
        write_transcripts(tmp_path / "c", source, general, asks, seed=0)
    assert not (tmp_path / "b").exists()


def test_datasets_loads_them(tmp_path, prepare, data, want, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    prepare(tmp_path / "out", data, what=want(transcripts=6))
    folder = tmp_path / "out" / "cold-start"
    loaded = datasets.load_dataset("json", data_files=str(folder / TABLE), split="train")
    loaded = loaded.map(lambda row: {"images": [str(folder / path) for path in row["images"]]})
    loaded = loaded.cast_column("images", datasets.Sequence(datasets.Image()))
    assert len(loaded) == 6
    for row, line in zip(loaded, lines(tmp_path / "out"), strict=True):
        assert [image.size for image in row["images"]] == [(12, 12), (24, 24)][
            : len(line["images"])
        ]
        assert [m["role"] for m in row["messages"]] == [m["role"] for m in line["messages"]]


@pytest.mark.parametrize("through", ["json", "datasets"])
def test_the_tiny_policy_s_template_renders_them(tmp_path, prepare, want, through, monkeypatch):
    pytest.importorskip("transformers")
    from agents import make_agent
    from agents.tiny.tokenizer import IMAGE, UNKNOWN, call_turn, direct_turn, make_tokenizer

    class Tiny:
        """Says what the tiny policy says."""

        name = "tiny"
        inner = make_agent("direct")

        def act(self, conversations):
            replies = self.inner.act(conversations)
            return [type(r)(direct_turn(parse(r.text).text)) for r in replies]

    what = want(transcripts=4, thoughts=("blurry",))
    prepare(tmp_path, "generated:n=16,split=train", agent=Tiny(), prompt="tiny", what=what)
    rows = lines(tmp_path)
    if through == "datasets":
        datasets = pytest.importorskip("datasets")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        file = str(Path(tmp_path) / "cold-start" / TABLE)
        rows = list(datasets.load_dataset("json", data_files=file, split="train"))
    tokenizer = make_tokenizer()
    assert {row["kind"] for row in rows} == {"direct", "request"}
    for row in rows:
        text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.convert_tokens_to_ids(UNKNOWN) not in ids
        assert text.count(IMAGE) == len(row["images"])
        said = [
            part.partition("<|im_end|>")[0] for part in text.split("<|im_start|>assistant\n")[1:]
        ]
        assert [parse(turn) for turn in said] == [parse(turn) for turn in turns(row)]
        if row["kind"] == "request":
            assert parse(said[0]) == parse(call_turn())

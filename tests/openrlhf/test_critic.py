"""A value head that sees the pictures."""

from __future__ import annotations

import pytest

pytest.importorskip("ray", reason="OpenRLHF's stack is not installed")
pytest.importorskip("openrlhf.trainer.ray", reason="OpenRLHF's stack is not installed")
torch = pytest.importorskip("torch")

from agents import request_turn  # noqa: E402
from agents.models.loading import load_processor  # noqa: E402
from agents.models.qwen import patches  # noqa: E402
from trainers.openrlhf.learners import make_critic  # noqa: E402
from vt_env import make_task  # noqa: E402


def test_values_come_from_tokens_and_pictures(untrained):
    processor = load_processor(str(untrained))
    task = make_task("generated:n=2", prompt="tiny")
    dialogues = [task.begin(sample)[0] for sample in task.source]
    shown = []
    for dialogue in dialogues:
        dialogue.apply(request_turn("blurry"))
        pixels, grids = patches(processor.image_processor, dialogue.views)
        shown.append({"pixel_values": pixels, "image_grid_thw": grids})
    ids = [
        processor.chat.opening(d.messages, [processor.counter.count(*v.size) for v in d.views])
        for d in dialogues
    ]
    width = min(map(len, ids))
    assert [i.count(processor.image_id) for i in ids] == [20, 20]
    tokens = torch.tensor([i[:width] for i in ids])
    attention = torch.ones_like(tokens)
    mask = attention[:, 1:]
    critic = make_critic(
        str(untrained), "critic", attn_implementation="sdpa", param_dtype="bf16", ds_config=None
    )

    def values(order: list[int]):
        critic.pictures = {
            key: torch.cat([shown[at][key] for at in order])
            for key in ("pixel_values", "image_grid_thw")
        }
        return critic(tokens, mask, attention)

    assert (values([0, 1]) == 0).all()  # at first, no state is worth more than another
    torch.nn.init.normal_(critic.value.weight)
    assert not torch.allclose(values([0, 1]), values([1, 0]))
    values([0, 1]).sum().backward()
    assert all(p.grad is not None for p in critic.parameters())

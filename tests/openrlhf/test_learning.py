"""Advantages and the tokens in the loss, put into OpenRLHF's experiences."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from agents import Episode, Reply  # noqa: E402
from trainers.algorithms import Batch, make_algorithm  # noqa: E402
from trainers.openrlhf.learning import learn_from  # noqa: E402
from vt_env import Outcome, Sample, Verdict  # noqa: E402
from vt_env.rewards import Reward  # noqa: E402

SAMPLE = Sample("s", "?", ("x",), b"")
ESTIMATORS = {
    "grpo": "group_norm",
    "dr_grpo": "dr_grpo",
    "rloo": "rloo",
    "reinforce++": "reinforce",
    "reinforce++-baseline": "reinforce_baseline",
}


def episode_of(total: float | None, turns: tuple[tuple[int, int], ...], forced=0, truncated=False):
    """A rollout: for each turn the number of tokens read and said."""
    replies = [
        Reply("", tuple(range(read)), tuple(range(said)), None, truncated, forced * (at == 0))
        for at, (read, said) in enumerate(turns)
    ]
    correct = None if total is None else total > 0.5
    verdict = Verdict(correct, "test", "")
    outcome = Outcome(correct, True, len(turns) > 1)
    reward = Reward(None, None, None, None, total)
    return Episode(SAMPLE, (), (), replies, (), (), None, False, verdict, outcome, reward)


def experiences_of(episodes, *, micro: int = 2, seed: int = 0, kl_in_loss: bool = True):
    """As OpenRLHF makes them: micro-batches, padded on the right, without the first token."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for begin in range(0, len(episodes), micro):
        part = episodes[begin : begin + micro]
        masks = []
        for episode in part:
            mask = []
            for reply in episode.replies:
                mask += [0] * len(reply.prompt_ids) + [1] * len(reply.token_ids)
            masks.append(torch.tensor(mask[1:]))
        width = max(map(len, masks))
        mask = torch.stack([torch.nn.functional.pad(m, (0, width - len(m))) for m in masks])
        said = -torch.rand(mask.shape, generator=generator) * mask
        base = -torch.rand(mask.shape, generator=generator) * mask
        known = [e.reward.total for e in part if e.reward.total is not None] or [0.0]
        rewards = [
            sum(known) / len(known) if e.reward.total is None else e.reward.total for e in part
        ]
        made.append(
            SimpleNamespace(
                index=list(range(begin, begin + len(part))),
                labels=part,
                action_mask=mask,
                action_log_probs=said,
                base_action_log_probs=base if kl_in_loss else None,
                kl=torch.zeros_like(said) if kl_in_loss else said - base,
                values=None,
                rollout_log_probs=None,
                advantages=torch.full(mask.shape, 9.0),
                returns=torch.full(mask.shape, 9.0),
                rewards=torch.tensor(rewards),
                info={},
            )
        )
    return made


TURNS = (((5, 3),), ((5, 2), (7, 4)), ((5, 6),), ((5, 1), (7, 1)))


def ordinary(totals=(1.5, 0.4, 0.5, 1.4, 0.5, 1.5, 1.4, 1.4)):
    return [episode_of(total, TURNS[at % 4]) for at, total in enumerate(totals)]


def test_an_unscored_rollout_counts_nowhere_and_moves_nothing():
    episodes = [*ordinary()[:3], episode_of(None, TURNS[3]), *ordinary()[4:]]
    made = experiences_of(episodes)
    learn_from(made, make_algorithm("grpo"), 4)
    scored = torch.tensor([1.5, 0.4, 0.5])
    expected = (scored - scored.mean()) / (scored.std() + 1e-6)
    for at in range(3):
        row = made[at // 2].advantages[at % 2][made[at // 2].action_mask[at % 2].bool()]
        assert torch.allclose(row, expected[at].expand_as(row))
    assert not made[1].action_mask[1].any()
    assert not made[1].advantages[1].any()


def test_equal_rewards_teach_nothing_whatever_their_rounding():
    made = experiences_of(ordinary([0.1 + 0.2, 0.3, 0.3, 0.3] * 2))
    learn_from(made, make_algorithm("grpo"), 4)
    assert all((e.advantages == 0).all() for e in made)


def test_forced_tokens_are_trained_on_only_where_they_paid():
    others = ordinary()[2:4]
    episodes = [
        episode_of(1.5, TURNS[1], forced=1),
        episode_of(0.0, TURNS[1], forced=1),
        *others,
    ]
    made = experiences_of(episodes)
    before = made[0].action_mask.clone()
    learn_from(made, make_algorithm("grpo"), 4)
    assert torch.equal(made[0].action_mask[0], before[0])
    assert (before[1] - made[0].action_mask[1]).nonzero().tolist() == [[4]]


def test_rollouts_that_were_cut_off_can_be_left_out():
    episodes = [*ordinary()[:3], episode_of(1.0, TURNS[3], truncated=True)]
    made = experiences_of(episodes)
    learn_from(made, make_algorithm("grpo", mask_truncated=True), 4)
    assert not made[1].action_mask[1].any()
    assert made[1].advantages[0].any()


WHOLE_REPLY = ("grpo", "dr_grpo", "rloo")
"""They charge a whole reply for its KL, as the papers do; OpenRLHF each token for what comes."""


@pytest.mark.parametrize(
    ("name", "kl_in_loss"),
    [
        (name, kl_in_loss)
        for name in sorted(ESTIMATORS)
        for kl_in_loss in (True, False)
        if kl_in_loss or name not in WHOLE_REPLY
    ],
)
def test_ordinary_groups_get_openrlhfs_own_advantages(name, kl_in_loss):
    """Where nothing is unscored, tied or forced, the two estimators are one."""
    maker_module = pytest.importorskip(
        "openrlhf.trainer.ppo_utils.experience_maker", reason="OpenRLHF's stack is not installed"
    )
    theirs, mine = (experiences_of(ordinary(), kl_in_loss=kl_in_loss, seed=1) for _ in range(2))
    advantage = SimpleNamespace(estimator=ESTIMATORS[name], gamma=1.0, lambd=1.0, no_std_norm=False)
    maker = maker_module.RemoteExperienceMaker.__new__(maker_module.RemoteExperienceMaker)
    maker.args = SimpleNamespace(
        algo=SimpleNamespace(advantage=advantage),
        rollout=SimpleNamespace(n_samples_per_prompt=4),
        reward=SimpleNamespace(
            clip_range=(-10, 10), overlong_buffer_len=None, stop_properly_penalty_coef=None
        ),
    )
    maker.strategy = SimpleNamespace(args=maker.args)
    maker.advantage_estimator = ESTIMATORS[name]
    maker.kl_ctl = SimpleNamespace(value=0.1)
    maker.compute_advantages_and_returns(theirs)
    options = {"kl_coef": 0.1}
    if not kl_in_loss:
        options |= {"kl_in": "reward", "kl_estimator": "k1"}
    elif name != "reinforce++-baseline":
        options |= {"kl_in": "loss", "kl_estimator": "k3"}
    algorithm = make_algorithm(name, **options)
    learn_from(mine, algorithm, 4)
    tokens = sum(int(e.action_mask.sum()) for e in mine)
    whitened = name.startswith("reinforce")  # theirs by the deviation of a population
    scale = (1 - 1 / tokens) ** 0.5 if whitened else 1.0
    for a, b in zip(theirs, mine, strict=True):
        mask = b.action_mask.bool()
        assert torch.allclose(scale * a.advantages[mask], b.advantages[mask], atol=2e-5)


@pytest.mark.parametrize("name", WHOLE_REPLY)
def test_a_kl_in_the_reward_charges_the_whole_reply(name):
    episodes = ordinary()
    made = experiences_of(episodes, kl_in_loss=False, seed=1)
    charged = torch.stack(
        [
            e.reward.total
            - 0.1 * made[at // 2].kl[at % 2][made[at // 2].action_mask[at % 2] > 0].sum()
            for at, e in enumerate(episodes)
        ]
    ).view(2, 4)
    expected = charged - charged.mean(1, keepdim=True)
    if name == "grpo":
        expected = expected / (charged.std(1, keepdim=True) + 1e-6)
    elif name == "rloo":
        expected = expected * 4 / 3
    learn_from(made, make_algorithm(name, kl_coef=0.1, kl_in="reward", kl_estimator="k1"), 4)
    for at, advantage in enumerate(expected.flatten()):
        own = made[at // 2].action_mask[at % 2].bool()
        row = made[at // 2].advantages[at % 2][own]
        torch.testing.assert_close(row, advantage.expand_as(row), atol=2e-5, rtol=1e-5)


def test_gae_gives_the_local_trainers_advantages_on_the_same_trajectories():
    """The local trainer has the policy's tokens alone; here pictures and prompts stand between."""
    episodes = ordinary()
    made = experiences_of(episodes)
    generator = torch.Generator().manual_seed(2)
    said, values, rows = [], [], []
    for experience in made:
        experience.values = torch.rand(experience.action_mask.shape, generator=generator)
        for row in range(2):
            own = experience.action_mask[row].bool()
            said.append(experience.action_log_probs[row][own])
            values.append(experience.values[row][own])
            rows.append((experience, row, own))
    width = max(map(len, said))

    def grouped(tensors):
        padded = [torch.nn.functional.pad(t, (0, width - len(t))) for t in tensors]
        return torch.stack(padded).unflatten(0, (2, 4))

    local = Batch(
        rewards=torch.tensor([e.reward.total for e in episodes]).view(2, 4),
        mask=grouped([torch.ones_like(t) for t in said]).bool(),
        old_log_probs=grouped(said),
        values=grouped(values),
    )
    algorithm = make_algorithm("ppo", decay=0.7, discount=0.99)
    targets, _ = algorithm.targets(local)
    learn_from(made, algorithm, 4)
    for at, (experience, row, own) in enumerate(rows):
        length = int(own.sum())
        assert torch.allclose(experience.advantages[row][own], targets.advantages[at, :length])
        assert torch.allclose(experience.returns[row][own], targets.returns[at, :length])


def test_a_forced_token_weighs_one_whatever_its_engine_says():
    """An engine drew none of them, so where it is corrected for, they are not."""
    episodes = [episode_of(float(i % 2), turns, forced=1) for i, turns in enumerate(TURNS)]
    made = experiences_of(episodes)
    for experience in made:
        experience.rollout_log_probs = torch.full(experience.action_mask.shape, -9.0)
    learn_from(made, make_algorithm("grpo"), group_size=4)
    for experience in made:
        for row, at in enumerate(experience.index):
            said = len(episodes[at].replies[0].prompt_ids) - 1
            own = torch.zeros(experience.action_mask.shape[1], dtype=torch.bool)
            own[said] = True
            ratio = experience.action_log_probs[row] - experience.rollout_log_probs[row]
            assert (ratio[own] == 0).all()
            assert (experience.rollout_log_probs[row][~own] == -9).all()

"""Training through verl: Ray, vLLM and FSDP, by the hooks that verl 0.9 has for it.

    recipe ──flags──▶ verl's settings ─┐            OUT/verl/
    source ──export─▶ rows ─dataset────┼──▶ verl ──▶ loop: dialogues, groups, rewards
                                       │      ▲                  │ AgentLoopOutput
                                       └── run.json              ▼
                                        estimator ◀── rewards, masks, groups

verl owns the trainer, the log and the checkpoints. Four of its hooks are filled in
:mod:`~trainers.verl.hooks`, the only module that imports verl: a dataset, an agent loop, advantage
estimators and a callback after saves. verl's processes load it by ``data.custom_cls``. verl goes on
without a rollout whose loop raised; the estimators stop the run where one has.
"""

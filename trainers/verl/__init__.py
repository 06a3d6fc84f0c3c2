"""Training through verl: Ray, vLLM and FSDP, by the hooks that verl 0.9 has for it.

    recipe ──flags──▶ verl's settings ─┐            OUT/verl/
    source ──export─▶ rows ─dataset────┼──▶ verl ──▶ loop: dialogues, groups, rewards
                                       │      ▲                  │ AgentLoopOutput
                                       └── run.json              ▼
                                        estimator ◀── rewards, masks, groups

verl owns the trainer, the log and the checkpoints. Three of its hooks are filled here: a dataset
(:mod:`~trainers.verl.dataset`), an agent loop (:mod:`~trainers.verl.loop`) and an advantage
estimator (:mod:`~trainers.verl.estimator`). Only these three import verl. Its processes load the
dataset by ``data.custom_cls``, and with it the other two.
"""

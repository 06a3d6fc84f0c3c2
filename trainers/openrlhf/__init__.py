"""Training through OpenRLHF: Ray, vLLM and DeepSpeed, on one machine or many.

    recipe ──flags──▶ command line ─┐              OUT/openrlhf/
    source ──export─▶ rows ─────────┼──▶ OpenRLHF ──▶ executor: dialogues, groups, rewards
                                    │      ▲                       │ rollouts
                                    └── run.json                   ▼
              metrics.jsonl, checkpoint/step-… ◀── driver: advantages, log, checkpoints

Everything that decides what is learnt is the project's own and the same as in the local trainer:
dialogues, prompts, tools, judges and rewards (:mod:`vt_env`), the rollouts of a group and the rows
(:mod:`trainers.hosted`), advantages and which tokens are trained on (:mod:`trainers.algorithms`),
the log and the checkpoints. OpenRLHF generates, computes log-probabilities, takes the gradient
steps and moves the weights.

Only :mod:`~trainers.openrlhf.executor`, :mod:`~trainers.openrlhf.driver`,
:mod:`~trainers.openrlhf.learners` and :mod:`~trainers.openrlhf.main` import OpenRLHF, and nobody
imports them but the processes that it starts.
"""

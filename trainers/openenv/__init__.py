"""``VisionThink-v0`` on another machine: a server and a client, through the OpenEnv library.

    policy ─▶ VisionThinkClient ══ WebSocket ══▶ Guard ─▶ OpenEnv's app ─▶ VisionThinkEnvironment
                   │  action: text                 │ token, limits,            │ one a session
                   ◀═ observation: messages, ══════╯ idle time-out             ▼
                      picture (PNG), facts                             vt_env's environment

One connection is one session, and one session plays one episode at a time. What a judge compares an
answer with never leaves the server. A penalty that compares the rollouts of a group is worked out
where the group is: :func:`~trainers.openenv.client.play_group` plays one question in several
sessions and applies :func:`vt_env.rewards.group_rewards` to the facts that come back.

Only this package imports OpenEnv and what it brings.
"""

from trainers.installed import require

require("openenv", "openenv", {"openenv": "0.10"}, what="remote environment", newer=False)

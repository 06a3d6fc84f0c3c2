"""A page on which a person plays an episode, or watches an agent: what ``vt play --web`` serves."""

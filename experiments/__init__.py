"""Recipes, evaluation and reports, behind one command line: ``vt``.

What a user did wrong is raised as a ``VisionThinkError`` throughout: ``ConfigError`` for settings,
``DataError`` for data and files that cannot be used, ``Damaged`` for what is not what was written,
``MissingExtra`` for a package that is not installed. Docstrings name them only where there is more
to say.
"""

from vt_env.packages import settle

settle(__name__)  # before anything is imported by these names

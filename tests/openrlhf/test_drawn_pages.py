"""Pages are drawn by the Pillow of the guests' environments too, which is a newer one."""

import pytest

from vt_env.sources import open_source

pytestmark = pytest.mark.openrlhf
pytest.importorskip("vllm", reason="needs `make test-openrlhf`")


@pytest.mark.parametrize("kinds", ["all", "form+receipt"])
def test_hard_pages_are_drawn(kinds) -> None:
    for sample in open_source(f"pages:n=24,difficulty=1,kinds={kinds}"):
        assert sample.image.shape == (224, 224, 3)

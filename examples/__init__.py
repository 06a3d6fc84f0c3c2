"""Programs to read and to copy from: learning by libraries and loops that know nothing of ours."""

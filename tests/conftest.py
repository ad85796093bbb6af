"""What all tests share: property tests without a clock, since the first call compiles."""

from hypothesis import settings

settings.register_profile("permjax", deadline=None, max_examples=30, print_blob=True)
settings.load_profile("permjax")

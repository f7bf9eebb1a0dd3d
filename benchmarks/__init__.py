"""Side-by-side speed measurements. These are not tests: nothing here asserts."""

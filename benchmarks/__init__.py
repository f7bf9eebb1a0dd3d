"""Speed, measured side by side. Not tests: nothing here asserts."""

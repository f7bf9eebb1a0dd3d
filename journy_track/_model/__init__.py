"""The words: identities, items, values, outcomes, results, errors, configuration."""

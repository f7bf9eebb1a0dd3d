"""The data model: identities, items, values, outcomes, results, errors, configuration."""

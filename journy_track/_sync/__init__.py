"""All accounts or users of an app at journy.io: only what changed is sent."""

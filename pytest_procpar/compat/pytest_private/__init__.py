"""What we need of pytest that it does not offer in public, each with the reason why."""

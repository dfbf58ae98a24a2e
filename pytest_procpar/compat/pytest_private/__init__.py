"""What we need from pytest that it does not offer in public, each with the reason why."""

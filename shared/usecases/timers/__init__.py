"""What timers do: work the agenda, keep grants alive, end registrations, sweep, tidy, rotate keys."""

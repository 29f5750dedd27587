"""From a link to a bound mailbox: registrations, sign-in, proof of access, binding."""

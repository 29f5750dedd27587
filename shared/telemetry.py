"""Logging: our own events at INFO; libraries that would log URLs and bodies only when they warn."""

import logging

# httpx logs whole URLs at INFO, the Azure SDK and MSAL requests and answers at DEBUG.
NOISY = ("azure", "msal", "httpx", "httpcore", "urllib3", "aiohttp")


def quiet_libraries() -> None:
    """Raise the level of libraries whose lines may hold what must not be logged."""
    logging.getLogger("shared").setLevel(logging.INFO)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)

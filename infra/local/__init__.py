"""The local parts: Azurite, the Functions host and the Microsoft 365 tenant, and what starts them."""

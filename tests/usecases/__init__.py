"""What the use cases decide, on Azurite and the local tenant: no Functions host in between, and a clock that moves."""

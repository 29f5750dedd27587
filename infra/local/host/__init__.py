"""The local Functions host: it runs an app on Microsoft's own Python worker library, in one process.

`__main__` reads the command line and serves on uvicorn, whose `protocol` behaves like Kestrel. `server.host` loads the
app through `worker`, and starts its triggers:

- a request: `server` -> `request` (reads it) -> `http` (finds the function by `routing`, checks `keys`) -> `worker`
  -> `response` (writes the result);
- a timer: `timers` runs its function at each time of its schedule;
- a queue: `queues` polls it and runs its function for each message.

docs/local.md says how it compares with the real host.
"""

"""Mailbind on one computer: Azurite, a Functions host and a Microsoft 365 tenant, each in a process of its own.

`parts` starts and stops a process. `environment` starts all three with the settings that connect them. On top of it:

- `run` (`make run`) keeps everything running, prints a link to click, and narrates what happens (`narration`);
  `sample_app` is the application that asks for the sign-in;
- `demo` (`make demo`) performs the journey by itself, with `visitor` as the browser and `caller` as the calling app;
- `package` builds the deployment package, and runs the app from it.
"""

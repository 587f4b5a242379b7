"""`dp3 demo`: an application that keeps profiles of the machine it runs on, in one command.

`app/` is what a user would write: configuration and modules. `watch` is its primary module, the collectors
`host`, `processes` and `network` are what it sees. `runner` starts the platform with that application as
a program of its own, `findings` reads back through the HTTP API what was built, `display` shows it.
"""

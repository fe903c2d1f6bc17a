"""JupyterHub on one machine: an account of the system and a server of one's own for each learner.

    jupyterhub --config docs/hub/jupyterhub_config.py

Needs jupyterhub, nbgitpuller and this course in one environment that every account may read, and configurable-http-proxy
from npm on the PATH. Run it behind a web server that speaks HTTPS, such as Caddy with the Caddyfile beside this. See docs/teaching.md.
"""

import os

c = get_config()  # noqa: F821  (JupyterHub defines it)

c.JupyterHub.bind_url = os.environ.get("HUB_URL", "http://127.0.0.1:8000")
c.JupyterHub.hub_port = int(os.environ.get("HUB_PORT", "8081"))

# Who may log in: the accounts of this machine that stand in the group "learners". Give each home folder mode 700: JupyterHub does not.
c.JupyterHub.authenticator_class = "pam"
c.PAMAuthenticator.allowed_groups = {"learners"}
c.LocalProcessSpawner.notebook_dir = "~"

# A server of one's own, and when it ends if nobody uses it (docs/teaching.md has what each lesson takes).
c.Spawner.environment = {"OMP_NUM_THREADS": "1"}        # the lessons train on one thread
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 120
c.Spawner.args = [
    "--MappingKernelManager.cull_idle_timeout=3600",    # seconds: then an idle kernel ends, and frees its memory,
    "--MappingKernelManager.cull_connected=True",       # also where its tab is open
    "--ServerApp.shutdown_no_activity_timeout=7200",
]

"""An embedded cluster: a real control plane on loopback, whose nodes and containers are simulated.

``sandbox.lifecycle`` starts and ends it, ``sandbox.toolchain`` finds or builds its programs, and
``sandbox.rehearsal`` takes a release through its whole life on it. ``runbooks_lib`` never imports this.
"""

"""The programs behind a chart's containers: real databases, and two small web servers, on loopback.

``programs`` says which program an image means and whether it answers. The other modules are those programs,
or what stands before them. Nothing of a container is executed: its arguments are read, its environment is
handed on by name.
"""

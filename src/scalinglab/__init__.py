"""A testbed for the theory of neural scaling laws: simulate, predict, compare.

The rooms are ``scalinglab.models`` (what is simulated), ``scalinglab.theory`` (what is
predicted), ``scalinglab.experiments`` (what is asked) and ``scalinglab.paper_figs`` (what is
drawn). Importing this package imports none of them.
"""

__version__ = "0.1.0"

"""What does the bridge cost? One question a file, each answered beside its alternatives.

``python -m benchmarks.single``, ``vector``, ``atari``, ``scaling`` and ``sessions`` measure every
alternative in one run, in turns, so that a machine that slows down slows them all; they print a
table, and write the figures and a picture to ``benchmarks/results``. Options are the same for all:
``--help`` lists them, ``--check`` fails when a target is missed. They need the extra that
brings matplotlib and Atari (``pip install -e '.[dev]'``), and Linux, for its ``/proc``.
Stable-Baselines3 is measured where it is installed (``.[dev,learning]``); the stock peer and EnvPool get
virtual environments of their own, which are built once. What is missing is named, and left out.

``soak`` asks another sort of question, whether anything grows, and fails when it does.

Which file holds what:

- ``cases``: what is compared, and what is claimed of it; ``alternation``: the measuring;
  ``placement``: round trips with the processes on given cores.
- ``children``: processes and their CPU seconds; ``rig``: what an alternative holds open.
- ``local``, ``ours``, ``echo``, ``stock``, ``apart``: the alternatives; ``driven``: those in a process
  of their own, and ``driver``: what runs there; ``wire_sizes``: bytes per step.
- ``machine``, ``record``, ``table``, ``plot``: what is reported; ``command``: the options.
"""

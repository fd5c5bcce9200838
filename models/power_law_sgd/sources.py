"""BibTeX of the papers that this model and its theory follow."""

SOURCES = {
    "paquette2024": """@misc{paquette2024,
  title  = {4+3 phases of compute-optimal neural scaling laws},
  author = {Paquette, Elliot and Paquette, Courtney and Xiao, Lechao and Pennington, Jeffrey},
  year   = {2024},
  note   = {arXiv:2405.15074},
}""",
    "ferbach2025": """@misc{ferbach2025,
  title  = {Dimension-adapted momentum outscales {SGD}},
  author = {Ferbach, Damien and Everett, Katie and Gidel, Gauthier and Paquette, Elliot and
            Paquette, Courtney},
  year   = {2025},
  note   = {arXiv:2505.16098},
}""",
    "lin2024": """@misc{lin2024,
  title  = {Scaling laws in linear regression: compute, parameters, and data},
  author = {Lin, Licong and Wu, Jingfeng and Kakade, Sham M. and Bartlett, Peter L. and
            Lee, Jason D.},
  year   = {2024},
  note   = {arXiv:2406.08466},
}""",
    "bordelon2024": """@misc{bordelon2024,
  title  = {A dynamical model of neural scaling laws},
  author = {Bordelon, Blake and Atanasov, Alexander and Pehlevan, Cengiz},
  year   = {2024},
  note   = {arXiv:2402.01092},
}""",
}

"""BibTeX of the papers that this model and its theory follow."""

SOURCES = {
    "liu2025": """@misc{liu2025,
  title  = {Superposition yields robust neural scaling},
  author = {Liu, Yizhou and Liu, Ziming and Gore, Jeff},
  year   = {2025},
  note   = {arXiv:2505.10465},
}""",
    "elhage2022": """@misc{elhage2022,
  title  = {Toy models of superposition},
  author = {Elhage, Nelson and Hume, Tristan and Olsson, Catherine and Schiefer, Nicholas and
            Henighan, Tom and Kravec, Shauna and Hatfield-Dodds, Zac and Lasenby, Robert and
            Drain, Dawn and Chen, Carol and Grosse, Roger and McCandlish, Sam and Kaplan, Jared and
            Amodei, Dario and Wattenberg, Martin and Olah, Christopher},
  year   = {2022},
  note   = {Transformer Circuits Thread; arXiv:2209.10652},
}""",
}

"""BibTeX of the papers that this model and its theory follow."""

SOURCES = {
    "sorscher2022": """@inproceedings{sorscher2022,
  title     = {Beyond neural scaling laws: beating power law scaling via data pruning},
  author    = {Sorscher, Ben and Geirhos, Robert and Shekhar, Shashank and Ganguli, Surya and
               Morcos, Ari S.},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {35},
  year      = {2022},
  note      = {arXiv:2206.14486},
}""",
    "gardner1988": """@article{gardner1988,
  title   = {The space of interactions in neural network models},
  author  = {Gardner, Elizabeth},
  journal = {Journal of Physics A: Mathematical and General},
  volume  = {21},
  number  = {1},
  pages   = {257--270},
  year    = {1988},
}""",
}

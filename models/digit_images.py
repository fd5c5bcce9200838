"""The handwritten digits that come with scikit-learn, and their source."""

ALPAYDIN = """@misc{alpaydin1998,
  title  = {Optical recognition of handwritten digits},
  author = {Alpaydin, Ethem and Kaynak, Cenk},
  year   = {1998},
  note   = {UCI Machine Learning Repository, doi:10.24432/C50P49},
}"""

"""What `scalinglab show teacher-student` cites."""

SOURCES = {
    "sharma2020": """@article{sharma2020,
  title   = {Scaling laws from the data manifold dimension},
  author  = {Sharma, Utkarsh and Kaplan, Jared},
  journal = {Journal of Machine Learning Research},
  volume  = {23},
  year    = {2022},
  note    = {arXiv:2004.10802},
}""",
    "bahri2021": """@article{bahri2021,
  title   = {Explaining neural scaling laws},
  author  = {Bahri, Yasaman and Dyer, Ethan and Kaplan, Jared and Lee, Jaehoon and
             Sharma, Utkarsh},
  journal = {Proceedings of the National Academy of Sciences},
  volume  = {121},
  year    = {2024},
  note    = {arXiv:2102.06701},
}""",
}

"""Networks on data manifolds: teachers, students, and what the dimension of the data decides."""

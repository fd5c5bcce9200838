"""Neural machine translation: the loss against the sizes of encoder and decoder."""

import jax.numpy as jnp

from scalinglab.theory.fitting.law import Law, Parameter

# The paper's alpha (N_e^bar/N_e)^p_e (N_d^bar/N_d)^p_d has the sizes of a reference model in it,
# which any constant can replace: alpha is the term at those sizes.
BIVARIATE_TRANSLATION = Law(
    name="bivariate-translation",
    parameters=(
        Parameter(
            "beta", unit={"L": 1, "N_e": "p_e", "N_d": "p_d"}, linear=True, meaning="amplitude"
        ),
        Parameter("L_inf", unit={"L": 1}, linear=True, meaning="irreducible loss"),
        Parameter("p_e", meaning="exponent of the encoder"),
        Parameter("p_d", meaning="exponent of the decoder"),
    ),
    inputs=("N_e", "N_d"),
    log_predict=lambda t, x: jnp.log(
        t["L_inf"] + t["beta"] * jnp.exp(-t["p_e"] * x["log N_e"] - t["p_d"] * x["log N_d"])
    ),
    columns=lambda t, x: (jnp.exp(-t["p_e"] * x["log N_e"] - t["p_d"] * x["log N_d"]), 1.0),
    formula="L = beta N_e^-p_e N_d^-p_d + L_inf",
    source="arXiv 2109.07740, as quoted in arXiv 2302.09650, eq. (2)",
    constant="L_inf",
    example={
        "beta": 1500.0,
        "L_inf": 0.9,
        "p_e": 0.18,
        "p_d": 0.28,
        "N_e": (1e7, 1e9),
        "N_d": (1e7, 1e9),
    },
)

LAWS = (BIVARIATE_TRANSLATION,)

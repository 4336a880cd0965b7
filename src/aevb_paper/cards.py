"""The five study cards, in the order in which the paper is read."""

from collections.abc import Iterator, Sequence

from aevb.report.svg import standalone_svg
from aevb_paper import architecture, bound, derivation, divergence, gradients
from aevb_paper.checks import Card, Picture, Question, Result
from aevb_paper.drawings.bound import decomposition
from aevb_paper.drawings.divergence import correlated, mixture
from aevb_paper.drawings.families import families
from aevb_paper.drawings.gradients import variances
from aevb_paper.drawings.graphs import gaussian_trick, graphical_model, trick
from aevb_paper.drawings.optimum import landscape

__all__ = ["CARDS", "deck", "results", "skipped"]

CARDS: tuple[Card, ...] = (
    Card(
        name="bound",
        title="The evidence lower bound in its two forms",
        text=(
            "The bound L(x) is log p(x) minus the divergence of q(z|x) from the posterior. Neither "
            "can be computed; but the bound is also the expected log likelihood minus the "
            "divergence of q(z|x) from the prior, and both of these can. A divergence is never "
            "negative, so that L(x) ≤ log p(x), with equality where q(z|x) is the posterior."
        ),
        formulas=(
            "L(x) = log p(x) - KL(q(z|x) || p(z|x))",
            "L(x) = E_q[log p(x|z)] - KL(q(z|x) || p(z))",
            "L(x) = E_q[log p(x,z) - log q(z|x)]",
        ),
        pictures=(
            Picture(
                "bound",
                decomposition,
                "Left: the bound of one row as q moves, a curve below log p(x) that touches it "
                "where q is the posterior. Right: the expected log likelihood, minus the KL to the "
                "prior, is the bound; plus the KL to the posterior, log p(x).",
            ),
        ),
        checks=(
            bound.both_forms,
            bound.energy_and_entropy,
            bound.joint_over_posterior,
            bound.never_above,
            bound.tight,
            bound.levels,
            bound.estimator_a,
            bound.estimator_b,
        ),
        questions=(
            Question(
                "What are the two forms of the evidence lower bound?",
                "L(x) = log p(x) - KL(q(z|x) || p(z|x)) = E_q[log p(x|z)] - KL(q(z|x) || p(z))",
                "bound",
            ),
            Question(
                "Why is the evidence lower bound a lower bound, and when is it tight?",
                "log p(x) - L(x) = KL(q(z|x) || p(z|x)) ≥ 0, and it is 0 only where q(z|x) is the "
                "posterior.",
                "bound",
            ),
            Question(
                "Which term of E_q[log p(x|z)] - KL(q(z|x) || p(z)) has a closed form for "
                "Gaussians?",
                "The divergence. With q(z|x) = N(μ, diag σ²) and p(z) = N(0, I): -KL(q || p) = "
                "1/2 Σ_j (1 + log σ_j² - μ_j² - σ_j²).",
            ),
        ),
    ),
    Card(
        name="derivation",
        title="From the divergence to the loss, line by line",
        text=(
            "The aim is a q(z|x) close to the posterior p(z|x), which is not known. Bayes' rule "
            "replaces it by p(x|z), p(z) and p(x); log p(x) does not depend on z and leaves the "
            "expectation; what is left of the prior is a divergence again. Moved to one side, the "
            "unknowns add up to a loss that can be computed. Its minimum over θ and φ makes log "
            "p(x) large and q(z|x) the posterior, at once."
        ),
        formulas=(
            "KL(q(z|x) || p(z|x)) = E_q[log q(z|x) - log p(z|x)]",
            "  = E_q[log q(z|x) - log p(x|z) - log p(z) + log p(x)]",
            "  = E_q[log q(z|x) - log p(x|z) - log p(z)] + log p(x)",
            "  = -E_q[log p(x|z)] + E_q[log q(z|x) - log p(z)] + log p(x)",
            "  = -E_q[log p(x|z)] + KL(q(z|x) || p(z)) + log p(x)",
            "L_VAE = -log p(x) + KL(q(z|x) || p(z|x)) = -E_q[log p(x|z)] + KL(q(z|x) || p(z))",
            "θ*, φ* = argmin_θ,φ L_VAE",
        ),
        pictures=(
            Picture(
                "graphical-model",
                graphical_model,
                "In a plate of N rows, solid arrows from z to x and from theta to both: the "
                "generative model. Dashed arrows from x and phi to z: the recognition model.",
            ),
            Picture(
                "optimum",
                landscape,
                "Left: contours of the loss over theta and phi, with the way of gradient descent "
                "to the minimum, where q is the posterior. Right: minus log p(x) by theta, and "
                "above it the losses of two q, which touch it where q is the posterior.",
            ),
        ),
        checks=(
            *derivation.line_checks(),
            *derivation.loss_checks(),
            derivation.optimum,
            derivation.descent,
            derivation.arrows_are_gradients,
        ),
        questions=(
            Question(
                "Derive the loss L_VAE from KL(q(z|x) || p(z|x)).",
                "By Bayes' rule, log p(z|x) = log p(x|z) + log p(z) - log p(x), so that KL(q(z|x) "
                "|| p(z|x)) = -E_q[log p(x|z)] + KL(q(z|x) || p(z)) + log p(x). With log p(x) on "
                "the left, L_VAE = -log p(x) + KL(q(z|x) || p(z|x)) = -E_q[log p(x|z)] + "
                "KL(q(z|x) || p(z)).",
            ),
            Question(
                "What are θ*, φ* = argmin L_VAE, if q can be the posterior?",
                "θ* maximizes the likelihood, and q at φ* is the posterior: the divergence, never "
                "negative, is then 0, and the loss is the least mean of -log p(x).",
                "optimum",
            ),
            Question(
                "Draw the graphical model of the variational auto-encoder.",
                "Solid: p_θ(z) p_θ(x|z). Dashed: q_φ(z|x), which stands for the posterior. The "
                "plate repeats both for N rows; θ and φ are outside, shared by all.",
                "graphical-model",
            ),
        ),
    ),
    Card(
        name="divergence",
        title="Reverse and forward divergence",
        text=(
            "KL(p || q) is infinite where q is zero and p is not: its minimizer avoids zeros, "
            "covers all of p and, being Gaussian, has the mean and variance of p. KL(q || p) is "
            "infinite where p is zero and q is not: its minimizer is forced to zero there, keeps "
            "to one mode and is too narrow. The bound uses KL(q || p) because it is an "
            "expectation under q, which can be drawn from, and needs the posterior only up to the "
            "constant p(x)."
        ),
        formulas=(
            "KL(p || q) = E_p[log p(z) - log q(z)]",
            "KL(q || p) = E_q[log q(z) - log p(z)]",
            "KL(q(z|x) || p(z|x)) = E_q[log q(z|x) - log p(x,z)] + log p(x)",
        ),
        pictures=(
            Picture(
                "two-modes",
                mixture,
                "A density with two modes. Left: the Gaussian of least KL(p || q) covers both and "
                "the gap between. Right: those of least KL(q || p) each fit one mode.",
            ),
            Picture(
                "correlated",
                correlated,
                "A correlated Gaussian as a tilted ellipse. Left: the independent Gaussian of "
                "least KL(p || q), a circle as wide as the ellipse is long on the axes. Right: "
                "that of least KL(q || p), a small circle within it.",
            ),
        ),
        checks=(
            divergence.closed_form,
            divergence.mixture_moments,
            divergence.covers_both_modes,
            divergence.seeks_one_mode,
            divergence.seeks_the_other_mode,
            divergence.reverse_fit_of_correlated,
            divergence.forward_fit_of_correlated,
            divergence.forbidden_zeros,
            divergence.draws_of_q_suffice,
        ),
        questions=(
            Question(
                "Which of KL(p || q) and KL(q || p) is zero-avoiding, which zero-forcing, and why?",
                "KL(p || q) is zero-avoiding: it is infinite where p > 0 = q, so that q covers "
                "all of p. KL(q || p) is zero-forcing: it is infinite where q > 0 = p, so that q "
                "is 0 wherever p is.",
                "two-modes",
            ),
            Question(
                "Fit a Gaussian q to p = 1/2 N(-2, 1/4) + 1/2 N(2, 1/4) both ways.",
                "Least KL(p || q): the moments of p, N(0, 4.25). Least KL(q || p): near either "
                "mode, N(±2, 0.25), with a divergence of log 2.",
                "two-modes",
            ),
            Question(
                "Fit independent Gaussians to p = N(0, Σ) both ways.",
                "Least KL(p || q): variances Σ_ii. Least KL(q || p): 1 / (Σ⁻¹)_ii, which is never "
                "more. With variances 1 and correlation ρ = 0.9: 1 and 1 - ρ² = 0.19.",
                "correlated",
            ),
            Question(
                "Why does the bound use KL(q || p) and not KL(p || q)?",
                "It is an expectation under q(z|x), which can be drawn from, and needs of the "
                "posterior only log p(x,z): log p(x) is a constant. KL(p || q) would need draws "
                "of the posterior itself.",
            ),
        ),
    ),
    Card(
        name="reparameterization",
        title="The reparameterization trick",
        text=(
            "A draw z ~ q_φ(z|x) has no derivative with respect to φ. Written as a function "
            "T_φ(x, ε) of noise that does not depend on φ, it has one, and the gradient moves "
            "inside the expectation. The other way, by the score function ∇_φ log q, needs no "
            "such function, but f itself and not its slope multiplies the noise, and the variance "
            "is usually far larger."
        ),
        formulas=(
            "z = T_φ(x, ε),  ε ~ p(ε)",
            "z = μ + σ ⊙ ε,  ε ~ N(0, I)",
            "∇_φ E_q[f(z)] = E_p(ε)[∇_φ f(T_φ(x, ε))]",
            "∇_φ E_q[f(z)] = E_q[f(z) ∇_φ log q_φ(z|x)]",
        ),
        pictures=(
            Picture(
                "trick",
                trick,
                "Two computation graphs. Before: z is random, and the gradient of f stops at it. "
                "After: z is a function of x, phi and a random epsilon, and the gradient "
                "continues to phi.",
            ),
            Picture(
                "gaussian-trick",
                gaussian_trick,
                "The encoder gives mu and sigma; epsilon, standard normal, times sigma, plus mu, "
                "is z, which goes to the decoder. The derivatives of z are 1 and epsilon.",
            ),
            Picture(
                "variances",
                variances,
                "Left: gradients of the bound from single draws, narrow along the path, wide by "
                "the score function, around the same value. Right: the variances of both by the "
                "scale of q, as computed and as measured.",
            ),
            Picture(
                "families",
                families,
                "Every family of section 2.4 by its technique, with its T and a histogram of "
                "draws of it under its density.",
            ),
        ),
        checks=(
            gradients.transform_of_gaussian,
            gradients.same_expectation,
            gradients.change_of_variables,
            gradients.path_mean,
            gradients.score_mean,
            gradients.path_variance_check,
            gradients.score_variance_check,
            gradients.measured_variances,
            gradients.path_mean_of_bound,
            gradients.score_mean_of_bound,
            gradients.path_variance_of_bound,
            gradients.score_variance_of_bound,
            *gradients.family_checks(),
        ),
        questions=(
            Question(
                "What is the reparameterization trick, in general?",
                "Write z ~ q_φ(z|x) as z = T_φ(x, ε), with ε ~ p(ε) independent of φ. Then ∇_φ "
                "E_q[f(z)] = E_p(ε)[∇_φ f(T_φ(x, ε))].",
                "trick",
            ),
            Question(
                "What is the reparameterization of a diagonal Gaussian, and its slopes?",
                "z = μ + σ ⊙ ε, ε ~ N(0, I). ∂z/∂μ = 1, ∂z/∂σ = ε, ∂z/∂log σ² = 1/2 σ ε.",
                "gaussian-trick",
            ),
            Question(
                "For z ~ N(μ, σ²), what is the variance of the two gradients of E[z²] with "
                "respect to μ, from one draw?",
                "Along the path, 2z: 4σ². By the score function, z² (z - μ) / σ²: μ⁴/σ² + 14μ² + "
                "15σ². Both are 2μ on average.",
                "variances",
            ),
            Question(
                "Which three techniques of reparameterization does the paper list?",
                "The inverse of the distribution function, of uniform noise; location and scale, "
                "of standard noise; and composition of variates that have one.",
                "families",
            ),
        ),
    ),
    Card(
        name="architecture",
        title="The architecture, drawn from a live model",
        text=(
            "The encoder maps x to μ and log σ² of q(z|x), a draw of z goes to the decoder, and "
            "the decoder maps it to the parameters of p(x|z); each is a network with a hidden "
            "layer of tanh. Drawn here is the paper's own network, for digits of 64 black or "
            "white pixels: aevb inspect RUN --draw draws any fitted model like this."
        ),
        formulas=(
            "log p(x|z) = Σ_i x_i log y_i + (1 - x_i) log(1 - y_i),  y = sigmoid(W₂ tanh(W₁ z + "
            "b₁) + b₂)",
            "log q(z|x) = log N(z; μ, diag σ²)",
            "μ = W₄ h + b₄,  log σ² = W₅ h + b₅,  h = tanh(W₃ x + b₃)",
        ),
        pictures=(
            Picture(
                "architecture",
                architecture.draw,
                "From x through the encoder's layers to a draw of z, and through the decoder's to "
                "p(x|z); each layer with its shape and number of parameters.",
            ),
        ),
        checks=(
            architecture.decoder,
            architecture.encoder,
            architecture.parameters,
            architecture.shapes,
            architecture.drawing,
        ),
        questions=(
            Question(
                "Draw the architecture of a variational auto-encoder with a Bernoulli decoder.",
                "x → tanh → (μ, log σ²), z = μ + σ ⊙ ε, z → tanh → sigmoid → y, p(x|z) = "
                "Bernoulli(y).",
                "architecture",
            ),
            Question(
                "How many numbers does the encoder of a diagonal Gaussian give, and which?",
                "Two for each latent: μ_j and log σ_j².",
                "architecture",
            ),
            Question(
                "How does a Gaussian decoder differ from a Bernoulli one?",
                "It gives μ = W₄ h + b₄ and log σ² = W₅ h + b₅ of log p(x|z) = log N(x; μ, diag "
                "σ²), with h = tanh(W₃ z + b₃), instead of the probabilities y.",
            ),
        ),
    ),
)


def results(card: Card) -> list[Result]:
    """Run every check of a card whose package is installed."""
    return [check.result() for check in card.checks if check.can_run]


def skipped() -> Iterator[str]:
    """The package that each check without one needs."""
    for card in CARDS:
        for check in card.checks:
            if not check.can_run:
                yield check.needs


def deck(cards: Sequence[Card]) -> dict[str, str]:
    """Files by name for programs of spaced repetition: `deck.md`, and its pictures as SVG.

    Every heading of level two is a question, and what follows it is the answer.
    """
    lines = ["# Auto-Encoding Variational Bayes", ""]
    files = {}
    for card in cards:
        descriptions = {picture.name: picture.description for picture in card.pictures}
        for question in card.questions:
            lines += [f"## {question.question}", "", question.answer, ""]
            if name := question.picture:
                lines += [f"![{descriptions[name]}]({name}.svg)", ""]
        for picture in card.pictures:
            figure = picture.draw()
            files[f"{picture.name}.svg"] = standalone_svg(figure, picture.description)
    return {"deck.md": "\n".join(lines), **files}

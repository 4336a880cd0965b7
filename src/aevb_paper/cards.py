"""The five study cards: what each says, in words and formulas, and which pictures and checks are
its.
"""

from collections.abc import Iterator

from aevb_paper import architecture, bound, derivation, divergence, reparameterized
from aevb_paper.checks import Card, Picture, Question, Result
from aevb_paper.drawings.bound import decomposition
from aevb_paper.drawings.divergence import correlated, two_modes
from aevb_paper.drawings.families import families
from aevb_paper.drawings.gradients import variances
from aevb_paper.drawings.graphs import gaussian_trick, graphical_model, trick
from aevb_paper.drawings.optimum import landscape

__all__ = ["CARDS", "left_out", "results"]

BOUND = Card(
    name="bound",
    title="The evidence lower bound, in both its forms",
    text=(
        r"The bound $\mathcal{L}(x)$ is $\log p(x)$ less the divergence of $q(z|x)$ from the posterior. Neither can be "
        r"computed; but it is also the expected log likelihood less the divergence of $q(z|x)$ from the prior, and "
        r"both of these can. A divergence is never negative, so $\mathcal{L}(x) \le \log p(x)$, with equality where "
        "$q(z|x)$ is the posterior."
    ),
    formulas=(
        r"\mathcal{L}(x) = \log p(x) - \mathrm{KL}(q(z|x)\,\|\,p(z|x))",
        r"\mathcal{L}(x) = \mathbb{E}_{q}[\log p(x|z)] - \mathrm{KL}(q(z|x)\,\|\,p(z))",
        r"\mathcal{L}(x) = \mathbb{E}_{q}[\log p(x,z) - \log q(z|x)]",
    ),
    pictures=(
        Picture(
            "bound",
            decomposition,
            "Left: the bound of one row as q moves, a curve below log p(x) that touches it where q is the posterior. "
            "Right: the expected log likelihood, less the KL to the prior, is the bound; plus the KL to the posterior, "
            "log p(x).",
        ),
    ),
    checks=bound.CHECKS,
    questions=(
        Question(
            "What are the two forms of the evidence lower bound?",
            r"$$\mathcal{L}(x) = \log p(x) - \mathrm{KL}(q(z|x)\,\|\,p(z|x)) = "
            r"\mathbb{E}_{q}[\log p(x|z)] - \mathrm{KL}(q(z|x)\,\|\,p(z))$$",
            "bound",
        ),
        Question(
            "Why is the evidence lower bound a lower bound, and when is it tight?",
            r"$\log p(x) - \mathcal{L}(x) = \mathrm{KL}(q(z|x)\,\|\,p(z|x)) \ge 0$, and it is 0 only where $q(z|x)$ is "
            "the posterior.",
            "bound",
        ),
        Question(
            r"Which term of $\mathbb{E}_{q}[\log p(x|z)] - \mathrm{KL}(q(z|x)\,\|\,p(z))$ has a closed form for "
            "Gaussians?",
            r"The divergence, with $q(z|x) = \mathcal{N}(\mu, \mathrm{diag}\,\sigma^2)$ and "
            r"$p(z) = \mathcal{N}(0, I)$: $$-\mathrm{KL}(q\,\|\,p) = \tfrac12\sum_j (1 + \log \sigma_j^2 - \mu_j^2 - "
            r"\sigma_j^2)$$",
        ),
    ),
)

DERIVATION = Card(
    name="derivation",
    title="From the divergence to the loss, line by line",
    text=(
        r"The aim is a $q(z|x)$ close to the posterior $p(z|x)$, which is not known. Bayes' rule replaces it by "
        r"$p(x|z)$, $p(z)$ and $p(x)$; $\log p(x)$ does not depend on $z$ and leaves the expectation; what is left of "
        r"the prior is a divergence again. Moved to one side, the unknowns add up to a loss that can be computed. Its "
        r"least value over $\theta$ and $\phi$ makes $\log p(x)$ large and $q(z|x)$ the posterior, at once."
    ),
    formulas=(
        r"\mathrm{KL}(q(z|x)\,\|\,p(z|x)) = \mathbb{E}_{q}[\log q(z|x) - \log p(z|x)]",
        r"\quad = \mathbb{E}_{q}[\log q(z|x) - \log p(x|z) - \log p(z) + \log p(x)]",
        r"\quad = \mathbb{E}_{q}[\log q(z|x) - \log p(x|z) - \log p(z)] + \log p(x)",
        r"\quad = -\mathbb{E}_{q}[\log p(x|z)] + \mathbb{E}_{q}[\log q(z|x) - \log p(z)] + \log p(x)",
        r"\quad = -\mathbb{E}_{q}[\log p(x|z)] + \mathrm{KL}(q(z|x)\,\|\,p(z)) + \log p(x)",
        r"L_{\mathrm{VAE}} = -\log p(x) + \mathrm{KL}(q(z|x)\,\|\,p(z|x))"
        r" = -\mathbb{E}_{q}[\log p(x|z)] + \mathrm{KL}(q(z|x)\,\|\,p(z))",
        r"\theta^{*}, \phi^{*} = \arg\min_{\theta,\phi} L_{\mathrm{VAE}}",
    ),
    pictures=(
        Picture(
            "graphical-model",
            graphical_model,
            "In a plate of N rows, solid arrows from z to x and from theta to both: the generative model. Dashed "
            "arrows from x and phi to z: the recognition model.",
        ),
        Picture(
            "optimum",
            landscape,
            "Left: contours of the loss over theta and phi, with the way of gradient descent to its least value, where "
            "q is the posterior. Right: minus log p(x) by theta, and above it the losses of two q, which touch it "
            "where q is the posterior.",
        ),
    ),
    checks=derivation.CHECKS,
    questions=(
        Question(
            r"Derive the loss $L_{\mathrm{VAE}}$ from $\mathrm{KL}(q(z|x)\,\|\,p(z|x))$.",
            r"By Bayes' rule, $\log p(z|x) = \log p(x|z) + \log p(z) - \log p(x)$, so "
            r"$$\mathrm{KL}(q(z|x)\,\|\,p(z|x)) = -\mathbb{E}_{q}[\log p(x|z)] + \mathrm{KL}(q(z|x)\,\|\,p(z)) + \log "
            r"p(x)$$ and with $\log p(x)$ on the left, "
            r"$$L_{\mathrm{VAE}} = -\log p(x) + \mathrm{KL}(q(z|x)\,\|\,p(z|x)) = "
            r"-\mathbb{E}_{q}[\log p(x|z)] + \mathrm{KL}(q(z|x)\,\|\,p(z))$$",
        ),
        Question(
            r"What are $\theta^{*}, \phi^{*} = \arg\min L_{\mathrm{VAE}}$, if $q$ can be the posterior?",
            r"$\theta^{*}$ maximises the likelihood, and $q$ at $\phi^{*}$ is the posterior: the divergence, never "
            r"negative, is then 0 and the loss is the least mean of $-\log p(x)$.",
            "optimum",
        ),
        Question(
            "Draw the graphical model of the variational auto-encoder.",
            r"Solid: $p_\theta(z)\,p_\theta(x|z)$. Dashed: $q_\phi(z|x)$, which stands for the posterior. The plate "
            r"repeats both for $N$ rows; $\theta$ and $\phi$ are outside, shared by all.",
            "graphical-model",
        ),
    ),
)

DIVERGENCE = Card(
    name="divergence",
    title="Reverse against forward divergence",
    text=(
        r"$\mathrm{KL}(p\,\|\,q)$ is infinite where $q$ is zero and $p$ is not: its minimiser avoids zeros, covers all "
        r"of $p$ and, being Gaussian, has the mean and variance of $p$. $\mathrm{KL}(q\,\|\,p)$ is infinite where $p$ "
        r"is zero and $q$ is not: its minimiser is forced to zero there, keeps to one mode and is too narrow. The "
        r"bound uses $\mathrm{KL}(q\,\|\,p)$ because it is an expectation under $q$, which can be drawn from, and "
        r"needs the posterior only up to the constant $p(x)$."
    ),
    formulas=(
        r"\mathrm{KL}(p\,\|\,q) = \mathbb{E}_{p}[\log p(z) - \log q(z)]",
        r"\mathrm{KL}(q\,\|\,p) = \mathbb{E}_{q}[\log q(z) - \log p(z)]",
        r"\mathrm{KL}(q(z|x)\,\|\,p(z|x)) = \mathbb{E}_{q}[\log q(z|x) - \log p(x,z)] + \log p(x)",
    ),
    pictures=(
        Picture(
            "two-modes",
            two_modes,
            "A density with two modes. Left: the Gaussian of least KL(p || q) covers both and the gap between. Right: "
            "those of least KL(q || p) each fit one mode.",
        ),
        Picture(
            "correlated",
            correlated,
            "A correlated Gaussian as a tilted ellipse. Left: the independent Gaussian of least KL(p || q), a circle "
            "as wide as the ellipse is long on the axes. Right: that of least KL(q || p), a small circle within it.",
        ),
    ),
    checks=divergence.CHECKS,
    questions=(
        Question(
            r"Which of $\mathrm{KL}(p\,\|\,q)$ and $\mathrm{KL}(q\,\|\,p)$ is zero-avoiding, which zero-forcing, and "
            "why?",
            r"$\mathrm{KL}(p\,\|\,q)$ is zero-avoiding: it is infinite where $p > 0 = q$, so $q$ covers all of $p$. "
            r"$\mathrm{KL}(q\,\|\,p)$ is zero-forcing: it is infinite where $q > 0 = p$, so $q$ is 0 wherever $p$ is.",
            "two-modes",
        ),
        Question(
            r"Fit a Gaussian $q$ to $p = \tfrac12\mathcal{N}(-2, \tfrac14) + \tfrac12\mathcal{N}(2, \tfrac14)$ both "
            "ways.",
            r"Least $\mathrm{KL}(p\,\|\,q)$: the moments of $p$, $\mathcal{N}(0, 4.25)$. Least "
            r"$\mathrm{KL}(q\,\|\,p)$: near either mode, $\mathcal{N}(\pm 2, 0.25)$, with a divergence of $\log 2$.",
            "two-modes",
        ),
        Question(
            r"Fit independent Gaussians to $p = \mathcal{N}(0, \Sigma)$ both ways.",
            r"Least $\mathrm{KL}(p\,\|\,q)$: variances $\Sigma_{ii}$. Least $\mathrm{KL}(q\,\|\,p)$: "
            r"$1/(\Sigma^{-1})_{ii}$, which is never more. With variances 1 and correlation $\rho = 0.9$: 1 and "
            r"$1 - \rho^2 = 0.19$.",
            "correlated",
        ),
        Question(
            r"Why does the bound use $\mathrm{KL}(q\,\|\,p)$ and not $\mathrm{KL}(p\,\|\,q)$?",
            r"It is an expectation under $q(z|x)$, which can be drawn from, and needs of the posterior only "
            r"$\log p(x,z)$: $\log p(x)$ is a constant. $\mathrm{KL}(p\,\|\,q)$ would need draws of the posterior "
            "itself.",
        ),
    ),
)

REPARAMETERIZATION = Card(
    name="reparameterization",
    title="The reparameterization trick",
    text=(
        r"A draw $z \sim q_\phi(z|x)$ has no derivative with respect to $\phi$. Written as a function "
        r"$T_\phi(x, \varepsilon)$ of noise that does not know $\phi$, it has one, and the gradient moves inside the "
        r"expectation. The other way, by the score function $\nabla_\phi \log q$, needs no such function, but $f$ "
        r"itself and not its slope multiplies the noise, and the variance is far larger as a rule."
    ),
    formulas=(
        r"z = T_\phi(x, \varepsilon), \quad \varepsilon \sim p(\varepsilon)",
        r"z = \mu + \sigma \odot \varepsilon, \quad \varepsilon \sim \mathcal{N}(0, I)",
        r"\nabla_\phi\,\mathbb{E}_{q}[f(z)] = \mathbb{E}_{p(\varepsilon)}[\nabla_\phi f(T_\phi(x, \varepsilon))]",
        r"\nabla_\phi\,\mathbb{E}_{q}[f(z)] = \mathbb{E}_{q}[f(z)\,\nabla_\phi \log q_\phi(z|x)]",
    ),
    pictures=(
        Picture(
            "trick",
            trick,
            "Two computation graphs. Before: z is random, and the gradient of f stops at it. After: z is a function of "
            "x, phi and a random epsilon, and the gradient goes on to phi.",
        ),
        Picture(
            "gaussian-trick",
            gaussian_trick,
            "The encoder gives mu and sigma; epsilon, standard normal, times sigma, plus mu, is z, which goes to the "
            "decoder. The derivatives of z are 1 and epsilon.",
        ),
        Picture(
            "variances",
            variances,
            "Left: gradients of the bound from single draws, narrow along the path, wide by the score function, around "
            "the same value. Right: the variances of both by the scale of q, as computed and as measured.",
        ),
        Picture(
            "families",
            families,
            "Every family of section 2.4 by its route, with its T and a histogram of draws of it under its density.",
        ),
    ),
    checks=reparameterized.CHECKS,
    questions=(
        Question(
            "What is the reparameterization trick, in general?",
            r"Write $z \sim q_\phi(z|x)$ as $z = T_\phi(x, \varepsilon)$, with $\varepsilon \sim p(\varepsilon)$ "
            r"independent of $\phi$. Then $$\nabla_\phi\,\mathbb{E}_{q}[f(z)] = "
            r"\mathbb{E}_{p(\varepsilon)}[\nabla_\phi f(T_\phi(x, \varepsilon))]$$",
            "trick",
        ),
        Question(
            "What is the reparameterization of a diagonal Gaussian, and its slopes?",
            r"$z = \mu + \sigma \odot \varepsilon$, $\varepsilon \sim \mathcal{N}(0, I)$. "
            r"$\partial z/\partial\mu = 1$, $\partial z/\partial\sigma = \varepsilon$, "
            r"$\partial z/\partial\log\sigma^2 = \tfrac12\sigma\varepsilon$.",
            "gaussian-trick",
        ),
        Question(
            r"For $z \sim \mathcal{N}(\mu, \sigma^2)$, what is the variance of the two gradients of "
            r"$\mathbb{E}[z^2]$ with respect to $\mu$, from one draw?",
            r"Along the path, $2z$: $4\sigma^2$. By the score function, $z^2 (z - \mu)/\sigma^2$: "
            r"$\mu^4/\sigma^2 + 14\mu^2 + 15\sigma^2$. Both are $2\mu$ in the mean.",
            "variances",
        ),
        Question(
            "Which three routes to a reparameterization does the paper list?",
            "The inverse of the distribution function, of uniform noise; location and scale, of standard noise; and "
            "composition of variates that have one.",
            "families",
        ),
    ),
)

ARCHITECTURE = Card(
    name="architecture",
    title="The architecture, drawn from a live model",
    text=(
        r"The encoder maps $x$ to $\mu$ and $\log\sigma^2$ of $q(z|x)$, a draw of $z$ goes to the decoder, and the "
        r"decoder maps it to the parameters of $p(x|z)$; each is a network with a hidden layer of tanh. Drawn here is "
        r"the paper's own network, for digits of 64 black or white pixels: `aevb inspect RUN --draw` draws any fitted "
        "model like this."
    ),
    formulas=(
        r"\log p(x|z) = \sum_i x_i\,\log y_i + (1 - x_i)\,\log(1 - y_i), "
        r"\quad y = \mathrm{sigmoid}(W_2\,\tanh(W_1 z + b_1) + b_2)",
        r"\log q(z|x) = \log \mathcal{N}(z; \mu, \mathrm{diag}\,\sigma^2)",
        r"\mu = W_4 h + b_4, \quad \log \sigma^2 = W_5 h + b_5, \quad h = \tanh(W_3 x + b_3)",
    ),
    pictures=(
        Picture(
            "architecture",
            architecture.drawn,
            "From x through the encoder's layers to a draw of z, and through the decoder's to p(x|z); beside each "
            "layer its shape and number of parameters.",
        ),
    ),
    checks=architecture.CHECKS,
    questions=(
        Question(
            "Draw the architecture of a variational auto-encoder with a Bernoulli decoder.",
            r"$x \to \tanh \to (\mu, \log\sigma^2)$, $z = \mu + \sigma \odot \varepsilon$, "
            r"$z \to \tanh \to \mathrm{sigmoid} \to y$, $p(x|z) = \mathrm{Bernoulli}(y)$.",
            "architecture",
        ),
        Question(
            "How many numbers does the encoder of a diagonal Gaussian give, and which?",
            r"Two for each latent: $\mu_j$ and $\log\sigma_j^2$.",
            "architecture",
        ),
        Question(
            "How does a Gaussian decoder differ from a Bernoulli one?",
            r"It gives $\mu = W_4 h + b_4$ and $\log\sigma^2 = W_5 h + b_5$ of $\log p(x|z) = \log\mathcal{N}(x; \mu, "
            r"\mathrm{diag}\,\sigma^2)$, with $h = \tanh(W_3 z + b_3)$, instead of the probabilities $y$.",
        ),
    ),
)

#: In the order in which the paper is read.
CARDS: tuple[Card, ...] = (BOUND, DERIVATION, DIVERGENCE, REPARAMETERIZATION, ARCHITECTURE)


def results(card: Card) -> list[Result]:
    """Run every check of a card whose package is installed.

    >>> all(result.passed for result in results(DIVERGENCE))
    True
    """
    return [check.result() for check in card.checks if check.can_run]


def left_out() -> Iterator[str]:
    """The packages that checks need and that are not installed, one for each check."""
    return (check.needs for card in CARDS for check in card.checks if not check.can_run)

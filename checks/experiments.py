"""What the checks do with the pages of chapters 01 to 05: click a button, look at both answers."""

from playwright.sync_api import Locator, Page, expect

OURS = "This chapter"
ARTICLE = "As in the article"


def experiments(page: Page) -> list[Locator]:
    """Return the experiments of the page that have a button, in order."""
    return page.locator(".experiment:has(button[data-request])").all()


def run(experiment: Locator) -> None:
    """Click the button of an experiment and wait for its answers."""
    experiment.locator("button[data-request]").click()
    expect(experiment.locator(".answers")).to_have_attribute("aria-busy", "false")


def find(page: Page, title: str) -> Locator:
    """Return the experiment whose button, or file input, has the name *title*."""
    button = page.get_by_role("button", name=title, exact=True)
    return page.locator(".experiment").filter(has=button)


def answer(experiment: Locator, version: str) -> Locator:
    """Return the part of an experiment that shows the answer of one version."""
    heading = experiment.page.get_by_role("heading", name=version)
    return experiment.locator(".answer").filter(has=heading)


def click(
    page: Page, title: str, *, article: list[str], ours: list[str], summary: str = ""
) -> None:
    """Click the button *title*; see these texts in the answer of each version and above both."""
    experiment = find(page, title)
    run(experiment)
    expect(experiment.get_by_role("status")).to_contain_text(summary)
    for version, texts in ((ARTICLE, article), (OURS, ours)):
        for text in texts:
            expect(answer(experiment, version)).to_contain_text(text)

"""The workflows that come with the product."""

from app.orchestration.dag import Definition, Step

REPOSITORY_QUIZ = Definition(
    name="Analyse a repository and quiz me on it",
    description="Indexes a folder, then asks where things are defined.",
    steps=(
        Step(id="index", service="context", action="index", input={"path": "from:input.path"}),
        Step(
            id="quiz",
            service="context",
            action="quiz",
            input={"repository_id": "from:index.repositoryId", "count": 5},
        ),
    ),
)

WEEKLY_REPORT = Definition(
    name="Weekly report",
    description="What you practised, what is due, and what it cost.",
    steps=(
        Step(id="progress", service="analytics", action="report"),
        Step(id="due", service="learning", action="due"),
        Step(id="spending", service="models", action="spending"),
        Step(
            id="report",
            service="report",
            action="compose",
            input={"progress": "from:progress", "due": "from:due", "spending": "from:spending"},
        ),
    ),
)

TEMPLATES: dict[str, Definition] = {"repository-quiz": REPOSITORY_QUIZ, "weekly-report": WEEKLY_REPORT}

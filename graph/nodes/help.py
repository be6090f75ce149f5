"""Says what can be done here."""

from graph.nodes.base import Run, said, speaker
from graph.state import State, Update

HELP = """\
Say it in your own words, or pick a command from the `/` menu.

| To … | say | or |
|---|---|---|
| solve a challenge | *give me an easy python challenge about strings* | `/challenge python strings easy` |
| hand in code | paste it between two lines of ```` ``` ```` | `/submit`, `/hint`, `/skip` |
| train a topic | *train me on SQL for 5 questions*, *pause*, *resume my training* | `/train sql 5`, `/train` |
| plan up to a day | *I have an interview in 3 weeks on graphs and SQL* | `/plan` |
| see your progress | *how am I doing*, *show my badges*, *what should I learn next* | `/stats`, `/badges`, `/path` |
| compare, or not | *show the leaderboard* | `/leaderboard`, `/leaderboard off`, `/timezone` |
| see or change budgets | *what have I spent* | `/budget`, `/budget anthropic 5` |
| choose a model | *use claude* | `/models`, `/model auto`, `/why`, `/keys` |
| work with your code | *load ~/project*, *where is the retry logic* | `/repo`, `/search` |
| run or schedule work | *weekly report every day at 9* | `/workflow`, `/schedule` |
| share or keep a chat | | `/share`, `/export` |
"""


async def help_(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    say.text(HELP)
    return said(state, say)
